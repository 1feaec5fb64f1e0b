"""Run the kernels on random attention calls and compare them with float64."""

from __future__ import annotations

import argparse
import os
import random
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import cycle, islice
from typing import Any

import torch
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import LaunchPlan
from rich.console import Console
from torch import Tensor

from emulator import Kernel
from emulator import compile as compile_shader
from verify import workers
from verify.case import Case, Shape
from verify.fuzz import search
from verify.fuzz.calls import Call, from_json
from verify.progress import console as terminal
from verify.progress import progress
from verify.run import Launch, run
from verify.variants import Variant, attention_variants, manifest

WIDTH = 120  # where the output is not a terminal
# A search of its own for so many cases, so that a seed means the same on any number of cores.
PIECE = 25
VARIANTS = 5  # of each piece: five cases make a kernel worth compiling


@cache
def compiled(variant: Variant) -> Kernel:
    """A kernel, compiled and loaded once: the processes that run calls inherit it."""
    kernel = compile_shader(variant.path, finite_math=True).function(variant.name)
    kernel.load(check=True)
    return kernel


@cache
def launcher(variant: Variant) -> Launch:
    """The variant's kernel and its helpers, under the checks."""
    return of_kernels({v.name: compiled(v) for v in (variant, *helpers(variant))}, check=True)


def of_kernels(kernels: Mapping[str, Kernel], **options: Any) -> Launch:
    """A launcher of these kernels by name; options go to the emulator."""

    def launch(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        emulator.launch_on(kernels[step.kernel], step, tensors, **options)

    return launch


def helpers(variant: Variant) -> list[Variant]:
    """The kernels before and after attention that a plan with this variant may launch, too."""
    attention = attention_variants()
    wanted = (variant.head_dim, variant.dtype)
    return [v for v in manifest() if (v.head_dim, v.dtype) == wanted and v not in attention]


def warm() -> None:
    """Let torch set itself up, which every forked process then inherits."""
    torch.set_num_threads(1)
    run(Case("warm", Shape((40,), (40,))), attention_variants()[0], lambda *_: None)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s fuzz --", description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="default: 100")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--replay", metavar="JSON", help="run this call alone")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="default: one per core"
    )
    return parser.parse_args()


def command(call: Call) -> str:
    """What repeats a call alone."""
    return f"nox -s fuzz -- --replay {shlex.quote(call.to_json())}"


def replay(text: str, console: Console) -> int:
    """Run one call again and say how it went."""
    try:
        call = from_json(text, attention_variants())
    except ValueError as error:
        console.print(f"--replay: {error}", markup=False)
        return 2
    why = search.why_wrong(call, launcher)
    console.print(f"FAIL {why}" if why else "PASS", markup=False)
    return 1 if why else 0


def pieces(cases: int, seed: int) -> list[Callable[[], search.Found]]:
    """The run in pieces, among which the variants are shared out."""
    variants = list(attention_variants())
    random.Random(seed).shuffle(variants)
    turn = cycle(variants)
    return [
        partial(
            search.search,
            list(islice(turn, VARIANTS)),
            launcher,
            min(PIECE, cases - begin),
            seed * 1_000_003 + begin,
        )
        for begin in range(0, cases, PIECE)
    ]


def run_pieces(
    tasks: Sequence[Callable[[], search.Found]], cases: int, processes: int, console: Console
) -> list[search.Found]:
    """What each piece found."""
    done = []
    with progress("cases", cases, console) as advance:
        for index, found in workers.run(tasks, processes):
            if isinstance(found, Exception):  # calls have processes of their own: our fault
                raise found
            done.append(found)
            advance(min(PIECE, cases - index * PIECE))
    return done


def main() -> int:
    chosen = options()
    console = terminal(WIDTH)
    warm()
    if chosen.replay:
        return replay(chosen.replay, console)
    begin = time.perf_counter()
    tasks = pieces(chosen.cases, chosen.seed)
    found = run_pieces(tasks, chosen.cases, chosen.processes, console)
    failures = [f.failure for f in found if f.failure]
    for failure in failures:
        console.print("[bold red]FAIL[/]", failure.call.variant.name)
        console.print(f"     {failure.call.case}", markup=False, soft_wrap=True)
        console.print(f"     {failure.why}", markup=False, soft_wrap=True)
        console.print(f"     {command(failure.call)}", markup=False, soft_wrap=True)
    verdict = "[bold red]FAIL[/]" if failures else "[bold green]PASS[/]"
    console.print(
        f"{verdict} {sum(f.calls for f in found):,} cases, seed {chosen.seed}, "
        f"{len(failures)} failures, {time.perf_counter() - begin:.0f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
