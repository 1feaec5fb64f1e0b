"""Tuning tries every tile that fits, keeps what is fastest, and writes a table that parses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from metal_flash_sdpa.catalogue import BUILT_IN

from benchmarks import tune
from benchmarks.counting import ours
from benchmarks.counting.backward import empty, plan_of, tensors_of
from benchmarks.shapes import Shape
from benchmarks.timing import measure
from benchmarks.tune import (
    Place,
    alone,
    candidates,
    fastest,
    fits,
    places,
    replaced,
    rewritten,
    variants_of,
)
from codegen import tiles
from codegen.matrix import DOUBTED, TILES, Variant
from codegen.tile_shapes import BackwardKVTile, BackwardQTile, DecodeTile, PrefillTile, Tile
from codegen.widths import plain

PREFILL = Place("prefill", plain(64), 2)
CURRENT = TILES[PREFILL.cell][0]
SHAPE = Shape(heads=2, kv_heads=1, head_dim=64, keys=70, queries=70, causal=True)


def silent(_: str) -> None:
    pass


def test_the_table_that_is_written_is_the_table_that_is_read() -> None:
    assert tiles.parse(tiles.write(TILES), DOUBTED) == TILES
    assert tiles.write(TILES) == tiles.TABLE


def test_every_place_of_the_table_is_searched() -> None:
    searched = list(places(TILES))
    assert len(searched) == sum(map(len, TILES.values()))
    assert {place.cell for place in searched} == set(TILES)


@pytest.mark.parametrize("place", list(places(TILES)), ids=str)
def test_all_other_tiles_that_fit_are_candidates(place: Place) -> None:
    current = TILES[place.cell][place.index]
    tried = candidates(place, current)
    assert current not in tried
    assert len(tried) == len(set(tried)) >= 1
    assert all(fits(tile, place) and type(tile) is type(current) for tile in tried)
    if place.family == "decode":
        assert {tile.rows for tile in tried} == {current.rows}


def test_a_tile_that_would_spill_or_find_no_memory_does_not_fit() -> None:
    assert fits(PrefillTile(4, 16, 32), PREFILL)
    assert not fits(PrefillTile(4, 32, 64), PREFILL)  # O and S alone take 32 x 128 floats
    assert not fits(PrefillTile(4, 8, 64), Place("prefill", plain(192), 4))  # 98 KiB for K and V


def test_the_fastest_wins_if_it_wins_by_enough() -> None:
    def takes(**ms: float) -> Tile:
        def timer(place: Place, variants: Sequence[Variant], shape: Shape) -> float:
            return ms.get(tiles.sizes(variants[0].tile).replace(" ", "_").join("__"), 10.0)

        return fastest(PREFILL, CURRENT, timer, silent)

    assert takes(_8_8_32_=9.9) == CURRENT  # as near as two runs of one kernel
    assert takes(_8_8_32_=9.7) == PrefillTile(8, 8, 32)
    assert takes(_8_8_32_=9.7, _2_16_16_=9.0, _8_16_32_=9.5) == PrefillTile(2, 16, 16)


def test_a_candidate_that_fails_is_reported_and_passed_over() -> None:
    lines: list[str] = []

    def timer(place: Place, variants: Sequence[Variant], shape: Shape) -> float:
        (tile,) = {variant.tile for variant in variants}
        if tile == PrefillTile(2, 8, 8):
            raise RuntimeError("the driver says no")
        return 1.0 if tile == PrefillTile(8, 16, 64) else 2.0

    assert fastest(PREFILL, CURRENT, timer, lines.append) == PrefillTile(8, 16, 64)
    assert any("2 8 8" in line and "the driver says no" in line for line in lines)


@pytest.mark.parametrize("tile", [PrefillTile(2, 8, 16), PrefillTile(8, 16, 64)])
def test_a_candidate_is_planned_and_launched_while_it_is_timed(tile: PrefillTile) -> None:
    """Its result is that of the table's tile, which others go on using meanwhile."""
    variant = Variant("prefill", plain(64), "float16", "causal", False, tile)
    shape = replace(SHAPE, queries=70, keys=70)
    usual = measure.ours(shape, "cpu")()
    with alone(PREFILL, [variant]) as build:
        (step,) = ours.plan_of(SHAPE, ours.ANY_GPU, build).launches
        assert (step.kernel, step.threads) == (variant.name, tile.threads)
        assert build.catalogue.path(variant.file).parent not in BUILT_IN.folders
        # Other tiles round other partial sums: a few units in the last place of numbers near 1.
        candidate = measure.ours(shape, "cpu", build.catalogue)()
        torch.testing.assert_close(candidate, usual, atol=4e-3, rtol=0)
        assert not torch.equal(candidate, usual)
        (kernel,) = ours.ours_kernels(SHAPE, build=build)
        assert (kernel.threads, kernel.block_k) == (tile.threads, tile.block_k)
        (table,) = ours.plan_of(SHAPE, ours.ANY_GPU).launches
        assert table.kernel != step.kernel
    assert torch.equal(measure.ours(shape, "cpu")(), usual)


