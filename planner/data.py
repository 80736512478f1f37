"""Finds the bundled ``data/`` folder, in a checkout and in an installed wheel."""

from hashlib import sha256
from pathlib import Path

from planner.errors import PlannerError

_HERE = Path(__file__).resolve().parent
_ASIDE = ("api_prices.csv",)  # what APIs ask is set beside an answer, it is no part of one
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


def tables_read() -> dict[str, str]:
    """The bundled tables that an answer is worked out with beside the catalog: speeds of hardware,
    facts and constants of models, benchmarks, shapes, classes of storage; name → SHA-256.

    >>> len(tables_read()["hardware/cpu_speed.csv"])
    64
    """
    files = [*(p for folder in ("benchmarks", "hardware", "models") for p in data_path(folder).glob("*.csv"))]
    files += [data_path("traffic", "shapes.csv"), data_path("catalog", "object_classes.csv")]
    return {
        f"{p.parent.name}/{p.name}": sha256(p.read_bytes()).hexdigest() for p in sorted(files) if p.name not in _ASIDE
    }
