"""How fast the emulator runs full fp16 attention, in GFLOP/s per core.

Operations are those of attention's two products, 4 * heads * n * n * head_dim; the softmax and the
data movement take time but do not count.
"""

from __future__ import annotations

import argparse
import os
import statistics

import torch
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import Request, plan_prefill


def measure(dtype: str, head_dim: int, n: int, workers: int, runs: int) -> list[float]:
    """GFLOP/s of each run, all workers together; a first one, which compiles, does not count."""
    heads = 8
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, n, heads, head_dim).to(getattr(torch, dtype)) for _ in range(3))
    tensors = {"q": q, "k": k, "v": v, "out": torch.empty_like(q)}
    tensors["lse"] = torch.empty(1, heads, n)
    batch, row, head = q.stride()[:3]
    strides = (batch, row, head)
    request = Request(
        dtype=dtype,
        head_dim=head_dim,
        heads=heads,
        kv_heads=heads,
        batch=1,
        q_len=n,
        k_len=n,
        packed=False,
        q_strides=strides,
        k_strides=strides,
        v_strides=strides,
        out_strides=strides,
        softmax_scale=head_dim**-0.5,
    )
    plan = plan_prefill(request)
    seconds = [emulator.launch(plan, tensors, workers=workers).seconds for _ in range(runs + 1)]
    return [4 * heads * n * n * head_dim / s / 1e9 for s in seconds[1:]]


def main() -> None:
    """Prints one line per number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    print(
        f"full attention, {arguments.dtype}, head dim {arguments.head_dim}, "
        f"n = {arguments.length}, 8 heads, {arguments.runs} runs"
    )
    for workers in sorted({1, os.cpu_count() or 1}):
        speeds = measure(
            arguments.dtype, arguments.head_dim, arguments.length, workers, arguments.runs
        )
        per_core = [speed / workers for speed in speeds]
        print(
            f"{workers} worker{'s' if workers > 1 else ' '}: "
            f"{statistics.median(per_core):5.1f} GFLOP/s per core "
            f"({min(per_core):.1f} to {max(per_core):.1f}), {statistics.median(speeds):5.1f} in all"
        )


if __name__ == "__main__":
    main()
