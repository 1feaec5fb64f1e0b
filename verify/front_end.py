"""Compile our shaders and other projects' in the emulator's second front end, and count who passes.

PyTorch's and MLX's, unmodified, may have what Metal allows and ours do without.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emulator.opencl
from peers import mlx, pytorch
from verify import evidence
from verify.foreign import cases
from verify.variants import manifest


@dataclass(frozen=True)
class Shader:
    """A Metal source: a file, or the text that includes one."""

    group: str
    source: Path | str
    include: Path | None
    kernels: int
    lenient: bool

    def findings(self) -> list[str]:
        """What the second front end refuses."""
        include = [self.include] if self.include else []
        found = emulator.check_types(self.source, include, lenient=self.lenient)
        return [str(finding) for finding in found]


def shaders() -> Iterator[Shader]:
    """Ours, and of the peers' those that are here."""
    files = Counter(variant.path for variant in manifest())
    for path, kernels in files.items():
        yield Shader("generated", path, None, kernels, lenient=False)
    for family, header in ((cases.PREFILL, pytorch.PREFILL), (cases.DECODE, pytorch.DECODE)):
        if pytorch.available(header):
            count = len(pytorch.library(header).kernels)
            yield Shader(family, pytorch.source(header), pytorch.INCLUDE, count, lenient=True)
    if mlx.available():
        families = {mlx.STEEL: cases.STEEL, mlx.VECTOR: cases.VECTOR, mlx.BLOCKED: cases.BLOCKED}
        for header, family in families.items():
            own = [i for i in mlx.instances() if i.header == header]
            yield Shader(family, mlx.source(header, own), mlx.INCLUDE, len(own), lenient=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verify.front_end", description=__doc__)
    evidence.add_option(parser)
    chosen = parser.parse_args()
    start = time.perf_counter()
    everything = list(shaders())
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(Shader.findings, everything))
    rows = [row(everything, found, group) for group in dict.fromkeys(s.group for s in everything)]
    failures = [(shader.group, line) for shader, lines in zip(everything, found) for line in lines]
    for _, line in failures:
        print(line)
    for r in rows:
        print(f"{r['source']}: {r['passed']} of {r['files']} files pass, {r['kernels']} kernels")
    evidence.write(
        chosen.evidence,
        "front_end",
        "none",
        {
            "ran": len(everything),
            "failed": sum(bool(lines) for lines in found),
            "failures": evidence.failures(failures),
            "seconds": time.perf_counter() - start,
            "complete": pytorch.available(pytorch.PREFILL) and mlx.available(),
            "compiler": emulator.opencl.compiler(),
            "rows": rows,
        },
    )
    return 1 if failures else 0


def row(everything: Sequence[Shader], found: Sequence[list[str]], group: str) -> dict[str, Any]:
    """What became of a group of shaders."""
    own = [(s, lines) for s, lines in zip(everything, found) if s.group == group]
    return {
        "source": group,
        "files": len(own),
        "passed": sum(not lines for _, lines in own),
        "kernels": sum(s.kernels for s, _ in own),
    }


if __name__ == "__main__":
    sys.exit(main())
