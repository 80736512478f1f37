# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
# ---

# %% [markdown]
# # From a traffic history to a plan
#
# A team runs a web service. It has a year of traffic to look forward to, a promise to keep (99 % of
# requests
# answered within 0.3 s) and a bill to answer for. This notebook takes the planner's steps one by
# one:
# what will arrive, what one machine can bear, what to buy, what it costs, and whether it would have
# held.
#
# Every step is one call and one picture. Times are those of the scenario's time zone, money is USD.

# %%
import planner
from planner.data import data_path
from planner.show import charts, views

scenario = planner.Scenario.read(data_path("scenarios", "web.yaml"))
print(scenario.to_yaml())

# %% [markdown]
# ## 1. What arrived
# The history is read onto a regular grid. Nothing is guessed: gaps stay gaps, and each repair is
# listed.

# %%
traffic = planner.read_traffic(scenario.traffic_file("web"))
charts.history(traffic.hourly())

# %%
traffic.quality

# %% [markdown]
# ## 2. What will arrive
# The forecast is a bundle of equally likely futures, not one curve. The band below holds 8 of 10 of
# them; the
# dashed line is the load that the scenario asks to be served.

# %%
load = planner.forecast(traffic, scenario, paths=100)
ahead = views.load_hours(load, scenario, "web")
charts.load_year(views.daily(ahead))

# %%
charts.load_week(views.peak_week(ahead))

# %% [markdown]
# ## 3. What one machine can bear
# Each machine type is put under the queueing model until the target breaks; then room is kept for
# bursts,
# start-up time, the model's own error and, with several zones, the loss of one.

# %%
catalog = planner.Catalog.read(*scenario.providers, regions=scenario.regions)
capacity = planner.size(scenario, catalog, load)
charts.unit_costs(views.unit_costs(capacity, catalog))

# %% [markdown]
# ## 4. What to buy
# A linear program chooses machines, spot and commitments for all hours together. Its answer comes
# with a
# certificate: no plan can be cheaper than the lower bound.

# %%
plan = planner.optimize(scenario, load, capacity, catalog)
print(f"${plan.total_usd:,.0f} in all; no plan is cheaper than ${plan.certificate.lower_bound_usd:,.0f}")
charts.cost_months(plan.monthly())

# %%
plan.machines()

# %%
plan.commitments

# %% [markdown]
# Who answers for which part:

# %%
plan.by_owner()

# %% [markdown]
# ## 5. Would it have held?
# The plan is replayed on futures it was not made for.

# %%
unseen = planner.forecast(traffic, scenario, paths=100, seed=4711)
replay = planner.simulate(plan, scenario, unseen, capacity)
replay.objectives

# %%
replay.breaks["sentence"].tolist()

# %% [markdown]
# ## 6. The numbers agree
# The rows add up to the objective, the months to the year, and the plan lies on the right side of
# its bound.

# %%
assert abs(plan.cost["effective_cost_usd"].sum() - plan.objective_usd) <= 1e-6 * plan.objective_usd
assert abs(plan.monthly()["effective_cost_usd"].sum() - plan.total_usd) <= 1e-6 * plan.total_usd
assert plan.certificate.lower_bound_usd <= plan.objective_usd * (1 + 1e-9)
assert len(plan.monthly()["month"].unique()) == 12
assert 0.9 < replay.within_share() <= 1.0
