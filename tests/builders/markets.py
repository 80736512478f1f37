"""Small markets whose cheapest plan can be worked out on paper."""

import numpy as np

from planner.capacity import size
from planner.catalog import Catalog
from planner.optimizer import optimize
from planner.scenario import Scenario
from tests.builders import hand

RESERVED = {
    "commitment": "m-1y",
    "category": "Usage",
    "plan_kind": "RI",
    "scope_kind": "instance_type",
    "scope": "m",
    "term_months": 12,
    "payment": "none",
    "rate_usd_per_h": 0.6,
    "upfront_share": 0.0,
}


SAVINGS = {
    "commitment": "plan-1y",
    "category": "Spend",
    "plan_kind": "SP",
    "scope_kind": "account",
    "scope": "all",
    "term_months": 12,
    "payment": "none",
    "rate_usd_per_h": np.nan,
    "discount_share": 0.3,
    "upfront_share": 0.0,
    "region": "global",
}


DAY = np.tile(np.concatenate([np.full(16, 100.0), np.full(8, 900.0)]), 2)


def scenario(**changes) -> Scenario:
    return hand.scenario(
        **{
            "services.web.latency": {"model": "queue", "service_time_s": 0.01},
            "services.web.network.load_balancer": False,
            "services.web.network.public_ipv4": 0,
            **changes,
        }
    )


def plan_of(rates, *, commitments=(), storage=(), market=None, **changes):
    s = scenario(**changes)
    load = hand.load(s, dict.fromkeys(s.services, rates))
    catalog = hand.catalog(rates=market, commitments=commitments, storage=storage)
    capacity = size(s, catalog, load)
    return optimize(s, load, capacity, catalog, valued_on=load), capacity, s


def usable(capacity, instance_type="m") -> float:
    return float(capacity.frame.loc[capacity.frame["instance_type"] == instance_type, "usable_rps"].iloc[0])


def two_services(**changes):
    s = scenario(**changes)
    raw = s.model_dump(mode="json", exclude_defaults=True)
    raw["services"]["api"] = raw["services"]["web"]
    return Scenario.model_validate(raw)


AWS, GCP = {"provider": "aws", "region": "us-east-1"}, {"provider": "gcp", "region": "us-central1"}


def machine(name, vcpus, memory_gib=None, *, place=AWS, family="", **more):
    return {
        **hand.HAND,
        **place,
        "instance_type": name,
        "family": family or name.partition(".")[0].partition("-")[0],
        "arch": "x86_64",
        "vcpus": float(vcpus),
        "memory_gib": float(4 * vcpus if memory_gib is None else memory_gib),
        "baseline_share": 1.0,
        "accelerators": 0.0,
        **more,
    }


def reserved(scope, usd, *, place=AWS, months=12, payment="none", upfront=0.0, kind="Standard RI"):
    return {
        **hand.HAND,
        **place,
        "commitment": f"{scope}/{months}/{payment}",
        "category": "Usage",
        "plan_kind": kind,
        "scope_kind": "instance_type",
        "scope": scope,
        "term_months": months,
        "payment": payment,
        "rate_usd_per_h": usd,
        "upfront_share": upfront,
    }


def on_sale(machines, usd, commitments=(), spot=(), storage=()):
    """A catalog of machines at ``usd`` {type: on-demand price}."""
    at = {m["instance_type"]: {k: m[k] for k in ("provider", "region")} for m in machines}
    rates = [
        {**hand.HAND, **at[t], "instance_type": t, "purchase_option": o, "rate_usd_per_h": p}
        for o, prices in (("on_demand", usd), ("spot", dict(spot)))
        for t, p in prices.items()
    ]
    return Catalog(
        *(
            hand.frame(f"catalog.{name}", rows)
            for name, rows in (
                ("instances", machines),
                ("rates", rates),
                ("commitments", list(commitments)),
                ("storage", list(storage)),
                ("network", []),
            )
        )
    )


def planned(catalog, rates, **changes):
    place = catalog.instances.iloc[0]
    s = hand.scenario(
        **{
            "providers": [place["provider"]],
            "regions": [place["region"]],
            "services.web.latency": {"model": "queue", "service_time_s": 0.01},
            "services.web.network": {"load_balancer": False, "public_ipv4": 0},
            **changes,
        }
    )
    load = hand.load(s, dict.fromkeys(s.services, rates))
    return optimize(s, load, size(s, catalog, load), catalog), s
