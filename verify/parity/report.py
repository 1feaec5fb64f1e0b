"""What a parity run leaves behind: the table, report.json and report.html."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from metal_flash_sdpa.catalogue import ANY_DTYPE
from rich.table import Table

from verify import evidence
from verify.cases import FAR
from verify.parity.large import LargeRun, memory_is_flat
from verify.run import Outcome
from verify.variants import Variant, manifest


@dataclass(frozen=True)
class VariantResult:
    """One variant over its cases.  `problem` is set if it did not get through them."""

    variant: Variant
    outcomes: tuple[Outcome, ...]
    seconds: float
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem and bool(self.outcomes) and all(o.ok for o in self.outcomes)

    @property
    def cosine(self) -> float:
        """The lowest cosine of any case."""
        return min((o.shown[1].cosine for o in self.outcomes), default=math.nan)

    @property
    def max_abs(self) -> float:
        """The largest error of any case.  Cases with large values decide it."""
        return max((o.shown[1].max_abs for o in self.outcomes), default=math.nan)

    @property
    def ratio(self) -> float:
        """The largest error of any case as a fraction of what that case is allowed."""
        return max((o.shown[1].ratio for o in self.outcomes), default=math.nan)

    @property
    def worst(self) -> Outcome | None:
        """The case that came closest to its tolerance, or passed it by most."""
        return max(self.outcomes, key=lambda o: (not o.ok, o.shown[1].ratio), default=None)

    def failures(self) -> Iterable[tuple[str, str]]:
        """(case, why) of everything that failed."""
        if self.problem:
            yield "", self.problem
        for outcome in self.outcomes:
            if not outcome.ok:
                yield outcome.case, outcome.explain()


@dataclass(frozen=True)
class SeedRow:
    """One row of the seed's own table."""

    name: str
    cosine: float
    max_abs: float
    ok: bool


@dataclass(frozen=True)
class Report:
    """Everything a run found out."""

    device: str
    results: tuple[VariantResult, ...]
    seed: tuple[SeedRow, ...]
    large: tuple[LargeRun, ...]
    seconds: float

    @property
    def large_flat(self) -> bool:
        return memory_is_flat(self.large)

    @property
    def passed(self) -> int:
        return sum(result.ok for result in self.results)

    @property
    def ok(self) -> bool:
        return (
            bool(self.results)
            and self.passed == len(self.results)
            and all(row.ok for row in self.seed)
            and all(run.ok for run in self.large)
            and self.large_flat
        )


@dataclass(frozen=True)
class Grid:
    """Results as a table: a row per label, a cell per column in which a variant stands."""

    title: str
    labels: tuple[str, ...]  # headings of the rows' labels
    columns: tuple[str, ...]
    rows: dict[tuple[str, ...], dict[str, VariantResult]]


def grids(report: Report) -> tuple[Grid, ...]:
    """The families with mask modes, a column each mode; then the others, a column each tile."""
    with_modes = [r for r in report.results if r.variant.mode]
    others = [r for r in report.results if not r.variant.mode]
    labels = ("head_dim", "dtype")
    tiled = ("family", *labels, "tile")
    all_grids = (
        Grid("by mask mode", tiled, *table_of(with_modes, tile_label, lambda v: v.mode)),
        Grid("every mask mode", labels, *table_of(others, shape_label, tile_column)),
    )
    return tuple(grid for grid in all_grids if grid.rows)


def shape_label(v: Variant) -> tuple[str, ...]:
    return (v.columns if v.head_dim else ANY_DTYPE, v.dtype)


def tile_label(v: Variant) -> tuple[str, ...]:
    """A family may have several tiles for a shape: each has a row, and none hides another."""
    return (v.family, *shape_label(v), f"{v.block_q} x {v.step_k}")


def tile_column(v: Variant) -> str:
    """A family, and of several tiles for a shape which: by their rows, whatever the keys."""
    rows = {o.block_q for o in manifest() if (o.family, o.dtype) == (v.family, v.dtype)}
    return f"{v.family}, {v.block_q} rows" if len(rows) > 1 else v.family


def table_of(
    results: Iterable[VariantResult],
    label: Callable[[Variant], tuple[str, ...]],
    column: Callable[[Variant], str],
) -> tuple[tuple[str, ...], dict[tuple[str, ...], dict[str, VariantResult]]]:
    """The columns and the rows of results.  Raises ValueError if two are to share a cell."""
    rows: dict[tuple[str, ...], dict[str, VariantResult]] = {}
    columns: dict[str, None] = {}
    for result in results:
        row, name = rows.setdefault(label(result.variant), {}), column(result.variant)
        if name in row:
            raise ValueError(f"{row[name].variant.name} and {result.variant.name}: one cell")
        row[name] = result
        columns[name] = None
    return tuple(columns), rows


