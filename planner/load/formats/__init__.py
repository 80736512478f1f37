"""File formats of traffic histories: one reader a module, one registry."""

from planner.load.formats.base import Raw, TrafficFormat
from planner.load.formats.table import TABLE

TRAFFIC_FORMATS: dict[str, TrafficFormat] = {form.name: form for form in (TABLE,)}

__all__ = ["TRAFFIC_FORMATS", "Raw", "TrafficFormat"]
