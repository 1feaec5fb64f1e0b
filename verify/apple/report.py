"""The table of what Apple's compiler made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from verify import evidence
from verify.apple.run import Outcome, Subject


@dataclass(frozen=True)
class Result:
    """A subject, and what came of it with each library."""

    subject: Subject
    outcomes: Sequence[Outcome]
    problem: str = ""  # why there are none

    @property
    def ok(self) -> bool:
        return not self.problem and all(outcome.ok for outcome in self.outcomes)

    @property
    def why(self) -> str:
        """What is wrong with it."""
        unequal = (f"macOS {o.macos}: {o}" for o in self.outcomes if not o.ok)
        return self.problem or "; ".join(unequal)


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """By source, dtype and library: kernels, of which all bits are equal or which are explained."""
    groups: dict[tuple[str, str, int], list[Outcome]] = {}
    for r in results:
        for outcome in r.outcomes:
            key = (r.subject.source, r.subject.dtype, outcome.macos)
            groups.setdefault(key, []).append(outcome)
    return [
        {
            "source": source,
            "dtype": dtype,
            "compiled_for": f"macOS {macos}",
            "cases": len(outcomes),
            **kernels(outcomes),
        }
        for (source, dtype, macos), outcomes in groups.items()
    ]


def kernels(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many, and of how many every case is bit-equal, explained or neither."""
    everyone = {name for o in outcomes for name in o.kernels}
    different = {name for o in outcomes if not o.ok for name in o.kernels}
    explained = {name for o in outcomes if o.explained for name in o.kernels} - different
    return {
        "kernels": len(everyone),
        "equal": len(everyone - different - explained),
        "explained": len(explained),
        "different": len(different),
    }


def total(results: Sequence[Result]) -> int:
    """All kernels, one of two libraries twice."""
    return sum(row["kernels"] for row in rows(results))


def explanations(results: Sequence[Result]) -> list[str]:
    """Each reason once, with the number of kernels that have it."""
    reasons: dict[str, set[str]] = {}
    for r in results:
        for o in r.outcomes:
            if o.explained:
                reasons.setdefault(f"{r.subject.source}: {o.explained}", set()).update(o.kernels)
    return [f"{why} ({len(names)} kernels)" for why, names in reasons.items()]


def table(results: Sequence[Result]) -> Table:
    """One row per source, dtype and library."""
    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("source", "dtype", "compiled for"):
        shown.add_column(name, no_wrap=True)
    for name in ("kernels", "cases", "bit-equal", "explained", "different"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in rows(results):
        names = ("source", "dtype", "compiled_for", "kernels", "cases", "equal", "explained")
        different = f"[bold red]{row['different']}[/]" if row["different"] else "0"
        shown.add_row(*(str(row[name]) for name in names), different)
    return shown


def summary(results: Sequence[Result], wanted: int, seconds: float) -> dict[str, Any]:
    """What docs/evidence.md says of a run that was to have so many cases."""
    failed = [(f"{r.subject.source} {r.subject.name}", r.why) for r in results if not r.ok]
    return {
        "ran": len(results),
        "kernels": total(results),
        "failures": evidence.failures(failed),
        "failed": len(failed),
        "seconds": round(seconds, 1),
        "wanted": wanted,
        "complete": len(results) == wanted,
        "explanations": explanations(results),
        "rows": rows(results),
    }
