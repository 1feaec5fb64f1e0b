"""The rewrites that turn preprocessed Metal into C++.

Each is a function over tokens and says why it is needed.  None moves a token to another line, so
clang's messages name the lines of the .metal file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import CompileError
from ..scalars import SCALARS
from .declarations import Declaration, HostKernel
from .scopes import Scopes, initializes_member, outer, statement_end, statement_start
from .tokens import Tokens

Constant = bool | int | float
ADDRESS_SPACES = {"device", "constant", "threadgroup"}
NAMES = [name for name, _ in SCALARS.values()]
VECTORS = {f"{name}{width}" for name in NAMES for width in (2, 3, 4)}
VECTORS |= {f"packed_{name}{width}" for name in NAMES if name != "bool" for width in (2, 3, 4)}

# Words of C++ that Metal's language does not have.
REFUSED = {
    "catch", "delete", "double", "dynamic_cast", "goto", "new", "register", "thread_local", "throw",
    "try", "typeid", "virtual",
}  # fmt: skip


def refuse_what_metal_refuses(tokens: Tokens) -> None:
    """Clang's C++ has more words than Metal's; a shader that uses them would fail on a Mac."""
    for i, word in find_refused_words(tokens):
        raise CompileError(f"{tokens.where(i)}: error: Metal has no {word!r}")


def find_refused_words(tokens: Tokens) -> Iterable[tuple[int, str]]:
    """Every use of a word that Metal does not have."""
    for i in tokens.words():
        word = tokens.text(i)
        if word in REFUSED and not (word == "delete" and tokens.text(tokens.previous(i)) == "="):
            yield i, word


def give_arguments(tokens: Tokens, declaration: Declaration) -> None:
    """A parameter's attribute becomes a default argument, of the same meaning.

    C++ drops attributes it does not know.  This way a kernel is started without arguments, and the
    compiler checks that each value fits its parameter.
    """
    for parameter in declaration.parameters:
        begin, end = parameter.tokens
        opening = next((i for i in range(begin, end) if tokens.text(i) == "[["), end)
        if parameter.attribute == "buffer":
            maker = "BufferReference" if parameter.is_reference else "Buffer"
            value = f"{maker}{{{parameter.index}}}"
        elif parameter.attribute == "threadgroup":
            value = f"ThreadgroupParameter{{{parameter.index}}}"
        else:
            value = f"attribute::{parameter.attribute}()"
        name = tokens.previous(opening)
        tokens.blank(opening, end)
        tokens.texts[name] += f" = ::metal::emulator::{value}"


def drop_threadgroup_attributes(tokens: Tokens) -> None:
    """``[[threadgroup(0)]]`` goes where nobody binds it: helpers, kernels not asked for.

    C++ ignores other attributes it does not know, but this one begins with a word of ours.
    """
    for i in list(tokens.words()):
        opening = tokens.previous(i)
        if tokens.text(i) == "threadgroup" and tokens.text(opening) == "[[":
            tokens.blank(opening, tokens.closing(opening) + 1)


def keep_one_kernel(
    tokens: Tokens,
    kernels: Iterable[HostKernel],
    declarations: Iterable[Declaration],
    chosen: HostKernel,
    entry: str,
) -> None:
    """Only the chosen kernel is compiled; an entry point for Python follows it.

    Templates are instantiated where the source asks for it under a host name, so that leaving the
    others out saves nearly all of the compile time.  Other templates lose their bodies, as these
    may use function constants that have no value.
    """
    for declaration in declarations:
        if declaration.name != chosen.declaration.name:
            tokens.blank(declaration.body[0] + 1, declaration.body[1])
    for kernel in kernels:
        declaration = kernel.declaration
        if kernel.statement is not None:
            tokens.blank(*kernel.statement)
        elif kernel is not chosen:
            tokens.blank(declaration.head[0], declaration.body[1] + 1)
        tokens.blank(*declaration.head)
    if chosen.statement is None:
        tokens.texts[chosen.declaration.head[0]] += "static "
        tokens.texts[chosen.declaration.body[1]] += entry
    else:
        tokens.texts[chosen.statement[1] - 1] += entry


def entry(chosen: HostKernel) -> str:
    """What a fibre runs, and what Python calls."""
    # Written out, as clang says nothing about the frames of functions that come from a macro.
    lane = f"static void emulator_lane() {{ ({chosen.expression})(); ::metal::emulator::leave(); }}"
    return f" {lane} EMULATOR_ENTRY(({chosen.expression}))"


def state_thread_limit(tokens: Tokens, declaration: Declaration) -> None:
    """The limit of a template's threads may depend on its parameters: its body says it."""
    if declaration.max_threads:
        limit = f"::metal::emulator::ThreadLimit<({declaration.max_threads})>::limit"
        tokens.texts[declaration.body[0]] += f" (void)&{limit};"


