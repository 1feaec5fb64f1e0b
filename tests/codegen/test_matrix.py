"""The matrix and the tile table: what they hold, and what they refuse."""

from __future__ import annotations

from collections import Counter

import pytest

from codegen import tiles
from codegen.matrix import ELEMENT_BYTES, MASKS, MatrixError, Variant, checked, matrix
from codegen.tiles import PrefillTile, TileError, parse

SMALL = PrefillTile(simdgroups=4, rows=8, block_k=16)
HEADING = "head_dim | prefill 2 | decode 4\n | simdgroups rows block_k | simdgroups block_k\n---\n"


@pytest.mark.parametrize("family", ["prefill", "decode"])
def test_every_combination_is_there(family: str) -> None:
    """144 = 8 head dims x 3 dtypes x 3 masks x with and without sinks."""
    variants = [v for v in matrix() if v.family == family]
    axes = {(v.head_dim, v.dtype, v.mask, v.sinks) for v in variants}
    head_dims = {v.head_dim for v in variants}
    assert len(axes) == len(variants) == 144
    assert head_dims == {32, 64, 72, 80, 96, 128, 192, 256}
    assert len(axes) == len(head_dims) * len(ELEMENT_BYTES) * len(MASKS) * 2


def test_a_head_dim_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "112 | 4 8 16 | 2 8 16 | 4 32 | 4 16\n"
    monkeypatch.setattr("codegen.matrix.TILES", parse(tiles.TABLE.rstrip() + "\n" + line))
    added = [v for v in matrix() if v.head_dim == 112]
    assert Counter(v.family for v in added) == {
        "prefill": 18,
        "decode": 18,
        "combine": 3,
        "append": 3,
    }
    prefill = [v for v in added if v.family == "prefill"]
    assert {v.tile.block_q for v in prefill if v.dtype == "float32"} == {16}


def test_names_carry_the_shape_and_are_unique() -> None:
    variant = Variant("prefill", 64, "float16", "window", True, SMALL)
    assert variant.name == "prefill_float16_d64_q32k16_window_sinks"
    with pytest.raises(MatrixError, match=f"{variant.name}: two rows"):
        checked([variant, variant])


def test_threadgroup_memory_is_limited() -> None:
    # Two blocks of 64 rows of 128 float32 and 16 bytes of padding.
    with pytest.raises(MatrixError, match=r"prefill_float32_d128_q32k64_full: 67584 bytes.*32768"):
        Variant(
            "prefill", 128, "float32", "full", False, PrefillTile(simdgroups=4, rows=8, block_k=64)
        )


def test_head_dim_is_a_multiple_of_a_fragment() -> None:
    with pytest.raises(MatrixError, match="head_dim = 60 must be a multiple of 8"):
        Variant("prefill", 60, "float16", "full", False, SMALL)


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        ((33, 16, 8), "simdgroups = 33: 1056 threads per threadgroup, the limit is 1024"),
        ((4, 16, 12), "rows = 12: must be a positive multiple of 8"),
        ((4, 0, 8), "block_k = 0: must be a positive multiple of 8"),
    ],
)
def test_bad_tiles(tile: tuple[int, int, int], message: str) -> None:
    with pytest.raises(TileError, match=message):
        PrefillTile(*tile)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("64 | 4 8 16", "shorter"),
        ("64 | 4 8 | 4 8", "shorter"),
        ("64 | 4 8 x | 4 8", "invalid literal"),
        ("64 | 4 9 16 | 4 8", "rows = 9"),
        ("32 | 4 8 16 | 4 8\n32 | 4 8 16 | 4 8", "has a line already"),
    ],
)
def test_bad_table_lines_are_named(line: str, message: str) -> None:
    with pytest.raises(
        TileError, match=rf"line '{line.splitlines()[-1].replace('|', '.')}'.*{message}"
    ):
        parse(HEADING + line)
