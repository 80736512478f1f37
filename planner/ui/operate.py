"""The page of operating: who is told what and when, the hand-off page, and every file a plan is run
by, to look at and to take along.
"""

import io
import re
import zipfile

import pandas as pd
import streamlit as st
import yaml

from planner.operate import Names, texts
from planner.operate.folder import ALERTS
from planner.show import words
from planner.study import Study
from planner.ui import session, study_page
from planner.ui.drawing import download, small, told

SHOWN = 160  # lines of a file that are shown
FILES = {
    ALERTS: "Prometheus: alert rules",
    "prometheus-lines.yaml": "Prometheus: the plan's load, capacity and spending by hour",
    "prometheus-tests.yaml": "Prometheus: tests of the rules",
    "prometheus-date-tests.yaml": "Prometheus: tests of the dates",
    "cloudwatch-alarms.json": "CloudWatch: alarms",
    "aws-budgets.json": "AWS: budgets",
    "gcp-budgets.json": "Google Cloud: budgets",
    "grafana-dashboard.json": "Grafana: dashboard",
    "autoscalers.yaml": "Kubernetes: autoscalers",
    "karpenter.yaml": "Kubernetes: machine pools (Karpenter)",
    "terraform.tfvars.json": "Terraform: variables",
    "figures.csv": "Every figure with its source",
    "handoff.md": "Hand-off page",
}


def body(study: Study) -> None:
    """Alerts, the page for the on-call, and the files, each under its own tab."""
    named = _names()
    with st.spinner("Writing what the plan is run by …"):
        files = session.worked_out(study, f"operate {named}", lambda: texts(study, _renamed(named)))
    alerts, page, all_of_them = st.tabs(["Alerts", "Hand-off page", "Files"], key="part", bind="query-params")
    with alerts:
        small("What is watched once the plan runs; each limit is a figure of the plan. The rules are among the files.")
        told(_alerts(files[ALERTS]), ["service", "alert", "threshold", "after", "severity", "action"])
    with page:
        st.markdown(_readable(files["handoff.md"]))
        download(
            "This page (Markdown)",
            files["handoff.md"].encode,
            "handoff.md",
            "text/markdown",
            key="page",
        )
    with all_of_them:
        _files(files, study.scenario.name)


def _names() -> str:
    """What metrics are called at the reader's place, one ``KEY=VALUE`` a line."""
    with st.popover("Your names of metrics and objects", icon=":material/edit:"):
        small(
            "Each file says which names it assumes. Write your own here, one a line, such as"
            " requests=nginx_requests_total or namespace=shop."
        )
        text = st.text_area("Names", key="names", bind="query-params", height=120, placeholder="requests=…")
    return str(text or "")


def _renamed(text: str) -> Names:
    """The names as written by the reader."""
    return Names().renamed([line.strip() for line in text.splitlines() if line.strip()])


def _alerts(rules: str) -> pd.DataFrame:
    """The rules of the file that is offered below, one row each."""
    rows = []
    for group in yaml.safe_load(rules)["groups"]:
        for rule in group["rules"]:
            labels, notes = rule["labels"], rule["annotations"]
            said = notes["summary"].removeprefix(f"{labels.get('service', '')}: ")
            rows.append(
                {
                    "service": labels.get("service", "all"),
                    "alert": words.capital(said),
                    "threshold": _threshold(notes),
                    "after": _lasting(rule["for"]),
                    "severity": labels["severity"],
                    "action": words.spelled(notes["action"]),
                }
            )
    return pd.DataFrame(rows)


def _threshold(notes: dict[str, str]) -> str:
    """The figure that an alert watches, with its unit."""
    unit = notes.get("unit", "")
    if notes["value"] == "by hour":
        return f"the plan's own {unit} of each hour"
    value, limit = float(notes["value"]), notes.get("limit_value", "")
    if limit and notes["limit_unit"] == "s":
        return f"{words.share(value, 1)} later than {words.seconds(float(limit))}"
    if limit:
        return f"{limit} {notes['limit_unit']}"
    if unit.startswith("s since"):
        return f"{pd.Timestamp(value, unit='s'):%d %b %Y}"
    return words.share(value) if unit == "share" else f"{words.number(value)} {unit}"


def _lasting(text: str) -> str:
    """A duration of a rule in words that stay on one line: ``10m`` becomes "10 min"."""
    unit = {"s": "s", "m": "min", "h": "h", "d": "days"}[text[-1]]
    return "at\u00a0once" if text[:-1] == "0" else f"{text[:-1]}\u00a0{unit}"


def _readable(page: str) -> str:
    """The page as the screen shows it: the file has the source of each number, and the names to
    rename.
    """
    text = re.sub(r"^\[\^\d+\]:.*$|^# .*$", "", page.partition("## Names to rename")[0], flags=re.M)
    text = re.sub(r"\[\^\d+\]| \(plan\.bindings\)", "", text)
    return re.sub(r"^## ", "#### ", text, flags=re.M).replace(r"\$", "$").replace("$", r"\$")


def _files(files: dict[str, str], name: str) -> None:
    """One file at a time to look at; each and all to take along."""
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    chosen = str(
        left.selectbox(
            "Look at",
            list(files),
            format_func=lambda f: f"{f}: {FILES.get(f, f)}",
            key="file",
            bind="query-params",
        )
    )
    text = files[chosen]
    lines = text.splitlines()
    with right.container(horizontal=True):
        download("This file", text.encode, chosen, "text/plain")
        download(
            f"All {len(files)} files (ZIP)",
            lambda: _zipped(files),
            f"{name}-operate.zip",
            "application/zip",
        )
    st.code("\n".join(lines[:SHOWN]), language=None, height=420)  # highlighting would be too pale to read
    if len(lines) > SHOWN:
        small(f"The first {SHOWN} of {len(lines):,} lines; the download has them all.")
    small("The command line writes the same files: planner operate SCENARIO.yaml --out FOLDER.")


def _zipped(files: dict[str, str]) -> bytes:
    """All files as one archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


study_page.show("Operate", study_page.whole(body))
