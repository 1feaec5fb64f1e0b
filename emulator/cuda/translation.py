"""From Metal to one text of CUDA C++ that needs no header: the shim, then the shader."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from . import rewrites

HERE = Path(__file__).parent
# Where the shim's files are looked for: those for CUDA, then those that know no machine.
SHIM = (HERE / "shim", HERE.parent / "shim")
_INCLUDE = re.compile(r'#include "(\w+\.h)"')

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
    """All of the shim, each file once and behind those that it includes."""
    seen: set[str] = set()
    return _flat("metal.h", seen)


def _flat(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    path = next(directory / name for directory in SHIM if (directory / name).exists())
    shown = path.relative_to(HERE.parent.parent).as_posix()
    text = [f'#line 1 "{shown}"']
    for number, line in enumerate(path.read_text().splitlines(), 1):
        included = _INCLUDE.match(line)
        if included:
            text += [_flat(included.group(1), seen), f'#line {number + 1} "{shown}"']
        else:
            text.append("" if line == "#pragma once" else line)
    return "\n".join(text) + "\n"
