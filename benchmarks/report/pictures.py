"""The report's pictures, as SVG to be put into HTML."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.counting.work import Work, family
from benchmarks.model.chips import REPORTED, chips
from benchmarks.model.cost import modelled, of_matrix_limit
from benchmarks.report.results import HEAD_DIMS, MASKS, RISING, Result, of
from benchmarks.report.targets import OF_MATRIX_LIMIT
from benchmarks.shapes import Shape

# Okabe and Ito's colours, which people who see colours otherwise tell apart, too.
COLOURS = {"ours": "#0072b2", "mlx": "#e69f00", "pytorch": "#d55e00", "eager": "#777777"}
TITLES = {"ours": "ours", "mlx": "MLX", "pytorch": "PyTorch", "eager": "eager (scores alone)"}
TITLES[RISING] = "ours, maxima rise"
MARKS = {"ours": "o-", "mlx": "s--", "pytorch": "x:", "eager": "-"}  # lines that lie together
SETTINGS = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "metal-flash-sdpa",  # the same picture has the same bytes
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
PER_FLOP: dict[str, Callable[[Work], float]] = {
    "8x8x8 products x 1024": lambda w: 1024 * w.products,
    "threadgroup bytes": lambda w: family(w.counts, "threadgroup.bytes"),
    "device bytes, asked for": lambda w: family(w.counts, "device.bytes"),
    "instructions of all threads": lambda w: sum(
        n for name, n in w.counts.items() if name.startswith("instructions.")
    ),
    "special functions": lambda w: family(w.counts, "calls."),
    "barriers, of all threads": lambda w: w.counts["barriers.threadgroup"],
}


def svg(figure: Figure) -> str:
    """The <svg> element."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def panels(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    """A figure and its axes, row by row; `size` of one in inches."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def bars(axes: Any, results: Sequence[Result], value: Callable[[Work, Shape], float]) -> None:
    """Groups of bars: head dims, in each the implementations."""
    names = [name for name in COLOURS if any(name in r.work for r in results)]
    width = 0.8 / max(len(names), 1)
    for i, name in enumerate(names):
        places = [x + i * width for x, r in enumerate(results) if name in r.work]
        heights = [value(r.work[name], r.shape) for r in results if name in r.work]
        axes.bar(places, heights, width, color=COLOURS[name], label=TITLES[name])
    middle = 0.4 - width / 2
    axes.set_xticks([x + middle for x in range(len(results))])
    axes.set_xticklabels([str(r.shape.head_dim) for r in results])
    axes.set_xlabel("head dim")


def finish(figure: Figure, axes: Any) -> str:
    """With a legend that is outside of all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    return svg(figure)


def chosen(results: Sequence[Result], mask: str, tokens: int) -> list[Result]:
    """In float16, one result per head dim."""
    rows = of(results, "prefill", dtype="float16", keys=tokens)
    return sorted(
        (r for r in rows if r.mask == mask), key=lambda r: HEAD_DIMS.index(r.shape.head_dim)
    )


def work_per_flop(results: Sequence[Result], mask: str, tokens: int) -> str:
    """Counts per useful operation."""
    rows = chosen(results, mask, tokens)
    with mpl.rc_context(SETTINGS):
        figure, axes = panels(2, 3, (3.3, 2.3))
        for panel, (title, count) in zip(axes, PER_FLOP.items()):

            def per_flop(work: Work, shape: Shape, count: Any = count) -> float:
                return float(count(work)) / shape.flops

            bars(panel, rows, per_flop)
            panel.set_title(title, loc="left")
        return finish(figure, axes[0])


def matrix_fraction(results: Sequence[Result], mask: str, tokens: int) -> str:
    """Modelled per cent of the matrix limit, a panel for each GPU."""
    rows = chosen(results, mask, tokens)
    with mpl.rc_context(SETTINGS):
        figure, axes = panels(2, 3, (3.3, 2.3))
        for panel, chip in zip(axes, REPORTED):

            def per_cent(work: Work, shape: Shape, chip: str = chip) -> float:
                ms = modelled(work, shape)[chip]
                return 100 * of_matrix_limit(work, shape, chips()[chip], ms)

            bars(panel, rows, per_cent)
            panel.axhline(100 * OF_MATRIX_LIMIT, color="#333333", linewidth=0.8, linestyle=":")
            ceiling = 100 * chips()[chip].efficiency
            panel.axhline(ceiling, color="#333333", linewidth=0.8)
            panel.set_ylim(0, 100)
            panel.set_title(f"{chip}, modelled %", loc="left")
        return finish(figure, axes[0])


def curves(
    results: Sequence[Result],
    value: Callable[[Work, Shape], float],
    unit: str,
    head_dim: int,
    eager: Callable[[Shape], float] | None = None,
) -> str:
    """Against the number of tokens, on logarithmic axes, a panel for each mask."""
    with mpl.rc_context(SETTINGS):
        figure, axes = panels(1, len(MASKS), (3.6, 3.0))
        for panel, mask in zip(axes, MASKS):
            rows = [
                r
                for r in of(results, "prefill", dtype="float16", head_dim=head_dim)
                if r.mask == mask
            ]
            tokens = [r.shape.keys for r in rows]
            for name in COLOURS:
                if name == "eager" and eager is not None:
                    values = [eager(r.shape) for r in rows]
                elif rows and name in rows[0].work:
                    values = [value(r.work[name], r.shape) for r in rows]
                else:
                    continue
                panel.loglog(
                    tokens,
                    values,
                    MARKS[name],
                    color=COLOURS[name],
                    label=TITLES[name],
                    markersize=4,
                )
            panel.set_title(mask, loc="left")
            panel.set_xlabel("tokens")
            panel.set_xticks(tokens, [f"{n // 1024}k" for n in tokens], minor=False)
            panel.minorticks_off()
        axes[0].set_ylabel(unit)
        return finish(figure, axes[0])
