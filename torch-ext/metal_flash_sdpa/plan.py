"""From a request to a launch: kernel name, buffers, integers, floats, grid.

Pure Python: no tensor is touched, nothing synchronises.  A plan is data; the launchers bind and
run it and know nothing of attention.
"""

from functools import lru_cache
from math import isfinite
from typing import Any, Dict, Mapping, NamedTuple, Sequence, Tuple

from ._variants import Variant
from .catalogue import BUILT_IN, Catalogue
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
    has_k_begin: bool = False  # k_begin holds the row of each sequence's first key; else it is 0
    has_k_end: bool = False  # k_end holds the row after each sequence's last key; else it is k_len
    appended: int = 0  # rows of keys that this call adds at k_end
    page_size: int = 0  # rows of a page of K and V; 0: no block table
    pages: int = 0  # number of pages in K and V
    table_stride: int = 0  # of the block table, from one sequence to the next
    max_q_len: int = 0  # packed: no sequence has more query rows, as the caller says; 0: unknown
    splits: int = 0  # parts that decoding splits the keys into; 0: as many as suit the GPU
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

    kernel: str  # host name
    file: str  # the shader that holds it
    buffers: Tuple[str, ...]  # tensor names in binding order
    optional: Tuple[Tuple[str, str], ...]  # those that a call may lack, each with its dtype
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


_STRIDES = (
    *_stride_names("q", "k", "v", "out"),
    *("alibi_batch_stride", "alibi_head_stride"),
)
_APPEND_STRIDES = _stride_names("q", "k", "v", "new_k", "new_v", "rotated_q")


def _cache_values(request: Request) -> Dict[str, Any]:
    """What all kernels that reach K and V know of a request, under the kernels' names."""
    return {
        "q_len": request.q_len,
        "k_len": request.k_len,
        "kv_heads": request.kv_heads,
        "has_k_end": request.has_k_end,
        "appended": request.appended,
        "page_size": request.page_size,
        "pages": request.pages,
        "table_stride": request.table_stride,
    }


def _attention_values(request: Request, left: int, right: int) -> Dict[str, Any]:
    """What the attention kernels know of a request, under the kernels' names."""
    strides = (
        *request.q_strides,
        *request.k_strides,
        *request.v_strides,
        *request.out_strides,
        *request.alibi_strides,
    )
    return {
        **dict(zip(_STRIDES, strides)),
        **_cache_values(request),
        "lse_batch_stride": 0 if request.packed else request.heads * request.q_len,
        "lse_head_stride": request.q_len,
        "batch": request.batch,
        "packed": request.packed,
        "heads_per_kv_head": request.heads // request.kv_heads,
        "has_k_begin": request.has_k_begin,
        "window_left": left,
        "window_right": right,
        "wants_lse": request.lse,
        "has_alibi": request.alibi,
        "has_sinks": request.sinks,
        "softmax_scale": request.softmax_scale,
        "softcap": request.softcap,
    }


def _launch(
    catalogue: Catalogue,
    family: str,
    dtype: str,
    variant: Variant,
    values: Mapping[str, Any],
    grid: Tuple[int, int, int],
) -> LaunchPlan:
    """A launch of one kernel, whose arguments are found in `values` by their names."""
    layout = catalogue.layout(family, dtype)
    return LaunchPlan(
        kernel=variant.name,
        file=variant.file,
        buffers=layout.buffers,
        optional=layout.optional,
        ints=layout.ints(values),
        floats=layout.floats(values),
        threadgroups=grid,
        threads=variant.threads,
    )


def _longest(request: Request) -> int:
    """No sequence has more query rows."""
    if request.packed and request.max_q_len:
        return min(request.q_len, request.max_q_len)
    return request.q_len


