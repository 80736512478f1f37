"""The bundled catalog and the readers of the providers' answers against the tables and payloads of
the ``prices`` folder.

Prices are compared where the product carries the region; what the tables do not price must have no
price here either.
"""

import json

import numpy as np
import pandas as pd
import pytest

from planner.catalog import Catalog, aws_answers, azure, gcp
from planner.catalog.checks import WEAK
from planner.catalog.sustained import quarters, sustained_use_share
from planner.data import data_path

SIX_DIGITS = 5e-7
KEY = ["provider", "region", "instance_type"]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.read("aws", "gcp", "azure", inferred=True)


@pytest.fixture(scope="module")
def table(reference):
    def read(name: str, **numbers: str) -> pd.DataFrame:
        path = reference("prices") / name
        if not path.exists():
            pytest.skip(f"no {name} in the folder")
        frame = pd.read_csv(path, keep_default_na=False, dtype="str")
        return frame.assign(**{k: pd.to_numeric(frame[v], errors="coerce") for k, v in numbers.items()})

    return read


@pytest.fixture(scope="module")
def sample(reference):
    def read(name: str):
        path = reference("prices") / "samples" / name
        if not path.exists():
            pytest.skip(f"no sample {name} in the folder")
        return json.loads(path.read_text())

    return read


def same(found: pd.Series, wanted: pd.Series) -> None:
    both = pd.concat([found.rename("found"), wanted.rename("wanted")], axis=1, join="inner")
    assert len(both), "nothing to compare"
    off = both[(both["found"] / both["wanted"] - 1).abs() > SIX_DIGITS]
    assert off.empty, off.head().to_string()


