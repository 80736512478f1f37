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
# # Risk: would it hold, what breaks first, and what mending costs
#
# A plan is made for many futures and judged on others. This notebook plays four weeks of a web
# service minute by minute, looks for what breaks first, and strains the plan on purpose.

# %%
import pandas as pd

import planner
from planner.data import data_path
from planner.show import answer, charts, views, words
from planner.simulator import policies, stress

scenario = planner.Scenario.read(data_path("scenarios", "web.yaml")).replace(horizon_h=672)
catalog = planner.Catalog.read(*scenario.providers, regions=scenario.regions)
study = planner.run(scenario, catalog, paths=30)
plan, replay = study.plan, study.replay

# %% [markdown]
# ## The range of the bill
# Machines follow the load of each future; commitments stay as signed. Each month has a range of its
# own: its cheapest and dearest futures are not those of the whole plan.

# %%
charts.year(answer.year(study))

# %%
charts.cost_range(pd.DataFrame({"usd": views.path_costs(plan)}))

# %% [markdown]
# ## Was everybody served in time?
# On futures the plan was not made for, with start-up times, failures and spot machines taken back:

# %%
print(f"{replay.within_share():.3%} of requests in time on {replay.paths} futures")
replay.objectives

# %%
charts.held(views.held(study, "web").assign(objective=lambda t: t["objective"].map(words.spelled)))

# %% [markdown]
# What made requests late, the largest cause first:

# %%
late = replay.causes.sort_values("late_share", ascending=False)
[words.lateness(row, scenario.time_zone) for row in late.to_dict("records")]

# %% [markdown]
# ## What breaks first
# More load, a lost zone, spot machines gone, retries after an overload: how much of each is borne,
# when it would break, and what mending costs.

# %%
answer.breaking(study)["sentence"].tolist()

# %% [markdown]
# ## Strain
# The same plan under conditions it was not made for. Above 100 % a target is missed.

# %%
strained = stress(plan, scenario, study.unseen, study.capacity)
charts.strain(strained)

# %% [markdown]
# Another autoscaler, before anybody changes one:

# %%
tried = policies(plan, scenario, study.unseen, study.capacity)
charts.strain(tried, "Requests late under other autoscalers")

# %% [markdown]
# ## The numbers hold together

# %%
low, middle, high = (plan.summary()[k] for k in ("p10_usd", "p50_usd", "p90_usd"))
assert low <= middle <= high
months = answer.year(study)
assert abs(months["expected"].sum() - plan.total_usd) < 0.01
assert (months["p10"] <= months["p90"]).all()
assert 0.9 < replay.within_share() <= 1
assert (answer.breaking(study)["times"].diff().dropna() >= 0).all()
assert strained["within_share"].between(0, 1).all()
assert strained["within_share"].min() < replay.within_share()
