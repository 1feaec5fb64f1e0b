"""Launches under the checks: what they are told beforehand, and what they found.

The checks themselves are in shim/checks.h, whose layouts are mirrored here.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .arguments import MAX_BUFFERS, Memory
from .errors import (
    BoundsError,
    DivergentBarrierError,
    EmulatorError,
    MisalignedError,
    RaceError,
    UninitializedError,
)
from .execution import ARENA_BYTES, UNTOUCHED
from .lines import Lines

GRANULE = 2  # bytes of a cell
CELL_BYTES = 40
WRITTEN = 36  # offset of a cell's mask of written bytes
PAGE = mmap.PAGESIZE

RACE, OUT_OF_BOUNDS, UNINITIALIZED, MISALIGNED, DIVERGENT, PRIVATE_OUT_OF_BOUNDS = range(1, 7)
WRITES, ATOMIC = 1, 2  # bits of AccessKind


class Extent(ctypes.Structure):
    """``Extent`` of shim/checks.h."""

    _fields_ = [
        ("begin", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("cells", ctypes.c_size_t),
        ("writable", ctypes.c_size_t),
    ]


class Finding(ctypes.Structure):
    """``Finding`` of shim/checks.h."""

    _fields_ = [
        ("problem", ctypes.c_uint),
        ("kind", ctypes.c_uint),
        ("location", ctypes.c_size_t),
        ("size", ctypes.c_uint),
        ("site", ctypes.c_uint),
        ("thread", ctypes.c_uint),
        ("group", ctypes.c_uint),
        ("other_kind", ctypes.c_uint),
        ("other_site", ctypes.c_uint),
        ("other_thread", ctypes.c_uint),
        ("other_group", ctypes.c_uint),
    ]


class Checks(ctypes.Structure):
    """``Checks`` of shim/checks.h."""

    _fields_ = [
        ("finding", Finding),
        ("pending", Finding),
        ("extent_count", ctypes.c_uint),
        ("extents", Extent * (MAX_BUFFERS + 1)),
        ("arena_cells", ctypes.c_size_t),
    ]


class Variable(ctypes.Structure):
    """``Variable`` of shim/arena.h."""

    _fields_ = [
        ("id", ctypes.c_int),
        ("offset", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
    ]


@dataclass(frozen=True)
class Buffer:
    """A bound argument, as messages name it."""

    index: int
    name: str
    memory: Memory
    writable: bool  # by the kernel

    @property
    def end(self) -> int:
        return self.memory.address + self.memory.size

    def __str__(self) -> str:
        return f"{self.name} [[buffer({self.index})]]"


class Cells:
    """Memory for the cells of a range of addresses; pages that are never touched cost nothing."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin = begin // GRANULE * GRANULE
        self.end = end
        size = ((end - self.begin) // GRANULE + 2) * CELL_BYTES
        self.memory = mmap.mmap(-1, -(-size // PAGE) * PAGE, flags=UNTOUCHED)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

    def of(self, address: int) -> int:
        """Where the cell of an address lies."""
        return self.address + (address - self.begin) // GRANULE * CELL_BYTES


def cells_of(buffers: Sequence[Buffer]) -> list[Cells]:
    """Cells for all memory that some buffer lets a kernel write; others cannot race.

    Buffers that overlap share theirs.
    """
    ranges: list[list[int]] = []
    for buffer in sorted(buffers, key=lambda b: b.memory.address):
        if not buffer.memory.size:
            continue
        if ranges and buffer.memory.address < ranges[-1][1]:
            ranges[-1][1] = max(ranges[-1][1], buffer.end)
            ranges[-1][2] |= buffer.writable
        else:
            ranges.append([buffer.memory.address, buffer.end, buffer.writable])
    return [Cells(begin, end) for begin, end, writable in ranges if writable]


class Checked:
    """One launch under the checks."""

    def __init__(self, buffers: Sequence[Buffer], spare: Sequence[tuple[int, int]]) -> None:
        """`spare`: (address, size) of memory behind arguments that are left out."""
        self.buffers = buffers
        self.cells = cells_of(buffers)
        self._arena = Cells(0, ARENA_BYTES)
        self.native = native = Checks()
        extents = [
            Extent(b.memory.address, b.memory.size, self._cells_at(b.memory), b.writable)
            for b in buffers
        ]
        extents += [Extent(address, size, 0, 0) for address, size in spare]
        native.extent_count = len(extents)
        native.extents[: len(extents)] = extents
        native.arena_cells = self._arena.address

    def _cells_at(self, memory: Memory) -> int:
        for cells in self.cells:
            if memory.size and cells.begin <= memory.address < cells.end:
                return cells.of(memory.address)
        return 0

    def require_written(self, kernel: str, outputs: Sequence[int]) -> None:
        """Raises UninitializedError unless every element of these buffers was written."""
        for buffer in self.buffers:
            if buffer.index in outputs:
                offset = self._first_unwritten(buffer)
                if offset is not None:
                    raise UninitializedError(
                        f"{kernel}: no thread has written {buffer} at byte {offset}; "
                        "it is an output"
                    )

    def _first_unwritten(self, buffer: Buffer) -> int | None:
        import numpy as np

        memory = buffer.memory
        cells = next(c for c in self.cells if c.begin <= memory.address < c.end)
        count = len(cells.memory) // CELL_BYTES
        table = np.frombuffer(cells.memory, dtype=np.uint8, count=count * CELL_BYTES)
        masks = table.reshape(count, CELL_BYTES)[:, WRITTEN]
        first = (memory.address - cells.begin) // GRANULE
        last = (buffer.end - 1 - cells.begin) // GRANULE + 1
        written = np.stack([masks[first:last] & 1, masks[first:last] >> 1 & 1], axis=1).ravel()
        skip = (memory.address - cells.begin) % GRANULE
        written = written[skip : skip + memory.size]
        missing = np.flatnonzero(memory.elements() & (written == 0))
        return int(missing[0]) if len(missing) else None

    def raise_finding(
        self,
        kernel: str,
        lines: Lines,
        arena: Sequence[tuple[str, int, int]],
        arena_address: int,
        grid: Grid,
    ) -> None:
        """Raises what was found.  `arena` has the name, offset and size of what lies there."""
        finding = self.native.finding
        where = lines.at(finding.site)
        who = grid.thread(finding.thread, finding.group)
        does = verb(finding.kind)
        other = grid.thread(finding.other_thread, finding.other_group)
        what = self._describe(finding, arena, arena_address)
        if finding.problem == RACE:
            raise RaceError(
                f"{kernel}: data race on {what}\n"
                f"  {where}: {who} {does} it\n"
                f"  {lines.at(finding.other_site)}: {other} {verb(finding.other_kind)} it\n"
                "  no barrier orders the two"
            )
        if finding.problem == OUT_OF_BOUNDS:
            raise BoundsError(f"{kernel}: {where}: {who} {does} {what}")
        if finding.problem == UNINITIALIZED:
            raise UninitializedError(
                f"{kernel}: {where}: {who} {does} {what}, which no thread has written"
            )
        if finding.problem == MISALIGNED:
            raise MisalignedError(
                f"{kernel}: {where}: {who} {does} {what}: "
                f"not aligned to {finding.size} bytes, as its type is"
            )
        if finding.problem == PRIVATE_OUT_OF_BOUNDS:
            raise BoundsError(f"{kernel}: {where}: {who} indexes an array past its end")
        if finding.problem == DIVERGENT:
            raise DivergentBarrierError(f"{kernel}: {divergence(finding, lines, who, other)}")
        raise EmulatorError(f"{kernel}: finding {finding.problem} has no name")

    def _describe(
        self, finding: Finding, arena: Sequence[tuple[str, int, int]], arena_address: int
    ) -> str:
        """The bytes that a finding is about."""
        location, count = finding.location, f"{finding.size} bytes"
        inside = location - arena_address
        if 0 <= inside < ARENA_BYTES:
            name, offset, size = min(arena, key=lambda v: distance(inside, v[1], v[2]))
            return f"{count} of threadgroup memory, " + place(name, inside - offset, size)
        for buffer in self.buffers:
            inside = location - buffer.memory.address
            if 0 <= inside <= buffer.memory.size - finding.size:
                read_only = finding.kind & WRITES and not buffer.writable
                note = ", which is read-only" if read_only else ""
                return f"{count} of {place(str(buffer), inside, buffer.memory.size)}{note}"
        if not self.buffers:
            return f"{count} at address {location:#x}, where no buffer is"
        near = min(self.buffers, key=lambda b: distance(location, b.memory.address, b.memory.size))
        return f"{count}, {place(str(near), location - near.memory.address, near.memory.size)}"


@dataclass(frozen=True)
class Grid:
    """A launch's sizes, to turn indices into positions."""

    threadgroups: tuple[int, int, int]
    threads: tuple[int, int, int]

    def thread(self, thread: int, group: int) -> str:
        """A thread, as messages name it."""
        return (
            f"thread {position(thread, self.threads)} "
            f"of threadgroup {position(group, self.threadgroups)}"
        )


def position(index: int, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """An index as a position."""
    x, y, _ = sizes
    return index % x, index // x % y, index // x // y


def verb(kind: int) -> str:
    """What an access does."""
    return ("atomically " if kind & ATOMIC else "") + ("writes" if kind & WRITES else "reads")


def distance(location: int, begin: int, size: int) -> int:
    """How far a location is from a piece of memory."""
    return max(begin - location, location - (begin + size - 1), 0)


def place(name: str, offset: int, size: int) -> str:
    """A location by its offset in the piece of memory that is nearest."""
    if offset < 0:
        return f"{-offset} bytes before {name}"
    if offset == size:
        return f"just past the end of {name}, which has {size} bytes"
    if offset > size:
        return f"{offset - size} bytes past the end of {name}, which has {size} bytes"
    return f"{name} at byte {offset} of {size}"


def divergence(finding: Finding, lines: Lines, who: str, other: str) -> str:
    """Who stands where."""
    here, there = lines.at(finding.site), lines.at(finding.other_site)
    if here == there:
        there += ", another of that line"
    if finding.site == 0:
        return f"{who} has returned, and others wait for it\n  {there}: {other} waits here"
    if finding.other_site == 0:
        return f"{here}: {who} waits for all threads, but some have returned before"
    return (
        "threads wait at different places\n"
        f"  {here}: {who} waits here\n"
        f"  {there}: {other} waits here\n"
        "  all must reach the same barrier or simdgroup operation"
    )


def by_name(variables: Sequence[Variable], names: Mapping[int, str]) -> list[tuple[str, int, int]]:
    """Threadgroup variables as (name, offset, size)."""
    return [(names.get(v.id, "a variable"), v.offset, v.size) for v in variables]
