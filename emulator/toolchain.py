"""The compiler, and a cache of what it made.

The compiler is the clang inside PyPI's ``ziglang``; the environment variable METAL_EMULATOR_CXX
names another clang++ to use.  The cache lives in $METAL_EMULATOR_CACHE, else in the user's cache
directory under ``metal-emulator``; deleting it costs only time.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .counting import instructions, ir
from .errors import CompileError, EmulatorError

HERE = Path(__file__).parent
INCLUDE = HERE / "include"  # the headers that shaders name: macros only
SHIM = HERE / "shim"  # Metal's language and library, in C++

# Metal of macOS 14 and 15 is C++14.  The shim itself uses what clang offers beyond.
LANGUAGE = ("-x", "c++", "-std=c++14", "-nostdinc", "-nostdinc++", "-fsigned-char")

# Results must not depend on the machine, so the instruction set is fixed.  (Native code would use
# AVX512-BF16 where it exists, which flushes denormals.)  zig has names of its own.
TARGETS = {"x86_64": "-march=x86-64-v3", "aarch64": "-march=armv8.2-a+fp16"}
ZIG_TARGETS = {"x86_64": "-mcpu=x86_64_v3", "aarch64": "-mcpu=generic+v8_2a+fullfp16"}

# half and bfloat round after every operation.
ROUNDING = (
    "-ffp-contract=off",
    "-fno-math-errno",
    "-Xclang", "-ffloat16-excess-precision=none",
    "-Xclang", "-fbfloat16-excess-precision=none",
)  # fmt: skip

CODE = (
    "-O2", "-g0", "-fPIC", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden",
    "-fno-strict-aliasing",  # shaders cast pointers freely, and Metal lets them
    "-fno-stack-protector", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
    # A matrix's memory is shared by lanes at different points of the program, so no two may ever
    # share a place on the stack.  (The inliner adds markers of its own.)
    "-Xclang", "-disable-lifetime-markers", "-mllvm", "-no-stack-coloring",
)  # fmt: skip

# A kernel is one function full of short loops over fragments.  They stay loops: if clang unrolls
# them it takes three times as long, in the checked build four times, and the code is no faster.
# (Where instructions or registers are counted they are unrolled, for these stand for a GPU's.)
LOOPS = ("-mllvm", "-unroll-threshold=0", "-mllvm", "-pragma-unroll-threshold=0")

# The instrumented build (shim/checks.h): a hook before every access, array bounds checked.  The
# vectorisers would make accesses that are too wide for hooks.  Given to clang's inner command, so
# that its driver links no run-time library of its own.
CHECKED = (
    "-DEMULATOR_CHECKS", "-O1", "-gline-tables-only", "-fno-vectorize", "-fno-slp-vectorize",
    "-Xclang", "-fsanitize=thread",
    "-mllvm", "-tsan-instrument-func-entry-exit=0",
    "-mllvm", "-tsan-instrument-atomics=0",  # the shim says itself what is atomic
    "-mllvm", "-tsan-instrument-read-before-write=1",
    "-Xclang", "-fsanitize=array-bounds", "-Xclang", "-fsanitize-recover=array-bounds",
    "-Xclang", "-fsanitize-minimal-runtime",
    # What was never set begins as a value that shows: floats NaN, integers far below 0.  Matrices,
    # of which the smallest has 128 bytes, are shared by lanes, so that none may begin them anew.
    "-ftrivial-auto-var-init=pattern", "-ftrivial-auto-var-init-max-size=127",
)  # fmt: skip

# See finite() in shim/math.h.
FINITE_MATH = ("-DEMULATOR_FINITE_MATH",)

# The counted build: in the IR a scalar instruction is one of a thread's, its address space and line
# are known, and no loop is turned into a call.
COUNTED = (
    "-DEMULATOR_COUNTS", "-gline-tables-only", "-Xclang", "-fdebug-compilation-dir=.",
    "-fno-vectorize", "-fno-slp-vectorize", "-mllvm", "-disable-vector-combine",
    "-mllvm", "-disable-loop-idiom-all", "-Xclang", "-ffake-address-space-map",
)  # fmt: skip

# A thread's values as they are, 32-bit indices included.
VALUES = (
    "-DEMULATOR_COUNTS", "-fno-vectorize", "-fno-slp-vectorize",
    "-Xclang", "-ffake-address-space-map", "-mllvm", "-disable-vector-combine",
    "-mllvm", "-disable-loop-idiom-all", "-mllvm", "-indvars-widen-indvars=false",
)  # fmt: skip

# As clang calls them in messages.
ADDRESS_SPACES = {"__global": "device", "__local": "threadgroup", "__constant": "constant"}

# A fibre has 256 KiB of stack, less what colouring takes.
MAX_FRAME_BYTES = 192 * 1024

# Metal's compiler warns of these; shaders that are to build everywhere do without.
EXTENSIONS = (
    "-Werror=c++17-extensions", "-Werror=c++20-extensions",
    "-Werror=pre-c++17-compat", "-Werror=pre-c++20-compat", "-Werror=pre-c++23-compat",
)  # fmt: skip

# Packed vectors of 3 need C++23 (see shim/types.h).  What is newer than C++14 is refused as before.
PACKED_3 = re.compile(r"\bpacked_[a-z]+3\b")
CPP_23 = "-std=c++23"

WARNINGS = (
    "-Wno-everything",
    "-Werror=return-type", "-Werror=vla-extension",
    f"-Wframe-larger-than={MAX_FRAME_BYTES}", "-Werror=frame-larger-than",
    "-ferror-limit=10", "-fno-caret-diagnostics", "-fdiagnostics-absolute-paths",
)  # fmt: skip

# Before a shader's first line.
FORCED = ("-isystem", str(SHIM), "-include", str(SHIM / "metal.h"))

# What the library lacks (libm, memcpy) it finds in the process that loads it.
if sys.platform == "darwin":
    LINK = ("-shared", "-nostdlib", "-Wl,-undefined,dynamic_lookup")
else:
    LINK = ("-shared", "-nostdlib", "-Wl,-Bsymbolic")


def machine() -> str:
    """This machine's architecture, as a key of TARGETS."""
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if name not in TARGETS:
        raise EmulatorError(f"the emulator runs on {' and '.join(TARGETS)}, not on {name}")
    return name


