"""What of Metal differs from C++ for OpenCL beyond the names that the prelude gives."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..source import rewrites
from ..source.outline import Function, Outline
from ..source.scopes import Scopes, outer, statement_end, statement_start
from ..source.tokens import Tokens
from .refusals import SPACES


def translate(metal: Tokens) -> str:
    """Preprocessed Metal as C++ for OpenCL; no token moves to another line."""
    tokens = metal.copy()
    declare_function_constants(tokens)
    drop_attributes(tokens)
    state_address_spaces_of_methods(tokens)
    rewrites.place_threadgroup_variables(tokens, Scopes(tokens))
    rewrites.suffix_literals(tokens)
    rewrites.make_vectors(tokens)
    allow_vectors_of_bool(tokens)
    return str(tokens)


def declare_function_constants(tokens: Tokens) -> None:
    """A function constant has no value yet: OpenCL's way to say so is ``extern``."""
    for i in list(tokens.words()):
        opening = tokens.previous(i)
        if tokens.text(i) != "function_constant" or tokens.text(opening) != "[[":
            continue
        if tokens.text(tokens.next(tokens.closing(opening))) == ";":  # else a parameter's
            start = statement_start(tokens, i)
            tokens.texts[start] = "extern " + tokens.texts[start]


def drop_attributes(tokens: Tokens) -> None:
    """They say what a launch gives to a kernel, which is no matter of types."""
    for i, text in enumerate(tokens.texts):
        if text == "[[" and tokens.kinds[i] == "mark":
            tokens.blank(i, tokens.closing(i) + 1)


def allow_vectors_of_bool(tokens: Tokens) -> None:
    """``vec<T, 2>`` may be one of bool, of which OpenCL has none, where T is a template's.

    Not so in parameters, and in types that are templates: from arguments, the template's own could
    no longer be found.
    """
    for first, last in _places_without_deduction(tokens):
        for i in range(first, last):
            if tokens.kinds[i] == "word" and re.search(r"\bvec$", tokens.texts[i]):
                qualified = "" if tokens.text(tokens.previous(i)) == "::" else "::metal::"
                tokens.texts[i] = f"{tokens.texts[i][:-3]}{qualified}emulator::any_vec"


def _places_without_deduction(tokens: Tokens) -> Iterator[tuple[int, int]]:
    yield from (function.body for function in Outline(tokens).functions)
    for i in tokens.words():
        if tokens.text(i) in ("typedef", "using") and tokens.text(tokens.previous(i)) != ">":
            yield i, statement_end(tokens, i)


def state_address_spaces_of_methods(tokens: Tokens) -> None:
    """Whose methods are for objects in thread memory, and whose for all.

    Without a word on it, Metal's are for thread memory and OpenCL's for all memory; but OpenCL's
    temporary objects lie in none, so that they have no methods for thread memory.  So only classes
    that show others what they hold, by references to thread memory, get them.
    """
    methods = [f for f in Outline(tokens).functions if f.owner >= 0 and not _is_static(tokens, f)]
    showing = {m.owner for m in methods if "thread" in tokens.texts[slice(*m.head)]}
    for method in methods:
        end = method.parameters[1]
        words = tokens.texts[end : method.body[0]]
        if SPACES.isdisjoint(words):
            if method.owner in showing and not _is_constructor(tokens, method):
                tokens.texts[end] += " thread"
        elif "thread" in words and (method.owner not in showing or _is_constructor(tokens, method)):
            k = end + words.index("thread")
            tokens.blank(k, k + 1)


def _is_static(tokens: Tokens, function: Function) -> bool:
    return not {"static", "friend"}.isdisjoint(tokens.texts[slice(*function.head)])


def _is_constructor(tokens: Tokens, function: Function) -> bool:
    """Whether no type stands in front of its name."""
    words = set(outer(tokens, *function.head)) - {"("}
    return words <= {"constexpr", "explicit", "inline", "__attribute__"}
