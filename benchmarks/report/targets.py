"""What the kernels are to reach, and whether the counts and the model say that it is so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.compare import modelled
from benchmarks.counting.ragged import Ragged
from benchmarks.counting.work import Kernel, family
from benchmarks.model.calibrate import mean
from benchmarks.model.chips import chips
from benchmarks.model.cost import of_matrix_limit
from benchmarks.report.results import COMMON_HEAD_DIMS, RISING, Result, of
from benchmarks.shapes import FRAGMENT, Shape

JUDGED = ("M1 Max", "M3 Max", "M4 Max")


@dataclass(frozen=True)
class Target:
    """One of them.  `figure` is the worst that was found, `where` the shape.

    Without a limit it is a figure that explains the one above.
    """

    name: str
    figure: float
    limit: float | None = None
    at_least: bool = False
    where: str = ""

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def asked(self) -> str:
        sign = "at least" if self.at_least else "at most"
        return "" if self.limit is None else f"{sign} {self.limit:g}"


def label(result: Result) -> str:
    """A shape in few words."""
    s = result.shape
    heads = f"H {s.heads}/{s.kv_heads}"
    return f"D {s.head_dim}, {s.dtype}, {result.mask}, {heads}, {s.keys} tokens"


def worst(
    name: str,
    limit: float,
    results: Iterable[Result],
    figure: Callable[[Result], float],
    at_least: bool = False,
) -> list[Target]:
    """The target with the figure of the shape that is furthest from it; [] without shapes."""
    found = [(figure(result), label(result)) for result in results]
    if not found:
        return []
    value, where = min(found) if at_least else max(found)
    return [Target(name, value, limit, at_least, where)]


def blocks(shape: Shape, kernel: Kernel, aligned: bool) -> int:
    """Blocks of keys that the band touches, over all tiles of queries of one head.

    `aligned`: blocks begin at multiples of their length; else where a tile's first key is.
    """
    left, right = shape.sides if shape.mask != "full" else (math.inf, math.inf)
    found = 0
    for row in range(0, shape.queries, kernel.block_q):
        first = row + shape.keys - shape.queries
        last = min(row + kernel.block_q, shape.queries) - 1 + shape.keys - shape.queries
        begin, end = max(first - left, 0), min(last + right + 1, shape.keys)
        if aligned:
            begin -= begin % kernel.block_k
        found += math.ceil((end - begin) / kernel.block_k)
    return found


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


def ratios(results: Iterable[Result], peer: str, chip: str) -> list[tuple[float, Result]]:
    """Modelled time of ours / a peer's."""
    return [
        (modelled(r.work["ours"], r.shape)[chip] / modelled(r.work[peer], r.shape)[chip], r)
        for r in results
        if peer in r.work
    ]


def limit_share(result: Result, chip: str) -> float:
    """Of the matrix limit, ours, as modelled."""
    work, shape = result.work["ours"], result.shape
    return of_matrix_limit(work, shape, chips()[chip], modelled(work, shape)[chip])


def counted(results: Sequence[Result]) -> list[Target]:
    """What the counts alone decide, beside MLX's."""
    prefill = of(results, "prefill")
    beside = [r for r in prefill if "mlx" in r.inner]
    found = worst(
        "threadgroup bytes per product / MLX's", 0.5, beside,
        lambda r: r.inner["ours"].threadgroup_bytes / r.inner["mlx"].threadgroup_bytes,
    )  # fmt: skip
    found += worst("barriers per block of keys", 2, prefill, lambda r: r.inner["ours"].barriers)
    found += worst(
        "products / those of the blocks that the band touches", 1, prefill, to_touched
    )  # fmt: skip
    found += worst(
        "scalar instructions inside the band / MLX's", 0.8, beside,
        lambda r: r.inner["ours"].arithmetic / r.inner["mlx"].arithmetic,
    )  # fmt: skip
    rising = [
        (r.inner[RISING].arithmetic / r.inner["mlx"].arithmetic, label(r))
        for r in beside
        if RISING in r.inner
    ]
    if rising:
        found.append(Target("if every block's maxima rise", max(rising)[0], where=max(rising)[1]))
    found += worst("device bytes / MLX's", 1, [r for r in prefill if "mlx" in r.work], device_bytes)
    windowed = [r for r in prefill if r.shape.mask == "window"]
    longest = max(r.shape.keys for r in prefill)
    found += worst(
        f"window: visited / least blocks, {longest} tokens", 1.15,
        [r for r in windowed if r.shape.keys == longest], lambda r: to_touched(r, aligned=False),
    )  # fmt: skip
    by_shape = {(r.shape.head_dim, r.shape.dtype, r.shape.keys): r for r in windowed}

    def growth(result: Result) -> float:
        half = by_shape[result.shape.head_dim, result.shape.dtype, result.shape.keys // 2]
        return result.work["ours"].products / half.work["ours"].products

    twice = [r for r in windowed if r.shape.keys == longest]
    found += worst("window: work / that of half the tokens", 2.01, twice, growth)
    return found


def least(result: Result, peer: str, chip: str) -> float:
    """The time of a kernel that did nothing but useful products, at our efficiency / a peer's."""
    work, shape = result.work[peer], result.shape
    share = of_matrix_limit(work, shape, chips()[chip], modelled(work, shape)[chip])
    return share / chips()[chip].efficiency


def by_mask(compared: Sequence[tuple[float, Result]], peer: str, chip: str) -> list[Target]:
    """What a mean is made of, and how low it could be: the matrix units are the floor."""
    found = []
    for mask in dict.fromkeys(r.mask for _, r in compared):
        of_mask = [(ratio, r) for ratio, r in compared if r.mask == mask]
        floor = mean(least(r, peer, chip) for _, r in of_mask)
        found.append(
            Target(f"of these, {mask}", mean(x for x, _ in of_mask), where=f"floor: {floor:.3g}")
        )
    return found


def long(results: Sequence[Result]) -> list[Result]:
    """Shapes that are to come near the matrix limit."""
    return [
        r
        for r in of(results, "prefill")
        if r.shape.head_dim in COMMON_HEAD_DIMS
        and r.shape.keys >= 4096
        and r.shape.mask != "window"
    ]


def timed(results: Sequence[Result]) -> list[Target]:
    """What the model decides."""
    prefill = of(results, "prefill", "gqa", "seed")
    found = []
    for chip in JUDGED:
        for peer in ("mlx", "pytorch"):
            compared = ratios(prefill, peer, chip)
            if not compared:
                continue
            found.append(
                Target(f"{chip}: time / {peer}'s, mean", mean(x for x, _ in compared), 0.8)
            )
            found += by_mask(compared, peer, chip)
            value, result = max(compared, key=lambda pair: pair[0])
            found.append(
                Target(f"{chip}: time / {peer}'s, worst shape", value, 1, where=label(result))
            )

        def share(result: Result, chip: str = chip) -> float:
            return limit_share(result, chip)

        found += worst(
            f"{chip}: share of the matrix limit", 0.9, long(results), share, at_least=True
        )
    return found


def targets(results: Sequence[Result], batch: Ragged) -> list[Target]:
    """All of them."""
    empty, allowed = sum(batch.empty_groups.values()), batch.allowed_empty
    kernels = ", ".join(f"{name}: {n}" for name, n in batch.empty_groups.items())
    ragged = Target("ragged batch: empty threadgroups", empty, allowed, where=kernels)
    return [*counted(results), ragged, *timed(results)]
