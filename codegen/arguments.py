"""What a kernel is called with: tensors, then one array of int32, then one of float32.

The order is stated here once.  The templates write the parameter list and the two structs from
it, and codegen writes it into the package, where a plan fills the arrays by name and a launcher
binds what a call does not have.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Buffer:
    """A tensor argument.  `type` None stands for the variant's element type.

    An optional one is missing from some calls; a launcher binds a zero of its type then.
    """

    name: str
    type: str | None
    access: str
    comment: str
    optional: bool = False


@dataclass(frozen=True)
class Field:
    """One member of a parameter struct.  A `long` takes two int32, low word first."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Signature:
    """What the kernels of one family are called with."""

    buffers: tuple[Buffer, ...]
    ints: tuple[Field, ...]
    floats: tuple[Field, ...]


Q = Buffer("q", None, "const", "query rows")
K = Buffer("k", None, "const", "key rows")
V = Buffer("v", None, "const", "value rows")
OUT = Buffer("out", None, "", "output rows")
LSE = Buffer("lse", "float", "", "natural log-sum-exp of each row", optional=True)
CU_SEQLENS_Q = Buffer(
    "cu_seqlens_q", "int", "const", "packed: batch + 1 row offsets", optional=True
)
K_BEGIN = Buffer("k_begin", "int", "const", "the row of each sequence's first key", optional=True)
K_END = Buffer("k_end", "int", "const", "the row after each sequence's last key", optional=True)
BLOCK_TABLE = Buffer("block_table", "int", "const", "the pages of each sequence", optional=True)
KEYS = (K_BEGIN, K_END, BLOCK_TABLE)
ALIBI_SLOPES = Buffer("alibi_slopes", "float", "const", "a slope per query head", optional=True)
SINKS = Buffer("sinks", "float", "const", "a logit per query head", optional=True)


def partial(access: str) -> tuple[Buffer, ...]:
    """What the splits of the keys give for each row, before they are combined."""
    axes = "(split, sequence, slot, head"
    return (
        Buffer(
            "partial_out", "float", access, f"O of each split: {axes}, head_dim)", optional=True
        ),
        Buffer("partial_lse", "float", access, f"its base-2 log-sum-exp: {axes})", optional=True),
    )


def rotary(name: str) -> Buffer:
    """A table of angles."""
    return Buffer(name, None, "const", "(position, pair of elements)", optional=True)


def strides(*tensors: str) -> tuple[Field, ...]:
    """The strides of tensors of shape (batch, row, head, head_dim), the last one being 1."""
    return tuple(
        Field(f"{tensor}_{axis}_stride", "long", f"{tensor}: elements from one {axis} to the next")
        for tensor in tensors
        for axis in ("batch", "row", "head")
    )


LSE_STRIDES = (
    Field("lse_batch_stride", "long", "lse: elements from one batch to the next"),
    Field("lse_head_stride", "long", "lse: elements from one head to the next"),
)
ALIBI_STRIDES = (
    Field("alibi_batch_stride", "long", "alibi_slopes: elements from one sequence to the next"),
    Field("alibi_head_stride", "long", "alibi_slopes: elements from one head to the next"),
)
WANTS_LSE = Field("wants_lse", "int", "1: lse is written")
HAS_ALIBI = Field("has_alibi", "int", "1: alibi_slopes are given")
BATCH = Field("batch", "int", "number of sequences")
Q_LEN = Field("q_len", "int", "query rows of each sequence; packed: of all together")
K_LEN = Field("k_len", "int", "rows of K that each sequence may have; packed: of all together")
PACKED = Field("packed", "int", "1: cu_seqlens_q says where each sequence's queries lie")
HAS_K_BEGIN = Field("has_k_begin", "int", "1: k_begin is given; 0: keys begin at row 0")
CACHE = (
    Field("has_k_end", "int", "1: k_end is given; 0: keys end at row k_len"),
    Field("appended", "int", "rows that this call adds at k_end"),
    Field("page_size", "int", "rows of a page of K and V; 0: no block table"),
    Field("pages", "int", "number of pages in K and V"),
)
TABLE_STRIDE = Field("table_stride", "long", "block_table: elements from one sequence to the next")
HEADS_PER_KV_HEAD = Field("heads_per_kv_head", "int", "query heads that share one KV head")
KV_HEADS = Field("kv_heads", "int", "number of KV heads")
WINDOW = (
    Field("window_left", "int", "keys seen before the diagonal"),
    Field("window_right", "int", "keys seen after the diagonal"),
)
SPLITS = Field("splits", "int", "into how many parts the keys are split; 1: no partial results")
SLOTS = Field("slots", "int", "queries per sequence that partial results have room for")
ATTENTION = (
    *strides("q", "k", "v", "out"),
    *LSE_STRIDES,
    *ALIBI_STRIDES,
    TABLE_STRIDE,
    *(BATCH, Q_LEN, K_LEN, PACKED, HEADS_PER_KV_HEAD),
    *(HAS_K_BEGIN, *CACHE),
    *WINDOW,
    *(WANTS_LSE, HAS_ALIBI),
)
SOFTMAX = (
    Field("softmax_scale", "float", "multiplies Q K^T"),
    Field("softcap", "float", "scores become softcap * tanh(score / softcap); 0: off"),
)

# The longs stand first, so that the struct has no holes.
SIGNATURES = {
    "prefill": Signature(
        buffers=(Q, K, V, OUT, LSE, CU_SEQLENS_Q, *KEYS, ALIBI_SLOPES, SINKS),
        ints=(
            *ATTENTION,
            Field("least_queries", "int", "packed: shorter sequences are left to decode"),
        ),
        floats=SOFTMAX,
    ),
    "decode": Signature(
        buffers=(Q, K, V, OUT, LSE, *partial(""), CU_SEQLENS_Q, *KEYS, ALIBI_SLOPES, SINKS),
        ints=(
            *ATTENTION,
            Field("has_sinks", "int", "1: sinks are given"),
            KV_HEADS,
            Field("most_queries", "int", "packed: longer sequences are left to prefill"),
            *(SPLITS, SLOTS),
        ),
        floats=SOFTMAX,
    ),
    "combine": Signature(
        buffers=(OUT, LSE, *partial("const"), CU_SEQLENS_Q),
        ints=(*strides("out"), *LSE_STRIDES, *(BATCH, Q_LEN, PACKED, WANTS_LSE, SPLITS, SLOTS)),
        floats=(),
    ),
    "append": Signature(
        buffers=(
            Q,
            Buffer("new_k", None, "const", "key rows to append"),
            Buffer("new_v", None, "const", "value rows to append"),
            *(rotary("rotary_cos"), rotary("rotary_sin")),
            Buffer("rotated_q", None, "", "query rows, rotated", optional=True),
            Buffer("k", None, "", "the cache's key rows"),
            Buffer("v", None, "", "the cache's value rows"),
            *(K_END, BLOCK_TABLE),
        ),
        ints=(
            *strides("q", "new_k", "new_v", "rotated_q", "k", "v"),
            TABLE_STRIDE,
            *(Q_LEN, K_LEN, KV_HEADS),
            *CACHE,
            Field("rotary_pairs", "int", "pairs of elements that are rotated; 0: none"),
            Field("rotary_rows", "int", "positions that have an angle"),
            Field("interleaved", "int", "1: a pair is two neighbours; 0: one of either half"),
            Field("queries_advance", "int", "1: query i stands at k_end + i; 0: all at k_end"),
        ),
        floats=(),
    ),
}
