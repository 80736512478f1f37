"""Generates the bundled traffic samples in ``data/traffic/`` (invented services, seeded; no
measured data).

Run from a checkout: ``python data/build/make_traffic.py``.  The same seed gives the same bytes.
Each rate is level × weekly profile in Europe/Berlin wall clock × slow drift × noise that persists
for some hours.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from planner.arrays import Flags, Floats

FOLDER = Path(__file__).resolve().parent.parent / "traffic"
ZONE = "Europe/Berlin"
SEED = 20260504
# Europe/Berlin public holidays inside the sampled weeks
HOLIDAYS = pd.to_datetime(["2026-05-14", "2026-05-25", "2026-10-03"]).date


def grid(start: str, weeks: int, minutes: int) -> pd.DatetimeIndex:
    first = pd.Timestamp(start, tz=ZONE).tz_convert("UTC")
    return pd.date_range(first, periods=weeks * 7 * 24 * 60 // minutes, freq=f"{minutes}min", tz="UTC")


def bump(hour: Floats, center: float, width: float) -> Floats:
    """A daily hump on the 24 h circle."""
    away = (hour - center + 12) % 24 - 12
    return np.exp(-0.5 * (away / width) ** 2)


def persistent(rng: np.random.Generator, n: int, keep: float, sd: float) -> Floats:
    """First-order autoregressive noise with stationary standard deviation ``sd``."""
    out, x = np.empty(n), 0.0
    for i, e in enumerate(rng.normal(0, sd * np.sqrt(1 - keep**2), n)):
        x = out[i] = keep * x + e
    return out


def clock(ts: pd.DatetimeIndex) -> tuple[Floats, Flags]:
    local = ts.tz_convert(ZONE)
    free = (local.day_of_week >= 5) | pd.Index(local.date).isin(list(HOLIDAYS))
    return (local.hour + local.minute / 60).to_numpy(float), np.asarray(free)


def web(rng: np.random.Generator) -> pd.DataFrame:
    ts = grid("2026-05-04", 26, 15)
    hour, free = clock(ts)
    shape = 0.22 + 0.75 * bump(hour, 11, 2.6) + 0.55 * bump(hour, 15.5, 2.4) + 0.95 * bump(hour, 20.3, 2.2)
    shape *= np.where(free, 0.78, 1.0)
    drift = np.linspace(0.93, 1.08, len(ts)) * np.exp(persistent(rng, len(ts), 0.999, 0.05))
    rate = shape * drift * np.exp(persistent(rng, len(ts), 0.9, 0.05))
    spikes = rng.random(len(ts)) < 0.0006
    rate[spikes] *= rng.uniform(1.5, 2.6, spikes.sum())
    rate = rng.poisson(rate / rate.mean() * 300 * 900) / 900
    return pd.DataFrame({"ts": ts, "arrival_rate_rps": rate.round(3)})


def chat(rng: np.random.Generator) -> pd.DataFrame:
    ts = grid("2026-08-10", 12, 60)
    hour, free = clock(ts)
    shape = 0.08 + 1.0 * bump(hour, 10.5, 2.4) + 0.9 * bump(hour, 15, 2.6) + 0.35 * bump(hour, 21, 2)
    shape *= np.where(free, 0.4, 1.0)
    rate = shape * np.linspace(0.8, 1.2, len(ts)) * np.exp(persistent(rng, len(ts), 0.8, 0.12))
    rate = rng.poisson(rate / rate.mean() * 6 * 3600) / 3600
    return pd.DataFrame(
        {
            "ts": ts,
            "arrival_rate_rps": rate.round(4),
            "input_tokens": (980 + 160 * bump(hour, 14, 4) + rng.normal(0, 25, len(ts))).round(1),
            "output_tokens": (240 + 30 * bump(hour, 21, 3) + rng.normal(0, 6, len(ts))).round(1),
        }
    )


def embed(rng: np.random.Generator) -> pd.DataFrame:
    ts = grid("2026-05-04", 26, 60)
    hour, free = clock(ts)
    size = np.exp(persistent(rng, len(ts), 0.96, 0.18))
    rate = (0.05 + 1.5 * bump(hour, 2.5, 1.3) * np.where(free, 0.6, 1.0) + 0.08 * bump(hour, 13, 4)) * size
    return pd.DataFrame({"ts": ts, "requests": rng.poisson(rate / rate.mean() * 40 * 3600)})


def chat_requests(rng: np.random.Generator) -> pd.DataFrame:
    n, scv = 3600, 1.2
    at = np.cumsum(rng.gamma(1 / scv, scv / 6.0, n))
    z = rng.multivariate_normal([0, 0], [[1, 0.35], [0.35, 1]], n)
    first = pd.Timestamp("2026-10-20T08:00:00Z")
    return pd.DataFrame(
        {
            "ts": first + pd.to_timedelta((at * 1e3).astype(int), unit="ms"),
            "input_tokens": np.clip(np.exp(6.4 + 1.0 * z[:, 0]), 5, 16000).astype(int),
            "output_tokens": np.clip(np.exp(5.2 + 0.8 * z[:, 1]), 1, 4000).astype(int),
        }
    )


def chat_pilot(rng: np.random.Generator) -> pd.DataFrame:
    """What the chat service had while it was tried: four weeks of one team's working hours."""
    ts = grid("2026-07-13", 4, 60)
    hour, free = clock(ts)
    rate = (0.02 + bump(hour, 10.5, 2.2) + 0.9 * bump(hour, 15, 2.2)) * np.where(free, 0.1, 1.0)
    rate = rng.poisson(rate / rate.mean() * 0.15 * 3600) / 3600
    return pd.DataFrame(
        {
            "ts": ts,
            "arrival_rate_rps": rate.round(4),
            "input_tokens": (900 + rng.normal(0, 40, len(ts))).round(1),
            "output_tokens": (230 + rng.normal(0, 12, len(ts))).round(1),
        }
    )


def main() -> None:
    for number, make in enumerate((web, chat, embed, chat_requests, chat_pilot)):
        frame = make(np.random.default_rng([SEED, number]))
        form = "%Y-%m-%dT%H:%M:%S.%fZ" if make is chat_requests else "%Y-%m-%dT%H:%MZ"
        frame["ts"] = (
            frame["ts"].dt.strftime(form).str.replace("000Z", "Z")
            if make is chat_requests
            else frame["ts"].dt.strftime(form)
        )
        frame.to_csv(FOLDER / f"{make.__name__}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
