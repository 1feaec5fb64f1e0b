"""Calls, from tensors to launches: attention, and appending to a cache."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from . import gpu, launchers
from ._variants import MASK_TYPES
from .catalogue import BUILT_IN, Catalogue
from .keys import ALL_ROWS, Keys
from .plan import DECODE_QUERIES, Append, Backward, Request, plan, plan_append, plan_backward

_INT32 = torch.iinfo(torch.int32)
_DTYPE_NAMES = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
}


class Options(NamedTuple):
    """What every call may ask for; shapes and meaning as in interface.py."""

    sinks: Optional[Tensor] = None
    alibi_slopes: Optional[Tensor] = None
    softmax_scale: Optional[float] = None
    causal: bool = False
    window_size: Tuple[int, int] = (-1, -1)
    softcap: float = 0.0
    dropout_p: float = 0.0
    dropout_seed: Optional[Tensor] = None  # (2,) int32, on q's device; with dropout_p alone
    attn_mask: Optional[Tensor] = None


NO_OPTIONS = Options()


def attend(
    out: Tensor,
    lse: Optional[Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    options: Options = NO_OPTIONS,
    cu_seqlens_q: Optional[Tensor] = None,
    keys: Keys = ALL_ROWS,
    max_q_len: int = 0,
    splits: int = 0,
    catalogue: Catalogue = BUILT_IN,
) -> None:
    """Write attention to `out` and its log-sum-exp to `lse`, if there is one.

    The batch is packed if there are cu_seqlens_q.

    No sequence of a packed batch has more than `max_q_len` query rows, as the caller says; 0 if it
    does not.  Beyond what is decoded the number says nothing, so one plan serves all of them.

    A tensor is copied only if a kernel could not read it: a last stride other than 1, offsets that
    are not int32, sinks that are not float32.
    """
    known = max_q_len if max_q_len <= DECODE_QUERIES else 0
    wanted = lse is not None
    request, tensors = _prepare(out, q, k, v, options, cu_seqlens_q, keys, known, splits, wanted)
    if lse is not None:
        tensors["lse"] = lse
    launchers.run(plan(request, catalogue), tensors, catalogue)


def append(
    *,
    rotated_q: Optional[Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    new_k: Tensor,
    new_v: Tensor,
    rotary_cos: Optional[Tensor],
    rotary_sin: Optional[Tensor],
    interleaved: bool,
    options: Options,
    keys: Keys,
) -> None:
    """Write new rows into the cache k, v, and with rotary angles the queries to `rotated_q`.

    Of the options, the mask says at which positions the queries stand.
    """
    request, tensors = _prepare(q, q, k, v, options, None, keys)
    tensors["new_k"], tensors["new_v"] = _readable(new_k), _readable(new_v)
    what = Append(_strides(tensors["new_k"]), _strides(tensors["new_v"]))
    if rotated_q is not None and rotary_cos is not None and rotary_sin is not None:
        tensors["rotated_q"] = rotated_q
        tensors["rotary_cos"] = rotary_cos.contiguous()
        tensors["rotary_sin"] = rotary_sin.contiguous()
        positions, pairs = rotary_cos.shape
        what = Append(*what[:2], _strides(rotated_q), 2 * pairs, positions, interleaved)
    launchers.run(plan_append(request, what), tensors)


def differentiate(
    *,
    grad_out: Tensor,
    grad_lse: Optional[Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    options: Options,
    cu_seqlens_q: Optional[Tensor],
    keys: Keys,
    grad_q: Optional[Tensor],
    grad_k: Optional[Tensor],
    grad_v: Optional[Tensor],
    wants_sinks: bool,
    catalogue: Catalogue = BUILT_IN,
) -> Optional[Tensor]:
    """Write the gradients of q, k and v that are not None; returns that of the sinks, float32.

    `out` and `lse` are what the forward pass gave.  Every sum is in a fixed order.
    """
    request, tensors = _prepare(out, q, k, v, options, cu_seqlens_q, keys)
    tensors["lse"] = lse
    tensors["grad_out"] = _readable(grad_out)
    if grad_lse is not None:
        tensors["grad_lse"] = _contiguous(grad_lse, torch.float32)
    gradients = {"grad_q": grad_q, "grad_k": grad_k, "grad_v": grad_v}
    tensors.update({name: grad for name, grad in gradients.items() if grad is not None})
    what = Backward(
        grad_out_strides=_strides(tensors["grad_out"]),
        grad_q_strides=_strides_of(grad_q),
        grad_k_strides=_strides_of(grad_k),
        grad_v_strides=_strides_of(grad_v),
        wants_q=grad_q is not None,
        wants_k=grad_k is not None,
        wants_v=grad_v is not None,
        has_grad_lse=grad_lse is not None,
    )
    launches = plan_backward(request, what, catalogue)
    if request.packed:  # rows that belong to no sequence are added up, too
        for name, shape, _ in launches.workspace:
            tensors[name] = torch.zeros(shape, dtype=torch.float32, device=q.device)
    tensors = launchers.run(launches, tensors, catalogue)
    add_partials(tensors)
    return tensors["grad_sinks"].sum((0, 2)) if wants_sinks else None


def add_partials(tensors: Dict[str, Tensor]) -> None:
    """Write the gradients of K and V whose partial results are among the tensors."""
    for name in ("k", "v"):
        partial = tensors.get(f"partial_{name}")
        if partial is not None:
            gradient = tensors[f"grad_{name}"]
            gradient.copy_(partial.sum(0).reshape(gradient.shape))


def _prepare(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    options: Options,
    cu_seqlens_q: Optional[Tensor],
    keys: Keys,
    max_q_len: int = 0,
    splits: int = 0,
    lse: bool = False,
) -> Tuple[Request, Dict[str, Tensor]]:
    """A request, and its tensors as the kernels read them."""
    q, k, v = _readable(q), _readable(k), _readable(v)
    tensors = {"q": q, "k": k, "v": v, "out": out}
    batch = q.shape[0]
    if cu_seqlens_q is not None:
        tensors["cu_seqlens_q"] = _int32(cu_seqlens_q).contiguous()
        batch = cu_seqlens_q.shape[0] - 1
    if keys.begin is not None:
        tensors["k_begin"] = _int32(keys.begin).contiguous()
    if keys.end is not None:
        tensors["k_end"] = _int32(keys.end).contiguous()
    rows, kv_heads, _ = k.shape[-3:]
    page_size = pages = table_stride = 0
    if keys.block_table is not None:
        table = tensors["block_table"] = _readable(_int32(keys.block_table))
        pages, page_size, table_stride = k.shape[0], rows, table.stride(0)
    if options.sinks is not None:
        tensors["sinks"] = _contiguous(options.sinks, torch.float32)
    alibi_strides = (0, 0)
    if options.alibi_slopes is not None:
        tensors["alibi_slopes"] = options.alibi_slopes
        alibi_strides = (0, *options.alibi_slopes.stride())[-2:]
    if options.dropout_p and options.dropout_seed is not None:
        tensors["dropout_seed"] = options.dropout_seed
    mask_type, mask_strides = 0, (0, 0, 0, 0)
    if options.attn_mask is not None:
        tensors["attn_mask"] = bytes_of(options.attn_mask)
        mask_type, mask_strides = mask(options.attn_mask)
    q_len, heads, head_dim = q.shape[-3:]
    scale = options.softmax_scale
    request = Request(
        dtype=_DTYPE_NAMES[q.dtype],
        head_dim=head_dim,
        heads=heads,
        kv_heads=kv_heads,
        batch=batch,
        q_len=q_len,
        k_len=keys.room(rows) if keys.length is None else keys.length,
        packed=cu_seqlens_q is not None,
        q_strides=_strides(q),
        k_strides=_strides(k),
        v_strides=_strides(v),
        out_strides=_strides(out),
        softmax_scale=head_dim**-0.5 if scale is None else float(scale),
        causal=options.causal,
        window_size=options.window_size,
        softcap=float(options.softcap),
        wants_lse=lse,
        has_sinks=options.sinks is not None,
        has_alibi=options.alibi_slopes is not None,
        alibi_strides=alibi_strides,
        has_k_begin=keys.begin is not None,
        has_k_end=keys.end is not None,
        appended=keys.appended,
        page_size=page_size,
        pages=pages,
        table_stride=table_stride,
        max_q_len=max_q_len,
        mask_type=mask_type,
        mask_strides=mask_strides,
        num_splits=splits,
        gpu=gpu.describe(q.device.type),
    )
    if options.dropout_p:
        request = request._replace(**dropout(options.dropout_p))
    return request, tensors


def bytes_of(tensor: Tensor) -> Tensor:
    """The bytes from a tensor's first element to its last, in place."""
    steps = ((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride()))
    count = 1 + sum(steps) if tensor.numel() else 0
    return tensor.detach().as_strided((count,), (1,)).view(torch.uint8)


