"""The command line: `python -m emulator --help`."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .errors import CompileError, EmulatorError
from .launch.structs import MAX_THREADGROUP_BYTES
from .library import Library, compile
from .opencl import check_types
from .source.refusals import Finding, lint

EXAMPLE = """\
example: with this in scale.metal

    #include <metal_stdlib>
    using namespace metal;

    kernel void scale(device float* x [[buffer(0)]], constant float& by [[buffer(1)]],
                      uint i [[thread_position_in_grid]])
    {
        x[i] *= by;
    }

two threadgroups of four threads each:

    $ python -m emulator check scale.metal
    scale: 0 bytes of threadgroup memory, at most 1024 threads
    1 kernel, 0 findings: good
    $ python -m emulator run scale.metal scale --grid 2 --threads 4 --arg float[8]=arange \\
          --arg float:10
    x: float[8]: 0 10 20 30 40 50 60 70
    $ python -m emulator run scale.metal scale --grid 2 --threads 4 --arg float[7]=arange \\
          --arg float:10 --check
    error: scale: scale.metal:7: thread (3, 0, 0) of threadgroup (1, 0, 0) reads 4 bytes, just \
past the end of x [[buffer(0)]], which has 28 bytes
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 1 if the shader is wrong, 2 if the command is."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except EmulatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if type(error) is EmulatorError else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description="Metal shaders on this machine's CPU.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("run", help="launch a kernel")
    command.add_argument("file", metavar="kernel.metal")
    command.add_argument("kernel", help="its name for the host")
    command.add_argument("--grid", default="1", metavar="X,Y,Z", help="threadgroups (default: 1)")
    command.add_argument("--threads", default="32", metavar="X,Y,Z",
                         help="threads of a threadgroup (default: 32)")  # fmt: skip
    command.add_argument(
        "--arg", dest="args", action="append", default=[], metavar="ARGUMENT",
        help="in order of [[buffer(n)]]: float:2.0, uint3:1,2,3, half[64]=FILL, x.npy or none; "
        "FILL is zeros, ones, arange, nan or random:SEED",
    )  # fmt: skip
    command.add_argument(
        "--save", action="append", default=[], metavar="N=FILE.npy", help="keep argument N"
    )
    command.add_argument(
        "--threadgroup-bytes", action="append", default=[], type=int, metavar="BYTES",
        help="behind each [[threadgroup(n)]] parameter",
    )  # fmt: skip
    command.add_argument("--check", action="store_true", help="stop at races and stray accesses")
    command.add_argument("--counts", action="store_true", help="count instructions and bytes")
    command.add_argument(
        "--finite-math", action="store_true", help="fast:: makes NaN of what fast math leaves open"
    )
    _add_source_options(command)
    command.add_argument(
        "--constant", dest="constants", action="append", default=[], metavar="NAME=VALUE",
        help="a function constant, by name or index",
    )  # fmt: skip
    command.set_defaults(run=_run)

    command = commands.add_parser("check", help="compile and lint all kernels of a file")
    command.add_argument("file", metavar="kernel.metal")
    _add_source_options(command)
    _add_lint_options(command)
    command.add_argument("--constant", dest="constants", action="append", default=[],
                         metavar="NAME=VALUE")  # fmt: skip
    command.set_defaults(run=_check)

    command = commands.add_parser(
        "registers",
        help="estimate each kernel's registers, with a second opinion",
        description="Registers are 32-bit, per thread. Neither column is of Apple's compiler: "
        "'alive' is what clang's IR keeps alive at once in the source's order; the others are what "
        "LLVM's allocator for an AMD GPU uses, and what it spills if it has 128.",
    )
    command.add_argument("file", metavar="kernel.metal")
    command.add_argument("kernels", nargs="*", metavar="kernel", help="by default all of the file")
    _add_source_options(command)
    command.add_argument("--constant", dest="constants", action="append", default=[],
                         metavar="NAME=VALUE")  # fmt: skip
    command.set_defaults(run=_registers)

    command = commands.add_parser("cuda", help="print a kernel as CUDA C++")
    command.add_argument("file", metavar="kernel.metal")
    command.add_argument("kernel", nargs="?", help="its name for the host, if there are several")
    _add_source_options(command)
    command.add_argument("--constant", dest="constants", action="append", default=[],
                         metavar="NAME=VALUE")  # fmt: skip
    command.set_defaults(run=_cuda)

    command = commands.add_parser(
        "prepare",
        help="fill a cache with preprocessed files, for a GPU machine without ziglang",
        description="On the other machine, set METAL_EMULATOR_CACHE to the directory.",
    )
    command.add_argument("directory")
    command.add_argument("files", nargs="+", metavar="kernel.metal")
    command.add_argument("--cubin", type=int, metavar="XX",
                         help="compile all kernels for GPUs of kind sm_XX, too")  # fmt: skip
    _add_source_options(command)
    command.add_argument("--constant", dest="constants", action="append", default=[],
                         metavar="NAME=VALUE")  # fmt: skip
    command.set_defaults(run=_prepare)

    command = commands.add_parser(
        "lint", help="find what Apple's compiler refuses, in two front ends"
    )
    command.add_argument("paths", nargs="+", metavar="kernel.metal",
                         help="a file, or a directory: all .metal files below it")  # fmt: skip
    _add_source_options(command)
    _add_lint_options(command)
    command.set_defaults(run=_lint)
    return parser


