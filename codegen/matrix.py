"""The matrix: which kernel variants exist, each with its name and its file.

Every combination of the axes below is built.  The variants of one family, dtype and head_dim are
in one file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, product

from codegen import doubts, tile_shapes, tiles
from codegen.arguments import KV_TYPES, converted
from codegen.tile_shapes import (
    BackwardKVTile,
    BackwardMaskTile,
    DividedDecodeTile,
    MaskTile,
    RowBlockTile,
    RowTile,
    Tile,
)
from codegen.widths import Widths, plain

ELEMENT_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
MASKS = ("full", "causal", "window")
MASKED = "masked"  # the mode of kernels that take a mask tensor
ANY_DTYPE, ANY_WIDTHS = "any", plain(0)  # of a kernel that works for all
IN_DOUBT = doubts.parse(doubts.TABLE)
DOUBTED = {(doubt.cell, tile) for doubt in IN_DOUBT for tile in doubt.tiles}
TILES = doubts.decide(tiles.parse(tiles.TABLE, DOUBTED), IN_DOUBT)
# Families of several that one column of the table of tiles is for, and one template.
ROOM = {"backward_k": "backward_kv", "backward_v": "backward_kv"}


class MatrixError(ValueError):
    """A row of the matrix that cannot be built; the message names the row."""


@dataclass(frozen=True)
class Variant:
    """One kernel: what it computes and in which tile shape.

    Kernels that take any band at run time have None as `mask`, or MASKED, and `sinks` says whether
    a call may have sinks: those of a family without mask modes, those with `dropout`, and those
    with a mask tensor.
    """

    family: str
    widths: Widths
    dtype: str
    mask: str | None
    sinks: bool
    tile: Tile

    def __post_init__(self) -> None:
        if self.dtype == ANY_DTYPE:
            return
        step = tile_shapes.FRAGMENT * self.tile.slices
        if min(self.widths[:2]) <= 0 or any(columns % step for columns in self.widths[:2]):
            raise MatrixError(f"{self.name}: head_dim = {self.widths} must be a multiple of {step}")
        if self.threadgroup_bytes > tile_shapes.MAX_THREADGROUP_BYTES:
            raise MatrixError(
                f"{self.name}: {self.threadgroup_bytes} bytes of threadgroup memory, "
                f"the limit is {tile_shapes.MAX_THREADGROUP_BYTES}"
            )

    @property
    def stem(self) -> str:
        """The part of the name that all variants of a file have."""
        return (
            self.family
            if self.dtype == ANY_DTYPE
            else f"{self.family}_{self.dtype}_{self.widths.name}"
        )

    @property
    def name(self) -> str:
        """The kernel's host name; the tile's shape is part of it."""
        parts = [self.stem]
        if not isinstance(self.tile, (RowTile, RowBlockTile, MaskTile)):
            parts.append(self.tile.name)
        if self.mask in MASKS:
            parts += [self.mask, *(["sinks"] if self.sinks else [])]
        return "_".join(parts)

    @property
    def file(self) -> str:
        """File name under generated/."""
        return f"{self.stem}.metal"

    @property
    def template_arguments(self) -> str:
        """The arguments of the Metal template that make this kernel."""
        if self.mask is None and not self.dropout:
            return self.tile.name
        mask = self.mask if self.mask in MASKS else "window"  # a window may be unbounded
        modes = (str(self.sinks).lower(),) if self.family == "prefill" else ()
        return ", ".join((self.tile.name, mask.upper(), *modes))

    @property
    def room(self) -> str:
        """Whose column in the table of tiles it has."""
        return ROOM.get(self.family, self.family)

    @property
    def template(self) -> str:
        """The folder of its template."""
        return "divided_decode" if isinstance(self.tile, DividedDecodeTile) else self.room

    @property
    def in_doubt(self) -> bool:
        """Whether doubts.py says that its tile may need too many registers."""
        return ((self.room, self.widths, self.element_bytes), self.tile) in DOUBTED

    @property
    def dropout(self) -> bool:
        """Whether all it does is done with weights dropped."""
        return self.mask is None and self.tile.extra == "dropout"

    @property
    def kv_dtype(self) -> str:
        """The dtype of K and V, if they are converted; else ""."""
        return self.tile.extra if self.tile.extra in KV_TYPES else ""

    @property
    def element_bytes(self) -> int:
        return ELEMENT_BYTES.get(self.dtype, 0)

    @property
    def threadgroup_bytes(self) -> int:
        return self.tile.threadgroup_bytes(self.widths, self.element_bytes)

    @property
    def rows_held(self) -> tuple[bool, ...]:
        """Of the tensors whose rows a simdgroup goes through again and again, which it holds in
        registers.
        """
        return self.tile.rows_held(self.widths, self.element_bytes)

    def live(self, widened: bool = False) -> dict[str, int]:
        """What a thread holds where it holds most: part -> 32-bit registers; see Tile.live."""
        return self.tile.live(self.widths, self.element_bytes, widened)

    def manifest_row(self) -> dict[str, object]:
        """The variant as generated/manifest.json lists it."""
        return {
            "name": self.name,
            "family": self.family,
            "head_dim": self.widths.qk,
            "head_dim_v": self.widths.v,
            "latent": self.widths.latent,
            "dtype": self.dtype,
            "mask": self.mask,
            "sinks": self.sinks,
            "dropout": self.dropout,
            "kv_dtype": self.kv_dtype,
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


def lines(family: str) -> Iterable[tuple[Widths, str, tuple[Tile, ...]]]:
    """Widths x dtype, each with a family's tiles, in the tile table's order."""
    for (column, widths, element_bytes), own in TILES.items():
        if column == family:
            for dtype in (d for d, size in ELEMENT_BYTES.items() if size == element_bytes):
                yield widths, dtype, own


def prefill() -> Iterable[Variant]:
    """Widths x dtype x tile x mask x sinks: each mask mode has an inner loop of its own.

    With dropout, or a mask tensor, which have one too, band and sinks are known at run time.
    """
    for widths, dtype, own in lines("prefill"):
        for tile in own:
            for mask, sinks in product(MASKS, (False, True)):
                yield Variant("prefill", widths, dtype, mask, sinks, tile)
            yield Variant("prefill", widths, dtype, None, True, tile.for_dropout())
            yield Variant("prefill", widths, dtype, MASKED, True, tile.for_mask())


def mask_blocks() -> Iterable[Variant]:
    """One kernel for all masks, whatever they are a mask of."""
    yield Variant("mask_blocks", ANY_WIDTHS, ANY_DTYPE, None, False, MaskTile())


def decode() -> Iterable[Variant]:
    """Widths x dtype x tile: mask and sinks are known at run time.

    Under float32 queries, the dtype of K and V is one more axis.  (Prefill learns it at run time.)
    """
    for widths, dtype, own in lines("decode"):
        for tile in own:
            yield Variant("decode", widths, dtype, None, True, tile)
            for kv_dtype in KV_TYPES[1:] if converted("decode", dtype) else ():
                yield Variant("decode", widths, dtype, None, True, tile.for_kv(kv_dtype))


def combine() -> Iterable[Variant]:
    """Columns of V x dtype: those of Q and K do not matter, nor whether V is K's."""
    rows = ((plain(widths.v), dtype) for widths, dtype, _ in lines("decode"))
    for widths, dtype in dict.fromkeys(rows):
        yield Variant("combine", widths, dtype, None, False, RowTile())


