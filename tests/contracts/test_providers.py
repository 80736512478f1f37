"""What every provider of ``PROVIDERS`` that can be asked must do, over its real protocol on the
loopback interface.
"""

import gzip
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest

from planner import columns
from planner.catalog import PROVIDERS, Catalog, aws, azure, gcp, refresh
from planner.catalog.store import FILES, current
from planner.data import data_path
from planner.errors import CatalogError
from tests.builders import ROOT, clouds

ASKED = [name for name, p in PROVIDERS.items() if p.module]
FAMILIES = {
    "aws": {"m6a", "g6", "c8g", "t3"},
    "gcp": {"n2", "a2"},
    "azure": {"standardDDSv5Family", "standardBSFamily", "standardESv5Family"},
}


@pytest.fixture
def home(tmp_path, request) -> Path:
    """The bundled snapshot of the provider under test, cut to a few families."""
    provider = request.getfixturevalue("provider")
    shutil.copytree(data_path("catalog", provider), tmp_path / provider)
    shapes = pd.read_csv(tmp_path / provider / "instances.csv", keep_default_na=False, dtype=str)
    names = set(shapes.loc[shapes["family"].isin(FAMILIES[provider]), "instance_type"])
    for file, column in (("instances", "instance_type"), ("rates", "instance_type"), ("commitments", "scope")):
        path = tmp_path / provider / f"{file}.csv"
        table = pd.read_csv(path, keep_default_na=False, dtype=str)
        table[table[column].isin(names)].to_csv(path, index=False)
    (tmp_path / provider / "rates_inferred.csv").unlink(missing_ok=True)
    return tmp_path


class Aws:
    """What AWS would answer if nothing but the first price had moved."""

    region, options = "us-east-1", {}

    def __init__(self, monkeypatch, snapshot):
        here = snapshot.select(regions=[self.region])
        self.shapes = here.instances.to_dict("records")
        self.prices = (
            here.rates[here.rates["purchase_option"] == "on_demand"]
            .set_index("instance_type")["rate_usd_per_h"]
            .to_dict()
        )
        self.server = clouds.Aws()
        monkeypatch.setattr(aws, "ATTEMPTS", 2)
        self.patch = clouds.aws_environment(monkeypatch, self.server.url)
        self.patch.__enter__()

    def serve(self):
        s, region = self.server, self.region
        s.types = [clouds.ec2_type(r) for r in self.shapes]
        s.products = []
        for i, (name, usd) in enumerate(self.prices.items()):
            terms = clouds.reserved(1, "No Upfront", usd * 0.7, 0)
            s.products.append(clouds.product(f"S{i}", name, region, usd, terms))
            s.products.append(clouds.product(f"D{i}", name, region, usd * 1.06, tenancy="Dedicated"))
            s.products.append(clouds.product(f"A{i}", name, region, 0, capacitystatus="AllocatedCapacityReservation"))
        s.spot = [
            clouds.spot(n, z, usd * f)
            for n, usd in self.prices.items()
            for z, f in (("use1-az1", 0.3), ("use1-az2", 0.4), ("use1-az4", 1.0))
        ]
        s.plans = [clouds.plan(n, region, usd * 0.8) for n, usd in self.prices.items()]

    def move(self, name, usd):
        self.prices[name] = usd

    def foreign(self):
        self.serve()
        name = next(iter(self.prices))
        self.server.products[0] = clouds.product("S0", name, self.region, 1, currency="CNY")

    def spoil(self):
        self.serve()
        self.server.products[1] = "{half an ent"

    def spot_above(self, name):
        self.serve()
        self.server.spot = [clouds.spot(name, "use1-az1", self.prices[name] * 2)]

    def close(self):
        self.server.close()


class Azure:
    region = "eastus"

    def __init__(self, monkeypatch, snapshot):
        here = snapshot.select(regions=[self.region])
        self.prices = (
            here.rates[here.rates["purchase_option"] == "on_demand"]
            .set_index("instance_type")["rate_usd_per_h"]
            .to_dict()
        )
        self.server = clouds.Azure()
        self.options = {"endpoint": self.server.url + "/api/retail/prices"}
        monkeypatch.setattr(azure, "FIRST_WAIT_S", 0.01)
        monkeypatch.setattr(azure, "ATTEMPTS", 3)

    def serve(self):
        self.server.items = []
        for name, usd in self.prices.items():
            plans = [{"term": "1 Year", "retailPrice": usd * 0.7}]
            for change in (
                {"savingsPlan": plans},
                {"productName": "X Windows", "retailPrice": usd * 1.8},
                {"type": "DevTestConsumption", "retailPrice": usd / 2},
                {"skuName": f"{name} Spot", "retailPrice": usd * 0.2},
                {"skuName": f"{name} Low Priority", "retailPrice": usd * 0.2},
                {"type": "Reservation", "reservationTerm": "1 Year", "retailPrice": usd * 0.6 * 8760},
            ):
                self.server.items.append(clouds.azure_item(name, self.region, usd, **change))

    def move(self, name, usd):
        self.prices[name] = usd

    def foreign(self):
        self.serve()
        self.server.items[0]["currencyCode"] = "EUR"

    def spoil(self):
        self.serve()
        self.server.items[150]["retailPrice"] = "cheap"

    def spot_above(self, name):
        self.serve()
        self.server.items.append(
            clouds.azure_item(name, self.region, self.prices[name] * 2, skuName=f"{name} Spot", meterName="x Spot")
        )
        self.server.items = [
            i
            for i in self.server.items
            if not (i["armSkuName"] == name and i["skuName"].endswith("Spot") and i["retailPrice"] < self.prices[name])
        ]

    def close(self):
        self.server.close()


