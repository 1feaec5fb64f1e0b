"""A second opinion on registers: what LLVM's allocator for another maker's GPU makes of a kernel.

The kernel goes through clang as C++ for OpenCL and through LLVM's back end for an AMD GPU, once
with all of that GPU's registers and once with as many as a thread of an Apple GPU may have.  What
does not fit, LLVM spills.  Its instructions, their order and its allocator are not Apple's: a
kernel that spills here is one to doubt, and no more is said.

A lane's two elements of a matrix lie in registers.  A matrix product, and every function of Metal's
library that the prelude only declares, is one opaque instruction with its operands in registers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import toolchain
from ..errors import CompileError, EmulatorError
from ..headers import one_text
from ..source.translation import Source
from . import rewrites
from .front_end import PRELUDE

LOWERED = Path(__file__).parent / "lowered"

GPU = "gfx1030"  # 32 lanes, arithmetic in half, no matrices of its own
# LLVM derives from the threads of a group how many registers each may have: this GPU gives 256 to a
# lane of a group of 256, and to one of 1024 the 128 that a thread of an Apple GPU may have
# (applegpu).  So its scheduler knows the limit, too, and not its allocator alone.
ALL_REGISTERS = 'attributes #9999 = { "amdgpu-flat-work-group-size"="1,256" }'
APPLES_REGISTERS = 'attributes #9999 = { "amdgpu-flat-work-group-size"="1,1024" }'

TARGET = ("-triple", "amdgcn-amd-amdhsa", "-target-cpu", GPU, "-O2", "-Wno-everything")
# Nothing is optimised before the library's functions have bodies.
TO_IR = (
    *TARGET, "-x", "clcpp", "-cl-std=CLC++2021", "-nostdsysteminc", "-nobuiltininc",
    "-fno-caret-diagnostics", "-disable-llvm-passes", "-emit-llvm", "-o", "-", "-",
)  # fmt: skip
TO_ASSEMBLY = (*TARGET, "-x", "ir", "-S", "-o", "-", "-")

# What the threads of a simdgroup do not share.  All else is held once for them all.
OWN = re.compile(r"(thread|simdgroup|quadgroup)_(position|index)_in_\w+")

_TYPE = r"(?:ptr(?: addrspace\(\d\))?|<\d+ x \w+>|void|[a-z]\w*)"
_DECLARATION = re.compile(
    rf"^declare (?P<attributes>.*?)(?P<type>{_TYPE}) (?P<name>@[\w.$]+)"
    r"\((?P<parameters>.*)\)[^()]*$"
)
_DEFINITION = re.compile(
    rf"^define (?P<attributes>.*?)(?P<type>{_TYPE}|\S.*?) (?P<name>@[\w.$]+)"
    r"\((?P<parameters>.*)\) (?P<tail>[^()]*)\{$"
)
_SPILLED = re.compile(r"\.vgpr_spill_count: *(\d+)")
_USED = re.compile(r"\.vgpr_count: *(\d+)")


@dataclass(frozen=True)
class Allocation:
    """What LLVM's allocator did with a kernel's values."""

    registers: int  # 32-bit, per thread, with no limit but that GPU's
    spilled: int  # with the limit of an Apple GPU's thread


def allocate(source: Source, host_name: str) -> Allocation:
    """Compiles one kernel for an AMD GPU.

    Raises CompileError if the front end refuses the kernel, EmulatorError if the compiler has no
    such back end.
    """
    program = rewrites.translate(source.alone(host_name))
    ir = _compile(host_name, TO_IR, f"{prelude()}{program}\n")
    module = _Module(
        ir, source.function_name(host_name), [p.attribute for p in source.parameters(host_name)]
    )
    free, limited = (
        _compile(host_name, TO_ASSEMBLY, module.text(limit))
        for limit in (ALL_REGISTERS, APPLES_REGISTERS)
    )
    return Allocation(_number(_USED, free), _number(_SPILLED, limited))


@functools.cache
def prelude() -> str:
    """What Metal is where its code counts, not only its types."""
    return one_text("lowered.h", (LOWERED, PRELUDE, toolchain.SHIM))


def _compile(host_name: str, flags: Sequence[str], text: str) -> str:
    command = toolchain.front_end()
    done = toolchain.run([*command, *flags], text)
    if "unknown target triple" in done.stderr or "unknown argument" in done.stderr:
        raise EmulatorError(
            f"{' '.join(command)} has no back end for AMD GPUs, which the second opinion on "
            "registers needs; ziglang's clang and Debian's clang have one"
        )
    if done.returncode:
        raise CompileError(f"{host_name}:\n{done.stderr.strip()}")
    return done.stdout


def _number(pattern: re.Pattern[str], assembly: str) -> int:
    match = pattern.search(assembly)
    if match is None:
        raise EmulatorError("LLVM's assembly does not say how many registers it has allotted")
    return int(match[1])


class _Module:
    """A kernel's IR in which the library has bodies, and one entry that a GPU could start."""

    def __init__(self, ir: str, function: str, attributes: Sequence[str]) -> None:
        self._entry = ""
        # A name as clang mangles it: of a function, of a template's, of one in a namespace.
        name = re.compile(rf"@(_Z\w*?)?{len(function)}{function}(?![a-z_0-9])\w*")
        self._lines = []
        for line in ir.splitlines():
            if definition := _DEFINITION.match(line):
                is_kernel = "linkonce" not in line and name.fullmatch(definition["name"])
                if is_kernel:
                    self._entry = _entry(definition, attributes)
                line = _inlined(line)
            elif (declaration := _DECLARATION.match(line)) and "@llvm." not in line:
                line = _with_body(declaration)
            self._lines.append(line)
        if not self._entry:
            raise EmulatorError(f"the compiler's IR has no {function}")

    def text(self, limit: str) -> str:
        """The module, with a limit for its registers."""
        return "\n".join([*self._lines, self._entry, limit, ""])


