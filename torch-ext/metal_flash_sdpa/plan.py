"""From a request to a launch: kernel name, buffers, integers, floats, grid.

Pure Python: no tensor is touched, nothing synchronises.  A plan is data; the launchers bind and
run it and know nothing of attention.
"""

import math
import struct
from functools import lru_cache
from operator import itemgetter
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple, Union

from ._variants import KV_TYPES, LATENT, Key, Variant, Widths
from .catalogue import ANY_DTYPE, ANY_WIDTHS, BUILT_IN, Catalogue
from .splits import Gpu, choose, choose_blocks

# Lengths and windows stay below this, so that no sum of two of them overflows int32 in a kernel.
UNBOUNDED = 2**30 - 1

# Sequences of at most so many query rows are decoded: rows are packed over the heads of a group.
DECODE_QUERIES = 16

BACKWARD_FAMILIES = (
    *("backward_rows", "backward_q", "backward_kv", "backward_k", "backward_v"),
    "backward_mask",
)

SIMD_WIDTH = 32  # threads per simdgroup on every Apple GPU

Strides = Tuple[int, int, int]
_Picker = Callable[[Tuple[Any, ...]], Tuple[Any, ...]]


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
    kv_dtype: str = ""  # of K and V, where it is not that of Q
    causal: bool = False
    window_size: Tuple[int, int] = (-1, -1)  # (left, right), -1: unbounded
    softcap: float = 0.0  # 0: off
    wants_lse: bool = True  # is the log-sum-exp written?
    has_sinks: bool = False
    has_alibi: bool = False
    alibi_strides: Tuple[int, int] = (0, 0)  # of the slopes: (batch, head)
    has_k_begin: bool = False  # k_begin holds the row of each sequence's first key; else it is 0
    has_k_end: bool = False  # k_end holds the row after each sequence's last key; else it is k_len
    appended: int = 0  # rows of keys that this call adds at k_end
    page_size: int = 0  # rows of a page of K and V; 0: no block table
    pages: int = 0  # number of pages in K and V
    table_stride: int = 0  # of the block table, from one sequence to the next
    max_q_len: int = 0  # packed: no sequence has more query rows, as the caller says; 0: unknown
    has_dropout: bool = False  # are weights dropped?
    keep_below: int = 0  # bits of a uint32, as int32: a weight is kept if its number is less
    keep_scale: float = 1.0  # of the weights that are kept
    mask_type: int = 0  # of MASK_TYPES; 0: no mask tensor
    # Of the mask: (batch, head, query, key), in bytes; 0: the same for all.
    mask_strides: Tuple[int, int, int, int] = (0, 0, 0, 0)
    num_splits: int = 0  # parts that decoding splits the keys into; 0: as many as suit the GPU
    gpu: Gpu = Gpu()
    head_dim_v: int = 0  # of V and O; 0: as Q and K have it

    @property
    def widths(self) -> Widths:
        """The columns of a head: of Q and K, and of V and O."""
        return self.head_dim, self.head_dim_v or self.head_dim

    @property
    def width_of_out(self) -> Widths:
        """Of kernels that know O alone."""
        return self.widths[1], self.widths[1]


class Append(NamedTuple):
    """What goes into a cache before a request attends to it.  Padded batches only."""

    new_k_strides: Strides
    new_v_strides: Strides
    rotated_q_strides: Strides = (0, 0, 0)
    rotary_dim: int = 0  # elements of a row that are rotated; 0: none
    rotary_rows: int = 0  # positions that have an angle
    interleaved: bool = True  # pairs are neighbours; else one element of either half


class Backward(NamedTuple):
    """Which gradients of a request are asked for, and how they and the output's lie in memory."""

    grad_out_strides: Strides
    grad_q_strides: Strides
    grad_k_strides: Strides
    grad_v_strides: Strides
    wants_q: bool = True
    wants_k: bool = True
    wants_v: bool = True
    has_grad_lse: bool = False  # the log-sum-exp has a gradient of its own
    # Of the mask's gradient: (batch, heads, q_len, k_len), or 1 where it is one for all of them;
    # empty if it is not wanted.
    mask_shape: Tuple[int, ...] = ()


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


