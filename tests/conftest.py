"""What all rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import emulator
from ci.build import assemble, hub_name, in_place_of_the_hub, masked

# Before anything imports huggingface_hub, which reads it once: no test reaches for the network.
os.environ["HF_HUB_OFFLINE"] = "1"

# Workers share the cores.  Threads of torch's own on top would spin while they wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build of this checkout; one per process, as Python keeps a module of its name."""
    return assemble(tmp_path_factory.mktemp("build"))


@pytest.fixture
def hub(variant: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Hub's name of the build, for `kernels` and transformers, which then load this one."""
    for name, value in in_place_of_the_hub(variant).items():
        monkeypatch.setenv(name, value)
    return hub_name()


@pytest.fixture(scope="session")
def masked_variant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build of this checkout that takes transformers' masks."""
    return assemble(tmp_path_factory.mktemp("masked"), product=masked())


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that the emulator ran, by name, whoever asked for them."""
    names: list[str] = []
    launch = emulator.Kernel.launch

    def recorded(kernel: emulator.Kernel, *arguments: Any, **options: Any) -> emulator.Report:
        names.append(kernel.name)
        return launch(kernel, *arguments, **options)

    monkeypatch.setattr(emulator.Kernel, "launch", recorded)
    return names
