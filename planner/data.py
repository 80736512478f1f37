"""Finds the bundled ``data/`` folder, in a checkout and in an installed wheel."""

from pathlib import Path

from planner.errors import PlannerError

_HERE = Path(__file__).resolve().parent
# a wheel carries the folder inside the package, a checkout has it beside the package
_PLACES = (_HERE / "_data", _HERE.parent / "data")


def data_path(*parts: str) -> Path:
    """Path of a bundled file or folder, e.g. ``data_path("scenarios", "demo.yaml")``.

    Raises :class:`PlannerError` if it is not there.
    """
    for place in _PLACES:
        path = place.joinpath(*parts)
        if path.exists():
            return path
    raise PlannerError(
        "this bundled file is missing",
        where="/".join(("data", *parts)),
        remedy="Reinstall the package, or run from a complete checkout",
    )
