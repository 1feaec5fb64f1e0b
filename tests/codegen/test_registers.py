"""The registers that tiles.py expects: against live ranges of the compiler's IR, and by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

import emulator
from codegen import doubts
from codegen.doubts import Doubt, decide
from codegen.matrix import DOUBTED, IN_DOUBT, MASKED, Variant, matrix
from codegen.tile_shapes import MAX_REGISTERS, OTHER_REGISTERS, DecodeTile, TileError
from codegen.tiles import TABLE, parse, sizes
from codegen.widths import plain

GENERATED = Path(__file__).parents[2] / "generated"
# bfloat16 is as wide as float16.
WITHOUT = [v for v in matrix() if v.dtype != "bfloat16"]


def largest(variants: Iterable[Variant]) -> list[Variant]:
    """Of those with the same tile, the one with most to hold: that with the widest rows."""
    by_tile = {(v.family, v.dtype, v.tile): v for v in sorted(variants, key=lambda v: v.widths)}
    return list(by_tile.values())


# Windows, mask tensors and sinks have most to remember.
MOST = largest(
    v
    for v in WITHOUT
    if v.sinks and (v.family, v.mask) in (("prefill", "window"), ("prefill", MASKED))
)
BACKWARD = largest(
    v for v in WITHOUT if v.family.startswith("backward_") and v.mask in ("window", MASKED)
)
DROPPING = [v for v in WITHOUT if v.dropout and v.widths in (plain(64), plain(128))]
# Either way: what lives beside the matrices is a constant in tiles.py, but not in the IR.
SPREAD = 6
# A backward kernel has more of it, and what it has depends on what it holds.
BACKWARD_SPREAD = 14
# In the source's order the random numbers of several fragments are drawn before they are used.
DROPOUT_SPREAD = 22
# It holds a mask's strides, too, which all lanes have in common.
MASKED_SPREAD = 20


@pytest.mark.parametrize("variant", [v for v in MOST if v.sinks], ids=lambda v: v.name)
def test_values_fit_into_registers(variant: Variant) -> None:
    needed = emulator.compile(GENERATED / variant.file).registers(variant.name)
    assert needed <= MAX_REGISTERS
    assert needed == pytest.approx(sum(variant.live().values()), abs=SPREAD)


@pytest.mark.parametrize("variant", BACKWARD + DROPPING, ids=lambda v: v.name)
def test_those_of_gradients_and_of_dropout_are_as_estimated(variant: Variant) -> None:
    needed = emulator.compile(GENERATED / variant.file).registers(variant.name)
    spread = MASKED_SPREAD if variant.mask == MASKED else BACKWARD_SPREAD
    estimated = sum(variant.live().values())
    assert needed == pytest.approx(estimated, abs=DROPOUT_SPREAD if variant.dropout else spread)


def test_decode_by_hand() -> None:
    """16 rows, 16 keys, head_dim 72: O has 96 columns, as V is read in chunks of 32."""
    tile = DecodeTile(simdgroups=8, rows=16, block=16)
    outputs, scores, chain = 2 * 12 * 2, 2 * 2 * 2, 2 * 2 * 2
    statistics, keys = 2 * 8, 2 * 3  # of two columns each; an address of 64 bits, and a bound
    halves = 2 * 2 + 3 * 1  # four elements of each row of K; fragments: two of Q, one of K
    common = outputs + scores + statistics + keys + OTHER_REGISTERS
    assert tile.registers(plain(72), 2) == common + halves
    assert tile.registers(plain(72), 2, widened=True) == common + 2 * halves
    assert tile.registers(plain(72), 4) == common + 2 * halves + chain


def test_parts_have_names() -> None:
    for variant in matrix():
        if parts := variant.live():
            assert {"O", "S", "other"} <= set(parts) or {"gradients", "other"} <= set(parts)
            total = sum(parts.values())
            assert total == variant.tile.registers(variant.widths, variant.element_bytes)
            assert sum(variant.live(widened=True).values()) >= total


def test_what_may_exceed_a_thread_is_in_doubt() -> None:
    """Also if bfloat16 takes whole registers, and with those of dropout."""
    for v in matrix():
        widened = v.dtype == "bfloat16"
        assert sum(v.live(widened).values()) <= MAX_REGISTERS or v.in_doubt, v.name


DOUBTS = """
    family | head_dim | bytes | tile | smaller | use | why
    -------
"""


@pytest.mark.parametrize(
    "doubt", [d for d in IN_DOUBT if d.smaller], ids=lambda d: f"{d.family}-{d.widths}"
)
def test_one_word_builds_the_smaller_tile(doubt: Doubt) -> None:
    line = " | ".join([
        *(doubt.family, str(doubt.widths), str(doubt.element_bytes)),
        *(sizes(tile) for tile in (doubt.tile, doubt.smaller) if tile), "smaller", "spills",
    ])  # fmt: skip
    tiles = parse(TABLE, DOUBTED)
    decided = decide(tiles, doubts.parse(DOUBTS + line))
    assert doubt.tile in tiles[doubt.cell]
    assert doubt.tile not in decided[doubt.cell]
    assert doubt.smaller in decided[doubt.cell]
    changed = [place for place in tiles if tiles[place] != decided[place]]
    assert changed == [doubt.cell]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("decode | 64 | 2 | 8 16 16 | 8 16 8 | both | spills", "use = 'both': must be 'tile'"),
        ("decode | 64 | 2 | 8 16 16 | 8 16 8 | tile |", "why it stays must be said"),
        ("decode | 64 | 2 | 8 16 16 | 8 8 8 | tile | x", "smaller = 8 8 8: must have 16 rows"),
        ("decode | 64 | 2 | 8 16 16 | 8 16 32 | tile | x", "smaller = 8 16 32: .* it needs"),
        ("combine | 64 | 2 | 8 16 16 | 8 16 8 | tile | x", "line 'combine"),
        ("decode | 64", "line 'decode"),
    ],
)
def test_a_doubt_that_cannot_be_read(line: str, message: str) -> None:
    with pytest.raises(TileError, match=message):
        doubts.parse(DOUBTS + line)


def test_a_doubt_of_no_tile() -> None:
    of_none = doubts.parse(DOUBTS + "decode | 64 | 2 | 8 16 24 | 8 16 8 | tile | x")
    with pytest.raises(TileError, match="head_dim 64 has no tile 8 16 24"):
        decide(parse(TABLE, DOUBTED), of_none)


def test_without_its_reason_a_tile_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TileError, match="decode 4: 136 registers .* name it in doubts.py"):
        parse(TABLE)
