"""The work of this package's kernels for a shape, counted as they are planned and launched."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from metal_flash_sdpa.catalogue import BUILT_IN, Catalogue
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import run
from metal_flash_sdpa.plan import LaunchPlan, Plan, Request, plan
from metal_flash_sdpa.splits import Gpu
from torch import Tensor

from benchmarks.counting.extrapolate import scaled
from benchmarks.counting.work import FEW_QUERIES, Kernel, Work, total
from benchmarks.shapes import Shape, draw
from codegen.matrix import Variant, matrix
from emulator.counting.counts import Counts

ANY_GPU = Gpu()  # that plans assume where nobody says


@dataclass(frozen=True, eq=False)
class Build:
    """Kernels to count: what plans pick from, and the matrix's row of each by name."""

    catalogue: Catalogue
    variants: Mapping[str, Variant]


BUILT = Build(BUILT_IN, {variant.name: variant for variant in matrix()})


def strides(x: Tensor) -> tuple[int, int, int]:
    """(batch, row, head)."""
    batch, row, head = x.stride()[:3]
    return batch, row, head


def request(
    shape: Shape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    gpu: Gpu,
    splits: int = 0,
    wants_lse: bool = False,
) -> Request:
    """What this package is asked for: tensors as (batch, rows, heads, head_dim).

    The peers write no log-sum-exp in inference, so it is not asked for beside them; training does.
    """
    return Request(
        dtype=shape.dtype,
        head_dim=shape.head_dim,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        batch=shape.batch,
        q_len=shape.queries,
        k_len=shape.keys,
        packed=False,
        q_strides=strides(q),
        k_strides=strides(k),
        v_strides=strides(v),
        out_strides=strides(out),
        softmax_scale=shape.head_dim**-0.5,
        causal=shape.causal,
        window_size=shape.window,
        wants_lse=wants_lse,
        has_sinks=shape.sinks,
        num_splits=splits,
        gpu=gpu,
        head_dim_v=shape.head_dim_v,
    )


def plan_of(shape: Shape, gpu: Gpu, build: Build = BUILT) -> Plan:
    """This package's plan; no tensor is filled for it."""
    of_rows, of_keys = (shape.queries, shape.heads), (shape.keys, shape.kv_heads)
    q, out = (_empty(shape, *of_rows, width) for width in shape.widths)
    k, v = (_empty(shape, *of_keys, width) for width in shape.widths)
    return plan(request(shape, q, k, k if shape.latent else v, out, gpu), build.catalogue)


def _empty(shape: Shape, rows: int, heads: int, columns: int) -> Tensor:
    return torch.empty(shape.batch, rows, heads, columns, device="meta")


def ours_kernels(shape: Shape, gpu: Gpu = ANY_GPU, build: Build = BUILT) -> tuple[Kernel, ...]:
    """The kernels of this package's plan."""
    return kernels_of(plan_of(shape, gpu, build), build)


def kernels_of(planned: Plan, build: Build) -> tuple[Kernel, ...]:
    """Those that a plan launches."""
    rows = [build.variants[step.kernel] for step in planned.launches]
    return tuple(
        Kernel(
            name=v.name,
            threads=v.tile.threads,
            threadgroup_bytes=v.threadgroup_bytes,
            block_q=v.tile.block_q,
            block_k=v.tile.block_k,
            registers=v.tile.registers(v.widths, v.element_bytes),
        )
        for v in rows
    )


def workspace_bytes(planned: Plan) -> int:
    """What the launches of a plan keep between them."""
    return sum(
        getattr(torch, dtype).itemsize * math.prod(sizes) for _, sizes, dtype in planned.workspace
    )


@functools.cache
def ours_counted(
    shape: Shape, gpu: Gpu, splits: int = 0, build: Build = BUILT, lse: bool = False
) -> dict[str, int]:
    """Our launches for a shape, run as it is."""
    q, k, v = (x.transpose(1, 2) for x in draw(shape))
    out, sinks = q.new_empty(*q.shape[:-1], v.shape[-1]), torch.zeros(shape.heads)
    tensors = {"q": q, "k": k, "v": v, "out": out, "sinks": sinks}
    if lse:
        tensors["lse"] = torch.empty(shape.batch, shape.heads, shape.queries)
    counts: list[Counts] = []

    def count(step: LaunchPlan, tensors: dict[str, Tensor], catalogue: Catalogue) -> None:
        counts.append(launcher.launch(step, tensors, catalogue, count=True, workers=1).counts)

    made = plan(request(shape, q, k, v, out, gpu, splits, lse), build.catalogue)
    run(made, tensors, build.catalogue, launch=count)
    return total(counts)


def ours(shape: Shape, gpu: Gpu = ANY_GPU, build: Build = BUILT, lse: bool = False) -> Work:
    """This package's work, as planned for a GPU; `lse`: and the log-sum-exp, as training needs."""
    planned = plan_of(shape, gpu, build)
    kernels = ours_kernels(shape, gpu, build)
    few = shape.queries <= FEW_QUERIES
    splits = planned.launches[0].threadgroups[0] if few else 0  # of the whole, not of its part

    def count(part: Shape) -> dict[str, int]:
        return ours_counted(part, gpu, splits, build, lse)

    counts = scaled(shape, kernels[:1], count)
    return Work("ours", kernels, counts, workspace_bytes(planned))
