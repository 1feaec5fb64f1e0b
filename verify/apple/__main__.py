"""Compare what Apple's compiler made of other people's shaders with the emulator, bit by bit.

Each kernel runs twice on the CPU with the same inputs: from its source, and as it lies in the wheel
for macOS.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial

from peers import compiled, pytorch
from verify import evidence
from verify.apple import report
from verify.apple.run import all_subjects, compare
from verify.progress import console as terminal
from verify.progress import execute

TABLE_WIDTH = 140  # where the output is not a terminal


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verify.apple", description=__doc__)
    parser.add_argument(
        "--sample", type=int, metavar="N", help="only N cases of attention, and few others"
    )
    parser.add_argument("--only", metavar="TEXT", help="only cases with this in source or name")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="report on what is known after so many"
    )
    evidence.add_option(parser)
    return parser.parse_args()


def read_once() -> None:
    """What all processes that fork from this one need."""
    for header in (pytorch.PREFILL, pytorch.DECODE):
        if pytorch.available(header):
            pytorch.library(header)
    for author in compiled.AUTHORS:
        for library in compiled.libraries(author):
            _ = library.kernels


def main() -> int:
    chosen = options()
    console = terminal(TABLE_WIDTH)
    start = time.perf_counter()
    for author in compiled.AUTHORS:
        if not compiled.available(author):
            console.print(
                f"what Apple's compiler made of {author}'s shaders is not here, so it is not run: "
                "python -m peers.fetch --compiled gets it"
            )
    subjects = all_subjects(chosen.sample)
    if not subjects:
        return 0
    if chosen.only:
        subjects = [s for s in subjects if chosen.only in f"{s.source} {s.name}"]
        if not subjects:
            console.print(f"no case has {chosen.only!r} in its name")
            return 1
    read_once()
    console.print(f"{len(subjects)} cases of what Apple's compiler made", highlight=False)
    tasks = [partial(compare, subject) for subject in subjects]
    done = execute(tasks, "cases", console, "emulator", chosen.seconds)
    results = [
        report.Result(subject, (), f"{type(outcome).__name__}: {outcome}")
        if isinstance(outcome, Exception)
        else report.Result(subject, outcome)
        for subject, outcome in zip(subjects, done, strict=True)
        if outcome is not None
    ]
    console.print(report.table(results))
    for line in report.explanations(results):
        console.print(f"explained: {line}", highlight=False, markup=False)
    for r in results:
        if not r.ok:
            console.print(f"[bold red]FAIL[/] {r.subject.source} {r.subject.name}", highlight=False)
            console.print(f"     {r.why}", highlight=False, markup=False)
    passed = sum(r.ok for r in results)
    ok = passed == len(subjects)
    seconds = time.perf_counter() - start
    outcome = report.summary(results, len(subjects), seconds)
    evidence.write(chosen.evidence, "apple", "emulator", outcome)
    verdict = "[bold green]PASS[/]" if ok else "[bold red]FAIL[/]"
    console.print(
        f"{verdict} {passed} of {len(subjects)} cases, {report.total(results)} kernels, "
        f"{seconds:.0f} s",
        highlight=False,
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