def append() -> Iterable[Variant]:
    """Widths x dtype; rows of a latent cache are written by whoever makes them."""
    for widths, dtype, _ in lines("decode"):
        if not widths.latent:
            yield Variant("append", widths, dtype, None, False, RowTile())


def backward() -> Iterable[Variant]:
    """Widths x dtype x tile x mask, or dropout, or a mask tensor, whose gradient has one kernel.

    Sinks are part of the log-sum-exp.
    """
    of_keys = {(widths, dtype): own for widths, dtype, own in lines("backward_kv")}
    seen = set()
    for widths, dtype, own in lines("backward_q"):
        of_rows = plain(widths.v)  # the rows of O
        if (of_rows, dtype) not in seen:
            seen.add((of_rows, dtype))
            yield Variant("backward_rows", of_rows, dtype, None, True, RowBlockTile())
        for tile in own:
            yield from differentiating("backward_q", widths, dtype, tile)
            of_mask = BackwardMaskTile(tile.simdgroups, tile.rows, tile.block, extra="dropout")
            yield Variant("backward_mask", widths, dtype, MASKED, False, of_mask)
        for tile in of_keys[widths, dtype]:
            yield from differentiating("backward_kv", widths, dtype, tile)


def differentiating(family: str, widths: Widths, dtype: str, tile: Tile) -> Iterable[Variant]:
    """The kernels of one tile that compute gradients."""
    size = ELEMENT_BYTES[dtype]
    modes: list[tuple[str | None, Tile]] = [(mask, tile) for mask in MASKS]
    modes += [(None, tile.for_dropout()), (MASKED, tile.for_mask())]
    for mask, own in modes:
        families = [family]
        if isinstance(own, BackwardKVTile) and own.gradients(widths, size) == 1:
            families = ["backward_k", "backward_v"]
        for each in families:
            yield Variant(each, widths, dtype, mask, False, own)


def matrix() -> tuple[Variant, ...]:
    """Every variant that exists, in manifest order."""
    attending = (prefill(), decode(), combine(), append(), mask_blocks())
    return checked(chain(*attending, backward()))


def files(variants: Iterable[Variant]) -> dict[str, list[Variant]]:
    """The variants of each file under generated/."""
    by_file: dict[str, list[Variant]] = {}
    for variant in variants:
        by_file.setdefault(variant.file, []).append(variant)
    return by_file
