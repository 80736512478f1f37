"""How the steps of a replay are compiled."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from planner.compiling import compiled

P = ParamSpec("P")
R = TypeVar("R")


def bare(function: Callable[P, R]) -> Callable[P, R]:
    """Compile without counting references to arrays: ten times faster where records of many arrays
    are passed, and nothing may be allocated.
    """
    return compiled(function, _nrt=False)


def within(function: Callable[P, R]) -> Callable[P, R]:
    """The same, put into its callers: a call would copy all its records.

    No door for the interpreter is compiled, which takes longer than the function itself where
    records of many arrays are passed: only compiled code may call it.
    """
    return compiled(function, _nrt=False, forceinline=True, no_cpython_wrapper=True)
