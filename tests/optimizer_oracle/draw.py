"""Random tiny problems as a user could state them: scenario, catalog, load and sized machines, all from one seed.

Each feature draws from a stream of its own, so a problem ``without`` one of them is otherwise the
same problem: a failure is shrunk by leaving out features while it stays.
"""

import zlib
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from planner.capacity import Capacity, size
from planner.catalog import Catalog
from planner.load import Load
from planner.scenario import Autoscaling, Scenario
from tests.builders import hand

FEATURES = (
    "services", "paths", "families", "places", "spot", "zones", "quota", "type_share", "delays", "disks", "budget",
    "held", "reserved", "spend", "adjust", "replicas", "policy", "old", "odd", "terms", "speed", "long",
)  # fmt: skip
START = date(2027, 1, 4)  # 48 hours from here lie in one month
CLOUDS = {
    "aws": (("us-east-1", "eu-west-1"), ("m5", "c5", "r5"), "{family}.{size}", ("large", "xlarge", "2xlarge")),
    "gcp": (("us-central1", "europe-west4"), ("n4", "c4", "e2"), "{family}-standard-{size}", ("2", "4", "8")),
    "azure": (("eastus", "westeurope"), ("D", "E", "F"), "Standard_{family}{size}s_v5", ("2", "4", "8")),
}


@dataclass(frozen=True)
class Case:
    """One problem; ``draw(seed, without)`` gives it again."""

    seed: int
    without: frozenset[str]
    scenario: Scenario
    catalog: Catalog
    load: Load
    capacity: Capacity

    @property
    def told(self) -> str:
        """How to see it again."""
        return f"draw({self.seed}, {set(self.without) or set()!r})"


@dataclass(frozen=True)
class Machine:
    """A machine on sale and what it costs on demand [USD/h]."""

    provider: str
    region: str
    family: str
    name: str
    vcpus: float
    usd: float
    spot: float
    current: bool = True

    @property
    def place(self) -> dict[str, str]:
        return {"provider": self.provider, "region": self.region}


class Dice:
    """Random streams by feature; ``chance`` is never met by a feature left out."""

    def __init__(self, seed: int, without: frozenset[str]) -> None:
        self._seed, self._without, self._streams = seed, without, {}

    def of(self, feature: str) -> np.random.Generator:
        if feature not in self._streams:
            self._streams[feature] = np.random.default_rng([self._seed, zlib.crc32(feature.encode())])
        return self._streams[feature]

    def chance(self, feature: str, share: float) -> bool:
        met = bool(self.of(feature).random() < share)
        return met and feature not in self._without

    def pick(self, feature: str, values):
        return values[int(self.of(feature).integers(len(values)))]


def draw(seed: int, without: frozenset[str] | set[str] = frozenset()) -> Case:
    """The problem of a seed."""
    dice = Dice(seed, frozenset(without))
    services = ["web", "api"] if dice.chance("services", 0.3) else ["web"]
    paths = int(dice.of("paths").integers(2, 5)) if dice.chance("paths", 0.6) else 1
    machines = _machines(dice, most=4 if len(services) > 1 else 6)
    products = _products(dice, machines)
    catalog = _catalog(machines, products, _disk_prices(machines))
    scenario = Scenario.model_validate(_scenario(dice, services, machines, products, paths))
    load = _load(dice, scenario, catalog, paths)
    return Case(seed, frozenset(without), scenario, catalog, load, size(scenario, catalog, load))


