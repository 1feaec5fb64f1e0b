"""Reads the compiler's own IR of a kernel, and puts a counter into each of its basic blocks.

What a block does is the same each time it runs, so it is worked out once, when the kernel is
compiled: a Block holds, by source line, how many instructions of each kind the block has, how many
bytes it reads and writes, and the events of shim/events.h.  At run time a block only adds 1 to its
counter.

An instruction belongs to the shader unless its debug location passes through the emulator's own
machinery: the shim stands for hardware, except where it spells out Metal's arithmetic (ARITHMETIC).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import instructions

# Headers of the shim whose functions are made of what a GPU does in instructions, too.
ARITHMETIC = {"containers.h", "internals.h", "math.h", "type_traits.h", "types.h"}
# Headers whose values shaders never see, but for pointers that they cast to an address space.
MACHINERY = {"arena.h", "checks.h", "fibres.h", "matrix.h", "matrix_common.h", "threadgroups.h"}
ENTRY = "emulator_lane"  # the function that each thread runs; keep_one_kernel() makes it

# Where the instrumented code finds its worker's counters; shim/threadgroups.h.
COUNTERS = "%emulator.counters"
GET_COUNTERS = f"  {COUNTERS} = call ptr @emulator_counters()"

Line = tuple[str, int]  # file and line; line 0 holds what the compiler gives no line


@dataclass
class Block:
    """What one execution of a basic block counts: (file, line) -> counter's name -> number."""

    lines: dict[Line, Counter[str]] = field(default_factory=dict)

    def add(self, line: Line, name: str, n: int = 1) -> None:
        """Counts n more."""
        self.lines.setdefault(line, Counter())[name] += n


def instrument(ir: str, shim: Path) -> tuple[str, list[Block]]:
    """Returns the IR with a counter in each block that counts anything, and what each counts.

    ``shim`` is the directory of the shim's headers.
    """
    module = _Module(ir, shim)
    blocks: list[Block] = []
    text: list[str] = []
    for part in module.parts:
        if isinstance(part, str):
            text.append(part)
        elif part.name in module.counted:
            text += _count_blocks(module, part, blocks)
        else:
            text += part.lines
    return _DEBUG_INFORMATION.sub("", "\n".join(text)), blocks


def repair(ir: str) -> str:
    """IR that can be read again: clang puts bytes into vectors of bits (``bool4 m; m[i] = x``).

    Before it is optimised, as afterwards the bytes have spread.
    """
    return _BYTE_INTO_BITS.sub(r"  %emulator.bit\2 = trunc i8 \3 to i1\n\1 i1 %emulator.bit\2,", ir)


_BYTE_INTO_BITS = re.compile(
    r"^(  %([\w.]+) = insertelement <\d+ x i1> [^,]+,) i8 ([^,]+),", re.MULTILINE
)


def save(blocks: Iterable[Block], library: Path) -> None:
    """Writes what blocks count beside the library that counts them."""
    rows = [[[*line, names] for line, names in block.lines.items()] for block in blocks]
    library.with_suffix(".json").write_text(json.dumps(rows))


def load(library: Path) -> list[Block]:
    """Reads what ``save`` wrote."""
    return [
        Block({(file, line): Counter(names) for file, line, names in rows})
        for rows in json.loads(library.with_suffix(".json").read_text())
    ]


# The counters are all that later stages need to know.
_DEBUG_INFORMATION = re.compile(r",? !dbg !\d+|^!llvm\.dbg\.cu = .*$", re.MULTILINE)


# --- the text of a module ------------------------------------------------------------------------


@dataclass
class _Function:
    name: str
    location: int  # of its DISubprogram; -1 if it has none
    lines: list[str]  # the define line to the closing brace


@dataclass(frozen=True)
class _Origin:
    """Where an instruction comes from."""

    line: Line
    is_shader: bool
    header: str  # of the shim, and the function there without its types; empty if from elsewhere
    function: str


_NAME = r'(?:"(?:[^"\\]|\\.)*"|[\w.$-]+)'
_DEFINE = re.compile(rf"define .*?@({_NAME})\(.*?(?:!dbg !(\d+) )?\{{$")
_METADATA = re.compile(r"!(\d+) = (?:distinct )?!DI(\w+)\((.*)\)$")
_FIELD = re.compile(r'(\w+): (?:!(\d+)|"((?:[^"\\]|\\.)*)"|(\d+))')
_CALLEE = re.compile(rf"@({_NAME})\(")


