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
# # Capacity: what one replica can bear
#
# A machine's price says nothing until one knows how many requests it serves within the promise.
# This notebook
# puts a web service and a language model on the machines of one region, and looks at where each one
# breaks.

# %%
import planner
from planner.data import data_path
from planner.show import charts, views, words

scenario = planner.Scenario.read(data_path("scenarios", "demo.yaml"))
catalog = planner.Catalog.read(*scenario.providers, regions=scenario.regions)
load = planner.forecast(planner.read_histories(scenario), scenario, paths=50)
capacity = planner.size(scenario, catalog, load)
costs = views.unit_costs(capacity, catalog)

# %% [markdown]
# ## A web service on CPUs
# The cheapest machines for a million requests, fully used, at the on-demand price:

# %%
web = costs[costs["service"] == "web"]
charts.unit_costs(web)

# %% [markdown]
# Latency against load for the cheapest of them. The dashed line is the promise; the replica breaks
# where they cross.

# %%
best = web.iloc[0]
model = capacity.models[tuple(best[views.MACHINE])]
sized = capacity.frame.merge(best.to_frame().T[views.MACHINE], on=views.MACHINE).iloc[0]
print(model.method)
curve = views.latency_curve(model, scenario.services["web"].objective, sized["goodput_rps"] * 1.1)
charts.latency(curve, f"One {best['instance_type']} under load")

# %% [markdown]
# Not all of that may be planned on. What is kept free, and what for:

# %%
charts.headroom(views.headroom(capacity, web.head(4)))

# %% [markdown]
# ## A language model on accelerators
# First token and every further token have limits of their own; memory decides how many answers fit
# at once.

# %%
chat = costs[costs["service"] == "chat"]
charts.unit_costs(chat)

# %%
placed = chat.iloc[0]
serving = capacity.models[tuple(placed[views.MACHINE])]
bears = capacity.frame.merge(placed.to_frame().T[views.MACHINE], on=views.MACHINE).iloc[0]
print(f"{placed['instance_type']}, {placed['deployment']}: {bears['goodput_rps']:.2f} requests/s")
print(f"limited by {words.spelled(bears['binding_objective'])}")
curves = views.latency_curve(serving, scenario.services["chat"].objective, bears["goodput_rps"] * 1.1)
charts.latency(curves, "One replica of the model under load")

# %% [markdown]
# ## What cannot serve, and why
# Every machine of the region is either usable or has its excuse.

# %%
views.out_of_reach(capacity)

# %% [markdown]
# ## The numbers hold together
# At its goodput a replica just keeps its binding promise; a little above, it does not.

# %%
limit = scenario.services["web"].objective.latency_p99_s
assert model.latency_s(sized["goodput_rps"] * 0.999, 1, 0.99) <= limit
assert model.latency_s(sized["goodput_rps"] * 1.02, 1, 0.99) > limit
assert sized["usable_rps"] < sized["goodput_rps"]
assert set(capacity.frame["service"]) == set(scenario.services)
assert ((capacity.frame["usable_rps"] > 0) == (capacity.frame["excuse"] == "")).all()
