"""Which variant a request picks, and what it is launched with."""

from __future__ import annotations

import re
import struct
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from metal_flash_sdpa._variants import KV_TYPES, SIGNATURES, VARIANTS, Key
from metal_flash_sdpa.catalogue import Catalogue
from metal_flash_sdpa.plan import (
    DECODE_QUERIES,
    UNBOUNDED,
    Append,
    Backward,
    LaunchPlan,
    Request,
    Scratch,
    band,
    lse_shape,
    plan,
    plan_append,
    plan_backward,
    plan_decode,
    plan_prefill,
)
from metal_flash_sdpa.splits import MOST_SPLITS, Gpu, choose

from verify.variants import MASKED, Variant, attention_variants, backward_variants

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


def ints(step: LaunchPlan, family: str = "prefill") -> dict[str, int]:
    """A launch's int32 array, read as the shader's struct reads it."""
    fields = SIGNATURES[family].ints
    data = struct.pack(f"<{len(step.ints)}i", *step.ints)
    values = struct.unpack_from("<" + "".join(code for _, code in fields), data)
    return {name: value for (name, _), value in zip(fields, values)}


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


@pytest.mark.parametrize("variant", attention_variants(), ids=lambda v: v.name)
def test_every_variant_is_picked_by_its_own_request(variant: Variant) -> None:
    windows = {"full": (-1, -1), "causal": (-1, 0), "window": (4, 4)}
    for mask, sinks in product(windows, (False, True)):
        if variant.mask in windows and (mask, sinks) != (variant.mask, variant.sinks):
            continue
        request = BASE._replace(
            dtype=variant.dtype,
            head_dim=variant.head_dim,
            head_dim_v=variant.head_dim_v,
            window_size=windows[mask],
            has_sinks=sinks,
            has_dropout=variant.dropout,
            kv_dtype=variant.kv_dtype,
            mask_type=int(variant.mask == MASKED),
        )
        if variant.family == "prefill":
            *_, step = plan_prefill(request).launches
        else:
            step = plan_decode(request, rows=variant.block_q).launches[0]
            assert ints(step, "decode")["has_sinks"] == sinks
        assert (step.kernel, step.file) == (variant.name, variant.file)
        assert step.threads == variant.threads
        assert step.buffers == SIGNATURES[variant.family].buffers


def test_every_backward_variant_is_picked_by_its_own_request() -> None:
    windows = {"full": (-1, -1), "causal": (-1, 0), "window": (4, 4)}
    strides = (1, 1, 1)
    picked = set()
    for variant in backward_variants():
        for mask in [variant.mask] if variant.mask in windows else windows:
            request = BASE._replace(
                dtype=variant.dtype,
                head_dim=variant.head_dim,
                head_dim_v=variant.head_dim_v,
                window_size=windows[mask],
                has_dropout=variant.dropout,
                mask_type=int(variant.mask == MASKED),
            )
            of_mask = (1, 1, 1, 1) if variant.mask == MASKED else ()
            asked = Backward(strides, strides, strides, strides, mask_shape=of_mask)
            steps = plan_backward(request, asked).launches
            assert variant.name in [step.kernel for step in steps]
            picked |= {step.kernel for step in steps} - {"mask_blocks"}
    assert picked == {variant.name for variant in backward_variants()}


def test_what_a_call_may_lack_has_a_dtype() -> None:
    """The launchers know of it from the plan alone; rotated queries are like the call's own."""
    (step,) = plan_append(BASE._replace(dtype="bfloat16"), Append((0, 0, 0), (0, 0, 0))).launches
    assert dict(step.optional) == {
        "q": "bfloat16",
        "rotary_cos": "bfloat16",
        "rotary_sin": "bfloat16",
        "rotated_q": "bfloat16",
        "k_end": "int32",
        "block_table": "int32",
    }


def test_keys_and_values_may_have_a_dtype_of_their_own() -> None:
    """Prefill learns it, decode has kernels for it, and a cache is appended to in it."""
    request = BASE._replace(dtype="float32", kv_dtype="bfloat16")
    (step,) = plan_prefill(request).launches
    (own,) = plan_prefill(request._replace(kv_dtype="")).launches
    assert step.kernel == own.kernel
    assert (ints(step)["kv_type"], ints(own)["kv_type"]) == (KV_TYPES["bfloat16"], 0)
    assert plan_decode(request).launches[0].kernel.endswith("_bfloat16")
    (step,) = plan_append(request, Append((0, 0, 0), (0, 0, 0))).launches
    assert step.kernel == "append_bfloat16_d64"


