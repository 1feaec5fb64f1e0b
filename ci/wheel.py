"""Builds the wheel, and tries it in an empty environment away from the repository."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from ci.build import ROOT

# Runs in the empty environment: asks the doctor, plans a call, finds every kernel's shader.
TRIAL = """
import contextlib
import io
import json
import metal_flash_sdpa
from metal_flash_sdpa import doctor, plan
from metal_flash_sdpa.catalogue import BUILT_IN

strides = [(0, 512, 64)] * 4
request = plan.Request("float16", 64, 8, 8, 1, 100, 100, True, *strides, softmax_scale=0.125)
with contextlib.redirect_stdout(io.StringIO()):
    verdict = doctor.main([])
print(json.dumps({
    "doctor": [verdict, doctor.machine()["package"].partition(",")[0]],
    "package": metal_flash_sdpa.__file__,
    "kernel": plan.plan_prefill(request).launches[0].kernel,
    "shaders": [
        str(BUILT_IN.path(tile.file)) for tiles in BUILT_IN.variants.values() for tile in tiles
    ],
}))
"""


class WheelError(RuntimeError):
    """A wheel that cannot be built or does not work where it was installed."""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a command prints.  Raises WheelError with all that it said."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(directory: Path) -> Path:
    """Build the wheel of this checkout into a directory; return its path."""
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir")
    with tempfile.TemporaryDirectory() as scratch:
        run(sys.executable, "-m", "pip", "wheel", *options, scratch, ROOT)
        (built,) = Path(scratch).glob("*.whl")
        directory.mkdir(parents=True, exist_ok=True)
        return built.replace(directory / built.name)


def try_out(wheel: Path, directory: Path) -> dict[str, Any]:
    """Install the wheel into a new environment in `directory` and run TRIAL there.

    The environment can also import the packages of the Python that runs this, because torch is
    large.  Returns what TRIAL printed.  Raises WheelError if it fails, or if it took anything of
    ours from outside the environment.
    """
    venv.create(directory, symlinks=True)
    python = directory / "bin/python"
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    (site,) = directory.glob("lib/python*/site-packages")
    packages = (path for path in sys.path if path.endswith("-packages"))
    (site / "packages.pth").write_text("\n".join(packages))
    trial: dict[str, Any] = json.loads(run(python, "-I", "-c", TRIAL, cwd=directory))
    outside = [
        path for path in (trial["package"], *trial["shaders"]) if not path.startswith(str(site))
    ]
    if outside:
        raise WheelError(f"taken from outside {site}: {', '.join(outside)}")
    return trial


def main() -> None:
    argparse.ArgumentParser(prog="nox -s wheel --", description=__doc__.split("\n")[0]).parse_args()
    wheel = build(ROOT / "build/wheel")
    with tempfile.TemporaryDirectory() as scratch:
        trial = try_out(wheel, Path(scratch))
    size = os.path.getsize(wheel)
    print(f"{wheel}: {size:,} bytes; installed, it finds {len(trial['shaders'])} shaders")


if __name__ == "__main__":
    main()