class Scratch(NamedTuple):
    """A tensor between the launches of a plan."""

    name: str
    shape: Tuple[int, ...]
    dtype: str = "float32"


class Plan(NamedTuple):
    """What computes a request: launches, one after the other, and the memory between them."""

    launches: Tuple[LaunchPlan, ...]
    workspace: Tuple[Scratch, ...] = ()
    zeroed: bool = False  # must the workspace be 0 at first?


def band(causal: bool, window_size: Tuple[int, int]) -> Tuple[str, int, int]:
    """The mask of a request: (mask mode, keys seen left of the diagonal, keys seen right of it).

    causal closes the right side of any window; a window open on the left and closed at the
    diagonal is causal, and one open on both sides is no mask.
    """
    left, right = window_size
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
    """Refuse lengths that the kernels cannot count; the message names the field.

    All else that a call may get wrong is refused in checks.py.
    """
    lengths = request.batch, request.q_len, request.k_len
    if min(lengths) < 0 or max(lengths) >= UNBOUNDED:
        for name, value in zip(("batch", "q_len", "k_len"), lengths):
            if not 0 <= value < UNBOUNDED:
                raise ValueError(f"{name} is {value}: must be from 0 to {UNBOUNDED - 1}")


class _Attention(NamedTuple):
    """What the attention kernels know beside the fields of a request, under their names for it.

    A tuple, as this is made anew for each step of a generation: to merge dicts would take longer.
    """

    q_batch_stride: int
    q_row_stride: int
    q_head_stride: int
    k_batch_stride: int
    k_row_stride: int
    k_head_stride: int
    v_batch_stride: int
    v_row_stride: int
    v_head_stride: int
    out_batch_stride: int
    out_row_stride: int
    out_head_stride: int
    alibi_batch_stride: int
    alibi_head_stride: int
    mask_batch_stride: int
    mask_head_stride: int
    mask_row_stride: int
    mask_key_stride: int
    lse_batch_stride: int
    lse_head_stride: int
    heads_per_kv_head: int
    window_left: int
    window_right: int
    kv_type: int
    state_batch_stride: int = 0
    state_head_stride: int = 0
    state_tile_stride: int = 0
    state_block_stride: int = 0
    least_queries: int = 0
    most_queries: int = UNBOUNDED
    slots: int = 0
    splits: int = 1


class _MaskBlocks(NamedTuple):
    """The same of the kernel that looks at a mask tensor."""

    mask_batch_stride: int
    mask_head_stride: int
    mask_row_stride: int
    mask_key_stride: int
    mask_heads: int
    mask_rows: int
    mask_keys: int
    tile_rows: int
    block_keys: int
    blocks: int
    is_shared: bool


class _Append(NamedTuple):
    """The same of the kernel that appends."""

    q_batch_stride: int
    q_row_stride: int
    q_head_stride: int
    k_batch_stride: int
    k_row_stride: int
    k_head_stride: int
    v_batch_stride: int
    v_row_stride: int
    v_head_stride: int
    new_k_batch_stride: int
    new_k_row_stride: int
    new_k_head_stride: int
    new_v_batch_stride: int
    new_v_row_stride: int
    new_v_head_stride: int
    rotated_q_batch_stride: int
    rotated_q_row_stride: int
    rotated_q_head_stride: int
    rotary_pairs: int
    rotary_rows: int
    interleaved: bool
    queries_advance: bool


class _Backward(NamedTuple):
    """The same of the kernels of the backward pass."""

    q_batch_stride: int
    q_row_stride: int
    q_head_stride: int
    k_batch_stride: int
    k_row_stride: int
    k_head_stride: int
    v_batch_stride: int
    v_row_stride: int
    v_head_stride: int
    out_batch_stride: int
    out_row_stride: int
    out_head_stride: int
    grad_out_batch_stride: int
    grad_out_row_stride: int
    grad_out_head_stride: int
    grad_q_batch_stride: int
    grad_q_row_stride: int
    grad_q_head_stride: int
    grad_k_batch_stride: int
    grad_k_row_stride: int
    grad_k_head_stride: int
    grad_v_batch_stride: int
    grad_v_row_stride: int
    grad_v_head_stride: int
    alibi_batch_stride: int
    alibi_head_stride: int
    mask_batch_stride: int
    mask_head_stride: int
    mask_row_stride: int
    mask_key_stride: int
    lse_batch_stride: int
    lse_head_stride: int
    heads_per_kv_head: int
    window_left: int
    window_right: int
    has_grad_lse: bool
    wants_k: bool
    wants_v: bool
    splits: int = 1
    state_batch_stride: int = 0
    state_head_stride: int = 0
    state_tile_stride: int = 0
    state_block_stride: int = 0
    sums_batches: bool = False
    sums_heads: bool = False
    sums_rows: bool = False
    sums_keys: bool = False


