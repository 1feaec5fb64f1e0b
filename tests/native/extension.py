"""Compiles the native launcher with the stand-in, once per content, and drives it from Python."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from metal_flash_sdpa.launchers import bind, native
from metal_flash_sdpa.plan import LaunchPlan
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "native"  # safe to delete
SOURCES = (ROOT / "torch-ext/launch.cpp", Path(__file__).with_name("stand_in.cpp"))
HEADERS = (ROOT / "torch-ext/embedded_library.h", ROOT / "ci/native/registration.h")
TORCH = Path(torch.__file__).parent
NAME = "_metal_flash_sdpa_stand_in"
MAX_THREADS = 1024

# torch is built against the system's libstdc++, which ziglang's clang does not bring.
CXX = shutil.which(os.environ.get("CXX", "c++"))


class Argument(ctypes.Structure):
    """`Argument` of stand_in.cpp."""

    _fields_ = [
        ("address", ctypes.c_void_p),
        ("size", ctypes.c_uint64),
        ("type", ctypes.c_char_p),
    ]

    def value(self) -> Tensor | bytes:
        """The memory behind it: a tensor of one dimension, or a copy of the inline bytes."""
        if self.type is None:
            return ctypes.string_at(self.address, self.size)
        dtype = DTYPES[self.type.decode()]
        if not self.size:
            return torch.empty(0, dtype=dtype)
        memory = (ctypes.c_char * self.size).from_address(self.address)
        return torch.frombuffer(memory, dtype=dtype)


DTYPES = {
    "Byte": torch.uint8,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Float": torch.float32,
    "Int": torch.int32,
}
SIZES = ctypes.POINTER(ctypes.c_uint64)
PROBLEM = ctypes.c_char * 1024
RUN = ctypes.CFUNCTYPE(
    None,
    ctypes.c_char_p,
    ctypes.POINTER(Argument),
    ctypes.c_uint64,
    SIZES,
    SIZES,
    ctypes.POINTER(PROBLEM),
)

Kernel = Callable[[str], Any]  # name -> what the emulator compiled


@cache
def library() -> Path:
    """The compiled extension.  Raises CalledProcessError with the compiler's words."""
    assert CXX is not None
    flags = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    flags += ["-isystem", f"{TORCH}/include", "-I", f"{ROOT}/ci/native"]
    flags += [f"-DTORCH_EXTENSION_NAME={NAME}", *map(str, SOURCES)]
    flags += [f"-L{TORCH}/lib", "-ltorch_cpu", "-lc10", "-Wl,-z,defs"]
    version = subprocess.run([CXX, "--version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(repr((torch.__version__, version, flags)).encode())
    for path in (*SOURCES, *HEADERS):
        digest.update(path.read_bytes())
    path = CACHE / f"{digest.hexdigest()[:32]}.so"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # other test processes wait for the first
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            scratch = path.with_suffix(".part")
            subprocess.run([CXX, *flags, "-o", str(scratch)], check=True)
            scratch.replace(path)
    return path


class Extension:
    """The loaded extension: `launch` is the op under test, over kernels of the emulator."""

    def __init__(self, names: Sequence[str], kernel: Kernel) -> None:
        torch.ops.load_library(str(library()))
        self.ops = getattr(torch.ops, NAME)
        self.dispatches: list[str] = []

        def run(name: bytes, arguments: Any, count: int, grid: Any, group: Any, out: Any) -> None:
            try:
                values = [arguments[i].value() for i in range(count)]
                self.dispatches.append(name.decode())
                kernel(name.decode()).launch(values, grid[:3], group[:3], workers=1)
            except Exception as error:  # it must cross C++ as text
                text = f"{type(error).__name__}: {error}"
                out.contents.value = text.encode()[: ctypes.sizeof(PROBLEM) - 1]

        self._run = RUN(run)  # C++ holds no reference
        texts = (ctypes.c_char_p * len(names))(*(name.encode() for name in names))
        ctypes.CDLL(str(library())).prepare(
            self._run, ctypes.c_uint64(MAX_THREADS), texts, ctypes.c_uint64(len(names))
        )

    def launch(self, plan: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        """Run `plan` through launchers.native, on CPU tensors dressed as mps tensors."""
        buffers = zip(plan.buffers, bind(plan, tensors))
        everything = tensors | dict(buffers)  # also those that this kernel does not take
        native.launch(plan, {n: self.ops.as_mps(tensor) for n, tensor in everything.items()})
