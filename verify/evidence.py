"""Reports that docs/evidence.md is made of: what ran, where, at which commit, what came out.

`nox -s evidence` writes the page from those that lie in docs/evidence/.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
COMMIT = "METAL_FLASH_SDPA_COMMIT"  # environment variable, where the checkout has no .git
MOST_FAILURES = 50  # by name


def add_option(parser: argparse.ArgumentParser) -> None:
    """--evidence."""
    parser.add_argument(
        "--evidence", type=Path, metavar="FILE", help="write a report for docs/evidence.md"
    )


def write(path: Path | None, kind: str, device: str, outcome: Mapping[str, Any]) -> None:
    """Write a report, if one is wanted: what `outcome` says, and where that was.

    `kind` is one of the page's sections (ci/evidence.py); `outcome` has at least "ran" (how many),
    "failures", "seconds" and "complete" (False while a run goes on, and if it was cut short).
    """
    if path is None:
        return
    report = {
        "kind": kind,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "device": device,
        "machine": machine(device),
        "torch": torch.__version__,
        "command": command(),
        **outcome,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(plain(report), indent=1) + "\n")
    draft.replace(path)


def plain(value: Any) -> Any:
    """What JSON can say: no infinity, no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def failures(found: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Failures, by name and why, as a report has them."""
    return [{"name": name, "why": why} for name, why in list(found)[:MOST_FAILURES]]


def commit() -> str:
    """What was run: the commit, with a + if files differ from it."""
    if os.environ.get(COMMIT):
        return os.environ[COMMIT]
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return f"unknown (set {COMMIT})"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def machine(device: str) -> str:
    """The GPU that kernels ran on, or the CPU."""
    if device == "cuda":
        index = torch.cuda.current_device()
        major, minor = torch.cuda.get_device_capability(index)
        return f"{torch.cuda.get_device_name(index)} (sm_{major}{minor}, CUDA {torch.version.cuda})"
    if device == "mps":
        return platform.platform()
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def command() -> str:
    """How this program was started."""
    program = Path(sys.argv[0])
    name = program.stem if program.stem != "__main__" else ""
    try:
        parts = [*program.resolve().relative_to(ROOT).parent.parts, *([name] if name else [])]
    except ValueError:
        parts = [program.name]
    return " ".join(["python -m", ".".join(parts), *sys.argv[1:]])
