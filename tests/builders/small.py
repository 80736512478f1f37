"""One small scenario on real prices, with its traffic: what commands and studies are run on."""

import numpy as np
import pandas as pd

SCENARIO = """
name: small
start: 2027-01-04
horizon_h: 72
time_zone: Europe/Berlin
providers: [aws]
regions: [us-east-1]
services:
  web:
    owner: {team: shop}
    traffic: web.csv
    latency: {model: queue, service_time_s: 0.03, service_scv: 1.5}
    objective: {latency_p99_s: 0.3}
limits: {instance_types: [m6a.xlarge, c6g.2xlarge]}
"""


def traffic(hours=24 * 28, **changes):
    ts = pd.date_range("2026-11-02", periods=hours, freq="h", tz="UTC")
    rate = (200 + 150 * np.sin(np.arange(hours) * np.pi / 12)) * np.random.default_rng(3).gamma(100, 0.01, hours)
    return pd.DataFrame({"ts": ts.strftime("%Y-%m-%dT%H:%MZ"), "arrival_rate_rps": rate} | changes)
