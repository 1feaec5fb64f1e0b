"""Assembles build/torch-metal: the package with its shader sources, as kernel-builder lays it out.

The build needs no compiler: each Mac compiles the kernels that it uses.  It has nothing but files
that git tracks, so one commit gives the same bytes on every machine.  (kernel-builder also writes a
metal_flash_sdpa/__init__.py for `kernels` releases that do not know torch-metal; we do not.)
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import tomllib
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BACKEND = "metal"
VARIANT = f"torch-{BACKEND}"
SHADERS = "shaders"  # where catalogue.py looks
PYTHON = (".py", ".pyi", ".typed")

OPS_MODULE = Template('''\
"""The namespace of this build's torch ops.  Written by ci/build.py."""

import torch

_OPS_NAME = "$namespace"

ops = getattr(torch.ops, _OPS_NAME)


def add_op_namespace_prefix(op_name: str) -> str:
    """The full name of an op of this build."""
    return f"{_OPS_NAME}::{op_name}"
''')


class BuildError(RuntimeError):
    """No build can be made from this tree; the message says why."""


def git(root: Path, *arguments: str) -> str:
    """What git prints.  Raises BuildError with git's own words."""
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"git {arguments[0]}, in {root}: {done.stderr.strip()}")
    return done.stdout


def unique_id(root: Path) -> str:
    """Seven characters of the tree's hash; `_dirty` follows if a tracked file was changed."""
    tree = git(root, "rev-parse", "HEAD^{tree}")[:7]
    changed = git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{tree}_dirty" if changed else tree


def tracked(root: Path, folder: str) -> list[str]:
    """The files that git tracks under a folder, relative to it."""
    return git(root, "-C", folder, "ls-files", "-z").split("\0")[:-1]


def build_toml(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "build.toml").read_text())


def hub_name(root: Path = ROOT) -> str:
    """Where the build is published: owner/name."""
    name: str = build_toml(root)["general"]["hub"]["repo-id"]
    return name


def in_place_of_the_hub(variant: Path, root: Path = ROOT) -> dict[str, str]:
    """The environment in which `kernels`, and so transformers, loads `variant` and no network."""
    return {"LOCAL_KERNELS": f"{hub_name(root)}={variant}", "HF_HUB_OFFLINE": "1"}


def module_name(root: Path) -> str:
    """The package's name in Python."""
    name: str = build_toml(root)["general"]["name"]
    return name.replace("-", "_")


def package(root: Path) -> dict[str, bytes]:
    """The package with its shaders: path inside it -> content."""
    folder = f"torch-ext/{module_name(root)}"
    sources = {path: f"{folder}/{path}" for path in tracked(root, folder)}
    files = {path: source for path, source in sources.items() if path.endswith(PYTHON)}
    for shader in build_toml(root)["kernel"][SHADERS]["src"]:
        files[f"{SHADERS}/{PurePosixPath(shader).name}"] = shader
    absent = [source for source in files.values() if not (root / source).is_file()]
    if absent:
        raise BuildError(f"not on disk: {', '.join(absent)}")
    return {path: (root / source).read_bytes() for path, source in files.items()}


def digest(files: dict[str, bytes]) -> dict[str, Any]:
    """SHA-256 of every file, base64, by path."""
    hashes = {path: hashlib.sha256(data).digest() for path, data in sorted(files.items())}
    return {
        "algorithm": "sha256",
        "files": {path: base64.b64encode(value).decode() for path, value in hashes.items()},
    }


def contents(root: Path) -> dict[str, bytes]:
    """Everything in the variant's directory: path -> content."""
    general = build_toml(root)["general"]
    namespace = f"_{module_name(root)}_{BACKEND}_{unique_id(root)}"
    files = package(root)
    files["_ops.py"] = OPS_MODULE.substitute(namespace=namespace).encode()
    metadata = {
        "name": general["name"],
        "id": namespace,
        "version": general["version"],
        "license": general["license"],
        "python-depends": [],
        "kernel-depends": [],
        "backend": {"type": BACKEND},
        "digest": digest(files),
    }
    return {**files, "metadata.json": json.dumps(metadata, indent=2).encode()}


def assemble(directory: Path, root: Path = ROOT) -> Path:
    """Write the variant of the checkout at `root` to directory/torch-metal; return its path.

    What lay there before is removed.  Raises BuildError if `root` is not a git checkout or lacks
    a file that build.toml lists.
    """
    files = contents(root)
    variant = directory / VARIANT
    shutil.rmtree(variant, ignore_errors=True)
    for path, data in files.items():
        target = variant / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return variant


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s build --", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "build",
        metavar="DIRECTORY",
        help="where torch-metal is put (default: build)",
    )
    variant = assemble(parser.parse_args().output)
    metadata = json.loads((variant / "metadata.json").read_text())
    print(f"{variant}: {metadata['id']}, {len(metadata['digest']['files'])} files")
    if metadata["id"].endswith("_dirty"):
        print("The tree has changes that are not committed; such a build is not published.")


if __name__ == "__main__":
    main()
