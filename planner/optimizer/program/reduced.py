"""The reduced path: prune, plan on groups of hours, value every hour of every scenario, cut; to a
stated gap.

The cost of commitments N is fees·N + Q(N), Q(N) = Σ_k ω_k V(L_k, N), V the cost of one hour, convex
in its load L and in N.

Lower bound, by one linear program in N and the cost z_g of each group g of hours,

    min fees·N + Σ_g z_g,   z_g ≥ ω_g V(mean load of g, N)   (Jensen 1906),   Σ_{g in family f} z_g
        ≥ cut_f(N) for every cut

its duals priced out against every offer left out of play. A cut is learned at commitments Nᵗ from
any dual feasible π_k of the hours (Benders 1962; by families, Birge and Louveaux 1988): Σ_{k in f}
ω_k π_k·b(L_k, N), linear in N and below Q_f(N) everywhere; the dual of a pool that is not in play
is −max(0, what its best machine would gain), else the cut would not hold. Upper bound: Nᵗ with
every hour valued exactly (bunching). Cuts are learned half-way between the best commitments known
and those of the lower bound (in-out separation, Ben-Ameur and Neto 2007), because cuts at the
extreme points of a flat valley say little.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from planner.arrays import Floats, Index
from planner.optimizer.program.grouped import Cut, Stack
from planner.optimizer.program.groups import aggregate, groups_of
from planner.optimizer.program.hours import Recourse, Valued, templates_of
from planner.optimizer.program.model import build
from planner.optimizer.program.priced_out import Audit, Duals, Finding, Pairs
from planner.optimizer.program.problem import Problem, States, Type, Workload
from planner.optimizer.program.solve import solve

GAP = 1e-4
STEP = 2  # offers of a workload taken into play at a time
PARTS = 6  # a group falls into at most so many in one round
ASKED = 700  # hours given to the solver in a round that only learns
OUTRIGHT = 4  # every fourth round learns at the commitments of the lower bound themselves
EXACT = 20_000  # hours of all scenarios up to which every round values all of them exactly
PATIENT = 8  # rounds before groups are split further


@dataclass(frozen=True)
class Reduced:
    """``status`` optimal, infeasible, or full (solved hour by hour); lower and upper bound [USD];
    units bought; what it took.
    """

    status: str
    lower: float = np.nan
    upper: float = np.nan
    bought: Mapping[str, float] = field(default_factory=dict)
    groups: int = 0
    rounds: int = 0
    solved_hours: int = 0

    @property
    def gap_share(self) -> float:
        """(upper − lower) / upper."""
        return max(0.0, self.upper - self.lower) / max(1e-12, abs(self.upper))


def plan(problem: Problem, *, gap: float = GAP, groups: int = 48, families: int = 160, rounds: int = 60) -> Reduced:
    """Solve a problem to ``gap``. Whole numbers and a total budget tie the hours together: those
    are solved in full.

    ``groups`` of hours find the offers worth having in play, ``families`` carry the bounds; more
    are split off after some rounds.
    """
    if problem.whole_instances or problem.whole_commitments or problem.total_budget_usd is not None:
        return _full(problem)
    states = problem.hours
    member, near = groups_of(states, groups), 0.5 * gap
    search = _Search(problem, states, groups_of(states, families))
    for number in range(1, rounds + 1):
        grouped = aggregate(states, member)
        out = number % OUTRIGHT == 0 or len(states) <= families
        if not search.lower_bound(grouped, member) or (valued := search.learn(out)) is None:
            return _full(problem)
        if not search.settled and (search.nearly(near) or number == rounds):
            near *= 0.5
            if not search.settle():
                return _full(problem)
        done = search.report(len(grouped), number)
        if done.gap_share <= gap:
            return done
        member = (
            search.families
            if number == 1
            else search.split(member, valued, grouped, 0.3 * gap, families * (1 + number // PATIENT))
        )
    return done


class _Search:
    """Bounds and what has been learned on the way: offers in play, bases, cuts by family of hours.

    ``best`` are the commitments of least cost so far by ``estimate``, a lower bound of their cost
    that is their cost once ``settled``.
    """

    def __init__(self, problem: Problem, states: States, families: Index) -> None:
        self.problem, self.states, self.audit, self.families = problem, states, Audit(problem, states), families
        self.fee = {b.name: problem.fee_usd(b) for b in problem.products}
        self.lower, self.upper, self.estimate, self.settled = -np.inf, np.inf, np.inf, False
        self.best, self.bought = dict[str, float](), dict[str, float]()
        self.units: Floats = np.zeros(0)
        self.cuts: list[Cut] = []
        self._recourse: Recourse | None = None
        self._before: Recourse | None = None
        self._play(shortlist(problem))

    def _play(self, pairs: Pairs) -> None:
        """Take offers into play: the smaller problem, its known pools and one-hour models; bases
        are inherited when next asked.
        """
        self.pairs, self.small = pairs, self.problem.restricted(pairs)
        self.known = {g.name for g in self.small.pools}
        self.templates = templates_of(self.small, self.states)
        self._before, self._recourse = self._recourse or self._before, None

    @property
    def recourse(self) -> Recourse:
        """Values the offers in play."""
        if self._recourse is None:
            self._recourse, self._before = Recourse(self.states, self.templates, self._before), None
        return self._recourse

    def report(self, groups: int, rounds: int) -> Reduced:
        """Where the search stands."""
        return Reduced("optimal", self.lower, self.upper, self.bought, groups, rounds, self.recourse.solved)

    def lower_bound(self, grouped: States, member: Index) -> bool:
        """The program over groups and cuts, with offers added until none left out has a negative
        reduced cost; False if infeasible.

        The value is a lower bound of the whole problem only then, since an offer left out could
        make it cheaper. If the offers in play cannot serve, all of them are taken into play
        before the problem is called infeasible.
        """
        of_group = np.zeros(len(grouped), dtype=np.intp)
        if self.cuts:
            of_group[member] = self.families
        while True:
            stack = Stack(self.small, grouped, of_group, self.templates, self.cuts)
            found = stack.solve()
            if not found.optimal:
                everything = {
                    w.name: dict.fromkeys(i for i, c in w.capacity.items() if c > 0) for w in self.problem.workloads
                }
                if everything == self.pairs:
                    return False
                self._play(everything)
                continue
            tolerance = 1e-10 * max(1.0, abs(found.objective))
            finding = self.audit.examine(self.pairs, self.known, stack.duals(found), tolerance / len(grouped))
            credit = self._credit(stack.cut_duals(found)) if self.cuts else {}
            if not self._grow(finding, credit, tolerance):
                self.lower, self.units = max(self.lower, found.objective), found.x[: len(self.small.products)]
                return True

    def _credit(self, duals: Floats) -> dict[str, float]:
        """What the cuts say a unit of each product saves."""
        return {b: sum(float(d @ -c.slope[b]) for d, c in zip(duals, self.cuts, strict=True)) for b in self.fee}

    def _grow(self, finding: Finding, credit: Mapping[str, float], tolerance: float, step: int = STEP) -> bool:
        """Take into play the best of what the audit found worth it: a few offers of each
        workload, a few pools, at a time.

        A product is worth it if what a unit saves, in the hours priced out and by the cuts, is
        more than its fee. Returns False if nothing was added.
        """
        more: Pairs = {w: {} for w in self.pairs}
        for (w, i), _ in sorted(finding.pairs.items(), key=lambda item: item[1]):
            if len(more[w]) < step:
                more[w][i] = None
        worth: dict[str, float] = {}
        for b in self.problem.products:
            saved = float(np.sum(finding.saved.get(b.pool, 0.0))) + credit.get(b.name, 0.0)
            if saved > self.fee[b.name] + tolerance and b.pool in finding.by_pool:
                worth[b.pool] = max(
                    worth.get(b.pool, 0.0),
                    saved / self.fee[b.name] if self.fee[b.name] > 0 else np.inf,
                )
        worth |= dict.fromkeys(self.audit.existing & set(finding.by_pool), np.inf)
        for pool in sorted(worth, key=lambda g: -worth[g])[: 4 * STEP]:
            gains = finding.by_pool[pool]
            for w, i in sorted(gains, key=lambda key: -gains[key])[:STEP]:
                more[w][i] = None
        if not any(more.values()):
            return False
        self._play({w: self.pairs[w] | more[w] for w in self.pairs})
        return True

    def learn(self, out: bool) -> Valued | None:
        """Value commitments and learn a cut: those of the lower bound if ``out``, else half-way
        from there to the best known.

        The half-way point keeps the search near what was good and so learns from fewer extreme
        commitments. Offers that would lower the cost of an hour at these commitments are taken
        into play first and the hours valued again. ``None`` if an hour cannot be served.
        """
        if self.best and not out:
            self.units = 0.5 * (self.units + self._units(self.best))
        most = np.inf if len(self.states) <= EXACT else ASKED
        while True:
            valued = self.recourse.cost(self.units, most=most)
            if valued is None:
                return None
            weights = self._weights(valued)
            finding = self.audit.examine(self.pairs, self.known, self._duals(weights), 1e-9)
            if not finding.pairs:
                break
            before = {b.name: n for b, n in zip(self.small.products, self.units, strict=True)}
            self._grow(Finding(finding.pairs, {}, {}), {}, np.inf, step=len(self.problem.types))
            self.units = self._units(before)
        self._learn(valued, weights, finding)
        total = self._total(valued)
        if total < self.estimate:
            self.estimate, self.settled, self.best = total, False, self._named()
        if not valued.left:
            self._offer(total)
        return valued

    def nearly(self, gap: float) -> bool:
        """Whether the best commitments would close to a gap if they cost no more than their
        estimate.
        """
        return self.estimate - self.lower <= gap * abs(self.estimate)

    def settle(self) -> bool:
        """Value the best commitments in every hour; False if one cannot be served.

        This turns the estimate, a lower bound where hours were left to their bases, into a cost
        that can be had: the upper bound.
        """
        before, self.units = self.units, self._units(self.best)
        valued = self.recourse.cost(self.units)
        if valued is None:
            return False
        self.estimate = self._total(valued)
        self._offer(self.estimate)
        self.units = before
        return True

    def _offer(self, total: float) -> None:
        if total < self.upper:
            self.upper, self.bought = total, self._named()
        self.settled = self.settled or self._named() == self.best

    def _total(self, valued: Valued) -> float:
        fees = sum(self.fee[b.name] * n for b, n in zip(self.small.products, self.units, strict=True))
        return float(np.sum(self.states.weight_h * valued.cost)) + float(fees)

    def _named(self) -> dict[str, float]:
        return {b.name: float(n) for b, n in zip(self.small.products, self.units, strict=True)}

    def _units(self, named: Mapping[str, float]) -> Floats:
        return np.array([named.get(b.name, 0.0) for b in self.small.products])

    def split(self, member: Index, valued: Valued, grouped: States, enough: float, most: int) -> Index:
        """Groups split where their mean hides the most cost at the commitments just valued; all as
        before at ``most`` groups.
        """
        means = self.recourse.cost(self.units, grouped) if len(grouped) < most else None
        if means is None:
            return member
        return _split(self.states, member, valued, means.cost, grouped, enough * abs(self.estimate), most)

    def _weights(self, valued: Valued) -> dict[int, Floats]:
        """Hours by basis and family (bases, families), by price class."""
        out, families = {}, int(self.families.max()) + 1
        for price, weight in valued.weight.items():
            here = np.flatnonzero(self.states.price == price)
            at = valued.number[here] * families + self.families[here]
            hours = np.bincount(at, self.states.weight_h[here], minlength=len(weight) * families).astype(np.float64)
            out[price] = hours.reshape(len(weight), families)
        return out

    def _duals(self, weights: Mapping[int, Floats]) -> Duals:
        out = {}
        for price, weight in weights.items():
            used = np.flatnonzero(weight.sum(axis=1) > 0)
            out[price] = (
                self.recourse.templates[price].rows,
                self.recourse.duals(price)[:, used],
                np.ones(len(used)),
                weight[used],
            )
        return out

    def _learn(self, valued: Valued, weights: Mapping[int, Floats], finding: Finding) -> None:
        """Add a cut at the commitments just valued (Benders 1962), one
        for each family f of hours.

        Q_f(N) ≥ Σ_k ω_k V_k − slope·N⁰ + slope·N, slope_b = Σ_k ω_k π_k · bought_b. A product
        whose pool is not in play has the slope −saved, the most a unit of it could save.
        """
        families = int(self.families.max()) + 1
        slope = np.zeros((len(self.units), families))
        for price, weight in weights.items():
            slope += self.recourse.templates[price].bought.T @ (self.recourse.duals(price) @ weight)
        hours = np.bincount(self.families, self.states.weight_h * valued.cost, minlength=families)
        known = {b.name: slope[j] for j, b in enumerate(self.small.products)}
        absent = {
            b.name: -(finding.saved.get(b.pool, 0.0) + np.zeros(families))
            for b in self.problem.products
            if b.name not in known
        }
        self.cuts.append(Cut(hours - self.units @ slope, known | absent))


def _full(problem: Problem) -> Reduced:
    """Every hour in one program: the oracle, and the way for problems whose hours are tied
    together.
    """
    model = build(problem)
    found = solve(model.lp, variables=model.variables)
    if not found.optimal:
        return Reduced(found.status)
    bought = {b: found.values[v.name] * step for b, (v, step) in model.bought.items()}
    return Reduced("full", found.bound, found.objective, bought, len(problem.states))


def shortlist(problem: Problem) -> Pairs:
    """Types that are cheapest for their capacity in some option, for each workload, and all
    that a rule may force in.

    Only where the search begins: what is left out here is priced out later and taken in if it
    pays. One type for each option, four where zones, shares, limits or scarce spot may force
    a second choice, all of them where traffic costs or credits tie offers together. Prices
    are means over the hours.
    """
    fees: dict[str, float] = {}
    for b in problem.products:
        fees[b.pool] = min(fees.get(b.pool, np.inf), problem.fee_usd(b) / problem.horizon_h)
    pairs: Pairs = {}
    for w in problem.workloads:
        kept: dict[str, None] = {}
        able = [t for t in problem.types if w.capacity.get(t.name, 0.0) > 0]
        shared = w.type_share is not None or w.others_share is not None
        forced = shared or w.zones or problem.limits or any(t.spot_max is not None for t in able)
        wide = 1 if not forced else 4
        if w.serve_cost or any(g.credit_usd is not None for g in problem.pools):
            wide = len(able)  # traffic and credits tie offers together: nothing is left out
        options = [
            {t.name: _mean(t.on_demand_usd_per_h) + _extra(w, t) for t in able},
            {
                t.name: (
                    (_mean(t.spot_usd_per_h) + _extra(w, t))
                    * w.capacity[t.name]
                    / max(1e-12, w.spot_capacity_of(t.name))
                )
                for t in able
            },
        ]
        for g in problem.pools:
            if g.credit_usd is None:
                price = 0.0 if g.existing > 0 else fees.get(g.name, np.inf)
                options.append({t.name: g.units[t.name] * price + _extra(w, t) for t in able if t.name in g.units})
            else:
                saved = max(0.0, g.credit_usd - fees.get(g.name, np.inf)) if g.existing <= 0 else g.credit_usd
                options.append(
                    {t.name: _mean(t.on_demand_usd_per_h) - g.units[t.name] * saved for t in able if t.name in g.units}
                )
        narrow = [o for o in options if len(o) == 1]
        merged: dict[str, float] = {}
        for o in narrow:  # pools of one type compete with each other
            for name, price in o.items():
                merged[name] = min(merged.get(name, np.inf), price)
        for prices in [*(o for o in options if len(o) > 1), merged]:
            ranked = sorted(
                (p / w.capacity[n] + w.serve_cost.get(n, 0.0), n) for n, p in prices.items() if np.isfinite(p)
            )
            kept |= dict.fromkeys(n for _, n in ranked[:wide])
        pairs[w.name] = kept or dict.fromkeys(t.name for t in able)
    return pairs


def _mean(price: float | Floats | None) -> float:
    return np.inf if price is None else float(np.nanmean(price))


def _extra(w: Workload, t: Type) -> float:
    return t.instance_usd_per_h + w.instance_usd_per_h.get(t.name, 0.0)


def _split(
    states: States, member: Index, valued: Valued, at_mean: Floats, grouped: States, enough: float, most: int
) -> Index:
    """Groups split by basis where the mean hides the most cost, until what stays hidden
    is below ``enough`` [USD].

    Hidden cost of a group: Σ ω V(load) − ω_g V(mean load) ≥ 0. Hours of one basis have one
    linear cost, so a group of a single basis hides nothing. At most ``PARTS`` groups come of
    one, the heaviest bases by hours, and at most about ``most`` groups in all.
    """
    hidden = np.bincount(member, states.weight_h * valued.cost, minlength=len(grouped)) - grouped.weight_h * at_mean
    after, count, left = member.copy(), len(grouped), float(hidden.sum())
    for g in np.argsort(-hidden):
        if left <= enough or count >= most or hidden[g] <= 0:
            break
        rows = np.flatnonzero(member == g)
        kinds, inverse = np.unique(valued.basis[rows], return_inverse=True)
        heavy = np.argsort(-np.bincount(inverse, states.weight_h[rows]))[1:PARTS]
        for part in heavy:
            after[rows[inverse == part]] = count
            count += 1
        left -= float(hidden[g]) if len(kinds) > 1 else 0.0
    return after