def cache_directory() -> Path:
    """Where compiled kernels are kept."""
    chosen = os.environ.get("METAL_EMULATOR_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "metal-emulator"


def compiler() -> tuple[list[str], str]:
    """The command that starts clang++, and its flag for this machine's instruction set."""
    chosen = os.environ.get("METAL_EMULATOR_CXX")
    if chosen:
        return shlex.split(chosen), TARGETS[machine()]
    package = importlib.util.find_spec("ziglang")
    if package is None or package.origin is None:
        raise EmulatorError(
            "no compiler: pip install ziglang, or set METAL_EMULATOR_CXX to a clang++"
        )
    return [str(Path(package.origin).parent / "zig"), "c++"], ZIG_TARGETS[machine()]


def front_end() -> list[str]:
    """The command that starts clang's inner program, which takes flags that its driver does not."""
    command, _ = compiler()
    return [*(command if os.environ.get("METAL_EMULATOR_CXX") else [command[0], "clang"]), "-cc1"]


@functools.cache
def version(command: tuple[str, ...]) -> str:
    """What a compiler says of itself: its name and version in the first line."""
    return run([*command, "--version"]).stdout


@functools.cache
def _identity(command: tuple[str, ...]) -> str:
    """What a cached result depends on besides source and flags: compiler and shim."""
    digest = hashlib.sha256(version(command).encode())
    for path in sorted(SHIM.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def run(command: Sequence[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the compiler, with zig's own files in the cache."""
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache_directory() / "zig")}
    try:
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False
        )
    except OSError as error:
        raise EmulatorError(f"cannot run the compiler {command[0]}: {error}") from None


def preprocess(
    source: str, name: str, directory: Path, include: Sequence[str], defines: dict[str, str]
) -> str:
    """Expands includes and macros; the result keeps line markers.

    ``name`` is what messages call the source; relative includes start at ``directory``.
    """
    command = [*compiler()[0], *LANGUAGE, "-E", "-w", "-fno-caret-diagnostics"]
    # Without a target of its own, zig looks into the system's headers all the same.
    command += ["--target=x86_64-freestanding", "-ffreestanding"]
    command += ["-D__METAL__=1", "-D__METAL_VERSION__=310", "-D__METAL_MACOS__=1"]
    command += ["-U__x86_64__", "-U__aarch64__", "-U__linux__", "-U__APPLE__"]
    for key, value in defines.items():
        command.append(f"-D{key}={value}")
    for path in (*include, str(INCLUDE)):
        command += ["-I", path]
    command += ["-iquote", str(directory), "-"]
    result = run(command, f'# 1 "{name}"\n{source}')
    if result.returncode != 0:
        raise CompileError(_readable(result.stderr))
    return result.stdout


def build(
    source: str, checked: bool = False, extensions: bool = False, finite_math: bool = False
) -> Path:
    """Compiles C++ into a shared library, or finds it in the cache; `checked`: instrumented.

    ``extensions`` lets newer C++ pass; ``finite_math`` is that of ``emulator.compile``.
    """
    flags = [*LANGUAGE, *ROUNDING, *CODE, *LOOPS, *(CHECKED if checked else ())]
    flags += [*WARNINGS, *LINK, *FORCED]
    flags += [*_dialect(source, extensions), *(FINITE_MATH if finite_math else ())]
    content = source
    if not checked:
        # Where a line came from does not matter to the code: a moved or commented file is found.
        content = "\n".join(line for line in source.splitlines() if line and line[:2] != "# ")

    def compile_into(scratch: Path) -> None:
        text = scratch / "kernel.cpp"
        text.write_text(source)
        _compile(flags, text, scratch / "kernel.so")

    return _cached([*flags, content], compile_into)


def build_counted(source: str, extensions: bool = False) -> Path:
    """Compiles C++ into a shared library that counts its basic blocks, or finds it in the cache.

    What each of them counts lies beside it: see ``ir.load``.
    """
    code = [*ROUNDING, *(flag for flag in CODE if flag != "-g0"), *COUNTED, *WARNINGS]
    first = [*LANGUAGE, *code, *FORCED, *_dialect(source, extensions)]
    first += ["-Xclang", "-disable-llvm-passes", "-S", "-emit-llvm"]
    second = [*code, "-S", "-emit-llvm"]
    third = [*ROUNDING, *CODE, *WARNINGS, *LINK]

    def compile_into(scratch: Path) -> None:
        text, plain, optimised = (scratch / n for n in ("kernel.cpp", "plain.ll", "optimised.ll"))
        text.write_text(source)
        _compile(first, text, plain)
        plain.write_text(ir.repair(plain.read_text()))
        _compile(second, plain, optimised)
        instrumented, blocks = ir.instrument(optimised.read_text(), SHIM)
        optimised.write_text(instrumented)
        _compile(third, optimised, scratch / "kernel.so")
        ir.save(blocks, scratch / "kernel.so")

    readers = [Path(str(module.__file__)).read_text() for module in (ir, instructions)]
    return _cached([*first, *second, *third, *readers, source], compile_into)


def values_ir(source: str, extensions: bool = False) -> str:
    """The optimised IR of C++ whose matrices are values; see ``registers``."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        shim, text, optimised = (scratch / n for n in ("shim", "kernel.cpp", "optimised.ll"))
        shutil.copytree(SHIM, shim)
        shutil.copy(SHIM.parent / "values" / "matrix.h", shim)
        text.write_text(source)
        forced = ["-isystem", str(shim), "-include", str(shim / "metal.h")]
        flags = [*LANGUAGE, *ROUNDING, *CODE, *VALUES, *WARNINGS, *forced]
        flags += [*_dialect(source, extensions), "-S", "-emit-llvm"]
        _compile(flags, text, optimised)
        return optimised.read_text()


def _dialect(source: str, extensions: bool) -> list[str]:
    """The C++ that this source needs, and what of it is refused."""
    newer = [CPP_23] if PACKED_3.search(source) else []
    return newer + ([] if extensions else list(EXTENSIONS))


def build_air(
    code: bytes, translate: Callable[[str, Path], str], runtime: Path, readers: Sequence[Path]
) -> Path:
    """Compiles a kernel's LLVM bitcode into a shared library, or finds it in the cache.

    ``translate`` makes IR for this machine out of the bitcode's, and may leave a file beside the
    path that it gets.  ``runtime`` is C++ with what the IR calls; ``readers`` are all files that
    the result depends on.
    """
    flags = [*ROUNDING, *CODE, *WARNINGS]
    content = [path.read_text() for path in readers]

    def compile_runtime(scratch: Path) -> None:
        include = ["-isystem", str(SHIM), "-c"]
        _compile([*LANGUAGE, *flags, *include], runtime, scratch / "kernel.o")

    def compile_into(scratch: Path) -> None:
        bitcode, theirs, ours = (scratch / n for n in ("kernel.bc", "theirs.ll", "ours.ll"))
        bitcode.write_bytes(code)
        _compile(["-w", "-S", "-emit-llvm", "-Xclang", "-disable-llvm-passes"], bitcode, theirs)
        library = scratch / "kernel.so"
        ours.write_text(translate(theirs.read_text(), library))
        needed = _cached([*LANGUAGE, *flags, runtime.read_text()], compile_runtime, ".o")
        _compile([*flags, *LINK, str(needed)], ours, library)

    return _cached([*flags, *LINK, *content, hashlib.sha256(code).hexdigest()], compile_into)


def _cached(key: Sequence[str], compile_into: Callable[[Path], None], suffix: str = ".so") -> Path:
    """The library for this key, this compiler and this shim; `suffix` ".o": an object file.

    Processes may do this at the same time: each writes files of its own and renames them, the
    library last.
    """
    command, target = compiler()
    digest = hashlib.sha256("\0".join([_identity(tuple(command)), target, *key]).encode())
    directory = cache_directory() / "kernels"
    library = directory / f"{digest.hexdigest()}{suffix}"
    if not library.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            compile_into(Path(scratch))
            for made in (Path(scratch, f"kernel{end}") for end in (".json", suffix)):
                if made.exists():
                    made.replace(library.with_suffix(made.suffix))
    return library


def _compile(flags: Sequence[str], source: Path, output: Path) -> None:
    command, target = compiler()
    result = run([*command, target, *flags, str(source), "-o", str(output)])
    if result.returncode != 0:
        raise CompileError(_readable(result.stderr))


def _readable(message: str) -> str:
    """Clang's message, in Metal's words."""
    for theirs, ours in ADDRESS_SPACES.items():
        message = message.replace(theirs, ours)
    lines = [line for line in message.splitlines() if not re.match(r"\d+ errors? generated", line)]
    return "\n".join(lines).strip()
