"""Compiles every kernel with Apple's compiler for each kind of GPU; needs a Mac, but no GPU.

Each shader with warnings as errors, in the standard that macOS 14 has and in the newest; then each
kernel's machine code with `metal-tt`, whose registers and spilled bytes go into a table.  A compile
error or a spill fails the session.

This has never been run on a Mac: the programs' options and the layout of what they write are as
third parties describe them.  The tests run it with a stand-in for xcrun.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ci.gpu_archive import ArchiveError, read

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "generated"
REPORT = ROOT / "build/apple_compile.json"
# An environment variable of GitHub's: the file in which a job leaves its summary.
SUMMARY = "GITHUB_STEP_SUMMARY"

OLDEST = "metal3.1"  # of macOS 14
NEWER = ("metal4.1", "metal4.0", "metal3.2")  # newest first
# metal-tt's names of the generations, by a third party's recipe that nobody here has tried.
GPUS = {
    "applegpu_g13s": "M1",
    "applegpu_g14s": "M2",
    "applegpu_g15s": "M3",
    "applegpu_g16s": "M4",
    "applegpu_g17s": "M5",
}
PROBE = "kernel void probe(device int* x [[buffer(0)]]) { x[0] = 1; }\n"


class CompileError(RuntimeError):
    """What a program of Apple's said."""


class MissingError(RuntimeError):
    """What this machine lacks."""


Run = Callable[[Sequence[str | Path]], None]


