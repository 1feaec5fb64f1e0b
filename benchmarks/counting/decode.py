"""The work of one decoding step, counted on the emulator: ours, PyTorch's and MLX's shaders.

One sequence, in one run: bytes read from device memory as the least that there are to read (Q, K
and V once), 8x8 products as the least that the packed rows need, and launches; and whether that is
within what is promised, LIMITS.  The peers' shaders come with their wheels (`python -m
peers.fetch` gets MLX's).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from metal_flash_sdpa.splits import SIMDGROUPS_PER_CORE, Gpu

from benchmarks.counting.work import Work, counted, installed, ours, peer, peer_kernel, problem_for
from benchmarks.shapes import Shape
from peers import mlx
from peers.call import UnsupportedError

GROUPED = "mlx, grouped"

# What is promised of decoding one sequence, whatever the group.
MOST_READ = 1.05  # of the least
MOST_PRODUCTS = 1.1
MOST_LAUNCHES = 2
LEAST_SAVING = 2.0  # beside a peer that reads a key again for other heads of its group


def grouped(shape: Shape) -> Work:
    """MLX's kernel for groups of heads.  Raises UnsupportedError for groups that it has not."""
    problem = problem_for("mlx", shape)
    calls = mlx.grouped(problem, problem.new_output())
    return Work(GROUPED, tuple(peer_kernel(call, problem) for call in calls), counted(calls))


def peers(shape: Shape) -> list[Work]:
    """What is installed of them, by the path that each takes.

    And MLX's kernel for groups, where it has one that it would not take.
    """
    found = [peer(name, shape) for name in installed()]
    if "mlx" in installed() and not mlx.takes_grouped(problem_for("mlx", shape)):
        with contextlib.suppress(UnsupportedError):  # it has that kernel for some groups only
            found.append(grouped(shape))
    return found


@dataclass(frozen=True)
class Verdict:
    """One promise, and whether it was kept."""

    promise: str
    found: float
    limit: float

    @property
    def kept(self) -> bool:
        return self.found <= self.limit

    def __str__(self) -> str:
        kept = "yes" if self.kept else "NO"
        return f"{self.promise:44}  {self.found:8.3f}  {self.limit:8.3f}  {kept:>4}"


def verdicts(shape: Shape, own: Work, others: Sequence[Work]) -> list[Verdict]:
    """What is promised of `own` work, alone and beside that of others."""
    found = [
        Verdict("bytes read / least", own.bytes_read / shape.least_bytes, MOST_READ),
        Verdict("products / least", own.products / shape.least_products, MOST_PRODUCTS),
        Verdict("launches", own.launches, MOST_LAUNCHES),
    ]
    for other in others:
        again = shape.group >= 4 and other.bytes_read > LEAST_SAVING * shape.least_bytes
        limit = 1 / LEAST_SAVING if again else 1.0
        ratio = own.bytes_read / other.bytes_read
        found.append(Verdict(f"bytes read / {other.name}'s", ratio, limit))
    return found


def table(rows: Sequence[tuple[Shape, Work]]) -> str:
    """One line per shape and implementation."""
    lines = ["group  who             launches  read / least  products / least  MiB written"]
    for shape, work in rows:
        read = work.bytes_read / shape.least_bytes
        products = f"{work.products / shape.least_products:.3f}" if work.products else "none"
        lines.append(
            f"{shape.group:5}  {work.name:14}  {work.launches:8}  {read:12.3f}  {products:>16}"
            f"  {work.bytes_written / 2**20:11.2f}"
        )
    return "\n".join(lines)


def figures(work: Work) -> dict[str, object]:
    """What the JSON has of it."""
    names = ("name", "launches", "bytes_read", "bytes_written", "products")
    return {name: getattr(work, name) for name in names}


def main() -> None:
    """Prints the work and the verdicts; exits with 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 4, 8, 16], metavar="G")
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
    judged: list[tuple[Shape, Verdict]] = []
    for group in chosen.groups:
        if group < 1 or chosen.heads % group:
            parser.error(f"--groups: {group} must divide --heads, {chosen.heads}")
        shape = Shape(
            heads=chosen.heads,
            kv_heads=chosen.heads // group,
            head_dim=chosen.head_dim,
            keys=chosen.keys,
            dtype=chosen.dtype,
            queries=chosen.queries,
        )
        own, others = ours(shape, gpu), peers(shape)
        rows += [(shape, work) for work in (own, *others)]
        judged += [(shape, verdict) for verdict in verdicts(shape, own, others)]
    if chosen.json:
        print(json.dumps([asdict(shape) | figures(work) for shape, work in rows], indent=2))
    else:
        print(
            f"{chosen.heads} heads, head_dim {chosen.head_dim}, {chosen.queries} queries, "
            f"{chosen.keys} keys, {chosen.dtype}; counted on the emulator, "
            f"planned for {chosen.family} with {chosen.cores} cores"
        )
        print(table(rows))
        print("\ngroup  ours is to have at most                            found     limit  kept")
        for shape, verdict in judged:
            print(f"{shape.group:5}  {verdict}")
    sys.exit(any(not verdict.kept for _, verdict in judged))


if __name__ == "__main__":
    main()
