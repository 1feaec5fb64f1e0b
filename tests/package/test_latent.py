"""Latent caches: V is the first columns of K, as in DeepSeek's absorbed attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
    head_dims,
)
from torch import Tensor

PAIRS = ((320, 256), (576, 512))
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def draw(pair: tuple[int, int], queries: int = 1, heads: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, and a cache of 2 entries of 21 rows with what V is of it."""
    torch.manual_seed(pair[0] + queries)
    cache = torch.randn(2, 21, 1, pair[0])
    return torch.randn(2, queries, heads, pair[0]), cache, cache[..., : pair[1]]


def reference(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
    turned = (x.transpose(1, 2) for x in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(*turned, enable_gqa=True, **options)
    return out.transpose(1, 2)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("queries", [1, 19])
def test_a_cache(pair: tuple[int, int], queries: int) -> None:
    q, k, v = draw(pair, queries)
    used = torch.tensor([21, 20], dtype=torch.int32)
    out: Any = flash_attn_with_kvcache(q, k, v, cache_seqlens=used, num_splits=2, causal=True)
    assert out.shape == (2, queries, 3, pair[1])
    for b, length in enumerate(used.tolist()):
        sees = torch.ones(queries, length, dtype=torch.bool).tril(length - queries)
        want = reference(q[b : b + 1], k[b : b + 1, :length], v[b : b + 1, :length], attn_mask=sees)
        torch.testing.assert_close(out[b : b + 1], want, **TOLERANCE)


@pytest.mark.parametrize("pair", PAIRS)
def test_pages(pair: tuple[int, int]) -> None:
    q, k, v = draw(pair)
    pages = torch.full((8, 6, 1, pair[0]), torch.nan)
    table = torch.tensor([[5, 0, 3, 6], [1, 7, 2, 4]], dtype=torch.int32)
    for b, line in enumerate(table.tolist()):
        for i, page in enumerate(line):
            rows = k[b, 6 * i : 6 * i + 6]
            pages[page, : len(rows)] = rows
    given = (q, pages, pages[..., : pair[1]])
    call: Any = flash_attn_with_kvcache
    out = call(*given, cache_seqlens=21, block_table=table)
    torch.testing.assert_close(out, reference(q, k, v), **TOLERANCE)


def test_other_functions() -> None:
    q, k, v = draw((320, 256), queries=5)
    torch.testing.assert_close(flash_attn_func(q, k, v), reference(q, k, v), **TOLERANCE)
    offsets = [torch.tensor([0, n, 2 * n], dtype=torch.int32) for n in (5, 21)]
    rows = k.flatten(0, 1)
    given: Any = (q.flatten(0, 1), rows, rows[..., :256], *offsets, 5, 21)
    out = flash_attn_varlen_func(*given)
    torch.testing.assert_close(out, reference(q, k, v).flatten(0, 1), **TOLERANCE)


def test_compiled_with_the_view_in_the_graph() -> None:
    q, k, _ = draw((576, 512))

    def step(q: Tensor, k: Tensor) -> Any:
        return flash_attn_with_kvcache(q, k, k[..., :512], cache_seqlens=20)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(q, k), step(q, k), rtol=0, atol=0)


def test_no_view_is_refused_or_padded() -> None:
    q, k, v = draw((576, 512))
    with pytest.raises(ValueError, match=r"v_cache is no view of k_cache: .* k_cache\[..., :512\]"):
        flash_attn_with_kvcache(q, k, v.clone())
    with pytest.raises(ValueError, match=r"v is no view of k: .* k\[..., :512\]"):
        flash_attn_func(q, k, k[..., 64:])
    head_dims._warn.cache_clear()
    q, k, v = draw((320, 256))
    with pytest.warns(UserWarning, match="head_dim 320, 256 of v, has no kernels .* head_dim 512"):
        out = flash_attn_with_kvcache(q, k, v.clone())
    torch.testing.assert_close(out, reference(q, k, v), **TOLERANCE)


def test_what_there_is_no_kernel_for() -> None:
    q, k, v = draw((576, 512))
    with pytest.raises(ValueError, match="k is given, and v_cache is a view of k_cache"):
        flash_attn_with_kvcache(q, k, v, k[:, :1], v[:, :1], cache_seqlens=3)
    with pytest.raises(
        ValueError, match="head_dim is 576, 512 of v, and dtype float32: .* dropout"
    ):
        flash_attn_func(q, k, v, dropout_p=0.5)
    out: Any = flash_attn_func(q.requires_grad_(), k, v)
    with pytest.raises(NotImplementedError, match="head_dim 576 has no backward pass"):
        out.sum().backward()
