"""From code addresses of a compiled kernel to the lines of the .metal file."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from pathlib import Path


class Lines:
    """The line table of a shared library; read when it is asked for the first time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def at(self, address: int, line: int = 0) -> str:
        """file:line of the call or access that ends just before a code address.

        `line`, if it is not 0, is known better than from the address.
        """
        rows = self._rows
        i = bisect_right(rows, address - 1, key=lambda row: row[0]) - 1
        line = line or (rows[i][2] if i >= 0 else 0)
        if line == 0:
            return "a line that is not known"
        return f"{rows[i][1]}:{line}" if i >= 0 else f"line {line}"

    @cached_property
    def _rows(self) -> list[tuple[int, str, int]]:
        """(address, file, line), by address."""
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile

        rows: list[tuple[int, str, int]] = []
        with self._path.open("rb") as file:
            try:
                elf = ELFFile(file)
            except ELFError:  # macOS has another format: messages go without lines
                return rows
            debug = elf.get_dwarf_info()
            for unit in debug.iter_CUs():
                program = debug.line_program_for_CU(unit)
                if program is None:
                    continue
                files = program["file_entry"]
                first = 0 if program["version"] >= 5 else 1  # DWARF 5 counts files from 0
                for entry in program.get_entries():
                    if entry.state:
                        name = files[entry.state.file - first].name.decode()
                        rows.append((entry.state.address, name, entry.state.line))
        return sorted(rows, key=lambda row: row[0])
