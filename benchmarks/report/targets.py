"""What the kernels are to reach, and whether the counts and the model say that it is so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import geometric_mean
from typing import Protocol, TypeVar

from benchmarks.counting.ragged import Ragged
from benchmarks.counting.work import Kernel, family
from benchmarks.model.chips import chips
from benchmarks.model.cost import modelled, of_matrix_limit
from benchmarks.report.results import COMMON_HEAD_DIMS, RISING, Result, of
from benchmarks.shapes import FRAGMENT, Shape
from benchmarks.target import Target

JUDGED = ("M1 Max", "M3 Max", "M4 Max")
OF_MATRIX_LIMIT = 0.9  # at least, modelled
OF_PEER_TIME = 0.8  # at most, in the mean


class Labelled(Protocol):
    """What is known of a result of any kind."""

    @property
    def mask(self) -> str: ...

    @property
    def shape(self) -> Shape: ...


AnyResult = TypeVar("AnyResult", bound=Labelled)


def label(result: Labelled) -> str:
    """A shape in few words."""
    s = result.shape
    heads = f"H {s.heads}/{s.kv_heads}"
    return f"D {s.head_dim}, {s.dtype}, {result.mask}, {heads}, {s.keys} tokens"


def worst(
    name: str,
    limit: float | None,
    results: Iterable[AnyResult],
    figure: Callable[[AnyResult], float],
    at_least: bool = False,
) -> list[Target]:
    """The target with the figure of the shape that is furthest from it; [] without shapes."""
    figures = [(figure(result), label(result)) for result in results]
    if not figures:
        return []
    value, where = min(figures) if at_least else max(figures)
    return [Target(name, value, limit, at_least, where)]


def blocks(shape: Shape, kernel: Kernel, aligned: bool) -> int:
    """Blocks of keys that the band touches, over all tiles of queries of one head.

    `aligned`: blocks begin at multiples of their length; else where a tile's first key is.
    """
    left, right = shape.sides if shape.mask != "full" else (math.inf, math.inf)
    touched = 0
    for row in range(0, shape.queries, kernel.block_q):
        first = row + shape.keys - shape.queries
        last = min(row + kernel.block_q, shape.queries) - 1 + shape.keys - shape.queries
        begin, end = max(first - left, 0), min(last + right + 1, shape.keys)
        if aligned:
            begin -= begin % kernel.block_k
        touched += math.ceil((end - begin) / kernel.block_k)
    return touched


def products_of(shape: Shape, kernel: Kernel, visited: int) -> int:
    """8x8 products of so many blocks per head, Q K^T and P V."""
    fragments = kernel.block_q * kernel.block_k * shape.head_dim // FRAGMENT**3
    return 2 * fragments * visited * shape.batch * shape.heads


def to_touched(result: Result, aligned: bool = True) -> float:
    """Our products / those of the blocks that the band touches."""
    work = result.work["ours"]
    kernel = work.kernels[0]
    touched = blocks(result.shape, kernel, aligned)
    return work.products / products_of(result.shape, kernel, touched)


def device_bytes(result: Result) -> float:
    """Ours / MLX's."""
    ours, theirs = (family(result.work[name].counts, "device.bytes") for name in ("ours", "mlx"))
    return ours / theirs


def time_ratio(result: Result, peer: str, chip: str) -> float:
    """Modelled time of ours / a peer's."""
    ours, theirs = (modelled(result.work[name], result.shape)[chip] for name in ("ours", peer))
    return ours / theirs


def matrix_fraction(result: Result, chip: str) -> float:
    """Of the matrix limit, ours, as modelled."""
    work, shape = result.work["ours"], result.shape
    return of_matrix_limit(work, shape, chips()[chip], modelled(work, shape)[chip])


