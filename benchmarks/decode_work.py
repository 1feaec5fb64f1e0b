"""The work of one decoding step, counted on the emulator: ours, PyTorch's and MLX's shaders.

One sequence, one query, in one run: bytes read from device memory as the least that there are to
read (Q, K and V once), 8x8 products as the least that the packed rows need, and launches.  The
peers' shaders come with their wheels (`python -m benchmarks.peers.fetch` gets MLX's).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import run
from metal_flash_sdpa.plan import LaunchPlan, Request, plan
from torch import Tensor

from benchmarks.peers import mlx, pytorch
from benchmarks.peers.call import Attention, PeerCall, UnsupportedError
from emulator.counts import Counts

FRAGMENT = 8  # rows and columns of a product


@dataclass(frozen=True)
class Shape:
    """One query of each head over a cache."""

    heads: int
    kv_heads: int
    head_dim: int
    keys: int
    dtype: str = "float16"

    @property
    def least_bytes(self) -> int:
        """Q, K and V, each element read once."""
        elements = self.heads + 2 * self.kv_heads * self.keys
        return elements * self.head_dim * int(getattr(torch, self.dtype).itemsize)

    @property
    def least_products(self) -> int:
        """Q K^T and P V, with as many rows of a group in a fragment as it holds."""
        rows = math.ceil(self.heads / self.kv_heads / FRAGMENT)
        keys, columns = math.ceil(self.keys / FRAGMENT), self.head_dim // FRAGMENT
        return 2 * self.kv_heads * rows * keys * columns


@dataclass(frozen=True)
class Work:
    """What an implementation did for a shape."""

    name: str
    launches: int
    bytes_read: int
    bytes_written: int
    products: int  # 8x8; 0 where dot products take their place


def total(name: str, counts: Sequence[Counts]) -> Work:
    """The work of all launches."""
    read, written = (sum(c[f"device.bytes_{what}"] for c in counts) for what in ("read", "written"))
    return Work(name, len(counts), read, written, sum(c.total("products.") for c in counts))


def draw(shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v as (1, heads, rows, head_dim)."""
    generator = torch.Generator().manual_seed(0)
    rows = ((shape.heads, 1), (shape.kv_heads, shape.keys), (shape.kv_heads, shape.keys))
    q, k, v = (
        torch.randn(1, *part, shape.head_dim, generator=generator).to(getattr(torch, shape.dtype))
        for part in rows
    )
    return q, k, v


def strides(x: Tensor) -> tuple[int, int, int]:
    """(batch, row, head)."""
    batch, row, head = x.stride()[:3]
    return batch, row, head


def ours(shape: Shape, cores: int) -> Work:
    """This package's plan, for a GPU of so many cores."""
    q, k, v = (x.transpose(1, 2) for x in draw(shape))
    out, lse = torch.empty_like(q), torch.empty(1, shape.heads, 1)
    request = Request(
        dtype=shape.dtype,
        head_dim=shape.head_dim,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        batch=1,
        q_len=1,
        k_len=shape.keys,
        packed=False,
        q_strides=strides(q),
        k_strides=strides(k),
        v_strides=strides(v),
        out_strides=strides(out),
        softmax_scale=shape.head_dim**-0.5,
        cores=cores,
    )
    counts: list[Counts] = []

    def count(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        counts.append(launcher.launch(step, tensors, count=True).counts)

    run(plan(request), {"q": q, "k": k, "v": v, "out": out, "lse": lse}, count)
    return total("ours", counts)


def counted(name: str, calls: Sequence[PeerCall]) -> Work:
    """A peer's launches."""
    return total(
        name,
        [
            call.kernel.launch(call.args, call.threadgroups, call.threads, count=True).counts
            for call in calls
        ],
    )


def peers(shape: Shape) -> list[Work]:
    """What is installed of them, by the path that each takes."""
    q, k, v = draw(shape)
    problem = Attention(q, k, v, shape.head_dim**-0.5)
    found = []
    if pytorch.available(pytorch.DECODE):
        found.append(counted("PyTorch", pytorch.attention(problem, problem.new_output())))
    if mlx.available():
        found.append(counted("MLX", mlx.attention(problem, problem.new_output())))
        try:
            calls = mlx.grouped(problem, problem.new_output())
            found.append(counted("MLX, grouped", calls))
        except UnsupportedError:
            pass  # it has that kernel for some groups only
    return found


def main() -> None:
    """Prints one line per implementation and group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 4, 8], metavar="G")
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--keys", type=int, default=8192)
    parser.add_argument("--cores", type=int, default=32, help="of the GPU to plan for")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = []
    for group in chosen.groups:
        if group < 1 or chosen.heads % group:
            parser.error(f"--groups: {group} must divide --heads, {chosen.heads}")
        kv_heads = chosen.heads // group
        shape = Shape(chosen.heads, kv_heads, chosen.head_dim, chosen.keys, chosen.dtype)
        rows += [(group, shape, work) for work in (ours(shape, chosen.cores), *peers(shape))]
    if chosen.json:
        print(json.dumps([asdict(shape) | asdict(work) for _, shape, work in rows], indent=2))
        return
    print(f"{chosen.heads} heads, head_dim {chosen.head_dim}, {chosen.keys} keys, {chosen.dtype}")
    print("group  who             launches  read / least  products / least  MiB written")
    for group, shape, work in rows:
        read = work.bytes_read / shape.least_bytes
        products = f"{work.products / shape.least_products:.3f}" if work.products else "none"
        print(
            f"{group:5}  {work.name:14}  {work.launches:8}  {read:12.3f}  {products:>16}"
            f"  {work.bytes_written / 2**20:11.2f}"
        )


if __name__ == "__main__":
    main()
