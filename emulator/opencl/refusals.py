"""What is to be refused and C++ for OpenCL takes: found in the tokens."""

from __future__ import annotations

from collections.abc import Iterator

from ..source.outline import Outline
from ..source.rewrites import ADDRESS_SPACES, NAMES, VECTORS
from ..source.scopes import statement_end
from ..source.tokens import Tokens

SPACES = ADDRESS_SPACES | {"thread"}
_INDIRECT = {"*": "pointer", "&": "reference", "&&": "reference"}
_QUALIFIERS = {"const", "volatile"}
_TYPES = {*NAMES, *VECTORS, *("bfloat", "half", "signed", "size_t", "unsigned", "void")}
_TEMPLATES = {"array", "atomic", "packed_vec", "simdgroup_matrix", "vec"}


def find_unions(tokens: Tokens) -> Iterator[int]:
    """Where a union begins."""
    return (i for i in tokens.words() if tokens.text(i) == "union")


def find_without_space(tokens: Tokens) -> Iterator[tuple[int, str]]:
    """Types that a pointer or reference is made of without an address space; which of the two.

    Where a template's parameter or ``auto`` stands for the type, it may bring the address space.
    """
    types = _TYPES | _TEMPLATES | {c.name for c in Outline(tokens).classes}
    types |= _aliases(tokens, types)
    for i in tokens.words():
        if tokens.text(i) not in types:
            continue
        angle = tokens.next(i)
        last = max(i, tokens.closing_angle(angle) if tokens.text(angle) == "<" else i)
        has_space = _has_space(tokens, i)
        # A pointer to a pointer names two.
        while (mark := tokens.text(last := _after_qualifiers(tokens, last))) in _INDIRECT:
            if not has_space:
                yield i, _INDIRECT[mark]
            has_space = False


def _after_qualifiers(tokens: Tokens, i: int) -> int:
    i = tokens.next(i)
    while tokens.text(i) in _QUALIFIERS:
        i = tokens.next(i)
    return i


def _has_space(tokens: Tokens, i: int) -> bool:
    """Whether an address space stands in front of a type's name."""
    while tokens.kinds[i] == "word" or tokens.text(i) == "::":
        i = tokens.previous(i)
        if i < 0 or tokens.text(i) in SPACES:
            return i >= 0
    return False


def _aliases(tokens: Tokens, types: set[str]) -> set[str]:
    """Names that stand for these types, and for no address space."""
    found: set[str] = set()
    for i in tokens.words():
        if tokens.text(i) not in ("typedef", "using"):
            continue
        end = statement_end(tokens, i)
        words = {tokens.text(k) for k in range(i, end) if tokens.kinds[k] == "word"}
        if words & (types | found) and not words & (SPACES | {"namespace"}):
            found.add(
                tokens.text(tokens.next(i) if tokens.text(i) == "using" else tokens.previous(end))
            )
    return found
