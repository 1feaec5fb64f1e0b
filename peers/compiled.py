"""The same kernels as Apple's compiler left them in the wheels for macOS.

``python -m peers.fetch --compiled`` gets them.
"""

from __future__ import annotations

import functools

from emulator import air

from . import fetch

# Where the libraries of each are, and of which wheel they have to be: that of the sources.
AUTHORS = {
    "PyTorch": (fetch.PYTORCH_COMPILED, fetch.torch_requirement),
    "MLX": (fetch.TARGET, fetch.requirement),
}


@functools.cache
def libraries(author: str) -> tuple[air.Library, ...]:
    """Those of one of AUTHORS, for the oldest macOS first; none if they are not here."""
    folder, wanted = AUTHORS[author]
    if not fetch.is_here(wanted(), folder):
        return ()
    found = map(air.Library, folder.glob("*.metallib"))
    return tuple(sorted(found, key=lambda library: library.macos))


def available(author: str) -> bool:
    """Whether they are here."""
    return bool(libraries(author))