_Known = Union[_Attention, _MaskBlocks, _Append, _Backward]
_FIELDS = {
    "mask_blocks": _MaskBlocks._fields,
    "append": _Append._fields,
    **dict.fromkeys(BACKWARD_FAMILIES, _Backward._fields),
}


class _Layout(NamedTuple):
    """How the kernels of a family take their arguments; made once, as decoding plans anew."""

    buffers: Tuple[str, ...]
    optional: Tuple[Tuple[str, str], ...]
    pick_ints: _Picker  # from a request's fields and what else is known, by name
    pack: Callable[..., bytes]  # integers as the kernels have them, in 32 or 64 bits each
    unpack: Callable[[bytes], Tuple[int, ...]]  # the same as they are bound, in int32
    pick_floats: _Picker


@lru_cache(maxsize=None)
def _layout(catalogue: Catalogue, family: str, dtype: str) -> _Layout:
    signature = catalogue.signatures[family]
    fields_known = _FIELDS.get(family, _Attention._fields)
    place = {name: i for i, name in enumerate((*Request._fields, *fields_known))}
    codes = "".join(code for _, code in signature.ints)
    # A struct that holds a 64-bit member is a multiple of 8 bytes long.
    fields = struct.Struct("<" + codes + ("4x" if codes.count("i") % 2 else ""))
    return _Layout(
        signature.buffers,
        optional=tuple((name, own or dtype) for name, own in signature.optional.items()),
        pick_ints=_picker([place[name] for name, _ in signature.ints]),
        pack=fields.pack,
        unpack=struct.Struct(f"<{fields.size // 4}i").unpack,
        pick_floats=_picker([place[name] for name in signature.floats]),
    )


def _picker(places: Sequence[int]) -> _Picker:
    """What takes the values at these places, as a tuple."""
    if len(places) > 1:  # of a single one itemgetter would give no tuple
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


def _launch(
    catalogue: Catalogue,
    family: str,
    variant: Variant,
    request: Request,
    known: _Known,
    grid: Tuple[int, int, int],
) -> LaunchPlan:
    """A launch of one kernel."""
    layout = _layout(catalogue, family, request.dtype)
    values = request + known
    return LaunchPlan(
        variant.name,
        variant.file,
        layout.buffers,
        layout.optional,
        ints=layout.unpack(layout.pack(*layout.pick_ints(values))),
        floats=layout.pick_floats(values),
        threadgroups=grid,
        threads=variant.threads,
    )


def _attention(request: Request, left: int, right: int, **of_family: int) -> _Attention:
    """What the attention kernels know beside a request's fields."""
    return _Attention(
        *request.q_strides,
        *request.k_strides,
        *request.v_strides,
        *request.out_strides,
        *request.alibi_strides,
        *request.mask_strides,
        lse_batch_stride=0 if request.packed else request.heads * request.q_len,
        lse_head_stride=request.q_len,
        heads_per_kv_head=request.heads // request.kv_heads,
        window_left=left,
        window_right=right,
        kv_type=KV_TYPES[request.kv_dtype] if request.kv_dtype else 0,
        **of_family,
    )


def _tiles(request: Request, rows: int, block: int) -> int:
    """Threadgroups for `rows` rows of Q or K, so many in each.

    In a packed batch sequence b owns those from its first row // block + b on; see find_batch in
    the kernels.
    """
    return rows // block + request.batch if request.packed else -(-rows // block)


def _longest(request: Request) -> int:
    """No sequence has more query rows."""
    if request.packed and request.max_q_len:
        return min(request.q_len, request.max_q_len)
    return request.q_len


