"""The matrix and the tile table: what they hold, and what they refuse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from codegen import tiles
from codegen.matrix import (
    ANY_WIDTHS,
    DOUBTED,
    MASKED,
    MASKS,
    MatrixError,
    Variant,
    checked,
    files,
    matrix,
)
from codegen.tile_shapes import MAX_REGISTERS, OTHER_REGISTERS, PrefillTile, TileError
from codegen.tiles import parse
from codegen.widths import Widths, plain

SMALL = PrefillTile(simdgroups=4, rows=8, block=16)
FIELDS = "simdgroups rows block"
HEADING = f"head_dim | prefill 2 | decode 4\n | {FIELDS} | {FIELDS}\n---\n"


@pytest.mark.parametrize(
    ("family", "kernels"),
    [
        # 17 widths x 3 dtypes x (3 masks x with and without sinks, or dropout, or a mask tensor)
        ("prefill", 408),
        # 19 widths x (3 dtypes, and 2 of K and V under float32); 16 have a second tile, and 3 in
        # 16 bits a third
        ("decode", 181),
        ("combine", 45),  # 15 widths of O
        ("append", 51),  # all but the latent ones
        ("mask_blocks", 1),
        ("backward_rows", 42),  # 14 widths of O that have a backward pass
        ("backward_q", 240),  # 16 widths x 3 dtypes x (3 masks, or dropout, or a mask tensor)
        # Of these as many as hold the gradients of both K and V; the others are apart.
        ("backward_kv", 156),
        ("backward_k", 84),
        ("backward_v", 84),
        ("backward_mask", 48),
    ],
)
def test_every_combination_is_there(family: str, kernels: int) -> None:
    variants = [v for v in matrix() if v.family == family]
    assert len(variants) == kernels
    plain = {(v.mask, v.sinks) for v in variants if not v.dropout and v.mask != MASKED}
    masks = {mask for mask, _ in plain} - {None}
    assert masks in (set(), {*MASKS})
    if family == "backward_mask":
        assert {(v.mask, v.sinks, v.dropout) for v in variants} == {(MASKED, False, False)}
        return
    assert len(plain) == (len(MASKS) * 2 if family == "prefill" else max(1, len(masks)))
    assert {v.mask for v in variants if v.dropout} <= {None}


@pytest.mark.parametrize("dropout", [False, True])
def test_each_has_all_gradients(dropout: bool) -> None:
    """Those of K and V together or apart."""
    own = [v for v in matrix() if v.family.startswith("backward_") and v.dropout == dropout]
    for mode in {(v.widths, v.dtype, v.mask) for v in own if v.family != "backward_rows"}:
        families = [v.family for v in own if (v.widths, v.dtype, v.mask) == mode]
        of_keys = sorted({*families} - {"backward_q", "backward_rows", "backward_mask"})
        assert of_keys in (["backward_kv"], ["backward_k", "backward_v"])
        assert "backward_q" in families


def test_every_head_dim_has_every_family() -> None:
    families: dict[Widths, set[str]] = {}
    for v in matrix():
        families.setdefault(v.widths, set()).add(v.family)
    assert families.pop(ANY_WIDTHS) == {"mask_blocks"}
    narrow = {*map(plain, (32, 40, 48, 64, 72, 80, 88, 96, 104, 112, 128, 160, 192, 256))}
    pairs = {Widths(96, 64), Widths(192, 128)}
    latent = {Widths(320, 256, latent=True), Widths(576, 512, latent=True)}
    assert set(families) == {*narrow, *pairs, plain(512), *latent}
    of_out = {"combine", "backward_rows"}
    everywhere = {"prefill", "decode", "append", "backward_q"}
    assert all(everywhere | of_out <= families[widths] for widths in narrow)
    assert all(everywhere <= families[pair] and not of_out & families[pair] for pair in pairs)
    assert families[plain(512)] == {"prefill", "decode", "append", "combine"}
    assert all(families[pair] == {"decode"} for pair in latent)
    # What knows O alone is that of V's columns.
    assert {plain(widths.v) for widths in families} <= {w for w in families if not w.is_pair}


def test_variants_share_a_file_by_family_dtype_and_head_dim() -> None:
    by_file = files(matrix())
    assert len(by_file) == len({(v.family, v.dtype, v.widths) for v in matrix()})
    for name, variants in by_file.items():
        assert name == f"{variants[0].stem}.metal"
        assert len({(v.family, v.dtype, v.widths) for v in variants}) == 1


def test_a_head_dim_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "120 | 4 8 16 | 2 8 16 | 4 8 32, 8 16 16 | 4 8 16 | 4 8 16 | 4 8 8 | 4 8 16 | 4 8 8\n"
    monkeypatch.setattr("codegen.matrix.TILES", parse(tiles.TABLE.rstrip() + "\n" + line, DOUBTED))
    added = [v for v in matrix() if v.widths == plain(120)]
    assert Counter(v.family for v in added) == {
        "prefill": 24,
        "decode": 7,  # two tiles in 16 bits, one in float32, for which K and V have three dtypes
        "combine": 3,
        "append": 3,
        "backward_rows": 3,
        "backward_q": 15,
        "backward_kv": 10,
        "backward_k": 5,  # with dropout, and in 16 bits with a mask tensor
        "backward_v": 5,
        "backward_mask": 3,
    }
    prefill = [v for v in added if v.family == "prefill"]
    assert {v.tile.block_q for v in prefill if v.dtype == "float32"} == {16}


def test_names_carry_the_shape_and_are_unique() -> None:
    variant = Variant("prefill", plain(64), "float16", "window", True, SMALL)
    assert variant.name == "prefill_float16_d64_q32k16_window_sinks"
    assert variant.template_arguments == "q32k16, WINDOW, true"
    assert replace(variant, family="decode", mask=None).name == "decode_float16_d64_q32k16"
    with pytest.raises(MatrixError, match=f"{variant.name}: two rows"):
        checked([variant, variant])


def test_threadgroup_memory_is_limited() -> None:
    # Two blocks of 64 rows of 128 float32 and 16 bytes of padding.
    with pytest.raises(MatrixError, match=r"prefill_float32_d128_q32k64_full: 67584 bytes.*32768"):
        Variant(
            "prefill",
            plain(128),
            "float32",
            "full",
            False,
            PrefillTile(simdgroups=4, rows=8, block=64),
        )


def test_head_dim_is_a_multiple_of_a_fragment() -> None:
    with pytest.raises(MatrixError, match="head_dim = 60 must be a multiple of 8"):
        Variant("prefill", plain(60), "float16", "full", False, SMALL)


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        ((33, 16, 8), "simdgroups = 33: 1056 threads per threadgroup, the limit is 1024"),
        ((4, 12, 16), "rows = 12: must be a positive multiple of 8"),
        ((4, 8, 0), "block = 0: must be a positive multiple of 8"),
        ((4, 8, 24), "block = 24: must divide the 128 threads"),
    ],
)
def test_bad_tiles(tile: tuple[int, int, int], message: str) -> None:
    with pytest.raises(TileError, match=message):
        PrefillTile(*tile)


def test_registers_by_hand() -> None:
    """8 rows, 16 keys, head_dim 64, of an 8x8 fragment two elements per thread."""
    outputs, queries, scores = 8 * 2, 8 * 1, 2 * 2
    working = 1 + 1 + 2  # a fragment of Q, of K, of S
    assert (
        SMALL.registers(plain(64), 2) == outputs + queries + scores + working + 3 + OTHER_REGISTERS
    )


def test_queries_that_do_not_fit_are_read_again() -> None:
    """Beside O of 8 rows, float32: 2 x 32 fragments x 2 registers are all there are."""
    tile = PrefillTile(simdgroups=4, rows=8, block=8)
    assert tile.rows_held(plain(160), 4) == (True,)
    assert tile.rows_held(plain(256), 4) == (False,)
    assert tile.registers(plain(256), 4) <= MAX_REGISTERS < tile.registers(plain(256), 4) + 2 * 32


def test_tiles_that_would_spill_are_refused() -> None:
    line = "256 | 4 16 16 | 4 8"
    with pytest.raises(TileError, match=r"line '256 .*': prefill 2: \d+ registers per thread"):
        parse(HEADING + line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("64 | 4 8 16", "shorter"),
        ("64 | 4 8 | 4 8 8", "shorter"),
        ("64 | 4 8 x | 4 8 8", "invalid literal"),
        ("64 | 4 9 16 | 4 8 8", "rows = 9"),
        ("64 | 4 8 16 | 4 8 8,", "shorter"),
        ("64 | 4 8 16 | 4 16 8, 8 8 8", r"tiles of \[16, 8\] rows: each must have more"),
        ("64 | 4 8 16 | 4 8 8, 8 8 16", r"tiles of \[8, 8\] rows: each must have more"),
        ("32 | 4 8 16 | 4 8 8\n32 | 4 8 16 | 4 8 8", "has a line already"),
    ],
)
def test_bad_table_lines_are_named(line: str, message: str) -> None:
    with pytest.raises(
        TileError, match=rf"line '{line.splitlines()[-1].replace('|', '.')}'.*{message}"
    ):
        parse(HEADING + line)
