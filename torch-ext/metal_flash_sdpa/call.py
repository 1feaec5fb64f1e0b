"""Calls, from tensors to launches: attention, and appending to a cache.

What decides the launches of a call (dtype, shapes, strides, numbers) is its signature, a tuple.
Each signature is planned once: a model calls with few of them, again and again.
"""

from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import gpu, launchers
from ._variants import MASK_TYPES
from .catalogue import BUILT_IN, Catalogue, KernelOffError
from .keys import ALL_ROWS, Keys
from .plan import DECODE_QUERIES, Append, Backward, Plan, Request, plan, plan_append, plan_backward

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
    signature, tensors = _prepare(out, q, k, v, options, cu_seqlens_q, keys, known, splits, wanted)
    if lse is not None:
        tensors["lse"] = lse
    _planned(plan, launchers.chosen(q.device), catalogue, signature)(tensors)


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
    signature, tensors = _prepare(q, q, k, v, options, None, keys)
    tensors["new_k"], tensors["new_v"] = _readable(new_k), _readable(new_v)
    what = Append(_strides(tensors["new_k"]), _strides(tensors["new_v"]))
    if rotated_q is not None and rotary_cos is not None and rotary_sin is not None:
        tensors["rotated_q"] = rotated_q
        tensors["rotary_cos"] = rotary_cos.contiguous()
        tensors["rotary_sin"] = rotary_sin.contiguous()
        positions, pairs = rotary_cos.shape
        what = Append(*what[:2], _strides(rotated_q), 2 * pairs, positions, interleaved)
    else:
        del tensors["q"]  # which is not read, and may have another dtype than the cache
    _planned(plan_append, launchers.chosen(q.device), BUILT_IN, signature, what)(tensors)


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
    grad_mask: Optional[Tensor] = None,
    catalogue: Catalogue = BUILT_IN,
) -> Optional[Tensor]:
    """Write the gradients of q, k, v and the mask that are not None; returns the sinks', float32.

    `out` and `lse` are what the forward pass gave.  Every sum is in a fixed order.  A mask's
    gradient has its shape and dtype, and is contiguous.
    """
    signature, tensors = _prepare(out, q, k, v, options, cu_seqlens_q, keys)
    tensors["lse"] = lse
    grad_out = tensors["grad_out"] = _readable(grad_out)
    if grad_lse is not None:
        tensors["grad_lse"] = _contiguous(grad_lse, torch.float32)
    for name, grad in (("grad_q", grad_q), ("grad_k", grad_k), ("grad_v", grad_v)):
        if grad is not None:
            tensors[name] = grad
    strides = grad_out.stride(), _strides_of(grad_q), _strides_of(grad_k), _strides_of(grad_v)
    mask_shape: Tuple[int, ...] = ()
    if grad_mask is not None:
        tensors["grad_mask"] = bytes_of(grad_mask)
        mask_shape = _with_all_axes(grad_mask)
    launcher, of_lse = launchers.chosen(q.device), grad_lse is not None
    run = _planned(_plan_backward, launcher, catalogue, signature, strides, mask_shape, of_lse)
    tensors = run(tensors)
    add_partials(tensors, grad_mask)
    return tensors["grad_sinks"].sum((0, 2)) if wants_sinks else None


def why_off(q: Tensor, k: Tensor, v: Tensor, options: Options, differentiable: bool) -> str:
    """Which kernel of a padded call, or of its backward pass, is kept off; "" if none is."""
    request = _request(_prepare(q, q, k, v, options, None, ALL_ROWS)[0])
    mask, strides = options.attn_mask, [x.stride() for x in (q, q, k, v)]
    mask_shape = _with_all_axes(mask) if mask is not None and mask.requires_grad else ()
    try:
        plan(request, BUILT_IN)
        if differentiable:
            _plan_backward(request, strides, mask_shape, False, BUILT_IN)
    except KernelOffError as error:
        return str(error)
    return ""


