import json
import math
import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import PROVIDERS, Catalog, Tier, gcp
from planner.catalog.aws import PERMISSIONS
from planner.catalog.checks import BASIS, WEAK, first_day
from planner.catalog.sustained import quarters, sustained_use_share
from planner.data import data_path
from planner.errors import CatalogError
from planner.scenario import Scenario
from tests.oracles.tiers import tier_cost

CLOUDS = {
    "aws": {"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1"},
    "gcp": {"us-central1", "us-east4", "europe-west1", "europe-west4"},
    "azure": {"eastus", "eastus2", "westeurope", "northeurope", "swedencentral", "francecentral", "belgiumcentral"},
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.read()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A snapshot folder that a test may spoil."""
    shutil.copytree(data_path("catalog", "azure"), tmp_path / "azure")
    return tmp_path


def edit(folder: Path, name: str, change) -> None:
    path = folder / "azure" / f"{name}.csv"
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    change(table).to_csv(path, index=False)


def test_covers_the_promised_regions(catalog):
    for provider, regions in CLOUDS.items():
        assert set(catalog.instances.loc[catalog.instances["provider"] == provider, "region"]) == regions


@pytest.mark.parametrize(
    ("provider", "region", "instance_type", "option", "usd"),
    [
        # AWS price list of July 2026 (karpenter-provider-aws), cross-checked with a second list
        ("aws", "us-east-1", "m6a.xlarge", "on_demand", 0.1728),
        ("aws", "us-east-1", "m6i.xlarge", "on_demand", 0.192),
        ("aws", "us-east-1", "t3.micro", "on_demand", 0.0104),
        ("aws", "us-east-1", "g6.xlarge", "on_demand", 0.8048),
        ("aws", "us-east-1", "x2iedn.32xlarge", "on_demand", 26.676),
        ("aws", "us-east-1", "p4d.24xlarge", "on_demand", 21.95764),
        # after the cut of June 2025; 98.32 before
        ("aws", "us-east-1", "p5.48xlarge", "on_demand", 55.04),
        ("aws", "us-west-2", "p5.48xlarge", "on_demand", 55.04),
        ("aws", "eu-west-1", "m6a.xlarge", "on_demand", 0.1926),  # 2024
        ("aws", "us-east-1", "t3.micro", "spot", 0.00446),
        ("aws", "us-west-2", "p5.48xlarge", "spot", 12.9756),
        # Google, 30 July 2026: 12 cores + 85 GiB + one A100
        ("gcp", "us-central1", "a2-highgpu-1g", "on_demand", 3.673385),
        ("gcp", "us-east4", "a2-highgpu-1g", "on_demand", 3.9343549),
        ("gcp", "us-central1", "c2-standard-16", "on_demand", 0.835232),
        ("gcp", "us-central1", "g2-standard-4", "on_demand", 0.706832),
        ("gcp", "us-central1", "n2-standard-4", "on_demand", 0.194236),
        # Azure, 18 June 2026
        ("azure", "eastus", "Standard_D4ds_v5", "on_demand", 0.226),
        ("azure", "eastus", "Standard_D4s_v5", "on_demand", 0.192),
        ("azure", "eastus", "Standard_D2s_v5", "on_demand", 0.096),
        # GPU-hours, 5 October 2026
        ("gpu_cloud", "global", "lambda/1x-H100-SXM-80GB", "on_demand", 4.14),
        ("gpu_cloud", "global", "coreweave/8x-H100-SXM-80GB", "on_demand", 49.28),
    ],
)
def test_known_prices(catalog, provider, region, instance_type, option, usd):
    assert catalog.price(instance_type, region, option, provider=provider) == pytest.approx(usd, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        ("aws/us-east-1/m6a.xlarge/standard_ri/1y/none", 0.11431),
        ("aws/us-east-1/m6a.xlarge/standard_ri/3y/partial", 0.072591),
        ("aws/us-east-1/x2iedn.32xlarge/convertible_ri/1y/all", 18.404338),
        ("aws/us-east-1/a1.2xlarge/standard_ri_or_instance_plan/3y/all", 0.076712329),
        ("gcp/us-central1/a2-highgpu-1g/resource_cud/1y/none", 2.314207),
        ("gcp/us-central1/a2-highgpu-1g/resource_cud/3y/none", 1.2857083),
        ("azure/eastus/Standard_D4ds_v5/reservation/1y/none", 1168 / 8760),
        ("azure/eastus/Standard_D4ds_v5/reservation/3y/all", 2257 / 26280),
    ],
)
def test_known_commitments(catalog, name, usd):
    row = catalog.commitments.set_index("commitment").loc[name]
    assert row["rate_usd_per_h"] == pytest.approx(usd, rel=1e-6)


def test_google_machines_are_the_sum_of_their_parts(catalog):
    """Core and memory prices of n2 in us-central1 (list of July 2026) give every n2 machine there
    within 0.1 %.
    """
    parts = {gcp.Component("on_demand", "n2", "core"): 0.031611, gcp.Component("on_demand", "n2", "ram"): 0.004237}
    shapes = catalog.select(providers=["gcp"], regions=["us-central1"], families=["n2"]).instances.to_dict("records")
    assert len(shapes) > 20
    for shape in shapes:
        assert gcp.compose(shape, parts, "on_demand") == pytest.approx(
            catalog.price(shape["instance_type"], "us-central1"), rel=1e-3
        )


def test_every_row_names_its_source_date_and_basis(catalog):
    for name in ("rates", "commitments", "storage", "network"):
        table = getattr(catalog, name)
        assert (table["source"] != "").all()
        assert (table["as_of"] != "").all()
        assert set(table["basis"]) <= set(BASIS)
    assert (catalog.instances["source"] != "").all()


def test_accelerators_carry_canonical_names(catalog):
    canonical = set(pd.read_csv(data_path("hardware", "accelerators.csv"))["accelerator"])
    assert set(catalog.instances["accelerator"]) - {""} <= canonical
    row = catalog.instances.set_index(["region", "instance_type"]).loc[("us-east-1", "p4de.24xlarge")]
    assert (row["accelerator"], row["accelerators"]) == ("A100-SXM-80GB", 8)


def test_units_are_binary(catalog):
    row = catalog.instances.set_index(["region", "instance_type"]).loc[("us-east-1", "p5.48xlarge")]
    assert row["network_gib_per_s"] == pytest.approx(3200e9 / 8 / 2**30, rel=1e-5)
    assert row["local_disk_gib"] == pytest.approx(30400e9 / 2**30, rel=1e-5)


def test_shared_cores_and_bursts_sustain_a_part(catalog):
    shape = catalog.instances.set_index(["region", "instance_type"])
    assert tuple(shape.loc[("us-central1", "e2-micro"), ["vcpus", "baseline_share"]]) == (2, 0.125)
    assert shape.loc[("us-east-1", "t3.large"), "baseline_share"] == 0.30
    assert shape.loc[("eastus", "Standard_B2s_v2"), "baseline_share"] == 0.40
    assert shape.loc[("us-east-1", "m6a.large"), "baseline_share"] == 1
    assert shape.loc[("us-east-1", "c8g.large"), "threads_per_core"] == 1


def test_a_band_becomes_a_hazard(catalog):
    spot = catalog.rates[catalog.rates["purchase_option"] == "spot"].set_index(["region", "instance_type"])
    rate = spot.loc[("us-east-1", "t3.micro")]
    assert 1 - math.exp(-rate["interruptions_per_h"] * 730) == pytest.approx(0.05, rel=1e-4)
    assert spot.loc[spot["basis"] == "modeled", "as_of"].eq("2025-06").all()
    assert spot["interruptions_per_h"].isna().any()  # the open band ">20 %" and GCP stay unknown


def test_inferred_prices_only_when_asked():
    plain, asked = Catalog.read("aws"), Catalog.read("aws", inferred=True)
    assert not set(plain.rates["basis"]) & WEAK
    assert not set(plain.commitments["basis"]) & WEAK
    new = asked.rates[asked.rates["basis"] == "inferred"]
    assert len(new) == len(asked.rates) - len(plain.rates) > 30
    first = new.iloc[0]
    with pytest.raises(CatalogError, match="no price of it is known"):
        plain.price(first["instance_type"], first["region"])
    assert asked.price(first["instance_type"], first["region"]) == first["rate_usd_per_h"]


def test_every_current_family_of_aws_can_be_committed_for_one_and_three_years(catalog):
    """By reservation where one is sold, and by a Savings Plan; what nobody listed says ``modeled``."""
    shapes, offers = catalog.instances, catalog.commitments[catalog.commitments["provider"] == "aws"]
    current = shapes[(shapes["provider"] == "aws") & shapes["current_generation"]]
    priced = catalog.rates[catalog.rates["purchase_option"] == "on_demand"][["region", "instance_type"]]
    sold = current.merge(priced, on=["region", "instance_type"])
    retired = ["f1", "g3", "g3s", "p2", "g2", "cr1"]
    offered = ~sold["family"].isin(retired) & ~sold["family"].str.startswith("u-")  # hosts sold by contract
    plans = offers[offers["category"] == "Spend"]
    plans = plans.assign(family=plans["scope"].str.split()).explode("family")
    terms = plans.groupby(["region", "family"])["term_months"].agg(set)
    for place, _ in sold[offered].groupby(["region", "family"]):
        assert {12, 36} <= terms.get(place, set()), place
    assert set(offers["basis"]) >= {"observed", "modeled"}
    modeled = offers[offers["basis"] == "modeled"]
    assert modeled["source"].str.contains("differ by up to").all()


def test_three_years_are_cheaper_than_one_and_prepaid_than_by_the_month(catalog):
    offers = catalog.commitments[catalog.commitments["plan_kind"] == "Standard RI"]
    wide = offers.pivot_table(index=["region", "scope"], columns=["term_months", "payment"], values="rate_usd_per_h")
    for low, high in (
        ((12, "all"), (12, "partial")),
        ((12, "partial"), (12, "none")),
        ((36, "all"), (36, "partial")),
        ((36, "all"), (12, "all")),
    ):
        both = wide[[low, high]].dropna()
        assert len(both) > 3000
        # prices of 2019 and of today stand side by side for old families, rounded differently
        assert (both[low] <= both[high] * 1.01).mean() > 0.99


@pytest.mark.parametrize("name", ["web", "chat", "embed", "demo"])
def test_the_samples_are_of_the_freshest_region(catalog, name):
    scenario = Scenario.read(data_path("scenarios", f"{name}.yaml"))
    for provider in scenario.providers:
        mine = catalog.select(providers=[provider])
        newest = max(mine.select(regions=[r]).as_of for r in set(mine.instances["region"]))
        assert all(mine.select(regions=[r]).as_of == newest for r in scenario.regions)


def test_commitments_are_rates_or_discounts(catalog):
    offers = catalog.commitments
    assert set(offers["category"]) == {"Usage", "Spend"}
    assert (offers["rate_usd_per_h"].notna() == (offers["category"] == "Usage")).all()
    flexible = offers[offers["plan_kind"].str.startswith("Flexible")]
    assert set(flexible["region"]) == {"global"}
    general = flexible[flexible["scope"].str.contains(r"\bn2\b")].set_index("term_months")
    assert general["discount_share"].to_dict() == {12: 0.28, 36: 0.46}
    # a resource CUD of 1 year is about 37 % below on demand
    row = offers[offers["commitment"] == "gcp/us-central1/n2-standard-4/resource_cud/1y/none"].iloc[0]
    assert row["rate_usd_per_h"] / catalog.price("n2-standard-4", "us-central1") == pytest.approx(0.63, abs=0.002)


def test_global_offers_stay_when_regions_are_chosen():
    chosen = Catalog.read("gcp", regions=["us-east4"])
    assert set(chosen.instances["region"]) == {"us-east4"}
    assert set(chosen.commitments["region"]) == {"us-east4", "global"}


def test_reads_all_providers_by_default():
    assert set(Catalog.read().instances["provider"]) == {
        p for p in PROVIDERS if data_path("catalog").joinpath(p).is_dir()
    }


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c: Catalog.read("awz"), "Did you mean aws"),
        (lambda c: Catalog.read("aws", regions=["us-east1"]), "Did you mean us-east-1"),
        (lambda c: Catalog.read("aws", "gcp", regions=["us-east-1"]), "none of the regions belongs to gcp"),
        (lambda c: Catalog.read("aws", regions="us-east-1"), "list of names"),
        (lambda c: c.price("m6a.xlage", "us-east-1"), "Did you mean m6a.xlarge"),
        (lambda c: c.price("m6a.xlarge", "us-est-1"), "Did you mean us-east-1"),
        (lambda c: c.price("m6a.xlarge", "us-east-1", "reserved"), "Known are on_demand, spot"),
        (lambda c: c.price("p5e.48xlarge", "us-east-1"), "Did you mean p5en.48xlarge"),
        (lambda c: c.tiers("egres", "us-east-1", provider="aws"), "Did you mean egress"),
    ],
)
def test_unknown_names_end_in_the_nearest(catalog, ask, words):
    with pytest.raises(CatalogError, match=words):
        ask(catalog)


def _set(column, value):
    def change(table):
        table.loc[0, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("rates", _set("rate_usd_per_h", "0"), "above zero"),
        ("rates", _set("rate_usd_per_h", "-1"), "above zero"),
        ("rates", _set("rate_usd_per_h", ""), "above zero"),
        ("rates", _set("rate_usd_per_h", "1e9"), "no machine costs"),
        ("rates", _set("rate_usd_per_h", "cheap"), "cannot be read"),
        ("rates", _set("purchase_option", "free"), "on_demand or spot"),
        ("rates", _set("source", "999"), "unknown source id"),
        ("rates", _set("instance_type", "Standard_Nowhere"), "without a shape"),
        ("rates", lambda t: pd.concat([t, t.head(1)]), "stands twice"),
        (
            "rates",
            lambda t: t.assign(rate_usd_per_h=t["rate_usd_per_h"].where(t["purchase_option"] == "on_demand", "99")),
            "above on demand",
        ),
        ("rates", lambda t: t.drop(columns="as_of"), "lacks columns"),
        ("instances", lambda t: pd.concat([t, t.head(1)]), "stands twice"),
        ("commitments", lambda t: pd.concat([t, t.head(1)]), "stands twice"),
        ("commitments", _set("term_months", "13"), "no such term"),
        ("network", _set("price_usd", "-0.1"), "negative"),
        ("storage", lambda t: pd.concat([t, t.head(1)]), "stands twice"),
    ],
)
def test_a_spoiled_snapshot_is_refused(copy, name, change, words):
    edit(copy, name, change)
    with pytest.raises(CatalogError, match=words) as caught:
        Catalog.read("azure", folder=copy)
    assert ".csv" in caught.value.where


def test_a_missing_file_is_refused(copy):
    (copy / "azure" / "storage.csv").unlink()
    with pytest.raises(CatalogError, match="lacks this file"):
        Catalog.read("azure", folder=copy)


def test_binary_rubbish_is_refused(copy):
    (copy / "azure" / "rates.csv").write_bytes(bytes(range(256)))
    with pytest.raises(CatalogError, match=r"rates\.csv"):
        Catalog.read("azure", folder=copy)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(CatalogError, match="no provider has a snapshot"):
        Catalog.read(folder=tmp_path)


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_what_a_plan_needs_has_a_price_in_every_region(catalog, provider):
    """Defaults of a scenario must not fail for want of a price; what no source covers is marked
    assumed.
    """
    seller = PROVIDERS[provider]
    needs = (
        seller.block_storage,
        seller.object_storage,
        "egress",
        "load_balancer_hour",
        "public_ipv4",
        "logs_gib",
        "cross_zone",
    )
    here = catalog.instances[catalog.instances["provider"] == provider]
    for region in sorted(set(here["region"])):
        for name in needs:
            assert catalog.tiers(name, region, provider=provider)[-1].upper > 1e6


def test_select_cuts_every_frame(catalog):
    part = catalog.select(providers=["aws"], regions=["us-east-1"], accelerators=["L4"], current_generation=True)
    assert set(part.instances["accelerator"]) == {"L4"}
    assert set(part.rates["instance_type"]) <= set(part.instances["instance_type"])
    assert set(part.network["region"]) == {"us-east-1"}
    assert len(catalog.select(arch="arm64").instances) < len(catalog.instances)


def test_age_is_counted_from_the_median_price(catalog):
    gcp = catalog.select(providers=["gcp"])
    assert gcp.as_of == "2026-07-30"
    assert gcp.age_days(date(2026, 8, 29)) == 30
    ages = catalog.ages(date(2026, 8, 29))
    assert (
        ages.set_index(["provider", "region", "purchase_option"]).loc[("gcp", "us-central1", "on_demand"), "age_days"]
        == 30
    )
    assert (ages["oldest"] <= ages["newest"]).all()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-07-20", date(2026, 7, 20)),
        ("2026-09", date(2026, 9, 1)),
        ("2026", date(2026, 1, 1)),
        ("2025-11..2026-06", date(2025, 11, 1)),
        ("unknown", None),
    ],
)
def test_dates_of_facts(text, day):
    assert first_day(text) == day


def test_egress_is_free_first_then_falls(catalog):
    tiers = catalog.tiers("egress", "us-east-1", provider="aws")
    assert tier_cost(tiers, 100) == 0
    assert tier_cost(tiers, 1100) == pytest.approx(90)
    assert tier_cost(tiers, 20580) == pytest.approx(
        10240 * 0.09 + 10240 * 0.085
    )  # 100 GiB are given, then 1 TB is 1024 GiB
    assert tier_cost(catalog.tiers("egress", "eastus", provider="azure"), 10100) == pytest.approx(870)
    assert tier_cost(catalog.tiers("egress_standard", "us-central1", provider="gcp"), 300) == pytest.approx(8.5)


def test_tier_cost_refuses_what_it_cannot_price():
    tiers = (Tier(0, 10, 1.0), Tier(10, 20, 0.5))
    with pytest.raises(CatalogError, match="beyond"):
        tier_cost(tiers, 21)
    with pytest.raises(CatalogError, match="negative"):
        tier_cost(tiers, -1)
    with pytest.raises(CatalogError, match="negative"):
        tier_cost(tiers, math.nan)


@given(
    st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0, 10)), min_size=1, max_size=5), st.floats(0, 1), st.floats(0, 1)
)
def test_tier_cost_adds_up(steps, part, other):
    edges = [0.0]
    for width, _ in steps:
        edges.append(edges[-1] + width)
    tiers = tuple(Tier(lo, hi, price) for lo, hi, (_, price) in zip(edges, edges[1:], steps, strict=False))
    small, large = sorted((part * edges[-1], other * edges[-1]))
    low, high = tier_cost(tiers, small), tier_cost(tiers, large)
    assert low <= high + 1e-9
    assert high - low <= max(t.price_usd for t in tiers) * (large - small) + 1e-6
    assert tier_cost(tiers, edges[-1]) == pytest.approx(sum(w * p for w, p in steps), rel=1e-9, abs=1e-9)


def test_sustained_use_falls_by_quarters_of_the_month():
    assert sustained_use_share(quarters("gcp", "n1"), 1.0) == pytest.approx(0.70)
    assert sustained_use_share(quarters("gcp", "n1"), 0.5) == pytest.approx(0.90)
    assert sustained_use_share(quarters("gcp", "n2"), 1.0) == pytest.approx(0.80, abs=1e-3)
    assert sustained_use_share(quarters("gcp", "n2"), 0.25) == sustained_use_share(quarters("gcp", "c3"), 1.0) == 1.0
    assert sustained_use_share(quarters("gcp", "c2"), 0.0) == 1.0


def test_the_readme_states_the_policy_and_every_basis():
    text = data_path("catalog", "README.md").read_text(encoding="utf-8")
    policy = json.loads(text.split("```json")[1].split("```")[0])
    assert policy["Statement"][0]["Action"] == list(PERMISSIONS)
    # read only
    assert all(word.split(":")[1].startswith(("Get", "List", "Describe")) for word in PERMISSIONS)
    assert all(f"| `{b}` | {meaning}" in text for b, meaning in BASIS.items())


def test_a_catalog_is_its_readers_own_and_follows_its_files(tmp_path):
    shutil.copytree(data_path("catalog", "gpu_cloud"), tmp_path / "gpu_cloud")
    first = Catalog.read("gpu_cloud", folder=tmp_path)
    before = first.rates["rate_usd_per_h"].copy()
    first.rates["rate_usd_per_h"] *= 2.0
    again = Catalog.read("gpu_cloud", folder=tmp_path)
    pd.testing.assert_series_equal(again.rates["rate_usd_per_h"], before)
    again.rates.loc[:, "rate_usd_per_h"] = 1.0
    pd.testing.assert_series_equal(Catalog.read("gpu_cloud", folder=tmp_path).rates["rate_usd_per_h"], before)
    file = tmp_path / "gpu_cloud" / "rates.csv"
    rows = pd.read_csv(file, keep_default_na=False, dtype=str)
    rows["rate_usd_per_h"] = "3.5"
    rows.to_csv(file, index=False)
    assert set(Catalog.read("gpu_cloud", folder=tmp_path).rates["rate_usd_per_h"]) == {3.5}
