"""The work of this package's backward pass, launch by launch, counted as planned and launched.

What torch does for it is not counted: adding up the parts of the sinks' gradients and, where query
blocks are split among threadgroups, the partial gradients of K and V.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from metal_flash_sdpa.catalogue import Catalogue
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import run
from metal_flash_sdpa.plan import Backward, LaunchPlan, Plan, plan_backward
from metal_flash_sdpa.splits import Gpu
from torch import Tensor

from benchmarks.counting.extrapolate import scaled
from benchmarks.counting.ours import (
    ANY_GPU,
    BUILT,
    Build,
    kernels_of,
    ours,
    request,
    strides,
    workspace_bytes,
)
from benchmarks.counting.work import Work
from benchmarks.shapes import Shape, draw

# 8x8 products for a fragment of queries and one of keys, and eight elements of their rows.
PRODUCTS = {
    "backward_q": 3,  # S, dP and dQ
    "backward_kv": 4,  # S, dV, dP and dK
    "backward_k": 3,  # S, dP and dK
    "backward_v": 2,  # S and dV
}
FLOAT_BYTES = 4
ALL = "qkv"  # the gradients that a training step asks for
NO_IDLE_CORES = Gpu(cores=0)  # a plan for it splits nothing


@dataclass(frozen=True)
class BackwardWork:
    """What the backward pass did for a shape: the work of each launch, named by its family."""

    launches: tuple[Work, ...]
    extra_bytes: int  # see the function of this name

    @property
    def matrix_launches(self) -> list[Work]:
        """Those that multiply matrices."""
        return [work for work in self.launches if work.name in PRODUCTS]


@dataclass(frozen=True)
class TrainingWork:
    """One attention call of a training step."""

    forward: Work
    backward: BackwardWork

    @property
    def launches(self) -> tuple[Work, ...]:
        return (self.forward, *self.backward.launches)


def tensors_of(shape: Shape, inputs: Iterable[Tensor], gradients: str) -> dict[str, Tensor]:
    """What a backward pass is given.

    `inputs` are q, k and v as (batch, rows, heads, head_dim).  The output and its gradient need
    not be right, as no count depends on them; the log-sum-exp is that of equal scores.
    """
    q, k, v = inputs
    tensors = {"q": q, "k": k, "v": v, "out": q, "grad_out": q}
    of_rows = (shape.batch, shape.heads, shape.queries)
    tensors["lse"] = torch.full(of_rows, math.log(shape.keys), device=q.device)
    if shape.sinks:
        tensors["sinks"] = torch.zeros(shape.heads, device=q.device)
    for name in gradients:
        tensors[f"grad_{name}"] = torch.empty_like(tensors[name])
    return tensors


def plan_of(
    shape: Shape, tensors: Mapping[str, Tensor], gpu: Gpu, catalogue: Catalogue
) -> tuple[Plan, dict[str, str]]:
    """This package's plan for these tensors; and the family of each of its kernels."""
    q, k, v, out = (tensors[name] for name in ("q", "k", "v", "out"))
    none = (0, 0, 0)
    of_gradients = {
        name: strides(tensors[name]) if name in tensors else none
        for name in ("grad_q", "grad_k", "grad_v")
    }
    wanted: dict[str, Any] = {f"wants_{name}": f"grad_{name}" in tensors for name in ALL}
    asked = Backward(
        grad_out_strides=strides(tensors["grad_out"]),
        grad_q_strides=of_gradients["grad_q"],
        grad_k_strides=of_gradients["grad_k"],
        grad_v_strides=of_gradients["grad_v"],
        **wanted,
    )
    made = plan_backward(request(shape, q, k, v, out, gpu), asked, catalogue)
    families = {
        row.name: family for (family, *_), rows in catalogue.variants.items() for row in rows
    }
    return made, {step.kernel: families[step.kernel] for step in made.launches}


def is_split(planned: Plan) -> bool:
    """Whether query blocks are split among threadgroups."""
    return any(name.startswith("partial") for name, *_ in planned.workspace)


@functools.cache
def counted(shape: Shape, gpu: Gpu, gradients: str, build: Build) -> dict[str, int]:
    """Counts of all launches, "family/counter", for a shape that is run as it is."""
    tensors = tensors_of(shape, (x.transpose(1, 2) for x in draw(shape)), gradients)
    made, families = plan_of(shape, tensors, gpu, build.catalogue)
    counts: dict[str, int] = {}

    def count(step: LaunchPlan, tensors: dict[str, Tensor], catalogue: Catalogue) -> None:
        done = launcher.launch(step, tensors, catalogue, count=True, workers=1).counts
        counts.update({f"{families[step.kernel]}/{name}": n for name, n in done.items()})

    run(made, tensors, build.catalogue, launch=count)
    return counts


def backward(
    shape: Shape, gpu: Gpu = ANY_GPU, gradients: str = ALL, build: Build = BUILT
) -> BackwardWork:
    """The backward pass's work, as planned for a GPU.

    A shape whose query blocks are split is run as it is: its parts would be split otherwise.
    """
    tensors = tensors_of(shape, empty(shape), gradients)
    made, families = plan_of(shape, tensors, gpu, build.catalogue)
    kernels = kernels_of(made, build)
    if is_split(made):
        counts = counted(shape, gpu, gradients, build)
    else:
        counts = scaled(shape, kernels, lambda part: counted(part, NO_IDLE_CORES, gradients, build))
    sizes = {name: x.numel() * x.element_size() for name, x in tensors.items()}
    sizes |= {name: FLOAT_BYTES * math.prod(shape) for name, shape, _ in made.workspace}
    launches = []
    for step, kernel in zip(made.launches, kernels, strict=True):
        family = families[step.kernel]
        own = {key.split("/")[1]: n for key, n in counts.items() if key.split("/")[0] == family}
        once = sum(sizes.get(name, 0) for name in step.buffers)
        launches.append(Work(family, (kernel,), own, once_bytes=once))
    return BackwardWork(tuple(launches), extra_bytes(shape, gpu))


def empty(shape: Shape) -> list[Tensor]:
    """q, k and v without memory."""
    rows = ((shape.queries, shape.heads), *[(shape.keys, shape.kv_heads)] * 2)
    dtype = getattr(torch, shape.dtype)
    return [
        torch.empty(shape.batch, *part, shape.head_dim, dtype=dtype, device="meta") for part in rows
    ]


def extra_bytes(shape: Shape, gpu: Gpu = ANY_GPU) -> int:
    """Device memory of a backward pass beyond inputs, outputs and gradients.

    That is the log-sum-exp, which the forward pass keeps for it, and the workspace.
    """
    made, _ = plan_of(shape, tensors_of(shape, empty(shape), ALL), gpu, BUILT.catalogue)
    return FLOAT_BYTES * shape.batch * shape.heads * shape.queries + workspace_bytes(made)


def training(shape: Shape, gpu: Gpu = ANY_GPU) -> TrainingWork:
    """Both passes."""
    return TrainingWork(ours(shape, gpu, lse=True), backward(shape, gpu))
