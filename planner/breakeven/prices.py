"""What managed APIs ask for a million tokens: ``data/models/api_prices.csv``, each row with its
source and date.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from planner.data import data_path
from planner.errors import MALFORMED, CatalogError


@dataclass(frozen=True)
class ApiPrice:
    """List price of one model at one provider [USD per million tokens].

    ``weights`` as in ``data/models/models.csv``, empty for a model that only its maker serves;
    ``cached_usd``: input read from a cache, ``None`` where no price of its own is known.
    """

    provider: str
    model: str
    weights: str
    input_usd: float
    output_usd: float
    cached_usd: float | None
    source: str
    as_of: str

    @property
    def label(self) -> str:
        """``provider/model``."""
        return f"{self.provider}/{self.model}"

    def usd_per_1m_tokens(self, input_share: float, cached_share: float = 0.0) -> float:
        """Price of a million tokens of a mix [USD]: ``input_share`` of them input,
        ``cached_share`` of the input read from a cache.

        Where no price of cached input is known it costs what other input does.

        >>> ApiPrice("a", "m", "", 0.10, 0.40, 0.05, "by hand", "2026-11").usd_per_1m_tokens(0.75, 0.5)
        0.15625
        """
        cached = self.input_usd if self.cached_usd is None else self.cached_usd
        paid_for_input = (1 - cached_share) * self.input_usd + cached_share * cached
        return input_share * paid_for_input + (1 - input_share) * self.output_usd


@cache
def api_prices(path: Path | None = None) -> tuple[ApiPrice, ...]:
    """Every price of the table, or of one's own table of the same columns. Raises
    :class:`CatalogError` for a row that cannot be read, or a price that is not above zero.
    """
    place = path or data_path("models", "api_prices.csv")
    try:
        with place.open(newline="", encoding="utf-8") as file:
            return tuple(_price(row, f"{place}, row {k}") for k, row in enumerate(csv.DictReader(file), 2))
    except (OSError, UnicodeError) as error:
        raise CatalogError(f"the prices cannot be read: {error}", where=place, remedy="Check the path") from None


def _price(row: dict[str, str], where: str) -> ApiPrice:
    try:
        usd = float(row["usd_per_1m_input_tokens"]), float(row["usd_per_1m_output_tokens"])
        cached = row["usd_per_1m_cached_tokens"]
        found = ApiPrice(
            row["provider"],
            row["model"],
            row["weights"],
            *usd,
            float(cached) if cached else None,
            row["source"],
            row["as_of"],
        )
    except MALFORMED as error:
        raise CatalogError(f"this is no price of an API: {error}", where=where, remedy="Mend the row") from None
    paid = [v for v in (*usd, found.cached_usd) if v is not None]
    if not all(0 < v < 1e4 for v in paid):
        raise CatalogError(
            "a price must lie above 0 USD a million tokens",
            where=where,
            got=paid,
            remedy="Mend the row",
        )
    return found


def priced(prices: Sequence[ApiPrice], weights: str, wanted: Sequence[str]) -> tuple[ApiPrice, ...]:
    """The prices to compare with: those ``wanted`` by ``provider/model`` or model, else all that
    serve the same ``weights``.

    Raises :class:`CatalogError` for a name that is not in the table, and where nobody serves the
    weights.
    """
    known = ", ".join(sorted(p.label for p in prices if not p.weights))
    for name in wanted:
        if not any(name in (p.label, p.model) for p in prices):
            raise CatalogError("no such API in the table of prices", got=name, remedy=f"Beside open weights: {known}")
    found = tuple(
        p for p in prices if (p.label in wanted or p.model in wanted or (not wanted and p.weights == weights))
    )
    if not found:
        raise CatalogError(
            "no API on record serves these weights",
            got=weights,
            remedy=f"Name one to compare with: --api {known}",
        )
    return found
