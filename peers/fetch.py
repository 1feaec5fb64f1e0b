"""Gets MLX's shader sources out of its wheel for macOS: ``python -m peers.fetch``.

With ``--optional`` it is no failure if no registry can be reached: it says so in one line.

With ``--pytorch`` it puts the installed torch's headers for Metal into build/peers/pytorch, too,
for a machine whose torch has none; there they are taken before its own.

The wheel's headers go to build/peers/mlx, with a list of the kernels that its compiled library
holds: the sources to instantiate are templates, and the list says with which arguments MLX does.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "peers" / "mlx"
PLATFORM = "macosx_14_0_arm64"  # the oldest: what is newer differs in matrix instructions only
HEADERS = "mlx/include/mlx/backend/metal/kernels/"
COMPILED = "mlx/lib/mlx.metallib"


def requirement() -> str:
    """The pinned wheel, from pyproject.toml."""
    (wheel,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["peers"]
    return str(wheel)


def kernel_names(metallib: bytes) -> list[str]:
    """The host names in a compiled Metal library: records of NAME, a 16-bit length, the name."""
    names = re.findall(rb"NAME..([A-Za-z]\w*)\0", metallib, re.DOTALL)
    return sorted({name.decode() for name in names})


def unpack(wheel: Path, target: Path) -> None:
    """The shader headers and kernels.txt."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(HEADERS) and name.endswith(".h"):
                path = target / name.removeprefix("mlx/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
        names = kernel_names(archive.read(COMPILED))
    (target / "kernels.txt").write_text("\n".join(names) + "\n")


def put_pytorch_aside() -> None:
    """The headers that PyTorch's shaders include: those for Metal."""
    from .pytorch import FETCHED, INSTALLED

    for path in (*INSTALLED.glob("ATen/native/mps/**/*.h"), *INSTALLED.glob("c10/metal/*.h")):
        target = FETCHED / path.relative_to(INSTALLED)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())


def reason(pip: subprocess.CompletedProcess[str]) -> str:
    """Why pip failed: its last error, in one line."""
    errors = [line for line in pip.stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[-1].removeprefix("ERROR: ") if errors else f"exit code {pip.returncode}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--optional", action="store_true", help="without a registry, say so and end well"
    )
    parser.add_argument("--pytorch", action="store_true", help="put torch's own headers aside, too")
    chosen = parser.parse_args(arguments)
    optional = chosen.optional
    if chosen.pytorch:
        put_pytorch_aside()
    wanted, stamp = requirement(), TARGET / "wheel.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    print(f"downloading {wanted} for {PLATFORM}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--platform", PLATFORM, "--dest", folder, wanted]
        pip = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if pip.returncode:
            so = "; tests of MLX's shaders are skipped" if optional else ""
            print(f"no {wanted}: {reason(pip)}{so}", file=sys.stderr)
            return 0 if optional else pip.returncode
        unpack(next(Path(folder).glob("*.whl")), TARGET)
    stamp.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
