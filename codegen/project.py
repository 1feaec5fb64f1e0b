"""What the project is called and which version it is: pyproject.toml says so, once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path


class ProjectError(ValueError):
    """Something that a build needs is not in pyproject.toml; the message says what."""


@dataclass(frozen=True)
class Project:
    """pyproject.toml, as far as the builds use it."""

    name: str  # on the Hub
    distribution: str  # for pip
    version: str
    license: str
    dependencies: tuple[str, ...]

    @property
    def release(self) -> int:
        """The version on the Hub, an integer: the major number of the package's version."""
        return int(self.version.split(".")[0])

    @property
    def oldest_torch(self) -> tuple[int, int]:
        """The first torch release that the package runs on."""
        for dependency in self.dependencies:
            if match := re.fullmatch(r"torch>=(\d+)\.(\d+)", dependency):
                return int(match[1]), int(match[2])
        raise ProjectError(
            f"pyproject.toml: no torch>=X.Y among the dependencies {self.dependencies}"
        )


def project(root: Path) -> Project:
    """Read pyproject.toml.  Raises ProjectError naming a key that is missing."""
    tables = tomllib.loads((root / "pyproject.toml").read_text())
    table = tables["project"]
    try:
        return Project(
            name=tables["tool"]["hub"]["name"],
            distribution=table["name"],
            version=table["version"],
            license=table["license"],
            dependencies=tuple(table["dependencies"]),
        )
    except KeyError as error:
        raise ProjectError(f"pyproject.toml has no {error}") from error
