"""The torch ops: what torch.compile and autograd see of a call.

Each has a fake implementation, so that a compiled graph has no break, and is written for inputs
that interface.py has checked, but for the numbers that only a running graph knows.
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor

from . import call, checks, keys
from ._ops import add_op_namespace_prefix
from .call import Options
from .keys import Keys
from .plan import lse_shape


def _outputs(q: Tensor, return_lse: bool, packed: bool = False) -> Tuple[Tensor, Tensor]:
    """Memory for out and its log-sum-exp, which is empty if nobody wants it.

    In a packed batch there may be rows that belong to no sequence: 0 and -inf.
    """
    shape = lse_shape(q.shape) if return_lse else (0,)
    if packed:
        lse = torch.full(shape, -torch.inf, dtype=torch.float32, device=q.device)
        return torch.zeros(q.shape, dtype=q.dtype, device=q.device), lse
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    return out, torch.empty(shape, dtype=torch.float32, device=q.device)


@torch.library.custom_op(add_op_namespace_prefix("forward"), mutates_args=())
def forward(
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
    dropout_seed: Optional[Tensor],
) -> Tuple[Tensor, Tensor]:
    """Out and its log-sum-exp, empty without return_lse; packed if there are cu_seqlens."""
    checks.check_window(window_left, window_right)
    checks.check_longest("max_seqlen_q", max_q_len)
    out, lse = _outputs(q, return_lse, packed=cu_seqlens_q is not None)
    window = (window_left, window_right)
    call.attend(
        *(out, lse if return_lse else None, q, k, v),
        options=Options(
            *(sinks, alibi_slopes, softmax_scale, causal, window, softcap),
            dropout_p=dropout_p,
            dropout_seed=dropout_seed,
        ),
        cu_seqlens_q=cu_seqlens_q,
        keys=keys.packed(cu_seqlens_k, block_table),
        max_q_len=max_q_len,
    )
    return out, lse


@forward.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    return_lse: bool,
    cu_seqlens_q: Optional[Tensor],
    *_: Any,
    **__: Any,
) -> Tuple[Tensor, Tensor]:
    return _outputs(q, return_lse, packed=cu_seqlens_q is not None)


def _gradient(tensor: Optional[Tensor], wanted: bool, packed: bool) -> Tensor:
    """Memory for a tensor's gradient, empty if nobody wants it; 0 for rows in no sequence."""
    if tensor is None or not wanted:
        return torch.empty((0,))
    make = torch.zeros if packed else torch.empty
    return make(tensor.shape, dtype=tensor.dtype, device=tensor.device)


