"""What the checks found, in words: lines, threads, bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import (
    BoundsError,
    DivergentBarrierError,
    EmulatorError,
    MisalignedError,
    RaceError,
    UninitializedError,
)
from ..launch.arguments import Memory
from ..launch.execution import ARENA_BYTES
from ..launch.structs import Finding, Variable
from .lines import Lines

# enum Problem of shim/checks.h
RACE, OUT_OF_BOUNDS, UNINITIALIZED, MISALIGNED, DIVERGENT, PRIVATE_OUT_OF_BOUNDS = range(1, 7)
WRITES, ATOMIC = 1, 2  # bits of AccessKind


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


@dataclass(frozen=True)
class Setting:
    """What a launch had, to name things by."""

    kernel: str
    lines: Lines
    grid: Grid
    buffers: Sequence[Buffer]
    arena: Sequence[tuple[str, int, int]]  # name, offset and size of what lies in it
    arena_address: int


def error(finding: Finding, setting: Setting) -> EmulatorError:
    """The exception for what was found."""
    kernel, lines, grid = setting.kernel, setting.lines, setting.grid
    where = lines.at(finding.site)
    who = grid.thread(finding.thread_index, finding.group)
    other = grid.thread(finding.other_thread_index, finding.other_group)
    does = verb(finding.kind)
    what = memory(finding, setting)
    if finding.problem == RACE:
        return RaceError(
            f"{kernel}: data race on {what}\n"
            f"  {where}: {who} {does} it\n"
            f"  {lines.at(finding.other_site)}: {other} {verb(finding.other_kind)} it\n"
            "  no barrier orders the two"
        )
    if finding.problem == OUT_OF_BOUNDS:
        return BoundsError(f"{kernel}: {where}: {who} {does} {what}")
    if finding.problem == UNINITIALIZED:
        return UninitializedError(
            f"{kernel}: {where}: {who} {does} {what}, which no thread has written"
        )
    if finding.problem == MISALIGNED:
        return MisalignedError(
            f"{kernel}: {where}: {who} {does} {what}: "
            f"not aligned to {finding.size} bytes, as its type is"
        )
    if finding.problem == PRIVATE_OUT_OF_BOUNDS:
        return BoundsError(f"{kernel}: {where}: {who} indexes an array past its end")
    if finding.problem == DIVERGENT:
        return DivergentBarrierError(f"{kernel}: {divergence(finding, lines, who, other)}")
    return EmulatorError(f"{kernel}: finding {finding.problem} has no name")


def memory(finding: Finding, setting: Setting) -> str:
    """The bytes that a finding is about."""
    location, count = finding.location, f"{finding.size} bytes"
    inside = location - setting.arena_address
    if 0 <= inside < ARENA_BYTES:
        name, offset, size = min(setting.arena, key=lambda v: distance(inside, v[1], v[2]))
        return f"{count} of threadgroup memory, " + place(name, inside - offset, size)
    for buffer in setting.buffers:
        inside = location - buffer.memory.address
        if 0 <= inside <= buffer.memory.size - finding.size:
            read_only = finding.kind & WRITES and not buffer.writable
            note = ", which is read-only" if read_only else ""
            return f"{count} of {place(str(buffer), inside, buffer.memory.size)}{note}"
    if not setting.buffers:
        return f"{count} at address {location:#x}, where no buffer is"
    near = min(setting.buffers, key=lambda b: distance(location, b.memory.address, b.memory.size))
    return f"{count}, {place(str(near), location - near.memory.address, near.memory.size)}"


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
