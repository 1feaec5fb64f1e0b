"""Tile shapes: tuning as a table that a person reads and the program parses.

One line per head_dim; a head_dim exists because it has a line here.  Left of the bar the tile
for 16-bit elements (float16, bfloat16), right of it the tile for float32:

    simdgroups   simdgroups per threadgroup
    rows         query rows per simdgroup, a multiple of 8; 16 lets one K or V fragment that was
                 loaded from threadgroup memory feed two matrix products
    block_k      keys per block, a multiple of 8

K and V blocks are staged in threadgroup memory; Q, S, P and O live in registers (two elements of
every 8x8 fragment per thread).  A wide head_dim therefore wants fewer rows and a shorter block.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFILL = """
    head_dim | simdgroups rows block_k | simdgroups rows block_k
    ---------+-------------------------+------------------------
          32 |     4        16    32   |     4        16    32
          64 |     4        16    32   |     4         8    32
          72 |     4        16    32   |     4         8    16
          80 |     4        16    32   |     4         8    16
          96 |     4         8    32   |     4         8    16
         128 |     4         8    32   |     4         8    16
         192 |     4         8    16   |     4         8    16
         256 |     4         8    16   |     4         8     8
"""

FRAGMENT = 8  # rows and columns of a simdgroup_matrix, Metal Shading Language 2.3
SIMD_WIDTH = 32  # threads per simdgroup on every Apple GPU
MAX_THREADS = 1024  # per threadgroup, Metal feature set tables, Apple7 and later
MAX_THREADGROUP_BYTES = 32 * 1024  # the same table
ROW_PADDING_BYTES = 16  # added to each staged row so that rows start in different banks


class TileError(ValueError):
    """A tile that no Apple GPU could launch, or a table line that cannot be read."""


@dataclass(frozen=True)
class Tile:
    """The part of the attention matrix that one threadgroup holds at a time."""

    simdgroups: int
    rows: int
    block_k: int

    def __post_init__(self) -> None:
        for name, step in (("simdgroups", 1), ("rows", FRAGMENT), ("block_k", FRAGMENT)):
            value = getattr(self, name)
            if value <= 0 or value % step:
                raise TileError(f"{name} = {value}: must be a positive multiple of {step}")
        if self.threads > MAX_THREADS:
            raise TileError(
                f"simdgroups = {self.simdgroups}: {self.threads} threads per threadgroup, "
                f"the limit is {MAX_THREADS}"
            )

    @property
    def block_q(self) -> int:
        """Query rows per threadgroup."""
        return self.simdgroups * self.rows

    @property
    def threads(self) -> int:
        """Threads per threadgroup."""
        return self.simdgroups * SIMD_WIDTH

    def staged_stride(self, head_dim: int, element_bytes: int) -> int:
        """Elements from one staged K or V row to the next."""
        return head_dim + ROW_PADDING_BYTES // element_bytes

    def threadgroup_bytes(self, head_dim: int, element_bytes: int) -> int:
        """Bytes of threadgroup memory: one staged block of K and one of V."""
        return 2 * self.block_k * self.staged_stride(head_dim, element_bytes) * element_bytes


def parse(table: str) -> dict[tuple[int, int], Tile]:
    """Read a tile table into {(head_dim, element bytes): Tile}."""
    tiles: dict[tuple[int, int], Tile] = {}
    lines = [line for line in table.splitlines() if line.strip()]
    for line in lines[2:]:  # the two heading lines
        try:
            head_dim, narrow, wide = line.split("|")
            for element_bytes, cells in ((2, narrow), (4, wide)):
                key = (int(head_dim), element_bytes)
                if key in tiles:
                    raise TileError("this head_dim has a line already")
                tiles[key] = Tile(*map(int, cells.split()))
        except (TypeError, ValueError) as error:
            raise TileError(f"tile table, line '{line.strip()}': {error}") from None
    return tiles
