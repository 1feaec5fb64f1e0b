"""What a long run says where there is no terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial

import pytest
from rich.console import Console

from verify import devices
from verify.progress import SECONDS, execute, line, progress


def ticking(step: float) -> Iterator[float]:
    """A clock that is `step` later each time it is looked at."""
    now = 0.0
    while True:
        yield now
        now += step


def lines(total: int, step: float) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    with progress("variants", total, console, partial(next, ticking(step))) as advance:
        for _ in range(total):
            advance(note="2 survive")
    return console.export_text().splitlines()


def test_a_line_says_how_much_time_is_left() -> None:
    assert line("cases", 1_000, 4_000, 61.0) == "cases: 1,000 of 4,000, about 3:03 left"
    assert line("cases", 3, 4, 30.0, "1 survives") == "cases: 3 of 4, about 0:10 left, 1 survives"
    assert line("cases", 4, 4, 125.4) == "cases: 4 of 4 in 2:05"


def test_lines_come_now_and_then_and_the_last_always() -> None:
    each = lines(4, SECONDS)
    assert [text.split(",")[0] for text in each] == [
        "variants: 1 of 4",
        "variants: 2 of 4",
        "variants: 3 of 4",
        "variants: 4 of 4 in 0:40",
    ]
    assert each[0].endswith("about 0:30 left, 2 survive")
    assert len(lines(100, SECONDS / 10)) == 10
    assert lines(4, 0.0) == ["variants: 4 of 4 in 0:00, 2 survive"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("device", devices.NAMES)
def test_results_are_in_the_order_of_the_tasks(device: str) -> None:
    tasks = [partial(int, str(i)) for i in range(5)]
    assert execute(tasks, "numbers", Console(quiet=True), device) == [0, 1, 2, 3, 4]
