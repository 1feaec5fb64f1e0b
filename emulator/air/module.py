"""Reads AIR, the LLVM IR that Apple's compiler makes, and turns it into IR for this machine.

What a kernel does stays as it is.  Changed are: address spaces (a CPU has one), threadgroup
variables and function constants (which something outside has to reach), the calls of functions that
a CPU does in steps of our own, and what no other LLVM than Apple's needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import CompileError
from ..launch import structs
from ..scalars import SCALARS, SPACES
from ..source.declarations import Parameter
from . import functions

CONSTANTS = {"bool": "?", "int": "i", "uint": "I", "short": "h", "ushort": "H", "float": "f"}
SYMBOL = r'@("[^"]+"|[\w.$-]+)'


@dataclass(frozen=True)
class Argument:
    """A kernel's argument, as the library describes it."""

    attribute: str  # "buffer" or one of functions.BUILT_IN
    name: str
    index: int  # n of [[buffer(n)]]
    space: int  # of SPACES
    type_name: str
    size: int  # bytes of the type
    writable: bool
    is_reference: bool
    optional: bool  # there only if a function constant says so

    @property
    def parameter(self) -> Parameter:
        """As the emulator has those of a source."""
        return Parameter(
            self.name, self.attribute, self.index, self.optional, self.is_reference, (0, 0)
        )

    @property
    def type(self) -> structs.Parameter:
        """The same of its type."""
        codes = {name: code for code, (name, _) in SCALARS.items()}
        scalar, width = re.fullmatch(r"(.*?)([2-4]?)", self.type_name).groups()  # type: ignore[union-attr]
        code = codes.get(scalar, "S").encode()
        known = int(width or 1) if code != b"S" else 1
        return structs.Parameter(
            self.space, not self.writable, self.is_reference, code, known, self.size
        )


@dataclass(frozen=True)
class FunctionConstant:
    """A value that is chosen when a kernel is made ready to run."""

    name: str
    index: int
    code: str  # of its type, as in Python's struct module
    symbol: str


