"""Compiled shaders: a library of kernels, as in Metal, and how to launch them."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from . import counts, ir, toolchain
from .arguments import ZERO_PAGE, Launch, Memory, ParameterType, bind, triple
from .checks import Buffer, Checked, Grid, Variable, by_name
from .errors import CompileError, DivergentBarrierError, EmulatorError
from .execution import GROUP_BYTES, SIMDGROUP, run
from .lines import Lines
from .rewrites import Constant
from .source import Source, Text

MAX_THREADGROUP_BYTES = 32 * 1024

# enum Failure of shim/fibres.h
FAILURES = {
    1: "a simdgroup_matrix operation was not reached by all lanes of a simdgroup",
}
FOUND = 2


class Report:
    """What a launch did.

    ``seconds`` is the time between the first threadgroup and the last.  The rest is there after
    ``launch(..., count=True)``; README.md explains the counters.
    """

    def __init__(self, seconds: float, source: Source, counted: counts.Counts | None) -> None:
        self.seconds = seconds
        self._source = source
        self._counts = counted

    @property
    def counts(self) -> counts.Counts:
        """Counters of the whole launch by name.  Raises EmulatorError if it did not count."""
        if self._counts is None:
            raise EmulatorError("this launch did not count; use launch(..., count=True)")
        return self._counts

    @property
    def lines(self) -> dict[int, dict[str, int]]:
        """The same by line of the shader's own file; ``counts.by_line`` has its includes, too."""
        return {
            line: names
            for (file, line), names in self.counts.by_line.items()
            if file == self._source.text.name
        }

    def listing(self) -> str:
        """The source with counts beside its lines, the hottest marked."""
        text = self._source.text
        return counts.listing(self.counts, {text.name: text.text})


class Library:
    """The kernels of one .metal source; made by ``emulator.compile``."""

    def __init__(self, source: Source, extensions: bool) -> None:
        self._source = source
        self._extensions = extensions
        self._functions: dict[str, Kernel] = {}

    @property
    def kernels(self) -> list[str]:
        """Host names of all kernels, in the order of the source."""
        return self._source.kernels

    def prebuild(self, host_name: str, checked: bool = False, counted: bool = False) -> Path:
        """Compiles one kernel into the cache, if it is not there, and does not load it.

        For worker processes that fill the cache in parallel; `checked` is the build that
        ``launch(check=True)`` runs, `counted` that of ``launch(count=True)``.  Returns the shared
        library's path.
        """
        self._require(host_name)
        try:
            if counted:
                return toolchain.build_counted(self._source.cpp(host_name), self._extensions)
            return toolchain.build(self._source.cpp(host_name), checked, self._extensions)
        except CompileError as error:
            raise CompileError(f"{host_name}:\n{error}") from None

    def _require(self, host_name: str) -> None:
        if host_name not in self.kernels:
            raise EmulatorError(
                f"no kernel {host_name!r}; there are: {', '.join(self.kernels) or 'none'}"
            )

    def function(self, host_name: str) -> Kernel:
        """The kernel of that name; compiled when it is asked for the first time."""
        if host_name not in self._functions:
            self._require(host_name)
            kernel = Kernel(host_name, self._source, self.prebuild)
            self._functions.setdefault(host_name, kernel)  # another thread may have been faster
        return self._functions[host_name]