class Gcp:
    region, options = "us-central1", {}

    def __init__(self, monkeypatch, snapshot):
        self.server = clouds.Gcp()
        self.scale = 1.0
        monkeypatch.setattr(gcp, "client", self.server.client)
        monkeypatch.setattr(gcp, "RETRY_S", 1.5)
        here = snapshot.select(regions=[self.region])
        self.prices = (
            here.rates[here.rates["purchase_option"] == "on_demand"]
            .set_index("instance_type")["rate_usd_per_h"]
            .to_dict()
        )

    def serve(self):
        parts = [
            ("N2 Instance Core running in Americas", 0.031611, "CPU", "h"),
            ("N2 Instance Ram running in Americas", 0.004237, "RAM", "GiBy.h"),
            ("A2 Instance Core running in Americas", 0.031611, "CPU", "h"),
            ("A2 Instance Ram running in Americas", 0.004237, "RAM", "GiBy.h"),
            ("Nvidia Tesla A100 GPU running in Americas", 2.933908, "GPU", "h"),
            ("Nvidia Tesla A100 80GB GPU running in Americas", 3.93, "GPU", "h"),
            ("SSD backed Local Storage in Iowa", 0.08, "LocalSSD", "GiBy.mo"),
        ]
        skus = []
        for text, usd, group, unit in parts:
            names = {
                "OnDemand": text,
                "Preemptible": f"Spot Preemptible {text}",
                "Commit1Yr": f"Commitment v1: {text.replace('Instance Core', 'Cpu')}",
            }
            for usage, share in (("OnDemand", 1.0), ("Preemptible", 0.4), ("Commit1Yr", 0.63)):
                skus.append((names[usage], round(usd * share * self.scale, 9), group, unit, usage))
            skus += [(f"{text} Custom", usd * 1.05, group, unit, "OnDemand")] * 7
        self.server.skus = [clouds.gcp_sku(i, t, u, group=g, unit=n, usage=w) for i, (t, u, g, n, w) in enumerate(skus)]

    def move(self, name, usd):
        self.scale = usd / self.prices[name]

    def foreign(self):
        self.serve()
        self.server.skus[0]["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"]["currencyCode"] = (
            "EUR"
        )

    def spoil(self):
        self.serve()
        self.server.skus[0]["pricingInfo"] = []

    def spot_above(self, name):
        self.serve()
        for sku in self.server.skus:
            if sku["category"]["usageType"] == "Preemptible":
                sku["pricingInfo"] = next(s for s in self.server.skus if s["description"] == sku["description"][17:])[
                    "pricingInfo"
                ]
                sku["pricingInfo"] = json.loads(json.dumps(sku["pricingInfo"]))
                price = sku["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"]
                price["units"] = str(int(price["units"]) + 1)

    def close(self):
        self.server.close()


@pytest.fixture
def cloud(provider, home, monkeypatch):
    fake = {"aws": Aws, "azure": Azure, "gcp": Gcp}[provider](monkeypatch, Catalog.read(provider, folder=home))
    fake.serve()
    yield fake
    fake.close()


def state(home: Path, provider: str) -> str:
    """Fingerprint of the files a reader reads."""
    files = sorted(current(home / provider).glob("*.csv"))
    return hashlib.sha256(b"".join(f.name.encode() + f.read_bytes() for f in files)).hexdigest()


def ask(provider, home, cloud, **more):
    return refresh(provider, [cloud.region], folder=home, **cloud.options, **more)


every = pytest.mark.parametrize("provider", ASKED)
any_one = pytest.mark.parametrize("provider", ["azure"])  # what is behind is the same code for all


