"""The rewrites that NVRTC's C++ needs beyond those that both executors share.

Each is a function over tokens and says why it is needed, as in ../rewrites.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import CompileError
from ..source.declarations import Declaration, HostKernel, Parameter
from ..source.rewrites import ADDRESS_SPACES
from ..source.scopes import Scopes, outer, statement_end
from ..source.tokens import Tokens

# A shader's global namespace: CUDA has names of its own outside of it, float4 and max among them.
PROGRAM = "program"

MAX_THREADS = 1024  # Metal's limit, where a kernel states none
_ASSIGNMENTS = ("=", "+=", "-=", "*=", "/=")
_UNROLL = re.compile(r"\s*#\s*pragma\s+(?:clang\s+loop\s+)?unroll(?:_count)?\W*(\w*)")
_COUNTS = {"full": "", "enable": "", "disable": "1"}
_SWIZZLE = re.compile("[xyzw]{2,4}|[rgba]{2,4}")


def translate_markers(tokens: Tokens) -> None:
    """Clang's line markers and pragmas, as NVRTC has them."""
    for i, kind in enumerate(tokens.kinds):
        if kind == "marker":
            tokens.texts[i] = _marker(tokens.texts[i])


def _marker(text: str) -> str:
    line = re.match(r'\s*#\s*(?:line\s+)?(\d+)\s+("[^"]*")', text)
    if line:
        return f"#line {line.group(1)} {line.group(2)}"
    unroll = _UNROLL.match(text)
    if unroll:
        count = unroll.group(1) or "full"
        return f"#pragma unroll {_COUNTS.get(count, count)}"
    return ""  # another compiler's


def name_the_program(tokens: Tokens) -> None:
    """``::metal::exp2``, from the global namespace, becomes ``::program::metal::exp2``."""
    for i, text in enumerate(tokens.texts):
        if text != "::" or tokens.kinds[i] != "mark":
            continue
        before = tokens.previous(i)
        is_name = tokens.kinds[before] == "word" or tokens.text(before) in (">", ")")
        if before < i - 1 or not is_name:
            tokens.texts[i] = f"::{PROGRAM}::"


def swizzle(tokens: Tokens) -> None:
    """``v.xy`` becomes a call: members that are several elements at once are no C++.

    Not where the source has a name like that of its own.
    """
    uses = [i for i in tokens.words() if _SWIZZLE.fullmatch(tokens.text(i))]
    members = [i for i in uses if tokens.text(tokens.previous(i)) in (".", "->")]
    own = {tokens.text(i) for i in uses if i not in set(members)}
    for i in members:
        name = tokens.text(i)
        if name not in own and tokens.text(tokens.next(i)) != "(":
            letters = "xyzw" if set(name) <= set("xyzw") else "rgba"
            places = ", ".join(str(letters.index(letter)) for letter in name)
            is_target = tokens.text(tokens.next(i)) in _ASSIGNMENTS
            call = "swizzle" if is_target else "swizzled"
            tokens.texts[i] = f"template {call}<{places}>()"


def make_constants_constant(tokens: Tokens, scopes: Scopes) -> None:
    """A ``constant`` at program scope becomes constexpr: CUDA has nobody else to work it out."""
    for i in list(tokens.words()):
        is_constexpr = tokens.text(tokens.previous(i)) == "constexpr"
        is_constexpr = is_constexpr or tokens.text(tokens.next(i)) == "constexpr"
        if tokens.text(i) == "constant" and scopes.of(i) == "file" and not is_constexpr:
            declarator = set(outer(tokens, i, statement_end(tokens, i)))
            if "=" in declarator and not declarator & {"*", "&", "("}:
                tokens.texts[i] = "constexpr"


def refuse_unset_constants(tokens: Tokens) -> None:
    """Of the attributes that make the use of a name an error, NVRTC has only this one."""
    for i in tokens.words():
        if tokens.text(i) == "unavailable" and tokens.text(tokens.previous(i)) == "(":
            tokens.texts[i] = "deprecated"


def drop_parameter_attributes(tokens: Tokens, declaration: Declaration) -> None:
    """Attributes of parameters go; the entry (see ``entry``) passes what they ask for."""
    for parameter in declaration.parameters:
        begin, end = parameter.tokens
        opening = next((i for i in range(begin, end) if tokens.text(i) == "[["), end)
        tokens.blank(opening, end)


def drop_overloads_on_spaces(tokens: Tokens) -> None:
    """Of definitions that differ in address spaces alone, the first stays.

    Here address spaces are no part of a type, so each would define the same again.  They must do
    the same, too.
    """
    _drop_repeated(tokens, tokens.next(-1), len(tokens), "", {})


def _drop_repeated(
    tokens: Tokens, first: int, last: int, scope: str, bodies: dict[str, str]
) -> None:
    """Within [first, last), in a namespace or class; ``bodies`` are those seen so far."""
    for start, brace, end in _definitions(tokens, first, last):
        words = {tokens.text(i) for i in range(start, brace)}
        key, body = scope + _generic(tokens, start, brace), _generic(tokens, brace, end)
        is_namespace = bool({"namespace", "extern"} & words)
        if not is_namespace and key in bodies:
            if bodies[key] != body:
                raise CompileError(
                    f"{tokens.where(start)}: error: on CUDA this overload is the same function "
                    f"as one for another address space, but does something else: "
                    f"{tokens.between(start, brace)}"
                )
            tokens.blank(start, end)
            continue
        bodies[key] = body
        if is_namespace or {"class", "struct", "union"} & words:
            _drop_repeated(tokens, tokens.next(brace), tokens.closing(brace), key, bodies)