def matrix_tables(report: Report) -> Iterable[Table | str]:
    """What a cell says of a variant, and the tables."""
    yield "each variant over its cases: the lowest cos, the largest error / allowed"
    for grid in grids(report):
        table = Table(title=grid.title, title_justify="left")
        for label in grid.labels:
            table.add_column(label, justify="right" if label == "head_dim" else "left")
        for column in grid.columns:
            table.add_column(column)
        for labels, row in grid.rows.items():
            table.add_row(*labels, *(cell(row.get(column)) for column in grid.columns))
        yield table


def cell(result: VariantResult | None) -> str:
    """A variant in the table."""
    if result is None:
        return ""
    verdict = "[green]pass[/]" if result.ok else "[bold red]FAIL[/]"
    return f"{verdict} {result.cosine:.6f} {result.ratio:4.0%}"


def seed_table(report: Report) -> Table:
    """The seed's six rows."""
    table = Table(
        title="the seed's rows (float16, head_dim 64, 1,024 tokens)", title_justify="left"
    )
    for name in ("row", "cos", "max-abs", ""):
        table.add_column(name)
    for row in report.seed:
        verdict = "[green]pass[/]" if row.ok else "[bold red]FAIL[/]"
        table.add_row(row.name, f"{row.cosine:.6f}", f"{row.max_abs:.1e}", verdict)
    return table


def large_table(report: Report) -> Table:
    """The long run: error on sampled rows, memory beyond the tensors."""
    title = "long sequences (float16, head_dim 64, H=8, window (127, 0), sinks)"
    table = Table(title=title, title_justify="left")
    for name in ("tokens", "cos", "max-abs", "tensors MiB", "extra MiB", ""):
        table.add_column(name, justify="right")
    for run in report.large:
        verdict = "[green]pass[/]" if run.ok else "[bold red]FAIL[/]"
        table.add_row(
            f"{run.tokens:,}",
            f"{run.cosine:.6f}",
            f"{run.max_abs:.1e}",
            f"{run.tensors_mib:.0f}",
            f"{run.extra_mib:.1f}",
            verdict,
        )
    return table


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "device": report.device,
        "ok": report.ok,
        "passed": report.passed,
        "variants": [
            {
                "name": r.variant.name,
                "ok": r.ok,
                "cosine": r.cosine,
                "max_abs": r.max_abs,
                "error_of_allowed": r.ratio,
                "seconds": round(r.seconds, 3),
                "problem": r.problem,
                "cases": [{**asdict(o), "ok": o.ok} for o in r.outcomes],
            }
            for r in report.results
        ],
        "seed": [asdict(row) for row in report.seed],
        "large": [asdict(run) for run in report.large],
        "large_memory_is_flat": report.large_flat,
        "seconds": round(report.seconds, 1),
    }


def summary(report: Report, wanted: int) -> dict[str, Any]:
    """What docs/evidence.md says of a run that was to have so many cases."""
    outcomes = [(r.variant, o) for r in report.results for o in r.outcomes]
    failed = [
        (f"{r.variant.name}: {case}", why) for r in report.results for case, why in r.failures()
    ]
    failed += [(f"the seed's row {row.name}", "") for row in report.seed if not row.ok]
    failed += [(f"{run.tokens} tokens", run.problem) for run in report.large if not run.ok]
    by_family = []
    for family in dict.fromkeys(v.family for v, _ in outcomes):
        own = [o for v, o in outcomes if v.family == family]
        by_family.append(
            {
                "family": family,
                "variants": sum(r.variant.family == family for r in report.results),
                "cases": len(own),
                "far": sum(o.case.startswith(FAR) for o in own),
                "worst": max((o.shown[1].ratio for o in own), default=0.0),
            }
        )
    return {
        "ran": len(outcomes),
        "variants": len(report.results),
        "failures": evidence.failures(failed),
        "failed": len(failed),
        "seconds": round(report.seconds, 1),
        "wanted": wanted,
        "complete": len(outcomes) == wanted,
        "families": by_family,
        "seed": [asdict(row) for row in report.seed],
        "large": [asdict(run) for run in report.large],
        "large_memory_is_flat": report.large_flat,
    }


def write(report: Report, folder: Path) -> None:
    """Write report.json and the self-contained report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(report), indent=1, default=float)
    (folder / "report.json").write_text(text)
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    page = jinja.get_template("report.html.j2").render(report=report, grids=grids(report))
    (folder / "report.html").write_text(page)
