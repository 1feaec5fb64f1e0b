"""Numbers that a compiled graph knows only when it runs: none is guarded on, each is checked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
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
from torch._dynamo import config

from verify.arena import offsets

Q, K, V = torch.randn(3, 20, 4, 32, generator=torch.Generator().manual_seed(1))
CU = offsets((12, 8))
NEW = torch.ones(1, 2, 4, 32)


@pytest.fixture(autouse=True)
def scalars() -> Iterator[None]:
    """Compiled code of no other test; `.item()` is part of a graph."""
    torch._dynamo.reset()
    with warnings.catch_warnings(), config.patch(capture_scalar_outputs=True):
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    torch._dynamo.reset()


def number(n: Tensor) -> Any:
    """Of a computed tensor: of an input, torch takes the first call's number for granted."""
    return n.add(0).item()


def window(n: Tensor) -> Any:
    return flash_attn_func(Q[None], K[None], V[None], window_size=(number(n), 0))


def most_queries(n: Tensor) -> Any:
    return flash_attn_varlen_func(Q, K, V, CU, CU, number(n), 20)


def most_keys(n: Tensor) -> Any:
    return flash_attn_varlen_func(Q, K, V, CU, CU, 20, number(n))


def into(n: Tensor) -> Any:
    out = torch.zeros_like(Q)
    flash_attention_varlen(out, Q, K, V, CU, CU, number(n), number(n))
    return out


def used(n: Tensor) -> Any:
    return flash_attn_with_kvcache(Q[None, :3], K[None], V[None], cache_seqlens=number(n))


def appended(n: Tensor) -> Any:
    k, v = K[None].clone(), V[None].clone()
    return flash_attn_with_kvcache(Q[None, :2], k, v, NEW, NEW, cache_seqlens=number(n)), k, v


def splits(n: Tensor) -> Any:
    k, v = K[None].clone(), V[None].clone()
    call = {"cache_seqlens": 9, "num_splits": number(n)}
    return flash_attn_with_kvcache(Q[None, :2], k, v, NEW, NEW, **call), k, v


# function -> a number that is right, one that is wrong, and what names it
FUNCTIONS: dict[Callable[[Tensor], Any], tuple[int, int, str]] = {
    window: (7, -2, "window_size"),
    most_queries: (12, -1, "max_seqlen_q"),
    most_keys: (12, 2**31, "max_seqlen_k"),
    into: (12, -1, "max_seqlen_q"),
    used: (11, 21, "cache_seqlens"),
    appended: (18, 19, "room"),
    splits: (2, 129, "num_splits"),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_compiles(function: Callable[[Tensor], Any]) -> None:
    right, wrong, name = FUNCTIONS[function]
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    for number in (right, right - 1):
        got, want = compiled(torch.tensor(number)), function(torch.tensor(number))
        torch.testing.assert_close(got, want, rtol=0, atol=0)
    with pytest.raises(ValueError, match=name):
        function(torch.tensor(wrong))
    if function is most_keys:  # which no kernel is given
        assert torch.equal(compiled(torch.tensor(wrong)), function(torch.tensor(right)))
        return
    with pytest.raises(ValueError, match=name):
        compiled(torch.tensor(wrong))


def test_a_refused_call_of_a_graph_writes_nothing() -> None:
    k, v = torch.zeros(2, 1, 20, 4, 32)

    def call(n: Tensor) -> Any:
        return flash_attn_with_kvcache(
            Q[None, :2], k, v, NEW, NEW, cache_seqlens=9, num_splits=number(n)
        )

    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    with pytest.raises(ValueError, match="num_splits is 129"):
        compiled(torch.tensor(129))
    assert not k.any()
    assert not v.any()
    compiled(torch.tensor(1))
    assert k.any()


def test_the_number_of_sequences_may_be_unknown() -> None:
    """As where transformers reads packed sequences off their position_ids."""

    def function(q: Tensor, position_ids: Tensor) -> Any:
        starts = (position_ids == 0).nonzero().view(-1)
        cu_seqlens = torch.cat((starts, torch.tensor([position_ids.shape[0]]))).int()
        longest = cu_seqlens.diff().max()
        return flash_attn_varlen_func(q, q, q, cu_seqlens, cu_seqlens, longest, longest.item())

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    with config.patch(capture_dynamic_output_shape_ops=True):
        for lengths in ((12, 8), (3, 10, 7)):
            positions = torch.cat([torch.arange(length) for length in lengths])
            assert torch.equal(compiled(Q, positions), function(Q, positions))
