"""What an inf or a NaN in a key or a value does, and that one which no row sees does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from metal_flash_sdpa import flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache
from metal_flash_sdpa._variants import VARIANTS
from torch import Tensor

from verify.arena import offsets

HEADS, KV_HEADS, HEAD_DIM, PAGE = 4, 2, 32, 16
KEYS = 200  # more than a step of decode, and several blocks of prefill
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
STRANGE = (torch.nan, torch.inf, -torch.inf)
Q_LENS = (1, 40)


def draw(*shape: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(dtype)


# Each call has a function from (q_len, k, v) and says which rows of k and v some query sees.
Call = Callable[[Tensor, Tensor, Tensor], Any]


def rows(*ranges: range) -> Tensor:
    seen = torch.zeros(KEYS, dtype=torch.bool)
    for part in ranges:
        seen[part] = True
    return seen


def window(q: Tensor, k: Tensor, v: Tensor) -> Any:
    return flash_attn_func(q, k, v, window_size=(10, 0), return_attn_probs=True)


def packed(q: Tensor, k: Tensor, v: Tensor) -> Any:
    """Sequences of 30 and 50 keys; from row 80 on there is none."""
    queries = torch.cat((q[0], q[0]))
    cu_q = offsets((q.shape[1], q.shape[1]))
    cu_k = offsets((30, 50))
    longest = q.shape[1]
    return flash_attn_varlen_func(
        *(queries, k[0], v[0], cu_q, cu_k, longest, 50), return_attn_probs=True
    )


def cached(q: Tensor, k: Tensor, v: Tensor) -> Any:
    used, padding = torch.tensor([150]), torch.tensor([37])
    return flash_attn_with_kvcache(
        q, k, v, cache_seqlens=used, cache_leftpad=padding, return_softmax_lse=True
    )


def paged(q: Tensor, k: Tensor, v: Tensor) -> Any:
    """Keys in pages 3 and 1, where page 1 is not full."""
    k, v = (x[0, : KEYS // PAGE * PAGE].view(-1, PAGE, KV_HEADS, HEAD_DIM) for x in (k, v))
    table = torch.tensor([[3, 1, 0]], dtype=torch.int32)
    used = torch.tensor([PAGE + 5])
    return flash_attn_with_kvcache(
        q, k, v, cache_seqlens=used, block_table=table, num_splits=2, return_softmax_lse=True
    )


CALLS: dict[str, tuple[Call, Callable[[int], Tensor]]] = {
    "left of a window": (window, lambda q_len: rows(range(KEYS - q_len - 10, KEYS))),
    "in no sequence": (packed, lambda _: rows(range(80))),
    "unused rows of a cache": (cached, lambda _: rows(range(37, 150))),
    "unused pages": (paged, lambda _: rows(range(48, 64), range(16, 21))),
}


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("q_len", Q_LENS)
@pytest.mark.parametrize("name", CALLS)
def test_a_key_that_no_row_sees_does_nothing(
    name: str, q_len: int, dtype: torch.dtype, strange: float
) -> None:
    call, seen_by = CALLS[name]
    q = draw(1, q_len, HEADS, HEAD_DIM, dtype=dtype)
    k, v = (draw(1, KEYS, KV_HEADS, HEAD_DIM + i, dtype=dtype)[..., i:] for i in (0, 1))
    want, want_lse = call(q, k, v)[:2]
    unseen = ~seen_by(q_len)
    k[:, unseen] = v[:, unseen] = strange
    out, lse = call(q, k, v)[:2]
    assert torch.equal(out, want)
    assert torch.equal(lse, want_lse)


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_strange_key_makes_the_rows_that_see_it_nan(dtype: torch.dtype, strange: float) -> None:
    """-inf as well, whatever its sign in the product."""
    q_len, at = 150, KEYS - 30
    q = draw(1, q_len, HEADS, HEAD_DIM, dtype=dtype)
    k, v = (draw(1, KEYS, KV_HEADS, HEAD_DIM + i, dtype=dtype)[..., i:] for i in (0, 1))
    want: Any = flash_attn_func(q, k, v, causal=True)
    k[:, at] = strange
    out: Any = flash_attn_func(q, k, v, causal=True)
    first = at - (KEYS - q_len)  # the row whose own key it is
    assert out[:, first:].isnan().all()
    assert torch.equal(out[:, :first], want[:, :first])


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_strange_value_reaches_the_rows_of_its_tile(dtype: torch.dtype, strange: float) -> None:
    """Its weight is 0 for those that do not see it, and 0 times inf is NaN."""
    q_len, at = 150, KEYS - 30
    q = draw(1, q_len, HEADS, HEAD_DIM, dtype=dtype)
    k, v = (draw(1, KEYS, KV_HEADS, HEAD_DIM + i, dtype=dtype)[..., i:] for i in (0, 1))
    want, want_lse, _ = flash_attn_func(q, k, v, causal=True, return_attn_probs=True)
    v[:, at, :, 3] = strange
    out, lse, _ = flash_attn_func(q, k, v, causal=True, return_attn_probs=True)
    first = at - (KEYS - q_len)
    most_rows = max(tile.block_q for tiles in VARIANTS.values() for tile in tiles)
    assert not out[:, first:, :, 3].isfinite().any()
    reached = ~out[0, :first, :, 3].isfinite().all(-1)
    assert reached.any()  # or else the docstrings are too modest
    assert not reached[: first - most_rows + 1].any()
    out[:, first - most_rows :, :, 3] = want[:, first - most_rows :, :, 3]
    assert torch.equal(out, want)  # neither other columns nor rows further up
    assert torch.equal(lse, want_lse)
