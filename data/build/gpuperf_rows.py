"""Read public LLM serving records (the gpuperf table) as load tests of deployments the planner
knows.

Only rows whose configuration is stated are read: flags exact, no quality flag, accelerators, engine
and lengths given. A row without a precision ran the weights as published.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from planner.arrays import Floats, Index
from planner.errors import PlannerError
from planner.latency.hardware import accelerator
from planner.latency.llm.architecture import architecture, slots
from planner.latency.llm.bench import Runs
from planner.latency.llm.constants import Condition
from planner.latency.llm.steps import Layout, Plant

PRECISIONS = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8": "fp8",
    "fp4": "fp4",
    "mxfp4": "mxfp4",
    "int4": "int4",
    "int8": "int8",
    "w8a8": "int8",
}
MODES = {
    "closed_loop": "closed_loop",
    "offline_max": "offline_max",
    "static_batch": "static_batch",
    "burst_all": "burst_all",
    "open_rate": "open_rate",
    "open_poisson": "open_rate",
}
# two comparisons of one source repeat runs of the InferenceX dumps to the digit, and call their
# drawn lengths fixed
_DRAWN = "uniform[0.8,1.0]x nominal"
# prompts that a burst record without a count sends
_BURST = 1000.0


@dataclass(frozen=True)
class Rows:
    """Records that can be compared: ``frame`` (the table's rows), ``conditions``, ``plant`` and
    ``runs``, and ``measured`` (n, 3):
    TPOT [s], throughput [requests/s], TTFT [s], NaN where not reported. ``excused``: row_id -> why
    a stated row is not among them.
    """

    frame: pd.DataFrame
    conditions: list[Condition]
    plant: Plant
    runs: Runs
    measured: Floats
    excused: dict[str, str]

    def take(self, rows: Index) -> "Rows":
        """Some of the rows."""
        return Rows(
            self.frame.iloc[rows].reset_index(drop=True),
            [self.conditions[i] for i in rows],
            self.plant[rows],
            self.runs[rows],
            self.measured[rows],
            self.excused,
        )


def read_rows(file: Path) -> Rows:
    """Read ``llm_serving.csv``: unflagged, aggregated rows whose configuration is stated."""
    d = pd.read_csv(file, low_memory=False)
    stated = d["quality_flag"].isna() & (d["config_confidence"] == "exact") & d["load_mode"].isin(list(MODES))
    for column in ("num_gpus", "isl", "osl", "engine"):
        stated &= d[column].notna()
    stated &= (d["load_mode"] != "closed_loop") | d["concurrency"].notna()
    d = d[stated].reset_index(drop=True)
    d["length_kind"] = d["length_kind"].mask(d["source_detail"].fillna("").str.endswith("-gap-analysis.csv"), _DRAWN)
    excused, kept, conditions, plants, room = {}, [], [], [], []
    # some sources draw the lengths between 80 and 100 % of the nominal ones
    mean = np.where(d["length_kind"].fillna("").str.startswith("uniform"), 0.9, 1.0)
    d["input_tokens"], d["output_tokens"] = d["isl"] * mean, np.maximum(d["osl"] * mean, 1.0)
    for i, r in enumerate(d.itertuples()):
        try:
            condition = _condition(r)
            if not np.isfinite(condition.chip.memory_bandwidth_gib_per_s) or not np.isfinite(
                condition.chip.flops(condition.precision)
            ):
                raise PlannerError("speed of the accelerator not known", got=condition.chip.name)
        except (PlannerError, KeyError) as error:
            excused[str(r.row_id)] = str(error)
            continue
        kv = "fp8" if condition.engine in ("trtllm", "nim") and condition.precision in ("fp8", "fp4") else "bf16"
        kept.append(i)
        conditions.append(condition)
        plants.append(Plant.of(condition.model, condition.chip, condition.precision, kv, condition.layout))
        room.append(
            slots(
                condition.model,
                condition.precision,
                condition.chip.memory_gib,
                kv,
                r.input_tokens + 0.6 * r.output_tokens,
                condition.layout,
            )
        )
    d = d.iloc[kept].reset_index(drop=True)
    mode = d["load_mode"].map(MODES).to_numpy().astype(str)
    clients = d["concurrency"].to_numpy(float)
    clients = np.where(np.isnan(clients), np.where(mode == "burst_all", _BURST, np.inf), clients)
    clients = np.where(mode == "offline_max", np.inf, clients)
    most = np.where(mode == "burst_all", 1024.0, 2048.0)
    runs = Runs(
        mode,
        clients,
        np.nan_to_num(d["request_rate"].to_numpy(float)),
        d["input_tokens"].to_numpy(float),
        d["output_tokens"].to_numpy(float),
        np.clip(np.array(room), 1.0, most),
    )
    return Rows(d, conditions, Plant.stack(plants), runs, _measured(d), excused)


def _measured(d: pd.DataFrame) -> Floats:
    tpot = d["tpot_mean_ms"].fillna(d["tpot_p50_ms"]) / 1e3
    ttft = d["ttft_mean_ms"].fillna(d["ttft_p50_ms"]) / 1e3
    return np.stack(
        [tpot.to_numpy(float), (d["out_tok_s"] / d["output_tokens"]).to_numpy(float), ttft.to_numpy(float)], axis=1
    )


def _condition(r: object) -> Condition:
    model, chip = architecture(r.model), accelerator(r.gpu)
    precision = PRECISIONS[r.weights] if isinstance(r.weights, str) else model.native_precision
    if model.native_precision == "mxfp4" and precision in ("fp4", "fp8"):
        # published only in MXFP4: the label names the arithmetic around it
        precision = "mxfp4"
    lengths = r.length_kind if isinstance(r.length_kind, str) else ""
    return Condition(model, chip, precision, r.engine, layout(r), MODES[r.load_mode], lengths)


def layout(r: object) -> Layout:
    """The layout of one row. Dumps of one source multiply the tensor-parallel degree by the expert-
    or data-parallel one.
    """

    def degree(value: float) -> int:
        return int(value) if value == value and value >= 1 else 1

    n, dp, pp, ep = degree(r.num_gpus), degree(r.attn_dp), degree(r.pp), degree(r.ep)
    if r.source.startswith("aiconfigurator"):
        if dp > 1 and degree(r.tp) > 1 and n == degree(r.tp) * dp:
            n = degree(r.tp)
        elif dp > 1 and degree(r.tp) == 1 and ep not in (1, dp) and dp % ep == 0:
            n = dp = ep
        elif dp == 1 and n > 8 and ep > 1:
            n //= ep
    dp, pp = (1 if dp > n else dp), (1 if pp > n else pp)
    return Layout(max(n // (pp * dp), 1), pp, dp, min(ep, n))