def _inlined(line: str) -> str:
    """As on Apple's GPUs, a kernel has no calls."""
    linkage = r"^define (linkonce_odr |weak_odr |internal )?(dso_local |hidden )?"
    line = re.sub(linkage, "define internal ", line)
    return re.sub(r"(.*\)[^()]*?)(#\d+)(?: comdat)?", r"\1alwaysinline \2", line)


def _entry(definition: re.Match[str], attributes: Sequence[str]) -> str:
    """Starts the kernel with what all threads share, and with values of the thread's own."""
    shared, made, arguments = [], [], []
    for i, (parameter, attribute) in enumerate(
        zip(_split(definition["parameters"]), attributes, strict=True)
    ):
        kind = _kind(parameter)
        if OWN.fullmatch(attribute):
            made += [f'  %a{i} = call {kind} asm "; {attribute}", "=v"()']
        else:
            shared.append(f"{kind} %a{i}")
        arguments.append(f"{kind} %a{i}")
    return "\n".join([
        f"define amdgpu_kernel void @metal_kernel({', '.join(shared)}) "
        f"{definition['tail'].replace('comdat', '')}#9999 {{",
        *made,
        f"  call void {definition['name']}({', '.join(arguments)})",
        "  ret void",
        "}",
    ])  # fmt: skip


