"""PyTorch's attention kernels for Apple GPUs: PrefillAttention.h, DecodeAttention.h.

Its causal diagonal is top-left: query i sees keys 0 to i.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

import emulator

from .call import Attention, PeerCall, UnsupportedError, ceil_div, dtype_name, pack
from .fetch import ROOT

# Those that peers.fetch put aside for a machine whose torch has none; else the installed torch's.
FETCHED = ROOT / "build" / "peers" / "pytorch"
INSTALLED = Path(torch.__file__).parent / "include"
INCLUDE = FETCHED if FETCHED.exists() else INSTALLED
PREFILL = "ATen/native/mps/kernels/PrefillAttention.h"
DECODE = "ATen/native/mps/kernels/DecodeAttention.h"

# Queries and keys per block, and simdgroups, by head dim: from the header's instantiations.
TILES = {
    32: (32, 32, 4), 64: (32, 32, 4), 72: (32, 32, 4), 80: (32, 32, 4), 96: (32, 32, 4),
    128: (32, 16, 4), 256: (16, 8, 2),
}  # fmt: skip
DECODE_HEAD_DIMS = (64, 96, 128, 256)
SPLITS = 32  # parts of the keys in the first of two passes
METAL_NAMES = {torch.float16: "half", torch.bfloat16: "bfloat", torch.float32: "float"}


def available(header: str) -> bool:
    """Whether the installed torch has this header."""
    return (INCLUDE / header).exists()


def source(header: str) -> str:
    """Metal that includes a header as PyTorch's own .metal files do: all its kernels."""
    return f"""
    #include <metal_stdlib>
    #include <metal_simdgroup>
    #include <metal_simdgroup_matrix>
    #include <c10/metal/utils.h>
    using namespace metal;
    #include <{header}>
    """


@functools.cache
def library(header: str) -> emulator.Library:
    """All kernels of a header."""
    return emulator.compile(source(header), include=[INCLUDE])


def attention(problem: Attention, out: Tensor) -> list[PeerCall]:
    """The launches that PyTorch makes: decode for few queries, in two passes over many keys."""
    a = problem
    few = a.q_len <= min(8, a.k_len) and a.head_dim in DECODE_HEAD_DIMS
    if few and not (a.causal and a.mask is not None):
        return decode(a, out, passes=2 if a.k_len >= 1024 else 1)
    return prefill(a, out)


def prefill(problem: Attention, out: Tensor) -> list[PeerCall]:
    """The launch for any number of queries.  Raises UnsupportedError for other head dims."""
    a = problem
    if a.head_dim not in TILES or a.head_dim != a.value_dim or a.sinks is not None:
        raise UnsupportedError(
            f"head dims {a.head_dim}, {a.value_dim}{', sinks' if a.sinks is not None else ''}: "
            f"prefill_attention has {sorted(TILES)}, alike for keys and values, and no sinks"
        )
    block_q, block_k, simdgroups = TILES[a.head_dim]
    mask = "bool_" if a.mask is not None and a.mask.dtype == torch.bool else dtype_name(a.dtype)
    name = (
        f"prefill_attention_{dtype_name(a.dtype)}_bq{block_q}_bk{block_k}_bd{a.head_dim}"
        f"_wm{simdgroups}_wn1_hm{int(a.mask is not None)}_dc{int(a.causal)}_mask{mask}"
    )
    sizes = pack("i", a.batch, a.heads, a.head_dim, a.q_len, a.k_len, a.heads_per_kv_head)
    off = pack("f", 1.0)  # their way to say: no softcap
    strides = pack("i", *(s for x in (a.q, a.k, a.v, out) for s in x.stride()[:3]))
    params = sizes + pack("f", a.scale) + off + strides
    mask_args = [pack("i", 0, 0, 0, 0), out.new_zeros(1)]
    if a.mask is not None:
        mask_args = [pack("i", *a.mask.stride()), a.mask]
    return [
        PeerCall(
            library(PREFILL).function(name),
            [a.q, a.k, a.v, out, params, *mask_args],
            threadgroups=(ceil_div(a.q_len, block_q), a.heads, a.batch),
            threads=(32, simdgroups, 1),
            outputs=(3,),
        )
    ]


def decode(problem: Attention, out: Tensor, passes: int) -> list[PeerCall]:
    """The launches for few queries, in one pass over the keys or in two.

    Raises UnsupportedError for other head dims, and for causality and a mask together.
    """
    a = problem
    if a.head_dim not in DECODE_HEAD_DIMS or a.head_dim != a.value_dim or a.sinks is not None:
        raise UnsupportedError(
            f"head dims {a.head_dim}, {a.value_dim}{', sinks' if a.sinks is not None else ''}: "
            f"sdpa_vector has {DECODE_HEAD_DIMS}, alike for keys and values, and no sinks"
        )
    if a.causal and a.mask is not None:
        raise UnsupportedError("causal and a mask: sdpa_vector has either")
    name, suffix = METAL_NAMES[a.dtype], "_masknone_causal" if a.causal else "_masknone"
    mask, mask_strides = out.new_zeros(1, dtype=torch.float32), (0, 0, 0, 0)  # whatever the dtype
    if a.mask is not None:
        suffix = "_maskbool" if a.mask.dtype == torch.bool else f"_mask{name}"
        mask, mask_strides = a.mask, a.mask.stride()[::-1]
    dims = f"{name}_{a.head_dim}_{a.head_dim}{suffix}"
    tensors = (a.q, a.k, a.v)
    shape = [
        a.heads_per_kv_head,
        a.k_len,
        pack("I", *(x.stride(1) for x in tensors), 0),
        pack("I", *(x.stride(2) for x in tensors), 0),
        a.scale,
        mask,
        pack("I", *mask_strides),
        pack("I", *(x.stride(0) for x in tensors), a.heads),
    ]
    rows = (a.batch * a.heads, a.q_len)
    kernels = library(DECODE)
    if passes == 1:
        one = kernels.function(f"sdpa_vector_{dims}")
        return [PeerCall(one, [*tensors, out, *shape], (*rows, 1), (1024, 1, 1), (3,))]
    partials = out.new_empty(*rows, SPLITS, a.value_dim)
    sums, maxima = (out.new_empty(*rows, SPLITS, dtype=torch.float32) for _ in range(2))
    first = kernels.function(f"sdpa_vector_2pass_1_{dims}")
    second = kernels.function(f"sdpa_vector_2pass_2_{name}_{a.head_dim}")
    split = [*tensors, partials, sums, maxima, *shape]
    return [
        PeerCall(first, split, (*rows, SPLITS), (256, 1, 1), (3, 4, 5)),
        PeerCall(second, [partials, sums, maxima, out], (*rows, 1), (1024, 1, 1), (3,)),
    ]
