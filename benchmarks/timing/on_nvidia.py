"""Time and memory of a call on an NVIDIA GPU, by torch's own allocator and events."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Call = Callable[[], Any]


@dataclass(frozen=True)
class Measured:
    """What a call took; with a `problem` it was too much."""

    milliseconds: float = 0.0
    peak_bytes: int = 0  # beyond what was there before, the result included
    problem: str = ""


def measure(call: Call, runs: int) -> Measured:
    """The median time of `runs` calls after one that warms up, and the peak of torch's allocator.

    A call that the GPU has no room for is a result, too.
    """
    try:
        call()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        times = []
        for _ in range(runs):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end))
        peak = torch.cuda.max_memory_allocated() - before
        return Measured(statistics.median(times), peak)
    except torch.OutOfMemoryError as error:
        return Measured(problem=no_room(error))
    finally:
        torch.cuda.empty_cache()


def no_room(error: Exception) -> str:
    """What torch wanted and did not get, in its own words."""
    words = str(error).split(". ")
    return next((text for text in words if text.startswith("Tried to allocate")), words[0])
