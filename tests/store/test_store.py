"""Revisions keep who, when, why, the question and the answer, and nothing in them changes; a state is
entered by its gates.
"""

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from planner.catalog import Catalog
from planner.cli import main
from planner.cli.store import recomputed_text
from planner.data import tables_read
from planner.errors import StoreError
from planner.scenario import Scenario
from planner.store import Store, growth, recompute
from planner.store.database import _told
from planner.store.packing import catalog_of, pack, restore
from planner.store.revision import facts_of
from tests.builders import revisions, small

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
BUDGET = {"limits.budget_usd_per_month": 5000}


@pytest.fixture(name="store")
def an_empty_store(tmp_path):
    return Store(str(tmp_path / "new" / "folder" / "store.db"))


def save(store, study=None, why="a reason", **options):
    return store.save(study or revisions.study(), why, **{"author": "ada", "now": NOW, **options})


def test_a_revision_says_who_when_why_and_what(store):
    first, second = save(store, why="an idea"), save(store, revisions.study(2.0), why="twice the load", author="bob")
    found = store.revision("hand-made@1")
    facts = found.facts
    assert (facts.author, facts.at, facts.why, facts.state) == ("ada", "2026-11-27T12:00:00+00:00", "an idea", "idea")
    assert store.revision("hand-made").label == second.label == "hand-made@2"
    assert found.kept.cost.equals(first.kept.cost)
    assert found.kept.summary["total_usd"] == pytest.approx(found.kept.cost["effective_cost_usd"].sum(), abs=1e-9)
    assert store.revision("hand-made@2").facts.before == facts.sha256
    with found.scenario() as scenario:
        assert scenario.to_yaml() == revisions.study().scenario.to_yaml()


def test_the_same_question_has_the_same_content_whoever_asks_it_wherever(store, tmp_path):
    other = Store(f"sqlite:///{tmp_path}/other.db")
    assert save(store).facts.content == save(other, why="elsewhere", author="bob").facts.content
    assert save(store, revisions.study(**{"limits.zones_lost": 0})).facts.content != save(store).facts.content


def test_what_is_stored_stands_alone(tmp_path):
    """Files of one name, from above, and by an absolute path, all come back; prices to the last digit."""
    home, other = tmp_path / "here" / "scenarios", tmp_path / "elsewhere"
    home.mkdir(parents=True)
    other.mkdir()
    small.traffic(48).to_csv(home.parent / "web.csv", index=False)
    small.traffic(72).to_csv(other / "web.csv", index=False)
    two = small.SCENARIO.replace(
        "limits:",
        f"""  api:
    owner: {{team: shop}}
    traffic: {{file: {other}/web.csv, user_time_zone: UTC}}
    latency: {{model: queue, service_time_s: 0.03, service_scv: 1.5}}
    objective: {{latency_p99_s: 0.3}}
limits:""",
    )
    (home / "two.yaml").write_text(two)
    scenario = Scenario.read(home / "two.yaml")
    catalog = Catalog.read("aws", regions=["us-east-1"])
    packed = pack(scenario, catalog)
    assert set(packed.files) == {"files/web.csv", "files/2-web.csv"}
    contents = {key: restore(key, body) for key, body in packed.blobs.items()}
    back = catalog_of({name: contents[key] for name, key in packed.catalog.items()})
    for name in ("instances", "rates", "commitments", "storage", "network", "unpriced"):
        assert getattr(back, name).equals(getattr(catalog, name)), name
    assert contents[packed.files["files/2-web.csv"]] == (other / "web.csv").read_bytes()
    assert str(tmp_path) not in packed.text


