"""The backward pass is counted as it is launched, and extrapolated exactly."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks import compare
from benchmarks.counting.backward import (
    ALL,
    NO_IDLE_CORES,
    PRODUCTS,
    backward,
    counted,
    extra_bytes,
    training,
)
from benchmarks.counting.interior import backward_interior
from benchmarks.counting.ours import ANY_GPU, BUILT, ours
from benchmarks.model import unfused
from benchmarks.model.chips import REPORTED, chips
from benchmarks.model.cost import milliseconds, training_milliseconds
from benchmarks.shapes import Shape, draw, visible
from benchmarks.timing import measure

FULL = Shape(heads=1, kv_heads=1, head_dim=32, keys=512, queries=512)
SHAPES = {
    "full": FULL,
    "causal": replace(FULL, queries=531, keys=531, causal=True),
    "window": replace(FULL, window=(40, 20), sinks=True),
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@each_shape
def test_counts_are_extrapolated_exactly(shape: Shape) -> None:
    direct = counted(shape, NO_IDLE_CORES, ALL, BUILT)
    found = {
        f"{work.name}/{name}": n
        for work in backward(shape, NO_IDLE_CORES).launches
        for name, n in work.counts.items()
    }
    assert found == direct


def test_heads_and_sequences_multiply_and_splits_are_those_of_the_whole() -> None:
    """One KV head alone would be split among the cores of a GPU that the whole batch fills."""
    shape = replace(FULL, heads=4, kv_heads=2, queries=192, keys=192, batch=8, causal=True)
    assert extra_bytes(shape, ANY_GPU) == extra_bytes(shape, NO_IDLE_CORES)  # nothing is split
    direct = counted(shape, ANY_GPU, ALL, BUILT)
    (keys,) = (work for work in backward(shape).launches if work.name == "backward_kv")
    assert all(n == direct[f"backward_kv/{name}"] for name, n in keys.counts.items())
    few = replace(shape, batch=1, kv_heads=1)
    assert extra_bytes(few) > extra_bytes(few, NO_IDLE_CORES) == 3 * 4 * 4 * 192
    split = backward(few).launches[-1].counts
    assert split == {
        name.split("/")[1]: n
        for name, n in counted(few, ANY_GPU, ALL, BUILT).items()
        if name.startswith("backward_kv/")
    }


@each_shape
def test_inside_the_band_seven_products_and_two_barriers(shape: Shape) -> None:
    inner = backward_interior(shape)
    assert list(inner) == ["backward_q", "backward_kv"]
    # A tile's fragments times what is asked of them is what per_product divides by: no block more.
    assert [part.barriers for part in inner.values()] == [2, 2]
    assert sum(PRODUCTS[family] for family in inner) == 7


def test_products_follow_from_the_pairs() -> None:
    """Without a mask nothing but the pairs themselves; only what is asked for is computed."""
    fragments = (512 // 8) ** 2 * 32 // 8
    for gradients, families in (("qkv", ("q", "kv")), ("q", ("q",)), ("kv", ("kv",))):
        launches = backward(FULL, NO_IDLE_CORES, gradients).matrix_launches
        expected = {
            f"backward_{name}": PRODUCTS[f"backward_{name}"] * fragments for name in families
        }
        assert {work.name: work.products for work in launches} == expected


def test_memory_is_that_of_the_rows() -> None:
    """The log-sum-exp in two bases, and delta; with sinks, what 64 rows add to their gradient."""
    shape = replace(FULL, heads=32, kv_heads=32, queries=4096, keys=4096)
    assert extra_bytes(shape) == 32 * 3 * 4 * 4096
    of_sinks = 32 * 4 * 4096 // 64
    assert extra_bytes(replace(shape, sinks=True)) == 32 * 3 * 4 * 4096 + of_sinks
    assert extra_bytes(shape) < 0.02 * unfused.extra_bytes(shape)


def test_each_launch_has_its_own_tensors_to_move() -> None:
    shape = replace(FULL, heads=2)
    rows, q, kv = backward(shape, NO_IDLE_CORES).launches
    matrix, row = 2 * 32 * 512, 4 * 2 * 512  # of one head; of both
    assert rows.once_bytes == 2 * 2 * matrix + 3 * row
    assert q.once_bytes == (3 * 2 + 2) * matrix + 2 * row
    assert kv.once_bytes == (2 * 2 + 4) * matrix + 2 * row


def test_a_training_step_is_the_sum_of_its_launches() -> None:
    shape, chip = replace(FULL, causal=True), chips()["M1 Max"]
    work = training(shape)
    parts = [milliseconds(launch, shape, chip) for launch in work.launches]
    assert len(parts) == 4
    assert training_milliseconds(work, shape, chip) == pytest.approx(sum(parts))
    written = work.forward.bytes_written - ours(shape).bytes_written
    assert written == 4 * shape.queries  # the log-sum-exp


def test_what_is_counted_computes_gradients() -> None:
    """The call that a Mac is timed with: beside torch's, in float32."""
    shape = Shape(2, 1, 32, 70, "float32", queries=70, causal=True)
    found = measure.backward(shape, "cpu", ALL)()
    q, k, v = (x.requires_grad_() for x in draw(shape))
    mask = visible(shape)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
    for name, wanted in zip(ALL, torch.autograd.grad(out, (q, k, v), q.detach()), strict=True):
        torch.testing.assert_close(found[name].transpose(1, 2), wanted, atol=1e-5, rtol=1e-5)


def test_compare_prints_a_training_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "compare --backward --head-dim 32 --tokens 128 --mask causal --heads 2"
    command = arguments.split()
    monkeypatch.setattr("sys.argv", [*command, "--json"])
    compare.main()
    columns = json.loads(capsys.readouterr().out)
    parts = ["forward", "backward_rows", "backward_q", "backward_kv"]
    assert list(columns) == ["ours", "unfused", *parts]
    for row in ("products", "launches", *(f"modelled ms, {chip}" for chip in REPORTED)):
        assert columns["ours"][row] == pytest.approx(sum(columns[name][row] for name in parts))
        assert columns["unfused"][row] > 0
    monkeypatch.setattr("sys.argv", command)
    compare.main()
    table = capsys.readouterr().out
    assert "calculated" in table
    assert math.isclose(columns["unfused"]["products"], 2 * 6 * 16**2 * 4)
