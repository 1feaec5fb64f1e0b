"""Whole plans, as the package makes them: batches that mix prefill and decode, divided keys."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from metal_flash_sdpa import launchers
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import DECODE_QUERIES, Plan, plan

from codegen.widths import plain
from verify.case import Case, Mask, Shape
from verify.inputs import Inputs, prepare
from verify.run import judge

LAUNCH = partial(launcher.launch, workers=1)
MIXED = Case(
    "mixed",
    Shape(
        q_lens=(1, 40, 0, DECODE_QUERIES, DECODE_QUERIES + 1, 1, 9),
        k_lens=(500, 40, 7, 300, 290, 3, 0),
        heads=8,
        kv_heads=2,
    ),
    Mask(causal=True),
    splits=3,
)


def compute(case: Case, max_q_len: int = 0) -> tuple[Plan, Inputs]:
    """A case, computed as the package would."""
    inputs = prepare(case, plain(64), torch.float16, "cpu")
    made = plan(inputs.request._replace(num_splits=case.splits, max_q_len=max_q_len))
    launchers.run(made, inputs.tensors, launch=LAUNCH)
    return made, inputs


def families(made: Plan) -> list[str]:
    return [step.kernel.split("_")[0] for step in made.launches]


@pytest.mark.parametrize(
    ("max_q_len", "expected"),
    [
        (0, ["prefill", "decode", "combine"]),
        (40, ["prefill", "decode", "combine"]),
        # A promise that does not hold: slower, and still right.
        (1, ["decode", "combine"]),
        (DECODE_QUERIES, ["decode", "combine"]),
    ],
)
def test_a_batch_may_mix_prefill_and_decode(max_q_len: int, expected: list[str]) -> None:
    made, inputs = compute(MIXED, max_q_len)
    assert families(made) == expected
    out, lse = judge(MIXED, inputs, torch.float16)
    assert out.ok, out
    assert lse.ok, lse


@pytest.mark.parametrize("q_len", [1, DECODE_QUERIES, DECODE_QUERIES + 1])
def test_padded_batches(q_len: int) -> None:
    case = Case(
        "padded",
        Shape((q_len,) * 2, (300,) * 2, 4, 2, packed=False),
        Mask(window_size=(99, 0)),
    )
    _, inputs = compute(case)
    assert all(error.ok for error in judge(case, inputs, torch.float16))


def test_divided_keys_give_the_same_bits_each_time() -> None:
    case = replace(MIXED, name="repeated", splits=5)
    first, second = (compute(case)[1].tensors for _ in range(2))
    for name in ("out", "lse"):
        same = first[name].nan_to_num(nan=-1.0) == second[name].nan_to_num(nan=-1.0)
        assert same.all()


@pytest.mark.parametrize("splits", [1, 3])
def test_a_windowed_step_does_not_look_beyond_its_window(splits: int) -> None:
    """A decode step reads the window: NaN before it, and in the step's tail, stays unseen."""
    case = Case("step", Shape((1,), (1000,), 4, 1), Mask(window_size=(127, 0)), splits=splits)
    inputs = prepare(case, plain(64), torch.float16, "cpu")
    for name in ("k", "v"):
        inputs.tensors[name][: 1000 - 128] = torch.nan
    made = plan(inputs.request._replace(num_splits=splits))
    assert families(made)[0] == "decode"
    launchers.run(made, inputs.tensors, launch=LAUNCH)
    assert inputs.tensors["out"].isfinite().all()
