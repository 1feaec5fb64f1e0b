"""The README's Python is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

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
    assert torch.isfinite(names["out"]).all()
