"""What the fit is worth on deployments it has not seen: errors, bands and margins on combinations,
models and accelerators left out.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from gpuperf_rows import Rows
from llm_choices import Case, cases, judged, margin
from llm_fit import COMMON, METRICS, Fit, combinations
from numpy.typing import NDArray

from planner.arrays import Floats, Index
from planner.latency.llm.steps import Constants

FEW, SEEDS = 40, (0, 1, 2, 3, 4)
# deals of whole models and whole accelerators: those that make the bands, and the one that judges
PARTS, JUDGE, Z90 = (0, 1), 2, 1.645
# what a fit had seen of a deployment, where not both of its parts, and what was left out then
NEAR = ("accelerator", "model", "none")
LEFT_OUT = {"accelerator": "models", "model": "accelerators", "none": "models and accelerators"}
# share of choices that the planned margin may leave broken: below the one in ten that is wanted, as
# other combinations will differ
BROKEN, MARGINS = 0.09, (0.0, 0.25, 0.5, 0.75, 1.0, 1.28, 1.65, 2.0)


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
    found, near = (np.full(rows.measured.shape, np.nan), np.full(len(fold), "accelerator", dtype="U12"))
    values = {k: np.full(len(fold), np.nan) for k in COMMON}
    for j in range(count):
        inside, outside = (rows.take(np.flatnonzero(fold != j)), np.flatnonzero(fold == j))
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
        fit, there = (Fit(rows.take(np.flatnonzero((model != j) & (chip != j)))), rows.take(outside))
        near = np.select(
            [(model[outside] == j) & (chip[outside] == j), model[outside] == j], ["none", "accelerator"], "model"
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
        over_all = dict(zip(METRICS, np.nanquantile(error[near == n], level, axis=0) / Z90, strict=True))
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
            rows, t.constants, np.exp(t.predicted[:, 1]), np.array([sigma["closed_loop", n] for n in t.near])
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
    there, name = (rows.take(parts.row), combinations(rows.take(parts.row)).str.split("|"))
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
        show(rows.take(deal.row[at]), deal.predicted[at], f"{LEFT_OUT[near]} left out, {len(at)} rows:")
        inside = [float(np.mean(m[np.isfinite(m)] <= Z90)) for m in miss[at].T]
        print("  within the 90 % band:", ", ".join(f"{m} {v:.3f}" for m, v in zip(METRICS, inside, strict=True)))
        found = choices(rows, deal, at, sigma)
        made = judged(found, sigmas_planned)
        print(f"  {len(found)} choices: broken {made['broken_share']:.3f}, kept {made['kept_share']:.3f}", flush=True)


def choices(rows: Rows, deal: Parts, at: Index, sigma: Floats) -> list[Case]:
    """Choices of a largest load on the left-out curves among rows ``at`` of a deal, fold by fold."""
    found: list[Case] = []
    for fold in sorted(set(deal.fold[at])):
        mine = at[deal.fold[at] == fold]
        own = Constants(**{k: v[mine] for k, v in vars(deal.constants).items()})
        found += cases(rows.take(deal.row[mine]), own, np.exp(deal.predicted[mine, 1]), sigma[mine, 0])
    return found


def take(parts: Parts, at: Index) -> Parts:
    """Some of the left-out rows."""
    constants = Constants(**{k: v[at] for k, v in vars(parts.constants).items()})
    return Parts(parts.row[at], parts.fold[at], parts.near[at], parts.predicted[at], constants)
