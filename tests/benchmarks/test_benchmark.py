"""The Hub's benchmark under the real runner of `kernels`, on the emulator, at small lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kernels.cli import benchmark as runner

from ci.build import ROOT

SCRIPT = ROOT / "benchmarks" / "benchmark.py"
SHRINK = 64


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The script's classes, as the runner finds them."""
    listed = runner.discover_benchmark_classes(SCRIPT, ROOT)
    monkeypatch.setitem(runner.sys.modules["benchmark_module"].__dict__, "SHRINK", SHRINK)
    return {cls.__name__: cls for cls in listed}


def run(cls: Any, variant: Path) -> dict[str, Any]:
    results, sha = runner.run_benchmark_class(
        cls, iterations=1, warmup=0, repo_id=str(variant), is_local=True, revision="local"
    )
    assert sha
    return dict(results)


def test_the_runner_finds_the_script_and_every_class(classes: dict[str, Any]) -> None:
    assert runner.discover_benchmark_scripts("here", ROOT) == [SCRIPT]
    assert sorted(classes) == ["Causal", "Decode", "Varlen", "Window"]


@pytest.mark.parametrize("name", ["Causal", "Decode", "Varlen", "Window"])
def test_every_workload_is_verified(
    classes: dict[str, Any], variant: Path, launched: list[str], name: str
) -> None:
    results = run(classes[name], variant)
    workloads = {
        entry.removeprefix("verify_") for entry in dir(classes[name]) if "verify_" in entry
    }
    assert results.keys() == workloads
    assert all(result.verified for result in results.values())
    assert len(launched) >= 2 * len(workloads)


@pytest.mark.parametrize("name", ["Causal", "Varlen", "Window"])
def test_a_wrong_mask_would_be_noticed(
    classes: dict[str, Any], variant: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By the runner, whatever tolerance it has: the kernel is asked for another attention."""
    cls = classes[name]
    right = cls.run

    def wrong(self: Any) -> None:
        kernel, self.kernel = self.kernel, Unmasked(self.kernel)
        right(self)
        self.kernel = kernel

    workload = next(entry for entry in dir(cls) if entry.startswith("benchmark_"))
    monkeypatch.setattr(cls, workload, wrong)
    with pytest.raises(RuntimeError, match="Verification failed for"):
        run(cls, variant)


class Unmasked:
    """The kernel, deaf to the arguments for the mask."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.kernel, name)
        ignored = ("causal", "window_size")
        return lambda *a, **k: function(*a, **{n: v for n, v in k.items() if n not in ignored})
