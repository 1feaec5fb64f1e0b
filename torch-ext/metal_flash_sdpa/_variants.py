"""Which kernels exist and what they are called with.

Written by `python -m codegen` from templates/; do not edit.
"""

from typing import NamedTuple


class Variant(NamedTuple):
    """One kernel of the matrix."""

    name: str  # host name; the shader's file is name + ".metal"
    block_q: int  # query rows per threadgroup
    threads: int  # per threadgroup


# (family, head_dim, dtype, mask, sinks) -> Variant
VARIANTS = {
    ("prefill", 32, "float16", "full", False): Variant("prefill_float16_d32_q64k32_full", 64, 128),
    ("prefill", 32, "float16", "full", True): Variant("prefill_float16_d32_q64k32_full_sinks", 64, 128),
    ("prefill", 32, "float16", "causal", False): Variant("prefill_float16_d32_q64k32_causal", 64, 128),
    ("prefill", 32, "float16", "causal", True): Variant("prefill_float16_d32_q64k32_causal_sinks", 64, 128),
    ("prefill", 32, "float16", "window", False): Variant("prefill_float16_d32_q64k32_window", 64, 128),
    ("prefill", 32, "float16", "window", True): Variant("prefill_float16_d32_q64k32_window_sinks", 64, 128),
    ("prefill", 32, "bfloat16", "full", False): Variant("prefill_bfloat16_d32_q64k32_full", 64, 128),
    ("prefill", 32, "bfloat16", "full", True): Variant("prefill_bfloat16_d32_q64k32_full_sinks", 64, 128),
    ("prefill", 32, "bfloat16", "causal", False): Variant("prefill_bfloat16_d32_q64k32_causal", 64, 128),
    ("prefill", 32, "bfloat16", "causal", True): Variant("prefill_bfloat16_d32_q64k32_causal_sinks", 64, 128),
    ("prefill", 32, "bfloat16", "window", False): Variant("prefill_bfloat16_d32_q64k32_window", 64, 128),
    ("prefill", 32, "bfloat16", "window", True): Variant("prefill_bfloat16_d32_q64k32_window_sinks", 64, 128),
    ("prefill", 32, "float32", "full", False): Variant("prefill_float32_d32_q64k32_full", 64, 128),
    ("prefill", 32, "float32", "full", True): Variant("prefill_float32_d32_q64k32_full_sinks", 64, 128),
    ("prefill", 32, "float32", "causal", False): Variant("prefill_float32_d32_q64k32_causal", 64, 128),
    ("prefill", 32, "float32", "causal", True): Variant("prefill_float32_d32_q64k32_causal_sinks", 64, 128),
    ("prefill", 32, "float32", "window", False): Variant("prefill_float32_d32_q64k32_window", 64, 128),
    ("prefill", 32, "float32", "window", True): Variant("prefill_float32_d32_q64k32_window_sinks", 64, 128),
    ("prefill", 64, "float16", "full", False): Variant("prefill_float16_d64_q64k32_full", 64, 128),
    ("prefill", 64, "float16", "full", True): Variant("prefill_float16_d64_q64k32_full_sinks", 64, 128),
    ("prefill", 64, "float16", "causal", False): Variant("prefill_float16_d64_q64k32_causal", 64, 128),
    ("prefill", 64, "float16", "causal", True): Variant("prefill_float16_d64_q64k32_causal_sinks", 64, 128),
    ("prefill", 64, "float16", "window", False): Variant("prefill_float16_d64_q64k32_window", 64, 128),
    ("prefill", 64, "float16", "window", True): Variant("prefill_float16_d64_q64k32_window_sinks", 64, 128),
    ("prefill", 64, "bfloat16", "full", False): Variant("prefill_bfloat16_d64_q64k32_full", 64, 128),
    ("prefill", 64, "bfloat16", "full", True): Variant("prefill_bfloat16_d64_q64k32_full_sinks", 64, 128),
    ("prefill", 64, "bfloat16", "causal", False): Variant("prefill_bfloat16_d64_q64k32_causal", 64, 128),
    ("prefill", 64, "bfloat16", "causal", True): Variant("prefill_bfloat16_d64_q64k32_causal_sinks", 64, 128),
    ("prefill", 64, "bfloat16", "window", False): Variant("prefill_bfloat16_d64_q64k32_window", 64, 128),
    ("prefill", 64, "bfloat16", "window", True): Variant("prefill_bfloat16_d64_q64k32_window_sinks", 64, 128),
    ("prefill", 64, "float32", "full", False): Variant("prefill_float32_d64_q32k32_full", 32, 128),
    ("prefill", 64, "float32", "full", True): Variant("prefill_float32_d64_q32k32_full_sinks", 32, 128),
    ("prefill", 64, "float32", "causal", False): Variant("prefill_float32_d64_q32k32_causal", 32, 128),
    ("prefill", 64, "float32", "causal", True): Variant("prefill_float32_d64_q32k32_causal_sinks", 32, 128),
    ("prefill", 64, "float32", "window", False): Variant("prefill_float32_d64_q32k32_window", 32, 128),
    ("prefill", 64, "float32", "window", True): Variant("prefill_float32_d64_q32k32_window_sinks", 32, 128),
    ("prefill", 72, "float16", "full", False): Variant("prefill_float16_d72_q64k32_full", 64, 128),
    ("prefill", 72, "float16", "full", True): Variant("prefill_float16_d72_q64k32_full_sinks", 64, 128),
    ("prefill", 72, "float16", "causal", False): Variant("prefill_float16_d72_q64k32_causal", 64, 128),
    ("prefill", 72, "float16", "causal", True): Variant("prefill_float16_d72_q64k32_causal_sinks", 64, 128),
    ("prefill", 72, "float16", "window", False): Variant("prefill_float16_d72_q64k32_window", 64, 128),
    ("prefill", 72, "float16", "window", True): Variant("prefill_float16_d72_q64k32_window_sinks", 64, 128),
    ("prefill", 72, "bfloat16", "full", False): Variant("prefill_bfloat16_d72_q64k32_full", 64, 128),
    ("prefill", 72, "bfloat16", "full", True): Variant("prefill_bfloat16_d72_q64k32_full_sinks", 64, 128),
    ("prefill", 72, "bfloat16", "causal", False): Variant("prefill_bfloat16_d72_q64k32_causal", 64, 128),
    ("prefill", 72, "bfloat16", "causal", True): Variant("prefill_bfloat16_d72_q64k32_causal_sinks", 64, 128),
    ("prefill", 72, "bfloat16", "window", False): Variant("prefill_bfloat16_d72_q64k32_window", 64, 128),
    ("prefill", 72, "bfloat16", "window", True): Variant("prefill_bfloat16_d72_q64k32_window_sinks", 64, 128),
    ("prefill", 72, "float32", "full", False): Variant("prefill_float32_d72_q32k16_full", 32, 128),
    ("prefill", 72, "float32", "full", True): Variant("prefill_float32_d72_q32k16_full_sinks", 32, 128),
    ("prefill", 72, "float32", "causal", False): Variant("prefill_float32_d72_q32k16_causal", 32, 128),
    ("prefill", 72, "float32", "causal", True): Variant("prefill_float32_d72_q32k16_causal_sinks", 32, 128),
    ("prefill", 72, "float32", "window", False): Variant("prefill_float32_d72_q32k16_window", 32, 128),
    ("prefill", 72, "float32", "window", True): Variant("prefill_float32_d72_q32k16_window_sinks", 32, 128),
    ("prefill", 80, "float16", "full", False): Variant("prefill_float16_d80_q64k32_full", 64, 128),
    ("prefill", 80, "float16", "full", True): Variant("prefill_float16_d80_q64k32_full_sinks", 64, 128),
    ("prefill", 80, "float16", "causal", False): Variant("prefill_float16_d80_q64k32_causal", 64, 128),
    ("prefill", 80, "float16", "causal", True): Variant("prefill_float16_d80_q64k32_causal_sinks", 64, 128),
    ("prefill", 80, "float16", "window", False): Variant("prefill_float16_d80_q64k32_window", 64, 128),
    ("prefill", 80, "float16", "window", True): Variant("prefill_float16_d80_q64k32_window_sinks", 64, 128),
    ("prefill", 80, "bfloat16", "full", False): Variant("prefill_bfloat16_d80_q64k32_full", 64, 128),
    ("prefill", 80, "bfloat16", "full", True): Variant("prefill_bfloat16_d80_q64k32_full_sinks", 64, 128),
    ("prefill", 80, "bfloat16", "causal", False): Variant("prefill_bfloat16_d80_q64k32_causal", 64, 128),
    ("prefill", 80, "bfloat16", "causal", True): Variant("prefill_bfloat16_d80_q64k32_causal_sinks", 64, 128),
    ("prefill", 80, "bfloat16", "window", False): Variant("prefill_bfloat16_d80_q64k32_window", 64, 128),
    ("prefill", 80, "bfloat16", "window", True): Variant("prefill_bfloat16_d80_q64k32_window_sinks", 64, 128),
    ("prefill", 80, "float32", "full", False): Variant("prefill_float32_d80_q32k16_full", 32, 128),
    ("prefill", 80, "float32", "full", True): Variant("prefill_float32_d80_q32k16_full_sinks", 32, 128),
    ("prefill", 80, "float32", "causal", False): Variant("prefill_float32_d80_q32k16_causal", 32, 128),
    ("prefill", 80, "float32", "causal", True): Variant("prefill_float32_d80_q32k16_causal_sinks", 32, 128),
    ("prefill", 80, "float32", "window", False): Variant("prefill_float32_d80_q32k16_window", 32, 128),
    ("prefill", 80, "float32", "window", True): Variant("prefill_float32_d80_q32k16_window_sinks", 32, 128),
    ("prefill", 96, "float16", "full", False): Variant("prefill_float16_d96_q32k32_full", 32, 128),
    ("prefill", 96, "float16", "full", True): Variant("prefill_float16_d96_q32k32_full_sinks", 32, 128),
    ("prefill", 96, "float16", "causal", False): Variant("prefill_float16_d96_q32k32_causal", 32, 128),
    ("prefill", 96, "float16", "causal", True): Variant("prefill_float16_d96_q32k32_causal_sinks", 32, 128),
    ("prefill", 96, "float16", "window", False): Variant("prefill_float16_d96_q32k32_window", 32, 128),
    ("prefill", 96, "float16", "window", True): Variant("prefill_float16_d96_q32k32_window_sinks", 32, 128),
    ("prefill", 96, "bfloat16", "full", False): Variant("prefill_bfloat16_d96_q32k32_full", 32, 128),
    ("prefill", 96, "bfloat16", "full", True): Variant("prefill_bfloat16_d96_q32k32_full_sinks", 32, 128),
    ("prefill", 96, "bfloat16", "causal", False): Variant("prefill_bfloat16_d96_q32k32_causal", 32, 128),
    ("prefill", 96, "bfloat16", "causal", True): Variant("prefill_bfloat16_d96_q32k32_causal_sinks", 32, 128),
    ("prefill", 96, "bfloat16", "window", False): Variant("prefill_bfloat16_d96_q32k32_window", 32, 128),
    ("prefill", 96, "bfloat16", "window", True): Variant("prefill_bfloat16_d96_q32k32_window_sinks", 32, 128),
    ("prefill", 96, "float32", "full", False): Variant("prefill_float32_d96_q32k16_full", 32, 128),
    ("prefill", 96, "float32", "full", True): Variant("prefill_float32_d96_q32k16_full_sinks", 32, 128),
    ("prefill", 96, "float32", "causal", False): Variant("prefill_float32_d96_q32k16_causal", 32, 128),
    ("prefill", 96, "float32", "causal", True): Variant("prefill_float32_d96_q32k16_causal_sinks", 32, 128),
    ("prefill", 96, "float32", "window", False): Variant("prefill_float32_d96_q32k16_window", 32, 128),
    ("prefill", 96, "float32", "window", True): Variant("prefill_float32_d96_q32k16_window_sinks", 32, 128),
    ("prefill", 128, "float16", "full", False): Variant("prefill_float16_d128_q32k32_full", 32, 128),
    ("prefill", 128, "float16", "full", True): Variant("prefill_float16_d128_q32k32_full_sinks", 32, 128),
    ("prefill", 128, "float16", "causal", False): Variant("prefill_float16_d128_q32k32_causal", 32, 128),
    ("prefill", 128, "float16", "causal", True): Variant("prefill_float16_d128_q32k32_causal_sinks", 32, 128),
    ("prefill", 128, "float16", "window", False): Variant("prefill_float16_d128_q32k32_window", 32, 128),
    ("prefill", 128, "float16", "window", True): Variant("prefill_float16_d128_q32k32_window_sinks", 32, 128),
    ("prefill", 128, "bfloat16", "full", False): Variant("prefill_bfloat16_d128_q32k32_full", 32, 128),
    ("prefill", 128, "bfloat16", "full", True): Variant("prefill_bfloat16_d128_q32k32_full_sinks", 32, 128),
    ("prefill", 128, "bfloat16", "causal", False): Variant("prefill_bfloat16_d128_q32k32_causal", 32, 128),
    ("prefill", 128, "bfloat16", "causal", True): Variant("prefill_bfloat16_d128_q32k32_causal_sinks", 32, 128),
    ("prefill", 128, "bfloat16", "window", False): Variant("prefill_bfloat16_d128_q32k32_window", 32, 128),
    ("prefill", 128, "bfloat16", "window", True): Variant("prefill_bfloat16_d128_q32k32_window_sinks", 32, 128),
    ("prefill", 128, "float32", "full", False): Variant("prefill_float32_d128_q32k16_full", 32, 128),
    ("prefill", 128, "float32", "full", True): Variant("prefill_float32_d128_q32k16_full_sinks", 32, 128),
    ("prefill", 128, "float32", "causal", False): Variant("prefill_float32_d128_q32k16_causal", 32, 128),
    ("prefill", 128, "float32", "causal", True): Variant("prefill_float32_d128_q32k16_causal_sinks", 32, 128),
    ("prefill", 128, "float32", "window", False): Variant("prefill_float32_d128_q32k16_window", 32, 128),
    ("prefill", 128, "float32", "window", True): Variant("prefill_float32_d128_q32k16_window_sinks", 32, 128),
    ("prefill", 192, "float16", "full", False): Variant("prefill_float16_d192_q32k16_full", 32, 128),
    ("prefill", 192, "float16", "full", True): Variant("prefill_float16_d192_q32k16_full_sinks", 32, 128),
    ("prefill", 192, "float16", "causal", False): Variant("prefill_float16_d192_q32k16_causal", 32, 128),
    ("prefill", 192, "float16", "causal", True): Variant("prefill_float16_d192_q32k16_causal_sinks", 32, 128),
    ("prefill", 192, "float16", "window", False): Variant("prefill_float16_d192_q32k16_window", 32, 128),
    ("prefill", 192, "float16", "window", True): Variant("prefill_float16_d192_q32k16_window_sinks", 32, 128),
    ("prefill", 192, "bfloat16", "full", False): Variant("prefill_bfloat16_d192_q32k16_full", 32, 128),
    ("prefill", 192, "bfloat16", "full", True): Variant("prefill_bfloat16_d192_q32k16_full_sinks", 32, 128),
    ("prefill", 192, "bfloat16", "causal", False): Variant("prefill_bfloat16_d192_q32k16_causal", 32, 128),
    ("prefill", 192, "bfloat16", "causal", True): Variant("prefill_bfloat16_d192_q32k16_causal_sinks", 32, 128),
    ("prefill", 192, "bfloat16", "window", False): Variant("prefill_bfloat16_d192_q32k16_window", 32, 128),
    ("prefill", 192, "bfloat16", "window", True): Variant("prefill_bfloat16_d192_q32k16_window_sinks", 32, 128),
    ("prefill", 192, "float32", "full", False): Variant("prefill_float32_d192_q32k16_full", 32, 128),
    ("prefill", 192, "float32", "full", True): Variant("prefill_float32_d192_q32k16_full_sinks", 32, 128),
    ("prefill", 192, "float32", "causal", False): Variant("prefill_float32_d192_q32k16_causal", 32, 128),
    ("prefill", 192, "float32", "causal", True): Variant("prefill_float32_d192_q32k16_causal_sinks", 32, 128),
    ("prefill", 192, "float32", "window", False): Variant("prefill_float32_d192_q32k16_window", 32, 128),
    ("prefill", 192, "float32", "window", True): Variant("prefill_float32_d192_q32k16_window_sinks", 32, 128),
    ("prefill", 256, "float16", "full", False): Variant("prefill_float16_d256_q32k16_full", 32, 128),
    ("prefill", 256, "float16", "full", True): Variant("prefill_float16_d256_q32k16_full_sinks", 32, 128),
    ("prefill", 256, "float16", "causal", False): Variant("prefill_float16_d256_q32k16_causal", 32, 128),
    ("prefill", 256, "float16", "causal", True): Variant("prefill_float16_d256_q32k16_causal_sinks", 32, 128),
    ("prefill", 256, "float16", "window", False): Variant("prefill_float16_d256_q32k16_window", 32, 128),
    ("prefill", 256, "float16", "window", True): Variant("prefill_float16_d256_q32k16_window_sinks", 32, 128),
    ("prefill", 256, "bfloat16", "full", False): Variant("prefill_bfloat16_d256_q32k16_full", 32, 128),
    ("prefill", 256, "bfloat16", "full", True): Variant("prefill_bfloat16_d256_q32k16_full_sinks", 32, 128),
    ("prefill", 256, "bfloat16", "causal", False): Variant("prefill_bfloat16_d256_q32k16_causal", 32, 128),
    ("prefill", 256, "bfloat16", "causal", True): Variant("prefill_bfloat16_d256_q32k16_causal_sinks", 32, 128),
    ("prefill", 256, "bfloat16", "window", False): Variant("prefill_bfloat16_d256_q32k16_window", 32, 128),
    ("prefill", 256, "bfloat16", "window", True): Variant("prefill_bfloat16_d256_q32k16_window_sinks", 32, 128),
    ("prefill", 256, "float32", "full", False): Variant("prefill_float32_d256_q32k8_full", 32, 128),
    ("prefill", 256, "float32", "full", True): Variant("prefill_float32_d256_q32k8_full_sinks", 32, 128),
    ("prefill", 256, "float32", "causal", False): Variant("prefill_float32_d256_q32k8_causal", 32, 128),
    ("prefill", 256, "float32", "causal", True): Variant("prefill_float32_d256_q32k8_causal_sinks", 32, 128),
    ("prefill", 256, "float32", "window", False): Variant("prefill_float32_d256_q32k8_window", 32, 128),
    ("prefill", 256, "float32", "window", True): Variant("prefill_float32_d256_q32k8_window_sinks", 32, 128),
}

# Tensors in binding order; the last only in kernels with sinks.
PREFILL_BUFFERS = (
    "q",  # query rows
    "k",  # key rows
    "v",  # value rows
    "out",  # output rows
    "lse",  # natural log-sum-exp of each row
    "cu_seqlens_q",  # packed: batch + 1 row offsets
    "cu_seqlens_k",  # packed: batch + 1 key offsets
    "alibi_slopes",  # one slope per query head; 0: no bias
    "sinks",  # one logit per query head
)

# The int32 array: "q" is a 64-bit field (two int32, low word first), "i" one int32.
PREFILL_INTS = (
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
    ("batch", "i"),  # sequences
    ("q_len", "i"),  # query rows of each sequence; packed: of all together
    ("k_len", "i"),  # keys of each sequence; packed: of all together
    ("packed", "i"),  # 1: cu_seqlens say where each sequence lies
    ("group", "i"),  # query heads that share one KV head
    ("window_left", "i"),  # keys seen before the diagonal
    ("window_right", "i"),  # keys seen after the diagonal
)

# The float32 array.
PREFILL_FLOATS = (
    "softmax_scale",  # multiplies Q K^T
    "softcap",  # scores become softcap * tanh(score / softcap); 0: off
)
