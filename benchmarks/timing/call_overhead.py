"""How much Python one attention call takes, in microseconds, with nothing behind the launcher.

The tensors are on the CPU and the shader compiler is a stand-in whose kernels do nothing, so what
is measured is this package (and for the public function torch's dispatcher), as it would precede
the encoding on a Mac.  Each figure is a batch of calls divided by its size; the spread over the
batches says how quiet the machine was.  A new length is what every step of a generation has.  And
how long importing the package takes, once torch is imported.

A training step is one call and torch.autograd.grad of its result.  Beside it stands what torch
takes for an autograd.Function that does nothing: no function with gradients is quicker than that.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from metal_flash_sdpa import flash_attn_func, launchers, ops
from metal_flash_sdpa.call import Options, attend
from metal_flash_sdpa.launchers import jit
from torch import Tensor

from benchmarks.target import Target

CALL_LIMIT = 15.0  # microseconds, median: what planning and handing over may take
TRAINING_LIMIT = 40.0  # microseconds, median: what a call may take forward and backward
IMPORT_LIMIT = 300.0  # milliseconds, median: what importing may take beyond torch

IMPORT = """
import time, torch
begin = time.perf_counter()
import metal_flash_sdpa
print(1e3 * (time.perf_counter() - begin))
"""


@dataclass(frozen=True)
class Timed:
    """Times of one thing, done again and again."""

    name: str
    unit: str
    times: tuple[float, ...]  # ascending
    limit: float | None = None  # that the median is to keep to

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def target(self) -> Target:
        """What is asked of the median."""
        return Target(f"{self.name}, {self.unit}", self.median, self.limit)

    @property
    def spread(self) -> tuple[float, float]:
        """Between these are 80 % of the times."""
        return self.times[len(self.times) // 10], self.times[-1 - len(self.times) // 10]


class Nothing:
    """A library whose kernels take any arguments and do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def compile_nothing(_: str) -> Nothing:
    return Nothing()


def choose_jit(*_: str) -> Any:
    return jit


def microseconds(call: Callable[[], Any], batches: int, calls: int) -> tuple[float, ...]:
    """Time per call of each batch, ascending, after one that does not count."""
    times = []
    for _ in range(batches + 1):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begin) / calls * 1e6)
    return tuple(sorted(times[1:]))


def calls_timed(batches: int = 200, calls: int = 200) -> list[Timed]:
    """Each way of calling, in so many batches of so many calls."""
    q, k, v = (torch.randn(1, 64, heads, 64, dtype=torch.float16) for heads in (8, 2, 2))
    count = calls * (batches + 1)
    keys = torch.randn(1, count, 2, 64, dtype=torch.float16)
    out = torch.empty_like(q)
    sinks = torch.zeros(8)
    asked = Options(sinks, causal=True, window_size=(127, 127))
    one, one_out = q[:, :1], out[:, :1]
    options = (None, None, True, 127, 127, 0.0, 0, None, 0.0, None, None)
    parts = iter([keys[:, : length % count + 1] for length in range(2 * count)])

    def planned() -> None:
        attend(out, None, q, k, v, asked)

    def planned_anew() -> None:
        part = next(parts)
        attend(out, None, q, part, part, asked)

    def decoded_anew() -> None:
        part = next(parts)
        attend(one_out, None, one, part, part, asked)

    def op() -> None:
        ops.forward(q, k, v, False, None, None, sinks, *options)

    def public() -> None:
        flash_attn_func(q, k, v, causal=True, window_size=(127, 127), s_aux=sinks)

    ways: tuple[tuple[str, Callable[[], None], float | None], ...] = (
        ("plan and hand over, plan known", planned, CALL_LIMIT),
        ("plan and hand over, new length", planned_anew, CALL_LIMIT),
        ("the same, one query", decoded_anew, CALL_LIMIT),
        ("the op, through torch's dispatcher", op, None),
        ("flash_attn_func", public, None),
    )
    with nothing_launched(), torch.no_grad():
        return [
            Timed(name, "us", microseconds(call, batches, calls), limit)
            for name, call, limit in ways
        ]


@contextmanager
def nothing_launched() -> Iterator[None]:
    """The launcher of a Mac, with kernels that do nothing."""
    # Plain functions: a Mock's call takes longer than the launcher.
    compiler = mock.patch.object(torch.mps, "compile_shader", new=compile_nothing)
    launcher = mock.patch.object(launchers, "chosen", new=choose_jit)
    with compiler, launcher:
        yield


class Empty(torch.autograd.Function):  # type: ignore[misc]
    """Saves q, k and v and allocates what attention does; nothing else."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return torch.empty_like(q)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = ctx.saved_tensors
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def training_timed(batches: int = 200, calls: int = 200) -> list[Timed]:
    """Forward and backward, of this package and of a function that does nothing."""
    # So many tiles that no query blocks are split: torch would add up what the splits leave.
    sizes = (1, 256, 8, 64)
    q, k, v = (torch.randn(sizes, dtype=torch.float16, requires_grad=True) for _ in range(3))
    grad = torch.ones_like(q)

    def step() -> None:
        torch.autograd.grad(flash_attn_func(q, k, v, causal=True), (q, k, v), grad)

    def empty() -> None:
        torch.autograd.grad(Empty.apply(q, k, v), (q, k, v), grad)

    ways: tuple[tuple[str, Callable[[], None], float | None], ...] = (
        ("training step, forward and backward", step, TRAINING_LIMIT),
        ("the same of an empty autograd.Function, torch alone", empty, None),
    )
    with nothing_launched():
        return [
            Timed(name, "us", microseconds(call, batches, calls), limit)
            for name, call, limit in ways
        ]


def import_timed(repeats: int = 10) -> Timed:
    """Importing the package, each time in a process of its own that has torch."""
    command = [sys.executable, "-c", IMPORT]
    outputs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for _ in range(repeats)
    ]
    times = tuple(sorted(map(float, outputs)))
    return Timed("import, beyond torch's", "ms", times, IMPORT_LIMIT)


def all_timed(batches: int = 200, calls: int = 200, imports: int = 10) -> list[Timed]:
    """All of this file."""
    of_calls = [*calls_timed(batches, calls), *training_timed(batches, calls)]
    return [*of_calls, import_timed(imports)]


def main() -> None:
    """Prints one line per way of calling, and one of importing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--calls", type=int, default=200, help="per batch")
    parser.add_argument("--imports", type=int, default=10, help="each in a process of its own")
    options = parser.parse_args()
    print(f"per call, {options.batches} batches of {options.calls} calls")
    for timed in all_timed(options.batches, options.calls, options.imports):
        low, high = timed.spread
        print(f"{timed.target}  fastest {timed.times[0]:.1f}, 80 % from {low:.1f} to {high:.1f}")


if __name__ == "__main__":
    main()
