"""One shape, three implementations: ours, MLX's and PyTorch's, counted and modelled.

The counts are those of the shaders on the emulator, extrapolated (exactly) from fewer tokens where
a shape is large; the times are what model/cost.py makes of them for each GPU, not measurements.

With --backward it is one training step, forward and backward: ours, launch by launch, beside the
single operations that PyTorch and MLX train with, whose work is calculated (model/unfused.py).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from metal_flash_sdpa.catalogue import BUILT_IN
from metal_flash_sdpa.splits import Gpu

from benchmarks.counting.backward import training
from benchmarks.counting.interior import interior
from benchmarks.counting.ours import ours
from benchmarks.counting.theirs import AVAILABLE, installed, peer
from benchmarks.counting.work import FEW_QUERIES, Work, arithmetic, derived, family
from benchmarks.model import unfused
from benchmarks.model.chips import REPORTED, chips
from benchmarks.model.cost import estimate, milliseconds, modelled, registers
from benchmarks.shapes import MASKS, UNBOUNDED, Shape, ShapeError
from peers.call import UnsupportedError


def head_dims() -> list[int]:
    """Those that we have kernels for."""
    return list(BUILT_IN.head_dims)


def dtypes() -> list[str]:
    """Those that we have kernels for."""
    return list(BUILT_IN.dtypes)


def parse(arguments: list[str] | None = None) -> tuple[Shape, argparse.Namespace]:
    """The shape that a command line names.  Exits with a message for one that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--head-dim", type=int, default=128, choices=head_dims())
    parser.add_argument("--dtype", default="float16", choices=dtypes())
    parser.add_argument("--tokens", type=int, default=1024, help="keys; queries, too, by default")
    parser.add_argument("--queries", type=int, help="the last of the tokens; 1: decode")
    parser.add_argument("--mask", default="full", choices=MASKS)
    parser.add_argument(
        "--window",
        type=int,
        nargs="+",
        metavar="N",
        help="LEFT RIGHT keys around the diagonal, or one number: half of it on either side "
        "(default for --mask window: 128)",
    )
    parser.add_argument("--sinks", action="store_true")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--kv-heads", type=int, help="default: as many as heads")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument(
        "--cores", type=int, default=32, help="of the GPU that decoding is split for"
    )
    parser.add_argument(
        "--backward", action="store_true", help="a training step, beside the unfused composition"
    )
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    window = UNBOUNDED
    if chosen.mask == "window":
        sides = chosen.window or [128]
        if len(sides) > 2:
            parser.error(f"--window: {sides} are {len(sides)} numbers, must be one or two")
        if min(sides) < 0:
            parser.error(f"--window: {min(sides)} must be at least 0")
        window = (sides[0], sides[1]) if len(sides) == 2 else (sides[0] // 2, sides[0] // 2)
    elif chosen.window is not None:
        parser.error(f"--window: only --mask window has one, not --mask {chosen.mask}")
    if chosen.cores < 1:
        parser.error(f"--cores: {chosen.cores} must be at least 1")
    try:
        shape = Shape(
            heads=chosen.heads,
            kv_heads=chosen.heads if chosen.kv_heads is None else chosen.kv_heads,
            head_dim=chosen.head_dim,
            keys=chosen.tokens,
            dtype=chosen.dtype,
            queries=chosen.tokens if chosen.queries is None else chosen.queries,
            batch=chosen.batch,
            causal=chosen.mask == "causal",
            window=window,
            sinks=chosen.sinks,
        )
    except ShapeError as error:
        parser.error(str(error))
    return shape, chosen


def compare(shape: Shape, cores: int) -> dict[str, Work | str]:
    """The work of each; a sentence in place of one that has no kernel, or is not installed."""
    results: dict[str, Work | str] = {"ours": ours(shape, Gpu(cores=cores))}
    for name in AVAILABLE:
        if name not in installed():
            results[name] = "not installed; `python -m peers.fetch` gets MLX's shaders"
            continue
        try:
            results[name] = peer(name, shape)
        except UnsupportedError as error:
            results[name] = f"no kernel: {error}"
    return results


def document(results: dict[str, Work | str], shape: Shape) -> dict[str, Any]:
    """What --json prints."""
    return {
        name: {"error": work}
        if isinstance(work, str)
        else {
            "kernels": [kernel.name for kernel in work.kernels],
            "counts": dict(work.counts),
            "derived": derived(work, shape),
            "interior": interior_of(name, shape),
            "modelled_ms": {chip: round(ms, 5) for chip, ms in modelled(work, shape).items()},
            "limited_by": {chip: estimate(work, shape, chips()[chip]).limit for chip in REPORTED},
            "registers": registers(work, shape),
        }
        for name, work in results.items()
    }


def interior_of(name: str, shape: Shape) -> dict[str, float]:
    """Of the inner loop; {} for kernels for few queries, which have no blocks."""
    if shape.queries <= FEW_QUERIES:
        return {}
    return {f"inner {key.replace('_', ' ')}": n for key, n in asdict(interior(name, shape)).items()}


def table(results: dict[str, Work | str], shape: Shape) -> str:
    """What is printed without --json."""
    counted = {name: work for name, work in results.items() if isinstance(work, Work)}
    columns = {
        name: derived(work, shape)
        | interior_of(name, shape)
        | {f"modelled ms, {chip}": ms for chip, ms in modelled(work, shape).items()}
        for name, work in counted.items()
    }
    lines = [f"{'':26}" + "".join(f"{name:>14}" for name in counted)]
    for row in columns["ours"]:
        lines.append(f"{row:26}" + "".join(f"{cells[row]:14,.5g}" for cells in columns.values()))
    lines += [f"{name}: {work}" for name, work in results.items() if isinstance(work, str)]
    return "\n".join(lines)


def training_columns(shape: Shape, cores: int) -> dict[str, dict[str, float]]:
    """A training step of one shape: a column for each launch of ours, and of the composition."""
    done = training(shape, Gpu(cores=cores))
    gpus = {f"modelled ms, {name}": chips()[name] for name in REPORTED}
    columns: dict[str, dict[str, float]] = {}
    for work in done.launches:
        name = "forward" if work is done.forward else work.name
        times = {row: milliseconds(work, shape, gpu) for row, gpu in gpus.items()}
        columns[name] = {
            "products": work.products,
            "device bytes": family(work.counts, "device.bytes"),
            "threadgroup bytes": family(work.counts, "threadgroup.bytes"),
            "arithmetic": arithmetic(work.counts),
            "launches": work.launches,
            **times,
        }
    rows = columns["forward"]
    ours = {row: sum(column[row] for column in columns.values()) for row in rows}
    theirs = {
        "products": unfused.products(shape),
        "device bytes": unfused.traffic(shape),
        "launches": len(unfused.operations(shape)),
        **{row: unfused.milliseconds(shape, gpu) for row, gpu in gpus.items()},
    }
    extra = "MiB beyond in and out"
    return {
        "ours": ours | {extra: done.backward.extra_bytes / 2**20},
        "unfused": theirs | {extra: unfused.extra_bytes(shape) / 2**20},
        **columns,
    }


def training_table(columns: dict[str, dict[str, float]]) -> str:
    """What --backward prints without --json."""
    lines = [f"{'':24}" + "".join(f"{name:>14}" for name in columns)]
    for row in columns["ours"]:
        cells = (f"{column[row]:,.5g}" if row in column else "" for column in columns.values())
        lines.append((f"{row:24}" + "".join(f"{cell:>14}" for cell in cells)).rstrip())
    lines.append(
        "ours: counted, all launches, of which the columns on the right are each; unfused: "
        "calculated, its device bytes those of n^2 matrices alone"
    )
    return "\n".join(lines)


def main() -> None:
    """Prints the comparison of one shape."""
    shape, chosen = parse()
    if chosen.backward:
        columns = training_columns(shape, chosen.cores)
        print(json.dumps(columns, indent=2) if chosen.json else training_table(columns))
        return
    results = compare(shape, chosen.cores)
    print(json.dumps(document(results, shape), indent=2) if chosen.json else table(results, shape))


if __name__ == "__main__":
    main()
