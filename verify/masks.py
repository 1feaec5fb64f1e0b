"""Mask tensors of cases: their elements, how they lie in memory, and what they add to scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from verify.case import MASK_LAYOUTS, MaskTensor

SPAN = 40  # keys of a diagonal block, of an image that sees itself
SPARE = 3  # columns and rows beside a sliced mask's
Grid = tuple[int, int, int, int]  # (batch, heads, q_len, k_len)


class Positions(NamedTuple):
    """Where the elements of a mask are, each of a shape that broadcasts to the grid's."""

    b: Tensor
    h: Tensor
    i: Tensor  # the query's own key: the last query is at the last one
    j: Tensor
    drawn: Tensor  # a random number from 0 to 1 for each
    k_len: int


def positions(grid: Grid, generator: torch.Generator) -> Positions:
    """Those of a grid."""
    batch, heads, q_len, k_len = grid
    return Positions(
        b=torch.arange(batch).view(-1, 1, 1, 1),
        h=torch.arange(heads).view(-1, 1, 1),
        i=(torch.arange(q_len) + k_len - q_len).view(-1, 1),
        j=torch.arange(k_len),
        drawn=torch.rand(grid, generator=generator),
        k_len=k_len,
    )


def padded(grid: Positions) -> Tensor:
    """Fewer keys in each sequence, and without the first ones in each head."""
    return (grid.j < grid.k_len - (SPAN * grid.b) % (grid.k_len + 1)) & (grid.j >= grid.h)


# Which keys are seen.
PATTERNS: dict[str, Callable[[Positions], Tensor]] = {
    "all": lambda at: at.j >= 0,
    "none": lambda at: at.j < 0,
    "causal": lambda at: at.j <= at.i,
    "diagonal blocks": lambda at: at.i.div(SPAN, rounding_mode="floor") == at.j // SPAN,
    "prefix": lambda at: (at.j <= at.i) | (at.j < SPAN + at.b),
    "padding": padded,
    "random": lambda at: at.drawn < 0.3,
    "rows unseen": lambda at: (at.drawn < 0.5) & (at.i % 3 > 0),
}


def draw(mask: MaskTensor, grid: Grid, generator: torch.Generator) -> Tensor:
    """A mask, of size 1 along the axes that share it, laid out as it says."""
    dtype = getattr(torch, mask.dtype)
    values = PATTERNS[mask.pattern](positions(grid, generator)).expand(grid)
    if dtype != torch.bool:
        hidden = -math.inf if mask.hides_by == "-inf" else torch.finfo(dtype).min
        bias = torch.randn(grid, generator=generator) * mask.bias  # without one 0, or -0
        values = bias.to(dtype).masked_fill(~values, hidden)
        if mask.nan:
            values = values.contiguous()
            values[-1, -1, -1, 0] = torch.nan
    axes = ("batch", "head", "row", "key")
    values = values[tuple(slice(1) if axis in mask.shared else slice(None) for axis in axes)]
    return laid_out(values, mask.layout)


def laid_out(values: Tensor, layout: str) -> Tensor:
    """The values in memory of their own; what lies between them and around them hides nothing."""
    if layout not in MASK_LAYOUTS:
        raise ValueError(f"layout is {layout!r}: must be one of {sorted(MASK_LAYOUTS)}")
    if layout == "expanded":  # as its caller would expand what is shared
        return values.contiguous()
    if layout == "transposed":
        return values.transpose(2, 3).contiguous().transpose(2, 3)
    around = SPARE if layout == "sliced" else 0
    *outer, rows, keys = values.shape
    fill = True if values.dtype == torch.bool else torch.nan
    memory = torch.full((*outer, rows + around, keys + around), fill, dtype=values.dtype)
    return memory[..., around // 2 : around // 2 + rows, around // 2 : around // 2 + keys].copy_(
        values
    )


def bias_of(mask: Tensor, grid: Grid) -> Tensor:
    """What a mask adds to each score, in float32; -inf where it hides the key."""
    if mask.dtype == torch.bool:
        return (
            torch.zeros(mask.shape, dtype=torch.float32).masked_fill(~mask, -math.inf).expand(grid)
        )
    hidden = mask <= torch.finfo(mask.dtype).min
    return mask.float().masked_fill(hidden, -math.inf).expand(grid)


def states(bias: Tensor, tile_rows: int, block_keys: int, axes: Grid) -> Tensor:
    """What the kernel mask_blocks must find: 0 where a block hides all, 1 where it adds nothing, 2.

    `axes` are those of the states, of size 1 where the mask is the same along them.  A state that
    no two heads or sequences share is 2 also where the mask adds nothing.
    """
    is_shared = axes[:2] != bias.shape[:2]
    batch, heads, tiles, blocks = axes
    if not (tiles and blocks):
        return torch.zeros(axes, dtype=torch.uint8)
    bias = bias[
        :batch, :heads, : None if tiles > 1 else tile_rows, : None if blocks > 1 else block_keys
    ]
    kinds = torch.where(bias == -math.inf, 0.0, torch.where(bias == 0, 1.0, 2.0))
    most, least = (
        sign * max_pool2d(sign * kinds, (tile_rows, block_keys), ceil_mode=True) for sign in (1, -1)
    )
    unsure = (most != least) | (most == 1) & (not is_shared)
    return most.masked_fill(unsure, 2).clamp(max=2).to(torch.uint8)
