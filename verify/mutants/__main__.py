"""Break the templates as operators.py and by_hand.py know how; do the tests notice?"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from emulator import EmulatorError
from verify import devices, evidence, workers
from verify.mutants import by_case, report, trial
from verify.mutants.breeding import Mutant, breed, standing, templates
from verify.mutants.verdict import STORE, Store, Verdict, orphans, reasons
from verify.progress import console as terminal
from verify.progress import progress

BY_CASE = STORE / "by_case.json"
WIDTH = 120  # where the output is not a terminal


def shard(text: str) -> tuple[int, int]:
    """'i/n', i from 1 to n."""
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r}: must be i/n with i from 1 to n")
    return int(index), int(count)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    parser.add_argument(
        "--all", action="store_true", help="every mutant, not only those that stand for the others"
    )
    parser.add_argument("--only", metavar="ID", help="only this mutant, or all whose id begins so")
    parser.add_argument("--sample", type=int, metavar="N", help="only N of them, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--shard", type=shard, metavar="i/n", help="only the i-th of n parts")
    parser.add_argument(
        "--resume", action="store_true", help="keep verdicts that are known and still hold"
    )
    parser.add_argument(
        "--by-case",
        action="store_true",
        help="run every case on each mutant, and print which cases kill how many",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every verdict there, at the end"
    )
    devices.add_processes_option(parser)
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="report on what is known after so many"
    )
    devices.add_option(parser, ("emulator", "cuda"))
    evidence.add_option(parser)
    chosen = parser.parse_args()
    if chosen.by_case and chosen.device != "emulator":
        devices.refuse(parser, "--by-case", chosen.device)
    return chosen


def select(mutants: Sequence[Mutant], chosen: argparse.Namespace) -> list[Mutant]:
    """The mutants asked for."""
    selected = list(mutants if chosen.all else standing(mutants))
    if chosen.only is not None:
        exactly = [m for m in mutants if m.id == chosen.only]
        selected = exactly or [m for m in selected if m.id.startswith(chosen.only)]
    if chosen.sample is not None:
        size = min(chosen.sample, len(selected))
        selected = random.Random(chosen.seed).sample(selected, size)
    if chosen.shard:
        index, count = chosen.shard
        selected = selected[index - 1 :: count]
    return selected


def judge(
    waiting: Sequence[Mutant], texts: dict[str, str], store: Store, chosen: argparse.Namespace
) -> Iterator[tuple[Mutant, Verdict]]:
    """Each mutant and its verdict, as the trials end."""
    originals = trial.shaders(texts)
    attempt = trial.attempt_on_gpu if chosen.device == "cuda" else trial.attempt
    tasks = [partial(attempt, {**texts, m.file: m.text}, originals) for m in waiting]
    for index, result in devices.each(tasks, chosen.device, chosen.processes):
        if isinstance(result, workers.CrashError) and chosen.device == "cuda":
            result = Verdict("crash", why=str(result))
        if isinstance(result, Exception):  # cases have processes of their own: this is our fault
            raise RuntimeError(f"{waiting[index].id} could not be tried") from result
        store.put(waiting[index], result)
        yield waiting[index], result


def failures(texts: dict[str, str], chosen: argparse.Namespace, console: Console) -> list[Verdict]:
    """How the templates without a mistake fail, if they do: then mutants would show nothing."""
    sources = trial.shaders(texts)
    tasks = [partial(trial.healthy, v, sources[v.name], chosen.device) for v in trial.rows()]
    sick = []
    with progress("representatives", len(tasks), console) as advance:
        for index, result in devices.each(tasks, chosen.device, chosen.processes):
            if isinstance(result, Exception):
                raise RuntimeError(f"{trial.rows()[index].name} could not be tried") from result
            sick += [result] if result.killed else []
            advance()
    return sick


def known_verdicts(
    mutants: Sequence[Mutant], store: Store, chosen: argparse.Namespace
) -> dict[Mutant, Verdict]:
    """What earlier runs found, if that is to be kept."""
    found = {mutant: store.get(mutant) for mutant in (mutants if chosen.resume else ())}
    return {mutant: verdict for mutant, verdict in found.items() if verdict is not None}


def try_all(
    waiting: Sequence[Mutant],
    texts: dict[str, str],
    store: Store,
    chosen: argparse.Namespace,
    console: Console,
) -> dict[Mutant, Verdict]:
    """Verdicts of those that were tried before the time ended."""
    verdicts: dict[Mutant, Verdict] = {}
    end = time.monotonic() + chosen.seconds
    with progress("mutants", len(waiting), console) as advance:
        for mutant, verdict in judge(waiting, texts, store, chosen):
            verdicts[mutant] = verdict
            advance(note=f"{sum(not v.killed for v in verdicts.values())} survive")
            if time.monotonic() > end:
                break
    return verdicts


def as_json(verdicts: Mapping[Mutant, Verdict]) -> str:
    """Every verdict so far, with the change that it is about, by the mutant's id."""
    rows = {
        mutant.id: {
            "file": mutant.file,
            "operator": mutant.operator,
            "change": mutant.diff(),
            **asdict(verdict),
        }
        for mutant, verdict in verdicts.items()
    }
    return json.dumps(rows, indent=1)


