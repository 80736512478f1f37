"""Planted prices that their kind contradicts are set aside with a reason; no observed price is."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from planner.catalog import Catalog
from planner.catalog.sanity import series
from planner.data import data_path
from planner.errors import CatalogError


@pytest.fixture
def spoiled(tmp_path: Path):
    """A function that multiplies (and adds to) one bundled price and reads the snapshots again."""
    for provider in ("azure", "gpu_cloud", "aws"):
        shutil.copytree(data_path("catalog", provider), tmp_path / provider)

    def read(provider: str, region: str, machine: str, option: str, times: float, plus: float = 0.0) -> Catalog:
        path = tmp_path / provider / "rates.csv"
        table = pd.read_csv(path)
        row = (table["region"] == region) & (table["instance_type"] == machine) & (table["purchase_option"] == option)
        assert row.sum() == 1
        table.loc[row, "rate_usd_per_h"] = table.loc[row, "rate_usd_per_h"] * times + plus
        table.to_csv(path, index=False)
        return Catalog.read("aws", "azure", "gpu_cloud", folder=tmp_path)

    return read


PLANTED = [
    ("azure", "westeurope", "Standard_D4as_v5", "on_demand", 1.0, 4 * 0.046, "Windows licence"),
    ("azure", "eastus", "Standard_E16-4s_v5", "on_demand", 1.0, 16 * 0.046, "Windows licence"),
    ("aws", "us-east-1", "m6i.2xlarge", "on_demand", 1.0, 8 * 0.046, "Windows licence"),
    ("aws", "eu-west-1", "c6g.4xlarge", "on_demand", 10.0, 0.0, "median of its series"),
    ("aws", "eu-central-1", "r6i.xlarge", "spot", 0.02, 0.0, "on the spot market"),
    ("azure", "northeurope", "Standard_E8s_v5", "on_demand", 730.0, 0.0, "median of its series"),
    ("azure", "eastus2", "Standard_ND96amsr_A100_v4", "on_demand", 1 / 8, 0.0, "a card where the same seller asks"),
    ("gpu_cloud", "global", "lambda/1x-H100-SXM-80GB", "on_demand", 0.1, 0.0, "median over sellers"),
    ("gpu_cloud", "global", "nebius/1x-H200-SXM-141GB", "on_demand", 10.0, 0.0, "median over sellers"),
]


@pytest.mark.parametrize(("provider", "region", "machine", "option", "times", "plus", "says"), PLANTED)
def test_a_planted_price_is_set_aside_with_its_reason(spoiled, provider, region, machine, option, times, plus, says):
    catalog = spoiled(provider, region, machine, option, times, plus)
    aside = catalog.set_aside[catalog.set_aside["instance_type"] == machine]
    # a licence or a slip may pull the spot price of the same machine with it, and no other machine
    assert option in set(aside["purchase_option"])
    assert aside["reason"].str.contains(says).any()
    assert len(catalog.set_aside) - len(aside) <= 1  # the bundled one beside it
    with pytest.raises(CatalogError, match="was set aside"):
        catalog.price(machine, region, option, provider=provider)


def test_no_observed_price_is_set_aside_but_the_one_named():
    """A community market's MI300X at a fifth of what every other seller asks."""
    catalog = Catalog.read(inferred=True)
    assert catalog.set_aside["instance_type"].tolist() == ["runpod-community-cloud/1x-MI300X"]
    assert "0.50 USD/h a card" in catalog.set_aside["reason"].iloc[0]
    keys = ["provider", "region", "instance_type"]
    assert "runpod-community-cloud/1x-MI300X" in set(catalog.unpriced["instance_type"])
    assert not catalog.instances[keys].duplicated().any()


def test_single_cards_of_a_market_are_no_nodes_of_eight():
    machines = Catalog.read("gpu_cloud").instances
    market = machines["family"].isin(["vast-ai", "runpod-community-cloud"])
    assert set(machines.loc[market, "accelerators"]) == {1.0}
    assert 8.0 in set(machines.loc[~market, "accelerators"])


@pytest.mark.parametrize(
    ("provider", "name", "family", "wanted"),
    [
        ("azure", "Standard_E16-4ads_v5", "standardEADSv5Family", "Eads_v5"),
        ("azure", "Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", "NCads_A100_v4"),
        ("aws", "m6i.metal", "m6i", "m6i.metal"),
        ("gcp", "c3-standard-8-lssd", "c3", "c3-standard-lssd"),
    ],
)
def test_series_of_a_size(provider, name, family, wanted):
    assert series(provider, name, family)[0] == wanted
