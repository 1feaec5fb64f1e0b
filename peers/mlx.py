"""MLX's attention kernels: steel attention, and sdpa_vector in one and in two passes.

The sources are what ``python -m peers.fetch`` unpacked; with which template arguments
MLX instantiates them is read from the kernel names of its compiled library.  Its causal diagonal
is bottom-right: the last query sees the last key.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

import emulator

from .call import Attention, PeerCall, UnsupportedError, ceil_div, dtype_name, pack
from .fetch import TARGET

STEEL = "steel/attn/kernels/steel_attention.h"
VECTOR = "sdpa_vector.h"
BLOCKED = "sdpa_blocked.h"
GATED_DELTA = "gated_delta_update.h"
KERNELS = "mlx/backend/metal/kernels"
INCLUDE = TARGET / "include"
METAL_NAMES = {torch.float16: "half", torch.bfloat16: "bfloat16_t", torch.float32: "float"}
NAMES = {torch.float16: "float16_t", torch.bfloat16: "bfloat16_t", torch.float32: "float"}
DTYPES = {name: dtype for dtype, name in NAMES.items()} | {
    dtype_name(dtype): dtype for dtype in NAMES
}
GROUPED = "sdpa_vector_2pass_1_gqa"  # and how many heads a KV head has
MERGE = "sdpa_vector_2pass_2"
BLOCKED_STEPS = ("scale_copy", "causal_mask")
BLOCKED_DTYPES = (torch.float16, torch.bfloat16)
MAX_THREADGROUP_BYTES = 32 * 1024
GROUPED_KEYS = 8192  # scaled_dot_product_attention.cpp

CHIPS = ("base", "max", "ultra")

Constants = Mapping[str, bool | int]


def available() -> bool:
    """Whether the sources have been fetched."""
    return (TARGET / "wheel.txt").exists()


def kernel_names() -> list[str]:
    """All kernels of MLX's compiled library."""
    return (TARGET / "kernels.txt").read_text().split()


@dataclass(frozen=True)
class Instance:
    """A kernel of MLX's library: ``template<arguments>`` of a header under its host name."""

    header: str
    name: str
    template: str
    arguments: str


def source(header: str, instances: Iterable[Instance]) -> str:
    """Metal that instantiates them as MLX's own .metal files do."""
    statements = "\n".join(
        f'    instantiate_kernel("{i.name}", {i.template}, {i.arguments})' for i in instances
    )
    return f"""
    #include <metal_stdlib>
    #include "{KERNELS}/utils.h"
    #include "{KERNELS}/{header}"
{statements}
    """


@functools.cache
def _library(instance: Instance, constants: tuple[tuple[str, bool | int], ...]) -> emulator.Library:
    return emulator.compile(
        source(instance.header, [instance]),
        include=[INCLUDE],
        function_constants=dict(constants),
        extensions=True,  # MLX's own build silences the warnings
    )


def kernel(instance: Instance, constants: Constants) -> emulator.Kernel:
    """The kernel, specialised to the constants."""
    return _library(instance, tuple(constants.items())).function(instance.name)


@dataclass(frozen=True)
class Steel:
    """An instantiation of steel attention."""

    name: str
    dtype: torch.dtype
    block_q: int
    block_k: int
    head_dim: int
    value_dim: int
    rows: int  # simdgroups along the queries ...
    columns: int  # ... and along the head dim
    mask: str  # dtype of the mask: bool_, or the dtype's own name

    @property
    def instance(self) -> Instance:
        element = METAL_NAMES[self.dtype]
        sizes = (self.block_q, self.block_k, self.head_dim, self.value_dim, self.rows, self.columns)
        mask = "bool" if self.mask == "bool_" else element
        arguments = f"{element}, {', '.join(map(str, sizes))}, {mask}, float"
        return Instance(STEEL, self.name, "attention", arguments)

    @classmethod
    @functools.cache
    def all(cls) -> tuple[Steel, ...]:
        """Those that MLX compiles."""
        pattern = re.compile(
            r"steel_attention_(\w+?)_bq(\d+)_bk(\d+)_bd(\d+)_bv(\d+)_wm(\d+)_wn(\d+)_mask(\w+)"
        )

        def sizes(match: re.Match[str]) -> tuple[int, int, int, int, int, int]:
            q, k, d, v, rows, columns = (int(n) for n in match.groups()[1:7])
            return q, k, d, v, rows, columns

        matches = ((name, pattern.fullmatch(name)) for name in kernel_names())
        return tuple(cls(name, DTYPES[m[1]], *sizes(m), mask=m[8]) for name, m in matches if m)


