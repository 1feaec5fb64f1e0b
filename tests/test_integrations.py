"""The snippets of docs/integrations.md run as they are printed."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
import torch
from metal_flash_sdpa import flash_attn_qkvpacked_func, varlen
from metal_flash_sdpa.catalogue import BUILT_IN, OFF
from torch.nn import attention as slots

from ci.build import ROOT
from codegen.project import project
from tests.package.sdpa_calls import torchs_own
from tests.package.test_as_flash_attn import TOP
from verify.tiny_models import make, tokens

PAGE = (ROOT / "docs/integrations.md").read_text()


def section(heading: str) -> str:
    """The text below a heading, up to the next of its rank."""
    (found,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def run(heading: str, **given: Any) -> dict[str, Any]:
    """What the section's one snippet leaves behind."""
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", section(heading), re.DOTALL | re.MULTILINE)
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


def test_flash_attn_by_import() -> None:
    try:
        names = run("flash_attn by import")
    finally:
        for finder in [x for x in sys.meta_path if type(x).__module__.endswith("as_flash_attn")]:
            sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "flash_attn"]:
            del sys.modules[name]
    for row, length in enumerate((3, 5)):
        want: Any = flash_attn_qkvpacked_func(names["qkv"][row, :length][None], causal=True)
        assert torch.equal(names["padded"][row, :length], want[0])
    assert names["lengths"].tolist() == [3, 5]


def test_the_table_of_modules_has_every_name() -> None:
    text = section("flash_attn by import")
    for name in TOP:
        assert f"`{name}`" in text or name.startswith("flash_attn_varlen_")


def test_transformers(tmp_path: Any) -> None:
    make("gemma2", "eager").save_pretrained(tmp_path)
    names = run("transformers", checkpoint=str(tmp_path))
    assert names["model"].config._attn_implementation == names["name"]
    text = tokens(1, 20)
    with torch.no_grad():
        got, want = (model(text).logits for model in (names["model"], make("gemma2", "eager")))
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)


def test_comfyui() -> None:
    names = run("ComfyUI")
    q, k, v = (names[x] for x in "qkv")
    assert torch.equal(names["attended"], names["attention"](q, k, v, 8))  # tensors on the CPU


def test_the_doctor(hub: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("The doctor")["verdict"] == 0
    assert "ops _metal_flash_sdpa_metal_" in capsys.readouterr().out


def test_what_the_page_keeps_off_exists() -> None:
    (names,) = re.findall(rf"^export {OFF}=(\S+)$", PAGE, re.MULTILINE)
    kernels = {tile.name for tiles in BUILT_IN.variants.values() for tile in tiles}
    assert set(names.split(",")) <= kernels | BUILT_IN.signatures.keys()


def test_pip_installs_only_what_is_ours() -> None:
    """The name on PyPI that is like ours belongs to another project."""
    wheel = project(ROOT).distribution.replace("-", "_")
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ci/*.md")]
    for page in pages:
        for command in re.findall(r"pip install ([^\n`]+)", page.read_text()):
            for word in command.replace("'", "").split():
                if "metal" in word:
                    assert word.startswith(f"build/wheel/{wheel}-"), page
