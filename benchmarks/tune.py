"""``nox -s tune``: times candidate tiles and writes the fastest into the tile table.

On a Mac times are measured on its GPU; elsewhere ``--modelled "M1 Max"`` has the cost model's for a
GPU instead.  Each cell of the table is searched by itself, over all tiles that a threadgroup's
memory and a thread's registers allow.  Candidates are whole kernels: rendered, compiled and planned
for as if the table had them.  Those of the backward pass are judged by the launches for the
gradients that they compute.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from pathlib import Path
from statistics import geometric_mean

import torch
from metal_flash_sdpa import _variants, splits
from metal_flash_sdpa.catalogue import BUILT_IN, Catalogue

from benchmarks.counting import ours
from benchmarks.counting.backward import backward
from benchmarks.model import cost
from benchmarks.model.chips import chips
from benchmarks.shapes import Shape
from benchmarks.timing import machine, measure
from codegen import tiles
from codegen.matrix import ELEMENT_BYTES, TILES, Variant, differentiating, files
from codegen.render import environment, shader
from codegen.tile_shapes import MAX_REGISTERS, MAX_THREADGROUP_BYTES, Tile, TileError
from codegen.tiles import KINDS, Cell, Tiles
from codegen.widths import Widths

# What is tried.  More simdgroups use one block of keys, but leave less room for other threadgroups.
SIMDGROUPS = (2, 4, 8)
ROWS = (8, 16, 32)
BLOCK_K = (8, 16, 32, 64)

# A tile takes another's place if it is faster by more than two runs of one kernel differ.
LEAST_GAIN = 0.02

# The gradients that a tile's kernels compute, by the family that the table has it for.
GRADIENTS = {"backward_q": "q", "backward_kv": "kv"}

TOKENS = (1024, 4096)
CACHED_KEYS = (2048, 16384)
HEADS = 8

# Milliseconds on a shape of what a place of the table decides, with these kernels in it.
Timer = Callable[["Place", Sequence[Variant], Shape], float]


@dataclass(frozen=True)
class Place:
    """One tile of the table: the index-th of a cell."""

    family: str
    widths: Widths
    element_bytes: int
    index: int = 0

    @property
    def cell(self) -> Cell:
        return self.family, self.widths, self.element_bytes

    @property
    def dtype(self) -> str:
        """The first of its size: float16 and bfloat16 have the same tiles."""
        return next(dtype for dtype, size in ELEMENT_BYTES.items() if size == self.element_bytes)

    @property
    def gradients(self) -> str:
        """Those that its kernels compute; "" in the forward pass."""
        return GRADIENTS.get(self.family, "")

    def __str__(self) -> str:
        return f"{self.family}, head dim {self.widths}, {self.element_bytes} bytes"


def places(table: Tiles) -> Iterator[Place]:
    """All of a table."""
    for (family, widths, element_bytes), cell in table.items():
        for index in range(len(cell)):
            yield Place(family, widths, element_bytes, index)


def fits(tile: Tile, place: Place) -> bool:
    """Whether a GPU could launch it without spilling."""
    memory = tile.threadgroup_bytes(place.widths, place.element_bytes)
    registers = tile.registers(place.widths, place.element_bytes)
    return memory <= MAX_THREADGROUP_BYTES and registers <= MAX_REGISTERS


def candidates(place: Place, current: Tile) -> list[Tile]:
    """All other tiles that fit.  Decode's rows stay: a plan picks a tile by them."""
    rows = (current.rows,) if place.family == "decode" else ROWS
    fitting = []
    for simdgroups, own_rows, block in product(SIMDGROUPS, rows, BLOCK_K):
        try:
            tile = replace(current, simdgroups=simdgroups, rows=own_rows, block=block)
        except TileError:
            continue
        if tile != current and fits(tile, place):
            fitting.append(tile)
    return fitting


