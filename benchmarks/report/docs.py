"""docs/performance.md and its pictures: the part of the report that people read without running it.

``nox -s perf -- --docs`` writes them.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.counting.ragged import Ragged
from benchmarks.model.chips import chips
from benchmarks.report import page as report
from benchmarks.report.page import Page, plain
from benchmarks.report.results import COMMON_HEAD_DIMS, Result, of
from benchmarks.report.targets import JUDGED, long, matrix_fraction
from benchmarks.report.training import WIDE, Trained, on_training
from benchmarks.target import Target, missed
from benchmarks.timing.call_overhead import Timed
from codegen.matrix import TILES
from codegen.tile_shapes import (
    FLOAT_BYTES,
    FRAGMENT,
    MAX_REGISTERS,
    PrefillTile,
    fragment_registers,
)
from codegen.widths import Widths

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/performance.md")
PICTURES = Path("docs/performance")
WIDTH = 100

# What stands in the way of a target that is not met, by words of its name.
REASONS = {
    "threadgroup bytes": (
        "A simdgroup holds 16 query rows up to head_dim 128, so that a fragment of K or V that it "
        "loads from threadgroup memory feeds two products; with 8 rows, at 192 and 256, it feeds "
        "one. The limit is registers, {max_registers} of a thread: at 256 it would need "
        "{registers_16} for 16 rows, and needs {registers_8} for 8 (codegen/tiles.py)."
    ),
    "ragged batch": (
        "Which sequences of a packed batch are short is known on the device alone: a plan that "
        "read the offsets back would wait for the GPU. So prefill is launched for all rows, and "
        "decode and its second launch for all sequences, each over those of the other, whose "
        "threadgroups return after reading two offsets: {empty}. Each launch has at most one per "
        "sequence and head, decode that for each split of the keys."
    ),
    "worst shape": (
        "These are calls of 1,024 tokens. A tile of 64 rows, twice MLX's, has more pairs that the "
        "causal mask hides ({products:.3f} of MLX's products, {products_long:.3f} at 8,192 "
        "tokens), and 8 heads have too few tiles to divide evenly: {threadgroups} threadgroups "
        "take {rounds} rounds of {cores} cores where {exact:.1f} would do. Tiles of 32 rows would "
        "come closer and miss another target at head_dim 128: with 16 rows per simdgroup Q is read "
        "again for each block of keys, for half as many rows (device bytes), and with 8 a fragment "
        "feeds one product (threadgroup bytes)."
    ),
    f"pair of blocks, head_dim {WIDE}": (
        "The gradients of K and V are added up in registers, in one kernel where both fit. At "
        "head_dim 256 a thread would need {gradient_registers} of {max_registers} registers for "
        "them alone, at 192 three quarters of that. So each has a kernel of its own there, and "
        "both compute S: eight products for seven."
    ),
    "matrix limit": (
        "The model divides all times by the fraction of the peak that published kernels reach on a "
        "family ({efficiencies}): no kernel can come above it. Of that ours reach "
        "{of_ceiling:.0%} or more: the products of the diagonal's blocks that the mask hides are "
        "what is missing."
    ),
}

# Where else to look.
ENDING = (
    "`nox -s perf` counts and models all of this again, on any machine, and writes "
    "`build/perf/report.html`, with every shape, and `report.json`; on a Mac it also measures. "
    "`python -m benchmarks.compare --head-dim 128 --tokens 512 --mask causal` does one shape. "
    "`nox -s perf -- --docs` writes this page."
)


class DocsError(RuntimeError):
    """A target that is not met and of which nothing says why."""


@dataclass
class Markdown(Page):
    """A page in Markdown, with its pictures beside it."""

    pictures: dict[str, str] = field(default_factory=dict)  # by file name

    def head(self, text: str) -> None:
        self.parts.append(f"## {text}")

    def say(self, text: str) -> None:
        self.parts.append(textwrap.fill(text, WIDTH))

    def picture(self, svg: str, caption: str) -> None:
        name = f"{len(self.pictures) + 1}.svg"
        self.pictures[name] = svg
        self.parts.append(f"![{caption}]({PICTURES.name}/{name})\n\n*{caption}*")

    def table(
        self, heading: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[int] = ()
    ) -> None:
        marks = [":---" if i in (0, *left) else "---:" for i in range(len(heading))]
        lines = [heading, marks, *([plain(cell) for cell in row] for row in rows)]
        self.parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def text(self) -> str:
        return "\n\n".join(self.parts) + "\n"


def products_to_mlx(result: Result) -> float:
    """Ours / MLX's."""
    return result.work["ours"].products / result.work["mlx"].products


