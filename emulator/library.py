"""Compiled shaders: a library of kernels, as in Metal, and how to launch them."""

from __future__ import annotations

import ctypes
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import toolchain
from .arguments import Launch, ParameterType, bind, triple
from .errors import CompileError, EmulatorError
from .execution import GROUP_BYTES, run
from .rewrites import Constant
from .source import Source

MAX_THREADGROUP_BYTES = 32 * 1024

# enum Failure of shim/fibres.h
FAILURES = {
    1: "a simdgroup_matrix operation was not reached by all lanes of a simdgroup",
}


@dataclass(frozen=True)
class Report:
    """What a launch did.

    ``seconds`` is the time between the first threadgroup and the last; ``counts`` holds counters
    by name.
    """

    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)


class Library:
    """The kernels of one .metal source; made by ``emulator.compile``."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._functions: dict[str, Kernel] = {}

    @property
    def kernels(self) -> list[str]:
        """Host names of all kernels, in the order of the source."""
        return self._source.kernels

    def prebuild(self, host_name: str) -> Path:
        """Compiles one kernel into the cache, if it is not there, and does not load it.

        For worker processes that fill the cache in parallel.  Returns the shared library's path.
        """
        if host_name not in self.kernels:
            raise EmulatorError(
                f"no kernel {host_name!r}; there are: {', '.join(self.kernels) or 'none'}"
            )
        try:
            return toolchain.build(self._source.cpp(host_name))
        except CompileError as error:
            raise CompileError(f"{host_name}:\n{error}") from None

    def function(self, host_name: str) -> Kernel:
        """The kernel of that name; compiled when it is asked for the first time."""
        if host_name not in self._functions:
            kernel = Kernel(host_name, self._source, self.prebuild(host_name))
            self._functions.setdefault(host_name, kernel)  # another thread may have been faster
        return self._functions[host_name]


class Kernel:
    """A compiled kernel; made by ``Library.function``."""

    def __init__(self, name: str, source: Source, path: Path) -> None:
        self.name = name
        self._parameters = source.parameters(name)
        self._library = library = ctypes.CDLL(str(path))
        library.emulator_parameters.restype = ctypes.POINTER(ParameterType)
        library.emulator_threadgroup_bytes.restype = ctypes.c_size_t
        library.emulator_group_bytes.restype = ctypes.c_size_t
        library.emulator_run.restype = None
        count = library.emulator_parameter_count()
        self._types = library.emulator_parameters()[:count]
        #: Bytes of threadgroup memory that the kernel declares.
        self.threadgroup_bytes: int = library.emulator_threadgroup_bytes()
        #: [[max_total_threads_per_threadgroup]], or Metal's own limit.
        self.max_threads: int = library.emulator_max_threads()
        if library.emulator_group_bytes() > GROUP_BYTES:
            raise EmulatorError("execution.GROUP_BYTES is too small for the shim's Threadgroup")

    def launch(
        self,
        args: Sequence[Any],
        threadgroups: Sequence[int] | int,
        threads: Sequence[int] | int,
        check: bool = False,
        *,
        threadgroup_lengths: Sequence[int] = (),
        workers: int | None = None,
    ) -> Report:
        """Runs the kernel on a grid of threadgroups; returns when it is done.

        ``args[i]`` is bound to [[buffer(i)]]: a torch tensor or numpy array is used in place, from
        its first element on; bytes and numbers are copied; None leaves an optional argument out.
        ``threadgroup_lengths[i]`` is the size in bytes behind [[threadgroup(i)]].  ``workers`` is
        the number of CPU threads, by default one per core.

        Raises EmulatorError, before anything runs, if an argument or the grid does not fit.
        """
        if check:
            raise EmulatorError("launch(check=True): this version of the emulator has no checks")
        launch = Launch()
        launch.threadgroups[:] = triple(f"{self.name}: threadgroups", threadgroups)
        launch.threads[:] = triple(f"{self.name}: threads", threads)
        self._check_limits(launch, threadgroup_lengths)
        alive = bind(self.name, self._parameters, self._types, args, launch)
        arena = self.threadgroup_bytes + sum((n + 15) // 16 * 16 for n in threadgroup_lengths)
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        wanted = workers or available or os.cpu_count() or 1
        begin = time.perf_counter()
        run(self._library, launch, arena, min(wanted, math.prod(launch.threadgroups)))
        seconds = time.perf_counter() - begin
        del alive
        if launch.failure:
            raise EmulatorError(f"{self.name}: {FAILURES[launch.failure]}")
        return Report(seconds)

    def _check_limits(self, launch: Launch, threadgroup_lengths: Sequence[int]) -> None:
        threads = math.prod(launch.threads)
        if threads > self.max_threads:
            raise EmulatorError(
                f"{self.name}: {threads} threads per threadgroup; at most {self.max_threads}"
            )
        parameters = [p for p in self._parameters if p.attribute == "threadgroup"]
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


def compile(
    path_or_source: str | os.PathLike[str],
    include: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | None = None,
    function_constants: Mapping[int | str, Constant] | None = None,
) -> Library:
    """Reads Metal source; its kernels are compiled one by one when they are asked for.

    ``path_or_source`` is a .metal file, or source text if it has a line break.  ``include`` holds
    directories for #include, ``defines`` macros, and ``function_constants`` values by index or
    name.  Raises CompileError with the .metal file's own lines.
    """
    text = str(path_or_source)
    if isinstance(path_or_source, str) and "\n" in path_or_source:
        name, directory = "<source>", Path.cwd()
    else:
        path = Path(path_or_source)
        try:
            text = path.read_text()
        except OSError as error:
            raise EmulatorError(f"cannot read the shader {path}: {error.strerror}") from None
        name, directory = str(path), path.parent
    preprocessed = toolchain.preprocess(
        text,
        name,
        directory,
        [str(path) for path in include],
        {key: str(value) for key, value in (defines or {}).items()},
    )
    return Library(Source(preprocessed, function_constants or {}))
