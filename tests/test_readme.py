"""The README's Python is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_direct_way() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    assert names["out"].shape == names["q"][0].shape
    assert names["lse"].shape == (2, 8, 100)
    assert torch.isfinite(names["out"]).all()
