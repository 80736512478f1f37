"""Refreshing a snapshot from the provider's own API: fetch, merge, check, compare, and only then
replace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from planner.catalog import snapshot
from planner.catalog.answers import Fetched, RawAnswers
from planner.catalog.checks import ACCEPTED
from planner.catalog.importing import Price, as_rows, read_prices
from planner.catalog.providers import PROVIDERS, fetcher
from planner.catalog.store import FILES, catalog_folder, current, new_generation, write_files
from planner.errors import CatalogError

# a price that moves by this factor between two refreshes is more likely an error than a decision
ABSURD_RATIO = 5.0
ABSURD_LOSS = 0.2  # share of a region's prices that may vanish at once
# what a null, a list or a text raises where the provider documents a field
_MALFORMED = (AttributeError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError)
_PRICE = ["provider", "region", "instance_type", "purchase_option"]


class Refreshed(NamedTuple):
    """``moves`` of prices as :func:`diff` lists them, ``notes`` on what was left out, ``path`` in
    use (None if declined).
    """

    moves: pd.DataFrame
    notes: tuple[str, ...]
    path: Path | None


def refresh(
    provider: str,
    regions: Iterable[str],
    *,
    folder: str | Path | None = None,
    accept: bool = False,
    confirm: Callable[[pd.DataFrame, tuple[str, ...]], bool] | None = None,
    **options: Any,
) -> Refreshed:
    """Replace the snapshot of ``regions`` by what the provider's API says today; other regions stay
    as they are.

    ``confirm(moves, notes)`` is asked before anything is replaced.  The raw answers stand in
    ``raw/`` of the new generation. Raises :class:`CatalogError` where the API cannot be asked,
    answers nonsense, or prices move absurdly (zero, by a factor of five, a fifth of a region gone,
    spot above on demand) and ``accept`` is not set; the old snapshot then stays in use.
    """
    if provider not in PROVIDERS:
        raise CatalogError(
            "no such provider",
            where="catalog",
            got=provider,
            remedy=snapshot.nearest(provider, PROVIDERS),
        )
    fetch, wanted = fetcher(provider), tuple(dict.fromkeys(regions))
    if not wanted:
        raise CatalogError("name at least one region", where="catalog refresh", remedy="Add --region NAME")

    def read(raw: RawAnswers, old: Mapping[str, pd.DataFrame]) -> Fetched:
        fetched: Fetched = fetch(wanted, raw, old.get("instances"), **options)
        return fetched

    return _replace(provider, wanted, read, folder=folder, accept=accept, confirm=confirm)


def import_prices(
    file: str | Path,
    *,
    region: str | None = None,
    folder: str | Path | None = None,
    accept: bool = False,
    confirm: Callable[[pd.DataFrame, tuple[str, ...]], bool] | None = None,
) -> tuple[Refreshed, ...]:
    """Take the prices of a file or folder (:mod:`planner.catalog.importing`) into snapshots beside
    those in use; what the file does not price stays. One answer for each provider.

    Raises :class:`CatalogError` as :func:`refresh` does.
    """
    root = catalog_folder(folder)
    old = {p: _tables(root / p, p) for p in PROVIDERS}
    names = {p: list(t["instances"]["instance_type"].unique()) for p, t in old.items() if t}
    found, done = read_prices(file, names, region), []
    for provider in sorted({p.provider for p in found}):
        mine = [p for p in found if p.provider == provider]
        regions = tuple(dict.fromkeys(p.region for p in mine))

        def read(raw: RawAnswers, old: Mapping[str, pd.DataFrame], mine: Sequence[Price] = mine) -> Fetched:
            raw.keep("imported", [p._asdict() for p in mine])
            return as_rows(mine, old, f"imported from {Path(file).name}")

        done.append(_replace(provider, regions, read, folder=folder, accept=accept, confirm=confirm))
    return tuple(done)


def _replace(
    provider: str,
    wanted: tuple[str, ...],
    read: Callable[[RawAnswers, Mapping[str, pd.DataFrame]], Fetched],
    *,
    folder: str | Path | None,
    accept: bool,
    confirm: Callable[[pd.DataFrame, tuple[str, ...]], bool] | None,
) -> Refreshed:
    """Write the next generation of a snapshot from what ``read`` gives, or leave the old in use.

    The new generation is written beside the old one, read back as a user would, and its moves
    are looked at; only then is it put in use. Whatever fails before leaves the old one.
    """
    home = catalog_folder(folder) / provider
    old = _tables(home, provider)
    stamp = datetime.now(UTC)
    try:
        with new_generation(home, stamp.strftime("%Y-%m-%dT%H%M%S.%f")) as part:
            with RawAnswers(part / "raw") as raw:
                fetched = read(raw, old)
            _require(fetched, wanted, provider)
            new, left_out = merge(old, fetched, wanted, provider, accept)
            moves, notes = diff(old.get("rates"), new["rates"]), (*fetched.notes, *left_out)
            if accept:
                new["rates"] = _marked(new["rates"], _wild(moves))
            write_files(part, new)
            snapshot.read_provider(part, provider, inferred=True)
            if not accept:
                _refuse_absurd(moves, old.get("rates"), provider)
            if confirm is not None and not confirm(moves, notes):
                raise _DeclinedError(moves, notes)
    except _DeclinedError as declined:
        return Refreshed(declined.moves, declined.notes, None)
    except _MALFORMED as error:
        raise CatalogError(
            f"an answer has another shape than the provider documents ({type(error).__name__})",
            where=f"{provider} {', '.join(wanted)}",
            got=str(error)[:200],
            remedy="Try again later; the old snapshot stays in use",
        ) from None
    except OSError as error:
        raise CatalogError(
            f"the snapshot cannot be written: {error.strerror or error}",
            where=home,
            remedy="Give another folder with --folder or PLANNER_CATALOG; the old snapshot stays in use",
        ) from None
    return Refreshed(moves, notes, current(home))


class _DeclinedError(Exception):
    def __init__(self, moves: pd.DataFrame, notes: tuple[str, ...]) -> None:
        super().__init__("declined")
        self.moves, self.notes = moves, notes


def _tables(home: Path, provider: str) -> dict[str, pd.DataFrame]:
    """The files of the snapshot in use; none if there is none."""
    if not home.is_dir() or not (current(home) / "sources.csv").exists():
        return {}
    place = current(home)
    sources = snapshot.read_sources(place)
    frames = {n: n.split("_")[0] for n in FILES}
    return {
        n: snapshot.read_frame(place, frame, provider, sources, n)
        for n, frame in frames.items()
        if (place / f"{n}.csv").exists()
    }


def _require(fetched: Fetched, regions: Iterable[str], provider: str) -> None:
    """Raises :class:`CatalogError` for a region that came back without a single on-demand price."""
    priced = {r["region"] for r in fetched.rows.get("rates", []) if r["purchase_option"] == "on_demand"}
    for region in regions:
        if region not in priced:
            raise CatalogError(
                f"{provider} answered without a single on-demand price",
                where=region,
                remedy="Check the region's name; the old snapshot stays in use",
            )


def merge(
    old: dict[str, pd.DataFrame],
    fetched: Fetched,
    regions: Iterable[str],
    provider: str,
    accept: bool,
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The old tables with the fetched regions replaced, and what was left out because it cannot be
    a price.

    Shapes and commitments of a region are replaced if any were fetched, rates always, storage and
    network kind by kind; inferred and assumed prices give way to observed ones.
    """
    names, here, notes = ("instances", "rates", "commitments", "storage", "network"), set(regions), list[str]()
    new = {n: fetched.frame(n).assign(provider=provider) for n in names}
    new["rates"] = _still_accepted(_known_hazards(new["rates"], old.get("rates")), old.get("rates"))
    new["rates"], notes = _plausible(new["rates"], accept)
    kept = {n: old.get(n, new[n].iloc[:0]) for n in names}
    out = {}
    for name in names:
        key = {"storage": ["region", "storage_class"], "network": ["region", "kind"]}.get(name, ["region"])
        gone = pd.MultiIndex.from_frame(kept[name][key]).isin(pd.MultiIndex.from_frame(new[name][key]))
        gone |= kept[name]["region"].isin(here) & (name == "rates")
        if name == "network":  # the allowance of the account stays unless the API's tiers state it
            scoped = [*key, "tier_scope"]
            stated = pd.MultiIndex.from_frame(kept[name][scoped]).isin(pd.MultiIndex.from_frame(new[name][scoped]))
            gone &= (kept[name]["tier_scope"] != "account").to_numpy() | stated
        out[name] = pd.concat([kept[name][~gone], new[name]], ignore_index=True)
    for name, frame, key in (
        ("rates_inferred", "rates", _PRICE),
        ("storage_assumed", "storage", ["region", "storage_class"]),
        ("network_assumed", "network", ["region", "kind"]),
    ):
        if name in old:
            known = pd.MultiIndex.from_frame(out[frame][key])
            out[name] = old[name][~pd.MultiIndex.from_frame(old[name][key]).isin(known)]
    return out, notes


