"""The page without a browser: every control, links, downloads, uploads, and all the ways to be
wrong.
"""

import gzip
import io
import re
import time
import zipfile
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from planner import export
from planner.errors import TrafficError
from planner.scenario import Scenario
from planner.show import words
from planner.study import run
from planner.track import compared, read_bill
from planner.ui import kept, session, uploads
from tests.builders import ROOT, revisions

APP = str(ROOT / "app.py")
SCENARIO = """
name: small
start: 2027-01-04
horizon_h: 168
time_zone: Europe/Berlin
providers: [aws]
regions: [us-east-1]
services:
  web:
    owner: {team: shop}
    traffic: {file: web.csv}
    latency: {model: queue, service_time_s: 0.05}
    objective: {latency_p99_s: 0.4, load_quantile: 0.9}
limits: {instance_types: [c7i.large, c7i.xlarge, m7i.large]}
seed: 3
"""
START = datetime(2026, 11, 2, tzinfo=UTC)


def history(days=28, rate=lambda h: 40 + 30 * (8 <= h % 24 < 20), stamp=lambda t: t.isoformat()):
    return (
        "\n".join(
            ["ts,arrival_rate_rps", *(f"{stamp(START + timedelta(hours=h))},{rate(h)}" for h in range(24 * days))]
        )
        + "\n"
    )


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """A store of this test alone, which no other session of the machine sees."""
    monkeypatch.setenv("PLANNER_STORE", str(tmp_path / "store.db"))
    kept.store.clear()
    yield
    kept.store.clear()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One folder for all tests that spoil nothing, so that they share their studies as sessions of
    one server do.
    """
    return tmp_path_factory.mktemp("sound")


@pytest.fixture
def small(tmp_path, shared, monkeypatch):
    """The page with one small scenario instead of the samples; its files may be spoiled before the
    run.
    """

    def write(scenario=SCENARIO, traffic=None):
        folder = shared if scenario == SCENARIO and traffic is None else tmp_path
        content = history() if traffic is None else traffic
        (folder / "small.yaml").write_text(scenario)
        (folder / "web.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.setattr(session, "bundled", lambda: {"small": folder / "small.yaml"})
        return AppTest.from_file(APP, default_timeout=240)

    return write


def shown(at):
    """Everything written on the page."""
    return "\n".join(str(e.value) for kind in (at.title, at.markdown, at.caption, at.error, at.info) for e in kind)


def cost(at):
    return at.metric[0].value


def go(at, name):
    return at.switch_page(f"planner/ui/{name}.py").run()


def test_the_page_answers_and_every_figure_is_the_plans(small):
    at = small().run()
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    labels = [m.label for m in at.metric]
    assert labels == ["Cost a month", "Today → plan", "Paid up front", "Still owed"]
    plan = session.study(_scenario()).plan
    assert cost(at) == f"\\${plan.summary()['monthly_mean_usd']:,.0f}"
    assert f"\\${plan.cost['effective_cost_usd'].sum():,.0f} in all" in shown(at)


@pytest.mark.parametrize("name", ["load", "capacity", "money", "commitments", "risk", "track", "operate", "store"])
def test_every_page_of_a_study_opens(small, name):
    at = go(small().run(), name)
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    assert at.title[0].value == name.capitalize()
    words_shown = re.sub(r"\\(.)", r"\1", shown(at))
    assert "_p99_s" not in words_shown
    assert "limits." not in words_shown


def test_what_to_run_adds_up_to_the_cost_a_month(small):
    at = small().run()
    rows = at.dataframe[0].value
    monthly = session.study(_scenario()).plan.summary()["monthly_mean_usd"]
    assert rows["machine"].iloc[-1] == "Total"
    assert rows["usd_per_month"].iloc[-1] == pytest.approx(monthly)
    assert rows["usd_per_month"].iloc[:-1].sum() == pytest.approx(monthly, abs=1.0)


@pytest.mark.slow
def test_every_control_moves_and_the_plan_follows(small):
    at = small().run()
    before = session.study(_scenario()).plan.total_usd
    at.slider(key="services.web.growth_share_per_year").set_value(1.0).run()
    grown = session.study(_scenario(**{"services.web.growth_share_per_year": 1.0})).plan
    assert f"{grown.total_usd:,.0f} in all" in shown(at)
    assert grown.total_usd >= before
    for key, value in {
        "services.web.objective.latency_p99_s": 0.5,
        "services.web.objective.load_quantile": 0.5,
        "limits.max_term_months": 0,
    }.items():
        at.select_slider(key=key).set_value(value).run()
        assert not at.exception
    at.slider(key="limits.max_spot_share").set_value(0.5).run()
    at.slider(key="limits.zones").set_value(3).run()
    at.slider(key="limits.zones_lost").set_value(1).run()
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    assert "Changed from the scenario file" in shown(at)


@pytest.mark.slow
def test_cases_of_strain_say_on_how_many_futures_they_were_played(small):
    at = go(small().run(), "risk")
    paths = min(40, session.study(_scenario()).unseen.paths)
    at.toggle(key="strain").set_value(True).run()
    assert not at.exception
    assert f"Each case was played on {paths} of these futures." in shown(at)


@pytest.mark.slow
def test_a_budget_holds_or_says_what_it_would_take(small):
    at = small().run()
    at.number_input(key="limits.budget_usd_per_month").set_value(1234567.0).run()
    assert not at.exception
    assert "the budget a month: $1,234,567" in shown(at).replace("\\", "")
    at.number_input(key="limits.budget_usd_per_month").set_value(1.0).run()
    assert not at.exception
    assert "No plan can meet" in at.error[0].value
    assert "What to do" in at.error[0].value
    assert "Raise the budget from $1 to" in at.error[0].value.replace("\\", "")
    next(b for b in at.button if b.label.startswith("Raise the budget from")).click().run()
    assert not at.error, [e.value for e in at.error]
    assert at.number_input(key="limits.budget_usd_per_month").value > 1


@pytest.mark.slow
def test_a_target_out_of_reach_names_the_nearest_one_and_keeps_the_plan_before(small):
    at = small().run()
    before = cost(at)
    at.query_params["services.web.objective.latency_p99_s"] = "0.01"
    at.run()
    at.select_slider(key="services.web.objective.latency_p99_s").set_value(0.08).run()
    assert "No plan can meet" in at.error[0].value
    assert cost(at) == before
    button = next(b for b in at.button if b.label.startswith("Raise whole answer for 99 % of requests of web"))
    button.click().run()
    assert not at.error, [e.value for e in at.error]
    assert not at.exception
    assert cost(at) >= before


def test_the_forecast_is_held_against_the_past(small):
    at = small()
    at.query_params["backtest"] = "true"
    go(at.run(), "load")
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    assert any("windows" in d.value.columns for d in at.dataframe)


@pytest.mark.slow
def test_trade_offs_are_plans_of_their_own(small):
    at = small()
    at.query_params.update({"frontier": "true", "choice": "Longest commitment, months"})
    monthly = cost(at.run())
    go(at, "capacity")
    assert not at.exception
    table, bounds = (d.value for d in at.dataframe if "value" in d.value.columns)
    assert table["value"].tolist() == [0, 12, 36]
    assert table.loc[table["value"] == 12, "note"].item() == "as chosen"
    assert table.loc[table["value"] == 12, "monthly_usd"].item() == monthly.replace("\\", "")
    assert bounds["value"].tolist() == [0, 12, 36]
    dollars = [float(text.lstrip("$").replace(",", "")) for text in (*bounds["bound_usd"], *table["monthly_usd"])]
    assert all(low <= whole for low, whole in zip(dollars[:3], dollars[3:], strict=True))


def test_two_plans_stand_side_by_side(small):
    at = small().run().switch_page("planner/ui/compare.py").run()
    assert "same scenario" in at.info[0].value
    at.slider(key="b.services.web.growth_share_per_year").set_value(1.0).run()
    assert not at.exception
    first, second = (
        session.study(_scenario(**o)).plan.total_usd for o in ({}, {"services.web.growth_share_per_year": 1.0})
    )
    total = [c.replace("\\", "") for c in at.table[0].value.set_index("Figure").loc["Cost in all"]]
    assert total == [words.money(first), words.money(second), f"+{words.money(second - first)}"]


def test_the_bare_address_leads_to_the_answer(small):
    at = small()
    at.query_params["limits.max_spot_share"] = "0.5"
    at.run()
    assert at.title[0].value == "small"
    assert at.slider(key="limits.max_spot_share").value == 0.5


def test_a_server_that_asks_for_sign_in_shows_nothing_before(small):
    at = small()
    at.secrets["auth"] = {"redirect_uri": "https://planner.example/oauth2callback", "cookie_secret": "x"}
    at.run()
    assert [b.label for b in at.button] == ["Sign in"]
    assert not at.metric
    assert not at.selectbox
    assert not at.exception


@pytest.mark.parametrize("content", [b"[auth\nclient_secret = 'hush'", b"\xff\xfe\x00", None])
def test_secrets_that_cannot_be_read_let_nobody_in(small, tmp_path, content):
    """A typing error in the file that asks for sign-in must not open the server to everybody."""
    file, before = tmp_path / "secrets.toml", config.get_option("secrets.files")
    if content is not None:
        file.write_bytes(content)
    config.set_option("secrets.files", [str(file)])
    try:
        at = small().run()
    finally:
        config.set_option("secrets.files", before, "<default>")
    assert not at.exception
    assert not [*at.metric, *at.selectbox, *at.sidebar.children]
    told = at.error[0].value.replace("\\", "")
    assert "secrets.toml" in told
    assert "Mend the file" in told
    assert "hush" not in told
    assert str(tmp_path) not in told


def _signed_in(at, email="ann@shop.example"):
    at.secrets["auth"] = {"redirect_uri": "https://planner.example/oauth2callback", "cookie_secret": "x"}
    at.user = {"is_logged_in": True, "exp": time.time() + 3600, "email": email}
    return at


def test_who_has_signed_in_writes_under_no_other_name(small):
    at = go(_signed_in(small()).run(), "store")
    fields = [t for t in at.text_input if t.label == "Who"]
    assert fields[0].value == "ann@shop.example"
    assert fields[0].disabled
    next(t for t in at.text_input if t.label == "Why keep it").set_value("first idea")
    next(b for b in at.button if b.label == "Keep").click().run()
    assert [r.facts.author for r in kept.revisions()] == ["ann@shop.example"]


def test_a_plan_without_a_bill_says_what_to_bring(small):
    at = go(small().run(), "track")
    assert "Bring the bill of small" in at.info[0].value
    assert not at.metric


def test_the_plans_own_bill_differs_by_nothing(small, tmp_path):
    at = go(small().run(), "track")
    bill = export.write_focus(session.study(_scenario()), tmp_path / "bill.csv")[0].read_bytes()
    next(u for u in at.file_uploader if u.label.startswith("Bill")).upload("../bill.csv", bill, "text/csv").run()
    assert not at.exception
    assert not at.error
    shown_as = {m.label: m.value.replace("\\", "") for m in at.metric}
    monthly = words.money(session.study(_scenario()).plan.total_usd)
    assert shown_as["Planned"] == shown_as["Paid"] == monthly
    assert shown_as["Difference"] in ("$0", "$0.00", "+$0.00", "−$0.00")
    assert shown_as["Not planned"] in ("$0", "$0.00")
    name = at.selectbox(key="bill").value
    back = go(go(at, "prices"), "track")
    assert back.selectbox(key="bill").value == name
    again = small()
    again.query_params["bill"] = name
    go(again.run(), "track")
    assert again.metric[0].value == at.metric[0].value


def test_what_nobody_planned_is_one_number(small, tmp_path):
    """Card, bridge and export take it from one place: tax on a cloud of no plan is one-off, not unplanned."""
    small()
    plan = session.study(_scenario()).plan
    file = export.write_focus(session.study(_scenario()), tmp_path / "bill.csv")[0]
    rows = pd.read_csv(file, dtype=str)
    tax = rows[rows["ChargeCategory"] == "Usage"].iloc[[-1]].copy()
    tax[["ChargeCategory", "Tags", "EffectiveCost", "BilledCost"]] = ["Tax", "{}", "70", "70"]
    tax[["ProviderName", "PublisherName", "InvoiceIssuerName"]] = "Google Cloud"
    pd.concat([rows, tax]).to_csv(file, index=False)
    found = compared(_scenario(), plan, read_bill(file))
    assert found.rows.loc[found.rows["matched_by"] == "", "effective_cost_usd"].sum() != found.causes()["unmatched"]
    at = go(small().run(), "track")
    next(u for u in at.file_uploader if u.label.startswith("Bill")).upload("b.csv", file.read_bytes(), "text/csv").run()
    shown_as = {m.label: m.value.replace("\\", "") for m in at.metric}
    assert shown_as["Not planned"] == words.money(found.causes()["unmatched"])


def test_the_bill_of_a_sample_is_offered_for_the_sample_alone(small, tmp_path, monkeypatch):
    """Another's plan may bear the name of a sample; its money is not the sample's."""
    at = small()
    sample, own = session.bundled()["small"].with_name("web.yaml"), tmp_path / "own.yaml"
    for file in (sample, own):
        file.write_text(SCENARIO)
    (tmp_path / "web.csv").write_text(history(rate=lambda h: 30))
    monkeypatch.setattr(session, "bundled", lambda: {"web": sample, "own": own})
    go(at.run(), "track")
    assert "the sample's" in at.selectbox(key="bill").options
    at.selectbox(key="scenario").set_value("own").run()
    assert at.selectbox(key="bill").options == ["none yet"]
    assert "Bring the bill" in at.info[0].value


def _tables():
    """A page of two tables whose cells are not all known."""
    import pandas as pd

    from planner.ui.drawing import table, told

    frame = pd.DataFrame({"service": ["a", "b"], "owner": [None, "shop"], "machine": [None, float("nan")]})
    for draw in (table, told):
        draw(frame, ["service", "owner", "machine"])


def test_what_is_unknown_is_a_dash_and_empty_columns_are_left_out_of_every_table():
    at = AppTest.from_function(_tables).run()
    assert not at.exception
    assert list(at.dataframe[0].value) == ["service", "owner"]
    assert at.table[0].value.to_numpy().tolist() == [["a", "–"], ["b", "shop"]]


@pytest.mark.parametrize(("content", "said"), [(b"\x00\x01", "binary"), (b"a,b\n1,2\n", "in no format")])
def test_a_bad_bill_is_one_clean_error(small, content, said):
    at = go(small().run(), "track")
    next(u for u in at.file_uploader if u.label.startswith("Bill")).upload("b.csv", content, "text/csv").run()
    assert not at.exception
    assert len(at.error) == 1
    assert said in at.error[0].value
    assert "What to do" in at.error[0].value
    assert "/tmp" not in at.error[0].value


def test_what_a_plan_is_run_by_is_shown_and_renamed(small):
    at = go(small().run(), "operate")
    assert not at.exception
    alerts = at.table[0].value
    assert {"Alert", "Limit", "What to do"} <= set(alerts.columns)
    assert len(alerts) > 5
    assert "http_requests_total" in at.code[0].value
    at.text_area(key="names").set_value("requests=nginx_requests_total").run()
    assert "nginx_requests_total" in at.code[0].value
    at.text_area(key="names").set_value("rquests=x").run()
    assert "names nothing of the files" in at.error[0].value
    assert "Write KEY=VALUE" in at.error[0].value


def test_the_text_of_a_scenario_is_shown_as_it_is(small):
    """Who reads a page loads no image and meets no link that another wrote into a scenario."""
    image = "![x](http://elsewhere.example/x.png) www.elsewhere.example"
    owner = f"owner: {{team: www.shop.example, on_call: '{image}', cost_center: '| <b>7 | $5$ :red[x]'}}"
    at = small(SCENARIO.replace("name: small", "name: www.small.example").replace("owner: {team: shop}", owner)).run()
    assert at.title[0].value == r"www\.small.example"
    go(at, "operate")
    assert not at.exception
    page = next(m.value for m in at.markdown if "Whom to call" in m.value)
    assert re.sub(r"\\(.)", r"\1", page).count(image) == 1
    assert not re.search(r"(?<!\\)(\[x|<b|\$|:red)|http:|www\.(shop|elsewhere)", page)


@pytest.mark.parametrize("odd", ["a __b__ c", "www.shop.example", "x _y_ 1. z"])
def test_the_name_of_a_service_is_text_wherever_it_is_read(small, odd):
    """Labels are Markdown too; the box that names services shows them, and keeps them in links, as they are."""
    at = small(SCENARIO.replace("\n  web:", f"\n  {odd}:")).run()
    for name in ("answer", "load", "capacity", "risk", "operate"):
        go(at, name)
        assert not at.exception
        assert not at.error, [e.value for e in at.error]
        labels = [w.label for kind in (at.expander, at.slider, at.select_slider, at.toggle) for w in kind]
        assert session.plain(odd) in " ".join(labels)
        read = "\n".join([*labels, *(str(m.value) for m in at.markdown), *(str(t.value) for t in at.title)])
        assert session.plain(odd) in read
        assert odd not in read


def _keep(at, why, who):
    next(t for t in at.text_input if t.label == "Why keep it").set_value(why)
    next(t for t in at.text_input if t.label == "Who").set_value(who)
    return next(b for b in at.button if b.label == "Keep").click().run()


def _call(at, state, why="so decided"):
    next(s for s in at.selectbox if s.label == "Call the newest one").set_value(state)
    next(t for t in at.text_input if t.label == "Why").set_value(why)
    return next(b for b in at.button if b.label == "Set the state").click().run()


def test_an_answer_is_kept_agreed_and_opened_again(small):
    at = small().run()
    monthly = cost(at)
    _keep(go(at, "store"), "", "ann")
    assert "say why" in at.warning[0].value
    _keep(at, "first idea", "ann")
    assert not at.exception
    assert "Kept as small@1" in at.success[0].value.replace("\\", "")
    assert at.dataframe[0].value[["label", "state", "author", "why"]].to_numpy().tolist() == [
        ["small@1", "idea", "ann", "first idea"]
    ]
    _call(at, "budgeted")
    assert "it must be agreed first" in at.error[0].value
    assert "no budget is stated" in at.error[0].value
    _call(at, "agreed")
    assert at.dataframe[0].value["label"].tolist() == ["small@2", "small@1"]
    assert at.dataframe[0].value["state"].tolist() == ["agreed", "idea"]
    at.button(key="open.revision").click().run()
    assert at.selectbox(key="scenario").value == "small@2"
    assert cost(at) == monthly
    linked = small()
    linked.query_params["scenario"] = "small@1"
    assert cost(linked.run()) == monthly
    assert "small@1" in go(linked, "compare").selectbox(key="b.scenario").options
    assert any("small" in m.value for m in go(linked, "start").markdown if "@2" in m.value)


def test_what_another_has_kept_since_is_seen_before_it_is_followed(small):
    """Two readers look at the same newest revision; the second to answer it is told of the first."""
    first, second = (go(small().run(), "store") for _ in range(2))
    _keep(second, "mine", "bob")
    _keep(first, "mine too", "ann")
    assert "saved since" in first.error[0].value
    assert "small\\@1" in first.error[0].value
    assert [r.label for r in kept.revisions()] == ["small@1"]
    _keep(first, "mine too, on top", "ann")
    assert not first.error
    _call(second, "agreed")
    assert "revision 2 was saved since" in second.error[0].value
    assert [(r.label, r.facts.state) for r in kept.revisions()] == [("small@2", "idea"), ("small@1", "idea")]
    _call(second, "agreed")
    assert kept.revisions()[0].facts.state == "agreed"


def test_the_start_offers_what_was_kept_last(small):
    """The scenario kept first and again last is the newest, whatever the order of first times."""
    for day, name in enumerate(["a", "b", "c", "d", "e", "a"], 1):
        kept.store().save(revisions.study(name=name), "why", author="ann", now=datetime(2026, 11, day, tzinfo=UTC))
    at = go(small().run(), "start")
    assert [b.key for b in at.button if b.key and "@" in b.key] == [f"open.{x}" for x in ("a@2", "e@1", "d@1", "c@1")]
    assert kept.labels()[:2] == ["a@2", "e@1"]


def test_a_broken_store_is_told_and_hides_no_upload(small, tmp_path, monkeypatch):
    (tmp_path / "broken.db").write_bytes(b"no database " * 100)
    monkeypatch.setenv("PLANNER_STORE", str(tmp_path / "broken.db"))
    kept.store.clear()
    at = go(small().run(), "start")
    assert not at.exception
    assert len(at.error) == 1
    assert "store" in at.error[0].value
    assert at.file_uploader
    assert any(b.label == "Open" for b in at.button)


def test_what_was_kept_comes_out_again_to_the_cent(small):
    at = _keep(go(small().run(), "store"), "first", "ann")
    at.slider(key="limits.max_spot_share").set_value(0.5).run()
    _keep(at, "more spot", "bob")
    assert at.dataframe[0].value["label"].tolist() == ["small@2", "small@1"]
    before, after = (session.study(_scenario(**o)).plan for o in ({}, {"limits.max_spot_share": 0.5}))
    owners = next(d.value for d in at.dataframe if "because" in d.value.columns)
    change = after.total_usd / after.months - before.total_usd / before.months
    assert owners["usd_per_month"].sum() == pytest.approx(change, abs=0.02)
    next(b for b in at.button if b.label == "Work it out again on its own prices").click().run()
    assert not at.exception
    assert any("the same to the cent" in s.value for s in at.success)


def test_prices_are_found_with_their_source(small):
    at = small().run().switch_page("planner/ui/prices.py").run()
    at.segmented_control(key="cloud").set_value("aws").run()
    at.text_input(key="search").set_value("m7i.large").run()
    assert not at.exception
    table, lists = at.dataframe[0].value, at.table[0].value
    assert len(table)
    assert table["on_demand"].notna().all()
    assert set(table["list"].astype(int).astype(str)) == set(lists["List"]), "each price names its list"
    assert lists["Where the prices were read"].str.len().min() > 0
    assert lists["Machines"].astype(int).sum() == len(table)
    at.text_input(key="search").set_value("no such machine").run()
    assert "No machine" in at.info[0].value


@pytest.mark.slow
def test_a_link_restores_the_view(small):
    at = small()
    at.query_params["limits.max_spot_share"] = "0.5"
    at.query_params["services.web.objective.latency_p99_s"] = "0.6"
    at.run()
    assert at.slider(key="limits.max_spot_share").value == 0.5
    wanted = _scenario(**{"limits.max_spot_share": 0.5, "services.web.objective.latency_p99_s": 0.6})
    assert f"{session.study(wanted).plan.total_usd:,.0f} in all" in shown(at)


@pytest.mark.slow
def test_values_of_a_link_join_their_control(small):
    at = small()
    at.query_params["limits.max_term_months"] = "24"
    at.query_params["services.web.objective.latency_p99_s"] = "0.250"
    at.query_params["services.web.growth_share_per_year"] = "2.5"
    at.run()
    assert not at.exception
    assert not at.warning or "cannot be used" not in at.warning[0].value
    assert at.select_slider(key="limits.max_term_months").value == 24
    assert at.select_slider(key="services.web.objective.latency_p99_s").value == 0.25
    assert at.slider(key="services.web.growth_share_per_year").value == 2.5


def test_what_a_link_asks_in_vain_is_named(small):
    at = small()
    at.query_params["limits.max_spot_share"] = "abc"
    at.query_params["services.web.objective.latency_p99_s"] = "-1"
    at.query_params["services.web.traffic.file"] = "/etc/passwd"
    at.run()
    assert not at.exception
    assert at.slider(key="limits.max_spot_share").value == 0.0
    told = re.sub(r"\\(.)", r"\1", at.warning[0].value)
    assert all(part in told for part in ("spot", "abc", "-1", "traffic.file"))


UNCERTAIN = SCENARIO.replace(
    "    objective:", "    growth_share_per_year: {low: 0.1, likely: 0.3, high: 0.6}\n    objective:"
)


@pytest.mark.slow
def test_a_slider_keeps_the_range_it_moves(small):
    at = small(UNCERTAIN).run()
    at.slider(key="services.web.growth_share_per_year").set_value(0.5).run()
    assert not at.exception
    growth = at.session_state["before.small"].services["web"].growth_share_per_year
    assert (growth.low, growth.likely, growth.high) == pytest.approx((0.3, 0.5, 0.8))


def _upload(small, content, name="../../etc/passwd.csv"):
    at = go(small().run(), "start")
    at.file_uploader[0].upload(name, content, "text/csv").run()
    return at


def _plan_it(at):
    next(s for s in at.selectbox if s.label == "Plan for").set_value("3 months")
    next(b for b in at.button if b.label == "Plan it").click().run()


@pytest.mark.slow
def test_an_upload_is_looked_at_planned_and_stays(small):
    at = _upload(small, history().encode())
    assert "28 days from" in shown(at)
    assert not at.metric
    _plan_it(at)
    assert not at.exception
    assert at.title[0].value == "own traffic"
    assert cost(at).startswith("\\$")
    monthly, own = cost(at), at.selectbox(key="scenario").value
    go(go(at, "prices"), "answer")
    assert (at.title[0].value, cost(at)) == ("own traffic", monthly)
    assert own in go(at, "compare").selectbox(key="b.scenario").options
    again = small()
    again.query_params["scenario"] = own
    assert cost(again.run()) == monthly


@pytest.mark.slow
def test_an_upload_with_columns_of_its_own_is_planned_when_they_are_named(small):
    at = _upload(small, history().replace("ts,arrival_rate_rps", "Hour of day,hits").encode())
    at.selectbox(key="own_ts").set_value("Hour of day").run()
    at.selectbox(key="own_rate").set_value("hits").run()
    at.selectbox(key="own_value").set_value("requests per second").run()
    assert not at.error, [e.value for e in at.error]
    _plan_it(at)
    assert at.title[0].value == "own traffic"
    assert "/etc" not in shown(at)


BAD_FILES = {
    "binary": (bytes(range(256)) * 8, "binary"),
    "empty": (b"  \n", "empty"),
    "not UTF-8": ("ts,r\n2026-01-01,\u00e9".encode("latin-1"), "UTF-8"),
    "no rows": (b"ts,arrival_rate_rps\n", ""),
    "negative": (history(rate=lambda h: -1 if h == 30 else 5).encode(), "negative"),
    "words": (history(rate=lambda h: "many" if h == 30 else 5).encode(), ""),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_upload_is_one_clean_error(small, kind):
    content, words = BAD_FILES[kind]
    at = _upload(small, content)
    assert not at.exception
    assert len(at.error) == 1
    assert words in at.error[0].value
    assert "What to do" in at.error[0].value
    assert "/tmp" not in at.error[0].value
    assert not any(b.label == "Plan it" for b in at.button)


BAD_SCENARIOS = {
    "repeated key": (SCENARIO.replace("seed: 3", "seed: 3\nseed: 4"), "stands twice"),
    "broken YAML": ("name: [small", "scenario needs a correction"),
    "unknown key": (SCENARIO.replace("seed: 3", "sead: 3"), "did you mean seed"),
    "unknown region": (SCENARIO.replace("us-east-1", "us-east-9"), "us-east-9"),
    "impossible target": (SCENARIO.replace("latency_p99_s: 0.4", "latency_p99_s: 0.01"), "No plan can meet"),
    "missing price": (SCENARIO.replace("c7i.large, c7i.xlarge, m7i.large", "x9z.large"), "x9z.large"),
    "unknown model": (SCENARIO.replace("model: queue", "model: quue"), "quue"),
}


@pytest.mark.parametrize("kind", BAD_SCENARIOS)
def test_a_bad_scenario_is_one_clean_error(small, kind):
    text, words = BAD_SCENARIOS[kind]
    at = small(text).run()
    assert not at.exception
    assert len(at.error) == 1
    assert words in at.error[0].value.replace("\\", "")
    assert not at.metric


BAD_HISTORIES = {
    "negative rate": history(rate=lambda h: -1 if h == 30 else 5),
    "ambiguous time zone": history(stamp=lambda t: f"{t:%Y-%m-%d %H:%M}"),
    "0 rows": "ts,arrival_rate_rps\n",
    "mostly gaps": "".join(
        line for k, line in enumerate(history().splitlines(keepends=True)) if k in {0, 1, 2, 300, 301, 600}
    ),
    "binary": bytes(range(256)) * 8,
    "empty": "",
}


@pytest.mark.parametrize("kind", BAD_HISTORIES)
def test_a_bad_history_is_one_clean_error_with_a_remedy(small, kind):
    at = small(traffic=BAD_HISTORIES[kind]).run()
    assert not at.exception
    assert len(at.error) == 1
    assert "The traffic history cannot be used" in at.error[0].value
    assert "What to do" in at.error[0].value
    assert "/tmp" not in at.error[0].value


@pytest.mark.slow
def test_a_small_gap_is_planned_over_and_told(small):
    rows = history().splitlines(keepends=True)
    at = small(traffic="".join(rows[:100] + rows[110:]))
    go(at.run(), "load")
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    assert any("28 days long" in w.value for w in at.warning)
    assert any("98.5 % of it observed" in e.label for e in at.expander)


def _workbook():
    """An archive under the name of a table, which unpacks to fifty times its size."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", "<c>0</c>" * 500_000)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * (uploads.MAX_MIB * 2**20 + 1), "larger"),
        (b"a,b\n" * (uploads.MAX_ROWS + 2), "rows"),
        (b"," * uploads.MAX_COLUMNS, "columns"),
        (b"a" * (uploads.MAX_LINE + 1), "header"),
        (b"ts,rps\n\x00", "binary"),
        (gzip.compress(b"ts,rps\n" * 3_000_000), "binary|UTF-8"),
        (_workbook(), "binary"),
        ("ts,rps\n2026-01-01,1\n".encode("utf-16"), "binary"),
        (b"MZ" + bytes(range(256)) * 9, "binary"),
        (b"ts,caf\xe9\n2026-01-01,1\n", "UTF-8"),
    ],
)
def test_an_upload_is_bounded(content, words):
    with pytest.raises(TrafficError, match=words) as caught:
        uploads.check(content)
    assert caught.value.remedy


