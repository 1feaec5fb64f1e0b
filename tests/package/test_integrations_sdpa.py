"""The snippets of docs/integrations.md for SDPA and varlen_attn run as they are printed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from metal_flash_sdpa import varlen
from torch.nn import attention as slots

from ci.build import ROOT
from tests.package.sdpa_calls import torchs_own

PAGE = (ROOT / "docs/integrations.md").read_text()


def run(heading: str, **given: Any) -> dict[str, Any]:
    """What the one snippet below a heading leaves behind."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    names = dict(given)
    exec(snippet, names)
    return names


def test_scaled_dot_product_attention(
    capsys: pytest.CaptureFixture[str], launched: list[str]
) -> None:
    names = run("scaled_dot_product_attention")
    assert launched
    q, k, v = (names[name].float() for name in "qkv")
    want = torchs_own(q, k, v, is_causal=True)
    assert (names["out"] - want).abs().max() < 2e-3  # float16's unit at 2 is 2e-3
    printed = capsys.readouterr().out.splitlines()
    (said,) = re.findall(r"^```\n(metal-flash-sdpa: .*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert printed == said.replace(" jit ", " emulator ").splitlines()


def test_varlen_attn(launched: list[str]) -> None:
    try:
        names = run("varlen_attn")
    finally:
        slots.restore_flash_attention_impl()
        varlen.register()
    assert {"prefill", "backward"} <= {kernel.split("_")[0] for kernel in launched}
    assert names["q"].grad.isfinite().all()