def steel(
    problem: Attention, out: Tensor, lse: Tensor | None = None, instance: Steel | None = None
) -> list[PeerCall]:
    """The launch for any number of queries.

    `lse` (batch, heads, q_len) of float32 receives the log-sum-exp.  `instance` is one of
    Steel.all(), by default the first that fits.  Raises UnsupportedError if none does.
    """
    a = problem
    mask = "bool_" if a.mask is not None and a.mask.dtype == torch.bool else dtype_name(a.dtype)
    wanted = (a.dtype, a.head_dim, a.value_dim, mask)
    fitting = [s for s in Steel.all() if (s.dtype, s.head_dim, s.value_dim, s.mask) == wanted]
    if instance not in (None, *fitting) or not fitting:
        raise UnsupportedError(
            f"head dims {a.head_dim}, {a.value_dim} in {a.dtype}: steel attention has "
            f"{sorted({(s.head_dim, s.value_dim) for s in Steel.all() if s.dtype == a.dtype})}"
        )
    s = instance or fitting[0]
    q_blocks, q_rest = divmod(a.q_len, s.block_q)
    k_blocks, k_rest = divmod(a.k_len, s.block_k)
    q_threadgroups = ceil_div(a.q_len, s.block_q)
    constants = {
        "align_Q": q_rest == 0,
        "align_K": k_rest == 0,
        "has_mask": a.mask is not None,
        "do_causal": a.causal,
        "has_sinks": a.sinks is not None,
        "save_lse": lse is not None,
    }
    params = pack("i", a.batch, a.heads, a.head_dim, a.q_len, a.k_len, a.heads_per_kv_head)
    params += pack("f", a.scale)
    params += pack(
        "i", q_threadgroups, ceil_div(a.k_len, s.block_k), q_blocks, k_blocks, q_rest, k_rest
    )
    params += pack("i", a.k_len - a.q_len)
    params += pack("q", *(n for x in (a.q, a.k, a.v, out) for n in x.stride()[:3]))
    mask_params = None if a.mask is None else pack("q", *a.mask.stride()[:3])
    return [
        PeerCall(
            kernel(s.instance, constants),
            [a.q, a.k, a.v, out, params, mask_params, a.mask, a.sinks, lse],
            threadgroups=(q_threadgroups, a.heads, a.batch),
            threads=(32, s.rows, s.columns),
            outputs=(3,) if lse is None else (3, 8),
        )
    ]


def attention(problem: Attention, out: Tensor, chip: str = "max") -> list[PeerCall]:
    """The launches that MLX makes on a chip of CHIPS: vector for few queries, else steel."""
    a = problem
    few = a.q_len <= min(8, a.k_len) and a.q_len * a.heads_per_kv_head <= 32
    dims = {(dtype, dim, value) for dtype, dim, value, _ in vector_dims("sdpa_vector")}
    if not few or (a.dtype, a.head_dim, a.value_dim) not in dims:
        return steel(a, out)
    if takes_grouped(a):
        return grouped(a, out, splits(a, chip))
    if two_passes(a, chip):
        return vector(a, out, passes=2, splits=splits(a, chip))
    return vector(a, out, passes=1)


def takes_grouped(a: Attention) -> bool:
    """Whether one kernel takes all heads of a KV head: one query, many keys, and no mask.

    As in MLX's scaled_dot_product_attention.cpp; its compiled library has this kernel for some
    numbers of heads per KV head and some head dims.
    """
    plain = a.q_len == 1 and a.mask is None and a.sinks is None
    name = f"{GROUPED}_{a.heads_per_kv_head}_{NAMES[a.dtype]}_{a.head_dim}_{a.value_dim}"
    return plain and a.k_len >= GROUPED_KEYS and name in kernel_names()


