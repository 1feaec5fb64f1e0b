"""Estimates every attention kernel's registers, beside the second opinion; for docs/evidence.md.

The estimate is that of codegen/tile_shapes.py, for bfloat16 once more with each element in a
whole register.  The second opinion is LLVM's allocator for an AMD GPU
(emulator/opencl/lowering.py).  Neither is Apple's compiler.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import emulator
from codegen.matrix import Variant, matrix
from codegen.tile_shapes import MAX_REGISTERS
from verify import evidence

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "generated"


def chosen(variants: Iterable[Variant]) -> list[Variant]:
    """Of each shape with an estimate the kernel that has most to remember."""
    most = {(v.file, v.tile): v for v in variants if v.live()}  # window and sinks stand last
    return list(most.values())


def row(variant: Variant) -> dict[str, Any]:
    """What is said of a kernel."""
    opinion = emulator.compile(GENERATED / variant.file).second_opinion(variant.name)
    widened = sum(variant.live(widened=True).values()) if variant.dtype == "bfloat16" else None
    return {
        "kernel": variant.name,
        "estimate": sum(variant.live().values()),
        "widened": widened,
        "registers": opinion.registers,
        "spilled": opinion.spilled,
        "doubted": variant.in_doubt,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m verify.registers", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="kernels with TEXT in the name")
    evidence.add_option(parser)
    options = parser.parse_args(arguments)
    variants = [v for v in chosen(matrix()) if options.only in v.name]
    begin = time.monotonic()
    rows = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in pool.map(row, variants):
            rows.append(done)
            print(f"{len(rows)}/{len(variants)} {done}", flush=True)
    unexplained = [
        (r["kernel"], f"{r['spilled']} spilled, and codegen/doubts.py does not name its tile")
        for r in rows
        if (r["spilled"] or max(r["estimate"], r["widened"] or 0) > MAX_REGISTERS)
        and not r["doubted"]
    ]
    evidence.write(
        options.evidence,
        "registers",
        "emulator",
        {
            "ran": len(rows),
            "failed": len(unexplained),
            "failures": evidence.failures(unexplained),
            "seconds": time.monotonic() - begin,
            "complete": True,
            "rows": rows,
        },
    )
    for name, why in unexplained:
        print(f"{name}: {why}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
