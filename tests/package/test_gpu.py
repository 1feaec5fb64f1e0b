"""How many cores a plan is made for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from metal_flash_sdpa import gpu


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    gpu.cores.cache_clear()
    yield
    gpu.cores.cache_clear()


def saying(name: str) -> Any:
    return lambda command, **_: subprocess.CompletedProcess(command, 0, f"{name}\n")


def test_torch_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "get_core_count", lambda: 30, raising=False)
    assert gpu.cores("mps") == 30
    assert gpu.cores("cpu") == gpu.UNKNOWN


@pytest.mark.parametrize(
    ("name", "cores"),
    [("Apple M3 Max", 40), ("Apple M1", 8), ("Apple M9 Ultra", gpu.UNKNOWN), ("", gpu.UNKNOWN)],
)
def test_an_older_torch_does_not(monkeypatch: pytest.MonkeyPatch, name: str, cores: int) -> None:
    monkeypatch.delattr(torch.backends.mps, "get_core_count", raising=False)
    monkeypatch.setattr(subprocess, "run", saying(name))
    assert gpu.cores("mps") == cores


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.backends.mps, "get_core_count", raising=False)

    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("sysctl")

    monkeypatch.setattr(subprocess, "run", missing)
    assert gpu.cores("mps") == gpu.UNKNOWN
