"""Studies made by hand, as a store keeps them."""

from dataclasses import replace

from tests.builders import study as hand


def study(factor=1.0, owned=True, as_of="2026-11-01", **overrides):
    """The study on round numbers; ``factor`` times its machines, requests and money, but for the
    gateway; ``owned``: its gateway too.
    """
    found = hand.study()
    cost, grows = found.plan.cost.copy(), found.plan.cost["charge"] == "compute"
    for column in ("quantity", "list_cost_usd", "effective_cost_usd", "billed_cost_usd"):
        cost.loc[grows, column] *= factor
    if owned:
        cost["owner"] = "shop"
    prices = found.plan.prices.assign(as_of=as_of)
    found.plan = replace(found.plan, cost=cost, prices=prices, objective_usd=float(cost["effective_cost_usd"].sum()))
    found.scenario = found.scenario.replace(**overrides) if overrides else found.scenario
    found.requests, found.tokens = {"web": 1e6 * factor}, {"web": 1e9 * factor}
    return found
