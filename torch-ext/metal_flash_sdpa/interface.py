"""The public functions: flash-attn's names, order, defaults and meaning, plus s_aux.

They check the call and hand it to the torch ops.  Nothing here reads a tensor's content, so
nothing waits for the GPU.
"""

from typing import Optional, Sequence, Tuple, Union

from torch import Tensor

from . import autograd, checks, head_dims, ops, transforms
from .autocast import cast
from .hints import hinting

# What return_attn_probs=True gives: out, log-sum-exp, and no probabilities.
WithLse = Tuple[Tensor, Tensor, None]


@hinting
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
    attn_mask: Optional[Tensor] = None,
) -> Union[Tensor, WithLse]:
    """Attention of a padded batch.

    Args:
        q: (batch, q_len, heads, head_dim), float16, bfloat16 or float32; head_dim is a multiple of
            8, up to the largest that has kernels.
        k, v: (batch, k_len, kv_heads, head_dim); heads is a multiple of kv_heads.  The head_dim of
            v may be another, and out has it.  With some head dims v may be the first columns of k,
            as in DeepSeek's latent attention, k[..., :512] of 576: each row is then read once.
        dropout_p: the probability, from 0 up to but not including 1, that a weight is dropped; the
            others are multiplied by 1 / (1 - dropout_p).  The seed is drawn from torch's generator
            of the CPU (torch.manual_seed), on every device.
        softmax_scale: multiplies the scores; None is head_dim ** -0.5.  Up to 6.9e37 in magnitude,
            which is what float32 holds of the scores when they are scaled: larger ones give NaN.
        causal: a query sees no key after its own, where the last query stands at the last key.
        window_size: (left, right) keys that a query sees on either side of its own; -1 is all.
        softcap: scores become softcap * tanh(score / softcap); 0 is off.  From 1.2e-38 to 5e30, as
            float32 holds it.
        alibi_slopes: float32, (heads,) or (batch, heads).  After the softcap,
            slope * |i + k_len - q_len - j| is taken off the score of query i and key j.  What the
            slopes are is not looked at: where such a product, or a slope, exceeds 6.9e37 in
            magnitude, the rows of that head are NaN, or 0 as if they saw no key.
        deterministic: accepted; the result and its gradients always are.
        return_attn_probs: also return the log-sum-exp.
        s_aux: (heads,), any float dtype: attention sinks, one logit per query head that joins the
            softmax's denominator and has no value.
        attn_mask: what broadcasts to (batch, heads, q_len, k_len): bool, True where a query may see
            a key; or float16, bfloat16 or float32, whatever q is, a bias that is added to the
            scaled and capped score.  -inf hides a key, as do the dtype's lowest value and any below
            -6.9e37.  A key is seen if causal, window_size and the mask all let it.  Blocks of
            keys that a mask hides from all queries of a tile are skipped.  A NaN makes the rows NaN
            that it is added to.

    Any strides are read in place as long as the last one is 1.  A head_dim that has no kernels of
    its own, or no pair of it and that of v: what is narrower is copied, padded with zeros.

    Under torch.autocast q, k and v go to its dtype, as those of torch's own attention do.  Without
    it they must have the same, or q is float32 and k and v are both float16 or both bfloat16: these
    are converted as they are loaded, and never copied.  That has no backward pass: to train, give
    k.float() and v.float().

    An inf or a NaN in q or k, -inf among them, makes the rows NaN that see it.  To hide a key, mask
    it.  One in v also reaches rows that do not see it, if they are computed together with one that
    does (at most 64 rows): their weight for it is 0, and 0 times inf is NaN.  A key or a value that
    no row of its sequence sees does nothing, whatever it is.

    Returns:
        out, like q and contiguous.  With return_attn_probs (out, softmax_lse, None), where
        softmax_lse is float32 (batch, heads, q_len).  A query that sees no key gives 0 and -inf.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it and what it may be.
        NotImplementedError: torch.vmap, forward-mode derivatives (torch.func.jvp, jacfwd, dual
            tensors) and second derivatives.

    Gradients: of q, k, v, s_aux and attn_mask, from those of out and of softmax_lse; alibi_slopes
    get none.  They take memory for themselves and 8 bytes for each query row and head.  A row that
    sees no key gives and gets 0.  Only those that are asked for are computed.  That of a mask has
    its shape and dtype, and is 0 where the mask hides a key; along axes that the mask shares it is
    added up as it is computed, not afterwards.
    """
    q, k, v = cast(q, k, v)
    checks.check_qkv(checks.PADDED, checks.PADDED, q=q, k=k, v=v)
    transforms.refuse(q, k, v, s_aux, attn_mask, differentiable=True)
    transforms.refuse(alibi_slopes)
    checks.check_batch(k.shape[0], "k", q)
    checks.check_options(
        q, q.shape[0], dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, s_aux
    )
    checks.check_mask(attn_mask, q, k.shape[1])
    checks.check_bool("return_attn_probs", return_attn_probs)
    columns = v.shape[-1]
    softmax_scale, (q, k, v) = head_dims.fit(softmax_scale, q, k, v)
    out, lse = autograd.attention(
        q=q,
        k=k,
        v=v,
        return_lse=return_attn_probs,
        cu_seqlens_q=None,
        cu_seqlens_k=None,
        sinks=s_aux,
        alibi_slopes=alibi_slopes,
        softmax_scale=softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
        max_q_len=0,
        block_table=None,
        dropout_p=dropout_p,
        attn_mask=attn_mask,
    )
    out = head_dims.narrow(out, columns)
    return (out, lse, None) if return_attn_probs else out


