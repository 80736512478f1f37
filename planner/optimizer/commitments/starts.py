"""When commitments are in force: contracts signed later in the horizon, and the stretches between
one change and the next.

A contract is offered at the start of the horizon, at the start of each quarter after it, and where
an earlier one of its kind lapses (nothing renews by itself). Only hours inside the horizon are paid
for here, so a contract signed for the last weeks alone would look cheap: a later start is offered
only if at least half of the term, or half of the horizon where that is shorter, lies inside.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pandas as pd

from planner.arrays import Index
from planner.calendar import later
from planner.load import Load
from planner.optimizer.market.commitments import Term
from planner.optimizer.market.market import Market

QUARTER = 3  # months


@dataclass(frozen=True)
class Regime:
    """Hours of the horizon in which the same commitments are in force: indices of ``new`` terms;
    ``held`` {index: units} already signed.
    """

    hours: Index
    new: frozenset[int]
    held: dict[int, float]

    def of(self, signed: Mapping[int, float]) -> dict[int, float]:
        """What is in force of the contracts ``signed`` now {term index: units}, and all that were
        signed before.
        """
        return {i: a for i, a in signed.items() if i in self.new} | self.held


def regimes_of(market: Market, load: Load) -> list[Regime]:
    """The horizon cut where a commitment starts or ends.

    Hours with the same set of terms in force are one regime, wherever they lie; there are at
    most as many as starts and ends, plus one.
    """
    flags = (
        np.stack([t.in_force(load.ts) for t in market.terms], axis=1)
        if market.terms
        else np.zeros((load.hours, 0), dtype=bool)
    )
    # equal rows of 0 and 1 are found by their bytes: a year of hours in a millisecond
    packed = (
        np.ascontiguousarray(np.packbits(flags, axis=1))
        if flags.shape[1]
        else np.zeros((load.hours, 1), dtype=np.uint8)
    )
    _, first, number = np.unique(packed.view(f"V{packed.shape[1]}").reshape(-1), return_index=True, return_inverse=True)
    out = []
    for r, at in enumerate(first):
        on = [i for i in range(flags.shape[1]) if flags[at, i]]
        new = frozenset(i for i in on if not market.terms[i].held)
        out.append(
            Regime(np.flatnonzero(number == r), new, {i: market.terms[i].held for i in on if market.terms[i].held})
        )
    return out


def with_rungs(
    market: Market, wanted: Mapping[int, float], load: Load, time_zone: str
) -> tuple[Market, dict[int, float]]:
    """The market with later contracts of the ``wanted`` terms, and a first guess of each: {term
    index: units}.

    The guess signs what lapses once more and nothing else.
    """
    terms, offered, origin, guess = list(market.terms), list(market.offered), list(market.origin), dict[int, float]()
    for i, amount in wanted.items():
        t = market.terms[i]
        for start, renewal in _starts(t, load, time_zone):
            end = later(start, t.term_months, time_zone)
            guess[len(terms)] = amount if renewal else 0.0
            terms.append(replace(t, start=start, end=end))
            origin.append(len(offered))
            offered.append(replace(market.offered[market.origin[i]], start=start, end=end))
    return replace(market, terms=tuple(terms), offered=tuple(offered), origin=tuple(origin)), guess


def worth_trying(
    market: Market, kinds: Collection[str], last: pd.Timestamp, known: Collection[int] = (), *, payments: bool = False
) -> list[int]:
    """Commitments on sale for some of ``kinds``, the cheapest of each pool and size of a contract
    and of each that ends earlier in the horizon, whose last hour is ``last``, beside those ``known``; with ``payments``
    also of each way to pay.

    Worth nothing to parts of machines bought for good, such a term may pay for the whole ones that
    fill the rest, signed later, or for a load that falls.
    """

    def place(i: int) -> tuple[str, float, pd.Timestamp, str]:
        t = market.terms[i]
        return t.pool, t.size, min(t.end, last + pd.Timedelta(hours=1)), t.payment if payments else ""

    found, seen = list(known), {place(i) for i in known}
    on_sale = [i for i, t in enumerate(market.terms) if not t.held and not t.units.keys().isdisjoint(kinds)]
    for i in sorted(on_sale, key=lambda i: (market.terms[i].usd_per_h, market.terms[i].commitment)):
        if place(i) not in seen:
            found.append(i)
            seen.add(place(i))
    return found


def only(market: Market, signed: Mapping[int, float], repeats: Collection[int]) -> tuple[Market, dict[int, float]]:
    """The market without later contracts that were not signed, and what was signed by its new
    indices.
    """
    kept = [i for i in range(len(market.terms)) if i not in repeats or i in signed]
    places = [market.origin[i] for i in repeats if i not in signed]
    offered = tuple(t for at, t in enumerate(market.offered) if at not in places)
    origin = tuple(market.origin[i] - sum(at < market.origin[i] for at in places) for i in kept)
    terms = tuple(market.terms[i] for i in kept)
    return replace(market, terms=terms, offered=offered, origin=origin), {kept.index(i): a for i, a in signed.items()}


def in_force_windows(term: Term, load: Load, time_zone: str) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """From when to when a term is in force for each start it may have; a later contract that is
    signed already, or what is held, has its own.
    """
    own = [(term.start, term.end)]
    if term.held or term.start > load.ts[0]:
        return own
    return own + [(start, later(start, term.term_months, time_zone)) for start, _ in _starts(term, load, time_zone)]


def _starts(term: Term, load: Load, time_zone: str) -> list[tuple[pd.Timestamp, bool]]:
    """Later starts of a term inside the horizon, and whether one signed
    at the start lapses then.
    """
    first = load.ts[0]
    last = load.ts[-1] + pd.Timedelta(hours=1)
    enough = min(term.hours, (last - first) / pd.Timedelta(hours=1)) / 2.0
    months = (m for m in count(1) if m % QUARTER == 0 or m % term.term_months == 0)
    found = []
    for m in months:
        start = later(first, m, time_zone)
        if start >= last:
            break
        renewal = m % term.term_months == 0
        if renewal or (last - start) / pd.Timedelta(hours=1) >= enough:
            found.append((start, renewal))
    return found