def add_partials(tensors: Dict[str, Tensor], grad_mask: Optional[Tensor] = None) -> None:
    """Write the gradients of K, V and the mask whose partial results are among the tensors."""
    gradients = {"k": tensors.get("grad_k"), "v": tensors.get("grad_v"), "mask": grad_mask}
    for name, gradient in gradients.items():
        partial = tensors.get(f"partial_{name}")
        if partial is not None and gradient is not None:
            gradient.copy_(partial.sum(0).reshape(gradient.shape))


class Signature(NamedTuple):
    """What decides the launches of a call, as far as its tensors and options say."""

    device: torch.device
    tensors: Tuple[str, ...]  # the names of those that a call has
    dtype: torch.dtype
    kv_dtype: torch.dtype
    q_shape: Tuple[int, ...]
    k_shape: Tuple[int, ...]
    head_dim_v: int
    q_strides: Tuple[int, ...]
    k_strides: Tuple[int, ...]
    v_strides: Tuple[int, ...]
    out_strides: Tuple[int, ...]
    alibi_strides: Tuple[int, ...]
    table_stride: int
    batch: int
    k_len: int
    appended: int
    max_q_len: int
    splits: int
    wants_lse: bool
    softmax_scale: Optional[float]
    causal: bool
    window_size: Tuple[int, int]
    softcap: float
    dropout_p: float
    of_mask: Tuple[int, Tuple[int, int, int, int]]  # its type, and its strides in bytes


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
) -> Tuple[Signature, Dict[str, Tensor]]:
    """The signature of a call, and its tensors as the kernels read them."""
    q, k, v = _readable(q), _readable(k), _readable(v)
    tensors = {"q": q, "k": k, "v": v, "out": out}
    k_shape = k.shape
    batch, k_len, table_stride, alibi_strides = q.shape[0], k_shape[-3], 0, ()
    if cu_seqlens_q is not None:
        tensors["cu_seqlens_q"] = _int32(cu_seqlens_q).contiguous()
        batch = cu_seqlens_q.shape[0] - 1
    if keys is not ALL_ROWS:
        k_len = keys.room(k_len) if keys.length is None else keys.length
        if keys.begin is not None:
            tensors["k_begin"] = _int32(keys.begin).contiguous()
        if keys.end is not None:
            tensors["k_end"] = _int32(keys.end).contiguous()
        if keys.block_table is not None:
            table = tensors["block_table"] = _readable(_int32(keys.block_table))
            table_stride = table.stride(0)
    sinks, slopes, scale, causal, window_size, softcap, dropout_p, seed, attn_mask = options
    if sinks is not None:
        tensors["sinks"] = _contiguous(sinks, torch.float32)
    if slopes is not None:
        tensors["alibi_slopes"] = slopes
        alibi_strides = slopes.stride()
    if dropout_p and seed is not None:
        tensors["dropout_seed"] = seed
    of_mask = NO_MASK
    if attn_mask is not None:
        tensors["attn_mask"] = bytes_of(attn_mask)
        of_mask = mask(attn_mask)
    signature = Signature(
        device=q.device,
        tensors=tuple(tensors),
        dtype=q.dtype,
        kv_dtype=k.dtype,
        q_shape=q.shape,
        k_shape=k_shape,
        head_dim_v=v.shape[-1],
        q_strides=q.stride(),
        k_strides=k.stride(),
        v_strides=v.stride(),
        out_strides=out.stride(),
        alibi_strides=alibi_strides,
        table_stride=table_stride,
        batch=batch,
        k_len=k_len,
        appended=keys.appended,
        max_q_len=max_q_len,
        splits=splits,
        wants_lse=lse,
        softmax_scale=scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
        dropout_p=dropout_p,
        of_mask=of_mask,
    )
    return signature, tensors


@lru_cache(maxsize=4096)
def _planned(
    make: Callable[..., Plan],
    launcher: Any,
    catalogue: Catalogue,
    signature: Signature,
    *more: Any,
) -> Callable[[Dict[str, Tensor]], Dict[str, Tensor]]:
    """A function that runs, on a call's tensors, what `make` plans for its signature and `more`."""
    made = make(_request(signature), *more, catalogue)
    return launchers.prepare(made, launcher, signature.device, catalogue)


