"""Which cases kill which mutants: the evidence by which the case table can be thinned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from verify.mutants.trial import Killer

Kills = Mapping[str, frozenset[Killer]]  # by the mutant's id


def enough(kills: Kills) -> list[Killer]:
    """A few cases that kill what all of them kill: the one that kills most of the rest, repeated.

    Of two that kill as many, the one that kills more in all, then the first by name.
    """
    left = {mutant: killers for mutant, killers in kills.items() if killers}
    totals = {killer: victims(killer, kills) for killer in sorted(set().union(*left.values()))}
    chosen = []
    while left:
        best = max(totals, key=lambda killer: (victims(killer, left), totals[killer]))
        chosen.append(best)
        left = {mutant: killers for mutant, killers in left.items() if best not in killers}
    return chosen


def victims(killer: Killer, kills: Kills) -> int:
    """How many mutants a case kills."""
    return sum(killer in killers for killers in kills.values())


def table(kills: Kills, cases: Iterable[Killer]) -> Table:
    """Every case that ran: how many mutants it kills, how many it kills alone."""
    few = enough(kills)
    rows = []
    for killer in cases:
        alone = sum(killers == {killer} for killers in kills.values())
        rows.append((alone, victims(killer, kills), killer in few, killer))
    shown = Table(title="mutants killed, by case", title_justify="left")
    for name in ("family", "case", "killed", "by no other", "in a set that kills all"):
        shown.add_column(name, justify="right" if name in ("killed", "by no other") else "left")
    for alone, count, needed, killer in sorted(rows, key=lambda row: (-row[0], -row[1], row[3])):
        shown.add_row(killer.family, killer.case, str(count), str(alone), "yes" if needed else "")
    return shown


def as_json(kills: Kills) -> str:
    """Who kills whom, for other programs."""
    return json.dumps({mutant: sorted(found) for mutant, found in kills.items()}, indent=1)


def report(kills: Kills, cases: Iterable[Killer], console: Console) -> None:
    """Print the table, and how few cases kill as many."""
    console.print(table(kills, cases))
    killed = sum(bool(killers) for killers in kills.values())
    console.print(
        f"{killed} of {len(kills)} mutants killed by a case; "
        f"{len(enough(kills))} cases kill as many",
    )
