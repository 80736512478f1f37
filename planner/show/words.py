"""How names and figures are said to people, on the terminal and on the pages alike.

A sentence begins with what happens or what to do, its money is a month, and it speaks of what a
reader can move; the names of fields and of the mathematics stay behind it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from planner.plan import Plan
from planner.scenario import Scenario

CAUSES = {
    "queueing": "Waiting time",
    "retries": "Retries",
    "burst": "Bursts within the hour",
    "scale_up_lag": "Start-up of new machines",
    "model_error": "Uncertainty of the model",
    "target_utilization": "Target utilization",
    "failure": "Loss of a zone",
    "interruption": "Spot interruption",
}
METRICS = {"latency": "Whole answer", "ttft": "First token", "tpot": "Each further token"}
BASES = {
    "observed": "Price read from the provider",
    "measured": "Measured",
    "composed": "Composed from observed parts",
    "zone_median": "Median over zones",
    "modeled": "Modeled",
    "assumed": "Assumed",
    "third_party_curated": "From a curated list",
}
# what a bill rests on, in three kinds: what was read or measured, what a model says, what nobody stated
KINDS = {
    "observed": "measured",
    "measured": "measured",
    "composed": "modeled",
    "zone_median": "modeled",
    "modeled": "modeled",
    "third_party_curated": "modeled",
    "inferred": "modeled",
    "assumed": "assumed",
}
# what makes a bill differ from its plan in a word or two, as a bridge names its steps
TRACKED_SHORT = {
    "volume": "Volume",
    "price": "Price",
    "mix": "Other machines",
    "commitment": "Commitments",
    "one_off": "One-off",
    "unmatched": "Not planned",
}
# what makes one revision cost more than another
GROWTH = {
    "volume": "more or less of the same",
    "price": "the same at another price",
    "added": "what was not there before",
    "removed": "what is not there any more",
}
# what makes a bill differ from its plan in full
TRACKED = {
    "volume": "more or less of what was planned",
    "price": "the same at another price",
    "mix": "other machines, or spot instead of on demand",
    "commitment": "commitments: fees, use, what is left unused",
    "one_off": "taxes, credits, refunds, single purchases",
    "unmatched": "no row of the plan answers for it",
}
OPTIONS = {"on_demand": "On demand", "spot": "Spot", "committed": "Committed", "": "–"}


def spelled(text: str) -> str:
    """A sentence with objectives in words: ``ttft_p95_s`` becomes "first token for 95 % of
    requests".
    """
    return re.sub(
        r"\b(latency|ttft|tpot)_p(\d\d)_s\b",
        lambda m: f"{METRICS[m[1]].lower()} for {m[2]} % of requests",
        text,
    )


def escaped(text: object) -> str:
    r"""Text in one line that Markdown shows as it is: no image, link, formula, icon or table of it.

    What a character could start is taken from it by a backslash: so are the mails and addresses that
    GitHub's Markdown links by themselves.

    >>> print(escaped("![x](http://a.b) www.c.de *5*"))
    !\[x\](http\://a.b) www\.c.de \*5\*
    """
    line = re.sub(r"\s*[\r\n]+\s*", " ", str(text))
    return re.sub(r"([\\`*_{}\[\]$~<>#|:@&]|(?<=\bwww)\.)", r"\\\1", line)


def usd(amount: float, digits: int | None = None) -> str:
    """Dollars as people read them: whole above 100, cents below, more digits for unit costs;
    unknown is said.
    """
    if amount != amount:
        return "unknown"
    if digits is None:
        digits = 0 if abs(amount) >= 100 else 2 if abs(amount) >= 0.1 or amount == 0 else 5
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent, rounded down near 100 so that what is missing is not hidden."""
    if share != share:
        return "unknown"
    shown = np.floor(share * 10 ** (digits + 2)) / 10**digits if share > 0.99 else share * 100
    return f"{shown:.{digits}f} %"


def seconds(value: float) -> str:
    """A latency in the unit that fits; infinite is said as overload."""
    if not np.isfinite(value):
        return "overloaded"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def number(value: float) -> str:
    """A count with at most three significant digits after thousands."""
    for size, letter in ((1e9, " bn"), (1e6, " m"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == ' k' else size):,.1f}{letter}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rate(rps: float) -> str:
    """Requests a second; below one in ten seconds also an hour, where they are easier to picture.

    >>> rate(40.03), rate(12 / 3600)
    ('40.0 requests/s', '0.00333 requests/s, 12.0 an hour')
    """
    told = f"{rps:#.3g}" if 1e-3 <= rps < 100 else number(rps)
    return f"{told} requests/s" + (f", {rps * 3600:#.3g} an hour" if 1e-5 <= rps < 0.1 else "")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Columns aligned: text left, figures (and their heads) right."""
    cells = [list(map(str, head)), *[list(map(str, r)) for r in rows]]
    wide = [max(len(r[k]) for r in cells) for k in range(len(head))]
    right = [
        bool(rows) and all(r[k][:1] in "-$0123456789" or r[k] in ("", "unknown", "overloaded") for r in map(list, rows))
        for k in range(len(head))
    ]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, wide, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(indent + line for line in lines)


def money(usd: float | None) -> str:
    """Whole dollars with thousands separators; cents only below 10; a
    dash for what is not known.
    """
    if usd is None or np.isnan(usd):
        return "–"
    sign, size = ("−" if usd < 0 else ""), abs(usd)
    return f"{sign}${size:,.2f}" if 0 < size < 10 else f"{sign}${size:,.0f}"


def share(value: float | None, digits: int = 0) -> str:
    """A share as per cent; never rounds up to 100 % what is below it."""
    if value is None or np.isnan(value):
        return "–"
    text = f"{value:.{digits}%}"
    if value < 1.0 and float(text[:-1]) >= 100.0:
        text = f"> {1.0 - 10.0 ** -(digits + 2):.{digits}%}"
    return text.replace("%", " %")


def committed(part: float) -> str:
    """How machines are paid of whose hours commitments pay a part."""
    return f"{share(min(1.0, part))} committed" if part > 0.005 else OPTIONS["on_demand"]


# kinds of commitments, as their names in the catalog end
_CONTRACTS = {
    "standard_ri": "reserved instances",
    "convertible_ri": "convertible reserved instances",
    "standard_ri_or_instance_plan": "reserved instances or savings plan",
    "instance_savings_plan": "instance savings plan",
    "compute_savings_plan": "compute savings plan",
    "savings_plan": "savings plan",
    "reservation": "reservation",
    "resource_cud": "committed use",
    "flexible_cud": "flexible committed use",
}
_UPFRONT = {"all": ", all up front", "partial": ", part up front", "none": ""}


def commitment(name: str) -> str:
    """A commitment of the catalog in words; a name of another making stays as it is.

    >>> commitment("gcp/europe-west4/n4a-highcpu-1/resource_cud/1y/none")
    'n4a-highcpu-1 committed use for 1 year, gcp europe-west4'
    """
    found = re.fullmatch(r"(\w+)/([^/]+)/([^/]+)/(\w+)/(\d+)y/(\w+)", name)
    if found is None or found[4] not in _CONTRACTS or found[6] not in _UPFRONT:
        return name
    provider, region, scope, kind, years, paid = found.groups()
    term = f"{years} year{'s' if int(years) > 1 else ''}"
    return f"{scope} {_CONTRACTS[kind]} for {term}{_UPFRONT[paid]}, {provider} {region}"


_NAME = r"[A-Za-z0-9][A-Za-z0-9 ._/-]*"  # of a service
# fields of a scenario as they stand in a sentence, the longer names first
FIELDS: tuple[tuple[str, str], ...] = (
    (rf"services\.({_NAME}?)\.autoscaling\.max_replicas", r"the most replicas of \1"),
    (rf"services\.({_NAME}?)\.autoscaling\.min_replicas", r"the replicas of \1 that are always ready"),
    (rf"services\.({_NAME}?)\.objective\.availability_share", r"the availability of \1"),
    (rf"services\.({_NAME}?)\.objective\.load_quantile", r"the share of futures that \1 serves"),
    (rf"services\.({_NAME}?)\.objective\.(latency|ttft|tpot)_p(\d\d)_s", r"\2_p\3_s of \1"),
    (rf"services\.({_NAME}?)\.objective", r"the targets of \1"),
    (rf"services\.({_NAME}?)\.growth_share_per_year", r"the growth of \1 a year"),
    (r"limits\.quota\.([\w.-]*\w)", r"the quota of \1"),
    (r"limits\.quota", "the quotas"),
    (r"limits\.max_type_share", "the share that one machine type may carry"),
    (r"limits\.max_spot_share", "the share that spot machines may carry"),
    (r"limits\.max_term_months", "the longest commitment in months"),
    (r"limits\.zones_lost", "the zones that may fail"),
    (r"limits\.zones", "the zones used"),
    (r"limits\.budget_usd_per_month", "the budget a month"),
    (r"limits\.upfront_budget_usd", "the money paid up front"),
    (r"limits\.(?:previous_generation|instance_types)", "the machine types allowed"),
    (r"\bload_quantile\b", "share of futures to serve"),
    (r"\bavailability_share\b", "availability"),
    (r"\bmin_replicas\b|\bmin_instances\b", "replicas always ready"),
    (r"\bmax_replicas\b|\bmax_instances\b", "replicas allowed"),
)


def plainly(text: str) -> str:
    """A text with the fields of a scenario in words: ``limits.zones_lost`` becomes "the zones that
    may fail".
    """
    for pattern, said in FIELDS:
        text = re.sub(pattern, said, text)
    return spelled(text)


def remedy(text: str) -> str:
    """What to do, verb first, in words: ``raise limits.quota.g6.xlarge from 2 to 5``."""
    text = re.sub(
        r"limits\.budget_usd_per_month from ([\d.,]+) to ([\d.,]+) USD", r"the budget from $\1 to $\2 a month", text
    )
    text = re.sub(r"(limits\.quota\.[\w.-]*\w) by (\d+)", r"\1 by \2 machines", text)
    text = re.sub(r"(limits\.quota\.[\w.-]*\w) from ([\d,]+) to ([\d,]+)", r"\1 from \2 to \3 machines", text)
    return capital(plainly(text).replace("_", " "))


def capital(text: str) -> str:
    """The first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def month(when: pd.Timestamp | str) -> str:
    """A month as people say it: ``November 2027``."""
    return f"{pd.Timestamp(when):%B %Y}"


def a_month(usd_per_month: float) -> str:
    """Money by month: ``$93 a month``."""
    return f"{money(abs(usd_per_month))} a month"


# one natural unit more of what binds; what no reader can move (pools of commitments, whole machines)
# is not said
_BINDING = {
    "serve": "Serving one more request/s of {subject} in every hour",
    "spot_share": "Allowing 1 % more of {subject} on spot machines",
    "spot_max": "Finding one more spot machine of {subject} on the market",
    "type_share": "Allowing 1 % more of {subject} on a single machine type",
    "other_types": "Allowing 1 % more of {subject} on a single machine type",
    "zones": "Keeping one more request/s of {subject} ready for a lost zone",
    "min_instances": "Keeping one more replica of {subject} always ready",
    "min_per_zone": "Keeping one more replica of {subject} ready in each zone",
    "max_instances": "Allowing one more replica of {subject}",
    "limit": "Allowing one more machine under {subject}",
    "upfront_budget": "Paying one more dollar up front",
    "total_budget": "Spending one more dollar of the budget",
}


def binding(row: Mapping[Any, Any], months: float) -> str:
    """What holds the cost up, in dollars a month, from a row of ``plan.bindings``; empty for what
    no reader can move.
    """
    subject, change = (
        plainly(f"limits.{row['subject']}" if row["constraint"] == "limit" else str(row["subject"])),
        -(row["shadow_price_usd"] / months),
    )
    if row["constraint"] == "zones" and str(row.get("sentence", "")).startswith("leaving out"):
        return f"Surviving a lost zone costs {a_month(change)} for {subject}"
    if row["constraint"] not in _BINDING:
        return ""
    what = _BINDING[row["constraint"]].format(subject=subject)
    if change != change:
        return f"{what} has no plan within the limits in any month"
    return f"{what} {'costs' if change > 0 else 'saves'} {a_month(change)}"


EVENTS = {
    "overload": "More load",
    "zone_lost": "A zone is lost",
    "spot_lost": "Spot machines taken",
    "retries": "Retries after overload",
    "quota": "A quota is reached",
    "budget": "The budget is spent",
    "none": "Nothing",
}


def late(objective: str) -> str:
    """What a broken objective means: ``the first token is late for more than 5 % of requests``."""
    found = re.fullmatch(r"(latency|ttft|tpot)_p(\d\d)_s", objective)
    if found is None:
        return "requests are late"
    what = METRICS[found[1]].lower()
    what = what if what.startswith("each") else f"the {what}"
    return f"{what} is late for more than {100 - int(found[2])} % of requests"


def breaking(row: Mapping[Any, Any], time_zone: str) -> str:
    """What a threat does to the plan, when, and what mending costs, from a row of
    ``replay.breaks``.
    """
    times, of = row["load_multiplier"], row["service"]
    if not np.isfinite(times):
        return f"Bears any load of {of or 'this plan'} in every month"
    when, usd = month(row["breaks_at"].tz_convert(time_zone)), row["mending_usd_per_month"]
    mend = f"; mending it costs {a_month(usd)}" if usd >= 0.5 else ""
    if row["cause"] == "budget":
        if times >= 1:
            return f"Keeps within the budget: {times:.2f} times what 9 of 10 futures need in {when}, the dearest month"
        return f"Spends more than the budget in {when}: {money(usd)} short in 1 of 10 futures that month"
    if row["cause"] == "quota":
        named = re.search(r"quota of (\d+) (\S+)", str(row["sentence"]))
        which = f" of {named[1]} {named[2]}" if named else ""
        return f"Reaches the quota{which} at {times:.2f} times what is ready at most, in {when}"
    if row["cause"] == "retries":
        held = "Recovers from" if times >= 1 else "Stays down after"
        return f"{held} an overload with retries up to {times:.2f} times the planned load of {of}, in {when}{mend}"
    if row["cause"] == "overload":
        return f"Bears {times:.2f} times the planned load of {of}; then {late(row['objective'])}, first in {when}{mend}"
    held, event = "Survives" if times >= 1 else "Fails", _LOSSES[row["cause"]]
    limit = f"up to {times:.2f} times" if times >= 1 else f"from {times:.2f} times"
    return f"{held} {event} {limit} the planned load of {of}; then {late(row['objective'])}, first in {when}{mend}"


_LOSSES = {"zone_lost": "the loss of a zone", "spot_lost": "the loss of all spot machines"}
_LATE = {
    "overload": "Asks more than the whole fleet bears",
    "start_up": "Waits for machines to start",
    "autoscaler": "Waits for the autoscaler to ask for more",
    "zone_lost": "Loses a zone",
    "spot_lost": "Loses spot machines",
    "retries": "Keeps an overload up by retries",
}


def lateness(row: Mapping[Any, Any], time_zone: str) -> str:
    """Why requests were late and how many, from a row of ``replay.causes``."""
    when = month(row["worst_hour"].tz_convert(time_zone))
    million = row["late_share"] * 1e6
    rate = f"{million:,.0f} of a million requests" if million >= 0.5 else "less than one of a million requests"
    rate = rate if million > 0 else "no requests"
    return f"{_LATE[row['cause']]}: {rate} of {row['service']} late, worst in {when}"


# what is proved of the tests for drift (planner.track.sequential)
DRIFT_CHANCE = (
    "If what comes is one more draw like the plan's load paths, latencies have no order in time and models"
    " err as they say, at most one test in twenty sounds in a quarter though nothing has changed, however"
    " often it is looked at"
)
_DRIFTS = {
    "load": ("Brings more load than forecast", "Brings less load than forecast"),
    "cost": ("Costs more than planned", "Costs less than planned"),
    "": ("Answers slower than planned", "Answers faster than planned"),
}


def drift_needs() -> str:
    """What it takes to test for drift."""
    from planner.track.sequential import fewest_paths  # brings all of tracking with it

    return f"{fewest_paths()} load paths and a week"


def _untested(days: float) -> str:
    """Why a test for drift was left out after so many days."""
    from planner.track.sequential import WEEK, fewest_paths

    return "less than a week was seen" if days < WEEK else f"it takes {fewest_paths()} load paths or more"


def drifted(row: Mapping[Any, Any]) -> str:
    """A row of ``track.drift`` in a word or two; one without a p value was not tested."""
    if row["p_value"] != row["p_value"]:
        return "Not tested"
    return "Drift" if row["drifted"] else "No drift"


def drifting(row: Mapping[Any, Any]) -> str:
    """Whether load, cost or latency left the plan, which way and since when, or why that was not
    tested, from a row of ``track.drift``.
    """
    measure = str(row["measure"])
    what = str(row["service"]) or "the whole bill"
    said = what if measure in ("load", "cost") else f"{what}, {spelled(measure)}"
    times = f"{row['ratio']:.2f} times the plan"
    kept = f" its {measure}" if measure in ("load", "cost") else ""
    if row["p_value"] != row["p_value"]:
        why = _untested(row["days"])
        return f"Cannot tell yet whether{kept or ' it'} left the plan: {said} ({times}), {why}"
    if not row["drifted"]:
        return f"Keeps{kept} within the plan's range: {said} ({times})"
    way = _DRIFTS.get(measure, _DRIFTS[""])[row["side"] == "below"]
    return f"{way}: {said}, {times}, known since {row['known_since']:%d %B %Y}"


# why a machine is not used, the verb first; what is not listed is said as it stands
_EXCUSES: tuple[tuple[str, str | None], ...] = (
    (r"dearer for each request served", "Costs more for each request served"),
    (r"the types kept are cheaper together", "Costs more than the types kept"),
    (r"another mix of whole machines is cheaper", "Costs more than another mix of whole machines"),
    (r"latency target out of reach", "Misses the latency target"),
    (r"(?:a )?previous generation.*", "Belongs to a previous generation"),
    (r"has accelerators the service does not use", "Brings accelerators the service does not use"),
    (r"no price (?:is )?known(.*)", r"Has no known price\1"),
    (r"the price of (.*) is not known", r"Has no known price of \1"),
    (r"(.*) does not fit (.*)", r"Lacks memory on \2 for \1"),
    (r"the speed of its accelerator (.*) is not known", r"Has an accelerator of unknown speed: \1"),
    (r"its accelerator (.*) needs (.*)", r"Needs \2 for its accelerator \1"),
    (r"made for (.*)", r"Serves \1"),
    (r"not among limits\.instance_types", "Stands outside the machine types allowed"),
    (r"(?:its )?quota is 0", "Has a quota of 0 machines"),
    (r"serves nothing within the objectives", "Serves nothing within the targets"),
    (r"so many volumes do not fit a machine", "Takes too few volumes"),
    (r"block disks of this size are too slow", "Has disks too slow at this size"),
    (r"its accelerator (\S+) is not in .*", r"Has an accelerator that is not known: \1"),
    (r"language-model servers do not support the (\S+) family .*", r"Has no language-model server for \1"),
    (r"(.*) does not multiply (.*)", r"Cannot compute in \2 on \1"),
    (r"the network between (.*) is not known", r"Has no known network between \1"),
    (r"(\S+) takes (\S+) tokens at most", r"Takes \2 tokens at most with \1"),
    (r"not the machine observed", "Was not observed"),
    (r"architecture not supported by the service", "Has an architecture the service does not support"),
    (r"its (.*) (?:is|are) not known", r"Has no known \1"),
    (r"burstable types are excluded", "Runs on CPU credits, which are left out"),
    (r"too far from (.*)", r"Stands too far from \1"),
    (r"not measured", "Was not measured"),
    (r"too little (.*)", r"Lacks \1"),
    (r"no (.*)", r"Has no \1"),
    (r"(?:has|costs|needs) (.*)", None),
)


def excuse(reason: str) -> str:
    """Why a machine is not used, verb first, from a reason of ``plan.excuses``."""
    for pattern, said in _EXCUSES:
        if re.fullmatch(pattern, reason):
            return plainly(capital(reason) if said is None else re.sub(pattern, said, reason))
    return f"Falls out: {plainly(reason).replace('_', ' ')}"


NOT_PROVED = "How near it is to the cheapest possible is being checked"


def proof(plan: Plan) -> str:
    """How far the plan is from the best there can be, and for what that holds; of a plan that is not
    proved nothing is claimed.
    """
    found = plan.certificate
    if not found.proven:
        return NOT_PROVED
    return (
        f"Proven: no other choice of machines and commitments within the limits has an expected bill below"
        f" {money(found.lower_bound_usd)}, where data and request charges are those of this plan; this plan is within"
        f" {share(found.gap_share, 1)} of that"
    )


def limits_told(plan: Plan, scenario: Scenario) -> str:
    """The dearest month, and what the budget leaves in it."""
    months = plan.monthly().groupby("month")["effective_cost_usd"].sum()
    dearest, usd = str(months.idxmax()), float(months.max())
    budget = scenario.limits.budget_usd_per_month
    left = "" if budget is None else f", {money(budget - usd)} under the budget of {money(budget)}"
    return f"Dearest month: {month(dearest)}, {money(usd)}{left}"


def steps(path: str, points: pd.DataFrame, own: float) -> list[str]:
    """What the next value to each side of the chosen one costs: ``value monthly_usd`` of whole
    plans.
    """
    table = points.sort_values("value").set_index("value")["monthly_usd"]
    if own not in table.index:
        return []
    told, at = [], list(table.index).index(own)
    for k in (at - 1, at + 1):
        if 0 <= k < len(table):
            other = float(table.index[k])
            change = float(table.iloc[k] - table.iloc[at])
            names = [setting(path, v).rpartition(": ")[2] for v in (own, other)]
            verb = "costs" if change >= 0.005 else "saves"
            end = f"{verb} {a_month(change)}" if abs(change) >= 0.5 else "changes nothing: $0 a month"
            told.append(f"Moving {plainly(path)} from {names[0]} to {names[1]} {end}")
    return told


def setting(path: str, value: object) -> str:
    """A changed field in words: ``the zones that may fail: 1``."""
    likely = value["likely"] if isinstance(value, Mapping) else value
    if likely is None:
        return f"{plainly(path)}: none"
    number_of = float(str(likely))
    if path.endswith(("_share", "_per_year", "load_quantile")):
        return f"{plainly(path)}: {number_of * 100:g} %"
    if path.endswith("usd_per_month"):
        return f"{plainly(path)}: {money(number_of)}"
    return f"{plainly(path)}: {seconds(number_of) if path.endswith('_s') else format(number_of, 'g')}"
