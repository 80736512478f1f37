"""What hides inside the hour: bursts, the spread of arrivals, and how long requests are.

Hourly means hide bursts: over public histories the largest minute of a busy web hour is 1.6 times
the hour's mean (median; 1.9 in one hour of twenty), so what the native resolution shows is kept
beside the hourly grid. Where nothing finer than hours is known, the busiest moments of λ requests/s
are taken as

    b = min(12, 1 + max(v, 0.1) + 1.645 / √(300 λ))

times the hour's mean: what independent arrivals do to one five-minute bucket in twenty, and v, the
share by which busy hours differ from the hours beside them (upper quartile over the busiest tenth,
at most 1): what moves from hour to hour moves within the hour. At least 0.1, as autoscalers leave
what is within a tenth as it is (Kubernetes' default tolerance). Without hours, v is 0.35, the middle
of public series. Over thirteen public series of counts (``tests/bench/bench_bursts.py``) 4.3 % of
the buckets of 5 or 10 minutes in the busiest tenth of hours lie above b. It lies for a service of
sudden single bursts (16 % of one): a finer history, or a stated factor, replaces it.
"""

import math

import numpy as np

from planner.arrays import Floats, Index
from planner.load.formats.base import Requests
from planner.load.quality import Quality
from planner.tokens import TokenMix

MEASURABLE_INTERVAL_S = 300
ONE_IN_TWENTY = 1.645  # normal score of 95 %
UNSEEN_SHARE = 0.1  # a change that Kubernetes' autoscaler leaves unanswered by default
USUAL_STEP = 0.35  # how much busy hours differ from their neighbors where no hours are known
MOST_BURST = 3600 / MEASURABLE_INTERVAL_S  # all of an hour in one bucket
# coefficients of variation and log-correlation of token lengths where only means are known:
# Azure LLM inference trace 2023, conversation part (Patel et al., Splitwise, ISCA 2024), rounded
ASSUMED_CV_INPUT, ASSUMED_CV_OUTPUT, ASSUMED_CORRELATION = 1.0, 0.8, 0.1
MIX_POINTS = 1024
MOST_COUNTED = 1 << 22  # tokens of a request; longer ones are sorted


