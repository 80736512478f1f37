"""How the steps of a replay are compiled."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def bare(function: Callable[P, R]) -> Callable[P, R]:
    """Compile without counting references to arrays: ten times faster where records of many arrays
    are passed, and nothing may be allocated.
    """
    return _compiled(function, {})


def within(function: Callable[P, R]) -> Callable[P, R]:
    """The same, put into its callers: a call would copy all its records.

    No door for the interpreter is compiled, which takes longer than the function itself where
    records of many arrays are passed: only compiled code may call it.
    """
    return _compiled(function, {"forceinline": True, "no_cpython_wrapper": True})


def _compiled(function: Callable[P, R], more: dict[str, bool]) -> Callable[P, R]:
    options = {"nogil": True, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True, **more}
    made: Callable[P, R]
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep the compiled code: compile in each process
        made = numba.njit(**options)(function)
    return made