@contextmanager
def noting() -> Iterator[List[str]]:
    """The kernels that calls in a with block run, by name; all calls are planned anew for it."""
    _planned.cache_clear()
    with launchers.noting() as names:
        yield names


def _request(call: Signature) -> Request:
    q_len, heads, head_dim = call.q_shape[-3:]
    rows, kv_heads, _ = call.k_shape[-3:]
    paged = "block_table" in call.tensors
    of_batch, of_head = (0, 0, *call.alibi_strides)[-2:]
    scale = call.softmax_scale
    mask_type, mask_strides = call.of_mask
    return Request(
        dtype=_DTYPE_NAMES[call.dtype],
        head_dim=head_dim,
        heads=heads,
        kv_heads=kv_heads,
        batch=call.batch,
        q_len=q_len,
        k_len=call.k_len,
        packed="cu_seqlens_q" in call.tensors,
        q_strides=_padded(call.q_strides),
        k_strides=_padded(call.k_strides),
        v_strides=_padded(call.v_strides),
        out_strides=_padded(call.out_strides),
        softmax_scale=head_dim**-0.5 if scale is None else float(scale),
        kv_dtype="" if call.kv_dtype == call.dtype else _DTYPE_NAMES[call.kv_dtype],
        causal=call.causal,
        window_size=call.window_size,
        softcap=float(call.softcap),
        wants_lse=call.wants_lse,
        has_sinks="sinks" in call.tensors,
        has_alibi="alibi_slopes" in call.tensors,
        alibi_strides=(of_batch, of_head),
        has_k_begin="k_begin" in call.tensors,
        has_k_end="k_end" in call.tensors,
        appended=call.appended,
        page_size=rows if paged else 0,
        pages=call.k_shape[0] if paged else 0,
        table_stride=call.table_stride,
        max_q_len=call.max_q_len,
        mask_type=mask_type,
        mask_strides=mask_strides,
        num_splits=call.splits,
        gpu=gpu.describe(call.device.type),
        head_dim_v=call.head_dim_v,
        **dropout(call.dropout_p),
    )


def _plan_backward(
    request: Request,
    strides: Sequence[Optional[Tuple[int, ...]]],
    mask_shape: Tuple[int, ...],
    has_grad_lse: bool,
    catalogue: Catalogue,
) -> Plan:
    """`plan_backward` of the gradients that have strides; those of the output's come first."""
    of_out, of_q, of_k, of_v = ((0, 0, 0) if x is None else _padded(x) for x in strides)
    wants_q, wants_k, wants_v = (x is not None for x in strides[1:])
    what = Backward(of_out, of_q, of_k, of_v, wants_q, wants_k, wants_v, has_grad_lse, mask_shape)
    return plan_backward(request, what, catalogue)


NO_MASK = (0, (0, 0, 0, 0))


def bytes_of(tensor: Tensor) -> Tensor:
    """The bytes from a tensor's first element to its last, in place."""
    steps = ((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride()))
    count = 1 + sum(steps) if tensor.numel() else 0
    return tensor.detach().as_strided((count,), (1,)).view(torch.uint8)


def _with_all_axes(attn_mask: Tensor) -> Tuple[int, ...]:
    """A mask's shape, with those of the four axes that it lacks."""
    return (*(1,) * (4 - attn_mask.dim()), *attn_mask.shape)


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
    return _padded(tensor.stride())


def _padded(strides: Tuple[int, ...]) -> Tuple[int, int, int]:
    """(batch, row, head), where packed tensors have no batch axis."""
    batch, row, head = (0, *strides)[-4:-1]
    return batch, row, head


def _strides_of(tensor: Optional[Tensor]) -> Optional[Tuple[int, ...]]:
    return None if tensor is None else tensor.stride()


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