def test_the_shelf_keeps_equal_uploads_once_and_not_too_many():
    folders = {uploads.keep(f"ts,r\n2026-01-01,{k}\n".encode()) for k in range(uploads.KEPT + 5)}
    again = uploads.keep(f"ts,r\n2026-01-01,{uploads.KEPT + 4}\n".encode())
    assert again in folders
    assert sum(f.exists() for f in folders) <= uploads.KEPT
    assert {f.name for f in again.iterdir()} == {"traffic.csv"}


@pytest.mark.parametrize(
    "text", ["$5 and $6", "a*b*c", "[x](y)", ":red[x] :material/x:", "`code`", "<b>", "a_b_c", "1 | 2", "# head"]
)
def test_text_stays_text(text):
    assert re.sub(r"\\(.)", r"\1", session.plain(text)) == text
    assert not re.search(r"(?<!\\)[$*_`<\[:#|]", session.plain(text))


def test_no_server_folder_is_shown():
    assert session.unplaced("/tmp/planner-uploads-x/abc/traffic.csv, row 3: bad") == "traffic.csv, row 3: bad"
    assert session.unplaced("services.web: 3 requests/s and 5 GiB/s") == "services.web: 3 requests/s and 5 GiB/s"


def _scenario(**overrides):
    return Scenario.read(session.bundled()["small"]).replace(**overrides)


@pytest.mark.slow
def test_plans_nearly_as_good_are_worked_out_when_asked_for(small):
    at = go(small().run(), "capacity")
    assert not any("variant" in d.value.columns for d in at.dataframe)
    at.toggle(key="near").set_value(True).run()
    assert not at.exception
    table = next(d.value for d in at.dataframe if "variant" in d.value.columns)
    assert table["variant"].str.startswith("without ").any()


@pytest.mark.slow
def test_nothing_is_worked_out_twice(small, monkeypatch):
    asked = []
    monkeypatch.setattr(session, "run", lambda *a, **k: asked.append(k["known"]) or run(*a, **k))
    at = small().run()
    at.slider(key="limits.max_spot_share").set_value(0.35).run()
    at.run()
    at.slider(key="limits.max_spot_share").set_value(0.45).run()
    at.slider(key="limits.max_spot_share").set_value(0.35).run()
    assert len(asked) <= 3  # the scenario itself may be known from another visitor
    assert asked[-1].scenario.limits.max_spot_share == 0.35
    assert session.study(_scenario(**{"limits.max_spot_share": 0.45})).load is asked[-1].load
