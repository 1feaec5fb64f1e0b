"""Compiled shaders: a library of kernels, as in Metal, and how to launch them."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from . import toolchain
from .checks.checked import Checked
from .checks.lines import Lines
from .checks.messages import Buffer, Grid, Setting, by_name, error
from .counting import counts, ir, registers
from .cuda.compiler import DEFAULT
from .cuda.compiler import build as cuda_build
from .cuda.kernel import CudaKernel, on_gpu
from .errors import CompileError, DivergentBarrierError, EmulatorError
from .launch.arguments import ZERO_PAGE, Memory, bind, triple
from .launch.build import Build, Ran
from .launch.structs import MAX_THREADGROUP_BYTES, SIMDGROUP, Launch
from .opencl.lowering import Allocation, allocate
from .source.rewrites import Constant
from .source.translation import Source, Text

# enum Failure of shim/fibres.h
FAILURES = {
    1: "a simdgroup_matrix operation was not reached by all lanes of a simdgroup",
}
FOUND = 2


class Report:
    """What a launch did.

    ``seconds`` is the time between the first threadgroup and the last, on a CPU.  The rest is there
    after ``launch(..., count=True)``; README.md explains the counters.
    """

    def __init__(
        self, seconds: float | None, source: Source, counted: counts.Counts | None
    ) -> None:
        self._seconds = seconds
        self._source = source
        self._counts = counted

    @property
    def seconds(self) -> float:
        """Raises EmulatorError for a launch on a GPU, which may not be over yet."""
        if self._seconds is None:
            raise EmulatorError("a launch on a GPU is timed with torch.cuda.Event")
        return self._seconds

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

    def __init__(self, source: Source, extensions: bool, finite_math: bool) -> None:
        self._source = source
        self._extensions = extensions
        self._finite_math = finite_math
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
            cpp = self._source.cpp(host_name)
            if counted:
                return toolchain.build_counted(cpp, self._extensions)
            return toolchain.build(cpp, checked, self._extensions, self._finite_math)
        except CompileError as error:
            raise CompileError(f"{host_name}:\n{error}") from None

    def cuda(self, host_name: str) -> str:
        """The kernel as one text of CUDA C++ for NVRTC; needs neither a GPU nor NVRTC."""
        self._require(host_name)
        try:
            return self._source.cuda(host_name, self._finite_math)
        except CompileError as error:
            raise CompileError(f"{host_name}:\n{error}") from None

    def prebuild_cuda(self, host_name: str, architecture: int = DEFAULT) -> Path:
        """Compiles the kernel for GPUs of kind sm_XX into the cache; needs NVRTC, but no GPU."""
        text = self.cuda(host_name)
        try:
            return cuda_build(text, architecture)
        except CompileError as error:
            raise CompileError(f"{host_name}:\n{error}") from None

    def registers(self, host_name: str) -> int:
        """The 32-bit registers that the kernel's values need, estimated: see counting."""
        self._require(host_name)
        cpp = self._source.cpp(host_name)
        return registers.most_alive(toolchain.values_ir(cpp, self._extensions))

    def second_opinion(self, host_name: str) -> Allocation:
        """What LLVM's allocator for an AMD GPU makes of the kernel: see opencl/lowering.py."""
        self._require(host_name)
        return allocate(self._source, host_name)

    def _require(self, host_name: str) -> None:
        if host_name not in self.kernels:
            raise EmulatorError(
                f"no kernel {host_name!r}; there are: {', '.join(self.kernels) or 'none'}"
            )

    def function(self, host_name: str) -> Kernel:
        """The kernel of that name; compiled when it is launched or asked for the first time."""
        if host_name not in self._functions:
            self._require(host_name)
            kernel = Kernel(host_name, self._source, self.prebuild, self.prebuild_cuda)
            self._functions.setdefault(host_name, kernel)  # another thread may have been faster
        return self._functions[host_name]


