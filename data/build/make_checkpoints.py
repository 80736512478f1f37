"""Write data/models/checkpoints.csv, bytes of published releases: ``python data/build/make_checkpoints.py
REFERENCE_FOLDER`` (the folder that holds gpuperf/checkpoints.csv).

One row for each model and precision of the planner's own tables, under the model's own name: a total that
was read wins over one that was computed from shapes, else the first row stands. Not here: bf16, which the
planner counts; MXFP4 of gpt-oss, whose blocks a server pads; builds whose release is not named.
"""

import csv
import sys
from pathlib import Path

from planner.latency.llm.architecture import architectures

OUT = Path(__file__).resolve().parents[1] / "models" / "checkpoints.csv"
HEAD = ("weights", "precision", "gib", "basis", "release", "source", "as_of")
NAMES = {"nvfp4": "fp4", "int4": "int4", "fp8": "fp8"}
# bytes as loaded by one server, or builds whose release is not named
LEFT_OUT = ("as loaded", "NVFP4 build", "community", "AMD Quark")


def rows(file: Path) -> list[dict[str, str]]:
    """The best row of each model and precision."""
    best: dict[tuple[str, str], dict[str, str]] = {}
    with file.open(encoding="utf-8", newline="") as handle:
        for r in csv.DictReader(handle):
            precision = NAMES.get(r["precision"].split(" ")[0])
            if precision is None or any(word in r["release"] for word in LEFT_OUT):
                continue
            model = r["model"].casefold()
            if model not in architectures():
                continue
            held = best.get((model, precision))
            if held is None or (r["kind"] == "read" and held["kind"] != "read"):
                best[model, precision] = r
    return [
        {
            "weights": model,
            "precision": precision,
            "gib": r["total_gib"],
            "basis": "measured" if r["kind"] == "read" else "modeled",
            "release": r["release"],
            "source": r["source"],
            "as_of": r["as_of"],
        }
        for (model, precision), r in sorted(best.items())
    ]


def main(reference: Path) -> None:
    with OUT.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, HEAD, lineterminator="\n")
        table.writeheader()
        table.writerows(rows(reference / "gpuperf" / "checkpoints.csv"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
