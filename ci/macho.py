"""Reads which names a 64-bit Mach-O library imports, and from which libraries.

Layout: Apple's <mach-o/loader.h> and <mach-o/nlist.h>.
"""

from __future__ import annotations

import struct

MAGIC = 0xFEEDFACF
LOAD_DYLIB = (0xC, 0x80000018, 0x8000001F)  # plain, weak, re-exported
SYMBOL_TABLE = 0x2
TYPE, EXTERNAL = 0x0E, 0x01  # masks of n_type; a type of 0 is undefined


def text(data: bytes, begin: int) -> str:
    """The string that starts at an offset."""
    return data[begin : data.index(b"\0", begin)].decode()


def imports(data: bytes) -> dict[str, list[str]]:
    """Library -> names taken from it.  Raises ValueError if `data` is no 64-bit Mach-O file."""
    magic, *_, commands, _, _, _ = struct.unpack_from("<8I", data.ljust(32, b"\0"))
    if magic != MAGIC:
        raise ValueError(f"a file that starts with {data[:4]!r} is not a 64-bit Mach-O file")
    libraries, symbols, count, strings = [], 0, 0, 0
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", data, at)
        if command in LOAD_DYLIB:
            libraries.append(text(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif command == SYMBOL_TABLE:
            symbols, count, strings = struct.unpack_from("<3I", data, at + 8)
        at += size
    by_library: dict[str, list[str]] = {}
    for i in range(count):
        name, kind, _, description = struct.unpack_from("<IBBH", data, symbols + 16 * i)
        if kind & TYPE == 0 and kind & EXTERNAL:
            ordinal = description >> 8  # counts the libraries from 1
            by_library.setdefault(libraries[ordinal - 1], []).append(text(data, strings + name))
    return by_library
