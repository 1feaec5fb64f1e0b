"""What a kernel is called with: tensors, then one array of int32, then one of float32.

The order is stated here once.  The templates write the parameter list and the two structs from
it, and codegen writes it into the package, where a plan fills the arrays by name and a launcher
binds what a call does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Buffer:
    """A tensor argument.  If `type` is None, its elements have the kernel's dtype.

    Some calls do not have an optional one; the launcher then binds one zero of its type.
    """

    name: str
    type: str | None
    access: str
    comment: str
    optional: bool = False


@dataclass(frozen=True)
class Field:
    """One member of a kernel's structs.  A `long` takes two int32, low word first."""

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
    "cu_seqlens_q",
    "int",
    "const",
    "packed: first query row of each sequence, and the end",
    optional=True,
)
K_BEGIN = Buffer("k_begin", "int", "const", "the row of each sequence's first key", optional=True)
K_END = Buffer("k_end", "int", "const", "the row after each sequence's last key", optional=True)
BLOCK_TABLE = Buffer(
    "block_table", "int", "const", "the pages of each sequence, in order", optional=True
)
KEYS = (K_BEGIN, K_END, BLOCK_TABLE)
# What the elements of a mask may be, in the order of their codes.  Kernels learn it when they run.
MASK_TYPES = ("none", "bool", "float16", "bfloat16", "float32")
# What K and V may be, in the order of their codes: of the kernel's dtype, or of 16 bits where that
# is float32.
KV_TYPES = ("own", "float16", "bfloat16")
ATTN_MASK = Buffer("attn_mask", "uchar", "const", "the mask's elements, of any type", optional=True)


def converted(family: str, dtype: str) -> tuple[str, ...]:
    """The tensors that a kernel converts as it loads them: their dtype is not the kernel's."""
    return ("k", "v") if dtype == "float32" and family in ("prefill", "decode") else ()


def mask_states(access: str, optional: bool = False) -> Buffer:
    """What mask_blocks says of each block of a mask."""
    comment = "state of each block of the mask: (batch, head, query tile, key block)"
    return Buffer("mask_states", "uchar", access, comment, optional)


MASK_READ = (ATTN_MASK, mask_states("const", optional=True))
ALIBI_SLOPES = Buffer(
    "alibi_slopes", "float", "const", "ALiBi slope of each query head", optional=True
)
SINKS = Buffer(
    "sinks", "float", "const", "attention sink of each query head: a logit", optional=True
)


DROPOUT_SEED = Buffer(
    "dropout_seed", "int", "const", "two words: the key of dropout's random numbers", optional=True
)
OUT_READ = replace(OUT, access="const")
LSE_READ = replace(LSE, access="const", optional=False)
GRAD_OUT = Buffer("grad_out", None, "const", "gradient of the output rows")


def row_statistics(access: str) -> tuple[Buffer, ...]:
    """What the backward kernels need of each query row, laid out as the log-sum-exp."""
    return (
        Buffer("row_lse", "float", access, "base-2 log-sum-exp of each row"),
        Buffer(
            "row_delta", "float", access, "sum of dO * O, less the gradient of lse, of each row"
        ),
    )


def gradient(tensor: str) -> Buffer:
    """The gradient of a tensor, which has the tensor's shape."""
    return Buffer(f"grad_{tensor}", None, "", f"gradient of {tensor}", optional=True)


def partial_gradient(tensor: str) -> Buffer:
    """What each split of the query blocks adds to the gradient of a tensor."""
    comment = f"gradient of {tensor} from each split: (split, batch, row, KV head, head_dim)"
    return Buffer(f"partial_{tensor}", "float", "", comment, optional=True)


def partial(access: str) -> tuple[Buffer, ...]:
    """The partial results: what each split of the keys gives for each row."""
    axes = "(split, sequence, slot, head"
    return (
        Buffer(
            "partial_out", "float", access, f"O of each split: {axes}, head_dim)", optional=True
        ),
        Buffer(
            "partial_lse",
            "float",
            access,
            f"base-2 log-sum-exp of each split: {axes})",
            optional=True,
        ),
    )


def rotary(function: str) -> Buffer:
    """A table of the cosines or sines of rotary angles."""
    comment = f"{function} of each angle: (position, pair of elements)"
    return Buffer(f"rotary_{function}", None, "const", comment, optional=True)


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
MASK_STRIDES = tuple(
    Field(f"mask_{axis}_stride", "long", f"attn_mask: bytes from one {axis} to the next")
    for axis in ("batch", "head", "row", "key")
)
STATE_STRIDES = tuple(
    Field(f"state_{axis}_stride", "long", f"mask_states: states from one {axis} to the next")
    for axis in ("batch", "head", "tile", "block")
)


