"""Tile shapes: tuning as a table that a person reads and the program parses.

One line per head_dim; a head_dim exists because it has a line here.  "192/128" is a pair: rows of
Q and K have 192 columns, those of V and O have 128.  Each kernel family has a tile for 16-bit
elements (float16, bfloat16) and one for float32, or "none" if it has no kernels for this head_dim:

    simdgroups   simdgroups per threadgroup
    rows         query rows per simdgroup, a multiple of 8; with 16, each fragment of K or V that is
                 loaded serves two matrix products
    block        keys per block, a multiple of 8; in decode per simdgroup: more keys are more loads
                 in flight; in backward_kv, where the rows are keys, query rows per block
    slices       a fourth number, if there is one: so many simdgroups have the same rows, each for a
                 slice of the columns

Prefill stages blocks of K and V in threadgroup memory.  It holds S, P and O in registers (two
elements of every 8x8 fragment per thread), and Q if it fits; else it reads Q again for each block.
A wide head_dim therefore needs fewer rows and a shorter block: 16 rows of O alone take 128
registers at head_dim 256, and at 192 reading Q again is more device traffic than K and V.  In
decode all simdgroups work on the same rows, each on keys of its own.  K and V go from device memory
straight into registers; only Q is staged.

At head_dim 512 even 8 rows of O take all registers.  There a tile is divided into slices: a
simdgroup multiplies its columns of Q and K, the sums are added up through threadgroup memory, and
with the weights it has all it needs for its columns of V and O.  Nothing is multiplied twice; the
exchange costs 4 * slices bytes of threadgroup memory per score, and a barrier.  Blocks of K and V
are wide, and take turns in one place.  8 rows of Q stay in registers; with 16, a fragment would
serve two products, but Q would be read again for each short block.  A divided decode kernel packs
rows as decode does, and stages blocks as prefill does.

In a latent pair, "576/512 latent", V is the first columns of K (DeepSeek's absorbed attention): a
block that is staged serves both products.  There are kernels for decoding alone, whose many heads
share one KV head.

The backward kernels work as prefill's do, on rows of two tensors and blocks of two others.  Over
the keys of some query rows (backward_q) the rows are of Q and dO, the blocks of K and V; over the
queries of some keys (backward_kv) it is the other way round.  Beside S they hold dP, and the
gradients that they add up: one matrix in backward_q, two in backward_kv.  Two do not fit at
head_dim 192 and 256: there dK and dV have a kernel each, which costs an eighth product of 8x8
fragments beside seven.

A cell may hold several tiles, those with fewer rows first.  A plan takes the first with room for
all rows that share a KV head, so that K and V are read once for them; if none has, the last.
Decode's O takes rows / 8 x head_dim / 8 x 2 of the 128 registers that a thread of an Apple GPU may
have (applegpu): 64 for 16 rows of head_dim 128.  For 192 and 256 it would take 96 and 128, and
leave too few for S, P and addresses.  32 rows would not be faster where they fit: with 10 bytes of
DRAM and 205 operations of 8x8 products per core and clock (metal-benchmarks, M1), a core that reads
K in 16 bits at full bandwidth has time to multiply each element with 20 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping

from codegen.tile_shapes import (
    MAX_REGISTERS,
    BackwardKVTile,
    BackwardQTile,
    DecodeTile,
    DividedDecodeTile,
    PrefillTile,
    Tile,
    TileError,
)
from codegen.widths import Widths, read_widths

# How the tiles were chosen, and the tiles; `nox -s tune` writes both.
TUNED = "by hand, from counted work and modelled times"
TABLE = """
       head_dim    |       prefill 2       |       prefill 4       |             decode 2            |        decode 4       |      backward_q 2     |      backward_q 4     |     backward_kv 2     |     backward_kv 4
                   | simdgroups rows block | simdgroups rows block |      simdgroups rows block      | simdgroups rows block | simdgroups rows block | simdgroups rows block | simdgroups rows block | simdgroups rows block
    ---------------+-----------------------+-----------------------+---------------------------------+-----------------------+-----------------------+-----------------------+-----------------------+----------------------
          32       |        4 16 32        |        4 16 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |        4 16 16        |         4 8 32
          40       |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |         4 8 32        |         4 8 16
          48       |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |         4 8 32        |         4 8 16
          64       |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |         4 8 32        |         4 8 16
          72       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
          80       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
          88       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
          96       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
         104       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |     4 8 16, 8 16 8    |         4 8 32        |         4 8 16        |         4 8 16        |         4 8 8
         112       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |     4 8 16, 8 16 8    |         4 8 32        |         4 8 16        |         4 8 16        |         4 8 8
         128       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 16        |         4 8 8
         160       |         4 8 16        |         4 8 16        |              4 8 16             |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16
         192       |         4 8 16        |         4 8 16        |              4 8 16             |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16
         256       |         4 8 16        |         4 8 8         |              4 8 16             |         4 8 8         |         4 8 16        |         4 8 8         |         4 8 16        |         4 8 8
        96/64      |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
       192/128     |         4 8 32        |         4 8 16        |         4 8 32, 8 16 16         |     4 8 16, 8 16 8    |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16
         512       |       16 8 16 4       |        8 8 8 4        |  4 8 16 4, 8 8 16 4, 16 8 16 4  |    4 8 8 4, 8 8 8 4   |          none         |          none         |          none         |          none
    320/256 latent |          none         |          none         | 4 8 16 4, 8 16 16 4, 16 16 16 4 |   4 8 16 4, 8 8 16 2  |          none         |          none         |          none         |          none
    576/512 latent |          none         |          none         |  4 8 16 4, 8 8 16 4, 16 8 16 4  |    4 8 8 4, 8 8 8 4   |          none         |          none         |          none         |          none
