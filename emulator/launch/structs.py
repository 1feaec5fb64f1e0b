"""Structs and numbers that Python and the shim share: what is here stands there as well.

``require_same`` compares the two when a kernel is loaded.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from ..errors import EmulatorError
from ..scalars import SCALARS, SPACES

STACK = 256 * 1024  # bytes, of a fibre
SIMDGROUP = 32  # threads
MAX_THREADS = 1024
MAX_BUFFERS = 31
MAX_THREADGROUP_BYTES = 32 * 1024  # Metal's limit
GRANULE = 2  # bytes of a cell


class Parameter(ctypes.Structure):
    """What the compiler says of a parameter's type (shim/entry.h)."""

    _fields_ = [
        ("space", ctypes.c_ubyte),
        ("is_const", ctypes.c_bool),
        ("is_reference", ctypes.c_bool),
        ("scalar", ctypes.c_char),
        ("width", ctypes.c_uint),
        ("size", ctypes.c_uint),
    ]

    @property
    def is_device(self) -> bool:
        return SPACES[self.space] == "device"

    def __str__(self) -> str:
        """As it would stand in the source."""
        code = self.scalar.decode()
        names = {"V": "void", "S": f"struct of {self.size} bytes"}
        name = SCALARS[code][0] if code in SCALARS else names[code]
        width = str(self.width) if self.width > 1 else ""
        const = "const " if self.is_const and self.is_device else ""
        return f"{SPACES[self.space]} {const}{name}{width}{'&' if self.is_reference else '*'}"


class Launch(ctypes.Structure):
    """One launch, shared by all workers (shim/fibres.h)."""

    _fields_ = [
        ("threadgroups", ctypes.c_uint * 3),
        ("threads", ctypes.c_uint * 3),
        ("threadgroup_lengths", ctypes.c_uint * MAX_BUFFERS),
        ("failure", ctypes.c_uint),
        ("schedule", ctypes.c_uint),
        ("next", ctypes.c_size_t),
        ("buffers", ctypes.c_void_p * MAX_BUFFERS),
        ("checks", ctypes.c_void_p),
    ]


class Variable(ctypes.Structure):
    """Where a threadgroup variable lies (shim/arena.h)."""

    _fields_ = [
        ("id", ctypes.c_int),
        ("offset", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
    ]


class Cell(ctypes.Structure):
    """What the checks remember of every two bytes (shim/checks.h)."""

    _fields_ = [
        ("write", ctypes.c_uint64),
        ("reads", ctypes.c_uint64 * 2),
        ("write_site", ctypes.c_uint),
        ("read_sites", ctypes.c_uint * 2),
        ("written", ctypes.c_uint),
    ]


class Extent(ctypes.Structure):
    """A buffer, as the checks see it (shim/checks.h)."""

    _fields_ = [
        ("begin", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("cells", ctypes.c_size_t),
        ("writable", ctypes.c_size_t),
    ]


class Finding(ctypes.Structure):
    """What the checks found (shim/checks.h)."""

    _fields_ = [
        ("problem", ctypes.c_uint),
        ("kind", ctypes.c_uint),
        ("location", ctypes.c_size_t),
        ("size", ctypes.c_uint),
        ("site", ctypes.c_uint),
        ("thread_index", ctypes.c_uint),
        ("group", ctypes.c_uint),
        ("other_kind", ctypes.c_uint),
        ("other_site", ctypes.c_uint),
        ("other_thread_index", ctypes.c_uint),
        ("other_group", ctypes.c_uint),
    ]


class Checks(ctypes.Structure):
    """What the checks get, and what they leave (shim/checks.h)."""

    _fields_ = [
        ("finding", Finding),
        ("pending", Finding),
        ("extent_count", ctypes.c_uint),
        ("extents", Extent * (MAX_BUFFERS + 1)),
        ("arena_cells", ctypes.c_size_t),
    ]


class _Fact(ctypes.Structure):
    """A line of the shim's own table (shim/layouts.h)."""

    _fields_ = [("name", ctypes.c_char * 60), ("value", ctypes.c_uint)]


STRUCTS = (Parameter, Launch, Variable, Cell, Extent, Finding, Checks)


def _facts() -> dict[str, int]:
    """Numbers, and the size of each struct and where its members lie, by the names of the shim."""
    facts = {
        "STACK": STACK,
        "SIMDGROUP": SIMDGROUP,
        "MAX_THREADS": MAX_THREADS,
        "MAX_BUFFERS": MAX_BUFFERS,
        "GRANULE": GRANULE,
    }
    for struct in STRUCTS:
        facts[f"sizeof({struct.__name__})"] = ctypes.sizeof(struct)
        for name, *_ in struct._fields_:
            facts[f"{struct.__name__}.{name}"] = getattr(struct, name).offset
    return facts


FACTS = _facts()


def require_same(code: ctypes.CDLL, path: Path) -> None:
    """Raises EmulatorError if a compiled kernel has other structs or numbers than this module."""
    code.emulator_facts.restype = ctypes.POINTER(_Fact)
    shim = {f.name.decode(): f.value for f in code.emulator_facts()[: code.emulator_fact_count()]}
    for name in {**shim, **FACTS}:
        if shim.get(name) != FACTS.get(name):
            there, here = (facts.get(name, "missing") for facts in (shim, FACTS))
            raise EmulatorError(
                f"{path}: {name} is {there} in emulator/shim and {here} in "
                "emulator/launch/structs.py; change the two together"
            )
