"""Assembles the torch-metal builds: the package with its shader sources, as kernel-builder does.

There are two, for two repositories on the Hub: build/torch-metal, with flash-attn's functions, and
build/metal-attention/torch-metal, of the same files, which offers transformers the one function
that takes its masks.  transformers tells the two contracts apart by what a build has.

A build needs no compiler: each Mac compiles the kernels that it uses.  It has nothing but files
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
from dataclasses import dataclass
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

MASKED_MODULE = '''\
"""Attention for Apple GPUs with transformers' masks.  Written by ci/build.py."""

from .attention_interface import flash_attn_forward, supports_flash_attn

__all__ = ["flash_attn_forward", "supports_flash_attn"]
'''


@dataclass(frozen=True)
class Product:
    """A repository on the Hub, and what its build has of its own."""

    name: str
    repo: str  # owner/name
    version: int
    folder: str  # under build/
    init: str = ""  # the text of __init__.py; empty: the package's
    card: str = "CARD.md"  # where kernel-builder looks


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


def flash(root: Path = ROOT) -> Product:
    """The repository with flash-attn's functions."""
    general = build_toml(root)["general"]
    return Product(general["name"], hub_name(root), general["version"], "")


def masked(root: Path = ROOT) -> Product:
    """The repository with the function that takes transformers' masks.

    There must be no "flash" in its name: transformers refuses such a name for models whose masks
    flash-attn cannot take.  Of a repository that it does not list, transformers loads version 1.
    """
    name = "metal-attention"
    owner, _ = hub_name(root).split("/")
    return Product(name, f"{owner}/{name}", 1, name, MASKED_MODULE, f"ci/{name}.md")


def in_place_of_the_hub(variant: Path, repo: str = "") -> dict[str, str]:
    """The environment in which `kernels`, and so transformers, loads `variant` and no network."""
    return {"LOCAL_KERNELS": f"{repo or hub_name()}={variant}", "HF_HUB_OFFLINE": "1"}


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


def contents(root: Path, product: Product) -> dict[str, bytes]:
    """Everything in the variant's directory: path -> content."""
    general = build_toml(root)["general"]
    namespace = f"_{product.name.replace('-', '_')}_{BACKEND}_{unique_id(root)}"
    files = package(root)
    if product.init:
        files["__init__.py"] = product.init.encode()
    files["_ops.py"] = OPS_MODULE.substitute(namespace=namespace).encode()
    metadata = {
        "name": product.name,
        "id": namespace,
        "version": product.version,
        "license": general["license"],
        "python-depends": [],
        "kernel-depends": [],
        "backend": {"type": BACKEND},
        "digest": digest(files),
    }
    return {**files, "metadata.json": json.dumps(metadata, indent=2).encode()}


def assemble(directory: Path, root: Path = ROOT, product: Product | None = None) -> Path:
    """Write a product of the checkout at `root` to its torch-metal in a directory; return its path.

    It is that with flash-attn's functions if none is given.

    What lay there before is removed.  Raises BuildError if `root` is not a git checkout or lacks
    a file that build.toml lists.
    """
    product = product or flash(root)
    files = contents(root, product)
    variant = directory / product.folder / VARIANT
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
        help="where the builds are put (default: build)",
    )
    output = parser.parse_args().output
    for product in (flash(), masked()):
        variant = assemble(output, product=product)
        metadata = json.loads((variant / "metadata.json").read_text())
        print(f"{variant}: {metadata['id']}, {len(metadata['digest']['files'])} files")
    if metadata["id"].endswith("_dirty"):
        print("The tree has changes that are not committed; such a build is not published.")


if __name__ == "__main__":
    main()