"""  # noqa: E501


FIELDS = ("simdgroups", "rows", "block")
SLICES = "slices"  # a field that a tile may have behind these
NONE = "none"  # in place of tiles
Cell = tuple[str, Widths, int]  # of the table: family, widths, element bytes
Tiles = dict[Cell, tuple[Tile, ...]]  # those with fewer rows first


def decode_tile(simdgroups: int, rows: int, block: int, slices: int = 1) -> Tile:
    """One of the kind that it is."""
    kind = DecodeTile if slices == 1 else DividedDecodeTile
    return kind(simdgroups, rows, block, slices)


KINDS: dict[str, Callable[..., Tile]] = {
    "prefill": PrefillTile,
    "decode": decode_tile,
    "backward_q": BackwardQTile,
    "backward_kv": BackwardKVTile,
}


def parse(table: str, excused: Container[tuple[Cell, Tile]] = ()) -> Tiles:
    """Read the tile table into {(family, widths, element bytes): tiles, fewest rows first}.

    Its first line names the families and their element bytes, its second the tiles' fields.
    A tile whose estimate is beyond what a thread may have is refused, unless it is `excused`.
    """
    families, names, _, *lines = (line for line in table.splitlines() if line.strip())
    headings = [heading.split() for heading in families.split("|")[1:]]
    columns = [cells.split() for cells in names.split("|")[1:]]
    tiles: dict[Cell, tuple[Tile, ...]] = {}
    for line in lines:
        try:
            name, *cells = line.split("|")
            widths = read_widths(name)
            for (family, element_bytes), fields, cell in zip(headings, columns, cells, strict=True):
                key = (family, widths, int(element_bytes))
                if key in tiles:
                    raise TileError("this head_dim has a line already")
                if cell.strip() == NONE:
                    continue
                tiles[key] = tuple(read(family, fields, tile) for tile in cell.split(","))
                rows = [tile.block_q for tile in tiles[key]]
                if rows != sorted({*rows}):
                    raise TileError(f"tiles of {rows} rows: each must have more than the last")
                for tile in tiles[key]:
                    needed = tile.registers(widths, int(element_bytes))
                    if needed > MAX_REGISTERS and (key, tile) not in excused:
                        raise TileError(
                            f"{family} {element_bytes}: {needed} registers per thread, a GPU has "
                            f"{MAX_REGISTERS}: take a smaller tile, or name it in doubts.py"
                        )
        except (TypeError, ValueError) as error:
            raise TileError(f"tile table, line '{line.strip()}': {error}") from None
    return tiles


def read(family: str, fields: list[str], sizes: str) -> Tile:
    """One tile of the table, such as "4 8 32", or "8 8 16 2" if it has slices."""
    values = [int(size) for size in sizes.split()]
    names = [*fields, SLICES] if len(values) > len(fields) else fields
    return KINDS[family](**dict(zip(names, values, strict=True)))


def write(tiles: Mapping[Cell, Iterable[Tile]]) -> str:
    """The table that `parse` reads as these tiles."""
    columns = list(dict.fromkeys((family, element_bytes) for family, _, element_bytes in tiles))
    lines = [
        ["head_dim", *(f"{family} {element_bytes}" for family, element_bytes in columns)],
        ["", *[" ".join(FIELDS)] * len(columns)],
    ]
    for own in dict.fromkeys(own for _, own, _ in tiles):
        cells = (tiles.get((family, own, size), ()) for family, size in columns)
        lines.append([str(own), *(", ".join(map(sizes, cell)) or NONE for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [text.center(width) for text, width in zip(line, widths, strict=True)] for line in lines
    ]
    rows = [" | ".join(line).rstrip() for line in padded]
    rows.insert(2, "-+-".join("-" * width for width in widths))
    return "\n" + "".join(f"    {row}\n" for row in rows)


def sizes(tile: Tile) -> str:
    """A tile as `read` takes it."""
    names = (*FIELDS, SLICES) if tile.slices > 1 else FIELDS
    return " ".join(str(getattr(tile, name)) for name in names)
