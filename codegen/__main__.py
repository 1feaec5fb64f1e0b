"""python -m codegen: write generated/ from the matrix and the templates.

python -m codegen           write what differs, remove orphans
python -m codegen --check   write nothing; name each changed, missing or extra file, and exit 1
python -m codegen --list    print the matrix
"""

from __future__ import annotations

import argparse
import sys

from codegen.matrix import MatrixError, Variant, matrix
from codegen.project import ProjectError
from codegen.render import RenderError, compare, outputs, write
from codegen.tile_shapes import TileError


def print_matrix(variants: tuple[Variant, ...]) -> None:
    """The matrix as a table: one line per kernel."""
    width = max(len(variant.name) for variant in variants)
    print(f"{'kernel':{width}}  block_q  block_k  threads  threadgroup bytes")
    for v in variants:
        tile = v.tile
        print(
            f"{v.name:{width}}  {tile.block_q:7}  {tile.block_k:7}  {tile.threads:7}"
            f"  {v.threadgroup_bytes:17,}"
        )
    print(f"{len(variants)} kernels")


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m codegen", description=__doc__.split("\n", 1)[0]
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--check", action="store_true", help="write nothing; fail if a generated file is not fresh"
    )
    mode.add_argument("--list", action="store_true", help="print the matrix")
    options = parser.parse_args()

    try:
        variants = matrix()
        if options.list:
            print_matrix(variants)
            return 0
        files = outputs(variants)
    except (MatrixError, ProjectError, RenderError, TileError) as error:
        print(f"codegen: {error}", file=sys.stderr)
        return 1

    if options.check:
        changes = compare(files)
        for line in changes.lines():
            print(line)
        if changes:
            print("generated files are not fresh: run `python -m codegen`")
            return 1
        print(f"{len(files)} generated files are fresh")
        return 0

    changes = write(files)
    for line in changes.lines():
        print(line)
    print(f"{len(files)} files; {sum(1 for _ in changes.lines())} were not fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
