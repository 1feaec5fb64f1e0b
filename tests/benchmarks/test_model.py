"""The model has a source for every number, follows its largest part, and states its error."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import calibrate, chips
from benchmarks.calibrate import Judged, Row, band, efficiency, left_out
from benchmarks.model import (
    Estimate,
    estimate,
    milliseconds,
    of_matrix_limit,
    registers,
    resident_simdgroups,
)
from benchmarks.shapes import Shape
from benchmarks.work import Kernel, Work, installed
from emulator.counting.counts import NAMES

M1_MAX = chips.chips()["M1 Max"]
SHAPE = Shape(heads=8, kv_heads=8, head_dim=64, keys=4096, queries=4096)


def work(**counts: int) -> Work:
    """One that has done so much, in many threadgroups of four simdgroups."""
    groups = 32 * 100
    grid = {"threadgroups": groups, "simdgroups": 4 * groups, "threads": 128 * groups}
    named = {name.replace("_of_", "."): n for name, n in counts.items()}
    kernel = Kernel("a kernel", 128, 8192, block_q=32, block_k=32)
    return Work("mlx", (kernel,), {**dict.fromkeys(NAMES, 0), **grid, **named})


def test_every_number_has_a_source() -> None:
    assert set(chips.REPORTED) <= set(chips.chips())
    for spoil in (
        {"value": 8, "source": "hearsay"},
        {"value": 8},
        8,
        {"value": 8, "source": "inferred"},
    ):
        table: dict[str, Any] = copy.deepcopy(chips.table())
        table["chips"]["M1"]["cores"] = spoil
        with pytest.raises(chips.ChipError, match="M1: cores"):
            chips.parse(table)


def test_a_missing_number_is_named() -> None:
    table: dict[str, Any] = copy.deepcopy(chips.table())
    del table["families"]["M1"]["launch_us"]
    with pytest.raises(chips.ChipError, match="launch_us"):
        chips.parse(table)


@pytest.mark.parametrize(
    ("counts", "unit", "cycles"),
    [
        # 17.5 cycles of one of four schedulers, on 32 cores
        ({"products_of_half*half+float": 32 * 10**8}, "matrix", 17.5 / 4 * 10**8),
        ({"instructions_of_float": 32 * 10**10}, "scalar", 10**10 / 128),
        ({"calls_of_exp2": 32 * 10**10}, "scalar", 10**10 / 32),
        ({"instructions_of_bfloat": 32 * 10**10}, "scalar", 10**10 / 32),
        ({"threadgroup_of_bytes_read": 32 * 10**10}, "threadgroup", 10**10 / 64),
        ({"device_of_bytes_read": 32 * 10**10}, "device", 10**10 / 64),
    ],
)
def test_the_largest_part_is_the_time(counts: dict[str, int], unit: str, cycles: float) -> None:
    found = estimate(work(**counts), SHAPE, M1_MAX)
    assert found.limit == unit
    assert found.cycles == pytest.approx(cycles)


def test_time_is_cycles_and_launches() -> None:
    done = work(**{"products_of_half*half+float": 32 * 10**8})
    half_used = replace(M1_MAX, efficiency=0.5)
    ms = milliseconds(done, SHAPE, half_used)
    assert ms == pytest.approx(17.5 / 4 * 1e8 / 1.296e6 / 0.5 + 0.82e-3)
    twice = replace(done, kernels=done.kernels * 2)
    assert milliseconds(twice, SHAPE, half_used) - ms == pytest.approx(0.82e-3)


def test_few_threadgroups_leave_cores_idle() -> None:
    done = work(**{"products_of_half*half+float": 10**8})
    few = replace(done, counts={**done.counts, "threadgroups": 33, "simdgroups": 132})
    many, two_of_33 = (estimate(w, SHAPE, M1_MAX).matrix for w in (done, few))
    assert two_of_33 / many == pytest.approx(2 / 33 * 32)


def test_low_occupancy_uncovers_latency() -> None:
    done = work(**{"products_of_half*half+float": 10**8})
    wide = replace(done, kernels=(replace(done.kernels[0], threadgroup_bytes=32 * 1024),))
    assert resident_simdgroups(wide, SHAPE, M1_MAX) < resident_simdgroups(done, SHAPE, M1_MAX)
    assert estimate(wide, SHAPE, M1_MAX).latency > estimate(done, SHAPE, M1_MAX).latency


def test_one_threadgroup_takes_as_long_on_more_cores() -> None:
    """Each core has one, or none."""
    done = work(**{"products_of_half*half+float": 10**6})
    few = replace(done, counts={**done.counts, "threadgroups": 8, "simdgroups": 32})
    more_cores = replace(M1_MAX, cores=64)
    assert estimate(few, SHAPE, more_cores).latency == estimate(few, SHAPE, M1_MAX).latency


def test_registers_decide_how_many_threads_a_core_holds() -> None:
    """Mesa: 104 half registers, 1024 threads; 256, 384."""
    assert chips.resident_threads(52) == 1024
    assert chips.resident_threads(53) == 896
    assert chips.resident_threads(128) == 384
    done = work(**{"products_of_half*half+float": 1})
    assert registers(done, replace(SHAPE, head_dim=128)) > registers(done, SHAPE)


def test_only_useful_products_all_the_time_are_the_whole_limit() -> None:
    products = SHAPE.flops // 1024
    done = work(**{"products_of_half*half+float": products})
    ms = milliseconds(done, SHAPE, calibrate.ideal("M1 Max"))
    assert of_matrix_limit(done, SHAPE, M1_MAX, ms) == pytest.approx(1, abs=0.01)
    assert of_matrix_limit(done, SHAPE, M1_MAX, 2 * ms) == pytest.approx(0.5, abs=0.01)


def row(chip: str, ms: float) -> Row:
    return Row("somewhere", chip, "mlx", False, SHAPE, ms)


def test_a_family_has_one_efficiency_and_a_row_is_judged_without_itself() -> None:
    known = [
        Judged(row("M1", 2.0), 1.0),
        Judged(row("M1 Max", 8.0), 1.0),
        Judged(row("M4", 1.0), 1.0),
    ]
    assert efficiency("M1", known) == pytest.approx(0.25)
    assert efficiency("M5", known) == pytest.approx((1 / 2 / 8) ** (1 / 3))  # none of its own
    # Without the first M1 an eighth; without M4 both families' mean.
    assert left_out(known) == pytest.approx([0.5 / 0.125, 0.125 / 0.5, 1.0 / 0.25])


def test_the_band_holds_four_rows_of_five() -> None:
    assert band([1.0, 1.1, 0.5, 1.2, 1 / 1.3]) == pytest.approx(1.3)


def test_published_rows_are_complete() -> None:
    """facts: a timing or a share of the peak for each, and every known chip is in chips.toml."""
    rows = calibrate.rows()
    assert {r.chip for r in rows} - {""} <= set(chips.chips())
    assert all(r.ms > 0 for r in rows)
    # MFA on an M1 Max, head dim 64: 86 % of the peak.
    (mfa,) = [
        r for r in rows if r.chip == "M1 Max" and r.shape.keys == 16384 and r.shape.head_dim == 64
    ]
    assert mfa.ms == pytest.approx(16384**2 * 133 / (128 * 32 * 1.296e6) / 0.86)


@pytest.mark.skipif(not installed(), reason="no peer's shaders are installed")
def test_the_stated_band_covers_the_published_rows() -> None:
    known = calibrate.judged()
    if not known:
        pytest.skip("MLX's shaders are not installed")
    for chip in chips.chips().values():
        found = efficiency(chip.family, known)
        assert chip.efficiency == pytest.approx(found, abs=5e-4), chip.family  # three digits
    ratios = left_out(known)
    stated = band(ratios)
    inside = sum(1 / stated <= ratio <= stated for ratio in ratios)
    assert inside >= calibrate.COVERED * len(ratios)
    assert stated < 1.6  # runs on one machine differ by as much: facts on Apple GPUs


def test_the_limit_is_named() -> None:
    assert Estimate(1, 2, 3, 4, 5, 6).limit == "latency"
