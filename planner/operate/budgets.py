"""Budgets as the clouds take them: requests of AWS Budgets, and budgets of Google Cloud Billing in
their REST form.

The amount of each month is its P90: what 90 % of the load paths stay below.  An owner's part of it
is his part of the expected bill.
"""

import calendar
from typing import TYPE_CHECKING, Any

import pandas as pd

from planner.operate.figures import Figure, Figures
from planner.operate.names import Names

if TYPE_CHECKING:
    from planner.study import Study

Body = dict[str, Any]
MOST_MONTHS = 12  # planned limits that AWS Budgets takes
_USE = {"Usage": "RI_UTILIZATION", "Spend": "SAVINGS_PLANS_UTILIZATION"}


def _monthly(owner: str, figures: Figures) -> list[Figure]:
    """The P90 of each month, or an owner's part of it."""
    names = [f"owner.{owner}.{m}.p90_usd" if owner else f"month.{m}.p90_usd" for m in figures.months]
    return [figures[n] for n in names if n in figures]


def _owners(study: "Study") -> list[str]:
    """Nobody and everybody first (the whole plan), then each owner that answers for something."""
    return ["", *sorted({o for o in study.plan.cost["owner"] if o})]


def aws_budgets(study: "Study", figures: Figures, names: Names) -> list[Body]:
    """Arguments of ``create_budget`` but for the account: the plan, each owner, each commitment.

    A budget of money holds a planned limit a month, of the first twelve.  A budget of use tells when
    less of a commitment is used than what pays for it, over all of the account's of that kind, as
    AWS counts no single one.  With an empty topic in ``names`` nobody is told, and no notice is written.
    """
    found = [_aws_cost(study, owner, figures, names) for owner in _owners(study)]
    return [*(b for b in found if b), *_aws_use(study, figures, names)]


def _told(names: Names) -> list[Body]:
    """Who is told of a budget."""
    if names.sns_topic:
        return [{"SubscriptionType": "SNS", "Address": names.sns_topic}]
    return []


def _notice(kind: str, compare: str, percent: float, who: list[Body]) -> Body:
    notice = {"NotificationType": kind, "ComparisonOperator": compare, "Threshold": percent}
    return {"Notification": notice | {"ThresholdType": "PERCENTAGE"}, "Subscribers": who}


def _aws_cost(study: "Study", owner: str, figures: Figures, names: Names) -> Body:
    limits = _monthly(owner, figures)[:MOST_MONTHS]
    if not limits:
        return {}
    starts = [pd.Timestamp(f.when, tz="UTC") for f in limits]
    end = starts[-1] + pd.offsets.MonthBegin(1)
    planned = {f"{s.timestamp():.0f}": {"Amount": f.text, "Unit": "USD"} for s, f in zip(starts, limits, strict=True)}
    only = {"CostFilters": {"TagKeyValue": [f"user:{names.owner_tag}${owner}"]}} if owner else {}
    budget = {
        "BudgetName": f"{study.scenario.name} {owner or 'plan'}",
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "TimePeriod": {"Start": f"{starts[0]:%Y-%m-%dT%H:%M:%SZ}", "End": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
        "PlannedBudgetLimits": planned,
        "CostTypes": {"UseAmortized": True, "UseBlended": False, "IncludeSubscription": True},
        **only,
    }
    who = _told(names)
    told = [_notice(kind, "GREATER_THAN", 100.0, who) for kind in ("ACTUAL", "FORECASTED")]
    return {"Budget": budget, "NotificationsWithSubscribers": told if who else []}


def _aws_use(study: "Study", figures: Figures, names: Names) -> list[Body]:
    """A budget of use for each commitment of AWS: told below the use that pays for it."""
    found = []
    for k, row in enumerate(study.plan.commitments.to_dict("records"), 1):
        name = f"commitment.{k}.break_even_utilization"
        if row["provider"] != "aws" or name not in figures:
            continue
        kind, who = _USE[str(row["category"])], _told(names)
        only = {"CostFilters": {"Service": ["Amazon Elastic Compute Cloud - Compute"]}}
        budget = {
            "BudgetName": f"{study.scenario.name} use of commitment {k}",
            "BudgetType": kind,
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "100", "Unit": "PERCENTAGE"},  # the one value that AWS takes
            **(only if kind == "RI_UTILIZATION" else {}),
        }
        told = [_notice("ACTUAL", "LESS_THAN", 100 * figures[name].value, who)] if who else []
        found.append({"Budget": budget, "NotificationsWithSubscribers": told})
    return found


def gcp_budgets(study: "Study", figures: Figures, names: Names) -> list[Body]:
    """Budgets of ``billingbudgets.googleapis.com/v1``: one a month, since a month has its own
    amount; told at the expected bill and at its P90, for the plan and for each owner.
    """
    told = [(owner, figure) for owner in _owners(study) for figure in _monthly(owner, figures)]
    return [_gcp(study, owner, figure, figures, names) for owner, figure in told]


def _gcp(study: "Study", owner: str, figure: Figure, figures: Figures, names: Names) -> Body:
    year, month = (int(part) for part in figure.when.split("-"))
    units = int(figure.value)
    last = calendar.monthrange(year, month)[1]
    period = {"startDate": {"year": year, "month": month, "day": 1}}
    period["endDate"] = {"year": year, "month": month, "day": last}
    only = {"labels": {names.owner_tag: [owner]}} if owner else {}
    expected = figures[f"month.{figure.when}.expected_share"].value
    return {
        "displayName": f"{study.scenario.name} {owner or 'plan'} {figure.when}"[:60],
        "budgetFilter": {"customPeriod": period, "creditTypesTreatment": "INCLUDE_ALL_CREDITS", **only},
        "amount": {
            "specifiedAmount": {
                "currencyCode": "USD",
                "units": str(units),
                "nanos": min(round((figure.value - units) * 1e9), 999_999_999),
            }
        },
        "thresholdRules": [{"thresholdPercent": share, "spendBasis": "CURRENT_SPEND"} for share in (expected, 1.0)],
    }
