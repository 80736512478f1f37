"""What a quantity costs by tiers, one by one: the oracle of the bill's own sum."""

from collections.abc import Sequence

from planner.catalog import Tier
from planner.errors import CatalogError


def tier_cost(tiers: Sequence[Tier], quantity: float) -> float:
    """Cost [USD] of ``quantity`` units in one month: Σ_k price_k · (min(q, upper_k) − lower_k)⁺, q
    = (quantity − allowance)⁺.

    ``tiers`` as :meth:`Catalog.tiers` returns them; the allowance is a free tier of scope "account"
    beside tiers of another scope.  Give the quantity of the whole account: two services that share
    a tier are one call, or the cheap tail (and the free head) is counted twice.  Raises
    :class:`CatalogError` for a negative quantity and for one beyond the last tier.
    """
    if not quantity >= 0:
        raise CatalogError("a quantity must not be negative", got=quantity)
    gifts = [t for t in tiers if t.scope == "account" and t.price_usd == 0] if len({t.scope for t in tiers}) > 1 else []
    paid = [t for t in tiers if t not in gifts]
    rest = max(0.0, quantity - sum(t.upper - t.lower for t in gifts))
    last = max(t.upper for t in paid)
    if rest > last * (1 + 1e-12):
        raise CatalogError(
            f"no price is known beyond {last:g} {paid[-1].unit}",
            got=quantity,
            remedy="Spread the quantity, or refresh the snapshot",
        )
    return sum(t.price_usd * max(0.0, min(rest, t.upper) - t.lower) for t in paid)
