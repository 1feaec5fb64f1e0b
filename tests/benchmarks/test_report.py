"""Targets are judged by the worst shape, and the page says what is counted, modelled, measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import results
from benchmarks.chips import chips
from benchmarks.interior import Interior
from benchmarks.ragged import ragged
from benchmarks.results import Result, cases
from benchmarks.shapes import Shape, visible
from benchmarks.targets import Target, blocks, counted, timed, worst
from benchmarks.work import Kernel, Work
from emulator.counting.counts import NAMES

KERNEL = Kernel("a kernel", 128, 8192, block_q=32, block_k=32)
INNER = Interior(2, 80, 16, 60, 4.5, 1, 10)


def done(name: str, products: int, device: int = 100) -> Work:
    grid = {"threadgroups": 3200, "simdgroups": 12800, "threads": 409600}
    counts = {**dict.fromkeys(NAMES, 0), **grid, "device.bytes_read": device}
    return Work(name, (KERNEL,), {**counts, "products.half*half+float": products})


def result(shape: Shape, ours: int, theirs: int, mask: str = "full") -> Result:
    work = {"ours": done("ours", ours), "mlx": done("mlx", theirs)}
    return Result(
        "prefill", mask, shape, work, {}, {"ours": INNER, "mlx": replace(INNER, arithmetic=100)}
    )


def full(tokens: int) -> Shape:
    return Shape(8, 8, 64, tokens, queries=tokens)


@pytest.mark.parametrize(
    "shape",
    [
        full(256),
        replace(full(256), causal=True),
        replace(full(256), window=(64, 64)),
        replace(full(250), window=(70, 0), causal=True),
    ],
)
def test_blocks_are_those_that_somebody_sees(shape: Shape) -> None:
    seen = visible(shape)
    touched = sum(
        bool(seen[i : i + 32, j : j + 32].any())
        for i in range(0, shape.queries, 32)
        for j in range(0, shape.keys, 32)
    )
    assert blocks(shape, KERNEL, aligned=True) == touched
    assert blocks(shape, KERNEL, aligned=False) <= touched


def test_the_worst_shape_decides() -> None:
    found = [result(full(1024), 10, 10), result(full(4096), 30, 10)]
    (target,) = worst("products / MLX's", 2, found, lambda r: r.work["ours"].products / 10)
    assert (target.figure, target.met) == (3, False)
    assert "4096 tokens" in target.where


def test_a_target_without_a_limit_is_neither_met_nor_missed() -> None:
    assert Target("a figure", 3).met is None
    assert Target("at least", 0.91, 0.9, at_least=True).met
    assert not Target("at most", 0.91, 0.9).met


def of_name(found: list[Target], name: str) -> Target:
    return next(target for target in found if target.name == name)


def test_products_beyond_the_blocks_are_noticed() -> None:
    shape = replace(full(1024), window=(64, 64))
    least = 2 * (32 * 32 * 64 // 512) * 8 * blocks(shape, KERNEL, aligned=True)
    half = replace(shape, queries=512, keys=512)
    both = [result(half, least // 2, 1, "window"), result(shape, least, 1, "window")]
    name = "products / those of the blocks that the band touches"
    assert of_name(counted([both[1], both[0]]), name).where.endswith("512 tokens")
    more = [both[0], result(shape, 2 * least, 1, "window")]
    assert of_name(counted(more), name).figure == pytest.approx(2)


def test_time_is_compared_by_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    ideal = {name: replace(chip, efficiency=1.0) for name, chip in chips().items()}
    for module in ("compare", "targets"):
        monkeypatch.setattr(f"benchmarks.{module}.chips", lambda: ideal)
    found = timed([result(full(8192), 10**11, 2 * 10**11), result(full(4096), 10**11, 10**11)])
    assert of_name(found, "M1 Max: time / mlx's, mean").figure == pytest.approx(2**-0.5, rel=1e-3)
    assert of_name(found, "M1 Max: time / mlx's, worst shape").figure == pytest.approx(1)


def test_the_shapes_are_those_of_the_issue() -> None:
    whole = cases(quick=False)
    dims = {s.head_dim for case in whole if case.section == "prefill" for s in case.shapes}
    assert dims == set(results.HEAD_DIMS)
    assert max(s.keys for case in whole for s in case.shapes) == 131072
    assert {case.section for case in whole} == {"prefill", "seed", "gqa", "decode"}
    assert {case.label for case in cases(quick=True)} < {case.label for case in whole}


def test_a_ragged_batch_has_few_empty_threadgroups_in_prefill() -> None:
    found = ragged(Shape(2, 2, 64, 120, queries=120), (70, 33, 17))
    (prefill,) = (n for name, n in found.empty_groups.items() if name.startswith("prefill"))
    assert 0 <= prefill <= found.allowed_empty == 6
    assert found.counts["ours"]["threadgroups"] > prefill


def test_the_page_keeps_measured_and_modelled_apart() -> None:
    report = pytest.importorskip("benchmarks.report", reason="matplotlib is in the group perf")
    page = report.Page()
    report.on_measured(page, [(result(full(1024), 10**6, 10**6), {"ours": 1.25, "eager": 9.5})])
    heading = page.text().split("</tr>")[0]
    assert heading.count("measured here") == 1
    assert heading.count("modelled, ") == 6
    assert "<td>1.25</td>" in page.text()


def test_what_is_shown_is_escaped() -> None:
    report = pytest.importorskip("benchmarks.report", reason="matplotlib is in the group perf")
    page = report.Page()
    page.table(("a<b", "c"), [(True, "x&y")], left=(1,))
    assert "a&lt;b" in page.text()
    assert "x&amp;y" in page.text()
    assert "met</span>" in page.text()