def codes(names: tuple[str, ...]) -> str:
    """Names with their codes, for a comment."""
    return ", ".join(f"{code} {name}" for code, name in enumerate(names))


MASK_TYPE = Field("mask_type", "int", f"elements of attn_mask: {codes(MASK_TYPES)}")
OF_MASK = (*MASK_STRIDES, *STATE_STRIDES)
WANTS_LSE = Field("wants_lse", "int", "1: lse is written")
HAS_ALIBI = Field("has_alibi", "int", "1: alibi_slopes are given")
KEEP_BELOW = Field(
    "keep_below", "int", "dropout: bits of a uint; a weight is kept if its random number is less"
)
HAS_SINKS = Field("has_sinks", "int", "1: sinks are given")
BATCH = Field("batch", "int", "number of sequences")
Q_LEN = Field("q_len", "int", "query rows of each sequence; packed: of all sequences together")
K_LEN = Field("k_len", "int", "rows of K of each sequence, used or not; packed: of all sequences")
PACKED = Field("packed", "int", "1: packed batch, cu_seqlens_q is given; 0: padded batch")
HAS_K_BEGIN = Field("has_k_begin", "int", "1: k_begin is given; 0: keys begin at row 0")
CACHE = (
    Field("has_k_end", "int", "1: k_end is given; 0: keys end at row k_len"),
    Field("appended", "int", "rows that this call appends, from k_end on"),
    Field("page_size", "int", "rows in each page of K and V; 0: no pages"),
    Field("pages", "int", "number of pages in K and V"),
)
TABLE_STRIDE = Field("table_stride", "long", "block_table: elements from one sequence to the next")
HEADS_PER_KV_HEAD = Field("heads_per_kv_head", "int", "query heads that share one KV head")
KV_HEADS = Field("kv_heads", "int", "number of KV heads")
WINDOW = (
    Field("window_left", "int", "keys seen before the diagonal"),
    Field("window_right", "int", "keys seen after the diagonal"),
)
SPLITS = Field("splits", "int", "number of splits of the keys; 1: no partial results")
BLOCK_SPLITS = Field(
    "splits", "int", "number of splits of the query blocks; 1: no partial gradients"
)
SLOTS = Field("slots", "int", "queries per sequence that partial results have room for")


def attention(*tensors: str, of_mask: tuple[Field, ...] = ()) -> tuple[Field, ...]:
    """What every kernel that goes over keys is told; with the strides of its tensors."""
    return (
        *strides(*tensors),
        *LSE_STRIDES,
        *ALIBI_STRIDES,
        TABLE_STRIDE,
        *of_mask,
        *(BATCH, Q_LEN, K_LEN, PACKED, HEADS_PER_KV_HEAD),
        *(HAS_K_BEGIN, *CACHE),
        *WINDOW,
        HAS_ALIBI,
    )


def forward(*of_mask: Field) -> tuple[Field, ...]:
    """What the kernels that compute attention are told."""
    return (*attention("q", "k", "v", "out", of_mask=of_mask), WANTS_LSE, MASK_TYPE)


SOFTMAX = (
    Field("softmax_scale", "float", "multiplies Q K^T"),
    Field("softcap", "float", "scores become softcap * tanh(score / softcap); 0: off"),
)
KEEP_SCALE = Field(
    "keep_scale", "float", "1 / (1 - dropout_p), which scales the weights that are kept"
)


def backward(*gradients: str) -> Signature:
    """A kernel that writes the gradients of these tensors; of several, those that are wanted."""
    wants = (Field(f"wants_{x}", "int", f"1: the gradient of {x} is wanted") for x in gradients)
    return Signature(
        buffers=(
            *(Q, K, V, GRAD_OUT, *row_statistics("const")),
            *(gradient(tensor) for tensor in gradients),
            *(partial_gradient(tensor) for tensor in gradients if tensor != "q"),
            *(CU_SEQLENS_Q, *KEYS, ALIBI_SLOPES, DROPOUT_SEED, *MASK_READ),
        ),
        ints=(
            *attention(
                *("q", "k", "v", "grad_out", *(f"grad_{tensor}" for tensor in gradients)),
                of_mask=OF_MASK,
            ),
            *(wants if len(gradients) > 1 else ()),
            *((BLOCK_SPLITS,) if "q" not in gradients else ()),
            *(KEEP_BELOW, MASK_TYPE),
        ),
        floats=(*SOFTMAX, KEEP_SCALE),
    )


