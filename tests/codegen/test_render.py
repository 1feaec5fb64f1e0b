"""Rendering and its check: what is written, and that nothing else may lie there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.matrix import Variant, files, matrix
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
from codegen.tile_shapes import PrefillTile
from codegen.widths import plain

FILES = outputs(matrix())
ONE = f"generated/{matrix()[0].file}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what codegen writes, fresh."""
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


@pytest.mark.parametrize(
    ("page", "cell"),
    [("README.md", "| 64 |"), ("docs/building.md", "| 14, 15 |"), ("CARD.md", "| 14, 15 |")],
)
def test_an_edited_table_in_a_page_is_noticed(tree: Path, page: str, cell: str) -> None:
    text = FILES[page]
    assert cell in text
    (tree / page).write_text(text.replace(cell, "| 1 |"))
    assert compare(FILES, tree).changed == (page,)


def test_unchanged_files_are_not_written_again(tree: Path) -> None:
    before = (tree / ONE).stat().st_mtime_ns
    write(FILES, tree)
    assert (tree / ONE).stat().st_mtime_ns == before


def test_an_unknown_variable_stops_with_the_file_named(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    part = tmp_path / "parts/band.metal.j2"
    part.write_text(part.read_text() + "{{ no_such_thing }}\n")
    variants = files(matrix())
    name = next(iter(variants))
    with pytest.raises(RenderError, match=rf"{name}: UndefinedError: 'no_such_thing'"):
        shader(variants[name], environment(tmp_path))


def test_text_that_is_not_ascii_is_refused(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    part = tmp_path / "parts/band.metal.j2"
    part.write_text(part.read_text() + "// \N{GREEK SMALL LETTER ALPHA}\n")
    variant = matrix()[0]
    with pytest.raises(RenderError, match=f"{variant.file}: UnicodeEncodeError"):
        shader([variant], environment(tmp_path))


def test_a_tile_says_whether_it_holds_its_queries() -> None:
    """Tiles of one file need not agree."""
    holds = PrefillTile(simdgroups=4, rows=8, block=8)
    reads = PrefillTile(simdgroups=4, rows=16, block=32)
    variants = [
        Variant("prefill", plain(192), "float16", "full", False, tile) for tile in (holds, reads)
    ]
    assert [v.rows_held for v in variants] == [(True,), (False,)]
    text = shader(variants, environment())
    structs = [text[text.index(f"struct {tile.name} ") :] for tile in (holds, reads)]
    kinds = [re.search(r"typedef (\w+)<\w+, \w+> Queries;", struct) for struct in structs]
    assert [kind and kind[1] for kind in kinds] == ["HeldRows", "ReadRows"]


SHADERS = [path for path in FILES if path.endswith(".metal")]
LINE_LENGTH = 130  # of the templates' output: a signature of six parameters


@pytest.mark.parametrize("path", SHADERS)
def test_shaders_are_plain_metal(path: str) -> None:
    """No function constant, no include of ours, no Jinja, no blank-line litter, no long line."""
    text = FILES[path]
    assert not re.search(r"function_constant|\{[{%#]|[ \t]+$|\n\n\n", text, re.M)
    assert set(re.findall(r"#include (\S+)", text)) <= {
        "<metal_stdlib>", "<metal_simdgroup_matrix>",
    }  # fmt: skip
    assert text.endswith(("}\n", "#endif\n"))
    long = [line for line in text.splitlines() if len(line) > LINE_LENGTH]
    assert not long, long


def test_a_file_holds_its_kernels_and_each_can_be_had_alone() -> None:
    """With ONLY and ONLY_<kernel> defined the preprocessor leaves one kernel's line."""
    for name, variants in files(matrix()).items():
        text = FILES[f"generated/{name}"]
        if len(variants) == 1:
            assert f"void {variants[0].name}(" in text or f"ONLY_{variants[0].name})" in text
            continue
        guards = re.findall(r"#if !defined\(ONLY\) \|\| defined\(ONLY_(\w+)\)", text)
        hosts = re.findall(r'\[\[host_name\("(\w+)"\)\]\]', text)
        assert guards == hosts == [v.name for v in variants]


def run_codegen(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "codegen", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_command_line() -> None:
    fresh = run_codegen("--check")
    assert fresh.returncode == 0, fresh.stdout
    listing = run_codegen("--list").stdout
    assert all(variant.name in listing for variant in matrix())
    assert listing.splitlines()[-1] == f"{len(matrix())} kernels"