def place_threadgroup_variables(tokens: Tokens, scopes: Scopes) -> dict[int, str]:
    """A threadgroup variable becomes a reference into the threadgroup's memory.

    All threads of a group must see one object, and nothing in C++ lives as long as a group.
    Returns the variables' names by the numbers they got.
    """
    names = {}
    for count, i in enumerate([w for w in tokens.words() if tokens.text(w) == "threadgroup"]):
        if scopes.of(i) != "block" or tokens.text(tokens.previous(i)) not in (";", "{", "}"):
            continue
        end = statement_end(tokens, i)
        parts = tokens.split(i + 1, end)
        if any(text in "*&=" for begin, last in parts for text in outer(tokens, begin, last)):
            continue  # a pointer or reference
        kind, text = "", ""
        for number, (begin, last) in enumerate(parts):
            bracket = next((k for k in range(begin, last) if tokens.text(k) == "["), last)
            name = tokens.previous(bracket)
            if number == 0:
                kind = tokens.between(begin, name)
            names[count * 16 + number] = tokens.text(name)
            alias = f"emulator_{tokens.text(name)}_type"
            text += (
                f"typedef {kind} {alias}{tokens.between(bracket, last)}; threadgroup {alias}& "
                f"{tokens.text(name)} = ::metal::emulator::threadgroup_variable<{alias}, "
                f"{count * 16 + number}>(); "
            )
        tokens.blank(i, end)
        tokens.texts[i] = text
    return names


def make_vectors(tokens: Tokens) -> None:
    """Vector constructors and casts become function calls.

    C++ has neither ``float4(x, y, z, w)`` nor ``float4(half4)`` for clang's vectors, and its
    ``(float4)int4`` keeps the bits; nor does clang convert half to bfloat.  A template's parameter
    may be any of these.
    """
    vectors = VECTORS | _vector_aliases(tokens)
    names = vectors | _type_parameters(tokens) | {"half", "bfloat"}
    for i in list(tokens.words()):
        word = tokens.text(i)
        if word in names or word == "vec":
            _make_constructor(tokens, i)
        elif word == "static_cast":
            opening = tokens.next(i)
            first, closing = tokens.next(opening), tokens.closing_angle(opening)
            is_name = tokens.next(first) == closing and tokens.text(first) in names
            if is_name or any(
                tokens.text(k) in vectors or tokens.text(k) == "vec" for k in range(i, closing)
            ):
                tokens.texts[i] = "::metal::emulator::make"
    for i, text in enumerate(tokens.texts):
        if text == "(" and tokens.kinds[i] == "mark":
            _make_cast(tokens, i, names)


def _make_cast(tokens: Tokens, opening: int, names: set[str]) -> None:
    """``(float4)x`` becomes ``(make<float4>( x))``."""
    name = tokens.next(opening)
    closing = tokens.closing(opening)
    last = tokens.closing_angle(tokens.next(name)) if tokens.text(name) == "vec" else name
    before = tokens.previous(opening)
    is_call = tokens.kinds[before] == "word" and tokens.text(before) != "return"
    is_call = is_call or tokens.text(before) in (")", "]", ">")
    if is_call or tokens.text(name) not in names | {"vec"} or tokens.next(last) != closing:
        return
    end = _operand_end(tokens, tokens.next(closing))
    if end < 0:
        return
    tokens.texts[name] = f"::metal::emulator::make<{tokens.text(name)}"
    tokens.texts[last] += ">("
    # In texts that are no brackets to others, as the pairs do not close here.
    tokens.texts[closing] = " "
    tokens.texts[end] += "))"


