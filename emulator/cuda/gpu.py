"""The GPU: kernels loaded into it and started, by NVIDIA's own Python bindings of the driver."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EmulatorError
from ..launch.structs import Parameter
from . import compiler


def require(index: int = 0) -> None:
    """Raises EmulatorError, which says what is missing, if no kernel can run on GPU `index`."""
    import torch

    if torch.version.cuda is None:
        raise EmulatorError(f"torch {torch.__version__} is built without CUDA; install one with it")
    if not torch.cuda.is_available():
        raise EmulatorError("no NVIDIA GPU, or no driver for it: nvidia-smi says which")
    if index >= torch.cuda.device_count():
        raise EmulatorError(f"no GPU cuda:{index}; there are {torch.cuda.device_count()}")
    architecture(index)
    _driver()


@functools.cache
def architecture(index: int) -> int:
    """XX of the GPU's sm_XX."""
    import torch

    major, minor = map(int, torch.cuda.get_device_capability(index))
    if 10 * major + minor < compiler.OLDEST:
        raise EmulatorError(
            f"{torch.cuda.get_device_name(index)} is sm_{major}{minor}; "
            f"the emulator needs sm_{compiler.OLDEST} or newer"
        )
    return 10 * major + minor


@dataclass(frozen=True)
class Function:
    """A kernel in a GPU's memory."""

    handle: Any
    module: Any  # keeps the code there
    types: list[Parameter]
    threadgroup_bytes: int
    max_threads: int


def load(cubin: Path, name: str, parameters: int, index: int) -> Function:
    """Loads a compiled kernel, by CUDA's name for it, into GPU `index`."""
    import torch

    driver = _driver()
    with torch.cuda.device(index):
        _enter(index)
        module = _checked(driver.cuModuleLoadData(cubin.read_bytes()))
        handle = _checked(driver.cuModuleGetFunction(module, name.encode()))
        types = (Parameter * (parameters + 1))()
        max_threads = ctypes.c_uint()
        for variable, value in (("parameters", types), ("max_threads", max_threads)):
            place = _checked(driver.cuModuleGetGlobal(module, f"emulator_{variable}".encode()))
            if place[1] != ctypes.sizeof(value):
                raise EmulatorError(f"{name}: {cubin} is damaged; delete it")
            _checked(driver.cuMemcpyDtoH(ctypes.addressof(value), *place))
    shared = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
    threadgroup_bytes = _checked(driver.cuFuncGetAttribute(shared, handle))
    return Function(handle, module, list(types)[:parameters], threadgroup_bytes, max_threads.value)


def start(
    function: Function, blocks: int, threads: int, dynamic_bytes: int, values: Sequence[Any]
) -> None:
    """Starts a kernel on torch's current stream of the current GPU.

    `values` are ctypes objects, or addresses of bytes, one for each parameter.
    """
    import torch

    driver = _driver()
    _enter(torch.cuda.current_device())
    addresses = [v if isinstance(v, int) else ctypes.addressof(v) for v in values]
    pointers = (ctypes.c_void_p * len(addresses))(*addresses)
    stream = torch.cuda.current_stream().cuda_stream
    _checked(
        driver.cuLaunchKernel(
            *(function.handle, blocks, 1, 1, threads, 1, 1, dynamic_bytes, stream),
            *(ctypes.addressof(pointers), 0),
        )
    )


_entered = threading.local()


def _enter(index: int) -> None:
    """Makes torch's context of GPU `index` this thread's: the driver works in that."""
    import torch

    if not hasattr(_entered, f"gpu{index}"):
        torch.zeros(1, device=f"cuda:{index}")
        setattr(_entered, f"gpu{index}", True)


@functools.cache
def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError:
        raise EmulatorError("no cuda-bindings: pip install --group cuda") from None
    try:
        _checked(driver.cuInit(0), driver)
    except RuntimeError as error:  # without libcuda
        raise EmulatorError(f"no NVIDIA driver: {error}") from None
    return driver


def _checked(results: tuple[Any, ...], driver: Any = None) -> Any:
    """What a call of the driver gives, without its status; raises EmulatorError if it failed."""
    driver = driver or _driver()
    status, *rest = results
    if status != driver.CUresult.CUDA_SUCCESS:
        text = driver.cuGetErrorString(status)[1]
        raise EmulatorError(f"CUDA: {text.decode() if text else status}")
    return rest[0] if len(rest) == 1 else tuple(rest)
