"""Links the native launcher for macOS with every torch that it must run with, without a Mac.

Each torch's macOS wheel has its headers and libraries; ziglang's clang compiles torch-ext/ for
Apple silicon and links it with them, so a name that one of them lacks is an error.  Apple's SDK
does not exist on Linux: ci/native/macos declares what is needed of it.  Nothing here checks that.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.build import ROOT, build_toml
from ci.macho import imports
from codegen.targets import AOT_TORCH

CACHE = ROOT / "build/cross"  # 300 MB for each torch; safe to delete
STAND_INS = ROOT / "ci/native"
NEWEST = 2  # release series besides those that the builder targets
WHEEL = ("--only-binary", ":all:", "--platform", "macosx_14_0_arm64", "--python-version", "3.11")
LIBRARIES = ("libtorch_cpu.dylib", "libc10.dylib")
ZIG = (sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-macos.14.0")
LANGUAGE = (
    "-std=c++20",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    f"-I{STAND_INS}",
    f"-I{STAND_INS / 'macos'}",
    "-DTORCH_EXTENSION_NAME=metal_flash_sdpa_cross",
    '-DEMBEDDED_METALLIB_HEADER="embedded_metallib.h"',
    "-DEMBEDDED_METALLIB_NAMESPACE=embedded_metallib",
)
COLUMNS = "{:8} {:9} {:7} {:>10} {:36} {:>8}"


class CrossError(RuntimeError):
    """A step that failed; the message has the words of the program that failed."""


class RefusedError(CrossError):
    """A release that the configuration of this machine's pip does not allow."""


@dataclass
class Result:
    """What came of one torch release."""

    torch: str
    compiled: bool = False
    linked: bool = False
    of_torch: int = 0  # number of names that torch's libraries provide
    of_macos: str = ""  # names that macOS must provide
    seconds: float = 0.0
    problem: str = ""
    refused: bool = False

    def row(self) -> str:
        """The table's line."""
        said = {True: "yes", False: "-" if self.refused else "NO"}
        return COLUMNS.format(
            self.torch,
            said[self.compiled],
            said[self.linked],
            self.of_torch,
            self.of_macos,
            f"{self.seconds:.0f} s",
        )


def run(*command: str | Path) -> str:
    """What a command prints.  Raises CrossError with all that it said."""
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise CrossError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def pip(*arguments: str | Path) -> str:
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def published() -> list[str]:
    """Every torch with a wheel for Apple silicon, newest first."""
    listed = re.search(
        r"^Available versions: (.+)$", pip("index", "versions", "torch", *WHEEL), re.M
    )
    if not listed:
        raise CrossError("pip index names no versions of torch")
    return [version for version in listed[1].split(", ") if re.fullmatch(r"\d+\.\d+\.\d+", version)]


def series(version: str) -> tuple[int, int]:
    """(2, 12) of 2.12.1."""
    major, minor, _ = version.split(".")
    return int(major), int(minor)


def wanted(versions: Sequence[str]) -> list[str]:
    """Every release of the series that the builder targets, and the last of the newest series.

    `versions` are newest first; so is the result.  Raises CrossError if a target has no release.
    """
    absent = [target for target in AOT_TORCH if target not in map(series, versions)]
    if absent:
        raise CrossError(f"no wheel of torch {absent}; there are {', '.join(versions)}")
    last = {series(version): version for version in reversed(versions)}
    newest = sorted(last, reverse=True)[:NEWEST]
    return [v for v in versions if series(v) in AOT_TORCH or v in (last[s] for s in newest)]


def fetch(version: str) -> Path:
    """The folder with include/ and lib/ of a torch release for macOS, downloaded once."""
    folder = CACHE / f"torch-{version}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        options = ("--no-deps", "--progress-bar", "off", "--dest", scratch)
        try:
            pip("download", f"torch=={version}", *options, *WHEEL)
        except CrossError as error:
            raise (RefusedError if "(constraint)" in str(error) else CrossError)(error) from None
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            headers = (n for n in archive.namelist() if n.startswith("torch/include/"))
            archive.extractall(scratch, [*headers, *(f"torch/lib/{name}" for name in LIBRARIES)])
        return Path(scratch, "torch").rename(folder)


def native_sources() -> list[Path]:
    """What kernel-builder compiles of torch-ext/."""
    listed = (ROOT / path for path in build_toml(ROOT)["torch"]["src"])
    return [path for path in listed if path.suffix != ".h"]


def check(version: str) -> Result:
    """Compile and link the native sources with one torch; the result says what failed."""
    result = Result(version)
    begin = time.monotonic()
    try:
        torch = fetch(version)
        with tempfile.TemporaryDirectory() as scratch:
            objects = []
            for source in native_sources():
                objects.append(Path(scratch, f"{source.name}.o"))
                include = ("-isystem", torch / "include")
                run(*ZIG, *LANGUAGE, *include, "-c", source, "-o", objects[-1])
            result.compiled = True
            linked = Path(scratch, "launcher.so")
            libraries = [torch / "lib" / library for library in LIBRARIES]
            system = STAND_INS / "macos/libobjc.tbd"
            run(*ZIG, "-shared", *objects, *libraries, system, "-o", linked)
            result.linked = True
            left = {Path(path).name: names for path, names in imports(linked.read_bytes()).items()}
        result.of_torch = sum(len(left.pop(library, ())) for library in LIBRARIES)
        result.of_macos = describe(left)
    except (CrossError, KeyError) as error:  # KeyError: a wheel without one of the libraries
        result.problem = str(error)
        result.refused = isinstance(error, RefusedError)
    result.seconds = time.monotonic() - begin
    return result


def describe(left: dict[str, list[str]]) -> str:
    """What macOS must provide: how many names of libSystem, which ziglang knows, and the others."""
    known = len(left.pop("libSystem.B.dylib", ()))
    return ", ".join([f"libSystem: {known}", *(name for names in left.values() for name in names)])


def failed(result: Result, asked: bool) -> bool:
    """Whether a result fails the session.

    A release that pip refuses does not, unless it was asked for or kernel-builder targets it.
    """
    tolerated = result.refused and not asked and series(result.torch) not in AOT_TORCH
    return bool(result.problem) and not tolerated


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s cross --", description=__doc__.split("\n")[0])
    parser.add_argument("--torch", nargs="+", metavar="VERSION", help="only these releases")
    asked = parser.parse_args().torch
    try:
        versions = asked or wanted(published())
    except CrossError as error:
        sys.exit(str(error))
    print(COLUMNS.format("torch", "compiled", "linked", "from torch", "left to macOS", "time"))
    results = []
    for version in versions:
        results.append(check(version))
        print(results[-1].row(), flush=True)
    for result in results:
        if result.problem:
            print(f"\ntorch {result.torch}: {result.problem}")
    sys.exit(any(failed(result, bool(asked)) for result in results))


if __name__ == "__main__":
    main()
