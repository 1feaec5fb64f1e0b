"""The benchmark of the host's part runs, and says how long a call and an import take."""

from __future__ import annotations

import re

import pytest

from benchmarks.timing import call_overhead
from benchmarks.timing.call_overhead import Timed


def test_it_prints_a_time_for_each_way_of_calling(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "call_overhead --batches 2 --calls 3 --imports 1"
    monkeypatch.setattr("sys.argv", arguments.split())
    call_overhead.main()
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading == "per call, 2 batches of 3 calls"
    assert len(lines) == 8
    for line in lines:
        (median,) = re.findall(r", [um]s +([\d.]+) ", line)
        asked = re.findall(r"at most (\d+)", line)
        assert bool(asked) == line.startswith(("plan", "the same, one", "training", "import"))
        if asked and float(median) != float(asked[0]):  # printed with four digits
            assert ("not met" in line) == (float(median) > float(asked[0]))


def test_the_median_decides() -> None:
    times = tuple(float(i) for i in range(1, 21))
    assert Timed("x", "us", times, 10.5).target.met is True
    assert Timed("x", "us", times, 10.4).target.met is False
    assert Timed("x", "us", times).target.met is None
    assert Timed("x", "us", times).spread == (3.0, 18.0)
