"""The session writes its report; on a Mac with measured times in columns of their own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.counting.ragged import BATCH, ragged
from benchmarks.model import calibrate
from benchmarks.model.calibrate import Judged
from benchmarks.report import training
from benchmarks.report.results import Case, prefill
from benchmarks.timing import call_overhead, measure
from benchmarks.timing.call_overhead import Timed

perf = pytest.importorskip("benchmarks.perf", reason="matplotlib is in the group perf")
pictures = pytest.importorskip("benchmarks.report.pictures")

LENGTHS = (100, 33, 1)
KNOWN = tuple(Judged(row, row.ms / 2) for row in calibrate.rows() if row.chip)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, mac: bool) -> tuple[dict[str, Any], str]:
    """The JSON and the page of one small shape, with a model that errs by the same everywhere."""
    mask = "window 128 + sinks"
    shapes = tuple(prefill(2, 2, 64, "float16", mask, tokens) for tokens in (512, 1024))
    monkeypatch.setattr(perf, "cases", lambda _: [Case("prefill", mask, shapes)])
    lengths = {"causal": 64, "full": 64, mask: training.LONGEST}  # where windows are judged
    backward = [
        Case("training", mask, (prefill(1, 1, 32, "float16", mask, n),))
        for mask, n in lengths.items()
    ]
    monkeypatch.setattr(training, "cases", lambda _: backward)
    batch = replace(BATCH, keys=sum(LENGTHS), queries=sum(LENGTHS))
    monkeypatch.setattr(perf, "ragged", lambda: ragged(batch, LENGTHS))
    monkeypatch.setattr(calibrate, "judged", lambda: KNOWN)
    monkeypatch.setattr(measure, "on_mac", lambda: mac)
    monkeypatch.setattr(measure, "measured", lambda _: {"ours": 1.25, "eager": 97.5})
    host = [
        Timed("a call", "us", (9.0, 12.5, 99.0), 15.0),
        Timed("an import", "ms", (400.0,), 300.0),
    ]
    monkeypatch.setattr(call_overhead, "all_timed", lambda: host)
    monkeypatch.setattr("sys.argv", ["perf", "--output", str(folder)])
    perf.main()
    return json.loads((folder / "report.json").read_text()), (folder / "report.html").read_text()


def test_on_linux_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document, page = run(tmp_path, monkeypatch, mac=False)
    assert document["measured_ms"] == []
    assert "measured here" not in page
    assert "Nothing here was measured" in page
    assert page.count("<svg") >= 5
    assert len(document["results"]) == 2
    assert document["model"]["band"] == pytest.approx(1.0)
    assert {"target", "asked"} <= set(page.replace("<", ">").split(">"))
    printed = capsys.readouterr().out
    assert "[1/1]" in printed  # progress
    assert "barriers per block of keys" in printed
    assert [t["met"] for t in document["host"]] == [True, False]
    assert "<td>12.5 us</td>" in page
    assert re.search(r"an import, ms +400 +at most 300 +not met", printed)


def test_on_a_mac_times_stand_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "svg", lambda _: "<svg></svg>")
    document, page = run(tmp_path, monkeypatch, mac=True)
    (measured,) = document["measured_ms"]  # of the shape with 1,024 tokens
    assert measured["ms"] == {"ours": 1.25, "eager": 97.5}
    section = page[page.index("Measured on this Mac") :].split("</table>")[0]
    assert "<td>1.25</td>" in section
    assert "<td>97.5</td>" in section
    assert section.count("measured here") == 1
