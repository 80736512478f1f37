"""``planner track`` on the bundled example: the whole story, its JSON and its files, and what is refused."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner

from planner.cli import main
from planner.cli.track import track_text
from planner.data import data_path
from planner.track import compared
from tests.builders import hand

WEB = str(data_path("scenarios", "web.yaml"))
FOCUS, TRAFFIC = (str(data_path("actuals", n)) for n in ("web_focus.csv", "web_traffic.csv"))


def asked(*words):
    return CliRunner().invoke(main, ["track", WEB, *words])


@pytest.mark.slow
def test_the_bundled_example_tells_its_story(tmp_path):
    folder = tmp_path / "out"
    done = asked("--actual", FOCUS, "--traffic", TRAFFIC, "--paths", "40", "--json", "--csv", str(folder))
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(found["causes_usd"].values()) == pytest.approx(found["difference_usd"], abs=1e-6)
    assert found["causes_usd"]["unmatched"] == pytest.approx(59 * 4.1, abs=0.01)
    assert found["causes_usd"]["one_off"] == pytest.approx(-21.5, abs=0.01)
    assert {(r["service"], r["measure"]): r["drifted"] for r in found["drift"]}["", "cost"]
    assert found["actions"]
    rows = pd.read_csv(folder / "rows.csv")
    assert len(rows) == len(pd.read_csv(FOCUS))
    assert rows["effective_cost_usd"].sum() == pytest.approx(found["actual_usd"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--actual", "nowhere.csv"), "cannot be read"),
        (("--actual", FOCUS, "--traffic", "api=x.csv"), "SERVICE=FILE"),
        (("--actual", FOCUS, "--traffic", "nowhere.csv"), "no such file"),
        (("--actual", FOCUS, "--usd-per", "EUR"), "CUR=USD"),
        (("--actual", TRAFFIC), "in no format this program reads"),
    ],
)
def test_wrong_input_is_named_before_any_work(words, message):
    done = asked(*words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_the_screen_says_what_was_not_tested_and_what_is_proved():
    s = hand.scenario()
    start, plan = pd.Timestamp(s.start_utc), hand.plan(s, hand.schedule(s, 2))
    line = {**hand.PLACE, "ts": start, "charge_end": start + pd.Timedelta(hours=48), "charge_category": "usage"}
    bill = [line | {"charge": "compute", "resource": "m", "effective_cost_usd": 96.0, "tags": '{"service": "web"}'}]
    row = {"service": "web", "measure": "load", "days": 30.0, "side": "above", "ratio": 1.0, "drifted": False}
    known = {"measure": "cost", "p_value": 0.0001, "drifted": True, "known_since": start}
    found = replace(compared(s, plan, hand.frame("actuals", bill)), drift=hand.frame("track.drift", [row, row | known]))
    lines = track_text(found).splitlines()
    [load] = [line for line in lines if line.split()[:2] == ["web", "load"]]
    [cost] = [line for line in lines if line.split()[:2] == ["web", "cost"]]
    assert "not tested" in load
    assert load.rstrip().endswith("expected")
    assert cost.endswith("< 0.001")
    assert any("at most one test in twenty" in line for line in lines)
