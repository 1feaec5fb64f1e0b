"""Runs a plan on CPU tensors through the project's Metal emulator (tests, Linux development)."""

from functools import lru_cache
from typing import Any, Dict

import numpy as np
import torch

import emulator

from ..plan import LaunchPlan
from . import bind, shader_path


@lru_cache(maxsize=None)
def _kernel(name: str) -> Any:
    return emulator.compile(shader_path(name)).function(name)


def launch_on(
    kernel: Any, plan: LaunchPlan, tensors: Dict[str, torch.Tensor], **options: Any
) -> Any:
    """Run `plan` on a kernel that the emulator compiled; options go to the emulator's launch."""
    arguments = [
        *bind(plan, tensors),
        np.array(plan.ints, dtype=np.int32),
        np.array(plan.floats, dtype=np.float32),
    ]
    return kernel.launch(
        arguments, threadgroups=plan.threadgroups, threads=(plan.threads, 1, 1), **options
    )


def launch(plan: LaunchPlan, tensors: Dict[str, torch.Tensor], **options: Any) -> Any:
    """Run `plan`; options go to the emulator's launch.  Returns the emulator's report."""
    return launch_on(_kernel(plan.kernel), plan, tensors, **options)
