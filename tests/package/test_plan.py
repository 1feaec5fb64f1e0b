"""Which variant a request picks, and what it is launched with."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from metal_flash_sdpa._variants import PREFILL_BUFFERS, PREFILL_INTS, VARIANTS
from metal_flash_sdpa.plan import UNBOUNDED, LaunchPlan, Request, band, lse_shape, plan_prefill

from tests.cases import Variant, manifest

BASE = Request(
    dtype="float16",
    head_dim=64,
    heads=8,
    kv_heads=2,
    batch=3,
    q_len=100,
    k_len=70,
    packed=False,
    q_strides=(51200, 512, 64),
    k_strides=(2**33 + 5, 128, 64),
    v_strides=(8960, 128, 64),
    out_strides=(51200, 512, 64),
    softmax_scale=0.125,
)


def ints(plan: LaunchPlan) -> dict[str, int]:
    """The plan's int32 array, read as the shader's struct reads it."""
    layout = "<" + "".join(code for _, code in PREFILL_INTS)
    data = struct.pack(f"<{len(plan.ints)}i", *plan.ints)
    values = struct.unpack_from(layout, data)
    return {name: value for (name, _), value in zip(PREFILL_INTS, values)}


@pytest.mark.parametrize(
    ("causal", "window_size", "expected"),
    [
        (False, (-1, -1), ("full", UNBOUNDED, UNBOUNDED)),
        (True, (-1, -1), ("causal", UNBOUNDED, 0)),
        (False, (-1, 0), ("causal", UNBOUNDED, 0)),
        (True, (-1, 5), ("causal", UNBOUNDED, 0)),
        (True, (31, 31), ("window", 31, 0)),
        (False, (31, 7), ("window", 31, 7)),
        (False, (0, 0), ("window", 0, 0)),
        (False, (9, -1), ("window", 9, UNBOUNDED)),
        (False, (-1, 9), ("window", UNBOUNDED, 9)),
        (False, (2**40, 2**40), ("full", UNBOUNDED, UNBOUNDED)),
    ],
)
def test_masks(causal: bool, window_size: tuple[int, int], expected: tuple[str, int, int]) -> None:
    assert band(causal, window_size) == expected


@pytest.mark.parametrize("variant", manifest(), ids=lambda v: v.name)
def test_every_variant_is_picked_by_its_own_request(variant: Variant) -> None:
    window = {"full": (-1, -1), "causal": (-1, 0), "window": (4, 4)}[variant.mask]
    request = BASE._replace(
        dtype=variant.dtype,
        head_dim=variant.head_dim,
        window_size=window,
        sinks=variant.sinks,
    )
    plan = plan_prefill(request)
    assert plan.kernel == variant.name
    assert plan.threads == variant.threads
    assert plan.buffers == PREFILL_BUFFERS[: 9 if variant.sinks else 8]


def test_padded_grid_and_arguments() -> None:
    plan = plan_prefill(BASE)
    block_q = VARIANTS["prefill", 64, "float16", "full", False].block_q
    assert plan.threadgroups == (-(-100 // block_q), 8, 3)
    assert plan.floats == (0.125, 0.0)
    values = ints(plan)
    assert values["k_batch_stride"] == 2**33 + 5
    assert (values["q_len"], values["k_len"], values["packed"], values["group"]) == (100, 70, 0, 4)
    assert (values["lse_batch_stride"], values["lse_head_stride"]) == (800, 100)
    assert len(plan.ints) % 2 == 0  # the struct's 64-bit members align it to 8 bytes


def test_alibi_needs_no_variant_of_its_own() -> None:
    plan = plan_prefill(BASE._replace(alibi_strides=(8, 1)))
    without = plan_prefill(BASE)
    assert (plan.kernel, plan.buffers) == (without.kernel, without.buffers)
    names = ("alibi_batch_stride", "alibi_head_stride")
    assert [ints(plan)[name] for name in names] == [8, 1]
    assert [ints(without)[name] for name in names] == [0, 0]


def test_packed_grid_has_one_spare_tile_per_sequence() -> None:
    plan = plan_prefill(BASE._replace(packed=True, q_len=1000))
    block_q = VARIANTS["prefill", 64, "float16", "full", False].block_q
    assert plan.threadgroups == (1000 // block_q + 3, 8, 1)
    assert ints(plan)["lse_batch_stride"] == 0


def test_nothing_to_do_is_an_empty_grid() -> None:
    assert plan_prefill(BASE._replace(q_len=0)).threadgroups[0] == 0
    assert plan_prefill(BASE._replace(q_len=0, packed=True)).threadgroups[0] == 0


def test_lse_shape() -> None:
    assert lse_shape((3, 100, 8, 64)) == (3, 8, 100)
    assert lse_shape((100, 8, 64)) == (8, 100)


def test_equal_requests_share_one_plan() -> None:
    assert plan_prefill(BASE) is plan_prefill(BASE._replace())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_dim": 40}, r"head_dim is 40 .*\[32, 64, 72, 80, 96, 128, 192, 256\]"),
        ({"dtype": "float64"}, "dtype float64: supported"),
        ({"kv_heads": 3}, "8 query heads over 3 KV heads"),
        ({"kv_heads": 0}, "8 query heads over 0 KV heads"),
        ({"window_size": (-2, 0)}, r"window_size is \(-2, 0\)"),
        ({"softcap": -1.0}, "softcap is -1.0"),
        ({"softcap": float("nan")}, "softcap is nan"),
        ({"softmax_scale": float("inf")}, "softmax_scale is inf"),
        ({"q_len": 2**30}, "q_len is 1073741824"),
        ({"batch": -1}, "batch is -1"),
    ],
)
def test_refusals_name_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_prefill(BASE._replace(**change))
