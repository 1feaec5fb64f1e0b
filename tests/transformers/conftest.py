"""transformers as its users have it, with this checkout's build in place of the Hub's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import emulator
from ci.build import hub_name, in_place_of_the_hub


@pytest.fixture
def hub(variant: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The attn_implementation that loads the build."""
    for name, value in in_place_of_the_hub(variant).items():
        monkeypatch.setenv(name, value)
    return hub_name()


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that the emulator ran, by name."""
    names: list[str] = []
    launch = emulator.Kernel.launch

    def recorded(kernel: emulator.Kernel, *arguments: Any, **options: Any) -> emulator.Report:
        names.append(kernel.name)
        return launch(kernel, *arguments, **options)

    monkeypatch.setattr(emulator.Kernel, "launch", recorded)
    return names
