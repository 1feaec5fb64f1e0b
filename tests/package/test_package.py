"""What the package is made of: Python 3.9, stdlib and torch, relative imports."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import metal_flash_sdpa
import pytest

PACKAGE = Path(metal_flash_sdpa.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ALLOWED = {*sys.stdlib_module_names, "torch", "emulator"}  # the emulator where it is importable


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