def covered(frame: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    places = set(zip(catalog.instances["provider"], catalog.instances["region"], strict=True))
    return frame[[p in places for p in zip(frame["provider"], frame["region"], strict=True)]]


def readings(table, option: str, column: str) -> pd.DataFrame:
    """All prices read of each machine, over all tables: ``provider region instance_type usd as_of``,
    without those that hold the price of a machine with a Windows licence.
    """
    parts = [table(n, usd=column) for n in ("instances.csv", "instances_more.csv")]
    lists = table("azure_spot_more.csv", usd=column)
    day = "as_of" if option == "on_demand" else "spot_as_of"
    seen = pd.concat(
        [*(t[[*KEY, "usd", day]].rename(columns={day: "as_of"}) for t in parts), lists[[*KEY, "usd", "as_of"]]]
    )
    if option == "on_demand":
        mended = table("azure_on_demand_corrections.csv", usd="linux_usd_hour", wrong="listed_in_instances_csv")
        plans = table("azure_commitments_more.csv", usd="on_demand_usd_hour").rename(columns={"scope": "instance_type"})
        seen = seen.merge(mended[[*KEY, "wrong"]], on=KEY, how="left")
        seen = seen[~(seen["usd"] == seen["wrong"])].drop(columns="wrong")
        seen = pd.concat([seen, mended[[*KEY, "usd", "as_of"]], plans[[*KEY, "usd", "as_of"]]])
    return seen.dropna(subset="usd")


@pytest.mark.parametrize(("option", "column"), [("on_demand", "on_demand_usd_hour"), ("spot", "spot_usd_hour")])
def test_observed_machine_prices(catalog, table, option, column):
    """Each observed price of the catalog was read, and none that was read of a machine known here is
    missing, but for markets whose spot price is the price on demand.
    """
    seen = covered(readings(table, option, column), catalog)
    shapes = catalog.instances.set_index(KEY).index
    rates = catalog.rates[
        (catalog.rates["purchase_option"] == option) & ~catalog.rates["basis"].isin({*WEAK, "modeled"})
    ]
    both = rates.merge(seen, on=KEY, how="left")
    met = (both["rate_usd_per_h"] / both["usd"] - 1).abs() <= SIX_DIGITS
    assert met.groupby([both[k] for k in KEY]).any().all()
    wanted = pd.MultiIndex.from_frame(seen[KEY]).intersection(shapes)
    missing = wanted.difference(pd.MultiIndex.from_frame(rates[KEY]))
    if option == "spot":
        demand = catalog.rates[catalog.rates["purchase_option"] == "on_demand"].set_index(KEY)["rate_usd_per_h"]
        low = seen.groupby(KEY)["usd"].min().reindex(missing)
        missing = missing[(low < 0.999 * demand.reindex(missing)).to_numpy()]
    assert missing.empty, f"{len(missing)} priced types are missing, such as {missing[:3].tolist()}"


def test_no_price_holds_a_windows_licence(catalog, table):
    mended = table("azure_on_demand_corrections.csv", usd="linux_usd_hour").set_index(KEY)["usd"]
    ours = catalog.rates[catalog.rates["purchase_option"] == "on_demand"].set_index(KEY)["rate_usd_per_h"]
    same(ours, mended)
    assert not mended.index.difference(ours.index).size


def test_modeled_spot_is_the_published_saving(catalog, table):
    rows = covered(table("instances.csv", usd="on_demand_usd_hour", saving="spot_savings_pct"), catalog)
    rows = rows[rows["region"] == "us-east-1"]  # elsewhere prices were read later
    rule = (rows["usd"] * (1 - rows["saving"] / 100)).where(rows["saving"] > 0)
    wanted = pd.Series(rule.to_numpy(), index=pd.MultiIndex.from_frame(rows[KEY])).dropna()
    modeled = catalog.rates[catalog.rates["basis"] == "modeled"].set_index(KEY)["rate_usd_per_h"]
    both = pd.concat([modeled.rename("found"), wanted.rename("wanted")], axis=1, join="inner")
    assert len(both)
    assert np.allclose(both["found"], both["wanted"], rtol=1e-5)
    # no saving published: no market is made up
    dry = pd.MultiIndex.from_frame(rows.loc[~(rows["saving"] > 0), KEY])
    assert not modeled.index.intersection(dry).size


def test_inferred_prices_are_apart(catalog, table):
    seen = covered(table("instances_inferred.csv", usd="on_demand_usd_hour").dropna(subset="usd"), catalog).set_index(
        KEY
    )["usd"]
    later = pd.MultiIndex.from_frame(readings(table, "on_demand", "on_demand_usd_hour")[KEY])
    seen = seen[~seen.index.isin(later)]  # read since
    guessed = catalog.rates[catalog.rates["basis"] == "inferred"].set_index(KEY)["rate_usd_per_h"]
    same(guessed, seen)
    plain = Catalog.read("aws", "gcp", "azure").rates.set_index(KEY)
    assert not plain.index.intersection(seen.index).size  # never used unless asked


def test_shapes(catalog, table):
    rows = covered(
        table("instances.csv", cores="vcpu", gib="memory_gib", gpus="gpu_count", gbps="network_gbps"), catalog
    ).set_index(KEY)
    ours = catalog.instances.set_index(KEY)
    both = ours.join(rows[["cores", "gib", "gpus", "gbps"]], how="inner")
    assert np.allclose(
        both["vcpus"] * np.where(both.index.get_level_values(0) == "gcp", both["baseline_share"], 1), both["cores"]
    )
    assert np.allclose(both["memory_gib"], both["gib"])
    assert np.allclose(both["accelerators"], both["gpus"].fillna(0))
    assert ((both["accelerator"] != "") == (both["gpus"] > 0)).all()
    known = both["gbps"].notna()
    assert np.allclose(both.loc[known, "network_gib_per_s"], both.loc[known, "gbps"] * 1e9 / 8 / 2**30, rtol=1e-5)
    assert both.loc[~known, "network_gib_per_s"].isna().all()


def test_commitment_prices(catalog, table):
    rows = covered(table("commitments.csv", usd="effective_usd_hour").dropna(subset="usd"), catalog)
    rows = rows[rows["plan_kind"] != "SUD full month"]
    rows = rows.assign(
        term_months=rows["term"].str.rstrip("y").astype(int) * 12, payment=rows["upfront"].str.split(" ").str[0]
    )
    key = ["provider", "region", "scope", "plan_kind", "term_months", "payment"]
    ours = catalog.commitments.set_index(key)
    assert not pd.MultiIndex.from_frame(rows[key]).difference(ours.index).size
    usage = ours[ours["category"] == "Usage"]["rate_usd_per_h"]
    same(usage, rows.set_index(key)["usd"])
    spend = ours[ours["category"] == "Spend"].join(
        catalog.rates[catalog.rates["purchase_option"] == "on_demand"]
        .rename(columns={"instance_type": "scope"})
        .set_index(["provider", "region", "scope"])["rate_usd_per_h"]
        .rename("list"),
        how="inner",
    )
    paid = spend["list"] * (1 - spend["discount_share"])
    both = pd.concat([paid.rename("found"), rows.set_index(key)["usd"]], axis=1, join="inner")
    assert len(both)
    # the table rounds the discount to five places
    assert np.allclose(both["found"], both["usd"], rtol=2e-5)


@pytest.mark.parametrize(
    ("file", "frame", "name"), [("storage.csv", "storage", "storage_class"), ("network.csv", "network", "kind")]
)
def test_storage_and_network_prices(catalog, table, file, frame, name):
    """Each listed price stands in the catalog of its region; a cross-zone GiB that AWS charges at
    both ends counts twice.
    """
    rows = covered(table(file, usd="price_usd").dropna(subset="usd"), catalog)
    ours = getattr(catalog, frame)
    twice = rows["scope"].eq("each direction") if "scope" in rows else pd.Series(False, index=rows.index)
    wanted = (rows["usd"] * np.where(twice, 2, 1)).round(12)
    for (provider, region), group in wanted.groupby([rows["provider"], rows["region"]]):
        observed = ours[(ours["provider"] == provider) & (ours["region"] == region)]
        snapshot = pd.read_csv(
            data_path("catalog", provider, file)
        )  # what the table does not cover stands in a file beside it
        have = set(observed["price_usd"].round(12))
        assert set(group) <= have, (provider, region, set(group) - have)
        listed = snapshot[(snapshot["region"] == region) & (snapshot["basis"] != "assumed")]
        # one free row more for each egress kind whose tiers begin behind the allowance
        assert set(listed["price_usd"].round(12)) <= {*group, 0.0}, (provider, region)
    assert len(ours[name].unique()) > 5


def test_machines_composed_from_components(catalog, table):
    parts = table("gcp_components.csv", core="usd_per_vcpu_hour", ram="usd_per_gib_hour")
    disks = table("storage.csv", usd="price_usd")
    compared = 0
    rates = catalog.rates[
        (catalog.rates["provider"] == "gcp") & (catalog.rates["purchase_option"] == "on_demand")
    ].set_index(["region", "instance_type"])["rate_usd_per_h"]
    for region, here in parts[parts["price_kind"] == "on_demand"].groupby("region"):
        prices = {
            gcp.Component("on_demand", f, p): usd
            for f, c, r in zip(here["family"], here["core"], here["ram"], strict=True)
            for p, usd in (("core", c), ("ram", r))
        }
        local = disks[(disks["region"] == region) & (disks["service"] == "Local SSD")].set_index("storage_class")["usd"]
        prices |= {
            gcp.Component("on_demand", name.removeprefix("local-ssd").strip(), "disk"): usd
            for name, usd in local.items()
            if "(" not in name
        }
        shapes = catalog.instances[(catalog.instances["provider"] == "gcp") & (catalog.instances["region"] == region)]
        for shape in shapes[shapes["family"].isin(set(here["family"])) & (shapes["accelerators"] == 0)].to_dict(
            "records"
        ):
            usd = gcp.compose(shape, prices, "on_demand")
            assert usd == pytest.approx(rates[region, shape["instance_type"]], rel=1e-3), shape["instance_type"]
            compared += 1
    assert compared


def test_sample_of_the_price_list(sample, table):
    entries = [json.loads(t) for t in sample("aws_pricing_get_products.json")["PriceList"]]
    plain = [
        e
        for e in entries
        if e["product"]["attributes"].get("instanceType") and aws_answers.sells_plain_linux(e["product"]["attributes"])
    ]
    listed = table("instances.csv", usd="on_demand_usd_hour").set_index(KEY)["usd"]
    offers = table("commitments.csv", usd="effective_usd_hour")
    assert plain
    for entry in plain:
        facts = entry["product"]["attributes"]
        key = ("aws", facts["regionCode"], facts["instanceType"])
        assert aws_answers.on_demand_usd(entry) == pytest.approx(listed[key], rel=SIX_DIGITS)
        here = offers[(offers["provider"] == "aws") & (offers["region"] == key[1]) & (offers["scope"] == key[2])]
        terms = list(aws_answers.reserved(entry))
        assert terms
        for kind, months, payment, usd, share in terms:
            match = here[
                (here["plan_kind"] == f"{kind.capitalize()} RI")
                & (here["term"] == f"{months // 12}y")
                & (here["upfront"] == payment)
            ]
            for wanted in match["usd"]:
                assert usd == pytest.approx(wanted, rel=2e-5)
            assert {"none": share == 0, "partial": 0.3 < share < 0.7, "all": share == 1}[payment]


def test_sample_of_instance_types(sample, table):
    rows = table(
        "instances.csv", cores="vcpu", gib="memory_gib", gpus="gpu_count", gbps="network_gbps", each="gpu_memory_gib"
    )
    rows = rows[rows["provider"] == "aws"].drop_duplicates("instance_type").set_index("instance_type")
    chips = table("gpus.csv", gib="memory_gib_reported").set_index("gpu")["gib"]
    for item in sample("aws_describe_instance_types.json")["InstanceTypes"]:
        found = aws_answers.shape(item)
        # not in the table: the memory of its chip is known all the same
        if item["InstanceType"] not in rows.index:
            if found["accelerator"] in chips:
                part = min(found["accelerators"], 1)
                assert chips[found["accelerator"]] * part == pytest.approx(found["accelerator_memory_gib"], rel=0.01)
            continue
        wanted = rows.loc[item["InstanceType"]]
        assert (found["vcpus"], found["memory_gib"], found["arch"]) == (wanted["cores"], wanted["gib"], wanted["arch"])
        assert found["accelerators"] == wanted["gpus"]
        assert found["network_gib_per_s"] == pytest.approx(wanted["gbps"] * 1e9 / 8 / 2**30, rel=1e-3)
        if wanted["gpus"] > 0:
            assert found["accelerator_memory_gib"] == pytest.approx(wanted["each"], rel=2e-3)


def test_sample_of_savings_plans(sample, table):
    rates = [
        r
        for r in map(aws_answers.plan_rate, sample("aws_savings_plans_offering_rates.json")["searchResults"])
        if r is not None
    ]
    assert len(rates) == 2
    by_plan = {(r[1], r[2], r[3]): r[4] for r in rates}
    offers = table("commitments.csv", usd="effective_usd_hour")
    known = offers[
        (offers["scope"] == rates[0][0])
        & (offers["plan_kind"] == "Compute Savings Plan")
        & (offers["region"] == "us-east-1")
    ]["usd"]
    assert by_plan["Compute", 12, "none"] == pytest.approx(known.iloc[0], rel=SIX_DIGITS)
    assert by_plan["EC2Instance", 36, "all"] == 0.068227


def test_sample_of_spot_history(sample):
    history = sample("aws_spot_price_history.json")["SpotPriceHistory"]
    last: dict[str, tuple[str, float]] = {}
    for item in history:
        if item["ProductDescription"] == "Linux/UNIX":
            last[item["AvailabilityZoneId"]] = max(
                last.get(item["AvailabilityZoneId"], ("", 0.0)), (item["Timestamp"], float(item["SpotPrice"]))
            )
    found = aws_answers.spot_usd(history)
    assert found == {history[0]["InstanceType"]: pytest.approx(float(np.median([p for _, p in last.values()])))}


def test_sample_of_azure(sample, table):
    items = sample("azure_retail_prices.json")["Items"]
    region = items[0]["armRegionName"]
    found = [o for i in items for o in azure.offers(i, region)]
    name = items[0]["armSkuName"]
    listed = table("instances.csv", usd="on_demand_usd_hour").set_index(KEY)["usd"]
    offers = table("commitments.csv", usd="effective_usd_hour")
    offers = offers[(offers["scope"] == name) & (offers["region"] == region)].set_index(["plan_kind", "term"])["usd"]
    prices = {(o.kind, o.years): o.usd for o in found}
    assert len(found) == len(prices) == 6
    assert prices["on_demand", 0] == pytest.approx(listed["azure", region, name], rel=SIX_DIGITS)
    for years in (1, 3):
        assert prices["reservation", years] == pytest.approx(offers["Reservation", f"{years}y"], rel=1e-6)
        assert prices["savings_plan", years] == pytest.approx(offers["Savings plan for compute", f"{years}y"], rel=1e-6)
    assert prices["spot", 0] < prices["on_demand", 0]


def test_sample_of_google(sample, catalog, table):
    skus = sample("gcp_list_skus.json")["skus"]
    prices, torn = gcp.components(skus, "us-central1")
    assert not torn
    shape = catalog.instances.set_index(["region", "instance_type"]).loc[("us-central1", "a2-highgpu-1g")].to_dict() | {
        "instance_type": "a2-highgpu-1g"
    }
    listed = table("instances.csv", usd="on_demand_usd_hour").set_index(KEY)["usd"]
    assert gcp.compose(shape, prices, "on_demand") == pytest.approx(
        listed["gcp", "us-central1", "a2-highgpu-1g"], rel=SIX_DIGITS
    )
    n2 = table("gcp_components.csv", core="usd_per_vcpu_hour", ram="usd_per_gib_hour")
    row = n2[(n2["family"] == "n2") & (n2["region"] == "us-central1")].set_index("price_kind")
    assert prices[gcp.Component("on_demand", "n2", "core")] == pytest.approx(row.loc["on_demand", "core"], rel=1e-5)
    assert prices[gcp.Component("on_demand", "n2", "ram")] == pytest.approx(row.loc["on_demand", "ram"], rel=1e-5)
    assert prices[gcp.Component("cud_1y", "n2", "core")] == pytest.approx(row.loc["cud_1y", "core"], rel=1e-4)
    egress = next(s for s in skus if "Internet" in s["description"])
    rows = table("network.csv", usd="price_usd", start="tier_lower")
    standard = rows[(rows["region"] == "us-central1") & (rows["scope"] == "Standard Tier")]
    assert gcp.tiers(egress) == list(zip(standard["start"], standard["usd"], strict=True))


def test_sustained_use_of_a_full_month(table):
    rows = table("commitments.csv", usd="effective_usd_hour", list="on_demand_usd_hour")
    rows = rows[rows["plan_kind"] == "SUD full month"]
    assert len(rows)
    for name, usd, full in zip(rows["scope"], rows["usd"], rows["list"], strict=True):
        # the source rounds its monthly figures
        assert usd / full == pytest.approx(sustained_use_share(quarters("gcp", name.split("-")[0]), 1.0), abs=1.5e-3), (
            name
        )
