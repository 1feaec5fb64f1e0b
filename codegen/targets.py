"""Which build a Mac gets.

kernel-builder makes ahead-of-time (AoT) builds for some torch releases.  A Mac with another torch,
or with an older macOS, gets torch-metal, where it compiles the kernels that it uses.
"""

from __future__ import annotations

Torch = tuple[int, int]

# The kernel-builder that flake.lock pins, and the torch releases that it makes builds for.  The
# builds are compiled as Metal 4.0, so `kernels` loads them from macOS 26 on.
BUILDER_REV = "8ac69fc542a4306eade0759ef7c45b4f2ae57df0"
AOT_TORCH: tuple[Torch, ...] = ((2, 12), (2, 13))
AOT_MACOS = 26

OLDEST_MACOS = 14  # its Metal is the first with bfloat
NOARCH = "torch-metal"


def aot(torch: Torch) -> str:
    """The name of the AoT build for a torch release."""
    return f"torch{torch[0]}{torch[1]}-metal-aarch64-darwin"


def build_for(macos: int, torch: Torch) -> str:
    """The build that `kernels` picks on a Mac."""
    return aot(torch) if macos >= AOT_MACOS and torch in AOT_TORCH else NOARCH


def table(oldest_torch: Torch) -> str:
    """Which build for each macOS and torch, in Markdown."""
    (major, first), (_, last) = AOT_TORCH[0], AOT_TORCH[-1]
    columns = {
        f"torch {major}.{oldest_torch[1]} to {major}.{first - 1}": oldest_torch,
        **{f"torch {major}.{minor}": (major, minor) for _, minor in AOT_TORCH},
        f"torch {major}.{last + 1} and later": (major, last + 1),
    }
    rows = {f"{OLDEST_MACOS}, 15": OLDEST_MACOS, f"{AOT_MACOS} and later": AOT_MACOS}
    lines = [f"| macOS | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for name, macos in rows.items():
        builds = (build_for(macos, torch) for torch in columns.values())
        lines.append(f"| {name} | {' | '.join(builds)} |")
    return "\n".join(lines) + "\n"
