"""The records of arrays that the compiled steps work on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Floats, Ints, Singles

Small = NDArray[np.int32]

STATIC, HPA, TRACKING, KEDA, IDEAL = 0, 1, 2, 3, 4
CAUSES = ("overload", "start_up", "autoscaler", "zone_lost", "spot_lost", "retries")
RESOURCE, PODS, AVERAGE, VALUE = 0, 1, 2, 3  # kinds of metric
EVENT_MEMORY = 128  # changes of the autoscaler that its rate policies may look back on


class Fleet(NamedTuple):
    """What does not change: rungs, what mixes bear, how they start.

    ``scheduled`` (hours, kinds) replicas wanted by the clock; ``counts`` (rungs, kinds);
    ``bears`` (rungs,); ``rung_of`` (units,); ``size`` (kinds,) units of one replica;
    ``saturation``, ``weight`` (kinds, n) and ``limit`` (bounds, kinds, n) of n replicas
    [requests/s]; ``start`` (kinds, 256) steps; ``spot`` (kinds,); ``hazard`` (kinds,) a step.
    """

    scheduled: Small
    counts: Small
    bears: Floats
    rung_of: Ints
    size: Floats
    saturation: Floats
    weight: Floats
    limit: Floats
    start: Ints
    spot: NDArray[np.bool_]
    hazard: Floats
    zones: int


class Rule(NamedTuple):
    """The autoscaler: ``kind`` and its numbers; windows in steps, policies as arrays;
    ``metric`` it looks at and its ``goal`` in that metric's own unit; ``keep_low``, ``keep_high``
    the least and most whole per cents within tolerance of the target.
    """

    kind: int
    metric: int
    goal: float
    target: float
    tolerance: float
    keep_low: float
    keep_high: float
    least: float
    most: float
    up_window: int
    down_window: int
    up_kinds: Ints
    up_values: Floats
    up_periods: Floats
    down_kinds: Ints
    down_values: Floats
    down_periods: Floats
    select: int
    retries: int
    timeout_s: float
    step_s: float
    load_factor: float
    burst: float


class Seen(NamedTuple):
    """What one look of the autoscaler finds, counted as Kubernetes counts it.

    Of ``ready`` pods ``metrics`` values count (more than pods where one belongs to no pod), in all
    ``usage`` of ``request``; ``unready`` and ``missing`` pods have no metric, and their requests
    stand beside them.  ``usage`` is the value itself where one metric stands for all pods
    (:data:`AVERAGE`, :data:`VALUE`).
    """

    ready: float
    metrics: float
    usage: float
    request: float
    unready: float
    unready_request: float
    missing: float
    missing_request: float


class Strikes(NamedTuple):
    """Events of the block's paths, ordered by path and step; ``first``
    (paths + 1,) of each path.
    """

    first: Ints
    step: Ints
    kind: Ints
    pool: Ints
    zone: Ints
    end: Ints


class State(NamedTuple):
    """What a block of paths is at; (paths, kinds) or (paths,) unless said otherwise: what belongs to
    one path lies together, so that it stays near the core that plays it.

    ``ring`` (paths, kinds, steps ahead) replicas that become ready; ``closed`` step until
    which none can be had; ``calm`` rate up to which a step needs no closer look (-1 where
    something waits); ``wishes`` (paths, window) the autoscaler's recommendations, the last at
    ``slot``; ``lost``, ``cause`` why machines are missing now and why requests were late
    last; ``when``, ``amount`` (paths, :data:`EVENT_MEMORY`) its changes; ``exposed``
    machine-steps so far, ``until`` those at which the next machine is taken; ``units`` (paths, 2)
    ready and starting; ``flat``, ``tilt`` (12, steps of an hour) factors of the mean and of the
    slope by the twelfth that bursts, ``sums`` (12, 2) of them, ``marks`` (12, 5) its first step and
    the one after its last, then the first and last step beside it and one within; ``shifts`` is
    scratch.
    """

    ready: Small
    starting: Small
    target: Small
    ring: Small
    closed: Ints
    limit: Floats
    saturation: Floats
    calm: Floats
    desired: Floats
    backlog: Floats
    failing: Floats
    short: NDArray[np.bool_]
    lost: Ints
    cause: Ints
    wishes: Floats
    when: Floats
    amount: Floats
    head: Ints
    slot: Ints
    above: Ints
    below: Ints
    units: Floats
    shifts: Floats
    random: NDArray[np.uint64]
    exposed: Ints
    until: Ints
    coming: Ints
    now: Floats
    slope: Floats
    flat: Floats
    tilt: Floats
    sums: Floats
    marks: Ints


class Out(NamedTuple):
    """What is counted; sums over the block's paths unless there is a path axis."""

    late_of_hour: Floats  # (bounds, hours) requests outside the bound
    arrived_hour: Floats  # (hours,)
    late: Floats  # (causes, hours) requests outside some bound
    backlog: Floats  # (hours,) requests at its end
    late_of_path: Floats  # (paths, bounds)
    late_path: Floats  # (paths,) outside some bound
    arrived_path: Floats  # (paths,)
    again_path: Floats  # tries beyond the first
    strained_path: Floats  # arrived in steps that were late or had a backlog
    served_path: Floats  # tries served in those steps
    dropped_path: Floats
    waiting_path: Floats
    running: Singles  # (paths, kinds, hours) machines billed, mean of the hour
    starting: Floats  # (kinds, hours) replica-steps paid and not yet ready
    ready: Small  # (paths, kinds, hours) replicas at half past
