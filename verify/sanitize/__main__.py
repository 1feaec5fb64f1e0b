"""Run NVIDIA's compute-sanitizer over every kind of kernel, after faults that it has to find."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

import emulator
from emulator import EmulatorError
from verify import devices, evidence
from verify.progress import console as terminal
from verify.progress import execute, progress
from verify.sanitize import jobs, tool
from verify.sanitize.jobs import Job
from verify.sanitize.tool import Result
from verify.variants import helpers

WIDTH = 120  # where the output is not a terminal


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s sanitize --", description=__doc__)
    parser.add_argument(
        "--tool", choices=jobs.TOOLS, action="append", help="only these (default: all four)"
    )
    parser.add_argument("--only", metavar="TEXT", help="only kernels with this in their names")
    parser.add_argument("--list", action="store_true", help="print the jobs and run none")
    devices.add_processes_option(parser, devices.GPU_PROCESSES)
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin no more jobs after so many"
    )
    evidence.add_option(parser)
    return parser.parse_args()


def select(chosen: argparse.Namespace) -> tuple[list[Job], list[Job]]:
    """The planted faults, and the kernels as they are."""
    tools = tuple(chosen.tool or jobs.TOOLS)
    sound = [j for j in jobs.sound(tools) if not chosen.only or chosen.only in j.variant]
    return [j for j in jobs.planted() if j.tool in tools], sound


def build(job: Job) -> None:
    """Compile all that a job launches into the cache: a tool would make that slow."""
    from emulator.cuda import gpu

    architecture = gpu.architecture(0)
    source = emulator.compile(job.source(), finite_math=True) if job.fault else None
    for variant in (job.kernel, *helpers(job.kernel)):
        library = source if source and variant.name == job.variant else None
        library = library or emulator.compile(variant.path, finite_math=True)
        library.prebuild_cuda(variant.name, architecture)


def run_all(
    program: str, wanted: Sequence[Job], processes: int, end: float, what: str, console: Console
) -> Iterator[Result]:
    """Results as they come; no job begins after `end`."""

    def one(job: Job) -> Result | None:
        return tool.run(program, job) if time.monotonic() < end else None

    with ThreadPoolExecutor(processes) as pool, progress(what, len(wanted), console) as advance:
        for done in as_completed([pool.submit(one, job) for job in wanted]):
            advance()
            if result := done.result():
                yield result


def table(results: Sequence[Result]) -> Table:
    """A row for each tool."""
    shown = Table(title="compute-sanitizer", title_justify="left")
    for name in ("tool", "kernels", "cases", "with findings", "planted faults found"):
        shown.add_column(name, justify="left" if name == "tool" else "right")
    for row in rows(results):
        shown.add_row(
            row["tool"],
            str(row["kernels"]),
            str(row["cases"]),
            str(row["with_findings"]),
            f"{row['faults_found']} of {row['faults']}",
        )
    return shown


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """What each tool did."""
    made = []
    for name in dict.fromkeys(r.job.tool for r in results):
        own = [r for r in results if r.job.tool == name]
        sound, broken = ([r for r in own if bool(r.job.fault) == is_broken] for is_broken in (0, 1))
        made.append(
            {
                "tool": name,
                "kernels": len(sound),
                "cases": sum(r.cases for r in sound),
                "with_findings": sum(bool(r.findings or r.problem) for r in sound),
                "faults": len(broken),
                "faults_found": sum(r.ok for r in broken),
            }
        )
    return made


def summary(results: Sequence[Result], wanted: int, seconds: float) -> dict[str, Any]:
    """What docs/evidence.md says of a run."""
    failed = [(r.job.name, r.explain()) for r in results if not r.ok]
    return {
        "ran": len(results),
        "wanted": wanted,
        "complete": len(results) == wanted,
        "failed": len(failed),
        "failures": evidence.failures(failed),
        "seconds": round(seconds, 1),
        "tools": rows(results),
        "planted": [
            {"fault": r.job.fault, "tool": r.job.tool, "found": r.ok, "first": r.first}
            for r in results
            if r.job.fault
        ],
    }


def main() -> int:
    chosen = options()
    console = terminal(WIDTH)
    planted, sound = select(chosen)
    if chosen.list:
        for job in (*planted, *sound):
            console.print(f"{job.name}: {len(job.cases())} cases", highlight=False, markup=False)
        return 0
    if not sound:
        console.print(f"no kernel has {chosen.only!r} in its name; --list prints them")
        return 2
    try:
        devices.require("cuda")
        if problem := tool.missing():
            raise EmulatorError(problem)
    except EmulatorError as error:
        console.print(str(error), highlight=False, markup=False)
        return 2
    begin, end = time.perf_counter(), time.monotonic() + chosen.seconds
    program, wanted = tool.find(), len(planted) + len(sound)
    kernels = {(job.variant, job.fault): job for job in (*planted, *sound)}
    for problem in execute(
        [partial(build, j) for j in kernels.values()], "kernels", console, "cuda"
    ):
        if problem is not None:
            raise problem

    results: list[Result] = []
    for what, some in (("planted faults", planted), ("jobs", sound)):
        for result in run_all(program, some, chosen.processes, end, what, console):
            results.append(result)
            if not result.ok:
                console.print(f"[bold red]FAIL[/] {result.job.name}", highlight=False)
                console.print(result.explain(), highlight=False, markup=False, soft_wrap=True)
            so_far = summary(results, wanted, time.perf_counter() - begin)
            evidence.write(chosen.evidence, "sanitize", "cuda", {**so_far, "complete": False})
        if what == "planted faults" and not all(r.ok for r in results):
            console.print("a tool that misses a planted fault proves nothing: no kernel was tried")
            break
    seconds = time.perf_counter() - begin
    evidence.write(chosen.evidence, "sanitize", "cuda", summary(results, wanted, seconds))
    console.print(table(results))
    ok = len(results) == wanted and all(r.ok for r in results)
    verdict = "[bold green]PASS[/]" if ok else "[bold red]FAIL[/]"
    console.print(f"{verdict} {len(results)} of {wanted} jobs, {seconds:.0f} s", highlight=False)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
