"""Run other projects' attention kernels, unmodified, and print whether they compute attention.

Every instantiation in their sources is compiled, launched, compared with float64, and launched
again on a smaller problem under the emulator's checks.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from functools import partial

from emulator import EmulatorError
from peers import mlx, pytorch
from verify import devices, evidence
from verify.foreign import cases as table
from verify.foreign import report
from verify.foreign.cases import Case
from verify.foreign.run import run_and_check
from verify.progress import console as terminal
from verify.progress import execute

TABLE_WIDTH = 168  # where the output is not a terminal


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s foreign --", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="only N cases, of all sources")
    parser.add_argument("--only", metavar="TEXT", help="only cases with this in source or name")
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        help="run the emulator's checks too, as is done on the CPU unless --no-check is given",
    )
    devices.add_option(parser, ("emulator", "cuda"))
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="report on what is known after so many"
    )
    evidence.add_option(parser)
    chosen = parser.parse_args()
    if chosen.check and chosen.device != "emulator":
        devices.refuse(parser, "--check", chosen.device)
    chosen.check = chosen.device == "emulator" if chosen.check is None else chosen.check
    return chosen


def select(chosen: argparse.Namespace) -> list[Case]:
    """The cases asked for."""
    cases = table.all_cases()
    if chosen.only:
        cases = [c for c in cases if chosen.only in f"{c.family} {c.name}"]
    return table.sample(cases, chosen.sample)


def missing(results: list[report.Result]) -> list[str]:
    """Kernels that a source instantiates and no case launched."""
    families = dict.fromkeys(r.case.family for r in results)
    everything = {(family, name) for family in families for name in table.instantiations(family)}
    return [f"{family} {name}" for family, name in sorted(everything - report.launched(results))]


def main() -> int:
    chosen = options()
    console = terminal(TABLE_WIDTH)
    start = time.perf_counter()
    try:
        devices.require(chosen.device)
    except EmulatorError as error:
        console.print(f"--device {chosen.device}: {error}", highlight=False, markup=False)
        return 2
    if not mlx.available():
        console.print("MLX's sources are not here: python -m peers.fetch gets them")
    cases = select(chosen)
    if not cases:
        console.print(f"no case has {chosen.only!r} in its name")
        return 1
    for header in (pytorch.PREFILL, pytorch.DECODE):
        if pytorch.available(header):
            pytorch.library(header)  # read once, for all processes that fork from this one
    console.print(
        f"{len(cases)} cases of other people's shaders, on {chosen.device}", highlight=False
    )
    tasks = [partial(run_and_check, case, chosen.device, chosen.check) for case in cases]
    done = execute(tasks, "cases", console, chosen.device, chosen.seconds)
    results = [
        report.Result(case, None, f"{type(outcome).__name__}: {outcome}")
        if isinstance(outcome, Exception)
        else report.Result(case, outcome)
        for case, outcome in zip(cases, done, strict=True)
        if outcome is not None
    ]

    console.print(report.table(results, table.NOT_RUN))
    for place, found in report.findings(results):
        kernels = len({f.kernel for f in found})
        console.print(f"[bold]{place}[/], in {kernels} kernels; the first:", highlight=False)
        console.print(found[0].message, highlight=False, markup=False)
    for r in results:
        if not r.ok:
            console.print(f"[bold red]FAIL[/] {r.case.family} {r.case.name}", highlight=False)
            why = r.problem or (r.outcome.error if r.outcome else "")
            console.print(f"     {why}", highlight=False, markup=False)
    complete = len(results) == len(cases)
    unseen = [] if chosen.sample or chosen.only or not complete else missing(results)
    for name in unseen:
        console.print(f"[bold red]FAIL[/] {name}: no case launches it", highlight=False)
    passed = sum(r.ok for r in results)
    ok = passed == len(cases) and not unseen
    seconds = time.perf_counter() - start
    evidence.write(
        chosen.evidence,
        "foreign",
        chosen.device,
        report.summary(results, unseen, len(cases), seconds),
    )
    verdict = "[bold green]PASS[/]" if ok else "[bold red]FAIL[/]"
    console.print(
        f"{verdict} {passed} of {len(cases)} cases, {len(report.launched(results))} kernels, "
        f"{seconds:.0f} s on {chosen.device}",
        highlight=False,
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
