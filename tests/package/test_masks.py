"""Mask tensors: what callers give, what is refused, what is skipped, what a look at them costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from metal_flash_sdpa import call, flash_attn_func, flash_attn_with_kvcache, launchers, ops
from metal_flash_sdpa._variants import MASK_TYPES
from metal_flash_sdpa.call import Options
from metal_flash_sdpa.catalogue import Catalogue
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import LaunchPlan, Scratch, plan
from torch import Tensor
from torch.nn.attention.flex_attention import create_mask
from torch.nn.functional import scaled_dot_product_attention

from tests.package.test_plan import BASE
from verify import reference
from verify.masks import bias_of
from verify.run import compare_lse

BATCH, HEADS, KV_HEADS, HEAD_DIM = 2, 4, 2, 32


def draw(q_len: int, k_len: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(q_len + k_len)
    shapes = ((q_len, HEADS), (k_len, KV_HEADS), (k_len, KV_HEADS))
    return tuple(
        torch.randn(BATCH, rows, heads, HEAD_DIM, generator=generator).to(dtype)
        for rows, heads in shapes
    )


def assert_attention(
    got: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, **options: Any
) -> None:
    """Each sequence against float64."""
    of = reference.Options(HEAD_DIM**-0.5, **options)
    bias = bias_of(mask, (q.shape[0], q.shape[2], q.shape[1], k.shape[1]))
    for out, own_lse, q_rows, k_rows, v_rows, own in zip(got, lse, q, k, v, bias):
        given = (q_rows, k_rows, v_rows, of, None)
        want, want_lse = reference.attention(*given, dtype=torch.float64, bias=own)
        error = reference.compare(out, want, reference.plain_attention(*given, bias=own), q.dtype)
        assert error.ok, error
        allowed = reference.lse_tolerance(q_rows, k_rows, of, want_lse, bias=own)
        assert compare_lse(own_lse, want_lse, allowed).ok


SHAPES = [(), (1,), ("k",), ("q", "k"), ("q", 1), (HEADS, 1, "k"), (1, "q", "k")]
SHAPES += [(BATCH, 1, 1, "k"), (BATCH, HEADS, "q", "k"), (BATCH, HEADS, 1, 1), (1, 1, "q", "k")]


@pytest.mark.parametrize("q_len", [40, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_broadcasts(shape: tuple[Any, ...], q_len: int) -> None:
    """As torch broadcasts, with fewer axes, too; by prefill and by decode."""
    q, k, v = draw(q_len, 50)
    mask = torch.randn([{"q": q_len, "k": 50}.get(n, n) for n in shape])
    out, lse, _ = flash_attn_func(q, k, v, causal=True, return_attn_probs=True, attn_mask=mask)
    assert_attention(out, lse, q, k, v, mask, causal=True)


def test_as_torchs_own_attention() -> None:
    q, k, v = draw(40, 50)
    mask = torch.rand(BATCH, 1, 40, 50) < 0.5
    mask |= torch.arange(50) == 0
    want = scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (q, k, v)), attn_mask=mask, enable_gqa=True
    )
    out: Any = flash_attn_func(q, k, v, attn_mask=mask)
    torch.testing.assert_close(out, want.transpose(1, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("q_len", [40, 1])
def test_a_bias_below_what_float32_holds_of_logits_hides_its_key(q_len: int) -> None:
    """So does the lowest value of another dtype, which transformers may write into a float32."""
    q, k, v = draw(q_len, 50)
    hidden = torch.rand(q_len, 50) < 0.5
    hidden[:, 0] = False
    bias = torch.zeros(q_len, 50).masked_fill(hidden, -math.inf)
    for lowest in (-6.9e37, torch.finfo(torch.bfloat16).min, torch.finfo(torch.float32).min):
        low = bias.masked_fill(hidden, lowest)
        out, lse, _ = flash_attn_func(q, k, v, return_attn_probs=True, attn_mask=low)
        assert_attention(out, lse, q, k, v, bias)


@pytest.mark.parametrize("q_len", [20, 1])
def test_what_is_no_number_shows_where_its_key_is_seen(q_len: int) -> None:
    q, k, v = draw(q_len, 30)
    for value in (math.nan, -math.nan, math.inf):
        mask = torch.zeros(q_len, 30, dtype=torch.float16)
        mask[-1, 5] = value
        out: Any = flash_attn_func(q, k, v, attn_mask=mask)
        assert out[:, -1].isnan().all()
        assert out[:, :-1].isfinite().all()
        out = flash_attn_func(q, k, v, attn_mask=mask, window_size=(3, -1))  # key 5 is not seen
        assert out.isfinite().all()


def test_without_keys_or_queries() -> None:
    q, k, v = draw(20, 30)
    mask = torch.ones(20, 30, dtype=torch.bool)
    out: Any = flash_attn_func(q, k[:, :0], v[:, :0], attn_mask=mask[:, :0])
    assert (out == 0).all()
    out = flash_attn_func(q[:, :0], k, v, attn_mask=mask[:0])
    assert out.shape == (BATCH, 0, HEADS, HEAD_DIM)


@pytest.mark.parametrize("q_len", [20, 2])
@pytest.mark.parametrize("paged", [False, True])
def test_over_a_cache(q_len: int, paged: bool) -> None:
    """Column j is key j of a sequence, whatever its length and where its keys begin."""
    rows, leftpad = 64, torch.tensor([0, 3])
    used = torch.tensor([30, 41])
    q, k, v = draw(q_len, rows)
    _, new_k, new_v = draw(q_len, q_len)
    mask = torch.rand(BATCH, HEADS, q_len, rows) < 0.7
    options: dict[str, Any] = {"cache_seqlens": used, "cache_leftpad": leftpad, "causal": True}
    whole_k, whole_v = k.clone(), v.clone()
    if paged:
        k, v = (x.view(BATCH * 4, 16, KV_HEADS, HEAD_DIM) for x in (k, v))
        options["block_table"] = torch.arange(BATCH * 4).view(BATCH, 4)
    out, lse = flash_attn_with_kvcache(
        q, k, v, new_k, new_v, return_softmax_lse=True, attn_mask=mask, **options
    )
    for b in range(BATCH):
        begin, end = int(leftpad[b]), int(used[b]) + q_len
        whole_k[b, end - q_len : end], whole_v[b, end - q_len : end] = new_k[b], new_v[b]
        own_k, own_v = (x[b : b + 1, begin:end] for x in (whole_k, whole_v))
        seen = mask[b : b + 1, ..., : end - begin]
        assert_attention(
            out[b : b + 1], lse[b : b + 1], q[b : b + 1], own_k, own_v, seen, causal=True
        )


@contextmanager
def launching(launch: Callable[[LaunchPlan, dict[str, Tensor]], Any]) -> Iterator[None]:
    """Calls have each of their launches done by `launch`."""

    def prepare(step: LaunchPlan, _: Catalogue) -> Callable[[Sequence[Tensor]], Any]:
        return lambda buffers: launch(step, dict(zip(step.buffers, buffers, strict=True)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launchers, "chosen", lambda _: Mock(prepare=prepare))
        yield


def test_it_is_read_in_place() -> None:
    bound = []

    def recorded(_: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        bound.append(tensors["attn_mask"].data_ptr())

    q, k, v = draw(20, 30)
    out = torch.empty_like(q)
    whole = torch.zeros(BATCH, 30, HEADS, 41, dtype=torch.bfloat16)
    masks = [whole[:, 5:25, :, 3:33].transpose(1, 2), whole[:1, 5:25, 1, 3:33]]
    masks.append(masks[1].expand(HEADS, 20, 30))
    for mask in masks:
        with launching(recorded):
            call.attend(out, None, q, k, v, Options(attn_mask=mask))
        assert bound[-1] == mask.data_ptr()


MASKS = {
    "diagonal blocks": lambda b, h, i, j: i // 40 == j // 40,
    "prefix": lambda b, h, i, j: (j <= i) | (j < 70),
    "by head": lambda b, h, i, j: (i + h) % 130 < j,
    "padding": lambda b, h, i, j: j < 100 - 90 * b,
}


@pytest.mark.parametrize("name", MASKS)
def test_skipping_changes_no_bit(name: str) -> None:
    """Blocks in which nothing is seen, looked at element by element instead."""
    q, k, v = draw(150, 170, torch.float16)
    mask = create_mask(MASKS[name], BATCH, HEADS, 150, 170, device="cpu")
    results = []
    for skips in (True, False):

        def launch(step: LaunchPlan, tensors: dict[str, Tensor], on: bool = skips) -> None:
            launcher.launch(step, tensors)
            if step.kernel == "mask_blocks":
                states = tensors["mask_states"]
                assert (states == 0).any()
                if not on:
                    states[states == 0] = 2

        out, lse = torch.empty_like(q), torch.empty(BATCH, HEADS, 150)
        with launching(launch):
            call.attend(out, lse, q, k, v, Options(attn_mask=mask, softcap=9.0))
        results.append((out, lse))
    (out, lse), (all_out, all_lse) = results
    assert torch.equal(out, all_out)
    assert torch.equal(lse, all_lse)


def counted(options: Options, length: int = 256) -> dict[str, Any]:
    """What the launches of a call count, by kernel without its tile."""
    q, k, v = draw(length, length, torch.float16)
    found = {}

    def launch(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        family = "mask_blocks" if step.kernel == "mask_blocks" else "attention"
        found[family] = launcher.launch(step, tensors, count=True).counts

    with launching(launch):
        call.attend(torch.empty_like(q), None, q, k, v, options)
    return found


def test_a_mask_costs_what_it_lets_through() -> None:
    """Matrix products of a causal mask as a tensor, and of diagonal blocks of 64 in 256 keys."""
    i, j = torch.arange(256)[:, None], torch.arange(256)
    by_position = counted(Options(causal=True))["attention"].total("products.")
    assert by_position
    for mask in (j <= i, torch.zeros(256, 256).masked_fill(j > i, -math.inf)):
        as_tensor = counted(Options(attn_mask=mask))["attention"].total("products.")
        assert as_tensor == by_position
    every = counted(Options())["attention"].total("products.")
    blocks = counted(Options(attn_mask=i // 64 == j // 64))["attention"].total("products.")
    assert blocks * 4 == every


def test_a_look_at_a_bias_reads_little_of_it() -> None:
    """A mask that is the same for all queries is read once, and a bias hardly."""
    bias = torch.randn(BATCH, HEADS, 256, 256)
    looked = counted(Options(attn_mask=bias))["mask_blocks"]
    own = looked["device.bytes_read"] + looked["device.bytes_written"]
    assert 0 < own <= 0.02 * bias.numel() * bias.element_size()
    padding = torch.ones(BATCH, 1, 1, 256, dtype=torch.bool)
    looked = counted(Options(attn_mask=padding))["mask_blocks"]
    blocks = BATCH * 256 // 32
    assert looked["device.bytes_read"] == padding.numel() + blocks  # one more in each block
    assert looked["device.bytes_written"] == blocks


def test_the_workspace_is_one_byte_for_each_block() -> None:
    """A mask that is the same for all sequences, heads and queries has one row of them."""
    size = torch.float32.itemsize
    request = BASE._replace(q_len=1000, k_len=3000, mask_type=MASK_TYPES["float32"])
    made = plan(request._replace(mask_strides=(0, 0, 0, size)))
    assert [step.kernel.split("_")[0] for step in made.launches] == ["mask", "prefill"]
    blocks = -(-3000 // 32)
    assert made.workspace == (Scratch("mask_states", (1, 1, 1, blocks), "uint8"),)
    of_heads = plan(request._replace(mask_strides=(0, 3000000 * size, 3000 * size, size)))
    tiles = -(-1000 // 64)
    assert of_heads.workspace[0].shape == (1, request.heads, tiles, blocks)


def test_compiles_without_a_break() -> None:
    def function(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        out = flash_attn_func(q, k, v, attn_mask=mask)
        step = flash_attn_with_kvcache(q[:, :1], k, v, attn_mask=mask[..., :1, :])
        assert isinstance(out, Tensor)
        assert isinstance(step, Tensor)
        return out + step

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    q, k, v = draw(20, 30)
    mask = torch.rand(BATCH, 1, 20, 30) < 0.5
    assert torch.equal(compiled(q, k, v, mask), function(q, k, v, mask))


def test_opcheck() -> None:
    q, k, v = draw(20, 30)
    mask = torch.randn(HEADS, 20, 30)
    numbers = (None, None, None, True, -1, -1, 0.0)
    forward = (q, k, v, True, None, None, *numbers, 0, None, 0.0, None, mask)
    torch.library.opcheck(ops.forward, forward)
    cached = (q, k, v, True, None, None, None, None, None, 0, *numbers, 0, mask)
    torch.library.opcheck(ops.forward_cached, cached)


WRONG = [
    ([1.0], TypeError, "attn_mask is a list: must be a torch.Tensor"),
    (torch.ones(20, 30, dtype=torch.int64), TypeError, "is torch.int64: .*attn_mask.bool()"),
    (torch.ones(20, 30, dtype=torch.float64), TypeError, "is torch.float64: must be torch.bool"),
    (torch.ones(20, 30, device="meta"), ValueError, "is on meta and the query on cpu"),
    (torch.ones(20, 31), ValueError, r"\(20, 31\): must broadcast .*here \(2, 4, 20, 30\)"),
    (torch.ones(1, BATCH, 1, 20, 30), ValueError, "must broadcast to"),
    (torch.ones(BATCH, KV_HEADS, 20, 30), ValueError, r"here \(2, 4, 20, 30\)"),
    (torch.ones(BATCH, 30, dtype=torch.bool), ValueError, r"give attn_mask\[:, None, None, :\]"),
    (torch.ones(BATCH, 20, 30, dtype=torch.bool), ValueError, r"give attn_mask\[:, None\]"),
]


@pytest.mark.parametrize(("mask", "error", "message"), WRONG)
def test_wrong_masks(mask: Any, error: type[Exception], message: str) -> None:
    q, k, v = draw(20, 30)
    for function in (flash_attn_func, flash_attn_with_kvcache):
        with pytest.raises(error, match=message):
            function(q, k, v, attn_mask=mask)