def mask(attn_mask: Tensor) -> Tuple[int, Tuple[int, int, int, int]]:
    """What a request says of a mask tensor: its type, and its strides in bytes.

    Those of an axis that it lacks, or that has one element for all, are 0.
    """
    size = attn_mask.element_size()
    strides = [
        stride * size if n > 1 else 0 for n, stride in zip(attn_mask.shape, attn_mask.stride())
    ]
    batch, head, row, key = [0] * (4 - len(strides)) + strides
    return MASK_TYPES[str(attn_mask.dtype).partition(".")[2]], (batch, head, row, key)


def dropout(dropout_p: float) -> Dict[str, Any]:
    """What a request says of dropout, by the names of its fields.

    The probability to be kept is a bound for 32 random bits, in an int32's bits.
    """
    if not dropout_p:
        return {}
    bound = min(round((1 - dropout_p) * 2**32), 2**32 - 1)
    return {
        "has_dropout": True,
        "keep_below": bound - 2**32 if bound >= 2**31 else bound,
        "keep_scale": 1 / (1 - dropout_p),
    }


def _strides(tensor: Tensor) -> Tuple[int, int, int]:
    """(batch, row, head), where packed tensors have no batch axis."""
    batch, row, head = (0, *tensor.stride())[-4:-1]
    return batch, row, head


def _strides_of(tensor: Optional[Tensor]) -> Tuple[int, int, int]:
    return (0, 0, 0) if tensor is None else _strides(tensor)


def _contiguous(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy only if it needs one; to ask is quicker than to convert for nothing."""
    if tensor.dtype == dtype and tensor.is_contiguous():
        return tensor
    return tensor.to(dtype).contiguous()


def _int32(tensor: Tensor) -> Tensor:
    """A length or a place as the kernels read it; one that int32 does not hold becomes the nearest.

    Kernels take the nearest that exists; a number that wrapped would be another one.
    """
    if tensor.dtype == torch.int32:
        return tensor
    return tensor.clamp(_INT32.min, _INT32.max).to(torch.int32)


def _readable(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
