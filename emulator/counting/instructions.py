"""What an instruction of the compiler's IR counts as.

The names are those of the counters; README.md says what each means.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from ..errors import EmulatorError
from ..scalars import SCALARS, SPACES

# As -ffake-address-space-map numbers them.  Thread memory, 0, stands for registers: not counted.
ADDRESS_SPACES = {"1": "device", "2": "constant", "3": "threadgroup"}

INTEGER = {
    "add", "sub", "mul", "udiv", "sdiv", "urem", "srem", "shl", "lshr", "ashr", "and", "or", "xor",
}  # fmt: skip
FLOATING = {"fadd", "fsub", "fmul", "frem", "fneg"}
CONVERSIONS = {
    "trunc", "zext", "sext", "fptrunc", "fpext", "fptoui", "fptosi", "uitofp", "sitofp",
}  # fmt: skip
# Intrinsics that are one instruction; all others count as calls, unless they do nothing.
ARITHMETIC_INTRINSICS = {
    "abs", "bitreverse", "bswap", "canonicalize", "ceil", "copysign", "ctlz", "ctpop", "cttz",
    "fabs", "floor", "fma", "fmuladd", "fshl", "fshr", "maximum", "maximumnum", "maxnum", "minimum",
    "minimumnum", "minnum", "nearbyint", "rint", "round", "roundeven", "sadd.sat", "scmp", "smax",
    "smin", "ssub.sat", "trunc", "uadd.sat", "ucmp", "umax", "umin", "usub.sat",
}  # fmt: skip
COPIES = {"memcpy", "memmove", "memset"}
NOTHING = ("assume", "dbg", "expect", "experimental", "invariant", "lifetime", "stack")

# Functions of Metal that the shim spells as a comparison and a choice, and a GPU has in one.
ONE_INSTRUCTION = {"fmax", "fmin", "max", "min"}

_TYPE = re.compile(r"<(\d+) x (\w+)>|\b(i\d+|half|bfloat|float|double|ptr)\b")
_ACCESS = re.compile(r"(?:volatile |atomic )*(.*?), ptr(?: addrspace\((\d+)\))?")
_STORED = re.compile(r"(?:volatile |atomic )*(.*) \S+, ptr(?: addrspace\((\d+)\))?")
_POINTER = re.compile(r"ptr(?: addrspace\((\d+)\))?")
_CALLEE = re.compile(r"(\S+) @\"?([\w.$]+)\"?\((.*)\)")
_CALLED = re.compile(r"_ZN5metal8emulator6called(\d+)(\w+)")
_OVERLOAD = re.compile(r"(?:\.(?:v\d+)?(?:i\d+|f\d+|bf16|p\d+))+$")

Counted = tuple[str, int]


def event(name: str, operands: str) -> Counted:
    """An event of shim/events.h, with the operands of its assembly."""
    values = [int(operand.split()[-1]) for operand in operands.split(",") if operand]
    if name == "products":
        a, b, d = (SCALARS[chr(value)][0] for value in values)
        return f"products.{a}*{b}+{d}", 1
    if name in ("read", "written"):
        space, n = values
        return f"{SPACES[space]}.bytes_{name}", n
    return name, 1


def count(opcode: str, rest: str, function: str, defined: Container[str]) -> Iterator[Counted]:
    """What one instruction counts, without what stands behind its opcode taken apart.

    ``function`` is the function of the shim it comes from, or empty; ``defined`` holds the
    functions whose own instructions are looked at where they are.
    """
    elements, scalar = _shape(rest)
    if opcode == "select":
        elements, scalar = _shape(rest.split(",", 1)[1])
        yield f"instructions.{_kind(scalar) if function in ONE_INSTRUCTION else opcode}", elements
    elif opcode in INTEGER | FLOATING | {"icmp", "fcmp"}:
        if function not in ONE_INSTRUCTION:
            kind = "compare" if opcode in ("icmp", "fcmp") else _kind(scalar)
            yield f"instructions.{kind}", elements
    elif opcode == "fdiv":
        yield "calls.divide", elements
    elif opcode in CONVERSIONS:
        yield "instructions.convert", elements
    elif opcode in ("load", "store"):
        match = (_ACCESS if opcode == "load" else _STORED).match(rest)
        if match and match[2] in ADDRESS_SPACES:
            yield "instructions.memory", 1
            verb = "read" if opcode == "load" else "written"
            yield f"{ADDRESS_SPACES[match[2]]}.bytes_{verb}", _size(match[1])
    elif opcode == "getelementptr":
        if variable := len(re.findall(r", i\d+ %", rest)):
            yield "instructions.address", variable
    elif opcode == "switch" or (opcode == "br" and rest.startswith("i1 ")):
        yield "instructions.branch", 1
    elif opcode == "call" and (match := _CALLEE.search(rest)):
        yield from _count_call(
            match[2], _shape(match[1] if match[1] != "void" else match[3]), match[3], defined
        )


def _count_call(
    name: str, shape: tuple[int, str], operands: str, defined: Container[str]
) -> Iterator[Counted]:
    if called := _CALLED.match(name):
        yield f"calls.{called[2][: int(called[1])]}", 1
    elif not name.startswith("llvm."):
        if name not in defined:
            yield f"calls.{name.removesuffix('f')}", 1
    else:
        elements, scalar = shape
        operation = _OVERLOAD.sub("", name.removeprefix("llvm."))
        if operation in COPIES:
            yield from _count_copy(operation, operands)
        elif operation in ARITHMETIC_INTRINSICS:
            yield f"instructions.{_kind(scalar)}", elements
        elif operation.startswith("vector.reduce."):
            elements, scalar = _shape(operands)
            yield f"instructions.{_kind(scalar)}", elements - 1
        elif operation == "is.fpclass":
            yield "instructions.compare", elements
        elif not operation.startswith(NOTHING):
            yield f"calls.{operation}", elements


def _count_copy(operation: str, operands: str) -> Iterator[Counted]:
    to, source, length = operands.split(", ")[:3]
    size = length.split()[-1]
    if not size.isdigit():
        raise EmulatorError(f"cannot count a {operation} of a length that only the kernel knows")
    for pointer, verb in ((to, "written"), (source, "read")):
        match = _POINTER.match(pointer)
        if match and match[1] in ADDRESS_SPACES:
            yield "instructions.memory", 1
            yield f"{ADDRESS_SPACES[match[1]]}.bytes_{verb}", int(size)


def _shape(text: str) -> tuple[int, str]:
    """The first type in ``text``: its elements, and which scalar they are."""
    match = _TYPE.search(text)
    if match is None:
        return 1, ""
    return (int(match[1]), match[2]) if match[1] else (1, match[3])


def _kind(scalar: str) -> str:
    """The counter of arithmetic on a type.  Metal has no double; the shim's are float's."""
    return (
        scalar
        if scalar in ("half", "bfloat")
        else "float"
        if scalar in ("float", "double")
        else "int"
    )


def _size(kind: str) -> int:
    """Bytes of a type in memory."""
    if match := re.fullmatch(r"[<\[](\d+) x (.*)[>\]]", kind):
        return int(match[1]) * _size(match[2])
    if match := re.fullmatch(r"i(\d+)", kind):
        return (int(match[1]) + 7) // 8
    sizes = {"half": 2, "bfloat": 2, "float": 4, "double": 8, "ptr": 8}
    if kind not in sizes:
        raise EmulatorError(f"cannot count an access to memory of type {kind}")
    return sizes[kind]
