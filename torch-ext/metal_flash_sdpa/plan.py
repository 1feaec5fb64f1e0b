"""From a request to a launch: kernel name, buffers, integers, floats, grid.

Pure Python: no tensor is touched, nothing synchronises.  A plan is data; the launchers bind and
run it and know nothing of attention.
"""

import struct
from functools import lru_cache
from math import isfinite
from operator import itemgetter
from typing import Any, Callable, NamedTuple, Sequence, Tuple

from ._variants import SIGNATURES, VARIANTS, Variant
from .splits import Gpu, choose

# Lengths and windows stay below this, so that no sum of two of them overflows int32 in a kernel.
UNBOUNDED = 2**30 - 1

# Sequences of at most so many query rows are decoded: rows are packed over the heads of a group.
DECODE_QUERIES = 16

SIMD_WIDTH = 32  # threads per simdgroup on every Apple GPU

Strides = Tuple[int, int, int]


class Request(NamedTuple):
    """One attention call, as far as it decides the launch.

    Padded batches are (batch, len, heads, head_dim); packed ones (total, heads, head_dim), with
    q_len and k_len the totals and batch strides of 0.  A paged cache is (pages, page_size,
    kv_heads, head_dim); k_len is then what a sequence's line of the block table has room for.
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
    k_strides: Strides  # of a paged cache: (page, row, head)
    v_strides: Strides
    out_strides: Strides
    softmax_scale: float
    causal: bool = False
    window_size: Tuple[int, int] = (-1, -1)  # (left, right), -1: unbounded
    softcap: float = 0.0  # 0: off
    lse: bool = True  # is the log-sum-exp wanted?
    sinks: bool = False
    alibi: bool = False
    alibi_strides: Tuple[int, int] = (0, 0)  # of the slopes: (batch, head)
    begins: bool = False  # k_begin holds the row of each sequence's first key; else it is row 0
    ends: bool = False  # k_end holds the row after each sequence's last key; else it is k_len
    appended: int = 0  # rows of keys that this call adds at k_end
    page_size: int = 0  # rows of a page of K and V; 0: no block table
    pages: int = 0  # that K and V have
    table_stride: int = 0  # of the block table, from one sequence to the next
    max_q_len: int = 0  # packed: no sequence has more query rows, as the caller says; 0: unknown
    splits: int = 0  # shares that decoding divides the keys into; 0: as many as suit the GPU
    gpu: Gpu = Gpu()


class Append(NamedTuple):
    """What goes into a cache before a request attends to it.  Padded batches only."""

    new_k_strides: Strides
    new_v_strides: Strides
    rotated_q_strides: Strides = (0, 0, 0)
    rotary_dim: int = 0  # elements of a row that are rotated; 0: none
    rotary_rows: int = 0  # positions that have an angle
    interleaved: bool = True  # pairs are neighbours; else one element of either half


class LaunchPlan(NamedTuple):
    """What a launcher needs: everything but the tensors themselves."""

    kernel: str  # host name; also the stem of the shader's file
    buffers: Tuple[str, ...]  # tensor names in binding order
    ints: Tuple[int, ...]  # int32, bound after the buffers
    floats: Tuple[float, ...]  # float32, bound after the ints
    threadgroups: Tuple[int, int, int]
    threads: int  # per threadgroup


class Plan(NamedTuple):
    """What computes a request: launches, one after the other, and the memory between them."""

    launches: Tuple[LaunchPlan, ...]
    workspace: Tuple[Tuple[str, Tuple[int, ...]], ...] = ()  # float32 tensors: (name, shape)


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
    lengths = request.batch, request.q_len, request.k_len
    if min(lengths) < 0 or max(lengths) >= UNBOUNDED:
        for name, value in zip(("batch", "q_len", "k_len"), lengths):
            if not 0 <= value < UNBOUNDED:
                raise ValueError(f"{name} is {value}: must be from 0 to {UNBOUNDED - 1}")
    heads, kv_heads = request.heads, request.kv_heads
    if kv_heads < 1 or heads < 1 or heads % kv_heads:
        raise ValueError(f"{heads} query heads over {kv_heads} KV heads: must be a multiple of it")
    if not isfinite(request.softmax_scale):
        raise ValueError(f"softmax_scale is {request.softmax_scale}: must be finite")
    if not (request.softcap >= 0.0 and isfinite(request.softcap)):
        raise ValueError(f"softcap is {request.softcap}: must be 0 (off) or positive and finite")


def _stride_names(*tensors: str) -> Tuple[str, ...]:
    """What the kernels call the strides of these tensors."""
    return tuple(f"{name}_{axis}_stride" for name in tensors for axis in ("batch", "row", "head"))


# What the kernels are told of a request, by name: all of them, and then each family.
_TOLD = (
    *Request._fields,
    *_stride_names("q", "k", "v", "out"),
    *("alibi_batch_stride", "alibi_head_stride", "lse_batch_stride", "lse_head_stride"),
    *("group", "window_left", "window_right"),
)
_TOLD_ALSO = {
    "prefill": ("least_queries",),
    "decode": ("most_queries", "slots", "splits"),
    "combine": ("most_queries", "slots", "splits"),
    "append": (
        *_stride_names("new_k", "new_v", "rotated_q"),
        *("rotary_pairs", "rotary_rows", "interleaved", "advance"),
    ),
}


def _told(request: Request, left: int, right: int) -> Tuple[Any, ...]:
    """The values of _TOLD."""
    return (
        *request,
        *request.q_strides,
        *request.k_strides,
        *request.v_strides,
        *request.out_strides,
        *request.alibi_strides,
        0 if request.packed else request.heads * request.q_len,
        request.q_len,
        request.heads // request.kv_heads,
        left,
        right,
    )


class _Layout(NamedTuple):
    """How the kernels of a family take what they are told; made once, as decoding plans anew."""

    pick_ints: Callable[[Tuple[Any, ...]], Tuple[Any, ...]]
    pack: Callable[..., bytes]  # ints as their fields have them, 32 or 64 bits
    words: Callable[[bytes], Tuple[int, ...]]  # the same as they are bound, in int32
    pick_floats: Callable[[Tuple[Any, ...]], Tuple[float, ...]]
    buffers: Tuple[str, ...]


@lru_cache(maxsize=None)
def _layout(family: str, sinks: bool) -> _Layout:
    signature = SIGNATURES[family]
    fields = "".join(code for _, code in signature.ints)
    # A struct that holds a 64-bit member is a multiple of 8 bytes long.
    ints = struct.Struct("<" + fields + ("4x" if fields.count("i") % 2 else ""))
    # What a family is told takes the place of what the request has of that name.
    place = {name: i for i, name in enumerate((*_TOLD, *_TOLD_ALSO[family]))}
    return _Layout(
        _picker([place[name] for name, _ in signature.ints]),
        ints.pack,
        struct.Struct(f"<{ints.size // 4}i").unpack,
        _picker([place[name] for name in signature.floats]),
        tuple(name for name in signature.buffers if sinks or name != "sinks"),
    )


def _picker(places: Sequence[int]) -> Callable[[Tuple[Any, ...]], Tuple[Any, ...]]:
    """What takes the values at these places, as a tuple."""
    if len(places) > 1:  # of a single one itemgetter would give no tuple
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _variant(family: str, request: Request, mask: str, sinks: bool, rows: int = 1) -> Variant:
    """The kernel of a family that computes `request`.  Raises ValueError if there is none.

    Of several tiles it is the smallest that holds `rows`, or else the largest.
    """
    tiles = VARIANTS.get((family, request.head_dim, request.dtype, mask, sinks))
    if tiles is None:
        raise ValueError(
            f"head_dim is {request.head_dim} and dtype {request.dtype}: supported are head dims "
            f"{sorted({k[1] for k in VARIANTS})} in {sorted({k[2] for k in VARIANTS})}"
        )
    for tile in tiles:
        if tile.block_q >= rows:
            return tile
    return tiles[-1]


def _launch(
    family: str, variant: Variant, sinks: bool, told: Tuple[Any, ...], grid: Tuple[int, int, int]
) -> LaunchPlan:
    """A launch of one kernel; `told` holds the values of _TOLD and of the family's."""
    layout = _layout(family, sinks)
    ints = layout.words(layout.pack(*layout.pick_ints(told)))
    floats = tuple(map(float, layout.pick_floats(told)))
    return LaunchPlan(variant.name, layout.buffers, ints, floats, grid, variant.threads)


