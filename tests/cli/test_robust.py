"""Whatever people feed the command line: an answer or a typed error, and nothing left behind from
one run to the next.
"""

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from planner import export
from planner.cli import main
from planner.data import data_path
from planner.scenario import Scenario
from planner.study import run
from tests.builders import small

MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(MANY, max_examples=15)
CELLS = st.one_of(
    st.text(max_size=12), st.floats(allow_nan=True).map(str), st.integers(-5, 10**9).map(str), st.just("")
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12)


def answered(folder):
    done = CliRunner().invoke(main, ["plan", str(folder / "small.yaml"), "--paths", "5"])
    assert done.exit_code in (0, 2, 3), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


@pytest.fixture(name="folder")
def folder_of_a_scenario(tmp_path):
    (tmp_path / "small.yaml").write_text(small.SCENARIO, encoding="utf-8")
    small.traffic().to_csv(tmp_path / "web.csv", index=False)
    return tmp_path


@FEW
@given(
    st.one_of(
        st.binary(max_size=300), ROWS.map(lambda rows: "\n".join(",".join(r) for r in rows).encode("utf-8", "replace"))
    )
)
@example(b"\x01\r\x01")
def test_law_55_any_traffic_file(folder, content):
    (folder / "web.csv").write_bytes(content)
    assert answered(folder).exit_code == 2


@pytest.mark.slow
@MANY
@given(st.data())
def test_law_55_any_damage_to_a_scenario(folder, data):
    text = small.SCENARIO
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 12))
    new = data.draw(
        st.one_of(
            st.text(max_size=6),
            st.sampled_from(["-1", "1e400", ".nan", "[]", "{}", "null", "&a", "*a", "\t", "!!python/name:os.system"]),
        )
    )
    (folder / "small.yaml").write_text(text[:at] + new + text[at + cut :], encoding="utf-8", errors="replace")
    answered(folder)


def test_law_56_no_state_leaks_between_scenarios(folder):
    small = Scenario.read(folder / "small.yaml")
    first = run(small, paths=10)
    run(small.replace(**{"services.web.objective.latency_p99_s": 0.2, "limits.zones": 2}), paths=10)
    again = run(small, paths=10)
    for name, frame in export.tables(first).items():
        assert export.to_csv(frame) == export.to_csv(export.tables(again)[name])


@pytest.mark.slow
def test_the_demo_answers_in_a_minute_and_reconciles(tmp_path):
    import csv
    import json

    done = CliRunner().invoke(main, ["demo", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for name in ("web", "chat", "embed", "demo"):
        sums = {}
        for table in ("cost", "months", "owners"):
            with (tmp_path / name / f"{table}.csv").open(newline="", encoding="utf-8") as file:
                sums[table] = sum(float(r["effective_cost_usd"]) for r in csv.DictReader(file))
        assert sums["months"] == pytest.approx(sums["cost"], rel=1e-9)
        assert sums["owners"] == pytest.approx(sums["cost"], rel=1e-9)
    done = CliRunner().invoke(main, ["plan", str(data_path("scenarios", "embed.yaml")), "--json"])
    with (tmp_path / "embed" / "summary.csv").open(newline="", encoding="utf-8") as file:
        written = {r["figure"]: float(r["value"]) for r in csv.DictReader(file)}
    told = json.loads(done.stdout)
    both = {k: v for k, v in (told["headline"] | told["summary"]).items() if isinstance(v, float)}
    assert both == pytest.approx(written, rel=1e-9)


@pytest.mark.slow
def test_law_52_a_dask_cluster_gives_the_same_sweep(folder):
    distributed = pytest.importorskip("distributed")
    import pandas as pd

    from planner.study import sweep

    small = Scenario.read(folder / "small.yaml")
    variants = {"as it is": {}, "two zones": {"limits.zones": 2, "limits.zones_lost": 1}}
    here = sweep(small, variants, paths=10)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pd.testing.assert_frame_equal(
            sweep(small, variants, paths=10, executor=client.get_executor()), here, check_exact=True
        )