@dataclass(frozen=True)
class Kernel:
    """What Python has to know of a kernel."""

    name: str
    arguments: tuple[Argument, ...]
    constants: tuple[FunctionConstant, ...]

    def as_json(self) -> dict[str, Any]:
        """The same in words of JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Kernel:
        """The reverse."""
        arguments = tuple(Argument(**argument) for argument in fields["arguments"])
        constants = tuple(FunctionConstant(**constant) for constant in fields["constants"])
        return cls(fields["name"], arguments, constants)


# --- what the library says of the kernel ---------------------------------------------------------


class _Metadata:
    """The numbered nodes at the end of a module."""

    def __init__(self, text: str) -> None:
        self._named: dict[str, str] = dict(
            re.findall(r"^!([\w.]+) = (?:distinct )?!\{(.*)\}$", text, re.MULTILINE)
        )

    def references(self, node: str) -> list[str]:
        """Numbers of the nodes that a node consists of."""
        return re.findall(r"!(\d+)", self._named.get(node, ""))

    def text(self, node: str) -> str:
        """What a node has between its braces; nothing if there is none of that name."""
        return self._named.get(node, "")


def describe(text: str) -> Kernel:
    """The kernel that a module holds.  Raises CompileError for what is not covered."""
    metadata = _Metadata(text)
    kernels = metadata.references("air.kernel")
    if len(kernels) != 1:
        raise CompileError(f"a function of kind kernel is needed; this module has {len(kernels)}")
    node = metadata.text(kernels[0])
    name = re.search(SYMBOL, node)
    assert name is not None
    _, arguments, *_ = re.findall(r"!(\d+)", node)  # the first has what it returns
    return Kernel(
        name[1].strip('"'),
        tuple(_argument(metadata.text(a)) for a in metadata.references(arguments)),
        tuple(_constant(metadata.text(c)) for c in metadata.references("air.function_constants")),
    )


def _argument(node: str) -> Argument:
    def number(key: str, default: int = 0) -> int:
        match = re.search(rf'!"air\.{key}", i32 (\d+)', node)
        return int(match[1]) if match else default

    def word(key: str) -> str:
        match = re.search(rf'!"air\.{key}", !"([^"]*)"', node)
        return match[1] if match else ""

    names = set(re.findall(r'!"air\.(\w+)"', node))
    (attribute,) = names & {"buffer", *functions.BUILT_IN} or {""}
    if not attribute:
        raise CompileError(f"an argument is neither a buffer nor a known built-in value: {node}")
    if attribute == "buffer" and SPACES[number("address_space")] == "threadgroup":
        raise CompileError(
            f"argument {word('arg_name')} is threadgroup memory, which is not covered"
        )
    return Argument(
        attribute,
        word("arg_name"),
        number("location_index"),
        number("address_space") if attribute == "buffer" else SPACES.index("by value"),
        word("arg_type_name"),
        number("arg_type_size"),
        writable=bool(names & {"read_write", "write"}),
        is_reference="buffer_size" in names,
        optional="function_constant" in names,
    )


def _constant(node: str) -> FunctionConstant:
    symbol, kind, name, index = re.match(  # type: ignore[union-attr]
        rf'ptr addrspace\(2\) {SYMBOL}, !"(\w+)", !"(\w+)", i32 (\d+)', node
    ).groups()
    if kind not in CONSTANTS:
        raise CompileError(
            f"function constant {name} is a {kind}; it may be one of {', '.join(CONSTANTS)}"
        )
    return FunctionConstant(name, int(index), CONSTANTS[kind], symbol.strip('"'))


# --- the same code for a CPU ---------------------------------------------------------------------


def translate(text: str, kernel: Kernel) -> str:
    """IR in which ``@air.kernel`` runs the kernel and ``@air.set_constants`` what comes before."""
    types = _parameter_types(text, kernel)
    begins = re.findall(rf"ptr {SYMBOL}, ptr null", _line(text, "@llvm.global_ctors"))
    text = _reach(text)
    text = _without_address_spaces(text)
    text, declared = _take_declarations(text)
    parts = [
        text,
        functions.define(declared),
        functions.entry(kernel.name, [(a.attribute, a.index) for a in kernel.arguments], types),
        functions.call_all("air.set_constants", begins),
    ]
    return "\n".join(parts)


def _line(text: str, start: str) -> str:
    match = re.search(rf"^{re.escape(start)}.*$", text, re.MULTILINE)
    return match[0] if match else ""


def _parameter_types(text: str, kernel: Kernel) -> list[str]:
    """IR's types of the kernel's parameters."""
    match = re.search(rf'^define .*@"?{re.escape(kernel.name)}"?\((.*)\)[^()]*\{{$', text, re.M)
    assert match is not None
    types = [re.match(r"<[^>]*>|\w+", part)[0] for part in _split(match[1])]  # type: ignore[index]
    if len(types) != len(kernel.arguments):
        raise CompileError(
            f"{kernel.name} has {len(types)} parameters and describes {len(kernel.arguments)}"
        )
    return types


def _split(parameters: str) -> Iterable[str]:
    """At commas outside of brackets."""
    return re.findall(r"(?:[^,<(]|<[^>]*>|\([^)]*\))+", parameters.replace(", ", ","))


def _reach(text: str) -> str:
    """Variables that others than the kernel's own code use.

    Threads share threadgroup variables, and the optimiser must not take them for one thread's.
    Function constants are set from outside.  What runs before the kernel is called by us.
    """
    unset = "(?:undef|poison|zeroinitializer)"
    text = re.sub(
        rf"^(@.*) = internal (?:unnamed_addr )?addrspace\(3\) global (.*) {unset}(, align \d+)$",
        r"\1 = hidden global \2 zeroinitializer\3",
        text,
        flags=re.MULTILINE,
    )
    text = re.sub(
        r"^(@.*) = internal .*externally_initialized constant (\S+) undef, .*$",
        r"\1 = global \2 zeroinitializer",
        text,
        flags=re.MULTILINE,
    )
    text = re.sub(r"^@llvm\.(?:global_ctors|compiler\.used|used) = .*\n", "", text, flags=re.M)
    return re.sub(r'^(define .*) section "air\.static_init"', r"\1", text, flags=re.MULTILINE)


def _without_address_spaces(text: str) -> str:
    text = re.sub(r" addrspace\(\d+\)", "", text)
    text = text.replace("addrspacecast ptr", "bitcast ptr")
    return re.sub(r"(@llvm\.[\w.]+?)((?:\.p\d)+)\b", _in_space_0, text)


def _in_space_0(match: re.Match[str]) -> str:
    return match[1] + re.sub(r"p\d", "p0", match[2])


def _take_declarations(text: str) -> tuple[str, list[functions.Declaration]]:
    """The text without its declarations, which ``functions.define`` writes anew."""
    text = text.replace("@llvm.fmuladd.", f"@{functions.FMULADD}.")
    # What LLVM makes of a marker whose form it no longer has; nothing calls it.
    text = re.sub(r"^declare .*@llvm\.lifetime\.\w+\.i64\(.*\n", "", text, flags=re.MULTILINE)
    pattern = re.compile(r"^declare (.*?) @(air\.[\w.]+)\((.*)\).*\n", re.MULTILINE)
    declared = [
        functions.Declaration(name, _type(result), tuple(_type(p) for p in _split(parameters)))
        for result, name, parameters in pattern.findall(text)
    ]
    return pattern.sub("", text), declared


def _type(text: str) -> str:
    """A type without its attributes."""
    words = re.sub(r"captures\([^)]*\)", "", text).split(" ")
    if text.startswith("<"):
        return text[: text.index(">") + 1]
    return next(w for w in words if w not in ("noundef", "zeroext", "signext"))
