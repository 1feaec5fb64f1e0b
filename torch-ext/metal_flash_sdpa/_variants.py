"""Which kernels exist and what they are called with.

Written by `python -m codegen` from templates/; do not edit.
"""

from typing import Dict, NamedTuple, Optional, Tuple

Widths = Tuple[int, int]  # the columns of a head: of Q and K, and of V and O


class Key(NamedTuple):
    """What kernels are made for; there is one for each tile."""

    family: str
    widths: Widths  # of a family that knows O alone both are its columns
    dtype: str
    mask: Optional[str] = None  # "masked": takes a mask tensor, and any band; None: takes any band
    sinks: bool = False  # where the mask is one of these: whether it can take any
    dropout: bool = False
    kv_dtype: str = ""  # of K and V, where decoding converts them


class Variant(NamedTuple):
    """One kernel of the matrix."""

    name: str  # host name
    file: str  # the shader that holds it
    block_q: int  # query rows per threadgroup
    threads: int  # per threadgroup
    step_k: int  # keys per step of a threadgroup's loop


class Signature(NamedTuple):
    """What the kernels of a family are called with."""

    buffers: Tuple[str, ...]  # tensors in binding order
    optional: Dict[str, Optional[str]]  # those that a call may lack, with their dtype; None: like q
    ints: Tuple[Tuple[str, str], ...]  # the int32 array: "q" takes two, low word first; "i" one
    floats: Tuple[str, ...]  # the float32 array


