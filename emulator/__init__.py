"""Runs Metal shaders on this machine's CPU.

>>> library = emulator.compile("scale.metal")
>>> kernel = library.function("scale")
>>> report = kernel.launch([tensor, 2.0], threadgroups=(8, 1, 1), threads=(256, 1, 1))
"""

from .errors import (
    BoundsError,
    CompileError,
    DivergentBarrierError,
    EmulatorError,
    MisalignedError,
    RaceError,
    UninitializedError,
)
from .library import Kernel, Library, Report, compile
from .opencl import check_types
from .source.refusals import Finding, lint

__all__ = [
    "BoundsError",
    "CompileError",
    "DivergentBarrierError",
    "EmulatorError",
    "Finding",
    "Kernel",
    "Library",
    "MisalignedError",
    "RaceError",
    "Report",
    "UninitializedError",
    "check_types",
    "compile",
    "lint",
]
