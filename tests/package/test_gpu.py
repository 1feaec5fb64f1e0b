"""Which GPU a plan is made for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from metal_flash_sdpa import call, flash_attn_func, gpu, launchers
from metal_flash_sdpa.plan import Plan
from metal_flash_sdpa.splits import Gpu


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    gpu.describe.cache_clear()
    yield
    gpu.describe.cache_clear()


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Apple M1", "M1"),
        ("Apple M3 Max", "M3"),
        ("Apple M12 Ultra", "M12"),
        ("Apple Paravirtual device", ""),
        ("AMD Radeon Pro 5500M", ""),
    ],
)
def test_torch_knows(monkeypatch: pytest.MonkeyPatch, name: str, family: str) -> None:
    monkeypatch.setattr(torch.backends.mps, "get_core_count", lambda: 30, raising=False)
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: name, raising=False)
    assert gpu.describe("mps") == Gpu(family, 30)
    assert gpu.describe("cpu") == Gpu()


def test_an_older_torch_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.backends.mps, "get_core_count", raising=False)
    monkeypatch.delattr(torch.backends.mps, "get_name", raising=False)
    assert gpu.describe("mps") == Gpu()


def test_a_call_is_planned_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k = torch.randn(1, 1, 2, 64), torch.randn(1, 4096, 2, 64)
    plans: list[Plan] = []

    def prepared(plan: Plan, *_: Any) -> Any:
        plans.append(plan)
        return lambda tensors: tensors

    monkeypatch.setattr(launchers, "prepare", prepared)
    for found in (Gpu("M1", 1), Gpu("M1", 5), Gpu("M4", 5)):
        call._planned.cache_clear()  # a process has one GPU
        monkeypatch.setattr(gpu, "describe", lambda device_type, found=found: found)
        flash_attn_func(q, k, k)
    call._planned.cache_clear()
    splits = [plan.launches[0].threadgroups[0] for plan in plans]
    assert splits == sorted({*splits})
