"""The table of foreign shaders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from peers.call import dtype_name
from verify import evidence
from verify.foreign.cases import Case
from verify.foreign.run import Finding, Outcome


@dataclass(frozen=True)
class Result:
    """A case and what came of it."""

    case: Case
    outcome: Outcome | None
    problem: str = ""  # why there is no outcome

    @property
    def ok(self) -> bool:
        return self.outcome is not None and self.outcome.ok


def groups(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """By source file and dtype, in the order of the cases."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        rows.setdefault((result.case.family, dtype_name(result.case.dtype)), []).append(result)
    return rows


def launched(results: Iterable[Result]) -> set[tuple[str, str]]:
    """Source and host name of all kernels that ran or were refused."""
    return {(r.case.family, name) for r in results if r.outcome for name in r.outcome.kernels}


def table(results: Sequence[Result], not_run: Mapping[str, str]) -> Table:
    """One row per source file and dtype; errors are those of the case nearest to its limit."""
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("source", no_wrap=True)
    for name in ("dtype", "kernels", "cases", "error", "PyTorch's", "of limit", "tg bytes"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("findings", justify="right")
    shown.add_column("result")
    for (family, dtype), rows in groups(results).items():
        shown.add_row(family, dtype, *_row(rows))
    for family, why in not_run.items():
        shown.add_row(family, *[""] * 8, f"not run: {why}")
    return shown


def _row(rows: Sequence[Result]) -> Iterable[str]:
    outcomes = [r.outcome for r in rows if r.outcome]
    errors = [(o.error.ratio, o.error.max_abs, o.plain) for o in outcomes if o.error]
    refused = [o for o in outcomes if o.refused]
    failed = sum(not r.ok for r in rows)
    yield str(len(launched(rows)))
    yield str(len(rows))
    if errors:
        ratio, error, plain = max(errors)
        yield from (f"{error:.2e}", f"{plain:.2e}", f"{ratio:.0%}")
    else:
        yield from ("", "", "")
    yield f"{max((o.threadgroup_bytes for o in outcomes if not o.refused), default=0):,}"
    yield str(len({f.kernel for o in outcomes for f in o.findings}))
    if failed:
        yield f"[bold red]{failed} failed[/]"
    elif refused:
        sizes = sorted({o.threadgroup_bytes for o in refused})
        yield f"ok; {len(refused)} refused: over 32 KiB ({', '.join(f'{n:,}' for n in sizes)} B)"
    else:
        yield "ok"


def findings(results: Sequence[Result]) -> list[tuple[str, list[Finding]]]:
    """All findings, those of one kind at the same lines together."""
    alike: dict[str, list[Finding]] = {}
    for result in results:
        for finding in result.outcome.findings if result.outcome else ():
            places = sorted(set(re.findall(r"[\w.]+\.(?:h|metal):\d+", finding.message)))
            alike.setdefault(f"{finding.kind} at {', '.join(places)}", []).append(finding)
    return list(alike.items())


def summary(results: Sequence[Result], unseen: Sequence[str], seconds: float) -> dict[str, Any]:
    """What docs/evidence.md says of a run."""
    rows = []
    for (family, dtype), group in groups(results).items():
        errors = [r.outcome.error for r in group if r.outcome and r.outcome.error]
        rows.append(
            {
                "source": family,
                "dtype": dtype,
                "kernels": len(launched(group)),
                "cases": len(group),
                "refused": sum(bool(r.outcome and r.outcome.refused) for r in group),
                "failed": sum(not r.ok for r in group),
                "worst": max((error.ratio for error in errors), default=0.0),
            }
        )
    failed = [
        (f"{r.case.family} {r.case.name}", r.problem or str(r.outcome and r.outcome.error))
        for r in results
        if not r.ok
    ]
    return {
        "ran": len(results),
        "kernels": len(launched(results)),
        "failures": evidence.failures(
            [*failed, *((name, "no case launches it") for name in unseen)]
        ),
        "failed": len(failed) + len(unseen),
        "seconds": round(seconds, 1),
        "complete": True,
        "rows": rows,
    }
