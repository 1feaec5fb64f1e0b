"""Tiles in doubt: those that may need more registers than a thread has, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codegen.arguments import KV_TYPES
from codegen.tile_shapes import FRAGMENT, MAX_REGISTERS, DecodeTile, Tile, TileError
from codegen.tiles import FIELDS, Cell, Tiles, read, sizes
from codegen.widths import Widths, read_widths

# Tiles that may spill, by the estimate (also where 16-bit elements take a whole register, and with
# the registers of dropout and of a mask tensor) or by the second opinion (docs/evidence.md), each
# with a smaller one if there is any.  `use` says which of the two is built: when a Mac shows
# spills, write "smaller".
TABLE = """
    family      | head_dim | bytes | tile    | smaller | use  | why it stays
    ------------+----------+-------+---------+---------+------+----------------------------------------------------------------------
    prefill     |       80 |     2 | 4 16 32 | 4 16 16 | tile | with a mask tensor alone; half as many keys per block: twice the barriers
    prefill     |       88 |     2 | 4 16 32 | 4 16 16 | tile | half as many keys per block: twice the barriers
    prefill     |       96 |     2 | 4 16 32 | 4 16 16 | tile | half as many keys per block: twice the barriers
    prefill     |      104 |     2 | 4 16 32 | 4 16 16 | tile | half as many keys per block: twice the barriers
    prefill     |      128 |     2 | 4 16 32 | 4 16 16 | tile | half as many keys per block: twice the barriers
    prefill     |      160 |     2 | 4 8 16  | 4 8 8   | tile | with dropout alone; half as many keys per block: twice the barriers
    prefill     |      192 |     2 | 4 8 16  | 4 8 8   | tile | half as many keys per block: twice the barriers
    prefill     |      256 |     2 | 4 8 16  | 4 8 8   | tile | half as many keys per block: twice the barriers
    prefill     |    96/64 |     2 | 4 16 32 | 4 16 16 | tile | with a mask tensor alone; half as many keys per block: twice the barriers
    prefill     |  192/128 |     2 | 4 8 32  | 4 8 16  | tile | with dropout alone; half as many keys per block: twice the barriers
    decode      |       40 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       40 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       48 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       48 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       64 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       72 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       72 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       80 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       80 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       88 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       88 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       96 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |       96 |     4 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |      104 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |      104 |     4 | 8 16 8  | none    | tile | there is none smaller with so many rows
    decode      |      112 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |      112 |     4 | 8 16 8  | none    | tile | there is none smaller with so many rows
    decode      |      128 |     2 | 8 16 16 | 8 16 8  | tile | half as many keys per step: half the loads in flight
    decode      |      128 |     4 | 8 16 16 | 8 16 8  | tile | beyond the limit by the estimate; a spill costs time, not correctness
    decode      |      192 |     4 | 4 8 16  | 4 8 8   | tile | half as many keys per step: half the loads in flight
    decode      |      256 |     2 | 4 8 16  | 4 8 8   | tile | half as many keys per step: half the loads in flight
    backward_q  |       40 |     2 | 4 16 32 | 4 8 32  | tile | half as many rows of its own: K and V are read twice as often
    backward_q  |       48 |     2 | 4 16 32 | 4 8 32  | tile | half as many rows of its own: K and V are read twice as often
    backward_q  |       64 |     2 | 4 16 32 | 4 8 32  | tile | half as many rows of its own: K and V are read twice as often
    backward_q  |       80 |     2 | 4 8 32  | 4 8 16  | tile | with dropout alone; half as many rows per block: twice the barriers
    backward_q  |       88 |     2 | 4 8 32  | 4 8 16  | tile | with dropout alone; half as many rows per block: twice the barriers
    backward_q  |       96 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_q  |      104 |     2 | 4 8 32  | 4 8 16  | tile | with dropout alone; half as many rows per block: twice the barriers
    backward_q  |      112 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_q  |      128 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_q  |      160 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_q  |      160 |     4 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_q  |      192 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_q  |    96/64 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_q  |  192/128 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_kv |       32 |     2 | 4 16 16 | 4 16 8  | tile | half as many rows per block: twice the barriers
    backward_kv |       40 |     2 | 4 8 32  | 4 8 16  | tile | with dropout in bfloat16 alone; half as many rows per block: twice the barriers
    backward_kv |       48 |     2 | 4 8 32  | 4 8 16  | tile | with dropout alone; half as many rows per block: twice the barriers
    backward_kv |       64 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_kv |       72 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_kv |       80 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_kv |       88 |     2 | 4 8 32  | 4 8 8   | tile | a quarter of the rows per block: four times the barriers
    backward_kv |       96 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_kv |      104 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_kv |      112 |     2 | 4 8 16  | none    | tile | with dropout alone; there is none smaller
    backward_kv |      128 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_kv |      160 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_kv |      192 |     2 | 4 8 16  | none    | tile | with dropout alone; with a shorter block both gradients would be in one kernel
    backward_kv |      192 |     4 | 4 8 16  | none    | tile | with dropout alone; with a shorter block both gradients would be in one kernel
    backward_kv |      256 |     2 | 4 8 16  | 4 8 8   | tile | half as many rows per block: twice the barriers
    backward_kv |      256 |     4 | 4 8 8   | none    | tile | with dropout or a mask tensor alone; there is none smaller
    backward_kv |    96/64 |     2 | 4 8 32  | 4 8 16  | tile | half as many rows per block: twice the barriers
    backward_kv |  192/128 |     2 | 4 8 16  | none    | tile | with dropout alone; there is none smaller
    backward_kv |  192/128 |     4 | 4 8 16  | none    | tile | with dropout alone; there is none smaller
