"""Google's sustained-use discount: automatic, by the share of the month a machine of the family runs; never on committed or spot use."""

from __future__ import annotations

# price of each quarter of the month over the on-demand price, from the first to the last (Compute Engine documentation)
_THIRTY, _TWENTY = (1.0, 0.8, 0.6, 0.4), (1.0, 0.8678, 0.733, 0.6)
QUARTERS = {"n1": _THIRTY, "f1": _THIRTY, "g1": _THIRTY, "m1": _THIRTY, "m2": _THIRTY, "n2": _TWENTY, "n2d": _TWENTY, "c2": _TWENTY}


def sustained_use_share(family: str, usage_share: float) -> float:
    """What is paid over the on-demand price for a machine that runs ``usage_share`` (0 to 1) of the month: 1 for most families.

    With quarter prices p_k and u the share: Σ_k p_k · (min(u, k/4) − (k−1)/4)⁺ / u.  Concave in u: it is priced after the
    fact from the hours run, machine by machine of a family; n1 in full use pays 0.70, n2 0.80.
    """
    prices = QUARTERS.get(family)
    if prices is None or usage_share <= 0:
        return 1.0
    usage = min(usage_share, 1.0)
    return sum(p * max(0.0, min(usage, (k + 1) / 4) - k / 4) for k, p in enumerate(prices)) / usage
