"""A C++ source as a list of tokens, replaced in place so that lines stay where they are.

Everything between tokens is a token too; a rewrite never changes the number of line breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      (?P<marker>^[ \t]*\#[^\n]*)                       # line marker or pragma
    | (?P<space>\s+)
    | (?P<string>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<number>\.?[0-9](?:[eEpP][+-]|[0-9A-Za-z_.'])*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>::|->|\[\[|\]\]|[-+*/%&|^=!<>]=|&&|\|\||\+\+|--|.)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)

_OPENING = {"(": ")", "[": "]", "{": "}", "[[": "]]"}
_CLOSING = set(_OPENING.values())


class Tokens:
    """Tokens with their kinds; indices are stable, as rewriting replaces texts only."""

    def __init__(self, source: str) -> None:
        self.texts: list[str] = []
        self.kinds: list[str] = []
        for match in _TOKEN.finditer(source):
            kind, text = str(match.lastgroup), match.group()
            if text == "]]" and not self._attribute_is_open():
                self._append("mark", "]")  # a[b[i]] closes twice
                self._append("mark", "]")
                continue
            self._append(kind, text)

    def copy(self) -> Tokens:
        """The same tokens at the same indices, to be rewritten apart."""
        copy = Tokens("")
        copy.texts, copy.kinds = list(self.texts), self.kinds
        return copy

    def _append(self, kind: str, text: str) -> None:
        self.kinds.append(kind)
        self.texts.append(text)

    def _attribute_is_open(self) -> bool:
        depth = 0
        for text in reversed(self.texts):
            if text in ("]", "]]"):
                depth += 1
            elif text in ("[", "[["):
                if depth == 0:
                    return text == "[["
                depth -= 1
            elif text in (";", "{", "}"):
                return False
        return False

    def __len__(self) -> int:
        return len(self.texts)

    def __str__(self) -> str:
        return "".join(self.texts)

    def is_code(self, index: int) -> bool:
        """Neither space nor a line marker."""
        return self.kinds[index] not in ("space", "marker") and self.texts[index] != ""

    def words(self) -> Iterator[int]:
        """Indices of all identifiers and keywords."""
        return (i for i, kind in enumerate(self.kinds) if kind == "word" and self.texts[i])

    def next(self, index: int) -> int:
        """The first code token after ``index``; len(self) if there is none."""
        index += 1
        while index < len(self.texts) and not self.is_code(index):
            index += 1
        return index

    def previous(self, index: int) -> int:
        """The last code token before ``index``; -1 if there is none."""
        index -= 1
        while index >= 0 and not self.is_code(index):
            index -= 1
        return index

    def text(self, index: int) -> str:
        """The token's text; empty outside the source."""
        return self.texts[index] if 0 <= index < len(self.texts) else ""

    def closing(self, index: int) -> int:
        """The token that closes the bracket at ``index``; len(self) if none does."""
        depth = 0
        while index < len(self.texts):
            if self.kinds[index] == "mark":
                if self.texts[index] in _OPENING:
                    depth += 1
                elif self.texts[index] in _CLOSING:
                    depth -= 1
                    if depth == 0:
                        return index
            index = self.next(index)
        return index

    def end(self, index: int) -> int:
        """Where what begins at ``index`` ends: at the other end of a bracket, else right there."""
        is_opening = self.kinds[index] == "mark" and self.texts[index] in _OPENING
        return self.closing(index) if is_opening else index

    def closing_angle(self, index: int, certain: bool = False) -> int:
        """The > that closes the < at ``index``, if that opens template arguments; else -1.

        Where && and || follow it, it compares, unless it is ``certain`` that it does not.
        """
        ends = {";", "}", ")", "]"} | (set() if certain else {"&&", "||"})
        depth = 0
        while index < len(self.texts):
            text = self.texts[index]
            if text == "<":
                depth += 1
            elif text == ">":
                depth -= 1
                if depth == 0:
                    return index
            elif text in ends:
                return -1
            index = self.next(self.end(index))
        return -1

    def between(self, first: int, last: int) -> str:
        """The text from ``first`` up to, not including, ``last``, on one line."""
        code = (self.texts[i] if self.kinds[i] != "marker" else " " for i in range(first, last))
        return " ".join("".join(code).split())

    def blank(self, first: int, last: int) -> None:
        """Removes the tokens from ``first`` up to, not including, ``last``, but no line break."""
        for i in range(first, last):
            if self.kinds[i] != "marker":
                self.texts[i] = "\n" * self.texts[i].count("\n")

    def split(self, first: int, last: int, separator: str = ",") -> list[tuple[int, int]]:
        """Divides [first, last) at separators outside all brackets, angle ones included."""
        parts: list[tuple[int, int]] = []
        start, i = first, first
        while i < last:
            text = self.texts[i]
            if self.end(i) > i:
                i = self.end(i)
            elif text == "<":
                end = self.closing_angle(i)
                i = end if -1 < end < last else i
            elif text == separator:
                parts.append((start, i))
                start = i + 1
            i += 1
        if any(self.is_code(k) for k in range(start, last)):
            parts.append((start, last))
        return parts

    def where(self, index: int) -> str:
        """File and line of a token, for messages."""
        lines = 0
        for i in range(min(index, len(self.texts)) - 1, -1, -1):
            if self.kinds[i] == "marker":
                found = re.match(r'\s*#\s*(?:line\s+)?(\d+)\s+"([^"]*)"', self.texts[i])
                if found:
                    return f"{found.group(2)}:{int(found.group(1)) + lines - 1}"
            lines += self.texts[i].count("\n")
        return f"line {lines + 1}"