def _with_body(declaration: re.Match[str]) -> str:
    """A function of Metal's library: threadgroup memory, or one instruction."""
    name, kind = declaration["name"], declaration["type"]
    if "threadgroup_variable" in name:
        return _memory(name, declaration["attributes"])
    kinds = [_kind(parameter) for parameter in _split(declaration["parameters"])]
    code, operands = [], []
    for i, own in enumerate(kinds):
        steps, operand = _to_registers(own, f"%p{i}")
        code += steps
        operands.append(operand)
    # What returns nothing, or is given memory, must stay where it is.
    fixed = kind == "void" or any(k.startswith("ptr") for k in kinds)
    constraints = [*(["=v"] if kind != "void" else []), *["v"] * len(operands)]
    constraints += ["~{memory}"] if fixed else []
    held = "void" if kind == "void" else _register(kind)
    call = (
        f'call {held} asm {"sideeffect " if fixed else ""}"; {name[1:]}", '
        f'"{",".join(constraints)}"({", ".join(operands)})'
    )
    # Lanes that tell each other something must do so together.
    call += " convergent nounwind" if re.search("simd|quad|barrier", name) else " nounwind"
    if kind == "void":
        code += [call, "ret void"]
    else:
        code += [f"%r = {call}", *_from_registers(kind), f"ret {kind} %result"]
    parameters = ", ".join(f"{own} %p{i}" for i, own in enumerate(kinds))
    body = "\n".join(f"  {step}" for step in code)
    return f"define internal {kind} {name}({parameters}) alwaysinline {{\n{body}\n}}"


def _memory(name: str, attributes: str) -> str:
    size, alignment = (
        re.search(rf"\b{word}[( ](\d+)", attributes) for word in ("dereferenceable", "align")
    )
    if size is None or alignment is None:
        raise EmulatorError(f"the compiler's IR does not say how large {name} is")
    kind = "ptr addrspace(3)"
    memory = f"internal addrspace(3) global [{size[1]} x i8] poison, align {alignment[1]}"
    return (
        f"{name}.memory = {memory}\n"
        f"define internal {kind} {name}() alwaysinline {{\n  ret {kind} {name}.memory\n}}"
    )


def _split(parameters: str) -> list[str]:
    """Parameters, at the commas between them."""
    return [part.strip() for part in re.split(r",(?![^(<\[]*[)>\]])", parameters) if part.strip()]


def _kind(parameter: str) -> str:
    """A parameter's type, without its attributes and name."""
    match = re.match(_TYPE, parameter)
    if match is None:
        raise EmulatorError(f"a parameter {parameter!r} is of no type that registers hold")
    return match[0]


_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}


def _bits(kind: str) -> int:
    count, scalar = (int(kind[1:].split()[0]), kind[1:-1].split()[2]) if "x" in kind else (1, kind)
    return count * (_BITS.get(scalar) or int(scalar.removeprefix("i")))


def _register(kind: str) -> str:
    """The type in which an instruction's operand holds a value: whole 32-bit registers."""
    if kind.startswith("ptr"):
        return kind
    registers = -(-_bits(kind) // 32)
    return "i32" if registers == 1 else f"<{registers} x i32>"


def _to_registers(kind: str, value: str) -> tuple[list[str], str]:
    """Code that puts a value into registers, and the operand that it then is."""
    held = _register(kind)
    if held == kind:
        return [], f"{kind} {value}"
    bits, whole = _bits(kind), -(-_bits(kind) // 32) * 32
    steps = [f"{value}.b = bitcast {kind} {value} to i{bits}"]
    last = f"{value}.b"
    if whole > bits:
        steps.append(f"{value}.w = zext i{bits} {last} to i{whole}")
        last = f"{value}.w"
    steps.append(f"{value}.r = bitcast i{whole} {last} to {held}")
    return steps, f"{held} {value}.r"


def _from_registers(kind: str) -> list[str]:
    """Code that makes %result of the registers %r."""
    held = _register(kind)
    if held == kind:
        return [f"%result = freeze {kind} %r"]
    bits, whole = _bits(kind), -(-_bits(kind) // 32) * 32
    steps = [f"%w = bitcast {held} %r to i{whole}"]
    last = "%w"
    if whole > bits:
        steps.append(f"%b = trunc i{whole} %w to i{bits}")
        last = "%b"
    return [*steps, f"%result = bitcast i{bits} {last} to {kind}"]
