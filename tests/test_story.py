"""Figures of the story: each stands in a row, and contracts are counted once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner.errors import PlannerError
from planner.story import in_force, total
from tests.builders import hand

TABLES = {"a.csv": pd.DataFrame({"cause": ["price", "mix", "price"], "usd": [1.0, 2.0, 4.0]})}


def test_a_figure_is_the_sum_of_the_rows_it_names():
    assert total(TABLES, "a.csv", "usd", "cause=price") == 5.0
    assert total(TABLES, "a.csv", "usd", "") == 7.0
    unknown = {"a.csv": TABLES["a.csv"].assign(usd=[1.0, np.nan, np.nan])}
    assert np.isnan(total(unknown, "a.csv", "usd", "cause=mix"))
    assert np.isnan(total(unknown, "a.csv", "usd", "cause=price"))


def test_a_figure_that_stands_in_no_row_is_refused_and_is_not_nothing():
    with pytest.raises(PlannerError, match="stands in no row") as refused:
        total(TABLES, "a.csv", "usd", "cause=volume")
    assert "a.csv" in str(refused.value)
    assert "mix, price" in str(refused.value)


def test_contracts_of_one_name_and_end_are_counted_once():
    """Two lots signed on one day, held as two by the plan made again, which signs a third."""
    s = hand.scenario()
    start, plan = pd.Timestamp(s.start_utc), hand.plan(s, hand.schedule(s, 2))
    lot = {"commitment": "ri", "start": start, "end": start + pd.Timedelta(days=365), "quantity": 2.0}
    ended = lot | {"end": start + pd.Timedelta(days=30)}
    first = hand.frame("plan.commitments", [lot, lot | {"quantity": 3.0}, ended])
    held = [lot | {"commitment": "ri (held)", "quantity": q} for q in (2.0, 3.0)]
    again = hand.frame("plan.commitments", [*held, lot | {"start": start + pd.Timedelta(days=59)}])
    found = in_force(replace(plan, commitments=first), replace(plan, commitments=again), start + pd.Timedelta(days=59))
    assert found == (5.0, 5.0)
