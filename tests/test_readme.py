"""The README's Python is run as it is printed, and links between pages lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ci.build import ROOT, hub_name, in_place_of_the_hub, tracked
from verify.tiny_models import make, tokens

README = Path(__file__).resolve().parent.parent / "README.md"


def test_every_way_to_use_it(hub: str, tmp_path: Path) -> None:
    """The first names a checkpoint, which here is a tiny one on disk."""
    make("gpt_oss", "eager").save_pretrained(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"checkpoint": str(tmp_path)}
    exec("\n".join(blocks), names)
    assert names["model"].config._attn_implementation == hub
    assert names["model"](tokens(1, 20)).logits.isfinite().all()
    assert names["attention"].__name__ != names["flash_attn_func"].__module__.split(".")[0]
    assert names["out"].shape == names["q"][0].shape
    assert names["next_token"].isfinite().all()
    assert names["pages"].count_nonzero() == 2 * 2 * 2 * 64  # K and V of two rows and two heads
    assert names["lse"].shape == (2, 8, 100)
    assert names["attended"].shape == (2, 8, 100, 64)
    assert torch.isfinite(names["out"]).all()
    assert names["loss"].isfinite()
    assert names["sinks"].count_nonzero() == 8  # they were 0, and have been trained


@pytest.mark.parametrize(("path", "said"), [(ROOT, "finite: True"), (None, "No module named")])
def test_on_a_cpu_a_build_needs_the_checkout_on_the_path(
    variant: Path, tmp_path: Path, path: Path | None, said: str
) -> None:
    code = """
import sys, torch
from kernels import get_kernel

q = torch.randn(1, 5, 2, 64, dtype=torch.float16)
out = get_kernel(sys.argv[1], version=2).flash_attn_func(q, q, q)
print("finite:", bool(out.isfinite().all()))
"""
    environment = {**os.environ, **in_place_of_the_hub(variant)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-c", code, hub_name()],
        cwd=tmp_path,
        env=environment if path is None else environment | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stdout + done.stderr
    assert "the emulator is in the project's repository" in done.stderr or path is not None


def anchor(heading: str) -> str:
    """The name that GitHub gives a heading in links."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def dead_links(page: Path) -> list[str]:
    """Relative links of a page to files or headings that do not exist."""
    dead = []
    for link in re.findall(r"\]\((?!\w+:)([^)]+)\)", page.read_text()):
        path, _, name = link.partition("#")
        target = page.parent / path if path else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M) if name else []
        if not target.exists() or (name and name not in map(anchor, headings)):
            dead.append(link)
    return dead


@pytest.mark.parametrize(
    "page", [path for path in tracked(ROOT, ".") if path.endswith(".md") and path != "CARD.md"]
)
def test_links_of_pages_lead_somewhere(page: str) -> None:
    assert dead_links(ROOT / page) == []


def test_dead_links_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("# A B\n[to](#a-b) [away](https://x.y) [none](#c) [no file](none.md)\n")
    assert dead_links(page) == ["#c", "none.md"]
