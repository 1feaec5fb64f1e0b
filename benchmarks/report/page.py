"""The report as a page: tables and pictures of what was counted, modelled and measured."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.counting.ragged import Ragged
from benchmarks.counting.work import Work, family
from benchmarks.model import calibrate
from benchmarks.model.chips import REPORTED, chips
from benchmarks.model.cost import estimate, modelled
from benchmarks.report import pictures
from benchmarks.report.results import Result, of
from benchmarks.report.targets import JUDGED, OF_MATRIX_LIMIT, label
from benchmarks.report.training import Trained, on_training
from benchmarks.shapes import Shape
from benchmarks.target import VERDICTS, Target
from benchmarks.timing import machine
from benchmarks.timing.call_overhead import Timed

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
h2 { margin-top: 2.5rem } svg { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; display: block;
  overflow-x: auto }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd;
  white-space: nowrap }
th { border-bottom: 2px solid #999 } th:first-child, td:first-child, .left { text-align: left }
td.left { white-space: normal }
.yes { color: #00603f } .no { color: #a33a00; font-weight: 600 } .note { color: #555 }
"""

# Published for the first metal-flash-sdpa on a GPU that is not stated: Hub discussion 5.
SEED_MS = {8192: 2.6, 16384: 5.9, 131072: 11.8}


@dataclass
class Page:
    """HTML, part by part."""

    parts: list[str] = field(default_factory=list)

    def head(self, text: str) -> None:
        self.parts.append(f"<h2>{html.escape(text)}</h2>")

    def say(self, text: str) -> None:
        self.parts.append(f"<p>{html.escape(text)}</p>")

    def picture(self, svg: str, caption: str) -> None:
        caption = html.escape(caption)
        self.parts.append(f"<figure>{svg}<figcaption class=note>{caption}</figcaption></figure>")

    def table(
        self, heading: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[int] = ()
    ) -> None:
        """Columns `left` hold text."""
        lines = [cells(heading, "th", left), *(cells(row, "td", left) for row in rows)]
        self.parts.append(f"<table>{''.join(lines)}</table>")

    def text(self) -> str:
        body = "\n".join(self.parts)
        return (
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
            'content="width=device-width"><title>metal-flash-sdpa: performance</title>'
            f"<style>{STYLE}</style><body>{body}</body></html>\n"
        )


def cells(row: Sequence[object], tag: str, left: Sequence[int]) -> str:
    """A line of a table."""
    tags = [f"{tag} class=left" if i in left else tag for i in range(len(row))]
    return f"<tr>{''.join(f'<{t}>{shown(cell)}</{tag}>' for t, cell in zip(tags, row))}</tr>"


def plain(cell: object) -> str:
    """A cell in words: numbers to four digits, whether a target is met as its verdict."""
    if cell is None or isinstance(cell, bool):
        return VERDICTS[cell]
    if isinstance(cell, float):
        return f"{cell:,.4g}" if abs(cell) < 1e4 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def shown(cell: object) -> str:
    """The same in HTML."""
    text = html.escape(plain(cell))
    return (
        f"<span class={'yes' if cell else 'no'}>{text}</span>" if isinstance(cell, bool) else text
    )


def on_targets(page: Page, targets: Sequence[Target]) -> None:
    page.head("Targets")
    page.say(
        "Counts are exact, times are modelled. A figure is that of the worst shape, unless it is a "
        "geometric mean. What training is compared with, the unfused composition, is calculated. "
        "The model gives a family one efficiency for every kernel: a time below a "
        "peer's comes from less work in the unit that limits both."
    )
    rows = [(t.name, t.figure, t.asked, t.met, t.where) for t in targets]
    page.table(("target", "figure", "asked", "", "worst shape, or kernels"), rows, left=(4,))
    page.say(
        "A floor is what a mean could be at best: the matrix units doing the useful products and "
        "nothing else, at the family's efficiency. The fraction of the matrix limit cannot exceed "
        "that efficiency: "
        + ", ".join(f"{chip} {chips()[chip].efficiency:.2f}" for chip in JUDGED)
        + ", from published timings of other kernels."
    )