def of_counts(results: Sequence[Result]) -> list[Target]:
    """What the counts alone decide, beside MLX's."""
    prefill = of(results, "prefill")
    compared = [r for r in prefill if "mlx" in r.inner]
    judged = worst(
        "threadgroup bytes per product / MLX's", 0.5, compared,
        lambda r: r.inner["ours"].threadgroup_bytes / r.inner["mlx"].threadgroup_bytes,
    )  # fmt: skip
    judged += worst("barriers per block of keys", 2, prefill, lambda r: r.inner["ours"].barriers)
    judged += worst(
        "products / those of the blocks that the band touches", 1, prefill, to_touched
    )  # fmt: skip
    judged += worst(
        "scalar instructions inside the band / MLX's", 0.8, compared,
        lambda r: r.inner["ours"].arithmetic / r.inner["mlx"].arithmetic,
    )  # fmt: skip
    judged += worst(
        "if every block's maxima rise", None, [r for r in compared if RISING in r.inner],
        lambda r: r.inner[RISING].arithmetic / r.inner["mlx"].arithmetic,
    )  # fmt: skip
    judged += worst(
        "device bytes / MLX's", 1, [r for r in prefill if "mlx" in r.work], device_bytes
    )
    windowed = [r for r in prefill if r.shape.mask == "window"]
    longest = max(r.shape.keys for r in prefill)
    judged += worst(
        f"window: visited / least blocks, {longest} tokens", 1.15,
        [r for r in windowed if r.shape.keys == longest], lambda r: to_touched(r, aligned=False),
    )  # fmt: skip
    by_shape = {(r.shape.head_dim, r.shape.dtype, r.shape.keys): r for r in windowed}

    def growth(result: Result) -> float:
        half = by_shape[result.shape.head_dim, result.shape.dtype, result.shape.keys // 2]
        return result.work["ours"].products / half.work["ours"].products

    twice = [r for r in windowed if r.shape.keys == longest]
    judged += worst("window: work / that of half the tokens", 2.01, twice, growth)
    return judged


def least(result: Result, peer: str, chip: str) -> float:
    """The time of a kernel that did nothing but useful products, at our efficiency / a peer's."""
    work, shape = result.work[peer], result.shape
    fraction = of_matrix_limit(work, shape, chips()[chip], modelled(work, shape)[chip])
    return fraction / chips()[chip].efficiency


def by_mask(compared: Sequence[Result], peer: str, chip: str) -> list[Target]:
    """What a mean is made of, and how low it could be: the matrix units are the floor."""
    parts = []
    for mask in dict.fromkeys(r.mask for r in compared):
        of_mask = [r for r in compared if r.mask == mask]
        ratio = geometric_mean(time_ratio(r, peer, chip) for r in of_mask)
        floor = geometric_mean(least(r, peer, chip) for r in of_mask)
        parts.append(Target(f"of these, {mask}", ratio, where=f"floor: {floor:.3g}"))
    return parts


def long(results: Sequence[Result]) -> list[Result]:
    """Shapes that are to come near the matrix limit."""
    return [
        r
        for r in of(results, "prefill")
        if r.shape.head_dim in COMMON_HEAD_DIMS
        and r.shape.keys >= 4096
        and r.shape.mask != "window"
    ]


def beside(results: Sequence[Result], peer: str, chip: str) -> list[Target]:
    """Time beside a peer's, in the mean and of the worst shape; [] where it has no kernel."""
    compared = [r for r in results if peer in r.work]
    if not compared:
        return []
    name = f"{chip}: time / {peer}'s"
    mean = geometric_mean(time_ratio(r, peer, chip) for r in compared)
    return [
        Target(f"{name}, mean", mean, OF_PEER_TIME),
        *by_mask(compared, peer, chip),
        *worst(f"{name}, worst shape", 1, compared, lambda r: time_ratio(r, peer, chip)),
    ]


def of_model(results: Sequence[Result]) -> list[Target]:
    """What the model decides."""
    prefill = of(results, "prefill", "gqa", "seed")
    judged = []
    for chip in JUDGED:
        for peer in ("mlx", "pytorch"):
            judged += beside(prefill, peer, chip)
        judged += worst(
            f"{chip}: fraction of the matrix limit", OF_MATRIX_LIMIT, long(results),
            partial(matrix_fraction, chip=chip), at_least=True,
        )  # fmt: skip
    return judged


def of_batch(batch: Ragged) -> Target:
    """Threadgroups of a packed call that have nothing to do."""
    empty = sum(batch.empty_threadgroups.values())
    kernels = ", ".join(f"{name}: {n}" for name, n in batch.empty_threadgroups.items())
    return Target("ragged batch: empty threadgroups", empty, batch.allowed_empty, where=kernels)


def targets(results: Sequence[Result], batch: Ragged) -> list[Target]:
    """All of them."""
    return [*of_counts(results), of_batch(batch), *of_model(results)]
