"""The tests of Metal's language run once for each executor: see the fixture ``executor``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import emulator

HAS_NVRTC = importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings")
# Without a GPU, kernels are compiled for one and the test goes on with the CPU's results.
CUDA = "cuda" if torch.cuda.is_available() else "cpu, and compiled for sm_90"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per executor; CUDA's is there where NVRTC is (dependency group cuda)."""
    if "executor" in metafunc.fixturenames:
        executors = ["cpu", CUDA] if HAS_NVRTC else ["cpu"]
        metafunc.parametrize("executor", executors, indirect=True)


@pytest.fixture
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes the test's launches those of another executor; the test itself need not know."""
    name = str(request.param)
    if name == "cuda":
        monkeypatch.setattr(emulator.Kernel, "launch", on_gpu(emulator.Kernel.launch))
    elif name != "cpu":
        monkeypatch.setattr(emulator.Library, "function", compiled(emulator.Library.function))
    return name


def compiled(function: Callable[..., emulator.Kernel]) -> Callable[..., emulator.Kernel]:
    """``Library.function`` that compiles for a GPU, too."""

    def wrapped(library: emulator.Library, name: str) -> emulator.Kernel:
        kernel = function(library, name)
        library.prebuild_cuda(name)
        return kernel

    return wrapped


def on_gpu(launch: Callable[..., emulator.Report]) -> Callable[..., emulator.Report]:
    """``Kernel.launch`` that works on copies in a GPU, and copies them back."""

    def wrapped(
        kernel: emulator.Kernel, args: Sequence[Any], *sizes: Any, **options: Any
    ) -> emulator.Report:
        if any(options.get(name) for name in ("check", "count", "schedule", "workers")):
            pytest.skip("an option of the CPU executor")
        copies: dict[int, tuple[Any, Any]] = {}  # storages, as several tensors may share one

        def moved(argument: Any) -> Any:
            if isinstance(argument, np.ndarray) and argument.ndim and argument.flags.writeable:
                if argument.dtype.names is not None:  # torch has no structs
                    argument = argument.view(np.uint8)
                argument = torch.from_numpy(argument)
            if not isinstance(argument, Tensor):
                return argument
            storage = argument.untyped_storage()
            if storage.data_ptr() not in copies:
                copies[storage.data_ptr()] = storage, storage.cuda()
            empty = torch.empty(0, dtype=argument.dtype, device="cuda")
            copy = copies[storage.data_ptr()][1]
            return empty.set_(copy, argument.storage_offset(), argument.shape, argument.stride())

        report = launch(kernel, [moved(argument) for argument in args], *sizes, **options)
        for storage, copy in copies.values():
            storage.copy_(copy)
        return report

    return wrapped
