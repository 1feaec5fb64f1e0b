"""docs/performance.md explains what is not met, and its pictures are where it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.counting.ragged import Ragged
from benchmarks.report.targets import targets
from benchmarks.target import Target, missed
from tests.benchmarks.test_report import full, result

docs = pytest.importorskip("benchmarks.report.docs", reason="matplotlib is in the group perf")

RESULTS = [
    result(replace(full(tokens), head_dim=128, causal=True), 2 * 10**9, 10**9, "causal")
    for tokens in (1024, 8192)
]
BATCH = Ragged((5, 40), 2, {"ours": {}}, {"prefill_x": 1, "decode_y": 70})


def test_the_reasons_have_the_numbers_of_the_run() -> None:
    over = [replace(t, figure=t.limit + 1) for t in targets(RESULTS, BATCH) if t.limit is not None]
    explained = [t for t in missed(over) if any(words in t.name for words in docs.REASONS)]
    texts = docs.reasons(explained, docs.facts(RESULTS, BATCH))
    assert {text.split(".**")[0].strip("*").lower() for text in texts} >= {
        "worst shape",
        "threadgroup bytes",
        "ragged batch",
    }
    assert "2.000 of MLX's products" in " ".join(texts)
    assert "1 of prefill, 70 of decode" in " ".join(texts)
    assert "{" not in " ".join(texts)


def test_what_nobody_has_explained_is_refused() -> None:
    with pytest.raises(docs.DocsError, match="a new target: is not met"):
        docs.reasons([Target("a new target", 2.0, 1.0)], {})
    assert docs.reasons([Target("a new target", 1.0, 1.0), Target("a figure", 3.0)], {}) == []


def test_the_page_is_written_with_its_pictures_and_without_old_ones(tmp_path: Path) -> None:
    page = docs.Markdown(["# A page"])
    page.head("A section")
    page.table(("a", "b"), [("x", 0.123456), ("y", True)], left=(1,))
    page.picture("<svg>1</svg>", "a picture")
    old = tmp_path / docs.PICTURES / "7.svg"
    old.parent.mkdir(parents=True)
    old.touch()
    docs.write(page, tmp_path)
    assert not old.exists()
    assert (tmp_path / docs.PICTURES / "1.svg").read_text() == "<svg>1</svg>"
    text = (tmp_path / docs.PAGE).read_text()
    assert "## A section" in text
    assert "| x | 0.1235 |\n| y | met |" in text
    assert "![a picture](performance/1.svg)" in text


def test_the_page_of_this_repository_has_all_its_pictures() -> None:
    text = (docs.ROOT / docs.PAGE).read_text()
    linked = set(re.findall(r"\]\((performance/.*?\.svg)\)", text))
    present = {f"{path.parent.name}/{path.name}" for path in (docs.ROOT / docs.PICTURES).iterdir()}
    assert linked == present != set()
    assert "Nothing on this page was measured on a Mac" in " ".join(text.split())
