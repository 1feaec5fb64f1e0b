"""How many cores a plan is made for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from metal_flash_sdpa import flash_attn_func, gpu, launchers
from metal_flash_sdpa.plan import USUAL_CORES, Plan


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    gpu.cores.cache_clear()
    yield
    gpu.cores.cache_clear()


def test_torch_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "get_core_count", lambda: 30, raising=False)
    assert gpu.cores("mps") == 30
    assert gpu.cores("cpu") == USUAL_CORES


def test_an_older_torch_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.backends.mps, "get_core_count", raising=False)
    assert gpu.cores("mps") == USUAL_CORES


def test_a_call_is_planned_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k = torch.randn(1, 1, 2, 64), torch.randn(1, 4096, 2, 64)
    plans: list[Plan] = []
    monkeypatch.setattr(launchers, "run", lambda plan, tensors: plans.append(plan))
    for cores in (1, 8):
        monkeypatch.setattr(gpu, "cores", lambda device_type, n=cores: n)
        flash_attn_func(q, k, k)
    few, many = (plan.launches[0].threadgroups[0] for plan in plans)
    assert few < many
