"""Drift: false alarms at their nominal rate whenever looked at, and changes that are found."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner.load import Load, ServiceLoad, Traffic
from planner.simulator import simulate
from planner.track import compared, sequential, with_arrivals
from planner.track.drift import of_cost, of_latency, of_load
from planner.track.period import Period, planned
from tests.builders import hand

DAYS = 56
HOURS = 24 * DAYS
TS = pd.date_range("2027-01-04", periods=HOURS, freq="h", tz="UTC").as_unit("us")
NOMINAL = (0.05, 0.1, 0.2)


def daily(count, rng):
    """Stationary daily volumes whose level differs from curve to curve and wanders for days and weeks."""
    level = rng.normal(0, 0.15, (count, 1)) * np.ones(DAYS)
    for keep, sd in ((0.5, 0.05), (0.95, 0.08)):
        x = rng.normal(0, sd, count)
        for d in range(DAYS):
            x = keep * x + rng.normal(0, sd * np.sqrt(1 - keep**2), count)
            level[:, d] += x
    return 10 * np.exp(level)


def hourly(days):
    """Hours of daily volumes, a day's shape in each."""
    shape = 1 + 0.5 * np.sin(np.arange(24) * 2 * np.pi / 24)
    return (days[..., None] * shape).reshape(*days.shape[:-1], -1)


def shares(p_values):
    return [float(np.mean(np.asarray(p_values) <= a)) for a in NOMINAL]


@pytest.fixture(scope="module", name="load")
def planned_load():
    return Load(
        TS, np.ones(HOURS), {"web": ServiceLoad(hourly(daily(200, np.random.default_rng(1))).astype(np.float32))}
    )


def finding(load, rate):
    return next(of_load(load, {"web": Traffic("now", TS[0], 3600, np.asarray(rate, dtype=np.float64))}))


def test_false_alarms_on_the_plans_own_paths_are_nominal_at_any_look():
    """The p value only falls, so its last is the smallest of all looks; many plans, as one plan's
    200 paths are themselves drawn.
    """
    p = []
    for seed in range(60):
        curves = daily(220, np.random.default_rng(seed))
        p += [sequential.against(curves[:200], y).last for y in curves[200:]]
    assert shares(p) == pytest.approx(NOMINAL, abs=0.02)


def test_a_shift_is_found_and_its_day_told(load):
    days = []
    for y in hourly(daily(20, np.random.default_rng(3))):
        found = finding(load, y * np.where(np.arange(HOURS) >= 24 * 14, 1.5, 1.0))
        if found.drifted and found.side == "above":
            days.append((found.known_since - TS[0]) / pd.Timedelta(days=1) - 14)
    assert len(days) >= 17
    assert 0 < np.median(days) <= 14
    assert finding(load, hourly(daily(1, np.random.default_rng(4)))[0] * 0.3).side == "below"


def test_a_level_that_the_plan_holds_possible_is_no_drift_and_a_change_to_it_is(load):
    paths = load.services["web"].arrival_rate_rps
    high = paths[np.argsort(paths.mean(axis=1))[-20]].astype(np.float64)
    assert not finding(load, high).drifted
    came = np.where(np.arange(HOURS) < 24 * 21, np.median(paths, axis=0), high)
    assert finding(load, came).p_value < finding(load, high).p_value


def test_evidence_only_grows_and_gaps_are_left_out(load):
    y = hourly(daily(1, np.random.default_rng(5)))[0]
    y[100:300] = np.nan
    assert finding(load, y).days == pytest.approx((HOURS - 200) / 24)
    assert finding(load, y[: 24 * 30]).days == pytest.approx((24 * 30 - 200) / 24)
    curves = daily(100, np.random.default_rng(6))
    assert (np.diff(sequential.against(curves[1:], curves[0]).p_value) <= 0).all()
    assert not list(of_load(load, {"web": Traffic("now", TS[0], 3600, y[:48])}))


