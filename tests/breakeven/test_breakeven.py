"""Own machines against managed APIs: the table of prices, the crossing by hand, and the whole curve."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.breakeven import ApiPrice, BreakEven, Point, api_prices, break_even
from planner.breakeven.prices import priced
from planner.catalog import Catalog
from planner.cli import main
from planner.cli.breakeven import breakeven_text
from planner.data import data_path
from planner.errors import CatalogError, PlannerError
from planner.scenario import Scenario


def by_hand(fixed=90.0, each=10.0, multiples=(0.5, 1.0, 2.0, 4.0), spread=0.1):
    """Own cost of ``fixed`` + ``each``·k USD for k million tokens."""
    points = [
        Point(k, k * 1e6, fixed + each * k, u := fixed / k + each, u * (1 - spread), u * (1 + spread), "")
        for k in multiples
    ]
    offers = [
        ApiPrice("a", m, "w", usd, usd, None, "by hand", "2026-11") for m, usd in (("cheap", 5.0), ("dear", 40.0))
    ]
    return BreakEven("chat", "w", 0.5, 0.0, tuple(points), tuple((o, o.input_usd) for o in offers))


def test_the_table_of_prices_is_whole():
    table = data_path("models", "models.csv").read_text(encoding="utf-8")
    known = {r["weights"] for r in csv.DictReader(table.splitlines())}
    found = api_prices()
    assert len(found) > 70
    assert {p.weights for p in found} - {""} <= known
    assert all(p.source and p.as_of >= "2026" for p in found)
    assert all(p.cached_usd is None or p.cached_usd < p.input_usd for p in found)
    assert len({p.label for p in found}) == len(found)
    assert len(priced(found, "llama-3.1-8b", ())) >= 10


def test_a_price_follows_the_mix():
    price = ApiPrice("a", "m", "", 1.0, 4.0, 0.1, "by hand", "2026-11")
    assert price.usd_per_1m_tokens(0.8) == pytest.approx(0.8 * 1 + 0.2 * 4)
    assert price.usd_per_1m_tokens(0.8, 0.5) == pytest.approx(0.8 * 0.55 + 0.2 * 4)


def test_the_crossing_is_where_the_lines_meet():
    """90 + 10 k = 40 k at k = 3, and a tenth less or more of it on either side."""
    found = by_hand()
    assert found.crossing(40.0) == pytest.approx(3.0)
    low, likely, high = found.span(40.0)
    assert (low, likely) == (pytest.approx(81 / 31), pytest.approx(3.0))
    assert high == pytest.approx(99 / 29)
    assert found.crossing(5.0) == float("inf")
    assert found.crossing(500.0) == 0.5
    text = breakeven_text(found)
    assert "not up to 4 times" in text
    assert "3 times" in text


def test_a_dearer_api_is_met_no_later():
    found = by_hand()
    met = [found.crossing(usd) for usd in (10.5, 20, 33, 40, 55, 101, 190)]
    assert met == sorted(met, reverse=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"usd_per_1m_input_tokens": "free"}, "row 2: this is no price"),
        ({"usd_per_1m_output_tokens": "0"}, "row 2: a price must lie above 0"),
        ({"usd_per_1m_cached_tokens": "-1"}, "row 2: a price must lie above 0"),
    ],
)
def test_a_damaged_table_is_named_by_its_row(tmp_path, change, says):
    row = {
        "provider": "a",
        "model": "m",
        "weights": "",
        "usd_per_1m_input_tokens": "1",
        "usd_per_1m_output_tokens": "2",
        "usd_per_1m_cached_tokens": "",
        "source": "by hand",
        "as_of": "2026-11",
    }
    path = Path(tmp_path) / "prices.csv"
    path.write_text(",".join(row) + "\n" + ",".join((row | change).values()) + "\n", encoding="utf-8")
    with pytest.raises(CatalogError, match=says):
        api_prices(path)


def test_what_cannot_be_compared_is_said():
    chat = Scenario.read(data_path("scenarios", "chat.yaml"))
    with pytest.raises(CatalogError, match=r"no such API.*openai/gpt-4o-mini"):
        break_even(chat, apis=["nobody/knows"])
    with pytest.raises(PlannerError, match="0 services serve a language model"):
        break_even(Scenario.read(data_path("scenarios", "web.yaml")))
    with pytest.raises(PlannerError, match="services are chat"):
        break_even(chat, "web")
    done = CliRunner().invoke(main, ["breakeven", str(data_path("scenarios", "chat.yaml")), "--multiples", "1,x"])
    assert done.exit_code == 2
    assert "no list of numbers" in done.stderr


@pytest.mark.slow
def test_the_curve_of_a_language_model_falls_with_its_load():
    chat = Scenario.read(data_path("scenarios", "chat.yaml")).replace(horizon_h=168)
    prices = Catalog.read("aws", regions=["us-east-1"]).select(families=["g6e", "g6", "p5"])
    found = break_even(chat, multiples=(0.03, 0.3, 3.0), catalog=prices, paths=8)
    units = [p.usd for p in found.points]
    assert units == sorted(units, reverse=True)
    assert all(p.low_usd <= p.usd <= p.high_usd for p in found.points)
    assert [p.usd_per_month for p in found.points] == sorted(p.usd_per_month for p in found.points)
    first, last = found.offers[0][1], found.offers[-1][1]
    assert found.crossing(last) <= found.crossing(first)
