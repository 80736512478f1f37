"""Own prices through ``planner catalog import``: a plan in a region that was never bundled, to the cent."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from planner import Scenario
from planner.catalog import Catalog
from planner.catalog.importing import read_prices
from planner.cli import main
from planner.data import data_path
from planner.errors import CatalogError
from planner.study import run
from tests.builders import small

PLAIN = {
    "Operating System": "Linux", "Tenancy": "Shared", "Pre Installed S/W": "NA", "License Model": "No License required",
    "CapacityStatus": "Used", "MarketOption": "OnDemand", "Location Type": "AWS Region",
    "usageType": "EUS3-BoxUsage:m6a.xlarge",
    "Unit": "Hrs", "Currency": "USD", "Instance Type": "m6a.xlarge", "OfferTermCode": "JRTC",
}  # fmt: skip


def table(rows: list[dict[str, object]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(k for r in rows for k in r)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def offer_file() -> str:
    """As AWS writes it, with a Windows machine and a reserved term beside."""
    more = {"OfferingClass": "", "LeaseContractLength": "", "PurchaseOption": ""}
    term = {
        "OfferingClass": "standard",
        "LeaseContractLength": "1yr",
        "PurchaseOption": "No Upfront",
        "TermType": "Reserved",
    }
    rows = [
        {"SKU": "A", "TermType": "OnDemand", "PricePerUnit": "0.2011", **PLAIN, **more},
        {"SKU": "B", "TermType": "OnDemand", "PricePerUnit": "0.3851", **PLAIN, **more, "Operating System": "Windows"},
        {"SKU": "A", "PricePerUnit": "0.1301", **PLAIN, **term, "OfferTermCode": "RSVD"},
    ]
    return '"FormatVersion","v1.0"\n"Disclaimer","x"\n' + table(rows)


def azure_reply() -> str:
    item = {
        "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": 0.2299, "armRegionName": "polandcentral",
        "meterName": "D4s v5", "productName": "Virtual Machines Dsv5 Series", "skuName": "D4s v5",
        "serviceName": "Virtual Machines", "unitOfMeasure": "1 Hour", "type": "Consumption",
        "armSkuName": "Standard_D4s_v5",
    }  # fmt: skip
    windows = item | {"productName": "Virtual Machines Dsv5 Series Windows", "retailPrice": 0.4139}
    return json.dumps({"BillingCurrency": "USD", "Items": [item, windows], "NextPageLink": None})


def bill() -> str:
    row = {
        "ProviderName": "AWS", "RegionId": "eu-south-2",
        "ChargeDescription": "$0.2 per On Demand Linux m6a.xlarge Instance Hour",
        "ContractedUnitPrice": "0.1777", "PricingUnit": "Hours", "PricingCategory": "Standard",
        "BillingCurrency": "USD",
    }  # fmt: skip
    windows = row | {
        "ChargeDescription": "$0.4 per On Demand Windows m6a.xlarge Instance Hour",
        "ContractedUnitPrice": "0.36",
    }
    disk = row | {
        "ChargeDescription": "$0.1 per GB-month of gp3",
        "PricingUnit": "GB-Months",
        "ContractedUnitPrice": "0.1",
    }
    return table([row, windows, disk, row])


def own() -> str:
    row = {"provider": "aws", "region": "af-south-1", "instance_type": "m6a.xlarge", "purchase_option": "on_demand"}
    return table([row | {"rate_usd_per_h": 0.2345}])


CASES = [
    ("offers.csv", offer_file, "aws", "eu-south-1", "m6a.xlarge", 0.2011, ("--region", "eu-south-1")),
    ("reply.json", azure_reply, "azure", "polandcentral", "Standard_D4s_v5", 0.2299, ()),
    ("focus.csv", bill, "aws", "eu-south-2", "m6a.xlarge", 0.1777, ()),
    ("prices.csv", own, "aws", "af-south-1", "m6a.xlarge", 0.2345, ()),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for provider in ("aws", "azure"):
        shutil.copytree(data_path("catalog", provider), tmp_path / "catalog" / provider)
    return tmp_path / "catalog"


@pytest.mark.parametrize(("name", "write", "provider", "region", "machine", "usd", "options"), CASES)
def test_an_imported_region_plans_to_the_cent(folder, tmp_path, name, write, provider, region, machine, usd, options):
    (tmp_path / name).write_text(write(), encoding="utf-8")
    args = ["catalog", "import", str(tmp_path / name), "--folder", str(folder), "--yes", *options]
    said = CliRunner().invoke(main, args)
    assert said.exit_code == 0, said.output
    catalog = Catalog.read(provider, regions=[region], folder=folder)
    assert catalog.price(machine, region, provider=provider) == pytest.approx(usd, abs=1e-12)
    row = catalog.rate(machine, region, provider=provider)
    assert name in row["source"]
    small.traffic().to_csv(tmp_path / "web.csv", index=False)
    text = yaml.safe_load(small.SCENARIO) | {"providers": [provider], "regions": [region]}
    text["limits"] = {"instance_types": [machine], "max_spot_share": 0, "max_term_months": 1}
    for service in text["services"].values():  # what is ready runs: the schedule times the price by hand
        service["autoscaling"] = (service.get("autoscaling") or {}) | {"policy": "scheduled"}
    study = run(Scenario.from_yaml(yaml.safe_dump(text), folder=tmp_path), catalog, paths=10)
    compute = study.plan.cost[study.plan.cost["charge"] == "compute"]
    by_hand = study.plan.schedule["instances"].sum() * usd
    assert compute["effective_cost_usd"].sum() == pytest.approx(by_hand, abs=0.005)
    before = Catalog.read(provider, folder=data_path("catalog"))
    after = Catalog.read(provider, folder=folder)
    assert len(after.rates) - len(before.rates) == 1  # what was there stays


def test_the_reserved_term_of_an_offer_file_comes_along(folder, tmp_path):
    (tmp_path / "offers.csv").write_text(offer_file(), encoding="utf-8")
    args = [
        "catalog",
        "import",
        str(tmp_path / "offers.csv"),
        "--region",
        "eu-south-1",
        "--folder",
        str(folder),
        "--yes",
    ]
    assert CliRunner().invoke(main, args).exit_code == 0
    offers = Catalog.read("aws", regions=["eu-south-1"], folder=folder).commitments
    mine = offers[offers["commitment"] == "aws/eu-south-1/m6a.xlarge/standard_ri/1y/none"].iloc[0]
    assert (mine["rate_usd_per_h"], mine["upfront_share"], mine["basis"]) == (0.1301, 0.0, "observed")


OWN_HEAD = "provider,region,instance_type,purchase_option,rate_usd_per_h\n"


@pytest.mark.parametrize(
    "text",
    [
        "AWS,af-south-1,m6a.xlarge,on_demand,0.2345\n",
        "Amazon Web Services;af-south-1;m6a.xlarge;on_demand;0,2345\n",
        "aws\taf-south-1\tm6a.xlarge\ton_demand\t0.2345\n",
    ],
)
def test_own_prices_are_read_with_the_marks_of_any_country(tmp_path, text):
    mark = next(m for m in "\t;," if m in text)
    (tmp_path / "own.csv").write_text("\ufeff" + OWN_HEAD.replace(",", mark) + text, encoding="utf-8")
    (found,) = read_prices(tmp_path / "own.csv", {"aws": ["m6a.xlarge"]})
    assert (found.provider, found.region, found.usd_per_h) == ("aws", "af-south-1", 0.2345)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither a bill nor a price list"),
        ("a,b\n1,2\n", "neither a bill nor a price list"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"Items": 5}', "neither an Azure reply"),
        ('{"Items": [5, null]}', "cannot be read"),
        ('{"products": {"a": null}, "terms": {}}', "cannot be read"),
        (
            "region,instance_type,purchase_option,rate_usd_per_h\naf-south-1,m6a.xlarge,on_demand,-1\n",
            "a price must be",
        ),
        (
            "region,instance_type,purchase_option,rate_usd_per_h\naf-south-1,m6a.xlarge,weekly,1\n",
            "no such purchase option",
        ),
        (
            "region,instance_type,purchase_option,rate_usd_per_h\naf-south-1,z99.huge,on_demand,1\n",
            "no such machine is known (got 'z99.huge'). Known are",
        ),
        (OWN_HEAD + "aws,af-south-1,m6a.xlarg,on_demand,1\n", "Did you mean m6a.xlarge"),
        (OWN_HEAD + "hetzner,fsn1,cx22,on_demand,0.006\n", "no such provider (got 'hetzner'). Known are aws"),
        (
            OWN_HEAD + "aws,af-south-1,m6a.xlarge,on_demand,$0.2\n",
            "row 2: this is not a price (got '$0.2'). Write the num",
        ),
        (
            OWN_HEAD + 2 * "aws,af-south-1,m6a.xlarge,on_demand,0.2\n" + "aws,af-south-1,m6a.xlarge,on_demand,0.3\n",
            "row 4",
        ),
        (OWN_HEAD.replace("\n", ",currency\n") + "aws,af-south-1,m6a.xlarge,on_demand,4.2,ZAR\n", "got ['currency']"),
        (OWN_HEAD.replace("\n", ",unit\n") + "aws,af-south-1,m6a.xlarge,on_demand,4.2,month\n", "got ['unit']"),
        ('"FormatVersion","v1.0"\n', "does not name its region"),
    ],
)
def test_another_file_is_refused_and_changes_nothing(folder, tmp_path, text, says):
    (tmp_path / "odd").write_text(text, encoding="utf-8")
    said = CliRunner().invoke(main, ["catalog", "import", str(tmp_path / "odd"), "--folder", str(folder), "--yes"])
    assert said.exit_code != 0
    assert isinstance(said.exception, (CatalogError, SystemExit)), said.exception
    assert says in said.output + str(said.exception)
    assert not (folder / "aws" / "CURRENT").exists()