def test_another_catalogue_has_other_kernels() -> None:
    only = {key: tiles for key, tiles in VARIANTS.items() if key[1] == (32, 32)}
    catalogue = Catalogue(only, (Path("nowhere"),))
    assert catalogue.head_dims == (32,)
    assert plan(BASE._replace(head_dim=32), catalogue) == plan(BASE._replace(head_dim=32))
    with pytest.raises(ValueError, match=r"head_dim is 64 .* supported are head dims \[32\]"):
        plan(BASE, catalogue)
    with pytest.raises(FileNotFoundError, match=r"append_float16_d32\.metal is neither in nowhere"):
        catalogue.path("append_float16_d32.metal")


def test_padded_grid_and_arguments() -> None:
    (step,) = plan_prefill(BASE).launches
    block_q = VARIANTS[Key("prefill", (64, 64), "float16", "full")][0].block_q
    assert step.threadgroups == (-(-100 // block_q), 8, 3)
    assert step.floats == (0.125, 0.0, 1.0)
    values = ints(step)
    assert values["k_batch_stride"] == 2**33 + 5
    assert (values["q_len"], values["k_len"]) == (100, 70)
    assert (values["packed"], values["heads_per_kv_head"]) == (0, 4)
    assert (values["lse_batch_stride"], values["lse_head_stride"]) == (800, 100)
    assert len(step.ints) % 2 == 0  # the struct's 64-bit members align it to 8 bytes


def test_alibi_needs_no_variant_of_its_own() -> None:
    (plan,) = plan_prefill(BASE._replace(alibi_strides=(8, 1))).launches
    (without,) = plan_prefill(BASE).launches
    assert (plan.kernel, plan.buffers) == (without.kernel, without.buffers)
    names = ("alibi_batch_stride", "alibi_head_stride")
    assert [ints(plan)[name] for name in names] == [8, 1]
    assert [ints(without)[name] for name in names] == [0, 0]


def test_packed_grid_has_one_spare_tile_per_sequence() -> None:
    (step,) = plan_prefill(BASE._replace(packed=True, q_len=1000)).launches
    block_q = VARIANTS[Key("prefill", (64, 64), "float16", "full")][0].block_q
    assert step.threadgroups == (1000 // block_q + 3, 8, 1)
    assert ints(step)["lse_batch_stride"] == 0


def test_nothing_to_do_is_an_empty_grid() -> None:
    for packed in (False, True):
        (step,) = plan_prefill(BASE._replace(q_len=0, packed=packed)).launches
        assert step.threadgroups[0] == 0


def kernels(request: Request) -> list[str]:
    """The families of the kernels that a request's plan launches."""
    return [step.kernel.split("_")[0] for step in plan(request).launches]


def test_each_sequence_gets_the_kernel_that_suits_it() -> None:
    few = BASE._replace(q_len=DECODE_QUERIES, num_splits=1)
    assert kernels(few) == ["decode"]
    assert kernels(few._replace(q_len=DECODE_QUERIES + 1)) == ["prefill"]
    packed = BASE._replace(packed=True, q_len=300, num_splits=1)
    assert kernels(packed) == ["prefill", "decode"]
    assert kernels(packed._replace(max_q_len=DECODE_QUERIES)) == ["decode"]
    assert kernels(packed._replace(max_q_len=DECODE_QUERIES, num_splits=3)) == ["decode", "combine"]
    assert kernels(packed._replace(batch=1)) == ["prefill"]
    assert kernels(packed._replace(q_len=3)) == ["decode"]


def test_prefill_and_decode_share_out_a_packed_batch() -> None:
    prefill, decode = plan(BASE._replace(packed=True, q_len=300, num_splits=1)).launches
    least = ints(prefill, "prefill")["least_queries"]
    assert least == ints(decode, "decode")["most_queries"] + 1 == DECODE_QUERIES + 1
    (alone,) = plan_prefill(BASE).launches
    assert ints(alone)["least_queries"] == 0


def test_partial_results_have_room() -> None:
    request = BASE._replace(q_len=3, k_len=5000, num_splits=7)
    decode, combine = (step.threadgroups for step in plan(request).launches)
    assert decode == (7, 2, 3)  # the 3 x 4 rows of each KV head are one tile
    assert combine == (8, 3, 3)
    shape = (7, 3, 3, 8)
    wanted = (Scratch("partial_out", (*shape, 64)), Scratch("partial_lse", shape))
    assert plan(request).workspace == wanted


@pytest.mark.parametrize(
    ("change", "splits"),
    [
        ({"k_len": 100}, 1),  # less than two steps of 128 keys
        ({"k_len": 512}, 2),
        ({"k_len": 100_000}, 11),  # 64 threadgroups on 16 cores, 6 of them without splits
        ({"k_len": 100_000, "gpu": Gpu("M1", 16)}, 11),
        ({"k_len": 100_000, "gpu": Gpu("M3", 16)}, 16),  # 96 threadgroups
        ({"k_len": 100_000, "gpu": Gpu("M9", 40)}, 27),  # unknown: as the least
        ({"k_len": 100_000, "gpu": Gpu("M1", 1000)}, 61),  # 782 steps: 13 for each split
        ({"k_len": 100_000, "batch": 64}, 1),
        ({"k_len": 100_000, "window_size": (255, 0)}, 1),  # 256 keys are seen
        ({"k_len": 100_000, "num_splits": 5}, 5),
    ],
)
def test_splits_keep_the_cores_busy(change: dict[str, Any], splits: int) -> None:
    request = BASE._replace(q_len=1, **change)
    assert plan(request).launches[0].threadgroups[0] == splits


def test_splits_are_worth_their_partial_results() -> None:
    """16 rows take what 24 keys do for each split, and there are 2 threadgroups for 1000 cores."""
    request = BASE._replace(batch=1, q_len=4, k_len=8192, gpu=Gpu("M1", 1000))
    assert plan(request).launches[0].threadgroups[0] == 8192 // (16 * 32)
    one_row = request._replace(q_len=1, kv_heads=8)
    assert plan(one_row).launches[0].threadgroups[0] == 8192 // (2 * 128)


@pytest.mark.parametrize("keys", [0, 1, 127, 300, 1000, 8192, 100_000])
def test_no_split_is_empty(keys: int) -> None:
    for cores in range(1, 100, 7):
        splits = choose(Gpu("M2", cores), keys, step=128, rows=4, simdgroups=4, threadgroups=3)
        steps = -(-keys // 128)
        assert 1 <= splits <= MOST_SPLITS
        assert (splits - 1) * -(-steps // splits) < max(steps, 1)


def tile_rows(request: Request) -> int:
    """Query rows of the tile that a request is decoded with."""
    decode = next(s for s in plan(request).launches if s.kernel.startswith("decode"))
    return int(re.search(r"_q(\d+)k", decode.kernel)[1])  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"q_len": 1}, 8),  # 4 heads share a KV head
        ({"q_len": 2}, 8),
        ({"q_len": 3}, 16),
        ({"q_len": 16}, 16),
        ({"q_len": 1, "heads": 18}, 16),
        ({"q_len": 16, "kv_heads": 8}, 16),
        ({"q_len": 3, "head_dim": 256}, 8),  # has no other
        ({"packed": True, "q_len": 300, "max_q_len": 2}, 8),
        ({"packed": True, "q_len": 300, "max_q_len": 3}, 16),
        # Mixed with prefill, where one query per sequence is the rule.
        ({"packed": True, "q_len": 300}, 8),
        ({"packed": True, "q_len": 300, "max_q_len": 100, "kv_heads": 1}, 8),
        ({"packed": True, "q_len": 300, "heads": 18}, 16),
    ],
)
def test_the_smallest_tile_that_holds_a_groups_rows(change: dict[str, Any], rows: int) -> None:
    assert tile_rows(BASE._replace(**change)) == rows


def test_lse_shape() -> None:
    assert lse_shape((3, 100, 8, 64)) == (3, 8, 100)
    assert lse_shape((100, 8, 64)) == (8, 100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_dim": 24}, r"head_dim is 24 .*\[32, 40, 48, .*256, 512\]"),
        ({"dtype": "float64"}, "dtype float64: supported"),
        ({"q_len": 2**30}, "q_len is 1073741824"),
        ({"batch": -1}, "batch is -1"),
    ],
)
def test_refusals_name_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_prefill(BASE._replace(**change))