def backward_steps(build: ours.Build, gradients: str) -> dict[str, str]:
    """The kernels of a backward pass, by family."""
    tensors = tensors_of(SHAPE, empty(SHAPE), gradients)
    _, families = plan_of(SHAPE, tensors, ours.ANY_GPU, build.catalogue)
    return {family: kernel for kernel, family in families.items()}


@pytest.mark.parametrize(
    ("tile", "families"),
    [
        (BackwardQTile(2, 8, 16), ["backward_q"]),
        (BackwardKVTile(2, 8, 32), ["backward_kv"]),
        (BackwardKVTile(2, 16, 32), ["backward_k", "backward_v"]),  # too many registers for both
    ],
)
def test_a_candidate_of_the_backward_pass_gives_the_same_gradients(
    tile: Tile, families: list[str]
) -> None:
    """To the bit: sums go over fragments in order, and neither tile's blocks are split."""
    place = Place("backward_q" if families == ["backward_q"] else "backward_kv", plain(64), 2)
    usual = measure.backward(SHAPE, "cpu", place.gradients)()
    assert list(usual) == list(place.gradients)
    variants = variants_of(place, SHAPE, tile)
    assert [variant.family for variant in variants] == families
    with alone(place, variants) as build:
        steps = backward_steps(build, place.gradients)
        assert list(steps) == ["backward_rows", *families]
        assert [steps[family] for family in families] == [variant.name for variant in variants]
        found = measure.backward(SHAPE, "cpu", place.gradients, build.catalogue)()
    for name, gradient in usual.items():
        assert gradient.abs().amax() > 0
        assert torch.equal(found[name], gradient)


def test_modelled_times_of_the_backward_pass_follow_the_tile() -> None:
    """Two kernels compute more than one, and longer blocks reach further past the diagonal."""
    timer, place = tune.modelled("M1 Max"), Place("backward_kv", plain(64), 2)
    tried = (BackwardKVTile(4, 8, 8), BackwardKVTile(4, 16, 32))
    one, two = (timer(place, variants_of(place, SHAPE, tile), SHAPE) for tile in tried)
    assert 0 < one < two


@pytest.mark.parametrize("tile", [PrefillTile(4, 16, 32), DecodeTile(4, 8, 32)])
def test_modelled_times_follow_the_tile(tile: Tile) -> None:
    """Longer blocks of keys reach further past the diagonal; more simdgroups hide more latency."""
    family = "decode" if isinstance(tile, DecodeTile) else "prefill"
    shape = replace(SHAPE, head_dim=32) if family == "prefill" else Shape(8, 1, 32, keys=300)
    timer, place = tune.modelled("M1 Max"), Place(family, plain(32), 2)
    times = [
        timer(place, variants_of(place, shape, t), shape)
        for t in (tile, type(tile)(8, tile.rows, 64))
    ]
    assert all(0 < ms < 10 for ms in times)
    assert (times[0] > times[1]) == (family == "decode")


def table_in(text: str) -> tiles.Tiles:
    """The tile table of a tiles.py."""
    (table,) = re.findall(r'^TABLE = """(.*?)"""', text, re.M | re.S)
    return tiles.parse(table, DOUBTED)


def test_a_written_table_is_the_tuned_one_and_nothing_else_changes() -> None:
    tuned = replaced(TILES, PREFILL, PrefillTile(8, 8, 32))
    source = Path(tiles.__file__).read_text()
    text = rewritten(source, tuned, "by a test")
    assert table_in(text) == tuned != TILES
    assert '\nTUNED = "by a test"\n' in text
    assert rewritten(text, TILES, tiles.TUNED) == source
    with pytest.raises(ValueError, match="TUNED"):
        rewritten("nothing", tuned, "by a test")


def test_the_command_searches_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "tiles.py"
    shutil.copy(tiles.__file__, table)
    monkeypatch.setattr(tune, "modelled", lambda _: lambda _, v, __: 2.0 / v[0].tile.simdgroups)
    command = ["--modelled", "M1 Max", "--head-dim", "64", "--table", str(table)]
    tune.main([*command, "--dry-run"])
    assert table.read_text() == Path(tiles.__file__).read_text()
    tune.main(command)
    text = table.read_text()
    assert "modelled for M1 Max" in text
    for (family, widths, size), cell in table_in(text).items():
        if widths != plain(64):
            assert cell == TILES[family, widths, size]
        else:
            assert [tile.simdgroups for tile in cell] == [8] * len(cell)
    assert "python -m codegen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modelled", "M0"], "invalid choice: 'M0'"),
        (["--modelled", "M1", "--head-dim", "63"], "--head-dim"),
        ([], "no Apple GPU"),
    ],
)
def test_what_does_not_exist_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not arguments and measure.on_mac():
        pytest.skip("this machine has an Apple GPU")
    with pytest.raises(SystemExit):
        tune.options(arguments)
    assert message in capsys.readouterr().err