@every
def test_prices_come_home(provider, home, cloud):
    name, before = next(iter(cloud.prices.items()))
    cloud.move(name, before * 1.25)
    cloud.serve()
    old = Catalog.read(provider, folder=home)
    done = ask(
        provider, home, cloud, accept=provider == "gcp"
    )  # the fake's components are not those of every A2 machine
    new = Catalog.read(provider, folder=home)
    assert new.price(name, cloud.region) == pytest.approx(before * 1.25, rel=1e-3)
    assert done.moves.set_index(["instance_type", "purchase_option"]).loc[
        (name, "on_demand"), "change_share"
    ] == pytest.approx(0.25, abs=1e-3)
    row = new.rate(name, cloud.region)
    assert row["as_of"] == pd.Timestamp.now("UTC").date().isoformat()
    assert row["source"]
    assert new.price(name, cloud.region, "spot") < new.price(name, cloud.region)
    for region in set(old.instances["region"]) - {cloud.region}:  # other places stay as they were
        assert new.select(regions=[region]).rates.equals(old.select(regions=[region]).rates)
    assert set(new.select(regions=[cloud.region]).commitments["category"]) >= {"Usage"}
    for frame in ("instances", "rates", "commitments", "storage", "network"):
        columns.check(f"catalog.{frame}", getattr(new, frame))


@every
def test_unmoved_prices_make_no_difference(provider, home, cloud):
    ask(provider, home, cloud, accept=True)
    again = ask(provider, home, cloud)
    assert again.moves.empty


@every
def test_raw_answers_are_kept_and_hold_no_secret(provider, home, cloud):
    done = ask(provider, home, cloud, accept=True)
    files = list((done.path / "raw").glob("*.jsonl.gz"))
    text = "".join(gzip.decompress(f.read_bytes()).decode() for f in files)
    assert len(text.splitlines()) >= len(cloud.prices)
    assert all(json.loads(line) for line in text.splitlines())
    assert "verysecret" not in text
    assert "AKIA" not in text
    assert done.path.name[:10] == pd.Timestamp.now("UTC").date().isoformat()


@every
def test_throttling_is_waited_out(provider, home, cloud):
    cloud.server.throttle = 1
    done = ask(provider, home, cloud, accept=True)
    assert done.path is not None
    assert len(cloud.server.calls) > 1


def refused(provider, home, cloud, words, **more):
    before = state(home, provider)
    with pytest.raises(CatalogError, match=words) as caught:
        ask(provider, home, cloud, **more)
    assert state(home, provider) == before
    assert Catalog.read(provider, folder=home, inferred=True).rates["rate_usd_per_h"].gt(0).all()
    assert not list((home / provider).glob("*.part"))
    assert caught.value.where
    return caught.value


@every
def test_endless_throttling_leaves_the_old_snapshot(provider, home, cloud):
    cloud.server.throttle = 10**6
    refused(provider, home, cloud, "could not be read|refused", accept=True)


@every
def test_a_cut_connection_leaves_the_old_snapshot(provider, home, cloud):
    cloud.server.cut = True
    if provider == "gcp":
        cloud.server.skus *= 3  # two pages; the second is cut
    refused(provider, home, cloud, "could not be read|could not be asked", accept=True)


@every
def test_a_malformed_item_leaves_the_old_snapshot(provider, home, cloud):
    cloud.spoil()
    refused(provider, home, cloud, "not JSON|not a price|lacks the field", accept=True)


@every
def test_a_machine_with_two_prices_has_none(provider, home, cloud):
    name, usd = next((n, u) for n, u in cloud.prices.items() if provider != "gcp" or n.startswith("a2"))
    if provider == "aws":
        cloud.server.products.append(clouds.product("X", name, cloud.region, usd * 1.2))
    elif provider == "azure":
        cloud.server.items.append(clouds.azure_item(name, cloud.region, usd * 1.2))
    else:
        cloud.server.skus.append(clouds.gcp_sku(999, "A2 Instance Core running in Americas", 0.05))
    done = ask(provider, home, cloud, accept=True)
    assert any("left out" in n for n in done.notes)
    with pytest.raises(CatalogError, match=r"no price of it is known|no on_demand price"):
        Catalog.read(provider, folder=home).price(name, cloud.region)


@every
def test_another_currency_is_refused(provider, home, cloud):
    cloud.foreign()
    refused(provider, home, cloud, "must be in USD", accept=True)


@every
def test_an_unknown_region_is_an_error_not_a_number(provider, home, cloud):
    before, wrong = state(home, provider), cloud.region.replace("-", "") + "1"
    with pytest.raises(CatalogError, match=f"Did you mean .*{cloud.region}"):
        refresh(provider, [wrong], folder=home, accept=True, **cloud.options)
    assert state(home, provider) == before


