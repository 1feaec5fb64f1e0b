"""What a source declares outside of function bodies: functions, variables, classes.

It follows brackets and statements only, which is enough for what people write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .scopes import CLASSES, SPECIFIERS, initializes_member, opened_by
from .tokens import Tokens

_OTHERS = {"enum", "friend", "static_assert", "typedef", "using"}


@dataclass(frozen=True)
class Function:
    """A function's definition; indices of tokens, as everywhere here."""

    name: str
    head: tuple[int, int]  # up to the parameters
    parameters: tuple[int, int]  # the parentheses
    body: tuple[int, int]  # the braces
    is_kernel: bool
    owner: int  # the brace of the class that it is a member of, or -1


@dataclass(frozen=True)
class Variable:
    """A variable or data member."""

    head: tuple[int, int]  # up to the initialiser
    is_member: bool


@dataclass(frozen=True)
class Class:
    """A class or namespace; ``base`` is the colon before its base classes, or -1."""

    name: str
    base: int


class Outline:
    """The declarations of a source, at file and class scope."""

    def __init__(self, tokens: Tokens) -> None:
        self.functions: list[Function] = []
        self.variables: list[Variable] = []
        self.classes: list[Class] = []
        self._tokens = tokens
        self._read_scope(tokens.next(-1), len(tokens), owner=-1)

    def _read_scope(self, i: int, last: int, owner: int) -> None:
        tokens = self._tokens
        while i < last:
            if tokens.text(i) in ("public", "protected", "private"):
                i = tokens.next(tokens.next(i))  # and the colon
            elif tokens.text(i) == "template" and tokens.text(tokens.next(i)) == "<":
                angle = tokens.next(i)
                i = tokens.next(max(angle, tokens.closing_angle(angle, certain=True)))
            else:
                i = self._read_statement(i, last, owner)

    def _read_statement(self, first: int, last: int, owner: int) -> int:
        """Records what is declared from ``first`` on; returns the token behind it."""
        tokens = self._tokens
        parenthesis = equals = colon = -1
        words: list[str] = []
        i = first
        while i < last:
            text = tokens.text(i)
            if text == ";":
                break
            if text == "{" and equals < 0:
                opened = opened_by(tokens, i)
                if opened == "file":
                    self.classes.append(Class(words[-1], -1))
                    self._read_scope(tokens.next(i), tokens.closing(i), owner=-1)
                    return tokens.next(tokens.closing(i))
                if parenthesis > 0 and not (colon > 0 and initializes_member(tokens, i)):
                    self._add_function(first, parenthesis, i, owner)
                    return tokens.next(tokens.closing(i))
                if opened == "class":
                    self.classes.append(Class(self._class_name(first, i), colon))
                    self._read_scope(tokens.next(i), tokens.closing(i), owner=i)
                    words = words[:1] if words[0] in _OTHERS else ["{}"]  # variables may follow
            if text == "(" and parenthesis < 0 and equals < 0:
                if tokens.text(tokens.previous(i)) not in SPECIFIERS:
                    parenthesis = i
            elif text == "=" and "operator" not in words:
                equals = i if equals < 0 else equals
            elif text == ":" and colon < 0:
                colon = i
            elif tokens.kinds[i] == "word":
                words.append(text)
            i = tokens.next(max(i, tokens.closing_angle(i)) if text == "<" else tokens.end(i))
        if parenthesis < 0 and len(words) > 1 and words[0] not in _OTHERS | {"template"}:
            self._add_variable(first, equals if equals > 0 else i, words, owner >= 0)
        return tokens.next(i)

    def _class_name(self, first: int, brace: int) -> str:
        tokens = self._tokens
        i = first
        while i < brace and tokens.text(i) not in CLASSES:
            i = tokens.next(i)
        i = tokens.next(i)
        while tokens.text(i) in ("[[", "alignas", "__attribute__"):
            i = tokens.next(tokens.closing(i if tokens.text(i) == "[[" else tokens.next(i)))
        return tokens.text(i)

    def _add_function(self, first: int, parenthesis: int, brace: int, owner: int) -> None:
        tokens = self._tokens
        name = tokens.previous(parenthesis)
        self.functions.append(
            Function(
                name=tokens.text(name),
                head=(first, name),
                parameters=(parenthesis, tokens.closing(parenthesis)),
                body=(brace, tokens.closing(brace)),
                is_kernel="kernel" in tokens.texts[first:parenthesis],
                owner=owner,
            )
        )

    def _add_variable(self, first: int, last: int, words: list[str], is_member: bool) -> None:
        if words[0] in CLASSES and len(words) == 2:
            return  # declares or defines a class, no more
        self.variables.append(Variable((first, last), is_member))


def calls(tokens: Tokens, first: int, last: int) -> Iterator[int]:
    """The names that are called in a range of code without template arguments."""
    for i in range(first, last):
        if tokens.kinds[i] == "word" and tokens.text(i) and tokens.text(tokens.next(i)) == "(":
            yield i
