"""int64 lengths, offsets and pages that int32 does not hold count as the nearest; none wraps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from metal_flash_sdpa import call, flash_attn_varlen_func, flash_attn_with_kvcache
from metal_flash_sdpa.keys import Keys
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PAGE, ROWS = 16, 48
Q, K, V = torch.randn(3, 2, ROWS, 2, 32, generator=torch.Generator().manual_seed(1))
PAGES = torch.tensor([[0, 1, 2], [3, 4, 5]])


def cached(**given: Tensor) -> Any:
    lengths = {"cache_seqlens": torch.tensor([20, 30]), **given}
    return flash_attn_with_kvcache(Q[:, :3], K, V, causal=True, **lengths)


def paged(table: Tensor) -> Any:
    k, v = (cache.reshape(-1, PAGE, 2, 32) for cache in (K, V))
    return flash_attn_with_kvcache(Q[:, :3], k, v, block_table=table)


def packed(**given: Tensor) -> Any:
    whole = torch.tensor([0, ROWS, 2 * ROWS])
    offsets = {"cu_seqlens_q": whole, "cu_seqlens_k": whole, **given}
    q, k, v = (tensor.flatten(0, 1) for tensor in (Q, K, V))
    return flash_attn_varlen_func(q, k, v, **offsets, max_seqlen_q=ROWS, max_seqlen_k=ROWS)


def packed_over_pages(cu_seqlens_k: Tensor) -> Any:
    k, v = (cache.reshape(-1, PAGE, 2, 32) for cache in (K, V))
    cu_q = torch.tensor([0, ROWS, 2 * ROWS])
    q = Q.flatten(0, 1)
    return flash_attn_varlen_func(q, k, v, cu_q, cu_seqlens_k, ROWS, ROWS, block_table=PAGES)


# A call, what it is given, and the nearest that exists.
WIDE: dict[str, tuple[Callable[[Tensor], Any], list[Any], list[Any]]] = {
    "cu_seqlens_q": (lambda t: packed(cu_seqlens_q=t), [-(2**32), 48, 2**31], [0, 48, 96]),
    "cu_seqlens_k": (lambda t: packed(cu_seqlens_k=t), [-(2**31) - 1, 48, 2**32 + 50], [0, 48, 96]),
    "cu_seqlens_k of pages": (packed_over_pages, [0, 2**32 + 5, 2**32 + 8], [0, 48, 51]),
    "cache_seqlens": (lambda t: cached(cache_seqlens=t), [2**31, 2**32 + 1], [48, 48]),
    "cache_batch_idx": (lambda t: cached(cache_batch_idx=t), [2**32, 2**31], [1, 1]),
    "cache_leftpad": (lambda t: cached(cache_leftpad=t), [2**32, -(2**32) + 7], [20, 0]),
    "block_table": (
        paged,
        [[2**32 + 1, 2, 2**63 - 1], [2**31, 4, 2**32]],
        [[5, 2, 5], [5, 4, 5]],
    ),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_integers_count_as_the_nearest(name: str) -> None:
    function, wide, nearest = WIDE[name]
    got, want = function(torch.tensor(wide)), function(torch.tensor(nearest))
    assert torch.equal(got, want)
    assert torch.equal(function(torch.tensor(nearest, dtype=torch.int32)), want)


class Ops(TorchDispatchMode):  # type: ignore[misc]
    """Lists what torch does with tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_int32_costs_nothing_and_int64_does_not_wait() -> None:
    out = torch.empty_like(Q)
    for dtype, most in ((torch.int32, 0), (torch.int64, 4)):
        ends = torch.tensor([20, 30], dtype=dtype)
        table = PAGES.to(dtype)
        k, v = (cache.reshape(-1, PAGE, 2, 32) for cache in (K, V))
        with Ops() as seen:
            call.attend(out, None, Q, k, v, keys=Keys(end=ends, block_table=table))
        names = [name for name in seen.names if "aten" in name and "empty" not in name]
        assert len(names) == most, names
        assert not any("local_scalar" in name for name in seen.names)