def test_half_of_the_days_hours_stand_for_the_day(load):
    y = hourly(daily(1, np.random.default_rng(7)))[0]
    half = np.where(np.arange(HOURS) % 24 < 12, y, np.nan)
    whole, part = (finding(load, v) for v in (y, half))
    assert 0.02 < whole.p_value < 0.98
    assert part.p_value == whole.p_value


def test_what_is_looked_at_early_does_not_depend_on_what_comes_later():
    curves = daily(101, np.random.default_rng(8))
    early = np.where(np.arange(DAYS) < 30, curves[0], np.nan)
    whole, part = (sequential.against(curves[1:], y).p_value for y in (curves[0], early))
    np.testing.assert_array_equal(part, whole[: len(part)])


def test_each_quarter_begins_anew():
    asked = []

    def test(quarter):
        asked.append((quarter.start, quarter.stop))
        return sequential.Evidence(np.array([0.2 if quarter.start else 0.6]), np.array([9.0]), "above", 0.005)

    found = sequential.quarterly(365, test)
    assert asked == [(0, 91), (91, 182), (182, 273), (273, 365)]
    assert (found.last, found.first_below(0.2)) == (0.2, 91 + 9)
    assert np.isnan(sequential.quarterly(3, lambda _: sequential.NOTHING).last)


def test_what_one_quarter_found_stays_known_since_then_whatever_a_later_one_finds():
    """Sides and p values of three quarters: the second finds more of the same, the third the contrary."""
    each = iter([([0.5, 0.04], "above"), ([0.3, 0.01], "above"), ([0.2], "below")])

    def test(_):
        p, side = next(each)
        return sequential.Evidence(np.array(p), np.arange(1.0, len(p) + 1), side, 0.005)

    found = sequential.quarterly(273, test)
    assert (found.first_below(0.05), found.last, found.side) == (2.0, 0.01, "above")
    np.testing.assert_array_equal(found.p_value, [0.5, 0.04, 0.04, 0.01])
    np.testing.assert_array_equal(found.day, [1, 2, 92, 93])


def test_days_that_are_alike_sound_no_alarm_beyond_nominal_and_a_change_is_found():
    rng = np.random.default_rng(9)
    p = [sequential.changed(rng.lognormal(size=60), 60).last for _ in range(1500)]
    assert shares(p) == pytest.approx(NOMINAL, abs=0.02)
    late = rng.normal(0, 0.02, 60) + (np.arange(60) >= 30)
    assert 0 < sequential.changed(late, 60).first_below(0.05) - 30 <= 14
    assert np.isnan(sequential.changed(np.zeros(0), 60).last)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 4.0])
def test_days_rounded_to_a_few_values_sound_no_more_than_nominal(step):
    """Noise of one standard deviation on a grid of ``step``; the coarser, the less there is to be heard."""
    rng = np.random.default_rng(19)
    p = [sequential.changed(np.round(x / step + rng.random()), 60).last for x in rng.normal(size=(600, 60))]
    assert all(share <= nominal + 0.02 for share, nominal in zip(shares(p), NOMINAL, strict=True))
    late = np.round((rng.normal(0, 0.1, 60) + (np.arange(60) >= 30)) / step)
    assert step > 1 or 30 < sequential.changed(late, 60).first_below(0.05) <= 40


@pytest.mark.parametrize("level", [0.2, 0.1])
def test_a_constant_latency_never_alarms(level):
    index = pd.date_range(TS[0], periods=91, freq="D")
    found = next(of_latency({SERVED: level}, {SERVED: pd.Series(level, index)}, {"web": 0.2}))
    assert (found.drifted, found.p_value) == (False, 1.0)


def test_paths_kept_in_single_precision_are_no_drift_of_the_same_load():
    """0.1 requests/s as float32 is not 0.1: paths without any spread tell no such difference."""
    flat = Load(TS, np.ones(HOURS), {"web": ServiceLoad(np.full((40, HOURS), 0.1, dtype=np.float32))})
    assert not finding(flat, np.full(HOURS, 0.1)).drifted
    assert finding(flat, np.full(HOURS, 0.2)).drifted