def _machines(dice: Dice, most: int) -> list[Machine]:
    """3 to ``most`` machines of one or two families in one or two places, priced by size within a family."""
    provider = dice.pick("catalog", tuple(CLOUDS))
    regions, families, pattern, sizes = CLOUDS[provider]
    places = regions if dice.chance("places", 0.3) else regions[:1]
    two = dice.chance("families", 0.7)
    if len(places) > 1:
        families, each = families[:1], sizes[: most // 2]
    else:
        families, each = families[: 2 if two else 1], sizes[: most // 2 if two else 3]
    found = []
    for family in families:
        unit = 0.2 * float(dice.of("catalog").integers(3, 10))
        for region in places:
            there = 1.0 if region == places[0] else dice.pick("places", (0.8, 1.1, 1.2))
            for k, size_ in enumerate(each):
                odd = 1.1 if dice.chance("odd", 0.06) else 1.0
                usd = round(unit * there * 2**k * odd, 6)
                spot = round(usd * dice.of("spot").uniform(0.25, 0.7), 4) if dice.of("spot").random() < 0.7 else np.nan
                current = not dice.chance("old", 0.05)
                name = pattern.format(family=family, size=size_)
                found.append(Machine(provider, region, family, name, 2.0 * 2**k, usd, spot, current))
    return found


def _products(dice: Dice, machines: list[Machine]) -> list[dict[str, object]]:
    """One to four commitments: reserved machines and resource commitments, spending plans of a family or all."""
    found, scopes = [], set()
    for k in range(int(dice.of("products").integers(1, 5))):
        spends = dice.of("products").random() < 0.4
        m = dice.pick("products", machines)
        months, payment = int(dice.pick("products", (12, 36))), dice.pick("products", ("none", "partial", "all"))
        deep, wide, cents = dice.of("products").random(3)
        common = {
            **hand.HAND,
            "provider": m.provider,
            "term_months": months,
            "payment": payment,
            "upfront_share": {"none": 0.0, "partial": 0.5, "all": 1.0}[payment],
            "commitment": f"{'plan' if spends else 'reserved'}-{k}/{months}/{payment}",
        }
        if spends:
            scope = (
                ("account", "all", "global") if wide < 0.6 or m.provider != "aws" else ("family", m.family, m.region)
            )
            clash = any(s != scope and (s[0] == "account" or scope[0] == "account") for s in scopes)
            if clash or "spend" in dice._without:
                continue  # of two plans, one inside the other, the best sizes are no sums of rates
            scopes.add(scope)
            discount = round(0.2 + 0.1 * int(6 * deep), 1) if cents < 0.7 else round(0.2 + 0.5 * deep, 3)
            found.append(
                {**common, "category": "Spend", "plan_kind": "SP", "scope_kind": scope[0], "scope": scope[1],
                 "region": scope[2], "rate_usd_per_h": np.nan, "discount_share": discount}
            )  # fmt: skip
        elif "reserved" not in dice._without:
            found.append(
                {**common, "category": "Usage", "plan_kind": "CUD" if m.provider == "gcp" else "RI", "region": m.region,
                 "scope_kind": "instance_type", "scope": m.name,
                 "rate_usd_per_h": round(m.usd * (0.25 + 0.6 * deep), 4)}
            )  # fmt: skip
    return found


def _catalog(machines: list[Machine], products, storage) -> Catalog:
    shapes = [
        {**hand.HAND, **m.place, "instance_type": m.name, "family": m.family, "arch": "x86_64", "vcpus": m.vcpus,
         "memory_gib": 4 * m.vcpus, "baseline_share": 1.0, "accelerators": 0.0, "current_generation": m.current}
        for m in machines
    ]  # fmt: skip
    rates = [
        {**hand.HAND, **m.place, "instance_type": m.name, "purchase_option": option, "rate_usd_per_h": usd}
        for m in machines
        for option, usd in (("on_demand", m.usd), ("spot", m.spot))
        if np.isfinite(usd)
    ]
    tables = (("instances", shapes), ("rates", rates), ("commitments", products), ("storage", storage), ("network", []))
    return Catalog(*(hand.frame(f"catalog.{name}", rows) for name, rows in tables))


def _disk_prices(machines: list[Machine]):
    places = dict.fromkeys((m.provider, m.region) for m in machines)
    kinds = {"aws": "block/gp3", "gcp": "block/pd-balanced", "azure": "block/standard-ssd"}
    return [
        {**hand.HAND, "provider": provider, "region": region, "storage_class": kinds[provider], "tier_lower": 0.0,
         "tier_upper": np.inf, "price_usd": 1.0, "price_unit": "GiB-month", "tier_scope": "volume"}
        for provider, region in places
    ]  # fmt: skip


def _scenario(dice: Dice, services, machines: list[Machine], products, paths: int):
    regions = list(dict.fromkeys(m.region for m in machines))
    hours = int(dice.pick("hours", (24, 36, 48) if dice.chance("long", 0.5) else (6, 12)))
    return {
        "name": "tiny",
        "start": START,
        "horizon_h": hours,
        "providers": [machines[0].provider],
        "regions": regions,
        "services": {s: _service(dice, k, machines, paths) for k, s in enumerate(services)},
        "limits": _limits(dice, services, machines, products),
        "existing": _held(dice, hours, machines, products),
        "price_adjustments": _adjustments(dice, machines),
    }


def _service(dice: Dice, k: int, machines: list[Machine], paths: int):
    speed = {f: round(float(dice.of("speed").uniform(0.7, 1.4)), 2) for f in sorted({m.family for m in machines})}
    scaling = {}
    if dice.chance("replicas", 0.25):
        scaling["min_replicas"] = int(dice.pick("replicas", (0, 2, 3)))
    if dice.chance("replicas", 0.15) and paths == 1:  # of what is beyond them on some path the ready level says nothing
        scaling["max_replicas"] = max(int(dice.pick("replicas", (1, 2, 4))), scaling.get("min_replicas", 1))
    if dice.chance("delays", 0.2):
        scaling["scale_down_delay_s"] = float(dice.pick("delays", (3600, 7200)))
        scaling["scale_up_delay_s"] = float(dice.pick("delays", (60, 3600)))
    if dice.chance("policy", 0.4) and "policy" in Autoscaling.model_fields:
        scaling["policy"] = dice.pick("policy", ("scheduled", "static"))
    return {
        "owner": {"team": "shop"},
        "traffic": f"{k}.csv",
        "latency": {
            "model": "queue",
            "service_time_s": (0.01, 0.02)[k],
            "speed": {} if "speed" in dice._without else speed,
        },
        "objective": {"latency_p99_s": 0.3, "load_quantile": float(dice.pick("paths", (0.5, 0.9, 0.95)))},
        "autoscaling": scaling,
        "storage": {
            "block_gib": 20.0 if dice.chance("disks", 0.25) else 0.0,
            "log_gib_per_request": 0.0,
            "metrics_per_instance": 0.0,
        },
        "network": {"nat_gib_per_request": 0.0, "load_balancer": False, "public_ipv4": 0},
    }


def _limits(dice: Dice, services, machines: list[Machine], products):
    limits = {
        "max_term_months": int(dice.pick("terms", (12, 36, 36))),
        "max_instance_types": int(dice.pick("sets", (1, 2, 2, 3))),
    }
    if len(services) > 1:
        limits["max_instance_types"] = min(2, limits["max_instance_types"])
    if "terms" in dice._without:
        limits["max_term_months"] = 36
    elif dice.chance("terms", 0.2):
        limits["payments"] = [dice.pick("terms", ("none", "partial", "all"))]
    if dice.chance("spot", 0.4):
        limits["max_spot_share"] = float(dice.pick("spot", (0.3, 0.5, 1.0)))
    if dice.chance("zones", 0.25):
        limits["zones"], limits["zones_lost"] = dice.pick("zones", ((2, 0), (2, 1), (3, 1)))
    if dice.chance("type_share", 0.12) and limits["max_instance_types"] > 1:
        limits["max_type_share"] = float(dice.pick("type_share", (0.5, 0.6, 0.75)))
    if dice.chance("places", 0.4):
        limits["max_regions"] = 2
    if dice.chance("quota", 0.2):
        limits["quota"] = {dice.pick("quota", machines).name: int(dice.pick("quota", (0, 1, 2, 3)))}
    if dice.chance("old", 0.2):
        limits["previous_generation"] = True
    paid = [p for p in products if p["upfront_share"] > 0 and p["category"] == "Usage"]
    if paid and dice.chance("budget", 0.3):
        p = dice.pick("budget", paid)
        once = p["rate_usd_per_h"] * p["upfront_share"] * 8760 * p["term_months"] / 12
        limits["upfront_budget_usd"] = round(float(dice.of("budget").uniform(0.5, 3.5)) * once, 2)
    return limits


def _held(dice: Dice, hours: int, machines: list[Machine], products):
    found = []
    for p in products:
        if not dice.chance("held", 0.25):
            continue
        ends = (
            (START + timedelta(days=200), START + timedelta(days=1)) if hours > 24 else (START + timedelta(days=200),)
        )
        amount = float(dice.of("held").integers(1, 5))
        if p["category"] == "Spend":
            m = dice.pick("held", machines)
            amount = round(amount * m.usd * (1 - p["discount_share"]), 6)
        found.append({"commitment": p["commitment"], "quantity": amount, "end": dice.pick("held", ends)})
    return found


def _adjustments(dice: Dice, machines: list[Machine]):
    if not dice.chance("adjust", 0.2):
        return []
    one = {"discount_share": float(dice.pick("adjust", (0.05, 0.2, -0.1)))}
    scope = dice.pick("adjust", ("all", "family", "provider", "service"))
    m = dice.pick("adjust", machines)
    more = {"family": {"family": m.family}, "provider": {"provider": m.provider}, "service": {"service": "web"}}
    return [one | more.get(scope, {})]


def _load(dice: Dice, scenario: Scenario, catalog: Catalog, paths: int) -> Load:
    """A few joint levels of one to six machines each, in steps over the hours of each path."""
    flat = hand.load(scenario, {s: np.full(scenario.horizon_h, 100.0) for s in scenario.services})
    sized = size(scenario, catalog, flat).frame
    unit = {s: float(part.loc[part["usable_rps"] > 0, "usable_rps"].min()) for s, part in sized.groupby("service")}
    limits = scenario.limits
    top = (2.5 if len(scenario.services) > 1 else 4.5) * (limits.zones - limits.zones_lost) / limits.zones
    top = min(top, 3.0) if limits.max_type_share or limits.max_spot_share else top
    count = 3 if len(scenario.services) > 1 else 5
    levels = {s: np.round(unit[s] * dice.of("load").uniform(0.0, top, count), 2) for s in scenario.services}
    if dice.of("load").random() < 0.2:
        levels[next(iter(levels))][0] = 0.0
    steps = dice.of("load").integers(count, size=(paths, scenario.horizon_h))
    stay = dice.of("load").random((paths, scenario.horizon_h)) < 0.6
    for h in range(1, scenario.horizon_h):
        steps[:, h] = np.where(stay[:, h], steps[:, h - 1], steps[:, h])
    return hand.load(scenario, {s: levels[s][steps] for s in scenario.services})
