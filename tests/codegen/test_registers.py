"""The registers that tiles.py expects, against the live ranges of the compiler's IR."""

from __future__ import annotations

from pathlib import Path

import pytest

import emulator
from codegen.matrix import Variant, matrix
from codegen.tiles import MAX_REGISTERS

GENERATED = Path(__file__).parents[2] / "generated"
# The mask and sinks have most to remember; bfloat16 is as wide as float16.
MOST = [
    v
    for v in matrix()
    if v.family == "prefill" and v.mask == "window" and v.sinks and v.dtype != "bfloat16"
]
# Either way: what lives beside the matrices is a constant in tiles.py, but not in the IR.
SPREAD = 6


@pytest.mark.parametrize("variant", MOST, ids=lambda v: v.name)
def test_values_fit_into_registers(variant: Variant) -> None:
    needed = emulator.compile(GENERATED / variant.file).registers(variant.name)
    assert needed <= MAX_REGISTERS
    assert needed == pytest.approx(
        variant.tile.registers(variant.head_dim, variant.element_bytes), abs=SPREAD
    )
