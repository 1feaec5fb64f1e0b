"""Refuses wrong arguments: each message names the argument, what came and what is allowed.

Only types, shapes, dtypes and devices are looked at, never a tensor's content.

A number may be unknown while torch.compile traces a call (`length.item()`), and must not be
compared then.  So the ops check the numbers that they are given once more, when they run.
"""

from operator import index
from typing import Any, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ._variants import KV_TYPES, LATENT, MASK_TYPES
from .catalogue import BUILT_IN

PADDED = ("batch", "length", "heads", "head_dim")
PACKED = ("total length", "heads", "head_dim")
CACHE = ("cache_batch", "cache_len", "kv_heads", "head_dim")
PAGED = ("pages", "page_size", "kv_heads", "head_dim")

OFFSETS = (torch.int32, torch.int64)
LARGEST_DROPOUT = 1 - 2.0**-24  # beyond, float32 has no 1 / (1 - dropout_p)
ROTARY_STEP = 16  # flash-attn's
HEAD_DIM_STEP = 8  # columns of a fragment; flash-attn's, too
MOST_SPLITS = 128  # flash-attn's
LONGEST = torch.iinfo(torch.int32).max  # kernels count rows in int32

# What the float32 arithmetic of the kernels holds.  They compute logits in base 2, that is with
# log2(e) = 1.4427, and keep their running maximum above -1e38: under this scale a score of 1, or
# -1, is a logit within it.
MOST_SCALE = 6.9e37
# The kernels divide the scale by the softcap.  A GPU may take numbers below the least normal one
# for 0: by at most MOST_SOFTCAP times as much the capped score is off, which is 2^-24.
LEAST_SOFTCAP = torch.finfo(torch.float32).tiny
MOST_SOFTCAP = 2.0**102
LARGEST = torch.finfo(torch.float32).max
SCALES = f"from -{MOST_SCALE} to {MOST_SCALE}, or None"
SOFTCAPS = f"0 (off) or from {LEAST_SOFTCAP} to {MOST_SOFTCAP:.5g}"

HEAD_DIMS = list(BUILT_IN.head_dims)
DTYPES = tuple(getattr(torch, name) for name in BUILT_IN.dtypes)
# Of K and V under queries of CONVERTING: kernels convert them as they are loaded.
CONVERTING = torch.float32
CONVERTED = tuple(getattr(torch, name) for name in KV_TYPES)
MASK_DTYPES = tuple(getattr(torch, name) for name in MASK_TYPES)


def check_qkv(q_axes: Sequence[str], kv_axes: Sequence[str], **tensors: Any) -> None:
    """Check query, key and value, given in this order under the names that the caller knows."""
    for (name, tensor), axes in zip(tensors.items(), (q_axes, kv_axes, kv_axes)):
        _check_tensor(name, tensor, DTYPES)
        if tensor.dim() != len(axes):
            raise ValueError(f"{name} has shape {_shape(tensor)}: must be ({', '.join(axes)})")
    (q_name, q), (k_name, k), (v_name, v) = tensors.items()
    for name, tensor in ((k_name, k), (v_name, v)):
        _check_beside(name, tensor, q_name, q)
    if k.dtype != q.dtype and not (q.dtype == CONVERTING and k.dtype in CONVERTED):
        allowed = " or ".join(map(str, CONVERTED))
        raise TypeError(
            f"{k_name} is {k.dtype} and {q_name} is {q.dtype}: must be the same, or, where "
            f"{q_name} is {CONVERTING}, {allowed}"
        )
    if v.dtype != k.dtype:
        raise TypeError(f"{v_name} is {v.dtype} and {k_name} is {k.dtype}: must be the same")
    q_shape, k_shape, v_shape = q.shape, k.shape, v.shape
    if v_shape[:-1] != k_shape[:-1]:
        raise ValueError(
            f"{v_name} has shape {_shape(v)} and {k_name} {_shape(k)}: must be the same but for "
            "head_dim"
        )
    # Under torch.compile a size may be a symbol.  `index` makes a number of it: each head_dim has a
    # graph of its own.  To compare a symbol with all supported widths would take torch minutes.
    head_dim, of_value = index(q_shape[-1]), index(v_shape[-1])
    heads, kv_heads = q_shape[-2], k_shape[-2]
    is_latent = (head_dim, of_value) in LATENT
    for name, columns in ((q_name, head_dim), (v_name, of_value)) if not is_latent else ():
        if not 1 <= columns <= HEAD_DIMS[-1] or columns % HEAD_DIM_STEP:
            raise ValueError(
                f"{name} has head_dim {columns}: must be a multiple of {HEAD_DIM_STEP} up to "
                f"{HEAD_DIMS[-1]}" + _way_out(head_dim, columns, q_name, k_name, v_name)
            )
    if k_shape[-1] != head_dim:
        raise ValueError(
            f"{k_name} has head_dim {k_shape[-1]} and {q_name} {head_dim}: must be the same"
        )
    if is_latent and head_dim > HEAD_DIMS[-1]:  # else it can be padded
        check_latent(k, v, k_name, v_name)
    if heads < 1 or kv_heads < 1 or heads % kv_heads:
        raise ValueError(
            f"{q_name} has {heads} heads and {k_name} {kv_heads}: must be a multiple of them"
            + _transposing(q, k, q_name, k_name, v_name)
        )
    if len(q_axes) == len(PADDED) and q_shape[0] < 1:
        raise ValueError(f"{q_name} has shape {_shape(q)}: an empty batch, must be at least 1")