def try_by_case(
    mutants: Sequence[Mutant], texts: dict[str, str], chosen: argparse.Namespace, console: Console
) -> dict[str, frozenset[trial.Killer]]:
    """The cases that kill each mutant."""
    originals = trial.shaders(texts)
    tasks = [partial(trial.killers, {**texts, m.file: m.text}, originals) for m in mutants]
    path = chosen.json or BY_CASE
    path.parent.mkdir(parents=True, exist_ok=True)
    kills: dict[str, frozenset[trial.Killer]] = {}
    with progress("mutants", len(mutants), console) as advance:
        for index, result in devices.each(tasks, chosen.device, chosen.processes):
            if isinstance(result, Exception):
                raise RuntimeError(f"{mutants[index].id} could not be tried") from result
            kills[mutants[index].id] = result
            path.write_text(by_case.as_json(kills))
            advance()
    return kills


def main() -> int:
    chosen = options()
    console = terminal(WIDTH)
    begin = time.perf_counter()
    texts = templates()
    mutants = breed(texts)
    listed = reasons()
    selected = select(mutants, chosen)
    if chosen.list:
        report.print_list(selected, console)
        return 0
    if lost := orphans(mutants, listed):
        console.print("survivors.toml lists what is no mutant:", *lost, sep="\n  ")
        return 1
    if not selected:
        console.print(f"no mutant's id begins with {chosen.only}; --list prints them")
        return 1

    # Shaders that nobody needs again stay out of the emulator's own cache.
    os.environ.setdefault("METAL_EMULATOR_CACHE", str(STORE / "cache"))
    try:
        devices.require(chosen.device)
    except EmulatorError as error:
        console.print(f"--device {chosen.device}: {error}", highlight=False, markup=False)
        return 2
    if chosen.device == "emulator":
        trial.warm()
    store = Store(texts, STORE if chosen.device == "emulator" else STORE / chosen.device)
    verdicts = known_verdicts(selected, store, chosen)
    waiting = [mutant for mutant in selected if mutant not in verdicts]
    if waiting and (sick := failures(texts, chosen, console)):
        console.print("the templates fail as they are:", *sick, sep="\n  ", markup=False)
        return 1
    if chosen.by_case:
        kills = try_by_case(selected, texts, chosen, console)
        by_case.report(kills, trial.all_cases(), console)
        return 0
    verdicts |= try_all(waiting, texts, store, chosen, console)
    if chosen.json is not None:
        chosen.json.write_text(as_json(verdicts))
    score = report.Score(verdicts, listed, numbers_only=chosen.device == "cuda")
    summary = report.summary(score, len(selected), time.perf_counter() - begin)
    evidence.write(chosen.evidence, "mutants", chosen.device, summary)
    return report.print_report(score, console)


if __name__ == "__main__":
    sys.exit(main())
