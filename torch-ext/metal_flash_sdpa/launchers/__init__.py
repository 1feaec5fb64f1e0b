"""Launchers: each runs a LaunchPlan on tensors and knows nothing of attention.

Every launcher module has

    DEVICES                 the types of the devices whose tensors it takes
    missing()               why it cannot run here, in words; "" if it can
    launch(plan, tensors)   runs the plan
"""

import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch

from ..plan import LaunchPlan, Plan

NAMES = ("native", "jit", "emulator")  # in order of preference
FORCE = "METAL_FLASH_SDPA_LAUNCHER"  # environment variable: one of NAMES

# Not resolved: in the cache of `kernels` each file is a link to a blob that lies elsewhere.
_PACKAGE = Path(__file__).absolute().parent.parent
# A built package carries its shaders; a checkout has them in generated/.
_SHADER_FOLDERS = (_PACKAGE / "shaders", _PACKAGE.parent.parent / "generated")


def launch(plan: LaunchPlan, tensors: Dict[str, torch.Tensor]) -> None:
    """Run `plan` with the launcher for these tensors; an empty grid is nothing to do.

    Raises RuntimeError saying what is missing if there is none.
    """
    if 0 not in plan.threadgroups:
        choose(tensors["q"].device.type, os.environ.get(FORCE, "")).launch(plan, tensors)


def run(plan: Plan, tensors: Dict[str, torch.Tensor], launch: Callable[..., Any] = launch) -> None:
    """Run all launches of a plan, one after the other."""
    device = tensors["q"].device
    for name, shape in plan.workspace:
        workspace = torch.empty(shape, dtype=torch.float32, device=device)
        tensors = {**tensors, name: workspace}
    for step in plan.launches:
        if 0 not in step.threadgroups:
            launch(step, tensors)


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


def shader_path(kernel: str) -> Path:
    """The .metal file that holds `kernel`.  Raises FileNotFoundError naming where it looked."""
    for folder in _SHADER_FOLDERS:
        path = folder / f"{kernel}.metal"
        if path.is_file():
            return path
    places = " or ".join(str(folder) for folder in _SHADER_FOLDERS)
    raise FileNotFoundError(f"{kernel}.metal is neither in {places}")


# What a kernel takes and a call may not have: few want the log-sum-exp, a padded batch has no
# offsets, few models slopes, keys that are not divided give no partial results, and rows may be
# appended as they are.
OPTIONAL = {
    "lse": torch.float32,
    "cu_seqlens_q": torch.int32,
    "k_begin": torch.int32,
    "k_end": torch.int32,
    "block_table": torch.int32,
    "alibi_slopes": torch.float32,
    "partial_out": torch.float32,
    "partial_lse": torch.float32,
    "rotary_cos": None,  # like the queries
    "rotary_sin": None,
    "rotated_q": None,
}


@lru_cache(maxsize=None)
def _zeros(dtype: torch.dtype, device: torch.device) -> Dict[str, torch.Tensor]:
    """What is bound in place of optional tensors that are not there."""
    return {
        name: torch.zeros(1, dtype=own or dtype, device=device) for name, own in OPTIONAL.items()
    }


def bind(plan: LaunchPlan, tensors: Dict[str, torch.Tensor]) -> List[torch.Tensor]:
    """The plan's buffers in binding order."""
    queries = tensors["q"]
    there = {**_zeros(queries.dtype, queries.device), **tensors}
    return [there[name] for name in plan.buffers]
