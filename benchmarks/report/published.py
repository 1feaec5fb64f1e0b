"""What others have published about their backward passes: measured by them, on Macs of theirs.

None of it can be set beside a modelled time of ours: shapes, versions and what is timed differ.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One figure, as its source has it."""

    who: str
    machine: str
    what: str
    figure: str


# facts/backward.md, sections 1 and 2; mtlattn and mlx-mfa: facts/peers-2026-11.md, section 6.
PUBLISHED = (
    Published(
        "Metal FlashAttention v2, charts", "M1 Max",
        "float16, 16,384 tokens: kernel of dQ; of dK and dV", "78-84 %; 72-81 % of the ALUs",
    ),
    Published(
        "Metal FlashAttention v2, charts", "M1 Max",
        "float32, 16,384 tokens: kernel of dQ; of dK and dV", "55-66 %; 50-65 % of the ALUs",
    ),
    Published(
        "Metal FlashAttention v2, charts", "M4",
        "float16, 8,192 tokens: head dim 64 to 128; 256", "about 90 %; 75-83 % of the ALUs",
    ),
    Published(
        "Metal FlashAttention v2, README", "M1",
        "forward and backward without what is computed again, head dim 64; 128; 256",
        "62 %; 63 %; 64 % of the ALUs",
    ),
    Published(
        "Metal FlashAttention v2, README", "M3",
        "forward and backward without what is computed again, head dim 64; 128; 256",
        "71 %; 69 %; 61 % of the ALUs",
    ),
    Published(
        "Draw Things", "not stated", "backward, beside a naive one", "up to 19 % faster",
    ),
    Published(
        "MLX #3241 (open)", "M3 Max",
        "forward and backward of 32 heads, beside MLX's unfused: causal, head dim 64 and 96",
        "1.17-1.37x as fast",
    ),
    Published("MLX #3241 (open)", "M3 Max", "causal, head dim 128", "0.67-0.76x as fast"),
    Published("MLX #3241 (open)", "M3 Max", "no mask", "0.36-0.70x as fast"),
    Published(
        "MLX #3241 (open)", "M3 Max", "peak memory, head dim 64, 4,096 tokens", "3373 to 169 MB",
    ),
    Published(
        "mps-flash-attn 0.5.2", "not stated",
        "forward and backward, beside torch's; with bf16_backward", "1.8x; 2x as fast",
    ),
    Published(
        "mlx-mfa", "not stated",
        "beside MLX's unfused from 4,096 tokens on, head dim 64; 128", "1.4-2.5x; 1x as fast",
    ),
    Published(
        "mtlattn 0.4.1", "not stated",
        "two kernels, 16 to 32 rows a tile", "no time; larger tiles are slower",
    ),
)  # fmt: skip
