"""What a million tokens of each kind cost: computed prompt, cached prompt, and answer apart.

A service's bill is one sum; its machines spend their time on the three kinds of tokens. With w(k, m)
the accelerator seconds of kind k in a mean request on machine m at the load that m is planned to
bear (:meth:`planner.latency.LatencyModel.token_work`) and c(m) what machine m costs the service,

    share of kind k = Σ_m c(m) · w(k, m) / Σ_k w(k, m)  /  Σ_m c(m),

and all else that the service costs (disks, network, logs, idle hours) is spread alike, so that the
kinds add up to the service's bill. Joint costs can be spread in other ways; this one says what a
token keeps busy.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from planner import columns
from planner.arrays import Floats
from planner.export.asked import Answered

KINDS = ("input", "cached input", "output")
_MACHINE = ["provider", "region", "instance_type", "deployment"]
_HOUR_S = 3600.0


def token_costs(study: Answered) -> pd.DataFrame:
    """One row a service and kind of token that it has (``export.tokens``): tokens over the horizon,
    their share of the service's amortized cost, and USD a million of them.

    Tokens are the mean of the load paths; idle hours are paid. Services whose requests have no
    tokens have no row. Σ ``cost_usd`` of a service is its amortized cost.
    """
    paid = study.plan.cost.groupby("service")["effective_cost_usd"].sum()
    owner = study.plan.cost.groupby("service")["owner"].first()
    rows = []
    for name in study.load.services:
        worked = list(_worked(study, name))
        if not worked:
            continue
        share = sum(usd * work[1] / work[1].sum() for usd, work in worked) / sum(usd for usd, _ in worked)
        requests = float(study.load.volume(name).mean())
        for kind, tokens, part in zip(KINDS, worked[0][1][0] * requests, share, strict=True):
            if tokens > 0:
                usd = float(paid[name]) * float(part)
                rows.append((name, owner[name], kind, tokens, part, usd, usd / tokens * 1e6))
    found = pd.DataFrame(rows, columns=list(columns.columns_of("export.tokens")))
    return columns.check("export.tokens", found.astype(dict.fromkeys(("service", "owner", "token_kind"), "str")))


def _worked(study: Answered, name: str) -> Iterator[tuple[float, Floats]]:
    """Of each machine of a service its cost [USD] and a (2, 3) array: tokens of each kind a request,
    and their accelerator seconds.
    """
    mine = study.plan.cost[(study.plan.cost["service"] == name) & (study.plan.cost["charge"] == "compute")]
    usd = mine.groupby(["provider", "region", "resource"])["effective_cost_usd"].sum()
    frame = study.capacity.frame.set_index(["service", *_MACHINE])["usable_rps"]
    run = study.plan.schedule[study.plan.schedule["service"] == name][_MACHINE].drop_duplicates()
    for provider, region, machine, deployment in run.itertuples(index=False, name=None):
        key = (name, provider, region, machine, deployment)
        model = study.capacity.models.get(key)
        work = None if model is None else model.token_work(float(frame[key]))
        cost = float(usd.get((provider, region, machine), 0.0))
        if work is not None and cost > 0:
            yield cost, np.array([work[:3], work[3:]])
