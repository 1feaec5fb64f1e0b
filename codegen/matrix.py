"""The matrix: which kernel variants exist, each with its name and its file.

Every combination of the axes below is built.  The variants of one family, dtype and head_dim are
in one file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, product

from codegen import doubts, tiles
from codegen.tiles import (
    BackwardKVTile,
    BackwardMaskTile,
    MaskTile,
    RowBlockTile,
    RowTile,
    Tile,
)

ELEMENT_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
MASKS = ("full", "causal", "window")
MASKED = "masked"  # the mode of kernels that take a mask tensor
ANY_DTYPE, ANY_HEAD_DIM = "any", 0  # of a kernel that works for all
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
    head_dim: int
    dtype: str
    mask: str | None
    sinks: bool
    tile: Tile

    def __post_init__(self) -> None:
        if self.dtype == ANY_DTYPE:
            return
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
    def stem(self) -> str:
        """The part of the name that all variants of a file have."""
        return (
            self.family
            if self.dtype == ANY_DTYPE
            else f"{self.family}_{self.dtype}_d{self.head_dim}"
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
        """Whose column in the table of tiles, and whose folder of templates, it has."""
        return ROOM.get(self.family, self.family)

    @property
    def in_doubt(self) -> bool:
        """Whether doubts.py says that its tile may need too many registers."""
        return ((self.room, self.head_dim, self.element_bytes), self.tile) in DOUBTED

    @property
    def dropout(self) -> bool:
        """Whether all it does is done with weights dropped."""
        return self.mask is None and self.tile.extra == "dropout"

    @property
    def element_bytes(self) -> int:
        return ELEMENT_BYTES.get(self.dtype, 0)

    @property
    def threadgroup_bytes(self) -> int:
        return self.tile.threadgroup_bytes(self.head_dim, self.element_bytes)

    @property
    def rows_held(self) -> tuple[bool, ...]:
        """Of the tensors whose rows a simdgroup goes through again and again, which it holds in
        registers.
        """
        return self.tile.rows_held(self.head_dim, self.element_bytes)

    def live(self, widened: bool = False) -> dict[str, int]:
        """What a thread holds where it holds most: part -> 32-bit registers; see Tile.live."""
        return self.tile.live(self.head_dim, self.element_bytes, widened)

    def manifest_row(self) -> dict[str, object]:
        """The variant as generated/manifest.json lists it."""
        return {
            "name": self.name,
            "family": self.family,
            "head_dim": self.head_dim,
            "dtype": self.dtype,
            "mask": self.mask,
            "sinks": self.sinks,
            "dropout": self.dropout,
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


def prefill() -> Iterable[Variant]:
    """head_dim x dtype x tile x mask x sinks: each mask mode has an inner loop of its own.

    With dropout, or a mask tensor, which have one too, band and sinks are known at run time.
    """
    for head_dim, dtype in product(head_dims(), ELEMENT_BYTES):
        for tile in TILES["prefill", head_dim, ELEMENT_BYTES[dtype]]:
            for mask, sinks in product(MASKS, (False, True)):
                yield Variant("prefill", head_dim, dtype, mask, sinks, tile)
            yield Variant("prefill", head_dim, dtype, None, True, tile.for_dropout())
            yield Variant("prefill", head_dim, dtype, MASKED, True, tile.for_mask())


def mask_blocks() -> Iterable[Variant]:
    """One kernel for all masks, whatever they are a mask of."""
    yield Variant("mask_blocks", ANY_HEAD_DIM, ANY_DTYPE, None, False, MaskTile())


def decode() -> Iterable[Variant]:
    """head_dim x dtype x tile: mask and sinks are known at run time."""
    for head_dim, dtype in product(head_dims(), ELEMENT_BYTES):
        for tile in TILES["decode", head_dim, ELEMENT_BYTES[dtype]]:
            yield Variant("decode", head_dim, dtype, None, True, tile)


def backward() -> Iterable[Variant]:
    """head_dim x dtype x tile x mask, or dropout, or a mask tensor, whose gradient has one kernel.

    Sinks are part of the log-sum-exp.
    """
    for head_dim, dtype in product(head_dims(), ELEMENT_BYTES):
        size = ELEMENT_BYTES[dtype]
        yield Variant("backward_rows", head_dim, dtype, None, True, RowBlockTile())
        for tile in TILES["backward_q", head_dim, size]:
            yield from differentiating("backward_q", head_dim, dtype, tile)
            own = BackwardMaskTile(tile.simdgroups, tile.rows, tile.block, "dropout")
            yield Variant("backward_mask", head_dim, dtype, MASKED, False, own)
        for tile in TILES["backward_kv", head_dim, size]:
            yield from differentiating("backward_kv", head_dim, dtype, tile)


def differentiating(family: str, head_dim: int, dtype: str, tile: Tile) -> Iterable[Variant]:
    """The kernels of one tile that compute gradients."""
    size = ELEMENT_BYTES[dtype]
    modes: list[tuple[str | None, Tile]] = [(mask, tile) for mask in MASKS]
    modes += [(None, tile.for_dropout()), (MASKED, tile.for_mask())]
    for mask, own in modes:
        families = [family]
        if isinstance(own, BackwardKVTile) and own.gradients(head_dim, size) == 1:
            families = ["backward_k", "backward_v"]
        for each in families:
            yield Variant(each, head_dim, dtype, mask, False, own)


def rowwise(family: str) -> Iterable[Variant]:
    """The kernels of a family that works row by row, without attention: head_dim x dtype."""
    for head_dim, dtype in product(head_dims(), ELEMENT_BYTES):
        yield Variant(family, head_dim, dtype, None, False, RowTile())


def matrix() -> tuple[Variant, ...]:
    """Every variant that exists, in manifest order."""
    attending = (prefill(), decode(), rowwise("combine"), rowwise("append"), mask_blocks())
    return checked(chain(*attending, backward()))


def files(variants: Iterable[Variant]) -> dict[str, list[Variant]]:
    """The variants of each file under generated/."""
    by_file: dict[str, list[Variant]] = {}
    for variant in variants:
        by_file.setdefault(variant.file, []).append(variant)
    return by_file
