"""``planner story`` as a process: every figure followed back to its file, and the steps held against each other."""

import json
import re
import shutil
import subprocess
import sys

import boto3
import pandas as pd
import pytest

from planner.store import Store
from tests.builders import clouds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="told")
def folder_of_a_story(tmp_path_factory):
    place = tmp_path_factory.mktemp("story")
    command = [sys.executable, "-m", "planner", "story", "out", "--paths", "20", "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    (place / "said.json").write_text(done.stdout, encoding="utf-8")
    return place / "out"


def table(told, name):
    return pd.read_csv(told / f"{name}.csv", keep_default_na=False, na_values=[""])


def plain(told):
    return json.loads((told / "story.json").read_text(encoding="utf-8"))


def figure(told, name):
    return next(f["value"] for f in plain(told)["figures"] if f["what"] == name)


def test_every_figure_is_the_sum_of_the_rows_it_names(told):
    figures = table(told, "story").fillna("").to_dict("records")
    assert len(figures) >= 20
    for f in figures:
        frame = pd.read_csv(told / f["file"])
        column, _, word = f["where"].partition("=")
        rows = frame[frame[column].astype(str) == word] if column else frame
        assert len(rows), f
        assert rows[f["column"]].sum() == pytest.approx(f["value"], abs=1e-6), f
    text = (told / "story.txt").read_text(encoding="utf-8")
    assert all(f["file"] in text for f in figures)
    assert "differ" not in text.rpartition("What must be the same")[2]


def test_what_is_printed_is_what_is_kept(told):
    assert json.loads((told.parent / "said.json").read_text(encoding="utf-8")) == plain(told)
    assert all(a["holds"] for a in plain(told)["agreements"])


def test_plan_export_and_store_are_one(told):
    finance = table(told, "production-finance")
    total = finance.loc[finance["measure"] == "amortized", "cost_usd"].sum()
    summary = table(told, "production-summary").set_index("figure")["value"]
    assert total == pytest.approx(summary["total_usd"], abs=0.005)
    assert total == pytest.approx(table(told, "production-months")["effective_cost_usd"].sum(), abs=0.005)
    revisions = Store(str(told / "store.db")).revisions()
    assert [(r.label, r.facts.state) for r in revisions] == [
        ("chat-2027@1", "idea"),
        ("chat-2027@2", "idea"),
        ("chat-2027@3", "agreed"),
    ]
    assert revisions[1].kept.cost["effective_cost_usd"].sum() == pytest.approx(total, abs=0.005)
    assert table(told, "revisions")["sha256"].tolist() == [r.facts.sha256 for r in revisions]


def test_the_bridge_leads_from_the_experiment_to_production(told):
    sides = [
        table(told, f"{s}-summary").set_index("figure")["value"]["monthly_mean_usd"]
        for s in ("experiment", "production")
    ]
    assert table(told, "bridge-lines")["difference_usd"].sum() == pytest.approx(sides[1] - sides[0], abs=0.005)
    assert figure(told, "1 million tokens, production") < figure(told, "1 million tokens, experiment")
    assert set(table(told, "bridge-lines")["owner"]) == {"search"}


def test_what_drifted_is_known_in_the_month_it_was_planted_and_not_before(told):
    drift = table(told, "track-drift")
    known = pd.to_datetime(drift["known_since"], utc=True)
    slower = drift["measure"].str.contains("ttft|tpot")
    assert drift.loc[slower, "drifted"].all()
    assert drift.loc[drift["measure"] == "load", "drifted"].all()
    assert (known[slower].dt.strftime("%Y-%m") == "2027-02").all()
    assert (known[drift["drifted"]] > pd.Timestamp("2027-01-18", tz="UTC")).all()


def test_causes_and_what_nobody_planned_are_told(told):
    causes = table(told, "track-bridge").groupby("cause")["difference_usd"].sum()
    assert causes.sum() == pytest.approx(figure(told, "billed") - figure(told, "planned"), abs=0.005)
    assert causes["unmatched"] == pytest.approx(59 * 4.1, abs=0.01)
    assert causes["one_off"] == pytest.approx(-60 + 38.5, abs=0.01)
    assert table(told, "track-rows")["effective_cost_usd"].sum() == pytest.approx(figure(told, "billed"), abs=0.005)


def test_the_plan_made_again_holds_the_contracts_and_carries_more(told):
    keys = ["commitment", "quantity", "end"]
    before, after = (table(told, f"{side}-commitments") for side in ("production", "again"))
    before = before.loc[pd.to_datetime(before["start"]) < pd.Timestamp("2027-02-28T23:00Z"), keys]
    after["commitment"] = after["commitment"].str.removesuffix(" (held)")
    assert len(before)
    assert len(before.merge(after, on=keys)) == len(before)
    assert figure(told, "a month from now on") > figure(told, "in all") / 12
    assert len(table(told, "track-actions"))


def test_the_page_and_the_alerts_are_those_of_the_plan(told):
    page = (told / "handoff.md").read_text(encoding="utf-8")
    assert "search-oncall" in page
    said = re.search(r"`plan.total_usd` = ([\d.]+) USD", page)
    assert float(said[1]) == pytest.approx(figure(told, "in all, as handed over"), abs=0.005)
    alerts = (told / "prometheus-alerts.yaml").read_text(encoding="utf-8")
    assert plain(told)["alerts"]
    assert all(name in alerts for name in plain(told)["alerts"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_alerts_fire_on_the_overload_that_is_replayed(told):
    done = subprocess.run(
        ["promtool", "test", "rules", "prometheus-tests.yaml", "prometheus-date-tests.yaml"],
        cwd=told,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alarms_stand_on_a_server(told):
    """Moto's server, over HTTP, its state reset before."""
    written = json.loads((told / "cloudwatch-alarms.json").read_text(encoding="utf-8"))
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}
    with clouds.moto_server() as url:
        client = boto3.client("cloudwatch", endpoint_url=url, **keys)
        for alarm in written:
            client.put_metric_alarm(**alarm)
        stands = {a["AlarmName"]: a["Threshold"] for a in client.describe_alarms()["MetricAlarms"]}
    assert len(written) >= 5
    assert stands == pytest.approx({a["AlarmName"]: a["Threshold"] for a in written})


def test_all_files_are_one_set(told):
    listed = json.loads((told / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert {p.name for p in told.iterdir()} == {*listed, "manifest.json"}
    assert {"story.txt", "story.json", "store.db", "handoff.md"} <= set(listed)
