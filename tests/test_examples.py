"""The examples run as a newcomer runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from verify.tiny_models import MODELS

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_models_of_transformers(tmp_path: Path) -> None:
    done = run(EXAMPLES / "transformers_tiny.py", "--build", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, model in MODELS.items():
        (row,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert model.special in row
        assert "100.0%" in row
        assert ("identical" in row) == model.generates


def test_training() -> None:
    done = run(EXAMPLES / "train_tiny.py", "--steps", "4", "--tokens", "130")
    assert done.returncode == 0, done.stdout + done.stderr
    *steps, memory, verdict = done.stdout.splitlines()
    assert len(steps) == 1 + 4
    eager, kernel = map(float, re.findall(r"[\d.]+", memory))
    assert kernel < eager
    assert verdict.startswith("PASS ")


def test_what_is_missing_is_said_in_one_line() -> None:
    done = run("-S", EXAMPLES / "transformers_tiny.py")
    assert done.returncode == 1
    assert done.stderr.startswith("not installed: torch, transformers, ")
    assert done.stderr.count("\n") == 1
