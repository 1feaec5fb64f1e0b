"""One attention call, from tensors to a launch."""

from typing import Optional, Tuple

import torch
from torch import Tensor

from . import launchers
from .plan import DECODE_QUERIES, Request, plan

_DTYPE_NAMES = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
}


def attend(
    out: Tensor,
    lse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Optional[Tensor],
    cu_seqlens_k: Optional[Tensor],
    sinks: Optional[Tensor],
    alibi_slopes: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_size: Tuple[int, int],
    softcap: float,
    max_q_len: int,
) -> None:
    """Write attention to `out` and its log-sum-exp to `lse`.

    No sequence of a packed batch has more than `max_q_len` query rows, as the caller says; 0 if it
    does not.  Beyond what is decoded the number says nothing, so one plan serves all of them.

    A tensor is copied only if a kernel could not read it: a last stride other than 1, offsets that
    are not int32, sinks that are not float32.
    """
    tensors = {"q": _readable(q), "k": _readable(k), "v": _readable(v), "out": out, "lse": lse}
    if cu_seqlens_q is not None and cu_seqlens_k is not None:
        tensors["cu_seqlens_q"] = cu_seqlens_q.to(torch.int32).contiguous()
        tensors["cu_seqlens_k"] = cu_seqlens_k.to(torch.int32).contiguous()
        batch, packed = cu_seqlens_q.shape[0] - 1, True
    else:
        batch, packed = q.shape[0], False
    if sinks is not None:
        tensors["sinks"] = sinks.to(torch.float32).contiguous()
    alibi_strides = (0, 0)
    if alibi_slopes is not None:
        tensors["alibi_slopes"] = alibi_slopes
        alibi_strides = (0, *alibi_slopes.stride())[-2:]

    q_len, heads, head_dim = q.shape[-3:]
    k_len, kv_heads, _ = k.shape[-3:]
    # (batch, row, head), where packed tensors have no batch axis
    strides = {name: (0, *tensors[name].stride())[-4:-1] for name in ("q", "k", "v", "out")}
    request = Request(
        dtype=_DTYPE_NAMES[q.dtype],
        head_dim=head_dim,
        heads=heads,
        kv_heads=kv_heads,
        batch=batch,
        q_len=q_len,
        k_len=k_len,
        packed=packed,
        q_strides=strides["q"],
        k_strides=strides["k"],
        v_strides=strides["v"],
        out_strides=strides["out"],
        softmax_scale=head_dim**-0.5 if softmax_scale is None else softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
        sinks=sinks is not None,
        alibi_strides=alibi_strides,
        max_q_len=max_q_len if max_q_len <= DECODE_QUERIES else 0,
    )
    launchers.run(plan(request), tensors)


def _readable(tensor: Tensor) -> Tensor:
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
