"""Logs of single requests, however many: what is counted instead of sorted is the same, and memory stays bounded."""

import re
import subprocess
import sys

import numpy as np
import pytest

from planner.errors import TrafficError
from planner.load import read_traffic
from planner.load.bursts import _ranked
from tests.bench import bench_requests


@pytest.mark.parametrize("scale", [1, 3, 1000, 1 << 20, 1 << 23])
def test_lengths_counted_stand_where_sorting_puts_them(scale):
    draw = np.random.default_rng(scale)
    total = np.floor(draw.lognormal(2, 1, 20_000)) * scale
    ranks = np.sort(draw.choice(len(total), 500, replace=False))
    np.testing.assert_array_equal(_ranked(total, ranks), np.argsort(total, kind="stable")[ranks])
    np.testing.assert_array_equal(_ranked(total / 7, ranks), np.argsort(total / 7, kind="stable")[ranks])


def rows(stamp, lengths="{i},9\n", count=70_000):
    """More rows than one part of a table holds; ``{i}`` is the row."""
    hours = (f"2026-10-{1 + k // 86_400:02}T{k // 3600 % 24:02}:{k // 60 % 60:02}:{k % 60:02}" for k in range(count))
    return "".join(stamp.format(t=t, i=k) + "," + lengths.format(i=k % 900 + 1) for k, t in enumerate(hours))


HEAD = "ts,input_tokens,output_tokens\n"


@pytest.mark.parametrize(
    ("stamp", "lengths"),
    [("{t}Z", "{i},9\n"), (" {t}Z ", "{i},9\n"), ("{t}+00:00", " {i},9\n"), ("{t}.5Z", "{i}.0, 9\n")],
)
def test_requests_are_the_same_however_their_cells_are_spaced(tmp_path, stamp, lengths):
    (tmp_path / "a.csv").write_text(HEAD + rows(stamp, lengths), encoding="utf-8")
    found = read_traffic(tmp_path / "a.csv")
    assert found.mean_rps == pytest.approx(1.0)
    assert found.tokens.mean_input_tokens == pytest.approx(450.0, rel=0.01)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("2026-10-01T19:26:40,1,9\n", "some stamps carry a time zone and some do not"),
        ("1790812800,1,9\n", "line 70002, .* some stamps carry a time zone"),
        ("never Z,1,9\n", "line 70002, .* some stamps carry a time zone"),
        ("never:00Z,1,9\n", "line 70002, .* not a time stamp"),
        (",1,9\n", "line 70002, .* no time stamp"),
        ("2026-10-01T19:26:40Z,nan,9\n", "line 70002, .*NaN or infinity"),
        ("2026-10-01T19:26:40Z,,9\n", "line 70002, .*no input_tokens"),
        ("2026-10-01T19:26:40Z,-1,9\n", "line 70002, .*negative"),
        ("x" * 90 + ",1,9\n", "too long"),
    ],
)
def test_one_odd_row_after_many_is_told(tmp_path, last, told):
    (tmp_path / "a.csv").write_text(HEAD + rows("{t}Z") + last, encoding="utf-8")
    with pytest.raises(TrafficError, match=told):
        read_traffic(tmp_path / "a.csv")


@pytest.mark.slow
def test_ten_million_requests_are_read_within_a_gibibyte():
    """Both files of the bench, each read whole in a process of its own."""
    done = subprocess.run([sys.executable, bench_requests.__file__], check=True, capture_output=True, text=True)
    peaks = [float(v) for v in re.findall(r"read_traffic .* peak +(\d+) MiB", done.stdout)]
    assert len(peaks) == 2
    assert max(peaks) <= 1024
