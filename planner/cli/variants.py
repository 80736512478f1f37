"""Variants named on the command line, and where they are computed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import product
from typing import Any

import pandas as pd

from planner.errors import PlannerError, ScenarioError
from planner.scenario.written import parse
from planner.workers import Workers


def combinations(varied: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``["a.b=1,2", "c=x,y"]`` → every combination as name → overrides; values are YAML. Raises
    :class:`ScenarioError`.
    """
    axes = []
    for text in varied:
        path, sign, values = text.partition("=")
        if not sign or not path.strip() or not values.strip():
            raise ScenarioError(
                f"--vary must read PATH=A,B,..., such as limits.max_spot_share=0,0.3 (got {text!r})",
                where="sweep",
            )
        try:
            found, _ = parse(f"[{values}]", "sweep")
        except ScenarioError as error:
            raise ScenarioError(
                f"the values are no list in YAML (got {values[:80]!r}): {error.problems[0]}. Separate them by commas",
                where="sweep",
            ) from None
        axes.append([(path.strip(), value) for value in found])
    return {
        ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in chosen): dict(chosen)
        for chosen in product(*axes)
    }


def instant(text: str) -> pd.Timestamp | None:
    """An hour as written, UTC where no zone is said; none for ``peak``.  Raises
    :class:`ScenarioError`.
    """
    if text == "peak":
        return None
    try:
        found = pd.Timestamp(text)
    except ValueError:
        raise ScenarioError(
            f"an hour reads 2027-01-05T10:00Z, or peak for the busiest (got {text!r})",
            where="--requests",
        ) from None
    return found.tz_localize("UTC") if found.tz is None else found.tz_convert("UTC")


@contextmanager
def executor_of(jobs: int, scheduler: str | None) -> Iterator[Executor | None]:
    """A process pool of this machine, the executor of a Dask cluster, or ``None`` for this process.
    Raises :class:`PlannerError`.
    """
    if scheduler is None:
        if jobs == 1:
            yield None
            return
        with Workers(jobs) as pool:
            yield pool
        return
    if find_spec("distributed") is None:
        raise PlannerError(
            "running on a cluster needs Dask",
            where="--dask",
            remedy="pip install 'infra-planner[dask]'",
        )
    from distributed import Client

    try:
        client = Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise PlannerError(
            f"no Dask scheduler answers: {error}",
            where="--dask",
            got=scheduler,
            remedy="Give its address, such as tcp://host:8786",
        ) from None
    with client:
        yield client.get_executor()
