"""What can be wrong with a kernel, as data: each operator is a mistake that somebody could make.

An operator applies wherever its pattern stands in the templates' code (see breeding.py), so the
number of mutants grows with the code.  What no pattern expresses is written by hand below.
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


def words(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    """Rules that take one name for the other, both ways.

    The name that a declaration introduces stays.
    """
    both = (*pairs, *((b, a) for a, b in pairs))
    return tuple((rf"(?<!int )(?<!float )(?<![\w.]){re.escape(a)}\b", b) for a, b in both)


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
            (r"\bLN_2 \* ", ""),
            (r"\bprecise::", "fast::"),
        ),
    ),
    Operator(
        "rounding",
        "cast to the element type too early",
        (
            (r"\bconst float (?!LOG2_E|LN_2)", "const element "),
            (r"\bfloat (?=new_max)", "element "),
            (r"\bfloat (?=LOG2_E|LN_2)", "half "),
        ),
    ),
    Operator(
        "statement",
        "a statement is missing: a barrier, the rescale, the sink, a store",
        (
            (rf"^( +){PLACE} (?:[-+*]?=) .*?;", r"\1;"),
            (r"^( +)\w+\(.*?\);", r"\1;"),
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
    ),
    Operator(
        "stride",
        "the stride of another axis or another tensor",
        (
            *patterns(
                r"(?<=n\.)(\w+)_{}_stride",
                r"\1_{}_stride",
                (("batch", "row"), ("row", "head"), ("head", "row")),
            ),
            *patterns(
                r"(?<=n\.){}_(\w+)_stride",
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
            *words(("tile.q_len", "tile.k_len"), ("tile.q_start", "tile.k_start")),
            *words(("n.q_len", "n.k_len"), ("n.window_left", "n.window_right")),
            *words(("k_begin", "k_end"), ("sequence", "middle")),
            *words(("first_diagonal", "last_diagonal"), ("head", "kv_head"), ("begin", "end")),
            *words(("band.begin", "band.inner_begin"), ("band.end", "band.inner_end")),
            *words(("tile.row", "tile.q_start"), ("k_block", "v_block"), ("k", "v")),
            *words(("BLOCK_Q", "BLOCK_K"), ("ROW_FRAGMENTS", "K_FRAGMENTS")),
            *words(("K_FRAGMENTS", "D_FRAGMENTS"), ("BLOCK_K", "SIMDGROUP_ROWS")),
            *words(("row_max", "row_sum"), ("MASKED", "LEAST_MAX"), ("new_max", "row_max[r]")),
            *words(("row_reduce_max", "row_reduce_sum"), ("q", "out")),
        ),
    ),
)


@dataclass(frozen=True)
class ByHand:
    """A mistake written out: `old` stands exactly once in the file."""

    breaks: str
    file: str
    old: str
    new: str


BARRIER = "        threadgroup_barrier(mem_flags::mem_threadgroup);"
USED_UP = f"{BARRIER} // the last block is used up\n"
STAGED = f"{BARRIER} // this block is staged\n"
SKELETON, PARTS = "prefill.metal.j2", "parts/"

BY_HAND = (
    ByHand(
        "the barrier before staging stands before the loop",
        SKELETON,
        "    for (int key = band.begin; key < band.end; key += BLOCK_K) {\n" + USED_UP,
        USED_UP + "    for (int key = band.begin; key < band.end; key += BLOCK_K) {\n",
    ),
    ByHand(
        "the barrier after staging comes after the scores",
        SKELETON,
        STAGED + "\n        multiply_queries_keys(scores, queries, k_block);\n",
        "\n        multiply_queries_keys(scores, queries, k_block);\n" + STAGED,
    ),
    ByHand(
        "a barrier of the simdgroup where the threadgroup's is needed (before staging)",
        SKELETON,
        USED_UP,
        USED_UP.replace("threadgroup_barrier", "simdgroup_barrier"),
    ),
    ByHand(
        "a barrier of the simdgroup where the threadgroup's is needed (after staging)",
        SKELETON,
        STAGED,
        STAGED.replace("threadgroup_barrier", "simdgroup_barrier"),
    ),
    ByHand(
        "the barrier before staging orders no memory",
        SKELETON,
        USED_UP,
        USED_UP.replace("mem_flags::mem_threadgroup", "mem_flags::mem_none"),
    ),
    ByHand(
        "the barrier after staging orders no memory",
        SKELETON,
        STAGED,
        STAGED.replace("mem_flags::mem_threadgroup", "mem_flags::mem_none"),
    ),
    ByHand(
        "only the first simdgroup waits for the staged block",
        SKELETON,
        STAGED,
        STAGED.replace("threadgroup_barrier", "if (simdgroup == 0) threadgroup_barrier"),
    ),
    ByHand(
        "the first block is skipped",
        SKELETON,
        "int key = band.begin;",
        "int key = band.begin + BLOCK_K;",
    ),
    ByHand("the last block is skipped", SKELETON, "key < band.end;", "key + BLOCK_K < band.end;"),
    ByHand(
        "scores are rounded to elements",
        PARTS + "scores.metal.j2",
        "scores[r][c].thread_elements()[i] *= scale;",
        "scores[r][c].thread_elements()[i] = element(scores[r][c].thread_elements()[i] * scale);",
    ),
    ByHand(
        "products are summed as elements",
        PARTS + "scores.metal.j2",
        "simdgroup_multiply_accumulate(scores[r][c], queries[r][d], keys, scores[r][c]);",
        "simdgroup_multiply_accumulate(scores[r][c], queries[r][d], keys, scores[r][c]); "
        "for (int i = 0; i < 2; ++i) scores[r][c].thread_elements()[i] = "
        "element(scores[r][c].thread_elements()[i]);",
    ),
    ByHand(
        "outputs are rounded to elements at every rescale",
        PARTS + "softmax.metal.j2",
        "outputs[d].thread_elements()[0] *= factor;",
        "outputs[d].thread_elements()[0] = element(outputs[d].thread_elements()[0] * factor);",
    ),
    ByHand(
        "softcap acts on base-2 scores",
        PARTS + "scores.metal.j2",
        "capped ? f.softmax_scale / f.softcap",
        "capped ? f.softmax_scale * LOG2_E / f.softcap",
    ),
    ByHand(
        "the sink is left out of the maximum",
        PARTS + "softmax.metal.j2",
        '"max(sink, LEAST_MAX)" if',
        '"LEAST_MAX" if',
    ),
    ByHand(
        "the maximum starts at the sink, even if that is -inf",
        PARTS + "softmax.metal.j2",
        '"max(sink, LEAST_MAX)" if',
        '"sink" if',
    ),
    ByHand(
        "the maximum starts at 0",
        PARTS + "softmax.metal.j2",
        'if v.sinks else "LEAST_MAX" }}',
        'if v.sinks else "0.0f" }}',
    ),
    ByHand(
        "every query head has the first head's sink",
        SKELETON,
        "sinks[head] * LOG2_E",
        "sinks[0] * LOG2_E",
    ),
    ByHand(
        "sinks are taken per KV head",
        SKELETON,
        "sinks[head] * LOG2_E",
        "sinks[kv_head] * LOG2_E",
    ),
    ByHand(
        "the log-sum-exp is in base 2",
        PARTS + "store.metal.j2",
        "LN_2 * (row_max[r] + precise::log2(row_sum[r]))",
        "row_max[r] + precise::log2(row_sum[r])",
    ),
    ByHand(
        "the log-sum-exp forgets the maximum",
        PARTS + "store.metal.j2",
        "LN_2 * (row_max[r] + precise::log2(row_sum[r]))",
        "LN_2 * precise::log2(row_sum[r])",
    ),
    ByHand(
        "offsets into K are 32 bits wide",
        SKELETON,
        "kv_head * n.k_head_stride",
        "kv_head * int(n.k_head_stride)",
    ),
    ByHand(
        "offsets into V are 32 bits wide",
        SKELETON,
        "kv_head * n.v_head_stride",
        "kv_head * int(n.v_head_stride)",
    ),
    ByHand(
        "offsets into Q are 32 bits wide",
        SKELETON,
        "head * n.q_head_stride",
        "head * int(n.q_head_stride)",
    ),
    ByHand(
        "offsets into the output are 32 bits wide",
        SKELETON,
        "head * n.out_head_stride",
        "head * int(n.out_head_stride)",
    ),
    ByHand(
        "staged rows are read as aligned vectors",
        PARTS + "load.metal.j2",
        "element4(*(device const packed_element4*)(source + offset + column))",
        "*(device const element4*)(source + offset + column)",
    ),
    ByHand(
        "cu_seqlens are trusted",
        PARTS + "sequence.metal.j2",
        "clamp(cu_seqlens_q[i], 0, n.q_len)",
        "cu_seqlens_q[i]",
    ),
)