def shapes(place: Place, tile: Tile) -> list[Shape]:
    """What a tile is judged by: prompts, or a step over caches by as many heads as it has rows."""
    dim, of_value, latent = place.widths
    if place.family == "decode":
        kv_heads = max(1, 4 * HEADS // tile.rows)
        found = [
            Shape(kv_heads * tile.rows, kv_heads, dim, keys, place.dtype) for keys in CACHED_KEYS
        ]
    else:
        found = [
            Shape(HEADS, HEADS, dim, tokens, place.dtype, queries=tokens, causal=causal)
            for tokens, causal in product(TOKENS, (False, True))
        ]
    return [replace(shape, head_dim_v=of_value, latent=latent) for shape in found]


@contextmanager
def alone(place: Place, variants: Sequence[Variant]) -> Iterator[ours.Build]:
    """A build that has no kernels for a place but these; their sources are gone afterwards.

    In backward_kv these may be two, of families of their own: where the gradients of K and V do not
    fit into the registers together.
    """
    chosen = {k: rows for k, rows in _variants.VARIANTS.items() if k.family != place.family}
    for variant in variants:
        tile = variant.tile
        row = _variants.Variant(variant.name, variant.file, tile.block_q, tile.threads, tile.step_k)
        key = _variants.Key(
            variant.family,
            (variant.widths.qk, variant.widths.v),
            variant.dtype,
            variant.mask,
            variant.sinks,
            variant.dropout,
            variant.kv_dtype,
        )
        chosen[key] = (row,)
    with tempfile.TemporaryDirectory() as folder:
        for file, inside in files(variants).items():
            (Path(folder) / file).write_text(shader(inside, environment()))
        catalogue = Catalogue(chosen, (Path(folder), *BUILT_IN.folders))
        yield ours.Build(catalogue, {**ours.BUILT.variants, **{v.name: v for v in variants}})


def modelled(chip: str) -> Timer:
    """The cost model's times on a GPU of chips.toml."""
    gpu = chips()[chip]
    planned_for = splits.Gpu(gpu.family, int(gpu.cores))

    def time(place: Place, variants: Sequence[Variant], shape: Shape) -> float:
        with alone(place, variants) as build:
            if place.gradients:
                launches = backward(shape, planned_for, place.gradients, build).launches
            else:
                launches = (ours.ours(shape, planned_for, build),)
            return sum(cost.milliseconds(launch, shape, gpu) for launch in launches)

    return time


def measured(place: Place, variants: Sequence[Variant], shape: Shape) -> float:
    """This Mac's times."""
    with alone(place, variants) as build:
        if place.gradients:
            call = measure.backward(shape, "mps", place.gradients, build.catalogue)
        else:
            call = measure.ours(shape, "mps", build.catalogue)
        return measure.median_ms(call, torch.mps.synchronize)


def variants_of(place: Place, shape: Shape, tile: Tile) -> list[Variant]:
    """The kernels for a place that compute a shape with a tile."""
    if place.gradients:
        made = differentiating(place.family, place.widths, place.dtype, tile)
        return [variant for variant in made if variant.mask == shape.mask]
    with_modes = place.family == "prefill"
    mask, sinks = (shape.mask, shape.sinks) if with_modes else (None, True)
    return [Variant(place.family, place.widths, place.dtype, mask, sinks, tile)]


def judge(place: Place, tile: Tile, timer: Timer) -> float:
    """Milliseconds of a tile: the geometric mean over its shapes."""
    return geometric_mean(
        timer(place, variants_of(place, shape, tile), shape) for shape in shapes(place, tile)
    )


def fastest(
    place: Place, current: Tile, timer: Timer, say: Callable[[str], object] = print
) -> Tile:
    """The tile for a place: the current one, or one that is faster by LEAST_GAIN.

    A candidate that cannot be timed is reported and passed over; the current one must be.
    """
    best, best_ms = current, judge(place, current, timer)
    least_ms = best_ms * (1 - LEAST_GAIN)
    say(f"{place}: {tiles.sizes(current)} takes {best_ms:.4g} ms")
    for tile in candidates(place, current):
        try:
            ms = judge(place, tile, timer)
        except Exception as error:  # a GPU's driver may refuse a kernel in any way
            say(f"    {tiles.sizes(tile):8} {type(error).__name__}: {error}")
            continue
        say(f"    {tiles.sizes(tile):8} {ms:.4g} ms")
        if ms < min(best_ms, least_ms):
            best, best_ms = tile, ms
    verdict = "stays" if best == current else f"gives way to {tiles.sizes(best)}"
    say(f"    {tiles.sizes(current):8} {verdict}")
    return best


def replaced(table: Tiles, place: Place, tile: Tile) -> Tiles:
    """A table with another tile in one place."""
    cell = list(table[place.cell])
    cell[place.index] = tile
    return {**table, place.cell: tuple(cell)}


def rewritten(source: str, table: Tiles, origin: str) -> str:
    """The text of tiles.py with another table, and where it is from.

    Raises ValueError if there is no table in it.
    """
    for pattern, text in (
        (r'^TUNED = "[^"\n]*"$', f'TUNED = "{origin}"'),
        (r'^TABLE = """.*?^"""', f'TABLE = """{tiles.write(table)}"""'),
    ):
        source, count = re.subn(pattern, text.replace("\\", r"\\"), source, flags=re.M | re.S)
        if count != 1:
            raise ValueError(f"tiles.py has {count} places for {text[:5]}: must have one")
    return source


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.  Exits with a message for what does not exist."""
    parser = argparse.ArgumentParser(prog="nox -s tune --", description=__doc__)
    parser.add_argument(
        "--modelled", metavar="GPU", choices=list(chips()), help=f"one of {', '.join(chips())}"
    )
    parser.add_argument("--family", choices=list(KINDS), help="default: all")
    parser.add_argument(
        "--head-dim",
        choices=dict.fromkeys(str(p.widths) for p in places(TILES)),
        help="default: all",
    )
    parser.add_argument(
        "--element-bytes", type=int, choices=sorted({*ELEMENT_BYTES.values()}), help="default: all"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the table, write nothing")
    parser.add_argument("--table", type=Path, default=Path(tiles.__file__), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.modelled is None and not measure.on_mac():
        parser.error("there is no Apple GPU to measure on: --modelled GPU has the model's times")
    return chosen


def selected(chosen: argparse.Namespace, table: Tiles) -> list[Place]:
    """The places that a command line asks for."""
    return [
        place
        for place in places(table)
        if chosen.family in (None, place.family)
        and chosen.head_dim in (None, str(place.widths))
        and chosen.element_bytes in (None, place.element_bytes)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Searches, prints the table, writes it."""
    chosen = options(arguments)
    timer = modelled(chosen.modelled) if chosen.modelled else measured
    how = f"modelled for {chosen.modelled}" if chosen.modelled else f"on {machine.describe()}"
    origin = f"tuned {date.today()}, {how}"
    table: Tiles = TILES
    for place in selected(chosen, TILES):
        tile = fastest(place, table[place.cell][place.index], timer)
        if tile == table[place.cell][place.index]:
            continue
        table = replaced(table, place, tile)
        if not chosen.dry_run:  # at once, so that an interrupted search has not been for nothing
            chosen.table.write_text(rewritten(chosen.table.read_text(), table, origin))
    print(tiles.write(table))
    if table == TILES:
        print("No tile gives way.")
    elif not chosen.dry_run:
        print(f"{chosen.table} is written.  Next: python -m codegen, nox -s parity.")


if __name__ == "__main__":
    main()
