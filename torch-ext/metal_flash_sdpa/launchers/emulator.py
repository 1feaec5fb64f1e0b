"""Runs a plan on CPU tensors through the project's Metal emulator (tests, Linux development)."""

from functools import lru_cache
from typing import Any, Dict

import emulator
import numpy as np
import torch

from ..plan import LaunchPlan
from . import bind, shader_path


@lru_cache(maxsize=None)
def _kernel(name: str) -> Any:
    return emulator.compile(shader_path(name)).function(name)


def launch(plan: LaunchPlan, tensors: Dict[str, torch.Tensor], **options: Any) -> Any:
    """Run `plan`; options go to the emulator's launch.  Returns the emulator's report."""
    arguments = [
        *bind(plan, tensors),
        np.array(plan.ints, dtype=np.int32),
        np.array(plan.floats, dtype=np.float32),
    ]
    return _kernel(plan.kernel).launch(
        arguments, threadgroups=plan.threadgroups, threads=(plan.threads, 1, 1), **options
    )
