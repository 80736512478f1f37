"""The expected cost of trial purchases and trial fleets, in whole machines, hour by hour.

    cost(N, menus) = Σ_i fee_i N_i + Σ_regimes Σ_groups Σ_path hours ω · usd_per_h(load | N)

Services that share nothing are exact: the hours of all paths are sorted by load once, and each step
of a menu takes the hours up to its reach. Services that share a commitment in force
(:class:`planner.optimizer.commitments.running.Group`) are valued on ``JOINT`` typical joint loads,
exact where there are no more; what the same typical loads miss of the cost of each service with all
it may use to itself, which is known exactly, is added.
"""

from collections.abc import Mapping
from copy import copy

import numpy as np

from planner.arrays import Floats
from planner.load import Load
from planner.optimizer.commitments.running import Group, Memo, alike
from planner.optimizer.commitments.starts import regimes_of
from planner.optimizer.market.as_program import offers_of
from planner.optimizer.market.market import Market
from planner.optimizer.mixes.menu import Menu, Steps, menu

JOINT = 300  # typical loads of services that share commitments
SORTED = 60_000  # of all path hours from which these are taken

Key = tuple[tuple[int, float], ...]  # units in force by term


class Value:
    """The expected cost of trial purchases; what two trials have in common is counted once."""

    def __init__(
        self,
        market: Market,
        load: Load,
        menus: Mapping[str, Menu],
        loads: Mapping[str, Floats],
        weight: Floats,
        counted: Floats,
    ) -> None:
        """``loads`` {service: (paths, hours)} that machines follow, ``weight`` of each path,
        ``counted`` hours of each hour.
        """
        self.market, self.menus = market, dict(menus)
        self.regimes = regimes_of(market, load)
        self.fee_usd = [t.usd_per_h * float(counted @ t.in_force(load.ts)) for t in market.terms]
        self._loads, self._hours = loads, weight[:, None] * counted[None, :]
        self._memo = Memo()
        self._sorted: dict[tuple[str, int], tuple[Floats, Floats]] = {}
        self._states: dict[tuple[int, tuple[str, ...], float], tuple[dict[str, Floats], Floats]] = {}
        self._groups: dict[tuple[object, ...], list[tuple[tuple[str, ...], tuple[int, ...]]]] = {}
        self._cost: dict[tuple[object, ...], float] = {}
        self._miss: dict[tuple[object, ...], float] = {}
        self._below: dict[tuple[int, str, int, float], tuple[Menu, Floats, float]] = {}

    def of(self, menus: Mapping[str, Menu]) -> "Value":
        """The same for other fleets, with all that is known."""
        other = copy(self)
        other.menus = dict(menus)
        return other

    def reaching(self, tops: Mapping[str, float], growth: float) -> "Value":
        """The same with machines enough for ``growth`` times the largest loads."""
        found, rules = self.market.candidates, self.market.rules
        return self.of({s: menu(offers_of(found[s], rules[s]), rules[s], growth * tops[s]) for s in self.menus})

    def expected(self, trial: Mapping[int, float], growth: float = 1.0) -> float:
        """Cost [USD] over the paths, machines and fees, with every load times ``growth``.

        ``trial`` {term index: units}. Fees are paid in the hours in force, used or not. Machines
        are the cheapest whole mix of each hour under its commitments; whole fleets beyond the
        menu's largest load stay at the largest.
        """
        total = sum(a * self.fee_usd[i] for i, a in trial.items())
        bought = tuple(i for i, a in trial.items() if a > 0)
        fleet = tuple(map(id, self.menus.values()))
        for r, regime in enumerate(self.regimes):
            known = r, bought, fleet
            if known not in self._groups:
                self._groups[known] = alike(self.market, self.menus, regime.of(dict.fromkeys(bought, 1.0)))
            for services, terms in self._groups[known]:
                held = tuple((i, regime.held[i] if i in regime.held else trial[i]) for i in terms)
                total += self._machines(r, services, held, growth)
        return float(total)

    def _machines(self, r: int, services: tuple[str, ...], held: Key, growth: float) -> float:
        """Cost of a group of services in the hours of one regime [USD], under what is ``held``."""
        key = r, growth, held, tuple(id(self.menus[s]) for s in services)
        if key not in self._cost:
            one = services[0]
            usd = self._alone(r, one, held, growth) if len(services) == 1 else self._joint(r, services, held, growth)
            self._cost[key] = usd
        return self._cost[key]

    def _alone(self, r: int, service: str, held: Key, growth: float) -> float:
        """Σ over the steps of a menu of cost · hours in which the step is the cheapest that reaches
        the load: one search for each step instead of one for each hour.
        """
        steps = self._step(service, held)
        return float(steps.cost @ self._each(steps, self.menus[service], service, r, growth))

    def hours_at(self, service: str, mixes: Menu, steps: Steps) -> Floats:
        """Expected hours of the horizon in which each of the ``steps`` of some ``mixes`` runs."""
        found: Floats = np.zeros(len(steps.reach))
        for r in range(len(self.regimes)):
            found += self._each(steps, mixes, service, r, 1.0)
        return found

    def _each(self, steps: Steps, mixes: Menu, service: str, r: int, growth: float) -> Floats:
        """Hours of each step; beyond the last mix the fleet stays at its largest."""
        key = id(mixes), service, r, growth
        if key not in self._below:  # of all mixes at once; these stay as long as their hours
            load, hours = self._by_load(service, r)
            at = np.searchsorted(load, mixes.reach * ((1 + 1e-12) / growth), side="right")
            self._below[key] = mixes, hours[at], float(hours[-1])
        _, every, whole = self._below[key]
        below = every[steps.mix]
        below[-1] = whole
        found: Floats = np.diff(below, prepend=0.0)
        return found

    def _joint(self, r: int, services: tuple[str, ...], held: Key, growth: float) -> float:
        loads, hours = self._typical(r, services, growth)
        group = Group(self.market, {s: self.menus[s] for s in services}, dict(held), self._memo)
        missed = sum(self._missed(r, services, s, growth, steps[1.0]) for s, steps in group.steps.items())
        return float(hours @ group.cost(loads)) + missed

    def _missed(self, r: int, services: tuple[str, ...], service: str, growth: float, steps: Steps) -> float:
        """What the typical loads miss of a service's cost were all it may use its own [USD]."""
        key = r, services, service, growth, id(steps)  # steps stay as long as their memo
        if key not in self._miss:
            loads, hours = self._typical(r, services, growth)
            guess = float(hours @ steps.cost[steps.at(loads[service])])
            mean = float(steps.cost @ self._each(steps, self.menus[service], service, r, growth))
            self._miss[key] = mean - guess
        return self._miss[key]

    def _step(self, service: str, held: Key) -> Steps:
        sharing = self._memo.sharing(self.market, {service: self.menus[service]}, tuple(i for i, _ in held))
        return self._memo.steps(sharing, service, dict(held))

    def _by_load(self, service: str, r: int) -> tuple[Floats, Floats]:
        """All path hours of a regime by load, and the hours (a year has W of them, not W × paths)
        below each and in all.
        """
        if (service, r) not in self._sorted:
            hours = self.regimes[r].hours
            flat = self._loads[service][:, hours].ravel()
            order = np.argsort(flat)
            weight = self._hours[:, hours].ravel()[order]
            self._sorted[service, r] = flat[order], np.concatenate([[0.0], np.cumsum(weight)])
        return self._sorted[service, r]

    def _typical(self, r: int, services: tuple[str, ...], growth: float) -> tuple[dict[str, Floats], Floats]:
        """Joint loads of a regime and the hours of each: all that differ where these are few, else
        the middles of ``JOINT`` strata of like sum, each load in shares of its mean; all times
        ``growth``.
        """
        key = r, services, growth
        if key not in self._states and growth != 1.0:
            each, hours_of = self._typical(r, services, 1.0)
            self._states[key] = {s: growth * x for s, x in each.items()}, hours_of
        if key not in self._states:
            hours = self.regimes[r].hours
            loads = np.stack([self._loads[s][:, hours].ravel() for s in services], axis=1)
            weight = self._hours[:, hours].ravel()
            whole, some = weight.sum(), np.arange(len(loads))
            if len(loads) > SORTED:  # a stride would meet some hours of the day alone
                some = np.sort(np.random.default_rng(0).choice(len(loads), SORTED, replace=False))
            loads, weight = loads[some], weight[some]
            states, at = np.unique(loads, axis=0, return_inverse=True)
            weight = np.bincount(at.reshape(-1), weight, minlength=len(states)).astype(np.float64)
            if len(states) > JOINT:
                order = np.argsort((states / np.maximum(states.mean(axis=0), 1e-12)).sum(axis=1), kind="stable")
                cuts = np.linspace(0, len(order), JOINT + 1).astype(np.intp)[:-1]
                weight = np.add.reduceat(weight[order], cuts)
                states = states[order[np.minimum(cuts + len(order) // (2 * JOINT), len(order) - 1)]]
            weight = weight * (whole / max(weight.sum(), 1e-300))
            self._states[key] = {s: states[:, k].copy() for k, s in enumerate(services)}, weight
        return self._states[key]
