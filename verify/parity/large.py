"""The long run: 131,072 tokens under a window with sinks, in memory that does not grow."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from metal_flash_sdpa.plan import plan_prefill
from torch import Tensor

from codegen.widths import plain
from verify.case import Case, Mask, Scores, Shape
from verify.cases import SINKS
from verify.inputs import prepare
from verify.reference import attention, compare, plain_attention
from verify.run import Launch

TOKENS = (8_192, 16_384, 131_072)
WINDOW = (127, 0)
HEADS, WIDTHS, DTYPE = 8, plain(64), torch.float16
SAMPLED_ROWS = 64

# The memory that a run needs beyond its tensors may differ by this much from one length to
# another: the resolution of the measurement (allocator and thread stacks), not of the kernel.
MEMORY_SLACK_MIB = 8.0


@dataclass(frozen=True)
class LargeRun:
    """One length of the long run."""

    tokens: int
    ok: bool
    max_abs: float
    cosine: float
    tensors_mib: float
    extra_mib: float  # peak beyond inputs and outputs
    seconds: float
    problem: str = ""

    @classmethod
    def failed(cls, tokens: int, problem: str) -> LargeRun:
        """A run that did not get to its end."""
        return cls(tokens, False, math.inf, 0.0, 0.0, 0.0, 0.0, problem)


def peak_kib() -> int:
    """VmHWM of this process, from Linux's /proc."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None, "/proc/self/status has no VmHWM"
    return int(match.group(1))


class Memory:
    """Notes how much memory is in use, then says how far that grew at most.

    On a GPU as torch's allocator counts it (a Mac's keeps what it got, so that the peak stays); on
    the CPU as the system does.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        if device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        elif device == "cpu":
            Path("/proc/self/clear_refs").write_text("5")  # peak := now
        self._before = self._bytes()

    def grown_mib(self) -> float:
        """Waits for the GPU first."""
        return (self._bytes() - self._before) / 2**20

    def _bytes(self) -> int:
        if self._device == "mps":
            torch.mps.synchronize()
            return int(torch.mps.driver_allocated_memory())
        if self._device == "cuda":
            torch.cuda.synchronize()
            return int(torch.cuda.max_memory_allocated())
        return 1024 * peak_kib()


def run(tokens: int, launch: Launch, device: str) -> LargeRun:
    """Run one length; compare sampled rows with the reference."""
    window = Mask(window_size=WINDOW)
    scores = Scores(sinks=SINKS)
    case = Case("large", Shape((tokens,), (tokens,), HEADS, HEADS), window, scores)
    one = Case("warm", Shape((1,), (1,), HEADS, HEADS), window, scores)
    warm = prepare(one, WIDTHS, DTYPE, device)
    launch(plan_prefill(warm.request).launches[0], warm.tensors)

    inputs = prepare(case, WIDTHS, DTYPE, device)
    plan = plan_prefill(inputs.request).launches[0]
    memory = Memory(device)
    start = time.perf_counter()
    launch(plan, inputs.tensors)
    extra_mib = memory.grown_mib()
    seconds = time.perf_counter() - start

    # A sampled row needs the keys of its window only: cut the sequence short below it.
    rows = torch.linspace(0, tokens - 1, SAMPLED_ROWS).long()
    got: list[Tensor] = []
    want: list[Tensor] = []
    theirs: tuple[list[Tensor], list[Tensor]] = ([], [])
    for row in rows.tolist():
        span = slice(max(0, row - WINDOW[0]), row + 1)
        q, k, v, out = (inputs.tensors[name][span].cpu() for name in ("q", "k", "v", "out"))
        last = torch.tensor([q.shape[0] - 1])
        sinks = inputs.tensors["sinks"].cpu()
        got.append(out[-1:])
        options = inputs.options
        want.append(attention(q, k, v, options, sinks, dtype=torch.float64, rows=last)[0])
        for order, result in zip(theirs, plain_attention(q, k, v, options, sinks, rows=last)):
            order.append(result)
    error = compare(torch.cat(got), torch.cat(want), [torch.cat(order) for order in theirs], DTYPE)
    everywhere = not inputs.tensors["out"].isnan().any().item()
    return LargeRun(
        tokens=tokens,
        ok=error.ok and everywhere,
        max_abs=error.max_abs,
        cosine=error.cosine,
        tensors_mib=sum(t.nbytes for t in inputs.tensors.values()) / 2**20,
        extra_mib=extra_mib,
        seconds=seconds,
    )


def memory_is_flat(runs: Sequence[LargeRun]) -> bool:
    """Whether the memory beyond the tensors is the same at every length."""
    extra = [run.extra_mib for run in runs]
    return not extra or max(extra) - min(extra) <= MEMORY_SLACK_MIB
