"""The wheel: the same package as the torch-metal build, and it works on its own."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from ci.build import ROOT, package
from ci.wheel import WheelError, build, try_out
from codegen.matrix import matrix
from codegen.project import project


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def edited(wheel: Path, directory: Path, file: str, text: str | None) -> Path:
    """A copy of the wheel with another text in one file, or without that file."""
    copy = directory / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            if not name.endswith(f"/{file}"):
                new.writestr(name, old.read(name))
            elif text is not None:
                new.writestr(name, text)
    return copy


def test_it_holds_the_same_files_as_the_build(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {
            name.removeprefix("metal_flash_sdpa/"): archive.read(name)
            for name in archive.namelist()
            if ".dist-info/" not in name
        }
    assert files == package(ROOT)
    assert "py.typed" in files


def test_it_is_pure_python_with_the_version_of_the_project(wheel: Path) -> None:
    name = project(ROOT).distribution
    assert wheel.name == f"{name.replace('-', '_')}-{project(ROOT).version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(path).decode())
    assert (metadata["Name"], metadata["Version"]) == (name, project(ROOT).version)
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or ())
    assert metadata["License-Expression"] == project(ROOT).license
    assert tuple(metadata.get_all("Requires-Dist") or ()) == project(ROOT).dependencies


def test_it_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    found = try_out(wheel, tmp_path / "empty")
    assert found["kernel"] in {variant.name for variant in matrix()}
    assert len(found["shaders"]) == len(matrix())
    assert found["doctor"] == [2, f"{project(ROOT).distribution} {project(ROOT).version}"]


def test_a_wheel_without_a_shader_is_noticed(wheel: Path, tmp_path: Path) -> None:
    broken = edited(wheel, tmp_path, matrix()[0].file, None)
    with pytest.raises(WheelError, match=rf"{matrix()[0].file} is neither in"):
        try_out(broken, tmp_path / "empty")


def test_a_wheel_that_needs_more_than_torch_is_noticed(wheel: Path, tmp_path: Path) -> None:
    broken = edited(wheel, tmp_path, "plan.py", "import emulator\n")
    with pytest.raises(WheelError, match="No module named 'emulator'"):
        try_out(broken, tmp_path / "empty")