def _known_hazards(rates: pd.DataFrame, old: pd.DataFrame | None) -> pd.DataFrame:
    """Interruption hazards come from no price API: keep the ones already known."""
    if old is None or rates.empty:
        return rates
    known = old.dropna(subset="interruptions_per_h").set_index(_PRICE)["interruptions_per_h"]
    before = known.reindex(pd.MultiIndex.from_frame(rates[_PRICE])).to_numpy()
    return rates.assign(interruptions_per_h=rates["interruptions_per_h"].fillna(pd.Series(before, index=rates.index)))


def _still_accepted(rates: pd.DataFrame, old: pd.DataFrame | None) -> pd.DataFrame:
    """A price that was accepted stays so for as long as it does not move."""
    if old is None or rates.empty:
        return rates
    known = old[old["basis"] == ACCEPTED].set_index(_PRICE)["rate_usd_per_h"]
    before = known.reindex(pd.MultiIndex.from_frame(rates[_PRICE])).to_numpy()
    same = np.isclose(rates["rate_usd_per_h"], before, rtol=1e-9, atol=0.0)
    return rates.assign(basis=rates["basis"].mask(same, ACCEPTED))


def _plausible(rates: pd.DataFrame, accept: bool) -> tuple[pd.DataFrame, list[str]]:
    """Rates that can be prices, and what was left out. Raises :class:`CatalogError` for
    two on-demand prices of a machine, and, unless ``accept``, for prices that are zero or
    for spot above on demand.
    """
    on_demand = rates[rates["purchase_option"] == "on_demand"].set_index(["region", "instance_type"])["rate_usd_per_h"]
    if on_demand.index.has_duplicates:
        twice = on_demand.index[on_demand.index.duplicated()][0]
        raise CatalogError(
            "one machine has two on-demand prices",
            where=" ".join(twice),
            remedy="Report it; the old snapshot stays in use",
        )
    limit = on_demand.reindex(pd.MultiIndex.from_frame(rates[["region", "instance_type"]])).to_numpy()
    bad = ~(rates["rate_usd_per_h"] > 0) | (
        (rates["purchase_option"] == "spot") & (rates["rate_usd_per_h"] > limit * (1 + 1e-9))
    )
    if bad.any() and not accept:
        first = rates[bad].iloc[0]
        raise CatalogError(
            f"{int(bad.sum())} prices are zero or spot above on demand",
            where=f"{first['region']} {first['instance_type']} {first['purchase_option']}",
            got=float(first["rate_usd_per_h"]),
            remedy="Accept the rest without them (--accept), or try later; the old snapshot stays in use",
        )
    return rates[~bad], [f"{int(bad.sum())} implausible prices are left out"] if bad.any() else []