def check_latent(k: Tensor, v: Tensor, k_name: str = "k", v_name: str = "v") -> None:
    """Check that v is the first columns of k, where the kernels take it from there."""
    columns = v.shape[-1]
    if (k.shape[-1], columns) in LATENT and not is_view(k, v):
        raise ValueError(
            f"{v_name} is no view of {k_name}: with head_dim {k.shape[-1]} and {columns} of "
            f"{v_name} there are kernels for a latent cache alone, where {v_name} must be "
            f"{k_name}[..., :{columns}]"
        )


def is_view(k: Tensor, v: Tensor) -> bool:
    """Whether v is the first columns of k.  While a graph is traced: it will be checked again."""
    if torch.compiler.is_compiling():
        return True
    return bool(k.data_ptr() == v.data_ptr() and k.stride() == v.stride())


def check_parts(name: str, tensor: Any, axes: Sequence[str]) -> None:
    """Check a tensor that holds several; one of its axes is a number: how many."""
    _check_tensor(name, tensor, DTYPES)
    sizes = {place: int(axis) for place, axis in enumerate(axes) if axis.isdigit()}
    if tensor.dim() != len(axes) or any(tensor.shape[i] != size for i, size in sizes.items()):
        raise ValueError(f"{name} has shape {_shape(tensor)}: must be ({', '.join(axes)})")


def _way_out(head_dim: int, columns: int, *names: str) -> str:
    """What to do about a number of columns that is no multiple of HEAD_DIM_STEP, or too large."""
    missing = -columns % HEAD_DIM_STEP
    if columns > HEAD_DIMS[-1] and columns > head_dim:
        return (
            f".  Call once for every {HEAD_DIMS[-1]} columns of {names[-1]}, with all of "
            f"{' and '.join(names[:-1])}, and join the results by torch.cat(..., -1)"
        )
    if columns > HEAD_DIMS[-1]:
        return ".  torch.nn.functional.scaled_dot_product_attention takes any"
    if columns < 1:
        return ""
    scale = "scale" if names[0] == "query" else "softmax_scale"
    return (
        f".  Pad {', '.join(names[:-1])} and {names[-1]} with zeros to a multiple, as "
        f"torch.nn.functional.pad(x, (0, {missing})) does for {columns}, give "
        f"{scale}={head_dim} ** -0.5, and take the first columns of the result"
    )


def _transposing(q: Tensor, k: Tensor, *names: str) -> str:
    """The way out where heads and length seem to have each other's place."""
    heads, kv_heads = q.shape[-3], k.shape[-3]
    if heads < 1 or kv_heads < 1 or heads % kv_heads or k.dim() != q.dim():
        return ""
    axis = q.dim() - 3
    return (
        f".  If heads come before length, as in torch's own attention, give "
        f"x.transpose({axis}, {axis + 1}) of {', '.join(names[:-1])} and {names[-1]}"
    )


def check_batch(batch: int, name: str, q: Tensor) -> None:
    """Check that a tensor has the batch of q."""
    if batch != q.shape[0]:
        raise ValueError(f"{name} has batch {batch} and q {q.shape[0]}: must be the same")


