"""Damaged price lists and snapshots: any file ends in prices that could be, or in a typed error that names it."""

import csv
import json
import math
import shutil

import pytest

from planner.catalog import Catalog
from planner.catalog.importing import read_prices
from planner.data import data_path
from tests.builders import damage
from tests.builders.tools import AGREED, OWN, RETAIL

OFFER = '"FormatVersion","v1.0"\n"Disclaimer","x"\n' + (
    "SKU,OfferTermCode,TermType,PricePerUnit,Unit,Currency,Instance Type,Operating System,Tenancy,Pre Installed S/W,"
    "License Model,CapacityStatus,MarketOption,Location Type,usageType,OfferingClass,LeaseContractLength,"
    "PurchaseOption\n"
    "A,JRTC,OnDemand,0.2011,Hrs,USD,m6a.xlarge,Linux,Shared,NA,No License required,Used,OnDemand,AWS Region,"
    "EUS3-BoxUsage:m6a.xlarge,,,\n"
)
LISTS = [(OWN, None), (AGREED, None), (RETAIL, None), (OFFER, "eu-south-1")]
MACHINES = {"aws": ["m6a.xlarge"], "azure": ["Standard_D4s_v5"]}


def prices_that_could_be(found):
    assert found
    for price in found:
        assert 0 < price.usd_per_h < 1e5
        assert price.region
        assert price.months >= 0


def test_any_damage_to_a_price_list_ends_in_prices_or_a_typed_error(tmp_path):
    draw, told, path = damage.drawing(1), damage.Told("input"), tmp_path / "input"
    count = damage.INPUTS // 4
    with damage.within_memory():
        for _ in range(count):
            text, region = draw.choice(LISTS)
            path.write_text(damage.damaged(text, draw), encoding="utf-8", errors="replace", newline="")
            with told.once():
                prices_that_could_be(read_prices(path, MACHINES, region))
    assert 0 < told.refused < count
    assert told.named == told.refused, told.last


FILES = ("instances", "rates", "commitments", "storage", "network", "sources")


@pytest.fixture(name="folder")
def of_one_snapshot(tmp_path):
    shutil.copytree(data_path("catalog", "gpu_cloud"), tmp_path / "gpu_cloud")
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_any_damage_to_a_snapshot_ends_in_a_catalog_or_a_typed_error(folder, name):
    draw, told = damage.drawing(name), damage.Told("gpu_cloud")
    file = folder / "gpu_cloud" / f"{name}.csv"
    whole = file.read_text(encoding="utf-8")
    with damage.within_memory():
        for _ in range(damage.INPUTS // 40):
            file.write_text(damage.damaged(whole, draw), encoding="utf-8", errors="replace", newline="")
            with told.once():
                rates = Catalog.read("gpu_cloud", folder=folder).rates["rate_usd_per_h"]
                assert rates.map(lambda usd: math.isnan(usd) or 0 <= usd < 1e5).all()
    assert told.named == told.refused, told.last


@pytest.mark.parametrize("factor", [0.1, 60.0])
def test_the_unit_of_a_price_list_scales_its_prices(tmp_path, factor):
    """Law: prices so many times as high are so many times as high, in every layout."""
    for text, region in LISTS:
        found = []
        for k in (1.0, factor):
            path = tmp_path / "list"
            path.write_text(times(text, k), encoding="utf-8")
            found.append(read_prices(path, MACHINES, region)[0].usd_per_h)
        assert found[1] == pytest.approx(found[0] * factor, rel=1e-9)


def times(text, factor):
    """The price of the one row, scaled."""
    if text.startswith("{"):
        body = json.loads(text)
        body["Items"][0]["retailPrice"] *= factor
        return json.dumps(body)
    *head, names, row = text.strip().split("\n")
    cells = dict(zip(next(csv.reader([names])), next(csv.reader([row])), strict=True))
    key = next(k for k in ("rate_usd_per_h", "ContractedUnitPrice", "PricePerUnit") if k in cells)
    scaled = ",".join(repr(float(v) * factor) if k == key else v for k, v in cells.items())
    return "\n".join([*head, names, scaled]) + "\n"
