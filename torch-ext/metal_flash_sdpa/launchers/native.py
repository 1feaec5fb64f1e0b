"""Runs a plan on MPS tensors through the op of a build that was compiled ahead of time.

The op is `launch(str kernel, Tensor[] tensors, int[] ints, float[] floats, int[] threadgroups,
int threads)`; it binds the tensors in order, then the ints as int32, then the floats.
"""

from typing import Callable, Dict, Sequence

import torch

from .._ops import ops
from ..catalogue import BUILT_IN, Catalogue
from ..plan import LaunchPlan
from . import bind

DEVICES = ("mps",)


def missing() -> str:
    """Why it cannot run here; "" if it can."""
    return "" if hasattr(ops, "launch") else "this build has no compiled launcher"


def prepare(
    plan: LaunchPlan, catalogue: Catalogue = BUILT_IN
) -> Callable[[Sequence[torch.Tensor]], None]:
    """A function that encodes `plan` on torch's command encoder, and does not wait for the GPU.

    The kernels are those of the build, whatever the catalogue says of their sources.
    """

    def encode(buffers: Sequence[torch.Tensor]) -> None:
        ops.launch(
            plan.kernel,
            buffers,
            plan.ints,
            plan.floats,
            plan.threadgroups,
            plan.threads,
        )

    return encode


def launch(
    plan: LaunchPlan, tensors: Dict[str, torch.Tensor], catalogue: Catalogue = BUILT_IN
) -> None:
    """Encode `plan` once."""
    prepare(plan, catalogue)(bind(plan, tensors))
