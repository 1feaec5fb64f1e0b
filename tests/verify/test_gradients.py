"""The judge of gradients: its references agree with each other, its bounds can be broken."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from verify import gradients
from verify.gradients import UNIT, autograd, explained, recomputed, sink_bound, within
from verify.reference import Options, attention

F64 = torch.float64
OPTIONS = (
    Options(0.25),
    Options(0.25, causal=True),
    Options(-0.3, window_size=(3, 1), softcap=1.5),
)


def draw(options: Options, dtype: torch.dtype, q_len: int = 9, k_len: int = 6) -> dict[str, Tensor]:
    """One sequence, and what the forward pass gives for it."""
    torch.manual_seed(0)
    shapes = {"q": (q_len, 4), "k": (k_len, 2), "v": (k_len, 2), "grad_out": (q_len, 4)}
    part = {name: torch.randn(*shape, 16).to(dtype) for name, shape in shapes.items()}
    part["slopes"] = torch.tensor([0.3, -0.1, 0.0, 0.2])
    part["grad_lse"] = torch.randn(4, q_len)
    out, lse = attention(part["q"], part["k"], part["v"], options, None, part["slopes"], dtype=F64)
    return {**part, "out": out.to(dtype), "lse": lse.to(F64 if dtype == F64 else torch.float32)}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_both_ways_of_going_back_are_the_same(options: Options) -> None:
    """Under a causal mask the first rows see no key: their gradients are 0, not NaN."""
    part = draw(options, F64)
    by_autograd, by_lse = autograd(part, options, None, F64), recomputed(part, options)
    for name, gradient in by_autograd.items():
        torch.testing.assert_close(by_lse[name], gradient, rtol=0, atol=1e-12)
    assert (by_autograd["q"][:3] == 0).all() == options.causal


def test_autograd_is_the_difference_quotient() -> None:
    options, step = OPTIONS[2], 1e-6
    part, sinks = draw(options, F64), torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=F64)

    def loss(sinks: Tensor) -> float:
        out, lse = attention(
            part["q"], part["k"], part["v"], options, sinks, part["slopes"], dtype=F64
        )
        return float((out * part["grad_out"]).sum() + (lse * part["grad_lse"]).sum())

    found = autograd(part, options, sinks, F64)["sinks"]
    for head in range(4):
        moved = torch.zeros(4, dtype=F64)
        moved[head] = step
        quotient = (loss(sinks + moved) - loss(sinks - moved)) / (2 * step)
        assert found[head].item() == pytest.approx(quotient, rel=1e-6)


def test_no_key_and_no_sink_give_gradients_of_zero() -> None:
    part = draw(Options(1.0), F64, k_len=0)
    assert all((g == 0).all() for g in autograd(part, Options(1.0), None, F64).values())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_roundings_explain_plain_errors_and_no_mistake(options: Options) -> None:
    part = draw(options, torch.float32)
    exact, bounds = autograd(part, options, None, F64), explained(part, options)
    plain = recomputed(part, options)
    wrong = recomputed({**part, "lse": part["lse"] + 0.1}, options)
    for name, bound in bounds.items():
        assert within(plain[name], exact[name], bound).ok
        assert not within(wrong[name], exact[name], bound).ok


def test_the_gradient_of_a_sink_is_bounded_by_its_terms() -> None:
    options, sinks = Options(0.25), torch.tensor([0.5, -math.inf, 0.0, 4.0])
    part = draw(options, torch.float32)
    q, k, v, slopes = (part[n] for n in ("q", "k", "v", "slopes"))
    out, lse = attention(q, k, v, options, sinks.double(), slopes, dtype=F64)
    part |= {"out": out.float(), "lse": lse.float()}
    want = autograd(part, options, sinks, F64)["sinks"]
    bound = sink_bound(part, sinks, torch.float32)
    delta = (part["grad_out"] * part["out"]).sum(-1).T - part["grad_lse"]
    got = -((sinks.unsqueeze(1) - part["lse"]).exp() * delta).sum(1)
    assert within(got, want, bound).ok
    assert bound[1] == 0
    assert (bound < 1e3 * UNIT * (1 + want.abs())).all()
    assert not within(got * 1.001, want, bound).ok


@pytest.mark.parametrize("shape", [(1, 4, 9, 6), (1, 1, 1, 6), (1, 4, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_masks_gradient_is_bounded(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Each element rounded once; a bfloat16 that is cut off instead is beyond its bound."""
    options = Options(0.25)
    part = draw(options, torch.float32)
    q, k, v, slopes = (part[n] for n in ("q", "k", "v", "slopes"))
    bias = torch.randn(q.shape[1], q.shape[0], k.shape[0])
    out, lse = attention(q, k, v, options, None, slopes, dtype=F64, bias=bias)
    part |= {"out": out.float(), "lse": lse.float(), "bias": bias}
    terms = autograd(part, options, None, F64)["bias"].unsqueeze(0)
    bounds = explained(part, options)["bias"].unsqueeze(0)
    shared = [axis for axis, n in enumerate(shape) if n == 1]
    exact = terms.sum(shared, keepdim=True)
    ours = autograd(part, options, None, torch.float32)["bias"].unsqueeze(0)
    assert gradients.mask_error(ours.sum(shared, keepdim=True).to(dtype), terms, bounds).ok
    wrong = exact.float() * (1 + 2 * torch.finfo(dtype).eps) + 1e-3
    if dtype == torch.bfloat16 and not shared:  # of many elements one is cut off by much
        wrong = (exact.float().view(torch.int32) & -0x10000).view(torch.float32)
    assert not gradients.mask_error(wrong.to(dtype), terms, bounds).ok


def test_an_element_is_judged_by_its_own_bound() -> None:
    want, bound = torch.zeros(3, dtype=F64), torch.tensor([1.0, 1e-3, 1.0], dtype=F64)
    error = within(torch.tensor([0.5, 2e-3, 0.0]), want, bound)
    assert (error.worst, error.ok) == ((1,), False)
    assert not within(torch.tensor([0.0, 0.0, math.nan]), want, bound).ok
    assert gradients.larger(error, within(want, want, bound)) == error
