"""What a launch did, counted to the instruction: by name, and by line of the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .ir import Block, Line

# Always there, zero or not.  README.md says what each counts.
NAMES = (
    "threads", "simdgroups", "threadgroups",
    "device.bytes_read", "device.bytes_written",
    "threadgroup.bytes_read", "threadgroup.bytes_written", "constant.bytes_read",
    "barriers.threadgroup", "barriers.simdgroup", "shuffles", "reductions", "votes",
    "atomics.device", "atomics.threadgroup",
    "instructions.int", "instructions.float", "instructions.half", "instructions.bfloat",
    "instructions.compare", "instructions.select", "instructions.convert",
    "instructions.memory", "instructions.address", "instructions.branch",
)  # fmt: skip
# With these, there are as many as the shader uses; others of them are zero.
FAMILIES = ("calls.", "products.")


class Counts(dict[str, int]):
    """Counters by name.

    ``by_line`` holds the same by file and line, from 1; line 0 of file "" is what the compiler
    moved so far that it has no line any more.
    """

    by_line: dict[Line, dict[str, int]]

    def __init__(self, grid: Mapping[str, int], lines: Mapping[Line, Mapping[str, int]]) -> None:
        super().__init__(dict.fromkeys(NAMES, 0))
        self.by_line = {line: dict(names) for line, names in sorted(lines.items()) if names}
        self.update(grid)
        for names in self.by_line.values():
            for name, n in names.items():
                self[name] += n

    def __missing__(self, name: str) -> int:
        if isinstance(name, str) and name.startswith(FAMILIES):
            return 0
        raise KeyError(f"there is no counter {name!r}; there are: {', '.join(self)}")

    def total(self, family: str) -> int:
        """The sum of all counters whose names begin with ``family``, as in "instructions."."""
        return sum(n for name, n in self.items() if name.startswith(family))

    def per_thread(self, name: str) -> float:
        """A counter divided by the number of threads."""
        return self[name] / self["threads"]


def evaluate(blocks: Sequence[Block], executions: Iterable[int], grid: Mapping[str, int]) -> Counts:
    """Multiplies what each block counts by how often it ran."""
    lines: dict[Line, Counter[str]] = {}
    for block, times in zip(blocks, executions, strict=True):
        if times:
            for line, names in block.lines.items():
                total = lines.setdefault(line, Counter())
                for name, n in names.items():
                    total[name] += n * times
    return Counts(grid, lines)


# --- the source with its counts beside it --------------------------------------------------------

COLUMNS = {
    "arithmetic": (
        "instructions.int", "instructions.float", "instructions.half", "instructions.bfloat",
        "instructions.compare", "instructions.select", "instructions.convert",
        "instructions.address", "instructions.branch",
    ),
    "calls": ("calls.",),
    "products": ("products.",),
    "device B": ("device.bytes",),
    "threadgr B": ("threadgroup.bytes",),
    "barriers": ("barriers.",),
    "simd ops": ("shuffles", "reductions", "votes"),
    "atomics": ("atomics.",),
}  # fmt: skip
HOT = 0.1  # of its column


def listing(counts: Counts, texts: Mapping[str, str]) -> str:
    """The lines that did something, each behind what it did in the whole launch.

    A star marks a number that is at least a tenth of its column's sum.  ``texts`` holds sources by
    file name; others are read from disk, if they are there.
    """
    rows = {line: _cells(names) for line, names in counts.by_line.items()}
    sums = [sum(column) for column in zip(*rows.values())]
    shown = [i for i, total in enumerate(sums) if total]
    titles = list(COLUMNS)
    out = [
        f"{counts['threads']:,} threads in {counts['threadgroups']:,} threadgroups; "
        f"{counts.total('instructions.') / counts['threads']:,.1f} instructions per thread"
    ]
    file = ""
    for (name, number), row in rows.items():
        if not any(row):
            continue
        if name != file or len(out) == 1:
            file = name
            out += [
                "",
                "".join(f"{titles[i]:>11}" for i in shown) + f"   line  {name or 'no line'}",
            ]
        cells = "".join(f"{_short(row[i]) + _star(row[i], sums[i]):>11}" for i in shown)
        out.append(f"{cells}  {number:5}  {_text(name, number, texts)}".rstrip())
    return "\n".join(out)


def _cells(names: Mapping[str, int]) -> list[int]:
    return [
        sum(n for name, n in names.items() if name.startswith(prefixes))
        for prefixes in COLUMNS.values()
    ]


def _star(n: int, total: int) -> str:
    return "*" if n >= HOT * total else " "


def _short(n: int) -> str:
    """Four digits at most, and a letter for thousands, millions ..."""
    if n == 0:
        return "."
    value, units = float(n), iter(["", "k", "M", "G", "T", "P", "E"])
    unit = next(units)
    while value >= 9999.5:
        value, unit = value / 1000, next(units)
    return f"{value:.4g}{unit}"


def _text(file: str, line: int, texts: Mapping[str, str]) -> str:
    text = texts.get(file)
    if text is None:
        try:
            text = Path(file).read_text()
        except OSError:
            text = ""
    lines = text.splitlines()
    return lines[line - 1] if 0 < line <= len(lines) else ""