class _Module:
    """Functions and debug information of a module."""

    def __init__(self, ir: str, shim: Path) -> None:
        self.parts: list[str | _Function] = []
        self._metadata: dict[int, dict[str, str]] = {}
        self._origins: dict[int, _Origin | None] = {}
        self._shim = shim
        function: _Function | None = None
        for line in ir.split("\n"):
            if function is not None:
                function.lines.append(line)
                function = None if line == "}" else function
            elif match := _DEFINE.match(line):
                function = _Function(match[1].strip('"'), int(match[2] or -1), [line])
                self.parts.append(function)
            else:
                self.parts.append(line)
                if match := _METADATA.match(line):
                    fields = {m[1]: m[2] or m[3] or m[4] or "" for m in _FIELD.finditer(match[3])}
                    self._metadata[int(match[1])] = fields
        self.functions = {part.name: part for part in self.parts if isinstance(part, _Function)}
        self.counted = set(self._shader_functions())

    def _shader_functions(self) -> Iterator[str]:
        """The functions that threads run, without those of the shim."""
        found: set[str] = set()
        left = [name for name in self.functions if ENTRY in name]
        while left:
            name = left.pop()
            if name in found or name not in self.functions:
                continue
            found.add(name)
            function = self.functions[name]
            if function.location >= 0 and not self._is_shim(function.location):
                yield name
                left += (m[1].strip('"') for text in function.lines for m in _CALLEE.finditer(text))

    def _file(self, scope: int) -> str:
        fields = self._metadata[int(self._metadata[scope]["file"])]
        return str(Path(fields.get("directory", "."), fields["filename"]))

    def _is_shim(self, scope: int) -> bool:
        return Path(self._file(scope)).parent == self._shim

    def _function_name(self, scope: int) -> str:
        while "scope" in self._metadata[scope] and "name" not in self._metadata[scope]:
            scope = int(self._metadata[scope]["scope"])
        return re.sub(r"<.*", "", self._metadata[scope].get("name", ""))

    def origin(self, location: int) -> _Origin | None:
        """Where a DILocation lies, seen from the shader; None if the compiler does not know."""
        if location not in self._origins:
            self._origins[location] = self._find_origin(location)
        return self._origins[location]

    def _find_origin(self, location: int) -> _Origin | None:
        fields = self._metadata[location]
        scope = int(fields["scope"])
        if not self._is_shim(scope):
            line = int(fields.get("line", 0))
            return _Origin((self._file(scope), line), True, "", "") if line else None
        outer = self.origin(int(fields["inlinedAt"])) if "inlinedAt" in fields else None
        header = Path(self._file(scope)).name
        is_shader = header in ARITHMETIC and (outer is None or outer.is_shader)
        line_of = outer.line if outer else NOWHERE
        return _Origin(line_of, is_shader, header, self._function_name(scope))


NOWHERE: Line = ("", 0)


# --- blocks --------------------------------------------------------------------------------------

_LABEL = re.compile(rf"({_NAME}):")
_DBG = re.compile(r"!dbg !(\d+)")
_EVENT = re.compile(r'asm sideeffect "#emulator ([\w.]+)[^"]*", "[^"]*"\(([^)]*)\)')


def _count_blocks(module: _Module, function: _Function, blocks: list[Block]) -> Iterable[str]:
    """The function's text with counters; appends what they count to ``blocks``."""
    yield function.lines[0]
    prologue = [GET_COUNTERS]
    reader = _Reader(module)
    head: list[str] = []  # a block's label and phis: the counter follows them
    body: list[str] = []
    for line in [*_joined(function.lines[1:-1]), "}"]:
        if line == "}" or (_LABEL.match(line) and (head or body)):
            yield from head
            yield from prologue
            prologue = []
            if reader.block.lines:
                yield from _increment(len(blocks))
                blocks.append(reader.block)
            yield from body
            head, body, reader.block = [line], [], Block()
        elif not body and (" = phi " in line or _LABEL.match(line)):
            head.append(line)
        else:
            event = _EVENT.search(line)
            if event is None:
                body.append(line)
            reader.read(line, event)
    yield from head


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """A switch stands on several lines; here it is one."""
    parts: list[str] = []
    for line in lines:
        if parts or line.startswith("  switch "):
            parts.append(line.strip() if parts else line)
            if line.startswith("  ]"):
                yield " ".join(parts)
                parts = []
        else:
            yield line


def _increment(index: int) -> Iterator[str]:
    pointer, old, new = (f"%emulator.{what}{index}" for what in ("pointer", "old", "new"))
    yield f"  {pointer} = getelementptr i64, ptr {COUNTERS}, i64 {index}"
    yield f"  {old} = load i64, ptr {pointer}, align 8"
    yield f"  {new} = add i64 {old}, 1"
    yield f"  store i64 {new}, ptr {pointer}, align 8"


# --- whose an instruction is --------------------------------------------------------------------

_INSTRUCTION = re.compile(rf"  (?:(%{_NAME}) = )?(?:(?:tail|musttail|notail) )?(\w+) (.*)")
_VALUE = re.compile(rf"%{_NAME}")


class _Reader:
    """Reads a function's instructions in order, into the current block."""

    def __init__(self, module: _Module) -> None:
        self.block = Block()
        self._module = module
        self._machinery: set[str] = set()  # values that only the emulator works with
        self._handed_over: set[str] = set()  # what it gives the shader, as a thread's position

    def read(self, line: str, event: re.Match[str] | None) -> None:
        """Counts one line of IR."""
        match = _INSTRUCTION.match(line)
        if match is None:
            return
        result, opcode, rest = match.groups()
        location = _DBG.search(rest)
        origin = self._module.origin(int(location[1])) if location else None
        if event is not None:
            name, n = instructions.event(event[1], event[2])
            self.block.add(origin.line if origin else NOWHERE, name, n)
        elif origin is None and self._is_machinery(opcode, rest):
            self._machinery.add(result)
        elif origin is None or origin.is_shader:
            line_of, function = (origin.line, origin.function) if origin else (NOWHERE, "")
            for name, n in instructions.count(opcode, rest, function, self._module.functions):
                self.block.add(line_of, name, n)
        elif origin.header in MACHINERY and opcode != "addrspacecast":
            self._machinery.add(result)
        else:
            self._handed_over.add(result)

    def _is_machinery(self, opcode: str, rest: str) -> bool:
        """Tells by its operands whose an instruction is that lost its location on the way."""
        operands = set(_VALUE.findall(rest))
        return bool(operands & self._machinery) or (
            opcode in instructions.CONVERSIONS and bool(operands & self._handed_over)
        )