def on_work(page: Page, results: Sequence[Result], listed: Sequence[Result]) -> None:
    """Pictures of all results, and the inner loops of those that are listed."""
    page.head("Counted work per useful operation")
    page.say(
        "What the shaders did on the emulator, divided by the operations that attention needs "
        "(two for each element of a row and each pair of a query and a key that it sees; Q K^T and "
        "P V). "
        "Peers without windows are given a mask, and one without sinks a further key."
    )
    for mask in ("causal", "window 128 + sinks"):
        picture = pictures.work_per_flop(results, mask, 4096)
        page.picture(picture, f"float16, {mask}, 4,096 tokens, 8 heads; lower is better")
    page.say(
        "Of one more block of keys that all rows see, per 8x8x8 product (barriers: per block):"
    )
    heading = (
        "kernel", "", "barriers", "threadgroup B", "device B", "scalar", "special", "shuffles",
    )  # fmt: skip
    rows = [
        (f"D {r.shape.head_dim}, {r.shape.dtype}, {r.mask}", pictures.TITLES[name], i.barriers,
         i.threadgroup_bytes, i.device_bytes, i.arithmetic, i.special, i.shuffles)
        for r in of(listed, "prefill", keys=1024)
        for name, i in r.inner.items()
    ]  # fmt: skip
    page.table(heading, rows)


def on_limits(page: Page, results: Sequence[Result], listed: Sequence[Result]) -> None:
    """A picture of all results, and what limits those that are listed."""
    page.head("Fraction of the matrix limit, modelled")
    page.say(
        "Useful operations, divided by what the matrix units could do in the modelled time. The "
        f"dotted line is the target of {100 * OF_MATRIX_LIMIT:g} %, the other the family's "
        "efficiency, which no kernel exceeds in this model."
    )
    picture = pictures.matrix_fraction(results, "causal", 8192)
    page.picture(picture, "float16, causal, 8,192 tokens, 8 heads; higher is better")
    rows = []
    for r in of(listed, "prefill", dtype="float16", keys=8192):
        for name, work in r.work.items():
            limits = [estimate(work, r.shape, chips()[chip]).limit for chip in REPORTED]
            rows.append((f"D {r.shape.head_dim}, {r.mask}", pictures.TITLES[name], *limits))
    page.say("The unit that limits each kernel at 8,192 tokens:")
    page.table(("float16", "", *REPORTED), rows)


def eager_mib(shape: Shape) -> float:
    """Scores and their softmax, of the inputs' type."""
    pairs = shape.batch * shape.heads * shape.queries * shape.keys
    return 2 * pairs * shape.element_bytes / 2**20


def on_scaling(page: Page, results: Sequence[Result]) -> None:
    page.head("Scaling with the number of tokens")
    for chip in ("M1 Max", "M4 Max"):

        def ms(work: Work, shape: Shape, chip: str = chip) -> float:
            return modelled(work, shape)[chip]

        picture = pictures.curves(results, ms, "modelled ms", 64)
        page.picture(picture, f"{chip}: modelled milliseconds, float16, head dim 64, 8 heads")
    page.head("Memory beyond inputs and outputs")
    picture = pictures.curves(
        results, lambda work, _: work.extra_bytes / 2**20 or float("nan"), "MiB", 64, eager_mib
    )
    page.picture(
        picture,
        "float16, head dim 64, 8 heads. Ours needs nothing (no line); nor do MLX and PyTorch "
        "without a window, with one the mask. Eager is calculated, not counted.",
    )


def times(page: Page, results: Sequence[Result]) -> None:
    """A table of modelled milliseconds."""
    rows = [
        (label(r), pictures.TITLES[name], *modelled(work, r.shape).values())
        for r in results
        for name, work in r.work.items()
    ]
    page.table(("modelled ms", "", *REPORTED), rows)
    for why in dict.fromkeys(f"{n}: {why}" for r in results for n, why in r.missing.items()):
        page.say(why)


def on_sections(page: Page, results: Sequence[Result], batch: Ragged) -> None:
    page.head("The first metal-flash-sdpa's table: window 128 + sink, 8 heads, head dim 64")
    seed = of(results, "seed")
    times(page, seed)
    page.say(
        "Published for the first metal-flash-sdpa, on an M-series GPU that is not stated, so not "
        "comparable with a line above: "
        + ", ".join(f"{ms} ms at {tokens:,} tokens" for tokens, ms in SEED_MS.items())
        + ". The masks that the peers would need: "
        + ", ".join(
            f"{pictures.TITLES[name]} {work.extra_bytes / 2**30:,.2f} GiB "
            f"at {r.shape.keys:,} tokens"
            for r in seed
            for name, work in r.work.items()
            if name != "ours"
        )
        + "."
    )
    page.head("Grouped heads")
    times(page, of(results, "gqa"))
    page.head("Decode: one query over a cache")
    times(page, of(results, "decode"))
    page.head("A ragged batch")
    lengths = ", ".join(map(str, batch.lengths))
    page.say(f"Sequences of {lengths} rows: ours packed in one call, the peers padded with a mask.")
    rows = [
        (
            pictures.TITLES[name],
            family(c, "products."),
            family(c, "device.bytes"),
            c["threadgroups"],
        )
        for name, c in batch.counts.items()
    ]
    page.table(("", "products", "device bytes", "threadgroups"), rows)


