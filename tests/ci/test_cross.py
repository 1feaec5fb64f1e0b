"""nox -s cross, as far as it goes without a download."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ci import cross
from ci.cross import CrossError, RefusedError, Result, failed, wanted
from ci.macho import imports
from codegen.targets import AOT_TORCH

SOURCE = """
extern int getpid(void);
extern void objc_msgSend(void);
int both(void) { objc_msgSend(); return getpid(); }
"""


def link(directory: Path, *libraries: Path) -> bytes:
    """SOURCE as a library for macOS."""
    source, linked = directory / "both.c", directory / "both.so"
    source.write_text(SOURCE)
    target = ("-target", "aarch64-macos.14.0", "-shared", "-nostdlib")
    cross.run(sys.executable, "-m", "ziglang", "cc", *target, source, *libraries, "-o", linked)
    return linked.read_bytes()


def test_all_targets_and_the_newest_series_are_wanted() -> None:
    versions = ["2.15.1", "2.15.0", "2.14.0", "2.13.0", "2.12.1", "2.12.0", "2.11.0"]
    assert wanted(versions) == ["2.15.1", "2.14.0", "2.13.0", "2.12.1", "2.12.0"]
    assert wanted(versions[3:]) == ["2.13.0", "2.12.1", "2.12.0"]
    with pytest.raises(CrossError, match=r"no wheel of torch \[\(2, 12\)\]"):
        wanted(versions[:4])


def test_the_sources_are_those_that_the_builder_compiles() -> None:
    assert [path.suffix for path in cross.native_sources()] == [".mm", ".cpp"]


def test_imports_are_read_with_their_libraries(tmp_path: Path) -> None:
    found = imports(link(tmp_path, cross.STAND_INS / "macos/libobjc.tbd"))
    assert found["/usr/lib/libobjc.A.dylib"] == ["_objc_msgSend"]
    assert "_getpid" in found["/usr/lib/libSystem.B.dylib"]


def test_a_name_that_no_library_has_does_not_link(tmp_path: Path) -> None:
    with pytest.raises(CrossError, match="undefined symbol: _objc_msgSend"):
        link(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + bytes(60)])
def test_another_file_has_no_imports(data: bytes) -> None:
    with pytest.raises(ValueError, match="is not a 64-bit Mach-O file"):
        imports(data)


def test_a_torch_without_headers_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cross, "fetch", lambda version: tmp_path)
    result = cross.check("2.13.0")
    assert not result.compiled
    assert "MetalShaderLibrary.h" in result.problem
    assert failed(result, asked=False)
    assert "NO" in result.row()


def test_only_a_release_that_nobody_needs_may_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(version: str) -> Path:
        raise RefusedError("(constraint)")

    monkeypatch.setattr(cross, "fetch", refuse)
    newest = cross.check("2.99.0")
    assert not failed(newest, asked=False)
    assert failed(newest, asked=True)
    assert failed(cross.check(f"{AOT_TORCH[0][0]}.{AOT_TORCH[0][1]}.0"), asked=False)
    assert not failed(Result("2.13.0", compiled=True, linked=True), asked=True)


def test_what_is_left_to_macos_is_named() -> None:
    left = {"libSystem.B.dylib": ["_a", "_b"], "libobjc.A.dylib": ["_objc_msgSend"]}
    assert cross.describe(left) == "libSystem: 2, _objc_msgSend"
