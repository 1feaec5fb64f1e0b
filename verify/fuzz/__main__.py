"""Run the kernels on random attention calls and compare them with float64."""

from __future__ import annotations

import argparse
import math
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import cycle, islice
from typing import Any

import torch
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import LaunchPlan
from rich.console import Console
from torch import Tensor

from emulator import EmulatorError, Kernel
from emulator import compile as compile_shader
from verify import devices, evidence, workers
from verify.case import Case, Shape
from verify.fuzz import search
from verify.fuzz.calls import Call, from_json
from verify.progress import console as terminal
from verify.progress import progress
from verify.run import Launch, run
from verify.variants import Variant, attention_variants, backward_variants, helpers

WIDTH = 120  # where the output is not a terminal
# A search of its own for so many cases, so that a seed means the same on any number of cores.
PIECE = 25
REPORT_EVERY = 200  # pieces: then the report is written as far as it goes
VARIANTS = 5  # of each piece: five cases make a kernel worth compiling


def variants() -> tuple[Variant, ...]:
    """Those whose calls are drawn."""
    return attention_variants() + backward_variants()


@cache
def compiled(variant: Variant) -> Kernel:
    """A kernel, compiled and loaded once: the processes that run calls inherit it."""
    kernel = compile_shader(variant.path, finite_math=True).function(variant.name)
    kernel.load(check=True)
    return kernel


@cache
def under_checks(variant: Variant) -> Launch:
    """The variant's kernel and its helpers, under the checks."""
    return of_kernels({v.name: compiled(v) for v in (variant, *helpers(variant))}, check=True)


def launcher(device: str, variant: Variant) -> Launch:
    """What runs a variant's calls: the CPU under the checks, or the package's own launcher."""
    return under_checks(variant) if device == "emulator" else devices.launcher(device)


def of_kernels(kernels: Mapping[str, Kernel], **options: Any) -> Launch:
    """A launcher of these kernels by name; options go to the emulator."""

    def launch(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        emulator.launch_on(kernels[step.kernel], step, tensors, **options)

    return launch


def warm() -> None:
    """Let torch set itself up, which every forked process then inherits."""
    torch.set_num_threads(1)
    devices.import_all()
    run(Case("warm", Shape((40,), (40,))), attention_variants()[0], lambda *_: None)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s fuzz --", description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="default: 100")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--replay", metavar="JSON", help="run this call alone")
    devices.add_processes_option(parser)
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin no more cases after so many"
    )
    devices.add_option(parser, ("emulator", "cuda"))
    evidence.add_option(parser)
    return parser.parse_args()


def command(call: Call, device: str = "emulator") -> str:
    """What repeats a call alone."""
    return f"nox -s fuzz -- --replay {shlex.quote(call.to_json())} --device {device}"


def replay(text: str, console: Console, device: str = "emulator") -> int:
    """Run one call again and say how it went."""
    try:
        call = from_json(text, variants())
    except ValueError as error:
        console.print(f"--replay: {error}", markup=False)
        return 2
    why = search.why_wrong(call, partial(launcher, device), device)
    console.print(f"FAIL {why}" if why else "PASS", markup=False)
    return 1 if why else 0


def pieces(cases: int, seed: int, device: str) -> list[Callable[[], search.Found]]:
    """The run in pieces, among which the variants are shared out."""
    shuffled = list(variants())
    random.Random(seed).shuffle(shuffled)
    turn = cycle(shuffled)
    return [
        partial(
            search.search,
            list(islice(turn, VARIANTS)),
            partial(launcher, device),
            min(PIECE, cases - begin),
            seed * 1_000_003 + begin,
            device,
        )
        for begin in range(0, cases, PIECE)
    ]


def run_pieces(
    tasks: Sequence[Callable[[], search.Found]], chosen: argparse.Namespace, console: Console
) -> Iterator[search.Found]:
    """What each piece found, until the time is up."""
    end = time.monotonic() + chosen.seconds
    with progress("cases", chosen.cases, console) as advance:
        for index, found in devices.each(tasks, chosen.device, chosen.processes):
            if isinstance(found, workers.CrashError) and chosen.device == "cuda":
                found = search.Found(0, search.Failure(None, f"a piece's process: {found}"))
            elif isinstance(found, Exception):  # calls have processes of their own: our fault
                raise found
            yield found
            advance(min(PIECE, chosen.cases - index * PIECE))
            if time.monotonic() > end:
                return


def summary(found: Sequence[search.Found], chosen: argparse.Namespace, seconds: float) -> Any:
    """What docs/evidence.md says of a run."""
    failures = [f.failure for f in found if f.failure]
    return {
        "ran": sum(f.calls for f in found),
        "wanted": chosen.cases,
        "seed": chosen.seed,
        "failed": len(failures),
        "failures": evidence.failures((f.name, f.why) for f in failures),
        "seconds": round(seconds, 1),
        "complete": sum(f.calls for f in found) >= chosen.cases,
    }


def main() -> int:
    chosen = options()
    console = terminal(WIDTH)
    try:
        devices.require(chosen.device)
    except EmulatorError as error:
        console.print(f"--device {chosen.device}: {error}", highlight=False, markup=False)
        return 2
    if chosen.device == "emulator":
        warm()
    if chosen.replay:
        return replay(chosen.replay, console, chosen.device)
    begin = time.perf_counter()
    tasks = pieces(chosen.cases, chosen.seed, chosen.device)
    found: list[search.Found] = []
    for one in run_pieces(tasks, chosen, console):
        found.append(one)
        if one.failure or len(found) % REPORT_EVERY == 0:
            so_far = summary(found, chosen, time.perf_counter() - begin)
            evidence.write(chosen.evidence, "fuzz", chosen.device, {**so_far, "complete": False})
    failures = [f.failure for f in found if f.failure]
    for failure in failures:
        console.print("[bold red]FAIL[/]", failure.name)
        if failure.call is not None:
            console.print(f"     {failure.call.case}", markup=False, soft_wrap=True)
        console.print(f"     {failure.why}", markup=False, soft_wrap=True)
        if failure.call is not None:
            again = command(failure.call, chosen.device)
            console.print(f"     {again}", markup=False, soft_wrap=True)
    seconds = time.perf_counter() - begin
    evidence.write(chosen.evidence, "fuzz", chosen.device, summary(found, chosen, seconds))
    verdict = "[bold red]FAIL[/]" if failures else "[bold green]PASS[/]"
    console.print(
        f"{verdict} {sum(f.calls for f in found):,} cases, seed {chosen.seed}, "
        f"{len(failures)} failures, {seconds:.0f} s on {chosen.device}"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
