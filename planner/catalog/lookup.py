"""Finding a machine in the catalog, and why it costs what it costs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pandas as pd

from planner.catalog.checks import BASIS, first_day
from planner.catalog.snapshot import Catalog
from planner.errors import CatalogError


def search(catalog: Catalog, words: Sequence[str] = ()) -> pd.DataFrame:
    """Machines whose type, family, accelerator, architecture, provider or region matches every
    word, cheapest on demand first.

    A word matches as a part of the text, or as a pattern if it has ``*`` or ``?``; a machine known
    by its spot price only comes last.  Columns: provider region instance_type vcpus memory_gib
    accelerator accelerators on_demand_usd_per_h spot_usd_per_h basis.
    """
    shapes = catalog.instances
    text = shapes[["provider", "region", "instance_type", "family", "accelerator", "arch"]]
    keep = pd.Series(True, index=shapes.index)
    for word in words:
        pattern = word.lower() if set(word) & set("*?") else f"*{word.lower()}*"
        keep &= pd.concat(
            [text[c].str.lower().map(lambda t, p=pattern: fnmatch.fnmatchcase(t, p)) for c in text],
            axis=1,
        ).any(axis=1)
    key = ["provider", "region", "instance_type"]
    found = shapes.loc[keep, [*key, "vcpus", "memory_gib", "accelerator", "accelerators"]]
    for option in ("on_demand", "spot"):
        rates = catalog.rates[catalog.rates["purchase_option"] == option][[*key, "rate_usd_per_h", "basis"]]
        rates = rates.rename(columns={"rate_usd_per_h": f"{option}_usd_per_h"})
        found = found.merge(rates if option == "on_demand" else rates.drop(columns="basis"), on=key, how="left")
    found["basis"] = found.pop("basis").fillna("")
    return found.sort_values(["on_demand_usd_per_h", *key], ignore_index=True)


def explain(
    catalog: Catalog, instance_type: str, region: str, *, provider: str | None = None, today: date | None = None
) -> pd.DataFrame:
    """Every way to pay for a machine in a region, and where each price comes from; cheapest last.

    Columns: price usd_per_h of_on_demand_share basis meaning as_of age_days source.
    ``of_on_demand_share`` is the price over the on-demand price (NaN without one); ``meaning`` says
    what the basis is worth. Raises :class:`CatalogError` for an unknown machine or region, with the
    nearest names.
    """
    options = catalog.rates[(catalog.rates["instance_type"] == instance_type) & (catalog.rates["region"] == region)]
    if provider is not None:
        options = options[options["provider"] == provider]
    if options.empty:
        # says what is wrong, with the nearest names
        catalog.rate(instance_type, region, provider=provider)
        raise CatalogError("no price is known", where=f"{region} {instance_type}")
    now, seller = today or datetime.now(UTC).date(), str(options["provider"].iloc[0])
    shapes = catalog.instances
    here = (shapes["provider"] == seller) & (shapes["region"] == region) & (shapes["instance_type"] == instance_type)
    family = str(shapes.loc[here, "family"].iloc[0])
    on_demand = options.loc[options["purchase_option"] == "on_demand", "rate_usd_per_h"]
    base = float(on_demand.iloc[0]) if len(on_demand) else float("nan")
    rows = [(str(r["purchase_option"]), float(r["rate_usd_per_h"]), r) for _, r in options.iterrows()]
    for _, r in _offers(catalog.commitments, seller, region, instance_type, family).iterrows():
        usd = float(r["rate_usd_per_h"]) if r["category"] == "Usage" else base * (1 - float(r["discount_share"]))
        rows.append((f"{r['plan_kind']}, {r['term_months']} months, {r['payment']} upfront", usd, r))
    table = []
    for name, usd, r in rows:
        basis, as_of = str(r["basis"]), str(r["as_of"])
        table.append((name, usd, usd / base, basis, BASIS.get(basis, ""), as_of, _age(as_of, now), str(r["source"])))
    names = ["price", "usd_per_h", "of_on_demand_share", "basis", "meaning", "as_of", "age_days", "source"]
    return pd.DataFrame(table, columns=names).sort_values("usd_per_h", ascending=False, ignore_index=True)


def _offers(offers: pd.DataFrame, provider: str, region: str, instance_type: str, family: str) -> pd.DataFrame:
    """Commitments that may pay for a machine: of its type, its family, a group with its family,
    or the whole account, in its region or everywhere.
    """
    here = offers[(offers["provider"] == provider) & offers["region"].isin([region, "global"])]
    groups = here["scope_kind"].isin(["family", "family_group"]) & here["scope"].map(lambda s: family in s.split())
    return here[(here["scope"] == instance_type) | groups | (here["scope_kind"] == "account")]


def _age(as_of: str, today: date) -> float:
    day = first_day(as_of)
    return float("nan") if day is None else float((today - day).days)
