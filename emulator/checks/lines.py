"""From code addresses of a compiled kernel to the lines of the .metal file."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any


class Lines:
    """The line table of a shared library; read when it is asked for the first time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def at(self, address: int) -> str:
        """file:line of the call or access that ends just before a code address.

        In a function that a kernel calls, also the lines of the calls: "file:5, called at file:9".
        """
        i = bisect_right(self._rows, address - 1, key=lambda row: row[0]) - 1
        if i < 0 or self._rows[i][2] == 0:
            return "a line that is not known"
        file, line = self._rows[i][1:]
        return ", called at ".join([f"{file}:{line}", *self._calls_around(address - 1)])

    def _calls_around(self, address: int) -> list[str]:
        """Where the functions that hold an address are called in their callers, innermost first."""
        around = [call for begin, end, call in self._inlined if begin <= address < end]
        # The outermost is not the shader's: emulator_lane() calls the kernel.
        return around[:0:-1]

    @cached_property
    def _rows(self) -> list[tuple[int, str, int]]:
        """(address, file, line), by address."""
        rows = [
            (entry.state.address, files[entry.state.file], entry.state.line)
            for files, program, _ in self._units
            for entry in program.get_entries()
            if entry.state
        ]
        return sorted(rows, key=lambda row: row[0])

    @cached_property
    def _inlined(self) -> list[tuple[int, int, str]]:
        """(first address, address behind the last, file:line of the call), outer ones first."""
        return [
            (begin, end, f"{files[_value(die, 'call_file')]}:{_value(die, 'call_line')}")
            for files, _, unit in self._units
            for die in unit.iter_DIEs()
            if die.tag == "DW_TAG_inlined_subroutine"
            for begin, end in self._ranges(die, unit)
        ]

    def _ranges(self, die: Any, unit: Any) -> Iterator[tuple[int, int]]:
        if "DW_AT_ranges" not in die.attributes:
            low = _value(die, "low_pc")
            yield low, low + _value(die, "high_pc")
            return
        base = _value(unit.get_top_DIE(), "low_pc")
        lists = unit.dwarfinfo.range_lists()
        for entry in lists.get_range_list_at_offset(_value(die, "ranges")):
            yield base + entry.begin_offset, base + entry.end_offset

    @cached_property
    def _units(self) -> list[tuple[dict[int, str], Any, Any]]:
        """Of each compilation unit: its files by number, its line program, itself."""
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        units: list[tuple[dict[int, str], Any, Any]] = []
        try:
            elf = ELFFile(io.BytesIO(self._path.read_bytes()))
        except ELFError:  # macOS has another format: messages go without lines
            return units
        debug = elf.get_dwarf_info()
        for unit in debug.iter_CUs():
            program = debug.line_program_for_CU(unit)
            if program is not None:
                names = [entry.name.decode() for entry in program["file_entry"]]
                units.append((dict(enumerate(names, 1)), program, unit))
        return units


def _value(die: Any, name: str) -> int:
    attribute = die.attributes.get(f"DW_AT_{name}")
    return int(attribute.value) if attribute else 0
