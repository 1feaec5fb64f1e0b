"""What a long run shows of itself: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from verify import devices

SECONDS = 10.0  # between two lines


class Advance(Protocol):
    """Says that so much more is done, and what else there is to say."""

    def __call__(self, count: int = 1, note: str = "") -> None: ...


def console(width: int) -> Console:
    """The output; `width` is that of its tables where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else width, highlight=False)


@contextmanager
def progress(
    what: str, total: int, console: Console, clock: Callable[[], float] = time.monotonic
) -> Iterator[Advance]:
    """Show how far `total` things of a kind are, and how much time is left."""
    begin = last_line = clock()
    done = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(what, total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done, last_line
            done += count
            bars.update(bar, advance=count, note=note)
            now = clock()
            if not console.is_terminal and (now - last_line >= SECONDS or done >= total):
                last_line = now
                console.print(line(what, done, total, now - begin, note), markup=False)

        yield advance


def line(what: str, done: int, total: int, seconds: float, note: str = "") -> str:
    """How far a run is after so many seconds, if what is left takes as long as what is done."""
    left = seconds / done * (total - done)
    time = f" in {minutes(seconds)}" if done >= total else f", about {minutes(left)} left"
    return f"{what}: {done:,} of {total:,}{time}{note and ', '}{note}"


def minutes(seconds: float) -> str:
    """m:ss"""
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"


def execute(
    tasks: Sequence[Callable[[], Any]], what: str, console: Console, device: str
) -> list[Any]:
    """The results of all tasks, in their order, from the processes that suit the device."""
    results: list[Any] = [None] * len(tasks)
    with progress(what, len(tasks), console) as advance:
        for index, result in devices.each(tasks, device):
            results[index] = result
            advance()
    return results
