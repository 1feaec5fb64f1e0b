"""What Python and the shim share is the same on both sides, or no kernel is loaded."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import emulator
from emulator import EmulatorError, toolchain

SOURCE = "#include <metal_stdlib>\nkernel void f(device float* x [[buffer(0)]]) { x[0] = 1; }"

# A header of the shim, what is changed there, and what the message says of it.
CHANGES = [
    (
        "fibres.h",
        "    unsigned failure;\n    unsigned schedule;",
        "    unsigned schedule;\n    unsigned failure;",
        "Launch.failure is 152 in emulator/shim and 148 in emulator/launch/structs.py",
    ),
    (
        "parameters.h",
        "unsigned size;  // bytes",
        "unsigned long size;",
        "sizeof(Parameter) is 16 in emulator/shim and 12 in emulator/launch/structs.py",
    ),
    (
        "checks.h",
        "GRANULE = 2",
        "GRANULE = 4",
        "GRANULE is 4 in emulator/shim and 2 in emulator/launch/structs.py",
    ),
    (
        "layouts.h",
        "    EMULATOR_MEMBER(Finding, group),\n",
        "",
        "Finding.group is missing in emulator/shim and 28 in emulator/launch/structs.py",
    ),
]


@pytest.mark.parametrize(("header", "old", "new", "message"), CHANGES)
def test_a_shim_that_differs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, old: str, new: str, message: str
) -> None:
    shim = Path(shutil.copytree(toolchain.SHIM, tmp_path / "shim"))
    monkeypatch.setattr(
        toolchain, "FORCED", ("-isystem", str(shim), "-include", str(shim / "metal.h"))
    )
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path / "cache"))
    text = (shim / header).read_text()
    assert text.count(old) == 1
    (shim / header).write_text(text.replace(old, new))
    with pytest.raises(EmulatorError, match=re.escape(message)):
        emulator.compile(SOURCE).function("f").load()
