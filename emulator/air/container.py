"""Reads Metal libraries (.metallib) that Apple's compiler made, alone or inside another file.

A library begins with MTLB and a header of 88 bytes: versions, the library's size, then offset and
size of four parts, of which the first lists the functions and the last holds their code.  A
function is a row of tagged fields; its code is LLVM bitcode.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import EmulatorError

MAGIC = b"MTLB"
HEADER = struct.Struct("<4s8xHH9Q")  # magic, the system's version, the library's size, four parts
FIELD = struct.Struct("<4sH")  # tag and length
END = b"ENDT"
BITCODE = b"\xde\xc0\x17\x0b"  # of a wrapper around LLVM bitcode


@dataclass(frozen=True)
class Header:
    """Where a library's parts are, in bytes from its beginning."""

    macos: int  # the system that it was compiled for
    size: int
    functions: int
    code: int

    @classmethod
    def read(cls, data: bytes | mmap.mmap, start: int) -> Header | None:
        """None if no whole library begins there."""
        if len(data) - start < HEADER.size or data[start : start + 4] != MAGIC:
            return None
        _, macos, _, size, functions, _, _, _, _, _, code, code_size = HEADER.unpack_from(
            data, start
        )
        whole = HEADER.size <= functions < size and code + code_size <= size <= len(data) - start
        return cls(macos, size, functions, code) if whole else None


class Container:
    """One library: its functions' names and their bitcode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = Header.read(self._data, 0)
        if header is None:
            raise EmulatorError(f"{path} is not a whole Metal library: it must begin with MTLB")
        self._header = header

    @property
    def macos(self) -> int:
        """The major version of macOS that the library was compiled for."""
        return self._header.macos

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """(offset, size) of each function's bitcode."""
        data, position = self._data, self._header.functions
        (count,) = struct.unpack_from("<I", data, position)
        position += 4
        places = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, position)
            fields = dict(self._fields(position + 4, position + length))
            position += length
            (size,) = struct.unpack("<Q", fields[b"MDSZ"])
            *_, offset = struct.unpack("<3Q", fields[b"OFFT"])
            name = fields[b"NAME"].rstrip(b"\0").decode()
            places[name] = (self._header.code + offset, size)
        return places

    def _fields(self, position: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        while position < end and self._data[position : position + 4] != END:
            tag, length = FIELD.unpack_from(self._data, position)
            position += FIELD.size
            yield tag, self._data[position : position + length]
            position += length

    @property
    def names(self) -> list[str]:
        """Of all functions, in the library's order."""
        return list(self._places)

    def bitcode(self, name: str) -> bytes:
        """A function's code.  Raises EmulatorError if there is none of that name."""
        if name not in self._places:
            raise EmulatorError(f"{self.path} has no function {name!r} among {len(self._places):,}")
        offset, size = self._places[name]
        code = self._data[offset : offset + size]
        if code[:4] != BITCODE:
            raise EmulatorError(f"{self.path}: {name} is not LLVM bitcode")
        return code


def find_libraries(data: bytes) -> Iterator[tuple[int, bytes]]:
    """All libraries inside a file, such as an executable: (version of macOS, bytes) of each."""
    start = data.find(MAGIC)
    while start >= 0:
        header = Header.read(data, start)
        if header:
            yield header.macos, data[start : start + header.size]
        start = data.find(MAGIC, start + (header.size if header else len(MAGIC)))
