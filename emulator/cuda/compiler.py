"""NVRTC, and a cache of what it made."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

from .. import toolchain
from ..errors import CompileError, EmulatorError

OLDEST = 80  # the matrix unit's products of bfloat, and conversions to it, begin with sm_80
DEFAULT = 90

OPTIONS = (
    "--std=c++17",
    "--device-as-default-execution-space",
    "--device-int128",
    # half and bfloat round after every operation; so does float.
    "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true",
    "--generate-line-info",
    "--disable-warnings",
    "--diag-error=1444",  # of a name that is deprecated: see rewrites.refuse_unset_constants
)  # fmt: skip

_PLACE = re.compile(r'^#line (\d+) "(?:[^"]*/)?([^"/]*)"', re.MULTILINE)


def build(text: str, architecture: int = DEFAULT) -> Path:
    """Compiles CUDA C++ into a cubin for sm_XX, or finds it in the cache."""
    # Lines count, as the code says where it comes from, but not where the project lies.
    content = _PLACE.sub(r'#line \1 "\2"', text)
    key = "\0".join([*OPTIONS, str(architecture), content])
    directory = toolchain.cache_directory() / "cuda"
    cubin = directory / f"{hashlib.sha256(key.encode()).hexdigest()}.cubin"
    if not cubin.exists():
        code = _compile(text, architecture)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            made = Path(scratch) / cubin.name
            made.write_bytes(code)
            made.replace(cubin)
    return cubin


def _compile(text: str, architecture: int) -> bytes:
    nvrtc = _nvrtc()
    options = [f"--gpu-architecture=sm_{architecture}".encode(), *(o.encode() for o in OPTIONS)]
    status, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    _require(nvrtc, status)
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            size = nvrtc.nvrtcGetProgramLogSize(program)[1]
            log = b" " * size
            nvrtc.nvrtcGetProgramLog(program, log)
            raise CompileError(_readable(log.decode()))
        size = nvrtc.nvrtcGetCUBINSize(program)[1]
        code: bytes = b" " * size
        _require(nvrtc, nvrtc.nvrtcGetCUBIN(program, code)[0])
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _nvrtc() -> Any:
    """NVRTC's functions; says what is missing where they are not there."""
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise EmulatorError("no cuda-bindings: pip install --group cuda") from None
    try:
        nvrtc.nvrtcVersion()
    except RuntimeError as error:
        raise EmulatorError(f"no NVRTC: pip install --group cuda ({_first_line(error)})") from None
    return nvrtc


def _require(nvrtc: Any, status: Any) -> None:
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise EmulatorError(f"NVRTC: {nvrtc.nvrtcGetErrorString(status)[1].decode()}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _readable(log: str) -> str:
    """NVRTC's messages as clang writes them: file:line: error: ..., with the line of the source."""
    log = log.replace("program::", "").replace("\0", "")
    log = re.sub(r"^(.*?)\((\d+)\): ", r"\1:\2: ", log, flags=re.MULTILINE)
    lines = [
        line
        for line in log.splitlines()
        if not re.match(r"\d+ errors? detected|\s*\^\s*$", line) and " emulator_entry " not in line
    ]
    return "\n".join(lines).strip()