def _operand_end(tokens: Tokens, i: int) -> int:
    """The last token of the operand of a cast that begins at ``i``; -1 if there is none."""
    while tokens.text(i) in ("-", "+", "!", "~", "*", "&"):
        i = tokens.next(i)
    if tokens.kinds[i] not in ("word", "number") and tokens.text(i) != "(":
        return -1
    end = tokens.closing(i) if tokens.text(i) == "(" else i
    while True:
        following = tokens.next(end)
        if tokens.text(following) in ("(", "["):
            end = tokens.closing(following)
        elif tokens.text(following) in (".", "->", "::"):
            end = tokens.next(following)
        elif tokens.text(following) == "<" and _is_template_call(tokens, following):
            end = tokens.closing_angle(following)
        else:
            return end


def _is_template_call(tokens: Tokens, opening: int) -> bool:
    closing = tokens.closing_angle(opening)
    return closing > 0 and tokens.text(tokens.next(closing)) in ("(", "::")


def _type_parameters(tokens: Tokens) -> set[str]:
    """The names that templates give to types."""
    names = set()
    for i in tokens.words():
        if tokens.text(i) in ("typename", "class"):
            name = tokens.next(i)
            ends = tokens.text(tokens.next(name)) in (",", ">", "=")
            if tokens.text(tokens.previous(i)) in ("<", ",") and ends:
                names.add(tokens.text(name))
    return names


def _make_constructor(tokens: Tokens, i: int) -> None:
    last = i
    if tokens.text(i) == "vec":
        last = tokens.closing_angle(tokens.next(i))
        if last < 0:
            return
    parenthesis = tokens.next(last)
    if tokens.text(parenthesis) != "(" or tokens.text(tokens.next(parenthesis)) == "&":
        return
    before = tokens.previous(i)
    if tokens.text(before) == "::":
        if tokens.text(tokens.previous(before)) != "metal":
            return
        tokens.blank(tokens.previous(before), i)
        before = tokens.previous(i)
    # `float4 (*p)[2]` declares; `x = float4(*p)` constructs.
    in_type = tokens.text(before) in ADDRESS_SPACES | {"thread", "const", "typename", "operator"}
    if in_type or (tokens.text(tokens.next(parenthesis)) == "*" and tokens.text(before) in ";{}"):
        return
    tokens.texts[i] = f"::metal::emulator::make<{tokens.text(i)}"
    tokens.texts[last] += ">"


def _vector_aliases(tokens: Tokens) -> set[str]:
    aliases: set[str] = set()
    for i in tokens.words():
        if tokens.text(i) not in ("typedef", "using"):
            continue
        end = statement_end(tokens, i)
        texts = tokens.texts[i:end]
        if any(text in VECTORS | aliases or text == "vec" for text in texts):
            name = tokens.next(i) if tokens.text(i) == "using" else tokens.previous(end)
            aliases.add(tokens.text(name))
    return aliases


def suffix_literals(tokens: Tokens) -> None:
    """``1.0`` is a float in Metal and a double in C++; ``1.0h`` is a half."""
    for i, kind in enumerate(tokens.kinds):
        text = tokens.texts[i].lower()
        if kind != "number" or text.startswith("0x") or not ("." in text or "e" in text):
            continue
        if text.endswith("bf"):
            tokens.texts[i] = f"bfloat({text[:-2]}f)"
        elif text.endswith("h"):
            tokens.texts[i] = f"half({text[:-1]}f)"
        elif not text.endswith("f"):
            tokens.texts[i] += "f"


