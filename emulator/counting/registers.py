"""How many registers a kernel's values take, by their live ranges in the compiler's own IR.

The kernel is compiled with values/matrix.h in place of the shim's matrices: a thread's elements are
then values like all others, and clang's optimiser sees through every array of them.  What lives at
once is counted in 32-bit registers, without

- what all threads of a launch share: constant memory and what follows from it alone; a GPU has
  registers of its own for that;
- sums of a value and a constant: they are made where they are used, as most addresses are;
- thread memory and what else the emulator needs.

A GPU's compiler orders instructions as it likes, so this is an estimate: what the source's order
needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import EmulatorError
from .ir import ENTRY

REGISTER_BITS = 32
BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
# By address space.  Threadgroup memory is small; thread memory holds only what the emulator needs.
POINTER_BITS = {"": 0, "1": 64, "2": 64, "3": 32}
CONSTANT = "ptr addrspace(2)"
# The result is the operand; indices that clang widens stay 32 bits wide.
SAME = {"addrspacecast", "bitcast", "freeze", "sext", "zext"}
PRODUCT = "# product"  # values/matrix.h
SUMS = {"add", "sub", "or", "getelementptr"}

_NAME = r'%(?:"[^"]*"|[\w.$-]+)'
_VALUE = re.compile(_NAME)
_LABEL = re.compile(r'("[^"]*"|[\w.$-]+):')
_RESULT = re.compile(rf"  ({_NAME}) = (?:(?:tail|musttail|notail) )?(\w+) (.*)")
_ASSEMBLY = re.compile(r'asm (?:\w+ )*"[^"]*", "[^"]*"')
_TARGET = re.compile(rf"label ({_NAME})")
_INCOMING = re.compile(rf"\[ (.*?), ({_NAME}) \]")
_INDEX = re.compile(r"i\d+ (\d+)$")
_TYPE = re.compile(
    r"<(?P<n>\d+) x (?P<of>\w+)>|\b(?P<scalar>i\d+|half|bfloat|float|double)\b"
    r"|\bptr(?: addrspace\((?P<space>\d)\))?"
)

Unit = tuple[str, int, int]  # a value, which part of it, its bits


@dataclass
class _Block:
    name: str
    phis: dict[str, dict[str, str]] = field(default_factory=dict)  # result: {from block: value}
    code: list[tuple[set[Unit], set[Unit]]] = field(default_factory=list)  # what is made and used
    targets: set[str] = field(default_factory=set)
    products: bool = False


def most_alive(ir: str) -> int:
    """The registers that a thread's values take where they are most.

    If there are matrix products in a loop, in the loop's blocks that have some, and without the
    values that only wait for the loop's end: what is stored and fetched elsewhere costs little.
    """
    function = _Function(ir)
    bits = max(sum(unit[2] for unit in alive) for alive in function.points())
    return -(-bits // REGISTER_BITS)


class _Function:
    """The function that each thread runs, and what lives in it."""

    def __init__(self, ir: str) -> None:
        self._units: dict[str, tuple[Unit, ...]] = {}
        self._shared: set[str] = set()
        self._blocks: dict[str, _Block] = {}
        pattern = rf"^define [^\n]*{ENTRY}[^\n]*\n(.*?)^}}"
        found = re.search(pattern, ir, re.MULTILINE | re.DOTALL)
        if found is None:
            raise EmulatorError(f"the compiler's IR has no {ENTRY}")
        # A switch is one line here.
        lines = re.sub(r"\n +(?=i\d+ -?\d+, label|\])", " ", found[1]).splitlines()
        self._read(lines)
        self._before = {name: set[Unit]() for name in self._blocks}
        self._settle()

    def points(self) -> Iterator[set[Unit]]:
        """What lives at each point, of what counts."""
        loop = self._loop()
        needed = {unit for block in loop for made, used in block.code for unit in made | used}
        for block in [block for block in loop if block.products] or loop:
            for alive in self._alive(block):
                yield alive & needed

    def _loop(self) -> list[_Block]:
        """The blocks of the loops with matrix products; all blocks if there are none."""
        products = {name for name, block in self._blocks.items() if block.products}
        after = {name: self._reachable(block.targets) for name, block in self._blocks.items()}
        found = [
            block
            for name, block in self._blocks.items()
            if any(name in after[p] and p in after[name] for p in products)
        ]
        return found or list(self._blocks.values())

    def _reachable(self, start: Iterable[str]) -> set[str]:
        found, left = set[str](), list(start)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._blocks[name].targets
        return found

    def _settle(self) -> None:
        changed = True
        while changed:
            changed = False
            for block in reversed(self._blocks.values()):
                *_, alive = self._alive(block)
                changed |= alive != self._before[block.name]
                self._before[block.name] = alive

    def _alive(self, block: _Block) -> Iterator[set[Unit]]:
        """What lives at the end of a block, before its last instruction, ... before its first."""
        alive: set[Unit] = set()
        for target in block.targets:
            alive |= self._before[target]
            alive |= self._used(values[block.name] for values in self._blocks[target].phis.values())
        yield alive
        for made, used in reversed(block.code):
            alive = (alive - made) | used
            yield alive
        yield alive - self._used(block.phis)

    def _used(self, values: Iterable[str]) -> set[Unit]:
        return {unit for value in values for unit in self._units.get(value, ())}

    def _read(self, lines: Iterable[str]) -> None:
        block = self._blocks["%0"] = _Block("%0")  # as clang counts them
        for line in lines:
            if label := _LABEL.match(line):
                name = f"%{label[1]}"
                block = self._blocks[name] = _Block(name)
                continue
            block.products |= PRODUCT in line
            line = _ASSEMBLY.sub("asm", line)
            match = _RESULT.match(line)
            result, opcode, rest = match.groups() if match else ("", "", line)
            if opcode == "phi":
                block.phis[result] = {source: value for value, source in _INCOMING.findall(rest)}
                self._units[result] = _new(result, opcode, rest)
                continue
            targets = set(_TARGET.findall(line))
            block.targets |= targets
            operands = [value for value in _VALUE.findall(rest) if value not in targets]
            made = self._make(result, opcode, rest, operands) if result else ()
            block.code.append((set(made), self._used(operands)))

    def _make(self, result: str, opcode: str, rest: str, operands: list[str]) -> tuple[Unit, ...]:
        """What is new of an instruction's result; notes of what the result consists."""
        new: tuple[Unit, ...] = ()
        if opcode == "alloca" or self._is_shared(opcode, rest, operands):
            self._shared.add(result)
            units = new
        elif opcode in SAME or (opcode in SUMS and len(operands) == 1):
            units = self._units.get(operands[0], ())
        elif opcode == "extractelement" and (index := _INDEX.search(rest)):
            units = (_elements(self._units.get(operands[0], ()), rest)[int(index[1])],)
        elif opcode == "insertelement" and (index := _INDEX.search(rest)):
            vector, scalar = rest.split(", ")[:2]
            old = self._units.get(vector.split()[-1], ())
            parts = list(_elements(old, rest))
            value = self._units.get(scalar.split()[-1], ())
            parts[int(index[1])] = value[0] if value else NOTHING
            units = tuple(parts)
        else:
            units = new = _new(result, opcode, rest)
        self._units[result] = units
        return new

    def _is_shared(self, opcode: str, rest: str, operands: Iterable[str]) -> bool:
        """Whether an instruction's result is the same in all threads, or the emulator's own."""
        if opcode == "load" and CONSTANT not in rest and not rest.startswith("ptr,"):
            return False
        return all(value in self._shared for value in operands)


