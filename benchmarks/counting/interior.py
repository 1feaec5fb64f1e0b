"""What a kernel does for one more block of keys that all rows of a tile see, edges left out.

Counts of sequences that differ by whole tiles are polynomials of the number of tiles; its second
difference is the work of one more pair of tiles, free of prologue, epilogue and diagonal.  Within a
window more blocks come with a wider window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from benchmarks.counting.backward import NO_IDLE_CORES, PRODUCTS, backward
from benchmarks.counting.extrapolate import one_kv_head
from benchmarks.counting.ours import ours, ours_kernels
from benchmarks.counting.theirs import peer, peer_kernels
from benchmarks.counting.work import Kernel, Work, arithmetic, family
from benchmarks.shapes import FRAGMENT, Shape


@dataclass(frozen=True)
class Interior:
    """Of one block of queries and keys inside the band."""

    barriers: float
    threadgroup_bytes: float  # per 8x8 product, as are all others
    device_bytes: float
    arithmetic: float
    special: float
    shuffles: float
    converts: float


def work_of(name: str, shape: Shape) -> Work:
    """Of "ours" or a peer."""
    return ours(shape) if name == "ours" else peer(name, shape)


def kernel_of(name: str, shape: Shape) -> Kernel:
    """The first kernel that is launched."""
    return ours_kernels(shape)[0] if name == "ours" else peer_kernels(name, shape)[0]


def minus(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """The difference of counts."""
    return {name: a.get(name, 0) - b.get(name, 0) for name in dict.fromkeys((*a, *b))}


def interior(name: str, shape: Shape) -> Interior:
    """The interior work of an implementation for a shape's kernel, whatever its sizes are."""
    small = one_kv_head(shape)
    kernel = kernel_of(name, replace(small, queries=32, keys=32))
    step = math.lcm(kernel.block_q, kernel.block_k)
    visits_band = shape.mask == "window" and name == "ours"
    more = more_blocks(small, step, visits_band, lambda part: work_of(name, part).counts)
    return per_product(more, kernel, shape)


def backward_interior(shape: Shape) -> dict[str, Interior]:
    """The interior work of the kernels of our backward pass, by family."""
    small = one_kv_head(shape)
    small = replace(small, queries=32, keys=32)
    first = backward(small, NO_IDLE_CORES)
    tiles = (n for w in first.launches for n in (w.kernels[0].block_q, w.kernels[0].block_k))
    step = math.lcm(*tiles)
    found = {}
    for place, work in enumerate(first.launches):
        if work.name not in PRODUCTS:
            continue

        def counts(part: Shape, place: int = place) -> Mapping[str, int]:
            return backward(part, NO_IDLE_CORES).launches[place].counts

        more = more_blocks(small, step, shape.mask == "window", counts)
        found[work.name] = per_product(more, work.kernels[0], shape, PRODUCTS[work.name])
    return found


def more_blocks(
    small: Shape, step: int, visits_band: bool, counts: Callable[[Shape], Mapping[str, int]]
) -> dict[str, int]:
    """What some more blocks inside the band take; `visits_band`: of a window, and no others."""
    if visits_band:
        # Of tiles that the sequence's begin does not clip: with more tokens and a wider window.
        near, far, wide_near, wide_far = (
            counts(replace(small, queries=n * step, keys=n * step, window=(w * step, 0)))
            for w, n in ((1, 4), (1, 5), (2, 4), (2, 5))
        )
        return minus(minus(wide_far, wide_near), minus(far, near))
    one, two, three = (  # sizes that extrapolate.py needs, too
        counts(replace(small, queries=n * step, keys=n * step)) for n in (2, 3, 4)
    )
    return minus(minus(three, two), minus(two, one))


def per_product(
    more: Mapping[str, int], kernel: Kernel, shape: Shape, matrices: int = 2
) -> Interior:
    """Counts of some blocks as those of one, or of one product.

    `matrices`: products of a fragment of queries and one of keys; in a forward pass Q K^T and P V.
    """
    products = family(more, "products.")
    fragments = kernel.block_q * kernel.block_k * shape.head_dim // FRAGMENT**3
    blocks = products / (matrices * fragments)
    return Interior(
        barriers=more["barriers.threadgroup"] / kernel.threads / blocks,
        threadgroup_bytes=family(more, "threadgroup.bytes") / products,
        device_bytes=family(more, "device.bytes") / products,
        arithmetic=arithmetic(more) / products,
        special=family(more, "calls.") / products,
        shuffles=more["shuffles"] / products,
        converts=more["instructions.convert"] / products,
    )