def check_sequences(
    q: Tensor, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: Any, max_seqlen_k: Any
) -> int:
    """Check what describes a packed batch; return the number of its sequences."""
    for name, offsets in (("cu_seqlens_q", cu_seqlens_q), ("cu_seqlens_k", cu_seqlens_k)):
        _check_tensor(name, offsets, OFFSETS)
        _check_beside(name, offsets, "the query", q)
        wanted = "must be (batch + 1,), of at least 1 sequence"
        if offsets.dim() != 1:
            raise ValueError(f"{name} has shape {_shape(offsets)}: {wanted}")
        if _fails(offsets.shape[0] >= 2, f"{name}: {wanted}"):
            raise ValueError(f"{name} has shape {_shape(offsets)}: {wanted}")
    wanted = "must be the same number"
    if _fails(
        cu_seqlens_k.shape[0] == cu_seqlens_q.shape[0], f"cu_seqlens_k and cu_seqlens_q: {wanted}"
    ):
        raise ValueError(
            f"cu_seqlens_k has {cu_seqlens_k.shape[0]} elements and cu_seqlens_q "
            f"{cu_seqlens_q.shape[0]}: {wanted}"
        )
    for name, length in (("max_seqlen_q", max_seqlen_q), ("max_seqlen_k", max_seqlen_k)):
        if isinstance(length, Tensor):
            if length.numel() != 1:
                raise ValueError(f"{name} has shape {_shape(length)}: must be of one element")
        elif not _is_integer(length):
            raise _no_scalar(name, length, "an int or a tensor of one element")
        else:
            check_longest(name, length)
    batch: int = cu_seqlens_q.shape[0] - 1
    return batch


def check_block_table(block_table: Any, batch: int, q: Tensor, k: Tensor) -> None:
    """Check the pages of a cache, if it has any."""
    if block_table is None:
        return
    _check_tensor("block_table", block_table, OFFSETS)
    _check_beside("block_table", block_table, "the query", q)
    if block_table.dim() != 2 or block_table.shape[0] != batch or block_table.shape[1] < 1:
        raise ValueError(
            f"block_table has shape {_shape(block_table)}: must be (batch, pages of a sequence), "
            f"here ({batch}, at least 1)"
        )
    if k.shape[0] < 1:
        raise ValueError(f"the paged cache has shape {_shape(k)}: must have at least 1 page")
    if k.shape[1] < 1:
        raise ValueError(f"the paged cache has page_size {k.shape[1]}: must be at least 1")


def check_cache(
    q: Tensor,
    k_cache: Tensor,
    cache_seqlens: Any,
    cache_batch_idx: Any,
    cache_leftpad: Any,
    block_table: Any,
) -> int:
    """Check what describes a cache; return the rows that a sequence may have in it."""
    batch = q.shape[0]
    check_block_table(block_table, batch, q, k_cache)
    rows = int(k_cache.shape[1])
    if block_table is not None:
        rows *= int(block_table.shape[1])
        if cache_batch_idx is not None:
            raise ValueError("cache_batch_idx and block_table are both given: must be one or none")
    elif cache_batch_idx is None:
        check_batch(k_cache.shape[0], "k_cache", q)
    elif k_cache.shape[0] < 1:
        raise ValueError(f"k_cache has shape {_shape(k_cache)}: must have at least 1 entry")
    per_sequence = {"cache_batch_idx": cache_batch_idx, "cache_leftpad": cache_leftpad}
    if cache_seqlens is None or isinstance(cache_seqlens, Tensor):
        per_sequence["cache_seqlens"] = cache_seqlens
    elif not _is_integer(cache_seqlens):
        raise _no_scalar("cache_seqlens", cache_seqlens, "an int or a torch.Tensor")
    else:
        _check_range("cache_seqlens", cache_seqlens, 0, rows, ", the rows of the cache")
    for name, value in per_sequence.items():
        check_per_sequence(name, value, batch, q)
    return rows


def check_per_sequence(name: str, value: Any, batch: int, q: Tensor) -> None:
    """Check a length or a place of each sequence, if they are given."""
    if value is None:
        return
    _check_tensor(name, value, OFFSETS)
    _check_beside(name, value, "the query", q)
    if value.shape != (batch,):
        raise ValueError(f"{name} has shape {_shape(value)}: must be (batch,), here ({batch},)")


