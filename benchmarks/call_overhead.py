"""How much Python one attention call takes, in microseconds, with nothing behind the launcher.

The tensors are on the CPU and the shader compiler is a stand-in whose kernels do nothing, so what
is measured is this package (and for the public function torch's dispatcher), as it would precede
the encoding on a Mac.  Each figure is a batch of calls divided by its size; the spread over the
batches says how quiet the machine was.  A new length is what every step of a generation has.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from metal_flash_sdpa import flash_attn_func, launchers, ops
from metal_flash_sdpa.call import Options, attend
from metal_flash_sdpa.launchers import jit

TARGET = 15.0  # microseconds, median: what planning and handing over may take


class Nothing:
    """A library whose kernels take any arguments and do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def compile_nothing(_: str) -> Nothing:
    return Nothing()


def choose_jit(*_: str) -> Any:
    return jit


def microseconds(call: Callable[[], Any], batches: int, calls: int) -> list[float]:
    """Time per call of each batch, after one that does not count."""
    times = []
    for _ in range(batches + 1):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begin) / calls * 1e6)
    return times[1:]


def main() -> None:
    """Prints one line per way of calling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--calls", type=int, default=200, help="per batch")
    options = parser.parse_args()

    q, k, v = (torch.randn(1, 64, heads, 64, dtype=torch.float16) for heads in (8, 2, 2))
    count = options.calls * (options.batches + 1)
    keys = torch.randn(1, count, 2, 64, dtype=torch.float16)
    out = torch.empty_like(q)
    sinks = torch.zeros(8)
    asked = Options(sinks, causal=True, window_size=(127, 127))
    one, one_out = q[:, :1], out[:, :1]
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
        ops.forward(q, k, v, False, None, None, sinks, None, None, True, 127, 127, 0.0, 0)

    def public() -> None:
        flash_attn_func(q, k, v, causal=True, window_size=(127, 127), s_aux=sinks)

    judged = {
        "plan and hand over, plan known": planned,
        "plan and hand over, new length": planned_anew,
        "the same, decoding": decoded_anew,
    }
    ways = {
        **judged,
        "the op, through torch's dispatcher": op,
        "flash_attn_func": public,
    }
    # Plain functions: a Mock's call takes longer than the launcher.
    compiler = mock.patch.object(torch.mps, "compile_shader", new=compile_nothing)
    launcher = mock.patch.object(launchers, "choose", new=choose_jit)
    print(f"microseconds per call, {options.batches} batches of {options.calls} calls")
    with compiler, launcher, torch.no_grad():
        for name, call in ways.items():
            times = sorted(microseconds(call, options.batches, options.calls))
            median = statistics.median(times)
            verdict = ""
            if name in judged:
                verdict = f"  target {TARGET:.1f}: {'met' if median <= TARGET else 'MISSED'}"
            tenth, ninth = times[len(times) // 10], times[-len(times) // 10]
            print(
                f"{name:36}{median:6.1f}  "
                f"(fastest {times[0]:.1f}, 80 % from {tenth:.1f} to {ninth:.1f}){verdict}"
            )


if __name__ == "__main__":
    main()
