"""Counts of a shape follow from those of its parts, exactly, and peers compute what was asked."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks import compare
from benchmarks.counting.extrapolate import ExtrapolationError, extrapolate
from benchmarks.counting.interior import interior
from benchmarks.counting.ours import ANY_GPU, ours, ours_counted
from benchmarks.counting.theirs import AVAILABLE, PEERS, counted, installed, peer, problem_for
from benchmarks.model.chips import REPORTED
from benchmarks.shapes import Shape, ShapeError, visible

FULL = Shape(heads=1, kv_heads=1, head_dim=64, keys=32, queries=32)
SHAPES = {
    "full": FULL,
    "causal": replace(FULL, causal=True),
    "window": replace(FULL, window=(40, 40), sinks=True),
    "causal window": replace(FULL, window=(70, -1), causal=True),
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
each_peer = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(not available(), reason="shaders not installed")
        )
        for name, available in AVAILABLE.items()
    ],
)


def sized(shape: Shape, tokens: int) -> Shape:
    return replace(shape, queries=tokens, keys=tokens)


@each_shape
@pytest.mark.parametrize("tokens", [896, 919])
def test_our_counts_are_extrapolated_exactly(shape: Shape, tokens: int) -> None:
    whole = sized(shape, tokens)
    assert dict(ours(whole).counts) == ours_counted(whole, ANY_GPU)


@each_shape
@each_peer
def test_a_peers_counts_are_extrapolated_exactly(name: str, shape: Shape) -> None:
    whole = sized(shape, 509)
    problem = problem_for(name, whole)
    direct = counted(PEERS[name](problem, problem.new_output()))
    assert dict(peer(name, whole).counts) == direct


@pytest.mark.parametrize("queries", [1, 100])
def test_heads_and_sequences_multiply(queries: int) -> None:
    shape = Shape(
        heads=4, kv_heads=2, head_dim=64, keys=2100, queries=queries, batch=3, causal=True
    )
    assert dict(ours(shape).counts) == ours_counted(shape, ANY_GPU)


def test_a_counter_that_is_no_polynomial_is_named() -> None:
    def run(tokens: int) -> dict[str, int]:
        return {"squares": tokens**2, "cubes": tokens**3}

    with pytest.raises(ExtrapolationError, match="cubes was"):
        extrapolate(run, 1000, 10)


def test_what_is_small_is_run_as_it_is() -> None:
    sizes = []

    def run(tokens: int) -> dict[str, int]:
        sizes.append(tokens)
        return {"n": tokens}

    assert extrapolate(run, 35, 10, least=15) == {"n": 35}
    assert extrapolate(run, 1005, 10, least=15) == {"n": 1005}
    assert sizes == [35, 25, 35, 45, 55]


@each_shape
@each_peer
def test_a_peer_is_given_the_mask_that_makes_it_right(name: str, shape: Shape) -> None:
    problem = problem_for(name, sized(shape, 150))
    out = problem.new_output()
    counted(PEERS[name](problem, out))  # by the build that other tests count with
    whole = problem_for("mlx", sized(shape, 150))
    scores = (whole.q @ whole.k.mT).double() * whole.scale
    scores.masked_fill_(~visible(sized(shape, 150)), -math.inf)
    if shape.sinks:
        scores = torch.cat([scores, scores.new_zeros(*scores.shape[:3], 1)], 3)
    weights = scores.softmax(3)[..., :150]
    assert torch.allclose(out.double(), weights @ whole.v.double(), atol=3e-3)


@pytest.mark.skipif("mlx" not in installed(), reason="shaders not installed")
def test_a_block_of_mlx_has_four_barriers_and_ours_two() -> None:
    """facts/peers.md: four threadgroup barriers per block of keys."""
    shape = replace(FULL, causal=True)
    assert interior("mlx", shape).barriers == 4
    assert interior("ours", shape).barriers <= 2


def test_within_a_window_the_inner_loop_is_that_without_a_mask() -> None:
    inner, full = (interior("ours", replace(FULL, window=w)) for w in ((64, 64), (-1, -1)))
    # Clang finds other ways to the addresses; a mask is three instructions for each score.
    assert inner.arithmetic == pytest.approx(full.arithmetic, rel=0.1)
    same = {"arithmetic": 0, "converts": 0}
    assert replace(inner, **same) == replace(full, **same)


def test_rising_maxima_are_the_worst_case() -> None:
    usual, worst = (interior("ours", replace(FULL, rising=rising)) for rising in (False, True))
    assert worst.arithmetic > usual.arithmetic
    assert worst.special > usual.special


def test_useful_work_is_that_of_the_pairs_seen() -> None:
    for shape in SHAPES.values():
        assert shape.seen == int(visible(shape).sum())
        longer = replace(shape, queries=33, keys=150)
        assert longer.seen == int(visible(longer).sum())


def test_a_shape_that_cannot_be_is_refused() -> None:
    with pytest.raises(ShapeError, match="kv_heads is 3: must divide heads, 8"):
        replace(FULL, heads=8, kv_heads=3)
    with pytest.raises(ShapeError, match="window is"):
        replace(FULL, window=(-2, 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--head-dim 63", "--head-dim"),
        ("--dtype int8", "--dtype"),
        ("--tokens 0", "keys is 0: must be at least 1"),
        ("--kv-heads 3", "kv_heads is 3: must divide heads, 8"),
        ("--window 3", "only --mask window has one"),
        ("--mask window --window 1 2 3", "must be one or two"),
        ("--mask window --window -5", "--window"),
        ("--cores 0", "--cores"),
    ],
)
def test_bad_arguments_are_named(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compare.parse(arguments.split())
    assert message in capsys.readouterr().err


def test_compare_prints_counts_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "compare --head-dim 64 --tokens 128 --mask window --window 64 --sinks --json"
    monkeypatch.setattr("sys.argv", arguments.split())
    compare.main()
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["ours", *AVAILABLE]
    products = {
        name: part["derived"]["products"] for name, part in printed.items() if "counts" in part
    }
    assert 0 < products["ours"] < products["pytorch"]
    assert set(printed["ours"]["modelled_ms"]) == set(REPORTED)
    assert 0 < printed["ours"]["modelled_ms"]["M1 Max"] < printed["ours"]["modelled_ms"]["M1"]
