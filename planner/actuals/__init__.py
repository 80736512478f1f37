"""What was really paid: bills of the clouds as one frame, every row kept.

A bill tells three things apart that a plan must not mix: what was used, what was bought ahead, and
what is neither (taxes, credits, refunds).  Each layout has a module of its own; the registry is
``BILL_FORMATS``.
"""

from planner.actuals.bill import BILL_FORMATS, by_charge, days, read_bill
from planner.actuals.charges import charge_of
from planner.actuals.cost_explorer import ask_cost_explorer

__all__ = ["BILL_FORMATS", "ask_cost_explorer", "by_charge", "charge_of", "days", "read_bill"]
