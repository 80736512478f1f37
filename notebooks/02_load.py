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
# # Load: what arrived, what will arrive, and how sure that is
#
# The planner never asks for "the peak". It asks for a history, and turns it into a bundle of
# equally likely
# futures. This notebook looks at each step of that: reading, mending, forecasting, growth and
# events.

# %%
import planner
from planner.data import data_path
from planner.show import charts, views

scenario = planner.Scenario.read(data_path("scenarios", "demo.yaml"))
histories = planner.read_histories(scenario)
{name: f"{h.mean_rps:,.1f} requests/s, {h.observed_share:.1%} of the time observed" for name, h in histories.items()}

# %% [markdown]
# ## Reading
# Times become UTC, counts become rates, and whatever had to be assumed or left out is written down.

# %%
histories["web"].quality

# %%
charts.history(histories["web"].hourly(), "Web requests")

# %%
charts.history(histories["embed"].hourly(), "Documents to embed")

# %% [markdown]
# A request log tells more than counts: how long the requests are, and how unevenly they come.

# %%
log = planner.read_traffic(data_path("traffic", "chat_requests.csv"))
print(f"squared variation of the gaps: {log.arrival_scv:.2f} ({log.arrival_basis})")
print(
    f"mean prompt {log.tokens.mean_input_tokens:,.0f}, mean answer {log.tokens.mean_output_tokens:,.0f} tokens"
    f" ({log.tokens.basis})"
)

# %% [markdown]
# ## Forecasting
# All services are forecast together, so that a busy evening is busy for all of them on the same
# path.

# %%
load = planner.forecast(histories, scenario, paths=200)
charts.load_year(views.daily(views.load_hours(load, scenario, "web")), "Web, busiest hour of each day")

# %%
charts.load_week(views.peak_week(views.load_hours(load, scenario, "chat")), "Chat, the busiest week")

# %% [markdown]
# Volume and peak are taken on each path first and summarized last. Adding up the hourly 90 % curve
# instead would
# overstate the year: the hours are not all unlucky together.

# %%
views.load_summary(load, "web")

# %%
added_up = float(load.quantile("web", 0.9).sum() * 3600)
print(
    f"P90 of the year: {views.load_summary(load, 'web').loc['P90', 'requests']:,.0f}; sum of hourly P90s:"
    f" {added_up:,.0f}"
)

# %% [markdown]
# ## How good is it?
# The last week is forecast from what came before it, and compared with what came. The same is done
# at several
# moments of the past, beside the plain rule that next week repeats last week.

# %%
charts.hindcast(views.hindcast(histories["web"], scenario))

# %%
scores = planner.load.backtest(histories["web"], time_zone=scenario.time_zone)
charts.backtest(scores)

# %%
scores.round(3)

# %% [markdown]
# ## What the range comes from
# Some of it is the noise of the history, some the growth nobody knows, some the events of the
# scenario.

# %%
charts.spread(views.range_causes(load))

# %% [markdown]
# ## The same seed, the same futures

# %%
again = planner.forecast(histories, scenario, paths=200)
grown = planner.forecast(histories, scenario.replace(**{"services.web.growth_share_per_year": 1.0}), paths=200)
middle, doubled = (views.load_summary(one, "web").loc["P50", "requests"] for one in (load, grown))
print(f"with 100 % growth a year the middle volume is {doubled / middle:.2f} times as large")

# %%
assert (again.services["web"].arrival_rate_rps == load.services["web"].arrival_rate_rps).all()
assert views.load_summary(load, "web").loc["P90", "requests"] < added_up
assert doubled > middle
assert abs(sum(load.services["web"].range_share.values()) - 1) < 1e-6
assert (scores["wql_ratio"] < 1).all()
assert load.hours == scenario.horizon_h
