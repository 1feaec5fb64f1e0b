"""Fills CARD.md, the page on the Hub, as kernel-builder does: with MiniJinja, from the tree."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from minijinja import Environment

from ci.build import ROOT, build_toml, module_name


def public_names(source: str | bytes) -> list[str]:
    """The literal __all__ of a module's source; empty if it has none."""
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                return [str(ast.literal_eval(name)) for name in names]
    return []


def context(root: Path) -> dict[str, Any]:
    """What the card may use."""
    general = build_toml(root)["general"]
    init = root / "torch-ext" / module_name(root) / "__init__.py"
    names = public_names(init.read_bytes())
    return {
        "repo_id": general["hub"]["repo-id"],
        "version": general["version"],
        "license": general["license"].lower(),
        "functions": names or None,
        "layers": None,
        "has_benchmark": (root / "benchmarks/benchmark.py").is_file(),
        "upstream": None,
        "source": None,
    }


def fill(root: Path = ROOT) -> str:
    """The card of the checkout at `root`."""
    template = (root / "CARD.md").read_text()
    environment = Environment(templates={"card": template}, trim_blocks=True)
    card: str = environment.render_template("card", **context(root))
    return card
