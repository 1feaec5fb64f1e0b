"""Runs a plan on CPU and CUDA tensors through the project's Metal emulator (tests, development)."""

import struct
from functools import lru_cache
from typing import Any, Callable, Dict, Sequence

import torch

from ..catalogue import BUILT_IN, Catalogue
from ..plan import LaunchPlan
from . import bind

DEVICES = ("cpu", "cuda")


def missing() -> str:
    """Why it cannot run here; "" if it can."""
    try:
        from emulator import compile  # noqa: A004, F401
    except ImportError as error:
        return f"{error}; the emulator is in the project's repository, not in its builds"
    return ""


@lru_cache(maxsize=None)
def _kernel(catalogue: Catalogue, file: str, name: str) -> Any:
    import emulator

    # Builds ahead of time use fast math: nothing here may rest on what becomes of infinities.
    return emulator.compile(catalogue.path(file), finite_math=True).function(name)


def prepare(
    plan: LaunchPlan, catalogue: Catalogue = BUILT_IN
) -> Callable[[Sequence[torch.Tensor]], Any]:
    """A function that runs `plan` and returns the emulator's report.

    It asks for the kernel at each call: tests put another in its place.
    """
    return lambda buffers: _launch(_kernel(catalogue, plan.file, plan.kernel), plan, buffers)


def launch(
    plan: LaunchPlan,
    tensors: Dict[str, torch.Tensor],
    catalogue: Catalogue = BUILT_IN,
    **options: Any,
) -> Any:
    """Run `plan` once; options go to the emulator's launch.  Returns the emulator's report."""
    return launch_on(_kernel(catalogue, plan.file, plan.kernel), plan, tensors, **options)


def launch_on(
    kernel: Any, plan: LaunchPlan, tensors: Dict[str, torch.Tensor], **options: Any
) -> Any:
    """The same on a kernel that the emulator compiled."""
    return _launch(kernel, plan, bind(plan, tensors), **options)


def _launch(kernel: Any, plan: LaunchPlan, buffers: Sequence[torch.Tensor], **options: Any) -> Any:
    arguments = [*buffers, struct.pack(f"<{len(plan.ints)}i", *plan.ints)]
    if plan.floats:
        arguments.append(struct.pack(f"<{len(plan.floats)}f", *plan.floats))
    return kernel.launch(
        arguments, threadgroups=plan.threadgroups, threads=(plan.threads, 1, 1), **options
    )
