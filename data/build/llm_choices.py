"""Largest load within a TPOT limit, chosen as the planner chooses, on public concurrency curves:
how often it breaks the limit.

A curve is a set of closed-loop runs that differ only in their clients. The planner's rule: goodput
under the limit × the factor of its own error; the choice is the most clients on record whose
predicted throughput stays within that. Broken: the measured TPOT there is above the limit. Kept:
the measured throughput there over the best measured one within the limit.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from gpuperf_rows import Rows

from planner.arrays import Floats, Index
from planner.capacity.headroom import model_error_factor
from planner.latency.llm.architecture import Memory
from planner.latency.llm.queue import Station
from planner.latency.llm.service import LlmReplica
from planner.latency.llm.steps import Constants
from planner.scenario import Objective
from planner.tokens import TokenMix

LIMITS = (0.3, 0.5, 0.7, 0.9)
_KEYS = [
    "source",
    "source_detail",
    "model",
    "gpu",
    "weights",
    "engine",
    "engine_version",
    "num_gpus",
    "tp",
    "pp",
    "attn_dp",
    "ep",
    "isl",
    "osl",
]
_UNKNOWN = Memory(*[float("nan")] * 5)


class Case(NamedTuple):
    """One curve and one limit: measured TPOT [s] and throughput [requests/s], predicted throughput,
    the planner's goodput and its error.
    """

    limit_s: float
    tpot_s: Floats
    measured_rps: Floats
    predicted_rps: Floats
    goodput_rps: float
    error_share: float

    def usable_rps(self, sigmas: float) -> float:
        """What the planner loads with ``sigmas`` of margin."""
        return self.goodput_rps * model_error_factor(self.error_share, sigmas)

    def chosen(self, sigmas: float) -> tuple[bool, float] | None:
        """Whether the choice breaks the limit, and the share of throughput it keeps; None where no
        load on record fits.
        """
        fits = np.flatnonzero(self.predicted_rps <= self.usable_rps(sigmas))
        if not fits.size:
            return None
        best = self.measured_rps[self.tpot_s <= self.limit_s].max()
        return bool(self.tpot_s[fits[-1]] > self.limit_s), float(min(self.measured_rps[fits[-1]] / best, 1.0))

    def between_records(self, sigmas: float) -> tuple[bool, float]:
        """The same for the rate itself, against the limit's rate interpolated on record (rising
        envelope, log-log).
        """
        tpot, rate = np.maximum.accumulate(self.tpot_s), np.maximum.accumulate(self.measured_rps)
        last = int((tpot <= self.limit_s).sum()) - 1
        pair = slice(last, last + 2)
        true = float(np.exp(np.interp(np.log(self.limit_s), np.log(tpot[pair]), np.log(rate[pair]))))
        return self.usable_rps(sigmas) > true, min(self.usable_rps(sigmas) / true, 1.0)

    def margin_needed(self) -> float:
        """The fewest σ with which the choice does not break the limit."""
        broken = np.flatnonzero(self.tpot_s > self.limit_s)
        if not broken.size or not self.goodput_rps:
            return 0.0
        return max(
            float(np.log(self.goodput_rps / self.predicted_rps[broken[0]]) / np.log1p(self.error_share)) * 1.645, 0.0
        )


def curves(rows: Rows) -> list[Index]:
    """Rows of closed-loop runs that differ only in their clients, in order of clients; at least 5
    counts of clients.
    """
    f = rows.frame
    at = f[(rows.runs.mode == "closed_loop") & np.isfinite(rows.measured[:, 0])]
    return [
        g["concurrency"].drop_duplicates().sort_values().index.to_numpy()
        for _, g in at.groupby(_KEYS, dropna=False)
        if g["concurrency"].nunique() >= 5
    ]


def cases(rows: Rows, constants: Constants, predicted_rps: Floats, sigma: Floats) -> list[Case]:
    """Every curve with limits at quantiles of its measured TPOT; ``constants``, ``predicted_rps``
    and ``sigma`` (of TPOT) by row.
    """
    found = []
    for curve in curves(rows):
        i = curve[0]
        mix = TokenMix.of(rows.runs.input_tokens[i], rows.runs.output_tokens[i])
        own = Constants(**{f.name: float(getattr(constants, f.name)[i]) for f in fields(Constants)})
        replica = LlmReplica(Station(rows.plant[[i]], own, float(rows.runs.slots[i]), mix), _UNKNOWN, float(sigma[i]))
        tpot = rows.measured[curve, 0]
        for limit in np.quantile(tpot, LIMITS).tolist():
            goodput = replica.goodput_rps(Objective(tpot_p50_s=limit)).arrival_rate_rps
            found.append(Case(limit, tpot, rows.measured[curve, 1], predicted_rps[curve], goodput, replica.error_share))
    return found


def margin(found: Sequence[Case], broken_share: float) -> float:
    """σ of margin that leaves at most ``broken_share`` of choices broken: the split-conformal
    quantile of the margins needed.
    """
    needed = np.sort([c.margin_needed() for c in found])
    return float(needed[min(int(np.ceil((needed.size + 1) * (1.0 - broken_share))), needed.size) - 1])


def judged(found: Sequence[Case], sigmas: float) -> dict[str, float]:
    """Share of choices broken and throughput kept, at loads on record (where one fits;
    ``none_share``: where none does) and between.
    """
    made = [c for c in (case.chosen(sigmas) for case in found) if c is not None]
    between = [case.between_records(sigmas) for case in found]
    return {
        "sigmas": sigmas,
        "broken_share": float(np.mean([b for b, _ in made])),
        "kept_share": float(np.mean([k for _, k in made])),
        "none_share": 1.0 - len(made) / len(found),
        "broken_between_share": float(np.mean([b for b, _ in between])),
        "kept_between_share": float(np.mean([k for _, k in between])),
    }
