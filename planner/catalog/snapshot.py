"""Catalog: frames of what can be bought, read from snapshots in ``data/catalog``.

A snapshot is a folder a provider with ``instances rates commitments storage network`` as CSV and
``sources.csv``, to whose ids their ``source`` column points.  Prices nobody has observed stand in
files of their own: ``rates_inferred.csv`` is read only when asked for; ``storage_assumed.csv`` and
``network_assumed.csv`` fill regions whose auxiliary prices no source covers, and carry ``basis``
"assumed" into every plan.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner import columns
from planner.catalog.checks import WEAK, check_commitments, check_rates, check_tiers, first_day
from planner.catalog.providers import PROVIDERS
from planner.catalog.sanity import SET_ASIDE, set_aside
from planner.catalog.store import catalog_folder, current
from planner.catalog.tiers import Tier
from planner.errors import MALFORMED, CatalogError

FRAMES = ("instances", "rates", "commitments", "storage", "network")
# region of an offer that is good in every region of its provider, such as a flexible CUD
GLOBAL = "global"
_KEY = ["provider", "region", "instance_type"]
_TIER = (
    "tier_lower",
    "tier_upper",
    "price_usd",
    "price_unit",
    "tier_scope",
    "basis",
    "source",
    "as_of",
)  # in the order of Tier


@dataclass(frozen=True)
class Catalog:
    """Prices and shapes of some providers and regions; frames as declared in ``columns.csv``
    (``catalog.*``).

    ``instances`` holds only machines with at least one price; those listed without one are in
    ``unpriced`` [keys]; prices that others of their kind contradict in ``set_aside``, each with its
    reason (:mod:`planner.catalog.sanity`). A commitment of region "global" covers all regions of
    its provider; ``scope`` of a ``family_group`` is a list of families separated by spaces.  Prices
    are list prices in USD, Linux, shared tenancy, before tax.
    """

    instances: pd.DataFrame
    rates: pd.DataFrame
    commitments: pd.DataFrame
    storage: pd.DataFrame
    network: pd.DataFrame
    unpriced: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({k: pd.Series(dtype="str") for k in _KEY}), repr=False
    )
    set_aside: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({c: pd.Series(dtype="str") for c in SET_ASIDE}),
        repr=False,
    )

    def __post_init__(self) -> None:
        """Check every frame at the door."""
        for name in FRAMES:
            object.__setattr__(self, name, columns.check(f"catalog.{name}", getattr(self, name)))

    @classmethod
    def read(
        cls,
        *providers: str,
        regions: Iterable[str] | None = None,
        folder: str | Path | None = None,
        inferred: bool = False,
    ) -> Catalog:
        """Read the snapshots of ``providers`` (all known ones if none is named), for ``regions`` or
        all they cover.

        ``inferred`` adds prices derived from other regions or sizes and offers from weak sources,
        labelled in ``basis``. Raises :class:`CatalogError` for an unknown provider or region, with
        the nearest names, for a provider that has none of the regions, and for a snapshot with a
        zero, negative, repeated or absurd price.

        >>> aws = Catalog.read("aws", regions=["us-east-1"])
        >>> set(aws.instances["region"])
        {'us-east-1'}
        """
        root = catalog_folder(folder)
        if isinstance(regions, str):
            raise CatalogError("regions must be a list of names", got=regions, remedy=f"Give [{regions!r}]")
        names = providers or tuple(p for p in PROVIDERS if (root / p).is_dir())
        if not names:
            raise CatalogError(
                "no provider has a snapshot here",
                where=root,
                remedy="Give the folder that holds aws/, gcp/ ...",
            )
        for name in names:
            if name not in PROVIDERS:
                raise CatalogError("no such provider", where="catalog", got=name, remedy=nearest(name, PROVIDERS))
        names = tuple(dict.fromkeys(names))
        wanted = None if regions is None else tuple(dict.fromkeys(regions))
        found = _read(root, names, wanted, inferred, tuple(_stamp(root / name) for name in names))
        own = {n: getattr(found, n).copy(deep=False) for n in ("unpriced", "set_aside")}
        return replace(found, **own)  # frames of its own, so that nobody can spoil those of others

    @classmethod
    def _join(cls, parts: Sequence[Catalog], regions: tuple[str, ...] | None) -> Catalog:
        frames = {n: pd.concat([getattr(p, n) for p in parts], ignore_index=True) for n in (*FRAMES, "unpriced")}
        joined = cls(**frames)._sane()
        if regions is None:
            return joined
        for region in regions:
            require_region(region, set(joined.instances["region"]))
        for provider, table in joined.instances.groupby("provider"):
            if not set(table["region"]) & {*regions, GLOBAL}:
                raise CatalogError(
                    f"none of the regions belongs to {provider}",
                    where="catalog",
                    got=list(regions),
                    remedy=f"Add one of {', '.join(sorted(set(table['region'])))}, or leave the provider out",
                )
        return joined.select(regions=regions)

    def _sane(self) -> Catalog:
        """Without the prices that others of their kind contradict."""
        aside = set_aside(self.instances, self.rates)
        if aside.empty:
            return self
        key = [*_KEY, "purchase_option"]
        bad = pd.MultiIndex.from_frame(aside[key])
        rates = self.rates[~pd.MultiIndex.from_frame(self.rates[key]).isin(bad)].reset_index(drop=True)
        sold = pd.MultiIndex.from_frame(rates[_KEY])
        priced = pd.MultiIndex.from_frame(self.instances[_KEY]).isin(sold)
        unpriced = pd.concat([self.unpriced, self.instances.loc[~priced, _KEY]], ignore_index=True)
        shapes = self.instances[priced].reset_index(drop=True)
        return replace(self, rates=rates, instances=shapes, unpriced=unpriced, set_aside=aside)

    def select(
        self,
        *,
        providers: Iterable[str] | None = None,
        regions: Iterable[str] | None = None,
        instance_types: Iterable[str] | None = None,
        families: Iterable[str] | None = None,
        accelerators: Iterable[str] | None = None,
        arch: str | None = None,
        current_generation: bool | None = None,
    ) -> Catalog:
        """The part with these providers, regions and machines; all other frames follow the regions.

        A name that is nowhere leaves an empty part, not an error: what must exist is asked with
        :meth:`price`.
        """
        wanted_regions = None if regions is None else tuple(regions)
        for region in wanted_regions or ():
            require_region(region, set(self.instances["region"]))
        tables: dict[str, pd.DataFrame] = {n: getattr(self, n) for n in (*FRAMES, "unpriced", "set_aside")}
        for column, wanted in (("provider", providers), ("region", wanted_regions)):
            if wanted is not None:
                keep = {*wanted, GLOBAL} if column == "region" else set(wanted)
                tables = {n: t[t[column].isin(keep)] for n, t in tables.items()}
        shapes = tables["instances"]
        for column, wanted in (("instance_type", instance_types), ("family", families), ("accelerator", accelerators)):
            if wanted is not None:
                shapes = shapes[shapes[column].isin(set(wanted))]
        if arch is not None:
            shapes = shapes[shapes["arch"] == arch]
        if current_generation is not None:
            shapes = shapes[shapes["current_generation"] == current_generation]
        rates = tables["rates"]
        if len(shapes) < len(tables["instances"]):
            rates = rates[pd.MultiIndex.from_frame(rates[_KEY]).isin(pd.MultiIndex.from_frame(shapes[_KEY]))]
        chosen = tables | {"instances": shapes, "rates": rates}
        return replace(self, **{n: t.reset_index(drop=True) for n, t in chosen.items()})

    def price(
        self, instance_type: str, region: str, purchase_option: str = "on_demand", *, provider: str | None = None
    ) -> float:
        """Price of an instance-hour [USD/h].

        Raises :class:`CatalogError` for an unknown region, type or option, with the nearest
        names, and for a missing price: never a zero and never another region's price.

        >>> aws = Catalog.read("aws", regions=["us-east-1"])
        >>> 0.01 < aws.price("m6a.xlarge", "us-east-1", "on_demand") < 1
        True
        """
        return float(self.rate(instance_type, region, purchase_option, provider=provider)["rate_usd_per_h"])

    def rate(
        self, instance_type: str, region: str, purchase_option: str = "on_demand", *, provider: str | None = None
    ) -> pd.Series:
        """The row of ``rates`` behind :meth:`price`, with its basis, source and date. Raises
        :class:`CatalogError`.
        """
        rates = self.rates if provider is None else self.rates[self.rates["provider"] == provider]
        here = rates[rates["region"] == region]
        require_region(region, set(rates["region"]))
        typed = here[here["instance_type"] == instance_type]
        self._refuse_set_aside(instance_type, region, purchase_option)
        if typed.empty:
            hidden = self.unpriced[
                (self.unpriced["region"] == region) & (self.unpriced["instance_type"] == instance_type)
            ]
            if len(hidden):
                raise CatalogError(
                    "this machine is listed there, but no price of it is known",
                    where=region,
                    got=instance_type,
                    remedy=(
                        f"Refresh the snapshot: planner catalog refresh {hidden['provider'].iloc[0]} --region {region}"
                    ),
                )
            raise CatalogError(
                "the catalog has no such machine there",
                where=region,
                got=instance_type,
                remedy=nearest(instance_type, here["instance_type"].unique()),
            )
        row = typed[typed["purchase_option"] == purchase_option]
        if row.empty:
            raise CatalogError(
                f"no {purchase_option} price is known",
                where=f"{region} {instance_type}",
                remedy=f"Known are {', '.join(sorted(typed['purchase_option']))}; refresh the snapshot to look again",
            )
        return row.iloc[0]

    def _refuse_set_aside(self, instance_type: str, region: str, purchase_option: str) -> None:
        aside = self.set_aside
        mine = aside[(aside["region"] == region) & (aside["instance_type"] == instance_type)]
        for row in mine[mine["purchase_option"] == purchase_option].to_dict("records"):
            raise CatalogError(
                f"this price was set aside: {row['reason']}",
                where=f"{region} {instance_type}",
                got=f"{row['rate_usd_per_h']:g} USD/h {purchase_option}",
                remedy=f"Refresh or import a price list: planner catalog refresh {row['provider']} --region {region}",
            )

    def tiers(self, name: str, region: str, *, provider: str) -> tuple[Tier, ...]:
        """Price tiers of a storage class (``block/gp3``) or network kind (``egress``), lowest
        first.

        Raises :class:`CatalogError` with the nearest names where the region has no such price.
        """
        found = self._tiers_by_place.get((provider, region, name))
        if found is None:
            known = [n for p, r, n in self._tiers_by_place if (p, r) == (provider, region)]
            raise CatalogError(
                "the catalog has no such storage or network price",
                where=f"{provider} {region}",
                got=name,
                remedy=nearest(name, known),
            )
        return found

    @cached_property
    def _tiers_by_place(self) -> dict[tuple[str, str, str], tuple[Tier, ...]]:
        found: dict[tuple[str, str, str], list[Tier]] = {}
        for table, column in ((self.storage, "storage_class"), (self.network, "kind")):
            rows = table[["provider", "region", column, *_TIER]].sort_values("tier_lower", kind="stable")
            for provider, region, name, *tier in rows.to_numpy(dtype=object).tolist():
                found.setdefault((provider, region, name), []).append(Tier(*tier))
        return {place: tuple(tiers) for place, tiers in found.items()}

    @property
    def as_of(self) -> str:
        """ISO date of a typical price: the median date of the on-demand rates.

        Raises :class:`CatalogError` where no on-demand price carries a date.
        """
        days = (
            self.rates.loc[self.rates["purchase_option"] == "on_demand", "as_of"].map(first_day).dropna().sort_values()
        )
        if days.empty:
            raise CatalogError("no on-demand price carries a date", where="catalog")
        return str(days.iloc[(len(days) - 1) // 2].isoformat())

    def age_days(self, today: date | None = None) -> int:
        """Days since :attr:`as_of`.

        Typical prices are dated by the median, because a few very old rows say little about the
        rest.
        """
        return ((today or datetime.now(UTC).date()) - date.fromisoformat(self.as_of)).days

    def ages(self, today: date | None = None) -> pd.DataFrame:
        """Oldest, median and newest price date and the age in days, by provider, region and
        purchase option.
        """
        now = today or datetime.now(UTC).date()
        dated = self.rates.assign(day=self.rates["as_of"].map(first_day)).dropna(subset="day")
        rows = []
        for key, table in dated.groupby(["provider", "region", "purchase_option"]):
            days = sorted(table["day"])
            middle = days[(len(days) - 1) // 2]
            rows.append(
                (*key, len(days), days[0].isoformat(), middle.isoformat(), days[-1].isoformat(), (now - middle).days)
            )
        return pd.DataFrame(
            rows,
            columns=["provider", "region", "purchase_option", "prices", "oldest", "median", "newest", "age_days"],
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy that names the closest known names."""
    pool = sorted(known)
    close = difflib.get_close_matches(name, pool, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {', '.join(close)}?"
    return f"Known are {', '.join(pool[:12])}{' ...' if len(pool) > 12 else ''}"


def require_region(region: str, known: Iterable[str]) -> None:
    """Raise :class:`CatalogError` with the nearest names if ``region`` is not known."""
    if region not in known:
        raise CatalogError("the catalog has no such region", where="catalog", got=region, remedy=nearest(region, known))


@lru_cache(maxsize=16)
def _read(
    root: Path,
    providers: tuple[str, ...],
    regions: tuple[str, ...] | None,
    inferred: bool,
    stamps: tuple[Any, ...],  # noqa: ARG001  (other files, another reading)
) -> Catalog:
    """The snapshots of ``providers`` that stand under ``root``, read once."""
    return Catalog._join([read_provider(root / name, name, inferred=inferred) for name in providers], regions)


def _stamp(home: Path) -> tuple[tuple[str, int, int, int], ...]:
    """What tells the files of a provider's folder from those of another time."""
    files = [(str(f), f.stat()) for f in sorted(home.rglob("*")) if f.is_file()]
    return tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in files)


