"""What a run says: the table of operators, the survivors with their change, the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from verify import evidence
from verify.mutants.breeding import Mutant
from verify.mutants.verdict import KILLED, Reason, Verdict


@dataclass(frozen=True)
class Score:
    """The verdicts of a run, held against the reviewed list of survivors."""

    verdicts: Mapping[Mutant, Verdict]
    listed: Mapping[str, Reason]
    # On a GPU nothing is checked and no work is counted: who survives there may die on the CPU.
    numbers_only: bool = False

    def survivors(self, equivalent: bool) -> list[Mutant]:
        """Who survived and is listed as equivalent, or is not."""
        alive = (mutant for mutant, verdict in self.verdicts.items() if not verdict.killed)
        return [mutant for mutant in alive if (mutant.id in self.listed) == equivalent]

    @property
    def wrongly_listed(self) -> list[Mutant]:
        """Who is listed as a survivor, but was killed."""
        return [m for m, v in self.verdicts.items() if v.killed and m.id in self.listed]

    @property
    def killed(self) -> int:
        return sum(verdict.killed for verdict in self.verdicts.values())

    @property
    def value(self) -> float:
        """The share of killed mutants among those that are not equivalent."""
        mutants = len(self.verdicts) - len(self.survivors(equivalent=True))
        return self.killed / mutants if mutants else 1.0

    @property
    def ok(self) -> bool:
        alive = not self.numbers_only and self.survivors(equivalent=False)
        return not alive and not self.wrongly_listed


def print_list(mutants: Sequence[Mutant], console: Console) -> None:
    """Every mutant: its id, its operator and its change."""
    for mutant in mutants:
        console.print(f"[bold]{mutant.id}[/]  {mutant.operator}: {mutant.breaks}")
        console.print(mutant.diff(), markup=False, soft_wrap=True)
    console.print(f"{len(mutants)} mutants")


def table(score: Score) -> Table:
    """How the mutants of each operator ended."""
    columns = (*KILLED, "equivalent", "survived")
    ends: dict[str, Counter[str]] = {}
    for mutant, verdict in score.verdicts.items():
        listed = not verdict.killed and mutant.id in score.listed
        end = "equivalent" if listed else verdict.how
        ends.setdefault(mutant.operator, Counter())[end] += 1
    shown = [c for c in columns if any(counts[c] for counts in ends.values())]
    result = Table(title="how mutants ended")
    for name in ("operator", "mutants", *shown):
        result.add_column(name, justify="left" if name == "operator" else "right")
    ends["all"] = sum(ends.values(), Counter())
    for name, counts in ends.items():
        cells = (str(counts[c] or "") for c in shown)
        result.add_row(name, str(counts.total()), *cells, end_section=name == list(ends)[-2])
    return result


def print_report(score: Score, console: Console) -> int:
    """Print all of it; the exit code."""
    if len(score.verdicts) == 1:
        console.print(*score.verdicts.values(), markup=False)
    console.print(table(score))
    for mutant in score.survivors(equivalent=True):
        console.print(f"{mutant.id} is equivalent: {score.listed[mutant.id].reason}", markup=False)
    for mutant in () if score.numbers_only else score.survivors(equivalent=False):
        console.print(f"[bold red]SURVIVED[/] {mutant.id} in {mutant.file}: {mutant.breaks}")
        console.print(mutant.diff(), markup=False, soft_wrap=True)
        console.print(f"  nox -s mutants -- --only {mutant.id}")
    for mutant in score.wrongly_listed:
        how = score.verdicts[mutant].how
        console.print(f"[bold red]LISTED[/] {mutant.id} in survivors.toml, but it dies: {how}")
    verdict = "[bold green]PASS[/]" if score.ok else "[bold red]FAIL[/]"
    console.print(
        f"{verdict} {score.killed} of {len(score.verdicts)} mutants killed, "
        f"{len(score.survivors(equivalent=True))} equivalent, "
        f"{len(score.survivors(equivalent=False))} not listed; "
        f"{score.value:.1%} of those that are not equivalent killed"
    )
    if score.numbers_only:
        console.print(
            "on a GPU by wrong numbers alone: the others are for the CPU's checks and counters"
        )
    return 0 if score.ok else 1


def summary(score: Score, wanted: int, seconds: float) -> dict[str, Any]:
    """What docs/evidence.md says of a run."""
    alive = score.survivors(equivalent=False)
    ends = Counter(v.how for v in score.verdicts.values() if v.killed)
    failed = [(m.id, f"listed, but it dies: {score.verdicts[m]}") for m in score.wrongly_listed]
    if not score.numbers_only:
        failed += [(m.id, "survived") for m in alive]
    return {
        "ran": len(score.verdicts),
        "wanted": wanted,
        "complete": len(score.verdicts) == wanted,
        "killed": score.killed,
        "how": {how: ends[how] for how in KILLED if ends[how]},
        "equivalent": len(score.survivors(equivalent=True)),
        "survivors": [m.id for m in alive],
        "failed": len(failed),
        "failures": evidence.failures(failed),
        "seconds": round(seconds, 1),
    }
