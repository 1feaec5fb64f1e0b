"""Tile shapes: tuning as a table that a person reads and the program parses.

One line per head_dim; a head_dim exists because it has a line here.  Each kernel family has a tile
for 16-bit elements (float16, bfloat16) and one for float32:

    simdgroups   simdgroups per threadgroup
    rows         prefill: query rows per simdgroup, a multiple of 8; 16 lets one K or V fragment
                 that was loaded from threadgroup memory feed two matrix products
    block_k      keys per block, a multiple of 8; decode: per simdgroup, that is, how many loads
                 are in flight

Prefill stages blocks of K and V in threadgroup memory and holds Q, S, P and O in registers (two
elements of every 8x8 fragment per thread).  A wide head_dim therefore wants fewer rows and a
shorter block.  In decode all simdgroups work on the same 8 rows, each on keys of its own; K and V
go from device memory straight into registers, and only Q is staged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

TABLE = """
    head_dim | prefill 2               | prefill 4               | decode 2           | decode 4
             | simdgroups rows block_k | simdgroups rows block_k | simdgroups block_k | simdgroups block_k
    ---------+-------------------------+-------------------------+--------------------+-------------------
          32 |     4        16    32   |     4        16    32   |     4        32    |     4        32
          64 |     4        16    32   |     4         8    32   |     4        32    |     4        32
          72 |     4        16    32   |     4         8    16   |     4        32    |     4        16
          80 |     4        16    32   |     4         8    16   |     4        32    |     4        16
          96 |     4         8    32   |     4         8    16   |     4        32    |     4        16
         128 |     4         8    32   |     4         8    16   |     4        32    |     4        16
         192 |     4         8    16   |     4         8    16   |     4        16    |     4        16
         256 |     4         8    16   |     4         8     8   |     4        16    |     4         8
"""  # noqa: E501

FRAGMENT = 8  # rows and columns of a simdgroup_matrix, Metal Shading Language 2.3
SIMD_WIDTH = 32  # threads per simdgroup on every Apple GPU
MAX_THREADS = 1024  # per threadgroup, Metal feature set tables, Apple7 and later
MAX_THREADGROUP_BYTES = 32 * 1024  # the same table
K_CHUNK = 16  # columns of K that a decode kernel reads at a time; see parts/decode/tile.metal.j2
FLOAT_BYTES = 4
ROW_PADDING_BYTES = 16  # added to each staged row so that rows start in different banks


class TileError(ValueError):
    """A tile that no Apple GPU could launch, or a table line that cannot be read."""


@dataclass(frozen=True)
class Tile(ABC):
    """The part of the attention matrix that one threadgroup holds at a time."""

    simdgroups: int
    block_k: int

    def __post_init__(self) -> None:
        for name, value, step in self.sizes():
            if value <= 0 or value % step:
                raise TileError(f"{name} = {value}: must be a positive multiple of {step}")
        if self.threads > MAX_THREADS:
            raise TileError(
                f"simdgroups = {self.simdgroups}: {self.threads} threads per threadgroup, "
                f"the limit is {MAX_THREADS}"
            )

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        """(field, value, what it must be a multiple of)."""
        return (("simdgroups", self.simdgroups, 1), ("block_k", self.block_k, FRAGMENT))

    @property
    @abstractmethod
    def block_q(self) -> int:
        """Query rows per threadgroup."""

    @property
    def step_k(self) -> int:
        """Keys per step of a threadgroup's loop."""
        return self.block_k

    @property
    def threads(self) -> int:
        """Threads per threadgroup."""
        return self.simdgroups * SIMD_WIDTH

    @abstractmethod
    def threadgroup_bytes(self, head_dim: int, element_bytes: int) -> int:
        """Bytes of threadgroup memory."""


@dataclass(frozen=True)
class PrefillTile(Tile):
    """Each simdgroup has rows of its own; all share blocks of K and V in threadgroup memory."""

    rows: int

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        return (*super().sizes(), ("rows", self.rows, FRAGMENT))

    @property
    def block_q(self) -> int:
        return self.simdgroups * self.rows

    def staged_stride(self, head_dim: int, element_bytes: int) -> int:
        """Elements from one staged K or V row to the next."""
        return head_dim + ROW_PADDING_BYTES // element_bytes

    def threadgroup_bytes(self, head_dim: int, element_bytes: int) -> int:
        return 2 * self.block_k * self.staged_stride(head_dim, element_bytes) * element_bytes


@dataclass(frozen=True)
class DecodeTile(Tile):
    """All simdgroups share a fragment of rows; each has keys of its own."""

    @property
    def block_q(self) -> int:
        return FRAGMENT

    @property
    def step_k(self) -> int:
        return self.simdgroups * self.block_k

    def threadgroup_bytes(self, head_dim: int, element_bytes: int) -> int:
        columns = -(-head_dim // K_CHUNK) * K_CHUNK
        queries = self.block_q * columns * element_bytes
        outputs = self.block_q * head_dim * FLOAT_BYTES
        statistics = 2 * self.simdgroups * self.block_q * FLOAT_BYTES
        return queries + outputs + statistics


@dataclass(frozen=True)
class RowTile(Tile):
    """One simdgroup has one row."""

    simdgroups: int = 1
    block_k: int = 1

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        return ()

    @property
    def block_q(self) -> int:
        return 1

    def threadgroup_bytes(self, head_dim: int, element_bytes: int) -> int:
        return 0


KINDS = {"prefill": PrefillTile, "decode": DecodeTile}


def parse(table: str) -> dict[tuple[str, int, int], Tile]:
    """Read the tile table into {(family, head_dim, element bytes): tile}.

    Its first line names the families and their element bytes, its second the tiles' fields.
    """
    families, names, _, *lines = (line for line in table.splitlines() if line.strip())
    headings = [heading.split() for heading in families.split("|")[1:]]
    columns = [cells.split() for cells in names.split("|")[1:]]
    tiles: dict[tuple[str, int, int], Tile] = {}
    for line in lines:
        try:
            head_dim, *cells = line.split("|")
            for (family, element_bytes), fields, cell in zip(headings, columns, cells, strict=True):
                key = (family, int(head_dim), int(element_bytes))
                if key in tiles:
                    raise TileError("this head_dim has a line already")
                sizes = zip(fields, map(int, cell.split()), strict=True)
                tiles[key] = KINDS[family](**dict(sizes))
        except (TypeError, ValueError) as error:
            raise TileError(f"tile table, line '{line.strip()}': {error}") from None
    return tiles