def read_provider(home: Path, provider: str, *, inferred: bool) -> Catalog:
    """Read and check the snapshot of one provider that stands in ``home``. Raises
    :class:`CatalogError`.
    """
    if not home.is_dir():
        raise CatalogError(
            "this provider has no snapshot",
            where=home,
            remedy=f"Run planner catalog refresh {provider}",
        )
    folder = current(home)
    sources = read_sources(folder)
    frames = {n: read_frame(folder, n, provider, sources) for n in FRAMES}
    for name, extra in (("rates", "rates_inferred"), ("storage", "storage_assumed"), ("network", "network_assumed")):
        if (name != "rates" or inferred) and (folder / f"{extra}.csv").exists():
            frames[name] = pd.concat(
                [frames[name], read_frame(folder, name, provider, sources, extra)],
                ignore_index=True,
            )
    check_rates(folder / "rates.csv", frames["rates"])
    check_commitments(folder / "commitments.csv", frames["commitments"])
    if not inferred:
        frames["commitments"] = frames["commitments"][~frames["commitments"]["basis"].isin(WEAK)].reset_index(drop=True)
    for name, column in (("storage", "storage_class"), ("network", "kind")):
        check_tiers(folder / f"{name}.csv", frames[name], column)
    shapes = frames["instances"]
    keys = pd.MultiIndex.from_frame(shapes[_KEY[1:]])
    if keys.has_duplicates:
        raise CatalogError(
            "this machine stands twice",
            where=folder / "instances.csv",
            got=keys[keys.duplicated()][0],
            remedy="Keep one row",
        )
    priced = keys.isin(pd.MultiIndex.from_frame(frames["rates"][_KEY[1:]]))
    strays = ~pd.MultiIndex.from_frame(frames["rates"][_KEY[1:]]).isin(keys)
    if strays.any():
        raise CatalogError(
            "a price without a shape",
            where=folder / "rates.csv",
            got=" ".join(frames["rates"].loc[strays, _KEY].iloc[0]),
            remedy="Add the machine to instances.csv",
        )
    frames["instances"] = shapes[priced].reset_index(drop=True)
    return Catalog(**frames, unpriced=shapes.loc[~priced, _KEY].reset_index(drop=True))