NOTHING: Unit = ("", 0, 0)


def _elements(units: tuple[Unit, ...], rest: str) -> tuple[Unit, ...]:
    """One unit per element of a vector; elements may lie in one unit together."""
    match = _TYPE.search(rest)
    n = int(match["n"]) if match and match["n"] else 1
    return tuple(units[i * len(units) // n] if units else NOTHING for i in range(n))


def _new(result: str, opcode: str, rest: str) -> tuple[Unit, ...]:
    """A result that lies in registers of its own."""
    if opcode in ("icmp", "fcmp"):
        return ((result, 0, REGISTER_BITS),)
    if opcode == "select":
        rest = rest.split(", ", 1)[1]
    elif opcode == "getelementptr":
        rest = rest[rest.index("ptr") :]
    elif " to " in rest and opcode != "call":
        rest = rest.rsplit(" to ", 1)[1]
    match = _TYPE.search(rest)
    if match is None:
        return ()
    kind, n = match["of"] or match["scalar"], int(match["n"] or 1)
    bits = POINTER_BITS[match["space"] or ""] if kind is None else BITS.get(kind) or int(kind[1:])
    if bits > REGISTER_BITS:
        n, bits = n * bits // REGISTER_BITS, REGISTER_BITS
    return tuple((result, i, bits) for i in range(n)) if bits else ()
