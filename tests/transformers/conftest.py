"""What ran of the package, seen from outside transformers."""

from __future__ import annotations

from typing import Any

import pytest

import emulator


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
