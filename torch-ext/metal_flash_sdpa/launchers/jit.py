"""Runs a plan on MPS tensors through torch.mps.compile_shader (torch >= 2.7)."""

from threading import Lock
from typing import Any, Dict

import torch

from ..plan import LaunchPlan
from . import bind, shader_path

DEVICES = ("mps",)

_compiling = Lock()
_libraries: Dict[str, Any] = {}  # by kernel: a shader's file holds one


def missing() -> str:
    """Why it cannot run here; "" if it can."""
    if not hasattr(torch.mps, "compile_shader"):
        return f"torch {torch.__version__} has no torch.mps.compile_shader, 2.7 has"
    return "" if torch.backends.mps.is_available() else "torch has no MPS on this machine"


def _library(kernel: str) -> Any:
    """The kernel's library, compiled when it is asked for the first time."""
    if kernel not in _libraries:
        with _compiling:
            if kernel not in _libraries:  # another thread may have been faster
                source = shader_path(kernel).read_text()
                _libraries[kernel] = torch.mps.compile_shader(source)
    return _libraries[kernel]


def launch(plan: LaunchPlan, tensors: Dict[str, torch.Tensor]) -> None:
    """Encode `plan` on torch's own command encoder; returns before the GPU has run it."""
    x, y, z = plan.threadgroups
    buffers = bind(plan, tensors)
    getattr(_library(plan.kernel), plan.kernel)(
        *buffers,
        list(plan.ints),
        *([list(plan.floats)] if plan.floats else []),
        threads=(x * plan.threads, y, z),
        group_size=(plan.threads, 1, 1),
        arg_casts={len(buffers): "int32"},
    )
