"""What a kernel is called with: tensors, then one array of int32, then one of float32.

The order is stated here once.  The templates write the parameter list and the two structs from
it, and codegen writes it into the package, where the plan fills the arrays.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Buffer:
    """A tensor argument.  `type` None stands for the variant's element type."""

    name: str
    type: str | None
    access: str
    comment: str
    sinks_only: bool = False


@dataclass(frozen=True)
class Field:
    """One member of a parameter struct.  A `long` takes two int32, low word first."""

    name: str
    type: str
    comment: str


PREFILL_BUFFERS = (
    Buffer("q", None, "const", "query rows"),
    Buffer("k", None, "const", "key rows"),
    Buffer("v", None, "const", "value rows"),
    Buffer("out", None, "", "output rows"),
    Buffer("lse", "float", "", "natural log-sum-exp of each row"),
    Buffer("cu_seqlens_q", "int", "const", "packed: batch + 1 row offsets"),
    Buffer("cu_seqlens_k", "int", "const", "packed: batch + 1 key offsets"),
    Buffer("alibi_slopes", "float", "const", "one slope per query head; 0: no bias"),
    Buffer("sinks", "float", "const", "one logit per query head", sinks_only=True),
)

# The longs stand first, so that the struct has no holes.
PREFILL_INTS = (
    *(
        Field(f"{tensor}_{axis}_stride", "long", f"{tensor}: elements from one {axis} to the next")
        for tensor in ("q", "k", "v", "out")
        for axis in ("batch", "row", "head")
    ),
    Field("lse_batch_stride", "long", "lse: elements from one batch to the next"),
    Field("lse_head_stride", "long", "lse: elements from one head to the next"),
    Field("alibi_batch_stride", "long", "alibi_slopes: elements from one sequence to the next"),
    Field("alibi_head_stride", "long", "alibi_slopes: elements from one head to the next"),
    Field("batch", "int", "sequences"),
    Field("q_len", "int", "query rows of each sequence; packed: of all together"),
    Field("k_len", "int", "keys of each sequence; packed: of all together"),
    Field("packed", "int", "1: cu_seqlens say where each sequence lies"),
    Field("group", "int", "query heads that share one KV head"),
    Field("window_left", "int", "keys seen before the diagonal"),
    Field("window_right", "int", "keys seen after the diagonal"),
)

PREFILL_FLOATS = (
    Field("softmax_scale", "float", "multiplies Q K^T"),
    Field("softcap", "float", "scores become softcap * tanh(score / softcap); 0: off"),
)
