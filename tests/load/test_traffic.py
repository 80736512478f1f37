"""Reading tables: columns, clocks, gaps, refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.data import data_path
from planner.errors import TrafficError
from planner.load import read_traffic
from planner.scenario import TrafficSource


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def hours(n: int, start: str = "2026-05-04T00:00Z", freq: str = "h") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=n, freq=freq)


def table(
    n: int = 72, value: str = "requests", start: str = "2026-05-04T00:00Z", freq: str = "h", scale: float = 3600.0
) -> pd.DataFrame:
    ts = hours(n, start, freq)
    return pd.DataFrame(
        {"ts": ts.strftime("%Y-%m-%dT%H:%M:%SZ"), value: scale * (2.0 + np.sin(np.arange(n) / 24 * 2 * np.pi))}
    )


def lines(frame: pd.DataFrame, kind: str) -> str:
    return " | ".join(frame.loc[frame["kind"] == kind, "detail"])


def test_counts_become_rates_and_the_assumption_is_listed(tmp_path):
    frame = table()
    traffic = read_traffic(write(tmp_path, frame.to_csv(index=False)))
    assert traffic.interval_s == 3600
    np.testing.assert_allclose(traffic.arrival_rate_rps, frame["requests"] / 3600)
    assert "count in each interval" in lines(traffic.quality, "assumed")


def test_rates_stay_rates_whatever_the_interval(tmp_path):
    frame = table(24 * 12 * 3, "arrival_rate_rps", freq="5min", scale=1.0)
    traffic = read_traffic(write(tmp_path, frame.to_csv(index=False)))
    assert traffic.interval_s == 300
    np.testing.assert_allclose(traffic.arrival_rate_rps, frame["arrival_rate_rps"])
    np.testing.assert_allclose(traffic.hourly().to_numpy()[0], frame["arrival_rate_rps"][:12].mean())


@pytest.mark.parametrize(("freq", "seconds"), [("s", 1), ("10s", 10), ("min", 60), ("30min", 1800), ("D", 86400)])
def test_any_interval_from_a_second_to_a_day(tmp_path, freq, seconds):
    frame = table(200, "requests", freq=freq, scale=float(seconds))
    traffic = read_traffic(write(tmp_path, frame.to_csv(index=False)))
    assert traffic.interval_s == seconds
    np.testing.assert_allclose(traffic.arrival_rate_rps, frame["requests"] / seconds)
    assert set(np.diff(traffic.hourly().index.asi8)) <= {3_600_000_000}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "semicolon", "parquet", "utf8-bom", "crlf"])
def test_round_trip_of_each_writing(tmp_path, suffix):
    frame = table()
    if suffix == "parquet":
        path = tmp_path / "t.parquet"
        frame.assign(ts=pd.to_datetime(frame["ts"])).to_parquet(path)
    else:
        mark = {"tsv": "\t", "semicolon": ";"}.get(suffix, ",")
        text = frame.to_csv(index=False, sep=mark, lineterminator="\r\n" if suffix == "crlf" else "\n")
        path = write(tmp_path, ("\ufeff" if suffix == "utf8-bom" else "") + text)
    np.testing.assert_allclose(read_traffic(path).arrival_rate_rps, frame["requests"] / 3600)


def test_columns_are_mapped_by_name(tmp_path):
    frame = table().rename(columns={"ts": "When", "requests": "Anfragen"})
    source = TrafficSource(
        file=str(write(tmp_path, frame.to_csv(index=False))),
        columns={"ts": "When", "arrival_rate_rps": "Anfragen"},
        value="requests_per_interval",
    )
    np.testing.assert_allclose(read_traffic(source).arrival_rate_rps, frame["Anfragen"] / 3600)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S.%fZ",
        "%Y-%m-%d %H:%M:%S UTC",
        "%s",
        "%s000",
        "%d.%m.%Y %H:%M:%S+0000",
    ],
)
def test_stamp_layouts_agree(tmp_path, form):
    frame = table(24 * 20)
    ts = hours(24 * 20)
    frame["ts"] = [str(int(t.timestamp())) + form[2:] for t in ts] if form.startswith("%s") else ts.strftime(form)
    assert read_traffic(write(tmp_path, frame.to_csv(index=False))).start == pd.Timestamp("2026-05-04T00:00Z")


def test_wall_clock_stamps_need_a_zone_and_find_both_passages_of_the_repeated_hour(tmp_path):
    utc = hours(24 * 4, "2026-10-23T00:00Z")
    frame = pd.DataFrame(
        {"ts": utc.tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M"), "requests": 100 + np.arange(96.0) % 25}
    )
    path = write(tmp_path, frame.to_csv(index=False))
    with pytest.raises(TrafficError, match=r"no time zone.*time_zone"):
        read_traffic(path)
    traffic = read_traffic(TrafficSource(file=str(path), time_zone="Europe/Berlin"))
    assert traffic.start == utc[0]
    np.testing.assert_allclose(traffic.arrival_rate_rps * 3600, 100 + np.arange(96.0) % 25)
    assert traffic.user_time_zone == "Europe/Berlin"


def test_absent_is_not_zero(tmp_path):
    frame = table().drop(index=[5, 6, 7])
    path = write(tmp_path, frame.to_csv(index=False))
    traffic = read_traffic(path)
    assert np.isnan(traffic.arrival_rate_rps[5:8]).all()
    assert traffic.observed_share == pytest.approx(69 / 72)
    assert "not observed" in lines(traffic.quality, "noted")
    zero = read_traffic(TrafficSource(file=str(path), gaps="zero"))
    assert (zero.arrival_rate_rps[5:8] == 0).all()
    assert "zero" in lines(zero.quality, "filled")


def test_empty_cells_are_absent_true_zeros_stay(tmp_path):
    frame = table()
    frame.loc[3, "requests"] = np.nan
    frame.loc[4, "requests"] = 0.0
    rate = read_traffic(write(tmp_path, frame.to_csv(index=False))).arrival_rate_rps
    assert np.isnan(rate[3])
    assert rate[4] == 0.0


def test_unsorted_and_repeated_rows_are_named(tmp_path):
    frame = table()
    shuffled = pd.concat([frame, frame.iloc[[10]]]).sample(frac=1, random_state=1)
    traffic = read_traffic(write(tmp_path, shuffled.to_csv(index=False)))
    np.testing.assert_allclose(traffic.arrival_rate_rps, frame["requests"] / 3600)
    assert "sorted" in lines(traffic.quality, "repaired")
    assert "repeated a time stamp (0 with another value)" in lines(traffic.quality, "repaired")


def test_a_partly_counted_last_bucket_is_dropped(tmp_path):
    frame = table(24 * 7)
    frame.loc[24 * 7 - 1, "requests"] = 40.0
    traffic = read_traffic(write(tmp_path, frame.to_csv(index=False)))
    assert len(traffic.arrival_rate_rps) == 24 * 7 - 1
    assert "partly counted" in lines(traffic.quality, "dropped")


def test_hours_half_observed_are_unknown(tmp_path):
    frame = table(24 * 6, "requests", freq="10min", scale=600.0).drop(index=[13, 14, 15, 16])
    hourly = read_traffic(write(tmp_path, frame.to_csv(index=False))).hourly()
    assert np.isnan(hourly.iloc[2])
    assert hourly.notna().sum() == 23


def test_a_request_log_gives_rate_lengths_and_gaps():
    traffic = read_traffic(data_path("traffic", "chat_requests.csv"))
    assert traffic.interval_s == 60
    assert traffic.tokens is not None
    assert (traffic.tokens.basis, traffic.arrival_basis) == ("measured", "measured")
    frame = pd.read_csv(data_path("traffic", "chat_requests.csv"))
    assert traffic.tokens.mean_input_tokens == pytest.approx(frame["input_tokens"].mean(), rel=0.05)
    assert traffic.arrival_scv == pytest.approx(1.2, rel=0.1)  # the generator's gamma gaps


def test_a_request_log_may_carry_more_columns_but_even_rows_are_no_requests(tmp_path):
    frame = (
        pd.read_csv(data_path("traffic", "chat_requests.csv"))
        .assign(user="u")
        .rename(columns={"ts": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"})
    )
    traffic = read_traffic(write(tmp_path, frame.to_csv(index=False)))
    assert traffic.tokens is not None
    assert traffic.tokens.basis == "measured"
    assert "user" in lines(traffic.quality, "noted")
    even = table().rename(columns={"requests": "widgets"}).assign(input_tokens=5, output_tokens=5)
    with pytest.raises(TrafficError, match="evenly spaced"):
        read_traffic(write(tmp_path, even.to_csv(index=False)))


def test_a_request_log_beside_the_history_gives_its_lengths(tmp_path):
    folder = data_path("traffic")
    traffic = read_traffic(TrafficSource(file="chat.csv", requests="chat_requests.csv"), folder=folder)
    plain = read_traffic(folder / "chat.csv")
    np.testing.assert_array_equal(traffic.arrival_rate_rps, plain.arrival_rate_rps)
    assert traffic.tokens is not None
    assert (traffic.tokens.basis, traffic.arrival_basis) == ("measured", "measured")
    with pytest.raises(TrafficError, match="no log of single requests"):
        read_traffic(TrafficSource(file="chat.csv", requests="web.csv"), folder=folder)


def test_mean_lengths_spread_into_a_mix_with_those_means():
    traffic = read_traffic(data_path("traffic", "chat.csv"))
    frame = pd.read_csv(data_path("traffic", "chat.csv"))
    assert traffic.tokens is not None
    weighted = np.average(frame["input_tokens"], weights=frame["arrival_rate_rps"])
    assert traffic.tokens.basis == "assumed"
    assert traffic.tokens.mean_input_tokens == pytest.approx(weighted, rel=1e-6)


def test_minutes_show_bursts_that_hours_hide(tmp_path):
    rng = np.random.default_rng(0)
    frame = table(60 * 24 * 5, "arrival_rate_rps", freq="min", scale=1.0)
    frame["arrival_rate_rps"] = (2 + np.sin(np.arange(len(frame)) / 1440 * 2 * np.pi)) * np.where(
        rng.random(len(frame)) < 1 / 30, 3.0, 1.0
    )
    fine = read_traffic(write(tmp_path, frame.to_csv(index=False)))
    assert fine.burst_basis == "measured"
    assert 2.2 < fine.burst_factor < 3.0
    hourly = read_traffic(write(tmp_path, table().to_csv(index=False)))
    assert hourly.burst_basis == "assumed"


GOOD = table()
BAD = {
    "empty": ("", "is empty"),
    "only a header": ("ts,requests\n", "no rows"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 20, "binary"),
    "zip as csv": (b"PK\x03\x04" + b"x" * 50, "zip archive"),
    "latin-1": ("ts,anzahl für\n2026-05-04T00:00Z,1\n".encode("latin-1"), "not UTF-8"),
    "no header": (GOOD.to_csv(index=False, header=False), "values, not column names"),
    "one column": ("requests\n1\n2\n", "fewer than two columns"),
    "no stamps": ("a,requests\n1,2\n", "no time stamp column"),
    "bad stamp": (
        GOOD.to_csv(index=False).replace("2026-05-04T02:00:00Z", "soon: Z"),
        "line 4, column ts: not a time stamp",
    ),
    "mixed zones": (
        GOOD.to_csv(index=False).replace("2026-05-04T02:00:00Z", "2026-05-04T02:00:00"),
        "some stamps carry a time zone",
    ),
    "day or month": ("ts,requests\n04/05/2026 00:00,1\n04/05/2026 01:00,2\n", "cannot be told apart"),
    "negative": (GOOD.assign(requests=-1.0).to_csv(index=False), "line 2, column requests: a negative value"),
    "nan": (GOOD.to_csv(index=False, na_rep="NaN").replace(",7200.0\n", ",NaN\n"), "line 2, column requests: NaN"),
    "infinity": (GOOD.to_csv(index=False).replace(",7200.0\n", ",inf\n"), "infinity is no measurement"),
    "words": (GOOD.to_csv(index=False).replace(",7200.0\n", ",many\n"), "not a number"),
    "comma of either kind": (
        "ts;requests\n2026-05-04T00:00Z;1,234\n2026-05-04T01:00Z;2,345\n",
        "decimal or a thousands",
    ),
    "ragged": (GOOD.to_csv(index=False).replace(",7200.0\n", ",7200.0,9\n"), "cannot be parsed"),
    "gauge": (GOOD.rename(columns={"requests": "cpu_percent"}).to_csv(index=False), "gauge is not demand"),
    "rate or count": (GOOD.rename(columns={"requests": "widgets"}).to_csv(index=False), "rate or a count"),
    "two values": (GOOD.assign(b=1.0).rename(columns={"requests": "a"}).to_csv(index=False), "cannot be told"),
    "several series": (pd.concat([GOOD, GOOD.assign(requests=5.0)]).to_csv(index=False), "several series"),
    "one row": (GOOD.iloc[:1].to_csv(index=False), "single time stamp"),
    "monthly": ("ts,requests\n" + "".join(f"2026-{m:02}-01T00:00Z,5\n" for m in range(1, 9)), "1 s to 1 day"),
    "interval changes": (
        pd.concat([table(50), table(100, start="2026-05-07T00:00Z", freq="5min", scale=300.0)]).to_csv(index=False),
        "interval of the counts changes",
    ),
    "year 9999": (GOOD.to_csv(index=False).replace("2026-05-04T02", "9999-05-04T02"), "1970 and 2200"),
    "stray stamp": (table(60, freq="s").to_csv(index=False) + "2199-01-01T00:00:00Z,1\n", "stray time stamp"),
    "long line": ("ts,requests\n" + "x" * 5_000_000, "cannot be parsed"),
    "long header": ("x" * 5_000_000, "first line is longer"),
    "repeated name": (GOOD.to_csv(index=False).replace("ts,requests", "ts,ts"), "stands twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_a_remedy(tmp_path, name):
    text, message = BAD[name]
    path = write(tmp_path, text)
    with pytest.raises(TrafficError) as caught:
        read_traffic(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 700


def test_missing_files_and_unknown_formats_are_refused(tmp_path):
    for source, message in (
        (tmp_path / "no.csv", "no such file"),
        (tmp_path, "a folder"),
        (TrafficSource(file=str(write(tmp_path, "x")), format="fax"), "no such traffic format"),
        (write(tmp_path, "x", "t.bin"), "cannot be told"),
        (TrafficSource(file=str(write(tmp_path, GOOD.to_csv(index=False))), columns={"ts": "no"}), "no column no"),
        (TrafficSource(file=str(write(tmp_path, GOOD.to_csv(index=False))), columns={"cpu": "ts"}), "unknown name cpu"),
        (write(tmp_path, b"PAR1" + b"\0" * 40, "t.parquet"), "Parquet file cannot be read"),
    ):
        with pytest.raises(TrafficError, match=message):
            read_traffic(source)
