"""Condense public inference records into data/benchmarks: rates by workload and accelerator,
accepted lengths of speculation.

Usage: python data/build/make_benchmarks.py REFERENCE_FOLDER   (the folder that holds gpuperf/)
"""

import sys
from pathlib import Path

import pandas as pd

from planner.errors import PlannerError
from planner.latency.hardware import canonical

OUT = Path(__file__).parents[1] / "benchmarks"
# record name -> workload, what one item is, tokens an item holds (0: none), millions of parameters
# multiplied for a token
WORKLOADS = {
    "bert-99": ("bert-large", "text", 178.0, 303.0),
    "resnet50": ("resnet50", "image", 0.0, 0.0),
    "retinanet": ("retinanet", "image", 0.0, 0.0),
    "whisper": ("whisper-large", "30 s of speech", 0.0, 0.0),
    "stable-diffusion-xl": ("stable-diffusion-xl", "image", 0.0, 0.0),
    "3d-unet-99": ("3d-unet", "volume", 0.0, 0.0),
}
# hardware threads of one socket of the processors in the records
THREADS = {"8592+": 128, "6980P": 256, "6787P": 172}


def main(reference: Path) -> None:
    d = pd.read_csv(reference / "gpuperf" / "nonllm_inference.csv", low_memory=False)
    d = d[d["model"].isin(WORKLOADS) & d["source"].str.startswith("MLPerf")]
    cpu = d["accelerator"].str.startswith("CPU:")
    threads = d["cpu"].map(lambda name: next((n for k, n in THREADS.items() if k in str(name)), float("nan")))
    d["devices"] = d["num_accel"].where(~cpu, d["cpu_sockets"] * threads)
    d["accelerator"] = [_name(a) for a in d["accelerator"]]
    d = d[d["accelerator"].notna() & d["devices"].notna()]
    rows = []
    for (model, chip), part in d.groupby(["model", "accelerator"]):
        workload, item, tokens, params = WORKLOADS[model]
        full = (part["throughput_per_s"] / part["devices"])[part["load_mode"] == "offline_max"]
        served = (part["throughput_per_s"] / part["devices"])[part["load_mode"] == "open_poisson"]
        single = part["latency_mean_ms"][part["load_mode"] == "closed_loop c=1"] / 1e3
        if full.empty:
            continue
        rows.append(
            {
                "workload": workload,
                "item": item,
                "item_tokens": tokens,
                "params_m": params,
                "accelerator": chip,
                "items_per_s": full.median(),
                "served_items_per_s": served.median(),
                "single_item_s": single.median(),
                "records": len(part),
                "source": " + ".join(sorted(part["source"].unique())),
                "as_of": "2026-11-22",
            }
        )
    table = pd.DataFrame(rows).sort_values(["workload", "accelerator"])
    table.round(6).to_csv(OUT / "accelerated.csv", index=False, lineterminator="\n", float_format="%.6g")


def speculation(reference: Path) -> None:
    d = pd.read_csv(reference / "gpuperf" / "speculative_acceptance.csv")
    accepted = d.groupby("draft_tokens")["mean_acceptance_length"]
    table = pd.DataFrame(
        {"accepted_tokens": accepted.median(), "low": accepted.quantile(0.1), "high": accepted.quantile(0.9)}
    ).round(3)
    table["records"], table["source"], table["as_of"] = accepted.size(), d["source"].iloc[0], "2026-11-22"
    table.to_csv(OUT / "speculation.csv", lineterminator="\n")


def _name(accelerator: str) -> str | None:
    if accelerator.startswith("CPU:"):
        return "vCPU"
    try:
        return canonical(accelerator)
    except PlannerError:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    speculation(Path(sys.argv[1]))