def plan_prefill(request: Request, least_queries: int = 0, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launch of the prefill kernel that computes `request`.

    Packed sequences of fewer than `least_queries` query rows are left to decode.
    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    mask, left, right = band(request.causal, request.window_size)
    variant = catalogue.variant("prefill", request.head_dim, request.dtype, mask, request.sinks)
    if request.packed:
        # Sequence b owns the tiles from q_start(b) // block_q + b on; see find_batch in the kernel.
        tiles, batches = request.q_len // variant.block_q + request.batch, 1
    else:
        tiles, batches = -(-request.q_len // variant.block_q), request.batch
    values = _attention_values(request, left, right)
    values["least_queries"] = least_queries
    grid = (tiles if request.q_len else 0, request.heads, batches)
    return Plan((_launch(catalogue, "prefill", request.dtype, variant, values, grid),))


def plan_decode(
    request: Request,
    most_queries: int = UNBOUNDED,
    rows: int = 0,
    catalogue: Catalogue = BUILT_IN,
) -> Plan:
    """The launches that decode `request`: one, or two if the keys are split.

    Packed sequences of more than `most_queries` query rows are left to prefill.  A sequence that
    is longer than the request's `max_q_len` is computed all the same, only slower.  The tile is the
    one for so many `rows` that share a KV head; 0: for those of the request's sequences.
    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    _, left, right = band(request.causal, request.window_size)
    longest = _longest(request)
    # Where sequences of all lengths meet, those that are decoded mostly have one query.
    queries = longest if longest <= DECODE_QUERIES else 1
    heads_per_kv_head = request.heads // request.kv_heads
    rows = rows or queries * heads_per_kv_head
    head_dim, dtype = request.head_dim, request.dtype
    variant = catalogue.variant("decode", head_dim, dtype, sinks=True, rows=rows)
    tiles = -(-queries * heads_per_kv_head // variant.block_q)
    threadgroups = tiles * request.kv_heads * request.batch
    splits = request.splits or choose(
        request.gpu,
        # In a packed batch the longest sequence may have all keys.
        keys=min(request.k_len, left + right + max(request.q_len, 1)),
        step=variant.step_k,
        rows=min(rows, variant.block_q),
        simdgroups=variant.threads // SIMD_WIDTH,
        threadgroups=threadgroups,
    )
    slots = min(longest, DECODE_QUERIES) if request.packed else longest
    values = _attention_values(request, left, right)
    values.update(most_queries=most_queries, slots=slots, splits=splits)
    grid = (splits if threadgroups else 0, tiles * request.kv_heads, request.batch)
    decode = _launch(catalogue, "decode", dtype, variant, values, grid)
    if splits == 1 or not threadgroups:
        return Plan((decode,))
    variant = catalogue.variant("combine", head_dim, dtype)
    grid = (request.heads, queries, request.batch)
    shape = (splits, request.batch, slots, request.heads)
    return Plan(
        (decode, _launch(catalogue, "combine", dtype, variant, values, grid)),
        (("partial_out", (*shape, head_dim)), ("partial_lse", shape)),
    )


@lru_cache(maxsize=4096)
def plan_append(request: Request, append: Append, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launch that puts new rows into the cache of `request` and rotates them and the queries.

    Causal queries, and those of a window, stand at the positions of the new rows; others all at
    the first of them.
    """
    _check(request)
    mask, _, _ = band(request.causal, request.window_size)
    strides = (
        *request.q_strides,
        *request.k_strides,
        *request.v_strides,
        *append.new_k_strides,
        *append.new_v_strides,
        *append.rotated_q_strides,
    )
    values = {
        **dict(zip(_APPEND_STRIDES, strides)),
        **_cache_values(request),
        "rotary_pairs": append.rotary_dim // 2,
        "rotary_rows": append.rotary_rows,
        "interleaved": append.interleaved,
        "queries_advance": mask != "full",
    }
    if append.rotary_dim:
        rows = max(request.appended, request.q_len)
        grid = (rows, 2 * request.kv_heads + request.heads, request.batch)
    else:
        grid = (request.appended, 2 * request.kv_heads, request.batch)
    variant = catalogue.variant("append", request.head_dim, request.dtype)
    return Plan((_launch(catalogue, "append", request.dtype, variant, values, grid),))


@lru_cache(maxsize=4096)
def plan(request: Request, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launches that compute `request`: each sequence by the kernel that suits its rows.

    In a packed batch the kernels themselves see which sequences are theirs, so that nothing is
    read back.  Raises ValueError, naming the field, for what no kernel computes.
    """
    longest = _longest(request)
    if longest <= DECODE_QUERIES:
        return plan_decode(request, catalogue=catalogue)
    if not request.packed or request.batch == 1:
        return plan_prefill(request, catalogue=catalogue)
    prefill = plan_prefill(request, DECODE_QUERIES + 1, catalogue=catalogue)
    decode = plan_decode(request, DECODE_QUERIES, catalogue=catalogue)
    return Plan(prefill.launches + decode.launches, decode.workspace)