def check_new(
    q: Tensor, k_cache: Tensor, v_cache: Tensor, rows: int, k: Any, v: Any, cache_seqlens: Any
) -> int:
    """Check what is appended to a cache of `rows` rows per sequence; return how many it is."""
    if k is None and v is None:
        return 0
    if k is None or v is None:
        raise ValueError(f"k is {_name(k)} and v is {_name(v)}: must both be given, or neither")
    if (k_cache.shape[-1], v_cache.shape[-1]) in LATENT and is_view(k_cache, v_cache):
        raise ValueError(
            "k is given, and v_cache is a view of k_cache: must be None.  Write the new rows into "
            "k_cache, count them in cache_seqlens, and call without k and v"
        )
    if cache_seqlens is None:
        raise ValueError("cache_seqlens is None: must be given with k, which goes to its end")
    for name, tensor in (("k", k), ("v", v)):
        _check_tensor(name, tensor, (k_cache.dtype,))
        _check_beside(name, tensor, "q", q)
        cache = k_cache if name == "k" else v_cache
        wanted = (q.shape[0], k.shape[1] if k.dim() > 1 else "new_len", *cache.shape[2:])
        if tuple(tensor.shape) != wanted:
            raise ValueError(
                f"{name} has shape {_shape(tensor)}: must be (batch, new_len, kv_heads, head_dim), "
                f"here ({', '.join(map(str, wanted))})"
            )
    for name, cache in (("k_cache", k_cache), ("v_cache", v_cache)):
        if cache.stride(-1) != 1:
            raise ValueError(
                f"{name} has strides {tuple(cache.stride())}: the last must be 1 to append to it"
            )
        _check_no_overlap(name, cache)
    new_len = int(k.shape[1])
    check_room(cache_seqlens if _is_integer(cache_seqlens) else 0, new_len, rows)
    return new_len


def check_room(cache_seqlens: int, new_len: int, rows: int) -> None:
    """Check that a cache of `rows` rows has room for `new_len` behind those in use."""
    _check_range("cache_seqlens", cache_seqlens, 0, rows, ", the rows of the cache")
    if not torch.compiler.is_compiling() and new_len > rows - cache_seqlens:
        raise ValueError(
            f"k has {new_len} rows: the cache has room for at most {rows - cache_seqlens} more"
        )


def check_rotary(
    q: Tensor, rows: int, k: Any, rotary_cos: Any, rotary_sin: Any, rotary_interleaved: Any
) -> None:
    """Check the angles of rotary position embeddings, if there are any."""
    check_bool("rotary_interleaved", rotary_interleaved)
    if rotary_cos is None and rotary_sin is None:
        return
    if k is None:
        raise ValueError("rotary_cos is given and k is not: must come with new keys to rotate")
    if k.dtype != q.dtype:
        raise TypeError(
            f"rotary_cos is given, k is {k.dtype} and q is {q.dtype}: must be the same to rotate "
            "both; else rotate them before the call"
        )
    for name, tensor in (("rotary_cos", rotary_cos), ("rotary_sin", rotary_sin)):
        _check_tensor(name, tensor, (q.dtype,))
        _check_beside(name, tensor, "q", q)
        if tensor.dim() != 2:
            raise ValueError(
                f"{name} has shape {_shape(tensor)}: must be (positions, rotary_dim / 2)"
            )
    if rotary_sin.shape != rotary_cos.shape:
        raise ValueError(
            f"rotary_sin has shape {_shape(rotary_sin)} and rotary_cos {_shape(rotary_cos)}: "
            "must be the same"
        )
    positions, rotary_dim = rotary_cos.shape[0], 2 * rotary_cos.shape[1]
    if rotary_dim < 1 or rotary_dim % ROTARY_STEP or rotary_dim > q.shape[-1]:
        raise ValueError(
            f"rotary_cos has shape {_shape(rotary_cos)}, a rotary_dim of {rotary_dim}: must be a "
            f"multiple of {ROTARY_STEP} up to head_dim, {q.shape[-1]}"
        )
    if positions < rows:
        raise ValueError(
            f"rotary_cos has {positions} positions: must be at least the cache's rows, {rows}"
        )


def check_bool(name: str, value: Any) -> None:
    """Check what is on or off."""
    if not isinstance(value, bool):
        raise _no_scalar(name, value, "a bool")


def check_splits(num_splits: Any) -> None:
    """Check the number of splits of the keys."""
    if not _is_integer(num_splits):
        raise _no_scalar("num_splits", num_splits, "an int")
    _check_range("num_splits", num_splits, 0, MOST_SPLITS, ", where 0 is as many as suit the GPU")


def check_longest(name: str, length: int) -> None:
    """Check the length of the longest sequence."""
    _check_range(name, length, 0, LONGEST)