@every
def test_an_answer_without_prices_is_an_error(provider, home, cloud):
    if provider == "gcp":
        cloud.server.skus = []
    else:
        cloud.prices = {}
        cloud.serve()
    refused(provider, home, cloud, "without a single on-demand price", accept=True)


@every
def test_an_absurd_move_is_refused_unless_accepted(provider, home, cloud):
    factor = 6.0 if provider == "azure" else 1 / 6
    ask(provider, home, cloud, accept=True)
    name, usd = next(iter(cloud.prices.items()))
    if provider == "gcp":
        usd = Catalog.read(provider, folder=home).price(name, cloud.region)
        cloud.prices[name] = usd
    cloud.move(name, usd * factor)
    cloud.serve()
    refused(provider, home, cloud, "moved by a factor of 5 or more")
    ask(provider, home, cloud, accept=True)
    assert Catalog.read(provider, folder=home).price(name, cloud.region) == pytest.approx(usd * factor, rel=1e-6)


@every
def test_a_region_that_shrinks_is_refused(provider, home, cloud):
    ask(provider, home, cloud, accept=True)
    keep = dict(list(cloud.prices.items())[:3])
    cloud.prices = keep
    cloud.serve()
    if provider == "gcp":
        cloud.server.skus = [s for s in cloud.server.skus if "A2" in s["description"] or "A100" in s["description"]]
    refused(provider, home, cloud, "on-demand prices are gone")


@every
def test_spot_above_on_demand_is_refused_or_left_out(provider, home, cloud):
    ask(provider, home, cloud, accept=True)
    name = next(iter(cloud.prices))
    cloud.spot_above(name)
    refused(provider, home, cloud, "spot above on demand")
    done = ask(provider, home, cloud, accept=True)
    assert any("implausible" in n for n in done.notes)
    with pytest.raises(CatalogError, match="no spot price is known"):
        Catalog.read(provider, folder=home).price(name, cloud.region, "spot")


@any_one
def test_declined_changes_are_not_made(provider, home, cloud):
    before, shown = state(home, provider), []
    done = ask(provider, home, cloud, accept=True, confirm=lambda moves, notes: bool(shown.append(moves)))
    assert done.path is None
    assert len(shown) == 1
    assert state(home, provider) == before


@any_one
def test_old_generations_are_pruned_and_the_last_one_kept(provider, home, cloud):
    (home / provider / "mine").mkdir()  # not a generation: not ours to delete
    for _ in range(3):
        ask(provider, home, cloud, accept=True)
    generations = [p for p in (home / provider).iterdir() if p.is_dir() and p.name != "mine"]
    assert (home / provider / "mine").is_dir()
    assert len(generations) == 2
    assert all((g / "rates.csv").exists() for g in generations)
    assert {f"{n}.csv" for n in FILES} & {
        p.name for p in (home / provider).iterdir()
    }  # what came with the package stays


@any_one
def test_a_second_refresh_at_once_is_refused(provider, home, cloud):
    def meanwhile(moves, notes):
        with pytest.raises(CatalogError, match="another refresh"):
            ask(provider, home, cloud, accept=True)
        return False

    assert ask(provider, home, cloud, accept=True, confirm=meanwhile).path is None


KILLED = """
import sys
from planner.catalog import refresh
refresh({provider!r}, [{region!r}], folder={folder!r}, accept=True, **{options!r})
"""


@any_one
def test_a_killed_process_leaves_the_old_snapshot(provider, home, cloud):
    before = state(home, provider)
    cloud.server.hang.clear()  # answers wait for as long as the client lives
    code = textwrap.dedent(KILLED).format(
        provider=provider, region=cloud.region, folder=str(home), options=cloud.options
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not cloud.server.calls and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    assert cloud.server.calls, "the refresh never asked"
    child.send_signal(signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    assert list((home / provider).glob("*.part"))  # it was in the middle of it
    assert state(home, provider) == before
    cloud.server.hang.set()
    ask(provider, home, cloud, accept=True)  # and the next one cleans up
    assert not list((home / provider).glob("*.part"))


def test_no_room_beside_the_catalog_knows_a_provider_by_name():
    """A provider is an entry of ``PROVIDERS``: what is special about one is a field of it. The bills
    that providers export and the files that run on one of them are of one provider each.
    """
    names = "|".join(PROVIDERS)
    rooms = [p for p in (ROOT / "planner").rglob("*.py") if not {"catalog", "actuals", "operate"} & set(p.parts)]
    known = [
        f"{p.name}: {line.strip()}"
        for p in rooms
        for line in p.read_text(encoding="utf-8").splitlines()
        if re.search(rf"""["']({names})["']""", line) and not line.lstrip().startswith((">>>", "#"))
    ]
    assert not known
