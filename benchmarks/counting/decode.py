"""The work of one decoding step, counted on the emulator: ours, PyTorch's and MLX's shaders.

One sequence, in one run: bytes read from device memory / the least (Q, K and V once), 8x8 products
/ the least that the packed rows need, and launches; and whether that keeps the promises below.  The
peers' shaders come with their wheels (`python -m peers.fetch` gets MLX's).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from metal_flash_sdpa.splits import SIMDGROUPS_PER_CORE, Gpu

from benchmarks.counting.ours import ours
from benchmarks.counting.theirs import counted, installed, peer, peer_kernel, problem_for
from benchmarks.counting.work import Work
from benchmarks.shapes import Shape
from benchmarks.target import Target, missed
from peers import mlx
from peers.call import UnsupportedError

GROUPED = "mlx, grouped"

# What is promised of decoding one sequence, whatever the number of heads per KV head.
MOST_READ = 1.05  # of the least
MOST_PRODUCTS = 1.1
MOST_LAUNCHES = 2
LEAST_SAVING = 2.0  # beside a peer that reads a key again for other heads of a KV head


def grouped(shape: Shape) -> Work:
    """MLX's kernel for many heads per KV head.  Raises UnsupportedError where it has none."""
    problem = problem_for("mlx", shape)
    calls = mlx.grouped(problem, problem.new_output())
    return Work(GROUPED, tuple(peer_kernel(call, problem) for call in calls), counted(calls))


def theirs(shape: Shape) -> list[Work]:
    """The work of every installed peer, by the path that it takes.

    And MLX's kernel for many heads per KV head, where it has one that it would not take.
    """
    works = [peer(name, shape) for name in installed()]
    if "mlx" in installed() and not mlx.takes_grouped(problem_for("mlx", shape)):
        with contextlib.suppress(UnsupportedError):  # it has few such kernels
            works.append(grouped(shape))
    return works


def targets(shape: Shape, own: Work, others: Sequence[Work]) -> list[Target]:
    """What is promised of `own` work, alone and beside that of others."""
    where = f"{shape.heads_per_kv_head} heads per KV head"
    promised = [
        Target("bytes read / least", own.bytes_read / shape.least_bytes, MOST_READ, where=where),
        Target("products / least", own.products / shape.least_products, MOST_PRODUCTS, where=where),
        Target("launches", own.launches, MOST_LAUNCHES, where=where),
    ]
    for other in others:
        again = shape.heads_per_kv_head >= 4 and other.bytes_read > LEAST_SAVING * shape.least_bytes
        limit = 1 / LEAST_SAVING if again else 1.0
        ratio = own.bytes_read / other.bytes_read
        promised.append(Target(f"bytes read / {other.name}'s", ratio, limit, where=where))
    return promised


def table(rows: Sequence[tuple[Shape, Work]]) -> str:
    """One line per shape and implementation."""
    lines = [
        "heads per KV head  who             launches  read / least  products / least  MiB written"
    ]
    for shape, work in rows:
        read = work.bytes_read / shape.least_bytes
        products = f"{work.products / shape.least_products:.3f}" if work.products else "none"
        lines.append(
            f"{shape.heads_per_kv_head:17}  {work.name:14}  {work.launches:8}  {read:12.3f}  "
            f"{products:>16}  {work.bytes_written / 2**20:11.2f}"
        )
    return "\n".join(lines)


def figures(work: Work) -> dict[str, object]:
    """What the JSON has of it."""
    names = ("name", "launches", "bytes_read", "bytes_written", "products")
    return {name: getattr(work, name) for name in names}


def main() -> None:
    """Prints the work and what is promised of it; exits with 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument(
        "--heads-per-kv-head", type=int, nargs="+", default=[1, 4, 8, 16], metavar="N"
    )
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--keys", type=int, default=8192)
    parser.add_argument("--queries", type=int, default=1)
    parser.add_argument("--family", choices=SIMDGROUPS_PER_CORE, default="M1", help="of the GPU")
    parser.add_argument("--cores", type=int, default=32, help="of the GPU to plan for")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    gpu = Gpu(chosen.family, chosen.cores)
    rows: list[tuple[Shape, Work]] = []
    judged: list[Target] = []
    for number in chosen.heads_per_kv_head:
        if number < 1 or chosen.heads % number:
            parser.error(f"--heads-per-kv-head: {number} must divide --heads, {chosen.heads}")
        shape = Shape(
            heads=chosen.heads,
            kv_heads=chosen.heads // number,
            head_dim=chosen.head_dim,
            keys=chosen.keys,
            dtype=chosen.dtype,
            queries=chosen.queries,
        )
        own, others = ours(shape, gpu), theirs(shape)
        rows += [(shape, work) for work in (own, *others)]
        judged += targets(shape, own, others)
    if chosen.json:
        print(json.dumps([asdict(shape) | figures(work) for shape, work in rows], indent=2))
    else:
        print(
            f"{chosen.heads} heads, head_dim {chosen.head_dim}, {chosen.queries} queries, "
            f"{chosen.keys} keys, {chosen.dtype}; counted on the emulator, "
            f"planned for {chosen.family} with {chosen.cores} cores"
        )
        print(table(rows))
        print("", *judged, sep="\n")
    sys.exit(bool(missed(judged)))


if __name__ == "__main__":
    main()
