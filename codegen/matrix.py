"""THE table: one frozen row per kernel variant, which owns the variant's name and file.

Every combination of the axes below is built; none is excluded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from codegen import tiles
from codegen.tiles import Tile

ELEMENT_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
MASKS = {
    "full": "every query sees every key",
    "causal": "causal, aligned bottom-right",
    "window": "sliding window (left, right), aligned bottom-right",
}
PREFILL_TILES = tiles.parse(tiles.PREFILL)


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
    def staged_stride(self) -> int:
        """Elements from one staged K or V row to the next."""
        return self.tile.staged_stride(self.head_dim, self.element_bytes)

    @property
    def threadgroup_bytes(self) -> int:
        return self.tile.threadgroup_bytes(self.head_dim, self.element_bytes)

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


def prefill() -> Iterable[Variant]:
    """The forward kernels for many query rows: head_dim x dtype x mask x sinks."""
    head_dims = dict.fromkeys(head_dim for head_dim, _ in PREFILL_TILES)
    for head_dim, dtype, mask, sinks in product(head_dims, ELEMENT_BYTES, MASKS, (False, True)):
        tile = PREFILL_TILES[head_dim, ELEMENT_BYTES[dtype]]
        yield Variant("prefill", head_dim, dtype, mask, sinks, tile)


def matrix() -> tuple[Variant, ...]:
    """Every variant that exists, in manifest order."""
    return checked(prefill())