class Build:
    """A compiled kernel, loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.code = code = ctypes.CDLL(str(path))
        code.emulator_parameters.restype = ctypes.POINTER(ParameterType)
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

    def arena_bytes(self, lengths: Sequence[int]) -> int:
        """Bytes that variables and parameters take up."""
        return self.placed_bytes + sum((n + 15) // 16 * 16 + self.red_zone for n in lengths)


class Kernel:
    """A compiled kernel; made by ``Library.function``."""

    def __init__(self, name: str, source: Source, prebuild: Callable[..., Path]) -> None:
        self.name = name
        self._source = source
        #: As the source has them.
        self.parameters = source.parameters(name)
        self._variables = source.variables
        self._prebuild = prebuild
        self._fast = Build(prebuild(name))
        #: Bytes of threadgroup memory that the kernel declares.
        self.threadgroup_bytes = self._fast.threadgroup_bytes
        #: [[max_total_threads_per_threadgroup]], or Metal's own limit.
        self.max_threads: int = self._fast.code.emulator_max_threads()

    @cached_property
    def _checked(self) -> Build:
        return Build(self._prebuild(self.name, checked=True))

    @cached_property
    def _counted(self) -> tuple[Build, list[ir.Block]]:
        build = Build(self._prebuild(self.name, counted=True))
        return build, ir.load(build.path)

    def launch(
        self,
        args: Sequence[Any],
        threadgroups: Sequence[int] | int,
        threads: Sequence[int] | int,
        check: bool = False,
        *,
        count: bool = False,
        outputs: Sequence[int] = (),
        schedule: int = 0,
        threadgroup_lengths: Sequence[int] = (),
        workers: int | None = None,
    ) -> Report:
        """Runs the kernel on a grid of threadgroups; returns when it is done.

        ``args[i]`` is bound to [[buffer(i)]]: a torch tensor or numpy array is used in place, from
        its first element on; bytes and numbers are copied; None leaves an optional argument out.
        ``threadgroup_lengths[i]`` is the size in bytes behind [[threadgroup(i)]].  ``schedule``
        is a seed that permutes the order of lanes, simdgroups and threadgroups; 0 is their own.
        ``workers`` is the number of CPU threads, by default one per core.

        With ``check``, the kernel runs on one CPU thread and stops at the first data race, access
        out of bounds, misaligned access, read of threadgroup memory that nobody wrote, or barrier
        that not all threads reach.  ``outputs`` are indices of arguments of which every element
        must then have been written.

        With ``count``, a slower build counts what the launch does: see ``Report.counts``.

        Raises EmulatorError, before anything runs, if an argument or the grid does not fit;
        with ``check``, RaceError, BoundsError, MisalignedError, UninitializedError or
        DivergentBarrierError, naming lines, threads and bytes.
        """
        launch = Launch()
        launch.threadgroups[:] = triple(f"{self.name}: threadgroups", threadgroups)
        launch.threads[:] = triple(f"{self.name}: threads", threads)
        if not 0 <= schedule < 1 << 32:
            raise EmulatorError(f"{self.name}: schedule is {schedule}; it may be 0 to 2^32 - 1")
        launch.schedule = schedule
        self._check_limits(launch, threadgroup_lengths)
        if check and count:
            raise EmulatorError(f"{self.name}: check and count are two builds; launch with either")
        build = self._checked if check else self._counted[0] if count else self._fast
        blocks = self._counted[1] if count else []
        bound = bind(self.name, self.parameters, build.types, args, launch)
        checked = self._prepare(bound, build, launch, outputs) if check else None
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        wanted = 1 if check else workers or available or os.cpu_count() or 1
        begin = time.perf_counter()
        arena = build.arena_bytes(threadgroup_lengths)
        workers = min(wanted, math.prod(launch.threadgroups))
        own, executions = run(build.code, launch, arena, workers, len(blocks))
        seconds = time.perf_counter() - begin
        if checked and launch.failure == FOUND:
            places = by_name(build.variables, self._variables)
            places += build.parameter_places(threadgroup_lengths)
            grid = Grid(tuple(launch.threadgroups), tuple(launch.threads))
            checked.raise_finding(self.name, Lines(build.path), places, own.arena, grid)
        if launch.failure:
            raise DivergentBarrierError(f"{self.name}: {FAILURES[launch.failure]}")
        if checked:
            checked.require_written(self.name, outputs)
        del bound
        counted = counts.evaluate(blocks, executions, _sizes(launch)) if count else None
        return Report(seconds, self._source, counted)

    def _prepare(
        self, bound: Mapping[int, Memory], build: Build, launch: Launch, outputs: Sequence[int]
    ) -> Checked:
        """Tells the checks what they need to know."""
        buffers = []
        for parameter, kind in zip(self.parameters, build.types, strict=True):
            if parameter.attribute == "buffer" and parameter.index in bound:
                memory = bound[parameter.index]
                writable = memory.writable and kind.is_device and not kind.is_const
                buffers.append(Buffer(parameter.index, parameter.name, memory, writable))
        names = {b.index: b for b in buffers}
        for index in outputs:
            if index not in names or not names[index].writable:
                raise EmulatorError(
                    f"{self.name}: outputs has {index}; it may have "
                    f"{[b.index for b in buffers if b.writable]}, which the kernel can write"
                )
        checked = Checked(buffers, [ZERO_PAGE] if len(bound) < len(launch.buffers) else [])
        launch.checks = ctypes.addressof(checked.native)
        return checked

    def _check_limits(self, launch: Launch, threadgroup_lengths: Sequence[int]) -> None:
        threads = math.prod(launch.threads)
        if threads > self.max_threads:
            raise EmulatorError(
                f"{self.name}: {threads} threads per threadgroup; at most {self.max_threads}"
            )
        parameters = [p for p in self.parameters if p.attribute == "threadgroup"]
        if len(threadgroup_lengths) != len(parameters):
            raise EmulatorError(
                f"{self.name}: threadgroup_lengths has {len(threadgroup_lengths)} sizes, "
                f"but the kernel has {len(parameters)} threadgroup parameters"
            )
        for i, length in enumerate(threadgroup_lengths):
            launch.threadgroup_lengths[i] = length
        needed = self.threadgroup_bytes + sum(threadgroup_lengths)
        if needed > MAX_THREADGROUP_BYTES:
            raise EmulatorError(
                f"{self.name}: {needed} bytes of threadgroup memory; "
                f"Metal has {MAX_THREADGROUP_BYTES}"
            )


def _sizes(launch: Launch) -> dict[str, int]:
    """How many threads, simdgroups and threadgroups a launch has."""
    groups, threads = math.prod(launch.threadgroups), math.prod(launch.threads)
    simdgroups = (threads + SIMDGROUP - 1) // SIMDGROUP
    return {
        "threads": groups * threads,
        "simdgroups": groups * simdgroups,
        "threadgroups": groups,
    }


def compile(
    path_or_source: str | os.PathLike[str],
    include: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | None = None,
    function_constants: Mapping[int | str, Constant] | None = None,
    extensions: bool = False,
) -> Library:
    """Reads Metal source; its kernels are compiled one by one when they are asked for.

    ``path_or_source`` is a .metal file, or source text if it has a line break.  ``include`` holds
    directories for #include, ``defines`` macros, and ``function_constants`` values by index or
    name.  ``extensions`` accepts C++17 where Metal's compiler would warn.  Raises CompileError with
    the .metal file's own lines.
    """
    text = Text.read(path_or_source)
    preprocessed = text.preprocess(include, defines)
    return Library(Source(text, preprocessed, function_constants or {}), extensions)
