"""The work of one attention call, counted on the emulator: ours, MLX's and PyTorch's shaders.

All heads and sequences of a padded batch do the same, so one key head with its group is run and
multiplied; long sequences are extrapolated, exactly.  The peers' shaders come with their wheels
(``python -m benchmarks.peers.fetch`` gets MLX's).  A peer without windows is given the mask that
it needs; one without sinks, a further key of zeros whose entry in the mask is the sink.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import run
from metal_flash_sdpa.plan import LaunchPlan, Plan, Request, plan
from metal_flash_sdpa.splits import Gpu
from torch import Tensor

from benchmarks.extrapolate import extrapolate
from benchmarks.peers import mlx, pytorch
from benchmarks.peers.call import Attention, PeerCall
from benchmarks.shapes import FRAGMENT, Shape, draw, visible
from emulator.counting.counts import Counts

ANY_GPU = Gpu()  # that plans assume where nobody says
MANIFEST = Path(__file__).resolve().parent.parent / "generated" / "manifest.json"

# A sequence of no more query rows takes another kernel of somebody's, and is not extrapolated.
FEW_QUERIES = 16


@dataclass(frozen=True)
class Kernel:
    """What a launch needs of a core, beside the work."""

    name: str
    threads: int  # per threadgroup
    threadgroup_bytes: int
    block_q: int  # rows and keys of a tile
    block_k: int


@dataclass(frozen=True)
class Work:
    """What an implementation did for a shape."""

    name: str
    kernels: tuple[Kernel, ...]  # one per launch
    counts: Mapping[str, int]  # of all launches, by the emulator's names
    extra_bytes: int = 0  # of device memory beyond inputs and outputs

    @property
    def launches(self) -> int:
        return len(self.kernels)

    @property
    def bytes_read(self) -> int:
        return self.counts["device.bytes_read"]

    @property
    def bytes_written(self) -> int:
        return self.counts["device.bytes_written"]

    @property
    def products(self) -> int:
        """8x8; 0 where dot products take their place."""
        return family(self.counts, "products.")


def family(counts: Mapping[str, int], prefix: str) -> int:
    """The sum of all counters whose names begin so."""
    return sum(n for name, n in counts.items() if name.startswith(prefix))


def total(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The counts of all launches."""
    names = dict.fromkeys(name for part in counts for name in part)
    return {name: sum(part.get(name, 0) for part in counts) for name in names}


def strides(x: Tensor) -> tuple[int, int, int]:
    """(batch, row, head)."""
    batch, row, head = x.stride()[:3]
    return batch, row, head


# --- ours ----------------------------------------------------------------------------------------


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


# --- peers ---------------------------------------------------------------------------------------


def problem_for(peer: str, shape: Shape) -> Attention:
    """A shape as a peer takes it, with the mask that it needs for what it cannot do."""
    q, k, v = draw(shape)
    sinks = torch.zeros(shape.heads).to(q.dtype) if shape.sinks else None
    scale = shape.head_dim**-0.5
    if peer == "pytorch" and sinks is not None:
        k, v = (torch.cat([x, x.new_zeros(*x.shape[:2], 1, shape.head_dim)], 2) for x in (k, v))
        hidden = torch.zeros(shape.queries, shape.keys, dtype=q.dtype)
        hidden.masked_fill_(~visible(shape), -torch.inf)
        sink = sinks.view(1, -1, 1, 1).expand(shape.batch, -1, shape.queries, 1)
        mask = torch.cat([hidden.expand(*sink.shape[:3], -1), sink], 3)
        return Attention(q, k, v, scale, mask=mask)
    if shape.mask == "window":
        mask = visible(shape).expand(shape.batch, shape.heads, -1, -1)
        return Attention(q, k, v, scale, mask=mask, sinks=sinks)
    return Attention(q, k, v, scale, causal=shape.causal, sinks=sinks)


