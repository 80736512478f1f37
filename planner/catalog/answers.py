"""What a provider's API answered: raw records kept with their date, and
the rows read out of them.
"""

from __future__ import annotations

import csv
import gzip
import json
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from http.client import HTTPMessage
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pandas as pd

from planner import columns
from planner.data import data_path
from planner.errors import CatalogError

LARGEST_ANSWER_BYTES = 64 * 2**20
_DTYPES = {"str": "str", "float": "float64", "int": "int64", "bool": "bool"}


@dataclass
class Fetched:
    """Rows of a refresh, by frame (``instances rates commitments storage network``), and what was
    left out, in words.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, frame: str, **row: Any) -> None:
        """Append a row; what it does not name is unknown."""
        self.rows.setdefault(frame, []).append(row)

    def frame(self, name: str) -> pd.DataFrame:
        """The rows as a frame of the data dictionary."""
        rows, known = self.rows.get(name, []), columns.dictionary()
        blank = {"str": "", "float": float("nan"), "int": 0, "bool": True}
        return pd.DataFrame(
            {
                c: pd.Series([r.get(c, blank[known[c].dtype]) for r in rows], dtype=_DTYPES[known[c].dtype])
                for c in columns.columns_of(f"catalog.{name}")
            }
        )


class RawAnswers:
    """Keeps each answer as a line of ``<folder>/<name>.jsonl.gz``; a context manager.

    Answers hold prices and shapes only: no header, no credential and no request ever enters them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._files = folder, dict[str, IO[str]]()
        self.as_of = datetime.now(UTC).date().isoformat()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()

    def keep(self, name: str, record: Any) -> None:
        """Append one answer."""
        if name not in self._files:
            path = self._folder / f"{name}.jsonl.gz"
            # closed in __exit__
            self._files[name] = gzip.open(path, "wt", compresslevel=1, encoding="utf-8")  # noqa: SIM115
        self._files[name].write(json.dumps(record, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """A value JSON has no kind for: decimals as numbers, instants as ISO
    8601, all else as its text.
    """
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def money(value: Any, where: str, currency: str = "USD") -> float:
    """A price as the API writes it [USD]; raises :class:`CatalogError` for text, a missing or
    negative value, another currency.

    Zero passes here, since free tiers cost 0; a machine at 0 is refused by
    the checks of a snapshot.

    >>> money("0.0450", "a SKU")
    0.045
    """
    if currency != "USD":
        raise CatalogError("prices must be in USD", where=where, got=currency, remedy="Ask the provider for USD prices")
    try:
        usd = float(value)
    except (TypeError, ValueError):
        raise CatalogError(
            "this is not a price",
            where=where,
            got=value,
            remedy="The provider's answer is malformed; try again later",
        ) from None
    if not 0 <= usd < float("inf"):
        raise CatalogError(
            "a price must be a number ≥ 0",
            where=where,
            got=value,
            remedy="The provider's answer is malformed; try again later",
        )
    return usd


@cache
def _accelerators() -> dict[str, list[tuple[str, float]]]:
    with data_path("hardware", "accelerators.csv").open(newline="", encoding="utf-8") as file:
        out: dict[str, list[tuple[str, float]]] = {}
        for row in csv.DictReader(file):
            for name in {row["accelerator"], *row["aliases"].split("|")} - {""}:
                out.setdefault(name.lower(), []).append((row["accelerator"], float(row["memory_gib"])))
    return out


def accelerator(name: str, memory_gib: float | None = None) -> tuple[str, float]:
    """Canonical name and memory [GiB] of a provider's accelerator name; where two sizes share it
    the reported memory decides.

    A reported size beyond 1.5 × the known one is a sum over devices (trn2 reports 512 GiB for a
    chip of 96) and is not taken.
    """
    known = _accelerators().get(name.lower())
    if known is None:
        return name, memory_gib if memory_gib is not None else float("nan")
    slug, size = min(known, key=lambda k: abs(k[1] - memory_gib)) if memory_gib is not None else known[0]
    return slug, size if memory_gib is None or memory_gib > 1.5 * size else memory_gib


def _on_host(
    self: urllib.request.HTTPRedirectHandler,
    req: urllib.request.Request,
    fp: IO[bytes],
    code: int,
    msg: str,
    headers: HTTPMessage,
    newurl: str,
) -> urllib.request.Request | None:
    """Follow a redirect on the same host only. Raises :class:`CatalogError` for another."""
    if urllib.parse.urlsplit(newurl)[:2] != urllib.parse.urlsplit(req.full_url)[:2]:
        raise CatalogError(
            "the answer sends on to another host",
            where=req.full_url,
            got=newurl,
            remedy="Do not follow it; check the network between, and try again later",
        )
    return urllib.request.HTTPRedirectHandler.redirect_request(self, req, fp, code, msg, headers, newurl)


_SAME_HOST = type("SameHost", (urllib.request.HTTPRedirectHandler,), {"redirect_request": _on_host})


def open_on_host(request: urllib.request.Request | str, timeout_s: float = 60) -> Any:
    """Open an address without leaving its host. Raises :class:`CatalogError` for a redirect to
    another one.
    """
    return urllib.request.build_opener(_SAME_HOST).open(request, timeout=timeout_s)


def bounded(answer: IO[bytes], where: str, largest: int = LARGEST_ANSWER_BYTES) -> bytes:
    """The whole answer. Raises :class:`CatalogError` beyond ``largest`` bytes, a hundred times the
    largest page a provider sends.
    """
    body = answer.read(largest + 1)
    if len(body) > largest:
        raise CatalogError(f"an answer of more than {largest:,} bytes", where=where, remedy="Try again later")
    return body


def within(mapping: Mapping[str, Any], path: Iterable[str], where: str) -> Any:
    """``mapping[a][b]...``; a missing key raises :class:`CatalogError` that names it.

    >>> within({"a": {"b": 1}}, ("a", "b"), "an answer")
    1
    """
    at: Any = mapping
    for key in path:
        if not isinstance(at, Mapping) or key not in at:
            raise CatalogError(
                f"an answer lacks the field {key}",
                where=where,
                remedy="The provider's answer is malformed; try again later",
            )
        at = at[key]
    return at