def on_host(page: Page, host: Sequence[Timed]) -> None:
    page.head("What a call takes on the host, measured")
    page.say(
        "The Python of a call, with an empty launcher behind it; a new length is what every step "
        "of a generation has. A training step takes at least what torch needs for a function that "
        f"does nothing, the row below it. Measured on {machine.describe()}."
    )
    rows = [
        (
            timed.name,
            f"{timed.median:.1f} {timed.unit}",
            "{:.1f} to {:.1f}".format(*timed.spread),
            timed.target.asked,
            timed.target.met,
        )
        for timed in host
    ]
    page.table(("", "median", "80 %", "asked", ""), rows)


def on_model(page: Page) -> None:
    page.head("The model and its error")
    page.say(
        "Time is the largest of what the matrix units, the ALUs, threadgroup memory, the caches "
        "and device memory need for a core's part of the counts, and of latency that too few "
        "simdgroups leave uncovered; divided by one efficiency per chip family; and the launches. "
        "benchmarks/model/chips.toml has every number with its source, "
        "benchmarks/model/timings.toml the published timings."
    )
    known = calibrate.judged()
    if not known:
        page.say("MLX's shaders are not installed here, so its error was not computed again.")
        return
    ratios = calibrate.left_out(known)
    band = calibrate.band(ratios)
    page.say(
        f"Error band: {calibrate.COVERED:.0%} of the rows below, each predicted without itself, "
        f"lie within a factor of {band:.2f}. Rows with a star timed another kernel than the one "
        "counted (MLX's stands in), and published times of kernels on one chip differ by 1.3x."
    )
    furthest = sorted(zip(ratios, known), key=lambda pair: -abs(math.log(pair[0])))
    page.say(
        "Predicted worst: "
        + "; ".join(
            f"{j.row.label}, modelled {ratio:.2f} of published" for ratio, j in furthest[:3]
        )
        + "."
    )
    families = dict.fromkeys(chip.family for chip in chips().values())
    page.table(
        ("family", "efficiency", "rows"),
        [
            (f, calibrate.efficiency(f, known), sum(j.row.family == f for j in known))
            for f in families
        ],
    )
    rows = [
        (j.row.label + "*" * j.row.stand_in, j.row.ms, j.row.ms * ratio, ratio)
        for j, ratio in zip(known, ratios, strict=True)
    ]
    page.table(("", "published ms", "modelled without the row", "modelled / published"), rows)
    page.say(
        "Rows of a GPU that is not stated check only how time grows: published and modelled (as if "
        "on an M4 Max), each divided by that of the longest. Where calls are short, what "
        "the host adds to each is missing."
    )
    growth = calibrate.growth()
    page.table(("", "published / longest", "modelled / longest"), growth)


def page_of(
    results: Sequence[Result],
    trained: Sequence[Trained],
    targets: Sequence[Target],
    batch: Ragged,
    host: Sequence[Timed],
    measured: Sequence[tuple[Result, dict[str, float]]],
) -> str:
    """The whole report."""
    page = Page(["<h1>metal-flash-sdpa: how fast, and how we know</h1>"])
    page.say(
        "Counted on the CPU emulator, from the shaders that a Mac would run; modelled means "
        "calculated from these counts, for the GPU named. "
        + (
            "Measured means timed on this Mac."
            if measured
            else "Nothing here was measured on a Mac."
        )
    )
    on_targets(page, targets)
    on_work(page, results, results)
    on_limits(page, results, results)
    on_scaling(page, results)
    on_sections(page, results, batch)
    on_training(page, trained)
    on_host(page, host)
    if measured:
        on_measured(page, measured)
    on_model(page)
    page.head("All prefill shapes")
    page.parts.append("<details><summary>Modelled milliseconds</summary>")
    times(page, of(results, "prefill"))
    page.parts.append("</details>")
    return page.text()


def on_measured(page: Page, measured: Sequence[tuple[Result, dict[str, float]]]) -> None:
    """Beside the modelled times of all GPUs, in a column of its own."""
    page.head("Measured on this Mac, in milliseconds, beside modelled")
    rows = [
        (label(r), pictures.TITLES[name], ms,
         *(modelled(r.work[name], r.shape).values() if name in r.work else [""] * len(REPORTED)))
        for r, times in measured
        for name, ms in times.items()
    ]  # fmt: skip
    heading = ("", "", "measured here", *(f"modelled, {chip}" for chip in REPORTED))
    page.table(heading, rows)