def xcrun(arguments: Sequence[str | Path]) -> None:
    """Run one of Apple's programs.  Raises CompileError with all that it said."""
    command = ["xcrun", *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompileError(f"xcrun: {error.strerror}") from None
    if done.returncode:
        raise CompileError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".strip())


@dataclass(frozen=True)
class Row:
    """What one kernel needs on one kind of GPU."""

    kernel: str
    gpu: str
    registers: int
    spilled_bytes: int


@dataclass
class Outcome:
    """What came of all of it."""

    standards: list[str] = field(default_factory=list)
    gpus: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # GPUs without a result: why
    shaders: int = 0
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def spills(self) -> list[Row]:
        return [row for row in self.rows if row.spilled_bytes]

    @property
    def failed(self) -> bool:
        return bool(self.problems or self.spills)


class Compiler:
    """Apple's programs, as far as they are needed here."""

    def __init__(self, run: Run, scratch: Path) -> None:
        self._run = run
        self._scratch = scratch

    def require(self) -> None:
        """Raises MissingError if a program is not there."""
        try:
            for program in ("metal", "metallib", "metal-tt"):
                self._run(["--find", program])
        except CompileError:
            raise MissingError(
                f"apple_compile needs a Mac with Xcode and its Metal toolchain; {program} is not "
                "to be had through xcrun here (`xcodebuild -downloadComponent MetalToolchain`)"
            ) from None

    def newest(self) -> str:
        """The newest standard that the compiler takes."""
        for standard in NEWER:
            try:
                self.check(self._probe(), standard)
            except CompileError:
                continue
            return standard
        return OLDEST

    def why_not(self, gpu: str) -> str:
        """Why there is no reading of a trivial kernel for a kind of GPU; empty if there is."""
        try:
            self.code(self.library(self._probe()), "probe", gpu)
        except CompileError as error:
            return str(error)
        return ""

    def check(self, shader: Path, standard: str) -> Path:
        """Compile a shader, with warnings as errors."""
        air = self._scratch / f"{shader.stem}.{standard}.air"
        self._run(["metal", f"-std={standard}", "-Werror", "-c", shader, "-o", air])
        return air

    def library(self, shader: Path) -> Path:
        """Compile a shader in the oldest standard and make a library of it."""
        library = self._scratch / f"{shader.stem}.metallib"
        self._run(["metallib", self.check(shader, OLDEST), "-o", library])
        return library

    def code(self, library: Path, kernel: str, gpu: str) -> Row:
        """Compile a kernel for a GPU.  Raises CompileError, also for an unreadable result."""
        script = self._scratch / f"{kernel}.{gpu}.mtlp-json"
        pipelines = {"compute_pipelines": [{"compute_function": kernel}]}
        script.write_text(json.dumps({"pipelines": pipelines}))
        archive = script.with_suffix(".gpu")
        self._run(["metal-tt", "-arch", gpu, library, script, "-o", archive])
        try:
            codes = read(archive.read_bytes())
        except (ArchiveError, OSError) as error:
            raise CompileError(f"{kernel} for {gpu}: cannot read {archive.name}: {error}") from None
        finally:
            archive.unlink(missing_ok=True)
        if len(codes) != 1:
            raise CompileError(
                f"{kernel} for {gpu}: {archive.name} has {len(codes)} kernels, not 1"
            )
        return Row(kernel, gpu, codes[0].registers, codes[0].spilled_bytes)

    def _probe(self) -> Path:
        shader = self._scratch / "probe.metal"
        shader.write_text(PROBE)
        return shader


def compile_all(
    kernels: Mapping[Path, Sequence[str]], compiler: Compiler, gpus: Iterable[str] = GPUS
) -> Outcome:
    """Compile shaders, and the kernels of each for each GPU.  Raises MissingError without Xcode."""
    compiler.require()
    outcome = Outcome(standards=list(dict.fromkeys((OLDEST, compiler.newest()))))
    for gpu in gpus:
        if reason := compiler.why_not(gpu):
            outcome.left_out[gpu] = reason
        else:
            outcome.gpus.append(gpu)
    if not outcome.gpus:
        outcome.problems.append("there is no GPU for which a trivial kernel compiles and reads")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:

        def attempt(action: Callable[..., object], *arguments: object) -> object:
            try:
                return action(*arguments)
            except CompileError as error:
                return error

        def shader_of(path: Path) -> list[object]:
            results = [attempt(compiler.check, path, s) for s in outcome.standards[1:]]
            library = attempt(compiler.library, path)
            if isinstance(library, Path):
                results += [
                    attempt(compiler.code, library, kernel, gpu)
                    for kernel in kernels[path]
                    for gpu in outcome.gpus
                ]
            return [*results, library]

        for number, results in enumerate(pool.map(shader_of, kernels), 1):
            outcome.shaders = number
            outcome.rows += [result for result in results if isinstance(result, Row)]
            outcome.problems += [str(r) for r in results if isinstance(r, CompileError)]
            print(f"{number} of {len(kernels)} shaders", file=sys.stderr, flush=True)
    return outcome


def markdown(outcome: Outcome) -> str:
    """The table for a job's summary: a line for each kernel, a column for each GPU."""
    lines = [
        "## Apple's compiler",
        f"{outcome.shaders} shaders as {' and '.join(outcome.standards)}, warnings as errors: "
        f"{len(outcome.problems)} problems. {len(outcome.spills)} of {len(outcome.rows)} "
        "compiled kernels spill.",
    ]
    for gpu, reason in outcome.left_out.items():
        lines.append(f"Left out, as a trivial kernel fails: {gpu}\n\n```\n{reason}\n```")
    lines += [f"```\n{problem}\n```" for problem in outcome.problems]
    if outcome.rows:
        by_kernel: dict[str, dict[str, Row]] = {}
        for row in outcome.rows:
            by_kernel.setdefault(row.kernel, {})[row.gpu] = row
        heading = ["kernel", *(f"{GPUS.get(gpu, gpu)} ({gpu})" for gpu in outcome.gpus)]
        table = [heading, [":---", *["---:"] * len(outcome.gpus)]]
        table += [
            [kernel, *(cell(on.get(gpu)) for gpu in outcome.gpus)]
            for kernel, on in by_kernel.items()
        ]
        lines.append("Registers, and bytes spilled where there are any:")
        lines.append("\n".join(f"| {' | '.join(line)} |" for line in table))
    return "\n\n".join(lines) + "\n"


def cell(row: Row | None) -> str:
    if row is None:
        return "failed"
    return f"{row.registers}" + (f", **{row.spilled_bytes} B**" if row.spilled_bytes else "")


def generated() -> dict[Path, list[str]]:
    """The kernels of each shader, by the manifest."""
    kernels: dict[Path, list[str]] = {}
    for variant in json.loads((GENERATED / "manifest.json").read_text()):
        kernels.setdefault(GENERATED / variant["file"], []).append(variant["name"])
    return kernels


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="nox -s apple_compile --", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="files with TEXT in their names")
    parser.add_argument("--json", type=Path, default=REPORT, metavar="FILE", help="the report")
    options = parser.parse_args(arguments)
    kernels = {path: names for path, names in generated().items() if options.only in path.name}
    if not kernels:
        parser.error(f"--only {options.only}: no file in generated/ has that in its name")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            outcome = compile_all(kernels, Compiler(xcrun, Path(scratch)))
        except MissingError as error:
            print(error, file=sys.stderr)
            return 2
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    text = markdown(outcome)
    print(text)
    if os.environ.get(SUMMARY):
        with Path(os.environ[SUMMARY]).open("a") as summary:
            summary.write(text)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
