"""Gradient checkpointing: what is computed twice comes out the same, dropout included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import model_of, rows, train

FEW = 3  # steps


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("name", ["mistral", "gpt_oss"])
def test_it_changes_nothing(
    hub: str, launched: list[str], tmp_path: Path, name: str, use_reentrant: bool, dropout: float
) -> None:
    """To the last bit: kernels repeat, and the seed of dropout comes from the CPU's generator."""
    checkpointing: dict[str, Any] = {
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": use_reentrant},
    }
    runs = []
    forwards = []
    for options in ({}, checkpointing):
        launched.clear()
        model = model_of(name, hub, attention_dropout=dropout)
        runs.append(train(model, rows(), tmp_path, max_steps=FEW, **options))
        forwards.append(sum(kernel.startswith("prefill") for kernel in launched))
        assert any("dropout" in kernel for kernel in launched) == bool(dropout)
    plain, checkpointed = runs
    assert forwards[1] == 2 * forwards[0]
    assert torch.equal(plain.losses, checkpointed.losses)
    for parameter, values in plain.after.items():
        assert torch.equal(values, checkpointed.after[parameter]), parameter


def test_another_seed_is_another_run(hub: str, tmp_path: Path) -> None:
    """The masks of dropout differ, and so do the losses."""
    first, second = (
        train(
            model_of("mistral", hub, attention_dropout=0.2),
            rows(),
            tmp_path,
            max_steps=FEW,
            seed=seed,
            data_seed=0,
        )
        for seed in (1, 2)
    )
    assert not torch.equal(first.losses, second.losses)
