"""Finds a source's kernels: their host names, parameters and limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import CompileError
from .tokens import Tokens

# Built-in values a kernel can ask for; ../shim/entry.h computes them.
BUILT_IN = {
    "dispatch_simdgroups_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "grid_origin",
    "quadgroup_index_in_threadgroup",
    "quadgroups_per_threadgroup",
    "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup",
    "thread_execution_width",
    "thread_index_in_quadgroup",
    "thread_index_in_simdgroup",
    "thread_index_in_threadgroup",
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threadgroups_per_grid",
    "threads_per_grid",
    "threads_per_simdgroup",
    "threads_per_threadgroup",
}


@dataclass(frozen=True)
class Parameter:
    """A kernel parameter as the source has it."""

    name: str
    attribute: str  # "buffer", "threadgroup" or one of BUILT_IN
    index: int  # n of [[buffer(n)]]; 0 for built-in values
    optional: bool  # bound only under a function constant
    is_reference: bool
    tokens: tuple[int, int]


@dataclass(frozen=True)
class Declaration:
    """A kernel function's definition; a template until something instantiates it."""

    name: str
    host_name: str
    is_template: bool
    head: tuple[int, int]  # attributes and the word kernel, up to the return type
    body: tuple[int, int]  # the braces
    parameters: tuple[Parameter, ...]
    max_threads: str  # C++; empty if not limited


@dataclass(frozen=True)
class HostKernel:
    """What Python can ask for: a kernel, or an instantiation of a kernel template."""

    host_name: str
    declaration: Declaration
    expression: str  # C++ that names the function
    statement: tuple[int, int] | None  # of the instantiation


@dataclass(frozen=True)
class _Attribute:
    name: str
    arguments: tuple[str, ...]


def find_host_kernels(tokens: Tokens, kernels: Iterable[Declaration]) -> list[HostKernel]:
    """Those of ``kernels`` that have a name for the host, in the order of the source."""
    declarations = {d.name: d for d in kernels}
    found = [
        (d.head[0], HostKernel(d.host_name, d, d.name, None))
        for d in declarations.values()
        if not d.is_template
    ]
    for statement in _find_instantiations(tokens):
        found.append((statement[0], _instantiation(tokens, statement, declarations)))
    return [kernel for _, kernel in sorted(found, key=lambda item: item[0])]


def _find_instantiations(tokens: Tokens) -> Iterable[tuple[int, int]]:
    """Statements like ``template [[host_name("x")]] [[kernel]] decltype(f<T>) f<T>;``."""
    for i in tokens.words():
        if tokens.text(i) == "template" and tokens.text(tokens.next(i)) == "[[":
            end = i
            while end < len(tokens) and tokens.text(end) != ";":
                end = tokens.next(end)
            yield i, end + 1


def _instantiation(
    tokens: Tokens, statement: tuple[int, int], declarations: dict[str, Declaration]
) -> HostKernel:
    attributes, i = _read_attributes(tokens, tokens.next(statement[0]))
    host_name = next((a.arguments[0] for a in attributes if a.name == "host_name"), "")
    # Then perhaps more attributes, `kernel`, `void` or a decltype, and the function itself.
    while True:
        if tokens.text(i) == "[[":
            _, i = _read_attributes(tokens, i)
        elif tokens.text(i) in ("kernel", "void"):
            i = tokens.next(i)
        elif tokens.text(i) == "decltype":
            i = tokens.next(tokens.closing(tokens.next(i)))
        else:
            break
    end = i
    while end < statement[1] - 1 and tokens.text(end) != "(":
        closing = tokens.closing_angle(end) if tokens.text(end) == "<" else -1
        end = tokens.next(max(end, closing))
    expression = tokens.between(i, end)
    name = expression.split("<")[0].split("::")[-1].strip()
    if name not in declarations:
        raise CompileError(f"{tokens.where(i)}: no kernel template is called {name!r}")
    return HostKernel(host_name, declarations[name], expression, statement)


