"""From the templates to the mutants: every operator at every place in the code where it matches."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codegen.render import TEMPLATES
from verify.mutants.by_hand import BY_HAND, ByHand
from verify.mutants.operators import OPERATORS

BY_HAND_OPERATOR = "by hand"
ENOUGH = 2

# What operators leave alone: a mutant there says nothing about the tests.  A match may contain
# such a piece, but not begin or end in one.
LEFT_ALONE = re.compile(
    r"""
      \{\#.*?\#\} | \{%.*?%\} | \{\{.*?\}\}           # what Jinja reads
    | //[^\n]*                                        # comments
    | ^\#[^\n]*                                       # the preprocessor's lines
    | ^struct\ .*?^\};                                # declarations: the compiler guards them
    | ^(?:inline\ |\[\[kernel).*?^\{
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True)
class Mutant:
    """The templates with one mistake in them."""

    id: str  # stays the same as long as the line and its change do
    operator: str
    breaks: str
    file: str  # relative to templates/
    line: str  # as it is, or lines
    becomes: str
    text: str  # the whole file with the mistake

    def diff(self) -> str:
        """The change as people read it."""
        was, becomes = self.line.splitlines(), self.becomes.splitlines()
        lines = list(difflib.ndiff(was, becomes))
        return "\n".join(line for line in lines if line[:2] in ("- ", "+ "))


def templates() -> dict[str, str]:
    """Every template of a kernel: path relative to templates/ -> text."""
    files = sorted(TEMPLATES.rglob("*.metal.j2"))
    return {path.relative_to(TEMPLATES).as_posix(): path.read_text() for path in files}


def breed(texts: Mapping[str, str]) -> tuple[Mutant, ...]:
    """All mutants of the templates; two operators that do the same to a file give one."""
    mutants: dict[tuple[str, str], Mutant] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for operator, breaks, file, start, end, new in (*_by_hand(texts), *_by_rule(texts)):
        old = texts[file]
        text = old[:start] + new + old[end:]
        if text == old or (file, text) in mutants:
            continue
        first, last = old.rfind("\n", 0, start) + 1, old.find("\n", end)
        line = old[first:last].strip("\n")
        becomes = (old[first:start] + new + old[end:last]).strip("\n")
        # The same change of the same line, again: told apart by its place among its likes.
        likes = seen[file, line, becomes] = seen.get((file, line, becomes), -1) + 1
        digest = hashlib.sha256("\0".join((file, line, becomes, str(likes))).encode())
        name = f"{Path(file).name.partition('.')[0]}-{digest.hexdigest()[:6]}"
        mutants[file, text] = Mutant(name, operator, breaks, file, line, becomes, text)
    return tuple(sorted(mutants.values(), key=lambda m: (m.file, m.operator)))


def standing(mutants: Iterable[Mutant]) -> tuple[Mutant, ...]:
    """Those that stand for all: every mistake by hand, and ENOUGH per operator and file.

    Chosen by id, that is, as good as drawn, and the same until the templates change.
    """
    chosen: list[Mutant] = []
    taken: Counter[tuple[str, str]] = Counter()
    for m in sorted(mutants, key=lambda m: m.id.rpartition("-")[2]):
        if m.operator == BY_HAND_OPERATOR or taken[m.file, m.operator] < ENOUGH:
            taken[m.file, m.operator] += 1
            chosen.append(m)
    return tuple(sorted(chosen, key=lambda m: (m.file, m.operator)))


Change = tuple[str, str, str, int, int, str]  # operator, breaks, file, start, end, new text


def _by_rule(texts: Mapping[str, str]) -> Iterator[Change]:
    for file, text in texts.items():
        alone = [match.span() for match in LEFT_ALONE.finditer(text)]
        names = {"", *re.findall(r"[A-Za-z]\w*", text)}
        for operator in OPERATORS:
            for pattern, new in operator.rules:
                for match in re.finditer(pattern, text, re.MULTILINE):
                    start, end = match.span()
                    if any(a <= start < b or a < end <= b for a, b in alone):
                        continue
                    new_text = new(match) if callable(new) else match.expand(new)
                    if operator.renames and re.split(r"\W", new_text)[0] not in names:
                        continue
                    yield operator.name, operator.breaks, file, start, end, new_text


def _by_hand(texts: Mapping[str, str]) -> Iterator[Change]:
    for mistake in BY_HAND:
        start = position(mistake, texts)
        end = start + len(mistake.old)
        yield BY_HAND_OPERATOR, mistake.breaks, mistake.file, start, end, mistake.new


def position(mistake: ByHand, texts: Mapping[str, str]) -> int:
    """Where a mistake written by hand applies.  Raises ValueError if that is not one place."""
    text = texts[mistake.file]
    if text.count(mistake.old) != 1:
        raise ValueError(
            f"{mistake.old!r} stands {text.count(mistake.old)} times in {mistake.file}; "
            "verify/mutants/by_hand.py wants it once"
        )
    return text.index(mistake.old)
