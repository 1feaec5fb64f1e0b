"""A stand-in for torch.mps.compile_shader that runs kernels on the emulator.

It binds as torch documents it: positional argument i is [[buffer(i)]]; a tensor stands for its
memory from its storage offset on; an int becomes an int64, a float a float32, a list or tuple an
array of them, unless arg_casts says otherwise; `threads` counts all threads of the grid, and
group_size has as many dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

import emulator

CASTS = {"int32": np.int32, "int16": np.int16, "int8": np.int8, "uint8": np.uint8, "fp16": np.half}


class Library:
    """What compile_shader returns: an attribute per kernel."""

    def __init__(self, source: str) -> None:
        source.encode("ascii")
        # As the emulator's launcher compiles, so that kernels are compiled once for both.
        self._library = emulator.compile(source, finite_math=True)

    @property
    def kernels(self) -> Sequence[str]:
        """The host names in it."""
        return self._library.kernels

    def __getattr__(self, name: str) -> Function:
        if name not in self._library.kernels:
            raise RuntimeError(f"no function {name}")
        return Function(self._library.function(name))


class Function:
    """A kernel that is called as torch's are."""

    def __init__(self, kernel: emulator.Kernel) -> None:
        self._kernel = kernel

    def __call__(
        self,
        *arguments: Any,
        threads: Sequence[int],
        group_size: Sequence[int],
        arg_casts: Mapping[int, str] | None = None,
    ) -> None:
        casts = arg_casts or {}
        if len(threads) != len(group_size):
            raise RuntimeError("threads and group_size must have the same number of dimensions")
        if any(total % size for total, size in zip(threads, group_size)):
            raise RuntimeError("the emulator has no smaller threadgroups at a grid's end")
        groups = [total // size for total, size in zip(threads, group_size)]
        bound = [bind(argument, casts.get(i)) for i, argument in enumerate(arguments)]
        self._kernel.launch(bound, threadgroups=groups, threads=group_size, workers=1)


def bind(argument: Any, cast: str | None = None) -> Any:
    """An argument as bytes in memory."""
    if isinstance(argument, torch.Tensor):
        return argument
    values = list(argument) if isinstance(argument, (list, tuple)) else [argument]
    if not values or not all(isinstance(value, (int, float)) for value in values):
        raise TypeError(f"cannot bind {argument!r}")
    whole = all(isinstance(value, int) for value in values)
    return np.array(values, CASTS[cast] if cast else np.int64 if whole else np.float32).tobytes()


def compile_shader(source: str) -> Library:
    return Library(source)