def two_passes(a: Attention, chip: str) -> bool:
    """Whether MLX splits the keys of a vector call."""
    return (chip != "base" and a.k_len >= 1024) or (a.heads_per_kv_head > 1 and a.k_len >= 4096)


def splits(a: Attention, chip: str) -> int:
    """Into how many parts."""
    rows = a.heads_per_kv_head * a.q_len
    if chip == "max":
        if rows <= 4 or a.k_len <= 1024:
            return 64
        limits = {8192: 128, 32768: 256, 65536: 512}
        return next((parts for keys, parts in limits.items() if a.k_len <= keys), 1024)
    if chip == "ultra":
        if rows >= 6 and a.k_len >= 16384:
            return 512 if a.k_len < 65536 else 1024
        return 256 if rows <= 2 and a.k_len > 8192 else 128
    return 64 if rows >= 4 else 32


def vector_dims(prefix: str) -> list[tuple[torch.dtype, int, int, str]]:
    """What MLX instantiates of a vector kernel: dtype, head dim, value dim, rest of the name."""
    pattern = re.compile(rf"{prefix}_(bfloat16_t|float16_t|float)_(\d+)_(\d+)(_tk1)?")
    matches = (pattern.fullmatch(name) for name in kernel_names())
    return [(DTYPES[m[1]], int(m[2]), int(m[3]), m[4] or "") for m in matches if m]


def vector(
    problem: Attention, out: Tensor, passes: int, splits: int = 32, unroll: str = ""
) -> list[PeerCall]:
    """The launches for few queries, in one pass over the keys or in two.

    `splits`, a multiple of 32, is into how many parts the first pass divides the keys; `unroll`
    "_tk1" takes one key at a time.  Raises UnsupportedError if there is no kernel, or the kernels
    cannot walk the tensors' strides.
    """
    a = problem
    prefix = "sdpa_vector" if passes == 1 else "sdpa_vector_2pass_1"
    _require_vector(prefix, a, unroll)
    masked = a.mask is not None
    is_bool = masked and a.mask is not None and a.mask.dtype == torch.bool
    mask_args = [a.mask if is_bool else None, a.mask if masked and not is_bool else None]
    mask_args += [None] * 3 if a.mask is None else [a.mask.stride(i) for i in (3, 2, 1)]
    constants: dict[str, bool | int] = {
        "has_mask": masked,
        "query_transposed": False,
        "do_causal": a.causal,
        "bool_mask": is_bool,
        "float_mask": masked and not is_bool,
        "has_sinks": a.sinks is not None,
    }
    tensors = (a.q, a.k, a.v)
    shape = [a.k.stride(1), a.k.stride(2), a.v.stride(1), a.v.stride(2), a.scale, *mask_args]
    instance = vector_instance(prefix, a.dtype, a.head_dim, a.value_dim, unroll)
    if passes == 1:
        heads = None if a.sinks is None else a.heads
        return [
            PeerCall(
                kernel(instance, constants),
                [*tensors, out, a.heads_per_kv_head, a.k_len, *shape, a.sinks, heads],
                threadgroups=(a.batch * a.heads, a.q_len, 1),
                threads=(1024, 1, 1),
                outputs=(3,),
            )
        ]
    partials, sums, maxima = _partials(a, splits)
    return [
        PeerCall(
            kernel(instance, constants | {"blocks": splits}),
            [*tensors, partials, sums, maxima, None, a.k_len, *shape, a.sinks],
            threadgroups=(a.kv_heads, a.batch, splits),
            threads=(32, a.heads_per_kv_head, a.q_len),
            outputs=(3, 4, 5),
        ),
        _merge(a, out, partials, sums, maxima),
    ]


