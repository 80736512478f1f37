"""How fast one vCPU of a machine family is, all vCPUs busy: ``data/hardware/cpu_speed.csv``.

Speed 1 is a hyper-thread of Intel Ice Lake (AWS m6i).  Services move between two families by the
ratio of their speeds within ±0.33 (ln), half of the 90 % band over 294 measured pairs of seven
services; families left out of that band fall inside it in 90 % of their pairs.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache

from planner.data import data_path

# half of the 90 % band of ln(measured ratio of a service / ratio of speeds), 294 pairs (2026-07)
SERVICE_ERROR = 0.33
# a family that no table knows: a factor of two either way
UNKNOWN_ERROR = math.log(2.0)


@dataclass(frozen=True)
class CpuSpeed:
    """Speed of one vCPU with all of them busy, relative to Ice Lake; ``error_log`` half of the 90 %
    band of its ln; ``basis`` measured, processor (others with the same one) or unknown;
    ``processor``; ``threads`` a core.
    """

    speed: float
    error_log: float
    basis: str
    processor: str
    threads: float


@cache
def _table() -> dict[tuple[str, str], CpuSpeed]:
    with data_path("hardware", "cpu_speed.csv").open(encoding="utf-8", newline="") as file:
        return {
            (r["provider"], r["family"]): CpuSpeed(
                float(r["speed"]),
                float(r["error_log"]),
                r["basis"],
                r["processor"],
                _threads(r["threads_per_core"]),
            )
            for r in csv.DictReader(file)
        }


def cpu_speed(provider: str, family: str) -> CpuSpeed:
    """The speed of a family's vCPU; 1 within a factor of two for a family that no table knows.

    >>> cpu_speed("aws", "m8g").speed > cpu_speed("aws", "m6g").speed
    True
    """
    return _table().get((provider, family), CpuSpeed(1.0, UNKNOWN_ERROR, "unknown", "", 2.0))


def cpu_threads(provider: str, family: str) -> float:
    """Hardware threads a core of the family; two where the table does not know."""
    return cpu_speed(provider, family).threads


def _threads(text: str) -> float:
    return 1.0 if text == "1" else 2.0


def known_families(family: str) -> tuple[str, ...]:
    """Providers that the table knows to sell ``family``."""
    return tuple(provider for provider, name in _table() if name == family)


def moved(own: CpuSpeed, other: CpuSpeed) -> tuple[float, float]:
    """Speed of ``other`` over ``own``, all vCPUs busy, and half of the 90 % band of its ln for a
    real service: both families' errors and the service's, in quadrature.
    """
    return other.speed / own.speed, math.hypot(own.error_log, other.error_log, SERVICE_ERROR)
