"""Where kernels run: on which tensors, through which launcher, in which processes.

"emulator" is the CPU; "cuda" is the same emulator on an NVIDIA GPU; "mps" is a Mac's.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from metal_flash_sdpa.plan import LaunchPlan
from torch import Tensor

from verify import workers
from verify.case import Case

NAMES = ("emulator", "cuda", "mps")
BUILD = Path(__file__).resolve().parent.parent / "build"

# Of the CPU executor; for a kernel on an NVIDIA GPU other people's tools do the like.
INSTEAD = "use nox -s sanitize, which runs NVIDIA's compute-sanitizer, or --device emulator"

GPU_PROCESSES = 14  # each has a CUDA context of half a GiB; most of their time is the reference's
LAUNCH_SECONDS = 10.0  # of a launch on a GPU; milliseconds are usual
POLL_SECONDS = 1e-4

Launch = Callable[..., Any]  # a plan and its tensors; options go to the emulator


class TimeLimitError(RuntimeError):
    """A launch that does not end."""


def add_option(parser: argparse.ArgumentParser, names: Sequence[str] = NAMES) -> None:
    """--device; by default a Mac's GPU where there is one."""
    on_mac = "mps" in names and torch.backends.mps.is_available()
    parser.add_argument(
        "--device",
        choices=names,
        default="mps" if on_mac else "emulator",
        help="default: %(default)s",
    )


def add_processes_option(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    """--processes; without a default, what `each` takes."""
    usual = "%(default)s" if default else "one per core; on a GPU some more"
    parser.add_argument("--processes", type=at_least_1, default=default, help=f"default: {usual}")


def at_least_1(text: str) -> int:
    """A number of processes, as an option's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, at least 1")
    return int(text)


def refuse(parser: argparse.ArgumentParser, option: str, device: str) -> None:
    """End the program: the option is one of the CPU executor's."""
    parser.error(f"{option} goes with --device emulator, not with --device {device}; {INSTEAD}")


def require(device: str) -> None:
    """Raises emulator.EmulatorError, which says what is missing, if nothing can run there."""
    if device == "cuda":
        from emulator.cuda import gpu

        gpu.require()


def tensors_on(device: str) -> str:
    """Torch's name for where the tensors are."""
    return "cpu" if device == "emulator" else device


def launcher(device: str) -> Launch:
    """The package's own launcher for a device.  On an NVIDIA GPU it waits for each launch."""
    if device == "mps":
        from metal_flash_sdpa.launchers import jit

        return jit.launch
    from metal_flash_sdpa.launchers import emulator

    return waiting(emulator.launch) if device == "cuda" else partial(emulator.launch, workers=1)


def waiting(launch: Launch, seconds: float = LAUNCH_SECONDS) -> Launch:
    """A launcher for an NVIDIA GPU that returns when the work is done: errors are then its own."""

    def launched(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        launch(step, tensors)
        wait(seconds)

    return launched


def wait(seconds: float = LAUNCH_SECONDS) -> None:
    """Returns when the GPU has done all that it was given.

    Raises TimeLimitError if that takes too long, and torch's own error if the work failed.  After
    either the process can do nothing more with the GPU.
    """
    done = torch.cuda.Event()
    done.record()
    end = time.monotonic() + seconds
    while not done.query():
        if time.monotonic() > end:
            raise TimeLimitError(f"the GPU is not done after {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
    torch.cuda.synchronize()


def is_usable(seconds: float = 1.0) -> bool:
    """Whether this process can go on with the GPU, or has never begun."""
    try:
        if torch.cuda.is_initialized():
            wait(seconds)
    except RuntimeError:
        return False
    return True


def each(
    tasks: Sequence[Callable[[], Any]], device: str, processes: int | None = None
) -> Iterator[tuple[int, Any]]:
    """(index, result) of all tasks as they end; an exception is a result, too.

    On the CPU each has a forked process of its own.  CUDA does not survive a fork: there the tasks
    take turns in a few processes, of which one that can no longer use the GPU is replaced.  A Mac's
    GPU works for this process.
    """
    if device == "cuda":
        return workers.serve(tasks, processes or GPU_PROCESSES, is_usable)
    if device == "mps":
        return ((index, task()) for index, task in enumerate(tasks))
    import_all()
    return workers.run(tasks, processes or os.cpu_count() or 1)


@cache
def import_all() -> None:
    """Let torch import what it puts off until the first gradient: each fork would do so anew.

    No gradient is computed: where torch knows CUDA that starts threads, which no fork survives.
    """
    import_module("torch.fx.experimental.symbolic_shapes")


@contextmanager
def room_for(case: Case, device: str) -> Iterator[None]:
    """Lets cases beyond 2^31 elements run one at a time on a GPU: each needs 16 GB or more."""
    if device != "cuda" or case.layout != "far":
        yield
        return
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "far.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, or the process ends
        try:
            yield
        finally:
            torch.cuda.empty_cache()
