"""The work of MLX's and PyTorch's shaders for a shape.

They come with their wheels (``python -m peers.fetch`` gets MLX's).  A peer without windows is given
the mask that it needs; one without sinks, a further key of zeros whose entry in the mask is the
sink.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.counting.extrapolate import one_kv_head, scaled
from benchmarks.counting.work import FEW_QUERIES, Kernel, Work, total
from benchmarks.shapes import FRAGMENT, Shape, draw, visible
from peers import mlx, pytorch
from peers.call import Attention, PeerCall


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
    """Masks, one for all heads where that will do, and copies that make room for a further key."""
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
    call.kernel.load(count=True)  # which says its size as well, and is what will run
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
    small = one_kv_head(shape)
    if shape.queries > FEW_QUERIES:
        small = replace(small, queries=32, keys=32)
    kernels = peer_kernels(name, small)
    counts = scaled(shape, kernels[:1], functools.partial(peer_counted, name))
    return Work(name, kernels, counts, peer_extra_bytes(name, shape))


@functools.cache
def installed() -> tuple[str, ...]:
    """The peers whose shaders are installed."""
    return tuple(name for name, available in AVAILABLE.items() if available())