def test_what_cannot_be_found_is_not_tested(load):
    """The least p value of N paths is 1/(N + 1); before a week there is none at all."""
    y = hourly(daily(1, np.random.default_rng(20)))[0] * np.where(np.arange(HOURS) < 24 * 14, 1.0, 3.0)
    few, enough = (finding(load.select(np.arange(n)), y) for n in (18, 19))
    assert np.isnan(few.p_value)
    assert not few.drifted
    assert (enough.p_value, enough.drifted) == (0.05, True)
    assert np.isnan(finding(load, y[: 24 * 6]).p_value)
    assert finding(load, y[: 24 * 7]).p_value <= 1


def test_a_day_that_begins_at_another_hour_ends_at_it(load):
    y = hourly(daily(1, np.random.default_rng(3)))[0] * np.where(np.arange(HOURS) >= 24 * 14, 3.0, 1.0)
    later = replace(load, ts=TS + pd.Timedelta(hours=23))
    [moved] = of_load(later, {"web": Traffic("now", later.ts[0], 3600, y)})
    assert moved.known_since - finding(load, y).known_since == pd.Timedelta(hours=23)


SERVED = ("web", "latency_p99_s")


def latency(factor, noise):
    """One simulated service for a quarter: its true latency beside the model's, a day's noise."""
    index = pd.date_range(TS[0], periods=91, freq="D")
    series = pd.Series(0.2 * factor * np.exp(noise), index)
    return next(of_latency({SERVED: 0.2}, {SERVED: series}, {"web": 0.2}))


def test_false_alarms_of_latency_are_nominal_where_models_err_as_they_say():
    rng = np.random.default_rng(10)
    sigma = np.log1p(0.2) / 1.645
    p = [latency(np.exp(rng.normal(0, sigma)), rng.normal(0, 0.02, 91)).p_value for _ in range(1200)]
    assert shares(p) == pytest.approx(NOMINAL, abs=0.02)


def test_slower_answers_are_found_and_a_wrong_model_after_a_week():
    rng = np.random.default_rng(11)
    change = np.where(np.arange(91) >= 30, np.log(1.3), 0.0)
    found = [latency(1.0, rng.normal(0, 0.02, 91) + change) for _ in range(20)]
    assert all(f.drifted and f.side == "above" for f in found)
    delay = [(f.known_since - TS[0]).days - 30 for f in found]
    assert 0 < np.median(delay) <= 12
    unknown = next(of_latency({SERVED: 0.2}, {SERVED: pd.Series(0.2, pd.date_range(TS[0], periods=9))}, {}))
    assert np.isnan([unknown.outside_share, unknown.expected_share]).all()
    wrong = latency(2.2, rng.normal(0, 0.02, 91))
    assert (wrong.drifted, wrong.side, (wrong.known_since - TS[0]).days) == (True, "above", 7)


S = hand.scenario().model_copy(update={"start": TS[0].date(), "horizon_h": HOURS})
PERIOD = Period(TS[0], TS[-1] + pd.Timedelta(hours=1))


@pytest.fixture(scope="module", name="paid")
def plan_of_a_service():
    """A plan whose months' bills follow half of its load."""
    plan = hand.plan(S, hand.schedule(S, 2))
    curves = daily(200, np.random.default_rng(12))
    load = Load(TS, np.ones(HOURS), {"web": ServiceLoad(hourly(curves).astype(np.float32))})
    month = pd.DatetimeIndex(TS[::24]).strftime("%Y-%m")
    bills = {m: tuple(2 * 24 * (0.5 + 0.5 * curves[:, month == m] / 10.5).sum(axis=1)) for m in month.unique()}
    plan = replace(plan, paths_month_usd=bills)
    return plan, planned(plan, PERIOD, PERIOD.end), load


def bill(days_usd):
    ts = pd.date_range(TS[0], periods=len(days_usd), freq="D").as_unit("us")
    rows = {"service": "web", "ts": ts, "charge_end": ts + pd.Timedelta(days=1), "effective_cost_usd": days_usd}
    return pd.DataFrame(rows)


