"""Clang as a front end for C++ for OpenCL: what it refuses, by lines of the .metal file."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .. import toolchain
from ..errors import EmulatorError
from ..headers import one_text
from ..source.refusals import Finding
from ..source.tokens import Tokens
from ..source.translation import Text
from . import rewrites
from .refusals import find_unions, find_without_space

PRELUDE = Path(__file__).parent / "prelude"

FLAGS = (
    # A GPU for which clang has bfloat.  No code is made for it.
    "-triple", "amdgcn-amd-amdhsa", "-fsyntax-only",
    "-x", "clcpp", "-cl-std=CLC++2021", "-nostdsysteminc", "-nobuiltininc",
    "-Wno-everything", "-Werror=c++11-narrowing",
    "-Wimplicit-int-conversion", "-Wimplicit-float-conversion", "-Wfloat-conversion",
    "-Wno-implicit-int-float-conversion",  # a float holds more, if not each to the last digit
    "-ferror-limit", "50", "-fno-caret-diagnostics", "-fno-diagnostics-fixit-info",
)  # fmt: skip

# As clang calls them in messages.
WORDS = {**toolchain.ADDRESS_SPACES, "__private": "thread", "__bf16": "bfloat"}

_MESSAGE = re.compile(
    r"^(.+?):(\d+):\d+: (fatal error|error|warning|note): (.*?)(?: \[-W.*\])?$", re.MULTILINE
)


def check_types(
    path_or_source: str | os.PathLike[str],
    include: Sequence[str | os.PathLike[str]] = (),
    defines: Mapping[str, object] | None = None,
    lenient: bool = False,
) -> list[Finding]:
    """What a compiler that knows address spaces and Metal's overloads refuses, in order of lines.

    The source is given as to ``emulator.compile``.  ``lenient`` lets pass what Apple's compiler
    takes, too: unions, and numbers that become narrower without a word on it.  Raises CompileError
    if the preprocessor fails.
    """
    source = Text.read(path_or_source)
    tokens = Tokens(source.preprocess(include, defines))
    findings = [*_find(tokens, lenient), *_compile(rewrites.translate(tokens), lenient)]
    return sorted(set(findings), key=lambda f: (f.path != source.name, f.path, f.line, f.reason))


def _find(tokens: Tokens, lenient: bool) -> Iterator[Finding]:
    """What the front end itself lets pass."""
    found = [(i, kind, "must name its address space") for i, kind in find_without_space(tokens)]
    if not lenient:
        found += [(i, "union", "holds what its types do not say") for i in find_unions(tokens)]
    for i, construct, reason in found:
        path, _, line = tokens.where(i).rpartition(":")
        yield Finding(path, int(line), construct, reason)


def compiler() -> str:
    """The compiler's name and version."""
    # Without -cc1, which has a version of its own.
    return toolchain.version(tuple(toolchain.front_end()[:-1])).partition("\n")[0].strip()


@functools.cache
def prelude() -> str:
    """What Metal is to this front end: its own headers, and of the shim's what fits both."""
    return one_text("metal.h", (PRELUDE, toolchain.SHIM))


@functools.cache
def _prelude_names() -> frozenset[str]:
    return frozenset(re.findall(r'#line \d+ "(.+)"', prelude()))


def _compile(program: str, lenient: bool) -> Iterator[Finding]:
    """What clang refuses; where an error lies in the prelude, by the line that led there."""
    waiting = None
    for message in _MESSAGE.finditer(_messages(program)):
        path, line, kind, text = message.groups()
        text = _in_metal(text)
        if kind == "warning":
            # Only bfloat asks for a word on it in Metal.
            waiting = None if lenient and "to 'bfloat'" not in text else ("narrowing", text)
        elif kind != "note":
            waiting = "error", text
        if waiting and path not in _prelude_names():
            yield Finding(path, int(line), *waiting)
            waiting = None


def _in_metal(message: str) -> str:
    """Clang's message, in Metal's words."""
    for theirs, ours in WORDS.items():
        message = message.replace(theirs, ours)
    return message


def _messages(program: str) -> str:
    """What clang says, or what it said of the same text before."""
    text = f"{prelude()}{program}\n"
    command = toolchain.front_end()
    key = "\0".join([compiler(), *FLAGS, text])
    entry = toolchain.cache_directory() / "opencl" / hashlib.sha256(key.encode()).hexdigest()
    if not entry.exists():
        done = toolchain.run([*command, *FLAGS, "-"], text)
        if done.returncode and not _MESSAGE.search(done.stderr):
            raise EmulatorError(
                f"{' '.join(command)} does not take C++ for OpenCL: {done.stderr.strip()}"
            )
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entry.parent) as scratch:
            made = Path(scratch, entry.name)
            made.write_text(done.stderr)
            made.replace(entry)
    return entry.read_text()
