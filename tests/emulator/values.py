"""Values of all of Metal's scalar types, for the tests of types and functions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

import emulator

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
INTEGERS: dict[str, Any] = {
    "char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16,
    "int": np.int32, "uint": np.uint32, "long": np.int64, "ulong": np.uint64,
}  # fmt: skip
FLOATS = {"half": torch.float16, "bfloat": torch.bfloat16, "float": torch.float32}
DIGITS = {"half": (11, -24), "bfloat": (8, -133), "float": (24, -149)}  # and the least exponent
SCALARS = ["bool", *INTEGERS, *FLOATS]
SIZES: dict[str, int] = {"bool": 1, "half": 2, "bfloat": 2, "float": 4} | {
    name: np.dtype(kind).itemsize for name, kind in INTEGERS.items()
}


def run(source: str, *args: Any, threads: int = 1, threadgroups: int = 1) -> None:
    kernel = emulator.compile(HEADER + source).function("test")
    kernel.launch(list(args), threadgroups=threadgroups, threads=threads)


def rounded(x: Fraction, kind: str) -> float:
    """The nearest number of a type, ties to even."""
    digits, least = DIGITS[kind]
    if x == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(x)))
    exponent += (abs(x) >= Fraction(2) ** (exponent + 1)) - (abs(x) < Fraction(2) ** exponent)
    step = Fraction(2) ** max(exponent - digits + 1, least)
    return float(round(x / step) * step)


def tensor(values: Any, kind: str) -> Any:
    if kind in FLOATS:
        return torch.tensor(values, dtype=torch.float64).to(FLOATS[kind])
    return np.array(values, np.bool_ if kind == "bool" else INTEGERS[kind])


def wrapped(value: int, kind: str) -> int:
    bits = 8 * SIZES[kind]
    low = 0 if kind.startswith("u") else 1 << (bits - 1)
    return (value + low) % (1 << bits) - low
