"""What a plan must obey beside the listing, and how a failure is made small.

python -m tests.optimizer_oracle.verdict FIRST LAST     the failures among these seeds, and how near plans come
python -m tests.optimizer_oracle.verdict --shrink SEED  the same failure with as few features as keep it
"""

import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np

from planner import optimize
from planner.errors import InfeasiblePlan, PlannerError
from planner.plan import Plan
from tests.optimizer_oracle.draw import FEATURES, Case, draw
from tests.optimizer_oracle.listing import Best, cheapest

EQUAL = 1e-6
CLAIMED = 1e-9  # a smaller gap says that nothing is cheaper


@dataclass(frozen=True)
class Verdict:
    """``faults`` by kind; ``above`` the plan over the listing's best as a share (NaN: no plan); its gap."""

    case: Case
    faults: dict[str, str]
    above: float = float("nan")
    gap: float = float("nan")

    @property
    def told(self) -> str:
        return f"{self.case.told}: " + "; ".join(f"{kind}: {words}" for kind, words in self.faults.items())


def judge(case: Case) -> Verdict:
    """Plan a case, list it, and hold the two against each other."""
    best = cheapest(case)
    try:
        plan = optimize(case.scenario, case.load, case.capacity, case.catalog, valued_on=case.load)
    except InfeasiblePlan as error:
        lost = (
            {}
            if best is None
            else {"refused": f"a plan for {best.usd:.6f} exists: {best.types}, {best.signed}; {error}"}
        )
        return Verdict(case, lost)
    except PlannerError as error:
        return Verdict(case, {"error": repr(error)})
    if best is None:
        return Verdict(case, {"allowed": f"no plan keeps the limits, one for {plan.objective_usd:.6f} was made"})
    above = plan.objective_usd / max(best.usd, 1e-9) - 1
    return Verdict(case, dict(_faults(plan, best)), above, plan.certificate.gap_share)


def _faults(plan: Plan, best: Best):
    """Each law that a plan breaks, by kind."""
    usd, lower, room = plan.objective_usd, plan.certificate.lower_bound_usd, EQUAL * max(best.usd, 1e-3)
    found = f"the listing has {best.usd:.6f} with {best.signed}, {best.types}"
    if not np.isfinite(lower):
        yield "no bound", "the certificate holds none"
    if lower > best.usd + room:
        yield "untrue bound", f"{lower:.6f} claimed, {found}"
    if usd < best.usd - room:
        yield "too cheap", f"plan {usd:.6f}, {found}"
    if plan.certificate.gap_share < CLAIMED and abs(usd - best.usd) > room:
        yield "not optimal", f"plan {usd:.6f} claimed optimal, {found}"
    rows = float(plan.cost["effective_cost_usd"].sum())
    if abs(rows - usd) > 1e-9 * max(1.0, usd):
        yield "rows", f"Σ rows {rows:.6f}, headline {usd:.6f}"
    mean = float(np.mean(plan.paths_usd))
    if abs(mean - usd) > EQUAL * max(usd, 1e-3):
        yield "mean of paths", f"{mean:.6f}, headline {usd:.6f}"


def shrunk(seed: int) -> Verdict:
    """The failure of a seed with as many features left out as keep one of its kinds."""
    verdict = judge(draw(seed))
    kinds, without = set(verdict.faults), frozenset()
    for feature in FEATURES:
        again = judge(draw(seed, without | {feature}))
        if kinds & set(again.faults):
            verdict, without = again, without | {feature}
    return verdict


def survey(first: int, last: int) -> None:
    """Print every failure of the seeds, then counts by kind and how near plans and bounds come."""
    kinds, above, gaps, refused, claimed = Counter(), [], [], 0, 0
    for seed in range(first, last):
        verdict = judge(draw(seed))
        kinds.update(list(verdict.faults))
        if verdict.faults:
            print(verdict.told, flush=True)
        if np.isnan(verdict.above):
            refused += 1
            continue
        claimed += verdict.gap < CLAIMED
        above.append(verdict.above)
        gaps.append(verdict.gap)
    worse = int((np.array(above) > EQUAL).sum())
    print(f"{last - first} cases, {refused} without a plan, {claimed} claimed optimal; faults {dict(kinds)}")
    print(f"{worse} plans above the listing: mean {np.mean(above):.5f}, worst {np.max(above):.5f}")
    print(f"gap claimed: median {np.median(gaps):.5f}, worst {np.max(gaps):.5f}")


if __name__ == "__main__":
    if sys.argv[1] == "--shrink":
        print(shrunk(int(sys.argv[2])).told)
    else:
        survey(int(sys.argv[1]), int(sys.argv[2]))