def test_nothing_in_the_store_changes(store, tmp_path):
    save(store)
    raw = sqlite3.connect(tmp_path / "new" / "folder" / "store.db")
    for change in ("UPDATE revision SET number = 7", "DELETE FROM revision", "UPDATE blob SET body = ''"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            raw.execute(change)
    for table, change in (("revision", "body = replace(body, 'ada', 'eve')"), ("blob", "body = x'00'")):
        raw.execute(f"DROP TRIGGER {table}_update")
        raw.execute(f"UPDATE {table} SET {change}")
        raw.commit()
        with pytest.raises(StoreError, match="SHA-256"):
            _ = store.revision("hand-made").kept
        raw.execute("UPDATE revision SET body = replace(body, 'eve', 'ada')")
        raw.commit()
    raw.close()


def test_a_state_is_entered_by_its_gates(store):
    save(store, revisions.study(owned=False))
    with pytest.raises(StoreError, match=r"nobody answers for \$3\.34 a month \(web \$3\.34\)"):
        store.set_state("hand-made", "agreed", "go")
    save(store)
    with pytest.raises(StoreError, match="agreed first; no budget is stated"):
        store.set_state("hand-made", "budgeted", "go", now=NOW)
    agreed = store.set_state("hand-made", "agreed", "the owner nodded", author="eve", now=NOW)
    assert (agreed.facts.number, agreed.facts.state) == (3, "agreed")
    assert agreed.facts.content == store.revision("hand-made@2").facts.content
    save(store, revisions.study(**BUDGET, state="agreed"))
    assert store.set_state("hand-made", "budgeted", "signed", now=NOW).facts.state == "budgeted"


def test_a_budget_does_not_stand_on_old_prices(store):
    for state in ("agreed", "budgeted"):
        old = revisions.study(**BUDGET, state=state, as_of="2026-01")
        if state == "agreed":
            save(store, old)
        else:
            with pytest.raises(StoreError, match=r"88% of the bill stands on prices older than 180 days"):
                save(store, old)
            assert save(store, old, max_age_days=400).facts.state == "budgeted"


def test_who_must_not_overlook_a_revision_says_after(store):
    save(store, after=0)
    with pytest.raises(StoreError, match="revision 1 was saved since revision 0"):
        save(store, after=0)
    assert save(store, after=1).facts.number == 2


def test_a_state_is_not_set_on_a_revision_that_was_not_seen(store):
    save(store)
    save(store)
    with pytest.raises(StoreError, match=r"revision 2 was saved since revision 1.*Look at hand-made@2"):
        store.set_state("hand-made", "agreed", "as discussed", after=1)
    assert store.set_state("hand-made", "agreed", "as discussed", after=2).label == "hand-made@3"


def test_what_was_kept_last_is_found_without_what_was_kept(store):
    """By the time of keeping, then by number: of two in one second the later."""
    for day, name in ((1, "a"), (2, "b"), (3, "a"), (3, "a")):
        save(store, revisions.study(name=name), now=NOW.replace(day=day))
    assert store.labels(3) == ("a@3", "a@2", "b@1")
    assert store.labels(9) == ("a@3", "a@2", "b@1", "a@1")
    assert [r.label for r in store.heads()] == ["a@3", "b@1"]
    assert store.heads()[0].facts == store.revision("a@3").facts


def test_a_bridge_of_two_revisions_adds_up_by_line_and_by_owner(store):
    a, b = save(store), save(store, revisions.study(2.5))
    found = growth(a.kept, b.kept)
    difference = b.kept.summary["monthly_mean_usd"] - a.kept.summary["monthly_mean_usd"]
    assert found.after_usd - found.before_usd == pytest.approx(difference, abs=1e-6)
    assert found.lines["difference_usd"].sum() == pytest.approx(difference, abs=1e-6)
    assert found.owners["difference_usd"].sum() == pytest.approx(difference, abs=1e-6)
    assert set(found.lines.loc[found.lines["difference_usd"].abs() > 1e-9, "cause"]) == {"volume"}
    row = found.services.iloc[0]
    assert row["requests_after"] == pytest.approx(2.5 * row["requests_before"])
    assert row["usd_per_1k_requests_after"] < row["usd_per_1k_requests_before"]  # the gateway is paid once
    paid = a.kept.cost["effective_cost_usd"].sum()
    assert row["usd_per_1m_tokens_before"] == pytest.approx(paid / 1e9 * 1e6)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mysql://root:secret@localhost/x", "this is no address of a store"),
        ("sqlite://", "this is no address of a store"),
        ("postgresql://planner:secret@127.0.0.1:9/x", "Check that the server runs"),
        ("sqlite:///{folder}", "Give a place that can be written"),
        ("{folder}/text.txt", "Give the file of a store"),
        ("{folder}/newer.db", "tables of version 99.*Update the planner"),
        ("sqlite:///file:{folder}/readonly.db?mode=ro&uri=true", "Give a place that can be written"),
        ("{folder}/text.txt/below/store.db", "the folder of the store cannot be made"),
    ],
)
def test_what_is_wrong_with_a_store_is_said(tmp_path, address, says):
    (tmp_path / "text.txt").write_text("no store " * 1000)
    for name in ("newer", "readonly"):
        Store(str(tmp_path / f"{name}.db"))
    with sqlite3.connect(tmp_path / "newer.db") as raw:
        raw.execute("UPDATE planner_schema SET version = 99")
    raw.close()
    with pytest.raises(StoreError, match=says) as fault:
        save(Store(address.format(folder=tmp_path)))
    assert "secret" not in str(fault.value)


