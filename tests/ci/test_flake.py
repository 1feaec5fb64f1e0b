"""The flake under nix, and that its check notices what can be wrong with it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ci import flake
from ci.build import ROOT
from codegen.matrix import matrix

needs_nix = pytest.mark.skipif(not shutil.which("nix"), reason="no nix: see nox -s flake")
SHADER = f"generated/{matrix()[0].file}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with this checkout's tracked files."""
    flake.copy(ROOT, tmp_path)
    return tmp_path


@needs_nix
def test_this_flake_is_as_it_should_be() -> None:
    assert flake.problems() == []


@needs_nix
@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            "flake.nix",
            "packages.backendBundle.metal or packages.bundle",
            "packages.build-and-copy",
            "bundle and default differ",
        ),
        (
            "flake.nix",
            "kernels-cli = packages.kernels;",
            "",
            "packages.x86_64-linux.kernels-cli is missing",
        ),
        (
            "flake.nix",
            "built // {",
            "{",
            "does not provide attribute 'packages.x86_64-linux.devShells'",
        ),
        ("flake.nix", "inherit self;", "self = { };", "not in a git repository"),
        ("flake.nix", "packages\n        // {", "{", "packages.x86_64-linux.bundle is missing"),
        ("flake.nix", "jinja2", "jinja3", "undefined variable 'jinja3'"),
        (
            "flake.nix",
            "inputs.k",
            'inputs.more.follows = "kernel-builder";\n  inputs.k',
            "lock file",
        ),
        ("flake.lock", "8ac69fc542", "0000000000", "has the targets of 8ac69fc542"),
        ("build.toml", SHADER, "generated/no_such.metal", "lists what does not exist"),
        ("build.toml", 'backends = ["metal"]', 'backends = ["cpu"]', "no build variant for"),
    ],
)
def test_a_wrong_one_is_noticed(
    checkout: Path, file: str, old: str, new: str, problem: str
) -> None:
    text = (checkout / file).read_text()
    assert old in text
    (checkout / file).write_text(text.replace(old, new))
    assert problem in "\n".join(flake.problems(checkout))


@needs_nix
def test_a_file_that_the_build_would_not_see_is_noticed(checkout: Path) -> None:
    path = "torch-ext/metal_flash_sdpa/table.json"
    (checkout / path).touch()
    flake.commit(checkout)
    assert flake.problems(checkout) == [
        f"filtered out of the build (add to pyext, or to src): {path}"
    ]


def test_without_nix_it_fails_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    for arguments, code in (([], 1), (["--allow-missing"], 0)):
        monkeypatch.setattr(sys, "argv", ["flake", *arguments])
        assert flake.main() == code
        assert "NOT evaluated" in capsys.readouterr().out
