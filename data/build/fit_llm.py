"""Fit the constants of LLM serving on public records and write data/models/llm_*.csv.

Usage: python data/build/fit_llm.py REFERENCE_FOLDER [all | constants | parts | stacks] [--check] (the
    folder that holds gpuperf/llm_serving.csv; --check writes nothing). ``constants`` writes the
    constants and effects alone, ``parts`` the bands of unseen models and accelerators alone, ``stacks``
    how far servers with default flags lie from the model (gpuperf/llm_serving_more.csv).

Maximum a posteriori: log-constants are a common value plus normal effects of engine, accelerator,
precision, model ..., fitted to log TPOT, throughput and TTFT with Student-t errors by Gauss-Newton
steps. Rows of one (model, accelerator) combination are not independent, so the likelihood is
tempered; prior widths and tempering were chosen by the errors on combinations left out, dealt to
folds in three ways (seeds 0, 2, 3), so that an unseen engine, model or chip falls back to the
common value. The error bands and the margin of the largest load come from the same cross-validation
over five deals.
"""

import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, sparse

from planner.arrays import Floats, Index

sys.path.insert(0, str(Path(__file__).parent))
from gpuperf_rows import Rows, read_rows
from llm_choices import Case, cases, judged, margin

from planner.latency.llm.bench import batch, report
from planner.latency.llm.constants import constants as shipped
from planner.latency.llm.steps import Constants

OUT = Path(__file__).parents[1] / "models"
# common value (starting point) and the width of its log prior
COMMON = {
    "weight_read": (1.43, 0.3),
    "expert_read": (1.67, 0.4),
    "kv_read": (1.67, 0.4),
    "weight_math": (2.5, 0.5),
    "expert_math": (3.3, 0.5),
    "prompt_math": (1.82, 0.4),
    "attention_math": (2.5, 0.5),
    "state_math": (10.0, 1.0),
    "link_time": (1.67, 0.5),
    "expert_link_time": (1.67, 0.5),
    "collective_s": (8e-6, 0.8),
    "layer_s": (8e-6, 0.8),
    "moe_layer_s": (40e-6, 1.0),
    "step_s": (1e-3, 0.8),
    "sequence_s": (12e-6, 1.0),
    "request_s": (0.03, 1.0),
    "burst_share": (0.15, 1.5),
    "drain_share": (1.0, 1.0),
    "overlap": (1.0, 0.2),
    "wave_share": (0.3, 1.0),
}
OF_TESTS = ("burst_share", "drain_share", "overlap", "wave_share")
# width of the log effects by term, and of the few that hold for single constants; what an engine
# does before the first step is its own
WIDTHS = {
    "engine": 0.08,
    "accelerator": 0.075,
    "family": 0.09,
    "precision": 0.09,
    "model": 0.075,
    "engine_family": 0.09,
    "engine_kind": 0.15,
    "engine_experts": 0.12,
}
REQUEST = 3.3
SINGLE = {
    ("engine", "burst_share"): 0.5,
    ("engine_lengths", "burst_share"): 1.0,
    ("lengths", "burst_share"): 1.0,
    ("mode", "request_s"): 0.7,
    ("mode", "step_s"): 0.3,
    ("mode", "overlap"): 0.2,
    ("mode", "sequence_s"): 0.3,
    ("mode", "drain_share"): 0.5,
}
# SGLang runs waiting prompts before it decodes: clients of equal lengths then stay in step, and all
# wait for the prompts of all
CENTER = {("engine_lengths", "sglang|fixed", "burst_share"): 1.9}
SCALE, IMPORTANCE, FREEDOM, TEMPER, COMBINATION = (
    np.array([0.12, 0.12, 0.35]),
    np.array([1.0, 1.0, 0.35]),
    4.0,
    0.15,
    0.5,
)
UNITS = {k: "share" if k in OF_TESTS else "s" if k.endswith("_s") else "× datasheet time" for k in COMMON}
METRICS, FEW, SEEDS = ("tpot", "throughput", "ttft"), 40, (0, 1, 2, 3, 4)
# deals of whole models and whole accelerators: those that make the bands, and the one that judges
PARTS, JUDGE, Z90 = (0, 1), 2, 1.645
# what a fit had seen of a deployment, where not both of its parts, and what was left out then
NEAR = ("accelerator", "model", "none")
LEFT_OUT = {
    "accelerator": "models",
    "model": "accelerators",
    "none": "models and accelerators",
}
# share of choices that the planned margin may leave broken: below the one in ten that is wanted, as
# other combinations will differ
BROKEN, MARGINS = 0.09, (0.0, 0.25, 0.5, 0.75, 1.0, 1.28, 1.65, 2.0)
Key = tuple[str, str, str]


