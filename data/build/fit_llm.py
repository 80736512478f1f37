"""Fit the constants of LLM serving on public records and write data/models/llm_*.csv.

Usage: python data/build/fit_llm.py REFERENCE_FOLDER [PART] [--check]

The folder holds gpuperf/llm_serving.csv; --check writes nothing. Parts, of which ``all`` is the default:
``constants`` the constants and effects, ``pairs`` the bands of combinations and the margin of the
largest load, ``parts`` the bands of unseen models and accelerators, ``stacks`` how far servers with
default flags lie from the model (gpuperf/llm_serving_more.csv). The fit is in ``llm_fit.py``, what
it is worth on records left out in ``llm_left_out.py``.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from gpuperf_rows import Rows, read_rows
from llm_fit import COMMON, METRICS, UNITS, Fit, combinations
from llm_left_out import (
    JUDGE,
    NEAR,
    PARTS,
    SEEDS,
    Z90,
    bands_of_parts,
    configurations,
    join,
    judge_parts,
    left_out,
    margins,
    parts_left_out,
    show,
    sigmas,
)

from planner.arrays import Floats
from planner.latency.llm.bench import report
from planner.latency.llm.constants import constants as shipped
from planner.latency.llm.steps import TIMES, Constants

OUT = Path(__file__).parents[1] / "models"


def fit_parts(rows: Rows, write: bool) -> None:
    """Bands of unseen models and accelerators, and their judgement."""
    parts = join([parts_left_out(rows, seed=seed) for seed in PARTS])
    found = bands_of_parts(rows, parts)
    print(found.round(3).to_string())
    judge_parts(rows, parts, parts_left_out(rows, seed=JUDGE), planned_margin())
    if write:
        save_errors(found)


def measure_stacks(reference: Path, write: bool) -> None:
    """The share of the speed of the shipped constants that servers with default flags reach: the
    median of their throughput, each (model, accelerator) of equal weight; how far they lie from that:
    90 % quantile of |log error| / 1.645, weighed alike. Nothing else is fitted on these records.
    """
    rows = read_rows(reference / "gpuperf" / "llm_serving_more.csv")
    rows = rows.take(np.flatnonzero(rows.frame["notes"].str.contains("default flags")))
    many = [shipped(c) for c in rows.conditions]
    own = Constants(**{k: np.array([getattr(c, k) for c in many]) for k in COMMON})
    pairs = combinations(rows)
    weight = (1.0 / pairs.map(pairs.value_counts())).to_numpy(float)
    speed = -_misses(rows, own)[:, METRICS.index("throughput")]
    share = round(float(np.exp(_quantile(speed, weight, 0.5))), 4)
    each = np.exp(pd.Series(speed).groupby(pairs.to_numpy()).median())
    miss = np.abs(_misses(rows, own.scaled(**dict.fromkeys(TIMES, 1.0 / share))))
    sigma = {name: _quantile(miss[:, m], weight, 0.9) / Z90 for m, name in enumerate(METRICS)}
    print(f"default flags: {share:.2f} of the speed ({each.min():.2f} to {each.max():.2f}), σ {sigma}")
    reached = {"share": share, "worst_share": each.min(), "best_share": each.max()}
    counts = {"rows": len(pairs), "pairs": pairs.nunique()}
    if write:
        table = pd.DataFrame([{"stack": "default", **sigma, **reached, **counts}])
        table.round(4).to_csv(OUT / "llm_stacks.csv", index=False, lineterminator="\n")


def _misses(rows: Rows, own: Constants) -> Floats:
    """Ln of predicted over measured (rows, metrics); NaN where it was not measured."""
    return np.log(np.stack(report(rows.plant, own, rows.runs), axis=1)) - np.log(rows.measured)


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    """Weighted quantile of what is known: the first value that ``share`` of the weight reaches."""
    known = np.isfinite(values)
    values, weight = values[known], weight[known]
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weight[order]) / weight.sum(), share)])


def planned_margin() -> float:
    """The margin [σ] that the planner uses."""
    table = pd.read_csv(OUT / "llm_margin.csv")
    return float(table.loc[table["planned"] == 1, "sigmas"].iloc[0])


def main(reference: Path, what: str, write: bool) -> None:
    if what in ("all", "stacks"):
        measure_stacks(reference, write)
    if what == "stacks":
        return
    rows = read_rows(reference / "gpuperf" / "llm_serving.csv")
    if what in ("all", "constants"):
        whole = Fit(rows)
        count = combinations(rows).nunique()
        show(rows, whole.predict(rows), f"{len(rows.conditions)} rows, {count} combinations, fitted:")
        if write:
            save_constants(rows, whole)
    if what in ("all", "pairs"):
        fit_pairs(rows, write)
    if what in ("all", "parts"):
        fit_parts(rows, write)


def fit_pairs(rows: Rows, write: bool) -> None:
    """Bands of configurations and of combinations left out, and the margin planned with."""
    trials = [left_out(rows, combinations(rows), seed=seed) for seed in SEEDS]
    for seed, trial in zip(SEEDS, trials, strict=True):
        show(rows, trial.predicted, f"combinations left out, deal {seed}:")
    many = rows.take(np.tile(np.arange(len(rows.conditions)), len(SEEDS)))
    predicted, near = (np.concatenate([t.predicted for t in trials]), np.concatenate([t.near for t in trials]))
    for mode in sorted(set(rows.runs.mode)):
        at = np.flatnonzero(many.runs.mode == mode)
        show(many.take(at), predicted[at], f"combinations left out, all deals, {mode}:")
    within = left_out(rows, configurations(rows)).predicted
    show(rows, within, "configurations left out:")
    table = pd.DataFrame(sigmas(rows, within, np.full(len(within), "combination")) + sigmas(many, predicted, near))
    print(table.round(3).to_string())
    kept = margins(rows, trials, table)
    print(kept.to_string())
    if write:
        save_errors(table[~table["seen"].isin(NEAR)])
        kept.to_csv(OUT / "llm_margin.csv", index=False, lineterminator="\n")


def save_errors(found: pd.DataFrame) -> None:
    """Write bands; those of other nearness stay as they are."""
    old = pd.read_csv(OUT / "llm_errors.csv")
    table = pd.concat([old[~old["seen"].isin(found["seen"])], found])
    order = {near: i for i, near in enumerate(("combination", "pair", *NEAR))}
    table = table.sort_values("seen", key=lambda s: s.map(order), kind="stable")
    table.round(4).to_csv(OUT / "llm_errors.csv", index=False, lineterminator="\n")


def save_constants(rows: Rows, fit: Fit) -> None:
    """Write the constants, and the effects that move them."""
    source = f"fitted on {len(rows.conditions)} public serving records (gpuperf table of 2026-11, llm_serving.csv)"
    common = [
        {
            "constant": k,
            "value": f"{COMMON[k][0] * np.exp(fit.x[fit.place['', '', k]]):.6g}",
            "unit": UNITS[k],
            "source": source,
        }
        for k in COMMON
    ]
    pd.DataFrame(common).to_csv(OUT / "llm_constants.csv", index=False, lineterminator="\n")
    effects = [
        {"term": t, "level": v, "constant": k, "log_effect": f"{x:.4f}"}
        for (t, v, k), x in zip(fit.keys, fit.x, strict=True)
        if t and abs(x) >= 0.002
    ]
    effects += [
        {"term": "combination", "level": name, "constant": "weight_read", "log_effect": "0"}
        for name in sorted(set(combinations(rows)))
    ]
    pd.DataFrame(effects).to_csv(OUT / "llm_effects.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    words = [a for a in sys.argv[2:] if a != "--check"]
    main(Path(sys.argv[1]), words[0] if words else "all", "--check" not in sys.argv)
