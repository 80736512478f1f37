"""One known demand of four days, written as the tools of many teams write it."""

import json

import numpy as np
import pandas as pd

RATE = np.round(40 + 20 * np.sin(np.arange(96) * np.pi / 12), 4)  # requests/s, an hour each
START = pd.Timestamp("2026-10-01T00:00Z")
EPOCH = int(START.timestamp())
STAMPS = [START + pd.Timedelta(hours=h) for h in range(96)]
# four days of single requests: second of the trace, tokens in, tokens out
REQUESTS = [(180 + 150 * i + 7 * i % 11, 100 + i % 50, 20 + i % 7) for i in range(2000)]


def counter(name: str, parts: int = 1, **labels: str) -> str:
    """A Prometheus range query of a counter, in so many series."""
    totals = np.cumsum(np.append(1000, RATE * 3600 / parts))
    values = [[EPOCH + 3600 * h, f"{v:.3f}"] for h, v in enumerate(totals)]
    return matrix([{"metric": {"__name__": name, "instance": str(i)} | labels, "values": values} for i in range(parts)])


def matrix(series: list) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}})


def lines(header: str, row: str) -> str:
    """A table: ``row`` is a pattern of t (stamp), ms and s (epoch), v (rate), h (half of it), n (count of the hour),
    k (a thousand times the rate), x (a spreadsheet's day number), de (decimal comma).
    """
    return header + "".join(
        row.format(
            t=t,
            s=EPOCH + 3600 * i,
            ms=(EPOCH + 3600 * i) * 1000,
            v=v,
            h=v / 2,
            n=round(v * 3600),
            k=v * 1000,
            x=46296 + i / 24,
            de=f"{v:.4f}".replace(".", ","),
        )
        + "\n"
        for i, (t, v) in enumerate(zip(STAMPS, RATE, strict=True))
    )


def log(header: str, row: str, spacing: str = "5min") -> str:
    """An access log, 12 requests an hour unless told otherwise: ``row`` is a pattern of t and s."""
    stamps = pd.date_range(START, START + pd.Timedelta(days=4), freq=spacing, inclusive="left")
    return header + "".join(row.format(t=t, s=int(t.timestamp())) + "\n" for t in stamps)


def requests(header: str, row: str) -> str:
    """A log of single requests: ``row`` is a pattern of s (second of the trace), t (stamp), i and o (tokens)."""
    return header + "".join(row.format(s=s, t=START + pd.Timedelta(seconds=s), i=i, o=o) for s, i, o in REQUESTS)
