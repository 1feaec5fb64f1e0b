"""The long training run for an NVIDIA GPU, on the CPU and tiny."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.timing import training
from ci.evidence_sections import of_training
from examples.train_tiny import Live

TINY = ["--steps", "3", "--tokens", "70", "--layers", "1", "--width", "64"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["training", *TINY, *arguments])
    return training.main()


def test_three_curves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = tmp_path / "training.json"
    assert run(monkeypatch, "--evidence", str(report)) == 0
    found = json.loads(report.read_text())
    assert (found["ran"], found["complete"], found["failed"]) == (3, True, 0)
    eager, exact, kernel = found["rows"]
    assert exact["distance"] == 0
    assert 0 < kernel["distance"] <= 2 * eager["distance"]
    (about, table) = of_training([found])
    assert "70 tokens, bfloat16, 3 steps" in about
    assert table.count("\n") == 4


def test_the_peak_is_of_what_lives_at_once() -> None:
    given = torch.ones(1000)
    with Live() as live:
        first = given + 1
        second = first * 2
        del first
        third = second.view(10, 100) + 1
    assert (live.bytes, live.peak) == (2 * given.nbytes, 2 * given.nbytes)
    del second, third
    assert live.bytes == 0


def test_another_curve_fails(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(training, "kernel", lambda q, k, v: v)
    assert run(monkeypatch) == 1
    assert capsys.readouterr().out.endswith("FAIL\n")


def test_it_ends_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = tmp_path / "training.json"
    run(monkeypatch, "--seconds", "0", "--evidence", str(report))
    found = json.loads(report.read_text())
    assert (found["ran"], found["complete"]) == (1, False)