def find_declarations(tokens: Tokens) -> Iterable[Declaration]:
    """All kernel functions and templates, in the order of the source."""
    statements = _find_instantiations(tokens)
    instantiations = {i for first, last in statements for i in range(first, last)}
    for i in tokens.words():
        if tokens.text(i) != "kernel" or i in instantiations:
            continue
        previous = tokens.text(tokens.previous(i))
        if previous in (".", "->", "::"):
            continue
        first = i
        if previous in ("[[", ","):
            while tokens.text(first) != "[[":
                first = tokens.previous(first)
        while tokens.text(tokens.previous(first)) == "]]":
            first = tokens.previous(first)
            while tokens.text(first) != "[[":
                first = tokens.previous(first)
        declaration = _read_declaration(tokens, first)
        if declaration is not None:
            yield declaration


def _read_declaration(tokens: Tokens, first: int) -> Declaration | None:
    attributes: list[_Attribute] = []
    i = first
    while tokens.text(i) in ("[[", "kernel", "static", "inline"):
        if tokens.text(i) == "[[":
            more, i = _read_attributes(tokens, i)
            attributes += more
        else:
            i = tokens.next(i)
    head = (first, i)
    name = ""
    while i < len(tokens) and tokens.text(i) != "(":
        if tokens.text(i) == "[[":
            more, i = _read_attributes(tokens, i)
            attributes += more
            continue
        name = tokens.text(i)
        i = tokens.next(i)
    closing = tokens.closing(i)
    body = tokens.next(closing)
    while tokens.text(body) == "[[":
        more, body = _read_attributes(tokens, body)
        attributes += more
    if tokens.text(body) != "{":
        return None  # declared only
    by_name = {a.name: a.arguments for a in attributes}
    return Declaration(
        name=name,
        host_name=by_name.get("host_name", (name,))[0],
        is_template=tokens.text(tokens.previous(first)) == ">",
        head=head,
        body=(body, tokens.closing(body)),
        parameters=tuple(_read_parameters(tokens, i + 1, closing)),
        max_threads=by_name.get("max_total_threads_per_threadgroup", ("",))[0],
    )


def _read_attributes(tokens: Tokens, opening: int) -> tuple[list[_Attribute], int]:
    """The items of the [[...]] that begins here, and the token behind it."""
    closing = tokens.closing(opening)
    items = []
    for first, last in tokens.split(opening + 1, closing):
        name = first if tokens.is_code(first) else tokens.next(first)
        bracket = tokens.next(name)
        arguments: tuple[str, ...] = ()
        if bracket < last and tokens.text(bracket) == "(":
            inside = tokens.between(bracket + 1, tokens.closing(bracket))
            strings = re.findall(r'"((?:[^"\\]|\\.)*)"', inside)
            arguments = ("".join(strings) if strings else inside,)
        items.append(_Attribute(tokens.text(name), arguments))
    return items, tokens.next(closing)


def _read_parameters(tokens: Tokens, first: int, last: int) -> Iterable[Parameter]:
    """Reads a kernel's parameters.  Buffers without a number get the first ones left."""
    raw = []
    for begin, end in tokens.split(first, last):
        opening = next((i for i in range(begin, end) if tokens.text(i) == "[["), end)
        attributes = _read_attributes(tokens, opening)[0] if opening < end else []
        raw.append((begin, end, opening, attributes))
    taken = {
        int(a.arguments[0], 0)
        for _, _, _, attributes in raw
        for a in attributes
        if a.name == "buffer" and a.arguments and a.arguments[0].isdigit()
    }
    for begin, end, opening, attributes in raw:
        at = tokens.previous(opening)
        name = tokens.text(at)
        texts = tokens.texts[begin:opening]
        index = 0
        main = [a for a in attributes if a.name != "function_constant"]
        if main:
            attribute = main[0].name
            if attribute in ("buffer", "threadgroup"):
                number = main[0].arguments[0] if main[0].arguments else ""
                if not number.isdigit():
                    raise CompileError(
                        f"{tokens.where(at)}: {attribute}({number}) of {name}: not a number"
                    )
                index = int(number)
            elif attribute not in BUILT_IN:
                raise CompileError(f"{tokens.where(at)}: {name}: [[{attribute}]] is not supported")
        elif "*" in texts or "&" in texts:
            attribute = "threadgroup" if "threadgroup" in texts else "buffer"
            while index in taken:
                index += 1
            taken.add(index)
        else:
            raise CompileError(f"{tokens.where(at)}: kernel parameter {name} has no attribute")
        yield Parameter(
            name=name,
            attribute=attribute,
            index=index,
            optional=len(main) < len(attributes),
            is_reference="&" in texts,
            tokens=(begin, end),
        )
