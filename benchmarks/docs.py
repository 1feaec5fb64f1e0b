"""docs/performance.md and its pictures: the part of the report that people read without running it.

``nox -s perf -- --docs`` writes them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import report
from benchmarks.ragged import Ragged
from benchmarks.report import Page, plain
from benchmarks.results import Result
from benchmarks.targets import Target

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/performance.md")
PICTURES = Path("docs/performance")
LISTED_HEAD_DIMS = (64, 128)  # that the targets name; report.html lists all
WIDTH = 100

# Why a target is not met, by how its name begins.  {placeholders} are counted or modelled.
REASONS = {}


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
