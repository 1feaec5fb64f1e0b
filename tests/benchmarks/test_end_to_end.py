"""The end-to-end script runs here as a Mac's owner runs it, on the tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.timing import end_to_end
from benchmarks.timing.end_to_end import EAGER, KERNEL, ROOT, TINY, Row, Way, line
from benchmarks.timing.machine import describe

SCRIPT = ROOT / "benchmarks" / "timing" / "end_to_end.py"
TOKENS = 32


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, (SCRIPT, *arguments))]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_measures_both_attentions(tmp_path: Path) -> None:
    """Each in a process of its own, which takes seconds to import what it needs."""
    file = tmp_path / "measured.json"
    quick = ("--tokens", str(TOKENS), "--runs", "1", "--no-compile")
    done = run(*quick, "--json", file, "--build", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    heading, memory, _, *lines = done.stdout.splitlines()
    assert heading.endswith(f"measured on {describe()}")
    assert "resident set" in memory
    assert [text.split()[:3] for text in lines] == [
        [str(TOKENS), attention, "no"] for attention in (EAGER, KERNEL)
    ]
    assert [text.split()[-1] for text in lines if KERNEL in text] == ["100.0%"]
    report = json.loads(file.read_text())
    assert report["measured_on"] == describe()
    assert [(row["attention"], row["compiled"]) for row in report["rows"]] == [
        *((EAGER, False), (KERNEL, False))
    ]
    assert all(len(row["seconds"]) == 1 and row["peak_bytes"] > 2**20 for row in report["rows"])


@pytest.mark.usefixtures("hub")
def test_it_measures_compiled_models(launched: list[str]) -> None:
    # Inductor would compile dozens of C++ kernels; the models' own tests use it.
    ways = [Way(TINY, TOKENS, name, True, "float16", 1, "eager") for name in (EAGER, KERNEL)]
    eager, kernel = map(end_to_end.measure, ways)
    assert len(eager.seconds) == len(kernel.seconds) == 1
    assert eager.labels == kernel.labels
    assert launched


def test_every_way_has_a_row_beside_the_eager_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end, "measure_apart", Row)
    options = end_to_end.parse(["--model", TINY])
    ways = [(row.way.attention, row.way.compiled) for row, _ in end_to_end.rows(options)]
    assert ways == 2 * [*((EAGER, False), (KERNEL, False), (EAGER, True), (KERNEL, True))]
    for row, eager in end_to_end.rows(options):
        assert eager.way == replace(row.way, attention=EAGER)


def test_a_row_is_read_off_its_times() -> None:
    eager = Row(Way("full", 1000, EAGER, False, "float16", 3), [4.0, 2.0, 9.0], 3 * 2**20, [1, 2])
    kernel = Row(Way("full", 1000, KERNEL, False, "float16", 3), [1.0, 1.0, 5.0], 2**20, [1, 3])
    assert line(eager, eager).split() == ["1000", "eager", "no", "4000.0", "250", "3"]
    assert line(kernel, eager).split() == [
        *("1000", "kernel", "no", "1000.0", "1000", "4.00", "x", "1", "50.0%")
    ]
    beside_nothing = Row(eager.way, problem="RuntimeError: MPS backend out of memory")
    assert line(beside_nothing, beside_nothing).endswith("MPS backend out of memory")
    assert line(kernel, beside_nothing).split() == ["1000", "kernel", "no", "1000.0", "1000", "1"]


def test_what_does_not_fit_is_a_row_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        config = SimpleNamespace(vocab_size=9)

        def to(self, _: str) -> Full:
            return self

        def __call__(self, _: torch.Tensor) -> None:
            raise RuntimeError("MPS backend out of memory\n(a second line)")

    monkeypatch.setattr(end_to_end, "make", lambda way: Full())
    row = end_to_end.measure(Way("full", 5, EAGER, False, "float16", 1))
    assert row.problem == "RuntimeError: MPS backend out of memory"
    assert not row.seconds
