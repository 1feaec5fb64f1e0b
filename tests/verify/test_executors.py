"""CPU against GPU, without one: what is compared, and how a difference is told."""

from __future__ import annotations

import math

import pytest
import torch

from tests.verify.smallest import SMALLEST
from verify import executors
from verify.executors import Difference, compare, unit
from verify.variants import BACKWARD, Variant, manifest


def apart(ours: list[float], other: list[float], dtype: torch.dtype = torch.float32) -> Difference:
    one, two = (torch.tensor(values, dtype=dtype) for values in (ours, other))
    return compare(SMALLEST["prefill"], "case", "out", one, two)


def test_the_same_bits_are_no_difference() -> None:
    same = apart([1.0, math.nan, -math.inf], [1.0, math.nan, -math.inf])
    assert (same.differing, same.largest, same.units) == (0, 0.0, 0.0)


def test_a_difference_is_told_in_units_of_the_last_place() -> None:
    step = 2.0**-23
    found = apart([1.0, 4.0], [1.0, 4.0 + 3 * 4 * step])
    assert (found.elements, found.differing) == (2, 1)
    assert found.largest == pytest.approx(12 * step)
    assert found.units == pytest.approx(3.0)
    half = apart([1.0], [1.0 + 2.0**-10], torch.float16)
    assert half.units == pytest.approx(1.0)


def test_a_nan_on_one_side_is_no_small_difference() -> None:
    assert apart([1.0], [math.nan]).largest == math.inf
    assert apart([1.0], [math.inf]).largest == math.inf


def test_a_unit_is_not_smaller_than_the_smallest_normals() -> None:
    tiny = unit(torch.tensor([0.0, 1.0, 1.5, 2.0], dtype=torch.float64), torch.float32)
    assert tiny.tolist() == [2.0**-149, 2.0**-23, 2.0**-23, 2.0**-22]


@pytest.mark.parametrize("variant", SMALLEST.values(), ids=lambda v: v.name)
def test_a_kernel_gives_the_same_bits_as_itself(variant: Variant) -> None:
    found = executors.differences(variant, ("emulator", "emulator"))
    gradients = {"row_lse", "row_delta", *(f"grad_{name}" for name in variant.gradients)}
    outputs = gradients if variant.family in BACKWARD else {"out", "lse"}
    assert {d.tensor for d in found} >= outputs
    assert not any(d.differing for d in found)
    made = executors.rows(found)
    assert {row["family"] for row in made} == {variant.family}
    assert sum(row["elements"] for row in made) == sum(d.elements for d in found)


def test_every_kernel_is_compared_in_some_cases() -> None:
    for variant in manifest():
        assert 2 <= len(executors.chosen_cases(variant)) <= 12