_DTYPES: Mapping[str, str] = {"str": "str", "float": "float64", "int": "int64", "bool": "int64"}


def read_sources(folder: Path) -> pd.Series:
    """Texts of ``sources.csv`` by id. Raises :class:`CatalogError` where an id stands twice."""
    path = folder / "sources.csv"
    table = _table(path, {"id": "int64", "source": "str"}).set_index("id")["source"]
    if table.index.has_duplicates:
        twice = int(table.index[table.index.duplicated()][0])
        raise CatalogError("a source id stands twice", where=path, got=twice, remedy="Give each source its own id")
    return table


def read_frame(folder: Path, name: str, provider: str, sources: pd.Series, file: str = "") -> pd.DataFrame:
    """One file of a snapshot as the frame ``catalog.<name>``.

    Raises :class:`CatalogError` for a row whose source is not in sources.csv.
    """
    known = columns.dictionary()
    dtypes = {
        c: _DTYPES[known[c].dtype] for c in columns.columns_of(f"catalog.{name}") if c not in ("provider", "source")
    }
    path = folder / f"{file or name}.csv"
    table = _table(path, dtypes | {"source": "int64"})
    if strange := [c for c in table.columns if c not in dtypes and c != "source"]:
        raise CatalogError(
            "the snapshot holds columns that are not known",
            where=path,
            got=strange[:3],
            remedy="Refresh the provider's snapshot",
        )
    lost = ~table["source"].isin(sources.index)
    if lost.any():
        raise CatalogError(
            "unknown source id",
            where=f"{path}, row {int(lost.to_numpy().argmax()) + 2}",
            got=int(table.loc[lost, "source"].iloc[0]),
            remedy="Add it to sources.csv",
        )
    table["source"] = table["source"].map(sources).astype("str")
    table.insert(0, "provider", pd.Series(provider, index=table.index, dtype="str"))
    for column in dtypes:
        if known[column].dtype == "bool":
            table[column] = table[column] != 0
    return columns.check(f"catalog.{name}", table)


def _table(path: Path, dtypes: Mapping[str, str]) -> pd.DataFrame:
    try:
        blank = {c: [""] for c, d in dtypes.items() if d == "float64"}
        with np.errstate(invalid="ignore"):  # a source beyond 64 bits is told below
            table = pd.read_csv(path, dtype=dict(dtypes), keep_default_na=False, na_values=blank)
    except FileNotFoundError:
        raise CatalogError(
            "the snapshot lacks this file", where=path, remedy="Refresh the provider's snapshot"
        ) from None
    except MALFORMED as error:
        raise CatalogError(
            f"cannot be read: {str(error).splitlines()[0]}",
            where=path,
            remedy="Refresh the provider's snapshot",
        ) from None
    missing = [c for c in dtypes if c not in table.columns]
    if missing:
        raise CatalogError(
            "the snapshot lacks columns",
            where=path,
            got=missing,
            remedy="Refresh the provider's snapshot",
        )
    return table
