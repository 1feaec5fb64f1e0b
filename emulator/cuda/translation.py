"""From Metal to one text of CUDA C++ that needs no header: the shim, then the shader."""

from __future__ import annotations

import functools
from pathlib import Path

from ..headers import one_text
from . import rewrites

HERE = Path(__file__).parent
# Where the shim's files are looked for: those for CUDA, then those that know no machine.
SHIM = (HERE / "shim", HERE.parent / "shim")

FINITE_MATH = "#define EMULATOR_FINITE_MATH\n"  # see finite() in ../shim/math.h


def assemble(host_name: str, program: str, finite_math: bool) -> str:
    """The whole text that NVRTC compiles, of a shader's rewritten source."""
    return (
        f"// {host_name}: Metal, as CUDA C++.\n{FINITE_MATH if finite_math else ''}"
        f"namespace {rewrites.PROGRAM} {{\n{shim()}{program}\n"
        f"}} // namespace {rewrites.PROGRAM}\n"
    )


@functools.cache
def shim() -> str:
    """All of the shim."""
    return one_text("metal.h", SHIM)