def facts(results: Sequence[Result], batch: Ragged) -> dict[str, object]:
    """What the reasons say in numbers."""
    of_wide = Widths(WIDE, WIDE)
    narrow, usual = TILES["prefill", of_wide, 2][0], TILES["prefill", Widths(128, 128), 2][0]
    assert isinstance(narrow, PrefillTile)
    assert isinstance(usual, PrefillTile)
    wide = replace(narrow, rows=usual.rows)
    chip = chips()["M3 Max"]
    of_tokens = {
        r.shape.keys: r
        for r in of(results, "prefill", dtype="float16", head_dim=128, causal=True)
        if "mlx" in r.work
    }
    threadgroups = of_tokens[1024].work["ours"].counts["threadgroups"]
    fractions = [
        matrix_fraction(r, name) / chips()[name].efficiency
        for name in JUDGED
        for r in long(results)
    ]
    return {
        "max_registers": MAX_REGISTERS,
        "gradient_registers": 2 * (WIDE // FRAGMENT) * fragment_registers(FLOAT_BYTES),
        "registers_16": wide.registers(of_wide, 2),
        "registers_8": narrow.registers(of_wide, 2),
        "empty": ", ".join(
            f"{n} of {name.split('_')[0]}" for name, n in batch.empty_threadgroups.items()
        ),
        "products": products_to_mlx(of_tokens[1024]),
        "products_long": products_to_mlx(of_tokens[8192]),
        "threadgroups": threadgroups,
        "cores": int(chip.cores),
        "rounds": math.ceil(threadgroups / chip.cores),
        "exact": threadgroups / chip.cores,
        "efficiencies": ", ".join(f"{name} {chips()[name].efficiency}" for name in JUDGED),
        "of_ceiling": min(fractions, default=math.nan),
    }


def reasons(targets: Sequence[Target], known: Mapping[str, object]) -> list[str]:
    """Why targets are not met.  Raises DocsError naming one that nobody has explained."""
    needed = {}
    for target in missed(targets):
        words = next((words for words in REASONS if words in target.name), None)
        if words is None:
            raise DocsError(f"{target.name}: is not met, and REASONS does not say why")
        needed[words] = REASONS[words].format(**known)
    return [f"**{words.capitalize()}.** {text}" for words, text in needed.items()]


def page_of(
    results: Sequence[Result],
    trained: Sequence[Trained],
    targets: Sequence[Target],
    batch: Ragged,
    host: Sequence[Timed],
) -> Markdown:
    """The page."""
    page = Markdown(["# Performance", "<!-- Written by `nox -s perf -- --docs`; do not edit. -->"])
    page.say(
        "Counted: what the shaders did on our emulator, to the instruction, from the source that a "
        "Mac compiles. Modelled: calculated from these counts for the GPU named. Nothing on this "
        "page was measured on a Mac."
    )
    report.on_targets(page, targets)
    page.head("What stands in the way of those that are not met")
    for reason in reasons(targets, facts(results, batch)):
        page.say(reason)
    # report.html lists all.
    listed = [
        r for r in of(results, "prefill", dtype="float16") if r.shape.head_dim in COMMON_HEAD_DIMS
    ]
    report.on_work(page, results, listed)
    report.on_limits(page, results, listed)
    report.on_scaling(page, results)
    page.head("Decode: one query over a cache")
    report.times(page, of(results, "decode"))
    on_training(page, trained)
    report.on_host(page, host)
    report.on_model(page)
    page.head("How to see for yourself")
    page.say(ENDING)
    return page


def write(page: Markdown, root: Path = ROOT) -> None:
    """The page and its pictures; pictures of an earlier page go."""
    folder = root / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name, svg in page.pictures.items():
        (folder / name).write_text(svg)
    (root / PAGE).write_text(page.text())