"""  # noqa: E501


@dataclass(frozen=True)
class Doubt:
    """A tile that may need more registers than there are, and what to do about it."""

    family: str
    widths: Widths
    element_bytes: int
    tile: Tile
    smaller: Tile | None
    use: str  # "tile" or "smaller"
    why: str

    def __post_init__(self) -> None:
        if self.use not in ("tile", "smaller"):
            raise TileError(f"use = {self.use!r}: must be 'tile' or 'smaller'")
        if not self.why:
            raise TileError("why it stays must be said")
        if self.smaller is None:
            if self.use == "smaller":
                raise TileError("use = 'smaller': must be 'tile', as there is none")
            return
        needed, less = (
            tile.registers(self.widths, self.element_bytes) for tile in (self.tile, self.smaller)
        )
        # A plan chooses decode's tile by its rows.
        rows = {self.tile.rows} if isinstance(self.tile, DecodeTile) else {FRAGMENT, self.tile.rows}
        if self.smaller.rows not in rows or less >= needed or less > MAX_REGISTERS:
            raise TileError(
                f"smaller = {sizes(self.smaller)}: must have {' or '.join(map(str, sorted(rows)))} "
                f"rows and need fewer registers than {needed} and than {MAX_REGISTERS + 1}; it "
                f"needs {less}"
            )

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The tile in doubt, and what kernels with an extra make of it."""
        converting = (self.tile.for_kv(dtype) for dtype in KV_TYPES[1:])
        return self.tile, self.tile.for_dropout(), self.tile.for_mask(), *converting

    @property
    def cell(self) -> Cell:
        """Where in the table of tiles it stands."""
        return self.family, self.widths, self.element_bytes


def parse(table: str) -> tuple[Doubt, ...]:
    """Read TABLE; an empty text has no doubts."""
    doubts = []
    for line in [line for line in table.splitlines() if line.strip()][2:]:
        try:
            family, head_dim, element_bytes, tile, smaller, use, why = map(
                str.strip, line.split("|")
            )
            own = read(family, list(FIELDS), tile)
            other = None if smaller == "none" else read(family, list(FIELDS), smaller)
            widths = read_widths(head_dim)
            doubts.append(Doubt(family, widths, int(element_bytes), own, other, use, why))
        except (KeyError, TypeError, ValueError) as error:
            raise TileError(f"tiles in doubt, line '{line.strip()}': {error}") from None
    return tuple(doubts)


def decide(tiles: Mapping[Cell, tuple[Tile, ...]], doubts: Iterable[Doubt]) -> Tiles:
    """The tiles that are built.  Raises TileError for a doubt about a tile that is not there."""
    decided = dict(tiles)
    for doubt in doubts:
        if doubt.tile not in decided.get(doubt.cell, ()):
            raise TileError(
                f"tiles in doubt: {doubt.family} {doubt.element_bytes}, head_dim {doubt.widths} "
                f"has no tile {sizes(doubt.tile)}"
            )
        if doubt.use == "smaller" and doubt.smaller is not None:
            decided[doubt.cell] = tuple(
                doubt.smaller if tile == doubt.tile else tile for tile in decided[doubt.cell]
            )
    return decided
