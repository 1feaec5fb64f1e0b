"""The namespace of this checkout's torch ops; a build has an _ops.py of its own in its place.

A digest of the sources is part of it.  torch.compile keeps graphs on disk, and one that other
sources made may call an op that now has other arguments.
"""

import hashlib
from pathlib import Path

import torch


def digest(package: Path) -> str:
    """What tells apart the sources of a package from those of other versions of it."""
    content = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


_OPS_NAME = f"_metal_flash_sdpa_checkout_{digest(Path(__file__).parent)}"

ops = getattr(torch.ops, _OPS_NAME)


def add_op_namespace_prefix(op_name: str) -> str:
    """The full name of an op of this checkout."""
    return f"{_OPS_NAME}::{op_name}"
