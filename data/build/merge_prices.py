"""Raw tables of observed prices brought together: later readings over earlier ones, corrections over
what they correct, and the regions of Azure that only a list of prices names.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

KEY = ["provider", "region", "instance_type"]
_PRICE = ["on_demand_usd_hour", "on_demand_basis", "as_of", "source"]
_SPOT = ["spot_usd_hour", "spot_basis", "spot_as_of"]
# a market that shows the on-demand price is a zone without spare machines, not an offer
_NO_MARKET = 0.999


def read(folder: Path, name: str) -> pd.DataFrame:
    """A raw table as text; ``source`` says where a fact was read, without how it was found."""
    table = pd.read_csv(folder / name, keep_default_na=False, dtype="str")
    if "source" in table:
        table["source"] = table["source"].str.replace(r" ?\(find_string id \d+\)|\bstored ", "", regex=True)
    return table


def instances(folder: Path) -> pd.DataFrame:
    """All machines with their newest observed price, in the columns of ``instances.csv``.

    A mean over zones fills in where no spot price was seen: zones differ up to fivefold, so it never
    stands over a median or a single reading.
    """
    first, more = read(folder, "instances.csv"), read(folder, "instances_more.csv")
    table = first.set_index(KEY)
    later = more.set_index(KEY)
    both = table.index.intersection(later.index)
    for columns, value, day in ((_PRICE, "on_demand_usd_hour", "as_of"), (_SPOT, "spot_usd_hour", "spot_as_of")):
        new = later.loc[both]
        old = table.loc[both]
        stale = (new[day] > old[day]) if value == "on_demand_usd_hour" else False
        newer = both[((new[value] != "") & ((old[value] == "") | stale)).to_numpy()]
        table.loc[newer, columns] = later.loc[newer, columns]
    table = pd.concat([table, later.drop(index=both)]).reset_index()
    table = _corrected(table, read(folder, "azure_on_demand_corrections.csv"))
    table = _with_azure_spot(table, read(folder, "azure_spot_more.csv"))
    table = pd.concat([_without_azure_lists(table), _azure_lists(folder, table)], ignore_index=True)
    return _without_empty_markets(table)[first.columns]


def _corrected(table: pd.DataFrame, mended: pd.DataFrame) -> pd.DataFrame:
    """Rows that held the price of the machine with a Windows licence take the Linux price."""
    out, by = table.set_index(KEY), mended.set_index(KEY)
    if (out.loc[by.index, "on_demand_usd_hour"].astype(float) - by["listed_in_instances_csv"].astype(float)).any():
        raise SystemExit("a correction does not meet the row that it corrects")
    out.loc[by.index, "on_demand_usd_hour"] = by["linux_usd_hour"]
    # the licence taken off the listed price, where no Linux price was read
    out.loc[by.index, "on_demand_basis"] = by["basis"].replace({"inferred": "observed_composed"})
    out.loc[by.index, "as_of"] = by["as_of"]
    out.loc[by.index, "source"] = by["source"]
    return out.reset_index()


def _with_azure_spot(table: pd.DataFrame, spot: pd.DataFrame) -> pd.DataFrame:
    """Spot prices of the American regions, where none was seen before."""
    out, by = table.set_index(KEY), spot[spot["spot_usd_hour"] != ""].set_index(KEY)
    gaps = by.index.intersection(out.index[out["spot_usd_hour"] == ""])
    gaps = gaps[~gaps.get_level_values("region").isin(AZURE_LISTED)]
    out.loc[gaps, "spot_usd_hour"] = by.loc[gaps, "spot_usd_hour"]
    out.loc[gaps, "spot_basis"] = "observed"
    out.loc[gaps, "spot_as_of"] = by.loc[gaps, "as_of"]
    return out.reset_index()


def _azure_list(folder: Path) -> pd.DataFrame:
    """On-demand and spot prices of Azure by region, from the lists that give both."""
    spot, plans = read(folder, "azure_spot_more.csv"), read(folder, "azure_commitments_more.csv")
    spot = spot[spot["region"].isin(AZURE_LISTED)].set_index(KEY)
    plans = plans[plans["region"].isin(AZURE_LISTED)].rename(columns={"scope": "instance_type"}).set_index(KEY)
    plans = plans[~plans.index.duplicated()]
    every = spot.index.union(plans.index)
    taken = spot.reindex(every)
    return pd.DataFrame(
        {
            "on_demand_usd_hour": taken["on_demand_usd_hour"].fillna(plans["on_demand_usd_hour"].reindex(every)),
            "as_of": taken["as_of"].fillna(plans["as_of"].reindex(every)),
            "source": taken["source"].fillna(plans["source"].reindex(every)),
            "spot_usd_hour": taken["spot_usd_hour"].fillna(""),
        },
        index=every,
    )


AZURE_LISTED = ("westeurope", "northeurope", "swedencentral", "francecentral", "belgiumcentral")


def _without_azure_lists(table: pd.DataFrame) -> pd.DataFrame:
    return table[~((table["provider"] == "azure") & table["region"].isin(AZURE_LISTED))]


def _azure_lists(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Machines of the listed Azure regions: shapes by name from any region, prices from the lists.

    A region's earlier rows that the lists lack keep their price.
    """
    azure = table[table["provider"] == "azure"]
    shapes = azure.drop_duplicates("instance_type").set_index("instance_type")
    lists = _azure_list(folder).reset_index()
    lists = lists[lists["instance_type"].isin(shapes.index)]
    out = shapes.loc[lists["instance_type"]].reset_index()
    for column in ("region", *_PRICE, "spot_usd_hour"):
        out[column] = "observed" if column == "on_demand_basis" else lists[column].to_numpy()
    sold = out["spot_usd_hour"] != ""
    out["spot_basis"] = ["observed" if s else "" for s in sold]
    out["spot_as_of"] = out["as_of"].where(sold, "")
    out["spot_savings_pct"] = out["spot_interruption_band"] = ""
    kept = azure[azure["region"].isin(AZURE_LISTED)]
    old = ~pd.MultiIndex.from_frame(kept[KEY]).isin(pd.MultiIndex.from_frame(out[KEY]))
    return pd.concat([out, kept[old]], ignore_index=True)


def _without_empty_markets(table: pd.DataFrame) -> pd.DataFrame:
    demand, spot = pd.to_numeric(table["on_demand_usd_hour"]), pd.to_numeric(table["spot_usd_hour"])
    empty = (table["spot_basis"] == "average_over_zones") & (spot >= _NO_MARKET * demand)
    table.loc[empty, _SPOT] = ""
    table.loc[empty, "spot_savings_pct"] = "0"
    return table
