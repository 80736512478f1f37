"""The public surface: these names, no others, and importing them stays light."""

import subprocess
import sys

import planner

NAMES = [
    "Capacity",
    "Catalog",
    "Load",
    "Plan",
    "PlannerError",
    "Replay",
    "Scenario",
    "Study",
    "Traffic",
    "forecast",
    "optimize",
    "read_histories",
    "read_traffic",
    "run",
    "simulate",
    "size",
    "sweep",
]


def test_the_public_names():
    assert planner.__all__ == NAMES
    for name in NAMES:
        assert getattr(planner, name).__doc__


def test_functions_are_not_hidden_by_the_packages_of_the_same_name():
    text = (
        "import planner, planner.optimizer.bill.charges, planner.simulator.replay; assert callable(planner.optimize)"
        " and callable(planner.simulate)"
    )
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)


def test_importing_loads_no_giant():
    giants = (
        "pulp",
        "highspy",
        "streamlit",
        "altair",
        "boto3",
        "google.cloud",
        "duckdb",
        "numba",
        "scipy.optimize",
        "holidays",
        "distributed",
    )
    text = f"import sys, planner; print([g for g in {giants} if g in sys.modules])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
