"""The reference itself, against PyTorch's attention and against a loop over single scores."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from verify.reference import (
    Options,
    attention,
    compare,
    lse_tolerance,
    plain_attention,
    visible,
)

F64 = torch.float64


def draw(q_len: int, k_len: int, heads: int = 2, kv_heads: int = 1) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(q_len * 1000 + k_len)
    shapes = ((q_len, heads, 16), (k_len, kv_heads, 16), (k_len, kv_heads, 16))
    return tuple(torch.randn(shape, generator=generator, dtype=F64) for shape in shapes)


@pytest.mark.parametrize("causal", [False, True])
def test_agrees_with_pytorch(causal: bool) -> None:
    q, k, v = draw(9, 9, heads=4, kv_heads=4)
    got, _ = attention(q, k, v, Options(0.3, causal), dtype=F64)
    q, k, v = (t.transpose(0, 1) for t in (q, k, v))
    want = scaled_dot_product_attention(q, k, v, is_causal=causal, scale=0.3)
    torch.testing.assert_close(got, want.transpose(0, 1), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("q_len", "k_len"), [(5, 9), (9, 5), (1, 7)])
@pytest.mark.parametrize("window_size", [(-1, -1), (2, 1), (0, 0), (3, -1), (-1, 2)])
@pytest.mark.parametrize("causal", [False, True])
def test_agrees_with_single_scores(
    q_len: int, k_len: int, window_size: tuple[int, int], causal: bool
) -> None:
    q, k, v = draw(q_len, k_len)
    sinks = torch.tensor([0.7, -math.inf], dtype=F64)
    slopes = torch.tensor([0.3, -0.1], dtype=F64)
    options = Options(0.25, causal, window_size, softcap=1.5)
    got, got_lse = attention(q, k, v, options, sinks, slopes, dtype=F64)
    left, right = window_size
    for i in range(q_len):
        for h in range(2):
            weights, total = torch.zeros(k_len, dtype=F64), math.exp(sinks[h].item())
            for j in range(k_len):
                distance = j - (i + k_len - q_len)
                hidden = (causal and distance > 0) or -1 < right < distance or -1 < left < -distance
                if not hidden:
                    score = 1.5 * math.tanh(0.25 * (q[i, h] @ k[j, 0]).item() / 1.5)
                    weights[j] = math.exp(score - slopes[h].item() * abs(distance))
            total += weights.sum().item()
            want = weights @ v[:, 0] / total if total else torch.zeros(16, dtype=F64)
            torch.testing.assert_close(got[i, h], want, rtol=0, atol=1e-13)
            want_lse = math.log(total) if total else -math.inf
            assert got_lse[h, i].item() == pytest.approx(want_lse, abs=1e-13)


def test_no_keys_give_zero_and_minus_infinity() -> None:
    q, k, v = draw(3, 0)
    out, lse = attention(q, k, v, Options(1.0), dtype=F64)
    assert (out == 0).all()
    assert (lse == -math.inf).all()


def test_rows_pick_rows() -> None:
    q, k, v = draw(6, 8)
    options = Options(0.3, True, (2, -1))
    whole, _ = attention(q, k, v, options, dtype=F64)
    some, _ = attention(q, k, v, options, dtype=F64, rows=torch.tensor([1, 5]))
    torch.testing.assert_close(some, whole[[1, 5]])
    assert visible(torch.tensor([5]), 6, 8, options)[0].nonzero().flatten().tolist() == [5, 6, 7]


def test_compare_finds_nan_infinity_and_offsets() -> None:
    want = torch.linspace(-1, 1, 100, dtype=F64)
    plain = (want + 1e-7,)
    exact = compare(want.float(), want, plain, torch.float32)
    assert exact.ok
    off = want.clone()
    off[7] += 1.3e-6
    assert compare(off, want, plain, torch.float32).worst == (7,)
    assert not compare(off, want, plain, torch.float32).ok
    off[7] = math.nan
    assert not compare(off, want, plain, torch.float32).ok
    with_nan = want.clone()
    with_nan[7] = math.nan
    assert compare(off, with_nan, plain, torch.float32).ok
    assert not compare(want, with_nan, plain, torch.float32).ok
    assert not compare(want * 0, want, (want * 0,), torch.float32).ok  # by its cosine


def test_lse_tolerance_grows_with_the_scores() -> None:
    q, k, _ = draw(4, 4)
    lse = torch.zeros(2, 4, dtype=F64)
    small = lse_tolerance(q, k, Options(0.1), lse)
    assert 1e-7 < small < lse_tolerance(q * 100, k, Options(0.1), lse)


def test_several_orders_bound_another_order_of_capped_scores() -> None:
    within, within_two = 0, 0
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        q, k, v = (torch.randn(n, 2, 32, generator=generator) for n in (7, 65, 65))
        options = Options(2500 / 32**0.5, softcap=1.0)
        want, _ = attention(q, k, v, options, dtype=F64)
        plain = plain_attention(q, k, v, options, None)
        backwards, _ = attention(q.flip(-1), k.flip(-1), v, options, dtype=torch.float32)
        within += compare(backwards, want, plain, torch.float32).ok
        within_two += compare(backwards, want, plain[:2], torch.float32).ok
    assert within_two < within == 30
