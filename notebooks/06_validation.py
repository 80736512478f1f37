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
# # Validation: how right is it, and beside what?
#
# Four claims, each measured here or taken from what a benchmark wrote, each beside something else
# that could be done: the forecast beside repeating last week, the queueing law beside a simulation
# of single requests, the language-model law on machines left out of its fit beside planning without
# a margin, and the plan beside the bound that no plan can undercut.

# %%
import numpy as np
import pandas as pd

import planner
from planner.data import data_path
from planner.show import charts, views
from planner.simulator import play_hour

scenario = planner.Scenario.read(data_path("scenarios", "demo.yaml"))
histories = {name: planner.read_histories(scenario)[name] for name in ("web", "chat")}

# %% [markdown]
# ## 1. The forecast, beside repeating last week
# At several moments of the past the future is forecast from what was known then. The loss is the
# weighted quantile loss, as a share of the volume; smaller is better.

# %%
scores = {name: planner.load.backtest(h, time_zone=scenario.time_zone) for name, h in histories.items()}
charts.backtest(scores["web"], "Web: forecast error beside repeating last week")

# %%
charts.backtest(scores["chat"], "Chat: forecast error beside repeating last week")

# %% [markdown]
# How often the truth lay below the 99 % line, which should be 99 of 100 hours, and how often a peak
# beat its forecast:

# %%
judged = pd.concat({name: s.set_index("horizon_h") for name, s in scores.items()}, names=["service"])
judged[["wql_ratio", "coverage_99_share", "peak_exceeded_share"]].round(3)

# %% [markdown]
# ## 2. The queueing law, beside single requests
# The busiest hour of a small plan is played request by request, on the machines the law sized. The
# model stands for what the replay uses; the simulation knows nothing of it.

# %%
small = planner.Scenario.read(data_path("scenarios", "web.yaml")).replace(horizon_h=336)
catalog = planner.Catalog.read(*small.providers, regions=small.regions)
study = planner.run(small, catalog, paths=20)
played = play_hour(study.plan, small, study.load, study.capacity)
played[["instance_type", "variant", "utilization", "requests", "played_s", "pointwise_s", "played_difference_share"]]

# %% [markdown]
# ## 3. Language models, on machines left out of the fit
# The error table is what the fit wrote when whole (model, accelerator) combinations were left out:
# the spread of the logarithmic error by how a test was driven and how much of it was seen.

# %%
errors = pd.read_csv(data_path("models", "llm_errors.csv"))
errors

# %% [markdown]
# What a margin buys: of all choices of a load under a limit on the time per token, how many broke
# the limit, and what share of the best throughput was kept. No margin is the first row; the planned
# one is marked.

# %%
margins = pd.read_csv(data_path("models", "llm_margin.csv"))
margins[["sigmas", "broken_share", "kept_share", "planned"]]

# %% [markdown]
# ## 4. The plan, beside the bound
# No choice of machines and commitments within the limits can have an expected bill below the bound.

# %%
bound = study.plan.certificate
print(f"${study.plan.total_usd:,.2f}; no plan below ${bound.lower_bound_usd:,.2f}: {bound.gap_share:.1%} above it")
charts.unit_costs(views.unit_costs(study.capacity, catalog))

# %% [markdown]
# ## The claims

# %%
planned = margins[margins["planned"] == 1].iloc[0]
without = margins[margins["sigmas"] == 0].iloc[0]
assert (judged["wql_ratio"] < 1).all()
assert judged["coverage_99_share"].mean() > 0.95
assert planned["broken_share"] < 0.1 < without["broken_share"]
assert planned["kept_share"] > 0.8
assert (errors.loc[errors["seen"] == "none", "throughput"] >= 0).all()
hour = played[(played["variant"] == "this hour") & (played["utilization"] < 0.9)]
assert (hour["played_difference_share"].abs() < 0.25).all()
assert np.isfinite(bound.gap_share)
assert bound.lower_bound_usd <= study.plan.total_usd
