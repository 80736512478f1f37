"""PH/PH/c exactly, by matrix-analytic methods (Neuts 1981; Latouche & Ramaswami 1999), for small c.

Gaps and services are phase-type: exponential, Erlang (gamma with whole 1/scv) or two-branch
hyperexponential.  Levels count requests, phases say how many workers are in which service phase;
above c the levels repeat, so π_{c+k} = π_c Rᵏ.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.arrays import Floats
from planner.errors import PlannerError
from planner.latency.queue.service_law import ServiceLaw

_LARGEST_BLOCK = 64


@dataclass(frozen=True)
class PhaseType:
    """A phase-type law: starts in phase i with ``start[i]``, moves by ``moves`` [1/time], leaves at
    ``exits``.
    """

    start: Floats
    moves: Floats

    @property
    def exits(self) -> Floats:
        """Rate of leaving from each phase."""
        found: Floats = -self.moves.sum(axis=1)
        return found

    @classmethod
    def of(cls, law: ServiceLaw, mean: float = 1.0) -> "PhaseType":
        """The phases of a law. Raises :class:`PlannerError` for one that has none."""
        if law.kind == "exponential":
            return cls(np.array([1.0]), np.array([[-1 / mean]]))
        if law.kind == "hyperexponential":
            p, r1, r2 = law.branches
            return cls(np.array([p, 1 - p]), np.diag([-r1 / mean, -r2 / mean]))
        k = round(1 / law.scv) if law.kind == "gamma" else 0
        if k < 1 or abs(k * law.scv - 1) > 1e-12:
            raise PlannerError(
                "this law is not phase-type", got=(law.kind, law.scv), remedy="Use gamma with whole 1/scv, or simulate"
            )
        return cls(np.eye(k)[0], (np.eye(k, k, 1) - np.eye(k)) * k / mean)


class PhPhC:
    """Steady state of PH/PH/c, FCFS: wait and response laws. Times in mean services.

    Raises :class:`PlannerError` at ρ ≥ 1, for laws that are not phase-type and for more phases than
    64 a level.
    """

    def __init__(self, gaps: ServiceLaw, law: ServiceLaw, servers: int, utilization: float) -> None:
        if not 0 < utilization < 1:
            raise PlannerError("a queue is stable only at a utilization between 0 and 1", got=utilization)
        self.rate = utilization * servers
        self.servers = servers
        self._gaps, self._service = PhaseType.of(gaps, 1 / self.rate), PhaseType.of(law)
        self._levels = [_configurations(n, len(self._service.start)) for n in range(servers + 1)]
        self._na, self._m = len(self._gaps.start), len(self._levels[servers])
        if self._na * self._m > _LARGEST_BLOCK:
            raise PlannerError("too many phases for the exact solution", got=self._na * self._m, remedy="Simulate")
        self._solve()

    def _solve(self) -> None:
        c, eye = self.servers, np.eye
        serve0, serve1 = self._moves(c), self._departures(c, restart=True)
        up, local = (
            _kron(np.outer(self._gaps.exits, self._gaps.start), eye(self._m)),
            _kron(self._gaps.moves, eye(self._m)),
        )
        local = local + _kron(eye(self._na), serve0)
        down = _kron(eye(self._na), serve1)
        self._r = _rate_matrix(up, local, down)
        # R of each lower level, from the top
        ratios: list[Floats] = [np.zeros((0, 0))] * (c + 1)
        inner = local + self._r @ down
        for n in range(c, 0, -1):
            ratios[n] = self._arrivals(n - 1) @ np.linalg.inv(-inner)
            inner = (
                _kron(self._gaps.moves, eye(len(self._levels[n - 1])))
                + _kron(eye(self._na), self._moves(n - 1))
                + ratios[n] @ _kron(eye(self._na), self._departures(n))
            )
        pi = _null_left(inner)
        rows = [pi]
        for n in range(1, c + 1):
            rows.append(rows[-1] @ ratios[n])
        self._tail_sum = np.linalg.solve((eye(len(self._r)) - self._r).T, rows[c])
        weight = sum(float(r.sum()) for r in rows[:c]) + float(self._tail_sum.sum())
        self._pi_c, self._tail_sum = rows[c] / weight, self._tail_sum / weight
        self._serve0, self._serve1 = serve0, serve1
        # rows: states just before an arrival; columns: what the workers are doing then
        self._first = _kron(self._gaps.exits[:, None], eye(self._m))

    def _moves(self, n: int) -> Floats:
        """Phase changes without departures among n busy workers."""
        states = self._levels[n]
        index = {s: i for i, s in enumerate(states)}
        q = np.zeros((len(states), len(states)))
        for s, i in index.items():
            for a, b in product(range(len(s)), repeat=2):
                if s[a] and a != b and self._service.moves[a, b]:
                    q[i, index[_moved(s, a, b)]] += s[a] * self._service.moves[a, b]
            q[i, i] += sum(k * self._service.moves[a, a] for a, k in enumerate(s))
        return q

    def _departures(self, n: int, restart: bool = False) -> Floats:
        """Departures among n busy workers: to n − 1, or to n where the next request starts at once."""
        states, after = self._levels[n], self._levels[n if restart else n - 1]
        index = {s: i for i, s in enumerate(after)}
        q = np.zeros((len(states), len(after)))
        for i, s in enumerate(states):
            for a, k in enumerate(s):
                if k and restart:
                    for b, p in enumerate(self._service.start):
                        q[i, index[_moved(s, a, b)]] += k * self._service.exits[a] * p
                elif k:
                    q[i, index[_moved(s, a, None)]] += k * self._service.exits[a]
        return q

    def _arrivals(self, n: int) -> Floats:
        """Arrivals at n < c requests: the gap starts anew and a worker starts."""
        after = {s: i for i, s in enumerate(self._levels[n + 1])}
        q = np.zeros((len(self._levels[n]), len(after)))
        for i, s in enumerate(self._levels[n]):
            for b, p in enumerate(self._service.start):
                q[i, after[tuple(k + (j == b) for j, k in enumerate(s))]] += p
        return _kron(np.outer(self._gaps.exits, self._gaps.start), q)

    @property
    def p_wait(self) -> float:
        """Probability that an arrival waits."""
        return float((self._tail_sum @ self._first).sum() / self.rate)

    @cached_property
    def _flow(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The linear system of what still waits and what is served: (matrix, start, reading of
        waiting, of in service).

        Z' = Z·D0 + R·Z·D1 for Z (phases, workers' phases): row z of it weighted with Σ_k π_{c+k} is
        the law of the wait.
        """
        m, size = self._m, self._na * self._m
        matrix = _kron(np.eye(size), self._serve0.T) + _kron(self._r, self._serve1.T)
        reading = _kron(self._tail_sum, np.ones(m)) / self.rate
        s = len(self._service.start)
        whole = np.zeros((size * m + s, size * m + s))
        whole[: size * m, : size * m] = matrix
        whole[size * m :, size * m :] = self._service.moves.T
        whole[size * m :, : size * m] = np.outer(
            self._service.start, -(reading @ matrix)
        )  # who stops waiting starts service
        begin = np.concatenate([self._first.ravel(), (1 - self.p_wait) * self._service.start])
        return whole, begin, np.concatenate([reading, np.zeros(s)]), np.concatenate([np.zeros(size * m), np.ones(s)])

    @cached_property
    def mean_wait(self) -> float:
        """Mean wait over all requests: ∫ P(W > t) dt."""
        whole, begin, waiting, _ = self._flow
        n = len(begin) - len(self._service.start)
        return float(-waiting[:n] @ np.linalg.solve(whole[:n, :n], begin[:n]))

    def wait_quantile(self, q: float) -> float:
        """Quantile of the wait over all requests."""
        return 0.0 if self.p_wait <= 1 - q else self._crossing(self._flow[2], 1 - q)

    def response_quantile(self, q: float) -> float:
        """Quantile of wait + service."""
        return self._crossing(self._flow[2] + self._flow[3], 1 - q)

    def _crossing(self, reading: Floats, tail: float) -> float:
        """When a falling reading of the flow passes ``tail``: coarse steps, then halved ones."""
        from scipy.linalg import expm

        whole, state, _, _ = self._flow
        step = 0.25
        power = expm(whole * step)
        t = 0.0
        while float(reading @ (power @ state)) > tail:
            state, t = power @ state, t + step
            if t > 256 * step:  # a long tail: longer strides
                step, power = 2 * step, power @ power
        # a stride of halves is what remains
        while step > 1e-9 * max(t, 1e-3):
            step /= 2
            half = expm(whole * step) @ state
            if float(reading @ half) > tail:
                state, t = half, t + step
        return t


