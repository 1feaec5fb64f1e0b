"""The backward pass, as torch's autograd, its function transforms and its compiler want it.

Two functions over two ops: the backward pass of the first calls the second, whose own backward pass
refuses.  A custom op's registered autograd would give torch.func.jvp zeros without a word, and
once_differentiable a second derivative of zero.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from . import ops

_NO_VMAP = (
    "metal-flash-sdpa does not support torch.vmap: fold the mapped axis into the batch, which "
    "every call has"
)
_NO_SECOND_DERIVATIVE = (
    "metal-flash-sdpa has no second derivatives (double backward, torch.func.hessian): compute "
    "this attention with torch's own operations"
)
_TENSORS = 4  # q, k, v and the sinks: what a gradient may be asked for


class _Attend(torch.autograd.Function):  # type: ignore[misc]
    """Out and its log-sum-exp; both have gradients."""

    @staticmethod
    def forward(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        sinks: Optional[Tensor],
        alibi_slopes: Optional[Tensor],
        cu_seqlens_q: Optional[Tensor],
        cu_seqlens_k: Optional[Tensor],
        dropout_seed: Optional[Tensor],
        softmax_scale: Optional[float],
        causal: bool,
        window_left: int,
        window_right: int,
        softcap: float,
        dropout_p: float,
        max_q_len: int,
    ) -> Tuple[Tensor, Tensor]:
        outputs: Tuple[Tensor, Tensor] = ops.forward(
            q=q,
            k=k,
            v=v,
            return_lse=True,
            cu_seqlens_q=cu_seqlens_q,
            cu_seqlens_k=cu_seqlens_k,
            sinks=sinks,
            alibi_slopes=alibi_slopes,
            softmax_scale=softmax_scale,
            causal=causal,
            window_left=window_left,
            window_right=window_right,
            softcap=softcap,
            max_q_len=max_q_len,
            block_table=None,
            dropout_p=dropout_p,
            dropout_seed=dropout_seed,
        )
        return outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Any, ...], output: Tuple[Tensor, Tensor]) -> None:
        *tensors, scale, causal, left, right, softcap, dropout_p, _ = inputs
        ctx.save_for_backward(*tensors, *output)
        ctx.options = (scale, causal, left, right, softcap, dropout_p)
        ctx.count = len(inputs)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Optional[Tensor]) -> Tuple[Optional[Tensor], ...]:
        grad_out, grad_lse = gradients
        saved = ctx.saved_tensors  # once: torch.utils.checkpoint computes them anew
        out = saved[-2]
        wanted = ctx.needs_input_grad[:_TENSORS]
        if grad_out is None:
            grad_out = torch.zeros_like(out)
        found = _Differentiate.apply(grad_out, grad_lse, *saved, *ctx.options, *wanted)
        given = (grad if is_wanted else None for grad, is_wanted in zip(found, wanted))
        return (*given, *(None,) * (ctx.count - _TENSORS))

    @staticmethod
    def vmap(*_: Any) -> Any:
        raise NotImplementedError(_NO_VMAP)


class _Differentiate(torch.autograd.Function):  # type: ignore[misc]
    """The gradients, which have none of their own."""

    @staticmethod
    def forward(
        grad_out: Tensor,
        grad_lse: Optional[Tensor],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        sinks: Optional[Tensor],
        alibi_slopes: Optional[Tensor],
        cu_seqlens_q: Optional[Tensor],
        cu_seqlens_k: Optional[Tensor],
        dropout_seed: Optional[Tensor],
        out: Tensor,
        lse: Tensor,
        softmax_scale: Optional[float],
        causal: bool,
        window_left: int,
        window_right: int,
        softcap: float,
        dropout_p: float,
        wants_q: bool,
        wants_k: bool,
        wants_v: bool,
        wants_sinks: bool,
    ) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        gradients: Tuple[Tensor, Tensor, Tensor, Tensor] = ops.backward(
            grad_out=grad_out,
            grad_lse=grad_lse,
            q=q,
            k=k,
            v=v,
            out=out,
            lse=lse,
            cu_seqlens_q=cu_seqlens_q,
            cu_seqlens_k=cu_seqlens_k,
            sinks=sinks,
            alibi_slopes=alibi_slopes,
            softmax_scale=softmax_scale,
            causal=causal,
            window_left=window_left,
            window_right=window_right,
            softcap=softcap,
            dropout_p=dropout_p,
            dropout_seed=dropout_seed,
            wants_q=wants_q,
            wants_k=wants_k,
            wants_v=wants_v,
            wants_sinks=wants_sinks,
        )
        return gradients

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(_NO_SECOND_DERIVATIVE)

    @staticmethod
    def vmap(*_: Any) -> Any:
        raise NotImplementedError(_NO_VMAP)


def attention(
    *,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    return_lse: bool,
    cu_seqlens_q: Optional[Tensor],
    cu_seqlens_k: Optional[Tensor],
    sinks: Optional[Tensor],
    alibi_slopes: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    max_q_len: int,
    block_table: Optional[Tensor],
    dropout_p: float,
) -> Tuple[Tensor, Tensor]:
    """Out and its log-sum-exp, which may be empty without return_lse; with gradients if wanted.

    The seed of dropout comes from torch's generator of the CPU: torch.utils.checkpoint restores its
    state before it computes a part again, and on "mps" that of no other.
    """
    seed = None
    if dropout_p:
        seed = torch.randint(-(2**31), 2**31, (2,), dtype=torch.int32).to(q.device)
    if (
        block_table is None
        and torch.is_grad_enabled()
        and (
            q.requires_grad
            or k.requires_grad
            or v.requires_grad
            or (sinks is not None and sinks.requires_grad)
        )
    ):
        found: Tuple[Tensor, Tensor] = _Attend.apply(
            *(q, k, v, sinks, alibi_slopes, cu_seqlens_q, cu_seqlens_k, seed),
            *(softmax_scale, causal, window_left, window_right, softcap, dropout_p, max_q_len),
        )
        return found
    outputs: Tuple[Tensor, Tensor] = ops.forward(
        q=q,
        k=k,
        v=v,
        return_lse=return_lse,
        cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_k=cu_seqlens_k,
        sinks=sinks,
        alibi_slopes=alibi_slopes,
        softmax_scale=softmax_scale,
        causal=causal,
        window_left=window_left,
        window_right=window_right,
        softcap=softcap,
        max_q_len=max_q_len,
        block_table=block_table,
        dropout_p=dropout_p,
        dropout_seed=seed,
    )
    return outputs
