"""What a parity run leaves behind: the table, report.json and report.html."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.table import Table

from verify.parity.large import LargeRun, memory_is_flat
from verify.run import Outcome
from verify.variants import Variant


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
        return min((o.out.cosine for o in self.outcomes), default=math.nan)

    @property
    def max_abs(self) -> float:
        """The largest error of any case."""
        return max((o.out.max_abs for o in self.outcomes), default=math.nan)

    @property
    def worst(self) -> Outcome | None:
        """The case that came closest to its tolerance, or passed it by most."""
        return max(self.outcomes, key=lambda o: (not o.ok, o.out.ratio), default=None)

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


def grid(results: Iterable[VariantResult]) -> dict[tuple[str, int, str], dict[str, VariantResult]]:
    """Results by (family, head_dim, dtype), then mask mode."""
    rows: dict[tuple[str, int, str], dict[str, VariantResult]] = {}
    for result in results:
        v = result.variant
        rows.setdefault((v.family, v.head_dim, v.dtype), {})[v.mode] = result
    return rows


def modes(results: Iterable[VariantResult]) -> list[str]:
    """The mask modes that occur, in manifest order."""
    return list(dict.fromkeys(result.variant.mode for result in results))


def matrix_table(report: Report) -> Table:
    """family, head_dim, dtype against mask mode: verdict, cos (lowest), max-abs (largest)."""
    table = Table(title="cos (lowest) and max-abs (largest) over all cases", title_justify="left")
    table.add_column("family")
    table.add_column("head_dim", justify="right")
    table.add_column("dtype")
    columns = modes(report.results)
    for mode in columns:
        table.add_column(mode)
    for (family, head_dim, dtype), row in grid(report.results).items():
        cells = []
        for mode in columns:
            if mode not in row:
                cells.append("")
                continue
            result = row[mode]
            verdict = "[green]pass[/]" if result.ok else "[bold red]FAIL[/]"
            cells.append(f"{verdict} {result.cosine:.6f} {result.max_abs:.0e}")
        table.add_row(family, str(head_dim), dtype, *cells)
    return table


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
    page = jinja.get_template("report.html.j2").render(
        report=report, rows=grid(report.results), modes=modes(report.results)
    )
    (folder / "report.html").write_text(page)
