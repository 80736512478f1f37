"""Machines of one's own against a managed API: the load from which they are cheaper."""

from planner.breakeven.curve import BreakEven, Point, break_even
from planner.breakeven.prices import ApiPrice, api_prices

__all__ = ["ApiPrice", "BreakEven", "Point", "api_prices", "break_even"]
