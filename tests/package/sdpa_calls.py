"""Calls of scaled_dot_product_attention, and torch's own answers to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from metal_flash_sdpa import explain
from torch import Tensor

from verify.reference import compare

SDPA = torch.ops.aten.scaled_dot_product_attention.default
OURS = "metal-flash-sdpa: "


def torchs_own(*arguments: Any, **options: Any) -> Tensor:
    """The implementation of torch, whatever stands in its place."""
    result: Tensor = SDPA.decompose(*arguments, **options)
    return result


def is_served(*arguments: Any, **options: Any) -> bool:
    """Whether the kernels run a call."""
    return explain(*arguments, **options).startswith(OURS)


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    turn: int = 0,
    factors: Tensor | None = None,
) -> Tensor:
    """Every step in the tensors' dtype; `turn` rolls the dot products, which round elsewhere then.

    Dropout multiplies the weights by `factors`.
    """
    assert bool(dropout_p) == (factors is not None)
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(groups, -3) for x in (key, value))
    scores = query.roll(turn, -1) @ key.roll(turn, -1).mT
    scores = scores * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = (scores + attn_mask).to(query.dtype)
    weights = scores.softmax(-1)
    return (weights if factors is None else weights * factors.to(query.dtype)) @ value


def gradients(function: Callable[..., Tensor], tensors: list[Tensor], **options: Any) -> Any:
    """What a function gives and the gradients of its tensors, from a loss that weighs all."""
    leaves = [x.detach().requires_grad_(x.requires_grad) for x in tensors]
    out = function(*leaves, **options)
    wanted = [x for x in leaves if x.requires_grad]
    if not wanted:
        return [out]
    return [out.detach(), *torch.autograd.grad(out, wanted, weights_of_loss(out).to(out.dtype))]


def weights_of_loss(out: Tensor) -> Tensor:
    """The gradient of `out` that all of this is asked with."""
    return torch.linspace(-1, 1, out.numel(), dtype=torch.float64).reshape(out.shape)


def assert_equal(
    function: Callable[..., Tensor], tensors: list[Tensor], few: bool = False, **options: Any
) -> None:
    """A function gives what torch's own does in float64, within the project's tolerance."""
    exact = {name: in_float64(value) for name, value in options.items()}
    want = gradients(torchs_own, [in_float64(x) for x in tensors], **exact)
    assert_close(gradients(function, tensors, **options), want, tensors, few, **options)


def assert_close(
    got: list[Tensor], want: list[Tensor], tensors: list[Tensor], few: bool = False, **options: Any
) -> None:
    """A result and its gradients are off by at most twice what plain attention is, plus a floor.

    How far plain attention is off is had several times, of which the largest counts: once is a
    matter of luck.  With few elements, what a flash attention's gradients are off is added.
    """
    dtype = tensors[0].dtype
    plain = [gradients(plain_attention, tensors, turn=turn, **options) for turn in range(8)]
    beside = flash_rounding(tensors, **options) if few else [torch.zeros(())] * len(want)
    assert len(got) == len(want)
    for ours, reference, more, *theirs in zip(got, want, beside, *plain):
        assert ours.dtype == dtype
        assert ours.shape == reference.shape
        error = compare(ours, reference, theirs, dtype)
        assert ((ours - reference).abs() <= error.tolerance + more).all(), error
        # Of what is zero but for rounding there is no direction to compare; nor of few elements.
        is_zero = not reference.numel() or reference.abs().max() <= error.tolerance
        assert few or is_zero or error.cosine >= error.least_cosine, error


def flash_rounding(tensors: list[Tensor], **options: Any) -> list[Tensor]:
    """How far out and the gradients may be off, beside what plain attention is.

    Scores are sums in float32, and a weight is off by as much of itself as they are.  The backward
    pass takes delta, of each row the sum of out times out's gradient, from the gradients of all
    weights: a weight times the error of delta, which starts from a rounded out, is one of a score's
    gradient.  Without GQA, masks of bools and a scale.
    """
    signed = [in_float64(x).detach() for x in tensors]
    q, k, v = (x.abs().requires_grad_() for x in signed)
    scale, (k_len, columns) = q.shape[-1] ** -0.5, v.shape[-2:]
    factors = options.get("factors")
    kept = torch.ones(()) if factors is None else factors
    units = torch.eye(k_len, dtype=torch.float64)
    bias = in_float64(options.get("attn_mask", torch.zeros(()))).detach()
    biased = {"is_causal": options["is_causal"], "attn_mask": bias}
    weights = plain_attention(signed[0], signed[1], units, **biased)
    out = plain_attention(*signed, **{**options, "attn_mask": bias})
    grad = weights_of_loss(out)
    delta = (out * grad).abs().sum(-1, keepdim=True)
    of_weights = kept * (grad @ signed[2].mT).abs()

    sum_of_scores = (q @ k.mT).detach() * scale + bias.abs()
    of_scores = 2 * (q.shape[-1] + 3) * 2.0**-24 * sum_of_scores.amax(-1, keepdim=True)
    rounds = columns + k_len + 8  # steps of the float32 sums of out and of delta
    of_delta = delta * (torch.finfo(tensors[0].dtype).eps / 2 + rounds * 2.0**-24)
    of_gradients = weights * (of_delta + of_scores * (of_weights + delta))
    off = (of_scores * weights * kept) @ v
    bound = (of_gradients * (q @ k.mT) * scale).sum() + (off * grad.abs()).sum()
    return [off.detach(), *torch.autograd.grad(bound, (q, k, v))]


def in_float64(value: Any) -> Any:
    """A tensor of floats in float64; anything else as it is."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().double().requires_grad_(value.requires_grad)
    return value
