"""The work of this package's kernels for a shape, counted as they are planned and launched."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import torch
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import run
from metal_flash_sdpa.plan import LaunchPlan, Plan, Request, plan
from metal_flash_sdpa.splits import Gpu
from torch import Tensor

from benchmarks.counting.extrapolate import scaled
from benchmarks.counting.work import FEW_QUERIES, Kernel, Work, total
from benchmarks.shapes import Shape, draw
from emulator.counting.counts import Counts

ANY_GPU = Gpu()  # that plans assume where nobody says
MANIFEST = Path(__file__).resolve().parents[2] / "generated" / "manifest.json"


def strides(x: Tensor) -> tuple[int, int, int]:
    """(batch, row, head)."""
    batch, row, head = x.stride()[:3]
    return batch, row, head


def request(
    shape: Shape, q: Tensor, k: Tensor, v: Tensor, out: Tensor, gpu: Gpu, splits: int = 0
) -> Request:
    """What this package is asked for: tensors as (batch, rows, heads, head_dim)."""
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
        lse=False,  # the peers do not write it
        sinks=shape.sinks,
        splits=splits,
        gpu=gpu,
    )


def plan_of(shape: Shape, gpu: Gpu) -> Plan:
    """This package's plan; no tensor is filled for it."""
    q, k = _empty(shape, shape.queries, shape.heads), _empty(shape, shape.keys, shape.kv_heads)
    return plan(request(shape, q, k, k, q, gpu))


def _empty(shape: Shape, rows: int, heads: int) -> Tensor:
    return torch.empty(shape.batch, rows, heads, shape.head_dim, device="meta")


@functools.cache
def variants() -> dict[str, dict[str, Any]]:
    """Our kernels by name, as the manifest has them."""
    return {row["name"]: row for row in json.loads(MANIFEST.read_text())}


def ours_kernels(shape: Shape, gpu: Gpu = ANY_GPU) -> tuple[Kernel, ...]:
    """The kernels of this package's plan."""
    rows = [variants()[step.kernel] for step in plan_of(shape, gpu).launches]
    return tuple(
        Kernel(v["name"], v["threads"], v["threadgroup_bytes"], v["block_q"], v["block_k"])
        for v in rows
    )


@functools.cache
def ours_counted(shape: Shape, gpu: Gpu, splits: int = 0) -> dict[str, int]:
    """Our launches for a shape, run as it is."""
    q, k, v = (x.transpose(1, 2) for x in draw(shape))
    out, sinks = torch.empty_like(q), torch.zeros(shape.heads)
    tensors = {"q": q, "k": k, "v": v, "out": out, "sinks": sinks}
    counts: list[Counts] = []

    def count(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        counts.append(launcher.launch(step, tensors, count=True, workers=1).counts)

    run(plan(request(shape, q, k, v, out, gpu, splits)), tensors, count)
    return total(counts)


def ours(shape: Shape, gpu: Gpu = ANY_GPU) -> Work:
    """This package's work, as planned for a GPU."""
    planned = plan_of(shape, gpu)
    kernels = ours_kernels(shape, gpu)
    few = shape.queries <= FEW_QUERIES
    splits = planned.launches[0].threadgroups[0] if few else 0  # of the whole, not of its part

    def count(part: Shape) -> dict[str, int]:
        return ours_counted(part, gpu, splits)

    workspace = sum(4 * math.prod(sizes) for _, sizes in planned.workspace)
    return Work("ours", kernels, scaled(shape, kernels[0], count), workspace)