def _longest(request: Request) -> int:
    """No sequence has more query rows."""
    if request.packed and request.max_q_len:
        return min(request.q_len, request.max_q_len)
    return request.q_len


def plan_prefill(request: Request, least_queries: int = 0) -> LaunchPlan:
    """The launch of the prefill kernel that computes `request`.

    Packed sequences of fewer than `least_queries` query rows are left to decode.
    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    mask, left, right = band(request.causal, request.window_size)
    variant = _variant("prefill", request, mask, request.sinks)
    if request.packed:
        # Sequence b owns the tiles from q_start(b) // block_q + b on; see find_tile in the kernel.
        tiles, batches = request.q_len // variant.block_q + request.batch, 1
    else:
        tiles, batches = -(-request.q_len // variant.block_q), request.batch
    told = (*_told(request, left, right), least_queries)
    grid = (tiles if request.q_len else 0, request.heads, batches)
    return _launch("prefill", variant, request.sinks, told, grid)


def plan_decode(request: Request, most_queries: int = UNBOUNDED, rows: int = 0) -> Plan:
    """The launches that decode `request`: one, or two if the keys are divided.

    Packed sequences of more than `most_queries` query rows are left to prefill.  A sequence that
    is longer than the request's `max_q_len` is computed all the same, only slower.  The tile is the
    one for so many `rows` that share a KV head; 0: for those of the request's sequences.
    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    mask, left, right = band(request.causal, request.window_size)
    longest = _longest(request)
    # Where sequences of all lengths meet, those that are decoded mostly have one query.
    queries = longest if longest <= DECODE_QUERIES else 1
    group = request.heads // request.kv_heads
    rows = rows or queries * group
    variant = _variant("decode", request, mask, request.sinks, rows)
    tiles = -(-queries * group // variant.block_q)
    groups = tiles * request.kv_heads * request.batch
    splits = request.splits or choose(
        request.gpu,
        # In a packed batch the longest sequence may have all keys.
        keys=min(request.k_len, left + right + max(request.q_len, 1)),
        step=variant.step_k,
        rows=min(rows, variant.block_q),
        simdgroups=variant.threads // SIMD_WIDTH,
        groups=groups,
    )
    slots = min(longest, DECODE_QUERIES) if request.packed else longest
    told = (*_told(request, left, right), most_queries, slots, splits)
    grid = (splits if groups else 0, tiles * request.kv_heads, request.batch)
    decode = _launch("decode", variant, request.sinks, told, grid)
    if splits == 1 or not groups:
        return Plan((decode,))
    variant = _variant("combine", request, "full", False)
    grid = (request.heads, queries, request.batch)
    shape = (splits, request.batch, slots, request.heads)
    return Plan(
        (decode, _launch("combine", variant, False, told, grid)),
        (("partial_out", (*shape, request.head_dim)), ("partial_lse", shape)),
    )


@lru_cache(maxsize=4096)
def plan_append(request: Request, append: Append) -> LaunchPlan:
    """The launch that puts new rows into the cache of `request` and rotates them and the queries.

    Causal queries, and those of a window, stand at the positions of the new rows; others all at
    the first of them.
    """
    _check(request)
    mask, left, right = band(request.causal, request.window_size)
    variant = _variant("append", request, "full", False)
    told = (
        *_told(request, left, right),
        *append.new_k_strides,
        *append.new_v_strides,
        *append.rotated_q_strides,
        append.rotary_dim // 2,
        append.rotary_rows,
        append.interleaved,
        mask != "full",
    )
    if append.rotary_dim:
        rows = max(request.appended, request.q_len)
        grid = (rows, 2 * request.kv_heads + request.heads, request.batch)
    else:
        grid = (request.appended, 2 * request.kv_heads, request.batch)
    return _launch("append", variant, False, told, grid)


@lru_cache(maxsize=4096)
def plan(request: Request) -> Plan:
    """The launches that compute `request`: each sequence by the kernel that suits its rows.

    In a packed batch the kernels themselves see which sequences are theirs, so that nothing is
    read back.  Raises ValueError, naming the field, for what no kernel computes.
    """
    if not request.packed:
        few = request.q_len <= DECODE_QUERIES
        return plan_decode(request) if few else Plan((plan_prefill(request),))
    if _longest(request) <= DECODE_QUERIES:
        return plan_decode(request)
    if request.batch == 1:
        return Plan((plan_prefill(request),))
    decode = plan_decode(request, DECODE_QUERIES)
    return Plan((plan_prefill(request, DECODE_QUERIES + 1), *decode.launches), decode.workspace)
