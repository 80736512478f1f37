"""The shipped constants of LLM serving and how sure they are.

A constant is a common value times the effects of the engine, the accelerator, the precision and the
model, each shrunk towards 1: an effect that few records support is near 1, so an unseen model or
chip gets the common value. ``data/models/llm_constants.csv`` holds the common values,
``llm_effects.csv`` the effects, ``llm_errors.csv`` the error of each metric on (model, accelerator)
combinations left out of the fit, ``llm_margin.csv`` what margins keep and break there. Rebuilt by
``data/build/fit_llm.py``.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from planner.data import data_path
from planner.latency.hardware import Accelerator
from planner.latency.llm.architecture import Architecture
from planner.latency.llm.steps import Constants, Layout

# engines that are built on another, and the mode whose records describe current servers in steady
# work
_ENGINES = {"nim": "trtllm", "trtllm+triton": "trtllm", "tgi": "vllm", "lmdeploy": "lmdeploy"}
STEADY = "closed_loop"


class Condition(NamedTuple):
    """What decides a deployment's constants: its parts, and for a benchmark the ``mode`` of load
    and kind of ``lengths``.
    """

    model: Architecture
    chip: Accelerator
    precision: str
    engine: str
    layout: Layout
    mode: str = STEADY
    lengths: str = ""

    def levels(self) -> dict[str, str]:
        """The level of each term of the fit."""
        engine = _ENGINES.get(self.engine, self.engine)
        family = self.chip.architecture
        kind = ("moe" if self.model.experts else "dense") + ("-mla" if self.model.mla_kv_dim else "")
        weights = {"fp16": "bf16", "mxfp4": "fp4"}.get(self.precision, self.precision)
        return {
            "engine": engine,
            "accelerator": self.chip.name,
            "family": family,
            "precision": f"{weights}|{_kin(family)}",
            "model": self.model.weights,
            "engine_family": f"{engine}|{family.removesuffix(' Ultra')}",
            "engine_kind": f"{engine}|{kind}",
            "engine_experts": f"{engine}|{'ep' if self.layout.expert_parallel > 1 else 'tp'}",
            "lengths": self.lengths,
            "engine_lengths": f"{engine}|{self.lengths}" if self.lengths else "",
            "mode": self.mode,
        }


def _kin(family: str) -> str:
    """Families whose tensor units take the same formats."""
    return {"Blackwell Ultra": "Blackwell", "Ada": "Hopper"}.get(family, family)


@dataclass(frozen=True)
class Band:
    """Error of one metric: ``sigma`` of the log error on the side that matters, fitted on left-out
    combinations.
    """

    tpot: float
    throughput: float
    ttft: float


@cache
def common() -> dict[str, float]:
    """Common values by constant."""
    with data_path("models", "llm_constants.csv").open(encoding="utf-8", newline="") as file:
        return {r["constant"]: float(r["value"]) for r in csv.DictReader(file)}


@cache
def effects() -> Mapping[tuple[str, str], dict[str, float]]:
    """Log effects: (term, level) -> constant -> effect."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    with data_path("models", "llm_effects.csv").open(encoding="utf-8", newline="") as file:
        for r in csv.DictReader(file):
            found.setdefault((r["term"], r["level"]), {})[r["constant"]] = float(r["log_effect"])
    return found


def constants(condition: Condition) -> Constants:
    """Constants of one deployment: common values × e^(sum of the effects of its levels)."""
    table, total = effects(), dict.fromkeys(common(), 0.0)
    for key in condition.levels().items():
        for constant, effect in table.get(key, {}).items():
            total[constant] += effect
    return Constants(**{k: v * math.exp(min(max(total[k], -3.0), 3.0)) for k, v in common().items()})


@cache
def _fitted() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """What the fit saw: combinations as ``model|accelerator``, models, accelerators."""
    pairs = frozenset(level for term, level in effects() if term == "combination")
    models, chips = (frozenset(p.split("|")[i] for p in pairs) for i in (0, 1))
    return pairs, models, chips


def seen(condition: Condition) -> str:
    """How near the fit a deployment is: ``combination`` (model and accelerator together), ``pair``
    (both, not together), ``model`` or ``accelerator`` (that one alone), or ``none``.
    """
    model, chip = condition.model.weights, condition.chip.name
    pairs, models, chips = _fitted()
    if f"{model}|{chip}" in pairs:
        return "combination"
    if model in models:
        return "pair" if chip in chips else "model"
    return "accelerator" if chip in chips else "none"


@cache
def bands() -> dict[tuple[str, str], Band]:
    """Log-error sigmas by load mode and how near the fit a deployment is."""
    with data_path("models", "llm_errors.csv").open(encoding="utf-8", newline="") as file:
        return {
            (r["mode"], r["seen"]): Band(float(r["tpot"]), float(r["throughput"]), float(r["ttft"]))
            for r in csv.DictReader(file)
        }


class Untuned(NamedTuple):
    """A server that is not tuned: the ``share`` of a tuned one's speed that it reached in the median,
    the band around that, and its worst and best (model, accelerator) combination.
    """

    share: float
    band: Band
    worst: float
    best: float


@cache
def stacks() -> dict[str, Untuned]:
    """Servers that are not tuned, by stack: ``data/models/llm_stacks.csv``."""
    with data_path("models", "llm_stacks.csv").open(encoding="utf-8", newline="") as file:
        return {r["stack"]: _untuned(r) for r in csv.DictReader(file)}


def _untuned(row: Mapping[str, str]) -> Untuned:
    """A row of the table."""
    tpot, throughput, ttft = (float(row[k]) for k in ("tpot", "throughput", "ttft"))
    share, worst, best = (float(row[k]) for k in ("share", "worst_share", "best_share"))
    return Untuned(share, Band(tpot, throughput, ttft), worst, best)


@cache
def margin_sigmas() -> float:
    """σ of TPOT by which goodput is planned below its point estimate: the planned row of
    ``llm_margin.csv``.
    """
    with data_path("models", "llm_margin.csv").open(encoding="utf-8", newline="") as file:
        return next(float(r["sigmas"]) for r in csv.DictReader(file) if r["planned"] == "1")


def band(condition: Condition, near: str = "") -> Band:
    """The error band of one deployment; ``near`` the fit as :func:`seen` says, unless given."""
    table = bands()
    near = near or seen(condition)
    return table.get((condition.mode, near)) or table.get(("any", near)) or table[("any", "none")]
