"""Every error the planner raises on purpose: what went wrong, where, what was got, what to do.

All derive from :class:`PlannerError`, so a caller needs one ``except``. ``exit_code`` is what the
command line returns: 2 wrong input, 3 no plan satisfies the scenario, 1 the solver itself failed.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

# what damaged content raises inside a reader; csv, json, pandas and pyarrow derive from these
MALFORMED = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    UnicodeError,
    ValueError,
    csv.Error,
)


class PlannerError(Exception):
    """An error a user can cause and mend.

    Parameters: ``what`` happened; ``where`` (file, row, field path); ``got`` the offending value;
    ``remedy`` what to do about it.  ``str(error)`` is one readable paragraph, never a traceback.

    >>> print(PlannerError("a rate must not be negative", where="web.csv, row 3", got=-1, remedy="Mend the row"))
    web.csv, row 3: a rate must not be negative (got -1). Mend the row.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: object = "", got: Any = None, remedy: str = "") -> None:
        self.what, self.where, self.got, self.remedy = what, str(where), got, remedy
        super().__init__(self._text())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.__dict__)

    def _text(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.got is not None:
            shown = repr(self.got)
            text += f" (got {shown if len(shown) <= 120 else shown[:117] + '...'})"
        sentences = [text, self.remedy] if self.remedy else [text]
        return " ".join(s if s.endswith((".", "!", "?")) else s + "." for s in sentences)


def _rebuild(kind: type[PlannerError], state: dict[str, Any]) -> PlannerError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, error._text())
    return error


class ScenarioError(PlannerError):
    """The scenario file or an override is wrong; ``problems`` lists every fault found, not the
    first.
    """

    def __init__(self, problems: Iterable[str] | str, *, where: object = "") -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems), where=where)

    def _text(self) -> str:
        head = f"{self.where}: " if self.where else ""
        if len(self.problems) == 1:
            return head + self.problems[0]
        return f"{head}{len(self.problems)} problems\n" + "\n".join(f"  - {p}" for p in self.problems)


class TrafficError(PlannerError):
    """A traffic history cannot be read, or cannot be read without guessing."""


class CatalogError(PlannerError):
    """A price, region, type or snapshot is missing, stale beyond use, or absurd."""


class StoreError(PlannerError):
    """The store of scenarios cannot be reached, read or written, or refuses a revision."""


class Relaxation(str):
    """A sentence that says what to change in a scenario, with the ``changes`` {dotted field: value}
    that :meth:`planner.Scenario.replace` takes.
    """

    __slots__ = ("changes",)
    changes: Mapping[str, Any]

    def __new__(cls, text: str, changes: Mapping[str, Any]) -> Self:
        """The sentence, which is what is shown, and its changes beside it."""
        made = super().__new__(cls, text)
        made.changes = dict(changes)
        return made

    @classmethod
    def of(cls, changes: Mapping[str, tuple[Any, Any]]) -> Self:
        """``changes`` {dotted field: (what stands, what to write)} in one sentence.

        Numbers are written out, a bound in seconds, gibibytes or USD with its unit; where nothing
        stands (``None``) only what to write is said.

        >>> print(Relaxation.of({"limits.quota.m5.large": (1, 4), "objective.latency_p99_s": (0.08, 0.29)}))
        raise limits.quota.m5.large from 1 to 4 and raise objective.latency_p99_s from 0.08 to 0.29 s
        >>> print(Relaxation.of({"limits.budget_usd_per_month": (5.0, 2e6), "limits.instance_types": (("a",), [])}))
        raise limits.budget_usd_per_month from 5 to 2,000,000 USD and set limits.instance_types to []
        """
        told = " and ".join(_change(path, now, wanted) for path, (now, wanted) in changes.items())
        return cls(told, {path: wanted for path, (_, wanted) in changes.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return Relaxation, (str(self), self.changes)


UNITS = {"_usd_per_month": " USD", "_usd": " USD", "_gib": " GiB", "_s": " s"}  # of fields by their ending


def _change(path: str, now: Any, wanted: Any) -> str:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return f"set {path} to {str(wanted).lower()}"
    told = _number(wanted) + next((unit for ending, unit in UNITS.items() if path.endswith(ending)), "")
    if isinstance(now, bool) or not isinstance(now, int | float):
        return f"set {path} to {told}"
    return f"{'raise' if wanted > now else 'lower'} {path} from {_number(now)} to {told}"


def _number(value: float) -> str:
    """Ten digits, and none of them as a power of ten where the number is large."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.10g}"


class InfeasiblePlan(PlannerError):
    """No configuration satisfies the scenario; ``relaxations`` name the constraints to relax.

    ``relaxations`` is a tuple of plain sentences, the smallest sufficient one first; those of
    :class:`Relaxation` can be followed as they stand.
    """

    exit_code = 3

    def __init__(self, what: str, *, relaxations: Iterable[str] = (), where: object = "") -> None:
        self.relaxations = tuple(relaxations)
        remedy = "To make it possible: " + "; or ".join(self.relaxations) if self.relaxations else ""
        super().__init__(what, where=where, remedy=remedy)


class SolverError(PlannerError):
    """The solver stopped without a proven answer, or its answer failed the certificate check."""

    exit_code = 1


@contextmanager
def one_door(told: Callable[[str], PlannerError]) -> Iterator[None]:
    """The one door of a reader: damaged content inside becomes the typed error ``told`` makes of
    its cause; typed errors pass.

    >>> with one_door(lambda cause: TrafficError(f"is damaged ({cause})", where="a.json")):
    ...     {}["rate"]
    Traceback (most recent call last):
    planner.errors.TrafficError: a.json: is damaged (KeyError 'rate').

    Raises what ``told`` makes, in place of any error that is not typed.
    """
    try:
        yield
    except PlannerError:
        raise
    except MALFORMED as error:
        raise told(f"{type(error).__name__} {str(error)[:200]}") from None