def _definitions(tokens: Tokens, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Each that has braces: where it starts, its first brace, and behind its end."""
    i = first
    while i < last:
        while tokens.text(i) in ("public", "protected", "private"):
            i = tokens.next(tokens.next(i))
        start, brace = i, -1
        while i < last and tokens.text(i) != ";":
            if tokens.text(i) == "{":
                brace = i if brace < 0 else brace
                i = tokens.closing(i)
                if tokens.text(tokens.next(i)) not in (";", ",", "{", "="):
                    break
            elif tokens.text(i) in ("(", "[", "[["):
                i = tokens.closing(i)
            i = tokens.next(i)
        i = tokens.next(i)
        if brace > 0:
            yield start, brace, min(i, last)


def _generic(tokens: Tokens, first: int, last: int) -> str:
    """The code of a range with ``constant`` as ``const``, and no other address space."""
    words: list[str] = []
    for i in range(first, last):
        text = {"constant": "const"}.get(tokens.text(i), tokens.text(i))
        vanishes = not tokens.is_code(i) or text in ("device", "threadgroup", "thread")
        if not vanishes and not (text == "const" and words[-1:] == ["const"]):
            words.append(text)
    return " ".join(words)


def symbol(host_name: str) -> str:
    """What CUDA calls the kernel."""
    return "metal_" + re.sub(r"\W", "_", host_name)


def entry(tokens: Tokens, chosen: HostKernel) -> str:
    """The function that CUDA starts: it calls the kernel with all that its parameters ask for.

    It says, too, what Python asks about the parameters; on one line, as all lines stay.
    """
    emulator = "::metal::emulator"
    parameters, arguments, descriptions = (
        [f"const __grid_constant__ {emulator}::Launch launch"],
        [],
        [],
    )
    for i, parameter in enumerate(chosen.declaration.parameters):
        space = _space(tokens, parameter)
        descriptions.append(
            f"{emulator}::Describe<{emulator}::{space.upper() if space else 'BY_VALUE'}, "
            f"{emulator}::TypeOf<{i}, Kernel>>::value()"
        )
        if parameter.attribute == "threadgroup":
            arguments.append(f"{emulator}::threadgroup_parameter(launch, {parameter.index})")
        elif parameter.attribute != "buffer":
            arguments.append(f"{emulator}::attribute::{parameter.attribute}(launch)")
        elif is_by_value(tokens, parameter):
            parameters.append(f"const __grid_constant__ {emulator}::Value<{i}, Kernel> p{i}")
            arguments.append(f"p{i}")
        else:
            kind = "Reference" if parameter.is_reference else "TypeOf"
            parameters.append(f"{emulator}::{kind}<{i}, Kernel> p{i}")
            arguments.append(f"*p{i}" if parameter.is_reference else f"p{i}")
    limit = _limit(chosen)
    return (
        f" namespace emulator_entry {{ typedef decltype(&{chosen.expression}) Kernel; "
        f'extern "C" __global__ void __launch_bounds__({emulator}::whole_simdgroups({limit})) '
        f"{symbol(chosen.host_name)}({', '.join(parameters)}) "
        f"{{ if (!{emulator}::is_surplus(launch)) {{ "
        f"{chosen.expression}({', '.join(arguments)}); }} }} "
        f'extern "C" {{ __device__ {emulator}::Parameter emulator_parameters[] = '
        f"{{ {', '.join([*descriptions, '{}'])} }}; "
        f"__device__ unsigned emulator_max_threads = {limit}; }} }}"
    )


def is_by_value(tokens: Tokens, parameter: Parameter) -> bool:
    """Whether a parameter's bytes are passed, not an address."""
    return parameter.is_reference and _space(tokens, parameter) == "constant"


def _space(tokens: Tokens, parameter: Parameter) -> str:
    """The parameter's address space; empty for built-in values."""
    texts = tokens.texts[slice(*parameter.tokens)]
    return next((text for text in texts if text in ADDRESS_SPACES), "")


def state_thread_limit(tokens: Tokens, declaration: Declaration) -> None:
    """The limit of a template's threads may depend on its parameters: a template, too, says it."""
    if declaration.max_threads:
        head = ""
        if declaration.is_template:
            head = tokens.between(_template(tokens, declaration.head[0]), declaration.head[0])
        tokens.texts[declaration.body[1]] += (
            f" {head} struct {_limit_name(declaration)} "
            f"{{ static constexpr unsigned value = ({declaration.max_threads}); }};"
        )


def _limit(chosen: HostKernel) -> str:
    if not chosen.declaration.max_threads:
        return str(MAX_THREADS)
    name, angle, rest = chosen.expression.partition("<")
    scope = name.rpartition("::")
    return f"{scope[0]}{scope[1]}{_limit_name(chosen.declaration)}{angle}{rest}::value"


def _limit_name(declaration: Declaration) -> str:
    return f"emulator_limit_{declaration.name}"


def _template(tokens: Tokens, head: int) -> int:
    """The word ``template`` before a kernel's head."""
    i = tokens.previous(head)
    while i > 0:
        if tokens.text(i) == "template":
            closing = tokens.closing_angle(tokens.next(i), certain=True)
            if tokens.next(closing) == head:
                return i
        i = tokens.previous(i)
    return head