def check_options(
    q: Tensor,
    batch: int,
    dropout_p: Any,
    softmax_scale: Any,
    causal: Any,
    window_size: Any,
    softcap: Any,
    alibi_slopes: Any,
    s_aux: Any,
    names: Optional[Mapping[str, str]] = None,
) -> None:
    """Check everything but query, key, value and what describes a packed batch.

    `names` says what the caller calls an argument where that differs.
    """
    names = names or {}
    _check_dropout(dropout_p)
    _check_scores(
        *(names.get("softmax_scale", "softmax_scale"), softmax_scale),
        *(names.get("softcap", "softcap"), softcap),
        q.shape[-1],
    )
    check_bool(names.get("causal", "causal"), causal)
    _check_window(window_size)
    heads = q.shape[-2]
    if s_aux is not None:
        _check_tensor("s_aux", s_aux)
        _check_beside("s_aux", s_aux, "the query", q)
        if not s_aux.is_floating_point():
            raise TypeError(f"s_aux is {s_aux.dtype}: must be a float dtype")
        if s_aux.shape != (heads,):
            raise ValueError(f"s_aux has shape {_shape(s_aux)}: must be (heads,), here ({heads},)")
    if alibi_slopes is not None:
        _check_tensor("alibi_slopes", alibi_slopes, (torch.float32,))
        _check_beside("alibi_slopes", alibi_slopes, "the query", q)
        if alibi_slopes.shape not in ((heads,), (batch, heads)):
            raise ValueError(
                f"alibi_slopes has shape {_shape(alibi_slopes)}: "
                f"must be (heads,) or (batch, heads), here ({heads},) or ({batch}, {heads})"
            )


def check_mask(attn_mask: Any, q: Tensor, k_len: int) -> None:
    """Check a mask tensor, if there is one, for queries that may see `k_len` keys."""
    if attn_mask is None:
        return
    _check_tensor("attn_mask", attn_mask)
    if attn_mask.dtype not in MASK_DTYPES:
        way_out = (
            "" if attn_mask.is_floating_point() else ".  attn_mask.bool() is one, True if not 0"
        )
        raise TypeError(
            f"attn_mask is {attn_mask.dtype}: must be torch.bool (True: may be seen), or "
            f"{' or '.join(map(str, MASK_DTYPES[1:]))} (added to the score){way_out}"
        )
    _check_beside("attn_mask", attn_mask, "the query", q)
    wanted = (q.shape[0], q.shape[2], q.shape[1], k_len)
    fits = attn_mask.dim() <= len(wanted) and all(
        own in (1, size) for own, size in zip(reversed(attn_mask.shape), reversed(wanted))
    )
    if not fits:
        raise ValueError(
            f"attn_mask has shape {_shape(attn_mask)}: must broadcast to (batch, heads, q_len, "
            f"k_len), here {wanted}" + _mask_axes(attn_mask, wanted)
        )


def _mask_axes(attn_mask: Tensor, wanted: Sequence[int]) -> str:
    """The way out where a mask seems to lack axes between batch and keys."""
    batch, _, q_len, k_len = wanted
    axes = {(batch, k_len): "[:, None, None, :]", (batch, q_len, k_len): "[:, None]"}
    missing = axes.get(_shape(attn_mask))
    return f".  If its first axis is the batch, give attn_mask{missing}" if missing else ""


def check_out(out: Any, query: Tensor, value: Tensor) -> None:
    """Check the tensor that is written."""
    _check_tensor("out", out, (query.dtype,))
    _check_beside("out", out, "query", query)
    wanted = (*query.shape[:-1], value.shape[-1])
    if out.shape != wanted:
        raise ValueError(
            f"out has shape {_shape(out)}: must be query's with value's head_dim, {wanted}"
        )
    _check_no_overlap("out", out)
    if out.requires_grad and torch.is_grad_enabled():
        raise ValueError("out requires grad, but no gradient flows through it: pass out.detach()")


def check_gradient(name: str, gradient: Optional[Tensor], result: Tensor) -> None:
    """Check what a backward pass is given as the gradient of a result; None is 0."""
    if gradient is None:
        return
    gradients_name = f"the gradient of {name}"
    _check_tensor(gradients_name, gradient, (result.dtype,))
    _check_beside(gradients_name, gradient, name, result)
    if gradient.shape != result.shape:
        raise ValueError(
            f"{gradients_name} has shape {_shape(gradient)}: must be that of {name}, "
            f"{_shape(result)}"
        )