class Kernel:
    """A kernel on both executors, compiled for each when it needs it; see ``Library.function``."""

    def __init__(
        self,
        name: str,
        source: Source,
        prebuild: Callable[..., Path],
        prebuild_cuda: Callable[[str, int], Path],
    ) -> None:
        self.name = name
        self._source = source
        #: As the source has them.
        self.parameters = source.parameters(name)
        self._variables = source.variables
        self._prebuild = prebuild
        by_value = source.passed_by_value(name)
        self._cuda = CudaKernel(name, self.parameters, by_value, prebuild_cuda)
        self._first: Build | None = None

    @property
    def threadgroup_bytes(self) -> int:
        """Bytes of threadgroup memory that the kernel declares."""
        return self._any.threadgroup_bytes

    def threadgroup_bytes_on_gpu(self, index: int = 0) -> int:
        """The same as compiled for GPU `index`, without a CPU's compiler."""
        return self._cuda.function(index).threadgroup_bytes

    @property
    def function_constants(self) -> Mapping[int | str, Constant]:
        """The values that the kernel was compiled with."""
        return self._source.constants

    @property
    def max_threads(self) -> int:
        """[[max_total_threads_per_threadgroup]], or Metal's own limit."""
        return int(self._any.code.emulator_max_threads())

    @cached_property
    def _fast(self) -> Build:
        return self._load()

    @cached_property
    def _checked(self) -> Build:
        return self._load(checked=True)

    @cached_property
    def _counted(self) -> tuple[Build, list[ir.Block]]:
        build = self._load(counted=True)
        return build, ir.load(build.path)

    def _load(self, **kind: bool) -> Build:
        build = Build(self._prebuild(self.name, **kind))
        self._first = self._first or build
        return build

    @property
    def _any(self) -> Build:
        """The build that was loaded first: all say the same of parameters and limits."""
        return self._first or self._fast

    def load(self, check: bool = False, count: bool = False) -> None:
        """Compiles and loads what such launches need on the CPU; else the first of them does."""
        if check:
            _ = self._checked
        if count:
            _ = self._counted
        if not (check or count):
            _ = self._fast

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

        With tensors on "cuda" it runs on the GPU, on torch's current stream: then the launch
        returns at once, as torch's own do.  All tensors must be on one device.

        ``args[i]`` is bound to [[buffer(i)]]: a torch tensor or numpy array is used in place, from
        its first element on; bytes and numbers are copied; None leaves an optional argument out.
        ``threadgroup_lengths[i]`` is the size in bytes behind [[threadgroup(i)]].  ``schedule``
        is a seed that permutes the order of lanes, simdgroups and threadgroups; 0 is their own.
        ``workers`` is the number of CPU threads, by default one per core.

        With ``check``, the kernel runs on one CPU thread and stops at the first data race, access
        out of bounds, misaligned access, read of threadgroup memory that nobody wrote, or barrier
        that not all threads reach.  ``outputs`` are indices of arguments of which every element
        must then have been written.

        With ``count``, a slower build counts what the launch does: see ``Report.counts``.  With
        both, the kernel runs under the checks; then all that it may write is put back as it was,
        and it runs again to count.  The report and what the arguments hold are of that run.

        Raises EmulatorError, before anything runs, if an argument or the grid does not fit;
        with ``check``, RaceError, BoundsError, MisalignedError, UninitializedError or
        DivergentBarrierError, naming lines, threads and bytes.
        """
        if on_gpu(args):
            self._refuse_on_gpu(check=check, count=count, outputs=outputs, schedule=schedule)
            self._cuda.launch(args, threadgroups, threads, threadgroup_lengths)
            return Report(None, self._source, None)
        self.load(check, count)
        launch = Launch()
        launch.threadgroups[:] = triple(f"{self.name}: threadgroups", threadgroups)
        launch.threads[:] = triple(f"{self.name}: threads", threads)
        if not 0 <= schedule < 1 << 32:
            raise EmulatorError(f"{self.name}: schedule is {schedule}; it may be 0 to 2^32 - 1")
        launch.schedule = schedule
        self._check_limits(launch, threadgroup_lengths)
        bound = bind(self.name, self.parameters, self._any.types, args)
        for parameter in self.parameters:
            if parameter.attribute == "buffer":
                memory = bound.get(parameter.index)
                launch.buffers[parameter.index] = (memory and memory.address) or ZERO_PAGE[0]
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        wanted = workers or available or os.cpu_count() or 1
        if check:
            buffers = self._buffers(bound, outputs)
            before = [(b.memory, b.memory.content()) for b in buffers if count and b.writable]
            spare = [ZERO_PAGE] if len(bound) < len(launch.buffers) else []
            ran = self._run_checked(launch, Checked(buffers, spare), outputs, threadgroup_lengths)
            for memory, content in before:
                memory.restore(content)
        if count or not check:
            build, blocks = self._counted if count else (self._fast, [])
            ran = build.run(launch, threadgroup_lengths, wanted, len(blocks))
            self._require_success(launch)
        counted = counts.evaluate(blocks, ran.executions, _sizes(launch)) if count else None
        del bound
        return Report(ran.seconds, self._source, counted)

    def _refuse_on_gpu(self, **options: object) -> None:
        """What only the CPU executor can."""
        for name, value in options.items():
            if value:
                raise EmulatorError(
                    f"{self.name}: {name} is {value}, which needs tensors on the CPU; for a kernel "
                    "on a GPU there are NVIDIA's compute-sanitizer and Nsight Compute"
                )

    def _run_checked(
        self, launch: Launch, checked: Checked, outputs: Sequence[int], lengths: Sequence[int]
    ) -> Ran:
        """Runs the instrumented build and raises what it found."""
        build = self._checked
        launch.checks = ctypes.addressof(checked.native)
        ran = build.run(launch, lengths, workers=1)
        if launch.failure == FOUND:
            places = by_name(build.variables, self._variables) + build.parameter_places(lengths)
            grid = Grid(tuple(launch.threadgroups), tuple(launch.threads))
            lines = Lines(build.path)
            setting = Setting(self.name, lines, grid, checked.buffers, places, ran.arena)
            raise error(checked.native.finding, setting)
        self._require_success(launch)
        checked.require_written(self.name, outputs)
        launch.checks = None
        return ran

    def _require_success(self, launch: Launch) -> None:
        if launch.failure:
            raise DivergentBarrierError(f"{self.name}: {FAILURES[launch.failure]}")

    def _buffers(self, bound: Mapping[int, Memory], outputs: Sequence[int]) -> list[Buffer]:
        """The bound arguments, as the checks see them; the kernel must be able to write outputs."""
        buffers = []
        for parameter, kind in zip(self.parameters, self._any.types, strict=True):
            if parameter.attribute == "buffer" and parameter.index in bound:
                memory = bound[parameter.index]
                writable = memory.writable and kind.is_device and not kind.is_const
                buffers.append(Buffer(parameter.index, parameter.name, memory, writable))
        can_write = [b.index for b in buffers if b.writable]
        for index in outputs:
            if index not in can_write:
                raise EmulatorError(
                    f"{self.name}: outputs has {index}; it may have {can_write}, "
                    "which the kernel can write"
                )
        return buffers

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
    finite_math: bool = False,
) -> Library:
    """Reads Metal source; its kernels are compiled one by one when they are asked for.

    ``path_or_source`` is a .metal file, or source text if it has a line break.  ``include`` holds
    directories for #include, ``defines`` macros, and ``function_constants`` values by index or
    name.  ``extensions`` accepts C++17 where Metal's compiler would warn.  With ``finite_math``,
    functions of fast:: give NaN where an argument or their result is infinite, which Apple's fast
    math leaves open; a launch that counts does without.  Raises CompileError with the .metal file's
    own lines.
    """
    text = Text.read(path_or_source)
    preprocessed = text.preprocess(include, defines)
    return Library(Source(text, preprocessed, function_constants or {}), extensions, finite_math)
