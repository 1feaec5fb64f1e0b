"""The same kernels as Apple's compiler left them in the wheels for macOS.

``python -m peers.fetch --compiled`` gets them.
"""

from __future__ import annotations

import functools

from emulator import air

from . import fetch

AUTHORS = {"PyTorch": fetch.PYTORCH_COMPILED, "MLX": fetch.METALLIB.parent}  # and their folders


@functools.cache
def libraries(author: str) -> tuple[air.Library, ...]:
    """Those of one of AUTHORS, for the oldest macOS first; none if they are not here."""
    found = map(air.Library, AUTHORS[author].glob("*.metallib"))
    return tuple(sorted(found, key=lambda library: library.macos))


def available(author: str) -> bool:
    """Whether they are here."""
    return bool(libraries(author))
