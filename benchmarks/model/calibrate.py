"""One efficiency per chip family from published timings, and how wrong the model then is.

``python -m benchmarks.model.calibrate`` prints every row: published, modelled with all rows, and
modelled without the row itself.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import geometric_mean

from benchmarks.counting.theirs import installed, peer
from benchmarks.counting.work import Work
from benchmarks.model.chips import Chip, chips
from benchmarks.model.cost import milliseconds
from benchmarks.shapes import Shape

TIMINGS = Path(__file__).with_name("timings.toml")
COVERED = 0.8  # of the rows lie in the band


@dataclass(frozen=True)
class Row:
    """A published timing.  `chip` is "" where the source does not say."""

    source: str
    chip: str
    kernel: str
    stand_in: bool
    shape: Shape
    ms: float

    @property
    def family(self) -> str:
        return chips()[self.chip].family

    @property
    def label(self) -> str:
        shape = self.shape
        return f"{self.source}: {self.chip or 'chip not stated'}, D {shape.head_dim}, {shape.keys}"


def at_percent(shape: Shape, chip: str, percent: float) -> float:
    """The time at a percentage of the ALUs' peak, as MFA counts: 2 D + 5 instructions per pair."""
    instructions = shape.heads * shape.seen * (2 * shape.head_dim + 5)
    gpu = chips()[chip]
    return instructions / (gpu.alu_per_cc * gpu.cores * gpu.ghz * 1e6) / (percent / 100)


@functools.cache
def rows() -> tuple[Row, ...]:
    """All of timings.toml."""
    timings = []
    for entry in tomllib.loads(TIMINGS.read_text())["rows"]:
        chip = entry["chip"]
        for tokens, value in (entry.get("ms") or entry["percent"]).items():
            shape = Shape(**entry["shape"], keys=int(tokens), queries=int(tokens))
            ms = float(value) if "ms" in entry else at_percent(shape, chip, value)
            stand_in = entry.get("stand_in", False)
            timings.append(Row(entry["source"], chip, entry["kernel"], stand_in, shape, ms))
    return tuple(timings)


@dataclass(frozen=True)
class Judged:
    """A row with the model's figure at efficiency 1."""

    row: Row
    ideal_ms: float

    @property
    def efficiency(self) -> float:
        """What would make the model right."""
        return self.ideal_ms / self.row.ms


@functools.cache
def counted(kernel: str, shape: Shape) -> Work:
    """Work of a row's kernel."""
    return peer(kernel, shape)


def ideal(chip: str) -> Chip:
    """One that reaches its rates."""
    return replace(chips()[chip], efficiency=1.0)


@functools.cache
def judged() -> tuple[Judged, ...]:
    """Rows of known chips whose shaders are installed."""
    return tuple(
        Judged(row, milliseconds(counted(row.kernel, row.shape), row.shape, ideal(row.chip)))
        for row in rows()
        if row.chip and row.kernel in installed()
    )


def efficiency(family: str, known: Sequence[Judged]) -> float:
    """Of a chip family; of one without timings that of the others together."""
    of_family = [j.efficiency for j in known if j.row.family == family]
    return geometric_mean(of_family or [j.efficiency for j in known])


def left_out(known: Sequence[Judged]) -> list[float]:
    """Modelled / published of each row, with an efficiency that does not know the row."""
    return [
        j.efficiency / efficiency(j.row.family, [other for other in known if other is not j])
        for j in known
    ]


def growth(chip: str = "M4 Max") -> list[tuple[str, float, float]]:
    """Rows of an unknown chip: (label, published / that of the longest, modelled likewise)."""
    unknown = [row for row in rows() if not row.chip and row.kernel in installed()]
    gpu = chips()[chip]
    times = [milliseconds(counted(row.kernel, row.shape), row.shape, gpu) for row in unknown]
    return [
        (row.label, row.ms / unknown[-1].ms, ms / times[-1])
        for row, ms in zip(unknown, times, strict=True)
    ]


def band(ratios: Sequence[float]) -> float:
    """The factor f for which COVERED of the ratios lie between 1/f and f."""
    factors = sorted(max(ratio, 1 / ratio) for ratio in ratios)
    return factors[math.ceil(COVERED * len(factors)) - 1]


def main() -> None:
    """Prints efficiencies, rows and errors."""
    known = judged()
    if not known:
        raise SystemExit(
            "no shader of a published timing is installed: nox -s foreign fetches MLX's"
        )
    for family in dict.fromkeys(chip.family for chip in chips().values()):
        count = sum(j.row.family == family for j in known)
        print(f"{family}: efficiency {efficiency(family, known):.3f} from {count} rows")
    print(f"{'published':>10}{'modelled':>10}{'left out':>10}   row (* another kernel was timed)")
    ratios = left_out(known)
    for j, ratio in zip(known, ratios, strict=True):
        ms = j.ideal_ms / efficiency(j.row.family, known)
        star = "*" if j.row.stand_in else ""
        print(f"{j.row.ms:10.3f}{ms:10.3f}{ratio:9.2f}x   {j.row.label}{star}")
    print(f"band: {COVERED:.0%} of the rows, each left out, within a factor of {band(ratios):.2f}")


if __name__ == "__main__":
    main()
