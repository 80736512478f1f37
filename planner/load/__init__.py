"""What arrives: traffic histories in, sample paths of the future out."""

from planner.load.backtest import backtest
from planner.load.forecast import forecast
from planner.load.forecaster import forecast_quantiles
from planner.load.formats import TRAFFIC_FORMATS
from planner.load.paths import Load, ServiceLoad
from planner.load.traffic import Traffic, read_histories, read_traffic

__all__ = [
    "TRAFFIC_FORMATS",
    "Load",
    "ServiceLoad",
    "Traffic",
    "backtest",
    "forecast",
    "forecast_quantiles",
    "read_histories",
    "read_traffic",
]
