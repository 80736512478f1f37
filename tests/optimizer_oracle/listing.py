"""The cheapest plan of a tiny problem by listing: every set of types, every purchase, every whole mix.

Written from what a plan means, without the optimizer's help. A plan keeps a set of machine types
for each service, signs whole contracts at the start of the horizon, and runs in each hour of each
path some whole machines of its sets under the limits; the commitments in force are then applied as
a bill applies them. Its expected bill is

    fees of what is signed and held + Σ_paths p Σ_hours [on demand not covered + spot + disks].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from tests.optimizer_oracle.bill import Bill, Usage, factor, in_force, purchases
from tests.optimizer_oracle.draw import START, Case


@dataclass(frozen=True)
class Offer:
    """A machine as one service can run it, one replica on each; prices [USD/h] of an instance."""

    service: str
    place: tuple[str, str]
    name: str
    family: str
    deployment: str
    spot: bool
    usd: float
    list_usd: float
    disk: float
    worth: float  # of its rate: spot is taken back now and then

    @property
    def kind(self) -> str:
        return "/".join((*self.place, self.name))


@dataclass(frozen=True)
class Best:
    """What the listing found: expected bill [USD], contracts signed by name, types kept by service."""

    usd: float
    signed: dict[str, float]
    types: dict[str, tuple[str, ...]]
    plans: int


def cheapest(case: Case) -> Best | None:
    """The cheapest plan of all; ``None`` where no plan serves the load within the limits."""
    offers = {s: list(_offers(case, s)) for s in case.scenario.services}
    states = _states(case)
    sets = {s: list(_sets(case, found)) for s, found in offers.items()}
    listed = _Mixes(case, offers)
    usages = [Usage(o.service, *o.place, o.name, o.usd, o.list_usd) for s in offers for o in offers[s] if not o.spot]
    rows: dict[tuple[int, ...], int] = {}
    fits: dict[tuple[tuple[int, ...], ...], list[tuple[float, tuple[bool, ...], list[int]]]] = {}
    for chosen in product(*(range(len(sets[s])) for s in sets)):
        kept = tuple(sets[s][k] for s, k in zip(sets, chosen, strict=True))
        needed = []
        for loads, held, weight in states:
            mixes = listed.joint(kept, loads)
            if not len(mixes):
                break
            at = [rows.setdefault(tuple(m), len(rows)) for m in mixes.tolist()]
            needed.append((weight, held, at))
        else:
            fits[kept] = needed
    if not fits:
        return None
    counts = np.array(list(rows), dtype=np.float64).reshape(len(rows), -1)
    every = [o for s in offers for o in offers[s]]
    spot = np.array([o.spot for o in every])
    fixed = counts @ np.array([o.disk + (o.usd if o.spot else 0.0) for o in every])
    bill = Bill(case, usages)
    best, plans = (np.inf, {}, {}), 0
    for signed, fees in purchases(case, bill, counts[:, ~spot], in_force_sets(states)):
        plans += len(fees) * len(fits)
        totals = {kept: fees.copy() for kept in fits}
        for held in in_force_sets(states):
            cost = fixed[:, None] + bill.uncovered(counts[:, ~spot], signed, held)
            for kept, needed in fits.items():
                for weight, when, at in needed:
                    if when == held:
                        totals[kept] += weight * cost[at].min(axis=0)
        for kept, total in totals.items():
            k = int(np.argmin(total))
            if total[k] < best[0]:
                best = (float(total[k]), bill.told(signed, k), _named(offers, kept))
    return Best(*best, plans)


def in_force_sets(states) -> list[tuple[bool, ...]]:
    """The different sets of held contracts in force."""
    return list(dict.fromkeys(held for _, held, _ in states))


def _named(offers: dict[str, list[Offer]], kept) -> dict[str, tuple[str, ...]]:
    return {
        s: tuple(dict.fromkeys(found[j].kind for j in of)) for (s, found), of in zip(offers.items(), kept, strict=True)
    }


def _offers(case: Case, service: str) -> Iterator[Offer]:
    """Every way to run a replica of the service that the limits allow."""
    limits, catalog = case.scenario.limits, case.catalog
    shapes = catalog.instances.set_index(["provider", "region", "instance_type"])
    rates = catalog.rates.set_index(["provider", "region", "instance_type", "purchase_option"])["rate_usd_per_h"]
    terms = catalog.commitments.set_index("commitment")["scope"]
    held = {terms[e.commitment] for e in case.scenario.existing}
    gib_h = case.scenario.services[service].storage.block_gib / (31 * 24)
    disk = catalog.storage.set_index(["provider", "region"])["price_usd"] * gib_h
    for row in case.capacity.frame.query("service == @service and usable_rps > 0").to_dict("records"):
        place, name = (row["provider"], row["region"]), row["instance_type"]
        shape = shapes.loc[(*place, name)]
        if limits.quota.get(name) == 0 or (limits.instance_types and name not in limits.instance_types):
            continue
        old = not (shape["current_generation"] or limits.previous_generation or limits.instance_types)
        if old and name not in held:
            continue
        assert row["instances_per_replica"] == 1
        for spot in (False, True):
            key = (*place, name, "spot" if spot else "on_demand")
            if key not in rates.index or (spot and not limits.max_spot_share > 0):
                continue
            list_usd = float(rates[key])
            yield Offer(
                service,
                place,
                name,
                shape["family"],
                row["deployment"],
                spot,
                list_usd * factor(case.scenario, place[0], shape["family"], service),
                list_usd,
                float(disk[place]) * factor(case.scenario, place[0], "", service),
                float(row["spot_yield"]) if spot else 1.0,
            )


def _sets(case: Case, offers: list[Offer]) -> Iterator[tuple[int, ...]]:
    """Offers of every set of types a plan may keep, the largest only."""
    limits = case.scenario.limits
    kinds = {o.kind: o.place for o in offers}
    most = min(limits.max_instance_types or len(kinds), len(kinds))
    found: list[set[str]] = []
    for count in range(most, 0, -1):
        for names in combinations(kinds, count):
            places = {kinds[n] for n in names}
            if len(places) <= (limits.max_regions or len(places)) and not any(set(names) <= f for f in found):
                found.append(set(names))
    for names in found:
        yield tuple(j for j, o in enumerate(offers) if o.kind in names)


def followed(case: Case, service: str) -> np.ndarray:
    """Load that machines must be there for, shape (paths, hours), by the service's policy and delays."""
    s = case.scenario.services[service]
    paths = case.load.services[service].arrival_rate_rps.astype(np.float64)
    policy = getattr(s.autoscaling, "policy", "follow")
    if policy != "follow":
        paths = np.broadcast_to(np.quantile(paths, s.objective.load_quantile, axis=0), paths.shape)
    up = s.autoscaling.scale_up_delay_s
    keep, lead = int(s.autoscaling.scale_down_delay_s // 3600), int((120 if up is None else up) // 3600)
    hours = paths.shape[1]
    paths = np.stack([paths[:, max(0, t - keep) : t + lead + 1].max(axis=1) for t in range(hours)], axis=1)
    return np.broadcast_to(paths.max(axis=1, keepdims=True), paths.shape) if policy == "static" else paths


def _states(case: Case) -> list[tuple[tuple[float, ...], tuple[bool, ...], float]]:
    """What is asked of all services at once, which held contracts are in force, and for how many expected hours."""
    loads = [followed(case, s) for s in case.scenario.services]
    held = in_force(case)
    found: dict[tuple[tuple[float, ...], tuple[bool, ...]], float] = {}
    for p, t in np.ndindex(*loads[0].shape):
        key = tuple(float(x[p, t]) for x in loads), tuple(held[:, t].tolist())
        found[key] = found.get(key, 0.0) + float(case.load.weight_h[t]) / len(loads[0])
    return [(*key, weight) for key, weight in found.items()]


class _Mixes:
    """Whole mixes that serve a load, none with a machine too many; counts over all offers of all services."""

    def __init__(self, case: Case, offers: dict[str, list[Offer]]) -> None:
        self._case, self._offers, self._known = case, offers, {}

    def joint(self, kept, loads) -> np.ndarray:
        """Counts (mixes, offers of all services) of joint mixes within the quotas."""
        parts = [self._of(s, of, load) for s, of, load in zip(self._offers, kept, loads, strict=True)]
        found = parts[0]
        for part in parts[1:]:
            left, right = np.repeat(found, len(part), axis=0), np.tile(part, (len(found), 1))
            found = np.concatenate([left, right], axis=1)
        every = [o for s in self._offers for o in self._offers[s]]
        for name, most in self._case.scenario.limits.quota.items():
            found = found[found @ np.array([o.name == name for o in every], dtype=np.int64) <= most]
        return found

    def _of(self, service: str, of: tuple[int, ...], load: float) -> np.ndarray:
        if (service, of, load) not in self._known:
            offers = [self._offers[service][j] for j in of]
            few = _serving(self._case, service, offers, load)
            full = np.zeros((len(few), len(self._offers[service])), dtype=np.int64)
            full[:, list(of)] = few
            self._known[service, of, load] = full
        return self._known[service, of, load]


def _serving(case: Case, service: str, offers: list[Offer], load: float) -> np.ndarray:
    """Counts (mixes, offers) that serve ``load`` and would not with a machine fewer."""
    limits, scaling = case.scenario.limits, case.scenario.services[service].autoscaling
    bears = [lambda n, o=o: _bears(case, service, o, n) for o in offers]
    spare = limits.zones / (limits.zones - limits.zones_lost)
    most = [_enough(b, load * spare) + (limits.zones if limits.zones_lost else 0) for b in bears]
    most = [max(m, scaling.min_replicas) for m in most]
    if scaling.max_replicas is not None:
        most = [min(m, scaling.max_replicas) for m in most]
    grid = np.stack(np.meshgrid(*(np.arange(m + 1) for m in most), indexing="ij"), axis=-1)
    flat = grid.reshape(-1, len(offers))
    spot = np.array([o.spot for o in offers])
    good = flat[:, ~spot].sum(axis=1) >= scaling.min_replicas
    if scaling.max_replicas is not None:
        good &= flat.sum(axis=1) <= scaling.max_replicas
    if limits.max_type_share is not None:
        good &= _spread_over_types(case, offers, bears, flat, load)
    for stays in _stays(limits, offers, flat):
        left = np.stack([b(stays[:, j]) for j, b in enumerate(bears)], axis=1)
        steady, risky = left[:, ~spot].sum(axis=1), left[:, spot].sum(axis=1)
        good &= steady + np.minimum(risky, limits.max_spot_share * load) >= load * (1 - 1e-12)
    good = good.reshape(grid.shape[:-1])
    needed = good.copy()
    for j in range(len(offers)):
        fewer = np.zeros_like(good)
        fewer[(slice(None),) * j + (slice(1, None),)] = good[(slice(None),) * j + (slice(None, -1),)]
        needed &= ~fewer
    return grid[needed]


def _bears(case: Case, service: str, o: Offer, count: np.ndarray) -> np.ndarray:
    return o.worth * case.capacity.bears_rps((service, *o.place, o.name, o.deployment), count)


def _enough(bears, load: float) -> int:
    count = 0
    while float(bears(np.array([count]))[0]) < load * (1 - 1e-12):
        count += 1
    return count


def _stays(limits, offers: list[Offer], counts: np.ndarray) -> Iterator[np.ndarray]:
    """Machines left for each choice of zones lost: dealt to the zones in turn, on demand before spot."""
    if not limits.zones_lost:
        yield counts
        return
    order = sorted(range(len(offers)), key=lambda j: (offers[j].spot, offers[j].kind))
    dealt = np.zeros((*counts.shape, limits.zones), dtype=np.int64)
    first = np.zeros(len(counts), dtype=np.int64)
    for j in order:
        for zone in range(limits.zones):
            turn = (zone - first) % limits.zones
            dealt[:, j, zone] = (counts[:, j] - turn + limits.zones - 1) // limits.zones
        first = (first + counts[:, j]) % limits.zones
    for lost in combinations(range(limits.zones), limits.zones_lost):
        yield dealt[:, :, [z for z in range(limits.zones) if z not in lost]].sum(axis=2)


def _spread_over_types(case: Case, offers, bears, counts: np.ndarray, load: float) -> np.ndarray:
    """Whether no type is needed for more than its share: Σ_types min(what it bears, share · load) ≥ load."""
    limits = case.scenario.limits
    by_type: dict[str, np.ndarray] = {}
    for j, o in enumerate(offers):
        borne = bears[j](counts[:, j]) * (limits.zones - limits.zones_lost) / limits.zones
        by_type[o.kind] = by_type.get(o.kind, 0.0) + borne
    whole = sum(np.minimum(c, limits.max_type_share * load) for c in by_type.values())
    return whole >= load * (1 - 1e-12)


assert START.month == 1  # disks are priced for a month of 31 days
