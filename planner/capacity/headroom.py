"""What is kept free of a replica's goodput, cause by cause, and what a spot instance is worth.

The causes that act on ``usable_rps`` multiply: usable = goodput · Π factor.  The ledger states each
as a share of the rate at which the replica would be always busy, so shares add up.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.arrays import Floats
from planner.capacity.assumed import artifact_gib
from planner.latency.model import MODEL_QUANTILE_Z
from planner.load import ServiceLoad
from planner.scenario import Service

BAND_Z = 1.6448536269514722
# node, driver, image and weights of an accelerator service; node and image of a CPU service [s]
START_UP_S = {True: 420.0, False: 120.0}
# the same without the weights, where their size is known, and how fast a server reads them: 15 GiB
# from a network disk in 48 s
# (Llama 3 8B, safetensors loader of vLLM; Run:ai Model Streamer benchmarks, 2024)
BOOT_S, LOAD_MIB_PER_S = 300.0, 320.0
# tries after the first of a client that is known to retry, where their number is not stated: the
# default of common client libraries
ASSUMED_RETRIES = 2
# half of all spot instances taken back within a month, where no rate is published
ASSUMED_INTERRUPTIONS_PER_H = -math.log(1 - 0.5) / 730


@dataclass(frozen=True)
class Factor:
    """One cause: goodput is multiplied by ``factor`` (0 to 1]."""

    cause: str
    factor: float
    basis: str


def model_error_factor(error_share: float, margin_sigmas: float = MODEL_QUANTILE_Z) -> float:
    """(1 + e)^(−z/z95): goodput ``margin_sigmas`` z below the point, where its lognormal 90 % band
    reaches up by ``error_share`` e.

    z is the normal 90 % quantile unless the model measured which margin leaves one choice in ten
    broken.

    ``error_share`` e: half-width of the 90 % band of goodput over its point.

    >>> round(model_error_factor(0.1), 4)
    0.9284
    """
    return float((1 + error_share) ** (-margin_sigmas / BAND_Z))


def start_up_s(service: Service, accelerated: bool, folder: Path | None) -> tuple[float, str]:
    """Time until a new replica serves [s] and its basis: as stated, else an assumed start plus
    weights ÷ throughput.

    Weights are read at ``storage.block_mib_per_s`` where it is stated and slower than a server
    reads.

    ``accelerated``: on a machine with accelerators, whose drivers and weights take longer;
    ``folder`` of the scenario, for files that its latency model names.
    """
    given = service.autoscaling.scale_up_delay_s
    if given is not None:
        return given, "measured"
    weights = artifact_gib(service, folder)[0]
    if not accelerated or not weights:
        return START_UP_S[accelerated], "assumed"
    return BOOT_S + weights * 1024 / min(LOAD_MIB_PER_S, service.storage.block_mib_per_s or LOAD_MIB_PER_S), "assumed"


def ramp_per_hour(load: ServiceLoad) -> float:
    """How much the load grows within an hour, as a ratio ≥ 1: the 95 % quantile over busy hours of
    the mean path.

    Busy hours are those at or above the median of the mean path.
    """
    mean: Floats = load.arrival_rate_rps.mean(axis=0, dtype=np.float64)
    before, after = mean[:-1], mean[1:]
    busy = (after >= np.median(mean)) & (before > 0)
    return max(1.0, float(np.quantile(after[busy] / before[busy], 0.95))) if busy.any() else 1.0


def service_factors(
    service: Service, load: ServiceLoad, ramp: float, accelerated: bool, folder: Path | None
) -> list[Factor]:
    """Factors that do not depend on the machine: retries, bursts within the hour, growth while a
    replica starts.
    """
    delay_s, basis = start_up_s(service, accelerated, folder)
    factors = []
    if service.retry_share:
        factors.append(Factor("retries", 1 - service.retry_share, "measured"))
    factors.append(Factor("burst", 1 / max(load.burst_factor, 1.0), load.burst_basis))
    # what one hour's ramp adds during the part of the delay below an hour; whole hours are ordered
    # ahead (planner.optimizer.market.delays)
    factors.append(Factor("scale_up_lag", float(ramp ** -(delay_s % 3600 / 3600)), basis))
    return factors


def retries_of(service: Service) -> tuple[int, str]:
    """How often clients try a failed request again, and its basis; 0 where nothing says that they
    do.
    """
    if service.retries is not None:
        return service.retries, "measured"
    return (ASSUMED_RETRIES, "assumed") if service.retry_share else (0, "assumed")


def metastable_rps(service: Service, saturated_rps: float) -> float:
    """Original rate above which an overloaded replica stays overloaded [requests/s]: μ/(1 +
    retries); NaN without retries.

    Beyond saturation every try outlasts any time-out, so each request comes 1 + retries times, and
    the backlog shrinks only while that is below the ``saturated_rps`` μ (the fixed points of
    :mod:`planner.latency.queue.retries` in this limit; Bronson et al. 2021).
    """
    retries, _ = retries_of(service)
    return saturated_rps / (1 + retries) if retries else math.nan


def target_factor(target_utilization: float, utilization: float) -> float:
    """What brings a replica to a target utilization at most; a utilization nobody knows (0) is
    taken as full.

    ``target_utilization`` and ``utilization`` [share].

    >>> target_factor(0.4, 0.8), target_factor(0.9, 0.8)
    (0.5, 1.0)
    """
    return min(target_utilization / utilization, 1.0) if utilization > 0 else target_utilization


def spot_yield(interruptions_per_h: float, recovery_s: float) -> float:
    """Share of time a spot instance serves, 1/(1 + hazard · recovery); an unknown hazard takes the
    assumed one.

    ``interruptions_per_h`` [1/h], NaN where not known; ``recovery_s`` [s] until a replacement
    serves. A renewal process of running and recovering; it lies where a whole pool is taken back at
    once, which the replay plays.

    >>> spot_yield(0.1, 3600.0)
    0.9090909090909091
    """
    hazard = ASSUMED_INTERRUPTIONS_PER_H if math.isnan(interruptions_per_h) else interruptions_per_h
    return 1 / (1 + hazard * recovery_s / 3600)
