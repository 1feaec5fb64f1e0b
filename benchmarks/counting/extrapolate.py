"""Counts of shapes that are too large to run, exactly.

A tiled kernel does for each pair of a row of tiles and a block of keys one of a few things, so
that, among sequences that differ by whole tiles, each counter is a polynomial in the number of
tiles: of degree two, or one within a window.  Three sizes determine it and a fourth must obey it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    the last.  Raises ExtrapolationError naming the counter that has a mind of its own.
    """
    first = tokens % step + step * max(1, -(-least // step))
    sizes = [first + i * step for i in range(SIZES)]
    if tokens <= sizes[-1]:
        return dict(run(tokens))
    found = [run(size) for size in sizes]
    counted: dict[str, int] = {}
    for name in dict.fromkeys(name for counts in found for name in counts):
        values = [counts.get(name, 0) for counts in found]
        if quadratic(values, SIZES - 1) != values[-1]:
            raise ExtrapolationError(
                f"{name} was {values} at {sizes} tokens: no polynomial of degree two"
            )
        counted[name] = quadratic(values, (tokens - first) // step)
    return counted
