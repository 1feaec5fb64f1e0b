"""A kernel as a GPU runs it: arguments checked and passed."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import EmulatorError
from ..launch.arguments import Memory, bind, is_tensor, triple
from ..launch.structs import MAX_BUFFERS, MAX_THREADGROUP_BYTES, SIMDGROUP
from ..source.declarations import Parameter
from . import gpu, rewrites

MAX_BLOCKS = (1 << 31) - 1


class Launch(ctypes.Structure):
    """``Launch`` of shim/entry.h."""

    _fields_ = [
        ("threadgroups", ctypes.c_uint * 3),
        ("threads", ctypes.c_uint * 3),
        ("threadgroup_offsets", ctypes.c_uint * MAX_BUFFERS),
    ]


class CudaKernel:
    """One kernel on any number of GPUs, compiled for each kind of them when it first runs there."""

    def __init__(
        self,
        name: str,
        parameters: Sequence[Parameter],
        by_value: set[int],
        prebuild: Callable[[str, int], Path],
    ) -> None:
        self.name = name
        self._parameters = parameters
        self._by_value = by_value  # indices of buffers that are passed as bytes
        self._prebuild = prebuild
        self._functions: dict[int, gpu.Function] = {}

    def function(self, index: int) -> gpu.Function:
        """The kernel in GPU `index`."""
        if index not in self._functions:
            cubin = self._prebuild(self.name, gpu.architecture(index))
            name = rewrites.symbol(self.name)
            self._functions[index] = gpu.load(cubin, name, len(self._parameters), index)
        return self._functions[index]

    def launch(
        self,
        args: Sequence[Any],
        threadgroups: Sequence[int] | int,
        threads: Sequence[int] | int,
        threadgroup_lengths: Sequence[int],
    ) -> None:
        """Starts it on torch's current stream, as ``emulator.Kernel.launch`` says."""
        import torch

        device = one_device(self.name, args)
        with torch.cuda.device(device):
            function = self.function(device.index)
            launch = Launch()
            launch.threadgroups[:] = triple(f"{self.name}: threadgroups", threadgroups)
            launch.threads[:] = triple(f"{self.name}: threads", threads)
            blocks, count = math.prod(launch.threadgroups), math.prod(launch.threads)
            dynamic = self._place(launch, threadgroup_lengths)
            self._check_limits(function, blocks, count, dynamic)
            bound = bind(self.name, self._parameters, function.types, args, device=device.type)
            values = [launch, *self._values(function, bound, device)]
            whole = -(-count // SIMDGROUP) * SIMDGROUP
            gpu.start(function, blocks, whole, dynamic, values)

    def _place(self, launch: Launch, lengths: Sequence[int]) -> int:
        """Lays out [[threadgroup(n)]] parameters; returns the bytes of all."""
        wanted = sum(p.attribute == "threadgroup" for p in self._parameters)
        if len(lengths) != wanted:
            raise EmulatorError(
                f"{self.name}: threadgroup_lengths has {len(lengths)} sizes, "
                f"but the kernel has {wanted} threadgroup parameters"
            )
        end = 0
        for i, length in enumerate(lengths):
            launch.threadgroup_offsets[i] = end
            end += -(-length // 16) * 16
        return end

    def _check_limits(
        self, function: gpu.Function, blocks: int, threads: int, dynamic: int
    ) -> None:
        if threads > function.max_threads:
            raise EmulatorError(
                f"{self.name}: {threads} threads per threadgroup; at most {function.max_threads}"
            )
        needed = function.threadgroup_bytes + dynamic
        if needed > MAX_THREADGROUP_BYTES:
            raise EmulatorError(
                f"{self.name}: {needed} bytes of threadgroup memory; "
                f"Metal has {MAX_THREADGROUP_BYTES}"
            )
        if blocks > MAX_BLOCKS:
            raise EmulatorError(f"{self.name}: {blocks} threadgroups; CUDA takes {MAX_BLOCKS}")

    def _values(self, function: gpu.Function, bound: dict[int, Memory], device: Any) -> list[Any]:
        """What CUDA is passed for each buffer: an address in the GPU, or bytes."""
        values: list[Any] = []
        for parameter, kind in zip(self._parameters, function.types):
            if parameter.attribute != "buffer":
                continue
            memory = bound.get(parameter.index)
            if parameter.index in self._by_value:
                content = bytes(kind.size) if memory is None else _bytes(memory)
                values.append(ctypes.create_string_buffer(content, len(content)))
            elif memory is None:
                values.append(ctypes.c_void_p(0))
            elif is_tensor(memory.owner):
                values.append(ctypes.c_void_p(memory.address))
            else:
                values.append(_Copy(memory, device))
        return values


class _Copy(ctypes.c_void_p):
    """The address of constants that the caller gave as bytes, copied to the GPU.

    The tensor that holds them goes as soon as the launch is in the stream: what torch makes of its
    memory then comes behind the launch.
    """

    def __init__(self, memory: Memory, device: Any) -> None:
        import torch

        content = bytearray(memory.content() or b"\0")
        self.tensor = torch.frombuffer(content, dtype=torch.uint8).to(device)
        super().__init__(self.tensor.data_ptr())


def _bytes(memory: Memory) -> bytes:
    """An argument's bytes; waits for the GPU if they are there."""
    if not is_tensor(memory.owner):
        return memory.content()
    import torch

    owner: Any = memory.owner
    flat = owner.detach().reshape(-1).view(torch.uint8)
    return bytes(flat.cpu().numpy())


def on_gpu(args: Sequence[Any]) -> bool:
    """Whether a launch with these arguments is one for a GPU."""
    return any(is_tensor(a) and a.device.type == "cuda" for a in args)


def one_device(name: str, args: Sequence[Any]) -> Any:
    """The device on which all tensors are."""
    devices = [(i, a.device) for i, a in enumerate(args) if is_tensor(a)]
    (first, device), *others = [(i, d) for i, d in devices if d.type == "cuda"] + [
        (i, d) for i, d in devices if d.type != "cuda"
    ]
    for i, other in others:
        if other != device:
            raise EmulatorError(
                f"{name}: argument {i} is on {other}, but argument {first} on {device}; "
                "all must be on one device"
            )
    return device
