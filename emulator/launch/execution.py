"""Runs a compiled kernel: workers, each on a CPU thread of its own with stacks for its fibres."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading

from .structs import MAX_THREADS, SIMDGROUP, STACK, Launch

ALIGNMENT = SIMDGROUP * STACK  # stacks of a simdgroup lie in one aligned piece
GROUP_BYTES = 1 << 16  # at least sizeof(Threadgroup)
ARENA_BYTES = 1 << 18  # threadgroup memory, with room for kernels that use more than a Mac has

# Memory of which only the pages that are touched count.  Python 3.11 does not name MAP_NORESERVE;
# Linux refuses large maps without it, macOS needs none.
NORESERVE = 0x4000 if sys.platform == "linux" else 0
UNTOUCHED = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE


class Workspace:
    """One worker's memory: its fibres' stacks, its threadgroup's state and threadgroup memory.

    Pages that are never touched cost nothing.
    """

    def __init__(self) -> None:
        size = ALIGNMENT + MAX_THREADS * STACK + GROUP_BYTES + ARENA_BYTES
        self._memory = mmap.mmap(-1, size, flags=UNTOUCHED)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.stacks = (start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        self.group = self.stacks + MAX_THREADS * STACK
        self.arena = self.group + GROUP_BYTES


_idle: list[Workspace] = []  # kept for the next launch; list operations are atomic


def run(
    library: ctypes.CDLL, launch: Launch, arena_bytes: int, workers: int, counters: int = 0
) -> tuple[Workspace, list[int]]:
    """Runs all threadgroups of ``launch``, on ``workers`` CPU threads; returns when all are done.

    Who is free takes the next threadgroup.  ctypes releases the interpreter lock meanwhile.
    Returns the calling thread's workspace, as it was left, and what each of a counted build's
    ``counters`` came to: every worker has its own.
    """
    counted: list[ctypes.Array[ctypes.c_ulong]] = []

    def work() -> Workspace:
        try:
            workspace = _idle.pop()
        except IndexError:
            workspace = Workspace()
        mine = (ctypes.c_ulong * counters)()
        counted.append(mine)
        library.emulator_run(
            ctypes.byref(launch),
            ctypes.c_size_t(workspace.stacks),
            ctypes.c_void_p(workspace.group),
            ctypes.c_void_p(workspace.arena),
            ctypes.c_size_t(arena_bytes),
            ctypes.byref(mine),
        )
        _idle.append(workspace)
        return workspace

    others = [threading.Thread(target=work) for _ in range(workers - 1)]
    for other in others:
        other.start()
    own = work()
    for other in others:
        other.join()
    return own, [sum(numbers) for numbers in zip(*counted, strict=True)]
