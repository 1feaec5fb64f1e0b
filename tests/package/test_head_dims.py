"""Head dims that have no kernels of their own: padded, and otherwise as every other."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
    head_dims,
)
from torch import Tensor

# (head_dim of Q and K, of V): smaller than a kernel's, with a narrower V, with a wider one; a pair
# that has kernels, and one that is padded to it.
PAIRS = ((24, 24), (32, 16), (16, 32), (56, 40), (96, 64), (88, 56))
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}

pytestmark = pytest.mark.filterwarnings("ignore:head_dim .* has no kernels of its own")


def draw(pair: tuple[int, int], length: int = 9, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of 4 and 2 heads."""
    torch.manual_seed(sum(pair))
    columns = (pair[0], pair[0], pair[1])
    q, k, v = (torch.randn(batch, length, h, n) for h, n in zip((4, 2, 2), columns))
    return q, k, v


def reference(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
    """Torch's own attention; its default scale is of the head_dim that it is given."""
    turned = (x.transpose(1, 2) for x in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(*turned, enable_gqa=True, **options)
    return out.transpose(1, 2)


@pytest.mark.parametrize("pair", PAIRS)
def test_output_and_gradients(pair: tuple[int, int]) -> None:
    ours, theirs = ([x.requires_grad_() for x in draw(pair)] for _ in range(2))
    q, k, v = ours
    out: Any = flash_attn_func(q, k, v, causal=True)
    want = reference(*theirs, is_causal=True)
    assert out.shape == want.shape
    assert out.is_contiguous()
    torch.testing.assert_close(out, want, **TOLERANCE)
    grad = torch.randn_like(want)
    for got, expected in zip(
        torch.autograd.grad(out, ours, grad), torch.autograd.grad(want, theirs, grad)
    ):
        torch.testing.assert_close(got, expected, **TOLERANCE)


def test_a_scale_that_is_given_is_kept() -> None:
    q, k, v = draw((24, 24))
    out: Any = flash_attn_func(q, k, v, softmax_scale=0.7)
    torch.testing.assert_close(out, reference(q, k, v, scale=0.7), **TOLERANCE)


@pytest.mark.parametrize("pair", PAIRS)
def test_packed(pair: tuple[int, int]) -> None:
    q, k, v = draw(pair)
    offsets = torch.tensor([0, 9, 18], dtype=torch.int32)
    given: Any = (*(x.flatten(0, 1) for x in (q, k, v)), offsets, offsets, 9, 9)
    want = reference(q, k, v).flatten(0, 1)
    out: Any = flash_attn_varlen_func(*given)
    torch.testing.assert_close(out, want, **TOLERANCE)

    memory = torch.full((20, 4, pair[1]), 7.0)
    spare = torch.cat([given[0], torch.zeros(2, *given[0].shape[1:])])
    flash_attention_varlen(memory, spare, *given[1:])
    torch.testing.assert_close(memory[:18], want, **TOLERANCE)
    assert (memory[18:] == 7.0).all(), "rows of no sequence stay as they were"


@pytest.mark.parametrize("pair", PAIRS)
def test_a_cache_is_appended_to_in_place(pair: tuple[int, int]) -> None:
    q, k, v = draw(pair, length=3)
    k_cache, v_cache = (torch.randn(2, 12, 2, n) for n in pair)
    whole_k, whole_v = (torch.cat([c[:, :5], new], 1) for c, new in ((k_cache, k), (v_cache, v)))
    untouched = k_cache[:, 8:].clone()
    out = flash_attn_with_kvcache(q, k_cache, v_cache, k, v, cache_seqlens=5)
    assert torch.equal(k_cache[:, :8], whole_k)
    assert torch.equal(v_cache[:, :8], whole_v)
    assert torch.equal(k_cache[:, 8:], untouched)
    torch.testing.assert_close(out, reference(q, whole_k, whole_v), **TOLERANCE)


def test_rotary_positions_turn_the_columns_that_there_are() -> None:
    q, k, v = draw((24, 24), length=1)
    results = []
    for wide in (False, True):
        given = [torch.nn.functional.pad(x, (0, 8)) if wide else x for x in (q, k, v)]
        caches = [torch.zeros(2, 16, 2, 32 if wide else 24) for _ in "kv"]
        angles = torch.linspace(0, 3, 16 * 8).view(16, 8)
        call: Any = flash_attn_with_kvcache
        out = call(
            *(given[0], *caches, *given[1:], angles.cos(), angles.sin()),
            cache_seqlens=4,
            softmax_scale=0.3,
        )
        results.append((out[..., :24], *(cache[..., :24] for cache in caches)))
    assert all(torch.equal(a, b) for a, b in zip(*results))


@pytest.fixture
def unwarned() -> Iterator[None]:
    """As in a process that has made no such call yet."""
    head_dims._warn.cache_clear()
    yield
    head_dims._warn.cache_clear()


def test_each_head_dim_warns_once(unwarned: None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            flash_attn_func(*draw((24, 24)))
            flash_attn_func(*draw((32, 16)))
    assert [str(w.message).split(":")[0] for w in caught] == [
        "head_dim 24 has no kernels of its own",
        "head_dim 32, 16 of v, has no kernels of its own",
    ]
    assert all(w.filename == __file__ for w in caught), "the caller's line is named"


def test_a_head_dim_of_the_table_is_not_copied(unwarned: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flash_attn_func(*draw((32, 32)))
    for pair in ((32, 32), (96, 64), (192, 128), (512, 512)):
        given = draw(pair, length=1)
        assert head_dims.fit(None, *given) == (None, given)


@pytest.mark.parametrize(
    ("given", "widths"),
    [
        ((192, 96), (192, 128)),
        ((184, 128), (192, 128)),
        ((192, 136), (192, 192)),
        ((88, 64), (96, 64)),
        ((64, 128), (128, 128)),
        ((264, 8), (512, 512)),
        ((320, 256), (512, 512)),  # where v is no view of k
    ],
)
def test_the_narrowest_that_holds_both(given: tuple[int, int], widths: tuple[int, int]) -> None:
    assert head_dims.padded(given) == widths


def test_a_wide_head_has_no_backward_pass() -> None:
    q, k, v = (x.requires_grad_() for x in draw((512, 512), length=1))
    out: Any = flash_attn_func(q, k, v)
    torch.testing.assert_close(out, reference(q, k, v), **TOLERANCE)
    with pytest.raises(NotImplementedError, match="head_dim 512 has no backward pass.*up to 256"):
        out.sum().backward()


def test_compiled_without_a_break() -> None:
    given = draw((24, 24))
    compiled = torch.compile(flash_attn_func, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*given), flash_attn_func(*given), rtol=0, atol=0)


def test_compiled_for_one_head_dim_after_another() -> None:
    """Lengths become unknown, numbers of columns never: they decide which kernels run."""
    columns: list[object] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        columns.extend(x.shape[-1] for x in inputs if isinstance(x, Tensor))
        return graph

    compiled = torch.compile(flash_attn_func, backend=backend, fullgraph=True)
    for head_dim, length in ((32, 5), (64, 6), (40, 7)):
        tensor = torch.randn(1, length, 1, head_dim)
        torch.testing.assert_close(compiled(tensor, tensor, tensor), flash_attn_func(*[tensor] * 3))
    assert set(map(type, columns)) == {int}
    assert set(columns) == {32, 64, 40}