def vector_instance(
    prefix: str, dtype: torch.dtype, head_dim: int, value_dim: int, unroll: str = ""
) -> Instance:
    """A kernel whose name begins so; `unroll` is how it ends."""
    name = f"{prefix}_{NAMES[dtype]}_{head_dim}_{value_dim}{unroll}"
    arguments = f"{METAL_NAMES[dtype]}, {head_dim}, {value_dim}"
    if prefix == "sdpa_vector_2pass_1":
        arguments += ", 1" if unroll else ", 4"
    heads = prefix.removeprefix(f"{GROUPED}_")
    if heads == prefix:
        return Instance(VECTOR, name, prefix, arguments)
    arguments += f", {heads}, {heads_per_simdgroup(int(heads), value_dim)}"
    return Instance(VECTOR, name, GROUPED, arguments)


def merge_instance(dtype: torch.dtype, value_dim: int) -> Instance:
    """The second pass."""
    name = f"{MERGE}_{NAMES[dtype]}_{value_dim}"
    return Instance(VECTOR, name, MERGE, f"{METAL_NAMES[dtype]}, {value_dim}")


def blocked_instance(step: str, dtype: torch.dtype) -> Instance:
    """A step of sdpa_blocked: "scale_copy" or "causal_mask"."""
    template = f"sdpa_blocked_{step}"
    return Instance(BLOCKED, f"{template}_{dtype_name(dtype)}", template, METAL_NAMES[dtype])


def instances() -> list[Instance]:
    """All kernels of MLX's compiled library whose sources are here."""
    found = [s.instance for s in Steel.all()]
    groups = {m[1] for name in kernel_names() if (m := re.match(rf"({GROUPED}_\d+)_", name))}
    for prefix in ("sdpa_vector", "sdpa_vector_2pass_1", *sorted(groups)):
        found += [vector_instance(prefix, *dims) for dims in vector_dims(prefix)]
    pattern = re.compile(rf"{MERGE}_(\w+)_(\d+)")
    merges = (pattern.fullmatch(name) for name in kernel_names())
    found += [merge_instance(DTYPES[m[1]], int(m[2])) for m in merges if m]
    for step in BLOCKED_STEPS:
        found += [blocked_instance(step, dtype) for dtype in BLOCKED_DTYPES]
    return found


def heads_per_simdgroup(heads: int, value_dim: int) -> int:
    """Query heads that a simdgroup of sdpa_vector_2pass_1_gqa takes.

    As many as divide the heads of a KV head and leave room for all partial results in threadgroup
    memory; the instantiations in MLX's compiled library are these.
    """
    room = MAX_THREADGROUP_BYTES // 4
    return max(
        n for n in range(1, heads + 1) if heads % n == 0 and heads * n * (value_dim + 2) <= room
    )


def grouped(problem: Attention, out: Tensor, splits: int = 32) -> list[PeerCall]:
    """The launches for one query per head and many heads per KV head, without mask or sinks."""
    a = problem
    prefix = f"{GROUPED}_{a.heads_per_kv_head}"
    _require_vector(prefix, a, "")
    if a.q_len != 1 or a.mask is not None or a.sinks is not None:
        raise UnsupportedError(f"{a.q_len} queries, mask or sinks: {prefix} has one query only")
    instance = vector_instance(prefix, a.dtype, a.head_dim, a.value_dim)
    partials, sums, maxima = _partials(a, splits)
    strides = [a.k.stride(1), a.k.stride(2), a.v.stride(1), a.v.stride(2)]
    return [
        PeerCall(
            kernel(instance, {}),
            [a.q, a.k, a.v, partials, sums, maxima, None, a.k_len, *strides, a.scale],
            threadgroups=(a.kv_heads, a.batch, splits),
            threads=(32, a.heads_per_kv_head, 1),
            outputs=(3, 4, 5),
        ),
        _merge(a, out, partials, sums, maxima),
    ]


def _require_vector(prefix: str, a: Attention, unroll: str) -> None:
    """The kernels count heads over all batches, and find queries without strides."""
    for name, x in (("k", a.k), ("v", a.v), ("mask", a.mask)):
        if x is not None and x.stride(0) != x.shape[1] * x.stride(1):
            raise UnsupportedError(
                f"{name} has strides {x.stride()}: {prefix} steps from batch to batch as from head "
                "to head"
            )
    if not a.q.is_contiguous():
        raise UnsupportedError(f"q has strides {a.q.stride()}: {prefix} needs it contiguous")
    instances = vector_dims(prefix)
    if (a.dtype, a.head_dim, a.value_dim, unroll) not in instances:
        dims = sorted({(d, v) for dtype, d, v, _ in instances if dtype == a.dtype})
        raise UnsupportedError(
            f"head dims {a.head_dim}, {a.value_dim}: {prefix}{unroll} has {dims} in {a.dtype}"
        )


