"""Which kernels exist and what they are called with.

Written by `python -m codegen` from templates/; do not edit.
"""

from typing import NamedTuple, Tuple


class Variant(NamedTuple):
    """One kernel of the matrix."""

    name: str  # host name; the shader's file is name + ".metal"
    block_q: int  # query rows per threadgroup
    threads: int  # per threadgroup
    step_k: int  # keys per step of a threadgroup's loop


class Signature(NamedTuple):
    """What the kernels of a family are called with."""

    buffers: Tuple[str, ...]  # tensors in binding order; "sinks" only in kernels with sinks
    ints: Tuple[Tuple[str, str], ...]  # the int32 array: "q" takes two, low word first; "i" one
    floats: Tuple[str, ...]  # the float32 array


# (family, head_dim, dtype, mask, sinks) -> its tiles, fewest rows first
VARIANTS = {
    ("prefill", 32, "float16", "full", False): (
        Variant("prefill_float16_d32_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 32, "float16", "full", True): (
        Variant("prefill_float16_d32_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "float16", "causal", False): (
        Variant("prefill_float16_d32_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 32, "float16", "causal", True): (
        Variant("prefill_float16_d32_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "float16", "window", False): (
        Variant("prefill_float16_d32_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 32, "float16", "window", True): (
        Variant("prefill_float16_d32_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d32_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 32, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d32_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d32_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 32, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d32_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d32_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 32, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d32_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "float32", "full", False): (
        Variant("prefill_float32_d32_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 32, "float32", "full", True): (
        Variant("prefill_float32_d32_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "float32", "causal", False): (
        Variant("prefill_float32_d32_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 32, "float32", "causal", True): (
        Variant("prefill_float32_d32_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 32, "float32", "window", False): (
        Variant("prefill_float32_d32_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 32, "float32", "window", True): (
        Variant("prefill_float32_d32_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "float16", "full", False): (
        Variant("prefill_float16_d64_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 64, "float16", "full", True): (
        Variant("prefill_float16_d64_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "float16", "causal", False): (
        Variant("prefill_float16_d64_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 64, "float16", "causal", True): (
        Variant("prefill_float16_d64_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "float16", "window", False): (
        Variant("prefill_float16_d64_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 64, "float16", "window", True): (
        Variant("prefill_float16_d64_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d64_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 64, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d64_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d64_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 64, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d64_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d64_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 64, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d64_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 64, "float32", "full", False): (
        Variant("prefill_float32_d64_q32k32_full", 32, 128, 32),
    ),
    ("prefill", 64, "float32", "full", True): (
        Variant("prefill_float32_d64_q32k32_full_sinks", 32, 128, 32),
    ),
    ("prefill", 64, "float32", "causal", False): (
        Variant("prefill_float32_d64_q32k32_causal", 32, 128, 32),
    ),
    ("prefill", 64, "float32", "causal", True): (
        Variant("prefill_float32_d64_q32k32_causal_sinks", 32, 128, 32),
    ),
    ("prefill", 64, "float32", "window", False): (
        Variant("prefill_float32_d64_q32k32_window", 32, 128, 32),
    ),
    ("prefill", 64, "float32", "window", True): (
        Variant("prefill_float32_d64_q32k32_window_sinks", 32, 128, 32),
    ),
    ("prefill", 72, "float16", "full", False): (
        Variant("prefill_float16_d72_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 72, "float16", "full", True): (
        Variant("prefill_float16_d72_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 72, "float16", "causal", False): (
        Variant("prefill_float16_d72_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 72, "float16", "causal", True): (
        Variant("prefill_float16_d72_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 72, "float16", "window", False): (
        Variant("prefill_float16_d72_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 72, "float16", "window", True): (
        Variant("prefill_float16_d72_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 72, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d72_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 72, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d72_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 72, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d72_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 72, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d72_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 72, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d72_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 72, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d72_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 72, "float32", "full", False): (
        Variant("prefill_float32_d72_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 72, "float32", "full", True): (
        Variant("prefill_float32_d72_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 72, "float32", "causal", False): (
        Variant("prefill_float32_d72_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 72, "float32", "causal", True): (
        Variant("prefill_float32_d72_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 72, "float32", "window", False): (
        Variant("prefill_float32_d72_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 72, "float32", "window", True): (
        Variant("prefill_float32_d72_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 80, "float16", "full", False): (
        Variant("prefill_float16_d80_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 80, "float16", "full", True): (
        Variant("prefill_float16_d80_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 80, "float16", "causal", False): (
        Variant("prefill_float16_d80_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 80, "float16", "causal", True): (
        Variant("prefill_float16_d80_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 80, "float16", "window", False): (
        Variant("prefill_float16_d80_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 80, "float16", "window", True): (
        Variant("prefill_float16_d80_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 80, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d80_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 80, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d80_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 80, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d80_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 80, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d80_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 80, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d80_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 80, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d80_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 80, "float32", "full", False): (
        Variant("prefill_float32_d80_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 80, "float32", "full", True): (
        Variant("prefill_float32_d80_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 80, "float32", "causal", False): (
        Variant("prefill_float32_d80_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 80, "float32", "causal", True): (
        Variant("prefill_float32_d80_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 80, "float32", "window", False): (
        Variant("prefill_float32_d80_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 80, "float32", "window", True): (
        Variant("prefill_float32_d80_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 96, "float16", "full", False): (
        Variant("prefill_float16_d96_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 96, "float16", "full", True): (
        Variant("prefill_float16_d96_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 96, "float16", "causal", False): (
        Variant("prefill_float16_d96_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 96, "float16", "causal", True): (
        Variant("prefill_float16_d96_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 96, "float16", "window", False): (
        Variant("prefill_float16_d96_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 96, "float16", "window", True): (
        Variant("prefill_float16_d96_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 96, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d96_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 96, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d96_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 96, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d96_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 96, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d96_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 96, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d96_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 96, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d96_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 96, "float32", "full", False): (
        Variant("prefill_float32_d96_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 96, "float32", "full", True): (
        Variant("prefill_float32_d96_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 96, "float32", "causal", False): (
        Variant("prefill_float32_d96_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 96, "float32", "causal", True): (
        Variant("prefill_float32_d96_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 96, "float32", "window", False): (
        Variant("prefill_float32_d96_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 96, "float32", "window", True): (
        Variant("prefill_float32_d96_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 128, "float16", "full", False): (
        Variant("prefill_float16_d128_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 128, "float16", "full", True): (
        Variant("prefill_float16_d128_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 128, "float16", "causal", False): (
        Variant("prefill_float16_d128_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 128, "float16", "causal", True): (
        Variant("prefill_float16_d128_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 128, "float16", "window", False): (
        Variant("prefill_float16_d128_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 128, "float16", "window", True): (
        Variant("prefill_float16_d128_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 128, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d128_q64k32_full", 64, 128, 32),
    ),
    ("prefill", 128, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d128_q64k32_full_sinks", 64, 128, 32),
    ),
    ("prefill", 128, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d128_q64k32_causal", 64, 128, 32),
    ),
    ("prefill", 128, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d128_q64k32_causal_sinks", 64, 128, 32),
    ),
    ("prefill", 128, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d128_q64k32_window", 64, 128, 32),
    ),
    ("prefill", 128, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d128_q64k32_window_sinks", 64, 128, 32),
    ),
    ("prefill", 128, "float32", "full", False): (
        Variant("prefill_float32_d128_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 128, "float32", "full", True): (
        Variant("prefill_float32_d128_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 128, "float32", "causal", False): (
        Variant("prefill_float32_d128_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 128, "float32", "causal", True): (
        Variant("prefill_float32_d128_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 128, "float32", "window", False): (
        Variant("prefill_float32_d128_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 128, "float32", "window", True): (
        Variant("prefill_float32_d128_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "float16", "full", False): (
        Variant("prefill_float16_d192_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 192, "float16", "full", True): (
        Variant("prefill_float16_d192_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "float16", "causal", False): (
        Variant("prefill_float16_d192_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 192, "float16", "causal", True): (
        Variant("prefill_float16_d192_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "float16", "window", False): (
        Variant("prefill_float16_d192_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 192, "float16", "window", True): (
        Variant("prefill_float16_d192_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d192_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 192, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d192_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d192_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 192, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d192_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d192_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 192, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d192_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "float32", "full", False): (
        Variant("prefill_float32_d192_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 192, "float32", "full", True): (
        Variant("prefill_float32_d192_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "float32", "causal", False): (
        Variant("prefill_float32_d192_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 192, "float32", "causal", True): (
        Variant("prefill_float32_d192_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 192, "float32", "window", False): (
        Variant("prefill_float32_d192_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 192, "float32", "window", True): (
        Variant("prefill_float32_d192_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "float16", "full", False): (
        Variant("prefill_float16_d256_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 256, "float16", "full", True): (
        Variant("prefill_float16_d256_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "float16", "causal", False): (
        Variant("prefill_float16_d256_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 256, "float16", "causal", True): (
        Variant("prefill_float16_d256_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "float16", "window", False): (
        Variant("prefill_float16_d256_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 256, "float16", "window", True): (
        Variant("prefill_float16_d256_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "bfloat16", "full", False): (
        Variant("prefill_bfloat16_d256_q32k16_full", 32, 128, 16),
    ),
    ("prefill", 256, "bfloat16", "full", True): (
        Variant("prefill_bfloat16_d256_q32k16_full_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "bfloat16", "causal", False): (
        Variant("prefill_bfloat16_d256_q32k16_causal", 32, 128, 16),
    ),
    ("prefill", 256, "bfloat16", "causal", True): (
        Variant("prefill_bfloat16_d256_q32k16_causal_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "bfloat16", "window", False): (
        Variant("prefill_bfloat16_d256_q32k16_window", 32, 128, 16),
    ),
    ("prefill", 256, "bfloat16", "window", True): (
        Variant("prefill_bfloat16_d256_q32k16_window_sinks", 32, 128, 16),
    ),
    ("prefill", 256, "float32", "full", False): (
        Variant("prefill_float32_d256_q32k8_full", 32, 128, 8),
    ),
    ("prefill", 256, "float32", "full", True): (
        Variant("prefill_float32_d256_q32k8_full_sinks", 32, 128, 8),
    ),
    ("prefill", 256, "float32", "causal", False): (
        Variant("prefill_float32_d256_q32k8_causal", 32, 128, 8),
    ),
    ("prefill", 256, "float32", "causal", True): (
        Variant("prefill_float32_d256_q32k8_causal_sinks", 32, 128, 8),
    ),
    ("prefill", 256, "float32", "window", False): (
        Variant("prefill_float32_d256_q32k8_window", 32, 128, 8),
    ),
    ("prefill", 256, "float32", "window", True): (
        Variant("prefill_float32_d256_q32k8_window_sinks", 32, 128, 8),
    ),
    ("decode", 32, "float16", "full", False): (
        Variant("decode_float16_d32_q8k32_full", 8, 128, 128),
        Variant("decode_float16_d32_q16k16_full", 16, 256, 128),
    ),
    ("decode", 32, "float16", "full", True): (
        Variant("decode_float16_d32_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float16_d32_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 32, "float16", "causal", False): (
        Variant("decode_float16_d32_q8k32_causal", 8, 128, 128),
        Variant("decode_float16_d32_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 32, "float16", "causal", True): (
        Variant("decode_float16_d32_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float16_d32_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 32, "float16", "window", False): (
        Variant("decode_float16_d32_q8k32_window", 8, 128, 128),
        Variant("decode_float16_d32_q16k16_window", 16, 256, 128),
    ),
    ("decode", 32, "float16", "window", True): (
        Variant("decode_float16_d32_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float16_d32_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 32, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d32_q8k32_full", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16_full", 16, 256, 128),
    ),
    ("decode", 32, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d32_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 32, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d32_q8k32_causal", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 32, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d32_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 32, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d32_q8k32_window", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16_window", 16, 256, 128),
    ),
    ("decode", 32, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d32_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d32_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 32, "float32", "full", False): (
        Variant("decode_float32_d32_q8k32_full", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_full", 16, 256, 128),
    ),
    ("decode", 32, "float32", "full", True): (
        Variant("decode_float32_d32_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 32, "float32", "causal", False): (
        Variant("decode_float32_d32_q8k32_causal", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 32, "float32", "causal", True): (
        Variant("decode_float32_d32_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 32, "float32", "window", False): (
        Variant("decode_float32_d32_q8k32_window", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_window", 16, 256, 128),
    ),
    ("decode", 32, "float32", "window", True): (
        Variant("decode_float32_d32_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float32_d32_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 64, "float16", "full", False): (
        Variant("decode_float16_d64_q8k32_full", 8, 128, 128),
        Variant("decode_float16_d64_q16k16_full", 16, 256, 128),
    ),
    ("decode", 64, "float16", "full", True): (
        Variant("decode_float16_d64_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float16_d64_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 64, "float16", "causal", False): (
        Variant("decode_float16_d64_q8k32_causal", 8, 128, 128),
        Variant("decode_float16_d64_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 64, "float16", "causal", True): (
        Variant("decode_float16_d64_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float16_d64_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 64, "float16", "window", False): (
        Variant("decode_float16_d64_q8k32_window", 8, 128, 128),
        Variant("decode_float16_d64_q16k16_window", 16, 256, 128),
    ),
    ("decode", 64, "float16", "window", True): (
        Variant("decode_float16_d64_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float16_d64_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 64, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d64_q8k32_full", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16_full", 16, 256, 128),
    ),
    ("decode", 64, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d64_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 64, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d64_q8k32_causal", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 64, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d64_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 64, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d64_q8k32_window", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16_window", 16, 256, 128),
    ),
    ("decode", 64, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d64_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d64_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 64, "float32", "full", False): (
        Variant("decode_float32_d64_q8k32_full", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_full", 16, 256, 128),
    ),
    ("decode", 64, "float32", "full", True): (
        Variant("decode_float32_d64_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 64, "float32", "causal", False): (
        Variant("decode_float32_d64_q8k32_causal", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 64, "float32", "causal", True): (
        Variant("decode_float32_d64_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 64, "float32", "window", False): (
        Variant("decode_float32_d64_q8k32_window", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_window", 16, 256, 128),
    ),
    ("decode", 64, "float32", "window", True): (
        Variant("decode_float32_d64_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float32_d64_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 72, "float16", "full", False): (
        Variant("decode_float16_d72_q8k32_full", 8, 128, 128),
        Variant("decode_float16_d72_q16k16_full", 16, 256, 128),
    ),
    ("decode", 72, "float16", "full", True): (
        Variant("decode_float16_d72_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float16_d72_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 72, "float16", "causal", False): (
        Variant("decode_float16_d72_q8k32_causal", 8, 128, 128),
        Variant("decode_float16_d72_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 72, "float16", "causal", True): (
        Variant("decode_float16_d72_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float16_d72_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 72, "float16", "window", False): (
        Variant("decode_float16_d72_q8k32_window", 8, 128, 128),
        Variant("decode_float16_d72_q16k16_window", 16, 256, 128),
    ),
    ("decode", 72, "float16", "window", True): (
        Variant("decode_float16_d72_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float16_d72_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 72, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d72_q8k32_full", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16_full", 16, 256, 128),
    ),
    ("decode", 72, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d72_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 72, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d72_q8k32_causal", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 72, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d72_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 72, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d72_q8k32_window", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16_window", 16, 256, 128),
    ),
    ("decode", 72, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d72_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d72_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 72, "float32", "full", False): (
        Variant("decode_float32_d72_q8k16_full", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_full", 16, 256, 128),
    ),
    ("decode", 72, "float32", "full", True): (
        Variant("decode_float32_d72_q8k16_full_sinks", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 72, "float32", "causal", False): (
        Variant("decode_float32_d72_q8k16_causal", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 72, "float32", "causal", True): (
        Variant("decode_float32_d72_q8k16_causal_sinks", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 72, "float32", "window", False): (
        Variant("decode_float32_d72_q8k16_window", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_window", 16, 256, 128),
    ),
    ("decode", 72, "float32", "window", True): (
        Variant("decode_float32_d72_q8k16_window_sinks", 8, 128, 64),
        Variant("decode_float32_d72_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 80, "float16", "full", False): (
        Variant("decode_float16_d80_q8k32_full", 8, 128, 128),
        Variant("decode_float16_d80_q16k16_full", 16, 256, 128),
    ),
    ("decode", 80, "float16", "full", True): (
        Variant("decode_float16_d80_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float16_d80_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 80, "float16", "causal", False): (
        Variant("decode_float16_d80_q8k32_causal", 8, 128, 128),
        Variant("decode_float16_d80_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 80, "float16", "causal", True): (
        Variant("decode_float16_d80_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float16_d80_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 80, "float16", "window", False): (
        Variant("decode_float16_d80_q8k32_window", 8, 128, 128),
        Variant("decode_float16_d80_q16k16_window", 16, 256, 128),
    ),
    ("decode", 80, "float16", "window", True): (
        Variant("decode_float16_d80_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float16_d80_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 80, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d80_q8k32_full", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16_full", 16, 256, 128),
    ),
    ("decode", 80, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d80_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 80, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d80_q8k32_causal", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 80, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d80_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 80, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d80_q8k32_window", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16_window", 16, 256, 128),
    ),
    ("decode", 80, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d80_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d80_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 80, "float32", "full", False): (
        Variant("decode_float32_d80_q8k16_full", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_full", 16, 256, 128),
    ),
    ("decode", 80, "float32", "full", True): (
        Variant("decode_float32_d80_q8k16_full_sinks", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 80, "float32", "causal", False): (
        Variant("decode_float32_d80_q8k16_causal", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 80, "float32", "causal", True): (
        Variant("decode_float32_d80_q8k16_causal_sinks", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 80, "float32", "window", False): (
        Variant("decode_float32_d80_q8k16_window", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_window", 16, 256, 128),
    ),
    ("decode", 80, "float32", "window", True): (
        Variant("decode_float32_d80_q8k16_window_sinks", 8, 128, 64),
        Variant("decode_float32_d80_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 96, "float16", "full", False): (
        Variant("decode_float16_d96_q8k32_full", 8, 128, 128),
        Variant("decode_float16_d96_q16k16_full", 16, 256, 128),
    ),
    ("decode", 96, "float16", "full", True): (
        Variant("decode_float16_d96_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float16_d96_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 96, "float16", "causal", False): (
        Variant("decode_float16_d96_q8k32_causal", 8, 128, 128),
        Variant("decode_float16_d96_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 96, "float16", "causal", True): (
        Variant("decode_float16_d96_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float16_d96_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 96, "float16", "window", False): (
        Variant("decode_float16_d96_q8k32_window", 8, 128, 128),
        Variant("decode_float16_d96_q16k16_window", 16, 256, 128),
    ),
    ("decode", 96, "float16", "window", True): (
        Variant("decode_float16_d96_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float16_d96_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 96, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d96_q8k32_full", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16_full", 16, 256, 128),
    ),
    ("decode", 96, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d96_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 96, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d96_q8k32_causal", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 96, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d96_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 96, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d96_q8k32_window", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16_window", 16, 256, 128),
    ),
    ("decode", 96, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d96_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d96_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 96, "float32", "full", False): (
        Variant("decode_float32_d96_q8k16_full", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_full", 16, 256, 128),
    ),
    ("decode", 96, "float32", "full", True): (
        Variant("decode_float32_d96_q8k16_full_sinks", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 96, "float32", "causal", False): (
        Variant("decode_float32_d96_q8k16_causal", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 96, "float32", "causal", True): (
        Variant("decode_float32_d96_q8k16_causal_sinks", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 96, "float32", "window", False): (
        Variant("decode_float32_d96_q8k16_window", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_window", 16, 256, 128),
    ),
    ("decode", 96, "float32", "window", True): (
        Variant("decode_float32_d96_q8k16_window_sinks", 8, 128, 64),
        Variant("decode_float32_d96_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 128, "float16", "full", False): (
        Variant("decode_float16_d128_q8k32_full", 8, 128, 128),
        Variant("decode_float16_d128_q16k16_full", 16, 256, 128),
    ),
    ("decode", 128, "float16", "full", True): (
        Variant("decode_float16_d128_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_float16_d128_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 128, "float16", "causal", False): (
        Variant("decode_float16_d128_q8k32_causal", 8, 128, 128),
        Variant("decode_float16_d128_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 128, "float16", "causal", True): (
        Variant("decode_float16_d128_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_float16_d128_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 128, "float16", "window", False): (
        Variant("decode_float16_d128_q8k32_window", 8, 128, 128),
        Variant("decode_float16_d128_q16k16_window", 16, 256, 128),
    ),
    ("decode", 128, "float16", "window", True): (
        Variant("decode_float16_d128_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_float16_d128_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 128, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d128_q8k32_full", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16_full", 16, 256, 128),
    ),
    ("decode", 128, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d128_q8k32_full_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 128, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d128_q8k32_causal", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 128, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d128_q8k32_causal_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 128, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d128_q8k32_window", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16_window", 16, 256, 128),
    ),
    ("decode", 128, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d128_q8k32_window_sinks", 8, 128, 128),
        Variant("decode_bfloat16_d128_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 128, "float32", "full", False): (
        Variant("decode_float32_d128_q8k16_full", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_full", 16, 256, 128),
    ),
    ("decode", 128, "float32", "full", True): (
        Variant("decode_float32_d128_q8k16_full_sinks", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_full_sinks", 16, 256, 128),
    ),
    ("decode", 128, "float32", "causal", False): (
        Variant("decode_float32_d128_q8k16_causal", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_causal", 16, 256, 128),
    ),
    ("decode", 128, "float32", "causal", True): (
        Variant("decode_float32_d128_q8k16_causal_sinks", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_causal_sinks", 16, 256, 128),
    ),
    ("decode", 128, "float32", "window", False): (
        Variant("decode_float32_d128_q8k16_window", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_window", 16, 256, 128),
    ),
    ("decode", 128, "float32", "window", True): (
        Variant("decode_float32_d128_q8k16_window_sinks", 8, 128, 64),
        Variant("decode_float32_d128_q16k16_window_sinks", 16, 256, 128),
    ),
    ("decode", 192, "float16", "full", False): (
        Variant("decode_float16_d192_q8k16_full", 8, 128, 64),
    ),
    ("decode", 192, "float16", "full", True): (
        Variant("decode_float16_d192_q8k16_full_sinks", 8, 128, 64),
    ),
    ("decode", 192, "float16", "causal", False): (
        Variant("decode_float16_d192_q8k16_causal", 8, 128, 64),
    ),
    ("decode", 192, "float16", "causal", True): (
        Variant("decode_float16_d192_q8k16_causal_sinks", 8, 128, 64),
    ),
    ("decode", 192, "float16", "window", False): (
        Variant("decode_float16_d192_q8k16_window", 8, 128, 64),
    ),
    ("decode", 192, "float16", "window", True): (
        Variant("decode_float16_d192_q8k16_window_sinks", 8, 128, 64),
    ),
    ("decode", 192, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d192_q8k16_full", 8, 128, 64),
    ),
    ("decode", 192, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d192_q8k16_full_sinks", 8, 128, 64),
    ),
    ("decode", 192, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d192_q8k16_causal", 8, 128, 64),
    ),
    ("decode", 192, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d192_q8k16_causal_sinks", 8, 128, 64),
    ),
    ("decode", 192, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d192_q8k16_window", 8, 128, 64),
    ),
    ("decode", 192, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d192_q8k16_window_sinks", 8, 128, 64),
    ),
    ("decode", 192, "float32", "full", False): (
        Variant("decode_float32_d192_q8k16_full", 8, 128, 64),
    ),
    ("decode", 192, "float32", "full", True): (
        Variant("decode_float32_d192_q8k16_full_sinks", 8, 128, 64),
    ),
    ("decode", 192, "float32", "causal", False): (
        Variant("decode_float32_d192_q8k16_causal", 8, 128, 64),
    ),
    ("decode", 192, "float32", "causal", True): (
        Variant("decode_float32_d192_q8k16_causal_sinks", 8, 128, 64),
    ),
    ("decode", 192, "float32", "window", False): (
        Variant("decode_float32_d192_q8k16_window", 8, 128, 64),
    ),
    ("decode", 192, "float32", "window", True): (
        Variant("decode_float32_d192_q8k16_window_sinks", 8, 128, 64),
    ),
    ("decode", 256, "float16", "full", False): (
        Variant("decode_float16_d256_q8k16_full", 8, 128, 64),
    ),
    ("decode", 256, "float16", "full", True): (
        Variant("decode_float16_d256_q8k16_full_sinks", 8, 128, 64),
    ),
    ("decode", 256, "float16", "causal", False): (
        Variant("decode_float16_d256_q8k16_causal", 8, 128, 64),
    ),
    ("decode", 256, "float16", "causal", True): (
        Variant("decode_float16_d256_q8k16_causal_sinks", 8, 128, 64),
    ),
    ("decode", 256, "float16", "window", False): (
        Variant("decode_float16_d256_q8k16_window", 8, 128, 64),
    ),
    ("decode", 256, "float16", "window", True): (
        Variant("decode_float16_d256_q8k16_window_sinks", 8, 128, 64),
    ),
    ("decode", 256, "bfloat16", "full", False): (
        Variant("decode_bfloat16_d256_q8k16_full", 8, 128, 64),
    ),
    ("decode", 256, "bfloat16", "full", True): (
        Variant("decode_bfloat16_d256_q8k16_full_sinks", 8, 128, 64),
    ),
    ("decode", 256, "bfloat16", "causal", False): (
        Variant("decode_bfloat16_d256_q8k16_causal", 8, 128, 64),
    ),
    ("decode", 256, "bfloat16", "causal", True): (
        Variant("decode_bfloat16_d256_q8k16_causal_sinks", 8, 128, 64),
    ),
    ("decode", 256, "bfloat16", "window", False): (
        Variant("decode_bfloat16_d256_q8k16_window", 8, 128, 64),
    ),
    ("decode", 256, "bfloat16", "window", True): (
        Variant("decode_bfloat16_d256_q8k16_window_sinks", 8, 128, 64),
    ),
    ("decode", 256, "float32", "full", False): (
        Variant("decode_float32_d256_q8k8_full", 8, 128, 32),
    ),
    ("decode", 256, "float32", "full", True): (
        Variant("decode_float32_d256_q8k8_full_sinks", 8, 128, 32),
    ),
    ("decode", 256, "float32", "causal", False): (
        Variant("decode_float32_d256_q8k8_causal", 8, 128, 32),
    ),
    ("decode", 256, "float32", "causal", True): (
        Variant("decode_float32_d256_q8k8_causal_sinks", 8, 128, 32),
    ),
    ("decode", 256, "float32", "window", False): (
        Variant("decode_float32_d256_q8k8_window", 8, 128, 32),
    ),
    ("decode", 256, "float32", "window", True): (
        Variant("decode_float32_d256_q8k8_window_sinks", 8, 128, 32),
    ),
    ("combine", 32, "float16", "full", False): (
        Variant("combine_float16_d32", 1, 32, 1),
    ),
    ("combine", 32, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d32", 1, 32, 1),
    ),
    ("combine", 32, "float32", "full", False): (
        Variant("combine_float32_d32", 1, 32, 1),
    ),
    ("combine", 64, "float16", "full", False): (
        Variant("combine_float16_d64", 1, 32, 1),
    ),
    ("combine", 64, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d64", 1, 32, 1),
    ),
    ("combine", 64, "float32", "full", False): (
        Variant("combine_float32_d64", 1, 32, 1),
    ),
    ("combine", 72, "float16", "full", False): (
        Variant("combine_float16_d72", 1, 32, 1),
    ),
    ("combine", 72, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d72", 1, 32, 1),
    ),
    ("combine", 72, "float32", "full", False): (
        Variant("combine_float32_d72", 1, 32, 1),
    ),
    ("combine", 80, "float16", "full", False): (
        Variant("combine_float16_d80", 1, 32, 1),
    ),
    ("combine", 80, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d80", 1, 32, 1),
    ),
    ("combine", 80, "float32", "full", False): (
        Variant("combine_float32_d80", 1, 32, 1),
    ),
    ("combine", 96, "float16", "full", False): (
        Variant("combine_float16_d96", 1, 32, 1),
    ),
    ("combine", 96, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d96", 1, 32, 1),
    ),
    ("combine", 96, "float32", "full", False): (
        Variant("combine_float32_d96", 1, 32, 1),
    ),
    ("combine", 128, "float16", "full", False): (
        Variant("combine_float16_d128", 1, 32, 1),
    ),
    ("combine", 128, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d128", 1, 32, 1),
    ),
    ("combine", 128, "float32", "full", False): (
        Variant("combine_float32_d128", 1, 32, 1),
    ),
    ("combine", 192, "float16", "full", False): (
        Variant("combine_float16_d192", 1, 32, 1),
    ),
    ("combine", 192, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d192", 1, 32, 1),
    ),
    ("combine", 192, "float32", "full", False): (
        Variant("combine_float32_d192", 1, 32, 1),
    ),
    ("combine", 256, "float16", "full", False): (
        Variant("combine_float16_d256", 1, 32, 1),
    ),
    ("combine", 256, "bfloat16", "full", False): (
        Variant("combine_bfloat16_d256", 1, 32, 1),
    ),
    ("combine", 256, "float32", "full", False): (
        Variant("combine_float32_d256", 1, 32, 1),
    ),
    ("append", 32, "float16", "full", False): (
        Variant("append_float16_d32", 1, 32, 1),
    ),
    ("append", 32, "bfloat16", "full", False): (
        Variant("append_bfloat16_d32", 1, 32, 1),
    ),
    ("append", 32, "float32", "full", False): (
        Variant("append_float32_d32", 1, 32, 1),
    ),
    ("append", 64, "float16", "full", False): (
        Variant("append_float16_d64", 1, 32, 1),
    ),
    ("append", 64, "bfloat16", "full", False): (
        Variant("append_bfloat16_d64", 1, 32, 1),
    ),
    ("append", 64, "float32", "full", False): (
        Variant("append_float32_d64", 1, 32, 1),
    ),
    ("append", 72, "float16", "full", False): (
        Variant("append_float16_d72", 1, 32, 1),
    ),
    ("append", 72, "bfloat16", "full", False): (
        Variant("append_bfloat16_d72", 1, 32, 1),
    ),
    ("append", 72, "float32", "full", False): (
        Variant("append_float32_d72", 1, 32, 1),
    ),
    ("append", 80, "float16", "full", False): (
        Variant("append_float16_d80", 1, 32, 1),
    ),
    ("append", 80, "bfloat16", "full", False): (
        Variant("append_bfloat16_d80", 1, 32, 1),
    ),
    ("append", 80, "float32", "full", False): (
        Variant("append_float32_d80", 1, 32, 1),
    ),
    ("append", 96, "float16", "full", False): (
        Variant("append_float16_d96", 1, 32, 1),
    ),
    ("append", 96, "bfloat16", "full", False): (
        Variant("append_bfloat16_d96", 1, 32, 1),
    ),
    ("append", 96, "float32", "full", False): (
        Variant("append_float32_d96", 1, 32, 1),
    ),
    ("append", 128, "float16", "full", False): (
        Variant("append_float16_d128", 1, 32, 1),
    ),
    ("append", 128, "bfloat16", "full", False): (
        Variant("append_bfloat16_d128", 1, 32, 1),
    ),
    ("append", 128, "float32", "full", False): (
        Variant("append_float32_d128", 1, 32, 1),
    ),
    ("append", 192, "float16", "full", False): (
        Variant("append_float16_d192", 1, 32, 1),
    ),
    ("append", 192, "bfloat16", "full", False): (
        Variant("append_bfloat16_d192", 1, 32, 1),
    ),
    ("append", 192, "float32", "full", False): (
        Variant("append_float32_d192", 1, 32, 1),
    ),
    ("append", 256, "float16", "full", False): (
        Variant("append_float16_d256", 1, 32, 1),
    ),
    ("append", 256, "bfloat16", "full", False): (
        Variant("append_bfloat16_d256", 1, 32, 1),
    ),
    ("append", 256, "float32", "full", False): (
        Variant("append_float32_d256", 1, 32, 1),
    ),
}

# family -> Signature
SIGNATURES = {
    "prefill": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "out",  # output rows
            "lse",  # natural log-sum-exp of each row
            "cu_seqlens_q",  # packed: batch + 1 row offsets
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence
            "alibi_slopes",  # one slope per query head; 0: no bias
            "sinks",  # one logit per query head
        ),
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
            ("table_stride", "q"),  # block_table: from one sequence to the next
            ("batch", "i"),  # sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all together
            ("k_len", "i"),  # rows of K that each sequence may have; packed: of all together
            ("packed", "i"),  # 1: cu_seqlens_q says where each sequence's queries lie
            ("group", "i"),  # query heads that share one KV head
            ("begins", "i"),  # 1: k_begin says where each sequence's keys begin; 0: at row 0
            ("ends", "i"),  # 1: k_end says where each sequence's keys end; 0: at row k_len
            ("appended", "i"),  # rows that this call adds at k_end
            ("page_size", "i"),  # rows of a page of K and V; 0: no block table
            ("pages", "i"),  # that K and V have
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("lse", "i"),  # 1: lse is wanted
            ("alibi", "i"),  # 1: alibi_slopes are there
            ("least_queries", "i"),  # packed: shorter sequences are left to decode
        ),
        floats=(
            "softmax_scale",  # multiplies Q K^T
            "softcap",  # scores become softcap * tanh(score / softcap); 0: off
        ),
    ),
    "decode": Signature(
        buffers=(
            "q",  # query rows
            "k",  # key rows
            "v",  # value rows
            "out",  # output rows
            "lse",  # natural log-sum-exp of each row
            "partial_out",  # O of each share of the keys: (share, sequence, slot, head, head_dim)
            "partial_lse",  # base-2 log-sum-exp of each share: (share, sequence, slot, head)
            "cu_seqlens_q",  # packed: batch + 1 row offsets
            "k_begin",  # the row of each sequence's first key
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence
            "alibi_slopes",  # one slope per query head; 0: no bias
            "sinks",  # one logit per query head
        ),
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
            ("table_stride", "q"),  # block_table: from one sequence to the next
            ("batch", "i"),  # sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all together
            ("k_len", "i"),  # rows of K that each sequence may have; packed: of all together
            ("packed", "i"),  # 1: cu_seqlens_q says where each sequence's queries lie
            ("group", "i"),  # query heads that share one KV head
            ("begins", "i"),  # 1: k_begin says where each sequence's keys begin; 0: at row 0
            ("ends", "i"),  # 1: k_end says where each sequence's keys end; 0: at row k_len
            ("appended", "i"),  # rows that this call adds at k_end
            ("page_size", "i"),  # rows of a page of K and V; 0: no block table
            ("pages", "i"),  # that K and V have
            ("window_left", "i"),  # keys seen before the diagonal
            ("window_right", "i"),  # keys seen after the diagonal
            ("lse", "i"),  # 1: lse is wanted
            ("alibi", "i"),  # 1: alibi_slopes are there
            ("kv_heads", "i"),  # KV heads
            ("most_queries", "i"),  # packed: longer sequences are left to prefill
            ("splits", "i"),  # shares that the keys are divided into; 1: no partial results
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
            "partial_out",  # O of each share of the keys: (share, sequence, slot, head, head_dim)
            "partial_lse",  # base-2 log-sum-exp of each share: (share, sequence, slot, head)
            "cu_seqlens_q",  # packed: batch + 1 row offsets
        ),
        ints=(
            ("out_batch_stride", "q"),  # out: elements from one batch to the next
            ("out_row_stride", "q"),  # out: elements from one row to the next
            ("out_head_stride", "q"),  # out: elements from one head to the next
            ("lse_batch_stride", "q"),  # lse: elements from one batch to the next
            ("lse_head_stride", "q"),  # lse: elements from one head to the next
            ("batch", "i"),  # sequences
            ("q_len", "i"),  # query rows of each sequence; packed: of all together
            ("packed", "i"),  # 1: cu_seqlens_q says where each sequence's queries lie
            ("lse", "i"),  # 1: lse is wanted
            ("splits", "i"),  # shares that the keys are divided into; 1: no partial results
            ("slots", "i"),  # queries per sequence that partial results have room for
        ),
        floats=(
        ),
    ),
    "append": Signature(
        buffers=(
            "q",  # query rows
            "new_k",  # key rows to append
            "new_v",  # value rows to append
            "rotary_cos",  # one row per position, one column per pair of elements
            "rotary_sin",  # one row per position, one column per pair of elements
            "rotated_q",  # query rows, rotated
            "k",  # the cache's key rows
            "v",  # the cache's value rows
            "k_end",  # the row after each sequence's last key
            "block_table",  # the pages of each sequence
        ),
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
            ("table_stride", "q"),  # block_table: from one sequence to the next
            ("q_len", "i"),  # query rows of each sequence; packed: of all together
            ("k_len", "i"),  # rows of K that each sequence may have; packed: of all together
            ("kv_heads", "i"),  # KV heads
            ("ends", "i"),  # 1: k_end says where each sequence's keys end; 0: at row k_len
            ("appended", "i"),  # rows that this call adds at k_end
            ("page_size", "i"),  # rows of a page of K and V; 0: no block table
            ("pages", "i"),  # that K and V have
            ("rotary_pairs", "i"),  # pairs of elements that are rotated; 0: none
            ("rotary_rows", "i"),  # positions that have an angle
            ("interleaved", "i"),  # 1: a pair is two neighbours; 0: one of either half
            ("advance", "i"),  # 1: query i is at k_end + i; 0: all queries are at k_end
        ),
        floats=(
        ),
    ),
}
