"""THE table: one frozen row per kernel variant, which owns the variant's name and file.

Every combination of the axes below is built; none is excluded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, product

from codegen import tiles
from codegen.tiles import PrefillTile, RowTile, Tile

ELEMENT_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
MASKS = {
    "full": "every query sees every key",
    "causal": "causal, aligned bottom-right",
    "window": "sliding window (left, right), aligned bottom-right",
}
ATTENTION = ("prefill", "decode")
ROWWISE = ("combine", "append")  # what comes after decode's attention, and before it
TILES = tiles.parse(tiles.TABLE)


class MatrixError(ValueError):
    """A row of the matrix that cannot be built; the message names the row."""


@dataclass(frozen=True)
class Variant:
    """One kernel: what it computes and in which tile shape."""

    family: str
    head_dim: int
    dtype: str
    mask: str
    sinks: bool
    tile: Tile

    def __post_init__(self) -> None:
        if self.head_dim <= 0 or self.head_dim % tiles.FRAGMENT:
            raise MatrixError(
                f"{self.name}: head_dim = {self.head_dim} must be a multiple of {tiles.FRAGMENT}"
            )
        if self.threadgroup_bytes > tiles.MAX_THREADGROUP_BYTES:
            raise MatrixError(
                f"{self.name}: {self.threadgroup_bytes} bytes of threadgroup memory, "
                f"the limit is {tiles.MAX_THREADGROUP_BYTES}"
            )

    @property
    def name(self) -> str:
        """The kernel's host name; it carries the tile's shape."""
        if self.family in ROWWISE:
            return f"{self.family}_{self.dtype}_d{self.head_dim}"
        shape = f"q{self.tile.block_q}k{self.tile.block_k}"
        sinks = "_sinks" if self.sinks else ""
        return f"{self.family}_{self.dtype}_d{self.head_dim}_{shape}_{self.mask}{sinks}"

    @property
    def file(self) -> str:
        """File name under generated/."""
        return f"{self.name}.metal"

    @property
    def element_bytes(self) -> int:
        return ELEMENT_BYTES[self.dtype]

    @property
    def threadgroup_bytes(self) -> int:
        return self.tile.threadgroup_bytes(self.head_dim, self.element_bytes)

    @property
    def holds_queries(self) -> bool:
        """Whether a prefill kernel keeps Q in registers."""
        return isinstance(self.tile, PrefillTile) and self.tile.holds_queries(
            self.head_dim, self.element_bytes
        )

    def manifest_row(self) -> dict[str, object]:
        """The variant as generated/manifest.json lists it."""
        return {
            "name": self.name,
            "family": self.family,
            "head_dim": self.head_dim,
            "dtype": self.dtype,
            "mask": self.mask,
            "sinks": self.sinks,
            "file": self.file,
            "block_q": self.tile.block_q,
            "block_k": self.tile.block_k,
            "threads": self.tile.threads,
            "threadgroup_bytes": self.threadgroup_bytes,
        }


def checked(variants: Iterable[Variant]) -> tuple[Variant, ...]:
    """The rows in order, or MatrixError if two of them share a name."""
    seen: dict[str, Variant] = {}
    for variant in variants:
        if variant.name in seen:
            raise MatrixError(f"{variant.name}: two rows of the matrix have this name")
        seen[variant.name] = variant
    return tuple(seen.values())


def head_dims() -> Iterable[int]:
    """Every head_dim, in the tile table's order."""
    return dict.fromkeys(head_dim for _, head_dim, _ in TILES)


def attention(family: str) -> Iterable[Variant]:
    """The forward kernels of a family: head_dim x dtype x mask x sinks x tile."""
    for head_dim, dtype, mask, sinks in product(head_dims(), ELEMENT_BYTES, MASKS, (False, True)):
        for tile in TILES[family, head_dim, ELEMENT_BYTES[dtype]]:
            yield Variant(family, head_dim, dtype, mask, sinks, tile)


def rowwise(family: str) -> Iterable[Variant]:
    """The kernels of a family that attend to nothing: head_dim x dtype."""
    for head_dim, dtype in product(head_dims(), ELEMENT_BYTES):
        yield Variant(family, head_dim, dtype, "full", False, RowTile())


def matrix() -> tuple[Variant, ...]:
    """Every variant that exists, in manifest order."""
    families = [*map(attention, ATTENTION), *map(rowwise, ROWWISE)]
    return checked(chain.from_iterable(families))
