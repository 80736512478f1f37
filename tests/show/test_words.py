"""Every sentence a page can say of a constraint, an excuse, a breaking cause or a remedy: the verb first,
with its unit and its month, and without the names of fields or of the mathematics.
"""

import re

import pandas as pd
import pytest

from planner.optimizer.answer.bindings import SENTENCES
from planner.show import words
from planner.simulator.breaks import FAILS
from planner.simulator.replay import CAUSE_WORDS
from tests.builders import ROOT

WHEN = pd.Timestamp("2027-11-25 08:00", tz="UTC")
NOT_SAID = re.compile(r"\b(?:dual|shadow|solver|horizon|constraint|right-hand|binding|infeasible|pool|\w+_\w+)\b")
# words that begin a sentence as verbs do
VERBS = re.compile(
    r"^(?:\w+ing|Add|Allow|Asks|Bears|Belongs|Brings|Cannot|Costs|Falls|Fails|Has|Keep|Keeps|Lacks|Loses|Lower|Meets"
    r"|Misses|Move|Needs|Raise|Reaches|Recovers|Relax|Runs|Serves|Set|Spends|Stands|Stays|Survives"
    r"|Takes|Use|Waits|Was)\b"
)


def said_well(sentence):
    assert VERBS.match(sentence), sentence
    assert not NOT_SAID.search(sentence), sentence


@pytest.mark.parametrize("usd", [-1200.0, 36.0, float("nan")])
@pytest.mark.parametrize("constraint", SENTENCES)
def test_a_constraint_is_worth_dollars_a_month_or_is_not_said(constraint, usd):
    row = {"constraint": constraint, "subject": "web", "shadow_price_usd": usd, "sentence": "one more"}
    sentence = words.binding(row, 12.0)
    if not sentence:
        assert constraint in {"pool", "credit", "credit_used", "carry", "flow", "product_min", "product_max", "whole"}
        return
    said_well(sentence)
    assert "month" in sentence
    assert "web" in sentence or constraint.endswith("budget")
    assert usd != usd or f"${abs(usd) / 12:,.0f}" in sentence.replace("$3.00", "$3")


def test_a_lost_zone_is_survived_at_a_price():
    row = {
        "constraint": "zones",
        "subject": "chat",
        "shadow_price_usd": 46370.42,
        "sentence": "leaving out what chat keeps ready",
    }
    assert words.binding(row, 12.0) == "Surviving a lost zone costs $3,864 a month for chat"


@pytest.mark.parametrize("times", [0.4, 1.4, float("inf")])
@pytest.mark.parametrize("cause", [*FAILS, "quota", "budget", "none"])
def test_a_breaking_cause_says_what_when_and_what_mending_costs(cause, times):
    row = {
        "service": "web",
        "objective": "latency_p99_s",
        "load_multiplier": times,
        "breaks_at": WHEN,
        "cause": cause if times < 10 else "none",
        "mending_usd_per_month": 151.0 if times < 1 else 0.0,
        "sentence": "the quota of 4 p5.48xlarge is 0.40 times what is ready at most",
    }
    if cause == "none" and times < 10:
        return
    sentence = words.breaking(row, "Europe/Berlin")
    said_well(sentence)
    if times < 10:
        assert "November 2027" in sentence
        assert "times" in sentence or "$" in sentence
    assert "$151" in sentence or times >= 1 or cause == "quota"


@pytest.mark.parametrize("cause", CAUSE_WORDS)
def test_a_cause_of_late_requests_has_its_number_and_its_month(cause):
    row = {"cause": cause, "service": "web", "late_share": 0.000161, "worst_hour": WHEN}
    sentence = words.lateness(row, "UTC")
    said_well(sentence)
    assert "161 of a million requests" in sentence
    assert sentence.endswith("November 2027")


def _excuses():
    """Every reason written in the source, what stands in braces as a name."""
    found = set()
    for folder in ("capacity", "latency"):
        for path in sorted((ROOT / "planner" / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found |= {m[1] for m in re.finditer(r'Excuse\(\s*f?"([^"]+)"', text)}
    for name in ("market/market.py", "answer/frames.py"):
        text = (ROOT / "planner" / "optimizer" / name).read_text(encoding="utf-8")
        found |= {m[1] for m in re.finditer(r'excuse\[[^=]*\] = "([^"]+)"', text)}
    found |= {"the types kept are cheaper together", "dearer for each request served"}
    found |= {"another mix of whole machines is cheaper"}
    return sorted(re.sub(r"\{[^}]*\}", "X1", reason) for reason in found)


@pytest.mark.parametrize("reason", _excuses())
def test_an_excuse_begins_with_its_verb(reason):
    said_well(words.excuse(reason))
    assert not words.excuse(reason).startswith("Falls out")


REMEDIES = {
    "raise services.web.autoscaling.max_replicas from 4 to 9": "Raise the most replicas of web from 4 to 9",
    "raise limits.quota.p5.48xlarge from 2 to 5": "Raise the quota of p5.48xlarge from 2 to 5 machines",
    "raise limits.quota.g6.xlarge by 3": "Raise the quota of g6.xlarge by 3 machines",
    "raise limits.max_type_share above 0.5, or offer more machine types for web": None,
    "lower limits.zones_lost from 1": "Lower the zones that may fail from 1",
    "raise limits.quota, services.web.autoscaling.max_replicas and limits.max_type_share together": None,
    "add providers, regions or machine types": None,
    "raise limits.budget_usd_per_month from 900 to 1,625 USD": "Raise the budget from $900 to $1,625 a month",
    "relax the objectives, allow spot or longer terms, or plan for a lower load_quantile": None,
    "relax services.web.objective (latency_p99_s)": "Relax the targets of web (whole answer for 99 % of requests)",
    "raise limits.zones from 1 to 3 and raise limits.zones_lost from 0 to 1": (
        "Raise the zones used from 1 to 3 and raise the zones that may fail from 0 to 1"
    ),
    "lower availability_share to 0.999": None,
    "lower services.web.autoscaling.min_replicas by 2": None,
    "raise limits.max_spot_share": None,
    "lower the load of web by 12 requests/s": None,
    "relax min_per_zone of web": None,
}


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_is_something_to_do(remedy):
    sentence = words.remedy(remedy)
    said_well(sentence)
    assert REMEDIES[remedy] in (None, sentence)


def test_a_step_of_a_choice_has_its_price():
    points = pd.DataFrame({"value": [0.2, 0.3, 0.4], "monthly_usd": [1093.0, 1000.0, 1000.2]})
    assert words.steps("services.web.objective.latency_p99_s", points, 0.3) == [
        "Moving whole answer for 99 % of requests of web from 300 ms to 200 ms costs $93 a month",
        "Moving whole answer for 99 % of requests of web from 300 ms to 400 ms changes nothing: $0 a month",
    ]


def test_what_is_late_has_its_article():
    assert words.late("ttft_p95_s") == "the first token is late for more than 5 % of requests"
    assert words.late("tpot_p95_s") == "each further token is late for more than 5 % of requests"


def test_changed_fields_are_told_in_words():
    assert words.setting("limits.max_spot_share", 0.3) == "the share that spot machines may carry: 30 %"
    growth = {"low": 0.1, "likely": 0.25, "high": 0.4}
    assert words.setting("services.web.growth_share_per_year", growth) == "the growth of web a year: 25 %"
    assert words.setting("limits.budget_usd_per_month", None) == "the budget a month: none"
