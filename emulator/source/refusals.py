"""Finds what Apple's compiler refuses and clang lets pass.

Metal is C++14 less a part of it (1.5.4 of Apple's specification), and clang does not know which.
Nothing is reported that a correct program may hold; what only types could tell is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .. import toolchain
from ..errors import CompileError, EmulatorError
from .outline import Function, Outline, calls
from .rewrites import find_refused_words
from .tokens import Tokens
from .translation import Text

LAMBDAS_SINCE = (3, 2)
DERIVED_CLASSES_SINCE = (3, 0)
RECURSION_SINCE = (2, 4)  # in compute; PyTorch's own shaders have it

_STANDARD_HEADER = re.compile(
    r"(.+):(\d+):\d+: fatal error: '((?:c?std)?[a-z_]+(?:\.h)?)' file not"
)


@dataclass(frozen=True)
class Finding:
    """Something that does not compile on a Mac."""

    path: str
    line: int
    construct: str
    reason: str

    def __str__(self) -> str:
        """As compilers print it."""
        return f"{self.path}:{self.line}: {self.construct}: {self.reason}"


def lint(
    path_or_source: str | os.PathLike[str],
    include: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | None = None,
    metal: str = "3.1",
) -> list[Finding]:
    """What Metal of version ``metal`` refuses in a source and its headers, in order of lines.

    The source is given as to ``emulator.compile``.  Raises CompileError if the preprocessor fails.
    """
    found = re.fullmatch(r"(\d+)\.(\d+)", metal)
    if found is None:
        raise EmulatorError(f"lint: metal is {metal!r}; it must be a version like '3.1'")
    version = int(found.group(1)), int(found.group(2))
    source = Text.read(path_or_source)
    findings = list(_find_other_characters(source.name, source.text))
    try:
        tokens = Tokens(source.preprocess(include, defines))
    except CompileError as error:
        missing = _STANDARD_HEADER.match(str(error))
        if missing is None:
            raise
        where, line, header = missing.groups()
        reason = f"there is no <{header}> in Metal's library"
        return [*findings, Finding(where, int(line), "header", reason)]
    for index, construct, reason in _find(tokens, version):
        where, _, line = tokens.where(index).rpartition(":")
        findings.append(Finding(where, int(line), construct, reason))
    return sorted(set(findings), key=lambda f: (f.path != source.name, f.path, f.line, f.construct))


def _find_other_characters(name: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.isascii():
            other = next(c for c in line if not c.isascii())
            reason = f"U+{ord(other):04X}; torch.mps.compile_shader takes ASCII only"
            yield Finding(name, number, "character", reason)


def _find(tokens: Tokens, version: tuple[int, int]) -> Iterator[tuple[int, str, str]]:
    """Token, construct and reason of everything refused."""
    outline = Outline(tokens)
    for i, construct in find_refused_words(tokens):
        yield i, construct, "not in Metal's language"
    yield from _find_phrases(tokens)
    if version < LAMBDAS_SINCE:
        for i in _find_lambdas(tokens):
            yield i, "lambda", "lambda expressions came with Metal 3.2"
    if version < DERIVED_CLASSES_SINCE:
        for kind in outline.classes:
            if kind.base >= 0:
                yield kind.base, "derived class", "base classes came with Metal 3.0"
    yield from _find_variables(tokens, outline)
    for function in outline.functions:
        yield from _check_function(tokens, function)
    if version < RECURSION_SINCE:
        for i, name in _find_recursion(tokens, outline):
            yield i, "recursion", f"{name} comes back to itself; recursion came with Metal 2.4"


def _find_phrases(tokens: Tokens) -> Iterator[tuple[int, str, str]]:
    for i in tokens.words():
        following = tokens.text(tokens.next(i))
        if tokens.text(i) == "long" and following == "long":
            yield i, "long long", "not a type of Metal; long has 64 bits"
        elif tokens.text(i) == "std" and following == "::":
            yield i, "std::", "Metal has a library of its own"


def _find_lambdas(tokens: Tokens) -> Iterator[int]:
    for i, text in enumerate(tokens.texts):
        if text != "[" or tokens.kinds[i] != "mark":
            continue
        before = tokens.previous(i)
        is_operand = tokens.kinds[before] in ("word", "number", "string")
        is_operand = is_operand and tokens.text(before) != "return"
        is_operand = is_operand or tokens.text(before) in (")", "]", ">", "}")
        if not is_operand and tokens.text(tokens.next(tokens.closing(i))) in ("(", "{"):
            yield i


def _find_variables(tokens: Tokens, outline: Outline) -> Iterator[tuple[int, str, str]]:
    for variable in outline.variables:
        words = set(tokens.texts[slice(*variable.head)])
        if (
            "constant" in words
            or "sampler" in words
            or (variable.is_member and "static" not in words)
        ):
            continue
        construct = "static data member" if variable.is_member else "program-scope variable"
        yield variable.head[0], construct, "must lie in the constant address space"


def _check_function(tokens: Tokens, function: Function) -> Iterator[tuple[int, str, str]]:
    if function.name == "main":
        yield function.head[1], "main", "no function may have this name"
    if function.is_kernel:
        if "void" not in tokens.texts[slice(*function.head)]:
            yield function.head[0], "kernel", "must return void"
        for first, last in _parameters(tokens, function):
            if _has_default(tokens, first, last):
                yield tokens.next(first - 1), "default argument", "a kernel's parameters have none"
    for i in range(*function.body):
        if tokens.text(i) == "static":
            end = i
            while tokens.text(end) not in ("=", ";", "(", "{", ""):
                end = tokens.next(end)
            if "constant" not in tokens.texts[i:end] and tokens.text(end) != "(":
                yield i, "static variable", "must lie in the constant address space"
        elif tokens.text(i) == "threadgroup" and not function.is_kernel:
            starts = tokens.text(tokens.previous(i)) in (";", "{", "}")
            if starts and not _is_indirect(tokens, i):
                yield i, "threadgroup variable", "only a kernel function declares them"


def _is_indirect(tokens: Tokens, i: int) -> bool:
    """Whether a declaration makes a pointer or reference, and not an object."""
    while tokens.text(i) not in ("=", ";", "[", ""):
        if tokens.text(i) in ("*", "&"):
            return True
        i = tokens.next(max(i, tokens.closing_angle(i)) if tokens.text(i) == "<" else i)
    return False


def _parameters(tokens: Tokens, function: Function) -> list[tuple[int, int]]:
    first, last = function.parameters
    return [p for p in tokens.split(first + 1, last) if tokens.between(*p) != "void"]


def _has_default(tokens: Tokens, first: int, last: int) -> bool:
    return "=" in tokens.texts[first:last]


def _find_recursion(tokens: Tokens, outline: Outline) -> Iterator[tuple[int, str]]:
    """Calls on a way from a function back to itself.

    Which overload a call means is for types to say.  So a call counts as staying in a set of
    functions if every function that it may mean is in it, and there is recursion, whichever are
    meant, in the largest set of functions that each make such a call.
    """
    targets = _Targets(tokens, outline)
    calling = {f: targets.of(f) for f in outline.functions}
    inside = set(outline.functions)
    while True:
        staying = {f for f in inside if any(to <= inside for _, to in calling[f])}
        if staying == inside:
            break
        inside = staying
    steps = {f: [(i, to) for i, to in calling[f] if to <= inside] for f in inside}
    for function in outline.functions:
        for i, to in steps.get(function, []):
            if function in _reachable(steps, to):
                yield i, function.name


def _reachable(
    steps: Mapping[Function, list[tuple[int, frozenset[Function]]]], start: frozenset[Function]
) -> set[Function]:
    seen: set[Function] = set()
    waiting = set(start)
    while waiting:
        function = waiting.pop()
        seen.add(function)
        waiting |= {f for _, to in steps[function] for f in to} - seen
    return seen


class _Targets:
    """Which of the source's functions a call may mean; none if it may mean one of Metal's."""

    def __init__(self, tokens: Tokens, outline: Outline) -> None:
        self._tokens = tokens
        self._scopes = {c.name for c in outline.classes}
        self._library = {
            word
            for path in sorted(toolchain.SHIM.iterdir())
            for word in re.findall(r"(?:EMULATOR_\w+\()?(\w+)(?=\(|, .*\)$)", path.read_text())
        }
        self._by_name: dict[str, list[tuple[range, Function]]] = {}
        for function in outline.functions:
            parameters = _parameters(tokens, function)
            least = sum(not _has_default(tokens, *p) for p in parameters)
            most = len(parameters)
            if any("." in tokens.texts[slice(*p)] for p in parameters):
                most = 1 << 16  # a pack
            self._by_name.setdefault(function.name, []).append((range(least, most + 1), function))

    def of(self, function: Function) -> list[tuple[int, frozenset[Function]]]:
        """Each call in a function's body, with what it may mean."""
        found = []
        for i in calls(self._tokens, *function.body):
            if self._is_known(i):
                to = frozenset(f for counts, f in self._by_name[self._tokens.text(i)]
                               if self._count(i) in counts)  # fmt: skip
                if to:
                    found.append((i, to))
        return found

    def _is_known(self, i: int) -> bool:
        name, before = self._tokens.text(i), self._tokens.previous(i)
        if name in self._library or name not in self._by_name:
            return False
        if self._tokens.text(before) in (".", "->"):
            return self._tokens.text(self._tokens.previous(before)) == "this"
        if self._tokens.text(before) == "::":
            return self._tokens.text(self._tokens.previous(before)) in self._scopes
        return True

    def _count(self, i: int) -> int:
        opening = self._tokens.next(i)
        return len(self._tokens.split(opening + 1, self._tokens.closing(opening)))
