"""Which bill and which arrivals stand beside a plan: the sample's own, or files that were uploaded.

What is uploaded is checked and kept as histories are (:mod:`planner.ui.uploads`) and offered under
a name with an id, so that it survives other pages, reloads and links.
"""

from filecmp import cmp
from pathlib import Path

import streamlit as st

from planner.data import data_path
from planner.scenario import Scenario
from planner.ui import session, uploads
from planner.ui.drawing import small

NONE = "none yet"
SAMPLE = "the sample's"


def chosen(scenario: Scenario) -> tuple[Path | None, dict[str, Path]]:
    """The bill, and by service what arrived; none yet where nothing was brought."""
    samples = _samples(scenario)
    names = list(scenario.services)
    cells = st.columns([1] * (1 + len(names)) + [0.6], vertical_alignment="bottom")
    with cells[0]:
        bill = _ask("Bill", "bill", samples.get("bill"))
    arrivals = {}
    for cell, name in zip(cells[1:-1], names, strict=True):
        with cell:
            label = "What arrived" if len(names) == 1 else f"What arrived for {name}"
            file = _ask(label, f"arrived.{name}", samples.get(name))
            if file is not None:
                arrivals[name] = file
    with cells[-1], st.popover("Bring files", icon=":material/upload:", width="stretch"):
        _uploads(names)
    return bill, arrivals


def _samples(scenario: Scenario) -> dict[str, Path]:
    """Bundled actuals of a sample scenario, by ``bill`` and service."""
    stem = next((f.stem for f in session.bundled().values() if _asks(scenario, Scenario.read(f))), None)
    if stem is None:
        return {}
    folder = data_path("actuals")
    files = {"bill": folder / f"{stem}_focus.csv"}
    files |= {name: folder / f"{name}_traffic.csv" for name in scenario.services}
    return {key: file for key, file in files.items() if file.is_file() and files["bill"].is_file()}


def _asks(scenario: Scenario, sample: Scenario) -> bool:
    """Whether a scenario asks about a sample, whatever was changed in it: of its name, its start and
    its histories. Another's plan of the same name has bills of its own.
    """
    sides = [(s.name, s.start, {name: s.traffic_files(name) for name in s.services}) for s in (scenario, sample)]
    (*named, mine), (*known, its) = sides
    if named != known or mine.keys() != its.keys():
        return False
    pairs = [(mine[name], its[name]) for name in its]
    return all(len(a) == len(b) and all(cmp(x, y, shallow=False) for x, y in zip(a, b, strict=True)) for a, b in pairs)


def _ask(label: str, key: str, sample: Path | None) -> Path | None:
    """One file out of the sample's, those brought, and none."""
    own, picked = _brought(key), st.session_state.setdefault("picked", {})
    linked = st.query_params.get(key, "")
    if uploads.file_of(linked) is not None:
        own.setdefault(linked)
    options = [*own, *([SAMPLE] if sample is not None else []), NONE]
    stood = st.session_state.setdefault("stood", {})
    # a file just brought, or what stood here before another page was looked at
    away = key not in st.session_state and not linked
    wanted = picked.pop(key, stood.get(key) if away else None)
    if wanted in options:
        st.session_state[key] = wanted
    name = str(st.selectbox(label, options, key=key, bind="query-params"))
    stood[key] = name
    return sample if name == SAMPLE else uploads.file_of(name)


def _brought(key: str) -> dict[str, None]:
    """Names of the files that this session brought for a place, in order."""
    found: dict[str, None] = st.session_state.setdefault("brought", {}).setdefault(key, {})
    return found


def _uploads(services: list[str]) -> None:
    """Room for a bill and for the traffic of each service."""
    _bring("Bill (CSV)", "bill", uploads.BILL)
    for name in services:
        _bring(f"What arrived for {name} (CSV)", f"arrived.{name}", uploads.HISTORY)
    small(
        f"Up to {uploads.MAX_MIB} MiB each. They stay on this server, are seen only by who has the"
        " link, and are removed when the server stops. Money finds its service by the tag named"
        " service."
    )


def _bring(label: str, key: str, kind: uploads.Kind) -> None:
    """An uploaded file, kept and chosen at once."""
    given = st.file_uploader(label, type=["csv"], max_upload_size=uploads.MAX_MIB, key=f"upload.{key}")
    if given is None:
        return
    content = given.getvalue()
    uploads.check(content, kind)
    name = uploads.add_file(content, kind, label.partition(" (")[0])
    own = _brought(key)
    if name not in own:
        own[name] = None
        st.session_state["picked"][key] = name
        st.rerun()
