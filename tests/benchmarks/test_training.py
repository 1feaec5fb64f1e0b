"""Targets of training are judged, and its section keeps the kinds of evidence apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.counting.backward import BackwardWork, TrainingWork, extra_bytes, training
from benchmarks.counting.interior import backward_interior
from benchmarks.model import unfused
from benchmarks.report import published
from benchmarks.report.results import COMMON_HEAD_DIMS, DTYPES, MASKS
from benchmarks.report.targets import worst
from benchmarks.report.training import (
    LONGEST,
    TOKENS,
    Trained,
    cases,
    fragments_touched,
    growth,
    of_counts,
    of_model,
    on_training,
    products_per_pair,
    to_touched,
    turned,
)
from benchmarks.shapes import Shape, visible
from benchmarks.target import Target

SHAPE = Shape(8, 8, 64, 2048, queries=2048, causal=True)
SMALL = replace(SHAPE, keys=256, queries=256)


@pytest.fixture(scope="module")
def result() -> Trained:
    return Trained("causal", SHAPE, training(SHAPE), backward_interior(SHAPE))


def named(targets: list[Target], words: str) -> Target:
    (target,) = (target for target in targets if words in target.name)
    return target


@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        replace(SMALL, queries=100),
        replace(SMALL, causal=False, window=(7, 30)),
        replace(SMALL, queries=90, window=(7, -1)),
        replace(SMALL, causal=False),
    ],
)
def test_a_turned_shape_shows_the_same_pairs(shape: Shape) -> None:
    assert visible(turned(shape)).equal(visible(shape).T)


def with_products(result: Trained, family: str, factor: float) -> Trained:
    """The same result if a kernel made more products."""
    launches = []
    for work in result.work.backward.launches:
        counts = {
            name: round(n * factor) if name.startswith("products.") else n
            for name, n in work.counts.items()
        }
        launches.append(replace(work, counts=counts) if work.name == family else work)
    backward = BackwardWork(tuple(launches), result.work.backward.extra_bytes)
    return replace(result, work=TrainingWork(result.work.forward, backward))


def test_products_beyond_the_band_are_noticed(result: Trained) -> None:
    assert products_per_pair(result) == 7
    assert to_touched(result) == 1
    more = with_products(result, "backward_kv", 1.5)
    assert products_per_pair(more) == 9
    assert to_touched(more) == 1.5
    judged = of_counts([result, more])
    assert named(judged, "products per pair of blocks").met is False
    assert named(judged, "products / those").met is False
    assert named(of_counts([result]), "products / those").met is True


def test_the_band_has_the_blocks_that_somebody_sees(result: Trained) -> None:
    seen = visible(SMALL)
    small = replace(result, shape=SMALL)
    for work in result.work.backward.matrix_launches:
        kernel = work.kernels[0]
        rows, columns = kernel.block_q, kernel.block_k
        touched = sum(
            bool(seen[i : i + rows, j : j + columns].any())
            for i in range(0, SMALL.queries, rows)
            for j in range(0, SMALL.keys, columns)
        )
        assert fragments_touched(small, work) == 8 * touched * rows * columns * 64 // 512


def test_counts_and_memory_are_within_their_targets(result: Trained) -> None:
    judged = of_counts([result])
    assert named(judged, "barriers").figure == 2
    assert named(judged, "/ the composition's").met is True


def test_memory_that_grows_faster_than_the_tokens_is_noticed(result: Trained) -> None:
    long = replace(SHAPE, keys=LONGEST, queries=LONGEST)
    for size, met in ((extra_bytes(long), True), (unfused.extra_bytes(long), False)):
        work = TrainingWork(result.work.forward, BackwardWork((), size))
        (target,) = worst("", 2, [replace(result, shape=long, work=work)], growth)
        assert target.met is met


def test_times_are_beside_the_composition(result: Trained) -> None:
    slow = with_products(result, "backward_q", 1000)
    for found, met in ((result, True), (slow, False)):
        judged = of_model([found])
        assert named(judged, "M3 Max: training / unfused, causal").met is met
    assert not [target for target in judged if "window" in target.name or "full" in target.name]


def test_the_shapes_are_those_of_the_issue() -> None:
    quick, whole = cases(quick=True), cases(quick=False)
    assert {case.mask for case in quick} == set(MASKS)
    assert {case.shapes[0].head_dim for case in quick} == set(COMMON_HEAD_DIMS)
    assert {case.shapes[0].dtype for case in whole} == set(DTYPES)
    assert min(TOKENS) == 2048
    assert max(case.shapes[0].head_dim for case in whole) >= 192


def test_the_section_keeps_the_kinds_of_evidence_apart(result: Trained) -> None:
    docs = pytest.importorskip("benchmarks.report.docs", reason="matplotlib is in the group perf")
    page = docs.Markdown()
    on_training(page, [replace(result, shape=replace(SHAPE, keys=4096, queries=4096))])
    tables = [part.splitlines() for part in page.parts if part.startswith("|")]
    counted, modelled, measured = tables
    assert "products per pair" in counted[0]
    assert "modelled ms" not in counted[0]
    assert "modelled ms" in modelled[0]
    assert modelled[0].count(": unfused") == modelled[0].count(": ours") == 3
    assert "measured by its author" in measured[0]
    assert len(measured) == 2 + len(published.PUBLISHED)
    assert "calculates" in page.text()
