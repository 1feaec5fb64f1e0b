"""Turns what a caller passes into the addresses a kernel reads, and refuses what does not fit."""

from __future__ import annotations

import ctypes
import operator
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import EmulatorError
from ..scalars import SCALARS
from ..source.declarations import Parameter
from . import structs
from .structs import MAX_BUFFERS

MAX_INLINE_BYTES = 4096  # of setBytes, Apple's reference; more must lie in a buffer


@dataclass(frozen=True)
class Memory:
    """An argument's bytes."""

    address: int
    size: int
    owner: object  # keeps the bytes alive
    scalar: str | None  # name of the dtype; None for plain bytes
    writable: bool
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()  # in bytes
    element_bytes: int = 1

    def content(self) -> bytes:
        """A copy of the bytes from the first element's to the last's."""
        return bytes((ctypes.c_char * self.size).from_address(self.address)) if self.size else b""

    def restore(self, content: bytes) -> None:
        """Writes such a copy back."""
        ctypes.memmove(self.address, content, len(content))

    def elements(self) -> Any:
        """Which bytes, from the first element's to the last's, belong to elements: bool array."""
        import numpy as np

        inside = np.zeros(self.size, dtype=bool)
        if not self.strides:
            inside[:] = True
        elif self.size:
            shape, strides = (*self.shape, self.element_bytes), (*self.strides, 1)
            np.lib.stride_tricks.as_strided(inside, shape, strides)[...] = True
        return inside


# Behind optional arguments that are not bound: compilers may read them ahead of a test.
_zeros = ctypes.create_string_buffer(1 << 16)
ZERO_PAGE = (ctypes.addressof(_zeros), 1 << 16)  # (address, size)


def bind(
    kernel: str,
    parameters: Sequence[Parameter],
    types: Sequence[structs.Parameter],
    arguments: Sequence[Any],
    device: str = "cpu",
) -> dict[int, Memory]:
    """Argument i becomes [[buffer(i)]]; tensors must be on ``device``.

    Returns the memory of each by its index; it must stay alive during the launch.  Raises
    EmulatorError with the kernel and the argument named if one does not fit its parameter.
    """
    buffers = {
        p.index: (p, t) for p, t in zip(parameters, types, strict=True) if p.attribute == "buffer"
    }
    count = max(buffers, default=-1) + 1
    if count > MAX_BUFFERS:
        raise EmulatorError(f"{kernel}: buffer({count - 1}); Metal has {MAX_BUFFERS} buffers")
    required = max((i for i, (p, _) in buffers.items() if not p.optional), default=-1) + 1
    if not required <= len(arguments) <= count:
        names = ", ".join(f"{p.name} [[buffer({i})]]" for i, (p, _) in sorted(buffers.items()))
        raise EmulatorError(
            f"{kernel}: {len(arguments)} arguments given, but it takes {count}: {names}"
        )
    bound: dict[int, Memory] = {}
    for index in range(count):
        argument = arguments[index] if index < len(arguments) else None
        if index not in buffers:
            if argument is not None:
                raise EmulatorError(f"{kernel}: argument {index}: there is no [[buffer({index})]]")
            continue
        parameter, kind = buffers[index]
        where = f"{kernel}: argument {index} ({parameter.name})"
        if argument is None:
            if not parameter.optional:
                raise EmulatorError(f"{where} is None; it must be a {kind}")
            continue
        bound[index] = _memory(where, argument, kind, device)
        _check(where, bound[index], kind)
    return bound


def is_tensor(argument: object) -> bool:
    """Whether it is torch's; torch itself need not be there."""
    return hasattr(argument, "data_ptr") and hasattr(argument, "untyped_storage")


