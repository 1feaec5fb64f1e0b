"""Rendering and its check: what is written, and that nothing else may lie there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.matrix import Variant, matrix
from codegen.render import (
    ROOT,
    TEMPLATES,
    RenderError,
    compare,
    environment,
    outputs,
    shader,
    write,
)

FILES = outputs(matrix())
ONE = f"generated/{matrix()[0].file}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what codegen writes, fresh."""
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    write(FILES, tmp_path)
    assert not compare(FILES, tmp_path)
    return tmp_path


def test_the_committed_files_are_fresh() -> None:
    assert not compare(FILES), list(compare(FILES).lines())


def test_check_names_what_was_edited_deleted_or_added(tree: Path) -> None:
    (tree / ONE).write_text((tree / ONE).read_text() + "\n")
    (tree / "generated/manifest.json").unlink()
    (tree / "generated/orphan.metal").write_text("")
    changes = compare(FILES, tree)
    assert changes.changed == (ONE,)
    assert changes.missing == ("generated/manifest.json",)
    assert changes.extra == ("generated/orphan.metal",)
    write(FILES, tree)
    assert not compare(FILES, tree)


def test_an_edited_table_in_the_readme_is_noticed(tree: Path) -> None:
    (tree / "README.md").write_text((tree / "README.md").read_text().replace("| 64 |", "| 65 |"))
    assert compare(FILES, tree).changed == ("README.md",)


def test_unchanged_files_are_not_written_again(tree: Path) -> None:
    before = (tree / ONE).stat().st_mtime_ns
    write(FILES, tree)
    assert (tree / ONE).stat().st_mtime_ns == before


def test_an_unknown_variable_stops_with_the_row_named(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    part = tmp_path / "parts/band.metal.j2"
    part.write_text(part.read_text() + "{{ no_such_thing }}\n")
    variant = matrix()[0]
    with pytest.raises(RenderError, match=rf"{variant.name}: UndefinedError: 'no_such_thing'"):
        shader(variant, environment(tmp_path))


def test_text_that_is_not_ascii_is_refused(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    part = tmp_path / "parts/band.metal.j2"
    part.write_text(part.read_text() + "// \N{GREEK SMALL LETTER ALPHA}\n")
    with pytest.raises(RenderError, match=f"{matrix()[0].name}: UnicodeEncodeError"):
        shader(matrix()[0], environment(tmp_path))


@pytest.mark.parametrize("variant", matrix(), ids=lambda v: v.name)
def test_shaders_are_plain_metal(variant: Variant) -> None:
    """No template left over, no function constant, no Jinja, no blank-line litter."""
    text = FILES[f"generated/{variant.file}"]
    assert not re.search(r"\btemplate\b|function_constant|\{[{%#]|[ \t]+$|\n\n\n", text, re.M)
    assert text.endswith("}\n")


def run_codegen(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "codegen", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_line() -> None:
    fresh = run_codegen("--check")
    assert fresh.returncode == 0, fresh.stdout
    listing = run_codegen("--list").stdout
    assert all(variant.name in listing for variant in matrix())
    assert listing.splitlines()[-1] == f"{len(matrix())} kernels"