def _mask_blocks(
    request: Request, attention: Variant, catalogue: Catalogue
) -> Tuple[LaunchPlan, Scratch, Dict[str, int]]:
    """The launch that looks at a mask for the kernel `attention`, what it writes, and its strides.

    Along an axis where the mask is the same for all there is one state.
    """
    every = (request.batch, request.heads, request.q_len, request.k_len)
    batch, heads, rows, keys = (
        n if step else min(n, 1) for n, step in zip(every, request.mask_strides)
    )
    tiles, blocks = -(-rows // attention.block_q), -(-keys // attention.step_k)
    variant = catalogue.variant("mask_blocks", ANY_WIDTHS, ANY_DTYPE)
    is_shared = batch * heads < request.batch * request.heads
    known = _MaskBlocks(
        *request.mask_strides,
        mask_heads=heads,
        mask_rows=rows,
        mask_keys=keys,
        tile_rows=attention.block_q,
        block_keys=attention.step_k,
        blocks=blocks,
        is_shared=is_shared,
    )
    grid = (-(-blocks // variant.step_k), tiles, batch * heads)
    strides = (heads * tiles * blocks, tiles * blocks, blocks, 1)
    names = ("state_batch_stride", "state_head_stride", "state_tile_stride", "state_block_stride")
    return (
        _launch(catalogue, "mask_blocks", variant, request, known, grid),
        Scratch("mask_states", (batch, heads, tiles, blocks), "uint8"),
        {n: own if step else 0 for n, own, step in zip(names, strides, request.mask_strides)},
    )


def plan_prefill(request: Request, least_queries: int = 0, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launch of the prefill kernel that computes `request`; with a mask tensor, one before it.

    Packed sequences of fewer than `least_queries` query rows are left to decode.
    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    mask, left, right = band(request.causal, request.window_size)
    widths, dtype = request.widths, request.dtype
    if request.has_dropout:
        variant = catalogue.variant("prefill", widths, dtype, sinks=True, dropout=True)
    elif request.mask_type:
        variant = catalogue.variant("prefill", widths, dtype, "masked", sinks=True)
    else:
        variant = catalogue.variant("prefill", widths, dtype, mask, request.has_sinks)
    tiles = _tiles(request, request.q_len, variant.block_q)
    grid = (tiles if request.q_len else 0, request.heads, 1 if request.packed else request.batch)
    if not request.mask_type:
        known = _attention(request, left, right, least_queries=least_queries)
        return Plan((_launch(catalogue, "prefill", variant, request, known, grid),))
    look, states, strides = _mask_blocks(request, variant, catalogue)
    known = _attention(request, left, right, **strides)
    return Plan((look, _launch(catalogue, "prefill", variant, request, known, grid)), (states,))


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
    # Padded ones of a latent pair all come here.
    of_one_length = request.widths in LATENT and not request.packed
    queries = longest if longest <= DECODE_QUERIES or of_one_length else 1
    heads_per_kv_head = request.heads // request.kv_heads
    rows = rows or queries * heads_per_kv_head
    widths, dtype = request.widths, request.dtype
    variant = catalogue.variant(
        "decode", widths, dtype, sinks=True, kv_dtype=request.kv_dtype, rows=rows
    )
    tiles = -(-queries * heads_per_kv_head // variant.block_q)
    threadgroups = tiles * request.kv_heads * request.batch
    splits = request.num_splits or choose(
        request.gpu,
        # In a packed batch the longest sequence may have all keys.
        keys=min(request.k_len, left + right + max(request.q_len, 1)),
        step=variant.step_k,
        rows=min(rows, variant.block_q),
        simdgroups=variant.threads // SIMD_WIDTH,
        threadgroups=threadgroups,
    )
    slots = min(longest, DECODE_QUERIES) if request.packed else longest
    known = _attention(request, left, right, most_queries=most_queries, slots=slots, splits=splits)
    grid = (splits if threadgroups else 0, tiles * request.kv_heads, request.batch)
    decode = _launch(catalogue, "decode", variant, request, known, grid)
    if splits == 1 or not threadgroups:
        return Plan((decode,))
    variant = catalogue.variant("combine", request.width_of_out, dtype)
    grid = (request.heads, queries, request.batch)
    shape = (splits, request.batch, slots, request.heads)
    return Plan(
        (decode, _launch(catalogue, "combine", variant, request, known, grid)),
        (Scratch("partial_out", (*shape, widths[1])), Scratch("partial_lse", shape)),
    )


def plan_append(request: Request, append: Append, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launch that puts new rows into the cache of `request` and rotates them and the queries.

    Causal queries, and those of a window, stand at the positions of the new rows; others all at
    the first of them.
    """
    _check(request)
    mask, _, _ = band(request.causal, request.window_size)
    known = _Append(
        *request.q_strides,
        *request.k_strides,
        *request.v_strides,
        *append.new_k_strides,
        *append.new_v_strides,
        *append.rotated_q_strides,
        rotary_pairs=append.rotary_dim // 2,
        rotary_rows=append.rotary_rows,
        interleaved=append.interleaved,
        queries_advance=mask != "full",
    )
    if append.rotary_dim:
        rows = max(request.appended, request.q_len)
        grid = (rows, 2 * request.kv_heads + request.heads, request.batch)
    else:
        grid = (request.appended, 2 * request.kv_heads, request.batch)
    # The kernel is that of the cache's dtype; queries of another are not rotated.
    request = request._replace(dtype=request.kv_dtype or request.dtype)
    variant = catalogue.variant("append", request.widths, request.dtype)
    return Plan((_launch(catalogue, "append", variant, request, known, grid),))


def plan(request: Request, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launches that compute `request`: each sequence by the kernel that suits its rows.

    In a packed batch the kernels themselves see which sequences are theirs, so that nothing is
    read back.  Raises ValueError, naming the field, for what no kernel computes.
    """
    longest = _longest(request)
    decodes = longest <= DECODE_QUERIES or request.widths in LATENT
    if decodes and not request.has_dropout:
        return plan_decode(request, catalogue=catalogue)
    if not request.packed or request.batch == 1 or request.has_dropout:
        return plan_prefill(request, catalogue=catalogue)
    prefill = plan_prefill(request, DECODE_QUERIES + 1, catalogue=catalogue)
    decode = plan_decode(request, DECODE_QUERIES, catalogue=catalogue)
    return Plan(prefill.launches + decode.launches, decode.workspace)


def plan_backward(request: Request, backward: Backward, catalogue: Catalogue = BUILT_IN) -> Plan:
    """The launches that compute the gradients of `request`.

    Where the keys' threadgroups are few, the query blocks are split among more of them.  The
    workspace then has partial_k and partial_v, (splits, batch, k_len, kv_heads, columns), which add
    up to the gradients; and in the same way partial_mask, (splits, *mask_shape).

    With sinks the workspace has grad_sinks, (batch, heads, parts): what each part of a head's rows
    adds to the gradient of its sink; in a packed batch all sequences are one.
    Raises ValueError, naming the field, for what no kernel computes.
    """
    _check(request)
    mode, left, right = band(request.causal, request.window_size)
    widths, dtype, dropout = request.widths, request.dtype, request.has_dropout
    mask = None if dropout else "masked" if request.mask_type else mode
    batches = 1 if request.packed else request.batch
    wanted = {"k": backward.wants_k, "v": backward.wants_v}
    together = Key("backward_kv", widths, dtype, mask, dropout=dropout) in catalogue.variants
    of_keys = ["backward_kv"] if together else [f"backward_{x}" for x in wanted if wanted[x]]
    splits = 1
    for family in of_keys:
        variant = catalogue.variant(family, widths, dtype, mask, dropout=dropout)
        tiles = _tiles(request, request.k_len, variant.step_k) * request.kv_heads * batches
        # A query sees at most so many keys, and a key so many queries.
        queries = min(request.q_len, left + right + variant.step_k)
        blocks = -(-queries // variant.block_q) * (request.heads // request.kv_heads)
        splits = choose_blocks(request.gpu, tiles, blocks)
    known = _Backward(
        *request.q_strides,
        *request.k_strides,
        *request.v_strides,
        *request.out_strides,
        *backward.grad_out_strides,
        *backward.grad_q_strides,
        *backward.grad_k_strides,
        *backward.grad_v_strides,
        *request.alibi_strides,
        *request.mask_strides,
        lse_batch_stride=0 if request.packed else request.heads * request.q_len,
        lse_head_stride=request.q_len,
        heads_per_kv_head=request.heads // request.kv_heads,
        window_left=left,
        window_right=right,
        has_grad_lse=backward.has_grad_lse,
        wants_k=backward.wants_k,
        wants_v=backward.wants_v,
    )

    rows = catalogue.variant("backward_rows", request.width_of_out, dtype, sinks=True)
    parts = -(-request.q_len // rows.block_q)
    grid = (parts, request.heads, batches)
    launches = [_launch(catalogue, "backward_rows", rows, request, known, grid)]
    looks: List[Tuple[Tuple[int, int], int]] = []  # at a mask: its tile, and how many states

    def add(family: str, variant: Variant, grid: Tuple[int, int, int], **more: Any) -> None:
        """A launch; with a mask tensor, one before it, unless the last one's states will do."""
        if request.mask_type:
            look, scratch, strides = _mask_blocks(request, variant, catalogue)
            tile = variant.block_q, variant.step_k
            if not looks or looks[-1][0] != tile:
                launches.append(look)
                looks.append((tile, math.prod(scratch.shape)))
            more.update(strides)
        own = known._replace(**more)
        launches.append(_launch(catalogue, family, variant, request, own, grid))

    if backward.wants_q:
        variant = catalogue.variant("backward_q", widths, dtype, mask, dropout=dropout)
        tiles = _tiles(request, request.q_len, variant.block_q) if request.q_len else 0
        add("backward_q", variant, (tiles, request.heads, batches))
    for family in of_keys if any(wanted.values()) else ():
        variant = catalogue.variant(family, widths, dtype, mask, dropout=dropout)
        tiles = _tiles(request, request.k_len, variant.step_k) if request.k_len else 0
        add(family, variant, (tiles * splits, request.kv_heads, batches), splits=splits)
    of_rows = (batches, request.heads, request.q_len)
    partial = (splits, batches, request.k_len, request.kv_heads)
    columns = dict(zip(wanted, widths))
    workspace = [Scratch("row_lse", of_rows), Scratch("row_delta", of_rows)]
    if request.has_sinks:
        workspace.append(Scratch("grad_sinks", (batches, request.heads, parts)))
    if splits > 1:
        workspace += [Scratch(f"partial_{x}", (*partial, columns[x])) for x in wanted if wanted[x]]
    if backward.mask_shape:
        variant = catalogue.variant("backward_mask", widths, dtype, "masked")
        grid, sums, splits = _mask_terms(request, backward.mask_shape, variant)
        add("backward_mask", variant, grid, splits=splits, **sums)
        if splits > 1:
            workspace.append(Scratch("partial_mask", (splits, *backward.mask_shape)))
    if looks:  # the states of each replace those of the last
        workspace.append(Scratch("mask_states", (max(count for _, count in looks),), "uint8"))
    # Rows that belong to no sequence are added up, too.
    return Plan(tuple(launches), tuple(workspace), zeroed=request.packed)


def _mask_terms(
    request: Request, mask_shape: Tuple[int, ...], variant: Variant
) -> Tuple[Tuple[int, int, int], Dict[str, int], int]:
    """The grid for a mask's gradient, along which axes it is added up, and in how many splits."""
    every = (request.batch, request.heads, request.q_len, request.k_len)
    sums = [own == 1 for own in mask_shape]
    tile = (1, 1, variant.block_q, variant.step_k)
    steps = [-(-n // size) for n, size in zip(every, tile)]
    batch, heads, tiles, blocks = (1 if is_sum else n for is_sum, n in zip(sums, steps))
    terms = math.prod(n for is_sum, n in zip(sums, steps) if is_sum)
    splits = choose_blocks(request.gpu, batch * heads * tiles * blocks, terms)
    names = ("sums_batches", "sums_heads", "sums_rows", "sums_keys")
    return (blocks * splits, tiles, batch * heads), dict(zip(names, sums)), splits
