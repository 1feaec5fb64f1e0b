"""Counts of shapes that are too large to run, exactly, from those of their parts.

All heads and sequences of a padded batch do the same, so one KV head with its query heads is run
and multiplied.

A tiled kernel does for each pair of a row of tiles and a block of keys one of a few things, so
that, among sequences that differ by whole tiles, each counter is a polynomial in the number of
tiles: of degree two, or one within a window.  Three sizes determine it and a fourth must obey it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.counting.work import FEW_QUERIES, Kernel
from benchmarks.shapes import Shape

SIZES = 4  # that are run: three to fit, one to verify


class ExtrapolationError(RuntimeError):
    """A counter is no such polynomial."""


def quadratic(values: list[int], steps: int) -> int:
    """The polynomial through (0, 1, 2; values[:3]) at `steps`, by Newton's forward differences."""
    first, second, third = values[:3]
    slope, bend = second - first, third - 2 * second + first
    return first + steps * slope + steps * (steps - 1) // 2 * bend


def extrapolate(
    run: Callable[[int], Mapping[str, int]], tokens: int, step: int, least: int = 0
) -> dict[str, int]:
    """What `run(tokens)` would count; it is called for at most `SIZES` sizes.

    `step` is a multiple of the kernel's tiles, and from `least` tokens on a further tile is like
    the last.  Raises ExtrapolationError naming a counter that is no such polynomial.
    """
    first = tokens % step + step * max(1, -(-least // step))
    sizes = [first + i * step for i in range(SIZES)]
    if tokens <= sizes[-1]:
        return dict(run(tokens))
    runs = [run(size) for size in sizes]
    counted: dict[str, int] = {}
    for name in dict.fromkeys(name for counts in runs for name in counts):
        values = [counts.get(name, 0) for counts in runs]
        if quadratic(values, SIZES - 1) != values[-1]:
            raise ExtrapolationError(
                f"{name} was {values} at {sizes} tokens: no polynomial of degree two"
            )
        counted[name] = quadratic(values, (tokens - first) // step)
    return counted


def one_kv_head(shape: Shape) -> Shape:
    """One KV head of one sequence, with its query heads."""
    return replace(shape, batch=1, heads=shape.heads_per_kv_head, kv_heads=1)


def scaled(
    shape: Shape, kernels: Sequence[Kernel], count: Callable[[Shape], Mapping[str, int]]
) -> dict[str, int]:
    """The counts of a shape from those of one KV head and, if it is long, of few tokens.

    `kernels`: all that `count` launches for a long shape.
    """
    part = one_kv_head(shape)
    if shape.queries <= FEW_QUERIES or shape.queries != shape.keys:
        counts = count(part)
    else:
        step = math.lcm(*(n for kernel in kernels for n in (kernel.block_q, kernel.block_k)))
        # Within a window both edges of the band must have left the first and the last tile.
        least = sum(side for side in shape.window if side > 0) + 2 * step

        def run_short(tokens: int) -> Mapping[str, int]:
            return count(replace(part, queries=tokens, keys=tokens))

        counts = extrapolate(run_short, shape.queries, step, least)
    return {name: n * shape.batch * shape.kv_heads for name, n in counts.items()}
