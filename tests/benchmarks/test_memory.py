"""What is measured on an NVIDIA GPU, as far as a CPU shows it: both ways compute the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchmarks.timing import memory, model_memory, on_nvidia
from benchmarks.timing.memory import Row
from benchmarks.timing.on_nvidia import Measured


def row(tokens: int, attention: str, ms: float, extra: int, problem: str = "") -> Row:
    return Row(tokens, attention, ms, extra, problem)


def test_both_ways_are_the_same_attention() -> None:
    assert memory.difference(300, "cpu") < 2e-3


def test_the_window_is_the_models() -> None:
    seen = memory.hidden(400, "cpu") == 0
    assert seen[200].nonzero().flatten().tolist() == list(range(72, 329))


def test_growth_is_an_exponent() -> None:
    found = [
        row(512, "kernel", 1.0, 0),
        *(row(8192 * n, "kernel", 0.5 * n, 0) for n in (1, 2, 16)),
        *(row(8192 * n, "eager", 0.5 * n * n, 1000 * n * n) for n in (1, 2)),
        row(131072, "eager", 0.0, 0, "Tried to allocate 256 GiB"),
    ]
    assert memory.growth(found) == pytest.approx(
        {"eager time": 2.0, "eager memory": 2.0, "kernel time": 1.0}
    )


def test_eager_is_not_tried_again_once_it_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(tokens: int, attention: str) -> Row:
        problem = "Tried to allocate 2 GiB" if attention == "eager" and tokens > 512 else ""
        return row(tokens, attention, 1.0, 0, problem)

    monkeypatch.setattr(memory, "measured", measured)
    monkeypatch.setattr(memory, "difference", lambda _: 1e-3)
    found = list(memory.rows([512, 1024, 2048], math.inf))
    assert [(r.tokens, r.attention) for r in found] == [
        (512, "eager"), (512, "kernel"), (1024, "eager"), (1024, "kernel"), (2048, "kernel"),
    ]  # fmt: skip
    assert found[1].largest_difference == 1e-3
    assert math.isnan(found[3].largest_difference)
    assert memory.summary(found, True, 0.0)["failed"] == 0
    assert not list(memory.rows([512], -1.0))


def test_what_does_not_fit_is_said_in_torchs_words() -> None:
    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"
    )
    assert on_nvidia.no_room(error) == "Tried to allocate 2.00 GiB"


def test_the_model_gives_the_same_answer_with_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_memory, "measure", lambda *_: Measured(1.0, 2))
    model = model_memory.make(True, "cpu")
    text = model_memory.text_of(model, 40, "cpu")
    _, eager = model_memory.row_of(model, text, model_memory.EAGER, False, None)
    found, logits = model_memory.row_of(model, text, model_memory.KERNEL, False, eager)
    assert found.problem == ""
    assert found.cosine > 0.9999
    assert found.same > 0.9
    assert not torch.equal(logits, eager)  # another way, indeed


def test_a_way_that_does_not_fit_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def row_of(_: Any, text: Any, attention: str, compiled: bool, eager: Any) -> Any:
        too_much = attention == model_memory.EAGER and text > 1
        return model_memory.Row(text, attention, compiled, problem="no" if too_much else ""), None

    monkeypatch.setattr(model_memory, "text_of", lambda _model, tokens, _device: tokens)
    monkeypatch.setattr(model_memory, "row_of", row_of)
    found = list(model_memory.rows(None, [1, 2, 3], [False, True], math.inf))
    ways = [(r.tokens, r.attention == model_memory.EAGER, r.compiled) for r in found]
    assert ways == [
        (1, True, False), (1, False, False), (1, True, True), (1, False, True),
        (2, True, False), (2, False, False), (2, False, True),
        (3, False, False), (3, False, True),
    ]  # fmt: skip
