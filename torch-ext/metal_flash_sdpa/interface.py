"""The public functions: flash-attn's names, order, defaults and meaning, plus s_aux.

They check the call and hand it to the torch ops.  Nothing here reads a tensor's content, so
nothing waits for the GPU.
"""

from typing import Optional, Sequence, Tuple, Union

from torch import Tensor

from . import checks, ops

# What return_attn_probs=True gives: out, log-sum-exp, and no probabilities.
WithLse = Tuple[Tensor, Tensor, None]


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
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
    """Attention of a padded batch.

    Args:
        q: (batch, q_len, heads, head_dim), float16, bfloat16 or float32.
        k, v: (batch, k_len, kv_heads, head_dim); heads is a multiple of kv_heads.
        dropout_p: must be 0.
        softmax_scale: multiplies the scores; None is head_dim ** -0.5.
        causal: a query sees no key after its own, where the last query stands at the last key.
        window_size: (left, right) keys that a query sees on either side of its own; -1 is all.
        softcap: scores become softcap * tanh(score / softcap); 0 is off.
        alibi_slopes: float32, (heads,) or (batch, heads).  After the softcap,
            slope * |i + k_len - q_len - j| is taken off the score of query i and key j.
        deterministic: accepted; the result always is.
        return_attn_probs: also return the log-sum-exp.
        s_aux: (heads,), any float dtype: attention sinks, one logit per query head that joins the
            softmax's denominator and has no value.

    Any strides are read in place as long as the last one is 1.

    Returns:
        out, like q and contiguous.  With return_attn_probs (out, softmax_lse, None), where
        softmax_lse is float32 (batch, heads, q_len).  A query that sees no key gives 0 and -inf.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it and what it may be.
        NotImplementedError: dropout; and the backward pass, when it is called.
    """
    checks.check_qkv(checks.PADDED, q=q, k=k, v=v)
    checks.check_options(
        q, q.shape[0], dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, s_aux
    )
    left, right = window_size
    out, lse = ops.forward(
        q, k, v, None, None, s_aux, alibi_slopes, softmax_scale, causal, left, right, softcap, 0
    )
    return (out, lse, None) if return_attn_probs else out


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
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
    block_table: Optional[Tensor] = None,
    s_aux: Optional[Tensor] = None,
) -> Union[Tensor, WithLse]:
    """Attention of a packed batch: sequences of different lengths, one after the other.

    As `flash_attn_func`, except for:

    Args:
        q: (total_q, heads, head_dim).
        k, v: (total_k, kv_heads, head_dim).
        cu_seqlens_q, cu_seqlens_k: (batch + 1,) int32 or int64: sequence b has the rows from
            cu_seqlens[b] up to cu_seqlens[b + 1].  Offsets outside the tensor count as its ends.
        max_seqlen_q, max_seqlen_k: ints or tensors of one element, which are never read.  The
            result depends on neither; a small int max_seqlen_q, as of a decoding batch, saves time.
        block_table: must be None; a paged cache is not supported yet.

    Returns:
        out (total_q, heads, head_dim); softmax_lse is (heads, total_q).  Rows that belong to no
        sequence are not written.
    """
    checks.check_qkv(checks.PACKED, q=q, k=k, v=v)
    batch = checks.check_sequences(q, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    checks.check_block_table(block_table)
    checks.check_options(
        q, batch, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, s_aux
    )
    left, right = window_size
    out, lse = ops.forward(
        *(q, k, v, cu_seqlens_q, cu_seqlens_k, s_aux, alibi_slopes),
        *(softmax_scale, causal, left, right, softcap, _known(max_seqlen_q)),
    )
    return (out, lse, None) if return_attn_probs else out


def flash_attention_varlen(
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: Union[int, Tensor],
    max_seqlen_k: Union[int, Tensor],
    do_causal: bool = False,
    scale: Optional[float] = None,
    softcapping: float = 1.0,
    s_aux: Optional[Tensor] = None,
    window_size: Sequence[int] = (-1, -1),
) -> None:
    """`flash_attn_varlen_func` into `out`, as earlier versions of this kernel on the Hub had it.

    Args:
        out: shape, dtype and device of query; written in place, so no gradient flows through it.
        softcapping: as softcap, and 1.0, the default, is off, as 0.0 is.  To cap at 1.0 call
            `flash_attn_varlen_func` with softcap=1.0.
    """
    checks.check_qkv(checks.PACKED, query=query, key=key, value=value)
    checks.check_out(out, query)
    batch = checks.check_sequences(query, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    names = {"softmax_scale": "scale", "causal": "do_causal", "softcap": "softcapping"}
    checks.check_options(
        *(query, batch, 0.0, scale, do_causal, window_size, softcapping, None, s_aux), names=names
    )
    softcap = 0.0 if softcapping == 1.0 else softcapping
    left, right = window_size
    ops.forward_into(
        *(out, query, key, value, cu_seqlens_q, cu_seqlens_k, s_aux),
        *(scale, do_causal, left, right, softcap, _known(max_seqlen_q)),
    )


def _known(length: Union[int, Tensor]) -> int:
    """A length that can be had without waiting for the GPU; 0 if it is on a device."""
    return 0 if isinstance(length, Tensor) else length
