"""The same kernels as Apple's compiler left them in the wheels for macOS.

``python -m peers.fetch --compiled`` gets them.
"""

from __future__ import annotations

import functools

from emulator import air

from . import fetch


@functools.cache
def libraries(author: str) -> tuple[air.Library, ...]:
    """Those of "PyTorch" or "MLX", for the oldest macOS first; none if they are not here."""
    paths = {
        "PyTorch": sorted(fetch.PYTORCH_COMPILED.glob("*.metallib")),
        "MLX": [fetch.METALLIB] if fetch.METALLIB.exists() else [],
    }
    return tuple(sorted(map(air.Library, paths[author]), key=lambda library: library.macos))


def available(author: str) -> bool:
    """Whether they are here."""
    return bool(libraries(author))