def peer_extra_bytes(peer: str, shape: Shape) -> int:
    """Masks, which heads share if they can, and copies that make room for a further key."""
    pairs = shape.queries * shape.keys
    if peer == "pytorch" and shape.sinks:
        longer = 2 * shape.batch * shape.kv_heads * (shape.keys + 1) * shape.head_dim
        mask = shape.heads * (pairs + shape.queries)
        return (longer + mask) * shape.element_bytes
    return pairs if shape.mask == "window" else 0


PEERS: dict[str, Callable[[Attention, Tensor], list[PeerCall]]] = {
    "mlx": mlx.attention,
    "pytorch": pytorch.attention,
}
AVAILABLE: dict[str, Callable[[], bool]] = {
    "mlx": mlx.available,
    "pytorch": lambda: pytorch.available(pytorch.PREFILL),
}


def counted(calls: Sequence[PeerCall]) -> dict[str, int]:
    """A peer's launches."""
    return total(
        [
            call.kernel.launch(
                call.args, call.threadgroups, call.threads, count=True, workers=1
            ).counts
            for call in calls
        ]
    )


def peer_kernel(call: PeerCall, problem: Attention) -> Kernel:
    """Its tile follows from its grid, and from the name for keys."""
    rows = -(-problem.q_len // call.threadgroups[0])
    block_q = -(-rows // FRAGMENT) * FRAGMENT
    parts = call.kernel.name.split("_")
    block_k = next((int(part[2:]) for part in parts if part.startswith("bk")), 1)
    block_q = next((int(part[2:]) for part in parts if part.startswith("bq")), block_q)
    threads = math.prod(call.threads)
    return Kernel(call.kernel.name, threads, call.kernel.threadgroup_bytes, block_q, block_k)


def peer_calls(name: str, shape: Shape) -> tuple[Attention, list[PeerCall]]:
    """The launches by the path that a peer takes.  Raises UnsupportedError if it has none."""
    problem = problem_for(name, shape)
    return problem, PEERS[name](problem, problem.new_output())


@functools.cache
def peer_counted(name: str, shape: Shape) -> dict[str, int]:
    """A peer's launches for a shape, run as it is."""
    return counted(peer_calls(name, shape)[1])


@functools.cache
def peer_kernels(name: str, shape: Shape) -> tuple[Kernel, ...]:
    """A peer's kernels; a shape with fewer tokens does to find them."""
    problem, launches = peer_calls(name, shape)
    return tuple(peer_kernel(call, problem) for call in launches)


def peer(name: str, shape: Shape) -> Work:
    """A peer's work.  Raises UnsupportedError if it has no kernel."""
    small = one_group(shape)
    if shape.queries > FEW_QUERIES:
        small = replace(small, queries=32, keys=32)
    kernels = peer_kernels(name, small)
    counts = scaled(shape, kernels[0], functools.partial(peer_counted, name))
    return Work(name, kernels, counts, peer_extra_bytes(name, shape))


# --- from a part to the whole --------------------------------------------------------------------


def one_group(shape: Shape) -> Shape:
    """One key head of one sequence, with its query heads."""
    return replace(shape, batch=1, heads=shape.group, kv_heads=1)


def scaled(
    shape: Shape, kernel: Kernel, count: Callable[[Shape], Mapping[str, int]]
) -> dict[str, int]:
    """The counts of a shape from those of one group of heads and, if it is long, of few tokens."""
    part = one_group(shape)
    if shape.queries <= FEW_QUERIES or shape.queries != shape.keys:
        counts = count(part)
    else:
        step = math.lcm(kernel.block_q, kernel.block_k)
        # Within a window both edges of the band must have left the first and the last tile.
        least = sum(side for side in shape.window if side > 0) + 2 * step

        def run_short(tokens: int) -> Mapping[str, int]:
            return count(replace(part, queries=tokens, keys=tokens))

        counts = extrapolate(run_short, shape.queries, step, least)
    return {name: n * shape.batch * shape.kv_heads for name, n in counts.items()}


@functools.cache
def installed() -> tuple[str, ...]:
    """The peers whose shaders are here."""
    return tuple(name for name, there in AVAILABLE.items() if there())
