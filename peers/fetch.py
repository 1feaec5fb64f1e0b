"""Gets MLX's shader sources out of its wheel for macOS: ``python -m peers.fetch``.

With ``--optional`` it is no failure if no registry can be reached: it says so in one line.

With ``--pytorch`` it puts the installed torch's headers for Metal into build/peers/pytorch, too,
for a machine whose torch has none; there they are taken before its own.

With ``--compiled`` it also gets what Apple's compiler made of MLX's and PyTorch's shaders: the
Metal libraries in both wheels for macOS, PyTorch's of the version that is installed.  Where they
cannot be had it says so and ends well.

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
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

from emulator import air

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "peers" / "mlx"
METALLIB = TARGET / "mlx.metallib"
PYTORCH_COMPILED = ROOT / "build" / "peers" / "pytorch-compiled"
PLATFORM = "macosx_14_0_arm64"  # the oldest: what is newer differs in matrix instructions only
HEADERS = "mlx/include/mlx/backend/metal/kernels/"
COMPILED = "mlx/lib/mlx.metallib"
PYTORCH_BINARY = "torch/lib/libtorch_cpu.dylib"
NOT_COMPARED = "what Apple's compiler made of its shaders is not run"


def requirement() -> str:
    """The pinned wheel, from pyproject.toml."""
    (wheel,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["peers"]
    return str(wheel)


def kernel_names(metallib: bytes) -> list[str]:
    """The host names in a compiled Metal library: records of NAME, a 16-bit length, the name."""
    names = re.findall(rb"NAME..([A-Za-z]\w*)\0", metallib, re.DOTALL)
    return sorted({name.decode() for name in names})


def torch_requirement() -> str:
    """The installed torch, whichever its build."""
    return f"torch=={metadata.version('torch').partition('+')[0]}"


def unpack(wheel: Path, target: Path, compiled: bool = False) -> None:
    """The shader headers and kernels.txt; the compiled library itself, too, if it is wanted."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(HEADERS) and name.endswith(".h"):
                path = target / name.removeprefix("mlx/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
        metallib = archive.read(COMPILED)
    (target / "kernels.txt").write_text("\n".join(kernel_names(metallib)) + "\n")
    library = target / METALLIB.name
    library.unlink(missing_ok=True)  # an older wheel's would not fit the sources
    if compiled:
        library.write_bytes(metallib)


def unpack_pytorch(wheel: Path, target: Path) -> None:
    """The Metal libraries inside PyTorch's own, one for each version of macOS."""
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        binary = archive.read(PYTORCH_BINARY)
    for macos, library in air.find_libraries(binary):
        (target / f"macos-{macos}.metallib").write_bytes(library)


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


def is_here(wanted: str, target: Path) -> bool:
    """Whether that wheel has been unpacked there."""
    stamp = target / "wheel.txt"
    return stamp.exists() and stamp.read_text() == wanted


def download(
    wanted: str, target: Path, unpack_into: Callable[[Path, Path], None], without: str = ""
) -> int:
    """Get a wheel for macOS and unpack it; returns pip's exit code.

    If that fails, a line says why, and what is to come ``without`` it.
    """
    print(f"downloading {wanted} for {PLATFORM}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--platform", PLATFORM, "--dest", folder, wanted]
        pip = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if pip.returncode:
            print(f"no {wanted}: {reason(pip)}{without and '; '}{without}", file=sys.stderr)
            return pip.returncode
        unpack_into(next(Path(folder).glob("*.whl")), target)
    (target / "wheel.txt").write_text(wanted)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--optional", action="store_true", help="without a registry, say so and end well"
    )
    parser.add_argument("--pytorch", action="store_true", help="put torch's own headers aside, too")
    parser.add_argument(
        "--compiled", action="store_true", help="what Apple's compiler made, too, if it can be had"
    )
    chosen = parser.parse_args(arguments)
    if chosen.pytorch:
        put_pytorch_aside()
    wanted = requirement()
    have_sources = is_here(wanted, TARGET)
    if not have_sources or (chosen.compiled and not METALLIB.exists()):
        without = ""
        if have_sources:
            without = NOT_COMPARED
        elif chosen.optional:
            without = "tests of MLX's shaders are skipped"
        code = download(wanted, TARGET, partial(unpack, compiled=chosen.compiled), without)
        if code and not without:
            return code
    if chosen.compiled and not is_here(torch_requirement(), PYTORCH_COMPILED):
        download(torch_requirement(), PYTORCH_COMPILED, unpack_pytorch, NOT_COMPARED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
