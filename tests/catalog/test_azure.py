"""Traps of the Azure price list beside its machines: disks sold by the step, and two internet
routes; asked over the real protocol.
"""

import shutil
from dataclasses import replace

import pytest

from planner.capacity.needs import needs_frame
from planner.catalog import Catalog, refresh
from planner.data import data_path
from planner.errors import CatalogError
from tests.builders import clouds
from tests.builders.hand import scenario
from tests.oracles.tiers import tier_cost


@pytest.fixture
def asked(tmp_path):
    """Asks of a price list that holds the machines of a region as they are, and these items: the
    refresh and the new catalog.
    """
    shutil.copytree(data_path("catalog", "azure"), tmp_path / "azure")
    rates = Catalog.read("azure").rates
    rates = rates[rates["purchase_option"] == "on_demand"]
    server = clouds.Azure()

    def ask(items, region="eastus"):
        here = rates[rates["region"] == region]
        server.items = [*items, *map(clouds.azure_item, here["instance_type"], here["region"], here["rate_usd_per_h"])]
        done = refresh("azure", [region], folder=tmp_path, endpoint=server.url)
        return done, Catalog.read("azure", folder=tmp_path)

    yield ask
    server.close()


def disk(step, usd, product="Premium", *, meter=" Disk", **changes):
    facts = {
        "serviceName": "Storage",
        "productName": f"{product} Managed Disks",
        "skuName": step,
        "unitOfMeasure": "1/Month",
    }
    return clouds.azure_item("", "eastus", usd, **{**facts, "meterName": step + meter, **changes})


def test_a_disk_is_priced_by_its_step_not_by_the_gib(asked):
    steps = [
        disk("P10 LRS", 19.5, "Premium SSD"),
        disk("P10 LRS", 19.5, "Premium SSD", location="another label"),
        disk("E30 ZRS", 115.25, "Standard SSD"),
        disk("S4 LRS", 1.5, "Standard HDD"),
    ]
    others = [
        disk("P10 LRS", 7.0, "Premium SSD", meter=" Disk Mount"),
        disk("P15 LRS", 0.002, "Standard SSD"),  # a letter of another product
        disk("E30 LRS", 0.002, "Standard SSD", meter=" Disk Operations", unitOfMeasure="10K"),
        disk("P30 LRS", 1400.0, "Premium SSD", type="Reservation", reservationTerm="1 Year"),
        disk("P6 LRS", 0.0, "Premium SSD"),
        disk("P20 LRS", 0.1, "Premium SSD", unitOfMeasure="1/Hour"),
        disk("E10 LRS", 9.0, "Standard SSD"),
        disk("E10 LRS", 9.5, "Standard SSD"),
    ]
    before = Catalog.read("azure", regions=["eastus"])
    done, after = asked([*steps, *others])
    new = after.storage[after.storage["price_unit"] == "disk-month"].set_index("storage_class")
    assert new["price_usd"].to_dict() == {
        "disk/p10-lrs-128gib": 19.5,
        "disk/e30-zrs-1024gib": 115.25,
        "disk/s4-lrs-32gib": 1.5,
    }
    assert any("disk/e10-lrs-128gib has several prices" in n for n in done.notes)
    for name in before.storage["storage_class"]:  # what is sold by the GiB is untouched
        assert after.tiers(name, "eastus", provider="azure") == before.tiers(name, "eastus", provider="azure")
    wanted = scenario(**{"providers": ["azure"], "regions": ["eastus"], "services.web.storage": {"block_gib": 128}})
    (row,) = needs_frame(wanted, after).query("charge == 'block_storage'").to_dict("records")
    assert row["resource"] == "block/standard-ssd"  # a disk in GiB never takes a step's price
    alone = replace(after, storage=after.storage[after.storage["price_unit"] == "disk-month"])
    with pytest.raises(CatalogError, match="no price of block storage"):
        needs_frame(wanted, alone)


MICROSOFT = [(0, 0.0), (100, 0.09), (10335, 0.08), (51295, 0.06)]
INTERNET = [(0, 0.0), (100, 0.07), (10100, 0.05)]
ROUTES = {"Rtn Preference: MGN": MICROSOFT, "Bandwidth - Routing Preference: Internet": INTERNET}


def egress(product, tiers, region, meter="one", name="Standard Data Transfer Out"):
    facts = {
        "serviceName": "Bandwidth",
        "productName": product,
        "meterName": name,
        "armSkuName": "",
        "unitOfMeasure": "1 GB",
    }
    return [
        clouds.azure_item("", region, usd, **facts, tierMinimumUnits=float(at), meterId=f"{product} {meter}")
        for at, usd in tiers
    ]


@pytest.mark.parametrize("region", ["eastus", "eastus2"])  # prices of a source, and assumed ones
def test_egress_has_two_meters_that_never_mix(asked, region):
    items = [i for product, tiers in ROUTES.items() for i in egress(product, tiers, region)]
    items += egress("Rtn Preference: MGN", [(0, 0.02)], region, name="Standard Inter-Region Data Transfer Out")
    _, after = asked(sorted(items, key=lambda i: i["tierMinimumUnits"]), region)
    default, other = (after.tiers(k, region, provider="azure") for k in ("egress", "egress_internet_routing"))
    assert {t.basis for t in (*default, *other)} == {"observed"}
    assert {t.source for t in (*default, *other)} == {
        "Azure Retail Prices API"
    }  # no old price stands beside the new ones
    for tiers, ladder in ((default, MICROSOFT), (other, INTERNET)):
        assert sorted((t.scope, t.lower, t.price_usd) for t in tiers) == [
            ("account", 0, 0),
            *(("region", at - 100, usd) for at, usd in ladder[1:]),
        ]
        assert [t.upper for t in tiers if t.scope == "account"] == [100]
    assert tier_cost(default, 100) == tier_cost(other, 100) == 0
    assert tier_cost(default, 11335) == pytest.approx(10235 * 0.09 + 1000 * 0.08)
    assert tier_cost(other, 11100) == pytest.approx(10000 * 0.07 + 1000 * 0.05)
    kept = Catalog.read("azure").network.query("region == @region and not kind.str.startswith('egress')")
    assert len(after.network.query("region == @region")) == len(kept) + len(default) + len(other)


@pytest.mark.parametrize(
    "tiers", [[(0, 0.0), (5, 0.087)], [(100, 0.087)], [(0, 0.0)], [(0, 0.0), (100, 0.09), (100, 0.08)]]
)
def test_tiers_that_are_not_of_one_meter_price_nothing(asked, tiers):
    product = "Rtn Preference: MGN"
    items = egress(product, tiers, "eastus") + (egress(product, MICROSOFT, "eastus", "two") if len(tiers) == 2 else [])
    done, after = asked(items)
    assert any("tiers of egress" in n and "left out" in n for n in done.notes)
    assert after.tiers("egress", "eastus", provider="azure") == Catalog.read("azure").tiers(
        "egress", "eastus", provider="azure"
    )
