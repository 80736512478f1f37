"""The fit of the constants of LLM serving to public records.

Maximum a posteriori: log-constants are a common value plus normal effects of engine, accelerator,
precision, model ..., fitted to log TPOT, throughput and TTFT with Student-t errors by Gauss-Newton
steps. Rows of one (model, accelerator) combination are not independent, so the likelihood is
tempered; prior widths and tempering were chosen by the errors on combinations left out, dealt to
folds in three ways (seeds 0, 2, 3), so that an unseen engine, model or chip falls back to the
common value. The error bands and the margin of the largest load come from the same cross-validation
over five deals.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from gpuperf_rows import Rows
from scipy import linalg, sparse

from planner.arrays import Floats, Index
from planner.latency.llm.bench import batch, report
from planner.latency.llm.steps import Constants

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
METRICS = ("tpot", "throughput", "ttft")
Key = tuple[str, str, str]


def width(term: str, constant: str) -> float:
    if constant in OF_TESTS or (term, constant) in SINGLE:
        return SINGLE.get((term, constant), 0.0)
    return WIDTHS.get(term, 0.0) * (REQUEST if constant == "request_s" else 1.0)


def combinations(rows: Rows) -> pd.Series:
    """The model and accelerator of each row."""
    return pd.Series([f"{c.model.weights}|{c.chip.name}" for c in rows.conditions])


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
        return np.log(np.stack(report(rows.plant, self.constants(self.design(rows), self.x), rows.runs), axis=1))

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
        np.add.at(pulls, design.where, np.einsum("nkm,nm->nk", slopes, w * np.where(known, residual, 0.0)))
        np.add.at(squares, design.where, np.einsum("nkm,nm,nlm->nkl", slopes, w, slopes, optimize=True))
        blocks = sparse.block_diag(list(squares), format="csr")
        hessian = np.diag(1 / self.width**2) + (design.effects.T @ (blocks @ design.effects)).toarray()
        return hessian, (self.center - self.x) / self.width**2 + design.effects.T @ pulls.ravel()

    def _slopes(self, rows: Rows, c: Constants) -> Floats:
        """Derivatives of log metrics by log constants (n, constants, 3), by differences."""
        running = batch(rows.plant, c, rows.runs)
        here = np.log(np.stack(report(rows.plant, c, rows.runs, batch(rows.plant, c, rows.runs, running, 3)), axis=1))
        found = np.empty((len(here), len(COMMON), 3))
        for j, k in enumerate(COMMON):
            moved = c.scaled(**{k: np.exp(1e-3)})
            there = report(rows.plant, moved, rows.runs, batch(rows.plant, moved, rows.runs, running, 3))
            found[:, j] = np.nan_to_num((np.log(np.stack(there, axis=1)) - here) / 1e-3)
        return found