@hinting
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
        block_table: (batch, most pages of a sequence) int32 or int64: k and v are a paged cache,
            (pages, page_size, kv_heads, head_dim), and key j of sequence b is in row
            j % page_size of page block_table[b, j // page_size].  Of cu_seqlens_k only the lengths
            count then.  Pages that do not exist count as the nearest that does, but a sequence
            whose last key's page is negative has no keys.

    Returns:
        out (total_q, heads, head_dim); softmax_lse is (heads, total_q).  Rows that belong to no
        sequence are 0, -inf in softmax_lse, and their gradients are 0.

    With a block_table there is no backward pass: a cache is for inference.
    """
    key_axes = checks.PACKED if block_table is None else checks.PAGED
    q, k, v = cast(q, k, v)
    checks.check_qkv(checks.PACKED, key_axes, q=q, k=k, v=v)
    transforms.refuse(
        *(q, k, v, cu_seqlens_q, cu_seqlens_k, s_aux), differentiable=block_table is None
    )
    transforms.refuse(alibi_slopes)
    batch = checks.check_sequences(q, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    checks.check_block_table(block_table, batch, q, k)
    checks.check_options(
        q, batch, dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes, s_aux
    )
    checks.check_bool("return_attn_probs", return_attn_probs)
    columns = v.shape[-1]
    softmax_scale, (q, k, v) = head_dims.fit(softmax_scale, q, k, v)
    out, lse = autograd.attention(
        q=q,
        k=k,
        v=v,
        return_lse=return_attn_probs,
        cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_k=cu_seqlens_k,
        sinks=s_aux,
        alibi_slopes=alibi_slopes,
        softmax_scale=softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
        max_q_len=_known(max_seqlen_q),
        block_table=block_table,
        dropout_p=dropout_p,
        attn_mask=None,
    )
    out = head_dims.narrow(out, columns)
    return (out, lse, None) if return_attn_probs else out


@hinting
def flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Optional[Tensor] = None,
    v: Optional[Tensor] = None,
    rotary_cos: Optional[Tensor] = None,
    rotary_sin: Optional[Tensor] = None,
    cache_seqlens: Optional[Union[int, Tensor]] = None,
    cache_batch_idx: Optional[Tensor] = None,
    cache_leftpad: Optional[Tensor] = None,
    block_table: Optional[Tensor] = None,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    rotary_interleaved: bool = True,
    alibi_slopes: Optional[Tensor] = None,
    num_splits: int = 0,
    return_softmax_lse: bool = False,
    s_aux: Optional[Tensor] = None,
    attn_mask: Optional[Tensor] = None,
) -> Union[Tensor, Tuple[Tensor, Tensor]]:
    """Attention over a KV cache, after appending to it if there are new keys and values.

    As `flash_attn_func`, except for:

    Args:
        k_cache, v_cache: (cache_batch, cache_len, kv_heads, head_dim); with a block_table
            (pages, page_size, kv_heads, head_dim).
        k, v: (batch, new_len, kv_heads, head_dim) of the cache's dtype, written into it from row
            cache_seqlens on.  A refused call writes nothing; rows for which the cache has no room
            are left out.
        rotary_cos, rotary_sin: (positions, rotary_dim / 2), like q; rotary_dim is a multiple of 16.
            Rotates the new keys, each by its row in the cache, and the queries: with causal or a
            window those of one sequence by cache_seqlens, cache_seqlens + 1, ..., else all by
            cache_seqlens.  Needs k, and a cache of q's dtype.
        cache_seqlens: an int or (batch,) int32 or int64: rows of the cache that are in use before
            the call.  None: all.
        cache_batch_idx: (batch,) int32 or int64: the entry of the cache that a sequence uses.
            None: its own.  Entries should differ if k is given.
        cache_leftpad: (batch,) int32 or int64: rows of the cache to skip.  None: none.
        block_table: (batch, most pages of a sequence) int32 or int64: row j of sequence b is row
            j % page_size of page block_table[b, j // page_size].
        rotary_interleaved: the elements 2i and 2i + 1 of a row turn together; else i and
            i + rotary_dim / 2.
        num_splits: parts that the keys are split into where q_len is small; 0: as many as keep the
            GPU busy.
        return_softmax_lse: also return the log-sum-exp.
        attn_mask: what broadcasts to (batch, heads, q_len, rows), where rows are those that a
            sequence may have in the cache, in use or not: cache_len, or with a block_table all
            rows of its pages.  Column j is key j of the sequence, counted behind cache_leftpad.

    A slot of the batch that is not in use: give it a negative length, or a negative cache_batch_idx
    (-1), or a negative page where its last key would be.  Nothing is appended for it, and its
    queries see no key: 0 and -inf.

    Other values in cache_seqlens, cache_leftpad, cache_batch_idx and block_table that point outside
    the cache count as the nearest that do not; only new rows are never written into a page or an
    entry that does not exist.  Nothing is read back from the device.

    Under torch.autocast q, k, v and the angles go to the cache's dtype, not to autocast's: the
    cache is written in place, and a copy of it would cost more than the call.

    Rows of the cache that no query of the batch sees, and pages that no sequence uses, may hold
    anything, inf and NaN as well.

    Returns:
        out, like q and contiguous.  With return_softmax_lse (out, softmax_lse), float32 (batch,
        heads, q_len).

    There is no backward pass: a cache is for inference.  It raises NotImplementedError.
    """
    q, k, v, rotary_cos, rotary_sin = cast(q, k, v, rotary_cos, rotary_sin, to_that_of=k_cache)
    checks.check_qkv(
        checks.PADDED,
        checks.CACHE if block_table is None else checks.PAGED,
        q=q,
        k_cache=k_cache,
        v_cache=v_cache,
    )
    transforms.refuse(
        *(q, k_cache, v_cache, k, v, rotary_cos, rotary_sin, s_aux, alibi_slopes, attn_mask),
        *(cache_seqlens, cache_batch_idx, cache_leftpad, block_table),
    )
    rows = checks.check_cache(
        q, k_cache, cache_seqlens, cache_batch_idx, cache_leftpad, block_table
    )
    new_len = checks.check_new(q, k_cache, v_cache, rows, k, v, cache_seqlens)
    checks.check_rotary(q, rows, k, rotary_cos, rotary_sin, rotary_interleaved)
    checks.check_options(
        q, q.shape[0], 0.0, softmax_scale, causal, window_size, softcap, alibi_slopes, s_aux
    )
    checks.check_mask(attn_mask, q, rows)
    checks.check_splits(num_splits)
    checks.check_bool("return_softmax_lse", return_softmax_lse)
    per_sequence = isinstance(cache_seqlens, Tensor)
    columns = v_cache.shape[-1]
    softmax_scale, (q, wide_k, wide_v) = head_dims.fit(softmax_scale, q, k_cache, v_cache)
    cache = {
        "k_cache": wide_k,
        "v_cache": wide_v,
        "cache_seqlens": cache_seqlens if per_sequence else None,
        "cache_len": None if per_sequence else cache_seqlens,
        "cache_batch_idx": cache_batch_idx,
        "block_table": block_table,
    }
    left, right = window_size
    mask = {"causal": causal, "window_left": left, "window_right": right}
    if k is not None and v is not None:
        rotated = ops.append(
            q=q,
            k=head_dims.widen(k, q.shape[-1]),
            v=head_dims.widen(v, wide_v.shape[-1]),
            rotary_cos=rotary_cos,
            rotary_sin=rotary_sin,
            interleaved=rotary_interleaved,
            splits=num_splits,
            **cache,
            **mask,
        )
        q = q if rotary_cos is None else rotated
        head_dims.write_back(k_cache, wide_k)
        head_dims.write_back(v_cache, wide_v)
    out, lse = ops.forward_cached(
        q=q,
        return_lse=return_softmax_lse,
        cache_leftpad=cache_leftpad,
        appended=new_len,
        sinks=s_aux,
        alibi_slopes=alibi_slopes,
        softmax_scale=softmax_scale,
        softcap=softcap,
        splits=num_splits,
        attn_mask=attn_mask,
        **cache,
        **mask,
    )
    out = head_dims.narrow(out, columns)
    return (out, lse) if return_softmax_lse else out


@hinting
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
        out: dtype and device of query, and its shape with the head_dim of value; written in place,
            so no gradient flows through it: the backward pass raises NotImplementedError.  Under
            torch.autocast query, key and value go to its dtype.
        softcapping: as softcap, and 1.0, the default, is off, as 0.0 is.  To cap at 1.0 call
            `flash_attn_varlen_func` with softcap=1.0.
    """
    query, key, value = cast(query, key, value, to_that_of=out)
    checks.check_qkv(checks.PACKED, checks.PACKED, query=query, key=key, value=value)
    checks.check_out(out, query, value)
    transforms.refuse(out, query, key, value, cu_seqlens_q, cu_seqlens_k, s_aux)
    batch = checks.check_sequences(query, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k)
    names = {"softmax_scale": "scale", "causal": "do_causal", "softcap": "softcapping"}
    checks.check_options(
        *(query, batch, 0.0, scale, do_causal, window_size, softcapping, None, s_aux), names=names
    )
    softcap = 0.0 if softcapping == 1.0 else softcapping
    left, right = window_size
    scale, (wide_query, wide_key, wide_value) = head_dims.fit(scale, query, key, value)
    wide_out = head_dims.widen(out, wide_value.shape[-1])
    ops.forward_into(
        out=wide_out,
        q=wide_query,
        k=wide_key,
        v=wide_value,
        cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_k=cu_seqlens_k,
        sinks=s_aux,
        softmax_scale=scale,
        causal=do_causal,
        window_left=left,
        window_right=right,
        softcap=softcap,
        max_q_len=_known(max_seqlen_q),
    )
    head_dims.write_back(out, wide_out)
    if autograd.may_need_gradients(query, key, value, s_aux):
        out.add_(autograd.nothing_of(query, key, value, s_aux))


def _known(length: Union[int, Tensor]) -> int:
    """A length that can be had without waiting for the GPU; 0 if it is on a device."""
    return 0 if isinstance(length, Tensor) else length
