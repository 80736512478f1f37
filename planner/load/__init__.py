"""What arrives: traffic histories in, sample paths of the future out."""

from planner.load.backtest import backtest
from planner.load.drift import Drift, drift
from planner.load.forecast import forecast
from planner.load.forecaster import forecast_quantiles
from planner.load.formats import TRAFFIC_FORMATS
from planner.load.paths import Load, ServiceLoad
from planner.load.traffic import Traffic, read_histories, read_traffic

__all__ = [
    "TRAFFIC_FORMATS",
    "Drift",
    "Load",
    "ServiceLoad",
    "Traffic",
    "backtest",
    "drift",
    "forecast",
    "forecast_quantiles",
    "read_histories",
    "read_traffic",
]
