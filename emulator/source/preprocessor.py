"""Includes and macros, expanded by clang once: the result is kept by content.

So a machine without a clang serves itself from a cache that another one filled.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import toolchain
from ..errors import CompileError

MAIN = "<main>"  # stands for the shader's own name, which does not matter to the content
_MARKER = re.compile(r'^#\s*\d+\s+"([^"]*)"', re.MULTILINE)


def preprocess(
    text: str, name: str, directory: Path, include: Sequence[str], defines: Mapping[str, str]
) -> str:
    """``toolchain.preprocess``, or what it gave for the same text, macros and headers."""
    entry = _entry(text, directory, include, defines)
    expanded = _found(entry)
    if expanded is None:
        try:
            expanded = toolchain.preprocess(text, MAIN, directory, include, dict(defines))
        except CompileError as error:
            raise CompileError(str(error).replace(MAIN, name)) from None
        _keep(entry, expanded)
    return expanded.replace(f'"{MAIN}"', f'"{name}"')


def _entry(text: str, directory: Path, include: Sequence[str], defines: Mapping[str, str]) -> Path:
    """Where the result is kept: by what is known without looking for headers."""
    places = [_portable(directory), *map(_portable, include)]
    own = [path.read_text() for path in sorted(toolchain.INCLUDE.iterdir())]
    key = json.dumps([text, places, sorted(defines.items()), own])
    digest = hashlib.sha256(key.encode()).hexdigest()
    return toolchain.cache_directory() / "preprocessed" / f"{digest}.json.gz"


def _portable(path: str | Path) -> str:
    """A path below the working directory relative to it: the same on another machine."""
    relative = os.path.relpath(path)
    return os.path.abspath(path) if relative.startswith("..") else relative


def _found(entry: Path) -> str | None:
    """What is kept, if all headers that it came from are as they were."""
    try:
        kept = json.loads(gzip.decompress(entry.read_bytes()))
    except OSError:
        return None
    same = all(_digest(path) == digest for path, digest in kept["headers"].items())
    return str(kept["text"]) if same else None


def _keep(entry: Path, expanded: str) -> None:
    headers = {_portable(path) for path in _MARKER.findall(expanded) if os.path.isfile(path)}
    own = _portable(toolchain.INCLUDE)  # in the entry's name
    kept = {
        "headers": {path: _digest(path) for path in sorted(headers) if not path.startswith(own)},
        "text": expanded,
    }
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=entry.parent) as scratch:
        made = Path(scratch) / entry.name
        made.write_bytes(gzip.compress(json.dumps(kept).encode(), mtime=0))
        made.replace(entry)


def _digest(path: str) -> str:
    """Of a file's content; empty if there is none."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