def _check_tensor(name: str, value: Any, dtypes: Tuple[torch.dtype, ...] = ()) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is {_name(value)}: must be a torch.Tensor")
    if value.layout != torch.strided:
        raise TypeError(f"{name} is {value.layout}: must be a dense tensor (torch.strided)")
    if dtypes and value.dtype not in dtypes:
        raise TypeError(f"{name} is {value.dtype}: must be {' or '.join(map(str, dtypes))}")


def _check_beside(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    if tensor.device != other.device:
        raise ValueError(
            f"{name} is on {tensor.device} and {other_name} on {other.device}: must be the same"
        )


def _check_no_overlap(name: str, tensor: Tensor) -> None:
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape)):
        raise ValueError(
            f"{name} has strides {tuple(tensor.stride())}: its elements must not overlap"
        )


def _check_scores(
    scale_name: str, scale: Any, softcap_name: str, softcap: Any, head_dim: int
) -> None:
    """Check what becomes of the scores."""
    if scale is not None:
        _check_number(scale_name, scale, SCALES, -MOST_SCALE, MOST_SCALE)
    _check_number(softcap_name, softcap, SOFTCAPS, 0.0, MOST_SOFTCAP)
    if softcap == 0.0:
        return
    if softcap < LEAST_SOFTCAP:
        raise ValueError(f"{softcap_name} is {softcap}: must be {SOFTCAPS}")
    quotient = (head_dim**-0.5 if scale is None else scale) / softcap
    if quotient != 0.0 and not LEAST_SOFTCAP <= abs(quotient) <= LARGEST:
        raise ValueError(
            f"{scale_name} is {scale} and {softcap_name} {softcap}: the first divided by the second"
            f" is {quotient:.5g}: must be 0, or from {LEAST_SOFTCAP:.5g} to {LARGEST:.5g} in "
            "magnitude, as float32 holds it"
        )


def _check_number(name: str, value: Any, allowed: str, least: float, most: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _no_scalar(name, value, f"a number, {allowed}")
    if not least <= value <= most:  # nor is NaN; isfinite would break a compiled graph
        raise ValueError(f"{name} is {_name(value)}: must be {allowed}")


def _check_dropout(dropout_p: Any) -> None:
    _check_number("dropout_p", dropout_p, "from 0 up to but not including 1", 0.0, LARGEST_DROPOUT)


def _check_window(window_size: Any) -> None:
    if not isinstance(window_size, (tuple, list)):
        raise TypeError(f"window_size is {_name(window_size)}: must be two ints, (left, right)")
    if len(window_size) != 2:
        raise ValueError(f"window_size has length {len(window_size)}: must be (left, right)")
    for i, keys in enumerate(window_size):
        if not _is_integer(keys):
            raise _no_scalar(f"window_size[{i}]", keys, "an int")
    check_window(*window_size)


def check_window(left: int, right: int) -> None:
    """Check how many keys a query sees on either side of its own."""
    if not torch.compiler.is_compiling() and (left < -1 or right < -1):
        raise ValueError(
            f"window_size is {(left, right)}: must be (left, right), each -1 or at least 0"
        )


def _check_range(name: str, value: Any, least: int, most: int, meaning: str = "") -> None:
    if not torch.compiler.is_compiling() and not least <= value <= most:
        raise ValueError(f"{name} is {_name(value)}: must be from {least} to {most}{meaning}")


def _fails(holds: Any, otherwise: str) -> bool:
    """Whether a condition on shapes does not hold.

    A compiled graph may know them only when it runs: there it checks the condition, and says
    `otherwise`.
    """
    if torch.compiler.is_compiling():
        torch._check(holds, lambda: otherwise)
        return False
    return not holds


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool)


def _shape(tensor: Tensor) -> Tuple[int, ...]:
    return tuple(tensor.shape)


def _no_scalar(name: str, value: Any, wanted: str) -> TypeError:
    """The error of an argument that is no number, or no bool, of Python's own."""
    # numpy's scalars have it, and tensors of one element, where the GPU is waited for
    way_out = f".  {name}.item() is one of Python's own" if hasattr(type(value), "item") else ""
    return TypeError(f"{name} is {_name(value)}: must be {wanted}{way_out}")


def _name(value: Any) -> str:
    """A value in a message: short ones as they are, others by their type, as Python names it."""
    kind = type(value)
    if value is None or kind in (bool, float):
        return repr(value)
    if (kind is int and value.bit_length() <= 64) or (kind is str and len(value) <= 20):
        return repr(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a {module}{kind.__qualname__}"
