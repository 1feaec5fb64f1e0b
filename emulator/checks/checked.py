"""A launch under the checks: what they get beforehand, and whether all outputs were written."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence

from ..errors import UninitializedError
from ..launch.arguments import Memory
from ..launch.execution import ARENA_BYTES, UNTOUCHED
from ..launch.structs import GRANULE, Cell, Checks, Extent
from .messages import Buffer

CELL_BYTES = ctypes.sizeof(Cell)


class Cells:
    """Memory for the cells of a range of addresses; pages that are never touched cost nothing."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin = begin // GRANULE * GRANULE
        self.end = end
        size = ((end - self.begin) // GRANULE + 2) * CELL_BYTES
        self.memory = mmap.mmap(-1, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE, flags=UNTOUCHED)
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
        masks = table.reshape(count, CELL_BYTES)[:, Cell.written.offset]
        first = (memory.address - cells.begin) // GRANULE
        last = (buffer.end - 1 - cells.begin) // GRANULE + 1
        written = np.stack([masks[first:last] & 1, masks[first:last] >> 1 & 1], axis=1).ravel()
        skip = (memory.address - cells.begin) % GRANULE
        written = written[skip : skip + memory.size]
        missing = np.flatnonzero(memory.elements() & (written == 0))
        return int(missing[0]) if len(missing) else None