def _add_source_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("-I", dest="include", action="append", default=[], metavar="DIRECTORY",
                         help="where #include looks")  # fmt: skip
    command.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE",
                         help="a macro")  # fmt: skip


def _add_lint_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--metal", default="3.1", metavar="VERSION", help="default: %(default)s")
    command.add_argument("--lenient", action="store_true",
                         help="let unions and implicit narrowing pass, as Apple does")  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    from .launch.arrays import Array, parse_argument  # numpy is for this command alone

    arrays = [parse_argument(text) for text in options.args]
    saves = [_save(text, len(arrays)) for text in options.save]
    grid, threads = _sizes("--grid", options.grid), _sizes("--threads", options.threads)
    kernel = _library(options, options.finite_math).function(options.kernel)
    report = kernel.launch(
        arrays,
        grid,
        threads,
        options.check,
        count=options.counts,
        threadgroup_lengths=options.threadgroup_bytes,
    )
    names = {p.index: p.name for p in kernel.parameters if p.attribute == "buffer"}
    for index, array in enumerate(arrays):
        if isinstance(array, Array) and array.changed:
            print(f"{names[index]}: {array}")
    for index, path in saves:
        _write(path, arrays[index])
    if options.counts:
        print("\n".join(f"{name}: {n}" for name, n in report.counts.items() if n))
    return 0


def _save(text: str, count: int) -> tuple[int, str]:
    number, equals, path = text.partition("=")
    if not equals or not number.isdigit() or int(number) >= count or not path.endswith(".npy"):
        raise EmulatorError(f"--save {text}: it must be N=FILE.npy, with N less than {count}")
    return int(number), path


def _write(path: str, array: Any) -> None:
    import numpy as np

    if array is None:
        raise EmulatorError(f"--save {path}: that argument is none")
    try:
        np.save(path, array.values)
    except OSError as error:
        raise EmulatorError(f"--save {path}: {error.strerror}") from None


def _sizes(option: str, text: str) -> list[int]:
    try:
        return [int(size) for size in text.split(",")]
    except ValueError:
        raise EmulatorError(f"{option} {text}: it must be one to three numbers, as 8,1,1") from None


