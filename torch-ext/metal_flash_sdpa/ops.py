"""The torch ops: what torch.compile sees of a call, and autograd.py builds on.

Each has a fake implementation, so that a compiled graph has no break, and is written for inputs
that interface.py has checked, but for the numbers that only a running graph knows.  `run_forward`
and `run_backward` are two of them as plain functions: torch's dispatch of an op takes longer than
they do, and where no graph and no mode needs to see the op, autograd.py calls the function.
"""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import call, checks, keys
from ._ops import add_op_namespace_prefix
from .call import Options
from .keys import Keys
from .plan import lse_shape


def _outputs(q: Tensor, v: Tensor, return_lse: bool, packed: bool = False) -> Tuple[Tensor, Tensor]:
    """Memory for out, with the columns of v, and its log-sum-exp, empty if nobody wants it.

    In a packed batch there may be rows that belong to no sequence: 0 and -inf.
    """
    shape = (*q.shape[:-1], v.shape[-1])
    of_lse = lse_shape(q.shape) if return_lse else (0,)
    if packed:
        lse = torch.full(of_lse, -torch.inf, dtype=torch.float32, device=q.device)
        return q.new_zeros(shape), lse
    return q.new_empty(shape), q.new_empty(of_lse, dtype=torch.float32)


def run_forward(
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
    attn_mask: Optional[Tensor],
) -> Tuple[Tensor, Tensor]:
    """Out and its log-sum-exp, empty without return_lse; packed if there are cu_seqlens."""
    checks.check_window(window_left, window_right)
    checks.check_longest("max_seqlen_q", max_q_len)
    checks.check_latent(k, v)
    out, lse = _outputs(q, v, return_lse, packed=cu_seqlens_q is not None)
    window = (window_left, window_right)
    call.attend(
        *(out, lse if return_lse else None, q, k, v),
        options=Options(
            sinks=sinks,
            alibi_slopes=alibi_slopes,
            softmax_scale=softmax_scale,
            causal=causal,
            window_size=window,
            softcap=softcap,
            dropout_p=dropout_p,
            dropout_seed=dropout_seed,
            attn_mask=attn_mask,
        ),
        cu_seqlens_q=cu_seqlens_q,
        keys=keys.packed(cu_seqlens_k, block_table),
        max_q_len=max_q_len,
    )
    return out, lse


forward = torch.library.custom_op(add_op_namespace_prefix("forward"), mutates_args=())(run_forward)


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
    return _outputs(q, v, return_lse, packed=cu_seqlens_q is not None)


def _gradients(
    wanted: Sequence[bool],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sinks: Optional[Tensor],
    packed: bool,
) -> List[Optional[Tensor]]:
    """Memory for the gradients of q, k, v and sinks that are wanted.

    In a packed batch there may be rows that belong to no sequence: 0.
    """
    make = torch.zeros_like if packed else torch.empty_like
    return [
        make(like, memory_format=torch.contiguous_format) if is_wanted else None
        for like, is_wanted in zip((q, k, v, sinks), wanted)
    ]


def run_backward(
    wanted: Sequence[bool],
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
) -> List[Tensor]:
    """The gradients of q, k, v and sinks that are `wanted`, in this order.

    `out` and `lse` are what `forward` gave; dropout_seed is what it took.
    """
    if lse.shape != lse_shape(q.shape):
        raise ValueError("lse is empty: forward must have been called with return_lse")
    checks.check_gradient("out", grad_out, out)
    checks.check_gradient("softmax_lse", grad_lse, lse)
    gradients = _gradients(wanted, q, k, v, sinks, packed=cu_seqlens_q is not None)
    grad_q, grad_k, grad_v, grad_sinks = gradients
    window = (window_left, window_right)
    of_sinks = call.differentiate(
        grad_out=grad_out,
        grad_lse=grad_lse,
        q=q,
        k=k,
        v=v,
        out=out,
        lse=lse,
        options=Options(
            sinks=sinks,
            alibi_slopes=alibi_slopes,
            softmax_scale=softmax_scale,
            causal=causal,
            window_size=window,
            softcap=softcap,
            dropout_p=dropout_p,
            dropout_seed=dropout_seed,
        ),
        cu_seqlens_q=cu_seqlens_q,
        keys=keys.packed(cu_seqlens_k),
        grad_q=grad_q,
        grad_k=grad_k,
        grad_v=grad_v,
        wants_sinks=grad_sinks is not None,
    )
    if grad_sinks is not None and of_sinks is not None:
        grad_sinks.copy_(of_sinks)
    return [gradient for gradient in gradients if gradient is not None]


backward = torch.library.custom_op(add_op_namespace_prefix("backward"), mutates_args=())(
    run_backward
)


@backward.register_fake
def _(
    wanted: Sequence[bool],
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
    *_: Any,
    **__: Any,
) -> List[Tensor]:
    gradients = _gradients(wanted, q, k, v, sinks, packed=cu_seqlens_q is not None)
    return [gradient for gradient in gradients if gradient is not None]


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
    attn_mask: Optional[Tensor],
) -> Tuple[Tensor, Tensor]:
    """As `forward`, of a padded batch of queries over a cache, to which `append` has appended."""
    where = keys.cached(
        cache_seqlens, cache_len, cache_leftpad, cache_batch_idx, block_table, appended
    )
    _check_cached(where, cache_len, k_cache, window_left, window_right, splits)
    checks.check_latent(k_cache, v_cache, "k_cache", "v_cache")
    out, lse = _outputs(q, v_cache, return_lse)
    call.attend(
        *(out, lse if return_lse else None, q, k_cache, v_cache),
        options=Options(
            *(sinks, alibi_slopes, softmax_scale, causal, (window_left, window_right), softcap),
            attn_mask=attn_mask,
        ),
        keys=where,
        splits=splits,
    )
    return out, lse


@forward_cached.register_fake
def _(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, return_lse: bool, *_: Any, **__: Any
) -> Tuple[Tensor, Tensor]:
    return _outputs(q, v_cache, return_lse)
