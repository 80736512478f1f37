"""File formats of traffic histories: one reader a module, one registry; the first that knows a file
reads it.
"""

from planner.load.formats.access_log import ACCESS_LOG
from planner.load.formats.base import Raw, TrafficFormat
from planner.load.formats.cloudwatch import CLOUDWATCH
from planner.load.formats.datadog import DATADOG
from planner.load.formats.prometheus import PROMETHEUS
from planner.load.formats.replies import REPLIES
from planner.load.formats.table import TABLE

TRAFFIC_FORMATS: dict[str, TrafficFormat] = {
    form.name: form for form in (PROMETHEUS, CLOUDWATCH, REPLIES, DATADOG, ACCESS_LOG, TABLE)
}

__all__ = ["TRAFFIC_FORMATS", "Raw", "TrafficFormat"]
