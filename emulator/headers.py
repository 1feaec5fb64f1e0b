"""A header and all that it includes as one text, for compilers that are given nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_INCLUDE = re.compile(r'#include "(\w+\.h)"')


def one_text(name: str, places: Sequence[Path]) -> str:
    """Each file once and behind those that it includes; found in the first place that has it."""
    return _flat(name, places, set())


def _flat(name: str, places: Sequence[Path], seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    path = next(directory / name for directory in places if (directory / name).exists())
    shown = path.relative_to(_ROOT).as_posix()
    text = [f'#line 1 "{shown}"']
    for number, line in enumerate(path.read_text().splitlines(), 1):
        included = _INCLUDE.match(line)
        if included:
            text += [_flat(included.group(1), places, seen), f'#line {number + 1} "{shown}"']
        else:
            text.append("" if line == "#pragma once" else line)
    return "\n".join(text) + "\n"
