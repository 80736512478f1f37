"""From a plan to the files it is run by: alert rules, budgets, a dashboard, manifests and a page
for the owner and the on-call, every number of them a figure of the plan.

A *figure* is one number of the plan with its unit, its hour or month and the frame it comes from
(:mod:`planner.operate.figures`); a *line* is a figure for each hour (:mod:`planner.operate.lines`).
All files are made from figures and lines, so none can say another number than the plan.
"""

from planner.operate.folder import texts, write
from planner.operate.names import Names

__all__ = ["Names", "texts", "write"]
