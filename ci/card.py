"""Fills CARD.md, the page on the Hub, as kernel-builder does: with MiniJinja, from the tree."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from minijinja import Environment

from ci.build import ROOT, Product, build_toml, flash, module_name


def public_names(source: str | bytes) -> list[str]:
    """The literal __all__ of a module's source; empty if it has none."""
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                return [str(ast.literal_eval(name)) for name in names]
    return []


def context(root: Path, product: Product) -> dict[str, Any]:
    """What the card may use."""
    init = root / "torch-ext" / module_name(root) / "__init__.py"
    names = public_names(product.init or init.read_bytes())
    return {
        "repo_id": product.repo,
        "version": product.version,
        "license": build_toml(root)["general"]["license"].lower(),
        "functions": names or None,
        "layers": None,
        "has_benchmark": (root / "benchmarks/benchmark.py").is_file(),
        "upstream": None,
        "source": None,
    }


def fill(root: Path = ROOT, product: Product | None = None) -> str:
    """The card of a product of the checkout at `root`; of that with flash-attn's functions."""
    product = product or flash(root)
    template = (root / product.card).read_text()
    environment = Environment(templates={"card": template}, trim_blocks=True)
    card: str = environment.render_template("card", **context(root, product))
    return card
