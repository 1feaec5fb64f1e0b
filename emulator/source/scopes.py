"""What brackets enclose: statements, and what each brace opens.

Lint and the rewrites read a source's braces through this module alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from .tokens import Tokens

CLASSES = {"class", "struct", "union"}
# In front of parentheses that hold no parameters.
SPECIFIERS = {"__attribute__", "alignas", "decltype", "explicit", "noexcept"}


class Scopes:
    """What encloses each token: "file", "class", "block" (code), "parameters" or "index"."""

    def __init__(self, tokens: Tokens) -> None:
        self._kinds: list[str] = []
        stack = ["file"]
        for i in range(len(tokens)):
            text = tokens.texts[i] if tokens.kinds[i] == "mark" else ""
            if text in (")", "]", "}", "]]") and len(stack) > 1:
                stack.pop()
            self._kinds.append(stack[-1])
            if text == "{":
                stack.append(opened_by(tokens, i))
            elif text in ("(", "[", "[["):
                stack.append("parameters" if text == "(" else "index")

    def of(self, i: int) -> str:
        return self._kinds[i]


def opened_by(tokens: Tokens, brace: int) -> str:
    """What a brace opens: "file" (a namespace), "class", or "block": code, or an initialiser."""
    words: set[str] = set()
    i = statement_start(tokens, brace)
    while tokens.text(i) == "template" and tokens.text(tokens.next(i)) == "<":
        i = tokens.next(max(tokens.next(i), tokens.closing_angle(tokens.next(i), certain=True)))
    is_extern = tokens.text(i) == "extern"
    while i < brace:
        has_parameters = tokens.text(i) == "(" and tokens.text(tokens.previous(i)) not in SPECIFIERS
        if has_parameters or tokens.text(i) == "=":
            return "block"
        words.add(tokens.text(i))
        i = tokens.next(tokens.end(i))
    if is_extern or "namespace" in words:
        return "file"
    return "class" if CLASSES & words and "enum" not in words else "block"


def initializes_member(tokens: Tokens, brace: int) -> bool:
    """Whether a brace in a constructor's head is that of `: member{...}`, and so no body."""
    before = tokens.previous(brace)
    is_named = tokens.kinds[before] == "word" or tokens.text(before) == ">"
    return is_named and tokens.text(tokens.next(tokens.closing(brace))) in (",", "{")


def statement_start(tokens: Tokens, i: int) -> int:
    """The first token of the statement of token ``i``."""
    previous = tokens.previous(i)
    while previous >= 0 and tokens.text(previous) not in (";", "{", "}"):
        i, previous = previous, tokens.previous(previous)
    return i


def statement_end(tokens: Tokens, i: int) -> int:
    """The semicolon that ends the statement of token ``i``."""
    while i < len(tokens) and tokens.text(i) != ";":
        i = tokens.next(tokens.end(i))
    return i


def outer(tokens: Tokens, first: int, last: int) -> Iterator[str]:
    """The code tokens of a range that stand outside all brackets."""
    i = first
    while i < last:
        if tokens.end(i) > i:
            yield tokens.text(i)
            i = tokens.end(i)
        elif tokens.text(i) == "<" and tokens.closing_angle(i) > 0:
            i = tokens.closing_angle(i)
        elif tokens.is_code(i):
            yield tokens.text(i)
        i += 1
