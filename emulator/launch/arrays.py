"""Arguments of a launch as text, for the command line: `float[1024]=arange`, `uint:7`, `x.npy`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import EmulatorError
from ..scalars import SCALARS

FILLS = "zeros, ones, arange, nan or random:SEED"
_BUFFER = re.compile(r"(\w+)\[(\d+)\](?:=(\w+)(?::(\d+))?)?")
_NUMBERS = re.compile(r"(\w+):(.+)")
DTYPES = dict(SCALARS.values())


@dataclass
class Array:
    """A buffer or constant; numpy has no bfloat16, whose bits are then kept as uint16."""

    type_name: str  # Metal's
    bits: np.ndarray[Any, Any]
    before: np.ndarray[Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.bits.copy()

    def __getattr__(self, name: str) -> Any:
        """Shape, strides and address, as the emulator asks an array for them."""
        return getattr(self.bits, name)

    @property
    def dtype(self) -> Any:
        """The one name that numpy may not know."""
        return SimpleNamespace(name=DTYPES[self.type_name])

    @property
    def values(self) -> np.ndarray[Any, Any]:
        """The elements as numpy has them; bfloat16 as float32."""
        if self.type_name == "bfloat":
            return (self.bits.astype(np.uint32) << 16).view(np.float32)
        return self.bits

    @property
    def changed(self) -> bool:
        """Whether a launch wrote something else into it."""
        return self.bits.tobytes() != self.before.tobytes()

    def __str__(self) -> str:
        """As `float[8]: 0 1 2 3 ... 7`."""
        values = [f"{value:.6g}" for value in self.values.ravel()[:8].tolist()]
        if self.bits.size > 8:
            values += ["...", f"{self.values.ravel()[-1].item():.6g}"]
        return f"{self.type_name}[{self.bits.size}]: {' '.join(values)}"


def parse_argument(text: str) -> Array | None:
    """One `--arg`; raises EmulatorError that says what it may be."""
    if text == "none":
        return None
    if text.endswith(".npy"):
        return _loaded(Path(text))
    buffer, numbers = _BUFFER.fullmatch(text), _NUMBERS.fullmatch(text)
    if buffer:
        return _filled(text, *buffer.groups())
    if numbers:
        name, values = numbers.groups()
        try:
            return _array(text, name, np.array([_number(value) for value in values.split(",")]))
        except (ValueError, OverflowError) as error:
            raise EmulatorError(f"--arg {text}: {error}") from None
    raise EmulatorError(
        f"--arg {text}: it may be float:2.0, uint3:1,2,3, half[64], half[64]=FILL, x.npy or none; "
        f"FILL is {FILLS}"
    )


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def _filled(text: str, name: str, count: str, fill: str | None, seed: str | None) -> Array:
    n = int(count)
    if fill == "random" and seed is not None:
        return _array(text, name, np.random.default_rng(int(seed)).standard_normal(n))
    fills: dict[str | None, Callable[[int], Any]] = {
        None: np.zeros,
        "zeros": np.zeros,
        "ones": np.ones,
        "arange": np.arange,
    }
    if fill == "nan":
        return _array(text, name, np.full(n, np.nan))
    if fill not in fills or seed is not None:
        raise EmulatorError(f"--arg {text}: a buffer is filled with {FILLS}")
    return _array(text, name, fills[fill](n))


def _array(text: str, name: str, values: np.ndarray[Any, Any]) -> Array:
    scalar = re.sub(r"[234]$", "", name)
    if scalar not in DTYPES:
        raise EmulatorError(f"--arg {text}: the type may be {', '.join(DTYPES)}, not {name}")
    if scalar not in ("bool", "half", "bfloat", "float"):
        limits = np.iinfo(DTYPES[scalar])
        if not all(limits.min <= v <= limits.max and v == int(v) for v in values.tolist()):
            raise EmulatorError(f"--arg {text}: {scalar} holds {limits.min} to {limits.max}")
    if scalar == "bfloat":
        bits = values.astype(np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        return Array(scalar, np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16))
    return Array(scalar, values.astype(DTYPES[scalar]))


def _loaded(path: Path) -> Array:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EmulatorError(f"--arg {path}: {error}") from None
    names = {dtype: name for name, dtype in DTYPES.items()}
    if values.dtype.name not in names:
        raise EmulatorError(f"--arg {path} has dtype {values.dtype.name}; Metal has no such type")
    return Array(names[values.dtype.name], np.ascontiguousarray(values))
