"""A study on its way: worked out in a thread of its own, for every session that waits for it, and
given up where nobody does any more.
"""

from collections.abc import Callable, Iterator
from threading import Condition, Thread

from planner.study import Planned, Study

LOOK_S = 0.2  # how often a reader who waits is asked whether he still does

Make = Callable[[Callable[[str], None], Callable[[Planned], None]], Study]


class GivenUp(Exception):
    """Nobody waits for this work any more."""


class Work:
    """``make(progress, seen)`` (as :func:`planner.study.run` takes them), begun at once; its maker
    waits for it. What is known is handed on stage by stage, and the next stage begins when a reader
    has drawn the one before.
    """

    def __init__(self, make: Make) -> None:
        self._news, self._make = Condition(), make
        self._known: list[Planned] = []
        self._stage, self._waiting, self._asked = "", 1, 0
        self._error: BaseException | None = None
        Thread(target=self._run, daemon=True).start()

    def join(self) -> bool:
        """Wait for it too; whether it can be waited for: work that was given up or failed cannot."""
        with self._news:
            self._waiting += self._error is None
            return self._error is None

    def leave(self) -> None:
        """Wait for it no more."""
        with self._news:
            self._waiting -= 1
            self._news.notify_all()

    def known(self, waits: Callable[[str], None]) -> Iterator[Planned]:
        """What is known, whenever it is more, the last time whole; to be taken between :meth:`join`
        and :meth:`leave`. Meanwhile ``waits`` is told what is being done, five times a second; where
        it raises, the wait ends. Raises what the work raised.
        """
        drawn = 0
        while True:
            with self._news:
                self._asked = max(self._asked, drawn)
                self._news.notify_all()
                self._news.wait_for(lambda: len(self._known) > drawn or self._error is not None, LOOK_S)  # noqa: B023
                found, stage, error = self._known[drawn:], self._stage, self._error
            if found:
                drawn += len(found)
                yield found[-1]
                if isinstance(found[-1], Study):
                    return
            elif error is not None:
                raise error
            else:
                waits(stage)

    def _run(self) -> None:
        """The body of the thread. What it was made of goes with it, so that nothing of an answer is
        held longer than somebody has it.
        """
        try:
            whole = self._make(self._step, self._seen)
        except BaseException as error:  # noqa: BLE001  raised in the threads that wait
            self._end(error)
        else:
            self._hand(whole)
        del self._make

    def _step(self, stage: str) -> None:
        """A step begins, if anybody still waits."""
        with self._news:
            self._stage = stage
            if not self._waiting:
                self._error = GivenUp()
                raise self._error

    def _seen(self, found: Planned) -> None:
        """Hand a stage on, and go on when a reader has seen it."""
        self._hand(found)
        with self._news:
            self._news.wait_for(lambda: self._asked >= len(self._known) or not self._waiting)
        self._step(self._stage)

    def _hand(self, found: Planned) -> None:
        """What is known grows by a stage; who waits is woken."""
        with self._news:
            self._known.append(found)
            self._news.notify_all()

    def _end(self, error: BaseException) -> None:
        """The work is over without an answer; who waits is told why."""
        with self._news:
            self._error = error
            self._news.notify_all()
