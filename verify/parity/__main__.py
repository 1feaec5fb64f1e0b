"""Run the kernels over the case table and print whether they compute attention."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from codegen.matrix import matrix
from codegen.render import compare as compare_generated
from codegen.render import outputs
from emulator import EmulatorError
from emulator import compile as compile_metal
from verify import cases as table
from verify import devices, evidence
from verify.case import Case
from verify.parity import large, report
from verify.progress import console as terminal
from verify.progress import execute
from verify.run import Outcome, run
from verify.variants import GENERATED, Variant, manifest

ROOT = Path(__file__).resolve().parent.parent.parent
REPORT_FOLDER = ROOT / "build" / "parity"
SHOWN_FAILURES = 20
TABLE_WIDTH = 168  # where the output is not a terminal


def run_variant(
    variant: Variant, chosen: Sequence[Case], device: str, check: bool = False
) -> report.VariantResult:
    """Every chosen case on one variant; with `check`, under the emulator's checks."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    launch = devices.launcher(device)
    results = []
    for case in chosen:
        checked = partial(launch, check=True, schedule=case.seed) if check else launch
        with devices.room_for(case, device):
            results.append(run(case, variant, checked, devices.tensors_on(device)))
        if not results[-1].ok and not devices.is_usable():
            rest = len(chosen) - len(results)
            return report.VariantResult(
                variant,
                tuple(results),
                time.perf_counter() - start,
                f"{case.name}: the GPU can no longer be used; {rest} cases behind it did not run",
            )
    # What the kernel declares is the source's; the CPU's compiler says it exactly.
    problem = wrong_manifest(variant) if device == "emulator" else ""
    return report.VariantResult(variant, tuple(results), time.perf_counter() - start, problem)


def wrong_manifest(variant: Variant) -> str:
    """What the manifest says of the kernel's threadgroup memory and the compiler does not."""
    # Built as the launcher builds it: a build of another kind would take as long again.
    library = compile_metal(GENERATED / variant.file, finite_math=True)
    declared = library.function(variant.name).threadgroup_bytes
    if declared == variant.threadgroup_bytes:
        return ""
    return f"{declared} bytes of threadgroup memory; the manifest has {variant.threadgroup_bytes}"


def run_seed_row(case: Case, variant: Variant, device: str) -> report.SeedRow:
    """One row of the seed's table."""
    outcome: Outcome = run_variant(variant, [case], device).outcomes[0]
    ok = (
        outcome.ok
        and outcome.out.max_abs <= table.SEED_MAX_ABS
        and outcome.out.cosine >= table.SEED_COSINE
    )
    return report.SeedRow(case.name, outcome.out.cosine, outcome.out.max_abs, ok)


def run_large(tokens: int, device: str) -> large.LargeRun:
    """One length of the long run."""
    torch.set_num_threads(1)
    return large.run(tokens, devices.launcher(device), devices.tensors_on(device))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s parity --", description=__doc__)
    variants = manifest()
    parser.add_argument("--family", choices=dict.fromkeys(v.family for v in variants))
    parser.add_argument("--head-dim", choices=dict.fromkeys(v.columns for v in variants))
    parser.add_argument("--dtype", choices=sorted({v.dtype for v in variants}))
    parser.add_argument("--mask", choices=sorted({v.mask for v in variants if v.mask}))
    parser.add_argument(
        "--sinks",
        action=argparse.BooleanOptionalAction,
        help="only kernels that take sinks, only those that take none",
    )
    parser.add_argument(
        "--dropout",
        action=argparse.BooleanOptionalAction,
        help="only kernels with dropout, only those without",
    )
    parser.add_argument("--case", help="only the case of this name")
    devices.add_option(parser)
    parser.add_argument(
        "--check",
        action="store_true",
        help="look for races, stray accesses and unwritten memory: the emulator's checks, over "
        "the cases that matter to them, each in another schedule",
    )
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="report on what is known after so many"
    )
    evidence.add_option(parser)
    chosen = parser.parse_args()
    if chosen.check and chosen.device != "emulator":
        devices.refuse(parser, "--check", chosen.device)
    return chosen


def reproduce(variant: Variant, case: str, device: str, check: bool) -> str:
    """The command that runs one case of one variant alone."""
    mask = f"--mask {variant.mask} " if variant.mask else ""
    sinks = "--sinks" if variant.sinks else "--no-sinks"
    sinks += " --dropout" if variant.dropout else " --no-dropout"
    options = " --check" if check else ""
    options += f' --case "{case}"' if case else ""
    return (
        f"nox -s parity -- --family {variant.family} --head-dim {variant.columns} "
        f"--dtype {variant.dtype} {mask}{sinks} --device {device}{options}"
    )


def select(chosen: argparse.Namespace) -> list[tuple[Variant, list[Case]]]:
    """The variants asked for, each with the cases asked for."""
    selected = []
    for variant in manifest():
        wanted = (
            chosen.family in (None, variant.family)
            and chosen.head_dim in (None, variant.columns)
            and chosen.dtype in (None, variant.dtype)
            and chosen.mask in (None, variant.mask)
            and chosen.sinks in (None, variant.sinks)
            and chosen.dropout in (None, variant.dropout)
        )
        of_kernel = table.every_case if chosen.case else table.cases
        available = of_kernel(variant)
        if chosen.check:
            available = table.edges(available)
        run_on = [c for c in available if chosen.case in (None, c.name)]
        if wanted and run_on:
            selected.append((variant, run_on))
    return selected


