"""What the package is made of: Python 3.9, stdlib and torch, relative imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import metal_flash_sdpa
import pytest
from metal_flash_sdpa import _ops

PACKAGE = Path(metal_flash_sdpa.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
# The emulator where it is importable, transformers where one registers with it.
ALLOWED = {*sys.stdlib_module_names, "torch", "emulator", "transformers"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name)
def test_python_39_and_known_imports(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
        assert {name.split(".")[0] for name in names} <= ALLOWED


def test_all_is_a_literal() -> None:
    """The card on the Hub is filled from it, without running anything."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    values = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert values == [metal_flash_sdpa.__all__]


IMPORT_SECONDS = 0.3  # beyond torch's
CPU_SECONDS = """
import time
import torch
begin = time.process_time()
import metal_flash_sdpa
print(time.process_time() - begin)
"""


def test_it_is_imported_in_no_time() -> None:
    """CPU time, and the best of three, as a loaded machine only ever adds to it."""
    taken = []
    for _ in range(3):
        command = [sys.executable, "-c", CPU_SECONDS]
        done = subprocess.run(
            command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True
        )
        taken.append(float(done.stdout))
        if taken[-1] <= IMPORT_SECONDS:
            return
    pytest.fail(f"{min(taken):.2f} s: must be at most {IMPORT_SECONDS}")


def test_other_sources_have_ops_of_their_own(tmp_path: Path) -> None:
    """torch.compile keeps graphs on disk, which call ops by name."""
    for version, source in (("old", "x = 1"), ("same", "x = 1"), ("new", "x = 2")):
        (tmp_path / version / "launchers").mkdir(parents=True)
        (tmp_path / version / "launchers/jit.py").write_text(source)
    digests = [_ops.digest(tmp_path / version) for version in ("old", "same", "new")]
    assert digests[0] == digests[1] != digests[2]
    assert _ops._OPS_NAME.endswith(_ops.digest(PACKAGE))
