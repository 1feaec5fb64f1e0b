"""What can be wrong with a kernel, as data: each operator is a mistake that somebody could make.

An operator applies wherever its pattern stands in the templates' code (see breeding.py), so the
number of mutants grows with the code.  What no pattern expresses is written out in by_hand.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Rule = tuple[str, str | Callable[[re.Match[str]], str]]  # a pattern and what replaces it


@dataclass(frozen=True)
class Operator:
    """One kind of mistake: every match of every rule is a mutant."""

    name: str
    breaks: str
    rules: tuple[Rule, ...]
    renames: bool = False  # to names that the file has: others would be the compiler's to refuse


def words(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    """Rules that take one name for the other, both ways.

    The name that a declaration introduces stays.
    """
    both = (*pairs, *((b, a) for a, b in pairs))
    return tuple((rf"(?<!\w )(?<![\w.]){re.escape(a)}\b", b) for a, b in both)


def replaced(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    """Rules that exchange exact text, one way."""
    return tuple((re.escape(a), b) for a, b in pairs)


def patterns(old: str, new: str, pairs: Iterable[tuple[str, str]]) -> tuple[Rule, ...]:
    """Rules of one form: the {} in `old` and `new` stand for each pair's names."""
    return tuple((old.format(a), new.format(b)) for a, b in pairs)


def next_integer(match: re.Match[str]) -> str:
    return str(int(match[0]) + 1)


def previous_integer(match: re.Match[str]) -> str:
    return str(int(match[0]) - 1)


# The left side of an assignment or what is called; a declaration has two words and does not match.
PLACE = r"(?:\*\([^;\n]*|[\w.]+(?:\[[^\]\n]*\]|\(\)|\.\w+)*)"
# i < 3 for i < 2 is what i <= 2 is already.
NOT_A_BOUND = r"(?<!< )(?<!> )(?<!<= )(?<!>= )"

OPERATORS = (
    Operator(
        "boundary",
        "a comparison is off by one",
        replaced((" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > ")),
    ),
    Operator(
        "equality",
        "a test for equality is turned around",
        replaced((" == ", " != ")),
    ),
    Operator(
        "condition",
        "a branch is always or never taken: edges skipped, bounds ignored, a tail not masked",
        (
            (r"\bif \(.*\) \{$", "if (true) {"),
            (r"\bif \(.*\) \{$", "if (false) {"),
            (r"\bwhile \(.*\) \{$", "while (false) {"),
            (r"[\w.\[\]]+(?: [<>=]+ [\w.]+)? \? ", "true ? "),
            (r"[\w.\[\]]+(?: [<>=]+ [\w.]+)? \? ", "false ? "),
        ),
    ),
    Operator(
        "logic",
        "both conditions for either, either for both",
        replaced((" && ", " || "), (" || ", " && "), (" & ", " | ")),
    ),
    Operator(
        "flag",
        "a flag is the other way round",
        replaced((", true)", ", false)")),
    ),
    Operator(
        "arithmetic",
        "one operation for another",
        replaced(
            (" + ", " - "),
            (" - ", " + "),
            (" * ", " + "),
            (" / ", " * "),
            (" / ", " % "),
            (" % ", " / "),
            (" += ", " -= "),
            (" += ", " = "),
            (" *= ", " /= "),
            (" *= ", " = "),
        ),
    ),
    Operator(
        "extreme",
        "min for max, max for min",
        ((r"\bmin\(", "max("), (r"\bmax\(", "min(")),
    ),
    Operator(
        "integer",
        "an integer is off by one",
        (
            (rf"{NOT_A_BOUND}(?<![\w.}}])\d+(?![\w.])", next_integer),
            (rf"{NOT_A_BOUND}(?<![\w.}}])(?!0)\d+(?![\w.])", previous_integer),
        ),
    ),
    Operator(
        "number",
        "a wrong constant or sentinel, the wrong base of the logarithm",
        (
            *replaced(("0.0f", "1.0f"), ("1.0f /", "2.0f /"), ("element(0)", "element(1)")),
            *replaced(("-1.0e38f", "1.0e38f"), ("-3.0e38f", "3.0e38f"), ("0xFF8", "0x7F8")),
            (r" \* LOG2_E\b", ""),
            (r"\bLOG2_E \* ", ""),
            (r"\bLN_2 \* ", ""),
            (r"\bprecise::", "fast::"),
        ),
    ),
    Operator(
        "rounding",
        "cast to the element type too early",
        (
            (r"\bconst float (?!LOG2_E|LN_2)", "const element "),
            (r"\bfloat (?=maximum|sum\b)", "element "),
            (r"\bfloat (?=LOG2_E|LN_2)", "half "),
        ),
    ),
    Operator(
        "statement",
        "a statement is missing: a barrier, the rescale, the sink, a store",
        (
            (rf"^( +){PLACE} (?:[-+*]?=) .*?;", r"\1;"),
            (r"^( +)\w+(?:<\w+>)?\(.*?\);", r"\1;"),
            (r"^( +)(?:continue|return);", r"\1;"),
        ),
    ),
    Operator(
        "axis",
        "a row for a column, one axis of the grid for another, one fragment index for another",
        (
            *words(("place.row", "place.column"), ("group.x", "group.y"), ("group.y", "group.z")),
            *words(("r * FRAGMENT", "c * FRAGMENT"), ("c * FRAGMENT", "d * FRAGMENT")),
            *words(("row", "column")),
        ),
        renames=True,
    ),
    Operator(
        "stride",
        "the stride of another axis or another tensor",
        (
            *patterns(
                r"(?<=call\.)(\w+)_{}_stride",
                r"\1_{}_stride",
                (("batch", "row"), ("row", "head"), ("head", "row")),
            ),
            *patterns(
                r"(?<=call\.){}_(\w+)_stride",
                r"{}_\1_stride",
                (("q", "k"), ("k", "v"), ("v", "k"), ("out", "q")),
            ),
            *replaced(("STAGED_STRIDE", "HEAD_DIM"), ("HEAD_DIM", "STAGED_STRIDE")),
        ),
    ),
    Operator(
        "name",
        "a name is taken for its neighbour",
        (
            *words(("sequence.q_len", "sequence.k_len"), ("sequence.q_start", "sequence.k_start")),
            *words(("call.q_len", "call.k_len"), ("call.window_left", "call.window_right")),
            *words(("k_begin", "k_end"), ("batch", "middle"), ("first_row", "sequence.q_start")),
            *words(("first", "last"), ("head", "kv_head"), ("begin", "end"), ("split", "splits")),
            *words(("band.visited", "band.unmasked"), ("k_block", "v_block"), ("k", "v")),
            *words(("BLOCK_Q", "BLOCK_K"), ("ROW_FRAGMENTS", "K_FRAGMENTS")),
            *words(("D_FRAGMENTS", "CHAIN"), ("K_CHUNK", "V_CHUNK"), ("BLOCK_K", "STEP_K")),
            *words(("BLOCK_K", "SIMDGROUP_ROWS"), ("MASKED", "LEAST_MAX"), ("own", "rows")),
            *words(("row_max", "row_sum"), ("column_max", "column_sum"), ("q", "out")),
            (r"\.maximum\b", ".sum"),
            (r"\.sum\b", ".maximum"),
        ),
        renames=True,
    ),
)
