"""A compiled kernel, loaded: what it says of itself, and a run of it."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import EmulatorError
from .execution import GROUP_BYTES, run
from .structs import Launch, Parameter, Variable, require_same


@dataclass(frozen=True)
class Ran:
    """What a run leaves."""

    seconds: float  # between the first threadgroup and the last
    executions: list[int]  # of each block that a counted build counts
    arena: int  # address of the calling thread's threadgroup memory


class Build:
    """One of a kernel's builds: the fast one, the instrumented one, or the one that counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.code = code = ctypes.CDLL(str(path))
        require_same(code, path)
        code.emulator_parameters.restype = ctypes.POINTER(Parameter)
        code.emulator_variables.restype = ctypes.POINTER(Variable)
        for size in ("threadgroup", "placed", "group"):
            getattr(code, f"emulator_{size}_bytes").restype = ctypes.c_size_t
        code.emulator_run.restype = None
        if code.emulator_group_bytes() > GROUP_BYTES:
            raise EmulatorError("execution.GROUP_BYTES is too small for the shim's Threadgroup")
        self.types = code.emulator_parameters()[: code.emulator_parameter_count()]
        self.variables = code.emulator_variables()[: code.emulator_variable_count()]
        self.red_zone: int = code.emulator_red_zone()
        #: Bytes of threadgroup memory as declared, and as placed.
        self.threadgroup_bytes: int = code.emulator_threadgroup_bytes()
        self.placed_bytes: int = code.emulator_placed_bytes()

    def parameter_places(self, lengths: Sequence[int]) -> list[tuple[str, int, int]]:
        """(name, offset, size) of [[threadgroup(n)]] parameters, behind the variables."""
        places, offset = [], self.placed_bytes
        for i, length in enumerate(lengths):
            places.append((f"[[threadgroup({i})]]", offset, length))
            offset += (length + 15) // 16 * 16 + self.red_zone
        return places

    def run(self, launch: Launch, lengths: Sequence[int], workers: int, counters: int = 0) -> Ran:
        """Runs a launch, on so many CPU threads at most; its failure is in `launch`.

        `lengths` are those of [[threadgroup(n)]] parameters, `counters` of a build that counts.
        """
        launch.next = launch.failure = 0
        workers = min(workers, math.prod(launch.threadgroups))
        begin = time.perf_counter()
        own, executions = run(self.code, launch, self.arena_bytes(lengths), workers, counters)
        return Ran(time.perf_counter() - begin, executions, own.arena)

    def arena_bytes(self, lengths: Sequence[int]) -> int:
        """Bytes that variables and parameters take up."""
        return self.placed_bytes + sum((n + 15) // 16 * 16 + self.red_zone for n in lengths)
