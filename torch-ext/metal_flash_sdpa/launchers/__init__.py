"""Launchers: each runs a LaunchPlan on tensors and knows nothing of attention.

Every launcher module has

    DEVICES                            the types of the devices whose tensors it takes
    missing()                          why it cannot run here, in words; "" if it can
    launch(plan, tensors, catalogue)   runs the plan, whose kernel the catalogue has
"""

import os
from functools import lru_cache
from importlib import import_module
from typing import Any, Callable, Dict, List, Tuple

import torch

from ..catalogue import BUILT_IN, Catalogue
from ..plan import LaunchPlan, Plan

NAMES = ("native", "jit", "emulator")  # in order of preference
FORCE = "METAL_FLASH_SDPA_LAUNCHER"  # environment variable: one of NAMES


def launch(
    plan: LaunchPlan, tensors: Dict[str, torch.Tensor], catalogue: Catalogue = BUILT_IN
) -> None:
    """Run `plan` with the launcher for these tensors.

    Raises RuntimeError saying what is missing if there is none.
    """
    launcher = choose(_device(tensors).type, os.environ.get(FORCE, ""))
    launcher.launch(plan, tensors, catalogue)


def run(
    plan: Plan,
    tensors: Dict[str, torch.Tensor],
    catalogue: Catalogue = BUILT_IN,
    launch: Callable[..., Any] = launch,
) -> Dict[str, torch.Tensor]:
    """Run all launches of a plan, one after the other, with `launch` or what does as it does.

    Returns the tensors and those of the workspace.
    """
    if plan.workspace:
        device = _device(tensors)
        tensors = dict(tensors)
        for name, shape, dtype in plan.workspace:
            if name not in tensors:
                tensors[name] = torch.empty(shape, dtype=getattr(torch, dtype), device=device)
    for step in plan.launches:
        if 0 not in step.threadgroups:
            launch(step, tensors, catalogue)
    return tensors


def _device(tensors: Dict[str, torch.Tensor]) -> torch.device:
    return next(iter(tensors.values())).device


@lru_cache(maxsize=None)
def choose(device: str, forced: str = "") -> Any:
    """The launcher module for tensors on a type of device: `forced`, or the first that can run."""
    if forced and forced not in NAMES:
        raise ValueError(f"{FORCE} is {forced!r}: must be one of {', '.join(NAMES)}")
    problems = []
    for name in (forced,) if forced else NAMES:
        module = import_module(f".{name}", __name__)
        takes = " and ".join(module.DEVICES)
        problem = module.missing() if device in module.DEVICES else f"takes tensors on {takes}"
        if not problem:
            return module
        problems.append(f"{name}: {problem}")
    why = f" that {FORCE} allows" if forced else ""
    raise RuntimeError(f"no launcher{why} for tensors on {device} ({'; '.join(problems)})")


Optionals = Tuple[Tuple[str, str], ...]


@lru_cache(maxsize=None)
def _zeros(optional: Optionals, device: torch.device) -> Dict[str, torch.Tensor]:
    """What is bound in place of tensors that a call does not have."""
    return {
        name: torch.zeros(1, dtype=getattr(torch, dtype), device=device) for name, dtype in optional
    }


def bind(plan: LaunchPlan, tensors: Dict[str, torch.Tensor]) -> List[torch.Tensor]:
    """The plan's buffers in binding order."""
    bound = {**_zeros(plan.optional, _device(tensors)), **tensors}
    return [bound[name] for name in plan.buffers]