def diff(before: pd.DataFrame | None, after: pd.DataFrame) -> pd.DataFrame:
    """Prices that were added, removed or moved between two ``rates`` frames, largest move first.

    Columns: provider region instance_type purchase_option before_usd_per_h after_usd_per_h
    change_share kind. ``change_share`` is after / before − 1, unknown for what was added or
    removed, which come last; moves below 1e-9 are rounding.
    """
    old = after.iloc[:0] if before is None else before
    both = old[[*_PRICE, "rate_usd_per_h"]].merge(
        after[[*_PRICE, "rate_usd_per_h"]], on=_PRICE, how="outer", suffixes=("_old", "_new")
    )
    both = both.rename(columns={"rate_usd_per_h_old": "before_usd_per_h", "rate_usd_per_h_new": "after_usd_per_h"})
    both["change_share"] = both["after_usd_per_h"] / both["before_usd_per_h"] - 1
    both["kind"] = "moved"
    both.loc[both["before_usd_per_h"].isna(), "kind"] = "added"
    both.loc[both["after_usd_per_h"].isna(), "kind"] = "removed"
    both = both[(both["kind"] != "moved") | (both["change_share"].abs() > 1e-9)]
    return both.sort_values(
        "change_share",
        key=lambda s: s.abs(),
        ascending=False,
        na_position="last",
        ignore_index=True,
    )


def _wild(moves: pd.DataFrame) -> pd.DataFrame:
    """Moves by a factor of ``ABSURD_RATIO`` or more, up or down."""
    ratio = moves["after_usd_per_h"] / moves["before_usd_per_h"]
    return moves[(ratio >= ABSURD_RATIO) | (ratio <= 1 / ABSURD_RATIO)]


def _marked(rates: pd.DataFrame, accepted: pd.DataFrame) -> pd.DataFrame:
    """Rates whose move was looked at and taken are ``accepted``: not set aside for being unlike
    their kind.
    """
    mine = pd.MultiIndex.from_frame(rates[_PRICE]).isin(pd.MultiIndex.from_frame(accepted[_PRICE]))
    return rates.assign(basis=rates["basis"].mask(mine, ACCEPTED))


def _refuse_absurd(moves: pd.DataFrame, before: pd.DataFrame | None, provider: str) -> None:
    """Raises :class:`CatalogError` for wild moves, and for a region that lost more than
    ``ABSURD_LOSS`` of its on-demand prices.
    """
    wild = _wild(moves)
    if len(wild):
        shown = [
            f"{r.region} {r.instance_type} {r.purchase_option} {r.before_usd_per_h:g} to {r.after_usd_per_h:g}"
            for r in wild.head(3).itertuples()
        ]
        raise CatalogError(
            f"{len(wild)} prices moved by a factor of {ABSURD_RATIO:g} or more",
            where=provider,
            got="; ".join(shown),
            remedy="Look at them, then accept them with --accept; the old snapshot stays in use",
        )
    if before is None:
        return
    gone = moves[(moves["kind"] == "removed") & (moves["purchase_option"] == "on_demand")].groupby("region").size()
    had = before[before["purchase_option"] == "on_demand"].groupby("region").size()
    for region in sorted({str(r) for r in gone.index}):
        count = int(gone.loc[region])
        if count > ABSURD_LOSS * int(had.loc[region]):
            raise CatalogError(
                f"{count} of {int(had.loc[region])} on-demand prices are gone",
                where=f"{provider} {region}",
                remedy="Look again later, or accept it with --accept; the old snapshot stays in use",
            )
