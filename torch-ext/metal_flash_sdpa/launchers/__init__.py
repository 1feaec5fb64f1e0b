"""Launchers: each runs a LaunchPlan on tensors and knows nothing of attention.

Every launcher module has

    DEVICES                            the types of the devices whose tensors it takes
    missing()                          why it cannot run here, in words; "" if it can
    prepare(plan, catalogue)           a function that runs the plan on its buffers, given in order
    launch(plan, tensors, catalogue)   runs the plan once
"""

import os
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from operator import itemgetter
from typing import Any, Callable, Dict, Iterator, List, Tuple

import torch

from ..catalogue import BUILT_IN, Catalogue
from ..plan import LaunchPlan, Plan

NAMES = ("native", "jit", "emulator")  # in order of preference
FORCE = "METAL_FLASH_SDPA_LAUNCHER"  # environment variable: one of NAMES


Tensors = Dict[str, torch.Tensor]

_notes: List[List[str]] = []


@contextmanager
def noting() -> Iterator[List[str]]:
    """The kernels that are prepared in a with block, by name, with one that does not compile."""
    names: List[str] = []
    _notes.append(names)
    try:
        yield names
    finally:
        _notes.remove(names)


def prepare(
    plan: Plan, launcher: Any, device: torch.device, catalogue: Catalogue = BUILT_IN
) -> Callable[[Tensors], Tensors]:
    """A function that runs all launches of a plan on a call's tensors, one after the other.

    It returns the tensors and those of the workspace.  All that calls with one plan have in common
    is done here, once: a call takes no longer than to pick its tensors.
    """
    absent: Tensors = {}
    steps = []
    for step in plan.launches:
        absent.update(_zeros(step.optional, device))
        if 0 not in step.threadgroups:
            for names in _notes:
                names.append(step.kernel)
            steps.append((launcher.prepare(step, catalogue), itemgetter(*step.buffers)))

    def prepared(tensors: Tensors) -> Tensors:
        if plan.workspace:
            tensors = {**tensors, **_workspace(plan, tensors, device)}
        bound = {**absent, **tensors}
        for launch, pick in steps:
            launch(pick(bound))
        return tensors

    return prepared


def run(
    plan: Plan, tensors: Tensors, catalogue: Catalogue = BUILT_IN, *, launch: Callable[..., Any]
) -> Tensors:
    """Run all launches of a plan once, each by `launch`, called as a launcher's own."""
    tensors = {**tensors, **_workspace(plan, tensors, _device(tensors))}
    for step in plan.launches:
        if 0 not in step.threadgroups:
            launch(step, tensors, catalogue)
    return tensors


def _workspace(plan: Plan, tensors: Tensors, device: torch.device) -> Tensors:
    """The memory between launches, but for what is among the tensors."""
    make = torch.zeros if plan.zeroed else torch.empty
    return {
        name: make(shape, dtype=getattr(torch, dtype), device=device)
        for name, shape, dtype in plan.workspace
        if name not in tensors
    }


def _device(tensors: Tensors) -> torch.device:
    return next(iter(tensors.values())).device


@lru_cache(maxsize=None)
def chosen(device: torch.device) -> Any:
    """The launcher module for tensors on a device; chosen once, as to ask the environment is slow.

    Raises RuntimeError saying what is missing if there is none.
    """
    return choose(device.type, os.environ.get(FORCE, ""))


@lru_cache(maxsize=None)
def choose(device: str, forced: str = "") -> Any:
    """The launcher module for tensors on a type of device: `forced`, or the first that can run."""
    if forced and forced not in NAMES:
        raise ValueError(f"{FORCE} is {forced!r}: must be one of {', '.join(NAMES)}")
    problems = []
    for name in (forced,) if forced else NAMES:
        problem = why_not(name, device)
        if not problem:
            return import_module(f".{name}", __name__)
        problems.append(f"{name}: {problem}")
    why = f" that {FORCE} allows" if forced else ""
    raise RuntimeError(f"no launcher{why} for tensors on {device} ({'; '.join(problems)})")


def why_not(name: str, device: str) -> str:
    """Why a launcher cannot run tensors on a type of device, in words; "" if it can."""
    module = import_module(f".{name}", __name__)
    if device not in module.DEVICES:
        return f"takes tensors on {' and '.join(module.DEVICES)}"
    return str(module.missing())


Optionals = Tuple[Tuple[str, str], ...]


@lru_cache(maxsize=None)
def _zeros(optional: Optionals, device: torch.device) -> Dict[str, torch.Tensor]:
    """What is bound in place of tensors that a call does not have."""
    return {
        name: torch.zeros(1, dtype=getattr(torch, dtype), device=device) for name, dtype in optional
    }


def bind(plan: LaunchPlan, tensors: Tensors) -> List[torch.Tensor]:
    """The plan's buffers in binding order."""
    bound = {**_zeros(plan.optional, _device(tensors)), **tensors}
    return [bound[name] for name in plan.buffers]
