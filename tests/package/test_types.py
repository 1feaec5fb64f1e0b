"""K and V in 16 bits under float32 queries: the same bits as if they were converted before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
)
from torch import Tensor

LOW = pytest.mark.parametrize("low", [torch.float16, torch.bfloat16], ids=str)


def draw(low: torch.dtype, q_len: int, k_len: int = 70, head_dim: int = 32) -> list[Tensor]:
    """A float32 query, and key and value in another dtype."""
    torch.manual_seed(q_len)
    q = torch.randn(2, q_len, 4, head_dim)
    return [q, *(torch.randn(2, k_len, 2, head_dim).to(low) for _ in "kv")]


def widened(tensors: list[Tensor]) -> list[Tensor]:
    return [x.float() for x in tensors]


@LOW
@pytest.mark.parametrize("q_len", [1, 5, 40])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"window_size": (9, 3)}], ids=str)
def test_padded(launched: list[str], low: torch.dtype, q_len: int, options: Any) -> None:
    q, k, v = draw(low, q_len)
    out, lse, _ = flash_attn_func(q, k, v, return_attn_probs=True, **options)
    kind = str(low).removeprefix("torch.")
    assert [name.endswith(kind) for name in launched if name.startswith("decode")] == (
        [True] if q_len < 40 else []
    )
    k, v = k.float(), v.float()
    want, want_lse, _ = flash_attn_func(q, k, v, return_attn_probs=True, **options)
    assert out.dtype == torch.float32
    assert torch.equal(out, want)
    assert torch.equal(lse, want_lse)


@LOW
@pytest.mark.parametrize("dtype", [torch.bool, torch.float16])
def test_with_a_mask_tensor(low: torch.dtype, dtype: torch.dtype) -> None:
    q, k, v = draw(low, 40)
    mask = torch.randn(40, 70) > 0 if dtype == torch.bool else torch.randn(40, 70, dtype=dtype)
    want = flash_attn_func(q, k.float(), v.float(), attn_mask=mask)
    assert torch.equal(flash_attn_func(q, k, v, attn_mask=mask), want)


@LOW
def test_packed(low: torch.dtype) -> None:
    """Prefill and decode in one batch, and into memory that is given."""
    q, k, v = (x.flatten(0, 1) for x in draw(low, 70))
    offsets = torch.tensor([0, 3, 100, 140], dtype=torch.int32)
    lengths = (offsets, offsets, 97, 97)
    want = flash_attn_varlen_func(q, k.float(), v.float(), *lengths, causal=True)
    assert torch.equal(flash_attn_varlen_func(q, k, v, *lengths, causal=True), want)
    out = torch.zeros_like(q)
    flash_attention_varlen(out, q, k, v, *lengths, do_causal=True)
    assert torch.equal(out, want)


@LOW
@pytest.mark.parametrize("paged", [False, True])
@pytest.mark.parametrize("q_len", [2, 20])
def test_a_cache_is_appended_to_in_its_own_dtype(low: torch.dtype, paged: bool, q_len: int) -> None:
    q, k, v = draw(low, q_len, q_len)
    shape = (6, 32, 2, 32) if paged else (2, 96, 2, 32)
    pages = torch.tensor([[4, 0, 2], [1, 5, 3]], dtype=torch.int32) if paged else None
    caches = [torch.randn(shape).to(low) for _ in "kv"]
    wide = widened(caches)
    options: Any = {"cache_seqlens": torch.tensor([40, 7]), "causal": True, "block_table": pages}
    call: Any = flash_attn_with_kvcache
    got, want = call(q, *caches, k, v, **options), call(q, *wide, k.float(), v.float(), **options)
    assert torch.equal(got, want)
    for cache, other in zip(caches, wide):
        assert cache.dtype == low
        assert torch.equal(cache.float(), other)


@LOW
def test_strides_are_read_in_place(low: torch.dtype) -> None:
    q, k, v = draw(low, 40)
    apart = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (k, v)]
    assert torch.equal(flash_attn_func(q, *apart), flash_attn_func(q, k, v))


@pytest.mark.filterwarnings("ignore:head_dim .* has no kernels of its own")
@LOW
def test_a_head_dim_without_kernels(low: torch.dtype) -> None:
    given = draw(low, 40, head_dim=24)
    assert torch.equal(flash_attn_func(*given), flash_attn_func(*widened(given)))


@LOW
def test_compiled_without_a_break(low: torch.dtype) -> None:
    given = draw(low, 5)
    compiled = torch.compile(flash_attn_func, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(*given), flash_attn_func(*given))


@pytest.mark.parametrize("wanted", ["qkv", "q", "k"])
def test_there_is_no_backward_pass(wanted: str) -> None:
    given = draw(torch.float16, 40)
    for name, tensor in zip("qkv", given):
        tensor.requires_grad_(name in wanted)
    out: Any = flash_attn_func(*given)
    with pytest.raises(
        NotImplementedError, match=r"k and v have 16 bits and q has 32.*k.float\(\)"
    ):
        out.sum().backward()
    out = flash_attn_func(*widened(given))
    out.sum().backward()
    assert [x.grad is not None for x in given] == [name in wanted for name in "qkv"]


def new_rows(dtype: torch.dtype, **more: Any) -> dict[str, Any]:
    """What is appended to a float16 cache."""
    return {**{name: torch.zeros(2, 1, 2, 32, dtype=dtype) for name in "kv"}, **more}


ANGLES = {"rotary_cos": torch.zeros(80, 8), "rotary_sin": torch.zeros(80, 8)}


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (new_rows(torch.float32), "k is torch.float32: must be torch.float16"),
        (new_rows(torch.float16, **ANGLES), "rotary_cos is given, k is torch.float16 and q is tor"),
    ],
    ids=["rows of another dtype", "rotary"],
)
def test_what_cannot_be_appended(new: dict[str, Any], message: str) -> None:
    q, k_cache, v_cache = draw(torch.float16, 1)
    with pytest.raises(TypeError, match=message):
        flash_attn_with_kvcache(q, k_cache, v_cache, cache_seqlens=5, **new)
