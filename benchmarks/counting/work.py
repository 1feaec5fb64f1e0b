"""The work of one attention call: what was counted, by the emulator's names, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.shapes import Shape

# For so few query rows an implementation may take another kernel, so they are not extrapolated.
FEW_QUERIES = 16

# Scalar instructions that are neither memory access nor control: README.md of the emulator.
ARITHMETIC = ("int", "float", "half", "bfloat", "compare", "select", "convert", "address")


@dataclass(frozen=True)
class Kernel:
    """What a launch needs of a core, beside the work."""

    name: str
    threads: int  # per threadgroup
    threadgroup_bytes: int
    block_q: int  # rows and keys of a tile
    block_k: int
    registers: int = 0  # 32-bit, per thread, as the tile table estimates them; 0: not estimated


@dataclass(frozen=True)
class Work:
    """What an implementation did for a shape."""

    name: str
    kernels: tuple[Kernel, ...]  # one per launch
    counts: Mapping[str, int]  # of all launches, by the emulator's names
    extra_bytes: int = 0  # of device memory beyond inputs and outputs
    # Of what is read and written, each byte once; None: the inputs and outputs of a forward pass.
    once_bytes: int | None = None

    @property
    def launches(self) -> int:
        return len(self.kernels)

    @property
    def bytes_read(self) -> int:
        return self.counts["device.bytes_read"]

    @property
    def bytes_written(self) -> int:
        return self.counts["device.bytes_written"]

    @property
    def products(self) -> int:
        """8x8; 0 where dot products take their place."""
        return family(self.counts, "products.")


def family(counts: Mapping[str, int], prefix: str) -> int:
    """The sum of all counters whose names begin so."""
    return sum(n for name, n in counts.items() if name.startswith(prefix))


def total(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The counts of all launches."""
    names = dict.fromkeys(name for part in counts for name in part)
    return {name: sum(part.get(name, 0) for part in counts) for name in names}


def arithmetic(counts: Mapping[str, int]) -> int:
    """Scalar instructions, of all threads."""
    return sum(counts[f"instructions.{kind}"] for kind in ARITHMETIC)


def derived(work: Work, shape: Shape) -> dict[str, float]:
    """What the table has: counts per product, or per useful operation, where that says more.

    Decode kernels make dot products of their own; they count as the products that they replace.
    """
    counts, flops = work.counts, shape.flops
    products = work.products or flops / 1024
    return {
        "products": work.products,
        "useful / done": flops / (1024 * products),
        "threadgroup B / product": family(counts, "threadgroup.bytes") / products,
        "device B / product": family(counts, "device.bytes") / products,
        "barriers per thread": counts["barriers.threadgroup"] / counts["threads"],
        "arithmetic / product": arithmetic(counts) / products,
        "special calls / product": family(counts, "calls.") / products,
        "shuffles / product": counts["shuffles"] / products,
        "launches": work.launches,
        "MiB beyond in and out": work.extra_bytes / 2**20,
    }
