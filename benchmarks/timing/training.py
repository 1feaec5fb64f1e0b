"""Train a GPT of 100 million parameters: eager attention beside the kernel, step by step.

The model and the text are those of examples/train_tiny.py.  A third model, whose eager attention is
in float32 throughout, says how far two runs part that only round in other places.  On an NVIDIA GPU
(--device cuda) the kernel runs through the emulator's CUDA executor: losses and memory are what is
looked at, not the time.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor

from emulator import EmulatorError
from examples.train_tiny import Learner, add_options, eager, kernel, sums
from verify import devices, evidence

EAGER, EXACT, KERNEL = "eager", "eager in float32", "kernel"
EVERY = 10  # steps, of which one is printed


def exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Eager attention that rounds nothing but its output to a smaller dtype."""
    with torch.autocast(q.device.type, enabled=False):
        return eager(q.float(), k.float(), v.float()).to(q.dtype)


class Measured:
    """A learner, and the most memory that a step took."""

    def __init__(self, options: argparse.Namespace, attention: Any) -> None:
        self.learner = Learner(options, attention)
        self.peak_bytes = 0

    def step(self, text: Tensor) -> None:
        """One step.  On a GPU torch's allocator knows the peak, beyond what was there before."""
        if text.device.type != "cuda":
            self.learner.step(text)
            self.peak_bytes = self.learner.peak
            return
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        self.learner.step(text)
        self.peak_bytes = max(self.peak_bytes, torch.cuda.max_memory_allocated() - before)


def distance(a: list[float], b: list[float]) -> float:
    """Of two curves of losses: the root of the mean square of their differences, step by step."""
    return math.sqrt(statistics.fmean((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def summary(
    options: argparse.Namespace, ways: dict[str, Measured], count: int, begin: float
) -> dict[str, Any]:
    """What docs/evidence.md says of a run, after at least one step."""
    losses = {name: way.learner.losses for name, way in ways.items()}
    apart = {name: distance(values, losses[EXACT]) for name, values in losses.items()}
    wrong = apart[KERNEL] > 2 * apart[EAGER]
    why = "the losses are more than twice as far from those in float32 as eager's"
    return {
        "ran": len(losses[KERNEL]),
        "complete": len(losses[KERNEL]) == options.steps,
        "failed": int(wrong),
        "failures": evidence.failures([("losses", why)] if wrong else []),
        "seconds": round(time.monotonic() - begin, 1),
        "parameters": count,
        "tokens": options.tokens,
        "batch": options.batch,
        "dtype": options.dtype,
        "every": EVERY,
        "rows": [
            {
                "attention": name,
                "losses": values[::EVERY],
                "distance": apart[name],
                "peak_bytes": ways[name].peak_bytes,
            }
            for name, values in losses.items()
        ],
    }


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.timing.training", description=__doc__.splitlines()[0]
    )
    sizes = {"steps": 300, "batch": 1, "tokens": 4096, "layers": 14, "width": 768, "head_dim": 64}
    add_options(parser, "bfloat16", **sizes, rate=3e-4)
    devices.add_option(parser, ("emulator", "cuda"))
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin no more steps after so many"
    )
    evidence.add_option(parser)
    options = parser.parse_args()
    try:
        devices.require(options.device)
    except EmulatorError as error:
        print(error)
        return 2
    begin = time.monotonic()
    device, options.device = options.device, devices.tensors_on(options.device)
    attentions = {EAGER: eager, EXACT: exact, KERNEL: kernel}
    ways = {name: Measured(options, attention) for name, attention in attentions.items()}
    count = sum(p.numel() for p in ways[KERNEL].learner.model.parameters())
    print(f"{count / 1e6:.1f} million parameters, {options.tokens} tokens, {options.dtype}")
    print(f"{'step':>6}" + "".join(f"{name:>18}" for name in ways))
    generator = torch.Generator().manual_seed(1)
    for step in range(options.steps):
        text = sums(options.batch, options.tokens, generator).to(options.device)
        for way in ways.values():
            way.step(text)
        is_last = step == options.steps - 1 or time.monotonic() - begin > options.seconds
        if step % EVERY == 0 or is_last:
            row = "".join(f"{way.learner.losses[-1]:18.6f}" for way in ways.values())
            print(f"{step:6}{row}", flush=True)
            found = summary(options, ways, count, begin)
            evidence.write(options.evidence, "training", device, found)
        if is_last:
            break
    peaks = "".join(f"{row['peak_bytes'] / 2**20:18.1f}" for row in found["rows"])
    print(f"{'MiB':>6}{peaks}   the most of a step, beyond weights and the optimizer's state")
    apart = "".join(f"{row['distance']:18.6f}" for row in found["rows"])
    print(f"{'apart':>6}{apart}   root mean square, from the losses in float32")
    print("FAIL" if found["failed"] else "PASS")
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
