"""The benchmark of the host's part runs, and says how long a call takes."""

from __future__ import annotations

import re

import pytest

from benchmarks import call_overhead


def test_it_prints_a_time_for_each_way_of_calling(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["call_overhead", "--batches", "2", "--calls", "3"])
    call_overhead.main()
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading == "microseconds per call, 2 batches of 3 calls"
    assert len(lines) == 4
    for line in lines:
        (median,) = re.findall(r" (\d+\.\d)  \(fastest", line)
        judged = line.startswith("plan and hand over")
        assert judged == (f"target {call_overhead.TARGET}" in line)
        if judged and float(median) != call_overhead.TARGET:  # printed with one digit
            assert line.endswith("met" if float(median) < call_overhead.TARGET else "MISSED")
