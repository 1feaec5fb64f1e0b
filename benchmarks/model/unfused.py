"""Attention as PyTorch and MLX train it on a Mac today: one operation after the other, unfused.

Everything here is calculated, nothing is counted.  Each operation takes the longer of what the
matrix units and what the chip's memory need for it, as in cost.py, and the next begins when it is
done.  All n^2 pairs are computed: no operation knows of a mask.

Left out, in its favour: launches, copies to float32 and back, the conversion of the weights to the
inputs' type that PyTorch makes of them beside, and all that grows with the tokens only.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.model.chips import Chip
from benchmarks.shapes import FRAGMENT, Shape

# PyTorch computes in float32 whatever the inputs are (facts/backward.md, section 2, measured).
# MLX keeps the inputs' type, of which no source is at hand: half the bytes are a figure beside it.
SCORE_BYTES = 4
# Of the matrix units' rate that products of large matrices reach (facts/backward.md, section 6).
OF_ALU = 0.8


@dataclass(frozen=True)
class Operation:
    """One launch: products of n^2 pairs and head_dim, and matrices of n^2 that it goes through."""

    name: str
    products: int = 0  # matrix products, each 2 head_dim operations for a pair
    read: int = 0
    written: int = 0

    def ms(self, shape: Shape, chip: Chip, score_bytes: int) -> float:
        pairs = pairs_of(shape)
        fragments = self.products * pairs * shape.head_dim / FRAGMENT**3
        cycles = fragments * chip.product_cycles / chip.schedulers / chip.cores / OF_ALU
        moved = (self.read + self.written) * pairs * score_bytes
        return max(cycles / (chip.ghz * 1e6), moved / (chip.dram_gbs * 1e6))


# What torch 2.13 dispatches for its composition; tests/benchmarks/test_unfused.py looks.  A softmax
# reads a row once, as if it kept it.
FORWARD = (
    Operation("S = Q K^T", products=1, written=1),
    Operation("P = softmax(S)", read=1, written=1),
    Operation("O = P V", products=1, read=1),
)
MASK = Operation("S + mask", read=1, written=1)  # in the forward pass, of any mask
BACKWARD = (
    Operation("dV = P^T dO", products=1, read=1),
    Operation("dP = dO V^T", products=1, written=1),
    Operation("dS = P (dP - rowsum(P dP))", read=2, written=1),
    Operation("dQ = dS K", products=1, read=1),
    Operation("dK = dS^T Q", products=1, read=1),
)
# Matrices of n^2 that are alive at once: P, which the forward pass keeps, dP and dS
# (facts/backward.md, section 2: about 6.4 GB at 32 heads and 4,096 tokens, measured).
ALIVE = 3


def pairs_of(shape: Shape) -> int:
    """All of them: those that a mask hides as well."""
    return shape.batch * shape.heads * shape.queries * shape.keys


def operations(shape: Shape) -> tuple[Operation, ...]:
    """Of a forward and a backward pass, in order."""
    return (*FORWARD, *((MASK,) if shape.mask != "full" else ()), *BACKWARD)


def milliseconds(shape: Shape, chip: Chip, score_bytes: int = SCORE_BYTES) -> float:
    """Modelled time of both passes."""
    return sum(operation.ms(shape, chip, score_bytes) for operation in operations(shape))


def products(shape: Shape) -> int:
    """8x8 products of both passes."""
    done = sum(operation.products for operation in operations(shape))
    return done * pairs_of(shape) * shape.head_dim // FRAGMENT**3


def traffic(shape: Shape, score_bytes: int = SCORE_BYTES) -> int:
    """Bytes of n^2 matrices that both passes read and write."""
    moved = sum(operation.read + operation.written for operation in operations(shape))
    return moved * pairs_of(shape) * score_bytes


def extra_bytes(shape: Shape, score_bytes: int = SCORE_BYTES) -> int:
    """Bytes beyond inputs, outputs and gradients, at most at a time."""
    return ALIVE * pairs_of(shape) * score_bytes