def spent(paid, days_usd):
    plan, due, load = paid
    return {f.service: f for f in of_cost(plan, due, bill(days_usd), "effective_cost_usd", PERIOD, load)}


def test_cost_that_follows_an_unseen_load_drifts_no_more_than_nominal_and_a_dearer_one_does(paid):
    plan, *_ = paid
    usual = plan.cost["effective_cost_usd"].sum() / DAYS
    days = usual * (0.5 + 0.5 * daily(150, np.random.default_rng(13)) / 10.5)
    found = [spent(paid, d)["web"] for d in days]
    assert shares([f.p_value for f in found]) == pytest.approx(NOMINAL, abs=0.05)  # one plan's paths, 150 bills
    dear = [spent(paid, d * np.where(np.arange(DAYS) >= 14, 1.4, 1.0))["web"] for d in days[:20]]
    assert np.mean([f.drifted and f.side == "above" for f in dear]) >= 0.85
    assert np.nanmedian([(f.known_since - TS[0]).days - 14 for f in dear if f.drifted]) <= 14


BOTH = S.replace(**hand.TWO)


def test_the_whole_bill_moves_with_the_services_that_cost_most_not_with_those_of_most_requests():
    """One service of few dear requests that swing, one of a million cheap ones that do not."""
    dear, many = daily(260, np.random.default_rng(14)), daily(260, np.random.default_rng(15)) * 0 + 1e6
    rates = {n: ServiceLoad(hourly(v[:200]).astype(np.float32)) for n, v in (("web", dear), ("api", many))}
    runs = pd.concat([hand.schedule(BOTH, 20), hand.schedule(BOTH, 1, service="api")], ignore_index=True)
    plan, usd = hand.plan(BOTH, runs, services=("web", "api")), dear / dear[:200].mean(axis=0) * 20 * 24 + 24
    month = pd.DatetimeIndex(TS[::24]).strftime("%Y-%m")
    plan = replace(plan, paths_month_usd={m: tuple(usd[:200, month == m].sum(axis=1)) for m in month.unique()})
    due = planned(plan, PERIOD, PERIOD.end)
    found = [
        next(of_cost(plan, due, bill(days), "effective_cost_usd", PERIOD, Load(TS, np.ones(HOURS), rates)))
        for days in usd[200:]
    ]
    assert {f.service for f in found} == {""}
    assert shares([f.p_value for f in found]) == pytest.approx(NOMINAL, abs=0.08)  # 60 bills, one plan's paths


def test_fees_of_commitments_are_on_the_bill_of_all_and_not_on_that_of_a_service(paid):
    """A bill does not say for whom a fee is; a plan does, and must be read as a bill is."""
    plan, _, load = paid
    fee = plan.cost.assign(charge="commitment_fee", purchase_option="committed", effective_cost_usd=1.0)
    plan = replace(plan, cost=pd.concat([plan.cost, fee], ignore_index=True))
    days = pd.date_range(TS[0], periods=DAYS, freq="D").as_unit("us")
    line = {**hand.PLACE, "ts": days, "charge_end": days + pd.Timedelta(days=1), "charge_category": "usage"}
    tagged = line | {"charge": "compute", "resource": "m", "tags": '{"service": "web"}', "effective_cost_usd": 48.0}
    rows = [pd.DataFrame(tagged), pd.DataFrame(line | {"charge": "commitment_fee", "effective_cost_usd": 24.0})]
    track = compared(S, plan, hand.frame("actuals", pd.concat(rows, ignore_index=True)))
    sized = hand.capacity(models={hand.KEY: hand.MODEL})
    track = with_arrivals(track, plan, load, {}, {}, simulate(plan, S, load, sized), sized)
    assert track.drift.set_index("service")["ratio"].to_dict() == pytest.approx({"": 1.0, "web": 1.0})
    assert set(track.lines.loc[track.lines["charge"] == "commitment_fee", "owner"]) == {""}
