"""build.toml: what kernel-builder is told, under its own validator."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from kernels._rust import Build

from codegen.matrix import matrix
from codegen.project import Project, ProjectError, project
from codegen.render import ROOT, compare, native_sources, outputs

FILES = outputs(matrix())
TEXT = FILES["build.toml"]
SHADERS = tomllib.loads(TEXT)["kernel"]["shaders"]["src"]


def write(directory: Path, text: str) -> Path:
    (directory / "build.toml").write_text(text)
    return directory


def test_the_builder_accepts_it() -> None:
    assert [str(backend) for backend in Build.open(ROOT).general.backends] == ["metal"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 2", 'version = "2"'),
        ("edition = 5", "edition = 5\ncolour = 1"),
        ('backend = "metal"', 'backend = "vulkan"'),
        ('name = "metal-flash-sdpa"', 'name = "metal_flash_sdpa"'),
    ],
)
def test_the_builder_would_refuse_a_bad_one(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=r"build\.toml|expected|unknown|name"):
        Build.open(write(tmp_path, TEXT.replace(old, new, 1)))


def test_it_lists_the_manifest_and_the_native_sources() -> None:
    manifest = json.loads((ROOT / "generated/manifest.json").read_text())
    assert list(dict.fromkeys(f"generated/{row['file']}" for row in manifest)) == SHADERS
    assert tomllib.loads(TEXT)["torch"]["src"] == native_sources()
    assert all((ROOT / path).is_file() for path in (*SHADERS, *native_sources()))


def test_shader_names_survive_the_builder() -> None:
    """It cuts a name at its second dot, and gives two files of one stem one object."""
    names = [Path(path).name for path in SHADERS]
    assert [name for name in names if name.count(".") != 1] == []
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("text", [TEXT.replace(f'  "{SHADERS[3]}",\n', ""), TEXT + "\n", ""])
def test_another_source_list_is_not_fresh(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert compare({"build.toml": TEXT}, tmp_path).changed == ("build.toml",)


def test_native_sources_are_those_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "torch-ext"
    (folder / "metal_flash_sdpa").mkdir(parents=True)
    for name in ("b.mm", "a.cpp", "c.h", "notes.txt", "metal_flash_sdpa/x.cpp"):
        (folder / name).touch()
    assert native_sources(tmp_path) == ["torch-ext/a.cpp", "torch-ext/b.mm", "torch-ext/c.h"]


def test_the_version_has_one_source() -> None:
    assert tomllib.loads(TEXT)["general"]["version"] == project(ROOT).release == 2
    assert project(ROOT).version.startswith("2.")


def test_a_project_without_torch_or_licence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"no torch>=X\.Y among the dependencies"):
        _ = Project("name", "for-pip", "2.0", "Apache-2.0", ("torch",)).oldest_torch
    (tmp_path / "pyproject.toml").write_text(
        '[tool.hub]\nname = "x"\n[project]\nname = "x"\nversion = "2"\n'
    )
    with pytest.raises(ProjectError, match="has no 'license'"):
        project(tmp_path)
