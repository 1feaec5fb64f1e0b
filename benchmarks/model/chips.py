"""chips.toml as Python sees it: Apple GPUs, by name."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("chips.toml")
REPORTED = ("M1", "M1 Max", "M3 Max", "M4", "M4 Max", "M5")  # others are for calibration


class ChipError(ValueError):
    """A number without a source, or one that is missing; says which."""


@dataclass(frozen=True)
class Chip:
    """A GPU.  Rates are per core and clock ("cc"), latencies in cycles.

    efficiency: the fraction of these rates that kernels reach, by calibrate.py.
    """

    name: str
    family: str
    cores: float
    ghz: float
    dram_gbs: float
    efficiency: float
    schedulers: float
    product_cycles: float
    alu_per_cc: float
    convert_per_cc: float
    bfloat_per_cc: float
    special_per_cc: float
    shuffle_per_cc: float
    threadgroup_bytes_per_cc: float
    threadgroup_latency: float
    device_bytes_per_cc: float
    device_latency: float
    alu_latency: float
    barrier_cycles: float
    threadgroup_bytes: float
    launch_us: float


def number(entry: Any, where: str, sources: dict[str, str]) -> float:
    """A number of the table, if its source is known.  Raises ChipError."""
    if not isinstance(entry, dict) or "value" not in entry:
        raise ChipError(f"{where} is {entry!r}: must be {{ value = ..., source = ... }}")
    if entry.get("source") not in (*sources, "inferred"):
        raise ChipError(f"{where} has source {entry.get('source')!r}: must be a key of [sources]")
    if entry["source"] == "inferred" and "why" not in entry:
        raise ChipError(f"{where} is inferred: must say why")
    return float(entry["value"])


def parse(table: dict[str, Any]) -> dict[str, Chip]:
    """All chips of a table.  Raises ChipError naming what is missing."""

    def family(name: str) -> dict[str, Any]:
        own = dict(table["families"][name])
        like = own.pop("like", "")
        return {**family(like), **own} if like else own

    chips = {}
    for name, own in table["chips"].items():
        entries = {**family(own["family"]), **own}
        numbers = {
            field.name: number(entries.get(field.name), f"{name}: {field.name}", table["sources"])
            for field in fields(Chip)
            if field.name not in ("name", "family")
        }
        chips[name] = Chip(name, own["family"], **numbers)
    return chips


@functools.cache
def table() -> dict[str, Any]:
    """The file."""
    return tomllib.loads(TABLE.read_text())


@functools.cache
def chips() -> dict[str, Chip]:
    """All of them."""
    return parse(table())


def resident_threads(registers: int) -> int:
    """Threads that a core holds of a kernel that needs so many 32-bit registers per thread."""
    rows = table()["occupancy"]
    for half_registers, threads in zip(rows["half_registers"], rows["threads"], strict=True):
        if 2 * registers <= half_registers:
            return int(threads)
    return int(rows["threads"][-1])  # the rest is spilled
