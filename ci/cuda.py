"""Compiles the project's kernels for an NVIDIA GPU, on a machine that has none.

One of each family, dtype and mask mode, with head dims in turn; `--all` for every kernel.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import emulator

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "generated"


def sample(variants: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One variant of each family, dtype, dtype of K and V, mask mode and with or without sinks."""
    kinds: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for variant in variants:
        kind = tuple(variant.get(x) for x in ("family", "dtype", "kv_dtype", "mask", "sinks"))
        kinds.setdefault(kind, []).append(variant)
    return [those[turn % len(those)] for turn, those in enumerate(kinds.values())]


def compile_one(variant: Mapping[str, Any]) -> tuple[str, float, str]:
    """The kernel's name, seconds, and what is wrong with it."""
    begin = time.perf_counter()
    try:
        # As the package's launcher compiles it: see launchers/emulator.py.
        library = emulator.compile(GENERATED / variant["file"], finite_math=True)
        library.prebuild_cuda(variant["name"])
    except emulator.EmulatorError as error:
        return variant["name"], time.perf_counter() - begin, str(error)
    return variant["name"], time.perf_counter() - begin, ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="nox -s cuda --", description=__doc__)
    parser.add_argument(
        "--all", action="store_true", help="every kernel instead of one of each kind"
    )
    options = parser.parse_args()
    variants = json.loads((GENERATED / "manifest.json").read_text())
    chosen = variants if options.all else sample(variants)
    begin = time.perf_counter()
    failed = 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for number, (name, seconds, problem) in enumerate(
            pool.imap_unordered(compile_one, chosen), 1
        ):
            failed += bool(problem)
            print(f"{number:4}/{len(chosen)} {seconds:5.1f} s  {name}", flush=True)
            if problem:
                print(problem, flush=True)
    print(
        f"{len(chosen) - failed} of {len(chosen)} kernels ({len(variants)} in all) compile for "
        f"sm_90, {time.perf_counter() - begin:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