def width(term: str, constant: str) -> float:
    if constant in OF_TESTS or (term, constant) in SINGLE:
        return SINGLE.get((term, constant), 0.0)
    return WIDTHS.get(term, 0.0) * (REQUEST if constant == "request_s" else 1.0)


class Design(NamedTuple):
    """What makes up the constants of rows: ``effects`` (conditions · constants, keys), 0 or 1, of
    the distinct conditions, and ``where`` (n,) each row's condition.
    """

    effects: sparse.csr_matrix
    where: Index


class Fit:
    """One fit: ``keys`` (term, level, constant), their log values ``x`` and prior widths."""

    def __init__(self, rows: Rows) -> None:
        levels = [c.levels() for c in dict.fromkeys(rows.conditions)]
        known = {pair for one in levels for pair in one.items()}
        effects = {(t, v, k) for t, v in known for k in COMMON if width(t, k) > 0}
        self.keys: list[Key] = [("", "", k) for k in COMMON] + sorted(effects | set(CENTER))
        self.place = {key: i for i, key in enumerate(self.keys)}
        self.width = np.array([COMMON[k][1] if not t else width(t, k) for t, _, k in self.keys])
        self.center = np.array([CENTER.get(key, 0.0) for key in self.keys])
        self.x = self.center.copy()
        self._climb(rows)

    def design(self, rows: Rows) -> Design:
        """The effects of each row's condition that this fit knows."""
        distinct = {c: i for i, c in enumerate(dict.fromkeys(rows.conditions))}
        entries = [
            (i * len(COMMON) + j, self.place[t, v, k])
            for c, i in distinct.items()
            for t, v in (("", ""), *c.levels().items())
            for j, k in enumerate(COMMON)
            if (t, v, k) in self.place
        ]
        at, key = np.array(entries).T
        shape = (len(distinct) * len(COMMON), len(self.keys))
        effects = sparse.csr_matrix((np.ones(len(at)), (at, key)), shape=shape)
        return Design(effects, np.array([distinct[c] for c in rows.conditions]))

    def constants(self, design: Design, x: Floats) -> Constants:
        """Constants of each row at ``x``."""
        logs = np.clip((design.effects @ x).reshape(-1, len(COMMON)), -3, 3)[design.where]
        return Constants(**{k: v[0] * np.exp(logs[:, j]) for j, (k, v) in enumerate(COMMON.items())})

    def predict(self, rows: Rows) -> Floats:
        """Log TPOT, throughput and TTFT of each row."""
        return np.log(
            np.stack(
                report(rows.plant, self.constants(self.design(rows), self.x), rows.runs),
                axis=1,
            )
        )

    def _climb(self, rows: Rows) -> None:
        design, y = self.design(rows), np.log(rows.measured)
        names = combinations(rows)
        weight = names.map(names.value_counts()).to_numpy(float) ** -COMBINATION
        weight = TEMPER * weight / weight.mean()

        def value(x: Floats) -> tuple[Floats, float]:
            r = y - np.log(np.stack(report(rows.plant, self.constants(design, x), rows.runs), axis=1))
            z = np.where(np.isfinite(r), r / SCALE, 0.0)
            loss = weight[:, None] * IMPORTANCE * (FREEDOM + 1) / 2 * np.log1p(z**2 / FREEDOM)
            return r, float((loss * np.isfinite(r)).sum() + 0.5 * (((x - self.center) / self.width) ** 2).sum())

        residual, loss, damping = *value(self.x), 1e-2
        for _ in range(30):
            hessian, gradient = self._normal_equations(rows, design, residual, weight)
            for _ in range(6):
                damped = hessian + damping * np.diag(np.diag(hessian))
                factor = linalg.cho_factor(damped, lower=True, overwrite_a=True, check_finite=False)
                step = linalg.cho_solve(factor, gradient, check_finite=False)
                step *= min(1.0, 1.0 / np.abs(step).max())
                trial, better = value(self.x + step)
                if better < loss:
                    break
                damping *= 6
            else:
                return
            gain, self.x, residual, loss, damping = (
                loss - better,
                self.x + step,
                trial,
                better,
                max(damping / 4, 1e-4),
            )
            if gain < 1e-3 * loss:
                return

    def _normal_equations(self, rows: Rows, design: Design, residual: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """Hessian and gradient: first over the constants of each distinct condition, then spread to
        the effects that make these up.
        """
        slopes = self._slopes(rows, self.constants(design, self.x))
        known = np.isfinite(residual)
        z = np.where(known, residual / SCALE, 0.0)
        w = (FREEDOM + 1) / (FREEDOM + z**2) * weight[:, None] * IMPORTANCE * known / SCALE**2
        count, k = design.effects.shape[0] // len(COMMON), len(COMMON)
        pulls, squares = np.zeros((count, k)), np.zeros((count, k, k))
        np.add.at(
            pulls,
            design.where,
            np.einsum("nkm,nm->nk", slopes, w * np.where(known, residual, 0.0)),
        )
        np.add.at(
            squares,
            design.where,
            np.einsum("nkm,nm,nlm->nkl", slopes, w, slopes, optimize=True),
        )
        blocks = sparse.block_diag(list(squares), format="csr")
        hessian = np.diag(1 / self.width**2) + (design.effects.T @ (blocks @ design.effects)).toarray()
        return hessian, (self.center - self.x) / self.width**2 + design.effects.T @ pulls.ravel()

    def _slopes(self, rows: Rows, c: Constants) -> Floats:
        """Derivatives of log metrics by log constants (n, constants, 3), by differences."""
        running = batch(rows.plant, c, rows.runs)
        here = np.log(
            np.stack(
                report(
                    rows.plant,
                    c,
                    rows.runs,
                    batch(rows.plant, c, rows.runs, running, 3),
                ),
                axis=1,
            )
        )
        found = np.empty((len(here), len(COMMON), 3))
        for j, k in enumerate(COMMON):
            moved = c.scaled(**{k: np.exp(1e-3)})
            there = report(
                rows.plant,
                moved,
                rows.runs,
                batch(rows.plant, moved, rows.runs, running, 3),
            )
            found[:, j] = np.nan_to_num((np.log(np.stack(there, axis=1)) - here) / 1e-3)
        return found


def combinations(rows: Rows) -> pd.Series:
    return pd.Series([f"{c.model.weights}|{c.chip.name}" for c in rows.conditions])


def configurations(rows: Rows) -> pd.Series:
    """What one benchmark run holds fixed: combination, engine, precision, layout and lengths."""
    lengths = rows.runs.input_tokens.astype(str)
    return pd.Series(
        [
            f"{c.model.weights}|{c.chip.name}|{c.engine}|{c.precision}|{c.layout}|{c.mode}|{i}"
            for c, i in zip(rows.conditions, lengths, strict=True)
        ]
    )


def folds(names: pd.Series, count: int, seed: int) -> Index:
    """Whole groups dealt to folds of about equal size."""
    rng = np.random.default_rng(seed)
    size, load, where = names.value_counts(), np.zeros(count), {}
    for name in sorted(size.index, key=lambda n: -(size[n] + 30 * rng.random())):
        where[name] = int(load.argmin())
        load[where[name]] += size[name]
    return names.map(where).to_numpy()


class LeftOut(NamedTuple):
    """Of every row by a fit that saw nothing of its group: log predictions (n, 3), whether it saw
    the model, and constants (n,).
    """

    predicted: Floats
    near: NDArray[np.str_]
    constants: Constants


def left_out(rows: Rows, groups: pd.Series, count: int = 6, seed: int = 0) -> LeftOut:
    """Grouped cross-validation: each fold of whole groups predicted by a fit on the others."""
    fold = folds(groups, count, seed)
    found, near = (
        np.full(rows.measured.shape, np.nan),
        np.full(len(fold), "accelerator", dtype="U12"),
    )
    values = {k: np.full(len(fold), np.nan) for k in COMMON}
    for j in range(count):
        inside, outside = (
            rows.take(np.flatnonzero(fold != j)),
            np.flatnonzero(fold == j),
        )
        known = {c.model.weights for c in inside.conditions}
        fit, there = Fit(inside), rows.take(outside)
        found[outside] = fit.predict(there)
        for k, v in vars(fit.constants(fit.design(there), fit.x)).items():
            values[k][outside] = v
        near[outside] = ["pair" if rows.conditions[i].model.weights in known else "accelerator" for i in outside]
    return LeftOut(found, near, Constants(**values))


class Parts(NamedTuple):
    """Rows by a fit that saw nothing of their model, of their accelerator, or of either: ``row``
    (n,) places in the table, ``fold`` (n,), ``near`` (n,) what the fit had seen (``accelerator``,
    ``model``, ``none``), log predictions (n, 3) and constants (n,).
    """

    row: Index
    fold: Index
    near: NDArray[np.str_]
    predicted: Floats
    constants: Constants


def parts_left_out(rows: Rows, count: int = 5, seed: int = 0) -> Parts:
    """Each fold leaves a share of the models and a share of the accelerators out of one fit, which
    then predicts the rows of those models, of those accelerators, and of both.
    """
    model = folds(pd.Series([c.model.weights for c in rows.conditions]), count, seed)
    chip = folds(pd.Series([c.chip.name for c in rows.conditions]), count, seed + 100)
    found = []
    for j in range(count):
        outside = np.flatnonzero((model == j) | (chip == j))
        fit, there = (
            Fit(rows.take(np.flatnonzero((model != j) & (chip != j)))),
            rows.take(outside),
        )
        near = np.select(
            [(model[outside] == j) & (chip[outside] == j), model[outside] == j],
            ["none", "accelerator"],
            "model",
        )
        values = fit.constants(fit.design(there), fit.x)
        found.append(Parts(outside, np.full(len(outside), j), near, fit.predict(there), values))
    return join(found)


def join(parts: list[Parts]) -> Parts:
    """Several sets of left-out rows as one."""
    constants = Constants(**{k: np.concatenate([getattr(p.constants, k) for p in parts]) for k in COMMON})
    row, fold, near, predicted = (np.concatenate([p[i] for p in parts]) for i in range(4))
    return Parts(row, fold, near, predicted, constants)


def show(rows: Rows, predicted: Floats, title: str) -> None:
    error = np.abs(np.exp(predicted) / rows.measured - 1)
    text = [
        f"{name} {np.nanmedian(error[:, m]):.3f} {np.nanquantile(error[:, m], 0.9):.3f}"
        for m, name in enumerate(METRICS)
        if np.isfinite(error[:, m]).any()
    ]
    print(title, "median p90:", ", ".join(text), flush=True)


def sigmas(rows: Rows, predicted: Floats, near: NDArray[np.str_], level: float = 0.9) -> list[dict[str, object]]:
    """``level`` quantile of |log error| / 1.645 by load mode and nearness.

    Where rows of a mode are few: that over all modes.
    """
    error, mode, out = np.abs(predicted - np.log(rows.measured)), rows.runs.mode, []
    for n in sorted(set(near)):
        over_all = dict(
            zip(
                METRICS,
                np.nanquantile(error[near == n], level, axis=0) / Z90,
                strict=True,
            )
        )
        for m in ("any", *sorted(set(mode))):
            part = error[(near == n) & ((mode == m) | (m == "any"))]
            own = {
                k: np.nanquantile(part[:, i], level) / Z90
                for i, k in enumerate(METRICS)
                if np.isfinite(part[:, i]).sum() >= FEW
            }
            out.append({"mode": m, "seen": n} | over_all | own | {"rows": len(part)})
    return out


def margins(rows: Rows, trials: list[LeftOut], errors: pd.DataFrame) -> pd.DataFrame:
    """What margins of 0 to 2 σ break and keep on the left-out combinations of all deals; the
    planned one is conformal for ``BROKEN``.
    """
    sigma = errors.set_index(["mode", "seen"])["tpot"]
    found = [
        case
        for t in trials
        for case in cases(
            rows,
            t.constants,
            np.exp(t.predicted[:, 1]),
            np.array([sigma["closed_loop", n] for n in t.near]),
        )
    ]
    planned = math.ceil(1e3 * margin(found, BROKEN)) / 1e3
    table = pd.DataFrame([judged(found, z) for z in sorted({*MARGINS, planned})]).round(3)
    return table.assign(planned=(table["sigmas"] == planned).astype(int), choices=len(found))


def bands_of_parts(rows: Rows, parts: Parts) -> pd.DataFrame:
    """Bands (σ by load mode) of deployments whose model, accelerator or both no fit saw.

    A new group is not a row like those seen: of G groups the quantile is that of 90 % · (1 + 1/G),
    the split-conformal one (Vovk et al. 2005).
    """
    there, name = (
        rows.take(parts.row),
        combinations(rows.take(parts.row)).str.split("|"),
    )
    found = []
    for near, part in (("accelerator", 0), ("model", 1), ("none", 0)):
        at = np.flatnonzero(parts.near == near)
        level = min(0.9 * (1.0 + 1.0 / max(name.iloc[at].str[part].nunique(), 1)), 0.95)
        found += sigmas(there.take(at), parts.predicted[at], parts.near[at], level)
    return pd.DataFrame(found)


def judge_parts(rows: Rows, parts: Parts, deal: Parts, sigmas_planned: float) -> None:
    """Errors of one deal, how many rows its bands cover when these know nothing of its models and
    accelerators, and what its choices of a largest load break and keep.
    """
    name = np.array([(c.model.weights, c.chip.name) for c in rows.conditions])
    sigma = np.full((len(deal.row), 3), np.nan)
    for fold in sorted(set(deal.fold)):
        mine = deal.fold == fold
        models = name[deal.row[mine & (deal.near != "model")], 0]
        chips = name[deal.row[mine & (deal.near != "accelerator")], 1]
        kept = ~(np.isin(name[parts.row, 0], models) | np.isin(name[parts.row, 1], chips))
        table = bands_of_parts(rows, take(parts, np.flatnonzero(kept))).set_index(["mode", "seen"])
        for i in np.flatnonzero(mine):
            mode = str(rows.runs.mode[deal.row[i]])
            key = (mode, deal.near[i]) if (mode, deal.near[i]) in table.index else ("any", deal.near[i])
            sigma[i] = table.loc[key, list(METRICS)].to_numpy(float)
    miss = np.abs(deal.predicted - np.log(rows.measured[deal.row])) / sigma
    for near in NEAR:
        at = np.flatnonzero(deal.near == near)
        show(
            rows.take(deal.row[at]),
            deal.predicted[at],
            f"{LEFT_OUT[near]} left out, {len(at)} rows:",
        )
        inside = [float(np.mean(m[np.isfinite(m)] <= Z90)) for m in miss[at].T]
        print(
            "  within the 90 % band:",
            ", ".join(f"{m} {v:.3f}" for m, v in zip(METRICS, inside, strict=True)),
        )
        found = choices(rows, deal, at, sigma)
        made = judged(found, sigmas_planned)
        print(
            f"  {len(found)} choices: broken {made['broken_share']:.3f}, kept {made['kept_share']:.3f}",
            flush=True,
        )


def choices(rows: Rows, deal: Parts, at: Index, sigma: Floats) -> list[Case]:
    """Choices of a largest load on the left-out curves among rows ``at`` of a deal, fold by fold."""
    found: list[Case] = []
    for fold in sorted(set(deal.fold[at])):
        mine = at[deal.fold[at] == fold]
        own = Constants(**{k: v[mine] for k, v in vars(deal.constants).items()})
        found += cases(
            rows.take(deal.row[mine]),
            own,
            np.exp(deal.predicted[mine, 1]),
            sigma[mine, 0],
        )
    return found


def take(parts: Parts, at: Index) -> Parts:
    """Some of the left-out rows."""
    constants = Constants(**{k: v[at] for k, v in vars(parts.constants).items()})
    return Parts(parts.row[at], parts.fold[at], parts.near[at], parts.predicted[at], constants)


def fit_parts(rows: Rows, write: bool) -> None:
    """Bands of unseen models and accelerators, and their judgement."""
    parts = join([parts_left_out(rows, seed=seed) for seed in PARTS])
    found = bands_of_parts(rows, parts)
    print(found.round(3).to_string())
    judge_parts(rows, parts, parts_left_out(rows, seed=JUDGE), planned_margin())
    if write:
        old = pd.read_csv(OUT / "llm_errors.csv")
        save_errors(pd.concat([old[~old["seen"].isin(NEAR)], found]))


def measure_stacks(reference: Path, write: bool) -> None:
    """How far servers with default flags lie from the shipped constants: 90 % quantile of |log
    error| / 1.645, each (model, accelerator) of equal weight. Nothing is fitted on these records.
    """
    rows = read_rows(reference / "gpuperf" / "llm_serving_more.csv")
    rows = rows.take(np.flatnonzero(rows.frame["notes"].str.contains("default flags")))
    many = [shipped(c) for c in rows.conditions]
    own = Constants(**{k: np.array([getattr(c, k) for c in many]) for k in COMMON})
    miss = np.log(np.stack(report(rows.plant, own, rows.runs), axis=1)) - np.log(rows.measured)
    pairs, sigma = combinations(rows), {}
    for m, name in enumerate(METRICS):
        known = np.flatnonzero(np.isfinite(miss[:, m]))
        each = pairs.iloc[known]
        size = np.abs(miss[known, m])
        weight = (1.0 / each.map(each.value_counts())).to_numpy(float)
        order = np.argsort(size)
        reached = np.cumsum(weight[order]) / weight.sum()
        sigma[name] = float(size[order][np.searchsorted(reached, 0.9)]) / Z90
        slower = np.exp(np.median(miss[known, m]))
        print(f"default flags: {name}: predicted over measured {slower:.2f} (median), σ {sigma[name]:.3f}")
    table = pd.DataFrame([{"stack": "default", **sigma, "rows": len(pairs), "pairs": pairs.nunique()}])
    if write:
        table.round(4).to_csv(OUT / "llm_stacks.csv", index=False, lineterminator="\n")


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
        show(
            rows,
            whole.predict(rows),
            f"{len(rows.conditions)} rows, {count} combinations, fitted:",
        )
        if write:
            save_constants(rows, whole)
    if what == "all":
        fit_pairs(rows, write)
    if what in ("all", "parts"):
        fit_parts(rows, write)


def fit_pairs(rows: Rows, write: bool) -> None:
    """Bands of configurations and of combinations left out, and the margin planned with."""
    trials = [left_out(rows, combinations(rows), seed=seed) for seed in SEEDS]
    for seed, trial in zip(SEEDS, trials, strict=True):
        show(rows, trial.predicted, f"combinations left out, deal {seed}:")
    many = rows.take(np.tile(np.arange(len(rows.conditions)), len(SEEDS)))
    predicted, near = (
        np.concatenate([t.predicted for t in trials]),
        np.concatenate([t.near for t in trials]),
    )
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
        save_errors(table[table["seen"].isin(["combination", "pair"])])
        kept.to_csv(OUT / "llm_margin.csv", index=False, lineterminator="\n")


def save_errors(table: pd.DataFrame) -> None:
    """Write the bands."""
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
        {
            "term": "combination",
            "level": name,
            "constant": "weight_read",
            "log_effect": "0",
        }
        for name in sorted(set(combinations(rows)))
    ]
    pd.DataFrame(effects).to_csv(OUT / "llm_effects.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    words = [a for a in sys.argv[2:] if a != "--check"]
    main(Path(sys.argv[1]), words[0] if words else "all", "--check" not in sys.argv)
