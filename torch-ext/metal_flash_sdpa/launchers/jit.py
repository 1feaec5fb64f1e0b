"""Runs a plan on MPS tensors through torch.mps.compile_shader (torch >= 2.7)."""

from functools import lru_cache
from typing import Any, Dict

import torch

from ..plan import LaunchPlan
from . import bind, shader_path


@lru_cache(maxsize=None)
def _kernel(name: str) -> Any:
    return getattr(torch.mps.compile_shader(shader_path(name).read_text()), name)


def launch(plan: LaunchPlan, tensors: Dict[str, torch.Tensor]) -> None:
    """Encode `plan` on torch's own command encoder; returns before the GPU has run it."""
    x, y, z = plan.threadgroups
    buffers = bind(plan, tensors)
    _kernel(plan.kernel)(
        *buffers,
        list(plan.ints),
        list(plan.floats),
        threads=(x * plan.threads, y, z),
        group_size=(plan.threads, 1, 1),
        arg_casts={len(buffers): "int32"},
    )
