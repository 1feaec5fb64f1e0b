"""Runs a plan on MPS tensors through torch.mps.compile_shader (torch >= 2.7)."""

from threading import Lock
from typing import Any, Callable, Dict, Sequence, Tuple

import torch

from ..catalogue import BUILT_IN, Catalogue
from ..plan import LaunchPlan
from . import bind

DEVICES = ("mps",)

_compiling = Lock()
_kernels: Dict[Tuple[Catalogue, str], Any] = {}  # by host name


def missing() -> str:
    """Why it cannot run here; "" if it can."""
    if not hasattr(torch.mps, "compile_shader"):
        return f"torch {torch.__version__} has no torch.mps.compile_shader, 2.7 has"
    return "" if torch.backends.mps.is_available() else "torch has no MPS on this machine"


def source(plan: LaunchPlan, catalogue: Catalogue = BUILT_IN) -> str:
    """A shader's text, with its other kernels left out; lines are numbered as in the file."""
    shader = catalogue.path(plan.file)
    return f"#define ONLY\n#define ONLY_{plan.kernel}\n#line 1\n{shader.read_text()}"


def _kernel(plan: LaunchPlan, catalogue: Catalogue) -> Any:
    """The kernel of a plan, compiled when it is asked for the first time."""
    key = catalogue, plan.kernel
    if key not in _kernels:
        with _compiling:
            if key not in _kernels:  # another thread may have been faster
                library = torch.mps.compile_shader(source(plan, catalogue))
                _kernels[key] = getattr(library, plan.kernel)
    return _kernels[key]


def prepare(
    plan: LaunchPlan, catalogue: Catalogue = BUILT_IN
) -> Callable[[Sequence[torch.Tensor]], None]:
    """A function that encodes `plan` on torch's command encoder, and does not wait for the GPU."""
    kernel = _kernel(plan, catalogue)
    x, y, z = plan.threadgroups
    numbers = [list(plan.ints), *([list(plan.floats)] if plan.floats else [])]
    how = {
        "threads": (x * plan.threads, y, z),
        "group_size": (plan.threads, 1, 1),
        "arg_casts": {len(plan.buffers): "int32"},
    }

    def encode(buffers: Sequence[torch.Tensor]) -> None:
        kernel(*buffers, *numbers, **how)

    return encode


def launch(
    plan: LaunchPlan, tensors: Dict[str, torch.Tensor], catalogue: Catalogue = BUILT_IN
) -> None:
    """Encode `plan` once."""
    prepare(plan, catalogue)(bind(plan, tensors))