# Longs stand first, so that the struct has no padding.
SIGNATURES = {
    "mask_blocks": Signature(
        buffers=(replace(ATTN_MASK, optional=False), mask_states("")),
        ints=(
            *MASK_STRIDES,
            MASK_TYPE,
            Field("mask_heads", "int", "heads that the mask has, 1 if it is the same for all"),
            Field("mask_rows", "int", "query rows that it has, 1 if it is the same for all"),
            Field("mask_keys", "int", "keys that it has, 1 if it is the same for all"),
            Field("tile_rows", "int", "query rows of a tile"),
            Field("block_keys", "int", "keys of a block"),
            Field("blocks", "int", "number of key blocks"),
            Field("is_shared", "int", "1: several heads or sequences have this state"),
        ),
        floats=(),
    ),
    "prefill": Signature(
        buffers=(
            *(Q, K, V, OUT, LSE, CU_SEQLENS_Q, *KEYS, ALIBI_SLOPES, SINKS, DROPOUT_SEED),
            *MASK_READ,
        ),
        ints=(
            *forward(*OF_MASK),
            Field("least_queries", "int", "packed: shorter sequences are left to decode"),
            *(HAS_SINKS, KEEP_BELOW),
            Field("kv_type", "int", f"elements of K and V: {codes(KV_TYPES)}"),
        ),
        floats=(*SOFTMAX, KEEP_SCALE),
    ),
    "decode": Signature(
        buffers=(
            *(Q, K, V, OUT, LSE, *partial(""), CU_SEQLENS_Q, *KEYS, ALIBI_SLOPES, SINKS),
            ATTN_MASK,
        ),
        ints=(
            *forward(*MASK_STRIDES),
            HAS_SINKS,
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
    "backward_rows": Signature(
        buffers=(
            *(OUT_READ, GRAD_OUT, LSE_READ),
            Buffer("grad_lse", "float", "const", "gradient of lse", optional=True),
            SINKS,
            *row_statistics(""),
            Buffer(
                "grad_sinks",
                "float",
                "",
                "what each threadgroup's rows add to a sink's gradient: (batch, head, threadgroup)",
                optional=True,
            ),
        ),
        ints=(
            *strides("out", "grad_out"),
            *LSE_STRIDES,
            Q_LEN,
            Field("has_grad_lse", "int", "1: grad_lse is given"),
            HAS_SINKS,
        ),
        floats=(),
    ),
    "backward_q": backward("q"),
    "backward_kv": backward("k", "v"),
    "backward_k": backward("k"),
    "backward_v": backward("v"),
    "backward_mask": Signature(
        buffers=(
            *(Q, K, V, GRAD_OUT, *row_statistics("const")),
            Buffer(
                "grad_mask", "uchar", "", "gradient of attn_mask, contiguous, of its type", True
            ),
            Buffer(
                "partial_mask",
                "float",
                "",
                "what each split of the terms adds to it: (split, and the gradient's axes)",
                optional=True,
            ),
            *(CU_SEQLENS_Q, *KEYS, ALIBI_SLOPES, DROPOUT_SEED, *MASK_READ),
        ),
        ints=(
            *attention("q", "k", "v", "grad_out", of_mask=OF_MASK),
            *(
                Field(f"sums_{axis}", "int", f"1: the gradient is one for all {axis}")
                for axis in ("batches", "heads", "rows", "keys")
            ),
            KV_HEADS,
            replace(SPLITS, comment="number of splits of the terms; 1: no partial gradients"),
            Field("has_dropout", "int", "1: weights are dropped"),
            *(KEEP_BELOW, MASK_TYPE),
        ),
        floats=(*SOFTMAX, KEEP_SCALE),
    ),
    "append": Signature(
        buffers=(
            replace(Q, optional=True),
            Buffer("new_k", None, "const", "key rows to append"),
            Buffer("new_v", None, "const", "value rows to append"),
            *(rotary("cos"), rotary("sin")),
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
            Field("rotary_pairs", "int", "pairs of elements that are rotated in each row; 0: none"),
            Field("rotary_rows", "int", "positions that have an angle"),
            Field("interleaved", "int", "1: a pair is two neighbours; 0: one element of each half"),
            Field("queries_advance", "int", "1: query i has position k_end + i; 0: all have k_end"),
        ),
        floats=(),
    ),
}