def _kron(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    return np.kron(a, b).astype(np.float64)


def _moved(state: tuple[int, ...], a: int, b: int | None) -> tuple[int, ...]:
    return tuple(k - (j == a) + (j == b) for j, k in enumerate(state))


def _configurations(n: int, phases: int) -> list[tuple[int, ...]]:
    """All ways to spread n workers over service phases."""
    if phases == 1:
        return [(n,)]
    return [(k, *rest) for k in range(n + 1) for rest in _configurations(n - k, phases - 1)]


def _rate_matrix(up: Floats, local: Floats, down: Floats) -> Floats:
    """R = A0(−A1 − A0 G)⁻¹ with G by logarithmic reduction (Latouche & Ramaswami 1993)."""
    inverse = np.linalg.inv(-local)
    high, low = inverse @ up, inverse @ down
    g, product_ = low.copy(), high.copy()
    eye = np.eye(len(up))
    for _ in range(60):
        u = np.linalg.inv(eye - high @ low - low @ high)
        high, low = u @ high @ high, u @ low @ low
        g = g + product_ @ low
        product_ = product_ @ high
        if np.abs(product_).max() < 1e-16:
            break
    found: Floats = up @ np.linalg.inv(-local - up @ g)
    return found


def _null_left(q: Floats) -> Floats:
    """The positive row vector with x q = 0, up to scale."""
    a = q.T.copy()
    a[-1] = 1.0
    found: Floats = np.linalg.solve(a, np.eye(len(q))[-1])
    return found


def solvable(gaps: ServiceLaw, law: ServiceLaw, servers: int) -> bool:
    """Whether :class:`PhPhC` can answer."""
    sizes = []
    for each in (gaps, law):
        whole = each.kind == "gamma" and abs(round(1 / each.scv) * each.scv - 1) < 1e-12
        if each.kind not in ("exponential", "hyperexponential") and not whole:
            return False
        sizes.append(round(1 / each.scv) if whole else 1 + (each.kind == "hyperexponential"))
    return sizes[0] * math.comb(servers + sizes[1] - 1, sizes[1] - 1) <= _LARGEST_BLOCK
