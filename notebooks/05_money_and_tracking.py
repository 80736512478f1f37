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
# # Money: what is paid when and by whom, and what came of it
#
# First the plan as finance reads it: by month, owner, charge and request, amortized and in cash.
# Then two months later: the bill and the traffic beside the plan, why they differ, what drifts, and
# what to change now.

# %%
import planner
from planner import export
from planner.data import data_path
from planner.show import answer, charts, tracking, views
from planner.track import compared, files_of, read_arrivals, read_bill, read_latencies, with_actions, with_arrivals

scenario = planner.Scenario.read(data_path("scenarios", "web.yaml")).replace(horizon_h=2184)
catalog = planner.Catalog.read(*scenario.providers, regions=scenario.regions)
study = planner.run(scenario, catalog, paths=40)
plan = study.plan

# %% [markdown]
# ## By month and charge

# %%
charts.cost_months(plan.monthly(), span=views.month_range(plan))

# %%
answer.to_the_cent(plan)

# %% [markdown]
# ## Who answers for it, and what a request costs

# %%
plan.by_owner()

# %%
views.units(study)

# %% [markdown]
# ## What is signed, and when it is paid

# %%
export.headline(study)

# %%
tables = export.tables(study)
tables["prepayments"]

# %% [markdown]
# ## Two months later
# A bill in FOCUS columns and what arrived, hour by hour, with the latency that was measured.

# %%
bill = read_bill(data_path("actuals", "web_focus.csv"))
files = files_of(scenario, [str(data_path("actuals", "web_traffic.csv"))])
arrived, latencies = read_arrivals(scenario, files), read_latencies(scenario, files)
beside = compared(scenario, plan, bill)
found = with_arrivals(beside, plan, study.load, arrived, latencies, study.replay, study.capacity)
print(tracking.headline(found, scenario.time_zone))

# %% [markdown]
# Every dollar of the difference stands under one cause:

# %%
charts.bridge(tracking.bridge(found), "From plan to bill", "USD")

# %%
charts.spending(tracking.days(found, scenario.time_zone))

# %%
tracking.lines(found)

# %% [markdown]
# ## What drifts
# Each test may be looked at every day. If what comes is one more draw like the plan's load paths,
# latencies have no order in time and models err as they say, at most one in twenty sounds in a quarter
# though nothing has changed.

# %%
[said for _, said in tracking.drifts(found)]

# %%
tracking.forecast(found)

# %% [markdown]
# ## What to change now
# The same question asked again from the bill's end on, with what came and with the contracts held.

# %%
changed = with_actions(found, scenario, plan, study.traffic, arrived, catalog, paths=40)
changed.actions

# %% [markdown]
# ## The numbers agree
# Bridge, lines, bill and files add up to the cent.

# %%
assert abs(sum(found.causes().values()) - found.difference_usd) < 1e-6
assert abs(found.lines["difference_usd"].sum() - found.difference_usd) < 1e-6
assert abs(bill["effective_cost_usd"].sum() - found.actual_usd) < 1e-6
assert abs(tables["months"]["effective_cost_usd"].sum() - plan.total_usd) < 0.005
assert any(drifted for drifted, _ in tracking.drifts(found))
assert changed.again.scenario.start > scenario.start