def _memory(where: str, argument: Any, kind: structs.Parameter, device: str) -> Memory:
    """Finds an argument's bytes, whatever it is."""
    if isinstance(argument, (bool, int, float)):
        argument = _packed(where, argument, kind)
    if isinstance(argument, (bytes, bytearray)):
        if len(argument) > MAX_INLINE_BYTES:
            raise EmulatorError(
                f"{where} has {len(argument)} bytes; bytes are inline constants, of which Metal "
                f"takes at most {MAX_INLINE_BYTES}: pass an array"
            )
        copy = ctypes.create_string_buffer(bytes(argument), max(len(argument), 1))
        return Memory(ctypes.addressof(copy), len(argument), copy, None, False)
    if is_tensor(argument):
        if argument.device.type != device:
            raise EmulatorError(
                f"{where} is on {argument.device}; the emulator runs on the CPU and on CUDA"
            )
        element_bytes = argument.element_size()
        strides = tuple(stride * element_bytes for stride in argument.stride())
        shape = tuple(argument.shape)
        scalar = str(argument.dtype).removeprefix("torch.")
        size = extent(shape, strides, element_bytes)
        start = argument.data_ptr()
        return Memory(start, size, argument, scalar, True, shape, strides, element_bytes)
    if hasattr(argument, "__array_interface__"):  # a numpy array or scalar
        if device != "cpu" and kind.is_device:
            raise EmulatorError(f"{where} is a numpy array, on the CPU; it must be on {device}")
        interface = argument.__array_interface__
        address, read_only = interface["data"]
        # A numpy scalar's interface points to a copy that only the interface keeps alive.
        owner = (argument, interface)
        if any(stride < 0 for stride in argument.strides):
            raise EmulatorError(f"{where} has a negative stride; copy it first")
        size = extent(argument.shape, argument.strides, argument.itemsize)
        return Memory(
            *(address, size, owner, argument.dtype.name, not read_only),
            *(argument.shape, argument.strides, argument.itemsize),
        )
    raise EmulatorError(
        f"{where} is a {type(argument).__name__}; "
        "it may be a torch tensor, a numpy array, bytes or a number"
    )


def extent(shape: Sequence[int], strides: Sequence[int], element_bytes: int) -> int:
    """Bytes from a tensor's first element to the end of its last."""
    if 0 in shape:
        return 0
    return sum((n - 1) * stride for n, stride in zip(shape, strides)) + element_bytes


def _packed(where: str, number: bool | int | float, kind: structs.Parameter) -> bytes:
    code = kind.scalar.decode()
    if code in "SV" or kind.width > 1:
        raise EmulatorError(f"{where} is the number {number}; it must be a {kind}")
    try:
        if code == "E":
            bits = struct.unpack("<I", struct.pack("<f", number))[0]
            return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
        return struct.pack(f"<{code}", number)
    except (struct.error, OverflowError) as error:
        raise EmulatorError(f"{where} is {number}, which does not fit a {kind}: {error}") from None


def _check(where: str, memory: Memory, kind: structs.Parameter) -> None:
    code = kind.scalar.decode()
    if memory.scalar is not None and code in SCALARS and memory.scalar != SCALARS[code][1]:
        raise EmulatorError(
            f"{where} has dtype {memory.scalar}; it must have {SCALARS[code][1]}, as it is a {kind}"
        )
    if kind.is_reference and memory.size != kind.size:
        raise EmulatorError(
            f"{where} has {memory.size} bytes; it must have {kind.size}, as it is a {kind}"
        )
    if not kind.is_reference and code == "S" and memory.size % kind.size:
        raise EmulatorError(
            f"{where} has {memory.size} bytes, not a multiple of {kind.size}; it is a {kind}"
        )
    if kind.is_device and not kind.is_const and not memory.writable:
        raise EmulatorError(f"{where} cannot be written, but it is a {kind}")


def triple(what: str, value: Any) -> tuple[int, int, int]:
    """A grid of 1, 2 or 3 sizes, each at least 1, completed with ones."""
    try:
        sizes = [operator.index(size) for size in value]
    except TypeError:
        sizes = [value] if isinstance(value, int) else []
    if not 1 <= len(sizes) <= 3 or not all(1 <= size < 1 << 31 for size in sizes):
        raise EmulatorError(f"{what} must be 1 to 3 positive integers, not {value!r}")
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z
