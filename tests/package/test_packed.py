"""Q, K and V in one tensor: the same bits as with three, in place, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    call,
    flash_attn_func,
    flash_attn_kvpacked_func,
    flash_attn_qkvpacked_func,
    flash_attn_varlen_func,
    flash_attn_varlen_kvpacked_func,
    flash_attn_varlen_qkvpacked_func,
)
from torch import Tensor

Results = list[tuple[Tensor, Any, Any]]
CU_SEQLENS = torch.tensor([0, 3, 40], dtype=torch.int32)
OPTIONS: dict[str, Any] = {
    "softmax_scale": 0.3,
    "causal": True,
    "window_size": (9, 4),
    "softcap": 20.0,
    "alibi_slopes": torch.tensor([0.1, 0.2]),
    "deterministic": True,
    "return_attn_probs": True,
    "s_aux": torch.tensor([0.5, -1.0]),
}


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def padded() -> Results:
    """(packed tensor, what its own function gives, what flash_attn_func gives of the parts)."""
    qkv, kv, q = draw(2, 20, 3, 2, 32), draw(2, 20, 2, 2, 32), draw(2, 20, 2, 32)
    return [
        (
            qkv,
            flash_attn_qkvpacked_func(qkv, **OPTIONS),
            flash_attn_func(*qkv.unbind(2), **OPTIONS),
        ),
        (
            kv,
            flash_attn_kvpacked_func(q, kv, **OPTIONS),
            flash_attn_func(q, *kv.unbind(2), **OPTIONS),
        ),
    ]


def of_varying_length() -> Results:
    """The same of packed batches."""
    qkv, kv, q = draw(40, 3, 2, 32), draw(40, 2, 1, 32), draw(40, 2, 32)
    where: Any = (CU_SEQLENS, CU_SEQLENS, 37, 37)
    return [
        (
            qkv,
            flash_attn_varlen_qkvpacked_func(qkv, CU_SEQLENS, 37, **OPTIONS),
            flash_attn_varlen_func(*qkv.unbind(1), *where, **OPTIONS),
        ),
        (
            kv,
            flash_attn_varlen_kvpacked_func(q, kv, *where, **OPTIONS),
            flash_attn_varlen_func(q, *kv.unbind(1), *where, **OPTIONS),
        ),
    ]


@pytest.mark.parametrize("make", [padded, of_varying_length])
def test_the_same_bits_and_gradients_as_with_three_tensors(make: Callable[[], Results]) -> None:
    for packed, got, want in make():
        for x, y in zip(got[:2], want[:2]):
            assert torch.equal(x, y)
        of_one, of_three = (
            torch.autograd.grad(out.square().sum() + lse.sin().sum(), packed)[0]
            for out, lse, _ in (got, want)
        )
        assert of_one.count_nonzero() > packed.numel() / 2
        assert torch.equal(of_one, of_three)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch's own
def test_compiled_with_gradients() -> None:
    torch._dynamo.reset()
    qkv = draw(2, 20, 3, 2, 32)

    def function(qkv: Tensor) -> Any:
        return flash_attn_qkvpacked_func(qkv * 1, causal=True)

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    gradients = [torch.autograd.grad(f(qkv).square().sum(), qkv)[0] for f in (compiled, function)]
    assert torch.equal(*gradients)


def test_positional_arguments_have_flash_attns_order() -> None:
    qkv = draw(2, 20, 3, 2, 32)
    got = flash_attn_qkvpacked_func(qkv, 0.0, *OPTIONS.values())
    assert torch.equal(got[0], flash_attn_qkvpacked_func(qkv, **OPTIONS)[0])


def test_a_mask_tensor_is_passed_on() -> None:
    qkv, mask = draw(2, 20, 3, 2, 32).detach(), torch.rand(20, 20) > 0.5
    q, k, v = qkv.unbind(2)
    got = flash_attn_qkvpacked_func(qkv, attn_mask=mask)
    assert torch.equal(got, flash_attn_func(q, k, v, attn_mask=mask))
    assert torch.equal(flash_attn_kvpacked_func(q, qkv[:, :, 1:], attn_mask=mask), got)


def test_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels get memory of the packed tensor itself."""
    seen: list[dict[str, Tensor]] = []
    prepared = call._prepare

    def spy(*arguments: Any, **options: Any) -> Any:
        signature, tensors = prepared(*arguments, **options)
        seen.append(tensors)
        return signature, tensors

    monkeypatch.setattr(call, "_prepare", spy)
    qkv = draw(1, 20, 3, 2, 32).detach()
    flash_attn_qkvpacked_func(qkv)
    (tensors,) = seen
    for place, name in enumerate("qkv"):
        assert tensors[name].data_ptr() == qkv[:, :, place].data_ptr()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"qkv has shape \(1, 5, 2, 1, 32\): must be \(batch, length, 3, heads"
    ):
        flash_attn_qkvpacked_func(torch.zeros(1, 5, 2, 1, 32))
    with pytest.raises(ValueError, match=r"kv has shape \(5, 3, 1, 32\): must be \(total.*, 2, "):
        flash_attn_varlen_kvpacked_func(
            torch.zeros(5, 1, 32), torch.zeros(5, 3, 1, 32), CU_SEQLENS, CU_SEQLENS, 5, 5
        )
    with pytest.raises(ValueError, match=r"must be \(total length, 3, heads, head_dim\)"):
        flash_attn_varlen_qkvpacked_func(torch.zeros(1, 5, 3, 1, 32), CU_SEQLENS, 5)
    with pytest.raises(TypeError, match=r"no argument 'scale': use softmax_scale"):
        flash_attn_qkvpacked_func(torch.zeros(1, 5, 3, 1, 32), scale=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"kv is 'x': must be a torch.Tensor"):
        flash_attn_kvpacked_func(torch.zeros(1, 5, 1, 32), "x")
