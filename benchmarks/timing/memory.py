"""The memory of windowed attention with sinks on an NVIDIA GPU, from 512 to 1,048,576 tokens.

One sequence, eager attention as transformers has it beside ours, through the emulator's CUDA
executor: memory and how time grows are the kernel's own, the time itself is not a Mac's.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from metal_flash_sdpa.interface import flash_attn_func
from torch import Tensor

from benchmarks.timing.on_nvidia import Measured, measure
from emulator import EmulatorError
from verify import devices, evidence

HEADS, HEAD_DIM, DTYPE = 8, 64, torch.float16
WINDOW = 128  # keys on either side, as in openai_privacy_filter
TOKENS = (*(2**n for n in range(9, 18)), 2**20)
RUNS = 5
LINEAR_FROM = 8192  # tokens: shorter calls do not fill the GPU


@dataclass(frozen=True)
class Row:
    """One way at one length."""

    tokens: int
    attention: str  # "eager" or "kernel"
    milliseconds: float
    extra_bytes: int  # peak beyond inputs and output
    problem: str
    largest_difference: float = math.nan  # of the kernel's output from eager's


def draw(tokens: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v (1, tokens, heads, head_dim) and sinks (heads,)."""
    generator = torch.Generator(device).manual_seed(0)
    shape = (1, tokens, HEADS, HEAD_DIM)
    q, k, v = (
        torch.randn(shape, generator=generator, device=device, dtype=DTYPE) for _ in range(3)
    )
    return q, k, v, torch.linspace(-1, 1, HEADS, device=device)


def hidden(tokens: int, device: str) -> Tensor:
    """What eager attention adds to the scores: (tokens, tokens)."""
    row = torch.arange(tokens, device=device)
    seen = (row[:, None] - row[None, :]).abs() <= WINDOW
    return torch.zeros(seen.shape, dtype=DTYPE, device=device).masked_fill_(~seen, -math.inf)


def eager(q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, mask: Tensor) -> Tensor:
    """Attention in single steps: the sinks are a column of the scores that is then dropped."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    scores = q @ k.mT * HEAD_DIM**-0.5 + mask
    column = sinks.to(scores.dtype).reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
    weights = torch.cat([scores, column], -1).softmax(-1, dtype=torch.float32)[..., :-1]
    return (weights.to(v.dtype) @ v).transpose(1, 2)


def kernel(q: Tensor, k: Tensor, v: Tensor, sinks: Tensor) -> Tensor:
    """Ours."""
    out = flash_attn_func(q, k, v, window_size=(WINDOW, WINDOW), s_aux=sinks)
    assert isinstance(out, Tensor)
    return out


def measured(tokens: int, attention: str, device: str = "cuda") -> Row:
    """One way at one length; what the mask takes is eager's."""
    q, k, v, sinks = draw(tokens, device)

    def call() -> Tensor:
        if attention == "kernel":
            return kernel(q, k, v, sinks)
        return eager(q, k, v, sinks, hidden(tokens, device))

    found: Measured = measure(call, RUNS)
    extra = max(0, found.peak_bytes - q.nbytes) if not found.problem else 0
    return Row(tokens, attention, found.milliseconds, extra, found.problem)


def difference(tokens: int, device: str = "cuda") -> float:
    """The largest between the two ways."""
    q, k, v, sinks = draw(tokens, device)
    want = eager(q, k, v, sinks, hidden(tokens, device))
    return float((kernel(q, k, v, sinks) - want).abs().max())


def rows(tokens: list[int], end: float) -> Iterator[Row]:
    """Both ways at each length, until eager fails, then ours alone; until the time is up."""
    eager_fits = True
    for count in tokens:
        if time.monotonic() > end:
            return
        if eager_fits:
            row = measured(count, "eager")
            eager_fits = not row.problem
            yield row
        row = measured(count, "kernel")
        if eager_fits:
            row = Row(**{**asdict(row), "largest_difference": difference(count)})
        yield row


def growth(found: list[Row]) -> dict[str, float]:
    """How time and memory grow with the tokens: exponents, 1 for linear and 2 for quadratic."""
    exponents = {}
    for attention in ("eager", "kernel"):
        own = [r for r in found if r.attention == attention and not r.problem]
        own = [r for r in own if r.tokens >= LINEAR_FROM]
        if len(own) > 1:
            first, last = own[0], own[-1]
            more = math.log(last.tokens / first.tokens)
            exponents[f"{attention} time"] = math.log(last.milliseconds / first.milliseconds) / more
            if first.extra_bytes and last.extra_bytes:
                exponents[f"{attention} memory"] = (
                    math.log(last.extra_bytes / first.extra_bytes) / more
                )
    return exponents


def line(row: Row) -> str:
    """A row of the table."""
    begin = f"{row.tokens:11,}  {row.attention:8}"
    if row.problem:
        return f"{begin}{row.problem}"
    differs = "" if math.isnan(row.largest_difference) else f"{row.largest_difference:14.1e}"
    return f"{begin}{row.milliseconds:12.3f}{row.extra_bytes / 2**20:14.1f}{differs}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timing.memory", description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", metavar="N", default=list(TOKENS))
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin no more lengths after so many"
    )
    evidence.add_option(parser)
    chosen = parser.parse_args()
    try:
        devices.require("cuda")
    except EmulatorError as error:
        print(error)
        return 2
    begin = time.monotonic()
    print(
        f"{evidence.machine('cuda')}; {HEADS} heads of {HEAD_DIM}, {DTYPE}, window {WINDOW}, sinks"
    )
    print(f"{'tokens':>11}  {'':8}{'ms':>12}{'extra MiB':>14}{'difference':>14}")
    found: list[Row] = []
    for row in rows(chosen.tokens, begin + chosen.seconds):
        found.append(row)
        print(line(row), flush=True)
        complete = (
            len({r.tokens for r in found}) == len(chosen.tokens) and row.attention == "kernel"
        )
        evidence.write(chosen.evidence, "memory", "cuda", summary(found, complete, begin))
    for what, exponent in growth(found).items():
        print(f"{what}: tokens ^ {exponent:.2f} from {LINEAR_FROM:,} tokens")
    return 0


def summary(found: list[Row], complete: bool, begin: float) -> dict[str, object]:
    """What docs/evidence.md says of a run."""
    wrong = [r for r in found if r.attention == "kernel" and r.problem]
    return {
        "ran": len(found),
        "complete": complete,
        "failed": len(wrong),
        "failures": evidence.failures((f"{r.tokens} tokens", r.problem) for r in wrong),
        "seconds": round(time.monotonic() - begin, 1),
        "heads": HEADS,
        "head_dim": HEAD_DIM,
        "dtype": str(DTYPE).removeprefix("torch."),
        "window": WINDOW,
        "rows": [asdict(row) for row in found],
        "growth": growth(found),
        "growth_from": LINEAR_FROM,
    }


if __name__ == "__main__":
    sys.exit(main())
