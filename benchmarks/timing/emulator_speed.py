"""How fast the emulator runs full fp16 attention, in GFLOP/s per core.

Operations are those of attention's two products, 4 * heads * n * n * head_dim; the softmax and the
data movement take time but do not count.  A core's speed is by the CPU time it spent, so that other
work on the machine does not count; the speed of all together is by the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import Request, plan_prefill


def measure(
    dtype: str, head_dim: int, n: int, workers: int, runs: int
) -> tuple[list[float], list[float]]:
    """GFLOP/s of each run, per core and of all; a first one, which compiles, does not count."""
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
    (plan,) = plan_prefill(request).launches
    emulator.launch(plan, tensors, workers=workers)
    gflop = 4 * heads * n * n * head_dim / 1e9
    per_core, together = [], []
    for _ in range(runs):
        begin = time.process_time()
        report = emulator.launch(plan, tensors, workers=workers)
        per_core.append(gflop / (time.process_time() - begin))
        together.append(gflop / report.seconds)
    return per_core, together


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
        per_core, together = measure(
            arguments.dtype, arguments.head_dim, arguments.length, workers, arguments.runs
        )
        print(
            f"{workers} worker{'s' if workers > 1 else ' '}: "
            f"{statistics.median(per_core):5.1f} GFLOP/s per core "
            f"({min(per_core):.1f} to {max(per_core):.1f}), "
            f"{statistics.median(together):5.1f} in all"
        )


if __name__ == "__main__":
    main()