def burst_factor(rate: Floats, interval_s: int, quality: Quality, stated: float | None = None) -> tuple[float, str]:
    """Median over the busiest tenth of hours of (largest bucket / mean of its hour), and its basis.

    Measured where buckets are at most 5 minutes; :func:`assumed_burst` of the mean rate of the
    busiest tenth otherwise; ``stated`` goes before both.

    ``rate`` (n,) [requests/s] on the history's own buckets of ``interval_s`` [s], NaN where not
    observed. The median over busy hours: one hour in two is burstier.
    """
    if stated is not None:
        quality.add("noted", 0, f"busiest moments are stated as {stated:g} times the hourly mean")
        return stated, "stated"
    if interval_s <= MEASURABLE_INTERVAL_S and 3600 % interval_s == 0:
        per_hour = 3600 // interval_s
        whole = rate[: len(rate) // per_hour * per_hour].reshape(-1, per_hour)
        whole = whole[np.isfinite(whole).all(axis=1) & (np.nan_to_num(whole).sum(axis=1) > 0)]
        if len(whole) >= 10:
            mean = whole.mean(axis=1)
            busy = whole[mean >= np.quantile(mean, 0.9)]
            ratio = busy.max(axis=1) / busy.mean(axis=1)
            quality.add(
                "noted",
                len(busy),
                f"largest {interval_s} s bucket over the mean of its busy hour: median {np.median(ratio):.2f}, "
                f"95 % {np.quantile(ratio, 0.95):.2f}",
            )
            return float(max(1.0, np.median(ratio))), "measured"
    known = rate[np.isfinite(rate)]
    busiest = known[known >= np.quantile(known, 0.9)].mean() if known.size else 0.0
    factor = assumed_burst(float(busiest), _step_share(rate, interval_s))
    quality.add(
        "assumed",
        0,
        "the history is too coarse to show bursts within the hour: busiest moments are taken "
        f"as {factor:.2f} times the hourly mean, by its rate; traffic.burst_factor states it",
    )
    return factor, "assumed"


def assumed_burst(rate_rps: float, step_share: float = USUAL_STEP) -> float:
    """Busiest moments over the hourly mean of ``rate_rps`` [requests/s] where no finer history
    says it; ``step_share``: by how much busy hours differ from those beside them.

    >>> [round(assumed_burst(rate), 2) for rate in (0.01, 1.0, 100.0, 1e5)]
    [2.3, 1.44, 1.36, 1.35]
    >>> round(assumed_burst(1e5, step_share=0.0), 4)
    1.1003
    """
    if rate_rps <= 0:
        return 1.0
    alone = ONE_IN_TWENTY / math.sqrt(MEASURABLE_INTERVAL_S * rate_rps)
    return min(MOST_BURST, 1.0 + max(step_share, UNSEEN_SHARE) + alone)


def _step_share(rate: Floats, interval_s: int) -> float:
    """Upper quartile, over the busiest tenth of hours, of the larger change to an hour beside it as
    a share of the hour, at most 1; the usual one for totals coarser than hours or under ten such
    hours.
    """
    if 3600 % interval_s:
        return USUAL_STEP
    per_hour = 3600 // interval_s
    hours = rate[: len(rate) // per_hour * per_hour].reshape(-1, per_hour).mean(axis=1)
    inner, known = hours[1:-1], hours[np.isfinite(hours)]
    if known.size < 3 or not known.max() > 0:
        return USUAL_STEP
    step = np.fmax(np.abs(np.diff(hours)[:-1]), np.abs(np.diff(hours)[1:]))
    busy = (inner >= np.quantile(known, 0.9)) & (inner > 0) & np.isfinite(step)
    return float(np.quantile(np.minimum(step[busy] / inner[busy], 1.0), 0.75)) if busy.sum() >= 10 else USUAL_STEP


def arrival_scv(requests: Requests | None, quality: Quality) -> tuple[float, str]:
    """Squared coefficient of variation of the gaps between requests, each relative to its minute; 1
    (Poisson) if unknown.

    Relative to the minute, so that the daily rhythm, which the hourly grid already holds, is not
    counted as burstiness again. Minutes of fewer than 20 requests say nothing and are left out.
    """
    if requests is None or len(requests.at_s) < 200:
        quality.add(
            "assumed",
            0,
            "arrivals within the hour are taken as Poisson (squared coefficient of variation 1): no request log",
        )
        return 1.0, "assumed"
    gaps = np.diff(requests.at_s)
    minute = ((requests.at_s[1:] - requests.at_s[0]) // 60).astype(np.int64)
    count = np.bincount(minute)
    mean = np.bincount(minute, weights=gaps) / np.maximum(count, 1)
    if not gaps.any():
        return 1.0, "assumed"
    use = (count >= 20) & (mean > 0)
    if count[use].sum() < 100:
        return float(gaps.var() / gaps.mean() ** 2), "measured"
    squares = np.bincount(minute, weights=gaps * gaps)[use] / mean[use] ** 2
    # gaps over the mean of their minute have mean 1
    return max(0.0, float(squares.sum() / count[use].sum() - 1.0)), "measured"


def token_mix(
    requests: Requests | None,
    rate: Floats,
    mean_in: Floats | None,
    mean_out: Floats | None,
    quality: Quality,
) -> TokenMix | None:
    """Joint token lengths: from single requests if there are any, else spread around the
    request-weighted means.
    """
    if requests is not None and requests.input_tokens is not None and requests.output_tokens is not None:
        return measured_mix(requests.input_tokens, requests.output_tokens, quality)
    if mean_in is None or mean_out is None:
        return None
    ok = np.isfinite(mean_in) & np.isfinite(mean_out) & (np.nan_to_num(rate) > 0)
    if not ok.any():
        return None
    weight = rate[ok] / rate[ok].sum()
    quality.add(
        "assumed",
        0,
        f"only mean token lengths are known: they are spread with coefficients of variation {ASSUMED_CV_INPUT:g}"
        f" (input) and {ASSUMED_CV_OUTPUT:g} (output) as in public chat traces",
    )
    return spread_mix(float(weight @ mean_in[ok]), float(max(1.0, weight @ mean_out[ok])))


def measured_mix(input_tokens: Floats, output_tokens: Floats, quality: Quality) -> TokenMix:
    """At most :data:`MIX_POINTS` points of the joint distribution: every k-th request in order of
    total length.
    """
    empty = output_tokens < 1
    if empty.any():
        quality.add("repaired", int(empty.sum()), "requests without output tokens were counted as one token")
    out = np.maximum(output_tokens, 1.0) if empty.any() else output_tokens
    if len(out) <= MIX_POINTS:
        return TokenMix.of(input_tokens, out, basis="measured")
    each, more = divmod(len(out), MIX_POINTS)
    sizes = np.where(np.arange(MIX_POINTS) < more, each + 1, each)
    chosen = _ranked(input_tokens + out, np.cumsum(sizes) - sizes + sizes // 2)
    return TokenMix.of(input_tokens[chosen], out[chosen], sizes.astype(float), basis="measured")


def _ranked(total: Floats, ranks: Index) -> Index:
    """Where in ``total`` the values of these ranks stand, equal ones in their order. Whole lengths
    are counted instead of sorted, which takes a tenth of the time.

    >>> _ranked(np.array([9.0, 3.0, 9.0, 2.0]), np.array([0, 2, 3])).tolist()
    [3, 0, 2]
    """
    if total.max() >= MOST_COUNTED or ((whole := total.astype(np.int32)) != total).any():
        return np.argsort(total, kind="stable")[ranks]
    count = np.bincount(whole)
    upto = np.cumsum(count)
    keys = np.searchsorted(upto, ranks, side="right")
    asked = np.zeros(len(upto), dtype=bool)
    asked[keys] = True
    rows = np.flatnonzero(asked[whole])
    rows = rows[np.argsort(whole[rows], kind="stable")]
    found: Index = rows[np.searchsorted(whole[rows], keys) + ranks - (upto[keys] - count[keys])]
    return found


def spread_mix(mean_input: float, mean_output: float) -> TokenMix:
    """A lognormal pair of lengths with the given means [tokens], as a 12 × 12 grid of equal
    probability cells.
    """
    from scipy.special import ndtri

    cell = ndtri((np.arange(12) + 0.5) / 12)
    sd_in, sd_out = np.sqrt(np.log1p(ASSUMED_CV_INPUT**2)), np.sqrt(np.log1p(ASSUMED_CV_OUTPUT**2))
    a, b = (m.ravel() for m in np.meshgrid(cell, cell, indexing="ij"))
    z = ASSUMED_CORRELATION * a + np.sqrt(1 - ASSUMED_CORRELATION**2) * b
    x, y = np.exp(sd_in * a), np.exp(sd_out * z)
    return TokenMix.of(mean_input * x / x.mean(), np.maximum(1.0, mean_output * y / y.mean()), basis="assumed")
