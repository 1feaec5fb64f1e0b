"""The torch ops: torch.compile, autograd, autocast."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
    ops,
)
from torch import Tensor
from torch._dynamo import config, reset
from torch.library import opcheck

from verify.arena import offsets

SINKS = torch.tensor([0.5, -1.5, 2.0, 0.0])


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Compiled code of no other test, and torch's own deprecation warnings let be."""
    reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    reset()


def draw(q_len: int, k_len: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(q_len * 1000 + k_len)
    shapes = ((2, q_len, 4, 32), (2, k_len, 2, 32), (2, k_len, 2, 32))
    return tuple(torch.randn(shape, generator=generator).to(dtype) for shape in shapes)


def padded(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    result = flash_attn_func(
        q * 2, k, v, causal=True, window_size=(7, 7), s_aux=SINKS, return_attn_probs=True
    )
    return result[0] + 1, result[1]


def packed(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    cu_q = torch.tensor([0, 3, 2 * q.shape[1]], dtype=torch.int32)
    cu_k = torch.tensor([0, 9, 2 * k.shape[1]], dtype=torch.int32)
    result = flash_attn_varlen_func(
        *(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), cu_q, cu_k),
        *(cu_q.diff().max(), cu_k.diff().max()),
        causal=True,
        return_attn_probs=True,
    )
    return result[0], result[1]


def in_place(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    lengths_q = torch.tensor([0, 3, q.shape[1]], dtype=torch.int32)
    lengths_k = torch.tensor([0, 9, k.shape[1]], dtype=torch.int32)
    out = torch.zeros_like(q[0])
    before = out + 1
    flash_attention_varlen(out, q[0], k[0], v[0], lengths_q, lengths_k, q.shape[1], k.shape[1])
    return before, out * 2


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("function", [padded, packed, in_place])
def test_compiles_without_a_break_and_once_for_all_lengths(
    function: Callable[..., tuple[Tensor, Tensor]], dynamic: bool | None
) -> None:
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for lengths in ((20, 25), (30, 35)):  # the second makes the lengths dynamic
        compiled(*draw(*lengths))
    with config.patch(error_on_recompile=True):
        for lengths in ((31, 36), (70, 41), (7, 90)):
            arguments = draw(*lengths)
            for got, want in zip(compiled(*arguments), function(*arguments), strict=True):
                assert torch.equal(got, want)


def test_one_compilation_serves_all_batches_and_windows() -> None:
    def function(q: Tensor, cu_seqlens: Tensor, window: int) -> Any:
        length = q.shape[0]
        return flash_attn_varlen_func(
            q, q, q, cu_seqlens, cu_seqlens, length, length, window_size=(window, -1)
        )

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=True)
    for batch, length, window in ((2, 9, 4), (5, 7, 3), (3, 30, 30)):
        arguments = (torch.randn(batch * length, 4, 32), offsets((length,) * batch), window)
        with config.patch(error_on_recompile=batch != 2):
            assert torch.equal(compiled(*arguments), function(*arguments))


def test_compiles_with_inductor() -> None:
    compiled = torch.compile(lambda q, k, v: flash_attn_func(q, k, v), fullgraph=True)
    arguments = draw(20, 25)
    assert torch.equal(compiled(*arguments), flash_attn_func(*arguments))


@pytest.mark.parametrize("with_sinks", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_opcheck(dtype: torch.dtype, with_sinks: bool) -> None:
    sinks = SINKS if with_sinks else None
    q, k, v = draw(20, 25, dtype)
    transposed = q.transpose(1, 2).contiguous().transpose(1, 2)
    for query, return_lse in ((q, True), (transposed, True), (q, False)):
        options = (None, None, sinks, None, None, True, 7, 7, 0.0, 0, None, 0.0, None, None)
        opcheck(ops.forward, (query, k, v, return_lse, *options))
    q, k, v = (t.flatten(0, 1) for t in (q, k, v))
    cu_q, cu_k = offsets((11, 29)), offsets((20, 30))
    slopes = torch.rand(2, 4)
    numbers = (0.3, False, -1, -1, 5.0, 29, None, 0.0, None, None)
    opcheck(ops.forward, (q, k, v, True, cu_q, cu_k, sinks, slopes, *numbers))
    for out in (torch.empty_like(q), torch.empty(32, 4, 40, dtype=dtype).permute(2, 1, 0)):
        arguments = (out, q, k, v, cu_q, cu_k, sinks, None, True, 7, 7, 0.0, 29)
        opcheck(ops.forward_into, arguments)


def test_in_place_with_gradients_on() -> None:
    q, k, v = draw(20, 25)
    want = in_place(q, k, v)[1]
    assert torch.equal(in_place(q.requires_grad_(), k, v)[1], want)


def test_inference_mode() -> None:
    tensors = draw(20, 25)
    with torch.inference_mode():
        inside = flash_attn_func(*tensors)
    assert torch.equal(inside, flash_attn_func(*tensors))


def test_autocast_brings_a_low_query_and_wide_sinks() -> None:
    layer = torch.nn.Linear(32, 32)
    x, k, v = draw(20, 25)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        q, k, v = layer(x), layer(k), layer(v)
        assert q.dtype == torch.bfloat16
        out: Any = flash_attn_func(q, k, v, s_aux=SINKS)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, flash_attn_func(q, k, v, s_aux=SINKS))


LOW = torch.bfloat16
DTYPES = [(LOW, torch.float32), (torch.float32, LOW), (torch.float32, torch.float32), (LOW, LOW)]


def with_cache(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """The cache is bfloat16, whatever comes in."""
    k_cache, v_cache = (torch.zeros(2, 64, 2, 32, dtype=LOW) for _ in "kv")
    angles = torch.arange(64 * 8).view(64, 8) / 100.0
    out = flash_attn_with_kvcache(
        q, k_cache, v_cache, k, v, angles.cos(), angles.sin(), cache_seqlens=3
    )
    assert isinstance(out, Tensor)
    return out, k_cache, v_cache


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("of_query", "of_others"), DTYPES)
@pytest.mark.parametrize("function", [padded, packed, with_cache])
def test_autocast_casts_as_for_torch_s_own_attention(
    function: Callable[..., tuple[Tensor, ...]],
    of_query: torch.dtype,
    of_others: torch.dtype,
    compiled: bool,
) -> None:
    tensors = draw(20, 25)
    q, k, v = (x.to(of) for x, of in zip(tensors, (of_query, LOW, of_others)))
    call = torch.compile(function, backend="aot_eager", fullgraph=True) if compiled else function
    with torch.autocast("cpu", LOW):
        got = call(q, k, v)
        heads_first = [x.transpose(1, 2) for x in (q, k, v)]
        own = torch.nn.functional.scaled_dot_product_attention(*heads_first, enable_gqa=True)
    assert got[0].dtype == own.dtype == LOW
    angles = torch.autocast("cpu", LOW) if function is with_cache else nullcontext()
    with angles:
        want = function(*(x.to(LOW) for x in (q, k, v)))
    for a, b in zip(got, want, strict=True):
        assert torch.equal(a, b)
    # Without autocast K and V must agree.  They may have 16 bits under float32 queries, but no
    # angles then.
    if of_others != LOW or (of_query != LOW and function is with_cache):
        with pytest.raises(TypeError, match=r"is torch\.(bfloat16|float32)"):
            function(q, k, v)


def test_autocast_leaves_memory_that_is_written_as_it_is() -> None:
    q, k, v = draw(20, 25)
    k_cache, v_cache = (torch.zeros(2, 64, 2, 32) for _ in "kv")
    out = torch.empty(2, 20, 4, 32)
    cu_q, cu_k = (torch.tensor([0, n], dtype=torch.int32) for n in (20, 25))
    with torch.autocast("cpu", LOW):
        low = q.to(LOW)
        new_k = k.to(LOW)
        result: Any = flash_attn_with_kvcache(low, k_cache, v_cache, new_k, v, cache_seqlens=0)
        flash_attention_varlen(out[0], low[0], k[0], v[0].to(LOW), cu_q, cu_k, 20, 25)
    assert result.dtype == torch.float32
    assert torch.equal(k_cache[:, :25], new_k.float())
    assert torch.equal(v_cache[:, :25], v)
    want: Any = flash_attn_func(low[:1].float(), k[:1], v[:1].to(LOW).float())
    assert torch.equal(out[:1], want)


def test_autocast_of_another_device_and_of_float64_changes_nothing() -> None:
    q, k, v = draw(20, 25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # where there is no such device
        elsewhere = torch.autocast("cuda", LOW)
    with elsewhere:
        out: Any = flash_attn_func(q, k, v)
    assert out.dtype == torch.float32
    with torch.autocast("cpu", LOW), pytest.raises(TypeError, match=r"q is torch\.float64"):
        flash_attn_func(q.double(), k, v)
    with torch.autocast("cpu", LOW):
        meta: Any = flash_attn_func(*(x.to("meta") for x in (q, k, v)))
    assert meta.dtype == torch.float32


def test_fake_tensors_give_shapes_on_any_device() -> None:
    q, k, v = (t.to("meta") for t in draw(20, 25))
    out, lse, _ = flash_attn_func(q, k, v, return_attn_probs=True)
    assert (out.shape, lse.shape, lse.dtype) == (q.shape, (2, 4, 20), torch.float32)
