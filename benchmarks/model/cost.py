"""From counts to time: what limits a launch on an Apple GPU, and how long it then takes.

The work is spread over the cores.  The time is the largest of what each unit of the busiest core
needs for its part (matrix products, scalar instructions and special functions, threadgroup memory,
device memory through the caches), of what the chip's memory needs for what must be read and written
once, and of the latencies that too few resident simdgroups leave uncovered.  It is divided by one
efficiency per chip family, which calibrate.py finds for chips.toml; the cost of launches is added.

Matrix products and scalar instructions are taken to overlap.  Added up instead, they fit the
published timings as well (a band of 1.24 for 1.27), but only with efficiencies of 1.1 on M2 and M3:
those kernels are faster than the sum.

Not modelled: bank conflicts, cache misses between L1 and memory, spills, clocks that fall under
load, and the order in which threadgroups start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.counting.backward import TrainingWork
from benchmarks.counting.work import Work, family
from benchmarks.model.chips import REPORTED, Chip, chips, resident_threads
from benchmarks.shapes import FRAGMENT, Shape

SIMD_WIDTH = 32
OTHER_REGISTERS = 24  # inferred: addresses, strides, loop counters, a fragment of K or V
ALU = ("int", "float", "half", "compare", "select", "address")  # counters at the ALUs' full rate


@dataclass(frozen=True)
class Estimate:
    """Cycles of a core per unit, before efficiency; `latency` is the uncovered path."""

    matrix: float
    scalar: float
    threadgroup: float
    device: float
    dram: float
    latency: float

    @property
    def cycles(self) -> float:
        return max(self.units().values())

    @property
    def limit(self) -> str:
        """The name of the largest."""
        units = self.units()
        return max(units, key=units.__getitem__)

    def units(self) -> dict[str, float]:
        """All of them by name."""
        return dict(vars(self))


def registers(work: Work, shape: Shape) -> int:
    """32-bit registers per thread of the first launch, from its tile; nothing says exactly.

    Where the kernel has an estimate of its own, that is taken.

    A thread has two elements of each fragment: outputs and scores in float32, and what is kept
    of queries and weights in the inputs' type.
    """
    kernel = work.kernels[0]
    if kernel.registers:
        return kernel.registers
    rows = max(1, kernel.block_q * SIMD_WIDTH // kernel.threads // FRAGMENT)
    columns, keys = -(-shape.head_dim // FRAGMENT), -(-kernel.block_k // FRAGMENT)
    if not work.products:  # dot products: each thread has a part of the row
        return OTHER_REGISTERS + 3 * -(-shape.head_dim // SIMD_WIDTH)
    element = shape.element_bytes / 4
    kept = 2 * element * rows * (columns + keys) if work.name == "ours" else 2 * rows
    return round(OTHER_REGISTERS + 2 * rows * (columns + keys) + kept)


def resident_simdgroups(work: Work, shape: Shape, chip: Chip) -> int:
    """Simdgroups that a core holds at a time, by registers and threadgroup memory."""
    kernel = work.kernels[0]
    by_registers = resident_threads(registers(work, shape)) // kernel.threads
    by_memory = int(chip.threadgroup_bytes) // max(kernel.threadgroup_bytes, 1)
    return max(1, min(by_registers, by_memory)) * kernel.threads // SIMD_WIDTH


def scalar_cycles(counts: Mapping[str, int], chip: Chip) -> float:
    """Of a core that had all of the work: ALU instructions, special functions, shuffles."""
    alu = sum(counts[f"instructions.{kind}"] for kind in ALU) / chip.alu_per_cc
    alu += counts["instructions.convert"] / chip.convert_per_cc
    alu += counts["instructions.bfloat"] / chip.bfloat_per_cc
    moved = (counts["shuffles"] + counts["reductions"]) / chip.shuffle_per_cc
    return alu + moved + family(counts, "calls.") / chip.special_per_cc


def estimate(work: Work, shape: Shape, chip: Chip) -> Estimate:
    """What each unit of the busiest core needs for its part of the work."""
    counts = work.counts
    threadgroups = counts["threadgroups"]
    # The busiest core has a whole number of threadgroups.
    part = -(-threadgroups // int(chip.cores)) / threadgroups
    matrix = work.products * chip.product_cycles / chip.schedulers * part
    scalar = scalar_cycles(counts, chip) * part
    once = work.once_bytes
    if once is None:
        once = shape.least_bytes + shape.output_bytes + 2 * work.extra_bytes
    return Estimate(
        matrix,
        scalar,
        family(counts, "threadgroup.bytes") / chip.threadgroup_bytes_per_cc * part,
        family(counts, "device.bytes") / chip.device_bytes_per_cc * part,
        once / chip.dram_gbs * chip.ghz,
        latency(work, shape, chip, part),
    )


def latency(work: Work, shape: Shape, chip: Chip, part: float) -> float:
    """Cycles of a core for its part of the work, if nothing but its own simdgroups kept it waiting.

    Along a simdgroup's path lie its products one after the other, instructions of which half wait
    for the one before, and at each pair of barriers a load from device memory and one from
    threadgroup memory.
    """
    counts = work.counts
    scalar = scalar_cycles(counts, chip) * chip.schedulers * (1 + chip.alu_latency) / 2
    waits = counts["barriers.threadgroup"] / SIMD_WIDTH
    each = chip.barrier_cycles + (chip.threadgroup_latency + chip.device_latency) / 2
    path = work.products * chip.product_cycles + scalar + waits * each
    available = counts["simdgroups"] * part
    return path * part / max(1.0, min(resident_simdgroups(work, shape, chip), available))


def milliseconds(work: Work, shape: Shape, chip: Chip) -> float:
    """Modelled time of all launches."""
    busy = estimate(work, shape, chip).cycles / (chip.ghz * 1e6) / chip.efficiency
    return busy + work.launches * chip.launch_us / 1e3


def modelled(work: Work, shape: Shape) -> dict[str, float]:
    """Milliseconds by chip."""
    return {name: milliseconds(work, shape, chips()[name]) for name in REPORTED}


def training_milliseconds(work: TrainingWork, shape: Shape, chip: Chip) -> float:
    """Modelled time of a forward and a backward pass, launch after launch."""
    return sum(milliseconds(launch, shape, chip) for launch in work.launches)


def of_matrix_limit(work: Work, shape: Shape, chip: Chip, ms: float) -> float:
    """The fraction of `ms` that the useful operations would take on busy matrix units."""
    product_flops = 2 * FRAGMENT**3
    per_ms = chip.cores * chip.ghz * 1e6 * chip.schedulers / chip.product_cycles
    return shape.flops / product_flops / per_ms / ms