def run_matrix(
    selected: Sequence[tuple[Variant, list[Case]]],
    device: str,
    check: bool,
    console: Console,
    seconds: float,
) -> tuple[report.VariantResult, ...]:
    """Every selected variant on its cases; those that the time is enough for."""
    tasks = [partial(run_variant, variant, run_on, device, check) for variant, run_on in selected]
    results = execute(tasks, "variants", console, device, seconds)
    return tuple(
        report.VariantResult(variant, (), 0.0, repr(result))
        if isinstance(result, Exception)
        else result
        for (variant, _), result in zip(selected, results)
        if result is not None
    )


def run_seed(device: str, console: Console) -> tuple[report.SeedRow, ...]:
    """The seed's own table."""
    by_mode = {
        v.mode: v for v in manifest() if (v.family, v.head_dim, v.dtype) == table.SEED_VARIANT
    }
    rows = [(case, by_mode[mode]) for case, mode in table.seed_rows()]
    tasks = [partial(run_seed_row, case, variant, device) for case, variant in rows]
    results = execute(tasks, "seed rows", console, device)
    return tuple(
        report.SeedRow(f"{case.name}: {result!r}", 0.0, float("inf"), False)
        if isinstance(result, Exception)
        else result
        for (case, _), result in zip(rows, results)
    )


def run_long(device: str, console: Console) -> tuple[large.LargeRun, ...]:
    """The long run at each of its lengths."""
    tasks = [partial(run_large, tokens, device) for tokens in large.TOKENS]
    results = execute(tasks, "long runs", console, device)
    return tuple(
        large.LargeRun.failed(tokens, repr(result)) if isinstance(result, Exception) else result
        for tokens, result in zip(large.TOKENS, results)
    )


def print_failures(done: report.Report, check: bool, console: Console) -> None:
    """What failed, where, and the command that repeats it alone."""
    failures = [(r.variant, *f) for r in done.results for f in r.failures()]
    for variant, case, why in failures[:SHOWN_FAILURES]:
        console.print(f"[bold red]FAIL[/] {variant.name}: {case}", highlight=False)
        console.print(f"     {why}", highlight=False, markup=False)
        console.print(f"     {reproduce(variant, case, done.device, check)}", highlight=False)
    if len(failures) > SHOWN_FAILURES:
        console.print(f"... and {len(failures) - SHOWN_FAILURES} more; see the report")
    for long_run in done.large:
        if long_run.problem:
            console.print(
                f"[bold red]FAIL[/] {long_run.tokens} tokens: {long_run.problem}", highlight=False
            )
    if not done.large_flat:
        console.print("[bold red]FAIL[/] memory beyond the tensors grows with the length")


def main() -> int:
    chosen = options()
    console = terminal(TABLE_WIDTH)
    start = time.perf_counter()

    try:
        devices.require(chosen.device)
    except EmulatorError as error:
        console.print(f"--device {chosen.device}: {error}", highlight=False, markup=False)
        return 2
    stale = compare_generated(outputs(matrix()))
    if stale:
        console.print("generated/ is not fresh; run `python -m codegen`:", *stale.lines(), sep="\n")
        return 1
    selected = select(chosen)
    if not selected:
        names = sorted({c.name for v in manifest() for c in table.cases(v)})
        console.print(f"no variant has a case {chosen.case!r}; the cases are:", *names, sep="\n  ")
        return 1

    count = sum(len(run_on) for _, run_on in selected)
    everything = chosen.case is None and len(selected) == len(manifest()) and not chosen.check
    where = chosen.device + (", with checks" if chosen.check else "")
    console.print(f"{len(selected)} variants, {count:,} cases, on {where}", highlight=False)
    results = run_matrix(selected, chosen.device, chosen.check, console, chosen.seconds)
    complete = len(results) == len(selected)
    everything = everything and complete
    seed = run_seed(chosen.device, console) if everything else ()
    long_runs = run_long(chosen.device, console) if everything else ()
    done = report.Report(chosen.device, results, seed, long_runs, time.perf_counter() - start)
    report.write(done, REPORT_FOLDER)
    evidence.write(
        chosen.evidence,
        "checks" if chosen.check else "parity",
        chosen.device,
        report.summary(done, count),
    )

    console.print(*report.matrix_tables(done), sep="\n")
    if everything:
        console.print(report.seed_table(done))
        console.print(report.large_table(done))
    print_failures(done, chosen.check, console)
    verdict = "[bold green]PASS[/]" if done.ok and complete else "[bold red]FAIL[/]"
    console.print(
        f"{verdict} {done.passed} of {len(selected)} variants, {count:,} cases, "
        f"{done.seconds:.0f} s on {where}; "
        f"{(REPORT_FOLDER / 'report.html').relative_to(ROOT)}",
        highlight=False,
    )
    if not complete:
        console.print(f"cut short: {len(results)} of {len(selected)} variants", highlight=False)
    return 0 if done.ok and complete else 1


if __name__ == "__main__":
    sys.exit(main())
