"""Reads registers and spills of a kernel from what Apple's `metal-tt` writes for one kind of GPU.

An archive is a fat file: a list of slices, one for each kind of GPU.  A slice is a Mach-O file
whose section __TEXT,__compute is a Mach-O file again, with the kernel's machine code; its section
__GPU_METADATA,__compute is a FlatBuffer.  Apple documents none of this: it is as third parties
found it in published archives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ci.macho import MAGIC

FAT = (0xCAFEBABE, 0xCBFEBABE)  # the usual one, and that of archives for GPUs
GPU = 0x1000013  # the processor type of Apple's GPUs
SEGMENT_64 = 0x19
REGISTERS, SPILLED_BYTES = 0, 14  # fields of the table that is the root's first field


class ArchiveError(ValueError):
    """What the file lacks, or where it ends too early."""


@dataclass(frozen=True)
class Code:
    """What a kernel's machine code needs."""

    registers: int
    spilled_bytes: int


def read(data: bytes) -> list[Code]:
    """Of each kernel in an archive."""
    found = [_code(_section(slice_, "__TEXT", "__compute")) for slice_ in _slices(data)]
    if not found:
        raise ArchiveError("the archive has no slice for an Apple GPU")
    return found


def _numbers(form: str, data: bytes, at: int) -> tuple[int, ...]:
    size = struct.calcsize(form)
    if at < 0 or at + size > len(data):
        raise ArchiveError(f"{size} bytes at {at} are beyond the end of {len(data)} bytes")
    return struct.unpack_from(form, data, at)


def _slices(data: bytes) -> Iterator[bytes]:
    """The Mach-O files for GPUs; each begins where its slice does."""
    (magic,) = _numbers(">I", data, 0)
    if magic not in FAT:
        if _numbers("<I", data, 0) == (MAGIC,):
            yield data
            return
        raise ArchiveError(f"a file that starts with {data[:4]!r} is not an archive for GPUs")
    (count,) = _numbers(">I", data, 4)
    for i in range(count):
        processor, _, begin, size, _ = _numbers(">5I", data, 8 + 20 * i)
        if processor == GPU:
            yield _part(data, begin, size, f"slice {i}")


def _part(data: bytes, begin: int, size: int, what: str) -> bytes:
    if begin + size > len(data):
        raise ArchiveError(f"{what} ends at {begin + size}, the file at {len(data)}")
    return data[begin : begin + size]


def _section(data: bytes, segment: str, name: str) -> bytes:
    """What a section of a Mach-O file holds."""
    magic, _, _, _, commands, _, _, _ = _numbers("<8I", data, 0)
    if magic != MAGIC:
        raise ArchiveError(f"a part that starts with {data[:4]!r} is not a 64-bit Mach-O file")
    at = 32
    for _ in range(commands):
        command, length = _numbers("<2I", data, at)
        if length < 8:
            raise ArchiveError(f"a load command at {at} has {length} bytes")
        if command == SEGMENT_64:
            (count,) = _numbers("<I", data, at + 64)
            for entry in range(at + 72, at + 72 + 80 * count, 80):
                names = bytes(_numbers("<32B", data, entry))
                if names == name.encode().ljust(16, b"\0") + segment.encode().ljust(16, b"\0"):
                    _, size, begin = _numbers("<QQI", data, entry + 32)
                    return _part(data, begin, size, f"section {segment},{name}")
        at += length
    raise ArchiveError(f"there is no section {segment},{name}")


def _code(compute: bytes) -> Code:
    metadata = _section(compute, "__GPU_METADATA", "__compute")
    (root,) = _numbers("<I", metadata, 0)
    inner = _field(metadata, root, 0)
    if inner is None:
        raise ArchiveError("the metadata's root has no first field")
    table = inner + _numbers("<I", metadata, inner)[0]
    numbers = []
    for field in (REGISTERS, SPILLED_BYTES):
        at = _field(metadata, table, field)
        numbers.append(0 if at is None else _numbers("<I", metadata, at)[0])  # 0 is not stored
    if not numbers[0]:
        raise ArchiveError("the metadata says that the kernel has no registers")
    return Code(*numbers)


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a FlatBuffer's table lies; None if it has its default value."""
    vtable = table - _numbers("<i", data, table)[0]
    (size,) = _numbers("<H", data, vtable)
    entry = 4 + 2 * number
    offset = _numbers("<H", data, vtable + entry)[0] if entry + 2 <= size else 0
    return table + offset if offset else None
