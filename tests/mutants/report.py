"""What a run says: the table of operators, the survivors with their change, the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.mutants.breeding import Mutant
from tests.mutants.verdict import KILLED, Reason, Verdict

LEAST_SCORE = 0.98


@dataclass(frozen=True)
class Score:
    """The verdicts of a run, held against the reviewed list of survivors."""

    verdicts: Mapping[Mutant, Verdict]
    listed: Mapping[str, Reason]
    whole: bool  # every mutant was tried

    def survivors(self, kind: str | None) -> list[Mutant]:
        """Who survived and is listed as `kind`; None: and is not listed."""
        alive = (mutant for mutant, verdict in self.verdicts.items() if not verdict.killed)
        kinds = {name: entry.kind for name, entry in self.listed.items()}
        return [mutant for mutant in alive if kinds.get(mutant.id) == kind]

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
        mutants = len(self.verdicts) - len(self.survivors("equivalent"))
        return self.killed / mutants if mutants else 1.0

    @property
    def ok(self) -> bool:
        good_enough = self.value >= LEAST_SCORE or not self.whole
        return good_enough and not self.survivors(None) and not self.wrongly_listed


def print_list(mutants: Sequence[Mutant], console: Console) -> None:
    """Every mutant: its id, its operator and its change."""
    for mutant in mutants:
        console.print(f"[bold]{mutant.id}[/]  {mutant.operator}: {mutant.breaks}")
        console.print(mutant.diff(), markup=False, soft_wrap=True)
    console.print(f"{len(mutants)} mutants")


def table(score: Score) -> Table:
    """How the mutants of each operator ended."""
    columns = (*KILLED, "unseen", "equivalent", "survived")
    ends: dict[str, Counter[str]] = {}
    for mutant, verdict in score.verdicts.items():
        entry = score.listed.get(mutant.id)
        end = verdict.how if verdict.killed or entry is None else entry.kind
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
    for kind in ("unseen", "equivalent"):
        for mutant in score.survivors(kind):
            console.print(f"{mutant.id} is {kind}: {score.listed[mutant.id].reason}", markup=False)
    for mutant in score.survivors(None):
        console.print(f"[bold red]SURVIVED[/] {mutant.id} in {mutant.file}: {mutant.breaks}")
        console.print(mutant.diff(), markup=False, soft_wrap=True)
        console.print(f"  nox -s mutants -- --only {mutant.id}")
    for mutant in score.wrongly_listed:
        how = score.verdicts[mutant].how
        console.print(f"[bold red]LISTED[/] {mutant.id} in survivors.toml, but it dies: {how}")
    verdict = "[bold green]PASS[/]" if score.ok else "[bold red]FAIL[/]"
    console.print(
        f"{verdict} {score.killed} of {len(score.verdicts)} mutants killed, "
        f"{len(score.survivors('equivalent'))} equivalent, "
        f"{len(score.survivors('unseen'))} unseen, {len(score.survivors(None))} not listed; "
        f"score {score.value:.1%} (at least {LEAST_SCORE:.0%})"
    )
    return 0 if score.ok else 1