# Tiles with fewer rows stand first.
VARIANTS = {
    Key("prefill", (32, 32), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d32_q64k32_full", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d32_q64k32_full_sinks", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d32_q64k32_causal", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d32_q64k32_causal_sinks", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d32_q64k32_window", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d32_q64k32_window_sinks", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", None, True, True, ""): (
        Variant("prefill_float16_d32_q32k32_dropout", "prefill_float16_d32.metal", 32, 128, 32),
    ),
    Key("prefill", (32, 32), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d32_q64k32_masked", "prefill_float16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_full", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_full_sinks", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_causal", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_causal_sinks", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_window", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_window_sinks", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d32_q32k32_dropout", "prefill_bfloat16_d32.metal", 32, 128, 32),
    ),
    Key("prefill", (32, 32), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d32_q64k32_masked", "prefill_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d32_q64k32_full", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d32_q64k32_full_sinks", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d32_q64k32_causal", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d32_q64k32_causal_sinks", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d32_q64k32_window", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d32_q64k32_window_sinks", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", None, True, True, ""): (
        Variant("prefill_float32_d32_q32k32_dropout", "prefill_float32_d32.metal", 32, 128, 32),
    ),
    Key("prefill", (32, 32), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d32_q64k32_masked", "prefill_float32_d32.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d40_q64k32_full", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d40_q64k32_full_sinks", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d40_q64k32_causal", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d40_q64k32_causal_sinks", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d40_q64k32_window", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d40_q64k32_window_sinks", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", None, True, True, ""): (
        Variant("prefill_float16_d40_q32k32_dropout", "prefill_float16_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d40_q64k32_masked", "prefill_float16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_full", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_full_sinks", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_causal", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_causal_sinks", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_window", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_window_sinks", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d40_q32k32_dropout", "prefill_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d40_q64k32_masked", "prefill_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d40_q32k32_full", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d40_q32k32_full_sinks", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d40_q32k32_causal", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d40_q32k32_causal_sinks", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d40_q32k32_window", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d40_q32k32_window_sinks", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", None, True, True, ""): (
        Variant("prefill_float32_d40_q32k32_dropout", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (40, 40), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d40_q32k32_masked", "prefill_float32_d40.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d48_q64k32_full", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d48_q64k32_full_sinks", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d48_q64k32_causal", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d48_q64k32_causal_sinks", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d48_q64k32_window", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d48_q64k32_window_sinks", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", None, True, True, ""): (
        Variant("prefill_float16_d48_q32k32_dropout", "prefill_float16_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d48_q64k32_masked", "prefill_float16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_full", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_full_sinks", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_causal", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_causal_sinks", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_window", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_window_sinks", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d48_q32k32_dropout", "prefill_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d48_q64k32_masked", "prefill_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d48_q32k32_full", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d48_q32k32_full_sinks", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d48_q32k32_causal", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d48_q32k32_causal_sinks", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d48_q32k32_window", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d48_q32k32_window_sinks", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", None, True, True, ""): (
        Variant("prefill_float32_d48_q32k32_dropout", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (48, 48), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d48_q32k32_masked", "prefill_float32_d48.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d64_q64k32_full", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d64_q64k32_full_sinks", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d64_q64k32_causal", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d64_q64k32_causal_sinks", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d64_q64k32_window", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d64_q64k32_window_sinks", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", None, True, True, ""): (
        Variant("prefill_float16_d64_q32k32_dropout", "prefill_float16_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d64_q64k32_masked", "prefill_float16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_full", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_full_sinks", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_causal", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_causal_sinks", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_window", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_window_sinks", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d64_q32k32_dropout", "prefill_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d64_q64k32_masked", "prefill_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d64_q32k32_full", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d64_q32k32_full_sinks", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d64_q32k32_causal", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d64_q32k32_causal_sinks", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d64_q32k32_window", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d64_q32k32_window_sinks", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", None, True, True, ""): (
        Variant("prefill_float32_d64_q32k32_dropout", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (64, 64), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d64_q32k32_masked", "prefill_float32_d64.metal", 32, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d72_q64k32_full", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d72_q64k32_full_sinks", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d72_q64k32_causal", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d72_q64k32_causal_sinks", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d72_q64k32_window", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d72_q64k32_window_sinks", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", None, True, True, ""): (
        Variant("prefill_float16_d72_q32k32_dropout", "prefill_float16_d72.metal", 32, 128, 32),
    ),
    Key("prefill", (72, 72), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d72_q64k32_masked", "prefill_float16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_full", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_full_sinks", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_causal", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_causal_sinks", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_window", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_window_sinks", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d72_q32k32_dropout", "prefill_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("prefill", (72, 72), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d72_q64k32_masked", "prefill_bfloat16_d72.metal", 64, 128, 32),
    ),
    Key("prefill", (72, 72), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d72_q32k16_full", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d72_q32k16_full_sinks", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d72_q32k16_causal", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d72_q32k16_causal_sinks", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d72_q32k16_window", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d72_q32k16_window_sinks", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", None, True, True, ""): (
        Variant("prefill_float32_d72_q32k16_dropout", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (72, 72), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d72_q32k16_masked", "prefill_float32_d72.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d80_q64k32_full", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d80_q64k32_full_sinks", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d80_q64k32_causal", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d80_q64k32_causal_sinks", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d80_q64k32_window", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d80_q64k32_window_sinks", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", None, True, True, ""): (
        Variant("prefill_float16_d80_q32k32_dropout", "prefill_float16_d80.metal", 32, 128, 32),
    ),
    Key("prefill", (80, 80), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d80_q64k32_masked", "prefill_float16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_full", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_full_sinks", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_causal", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_causal_sinks", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_window", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_window_sinks", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d80_q32k32_dropout", "prefill_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("prefill", (80, 80), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d80_q64k32_masked", "prefill_bfloat16_d80.metal", 64, 128, 32),
    ),
    Key("prefill", (80, 80), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d80_q32k16_full", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d80_q32k16_full_sinks", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d80_q32k16_causal", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d80_q32k16_causal_sinks", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d80_q32k16_window", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d80_q32k16_window_sinks", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", None, True, True, ""): (
        Variant("prefill_float32_d80_q32k16_dropout", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (80, 80), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d80_q32k16_masked", "prefill_float32_d80.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d88_q64k32_full", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d88_q64k32_full_sinks", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d88_q64k32_causal", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d88_q64k32_causal_sinks", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d88_q64k32_window", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d88_q64k32_window_sinks", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", None, True, True, ""): (
        Variant("prefill_float16_d88_q32k32_dropout", "prefill_float16_d88.metal", 32, 128, 32),
    ),
    Key("prefill", (88, 88), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d88_q64k32_masked", "prefill_float16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_full", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_full_sinks", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_causal", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_causal_sinks", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_window", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_window_sinks", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d88_q32k32_dropout", "prefill_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("prefill", (88, 88), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d88_q64k32_masked", "prefill_bfloat16_d88.metal", 64, 128, 32),
    ),
    Key("prefill", (88, 88), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d88_q32k16_full", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d88_q32k16_full_sinks", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d88_q32k16_causal", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d88_q32k16_causal_sinks", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d88_q32k16_window", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d88_q32k16_window_sinks", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", None, True, True, ""): (
        Variant("prefill_float32_d88_q32k16_dropout", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (88, 88), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d88_q32k16_masked", "prefill_float32_d88.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d96_q64k32_full", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d96_q64k32_full_sinks", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d96_q64k32_causal", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d96_q64k32_causal_sinks", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d96_q64k32_window", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d96_q64k32_window_sinks", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", None, True, True, ""): (
        Variant("prefill_float16_d96_q32k32_dropout", "prefill_float16_d96.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 96), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d96_q64k32_masked", "prefill_float16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_full", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_full_sinks", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_causal", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_causal_sinks", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_window", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_window_sinks", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d96_q32k32_dropout", "prefill_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 96), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d96_q64k32_masked", "prefill_bfloat16_d96.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 96), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d96_q32k16_full", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d96_q32k16_full_sinks", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d96_q32k16_causal", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d96_q32k16_causal_sinks", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d96_q32k16_window", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d96_q32k16_window_sinks", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", None, True, True, ""): (
        Variant("prefill_float32_d96_q32k16_dropout", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (96, 96), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d96_q32k16_masked", "prefill_float32_d96.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d104_q64k32_full", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d104_q64k32_full_sinks", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d104_q64k32_causal", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d104_q64k32_causal_sinks", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d104_q64k32_window", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d104_q64k32_window_sinks", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", None, True, True, ""): (
        Variant("prefill_float16_d104_q32k32_dropout", "prefill_float16_d104.metal", 32, 128, 32),
    ),
    Key("prefill", (104, 104), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d104_q64k32_masked", "prefill_float16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_full", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_full_sinks", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_causal", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_causal_sinks", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_window", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_window_sinks", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d104_q32k32_dropout", "prefill_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("prefill", (104, 104), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d104_q64k32_masked", "prefill_bfloat16_d104.metal", 64, 128, 32),
    ),
    Key("prefill", (104, 104), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d104_q32k16_full", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d104_q32k16_full_sinks", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d104_q32k16_causal", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d104_q32k16_causal_sinks", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d104_q32k16_window", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d104_q32k16_window_sinks", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", None, True, True, ""): (
        Variant("prefill_float32_d104_q32k16_dropout", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (104, 104), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d104_q32k16_masked", "prefill_float32_d104.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d112_q64k32_full", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d112_q64k32_full_sinks", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d112_q64k32_causal", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d112_q64k32_causal_sinks", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d112_q64k32_window", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d112_q64k32_window_sinks", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", None, True, True, ""): (
        Variant("prefill_float16_d112_q32k32_dropout", "prefill_float16_d112.metal", 32, 128, 32),
    ),
    Key("prefill", (112, 112), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d112_q64k32_masked", "prefill_float16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_full", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_full_sinks", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_causal", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_causal_sinks", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_window", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_window_sinks", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d112_q32k32_dropout", "prefill_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("prefill", (112, 112), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d112_q64k32_masked", "prefill_bfloat16_d112.metal", 64, 128, 32),
    ),
    Key("prefill", (112, 112), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d112_q32k16_full", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d112_q32k16_full_sinks", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d112_q32k16_causal", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d112_q32k16_causal_sinks", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d112_q32k16_window", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d112_q32k16_window_sinks", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", None, True, True, ""): (
        Variant("prefill_float32_d112_q32k16_dropout", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (112, 112), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d112_q32k16_masked", "prefill_float32_d112.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d128_q64k32_full", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d128_q64k32_full_sinks", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d128_q64k32_causal", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d128_q64k32_causal_sinks", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d128_q64k32_window", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d128_q64k32_window_sinks", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", None, True, True, ""): (
        Variant("prefill_float16_d128_q32k32_dropout", "prefill_float16_d128.metal", 32, 128, 32),
    ),
    Key("prefill", (128, 128), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d128_q64k32_masked", "prefill_float16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_full", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_full_sinks", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_causal", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_causal_sinks", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_window", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_window_sinks", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d128_q32k32_dropout", "prefill_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("prefill", (128, 128), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d128_q64k32_masked", "prefill_bfloat16_d128.metal", 64, 128, 32),
    ),
    Key("prefill", (128, 128), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d128_q32k16_full", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d128_q32k16_full_sinks", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d128_q32k16_causal", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d128_q32k16_causal_sinks", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d128_q32k16_window", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d128_q32k16_window_sinks", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", None, True, True, ""): (
        Variant("prefill_float32_d128_q32k16_dropout", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (128, 128), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d128_q32k16_masked", "prefill_float32_d128.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d160_q32k16_full", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d160_q32k16_full_sinks", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d160_q32k16_causal", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d160_q32k16_causal_sinks", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d160_q32k16_window", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d160_q32k16_window_sinks", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", None, True, True, ""): (
        Variant("prefill_float16_d160_q32k16_dropout", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d160_q32k16_masked", "prefill_float16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_full", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_full_sinks", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_causal", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_causal_sinks", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_window", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_window_sinks", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d160_q32k16_dropout", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d160_q32k16_masked", "prefill_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d160_q32k16_full", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d160_q32k16_full_sinks", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d160_q32k16_causal", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d160_q32k16_causal_sinks", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d160_q32k16_window", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d160_q32k16_window_sinks", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", None, True, True, ""): (
        Variant("prefill_float32_d160_q32k16_dropout", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (160, 160), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d160_q32k16_masked", "prefill_float32_d160.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d192_q32k16_full", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d192_q32k16_full_sinks", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d192_q32k16_causal", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d192_q32k16_causal_sinks", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d192_q32k16_window", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d192_q32k16_window_sinks", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", None, True, True, ""): (
        Variant("prefill_float16_d192_q32k16_dropout", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d192_q32k16_masked", "prefill_float16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_full", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_full_sinks", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_causal", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_causal_sinks", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_window", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_window_sinks", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d192_q32k16_dropout", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d192_q32k16_masked", "prefill_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d192_q32k16_full", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d192_q32k16_full_sinks", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d192_q32k16_causal", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d192_q32k16_causal_sinks", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d192_q32k16_window", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d192_q32k16_window_sinks", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", None, True, True, ""): (
        Variant("prefill_float32_d192_q32k16_dropout", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 192), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d192_q32k16_masked", "prefill_float32_d192.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d256_q32k16_full", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d256_q32k16_full_sinks", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d256_q32k16_causal", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d256_q32k16_causal_sinks", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d256_q32k16_window", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d256_q32k16_window_sinks", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", None, True, True, ""): (
        Variant("prefill_float16_d256_q32k16_dropout", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d256_q32k16_masked", "prefill_float16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_full", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_full_sinks", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_causal", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_causal_sinks", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_window", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_window_sinks", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d256_q32k16_dropout", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d256_q32k16_masked", "prefill_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("prefill", (256, 256), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d256_q32k8_full", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d256_q32k8_full_sinks", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d256_q32k8_causal", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d256_q32k8_causal_sinks", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d256_q32k8_window", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d256_q32k8_window_sinks", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", None, True, True, ""): (
        Variant("prefill_float32_d256_q32k8_dropout", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (256, 256), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d256_q32k8_masked", "prefill_float32_d256.metal", 32, 128, 8),
    ),
    Key("prefill", (96, 64), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_full", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_full_sinks", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_causal", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_causal_sinks", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_window", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_window_sinks", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", None, True, True, ""): (
        Variant("prefill_float16_d96v64_q32k32_dropout", "prefill_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d96v64_q64k32_masked", "prefill_float16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_full", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_full_sinks", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_causal", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_causal_sinks", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_window", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_window_sinks", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d96v64_q32k32_dropout", "prefill_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d96v64_q64k32_masked", "prefill_bfloat16_d96v64.metal", 64, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_full", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_full_sinks", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_causal", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_causal_sinks", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_window", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_window_sinks", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", None, True, True, ""): (
        Variant("prefill_float32_d96v64_q32k32_dropout", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (96, 64), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d96v64_q32k32_masked", "prefill_float32_d96v64.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_full", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_full_sinks", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_causal", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_causal_sinks", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_window", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_window_sinks", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", None, True, True, ""): (
        Variant("prefill_float16_d192v128_q32k32_dropout", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d192v128_q32k32_masked", "prefill_float16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_full", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_full_sinks", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_causal", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_causal_sinks", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_window", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_window_sinks", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_dropout", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d192v128_q32k32_masked", "prefill_bfloat16_d192v128.metal", 32, 128, 32),
    ),
    Key("prefill", (192, 128), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_full", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_full_sinks", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_causal", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_causal_sinks", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_window", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_window_sinks", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", None, True, True, ""): (
        Variant("prefill_float32_d192v128_q32k16_dropout", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (192, 128), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d192v128_q32k16_masked", "prefill_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("prefill", (512, 512), "float16", "full", False, False, ""): (
        Variant("prefill_float16_d512_q32k16_full", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", "full", True, False, ""): (
        Variant("prefill_float16_d512_q32k16_full_sinks", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", "causal", False, False, ""): (
        Variant("prefill_float16_d512_q32k16_causal", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", "causal", True, False, ""): (
        Variant("prefill_float16_d512_q32k16_causal_sinks", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", "window", False, False, ""): (
        Variant("prefill_float16_d512_q32k16_window", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", "window", True, False, ""): (
        Variant("prefill_float16_d512_q32k16_window_sinks", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", None, True, True, ""): (
        Variant("prefill_float16_d512_q32k16_dropout", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float16", "masked", True, False, ""): (
        Variant("prefill_float16_d512_q32k16_masked", "prefill_float16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "full", False, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_full", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "full", True, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_full_sinks", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "causal", False, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_causal", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "causal", True, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_causal_sinks", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "window", False, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_window", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "window", True, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_window_sinks", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", None, True, True, ""): (
        Variant("prefill_bfloat16_d512_q32k16_dropout", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "bfloat16", "masked", True, False, ""): (
        Variant("prefill_bfloat16_d512_q32k16_masked", "prefill_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("prefill", (512, 512), "float32", "full", False, False, ""): (
        Variant("prefill_float32_d512_q16k8_full", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", "full", True, False, ""): (
        Variant("prefill_float32_d512_q16k8_full_sinks", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", "causal", False, False, ""): (
        Variant("prefill_float32_d512_q16k8_causal", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", "causal", True, False, ""): (
        Variant("prefill_float32_d512_q16k8_causal_sinks", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", "window", False, False, ""): (
        Variant("prefill_float32_d512_q16k8_window", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", "window", True, False, ""): (
        Variant("prefill_float32_d512_q16k8_window_sinks", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", None, True, True, ""): (
        Variant("prefill_float32_d512_q16k8_dropout", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("prefill", (512, 512), "float32", "masked", True, False, ""): (
        Variant("prefill_float32_d512_q16k8_masked", "prefill_float32_d512.metal", 16, 256, 8),
    ),
    Key("decode", (32, 32), "float16", None, True, False, ""): (
        Variant("decode_float16_d32_q8k32", "decode_float16_d32.metal", 8, 128, 128),
        Variant("decode_float16_d32_q16k16", "decode_float16_d32.metal", 16, 256, 128),
    ),
    Key("decode", (32, 32), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d32_q8k32", "decode_bfloat16_d32.metal", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16", "decode_bfloat16_d32.metal", 16, 256, 128),
    ),
    Key("decode", (32, 32), "float32", None, True, False, ""): (
        Variant("decode_float32_d32_q8k32", "decode_float32_d32.metal", 8, 128, 128),
        Variant("decode_float32_d32_q16k16", "decode_float32_d32.metal", 16, 256, 128),
    ),
    Key("decode", (32, 32), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d32_q8k32_float16", "decode_float32_d32.metal", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_float16", "decode_float32_d32.metal", 16, 256, 128),
    ),
    Key("decode", (32, 32), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d32_q8k32_bfloat16", "decode_float32_d32.metal", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_bfloat16", "decode_float32_d32.metal", 16, 256, 128),
    ),
    Key("decode", (40, 40), "float16", None, True, False, ""): (
        Variant("decode_float16_d40_q8k32", "decode_float16_d40.metal", 8, 128, 128),
        Variant("decode_float16_d40_q16k16", "decode_float16_d40.metal", 16, 256, 128),
    ),
    Key("decode", (40, 40), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d40_q8k32", "decode_bfloat16_d40.metal", 8, 128, 128),
        Variant("decode_bfloat16_d40_q16k16", "decode_bfloat16_d40.metal", 16, 256, 128),
    ),
    Key("decode", (40, 40), "float32", None, True, False, ""): (
        Variant("decode_float32_d40_q8k32", "decode_float32_d40.metal", 8, 128, 128),
        Variant("decode_float32_d40_q16k16", "decode_float32_d40.metal", 16, 256, 128),
    ),
    Key("decode", (40, 40), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d40_q8k32_float16", "decode_float32_d40.metal", 8, 128, 128),
        Variant("decode_float32_d40_q16k16_float16", "decode_float32_d40.metal", 16, 256, 128),
    ),
    Key("decode", (40, 40), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d40_q8k32_bfloat16", "decode_float32_d40.metal", 8, 128, 128),
        Variant("decode_float32_d40_q16k16_bfloat16", "decode_float32_d40.metal", 16, 256, 128),
    ),
    Key("decode", (48, 48), "float16", None, True, False, ""): (
        Variant("decode_float16_d48_q8k32", "decode_float16_d48.metal", 8, 128, 128),
        Variant("decode_float16_d48_q16k16", "decode_float16_d48.metal", 16, 256, 128),
    ),
    Key("decode", (48, 48), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d48_q8k32", "decode_bfloat16_d48.metal", 8, 128, 128),
        Variant("decode_bfloat16_d48_q16k16", "decode_bfloat16_d48.metal", 16, 256, 128),
    ),
    Key("decode", (48, 48), "float32", None, True, False, ""): (
        Variant("decode_float32_d48_q8k32", "decode_float32_d48.metal", 8, 128, 128),
        Variant("decode_float32_d48_q16k16", "decode_float32_d48.metal", 16, 256, 128),
    ),
    Key("decode", (48, 48), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d48_q8k32_float16", "decode_float32_d48.metal", 8, 128, 128),
        Variant("decode_float32_d48_q16k16_float16", "decode_float32_d48.metal", 16, 256, 128),
    ),
    Key("decode", (48, 48), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d48_q8k32_bfloat16", "decode_float32_d48.metal", 8, 128, 128),
        Variant("decode_float32_d48_q16k16_bfloat16", "decode_float32_d48.metal", 16, 256, 128),
    ),
    Key("decode", (64, 64), "float16", None, True, False, ""): (
        Variant("decode_float16_d64_q8k32", "decode_float16_d64.metal", 8, 128, 128),
        Variant("decode_float16_d64_q16k16", "decode_float16_d64.metal", 16, 256, 128),
    ),
    Key("decode", (64, 64), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d64_q8k32", "decode_bfloat16_d64.metal", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16", "decode_bfloat16_d64.metal", 16, 256, 128),
    ),
    Key("decode", (64, 64), "float32", None, True, False, ""): (
        Variant("decode_float32_d64_q8k32", "decode_float32_d64.metal", 8, 128, 128),
        Variant("decode_float32_d64_q16k16", "decode_float32_d64.metal", 16, 256, 128),
    ),
    Key("decode", (64, 64), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d64_q8k32_float16", "decode_float32_d64.metal", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_float16", "decode_float32_d64.metal", 16, 256, 128),
    ),
    Key("decode", (64, 64), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d64_q8k32_bfloat16", "decode_float32_d64.metal", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_bfloat16", "decode_float32_d64.metal", 16, 256, 128),
    ),
    Key("decode", (72, 72), "float16", None, True, False, ""): (
        Variant("decode_float16_d72_q8k32", "decode_float16_d72.metal", 8, 128, 128),
        Variant("decode_float16_d72_q16k16", "decode_float16_d72.metal", 16, 256, 128),
    ),
    Key("decode", (72, 72), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d72_q8k32", "decode_bfloat16_d72.metal", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16", "decode_bfloat16_d72.metal", 16, 256, 128),
    ),
    Key("decode", (72, 72), "float32", None, True, False, ""): (
        Variant("decode_float32_d72_q8k16", "decode_float32_d72.metal", 8, 128, 64),
        Variant("decode_float32_d72_q16k16", "decode_float32_d72.metal", 16, 256, 128),
    ),
    Key("decode", (72, 72), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d72_q8k16_float16", "decode_float32_d72.metal", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_float16", "decode_float32_d72.metal", 16, 256, 128),
    ),
    Key("decode", (72, 72), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d72_q8k16_bfloat16", "decode_float32_d72.metal", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_bfloat16", "decode_float32_d72.metal", 16, 256, 128),
    ),
    Key("decode", (80, 80), "float16", None, True, False, ""): (
        Variant("decode_float16_d80_q8k32", "decode_float16_d80.metal", 8, 128, 128),
        Variant("decode_float16_d80_q16k16", "decode_float16_d80.metal", 16, 256, 128),
    ),
    Key("decode", (80, 80), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d80_q8k32", "decode_bfloat16_d80.metal", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16", "decode_bfloat16_d80.metal", 16, 256, 128),
    ),
    Key("decode", (80, 80), "float32", None, True, False, ""): (
        Variant("decode_float32_d80_q8k16", "decode_float32_d80.metal", 8, 128, 64),
        Variant("decode_float32_d80_q16k16", "decode_float32_d80.metal", 16, 256, 128),
    ),
    Key("decode", (80, 80), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d80_q8k16_float16", "decode_float32_d80.metal", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_float16", "decode_float32_d80.metal", 16, 256, 128),
    ),
    Key("decode", (80, 80), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d80_q8k16_bfloat16", "decode_float32_d80.metal", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_bfloat16", "decode_float32_d80.metal", 16, 256, 128),
    ),
    Key("decode", (88, 88), "float16", None, True, False, ""): (
        Variant("decode_float16_d88_q8k32", "decode_float16_d88.metal", 8, 128, 128),
        Variant("decode_float16_d88_q16k16", "decode_float16_d88.metal", 16, 256, 128),
    ),
    Key("decode", (88, 88), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d88_q8k32", "decode_bfloat16_d88.metal", 8, 128, 128),
        Variant("decode_bfloat16_d88_q16k16", "decode_bfloat16_d88.metal", 16, 256, 128),
    ),
    Key("decode", (88, 88), "float32", None, True, False, ""): (
        Variant("decode_float32_d88_q8k16", "decode_float32_d88.metal", 8, 128, 64),
        Variant("decode_float32_d88_q16k16", "decode_float32_d88.metal", 16, 256, 128),
    ),
    Key("decode", (88, 88), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d88_q8k16_float16", "decode_float32_d88.metal", 8, 128, 64),
        Variant("decode_float32_d88_q16k16_float16", "decode_float32_d88.metal", 16, 256, 128),
    ),
    Key("decode", (88, 88), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d88_q8k16_bfloat16", "decode_float32_d88.metal", 8, 128, 64),
        Variant("decode_float32_d88_q16k16_bfloat16", "decode_float32_d88.metal", 16, 256, 128),
    ),
    Key("decode", (96, 96), "float16", None, True, False, ""): (
        Variant("decode_float16_d96_q8k32", "decode_float16_d96.metal", 8, 128, 128),
        Variant("decode_float16_d96_q16k16", "decode_float16_d96.metal", 16, 256, 128),
    ),
    Key("decode", (96, 96), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d96_q8k32", "decode_bfloat16_d96.metal", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16", "decode_bfloat16_d96.metal", 16, 256, 128),
    ),
    Key("decode", (96, 96), "float32", None, True, False, ""): (
        Variant("decode_float32_d96_q8k16", "decode_float32_d96.metal", 8, 128, 64),
        Variant("decode_float32_d96_q16k16", "decode_float32_d96.metal", 16, 256, 128),
    ),
    Key("decode", (96, 96), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d96_q8k16_float16", "decode_float32_d96.metal", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_float16", "decode_float32_d96.metal", 16, 256, 128),
    ),
    Key("decode", (96, 96), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d96_q8k16_bfloat16", "decode_float32_d96.metal", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_bfloat16", "decode_float32_d96.metal", 16, 256, 128),
    ),
    Key("decode", (104, 104), "float16", None, True, False, ""): (
        Variant("decode_float16_d104_q8k32", "decode_float16_d104.metal", 8, 128, 128),
        Variant("decode_float16_d104_q16k16", "decode_float16_d104.metal", 16, 256, 128),
    ),
    Key("decode", (104, 104), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d104_q8k32", "decode_bfloat16_d104.metal", 8, 128, 128),
        Variant("decode_bfloat16_d104_q16k16", "decode_bfloat16_d104.metal", 16, 256, 128),
    ),
    Key("decode", (104, 104), "float32", None, True, False, ""): (
        Variant("decode_float32_d104_q8k16", "decode_float32_d104.metal", 8, 128, 64),
        Variant("decode_float32_d104_q16k8", "decode_float32_d104.metal", 16, 256, 64),
    ),
    Key("decode", (104, 104), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d104_q8k16_float16", "decode_float32_d104.metal", 8, 128, 64),
        Variant("decode_float32_d104_q16k8_float16", "decode_float32_d104.metal", 16, 256, 64),
    ),
    Key("decode", (104, 104), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d104_q8k16_bfloat16", "decode_float32_d104.metal", 8, 128, 64),
        Variant("decode_float32_d104_q16k8_bfloat16", "decode_float32_d104.metal", 16, 256, 64),
    ),
    Key("decode", (112, 112), "float16", None, True, False, ""): (
        Variant("decode_float16_d112_q8k32", "decode_float16_d112.metal", 8, 128, 128),
        Variant("decode_float16_d112_q16k16", "decode_float16_d112.metal", 16, 256, 128),
    ),
    Key("decode", (112, 112), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d112_q8k32", "decode_bfloat16_d112.metal", 8, 128, 128),
        Variant("decode_bfloat16_d112_q16k16", "decode_bfloat16_d112.metal", 16, 256, 128),
    ),
    Key("decode", (112, 112), "float32", None, True, False, ""): (
        Variant("decode_float32_d112_q8k16", "decode_float32_d112.metal", 8, 128, 64),
        Variant("decode_float32_d112_q16k8", "decode_float32_d112.metal", 16, 256, 64),
    ),
    Key("decode", (112, 112), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d112_q8k16_float16", "decode_float32_d112.metal", 8, 128, 64),
        Variant("decode_float32_d112_q16k8_float16", "decode_float32_d112.metal", 16, 256, 64),
    ),
    Key("decode", (112, 112), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d112_q8k16_bfloat16", "decode_float32_d112.metal", 8, 128, 64),
        Variant("decode_float32_d112_q16k8_bfloat16", "decode_float32_d112.metal", 16, 256, 64),
    ),
    Key("decode", (128, 128), "float16", None, True, False, ""): (
        Variant("decode_float16_d128_q8k32", "decode_float16_d128.metal", 8, 128, 128),
        Variant("decode_float16_d128_q16k16", "decode_float16_d128.metal", 16, 256, 128),
    ),
    Key("decode", (128, 128), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d128_q8k32", "decode_bfloat16_d128.metal", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16", "decode_bfloat16_d128.metal", 16, 256, 128),
    ),
    Key("decode", (128, 128), "float32", None, True, False, ""): (
        Variant("decode_float32_d128_q8k16", "decode_float32_d128.metal", 8, 128, 64),
        Variant("decode_float32_d128_q16k16", "decode_float32_d128.metal", 16, 256, 128),
    ),
    Key("decode", (128, 128), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d128_q8k16_float16", "decode_float32_d128.metal", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_float16", "decode_float32_d128.metal", 16, 256, 128),
    ),
    Key("decode", (128, 128), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d128_q8k16_bfloat16", "decode_float32_d128.metal", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_bfloat16", "decode_float32_d128.metal", 16, 256, 128),
    ),
    Key("decode", (160, 160), "float16", None, True, False, ""): (
        Variant("decode_float16_d160_q8k16", "decode_float16_d160.metal", 8, 128, 64),
    ),
    Key("decode", (160, 160), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d160_q8k16", "decode_bfloat16_d160.metal", 8, 128, 64),
    ),
    Key("decode", (160, 160), "float32", None, True, False, ""): (
        Variant("decode_float32_d160_q8k16", "decode_float32_d160.metal", 8, 128, 64),
    ),
    Key("decode", (160, 160), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d160_q8k16_float16", "decode_float32_d160.metal", 8, 128, 64),
    ),
    Key("decode", (160, 160), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d160_q8k16_bfloat16", "decode_float32_d160.metal", 8, 128, 64),
    ),
    Key("decode", (192, 192), "float16", None, True, False, ""): (
        Variant("decode_float16_d192_q8k16", "decode_float16_d192.metal", 8, 128, 64),
    ),
    Key("decode", (192, 192), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d192_q8k16", "decode_bfloat16_d192.metal", 8, 128, 64),
    ),
    Key("decode", (192, 192), "float32", None, True, False, ""): (
        Variant("decode_float32_d192_q8k16", "decode_float32_d192.metal", 8, 128, 64),
    ),
    Key("decode", (192, 192), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d192_q8k16_float16", "decode_float32_d192.metal", 8, 128, 64),
    ),
    Key("decode", (192, 192), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d192_q8k16_bfloat16", "decode_float32_d192.metal", 8, 128, 64),
    ),
    Key("decode", (256, 256), "float16", None, True, False, ""): (
        Variant("decode_float16_d256_q8k16", "decode_float16_d256.metal", 8, 128, 64),
    ),
    Key("decode", (256, 256), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d256_q8k16", "decode_bfloat16_d256.metal", 8, 128, 64),
    ),
    Key("decode", (256, 256), "float32", None, True, False, ""): (
        Variant("decode_float32_d256_q8k8", "decode_float32_d256.metal", 8, 128, 32),
    ),
    Key("decode", (256, 256), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d256_q8k8_float16", "decode_float32_d256.metal", 8, 128, 32),
    ),
    Key("decode", (256, 256), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d256_q8k8_bfloat16", "decode_float32_d256.metal", 8, 128, 32),
    ),
    Key("decode", (96, 64), "float16", None, True, False, ""): (
        Variant("decode_float16_d96v64_q8k32", "decode_float16_d96v64.metal", 8, 128, 128),
        Variant("decode_float16_d96v64_q16k16", "decode_float16_d96v64.metal", 16, 256, 128),
    ),
    Key("decode", (96, 64), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d96v64_q8k32", "decode_bfloat16_d96v64.metal", 8, 128, 128),
        Variant("decode_bfloat16_d96v64_q16k16", "decode_bfloat16_d96v64.metal", 16, 256, 128),
    ),
    Key("decode", (96, 64), "float32", None, True, False, ""): (
        Variant("decode_float32_d96v64_q8k16", "decode_float32_d96v64.metal", 8, 128, 64),
        Variant("decode_float32_d96v64_q16k16", "decode_float32_d96v64.metal", 16, 256, 128),
    ),
    Key("decode", (96, 64), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d96v64_q8k16_float16", "decode_float32_d96v64.metal", 8, 128, 64),
        Variant("decode_float32_d96v64_q16k16_float16", "decode_float32_d96v64.metal", 16, 256, 128),
    ),
    Key("decode", (96, 64), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d96v64_q8k16_bfloat16", "decode_float32_d96v64.metal", 8, 128, 64),
        Variant("decode_float32_d96v64_q16k16_bfloat16", "decode_float32_d96v64.metal", 16, 256, 128),
    ),
    Key("decode", (192, 128), "float16", None, True, False, ""): (
        Variant("decode_float16_d192v128_q8k32", "decode_float16_d192v128.metal", 8, 128, 128),
        Variant("decode_float16_d192v128_q16k16", "decode_float16_d192v128.metal", 16, 256, 128),
    ),
    Key("decode", (192, 128), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d192v128_q8k32", "decode_bfloat16_d192v128.metal", 8, 128, 128),
        Variant("decode_bfloat16_d192v128_q16k16", "decode_bfloat16_d192v128.metal", 16, 256, 128),
    ),
    Key("decode", (192, 128), "float32", None, True, False, ""): (
        Variant("decode_float32_d192v128_q8k16", "decode_float32_d192v128.metal", 8, 128, 64),
        Variant("decode_float32_d192v128_q16k8", "decode_float32_d192v128.metal", 16, 256, 64),
    ),
    Key("decode", (192, 128), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d192v128_q8k16_float16", "decode_float32_d192v128.metal", 8, 128, 64),
        Variant("decode_float32_d192v128_q16k8_float16", "decode_float32_d192v128.metal", 16, 256, 64),
    ),
    Key("decode", (192, 128), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d192v128_q8k16_bfloat16", "decode_float32_d192v128.metal", 8, 128, 64),
        Variant("decode_float32_d192v128_q16k8_bfloat16", "decode_float32_d192v128.metal", 16, 256, 64),
    ),
    Key("decode", (512, 512), "float16", None, True, False, ""): (
        Variant("decode_float16_d512_q8k16", "decode_float16_d512.metal", 8, 128, 16),
        Variant("decode_float16_d512_q16k16", "decode_float16_d512.metal", 16, 256, 16),
        Variant("decode_float16_d512_q32k16", "decode_float16_d512.metal", 32, 512, 16),
    ),
    Key("decode", (512, 512), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d512_q8k16", "decode_bfloat16_d512.metal", 8, 128, 16),
        Variant("decode_bfloat16_d512_q16k16", "decode_bfloat16_d512.metal", 16, 256, 16),
        Variant("decode_bfloat16_d512_q32k16", "decode_bfloat16_d512.metal", 32, 512, 16),
    ),
    Key("decode", (512, 512), "float32", None, True, False, ""): (
        Variant("decode_float32_d512_q8k8", "decode_float32_d512.metal", 8, 128, 8),
        Variant("decode_float32_d512_q16k8", "decode_float32_d512.metal", 16, 256, 8),
    ),
    Key("decode", (512, 512), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d512_q8k8_float16", "decode_float32_d512.metal", 8, 128, 8),
        Variant("decode_float32_d512_q16k8_float16", "decode_float32_d512.metal", 16, 256, 8),
    ),
    Key("decode", (512, 512), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d512_q8k8_bfloat16", "decode_float32_d512.metal", 8, 128, 8),
        Variant("decode_float32_d512_q16k8_bfloat16", "decode_float32_d512.metal", 16, 256, 8),
    ),
    Key("decode", (320, 256), "float16", None, True, False, ""): (
        Variant("decode_float16_d320v256_q8k16", "decode_float16_d320v256.metal", 8, 128, 16),
        Variant("decode_float16_d320v256_q32k16", "decode_float16_d320v256.metal", 32, 256, 16),
        Variant("decode_float16_d320v256_q64k16", "decode_float16_d320v256.metal", 64, 512, 16),
    ),
    Key("decode", (320, 256), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d320v256_q8k16", "decode_bfloat16_d320v256.metal", 8, 128, 16),
        Variant("decode_bfloat16_d320v256_q32k16", "decode_bfloat16_d320v256.metal", 32, 256, 16),
        Variant("decode_bfloat16_d320v256_q64k16", "decode_bfloat16_d320v256.metal", 64, 512, 16),
    ),
    Key("decode", (320, 256), "float32", None, True, False, ""): (
        Variant("decode_float32_d320v256_q8k16", "decode_float32_d320v256.metal", 8, 128, 16),
        Variant("decode_float32_d320v256_q32k16", "decode_float32_d320v256.metal", 32, 256, 16),
    ),
    Key("decode", (320, 256), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d320v256_q8k16_float16", "decode_float32_d320v256.metal", 8, 128, 16),
        Variant("decode_float32_d320v256_q32k16_float16", "decode_float32_d320v256.metal", 32, 256, 16),
    ),
    Key("decode", (320, 256), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d320v256_q8k16_bfloat16", "decode_float32_d320v256.metal", 8, 128, 16),
        Variant("decode_float32_d320v256_q32k16_bfloat16", "decode_float32_d320v256.metal", 32, 256, 16),
    ),
    Key("decode", (576, 512), "float16", None, True, False, ""): (
        Variant("decode_float16_d576v512_q8k16", "decode_float16_d576v512.metal", 8, 128, 16),
        Variant("decode_float16_d576v512_q16k16", "decode_float16_d576v512.metal", 16, 256, 16),
        Variant("decode_float16_d576v512_q32k16", "decode_float16_d576v512.metal", 32, 512, 16),
    ),
    Key("decode", (576, 512), "bfloat16", None, True, False, ""): (
        Variant("decode_bfloat16_d576v512_q8k16", "decode_bfloat16_d576v512.metal", 8, 128, 16),
        Variant("decode_bfloat16_d576v512_q16k16", "decode_bfloat16_d576v512.metal", 16, 256, 16),
        Variant("decode_bfloat16_d576v512_q32k16", "decode_bfloat16_d576v512.metal", 32, 512, 16),
    ),
    Key("decode", (576, 512), "float32", None, True, False, ""): (
        Variant("decode_float32_d576v512_q8k8", "decode_float32_d576v512.metal", 8, 128, 8),
        Variant("decode_float32_d576v512_q16k8", "decode_float32_d576v512.metal", 16, 256, 8),
    ),
    Key("decode", (576, 512), "float32", None, True, False, "float16"): (
        Variant("decode_float32_d576v512_q8k8_float16", "decode_float32_d576v512.metal", 8, 128, 8),
        Variant("decode_float32_d576v512_q16k8_float16", "decode_float32_d576v512.metal", 16, 256, 8),
    ),
    Key("decode", (576, 512), "float32", None, True, False, "bfloat16"): (
        Variant("decode_float32_d576v512_q8k8_bfloat16", "decode_float32_d576v512.metal", 8, 128, 8),
        Variant("decode_float32_d576v512_q16k8_bfloat16", "decode_float32_d576v512.metal", 16, 256, 8),
    ),
    Key("combine", (32, 32), "float16", None, False, False, ""): (
        Variant("combine_float16_d32", "combine_float16_d32.metal", 1, 32, 1),
    ),
    Key("combine", (32, 32), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d32", "combine_bfloat16_d32.metal", 1, 32, 1),
    ),
    Key("combine", (32, 32), "float32", None, False, False, ""): (
        Variant("combine_float32_d32", "combine_float32_d32.metal", 1, 32, 1),
    ),
    Key("combine", (40, 40), "float16", None, False, False, ""): (
        Variant("combine_float16_d40", "combine_float16_d40.metal", 1, 32, 1),
    ),
    Key("combine", (40, 40), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d40", "combine_bfloat16_d40.metal", 1, 32, 1),
    ),
    Key("combine", (40, 40), "float32", None, False, False, ""): (
        Variant("combine_float32_d40", "combine_float32_d40.metal", 1, 32, 1),
    ),
    Key("combine", (48, 48), "float16", None, False, False, ""): (
        Variant("combine_float16_d48", "combine_float16_d48.metal", 1, 32, 1),
    ),
    Key("combine", (48, 48), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d48", "combine_bfloat16_d48.metal", 1, 32, 1),
    ),
    Key("combine", (48, 48), "float32", None, False, False, ""): (
        Variant("combine_float32_d48", "combine_float32_d48.metal", 1, 32, 1),
    ),
    Key("combine", (64, 64), "float16", None, False, False, ""): (
        Variant("combine_float16_d64", "combine_float16_d64.metal", 1, 32, 1),
    ),
    Key("combine", (64, 64), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d64", "combine_bfloat16_d64.metal", 1, 32, 1),
    ),
    Key("combine", (64, 64), "float32", None, False, False, ""): (
        Variant("combine_float32_d64", "combine_float32_d64.metal", 1, 32, 1),
    ),
    Key("combine", (72, 72), "float16", None, False, False, ""): (
        Variant("combine_float16_d72", "combine_float16_d72.metal", 1, 32, 1),
    ),
    Key("combine", (72, 72), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d72", "combine_bfloat16_d72.metal", 1, 32, 1),
    ),
    Key("combine", (72, 72), "float32", None, False, False, ""): (
        Variant("combine_float32_d72", "combine_float32_d72.metal", 1, 32, 1),
    ),
    Key("combine", (80, 80), "float16", None, False, False, ""): (
        Variant("combine_float16_d80", "combine_float16_d80.metal", 1, 32, 1),
    ),
    Key("combine", (80, 80), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d80", "combine_bfloat16_d80.metal", 1, 32, 1),
    ),
    Key("combine", (80, 80), "float32", None, False, False, ""): (
        Variant("combine_float32_d80", "combine_float32_d80.metal", 1, 32, 1),
    ),
    Key("combine", (88, 88), "float16", None, False, False, ""): (
        Variant("combine_float16_d88", "combine_float16_d88.metal", 1, 32, 1),
    ),
    Key("combine", (88, 88), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d88", "combine_bfloat16_d88.metal", 1, 32, 1),
    ),
    Key("combine", (88, 88), "float32", None, False, False, ""): (
        Variant("combine_float32_d88", "combine_float32_d88.metal", 1, 32, 1),
    ),
    Key("combine", (96, 96), "float16", None, False, False, ""): (
        Variant("combine_float16_d96", "combine_float16_d96.metal", 1, 32, 1),
    ),
    Key("combine", (96, 96), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d96", "combine_bfloat16_d96.metal", 1, 32, 1),
    ),
    Key("combine", (96, 96), "float32", None, False, False, ""): (
        Variant("combine_float32_d96", "combine_float32_d96.metal", 1, 32, 1),
    ),
    Key("combine", (104, 104), "float16", None, False, False, ""): (
        Variant("combine_float16_d104", "combine_float16_d104.metal", 1, 32, 1),
    ),
    Key("combine", (104, 104), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d104", "combine_bfloat16_d104.metal", 1, 32, 1),
    ),
    Key("combine", (104, 104), "float32", None, False, False, ""): (
        Variant("combine_float32_d104", "combine_float32_d104.metal", 1, 32, 1),
    ),
    Key("combine", (112, 112), "float16", None, False, False, ""): (
        Variant("combine_float16_d112", "combine_float16_d112.metal", 1, 32, 1),
    ),
    Key("combine", (112, 112), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d112", "combine_bfloat16_d112.metal", 1, 32, 1),
    ),
    Key("combine", (112, 112), "float32", None, False, False, ""): (
        Variant("combine_float32_d112", "combine_float32_d112.metal", 1, 32, 1),
    ),
    Key("combine", (128, 128), "float16", None, False, False, ""): (
        Variant("combine_float16_d128", "combine_float16_d128.metal", 1, 32, 1),
    ),
    Key("combine", (128, 128), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d128", "combine_bfloat16_d128.metal", 1, 32, 1),
    ),
    Key("combine", (128, 128), "float32", None, False, False, ""): (
        Variant("combine_float32_d128", "combine_float32_d128.metal", 1, 32, 1),
    ),
    Key("combine", (160, 160), "float16", None, False, False, ""): (
        Variant("combine_float16_d160", "combine_float16_d160.metal", 1, 32, 1),
    ),
    Key("combine", (160, 160), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d160", "combine_bfloat16_d160.metal", 1, 32, 1),
    ),
    Key("combine", (160, 160), "float32", None, False, False, ""): (
        Variant("combine_float32_d160", "combine_float32_d160.metal", 1, 32, 1),
    ),
    Key("combine", (192, 192), "float16", None, False, False, ""): (
        Variant("combine_float16_d192", "combine_float16_d192.metal", 1, 32, 1),
    ),
    Key("combine", (192, 192), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d192", "combine_bfloat16_d192.metal", 1, 32, 1),
    ),
    Key("combine", (192, 192), "float32", None, False, False, ""): (
        Variant("combine_float32_d192", "combine_float32_d192.metal", 1, 32, 1),
    ),
    Key("combine", (256, 256), "float16", None, False, False, ""): (
        Variant("combine_float16_d256", "combine_float16_d256.metal", 1, 32, 1),
    ),
    Key("combine", (256, 256), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d256", "combine_bfloat16_d256.metal", 1, 32, 1),
    ),
    Key("combine", (256, 256), "float32", None, False, False, ""): (
        Variant("combine_float32_d256", "combine_float32_d256.metal", 1, 32, 1),
    ),
    Key("combine", (512, 512), "float16", None, False, False, ""): (
        Variant("combine_float16_d512", "combine_float16_d512.metal", 1, 32, 1),
    ),
    Key("combine", (512, 512), "bfloat16", None, False, False, ""): (
        Variant("combine_bfloat16_d512", "combine_bfloat16_d512.metal", 1, 32, 1),
    ),
    Key("combine", (512, 512), "float32", None, False, False, ""): (
        Variant("combine_float32_d512", "combine_float32_d512.metal", 1, 32, 1),
    ),
    Key("append", (32, 32), "float16", None, False, False, ""): (
        Variant("append_float16_d32", "append_float16_d32.metal", 1, 32, 1),
    ),
    Key("append", (32, 32), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d32", "append_bfloat16_d32.metal", 1, 32, 1),
    ),
    Key("append", (32, 32), "float32", None, False, False, ""): (
        Variant("append_float32_d32", "append_float32_d32.metal", 1, 32, 1),
    ),
    Key("append", (40, 40), "float16", None, False, False, ""): (
        Variant("append_float16_d40", "append_float16_d40.metal", 1, 32, 1),
    ),
    Key("append", (40, 40), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d40", "append_bfloat16_d40.metal", 1, 32, 1),
    ),
    Key("append", (40, 40), "float32", None, False, False, ""): (
        Variant("append_float32_d40", "append_float32_d40.metal", 1, 32, 1),
    ),
    Key("append", (48, 48), "float16", None, False, False, ""): (
        Variant("append_float16_d48", "append_float16_d48.metal", 1, 32, 1),
    ),
    Key("append", (48, 48), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d48", "append_bfloat16_d48.metal", 1, 32, 1),
    ),
    Key("append", (48, 48), "float32", None, False, False, ""): (
        Variant("append_float32_d48", "append_float32_d48.metal", 1, 32, 1),
    ),
    Key("append", (64, 64), "float16", None, False, False, ""): (
        Variant("append_float16_d64", "append_float16_d64.metal", 1, 32, 1),
    ),
    Key("append", (64, 64), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d64", "append_bfloat16_d64.metal", 1, 32, 1),
    ),
    Key("append", (64, 64), "float32", None, False, False, ""): (
        Variant("append_float32_d64", "append_float32_d64.metal", 1, 32, 1),
    ),
    Key("append", (72, 72), "float16", None, False, False, ""): (
        Variant("append_float16_d72", "append_float16_d72.metal", 1, 32, 1),
    ),
    Key("append", (72, 72), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d72", "append_bfloat16_d72.metal", 1, 32, 1),
    ),
    Key("append", (72, 72), "float32", None, False, False, ""): (
        Variant("append_float32_d72", "append_float32_d72.metal", 1, 32, 1),
    ),
    Key("append", (80, 80), "float16", None, False, False, ""): (
        Variant("append_float16_d80", "append_float16_d80.metal", 1, 32, 1),
    ),
    Key("append", (80, 80), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d80", "append_bfloat16_d80.metal", 1, 32, 1),
    ),
    Key("append", (80, 80), "float32", None, False, False, ""): (
        Variant("append_float32_d80", "append_float32_d80.metal", 1, 32, 1),
    ),
    Key("append", (88, 88), "float16", None, False, False, ""): (
        Variant("append_float16_d88", "append_float16_d88.metal", 1, 32, 1),
    ),
    Key("append", (88, 88), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d88", "append_bfloat16_d88.metal", 1, 32, 1),
    ),
    Key("append", (88, 88), "float32", None, False, False, ""): (
        Variant("append_float32_d88", "append_float32_d88.metal", 1, 32, 1),
    ),
    Key("append", (96, 96), "float16", None, False, False, ""): (
        Variant("append_float16_d96", "append_float16_d96.metal", 1, 32, 1),
    ),
    Key("append", (96, 96), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d96", "append_bfloat16_d96.metal", 1, 32, 1),
    ),
    Key("append", (96, 96), "float32", None, False, False, ""): (
        Variant("append_float32_d96", "append_float32_d96.metal", 1, 32, 1),
    ),
    Key("append", (104, 104), "float16", None, False, False, ""): (
        Variant("append_float16_d104", "append_float16_d104.metal", 1, 32, 1),
    ),
    Key("append", (104, 104), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d104", "append_bfloat16_d104.metal", 1, 32, 1),
    ),
    Key("append", (104, 104), "float32", None, False, False, ""): (
        Variant("append_float32_d104", "append_float32_d104.metal", 1, 32, 1),
    ),
    Key("append", (112, 112), "float16", None, False, False, ""): (
        Variant("append_float16_d112", "append_float16_d112.metal", 1, 32, 1),
    ),
    Key("append", (112, 112), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d112", "append_bfloat16_d112.metal", 1, 32, 1),
    ),
    Key("append", (112, 112), "float32", None, False, False, ""): (
        Variant("append_float32_d112", "append_float32_d112.metal", 1, 32, 1),
    ),
    Key("append", (128, 128), "float16", None, False, False, ""): (
        Variant("append_float16_d128", "append_float16_d128.metal", 1, 32, 1),
    ),
    Key("append", (128, 128), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d128", "append_bfloat16_d128.metal", 1, 32, 1),
    ),
    Key("append", (128, 128), "float32", None, False, False, ""): (
        Variant("append_float32_d128", "append_float32_d128.metal", 1, 32, 1),
    ),
    Key("append", (160, 160), "float16", None, False, False, ""): (
        Variant("append_float16_d160", "append_float16_d160.metal", 1, 32, 1),
    ),
    Key("append", (160, 160), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d160", "append_bfloat16_d160.metal", 1, 32, 1),
    ),
    Key("append", (160, 160), "float32", None, False, False, ""): (
        Variant("append_float32_d160", "append_float32_d160.metal", 1, 32, 1),
    ),
    Key("append", (192, 192), "float16", None, False, False, ""): (
        Variant("append_float16_d192", "append_float16_d192.metal", 1, 32, 1),
    ),
    Key("append", (192, 192), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d192", "append_bfloat16_d192.metal", 1, 32, 1),
    ),
    Key("append", (192, 192), "float32", None, False, False, ""): (
        Variant("append_float32_d192", "append_float32_d192.metal", 1, 32, 1),
    ),
    Key("append", (256, 256), "float16", None, False, False, ""): (
        Variant("append_float16_d256", "append_float16_d256.metal", 1, 32, 1),
    ),
    Key("append", (256, 256), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d256", "append_bfloat16_d256.metal", 1, 32, 1),
    ),
    Key("append", (256, 256), "float32", None, False, False, ""): (
        Variant("append_float32_d256", "append_float32_d256.metal", 1, 32, 1),
    ),
    Key("append", (96, 64), "float16", None, False, False, ""): (
        Variant("append_float16_d96v64", "append_float16_d96v64.metal", 1, 32, 1),
    ),
    Key("append", (96, 64), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d96v64", "append_bfloat16_d96v64.metal", 1, 32, 1),
    ),
    Key("append", (96, 64), "float32", None, False, False, ""): (
        Variant("append_float32_d96v64", "append_float32_d96v64.metal", 1, 32, 1),
    ),
    Key("append", (192, 128), "float16", None, False, False, ""): (
        Variant("append_float16_d192v128", "append_float16_d192v128.metal", 1, 32, 1),
    ),
    Key("append", (192, 128), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d192v128", "append_bfloat16_d192v128.metal", 1, 32, 1),
    ),
    Key("append", (192, 128), "float32", None, False, False, ""): (
        Variant("append_float32_d192v128", "append_float32_d192v128.metal", 1, 32, 1),
    ),
    Key("append", (512, 512), "float16", None, False, False, ""): (
        Variant("append_float16_d512", "append_float16_d512.metal", 1, 32, 1),
    ),
    Key("append", (512, 512), "bfloat16", None, False, False, ""): (
        Variant("append_bfloat16_d512", "append_bfloat16_d512.metal", 1, 32, 1),
    ),
    Key("append", (512, 512), "float32", None, False, False, ""): (
        Variant("append_float32_d512", "append_float32_d512.metal", 1, 32, 1),
    ),
    Key("mask_blocks", (0, 0), "any", None, False, False, ""): (
        Variant("mask_blocks", "mask_blocks.metal", 1, 256, 8),
    ),
    Key("backward_rows", (32, 32), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d32", "backward_rows_float16_d32.metal", 64, 256, 1),
    ),
    Key("backward_q", (32, 32), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d32_q64k32_full", "backward_q_float16_d32.metal", 64, 128, 32),
    ),
    Key("backward_q", (32, 32), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d32_q64k32_causal", "backward_q_float16_d32.metal", 64, 128, 32),
    ),
    Key("backward_q", (32, 32), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d32_q64k32_window", "backward_q_float16_d32.metal", 64, 128, 32),
    ),
    Key("backward_q", (32, 32), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d32_q32k32_dropout", "backward_q_float16_d32.metal", 32, 128, 32),
    ),
    Key("backward_q", (32, 32), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d32_q64k32_masked", "backward_q_float16_d32.metal", 64, 128, 32),
    ),
    Key("backward_mask", (32, 32), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d32_q64k32", "backward_mask_float16_d32.metal", 64, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d32_q16k64_full", "backward_kv_float16_d32.metal", 16, 128, 64),
    ),
    Key("backward_kv", (32, 32), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d32_q16k64_causal", "backward_kv_float16_d32.metal", 16, 128, 64),
    ),
    Key("backward_kv", (32, 32), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d32_q16k64_window", "backward_kv_float16_d32.metal", 16, 128, 64),
    ),
    Key("backward_kv", (32, 32), "float16", None, False, True, ""): (
        Variant("backward_kv_float16_d32_q16k32_dropout", "backward_kv_float16_d32.metal", 16, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d32_q16k64_masked", "backward_kv_float16_d32.metal", 16, 128, 64),
    ),
    Key("backward_rows", (32, 32), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d32", "backward_rows_bfloat16_d32.metal", 64, 256, 1),
    ),
    Key("backward_q", (32, 32), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d32_q64k32_full", "backward_q_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("backward_q", (32, 32), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d32_q64k32_causal", "backward_q_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("backward_q", (32, 32), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d32_q64k32_window", "backward_q_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("backward_q", (32, 32), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d32_q32k32_dropout", "backward_q_bfloat16_d32.metal", 32, 128, 32),
    ),
    Key("backward_q", (32, 32), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d32_q64k32_masked", "backward_q_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("backward_mask", (32, 32), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d32_q64k32", "backward_mask_bfloat16_d32.metal", 64, 128, 32),
    ),
    Key("backward_kv", (32, 32), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d32_q16k64_full", "backward_kv_bfloat16_d32.metal", 16, 128, 64),
    ),
    Key("backward_kv", (32, 32), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d32_q16k64_causal", "backward_kv_bfloat16_d32.metal", 16, 128, 64),
    ),
    Key("backward_kv", (32, 32), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d32_q16k64_window", "backward_kv_bfloat16_d32.metal", 16, 128, 64),
    ),
    Key("backward_kv", (32, 32), "bfloat16", None, False, True, ""): (
        Variant("backward_kv_bfloat16_d32_q16k32_dropout", "backward_kv_bfloat16_d32.metal", 16, 128, 32),
    ),
    Key("backward_kv", (32, 32), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d32_q16k64_masked", "backward_kv_bfloat16_d32.metal", 16, 128, 64),
    ),
    Key("backward_rows", (32, 32), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d32", "backward_rows_float32_d32.metal", 64, 256, 1),
    ),
    Key("backward_q", (32, 32), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d32_q32k32_full", "backward_q_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_q", (32, 32), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d32_q32k32_causal", "backward_q_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_q", (32, 32), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d32_q32k32_window", "backward_q_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_q", (32, 32), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d32_q32k32_dropout", "backward_q_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_q", (32, 32), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d32_q32k32_masked", "backward_q_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_mask", (32, 32), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d32_q32k32", "backward_mask_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d32_q32k32_full", "backward_kv_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d32_q32k32_causal", "backward_kv_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d32_q32k32_window", "backward_kv_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d32_q32k32_dropout", "backward_kv_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_kv", (32, 32), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d32_q32k32_masked", "backward_kv_float32_d32.metal", 32, 128, 32),
    ),
    Key("backward_rows", (40, 40), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d40", "backward_rows_float16_d40.metal", 64, 256, 1),
    ),
    Key("backward_q", (40, 40), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d40_q64k32_full", "backward_q_float16_d40.metal", 64, 128, 32),
    ),
    Key("backward_q", (40, 40), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d40_q64k32_causal", "backward_q_float16_d40.metal", 64, 128, 32),
    ),
    Key("backward_q", (40, 40), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d40_q64k32_window", "backward_q_float16_d40.metal", 64, 128, 32),
    ),
    Key("backward_q", (40, 40), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d40_q32k32_dropout", "backward_q_float16_d40.metal", 32, 128, 32),
    ),
    Key("backward_q", (40, 40), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d40_q64k32_masked", "backward_q_float16_d40.metal", 64, 128, 32),
    ),
    Key("backward_mask", (40, 40), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d40_q64k32", "backward_mask_float16_d40.metal", 64, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d40_q32k32_full", "backward_kv_float16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d40_q32k32_causal", "backward_kv_float16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d40_q32k32_window", "backward_kv_float16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float16", None, False, True, ""): (
        Variant("backward_kv_float16_d40_q32k32_dropout", "backward_kv_float16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d40_q32k32_masked", "backward_kv_float16_d40.metal", 32, 128, 32),
    ),
    Key("backward_rows", (40, 40), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d40", "backward_rows_bfloat16_d40.metal", 64, 256, 1),
    ),
    Key("backward_q", (40, 40), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d40_q64k32_full", "backward_q_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("backward_q", (40, 40), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d40_q64k32_causal", "backward_q_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("backward_q", (40, 40), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d40_q64k32_window", "backward_q_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("backward_q", (40, 40), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d40_q32k32_dropout", "backward_q_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("backward_q", (40, 40), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d40_q64k32_masked", "backward_q_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("backward_mask", (40, 40), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d40_q64k32", "backward_mask_bfloat16_d40.metal", 64, 128, 32),
    ),
    Key("backward_kv", (40, 40), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d40_q32k32_full", "backward_kv_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d40_q32k32_causal", "backward_kv_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d40_q32k32_window", "backward_kv_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "bfloat16", None, False, True, ""): (
        Variant("backward_kv_bfloat16_d40_q32k32_dropout", "backward_kv_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d40_q32k32_masked", "backward_kv_bfloat16_d40.metal", 32, 128, 32),
    ),
    Key("backward_rows", (40, 40), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d40", "backward_rows_float32_d40.metal", 64, 256, 1),
    ),
    Key("backward_q", (40, 40), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d40_q32k32_full", "backward_q_float32_d40.metal", 32, 128, 32),
    ),
    Key("backward_q", (40, 40), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d40_q32k32_causal", "backward_q_float32_d40.metal", 32, 128, 32),
    ),
    Key("backward_q", (40, 40), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d40_q32k32_window", "backward_q_float32_d40.metal", 32, 128, 32),
    ),
    Key("backward_q", (40, 40), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d40_q32k32_dropout", "backward_q_float32_d40.metal", 32, 128, 32),
    ),
    Key("backward_q", (40, 40), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d40_q32k32_masked", "backward_q_float32_d40.metal", 32, 128, 32),
    ),
    Key("backward_mask", (40, 40), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d40_q32k32", "backward_mask_float32_d40.metal", 32, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d40_q16k32_full", "backward_kv_float32_d40.metal", 16, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d40_q16k32_causal", "backward_kv_float32_d40.metal", 16, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d40_q16k32_window", "backward_kv_float32_d40.metal", 16, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d40_q16k32_dropout", "backward_kv_float32_d40.metal", 16, 128, 32),
    ),
    Key("backward_kv", (40, 40), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d40_q16k32_masked", "backward_kv_float32_d40.metal", 16, 128, 32),
    ),
    Key("backward_rows", (48, 48), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d48", "backward_rows_float16_d48.metal", 64, 256, 1),
    ),
    Key("backward_q", (48, 48), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d48_q64k32_full", "backward_q_float16_d48.metal", 64, 128, 32),
    ),
    Key("backward_q", (48, 48), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d48_q64k32_causal", "backward_q_float16_d48.metal", 64, 128, 32),
    ),
    Key("backward_q", (48, 48), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d48_q64k32_window", "backward_q_float16_d48.metal", 64, 128, 32),
    ),
    Key("backward_q", (48, 48), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d48_q32k32_dropout", "backward_q_float16_d48.metal", 32, 128, 32),
    ),
    Key("backward_q", (48, 48), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d48_q64k32_masked", "backward_q_float16_d48.metal", 64, 128, 32),
    ),
    Key("backward_mask", (48, 48), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d48_q64k32", "backward_mask_float16_d48.metal", 64, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d48_q32k32_full", "backward_kv_float16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d48_q32k32_causal", "backward_kv_float16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d48_q32k32_window", "backward_kv_float16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float16", None, False, True, ""): (
        Variant("backward_kv_float16_d48_q32k32_dropout", "backward_kv_float16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d48_q32k32_masked", "backward_kv_float16_d48.metal", 32, 128, 32),
    ),
    Key("backward_rows", (48, 48), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d48", "backward_rows_bfloat16_d48.metal", 64, 256, 1),
    ),
    Key("backward_q", (48, 48), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d48_q64k32_full", "backward_q_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("backward_q", (48, 48), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d48_q64k32_causal", "backward_q_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("backward_q", (48, 48), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d48_q64k32_window", "backward_q_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("backward_q", (48, 48), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d48_q32k32_dropout", "backward_q_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("backward_q", (48, 48), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d48_q64k32_masked", "backward_q_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("backward_mask", (48, 48), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d48_q64k32", "backward_mask_bfloat16_d48.metal", 64, 128, 32),
    ),
    Key("backward_kv", (48, 48), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d48_q32k32_full", "backward_kv_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d48_q32k32_causal", "backward_kv_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d48_q32k32_window", "backward_kv_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "bfloat16", None, False, True, ""): (
        Variant("backward_kv_bfloat16_d48_q32k32_dropout", "backward_kv_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d48_q32k32_masked", "backward_kv_bfloat16_d48.metal", 32, 128, 32),
    ),
    Key("backward_rows", (48, 48), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d48", "backward_rows_float32_d48.metal", 64, 256, 1),
    ),
    Key("backward_q", (48, 48), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d48_q32k32_full", "backward_q_float32_d48.metal", 32, 128, 32),
    ),
    Key("backward_q", (48, 48), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d48_q32k32_causal", "backward_q_float32_d48.metal", 32, 128, 32),
    ),
    Key("backward_q", (48, 48), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d48_q32k32_window", "backward_q_float32_d48.metal", 32, 128, 32),
    ),
    Key("backward_q", (48, 48), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d48_q32k32_dropout", "backward_q_float32_d48.metal", 32, 128, 32),
    ),
    Key("backward_q", (48, 48), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d48_q32k32_masked", "backward_q_float32_d48.metal", 32, 128, 32),
    ),
    Key("backward_mask", (48, 48), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d48_q32k32", "backward_mask_float32_d48.metal", 32, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d48_q16k32_full", "backward_kv_float32_d48.metal", 16, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d48_q16k32_causal", "backward_kv_float32_d48.metal", 16, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d48_q16k32_window", "backward_kv_float32_d48.metal", 16, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d48_q16k32_dropout", "backward_kv_float32_d48.metal", 16, 128, 32),
    ),
    Key("backward_kv", (48, 48), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d48_q16k32_masked", "backward_kv_float32_d48.metal", 16, 128, 32),
    ),
    Key("backward_rows", (64, 64), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d64", "backward_rows_float16_d64.metal", 64, 256, 1),
    ),
    Key("backward_q", (64, 64), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d64_q64k32_full", "backward_q_float16_d64.metal", 64, 128, 32),
    ),
    Key("backward_q", (64, 64), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d64_q64k32_causal", "backward_q_float16_d64.metal", 64, 128, 32),
    ),
    Key("backward_q", (64, 64), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d64_q64k32_window", "backward_q_float16_d64.metal", 64, 128, 32),
    ),
    Key("backward_q", (64, 64), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d64_q32k32_dropout", "backward_q_float16_d64.metal", 32, 128, 32),
    ),
    Key("backward_q", (64, 64), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d64_q64k32_masked", "backward_q_float16_d64.metal", 64, 128, 32),
    ),
    Key("backward_mask", (64, 64), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d64_q64k32", "backward_mask_float16_d64.metal", 64, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d64_q32k32_full", "backward_kv_float16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d64_q32k32_causal", "backward_kv_float16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d64_q32k32_window", "backward_kv_float16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float16", None, False, True, ""): (
        Variant("backward_kv_float16_d64_q32k32_dropout", "backward_kv_float16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d64_q32k32_masked", "backward_kv_float16_d64.metal", 32, 128, 32),
    ),
    Key("backward_rows", (64, 64), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d64", "backward_rows_bfloat16_d64.metal", 64, 256, 1),
    ),
    Key("backward_q", (64, 64), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d64_q64k32_full", "backward_q_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("backward_q", (64, 64), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d64_q64k32_causal", "backward_q_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("backward_q", (64, 64), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d64_q64k32_window", "backward_q_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("backward_q", (64, 64), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d64_q32k32_dropout", "backward_q_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("backward_q", (64, 64), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d64_q64k32_masked", "backward_q_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("backward_mask", (64, 64), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d64_q64k32", "backward_mask_bfloat16_d64.metal", 64, 128, 32),
    ),
    Key("backward_kv", (64, 64), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d64_q32k32_full", "backward_kv_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d64_q32k32_causal", "backward_kv_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d64_q32k32_window", "backward_kv_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "bfloat16", None, False, True, ""): (
        Variant("backward_kv_bfloat16_d64_q32k32_dropout", "backward_kv_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d64_q32k32_masked", "backward_kv_bfloat16_d64.metal", 32, 128, 32),
    ),
    Key("backward_rows", (64, 64), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d64", "backward_rows_float32_d64.metal", 64, 256, 1),
    ),
    Key("backward_q", (64, 64), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d64_q32k32_full", "backward_q_float32_d64.metal", 32, 128, 32),
    ),
    Key("backward_q", (64, 64), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d64_q32k32_causal", "backward_q_float32_d64.metal", 32, 128, 32),
    ),
    Key("backward_q", (64, 64), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d64_q32k32_window", "backward_q_float32_d64.metal", 32, 128, 32),
    ),
    Key("backward_q", (64, 64), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d64_q32k32_dropout", "backward_q_float32_d64.metal", 32, 128, 32),
    ),
    Key("backward_q", (64, 64), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d64_q32k32_masked", "backward_q_float32_d64.metal", 32, 128, 32),
    ),
    Key("backward_mask", (64, 64), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d64_q32k32", "backward_mask_float32_d64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d64_q16k32_full", "backward_kv_float32_d64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d64_q16k32_causal", "backward_kv_float32_d64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d64_q16k32_window", "backward_kv_float32_d64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d64_q16k32_dropout", "backward_kv_float32_d64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (64, 64), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d64_q16k32_masked", "backward_kv_float32_d64.metal", 16, 128, 32),
    ),
    Key("backward_rows", (72, 72), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d72", "backward_rows_float16_d72.metal", 64, 256, 1),
    ),
    Key("backward_q", (72, 72), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d72_q32k32_full", "backward_q_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d72_q32k32_causal", "backward_q_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d72_q32k32_window", "backward_q_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d72_q32k32_dropout", "backward_q_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d72_q32k32_masked", "backward_q_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_mask", (72, 72), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d72_q32k32", "backward_mask_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d72_q32k32_full", "backward_kv_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d72_q32k32_causal", "backward_kv_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d72_q32k32_window", "backward_kv_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_k", (72, 72), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d72_q32k32_dropout", "backward_k_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_v", (72, 72), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d72_q32k32_dropout", "backward_v_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d72_q32k32_masked", "backward_kv_float16_d72.metal", 32, 128, 32),
    ),
    Key("backward_rows", (72, 72), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d72", "backward_rows_bfloat16_d72.metal", 64, 256, 1),
    ),
    Key("backward_q", (72, 72), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d72_q32k32_full", "backward_q_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d72_q32k32_causal", "backward_q_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d72_q32k32_window", "backward_q_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d72_q32k32_dropout", "backward_q_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_q", (72, 72), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d72_q32k32_masked", "backward_q_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_mask", (72, 72), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d72_q32k32", "backward_mask_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d72_q32k32_full", "backward_kv_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d72_q32k32_causal", "backward_kv_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d72_q32k32_window", "backward_kv_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_k", (72, 72), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d72_q32k32_dropout", "backward_k_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_v", (72, 72), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d72_q32k32_dropout", "backward_v_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_kv", (72, 72), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d72_q32k32_masked", "backward_kv_bfloat16_d72.metal", 32, 128, 32),
    ),
    Key("backward_rows", (72, 72), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d72", "backward_rows_float32_d72.metal", 64, 256, 1),
    ),
    Key("backward_q", (72, 72), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d72_q32k16_full", "backward_q_float32_d72.metal", 32, 128, 16),
    ),
    Key("backward_q", (72, 72), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d72_q32k16_causal", "backward_q_float32_d72.metal", 32, 128, 16),
    ),
    Key("backward_q", (72, 72), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d72_q32k16_window", "backward_q_float32_d72.metal", 32, 128, 16),
    ),
    Key("backward_q", (72, 72), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d72_q32k16_dropout", "backward_q_float32_d72.metal", 32, 128, 16),
    ),
    Key("backward_q", (72, 72), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d72_q32k16_masked", "backward_q_float32_d72.metal", 32, 128, 16),
    ),
    Key("backward_mask", (72, 72), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d72_q32k16", "backward_mask_float32_d72.metal", 32, 128, 16),
    ),
    Key("backward_kv", (72, 72), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d72_q16k32_full", "backward_kv_float32_d72.metal", 16, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d72_q16k32_causal", "backward_kv_float32_d72.metal", 16, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d72_q16k32_window", "backward_kv_float32_d72.metal", 16, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d72_q16k32_dropout", "backward_kv_float32_d72.metal", 16, 128, 32),
    ),
    Key("backward_kv", (72, 72), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d72_q16k32_masked", "backward_kv_float32_d72.metal", 16, 128, 32),
    ),
    Key("backward_rows", (80, 80), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d80", "backward_rows_float16_d80.metal", 64, 256, 1),
    ),
    Key("backward_q", (80, 80), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d80_q32k32_full", "backward_q_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d80_q32k32_causal", "backward_q_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d80_q32k32_window", "backward_q_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d80_q32k32_dropout", "backward_q_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d80_q32k32_masked", "backward_q_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_mask", (80, 80), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d80_q32k32", "backward_mask_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d80_q32k32_full", "backward_kv_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d80_q32k32_causal", "backward_kv_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d80_q32k32_window", "backward_kv_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_k", (80, 80), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d80_q32k32_dropout", "backward_k_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_v", (80, 80), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d80_q32k32_dropout", "backward_v_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d80_q32k32_masked", "backward_kv_float16_d80.metal", 32, 128, 32),
    ),
    Key("backward_rows", (80, 80), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d80", "backward_rows_bfloat16_d80.metal", 64, 256, 1),
    ),
    Key("backward_q", (80, 80), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d80_q32k32_full", "backward_q_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d80_q32k32_causal", "backward_q_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d80_q32k32_window", "backward_q_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d80_q32k32_dropout", "backward_q_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_q", (80, 80), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d80_q32k32_masked", "backward_q_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_mask", (80, 80), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d80_q32k32", "backward_mask_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d80_q32k32_full", "backward_kv_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d80_q32k32_causal", "backward_kv_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d80_q32k32_window", "backward_kv_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_k", (80, 80), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d80_q32k32_dropout", "backward_k_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_v", (80, 80), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d80_q32k32_dropout", "backward_v_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_kv", (80, 80), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d80_q32k32_masked", "backward_kv_bfloat16_d80.metal", 32, 128, 32),
    ),
    Key("backward_rows", (80, 80), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d80", "backward_rows_float32_d80.metal", 64, 256, 1),
    ),
    Key("backward_q", (80, 80), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d80_q32k16_full", "backward_q_float32_d80.metal", 32, 128, 16),
    ),
    Key("backward_q", (80, 80), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d80_q32k16_causal", "backward_q_float32_d80.metal", 32, 128, 16),
    ),
    Key("backward_q", (80, 80), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d80_q32k16_window", "backward_q_float32_d80.metal", 32, 128, 16),
    ),
    Key("backward_q", (80, 80), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d80_q32k16_dropout", "backward_q_float32_d80.metal", 32, 128, 16),
    ),
    Key("backward_q", (80, 80), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d80_q32k16_masked", "backward_q_float32_d80.metal", 32, 128, 16),
    ),
    Key("backward_mask", (80, 80), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d80_q32k16", "backward_mask_float32_d80.metal", 32, 128, 16),
    ),
    Key("backward_kv", (80, 80), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d80_q16k32_full", "backward_kv_float32_d80.metal", 16, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d80_q16k32_causal", "backward_kv_float32_d80.metal", 16, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d80_q16k32_window", "backward_kv_float32_d80.metal", 16, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d80_q16k32_dropout", "backward_kv_float32_d80.metal", 16, 128, 32),
    ),
    Key("backward_kv", (80, 80), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d80_q16k32_masked", "backward_kv_float32_d80.metal", 16, 128, 32),
    ),
    Key("backward_rows", (88, 88), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d88", "backward_rows_float16_d88.metal", 64, 256, 1),
    ),
    Key("backward_q", (88, 88), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d88_q32k32_full", "backward_q_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d88_q32k32_causal", "backward_q_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d88_q32k32_window", "backward_q_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d88_q32k32_dropout", "backward_q_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d88_q32k32_masked", "backward_q_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_mask", (88, 88), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d88_q32k32", "backward_mask_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d88_q32k32_full", "backward_kv_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d88_q32k32_causal", "backward_kv_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d88_q32k32_window", "backward_kv_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_k", (88, 88), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d88_q32k32_dropout", "backward_k_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_v", (88, 88), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d88_q32k32_dropout", "backward_v_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d88_q32k32_masked", "backward_kv_float16_d88.metal", 32, 128, 32),
    ),
    Key("backward_rows", (88, 88), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d88", "backward_rows_bfloat16_d88.metal", 64, 256, 1),
    ),
    Key("backward_q", (88, 88), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d88_q32k32_full", "backward_q_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d88_q32k32_causal", "backward_q_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d88_q32k32_window", "backward_q_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d88_q32k32_dropout", "backward_q_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_q", (88, 88), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d88_q32k32_masked", "backward_q_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_mask", (88, 88), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d88_q32k32", "backward_mask_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d88_q32k32_full", "backward_kv_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d88_q32k32_causal", "backward_kv_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d88_q32k32_window", "backward_kv_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_k", (88, 88), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d88_q32k32_dropout", "backward_k_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_v", (88, 88), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d88_q32k32_dropout", "backward_v_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_kv", (88, 88), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d88_q32k32_masked", "backward_kv_bfloat16_d88.metal", 32, 128, 32),
    ),
    Key("backward_rows", (88, 88), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d88", "backward_rows_float32_d88.metal", 64, 256, 1),
    ),
    Key("backward_q", (88, 88), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d88_q32k16_full", "backward_q_float32_d88.metal", 32, 128, 16),
    ),
    Key("backward_q", (88, 88), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d88_q32k16_causal", "backward_q_float32_d88.metal", 32, 128, 16),
    ),
    Key("backward_q", (88, 88), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d88_q32k16_window", "backward_q_float32_d88.metal", 32, 128, 16),
    ),
    Key("backward_q", (88, 88), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d88_q32k16_dropout", "backward_q_float32_d88.metal", 32, 128, 16),
    ),
    Key("backward_q", (88, 88), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d88_q32k16_masked", "backward_q_float32_d88.metal", 32, 128, 16),
    ),
    Key("backward_mask", (88, 88), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d88_q32k16", "backward_mask_float32_d88.metal", 32, 128, 16),
    ),
    Key("backward_kv", (88, 88), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d88_q16k32_full", "backward_kv_float32_d88.metal", 16, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d88_q16k32_causal", "backward_kv_float32_d88.metal", 16, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d88_q16k32_window", "backward_kv_float32_d88.metal", 16, 128, 32),
    ),
    Key("backward_k", (88, 88), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d88_q16k32_dropout", "backward_k_float32_d88.metal", 16, 128, 32),
    ),
    Key("backward_v", (88, 88), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d88_q16k32_dropout", "backward_v_float32_d88.metal", 16, 128, 32),
    ),
    Key("backward_kv", (88, 88), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d88_q16k32_masked", "backward_kv_float32_d88.metal", 16, 128, 32),
    ),
    Key("backward_rows", (96, 96), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d96", "backward_rows_float16_d96.metal", 64, 256, 1),
    ),
    Key("backward_q", (96, 96), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d96_q32k32_full", "backward_q_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d96_q32k32_causal", "backward_q_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d96_q32k32_window", "backward_q_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d96_q32k32_dropout", "backward_q_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d96_q32k32_masked", "backward_q_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_mask", (96, 96), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d96_q32k32", "backward_mask_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d96_q32k32_full", "backward_kv_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d96_q32k32_causal", "backward_kv_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d96_q32k32_window", "backward_kv_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_k", (96, 96), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d96_q32k32_dropout", "backward_k_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_v", (96, 96), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d96_q32k32_dropout", "backward_v_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d96_q32k32_masked", "backward_kv_float16_d96.metal", 32, 128, 32),
    ),
    Key("backward_rows", (96, 96), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d96", "backward_rows_bfloat16_d96.metal", 64, 256, 1),
    ),
    Key("backward_q", (96, 96), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d96_q32k32_full", "backward_q_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d96_q32k32_causal", "backward_q_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d96_q32k32_window", "backward_q_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d96_q32k32_dropout", "backward_q_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 96), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d96_q32k32_masked", "backward_q_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_mask", (96, 96), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d96_q32k32", "backward_mask_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d96_q32k32_full", "backward_kv_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d96_q32k32_causal", "backward_kv_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d96_q32k32_window", "backward_kv_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_k", (96, 96), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d96_q32k32_dropout", "backward_k_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_v", (96, 96), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d96_q32k32_dropout", "backward_v_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 96), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d96_q32k32_masked", "backward_kv_bfloat16_d96.metal", 32, 128, 32),
    ),
    Key("backward_rows", (96, 96), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d96", "backward_rows_float32_d96.metal", 64, 256, 1),
    ),
    Key("backward_q", (96, 96), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d96_q32k16_full", "backward_q_float32_d96.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 96), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d96_q32k16_causal", "backward_q_float32_d96.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 96), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d96_q32k16_window", "backward_q_float32_d96.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 96), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d96_q32k16_dropout", "backward_q_float32_d96.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 96), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d96_q32k16_masked", "backward_q_float32_d96.metal", 32, 128, 16),
    ),
    Key("backward_mask", (96, 96), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d96_q32k16", "backward_mask_float32_d96.metal", 32, 128, 16),
    ),
    Key("backward_kv", (96, 96), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d96_q16k32_full", "backward_kv_float32_d96.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d96_q16k32_causal", "backward_kv_float32_d96.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d96_q16k32_window", "backward_kv_float32_d96.metal", 16, 128, 32),
    ),
    Key("backward_k", (96, 96), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d96_q16k32_dropout", "backward_k_float32_d96.metal", 16, 128, 32),
    ),
    Key("backward_v", (96, 96), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d96_q16k32_dropout", "backward_v_float32_d96.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 96), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d96_q16k32_masked", "backward_kv_float32_d96.metal", 16, 128, 32),
    ),
    Key("backward_rows", (104, 104), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d104", "backward_rows_float16_d104.metal", 64, 256, 1),
    ),
    Key("backward_q", (104, 104), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d104_q32k32_full", "backward_q_float16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d104_q32k32_causal", "backward_q_float16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d104_q32k32_window", "backward_q_float16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d104_q32k32_dropout", "backward_q_float16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d104_q32k32_masked", "backward_q_float16_d104.metal", 32, 128, 32),
    ),
    Key("backward_mask", (104, 104), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d104_q32k32", "backward_mask_float16_d104.metal", 32, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d104_q16k32_full", "backward_kv_float16_d104.metal", 16, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d104_q16k32_causal", "backward_kv_float16_d104.metal", 16, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d104_q16k32_window", "backward_kv_float16_d104.metal", 16, 128, 32),
    ),
    Key("backward_k", (104, 104), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d104_q16k32_dropout", "backward_k_float16_d104.metal", 16, 128, 32),
    ),
    Key("backward_v", (104, 104), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d104_q16k32_dropout", "backward_v_float16_d104.metal", 16, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d104_q16k32_masked", "backward_kv_float16_d104.metal", 16, 128, 32),
    ),
    Key("backward_rows", (104, 104), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d104", "backward_rows_bfloat16_d104.metal", 64, 256, 1),
    ),
    Key("backward_q", (104, 104), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d104_q32k32_full", "backward_q_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d104_q32k32_causal", "backward_q_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d104_q32k32_window", "backward_q_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d104_q32k32_dropout", "backward_q_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("backward_q", (104, 104), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d104_q32k32_masked", "backward_q_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("backward_mask", (104, 104), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d104_q32k32", "backward_mask_bfloat16_d104.metal", 32, 128, 32),
    ),
    Key("backward_kv", (104, 104), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d104_q16k32_full", "backward_kv_bfloat16_d104.metal", 16, 128, 32),
    ),
    Key("backward_kv", (104, 104), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d104_q16k32_causal", "backward_kv_bfloat16_d104.metal", 16, 128, 32),
    ),
    Key("backward_kv", (104, 104), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d104_q16k32_window", "backward_kv_bfloat16_d104.metal", 16, 128, 32),
    ),
    Key("backward_k", (104, 104), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d104_q16k32_dropout", "backward_k_bfloat16_d104.metal", 16, 128, 32),
    ),
    Key("backward_v", (104, 104), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d104_q16k32_dropout", "backward_v_bfloat16_d104.metal", 16, 128, 32),
    ),
    Key("backward_kv", (104, 104), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d104_q16k32_masked", "backward_kv_bfloat16_d104.metal", 16, 128, 32),
    ),
    Key("backward_rows", (104, 104), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d104", "backward_rows_float32_d104.metal", 64, 256, 1),
    ),
    Key("backward_q", (104, 104), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d104_q32k16_full", "backward_q_float32_d104.metal", 32, 128, 16),
    ),
    Key("backward_q", (104, 104), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d104_q32k16_causal", "backward_q_float32_d104.metal", 32, 128, 16),
    ),
    Key("backward_q", (104, 104), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d104_q32k16_window", "backward_q_float32_d104.metal", 32, 128, 16),
    ),
    Key("backward_q", (104, 104), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d104_q32k16_dropout", "backward_q_float32_d104.metal", 32, 128, 16),
    ),
    Key("backward_q", (104, 104), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d104_q32k16_masked", "backward_q_float32_d104.metal", 32, 128, 16),
    ),
    Key("backward_mask", (104, 104), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d104_q32k16", "backward_mask_float32_d104.metal", 32, 128, 16),
    ),
    Key("backward_kv", (104, 104), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d104_q8k32_full", "backward_kv_float32_d104.metal", 8, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d104_q8k32_causal", "backward_kv_float32_d104.metal", 8, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d104_q8k32_window", "backward_kv_float32_d104.metal", 8, 128, 32),
    ),
    Key("backward_k", (104, 104), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d104_q8k32_dropout", "backward_k_float32_d104.metal", 8, 128, 32),
    ),
    Key("backward_v", (104, 104), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d104_q8k32_dropout", "backward_v_float32_d104.metal", 8, 128, 32),
    ),
    Key("backward_kv", (104, 104), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d104_q8k32_masked", "backward_kv_float32_d104.metal", 8, 128, 32),
    ),
    Key("backward_rows", (112, 112), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d112", "backward_rows_float16_d112.metal", 64, 256, 1),
    ),
    Key("backward_q", (112, 112), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d112_q32k32_full", "backward_q_float16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d112_q32k32_causal", "backward_q_float16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d112_q32k32_window", "backward_q_float16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d112_q32k32_dropout", "backward_q_float16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d112_q32k32_masked", "backward_q_float16_d112.metal", 32, 128, 32),
    ),
    Key("backward_mask", (112, 112), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d112_q32k32", "backward_mask_float16_d112.metal", 32, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d112_q16k32_full", "backward_kv_float16_d112.metal", 16, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d112_q16k32_causal", "backward_kv_float16_d112.metal", 16, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d112_q16k32_window", "backward_kv_float16_d112.metal", 16, 128, 32),
    ),
    Key("backward_k", (112, 112), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d112_q16k32_dropout", "backward_k_float16_d112.metal", 16, 128, 32),
    ),
    Key("backward_v", (112, 112), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d112_q16k32_dropout", "backward_v_float16_d112.metal", 16, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d112_q16k32_masked", "backward_kv_float16_d112.metal", 16, 128, 32),
    ),
    Key("backward_rows", (112, 112), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d112", "backward_rows_bfloat16_d112.metal", 64, 256, 1),
    ),
    Key("backward_q", (112, 112), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d112_q32k32_full", "backward_q_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d112_q32k32_causal", "backward_q_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d112_q32k32_window", "backward_q_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d112_q32k32_dropout", "backward_q_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("backward_q", (112, 112), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d112_q32k32_masked", "backward_q_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("backward_mask", (112, 112), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d112_q32k32", "backward_mask_bfloat16_d112.metal", 32, 128, 32),
    ),
    Key("backward_kv", (112, 112), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d112_q16k32_full", "backward_kv_bfloat16_d112.metal", 16, 128, 32),
    ),
    Key("backward_kv", (112, 112), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d112_q16k32_causal", "backward_kv_bfloat16_d112.metal", 16, 128, 32),
    ),
    Key("backward_kv", (112, 112), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d112_q16k32_window", "backward_kv_bfloat16_d112.metal", 16, 128, 32),
    ),
    Key("backward_k", (112, 112), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d112_q16k32_dropout", "backward_k_bfloat16_d112.metal", 16, 128, 32),
    ),
    Key("backward_v", (112, 112), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d112_q16k32_dropout", "backward_v_bfloat16_d112.metal", 16, 128, 32),
    ),
    Key("backward_kv", (112, 112), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d112_q16k32_masked", "backward_kv_bfloat16_d112.metal", 16, 128, 32),
    ),
    Key("backward_rows", (112, 112), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d112", "backward_rows_float32_d112.metal", 64, 256, 1),
    ),
    Key("backward_q", (112, 112), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d112_q32k16_full", "backward_q_float32_d112.metal", 32, 128, 16),
    ),
    Key("backward_q", (112, 112), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d112_q32k16_causal", "backward_q_float32_d112.metal", 32, 128, 16),
    ),
    Key("backward_q", (112, 112), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d112_q32k16_window", "backward_q_float32_d112.metal", 32, 128, 16),
    ),
    Key("backward_q", (112, 112), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d112_q32k16_dropout", "backward_q_float32_d112.metal", 32, 128, 16),
    ),
    Key("backward_q", (112, 112), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d112_q32k16_masked", "backward_q_float32_d112.metal", 32, 128, 16),
    ),
    Key("backward_mask", (112, 112), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d112_q32k16", "backward_mask_float32_d112.metal", 32, 128, 16),
    ),
    Key("backward_kv", (112, 112), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d112_q8k32_full", "backward_kv_float32_d112.metal", 8, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d112_q8k32_causal", "backward_kv_float32_d112.metal", 8, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d112_q8k32_window", "backward_kv_float32_d112.metal", 8, 128, 32),
    ),
    Key("backward_k", (112, 112), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d112_q8k32_dropout", "backward_k_float32_d112.metal", 8, 128, 32),
    ),
    Key("backward_v", (112, 112), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d112_q8k32_dropout", "backward_v_float32_d112.metal", 8, 128, 32),
    ),
    Key("backward_kv", (112, 112), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d112_q8k32_masked", "backward_kv_float32_d112.metal", 8, 128, 32),
    ),
    Key("backward_rows", (128, 128), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d128", "backward_rows_float16_d128.metal", 64, 256, 1),
    ),
    Key("backward_q", (128, 128), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d128_q32k32_full", "backward_q_float16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d128_q32k32_causal", "backward_q_float16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d128_q32k32_window", "backward_q_float16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d128_q32k32_dropout", "backward_q_float16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d128_q32k32_masked", "backward_q_float16_d128.metal", 32, 128, 32),
    ),
    Key("backward_mask", (128, 128), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d128_q32k32", "backward_mask_float16_d128.metal", 32, 128, 32),
    ),
    Key("backward_kv", (128, 128), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d128_q16k32_full", "backward_kv_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_kv", (128, 128), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d128_q16k32_causal", "backward_kv_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_kv", (128, 128), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d128_q16k32_window", "backward_kv_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_k", (128, 128), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d128_q16k32_dropout", "backward_k_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_v", (128, 128), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d128_q16k32_dropout", "backward_v_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_k", (128, 128), "float16", "masked", False, False, ""): (
        Variant("backward_k_float16_d128_q16k32_masked", "backward_k_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_v", (128, 128), "float16", "masked", False, False, ""): (
        Variant("backward_v_float16_d128_q16k32_masked", "backward_v_float16_d128.metal", 16, 128, 32),
    ),
    Key("backward_rows", (128, 128), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d128", "backward_rows_bfloat16_d128.metal", 64, 256, 1),
    ),
    Key("backward_q", (128, 128), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d128_q32k32_full", "backward_q_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d128_q32k32_causal", "backward_q_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d128_q32k32_window", "backward_q_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d128_q32k32_dropout", "backward_q_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("backward_q", (128, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d128_q32k32_masked", "backward_q_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("backward_mask", (128, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d128_q32k32", "backward_mask_bfloat16_d128.metal", 32, 128, 32),
    ),
    Key("backward_kv", (128, 128), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d128_q16k32_full", "backward_kv_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_kv", (128, 128), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d128_q16k32_causal", "backward_kv_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_kv", (128, 128), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d128_q16k32_window", "backward_kv_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_k", (128, 128), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d128_q16k32_dropout", "backward_k_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_v", (128, 128), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d128_q16k32_dropout", "backward_v_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_k", (128, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_k_bfloat16_d128_q16k32_masked", "backward_k_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_v", (128, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_v_bfloat16_d128_q16k32_masked", "backward_v_bfloat16_d128.metal", 16, 128, 32),
    ),
    Key("backward_rows", (128, 128), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d128", "backward_rows_float32_d128.metal", 64, 256, 1),
    ),
    Key("backward_q", (128, 128), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d128_q32k16_full", "backward_q_float32_d128.metal", 32, 128, 16),
    ),
    Key("backward_q", (128, 128), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d128_q32k16_causal", "backward_q_float32_d128.metal", 32, 128, 16),
    ),
    Key("backward_q", (128, 128), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d128_q32k16_window", "backward_q_float32_d128.metal", 32, 128, 16),
    ),
    Key("backward_q", (128, 128), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d128_q32k16_dropout", "backward_q_float32_d128.metal", 32, 128, 16),
    ),
    Key("backward_q", (128, 128), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d128_q32k16_masked", "backward_q_float32_d128.metal", 32, 128, 16),
    ),
    Key("backward_mask", (128, 128), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d128_q32k16", "backward_mask_float32_d128.metal", 32, 128, 16),
    ),
    Key("backward_kv", (128, 128), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d128_q8k32_full", "backward_kv_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_kv", (128, 128), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d128_q8k32_causal", "backward_kv_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_kv", (128, 128), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d128_q8k32_window", "backward_kv_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_k", (128, 128), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d128_q8k32_dropout", "backward_k_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_v", (128, 128), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d128_q8k32_dropout", "backward_v_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_k", (128, 128), "float32", "masked", False, False, ""): (
        Variant("backward_k_float32_d128_q8k32_masked", "backward_k_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_v", (128, 128), "float32", "masked", False, False, ""): (
        Variant("backward_v_float32_d128_q8k32_masked", "backward_v_float32_d128.metal", 8, 128, 32),
    ),
    Key("backward_rows", (160, 160), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d160", "backward_rows_float16_d160.metal", 64, 256, 1),
    ),
    Key("backward_q", (160, 160), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d160_q32k16_full", "backward_q_float16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d160_q32k16_causal", "backward_q_float16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d160_q32k16_window", "backward_q_float16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d160_q32k16_dropout", "backward_q_float16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d160_q32k16_masked", "backward_q_float16_d160.metal", 32, 128, 16),
    ),
    Key("backward_mask", (160, 160), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d160_q32k16", "backward_mask_float16_d160.metal", 32, 128, 16),
    ),
    Key("backward_k", (160, 160), "float16", "full", False, False, ""): (
        Variant("backward_k_float16_d160_q16k32_full", "backward_k_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float16", "full", False, False, ""): (
        Variant("backward_v_float16_d160_q16k32_full", "backward_v_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float16", "causal", False, False, ""): (
        Variant("backward_k_float16_d160_q16k32_causal", "backward_k_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float16", "causal", False, False, ""): (
        Variant("backward_v_float16_d160_q16k32_causal", "backward_v_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float16", "window", False, False, ""): (
        Variant("backward_k_float16_d160_q16k32_window", "backward_k_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float16", "window", False, False, ""): (
        Variant("backward_v_float16_d160_q16k32_window", "backward_v_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d160_q16k32_dropout", "backward_k_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d160_q16k32_dropout", "backward_v_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float16", "masked", False, False, ""): (
        Variant("backward_k_float16_d160_q16k32_masked", "backward_k_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float16", "masked", False, False, ""): (
        Variant("backward_v_float16_d160_q16k32_masked", "backward_v_float16_d160.metal", 16, 128, 32),
    ),
    Key("backward_rows", (160, 160), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d160", "backward_rows_bfloat16_d160.metal", 64, 256, 1),
    ),
    Key("backward_q", (160, 160), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d160_q32k16_full", "backward_q_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d160_q32k16_causal", "backward_q_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d160_q32k16_window", "backward_q_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d160_q32k16_dropout", "backward_q_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d160_q32k16_masked", "backward_q_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("backward_mask", (160, 160), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d160_q32k16", "backward_mask_bfloat16_d160.metal", 32, 128, 16),
    ),
    Key("backward_k", (160, 160), "bfloat16", "full", False, False, ""): (
        Variant("backward_k_bfloat16_d160_q16k32_full", "backward_k_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "bfloat16", "full", False, False, ""): (
        Variant("backward_v_bfloat16_d160_q16k32_full", "backward_v_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "bfloat16", "causal", False, False, ""): (
        Variant("backward_k_bfloat16_d160_q16k32_causal", "backward_k_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "bfloat16", "causal", False, False, ""): (
        Variant("backward_v_bfloat16_d160_q16k32_causal", "backward_v_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "bfloat16", "window", False, False, ""): (
        Variant("backward_k_bfloat16_d160_q16k32_window", "backward_k_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "bfloat16", "window", False, False, ""): (
        Variant("backward_v_bfloat16_d160_q16k32_window", "backward_v_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d160_q16k32_dropout", "backward_k_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d160_q16k32_dropout", "backward_v_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "bfloat16", "masked", False, False, ""): (
        Variant("backward_k_bfloat16_d160_q16k32_masked", "backward_k_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "bfloat16", "masked", False, False, ""): (
        Variant("backward_v_bfloat16_d160_q16k32_masked", "backward_v_bfloat16_d160.metal", 16, 128, 32),
    ),
    Key("backward_rows", (160, 160), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d160", "backward_rows_float32_d160.metal", 64, 256, 1),
    ),
    Key("backward_q", (160, 160), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d160_q32k16_full", "backward_q_float32_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d160_q32k16_causal", "backward_q_float32_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d160_q32k16_window", "backward_q_float32_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d160_q32k16_dropout", "backward_q_float32_d160.metal", 32, 128, 16),
    ),
    Key("backward_q", (160, 160), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d160_q32k16_masked", "backward_q_float32_d160.metal", 32, 128, 16),
    ),
    Key("backward_mask", (160, 160), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d160_q32k16", "backward_mask_float32_d160.metal", 32, 128, 16),
    ),
    Key("backward_k", (160, 160), "float32", "full", False, False, ""): (
        Variant("backward_k_float32_d160_q16k32_full", "backward_k_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float32", "full", False, False, ""): (
        Variant("backward_v_float32_d160_q16k32_full", "backward_v_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float32", "causal", False, False, ""): (
        Variant("backward_k_float32_d160_q16k32_causal", "backward_k_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float32", "causal", False, False, ""): (
        Variant("backward_v_float32_d160_q16k32_causal", "backward_v_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float32", "window", False, False, ""): (
        Variant("backward_k_float32_d160_q16k32_window", "backward_k_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float32", "window", False, False, ""): (
        Variant("backward_v_float32_d160_q16k32_window", "backward_v_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d160_q16k32_dropout", "backward_k_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d160_q16k32_dropout", "backward_v_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_k", (160, 160), "float32", "masked", False, False, ""): (
        Variant("backward_k_float32_d160_q16k32_masked", "backward_k_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_v", (160, 160), "float32", "masked", False, False, ""): (
        Variant("backward_v_float32_d160_q16k32_masked", "backward_v_float32_d160.metal", 16, 128, 32),
    ),
    Key("backward_rows", (192, 192), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d192", "backward_rows_float16_d192.metal", 64, 256, 1),
    ),
    Key("backward_q", (192, 192), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d192_q32k16_full", "backward_q_float16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d192_q32k16_causal", "backward_q_float16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d192_q32k16_window", "backward_q_float16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d192_q32k16_dropout", "backward_q_float16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d192_q32k16_masked", "backward_q_float16_d192.metal", 32, 128, 16),
    ),
    Key("backward_mask", (192, 192), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d192_q32k16", "backward_mask_float16_d192.metal", 32, 128, 16),
    ),
    Key("backward_k", (192, 192), "float16", "full", False, False, ""): (
        Variant("backward_k_float16_d192_q16k32_full", "backward_k_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float16", "full", False, False, ""): (
        Variant("backward_v_float16_d192_q16k32_full", "backward_v_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float16", "causal", False, False, ""): (
        Variant("backward_k_float16_d192_q16k32_causal", "backward_k_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float16", "causal", False, False, ""): (
        Variant("backward_v_float16_d192_q16k32_causal", "backward_v_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float16", "window", False, False, ""): (
        Variant("backward_k_float16_d192_q16k32_window", "backward_k_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float16", "window", False, False, ""): (
        Variant("backward_v_float16_d192_q16k32_window", "backward_v_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d192_q16k32_dropout", "backward_k_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d192_q16k32_dropout", "backward_v_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float16", "masked", False, False, ""): (
        Variant("backward_k_float16_d192_q16k32_masked", "backward_k_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float16", "masked", False, False, ""): (
        Variant("backward_v_float16_d192_q16k32_masked", "backward_v_float16_d192.metal", 16, 128, 32),
    ),
    Key("backward_rows", (192, 192), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d192", "backward_rows_bfloat16_d192.metal", 64, 256, 1),
    ),
    Key("backward_q", (192, 192), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d192_q32k16_full", "backward_q_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d192_q32k16_causal", "backward_q_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d192_q32k16_window", "backward_q_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d192_q32k16_dropout", "backward_q_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d192_q32k16_masked", "backward_q_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("backward_mask", (192, 192), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d192_q32k16", "backward_mask_bfloat16_d192.metal", 32, 128, 16),
    ),
    Key("backward_k", (192, 192), "bfloat16", "full", False, False, ""): (
        Variant("backward_k_bfloat16_d192_q16k32_full", "backward_k_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "bfloat16", "full", False, False, ""): (
        Variant("backward_v_bfloat16_d192_q16k32_full", "backward_v_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "bfloat16", "causal", False, False, ""): (
        Variant("backward_k_bfloat16_d192_q16k32_causal", "backward_k_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "bfloat16", "causal", False, False, ""): (
        Variant("backward_v_bfloat16_d192_q16k32_causal", "backward_v_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "bfloat16", "window", False, False, ""): (
        Variant("backward_k_bfloat16_d192_q16k32_window", "backward_k_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "bfloat16", "window", False, False, ""): (
        Variant("backward_v_bfloat16_d192_q16k32_window", "backward_v_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d192_q16k32_dropout", "backward_k_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d192_q16k32_dropout", "backward_v_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "bfloat16", "masked", False, False, ""): (
        Variant("backward_k_bfloat16_d192_q16k32_masked", "backward_k_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "bfloat16", "masked", False, False, ""): (
        Variant("backward_v_bfloat16_d192_q16k32_masked", "backward_v_bfloat16_d192.metal", 16, 128, 32),
    ),
    Key("backward_rows", (192, 192), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d192", "backward_rows_float32_d192.metal", 64, 256, 1),
    ),
    Key("backward_q", (192, 192), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d192_q32k16_full", "backward_q_float32_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d192_q32k16_causal", "backward_q_float32_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d192_q32k16_window", "backward_q_float32_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d192_q32k16_dropout", "backward_q_float32_d192.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 192), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d192_q32k16_masked", "backward_q_float32_d192.metal", 32, 128, 16),
    ),
    Key("backward_mask", (192, 192), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d192_q32k16", "backward_mask_float32_d192.metal", 32, 128, 16),
    ),
    Key("backward_k", (192, 192), "float32", "full", False, False, ""): (
        Variant("backward_k_float32_d192_q16k32_full", "backward_k_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float32", "full", False, False, ""): (
        Variant("backward_v_float32_d192_q16k32_full", "backward_v_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float32", "causal", False, False, ""): (
        Variant("backward_k_float32_d192_q16k32_causal", "backward_k_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float32", "causal", False, False, ""): (
        Variant("backward_v_float32_d192_q16k32_causal", "backward_v_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float32", "window", False, False, ""): (
        Variant("backward_k_float32_d192_q16k32_window", "backward_k_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float32", "window", False, False, ""): (
        Variant("backward_v_float32_d192_q16k32_window", "backward_v_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d192_q16k32_dropout", "backward_k_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d192_q16k32_dropout", "backward_v_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 192), "float32", "masked", False, False, ""): (
        Variant("backward_k_float32_d192_q16k32_masked", "backward_k_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 192), "float32", "masked", False, False, ""): (
        Variant("backward_v_float32_d192_q16k32_masked", "backward_v_float32_d192.metal", 16, 128, 32),
    ),
    Key("backward_rows", (256, 256), "float16", None, True, False, ""): (
        Variant("backward_rows_float16_d256", "backward_rows_float16_d256.metal", 64, 256, 1),
    ),
    Key("backward_q", (256, 256), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d256_q32k16_full", "backward_q_float16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d256_q32k16_causal", "backward_q_float16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d256_q32k16_window", "backward_q_float16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d256_q32k16_dropout", "backward_q_float16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d256_q32k16_masked", "backward_q_float16_d256.metal", 32, 128, 16),
    ),
    Key("backward_mask", (256, 256), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d256_q32k16", "backward_mask_float16_d256.metal", 32, 128, 16),
    ),
    Key("backward_k", (256, 256), "float16", "full", False, False, ""): (
        Variant("backward_k_float16_d256_q16k32_full", "backward_k_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "float16", "full", False, False, ""): (
        Variant("backward_v_float16_d256_q16k32_full", "backward_v_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "float16", "causal", False, False, ""): (
        Variant("backward_k_float16_d256_q16k32_causal", "backward_k_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "float16", "causal", False, False, ""): (
        Variant("backward_v_float16_d256_q16k32_causal", "backward_v_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "float16", "window", False, False, ""): (
        Variant("backward_k_float16_d256_q16k32_window", "backward_k_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "float16", "window", False, False, ""): (
        Variant("backward_v_float16_d256_q16k32_window", "backward_v_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d256_q16k32_dropout", "backward_k_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d256_q16k32_dropout", "backward_v_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "float16", "masked", False, False, ""): (
        Variant("backward_k_float16_d256_q16k32_masked", "backward_k_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "float16", "masked", False, False, ""): (
        Variant("backward_v_float16_d256_q16k32_masked", "backward_v_float16_d256.metal", 16, 128, 32),
    ),
    Key("backward_rows", (256, 256), "bfloat16", None, True, False, ""): (
        Variant("backward_rows_bfloat16_d256", "backward_rows_bfloat16_d256.metal", 64, 256, 1),
    ),
    Key("backward_q", (256, 256), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d256_q32k16_full", "backward_q_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d256_q32k16_causal", "backward_q_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d256_q32k16_window", "backward_q_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d256_q32k16_dropout", "backward_q_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("backward_q", (256, 256), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d256_q32k16_masked", "backward_q_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("backward_mask", (256, 256), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d256_q32k16", "backward_mask_bfloat16_d256.metal", 32, 128, 16),
    ),
    Key("backward_k", (256, 256), "bfloat16", "full", False, False, ""): (
        Variant("backward_k_bfloat16_d256_q16k32_full", "backward_k_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "bfloat16", "full", False, False, ""): (
        Variant("backward_v_bfloat16_d256_q16k32_full", "backward_v_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "bfloat16", "causal", False, False, ""): (
        Variant("backward_k_bfloat16_d256_q16k32_causal", "backward_k_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "bfloat16", "causal", False, False, ""): (
        Variant("backward_v_bfloat16_d256_q16k32_causal", "backward_v_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "bfloat16", "window", False, False, ""): (
        Variant("backward_k_bfloat16_d256_q16k32_window", "backward_k_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "bfloat16", "window", False, False, ""): (
        Variant("backward_v_bfloat16_d256_q16k32_window", "backward_v_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d256_q16k32_dropout", "backward_k_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d256_q16k32_dropout", "backward_v_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_k", (256, 256), "bfloat16", "masked", False, False, ""): (
        Variant("backward_k_bfloat16_d256_q16k32_masked", "backward_k_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_v", (256, 256), "bfloat16", "masked", False, False, ""): (
        Variant("backward_v_bfloat16_d256_q16k32_masked", "backward_v_bfloat16_d256.metal", 16, 128, 32),
    ),
    Key("backward_rows", (256, 256), "float32", None, True, False, ""): (
        Variant("backward_rows_float32_d256", "backward_rows_float32_d256.metal", 64, 256, 1),
    ),
    Key("backward_q", (256, 256), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d256_q32k8_full", "backward_q_float32_d256.metal", 32, 128, 8),
    ),
    Key("backward_q", (256, 256), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d256_q32k8_causal", "backward_q_float32_d256.metal", 32, 128, 8),
    ),
    Key("backward_q", (256, 256), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d256_q32k8_window", "backward_q_float32_d256.metal", 32, 128, 8),
    ),
    Key("backward_q", (256, 256), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d256_q32k8_dropout", "backward_q_float32_d256.metal", 32, 128, 8),
    ),
    Key("backward_q", (256, 256), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d256_q32k8_masked", "backward_q_float32_d256.metal", 32, 128, 8),
    ),
    Key("backward_mask", (256, 256), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d256_q32k8", "backward_mask_float32_d256.metal", 32, 128, 8),
    ),
    Key("backward_k", (256, 256), "float32", "full", False, False, ""): (
        Variant("backward_k_float32_d256_q8k32_full", "backward_k_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_v", (256, 256), "float32", "full", False, False, ""): (
        Variant("backward_v_float32_d256_q8k32_full", "backward_v_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_k", (256, 256), "float32", "causal", False, False, ""): (
        Variant("backward_k_float32_d256_q8k32_causal", "backward_k_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_v", (256, 256), "float32", "causal", False, False, ""): (
        Variant("backward_v_float32_d256_q8k32_causal", "backward_v_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_k", (256, 256), "float32", "window", False, False, ""): (
        Variant("backward_k_float32_d256_q8k32_window", "backward_k_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_v", (256, 256), "float32", "window", False, False, ""): (
        Variant("backward_v_float32_d256_q8k32_window", "backward_v_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_k", (256, 256), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d256_q8k32_dropout", "backward_k_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_v", (256, 256), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d256_q8k32_dropout", "backward_v_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_k", (256, 256), "float32", "masked", False, False, ""): (
        Variant("backward_k_float32_d256_q8k32_masked", "backward_k_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_v", (256, 256), "float32", "masked", False, False, ""): (
        Variant("backward_v_float32_d256_q8k32_masked", "backward_v_float32_d256.metal", 8, 128, 32),
    ),
    Key("backward_q", (96, 64), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d96v64_q32k32_full", "backward_q_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d96v64_q32k32_causal", "backward_q_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d96v64_q32k32_window", "backward_q_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d96v64_q32k32_dropout", "backward_q_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d96v64_q32k32_masked", "backward_q_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_mask", (96, 64), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d96v64_q32k32", "backward_mask_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float16", "full", False, False, ""): (
        Variant("backward_kv_float16_d96v64_q32k32_full", "backward_kv_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float16", "causal", False, False, ""): (
        Variant("backward_kv_float16_d96v64_q32k32_causal", "backward_kv_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float16", "window", False, False, ""): (
        Variant("backward_kv_float16_d96v64_q32k32_window", "backward_kv_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_k", (96, 64), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d96v64_q32k32_dropout", "backward_k_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_v", (96, 64), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d96v64_q32k32_dropout", "backward_v_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float16", "masked", False, False, ""): (
        Variant("backward_kv_float16_d96v64_q32k32_masked", "backward_kv_float16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d96v64_q32k32_full", "backward_q_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d96v64_q32k32_causal", "backward_q_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d96v64_q32k32_window", "backward_q_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d96v64_q32k32_dropout", "backward_q_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d96v64_q32k32_masked", "backward_q_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_mask", (96, 64), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d96v64_q32k32", "backward_mask_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "bfloat16", "full", False, False, ""): (
        Variant("backward_kv_bfloat16_d96v64_q32k32_full", "backward_kv_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "bfloat16", "causal", False, False, ""): (
        Variant("backward_kv_bfloat16_d96v64_q32k32_causal", "backward_kv_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "bfloat16", "window", False, False, ""): (
        Variant("backward_kv_bfloat16_d96v64_q32k32_window", "backward_kv_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_k", (96, 64), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d96v64_q32k32_dropout", "backward_k_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_v", (96, 64), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d96v64_q32k32_dropout", "backward_v_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_kv", (96, 64), "bfloat16", "masked", False, False, ""): (
        Variant("backward_kv_bfloat16_d96v64_q32k32_masked", "backward_kv_bfloat16_d96v64.metal", 32, 128, 32),
    ),
    Key("backward_q", (96, 64), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d96v64_q32k16_full", "backward_q_float32_d96v64.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 64), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d96v64_q32k16_causal", "backward_q_float32_d96v64.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 64), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d96v64_q32k16_window", "backward_q_float32_d96v64.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 64), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d96v64_q32k16_dropout", "backward_q_float32_d96v64.metal", 32, 128, 16),
    ),
    Key("backward_q", (96, 64), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d96v64_q32k16_masked", "backward_q_float32_d96v64.metal", 32, 128, 16),
    ),
    Key("backward_mask", (96, 64), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d96v64_q32k16", "backward_mask_float32_d96v64.metal", 32, 128, 16),
    ),
    Key("backward_kv", (96, 64), "float32", "full", False, False, ""): (
        Variant("backward_kv_float32_d96v64_q16k32_full", "backward_kv_float32_d96v64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float32", "causal", False, False, ""): (
        Variant("backward_kv_float32_d96v64_q16k32_causal", "backward_kv_float32_d96v64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float32", "window", False, False, ""): (
        Variant("backward_kv_float32_d96v64_q16k32_window", "backward_kv_float32_d96v64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float32", None, False, True, ""): (
        Variant("backward_kv_float32_d96v64_q16k32_dropout", "backward_kv_float32_d96v64.metal", 16, 128, 32),
    ),
    Key("backward_kv", (96, 64), "float32", "masked", False, False, ""): (
        Variant("backward_kv_float32_d96v64_q16k32_masked", "backward_kv_float32_d96v64.metal", 16, 128, 32),
    ),
    Key("backward_q", (192, 128), "float16", "full", False, False, ""): (
        Variant("backward_q_float16_d192v128_q32k16_full", "backward_q_float16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float16", "causal", False, False, ""): (
        Variant("backward_q_float16_d192v128_q32k16_causal", "backward_q_float16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float16", "window", False, False, ""): (
        Variant("backward_q_float16_d192v128_q32k16_window", "backward_q_float16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float16", None, False, True, ""): (
        Variant("backward_q_float16_d192v128_q32k16_dropout", "backward_q_float16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float16", "masked", False, False, ""): (
        Variant("backward_q_float16_d192v128_q32k16_masked", "backward_q_float16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_mask", (192, 128), "float16", "masked", False, False, ""): (
        Variant("backward_mask_float16_d192v128_q32k16", "backward_mask_float16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_k", (192, 128), "float16", "full", False, False, ""): (
        Variant("backward_k_float16_d192v128_q16k32_full", "backward_k_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float16", "full", False, False, ""): (
        Variant("backward_v_float16_d192v128_q16k32_full", "backward_v_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float16", "causal", False, False, ""): (
        Variant("backward_k_float16_d192v128_q16k32_causal", "backward_k_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float16", "causal", False, False, ""): (
        Variant("backward_v_float16_d192v128_q16k32_causal", "backward_v_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float16", "window", False, False, ""): (
        Variant("backward_k_float16_d192v128_q16k32_window", "backward_k_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float16", "window", False, False, ""): (
        Variant("backward_v_float16_d192v128_q16k32_window", "backward_v_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float16", None, False, True, ""): (
        Variant("backward_k_float16_d192v128_q16k32_dropout", "backward_k_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float16", None, False, True, ""): (
        Variant("backward_v_float16_d192v128_q16k32_dropout", "backward_v_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float16", "masked", False, False, ""): (
        Variant("backward_k_float16_d192v128_q16k32_masked", "backward_k_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float16", "masked", False, False, ""): (
        Variant("backward_v_float16_d192v128_q16k32_masked", "backward_v_float16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_q", (192, 128), "bfloat16", "full", False, False, ""): (
        Variant("backward_q_bfloat16_d192v128_q32k16_full", "backward_q_bfloat16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "bfloat16", "causal", False, False, ""): (
        Variant("backward_q_bfloat16_d192v128_q32k16_causal", "backward_q_bfloat16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "bfloat16", "window", False, False, ""): (
        Variant("backward_q_bfloat16_d192v128_q32k16_window", "backward_q_bfloat16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "bfloat16", None, False, True, ""): (
        Variant("backward_q_bfloat16_d192v128_q32k16_dropout", "backward_q_bfloat16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_q_bfloat16_d192v128_q32k16_masked", "backward_q_bfloat16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_mask", (192, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_mask_bfloat16_d192v128_q32k16", "backward_mask_bfloat16_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_k", (192, 128), "bfloat16", "full", False, False, ""): (
        Variant("backward_k_bfloat16_d192v128_q16k32_full", "backward_k_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "bfloat16", "full", False, False, ""): (
        Variant("backward_v_bfloat16_d192v128_q16k32_full", "backward_v_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "bfloat16", "causal", False, False, ""): (
        Variant("backward_k_bfloat16_d192v128_q16k32_causal", "backward_k_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "bfloat16", "causal", False, False, ""): (
        Variant("backward_v_bfloat16_d192v128_q16k32_causal", "backward_v_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "bfloat16", "window", False, False, ""): (
        Variant("backward_k_bfloat16_d192v128_q16k32_window", "backward_k_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "bfloat16", "window", False, False, ""): (
        Variant("backward_v_bfloat16_d192v128_q16k32_window", "backward_v_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "bfloat16", None, False, True, ""): (
        Variant("backward_k_bfloat16_d192v128_q16k32_dropout", "backward_k_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "bfloat16", None, False, True, ""): (
        Variant("backward_v_bfloat16_d192v128_q16k32_dropout", "backward_v_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_k_bfloat16_d192v128_q16k32_masked", "backward_k_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "bfloat16", "masked", False, False, ""): (
        Variant("backward_v_bfloat16_d192v128_q16k32_masked", "backward_v_bfloat16_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_q", (192, 128), "float32", "full", False, False, ""): (
        Variant("backward_q_float32_d192v128_q32k16_full", "backward_q_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float32", "causal", False, False, ""): (
        Variant("backward_q_float32_d192v128_q32k16_causal", "backward_q_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float32", "window", False, False, ""): (
        Variant("backward_q_float32_d192v128_q32k16_window", "backward_q_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float32", None, False, True, ""): (
        Variant("backward_q_float32_d192v128_q32k16_dropout", "backward_q_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_q", (192, 128), "float32", "masked", False, False, ""): (
        Variant("backward_q_float32_d192v128_q32k16_masked", "backward_q_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_mask", (192, 128), "float32", "masked", False, False, ""): (
        Variant("backward_mask_float32_d192v128_q32k16", "backward_mask_float32_d192v128.metal", 32, 128, 16),
    ),
    Key("backward_k", (192, 128), "float32", "full", False, False, ""): (
        Variant("backward_k_float32_d192v128_q16k32_full", "backward_k_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float32", "full", False, False, ""): (
        Variant("backward_v_float32_d192v128_q16k32_full", "backward_v_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float32", "causal", False, False, ""): (
        Variant("backward_k_float32_d192v128_q16k32_causal", "backward_k_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float32", "causal", False, False, ""): (
        Variant("backward_v_float32_d192v128_q16k32_causal", "backward_v_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float32", "window", False, False, ""): (
        Variant("backward_k_float32_d192v128_q16k32_window", "backward_k_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float32", "window", False, False, ""): (
        Variant("backward_v_float32_d192v128_q16k32_window", "backward_v_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float32", None, False, True, ""): (
        Variant("backward_k_float32_d192v128_q16k32_dropout", "backward_k_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float32", None, False, True, ""): (
        Variant("backward_v_float32_d192v128_q16k32_dropout", "backward_v_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_k", (192, 128), "float32", "masked", False, False, ""): (
        Variant("backward_k_float32_d192v128_q16k32_masked", "backward_k_float32_d192v128.metal", 16, 128, 32),
    ),
    Key("backward_v", (192, 128), "float32", "masked", False, False, ""): (
        Variant("backward_v_float32_d192v128_q16k32_masked", "backward_v_float32_d192v128.metal", 16, 128, 32),
    ),
}

# Widths of kernels that take V from K: it is the first columns of K's rows.
LATENT = (
    (320, 256),
    (576, 512),
)

# dtype of a mask tensor -> what the kernels know it by
MASK_TYPES = {
    "bool": 1,
    "float16": 2,
    "bfloat16": 3,
    "float32": 4,
}

# dtype of K and V, where it is not that of Q -> what the kernels know it by
KV_TYPES = {
    "float16": 1,
    "bfloat16": 2,
}

# family -> Signature
SIGNATURES = {
    "mask_blocks": Signature(
        buffers=(
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
        },
        ints=(
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
            ("mask_heads", "i"),  # heads that the mask has, 1 if it is the same for all
            ("mask_rows", "i"),  # query rows that it has, 1 if it is the same for all
            ("mask_keys", "i"),  # keys that it has, 1 if it is the same for all
            ("tile_rows", "i"),  # query rows of a tile
            ("block_keys", "i"),  # keys of a block
            ("blocks", "i"),  # number of key blocks
            ("is_shared", "i"),  # 1: several heads or sequences have this state
        ),
        floats=(
        ),
    ),
    "prefill": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "out",  # output rows
            "lse",  # natural log-sum-exp of each row
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "sinks",  # attention sink of each query head: a logit
            "dropout_seed",  # two words: the key of dropout's random numbers
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
            "lse": "float32",
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "sinks": "float32",
            "dropout_seed": "int32",
            "attn_mask": "uint8",
            "mask_states": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("out_batch_stride", "q"),  # out: elements from one batch to the next
            ("out_row_stride", "q"),  # out: elements from one row to the next
            ("out_head_stride", "q"),  # out: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("state_batch_stride", "q"),  # mask_states: states from one batch to the next
            ("state_head_stride", "q"),  # mask_states: states from one head to the next
            ("state_tile_stride", "q"),  # mask_states: states from one tile to the next
            ("state_block_stride", "q"),  # mask_states: states from one block to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("wants_lse", "i"),  # 1: lse is written
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
            ("least_queries", "i"),  # packed: shorter sequences are left to decode
            ("has_sinks", "i"),  # 1: sinks are given
            ("keep_below", "i"),  # dropout: bits of a uint; a weight is kept if its random number is less
            ("kv_type", "i"),  # elements of K and V: 0 own, 1 float16, 2 bfloat16
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
            "keep_scale",  # 1 / (1 - dropout_p), which scales the weights that are kept
        ),
    ),
    "decode": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "out",  # output rows
            "lse",  # natural log-sum-exp of each row
            "partial_out",  # O of each split: (split, sequence, slot, head, head_dim)
            "partial_lse",  # base-2 log-sum-exp of each split: (split, sequence, slot, head)
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "sinks",  # attention sink of each query head: a logit
            "attn_mask",  # the mask's elements, of any type
        ),
        optional={
            "lse": "float32",
            "partial_out": "float32",
            "partial_lse": "float32",
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "sinks": "float32",
            "attn_mask": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("out_batch_stride", "q"),  # out: elements from one batch to the next
            ("out_row_stride", "q"),  # out: elements from one row to the next
            ("out_head_stride", "q"),  # out: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("wants_lse", "i"),  # 1: lse is written
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
            ("has_sinks", "i"),  # 1: sinks are given
            ("kv_heads", "i"),  # number of KV heads
            ("most_queries", "i"),  # packed: longer sequences are left to prefill
            ("splits", "i"),  # number of splits of the keys; 1: no partial results
            ("slots", "i"),  # queries per sequence that partial results have room for
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
        ),
    ),
    "combine": Signature(
        buffers=(
            "out",  # output rows
            "lse",  # natural log-sum-exp of each row
            "partial_out",  # O of each split: (split, sequence, slot, head, head_dim)
            "partial_lse",  # base-2 log-sum-exp of each split: (split, sequence, slot, head)
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
        ),
        optional={
            "lse": "float32",
            "partial_out": "float32",
            "partial_lse": "float32",
            "cu_seqlens_q": "int32",
        },
        ints=(
            ("out_batch_stride", "q"),  # out: elements from one batch to the next
            ("out_row_stride", "q"),  # out: elements from one row to the next
            ("out_head_stride", "q"),  # out: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("wants_lse", "i"),  # 1: lse is written
            ("splits", "i"),  # number of splits of the keys; 1: no partial results
            ("slots", "i"),  # queries per sequence that partial results have room for
        ),
        floats=(
        ),
    ),
    "backward_rows": Signature(
        buffers=(
            "out",  # output rows
            "grad_out",  # gradient of the output rows
            "lse",  # natural log-sum-exp of each row
            "grad_lse",  # gradient of lse
            "sinks",  # attention sink of each query head: a logit
            "row_lse",  # base-2 log-sum-exp of each row
            "row_delta",  # sum of dO * O, less the gradient of lse, of each row
            "grad_sinks",  # what each threadgroup's rows add to a sink's gradient: (batch, head, threadgroup)
        ),
        optional={
            "grad_lse": "float32",
            "sinks": "float32",
            "grad_sinks": "float32",
        },
        ints=(
            ("out_batch_stride", "q"),  # out: elements from one batch to the next
            ("out_row_stride", "q"),  # out: elements from one row to the next
            ("out_head_stride", "q"),  # out: elements from one head to the next
            ("grad_out_batch_stride", "q"),  # grad_out: elements from one batch to the next
            ("grad_out_row_stride", "q"),  # grad_out: elements from one row to the next
            ("grad_out_head_stride", "q"),  # grad_out: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("has_grad_lse", "i"),  # 1: grad_lse is given
            ("has_sinks", "i"),  # 1: sinks are given
        ),
        floats=(
        ),
    ),
    "backward_q": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "grad_out",  # gradient of the output rows
            "row_lse",  # base-2 log-sum-exp of each row
            "row_delta",  # sum of dO * O, less the gradient of lse, of each row
            "grad_q",  # gradient of q
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "dropout_seed",  # two words: the key of dropout's random numbers
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
            "grad_q": None,
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "dropout_seed": "int32",
            "attn_mask": "uint8",
            "mask_states": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("grad_out_batch_stride", "q"),  # grad_out: elements from one batch to the next
            ("grad_out_row_stride", "q"),  # grad_out: elements from one row to the next
            ("grad_out_head_stride", "q"),  # grad_out: elements from one head to the next
            ("grad_q_batch_stride", "q"),  # grad_q: elements from one batch to the next
            ("grad_q_row_stride", "q"),  # grad_q: elements from one row to the next
            ("grad_q_head_stride", "q"),  # grad_q: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("state_batch_stride", "q"),  # mask_states: states from one batch to the next
            ("state_head_stride", "q"),  # mask_states: states from one head to the next
            ("state_tile_stride", "q"),  # mask_states: states from one tile to the next
            ("state_block_stride", "q"),  # mask_states: states from one block to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("keep_below", "i"),  # dropout: bits of a uint; a weight is kept if its random number is less
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
            "keep_scale",  # 1 / (1 - dropout_p), which scales the weights that are kept
        ),
    ),
    "backward_kv": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "grad_out",  # gradient of the output rows
            "row_lse",  # base-2 log-sum-exp of each row
            "row_delta",  # sum of dO * O, less the gradient of lse, of each row
            "grad_k",  # gradient of k
            "grad_v",  # gradient of v
            "partial_k",  # gradient of k from each split: (split, batch, row, KV head, head_dim)
            "partial_v",  # gradient of v from each split: (split, batch, row, KV head, head_dim)
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "dropout_seed",  # two words: the key of dropout's random numbers
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
            "grad_k": None,
            "grad_v": None,
            "partial_k": "float32",
            "partial_v": "float32",
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "dropout_seed": "int32",
            "attn_mask": "uint8",
            "mask_states": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("grad_out_batch_stride", "q"),  # grad_out: elements from one batch to the next
            ("grad_out_row_stride", "q"),  # grad_out: elements from one row to the next
            ("grad_out_head_stride", "q"),  # grad_out: elements from one head to the next
            ("grad_k_batch_stride", "q"),  # grad_k: elements from one batch to the next
            ("grad_k_row_stride", "q"),  # grad_k: elements from one row to the next
            ("grad_k_head_stride", "q"),  # grad_k: elements from one head to the next
            ("grad_v_batch_stride", "q"),  # grad_v: elements from one batch to the next
            ("grad_v_row_stride", "q"),  # grad_v: elements from one row to the next
            ("grad_v_head_stride", "q"),  # grad_v: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("state_batch_stride", "q"),  # mask_states: states from one batch to the next
            ("state_head_stride", "q"),  # mask_states: states from one head to the next
            ("state_tile_stride", "q"),  # mask_states: states from one tile to the next
            ("state_block_stride", "q"),  # mask_states: states from one block to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("wants_k", "i"),  # 1: the gradient of k is wanted
            ("wants_v", "i"),  # 1: the gradient of v is wanted
            ("splits", "i"),  # number of splits of the query blocks; 1: no partial gradients
            ("keep_below", "i"),  # dropout: bits of a uint; a weight is kept if its random number is less
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
            "keep_scale",  # 1 / (1 - dropout_p), which scales the weights that are kept
        ),
    ),
    "backward_k": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "grad_out",  # gradient of the output rows
            "row_lse",  # base-2 log-sum-exp of each row
            "row_delta",  # sum of dO * O, less the gradient of lse, of each row
            "grad_k",  # gradient of k
            "partial_k",  # gradient of k from each split: (split, batch, row, KV head, head_dim)
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "dropout_seed",  # two words: the key of dropout's random numbers
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
            "grad_k": None,
            "partial_k": "float32",
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "dropout_seed": "int32",
            "attn_mask": "uint8",
            "mask_states": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("grad_out_batch_stride", "q"),  # grad_out: elements from one batch to the next
            ("grad_out_row_stride", "q"),  # grad_out: elements from one row to the next
            ("grad_out_head_stride", "q"),  # grad_out: elements from one head to the next
            ("grad_k_batch_stride", "q"),  # grad_k: elements from one batch to the next
            ("grad_k_row_stride", "q"),  # grad_k: elements from one row to the next
            ("grad_k_head_stride", "q"),  # grad_k: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("state_batch_stride", "q"),  # mask_states: states from one batch to the next
            ("state_head_stride", "q"),  # mask_states: states from one head to the next
            ("state_tile_stride", "q"),  # mask_states: states from one tile to the next
            ("state_block_stride", "q"),  # mask_states: states from one block to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("splits", "i"),  # number of splits of the query blocks; 1: no partial gradients
            ("keep_below", "i"),  # dropout: bits of a uint; a weight is kept if its random number is less
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
            "keep_scale",  # 1 / (1 - dropout_p), which scales the weights that are kept
        ),
    ),
    "backward_v": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "grad_out",  # gradient of the output rows
            "row_lse",  # base-2 log-sum-exp of each row
            "row_delta",  # sum of dO * O, less the gradient of lse, of each row
            "grad_v",  # gradient of v
            "partial_v",  # gradient of v from each split: (split, batch, row, KV head, head_dim)
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "dropout_seed",  # two words: the key of dropout's random numbers
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
            "grad_v": None,
            "partial_v": "float32",
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "dropout_seed": "int32",
            "attn_mask": "uint8",
            "mask_states": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("grad_out_batch_stride", "q"),  # grad_out: elements from one batch to the next
            ("grad_out_row_stride", "q"),  # grad_out: elements from one row to the next
            ("grad_out_head_stride", "q"),  # grad_out: elements from one head to the next
            ("grad_v_batch_stride", "q"),  # grad_v: elements from one batch to the next
            ("grad_v_row_stride", "q"),  # grad_v: elements from one row to the next
            ("grad_v_head_stride", "q"),  # grad_v: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("state_batch_stride", "q"),  # mask_states: states from one batch to the next
            ("state_head_stride", "q"),  # mask_states: states from one head to the next
            ("state_tile_stride", "q"),  # mask_states: states from one tile to the next
            ("state_block_stride", "q"),  # mask_states: states from one block to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("splits", "i"),  # number of splits of the query blocks; 1: no partial gradients
            ("keep_below", "i"),  # dropout: bits of a uint; a weight is kept if its random number is less
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
            "keep_scale",  # 1 / (1 - dropout_p), which scales the weights that are kept
        ),
    ),
    "backward_mask": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "grad_out",  # gradient of the output rows
            "row_lse",  # base-2 log-sum-exp of each row
            "row_delta",  # sum of dO * O, less the gradient of lse, of each row
            "grad_mask",  # gradient of attn_mask, contiguous, of its type
            "partial_mask",  # what each split of the terms adds to it: (split, and the gradient's axes)
            "cu_seqlens_q",  # packed: first query row of each sequence, and the end
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
            "alibi_slopes",  # ALiBi slope of each query head
            "dropout_seed",  # two words: the key of dropout's random numbers
            "attn_mask",  # the mask's elements, of any type
            "mask_states",  # state of each block of the mask: (batch, head, query tile, key block)
        ),
        optional={
            "grad_mask": "uint8",
            "partial_mask": "float32",
            "cu_seqlens_q": "int32",
            "k_begin": "int32",
            "k_end": "int32",
            "block_table": "int32",
            "alibi_slopes": "float32",
            "dropout_seed": "int32",
            "attn_mask": "uint8",
            "mask_states": "uint8",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("grad_out_batch_stride", "q"),  # grad_out: elements from one batch to the next
            ("grad_out_row_stride", "q"),  # grad_out: elements from one row to the next
            ("grad_out_head_stride", "q"),  # grad_out: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("alibi_batch_stride", "q"),  # alibi_slopes: elements from one sequence to the next
            ("alibi_head_stride", "q"),  # alibi_slopes: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("mask_batch_stride", "q"),  # attn_mask: bytes from one batch to the next
            ("mask_head_stride", "q"),  # attn_mask: bytes from one head to the next
            ("mask_row_stride", "q"),  # attn_mask: bytes from one row to the next
            ("mask_key_stride", "q"),  # attn_mask: bytes from one key to the next
            ("state_batch_stride", "q"),  # mask_states: states from one batch to the next
            ("state_head_stride", "q"),  # mask_states: states from one head to the next
            ("state_tile_stride", "q"),  # mask_states: states from one tile to the next
            ("state_block_stride", "q"),  # mask_states: states from one block to the next
            ("batch", "i"),  # number of sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("packed", "i"),  # 1: packed batch, cu_seqlens_q is given; 0: padded batch
            ("heads_per_kv_head", "i"),  # query heads that share one KV head
            ("has_k_begin", "i"),  # 1: k_begin is given; 0: keys begin at row 0
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("has_alibi", "i"),  # 1: alibi_slopes are given
            ("sums_batches", "i"),  # 1: the gradient is one for all batches
            ("sums_heads", "i"),  # 1: the gradient is one for all heads
            ("sums_rows", "i"),  # 1: the gradient is one for all rows
            ("sums_keys", "i"),  # 1: the gradient is one for all keys
            ("kv_heads", "i"),  # number of KV heads
            ("splits", "i"),  # number of splits of the terms; 1: no partial gradients
            ("has_dropout", "i"),  # 1: weights are dropped
            ("keep_below", "i"),  # dropout: bits of a uint; a weight is kept if its random number is less
            ("mask_type", "i"),  # elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
            "keep_scale",  # 1 / (1 - dropout_p), which scales the weights that are kept
        ),
    ),
    "append": Signature(
        buffers=(
            "q",  # query rows
            "new_k",  # key rows to append
            "new_v",  # value rows to append
            "rotary_cos",  # cos of each angle: (position, pair of elements)
            "rotary_sin",  # sin of each angle: (position, pair of elements)
            "rotated_q",  # query rows, rotated
            "k",  # the cache's key rows
            "v",  # the cache's value rows
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence, in order
        ),
        optional={
            "q": None,
            "rotary_cos": None,
            "rotary_sin": None,
            "rotated_q": None,
            "k_end": "int32",
            "block_table": "int32",
        },
        ints=(
            ("q_batch_stride", "q"),  # q: elements from one batch to the next
            ("q_row_stride", "q"),  # q: elements from one row to the next
            ("q_head_stride", "q"),  # q: elements from one head to the next
            ("new_k_batch_stride", "q"),  # new_k: elements from one batch to the next
            ("new_k_row_stride", "q"),  # new_k: elements from one row to the next
            ("new_k_head_stride", "q"),  # new_k: elements from one head to the next
            ("new_v_batch_stride", "q"),  # new_v: elements from one batch to the next
            ("new_v_row_stride", "q"),  # new_v: elements from one row to the next
            ("new_v_head_stride", "q"),  # new_v: elements from one head to the next
            ("rotated_q_batch_stride", "q"),  # rotated_q: elements from one batch to the next
            ("rotated_q_row_stride", "q"),  # rotated_q: elements from one row to the next
            ("rotated_q_head_stride", "q"),  # rotated_q: elements from one head to the next
            ("k_batch_stride", "q"),  # k: elements from one batch to the next
            ("k_row_stride", "q"),  # k: elements from one row to the next
            ("k_head_stride", "q"),  # k: elements from one head to the next
            ("v_batch_stride", "q"),  # v: elements from one batch to the next
            ("v_row_stride", "q"),  # v: elements from one row to the next
            ("v_head_stride", "q"),  # v: elements from one head to the next
            ("table_stride", "q"),  # block_table: elements from one sequence to the next
            ("q_len", "i"),  # query rows of each sequence; packed: of all sequences together
            ("k_len", "i"),  # rows of K of each sequence, used or not; packed: of all sequences
            ("kv_heads", "i"),  # number of KV heads
            ("has_k_end", "i"),  # 1: k_end is given; 0: keys end at row k_len
            ("appended", "i"),  # rows that this call appends, from k_end on
            ("page_size", "i"),  # rows in each page of K and V; 0: no pages
            ("pages", "i"),  # number of pages in K and V
            ("rotary_pairs", "i"),  # pairs of elements that are rotated in each row; 0: none
            ("rotary_rows", "i"),  # positions that have an angle
            ("interleaved", "i"),  # 1: a pair is two neighbours; 0: one element of each half
            ("queries_advance", "i"),  # 1: query i has position k_end + i; 0: all have k_end
        ),
        floats=(
        ),
    ),
}
