"""The torch ops: what torch.compile and autograd see of a call.

Each has a fake implementation, so that a compiled graph has no break, and is written for inputs
that interface.py has checked.
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor

from ._ops import add_op_namespace_prefix
from .call import attend
from .plan import lse_shape


def _outputs(q: Tensor) -> Tuple[Tensor, Tensor]:
    """Memory for out and its log-sum-exp."""
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    return out, torch.empty(lse_shape(q.shape), dtype=torch.float32, device=q.device)


@torch.library.custom_op(add_op_namespace_prefix("forward"), mutates_args=())
def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
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
) -> Tuple[Tensor, Tensor]:
    """Out and its log-sum-exp; packed if there are cu_seqlens.

    max_q_len is a symbol in a compiled graph: no branch on it may come before this point.
    """
    out, lse = _outputs(q)
    attend(
        *(out, lse, q, k, v, cu_seqlens_q, cu_seqlens_k, sinks, alibi_slopes),
        *(softmax_scale, causal, (window_left, window_right), softcap, max_q_len),
    )
    return out, lse


@forward.register_fake
def _(q: Tensor, *_: Any) -> Tuple[Tensor, Tensor]:
    return _outputs(q)


@torch.library.custom_op(add_op_namespace_prefix("forward_into"), mutates_args=("out",))
def forward_into(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    sinks: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    max_q_len: int,
) -> None:
    """A packed batch into `out`."""
    in_place = out.stride(-1) == 1
    target, lse = _outputs(q)
    attend(
        *(out if in_place else target, lse, q, k, v, cu_seqlens_q, cu_seqlens_k, sinks, None),
        *(softmax_scale, causal, (window_left, window_right), softcap, max_q_len),
    )
    if not in_place:
        out.copy_(target)


@forward_into.register_fake
def _(*_: Any) -> None:
    return None


@torch.library.custom_op(add_op_namespace_prefix("backward"), mutates_args=())
def backward(grad: Tensor, inputs: List[Tensor]) -> List[Tensor]:
    """The gradients of the inputs: not there yet.

    An op, so that a model compiled with gradients on, and only ever run forward, compiles.
    """
    raise NotImplementedError(
        "metal-flash-sdpa has no backward pass yet: it computes attention for inference. "
        "Run under torch.no_grad(), or train with another attn_implementation, such as sdpa"
    )


@backward.register_fake
def _(grad: Tensor, inputs: List[Tensor]) -> List[Tensor]:
    return [torch.empty_like(tensor) for tensor in inputs]


_SINKS = 5  # forward's inputs: q, k, v, cu_seqlens_q, cu_seqlens_k, sinks, ...


def _save_inputs(ctx: Any, inputs: Tuple[Any, ...], output: Tuple[Tensor, Tensor]) -> None:
    ctx.count = len(inputs)
    ctx.places = [i for i in (0, 1, 2, _SINKS) if inputs[i] is not None]
    ctx.save_for_backward(*(inputs[i] for i in ctx.places))


def _backward(ctx: Any, grad: Tensor, grad_lse: Tensor) -> Tuple[Optional[Tensor], ...]:
    found = dict(zip(ctx.places, backward(grad, list(ctx.saved_tensors))))
    return tuple(found.get(i) for i in range(ctx.count))


forward.register_autograd(_backward, setup_context=_save_inputs)
