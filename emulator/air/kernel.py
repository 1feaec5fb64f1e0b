"""Kernels out of Metal libraries, launched as those from a source are."""

from __future__ import annotations

import ctypes
import json
import math
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import toolchain
from ..errors import CompileError, EmulatorError
from ..launch.arguments import ZERO_PAGE, bind, triple
from ..launch.build import Build
from ..launch.structs import MAX_THREADS, Launch
from ..source.rewrites import Constant
from . import functions, module
from .container import Container

HERE = Path(__file__).parent


class Library:
    """A .metallib file."""

    def __init__(self, path: Path) -> None:
        self._container = Container(path)

    @property
    def macos(self) -> int:
        """The major version of macOS that it was compiled for."""
        return self._container.macos

    @property
    def kernels(self) -> list[str]:
        """Names of all functions."""
        return self._container.names

    def prebuild(self, name: str) -> Path:
        """Compiles one kernel into the cache, if it is not there.

        Raises EmulatorError if there is no function of that name, CompileError if it has something
        that is not covered.
        """

        def translate(text: str, library: Path) -> str:
            kernel = module.describe(text)
            library.with_suffix(".json").write_text(json.dumps(kernel.as_json()))
            return module.translate(text, kernel)

        readers = sorted(p for p in HERE.iterdir() if p.suffix in (".py", ".cpp"))
        try:
            return toolchain.build_air(
                self._container.bitcode(name), translate, functions.RUNTIME, readers
            )
        except CompileError as error:
            raise CompileError(f"{name} in {self._container.path}: {error}") from None

    def function(self, name: str, constants: Mapping[int | str, Constant] | None = None) -> Kernel:
        """The kernel of that name, with the values of its function constants by index or name."""
        return Kernel(name, self.prebuild(name), constants or {})


class Kernel:
    """A kernel, compiled for this machine's CPU.

    It runs on one CPU thread, as its threadgroup memory is one piece of the library's own.
    """

    def __init__(self, name: str, path: Path, constants: Mapping[int | str, Constant]) -> None:
        self.name = name
        self._path = path
        self._kernel = module.Kernel.from_json(json.loads(path.with_suffix(".json").read_text()))
        self._constants = constants

    @cached_property
    def _build(self) -> Build:
        return Build(self._path)

    def launch(
        self, args: Sequence[Any], threadgroups: Sequence[int] | int, threads: Sequence[int] | int
    ) -> None:
        """Runs the kernel on a grid of threadgroups; returns when it is done.

        ``args`` are those of ``emulator.Kernel.launch``.  Raises EmulatorError, before anything
        runs, if one does not fit what the library says of it.
        """
        launch = Launch()
        launch.threadgroups[:] = triple(f"{self.name}: threadgroups", threadgroups)
        launch.threads[:] = triple(f"{self.name}: threads", threads)
        if math.prod(launch.threads) > MAX_THREADS:
            raise EmulatorError(
                f"{self.name}: {math.prod(launch.threads)} threads per threadgroup; at most "
                f"{MAX_THREADS}"
            )
        arguments = self._kernel.arguments
        parameters = [a.parameter for a in arguments]
        bound = bind(self.name, parameters, [a.type for a in arguments], args)
        for parameter in parameters:
            if parameter.attribute == "buffer":
                memory = bound.get(parameter.index)
                launch.buffers[parameter.index] = (memory and memory.address) or ZERO_PAGE[0]
        self._set_constants()
        self._build.run(launch, lengths=(), workers=1)
        if launch.failure:
            raise EmulatorError(f"{self.name}: the launch failed ({launch.failure})")

    def _set_constants(self) -> None:
        """Gives function constants their values, then runs what the library runs at its start."""
        code = self._build.code
        for constant in self._kernel.constants:
            keys = (constant.name, constant.index)
            values = [self._constants[key] for key in keys if key in self._constants]
            if not values:
                raise EmulatorError(
                    f"{self.name}: function constant {constant.name} has no value; give one in "
                    "constants"
                )
            value = struct.pack(constant.code, values[0])
            (ctypes.c_char * len(value)).in_dll(code, constant.symbol).raw = value
        code["air.set_constants"]()