def test_a_read_only_store_can_be_read(tmp_path):
    save(Store(str(tmp_path / "store.db")))
    again = Store(f"sqlite:///file:{tmp_path}/store.db?mode=ro&uri=true")
    assert [r.label for r in again.revisions()] == ["hand-made@1"]


def test_every_server_error_has_its_sentence():
    error = sa.exc.OperationalError("SELECT 1", {}, Exception('FATAL: database "plans" does not exist'))
    assert "createdb" in str(_told(error, "postgresql://x"))


@pytest.fixture(scope="module", name="planned")
def a_store_with_a_real_plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    (folder / "small.yaml").write_text(small.SCENARIO)
    small.traffic().to_csv(folder / "web.csv", index=False)
    options = ["--store", str(folder / "store.db")]
    saved = CliRunner().invoke(
        main,
        ["store", "save", str(folder / "small.yaml"), "--why", "first", "--paths", "20", "--author", "ada", *options],
    )
    assert saved.exit_code == 0, saved.output
    (folder / "web.csv").unlink()  # the store needs nothing of what was saved
    return folder, options


def run(*words):
    return CliRunner().invoke(main, ["store", *words])


def test_a_stored_plan_comes_out_again_to_the_cent(planned):
    done = run("recompute", "small", *planned[1])
    assert "Every charge of every month is the same to the cent" in done.stdout


def test_a_recompute_names_the_tables_that_are_others_now(planned):
    kept = Store(planned[1][1]).revision("small@1")
    assert kept.facts.tables == tables_read()
    other = {**kept.facts.tables, "hardware/cpu_speed.csv": "0" * 64, "hardware/gone.csv": "0" * 64}
    found = recompute(replace(kept, facts=kept.facts.again(tables=other)))
    assert found.same
    assert found.tables == ("hardware/cpu_speed.csv", "hardware/gone.csv")
    assert "hardware/cpu_speed.csv, hardware/gone.csv" in recomputed_text(found, "pinned")


def test_a_revision_from_before_tables_were_written_keeps_its_name(store):
    body = save(store).facts.again(tables={}).to_json()
    assert "tables" not in json.loads(body)
    assert facts_of(body, sha256(body.encode()).hexdigest()).to_json() == body


@pytest.mark.slow
def test_on_newer_prices_the_bridge_adds_up(planned, monkeypatch):
    dearer = Catalog.read("aws", regions=["us-east-1"])
    dearer = replace(dearer, rates=dearer.rates.assign(rate_usd_per_h=dearer.rates["rate_usd_per_h"] * 1.1))
    monkeypatch.setattr(Catalog, "read", classmethod(lambda cls, *names, **options: dearer))
    found = recompute(Store(planned[1][1]).revision("small@1"), newest=True)
    assert not found.same
    assert found.lines["difference_usd"].sum() == pytest.approx(found.after_usd - found.before_usd, abs=1e-6)
    machine = found.moves[found.moves["unit"] == "instance_hour"]
    assert machine["change_share"].to_numpy() == pytest.approx(0.1)


def test_the_commands_show_what_is_kept(planned):
    options = planned[1]
    assert "small@1   idea" in run("list", *options).stdout
    shown = run("show", "small@1", *options).stdout
    assert "by ada" in shown
    assert "files/web.csv" in shown
    assert Scenario.from_yaml(run("show", "small", "--yaml", *options).stdout).name == "small"
    state = run("state", "small", "agreed", *options)
    assert "small@2 (agreed)" in state.stdout
    assert "total" in run("bridge", "small@1", "small@2", *options).stdout
    missing = run("show", "other@4", *options)
    assert missing.exit_code == 2
    assert "It holds small" in missing.stderr
