"""From a request to a launch: kernel name, buffers, integers, floats, grid.

Pure Python: no tensor is touched, nothing synchronises.  A plan is data; the launchers bind and
run it and know nothing of attention.
"""

import struct
from functools import lru_cache
from math import isfinite
from typing import NamedTuple, Sequence, Tuple

from ._variants import PREFILL_BUFFERS, PREFILL_FLOATS, PREFILL_INTS, VARIANTS

# Lengths and windows stay below this, so that no sum of two of them overflows int32 in a kernel.
UNBOUNDED = 2**30 - 1

_FIELDS = "".join(code for _, code in PREFILL_INTS)
# A struct that holds a 64-bit member is a multiple of 8 bytes long.
_INTS = struct.Struct("<" + _FIELDS + ("4x" if _FIELDS.count("i") % 2 else ""))
_WORDS = struct.Struct(f"<{_INTS.size // 4}i")

Strides = Tuple[int, int, int]


class Request(NamedTuple):
    """One attention call, as far as it decides the launch.

    Padded batches are (batch, len, heads, head_dim); packed ones (total, heads, head_dim), with
    q_len and k_len the totals and batch strides of 0.
    """

    dtype: str  # "float16", "bfloat16" or "float32"
    head_dim: int
    heads: int
    kv_heads: int
    batch: int
    q_len: int
    k_len: int
    packed: bool
    q_strides: Strides  # (batch, row, head), in elements; the last stride is 1
    k_strides: Strides
    v_strides: Strides
    out_strides: Strides
    softmax_scale: float
    causal: bool = False
    window_size: Tuple[int, int] = (-1, -1)  # (left, right), -1: unbounded
    softcap: float = 0.0  # 0: off
    sinks: bool = False
    alibi_strides: Tuple[int, int] = (0, 0)  # (batch, head); both 0 if there are no slopes


class LaunchPlan(NamedTuple):
    """What a launcher needs: everything but the tensors themselves."""

    kernel: str  # host name; also the stem of the shader's file
    buffers: Tuple[str, ...]  # tensor names in binding order
    ints: Tuple[int, ...]  # int32, bound after the buffers
    floats: Tuple[float, ...]  # float32, bound after the ints
    threadgroups: Tuple[int, int, int]
    threads: int  # per threadgroup


def band(causal: bool, window_size: Tuple[int, int]) -> Tuple[str, int, int]:
    """The mask of a request: (mask mode, keys seen left of the diagonal, keys seen right of it).

    causal closes the right side of any window; a window open on the left and closed at the
    diagonal is causal, and one open on both sides is no mask.
    """
    left, right = window_size
    if left < -1 or right < -1:
        raise ValueError(f"window_size is {window_size}: each side must be -1 (unbounded) or >= 0")
    if causal:
        right = 0
    left = UNBOUNDED if left == -1 else min(left, UNBOUNDED)
    right = UNBOUNDED if right == -1 else min(right, UNBOUNDED)
    if left < UNBOUNDED or 0 < right < UNBOUNDED:
        return "window", left, right
    return ("causal" if right == 0 else "full"), left, right


def lse_shape(q_shape: Sequence[int]) -> Tuple[int, ...]:
    """Shape of q's log-sum-exp: (batch, heads, q_len), or (heads, total_q) if packed."""
    *batch, q_len, heads, _ = q_shape
    return (*batch, heads, q_len)


def _check(request: Request) -> None:
    """Refuse what no kernel can compute; the message names the field."""
    for name in ("batch", "q_len", "k_len"):
        value = getattr(request, name)
        if not 0 <= value < UNBOUNDED:
            raise ValueError(f"{name} is {value}: must be from 0 to {UNBOUNDED - 1}")
    heads, kv_heads = request.heads, request.kv_heads
    if kv_heads < 1 or heads < 1 or heads % kv_heads:
        raise ValueError(f"{heads} query heads over {kv_heads} KV heads: must be a multiple of it")
    if not isfinite(request.softmax_scale):
        raise ValueError(f"softmax_scale is {request.softmax_scale}: must be finite")
    if not (request.softcap >= 0.0 and isfinite(request.softcap)):
        raise ValueError(f"softcap is {request.softcap}: must be 0 (off) or positive and finite")


@lru_cache(maxsize=4096)
def plan_prefill(request: Request) -> LaunchPlan:
    """The launch of the prefill kernel that computes `request`.

    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    mask, left, right = band(request.causal, request.window_size)
    key = ("prefill", request.head_dim, request.dtype, mask, request.sinks)
    variant = VARIANTS.get(key)
    if variant is None:
        raise ValueError(
            f"head_dim is {request.head_dim} and dtype {request.dtype}: supported are head dims "
            f"{sorted({k[1] for k in VARIANTS})} in {sorted({k[2] for k in VARIANTS})}"
        )

    q_len = request.q_len
    values = {
        "lse_batch_stride": 0 if request.packed else request.heads * q_len,
        "lse_head_stride": q_len,
        "alibi_batch_stride": request.alibi_strides[0],
        "alibi_head_stride": request.alibi_strides[1],
        "batch": request.batch,
        "q_len": q_len,
        "k_len": request.k_len,
        "packed": int(request.packed),
        "group": request.heads // request.kv_heads,
        "window_left": left,
        "window_right": right,
        "softmax_scale": request.softmax_scale,
        "softcap": request.softcap,
    }
    for tensor in ("q", "k", "v", "out"):
        for axis, stride in zip(("batch", "row", "head"), getattr(request, f"{tensor}_strides")):
            values[f"{tensor}_{axis}_stride"] = stride

    if request.packed:
        # Sequence b owns the tiles from q_start(b) // block_q + b on; see find_tile in the kernel.
        tiles, batches = q_len // variant.block_q + request.batch, 1
    else:
        tiles, batches = -(-q_len // variant.block_q), request.batch
    return LaunchPlan(
        kernel=variant.name,
        buffers=PREFILL_BUFFERS if request.sinks else PREFILL_BUFFERS[:-1],
        ints=_WORDS.unpack(_INTS.pack(*(values[name] for name, _ in PREFILL_INTS))),
        floats=tuple(float(values[name]) for name in PREFILL_FLOATS),
        threadgroups=(tiles if q_len else 0, request.heads, batches),
        threads=variant.threads,
    )
