"""Accelerator names and facts."""

import math

import pytest

from planner.errors import PlannerError
from planner.latency.hardware import accelerator, accelerators, canonical


@pytest.mark.parametrize(
    ("written", "memory_gib", "name"),
    [
        ("A100", 40.0, "A100-SXM-40GB"),
        ("A100", 80.0, "A100-SXM-80GB"),
        ("A100-80GB PCIe", math.nan, "A100-PCIe-80GB"),
        ("V100", 32.0, "V100-SXM-32GB"),
        ("Gaudi HL-205", 32.0, "Gaudi1"),
        ("T4g", 16.0, "T4G"),
        ("H100-80GB (mega)", 80.0, "H100-SXM-80GB"),
        ("rtx pro server 6000", 96.0, "RTX-PRO-6000"),
        ("Inferentia", 8.0, "Inferentia1"),
        ("L4", 2.79, "L4"),
        ("H200-SXM", 141.0, "H200-SXM-141GB"),
    ],
)
def test_every_spelling_has_one_name(written, memory_gib, name):
    assert canonical(written, memory_gib) == name


def test_unknown_and_ambiguous_names_are_refused():
    with pytest.raises(PlannerError, match="H100"):
        canonical("H1000")
    with pytest.raises(PlannerError, match="A100-SXM-40GB, A100-SXM-80GB"):
        canonical("A100")


def test_an_alias_is_shared_only_by_boards_that_differ_in_memory():
    names = [(s, a) for a in accelerators().values() for s in (a.name, *a.aliases)]
    for spelling, one in names:
        assert canonical(spelling, one.memory_gib) == one.name


def test_peaks_are_dense_and_ordered():
    assert len(accelerators()) >= 25
    h100, t4, l4 = accelerator("H100-SXM"), accelerator("T4"), accelerator("L4")
    assert (h100.flops("bf16"), h100.flops("fp8")) == (989e12, 1979e12)
    assert h100.flops("fp4") == h100.flops("bf16")
    assert math.isnan(t4.flops("fp8"))
    assert math.isnan(t4.bf16)
    assert t4.flops("bf16") == 65e12
    assert l4.memory_bandwidth_gib_per_s == pytest.approx(300e9 / 2**30, rel=1e-3)
    for a in accelerators().values():
        assert a.memory_gib > 0
        assert math.isnan(a.fp8) or a.fp8 >= a.bf16
