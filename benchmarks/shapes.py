"""The shapes of attention that are benchmarked: what there is to compute, at the least."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FRAGMENT = 8  # rows and columns of a product

MASKS = ("full", "causal", "window")
UNBOUNDED = (-1, -1)


class ShapeError(ValueError):
    """A shape that cannot be; says which argument, what it was and what it may be."""


@dataclass(frozen=True)
class Shape:
    """A padded batch of attention: `queries` rows per head, aligned bottom-right with `keys`.

    The defaults are one decoding step: a query of each head over a cache.
    """

    heads: int
    kv_heads: int
    head_dim: int
    keys: int
    dtype: str = "float16"
    queries: int = 1
    batch: int = 1
    causal: bool = False
    window: tuple[int, int] = UNBOUNDED  # keys seen left and right of the diagonal, -1: all
    sinks: bool = False
    head_dim_v: int = 0  # of V and O; 0: as Q and K have it
    latent: bool = False  # V is the first columns of K
    rising: bool = False  # inputs whose scores rise from key to key, see draw

    def __post_init__(self) -> None:
        for name in ("heads", "kv_heads", "head_dim", "keys", "queries", "batch"):
            if getattr(self, name) < 1:
                raise ShapeError(f"{name} is {getattr(self, name)}: must be at least 1")
        if self.heads % self.kv_heads:
            raise ShapeError(f"kv_heads is {self.kv_heads}: must divide heads, {self.heads}")
        if min(self.window) < -1:
            raise ShapeError(f"window is {self.window}: each side must be -1 (unbounded) or >= 0")

    @property
    def widths(self) -> tuple[int, int]:
        """The columns of a head: of Q and K, and of V and O."""
        return self.head_dim, self.head_dim_v or self.head_dim

    @property
    def heads_per_kv_head(self) -> int:
        """Query heads that share one KV head."""
        return self.heads // self.kv_heads

    @property
    def mask(self) -> str:
        """One of MASKS."""
        if self.window != UNBOUNDED:
            return "window"
        return "causal" if self.causal else "full"

    @property
    def element_bytes(self) -> int:
        return int(getattr(torch, self.dtype).itemsize)

    @property
    def seen(self) -> int:
        """Pairs of a query and a key that it sees, of one head."""
        left, right = self.sides
        diagonals = range(self.keys - self.queries, self.keys)
        if self.mask == "full":
            return self.queries * self.keys
        return sum(max(0, min(i + right, self.keys - 1) - max(i - left, 0) + 1) for i in diagonals)

    @property
    def sides(self) -> tuple[int, int]:
        """Keys seen left and right of the diagonal, as numbers that are large where all are."""
        everything = self.keys + self.queries
        left, right = (everything if side == -1 else side for side in self.window)
        return left, 0 if self.causal else right

    @property
    def flops(self) -> int:
        """Useful operations: two for each element of a row, in Q K^T and in P V."""
        return 2 * self.batch * self.heads * self.seen * sum(self.widths)

    @property
    def least_bytes(self) -> int:
        """Q, K and V, each element read once."""
        of_keys = self.head_dim if self.latent else sum(self.widths)
        rows = self.heads * self.queries * self.head_dim + self.kv_heads * self.keys * of_keys
        return self.batch * rows * self.element_bytes

    @property
    def output_bytes(self) -> int:
        return self.batch * self.heads * self.queries * self.widths[1] * self.element_bytes

    @property
    def least_products(self) -> int:
        """Q K^T and P V, with the rows of all query heads of a KV head packed into fragments.

        Without a mask.
        """
        rows = math.ceil(self.heads_per_kv_head * self.queries / FRAGMENT)
        keys = math.ceil(self.keys / FRAGMENT)
        columns = sum(math.ceil(width / FRAGMENT) for width in self.widths)
        return self.batch * self.kv_heads * rows * keys * columns


def draw(shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v as (batch, heads, rows, columns).

    A kernel that rescales its sums only when a maximum has grown by much does so at random for some
    inputs, and then no count follows from another.  These here are uniform between -1 and 1, with
    scores far from the 5.5 (a factor of 2^8) that matter: after the first block no maximum grows by
    enough, as is usual.  Or they are `rising`, by 1 from key to key: the worst case.
    """
    generator = torch.Generator().manual_seed(0)
    rows = ((shape.heads, shape.queries), *[(shape.kv_heads, shape.keys)] * 2)
    columns = (shape.head_dim, *shape.widths)
    q, k, v = (
        2 * torch.rand(shape.batch, *part, width, generator=generator) - 1
        for part, width in zip(rows, columns, strict=True)
    )
    if shape.rising:
        q = torch.zeros_like(q)
        q[..., 0] = shape.head_dim**0.5
        k[..., 0] = torch.arange(shape.keys)
    dtype = getattr(torch, shape.dtype)
    k = k.to(dtype)
    return q.to(dtype), k, k[..., : shape.head_dim_v] if shape.latent else v.to(dtype)


def visible(shape: Shape) -> Tensor:
    """Which keys a query sees: bool, (queries, keys)."""
    left, right = shape.sides
    diagonal = torch.arange(shape.queries).unsqueeze(1) + shape.keys - shape.queries
    key = torch.arange(shape.keys)
    return (key >= diagonal - left) & (key <= diagonal + right)
