"""Refreshing a region of 1,500 types over the real protocols, the bulk offer file, their time and
memory; the command line.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from planner.catalog import Catalog, aws, explain, refresh, search
from planner.catalog.store import CURRENT
from planner.cli import main
from planner.data import data_path
from planner.errors import CatalogError
from tests.builders import ROOT, clouds
from tests.builders.clouds import HEADER

# the peak of VmHWM starts afresh with the program; ru_maxrss would keep that of the parent
MEASURE = """
import json, re, sys, time
from pathlib import Path
from planner.catalog import refresh
began = time.monotonic()
done = refresh("aws", ["us-east-1"], folder=sys.argv[1], accept=True, bulk=sys.argv[2] == "bulk")
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"s": time.monotonic() - began, "mib": peak, "moves": len(done.moves)}))
"""


def measured(folder: Path, kind: str) -> dict:
    """Time and peak memory of a refresh in a process of its own, library imports included."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


def types(count: int) -> dict[str, float]:
    """Prices of sizes of 40 series, by vCPU alike within each, as lists have them."""
    return {f"m{i % 40}x.{i // 40}xlarge": (1 + i // 40) * (400 + i % 40) / 8000 for i in range(count)}


def shape(name: str) -> dict:
    size = 1 + int(re.search(r"(\d+)xlarge", name)[1])
    return {
        "instance_type": name,
        "current_generation": True,
        "arch": "x86_64",
        "baseline_share": 1.0,
        "vcpus": 2 * size,
        "threads_per_core": 2,
        "memory_gib": 8.0 * size,
        "network_gib_per_s": 1.0,
        "local_disk_gib": 0.0,
        "accelerators": 0.0,
    }


@pytest.fixture
def region(monkeypatch):
    """A region of 1,500 types with Windows, dedicated and reservation rows beside each price."""
    prices = types(1500)
    server = clouds.Aws(types=[clouds.ec2_type(shape(n)) for n in prices])
    for i, (name, usd) in enumerate(prices.items()):
        terms = clouds.reserved(3, "Partial Upfront", usd / 5, usd * 5000)
        server.products.append(clouds.product(f"S{i}", name, "us-east-1", usd, terms))
        server.products.append(clouds.product(f"D{i}", name, "us-east-1", usd * 1.06, tenancy="Dedicated"))
        server.spot += [
            clouds.spot(name, zone, usd * f) for zone, f in (("use1-az1", 0.3), ("use1-az2", 0.35), ("use1-az4", 1.0))
        ]
        server.plans += [
            clouds.plan(name, "us-east-1", usd * 0.8),
            clouds.plan(name, "us-east-1", usd * 1.4, productDescription="Windows"),
        ]
    with clouds.aws_environment(monkeypatch, server.url):
        yield server, prices
    server.close()


@pytest.mark.slow
def test_a_region_of_1500_types(region, tmp_path, capsys):
    server, prices = region
    server.throttle = 3
    cost = measured(tmp_path, "paged")
    catalog = Catalog.read("aws", folder=tmp_path)
    assert len(catalog.instances) == 1500
    assert catalog.price("m7x.3xlarge", "us-east-1") == prices["m7x.3xlarge"]
    assert catalog.price("m7x.3xlarge", "us-east-1", "spot") == pytest.approx(prices["m7x.3xlarge"] * 0.35)
    plans = catalog.commitments[catalog.commitments["category"] == "Spend"]
    assert set(plans["scope_kind"]) == {"family"}  # 1,500 equal discounts are 40 offers
    assert len(plans) == 40
    assert server.calls.count("GetProducts") >= 15
    with capsys.disabled():
        print(f"\n1,500 types through the paged price list: {cost['s']:.1f} s, peak {cost['mib']:.0f} MiB")
    assert cost["mib"] < 220


def offer_rows(prices, padding: str):
    """The offer file of a region in pieces: for each type many rows of other ways to sell it."""
    columns = [*HEADER, "Description"]
    yield (
        '"FormatVersion","v1.0"\n"Disclaimer","x"\n'
        '"Publication Date","2026-07-20"\n"Version","1"\n"OfferCode","AmazonEC2"\n'
        + ",".join(f'"{c}"' for c in columns)
        + "\n"
    ).encode()
    base = {
        "OfferTermCode": "T",
        "TermType": "OnDemand",
        "Unit": "Hrs",
        "Currency": "USD",
        "Location Type": "AWS Region",
        "Tenancy": "Shared",
        "Operating System": "Linux",
        "License Model": "No License required",
        "CapacityStatus": "Used",
        "Pre Installed S/W": "NA",
        "MarketOption": "OnDemand",
        "Description": padding,
    }
    for i, (name, usd) in enumerate(prices.items()):
        plain = {
            **base,
            "SKU": f"S{i}",
            "Instance Type": name,
            "usageType": f"BoxUsage:{name}",
            "PricePerUnit": str(usd),
        }
        rows = [
            plain,
            {
                **plain,
                "TermType": "Reserved",
                "LeaseContractLength": "3yr",
                "PurchaseOption": "All Upfront",
                "OfferingClass": "standard",
                "Unit": "Quantity",
                "PricePerUnit": str(usd * 10512),
            },
        ]
        rows += [
            {**plain, "SKU": f"W{i}-{k}", "Operating System": "Windows", "PricePerUnit": str(usd * 2)}
            for k in range(60)
        ]
        yield "".join(",".join('"' + r.get(c, "") + '"' for c in columns) + "\n" for r in rows).encode()


@pytest.mark.slow
def test_the_offer_file_is_streamed(region, tmp_path, capsys):
    server, prices = region
    server.offers = list(offer_rows(prices, "x" * 2000))
    size = sum(map(len, server.offers)) / 2**20
    assert size > 180
    cost = measured(tmp_path, "bulk")
    catalog = Catalog.read("aws", folder=tmp_path)
    assert catalog.price("m7x.3xlarge", "us-east-1") == prices["m7x.3xlarge"]
    term = catalog.commitments[
        catalog.commitments["commitment"] == "aws/us-east-1/m7x.3xlarge/standard_ri/3y/all"
    ].iloc[0]
    assert term["rate_usd_per_h"] == pytest.approx(prices["m7x.3xlarge"] * 0.4)
    with capsys.disabled():
        print(f"\noffer file of {size:.0f} MiB: {cost['s']:.1f} s, peak {cost['mib']:.0f} MiB")
    assert cost["mib"] < 220


def test_a_cut_offer_file_is_noticed(monkeypatch, tmp_path):
    prices = types(3)
    server = clouds.Aws(types=[clouds.ec2_type(shape(n)) for n in prices])
    text = b"".join(offer_rows(prices, "x"))
    server.offers = [text[: len(text) // 2]]
    with clouds.aws_environment(monkeypatch, server.url), pytest.raises(CatalogError, match="cut short"):
        refresh("aws", ["us-east-1"], folder=tmp_path, accept=True, bulk=True)
    server.close()
    assert not list(tmp_path.glob("aws/*.part"))


# one process forks a refresh for each step and reads what the dead one left; it has no other thread
KILL = """
import json, os, shutil, sys
from pathlib import Path
from planner.catalog import Catalog, refreshing, store
from planner.catalog.answers import Fetched

source, root, left = Path(sys.argv[1]), Path(sys.argv[2]), 0

def counted(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*arguments, **options)
    return call

def fetch(regions, raw, known):
    rows = Catalog.read("azure", folder=home).select(regions=regions).rates
    raw.keep("prices", {"n": len(rows)})
    rows["rate_usd_per_h"] = rows["rate_usd_per_h"] * 1.5
    return Fetched({"rates": rows.to_dict("records")})

refreshing.fetcher = lambda provider: fetch
seen = []
for step in range(100):
    home = root / str(step)
    shutil.copytree(source, home / "azure")
    child = os.fork()
    if child == 0:
        left = step
        store._write, os.fsync = counted(store._write), counted(os.fsync)
        Path.rename, Path.replace, Path.mkdir = counted(Path.rename), counted(Path.replace), counted(Path.mkdir)
        refreshing.refresh("azure", ["eastus2"], folder=home)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = Catalog.read("azure", folder=home)  # whole and checked, whatever happened
    seen.append([code, found.price("Standard_D4ds_v5", "eastus2"), found.price("Standard_D4ds_v5", "eastus")])
    shutil.rmtree(home)
    if code == 0:
        break
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_killed_at_any_write_the_old_or_the_new_snapshot_stands(tmp_path):
    """Law 54, for every step of the writing: the process dies without a chance to tidy up."""
    run = subprocess.run(
        [sys.executable, "-c", KILL, str(data_path("catalog", "azure")), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    steps = json.loads(run.stdout)
    assert [s[0] for s in steps] == [9] * (len(steps) - 1) + [0]
    assert len(steps) > 15
    old = Catalog.read("azure").price("Standard_D4ds_v5", "eastus2")
    ratios = [round(s[1] / old, 6) for s in steps]
    assert set(ratios) == {1.0, 1.5}
    assert ratios == sorted(ratios)
    assert {s[2] for s in steps} == {0.226}


@pytest.mark.slow
def test_shapes_of_a_simulated_ec2(monkeypatch):
    """Every type of moto's EC2 server, over HTTP, through the same reader as AWS."""
    found = {}
    with clouds.moto_server() as url, clouds.aws_environment(monkeypatch, url), aws.asking():
        for page in aws.Cloud().client("ec2", "us-east-1").get_paginator("describe_instance_types").paginate():
            for item in page["InstanceTypes"]:
                row = aws.shape(item)
                found[row["instance_type"]] = row
    known = Catalog.read("aws", regions=["us-east-1"]).instances.set_index("instance_type")
    both = known.index.intersection(list(found))
    assert len(both) > 1000
    for name in both:
        assert found[name]["vcpus"] == known.loc[name, "vcpus"]
        assert found[name]["memory_gib"] == pytest.approx(known.loc[name, "memory_gib"], rel=1e-3)
        assert found[name]["accelerator"] == known.loc[name, "accelerator"], name
        assert found[name]["accelerators"] == pytest.approx(known.loc[name, "accelerators"]), name


# --- functions behind the command line, and the command line


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.read("aws", "gcp", regions=["us-east-1", "us-central1"])


def test_search_finds_by_every_word(catalog):
    found = search(catalog, ["h100", "us-central1"])
    assert set(found["accelerator"]) == {"H100-SXM-80GB"}
    assert set(found["region"]) == {"us-central1"}
    assert found["on_demand_usd_per_h"].is_monotonic_increasing
    assert set(search(catalog, ["m6a.?xlarge"])["instance_type"]) == {"m6a.2xlarge", "m6a.4xlarge", "m6a.8xlarge"}
    assert search(catalog, ["nonsense"]).empty


def test_explain_lists_every_way_to_pay(catalog):
    why = explain(catalog, "n2-standard-4", "us-central1", today=pd.Timestamp("2026-08-29").date())
    assert why["usd_per_h"].is_monotonic_decreasing
    top = why.iloc[0]
    assert (top["price"], top["of_on_demand_share"], top["age_days"]) == ("on_demand", 1.0, 30)
    assert why["price"].str.startswith("resource CUD").sum() == 2
    assert why["price"].str.startswith("Flexible CUD").sum() == 2
    assert (why["source"] != "").all()
    assert (why["meaning"] != "").all()
    with pytest.raises(CatalogError, match="Did you mean n2-standard-4"):
        explain(catalog, "n2-standart-4", "us-central1")


def run(*arguments: str):
    return CliRunner().invoke(main, ["catalog", *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "azure"), "westeurope"),
        (("search", "L4", "--region", "us-east-1"), "g6.xlarge"),
        (("age", "gcp"), "2026-07-30"),
        (("explain", "m6a.xlarge", "--region", "us-east-1"), "Compute Savings Plan"),
        (("search", "nonsense"), "no machine matches"),
        (("search", "h100", "gpu_cloud", "--csv"), "gpu_cloud,global,"),
    ],
)
def test_commands_answer(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 0
    assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "m6a.xlage", "--region", "us-east-1"), "Did you mean m6a.xlarge"),
        (("show", "awz"), "Did you mean aws"),
        (("refresh", "gpu_cloud", "--region", "global"), "no price API"),
        (("refresh", "azure", "--region", "eastus", "--bulk"), "no offer file"),
        (("show", "aws", "--folder", "/nonexistent"), "no snapshot"),
        (("search", "L4", "--region", "us-est-1"), "Did you mean us-east-1"),
    ],
)
def test_mistakes_are_one_screen_and_exit_2(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_refresh_shows_asks_and_replaces(tmp_path, monkeypatch):
    from planner.catalog import azure

    shutil.copytree(data_path("catalog", "azure"), tmp_path / "azure")
    rates = Catalog.read("azure", regions=["eastus"]).rates
    prices = rates[rates["purchase_option"] == "on_demand"].set_index("instance_type")["rate_usd_per_h"]
    server = clouds.Azure(
        [clouds.azure_item(n, "eastus", round(u * 1.1, 9) if n == "Standard_D4ds_v5" else u) for n, u in prices.items()]
    )
    fetch = azure.fetch
    monkeypatch.setattr(azure, "fetch", lambda regions, raw, known: fetch(regions, raw, known, endpoint=server.url))
    command = ["catalog", "refresh", "azure", "--region", "eastus", "--folder", str(tmp_path)]
    declined = CliRunner().invoke(main, command, input="n\n")
    assert declined.exit_code == 0
    assert "left as it was" in declined.output
    assert not (tmp_path / "azure" / CURRENT).exists()
    done = CliRunner().invoke(main, [*command, "--yes"])
    server.close()
    assert "Standard_D4ds_v5" in done.output
    assert "1 moved" in done.output
    assert Catalog.read("azure", folder=tmp_path).price("Standard_D4ds_v5", "eastus") == pytest.approx(0.2486)
    moved = CliRunner().invoke(
        main, ["catalog", "diff", "azure", str(data_path("catalog")), "--folder", str(tmp_path), "--csv"]
    )
    assert "Standard_D4ds_v5,on_demand,0.226,0.2486" in moved.output


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "aws").write_text("a file, not a folder")
    with pytest.raises(CatalogError, match="cannot be written"):
        refresh("azure", ["eastus"], folder=tmp_path / "aws")


def test_a_broken_pointer_is_refused(tmp_path):
    shutil.copytree(data_path("catalog", "azure"), tmp_path / "azure")
    (tmp_path / "azure" / CURRENT).write_text("../elsewhere\n")
    with pytest.raises(CatalogError, match="names no generation"):
        Catalog.read("azure", folder=tmp_path)


def test_the_environment_names_another_folder(tmp_path, monkeypatch):
    shutil.copytree(data_path("catalog", "azure"), tmp_path / "azure")
    monkeypatch.setenv("PLANNER_CATALOG", str(tmp_path))
    assert set(Catalog.read().instances["provider"]) == {"azure"}


@pytest.mark.parametrize("provider", ["aws", "gcp", "azure"])
def test_a_snapshot_is_small_and_quick(provider, capsys):
    assert sum(f.stat().st_size for f in data_path().rglob("*") if f.is_file()) < 15 * 2**20
    Catalog.read(provider)
    began = time.process_time()
    Catalog.read(provider)
    with capsys.disabled():
        print(f"\nCatalog.read({provider!r}): {1000 * (time.process_time() - began):.0f} ms of processor time")
