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


def gradients(function: Callable[..., Tensor], tensors: list[Tensor], **options: Any) -> Any:
    """What a function gives and the gradients of its tensors, from a loss that weighs all."""
    leaves = [x.detach().requires_grad_(x.requires_grad) for x in tensors]
    out = function(*leaves, **options)
    wanted = [x for x in leaves if x.requires_grad]
    if not wanted:
        return [out]
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).reshape(out.shape)
    return [out.detach(), *torch.autograd.grad(out, wanted, weights.to(out.dtype))]


def assert_equal(function: Callable[..., Tensor], tensors: list[Tensor], **options: Any) -> None:
    """A function gives what torch's own does in float64, within the project's tolerance.

    That is twice the error of torch's own in the tensors' dtype, plus a floor.
    """
    dtype = tensors[0].dtype
    exact = {name: in_float64(value) for name, value in options.items()}
    want = gradients(torchs_own, [in_float64(x) for x in tensors], **exact)
    plain = gradients(torchs_own, tensors, **options)
    got = gradients(function, tensors, **options)
    assert len(got) == len(want)
    for ours, theirs, reference in zip(got, plain, want):
        assert ours.dtype == dtype
        assert ours.shape == reference.shape
        error = compare(ours, reference, [theirs], dtype)
        within = error.max_abs <= error.tolerance
        # Of what is zero but for rounding there is no direction to compare.
        is_zero = reference.numel() and reference.abs().max() <= error.tolerance
        assert error.ok or (within and is_zero), error


def in_float64(value: Any) -> Any:
    """A tensor of floats in float64; anything else as it is."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().double().requires_grad_(value.requires_grad)
    return value