@torch.library.custom_op(add_op_namespace_prefix("backward"), mutates_args=())
def backward(
    grad_out: Tensor,
    grad_lse: Optional[Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seqlens_q: Optional[Tensor],
    cu_seqlens_k: Optional[Tensor],
    sinks: Optional[Tensor],
    alibi_slopes: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    dropout_p: float,
    dropout_seed: Optional[Tensor],
    wants_q: bool,
    wants_k: bool,
    wants_v: bool,
    wants_sinks: bool,
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of q, k, v and the sinks, empty where they are not wanted."""
    packed = cu_seqlens_q is not None
    grad_q, grad_k, grad_v = (
        _gradient(tensor, wanted, packed)
        for tensor, wanted in ((q, wants_q), (k, wants_k), (v, wants_v))
    )
    window = (window_left, window_right)
    grad_sinks = call.differentiate(
        grad_out=grad_out,
        grad_lse=grad_lse,
        q=q,
        k=k,
        v=v,
        out=out,
        lse=lse,
        options=Options(
            *(sinks, alibi_slopes, softmax_scale, causal, window, softcap),
            dropout_p=dropout_p,
            dropout_seed=dropout_seed,
        ),
        cu_seqlens_q=cu_seqlens_q,
        keys=keys.packed(cu_seqlens_k),
        grad_q=grad_q if wants_q else None,
        grad_k=grad_k if wants_k else None,
        grad_v=grad_v if wants_v else None,
        wants_sinks=wants_sinks,
    )
    if sinks is None or grad_sinks is None:
        return grad_q, grad_k, grad_v, _gradient(None, False, packed)
    return grad_q, grad_k, grad_v, grad_sinks.to(sinks.dtype)


@backward.register_fake
def _(
    grad_out: Tensor,
    grad_lse: Optional[Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_seqlens_q: Optional[Tensor],
    cu_seqlens_k: Optional[Tensor],
    sinks: Optional[Tensor],
    alibi_slopes: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    dropout_p: float,
    dropout_seed: Optional[Tensor],
    wants_q: bool,
    wants_k: bool,
    wants_v: bool,
    wants_sinks: bool,
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    packed = cu_seqlens_q is not None
    return (
        _gradient(q, wants_q, packed),
        _gradient(k, wants_k, packed),
        _gradient(v, wants_v, packed),
        _gradient(sinks, wants_sinks, False),
    )


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
    checks.check_window(window_left, window_right)
    checks.check_longest("max_seqlen_q", max_q_len)
    in_place = out.stride(-1) == 1
    target = out if in_place else torch.empty_like(out, memory_format=torch.contiguous_format)
    call.attend(
        *(target, None, q, k, v),
        options=Options(sinks, None, softmax_scale, causal, (window_left, window_right), softcap),
        cu_seqlens_q=cu_seqlens_q,
        keys=keys.packed(cu_seqlens_k),
        max_q_len=max_q_len,
    )
    if not in_place:
        out.copy_(target)


@forward_into.register_fake
def _(*_: Any, **__: Any) -> None:
    return None


@torch.library.custom_op(add_op_namespace_prefix("append"), mutates_args=("k_cache", "v_cache"))
def append(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor,
    v: Tensor,
    rotary_cos: Optional[Tensor],
    rotary_sin: Optional[Tensor],
    interleaved: bool,
    causal: bool,
    window_left: int,
    window_right: int,
    cache_seqlens: Optional[Tensor],
    cache_len: Optional[int],
    cache_batch_idx: Optional[Tensor],
    block_table: Optional[Tensor],
    splits: int,
) -> Tensor:
    """New rows into a cache; returns the queries as rotated, empty if nothing is rotated.

    How many rows there are already is said as in `keys.cached`.  `splits` is what the attention
    over the cache is asked for: a refused call writes nothing.
    """
    new_len = k.shape[1]
    where = keys.cached(cache_seqlens, cache_len, None, cache_batch_idx, block_table, new_len)
    _check_cached(where, cache_len, k_cache, window_left, window_right, splits)
    rotated = _rotated(q, rotary_cos)
    call.append(
        rotated_q=None if rotary_cos is None else rotated,
        q=q,
        k=k_cache,
        v=v_cache,
        new_k=k,
        new_v=v,
        rotary_cos=rotary_cos,
        rotary_sin=rotary_sin,
        interleaved=interleaved,
        options=Options(causal=causal, window_size=(window_left, window_right)),
        keys=where,
    )
    return rotated


def _check_cached(
    where: Keys,
    cache_len: Optional[int],
    k_cache: Tensor,
    window_left: int,
    window_right: int,
    splits: int,
) -> None:
    checks.check_window(window_left, window_right)
    checks.check_splits(splits)
    if cache_len is not None:
        checks.check_room(cache_len, where.appended, where.room(k_cache.shape[1]))


def _rotated(q: Tensor, rotary_cos: Optional[Tensor]) -> Tensor:
    shape = (0,) if rotary_cos is None else q.shape
    return torch.empty(shape, dtype=q.dtype, device=q.device)


@append.register_fake
def _(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor,
    v: Tensor,
    rotary_cos: Optional[Tensor],
    *_: Any,
    **__: Any,
) -> Tensor:
    return _rotated(q, rotary_cos)


@torch.library.custom_op(add_op_namespace_prefix("forward_cached"), mutates_args=())
def forward_cached(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    return_lse: bool,
    cache_seqlens: Optional[Tensor],
    cache_len: Optional[int],
    cache_leftpad: Optional[Tensor],
    cache_batch_idx: Optional[Tensor],
    block_table: Optional[Tensor],
    appended: int,
    sinks: Optional[Tensor],
    alibi_slopes: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_left: int,
    window_right: int,
    softcap: float,
    splits: int,
) -> Tuple[Tensor, Tensor]:
    """As `forward`, of a padded batch of queries over a cache, to which `append` has appended."""
    where = keys.cached(
        cache_seqlens, cache_len, cache_leftpad, cache_batch_idx, block_table, appended
    )
    _check_cached(where, cache_len, k_cache, window_left, window_right, splits)
    out, lse = _outputs(q, return_lse)
    call.attend(
        *(out, lse if return_lse else None, q, k_cache, v_cache),
        options=Options(
            sinks, alibi_slopes, softmax_scale, causal, (window_left, window_right), softcap
        ),
        keys=where,
        splits=splits,
    )
    return out, lse


@forward_cached.register_fake
def _(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, return_lse: bool, *_: Any, **__: Any
) -> Tuple[Tensor, Tensor]:
    return _outputs(q, return_lse)


NO_BACKWARD = (
    "flash_attn_varlen_func has no backward pass with a block_table: a cache is for inference. "
    "Run under torch.no_grad(), or pass k and v without pages"
)
NO_BACKWARD_CACHED = (
    "flash_attn_with_kvcache has no backward pass: a cache is for inference. "
    "Run under torch.no_grad(), or train with another attn_implementation, such as sdpa"
)
NO_BACKWARD_INTO = (
    "flash_attention_varlen writes `out` in place: no gradient flows through it. "
    "Run under torch.no_grad(), or train with another attn_implementation, such as sdpa"
)


@torch.library.custom_op(add_op_namespace_prefix("no_backward"), mutates_args=())
def no_backward(grad: Tensor, inputs: List[Tensor], why: str) -> List[Tensor]:
    """In place of the gradients of `inputs`: an error that says why there are none.

    An op, so that a model compiled with gradients on, and only ever run forward, compiles.  It
    takes the output's gradient, so that no compiler moves it into the forward pass.
    """
    raise NotImplementedError(why)


@no_backward.register_fake
def _(grad: Tensor, inputs: List[Tensor], why: str) -> List[Tensor]:
    return [torch.empty_like(tensor) for tensor in inputs]


def _refuse_backward(op: Any, why: str) -> None:
    """Let the backward pass of an op say why there is none."""

    def save_inputs(ctx: Any, inputs: Tuple[Any, ...], output: Any) -> None:
        ctx.count = len(inputs)
        ctx.places = [
            i
            for i, value in enumerate(inputs)
            if isinstance(value, Tensor) and value.is_floating_point()
        ]
        ctx.save_for_backward(*(inputs[i] for i in ctx.places))

    def backward(ctx: Any, grad: Tensor, *_: Any) -> Tuple[Optional[Tensor], ...]:
        gradients = dict(zip(ctx.places, no_backward(grad, list(ctx.saved_tensors), why)))
        return tuple(gradients.get(i) for i in range(ctx.count))

    op.register_autograd(backward, setup_context=save_inputs)


@torch.library.custom_op(add_op_namespace_prefix("nothing_of"), mutates_args=())
def nothing_of(q: Tensor, k: Tensor, v: Tensor, sinks: Optional[Tensor]) -> Tensor:
    """-0.0, which added to a number leaves its bits as they are.

    An output written in place has no gradient.  Added to it, this one has the backward pass that
    says so, where without it the inputs would go without a gradient silently.
    """
    return torch.full((), -0.0, dtype=q.dtype, device=q.device)


@nothing_of.register_fake
def _(q: Tensor, *_: Any) -> Tensor:
    return torch.empty((), dtype=q.dtype, device=q.device)


_refuse_backward(forward, NO_BACKWARD)
_refuse_backward(forward_cached, NO_BACKWARD_CACHED)
_refuse_backward(nothing_of, NO_BACKWARD_INTO)