def _partials(a: Attention, splits: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the first pass leaves: results, sums and maxima per part."""
    rows = (a.batch * a.heads, a.q_len, splits)
    partials = a.q.new_empty(*rows, a.value_dim)
    sums, maxima = (a.q.new_empty(*rows, dtype=torch.float32) for _ in range(2))
    return partials, sums, maxima


def _merge(a: Attention, out: Tensor, partials: Tensor, sums: Tensor, maxima: Tensor) -> PeerCall:
    """The second pass."""
    return PeerCall(
        kernel(merge_instance(a.dtype, a.value_dim), {}),
        [partials, sums, maxima, out, int(partials.shape[2])],
        threadgroups=(a.batch * a.heads, a.q_len, 1),
        threads=(1024, 1, 1),
        outputs=(3,),
    )


def scale_queries(q: Tensor, out: Tensor, scale: float) -> PeerCall:
    """sdpa_blocked's first step: q (batch, heads, rows, head_dim) times the scale."""
    batch, heads, rows, head_dim = q.shape
    return PeerCall(
        kernel(blocked_instance("scale_copy", q.dtype), {}),
        [q, out, scale, pack("q", *q.stride()), heads, rows, head_dim, 0],
        threadgroups=(1, rows, batch * heads),
        threads=(head_dim, 1, 1),
        outputs=(1,),
    )


def mask_scores(scores: Tensor, tile_rows: int) -> PeerCall:
    """sdpa_blocked's causal mask: scores (heads * tile_rows, columns), in place."""
    rows, columns = scores.shape
    return PeerCall(
        kernel(blocked_instance("causal_mask", scores.dtype), {}),
        [scores, tile_rows, columns],
        threadgroups=(tile_rows, rows, 1),
        threads=(1, 1, 1),
        outputs=(),
    )


@dataclass(frozen=True)
class GatedDelta:
    """An instantiation of gated_delta_fused_chunk: no attention, but transposed loads."""

    name: str
    dtype: torch.dtype
    key_dim: int
    value_dim: int
    key_heads: int
    value_heads: int
    chunk: int

    @classmethod
    @functools.cache
    def all(cls) -> tuple[GatedDelta, ...]:
        """Those that MLX compiles."""
        types = "|".join(NAMES.values())
        pattern = re.compile(rf"gated_delta_fused_chunk_({types})_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)")
        matches = ((name, pattern.fullmatch(name)) for name in kernel_names())
        return tuple(
            cls(name, DTYPES[m[1]], *(int(n) for n in m.groups()[1:])) for name, m in matches if m
        )


def gated_delta(
    instance: GatedDelta, inputs: Sequence[Tensor], out: Tensor, new_state: Tensor
) -> PeerCall:
    """The launch for q, k, v, the state before, decays and rates: the output, the state after.

    q and k (batch, tokens, key_heads, key_dim), v and out (batch, tokens, value_heads, value_dim),
    states (batch, value_heads, value_dim, key_dim) of float32, decays and rates (batch, tokens,
    value_heads).
    """
    s = instance
    batch, tokens = inputs[0].shape[:2]
    arguments = (
        f"{METAL_NAMES[s.dtype]}, {s.key_dim}, {s.value_dim}, {s.key_heads}, {s.value_heads}, "
        f"{s.chunk}"
    )
    return PeerCall(
        kernel(Instance(GATED_DELTA, s.name, "gated_delta_fused_chunk", arguments), {}),
        [*inputs, out, new_state, int(tokens)],
        threadgroups=(1, ceil_div(s.value_dim, 8 * 4), int(batch) * s.value_heads),
        threads=(32, 4, 1),
        outputs=(6, 7),
    )