def substitute_function_constants(tokens: Tokens, values: Mapping[int | str, Constant]) -> None:
    """Function constants get their values, so the compiler can specialise as Metal does."""
    defined = {}
    asked_for = {
        tokens.text(tokens.next(tokens.next(i)))
        for i in tokens.words()
        if tokens.text(i) == "is_function_constant_defined"
    }
    for i in list(tokens.words()):
        if tokens.text(i) != "function_constant" or tokens.text(tokens.previous(i)) != "[[":
            continue
        opening = tokens.previous(i)
        name = tokens.text(tokens.previous(opening))
        index = tokens.between(tokens.next(i) + 1, tokens.closing(tokens.next(i)))
        end = statement_end(tokens, i)
        if tokens.text(tokens.next(tokens.closing(opening))) != ";":
            continue  # a parameter's
        value = values.get(name, values.get(int(index)) if index.isdigit() else None)
        defined[name] = value is not None
        tokens.blank(opening, end)
        if value is None:
            # Any use of it is an error, unless the source asks first whether it has a value.
            refusal = f'__attribute__((unavailable("function constant {name} has no value")))'
            tokens.texts[opening] = f" {'' if name in asked_for else refusal} = {{}}"
        else:
            tokens.texts[opening] = f" = {_literal(value)}"
        start = statement_start(tokens, i)
        tokens.texts[start] = "static constexpr " + tokens.texts[start]
    for i in list(tokens.words()):
        if tokens.text(i) == "is_function_constant_defined":
            opening = tokens.next(i)
            closing = tokens.closing(opening)
            name = tokens.between(opening + 1, closing)
            tokens.blank(i, closing + 1)
            tokens.texts[i] = "true" if defined.get(name) else "false"


def _literal(value: Constant) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value!r}f" if isinstance(value, float) else repr(value)


def drop_members_for_other_spaces(tokens: Tokens, scopes: Scopes) -> None:
    """``complex_t() threadgroup {}`` vanishes; its sibling for the address space thread stays.

    C++ has no member functions for objects in address spaces of their own.
    """
    for i in list(tokens.words()):
        if tokens.text(i) not in ADDRESS_SPACES or scopes.of(i) != "class":
            continue
        before = tokens.previous(i)
        if tokens.text(before) == "const":
            before = tokens.previous(before)
        if tokens.text(before) == ")":
            start = statement_start(tokens, i)
            while tokens.text(start) in ("public", "protected", "private"):
                start = tokens.next(tokens.next(start))
            tokens.blank(start, _member_end(tokens, i) + 1)


def _member_end(tokens: Tokens, i: int) -> int:
    """What ends the member function whose qualifiers ``i`` is one of: a semicolon or a brace."""
    in_initializers = False
    while i < len(tokens) and tokens.text(i) != ";":
        if tokens.text(i) == "{" and not (in_initializers and initializes_member(tokens, i)):
            return tokens.closing(i)
        in_initializers |= tokens.text(i) == ":"
        i = tokens.next(tokens.end(i))
    return i


def drop_member_address_spaces(tokens: Tokens, scopes: Scopes) -> None:
    """``static constant constexpr int N = 8;`` in a class loses the address space.

    C++ has no members in address spaces; their values are compile-time constants anyway.
    """
    for i in list(tokens.words()):
        if tokens.text(i) in ADDRESS_SPACES and scopes.of(i) == "class":
            texts = list(outer(tokens, i, statement_end(tokens, i)))
            declarator = texts[: texts.index("=")] if "=" in texts else texts
            if not {"*", "&", "("} & set(declarator):
                tokens.blank(i, i + 1)


def turn_array_parameters_into_pointers(tokens: Tokens, scopes: Scopes) -> None:
    """``threadgroup T x[N]`` as a parameter is a pointer, but clang drops its address space."""
    for i in list(tokens.words()):
        if tokens.text(i) not in ADDRESS_SPACES or scopes.of(i) != "parameters":
            continue
        end = i
        while end < len(tokens) and tokens.text(end) not in (",", ")", "[", "*", "&", "(", "<"):
            end = tokens.next(end)
            if tokens.text(end) == "<":
                end = tokens.next(max(end, tokens.closing_angle(end)))
        if tokens.text(end) == "[" and tokens.kinds[tokens.previous(end)] == "word":
            name = tokens.previous(end)
            tokens.blank(end, tokens.closing(end) + 1)
            tokens.texts[name] = f"*{tokens.text(name)}"
