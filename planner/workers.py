"""Processes of this machine as an executor that outlives them: a killed worker takes its own task
with it and no other, a killed parent leaves nobody.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

_LOOK_S = 0.5


class Workers(Executor):
    """``jobs`` processes.  Tasks that were running when one died are run again, one at a time in a
    process of their own; the one that kills its process again fails with
    :class:`concurrent.futures.BrokenExecutor`.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs, self._lock, self._alone = jobs, threading.Lock(), threading.Lock()
        self._pool = _pool(jobs)
        self._waiting = ThreadPoolExecutor(jobs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run ``fn`` in a worker.  The future raises :class:`BrokenExecutor` where it kills its
        own.
        """
        return self._waiting.submit(self._run, fn, args, kwargs)

    def _run(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            return self._try(fn, args, kwargs)
        except BrokenExecutor:
            with self._alone, _pool(1) as own:
                return own.submit(fn, *args, **kwargs).result()

    def _try(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run in the common pool, a new one in place of a broken one."""
        with self._lock:
            pool = self._pool
            try:
                running = pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                pool = self._pool = _pool(self._jobs)
                running = pool.submit(fn, *args, **kwargs)
        return running.result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers."""
        self._waiting.shutdown(wait=wait, cancel_futures=cancel_futures)
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _pool(jobs: int) -> ProcessPoolExecutor:
    """Processes made by a server of their own: this one may have threads, which a fork would break.

    The server reads the package once, so that a worker starts in milliseconds instead of seconds.
    """
    ways = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    context.set_forkserver_preload(["__main__", __name__])
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_follow, initargs=(os.getpid(),))


def _follow(parent: int) -> None:
    """End with the process that asked for this one, however it ends."""
    maker = os.getppid()

    def look() -> None:
        while os.getppid() == maker and _lives(parent):
            time.sleep(_LOOK_S)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
