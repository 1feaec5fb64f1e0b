"""Parity's table: every variant has a cell, and an error stands beside what it may be."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from verify.parity.report import Report, VariantResult, grids, matrix_tables, write
from verify.reference import Error
from verify.run import NOTHING, Outcome
from verify.variants import Variant, manifest


def result(variant: Variant, max_abs: float, tolerance: float) -> VariantResult:
    out = Error(max_abs, tolerance, 1.0, 0.999999, (0,), 0.0, max_abs)
    return VariantResult(variant, (Outcome("one", out, NOTHING, 0),), 0.1)


def report(*results: VariantResult) -> Report:
    return Report("emulator", results, (), (), 1.0)


WHOLE = report(*(result(variant, 1e-4, 2e-4) for variant in manifest()))


def shown(done: Report) -> str:
    console = Console(width=168, file=io.StringIO(), record=True)
    console.print(*matrix_tables(done), sep="\n")
    return console.export_text()


def test_every_variant_has_a_cell_of_its_own() -> None:
    cells = [r.variant for grid in grids(WHOLE) for row in grid.rows.values() for r in row.values()]
    assert sorted(v.name for v in cells) == sorted(v.name for v in manifest())


def test_families_without_mask_modes_have_a_row_per_head_dim_and_dtype() -> None:
    _, others = grids(WHOLE)
    decode = tuple(f"decode, {rows} rows" for rows in (8, 16, 32, 64))
    rowwise = ("combine", "append", "mask_blocks", "backward_rows")
    assert others.columns == (*decode, *rowwise)
    assert {*others.rows} == {(v.columns if v.head_dim else "any", v.dtype) for v in manifest()}
    shown_variants = [r.variant for row in others.rows.values() for r in row.values()]
    assert sorted(v.name for v in shown_variants) == sorted(
        v.name for v in manifest() if not v.mode
    )


def test_what_was_not_run_has_no_table() -> None:
    only = next(v for v in manifest() if v.family == "combine")
    (grid,) = grids(report(result(only, 1.0, 2.0)))
    assert grid.columns == ("combine",)
    assert grids(report()) == ()


def test_an_error_is_shown_as_a_part_of_what_is_allowed() -> None:
    combine = next(v for v in manifest() if v.family == "combine")
    text = shown(report(result(combine, 200.0, 500.0)))
    assert "error / allowed" in text
    assert "pass 1.000000  40%" in text
    assert "2e+02" not in text
    assert "FAIL 1.000000 120%" in shown(report(result(combine, 600.0, 500.0)))


def test_the_page_says_the_same(tmp_path: Path) -> None:
    combine = next(v for v in manifest() if v.family == "combine")
    write(report(result(combine, 200.0, 500.0)), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "pass 40 %" in page
    assert "every mask mode" in page
