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


def measure_of(kind: str) -> str:
    """The name of the unit cost of a kind of token [USD a million].

    >>> measure_of("cached input")
    'usd_per_1m_cached_input_tokens'
    """
    return f"usd_per_1m_{kind.replace(' ', '_')}_tokens"


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
    """Of each deployment of a service its cost [USD] and a (2, 3) array: tokens of each kind a
    request, and their accelerator seconds.
    """
    usable = study.capacity.frame.set_index(["service", *_MACHINE])["usable_rps"]
    for key, usd in _paid(study, name).items():
        model = study.capacity.models.get((name, *key))
        work = None if model is None else model.token_work(float(usable[(name, *key)]))
        if work is not None and usd > 0:
            yield usd, np.array([work[:3], work[3:]])


def _paid(study: Answered, name: str) -> dict[tuple[str, str, str, str], float]:
    """What the machines of a service cost by deployment [USD], (provider, region, machine,
    deployment) → USD: a bill names no deployment, so machines of one type, on spot and not, share
    its money by the hours they run.
    """
    cost, run = (t[t["service"] == name] for t in (study.plan.cost, study.plan.schedule))
    cost = cost[cost["charge"] == "compute"].rename(columns={"resource": "instance_type"})
    cost, run = (t.assign(spot=t["purchase_option"] == "spot") for t in (cost, run))
    of_type = [*_MACHINE[:3], "spot"]
    usd = cost.groupby(of_type)["effective_cost_usd"].sum().reset_index()
    hours = (run["instances"] * run["weight_h"]).groupby([run[c] for c in (*_MACHINE, "spot")]).sum()
    both = hours.rename("hours").reset_index().merge(usd, on=of_type)
    both["usd"] = both["effective_cost_usd"] * both["hours"] / both.groupby(of_type)["hours"].transform("sum")
    rows = both.groupby(_MACHINE)["usd"].sum().reset_index().itertuples(index=False, name=None)
    return {(str(p), str(r), str(m), str(d)): float(paid) for p, r, m, d, paid in rows}