def _check(options: argparse.Namespace) -> int:
    library = _library(options)
    findings = [str(f) for f in _findings(options, options.file)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for lines, wrong in pool.map(lambda name: _describe(library, name), library.kernels):
            print(lines)
            findings += wrong
    if not findings:
        findings = [str(f) for f in _types(options, options.file)]
    for finding in findings:
        print(finding)
    count, kernels = len(findings), len(library.kernels)
    verdict = "bad" if count else "good"
    print(f"{_plural(kernels, 'kernel')}, {_plural(count, 'finding')}: {verdict}")
    return 1 if findings else 0


def _describe(library: Library, name: str) -> tuple[str, list[str]]:
    """A line on a kernel, and what is wrong with it."""
    kernel = library.function(name)
    try:
        kernel.load()
    except CompileError as error:
        return f"{name}: does not compile", [str(error)]
    size = kernel.threadgroup_bytes
    line = f"{name}: {size} bytes of threadgroup memory, at most {kernel.max_threads} threads"
    limit = f"{name}: {size} bytes of threadgroup memory; Metal has {MAX_THREADGROUP_BYTES}"
    return line, [limit] if size > MAX_THREADGROUP_BYTES else []


def _registers(options: argparse.Namespace) -> int:
    library = _library(options)
    names = options.kernels or library.kernels
    width = max(map(len, ["kernel", *names]))
    print(f"{'kernel':{width}}  alive  LLVM for AMD  spilled of 128")
    for name in names:
        alive, other = library.registers(name), library.second_opinion(name)
        print(f"{name:{width}} {alive:6} {other.registers:13} {other.spilled:15}", flush=True)
    return 0


def _cuda(options: argparse.Namespace) -> int:
    library = _library(options)
    if options.kernel is None and len(library.kernels) != 1:
        names = ", ".join(library.kernels) or "none"
        raise EmulatorError(f"{options.file} has {len(library.kernels)} kernels; name one: {names}")
    print(library.cuda(options.kernel or library.kernels[0]), end="")
    return 0


def _prepare(options: argparse.Namespace) -> int:
    os.environ["METAL_EMULATOR_CACHE"] = options.directory
    kernels = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for file in options.files:
            options.file = file
            library = _library(options)
            if options.cubin:
                compiled = pool.map(
                    partial(library.prebuild_cuda, architecture=options.cubin), library.kernels
                )
                kernels += len(list(compiled))
    compiled_too = f", {_plural(kernels, 'kernel')} compiled for sm_{options.cubin}"
    print(f"{options.directory}: {_plural(len(options.files), 'file')} prepared"
          f"{compiled_too if options.cubin else ''}")  # fmt: skip
    return 0


def _lint(options: argparse.Namespace) -> int:
    files = [file for path in options.paths for file in _metal_files(path)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(lambda file: _findings(options, file) or _types(options, file), files)
        findings = [finding for file in found for finding in file]
    for finding in findings:
        print(finding)
    print(f"{_plural(len(files), 'file')}, {_plural(len(findings), 'finding')}")
    return 1 if findings else 0


def _metal_files(path: str) -> list[str]:
    """The file itself, or the shaders below a directory."""
    if not Path(path).is_dir():
        return [path]
    files = sorted(str(file) for file in Path(path).rglob("*.metal"))
    if not files:
        raise EmulatorError(f"{path} is a directory without .metal files")
    return files


def _findings(options: argparse.Namespace, file: str) -> list[Finding]:
    return lint(file, options.include, _pairs(options.defines), options.metal)


def _types(options: argparse.Namespace, file: str) -> list[Finding]:
    """Of a file that is sound so far: the second front end would say the same in other words."""
    return check_types(file, options.include, _pairs(options.defines), options.lenient)


def _library(options: argparse.Namespace, finite_math: bool = False) -> Library:
    constants = {
        int(name) if name.isdigit() else name: _constant(name, text)
        for name, text in _pairs(options.constants).items()
    }
    defines = _pairs(options.defines)
    return compile(options.file, options.include, defines, constants, finite_math=finite_math)


def _constant(name: str, text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text, 0)
    except ValueError:
        raise EmulatorError(
            f"--constant {name}={text}: it must be true, false or a number"
        ) from None


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE; a name alone has the value 1."""
    pairs = (text.partition("=") for text in texts)
    return {name: value if equals else "1" for name, equals, value in pairs}


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main())
