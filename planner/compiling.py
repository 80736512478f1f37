"""How loops over numbers are compiled: once, by numba, and kept beside the source where that may be
written.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], **more: bool) -> Callable[P, R]:
    """Compile and keep the type; it runs beside other threads, and a division by zero is infinite as
    in numpy. ``more`` options of ``numba.njit``.

    >>> compiled(lambda x: x / 0.0)(1.0)
    inf
    """
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, **more}
    made: Callable[P, R]
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep the compiled code: compile in each process
        made = numba.njit(**options)(function)
    return made
