"""What accelerators are: memory, bandwidth and dense peaks, read from
``data/hardware/accelerators.csv``.

An empty cell of the table is NaN here: unknown, or not supported by the chip.
"""

import csv
import difflib
import math
import re
from dataclasses import dataclass
from functools import cache

from planner.data import data_path
from planner.errors import PlannerError

GIB = 2.0**30
# the matrix-unit peak a weight precision runs at (int4 is weight-only: it computes in 16 bit)
PRECISIONS = {
    "fp16": "fp16",
    "bf16": "bf16",
    "fp8": "fp8",
    "int8": "int8",
    "fp4": "fp4",
    "mxfp4": "fp4",
    "int4": "bf16",
}
_WEIGHT_ONLY = {"Ampere", "Ada", "Hopper", "Blackwell", "Blackwell Ultra"}


@dataclass(frozen=True)
class Accelerator:
    """One accelerator: memory [GiB], bandwidths [GiB/s, one way], dense peaks [FLOP/s] by
    precision; NaN is unknown.
    """

    name: str
    vendor: str
    architecture: str
    memory_gib: float
    memory_bandwidth_gib_per_s: float
    fp16: float
    bf16: float
    fp8: float
    fp4: float
    int8: float
    link_gib_per_s: float
    aliases: tuple[str, ...]

    def flops(self, precision: str) -> float:
        """Dense peak [FLOP/s] at which weights of ``precision`` are multiplied; NaN where
        unsupported or not known.

        Chips without bf16 (Turing, Volta) run bf16 models in fp16; NVIDIA chips from Ampere on hold
        weights in a format their matrix units lack and compute in 16 bit.
        """
        peak = float(getattr(self, PRECISIONS[precision]))
        if math.isnan(peak) and (PRECISIONS[precision] == "bf16" or self.architecture in _WEIGHT_ONLY):
            return self.fp16 if math.isnan(self.bf16) else self.bf16
        return peak


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _number(text: str, scale: float = 1.0) -> float:
    return float(text) * scale if text else math.nan


@cache
def accelerators() -> dict[str, Accelerator]:
    """All known accelerators by canonical name."""
    with data_path("hardware", "accelerators.csv").open(encoding="utf-8", newline="") as file:
        return {
            r["accelerator"]: Accelerator(
                r["accelerator"],
                r["vendor"],
                r["architecture"],
                _number(r["memory_gib"]),
                _number(r["memory_bandwidth_gib_per_s"]),
                _number(r["fp16_tflops"], 1e12),
                _number(r["bf16_tflops"], 1e12),
                _number(r["fp8_tflops"], 1e12),
                _number(r["fp4_tflops"], 1e12),
                _number(r["int8_tops"], 1e12),
                _number(r["link_gib_per_s"]),
                tuple(filter(None, r["aliases"].split("|"))),
            )
            for r in csv.DictReader(file)
        }


@cache
def _spellings() -> dict[str, tuple[Accelerator, ...]]:
    found: dict[str, tuple[Accelerator, ...]] = {}
    for one in accelerators().values():
        for spelling in dict.fromkeys(_key(s) for s in (one.name, *one.aliases)):
            found[spelling] = (*found.get(spelling, ()), one)
    return found


def canonical(name: str, memory_gib: float = math.nan) -> str:
    """Canonical name of an accelerator written in any known spelling.

    ``memory_gib`` [GiB] decides between boards of one name (A100 40/80 GB), by the nearest.
    Raises :class:`PlannerError` for an unknown name, or an ambiguous one without memory.
    """
    found = _spellings().get(_key(name), ())
    if not found:
        near = difflib.get_close_matches(_key(name), _spellings(), n=3)
        hint = ", ".join(dict.fromkeys(a.name for n in near for a in _spellings()[n]))
        raise PlannerError(
            "this accelerator is not known",
            where="data/hardware/accelerators.csv",
            got=name,
            remedy=f"Did you mean {hint}?" if hint else "Add a row for it",
        )
    if len(found) > 1 and math.isnan(memory_gib):
        raise PlannerError(
            "this accelerator name stands for several boards",
            got=name,
            remedy="Give its memory, or one of " + ", ".join(a.name for a in found),
        )
    return min(found, key=lambda a: abs(a.memory_gib - memory_gib)).name if len(found) > 1 else found[0].name


def accelerator(name: str, memory_gib: float = math.nan) -> Accelerator:
    """Facts of an accelerator in any known spelling. Raises :class:`PlannerError` as
    :func:`canonical` does.
    """
    return accelerators()[canonical(name, memory_gib)]
