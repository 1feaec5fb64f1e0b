"""flash-attn's functions for Q, K and V, or K and V, in one tensor, as a projection makes it.

They take the tensor apart into views, which the kernels read in place, by their strides.
"""

from typing import Optional, Sequence, Tuple, Union

from torch import Tensor

from . import checks
from .hints import hinting
from .interface import WithLse, flash_attn_func, flash_attn_varlen_func


@hinting
def flash_attn_qkvpacked_func(
    qkv: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Optional[Tensor] = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    s_aux: Optional[Tensor] = None,
    attn_mask: Optional[Tensor] = None,
) -> Union[Tensor, WithLse]:
    """`flash_attn_func` of qkv, (batch, length, 3, heads, head_dim).

    The gradient of qkv is put together from those of its parts, by one copy.
    """
    q, k, v = _apart(checks.PADDED, qkv=qkv)
    return flash_attn_func(
        *(q, k, v, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes),
        *(deterministic, return_attn_probs, s_aux, attn_mask),
    )


@hinting
def flash_attn_kvpacked_func(
    q: Tensor,
    kv: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Optional[Tensor] = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    s_aux: Optional[Tensor] = None,
    attn_mask: Optional[Tensor] = None,
) -> Union[Tensor, WithLse]:
    """`flash_attn_func` of q and of kv, (batch, length, 2, kv_heads, head_dim)."""
    k, v = _apart(checks.PADDED, kv=kv)
    return flash_attn_func(
        *(q, k, v, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes),
        *(deterministic, return_attn_probs, s_aux, attn_mask),
    )


@hinting
def flash_attn_varlen_qkvpacked_func(
    qkv: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: Union[int, Tensor],
    dropout_p: float = 0.0,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Optional[Tensor] = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    s_aux: Optional[Tensor] = None,
) -> Union[Tensor, WithLse]:
    """`flash_attn_varlen_func` of qkv, (total, 3, heads, head_dim)."""
    q, k, v = _apart(checks.PACKED, qkv=qkv)
    return flash_attn_varlen_func(
        *(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen),
        *(dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes),
        *(deterministic, return_attn_probs),
        s_aux=s_aux,
    )


@hinting
def flash_attn_varlen_kvpacked_func(
    q: Tensor,
    kv: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: Union[int, Tensor],
    max_seqlen_k: Union[int, Tensor],
    dropout_p: float = 0.0,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Optional[Tensor] = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    s_aux: Optional[Tensor] = None,
) -> Union[Tensor, WithLse]:
    """`flash_attn_varlen_func` of q and of kv, (total_k, 2, kv_heads, head_dim)."""
    k, v = _apart(checks.PACKED, kv=kv)
    return flash_attn_varlen_func(
        *(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k),
        *(dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes),
        *(deterministic, return_attn_probs),
        s_aux=s_aux,
    )


def _apart(axes: Sequence[str], **named: Tensor) -> Tuple[Tensor, ...]:
    """The parts of one tensor as views; its name has a letter for each.

    It has the axes of a part, and one more before heads, over the parts.
    """
    ((name, tensor),) = named.items()
    *front, heads, head_dim = axes
    checks.check_parts(name, tensor, (*front, str(len(name)), heads, head_dim))
    return tuple(tensor.unbind(len(front)))
