"""What a kernel does for one more block of keys that all rows of a tile see, edges left out.

Counts of sequences that differ by whole tiles are polynomials of the number of tiles; its second
difference is the work of one more pair of tiles, free of prologue, epilogue and diagonal.  Within a
window more blocks come with a wider window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    if shape.mask == "window" and name == "ours":
        # Of tiles that the sequence's begin does not clip: with more tokens and a wider window.
        near, far, wide_near, wide_far = (
            work_of(name, replace(small, queries=n * step, keys=n * step, window=(w * step, 0)))
            for w, n in ((1, 4), (1, 5), (2, 4), (2, 5))
        )
        more = minus(minus(wide_far.counts, wide_near.counts), minus(far.counts, near.counts))
    else:
        one, two, three = (  # sizes that extrapolate.py needs, too
            work_of(name, replace(small, queries=n * step, keys=n * step)).counts for n in (2, 3, 4)
        )
        more = minus(minus(three, two), minus(two, one))
    return per_product(more, kernel, shape)


def per_product(more: Mapping[str, int], kernel: Kernel, shape: Shape) -> Interior:
    """Counts of some blocks as those of one, or of one product."""
    products = family(more, "products.")
    fragments = kernel.block_q * kernel.block_k * shape.head_dim // FRAGMENT**3
    blocks = products / (2 * fragments)
    return Interior(
        barriers=more["barriers.threadgroup"] / kernel.threads / blocks,
        threadgroup_bytes=family(more, "threadgroup.bytes") / products,
        device_bytes=family(more, "device.bytes") / products,
        arithmetic=arithmetic(more) / products,
        special=family(more, "calls.") / products,
        shuffles=more["shuffles"] / products,
        converts=more["instructions.convert"] / products,
    )
