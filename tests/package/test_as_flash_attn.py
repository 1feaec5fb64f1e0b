"""`import flash_attn` finds the package where nothing else is found, and libraries believe it."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import metal_flash_sdpa as package
import pytest
import torch
from metal_flash_sdpa import as_flash_attn, bert_padding
from torch import Tensor

# Every name that flash_attn 2.8.3 exports at its top.
TOP = (
    "flash_attn_func",
    "flash_attn_kvpacked_func",
    "flash_attn_qkvpacked_func",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    "flash_attn_with_kvcache",
)


@pytest.fixture
def installed() -> Iterator[package.as_flash_attn.Installed]:
    with package.install_as_flash_attn() as handle:
        yield handle
    assert find_spec("flash_attn") is None


def named(name: str) -> Any:
    return importlib.import_module(name)


def test_its_modules_have_our_functions(installed: Any) -> None:
    for module in (named("flash_attn"), named("flash_attn.flash_attn_interface")):
        assert {name: getattr(module, name) for name in TOP} == {
            name: getattr(package, name) for name in TOP
        }
    assert named("flash_attn.bert_padding").unpad_input is bert_padding.unpad_input
    with pytest.raises(NotImplementedError, match="context parallelism"):
        named("flash_attn.flash_attn_interface")._wrapped_flash_attn_forward(1, 2)
    with pytest.raises(ModuleNotFoundError, match="flash_attn.layers"):
        named("flash_attn.layers")


def test_its_version_is_found_everywhere(installed: Any) -> None:
    assert named("flash_attn").__version__ == as_flash_attn.VERSION
    for name in ("flash-attn", "flash_attn", "Flash_Attn"):
        assert importlib.metadata.version(name) == as_flash_attn.VERSION
    assert importlib.metadata.packages_distributions()["flash_attn"] == ["flash-attn"]
    assert importlib.metadata.distribution("pytest").name == "pytest"
    with pytest.raises(FileNotFoundError, match="has no files"):
        importlib.metadata.distribution("flash-attn").locate_file("x")


def test_a_removal_leaves_nothing_and_may_be_repeated() -> None:
    handle = package.install_as_flash_attn()
    function = named("flash_attn").flash_attn_func
    handle.remove()
    handle.remove()
    assert "flash_attn" not in sys.modules
    assert function is package.flash_attn_func
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("flash-attn")
    with pytest.raises(ModuleNotFoundError):
        named("flash_attn.bert_padding")


def test_of_two_the_last_removal_counts() -> None:
    first, second = package.install_as_flash_attn(), package.install_as_flash_attn()
    assert sum(isinstance(x, as_flash_attn._Finder) for x in sys.meta_path) == 1
    first.remove()  # out of order
    assert find_spec("flash_attn") is not None
    second.remove()
    assert find_spec("flash_attn") is None


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another flash_attn on Python's path."""
    (tmp_path / "flash_attn").mkdir()
    (tmp_path / "flash_attn/__init__.py").write_text('__version__ = "9.9"\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield str(tmp_path)
    sys.modules.pop("flash_attn", None)


@pytest.mark.parametrize("imported", [False, True])
def test_another_flash_attn_stays(foreign: str, imported: bool) -> None:
    if imported:
        named("flash_attn")
    with pytest.warns(UserWarning, match=rf"there is a flash_attn \({foreign}.*, which stays"):
        handle = package.install_as_flash_attn()
    assert named("flash_attn").__version__ == "9.9"
    handle.remove()
    assert named("flash_attn").__version__ == "9.9"


def test_a_programs_own_stand_in_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("flash_attn")
    monkeypatch.setitem(sys.modules, "flash_attn", stand_in)
    with pytest.warns(UserWarning, match=r"there is a flash_attn \(imported already\), which st"):
        package.install_as_flash_attn().remove()
    assert named("flash_attn") is stand_in


def test_one_that_is_installed_later_wins(installed: Any, foreign: str) -> None:
    assert named("flash_attn").__version__ == "9.9"
    installed.remove()
    assert named("flash_attn").__version__ == "9.9"


def run(code: str) -> str:
    """What a program prints, in a process of its own: libraries look for flash_attn once."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(str(package.__file__)).parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_transformers_believes_it_and_takes_it_for_no_cuda() -> None:
    code = """
import metal_flash_sdpa
metal_flash_sdpa.install_as_flash_attn()
from transformers.utils import import_utils
print(import_utils._is_package_available("flash_attn", return_version=True))
print(import_utils.is_flash_attn_2_available(), import_utils.is_flash_attn_4_available())
"""
    assert run(code) == f"(True, '{as_flash_attn.VERSION}')\nFalse False\n"


@pytest.mark.skipif(find_spec("diffusers") is None, reason="diffusers is not installed")
def test_the_backend_flash_of_diffusers_runs_it() -> None:
    code = """
import metal_flash_sdpa, torch
metal_flash_sdpa.install_as_flash_attn()
from diffusers.models.attention_dispatch import attention_backend, dispatch_attention_fn
q = torch.randn(1, 20, 2, 64, dtype=torch.float16)
with attention_backend("flash"):
    out = dispatch_attention_fn(q, q, q)
print(torch.equal(out, metal_flash_sdpa.flash_attn_func(q, q, q)))
"""
    assert run(code) == "True\n"


# --- bert_padding --------------------------------------------------------------------------------

MASK = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]])
UNUSED = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def states() -> Tensor:
    return torch.arange(24.0).view(3, 4, 2).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64])
def test_unpadding_and_padding(dtype: torch.dtype) -> None:
    hidden = states()
    tokens, indices, cu_seqlens, longest, lengths = bert_padding.unpad_input(hidden, MASK.to(dtype))
    assert torch.equal(tokens, hidden[MASK.bool()])
    assert indices.tolist() == [0, 1, 5, 6, 7]
    assert (cu_seqlens.tolist(), cu_seqlens.dtype) == ([0, 2, 5, 5], torch.int32)
    assert (longest, type(longest)) == (3, int)
    assert lengths.tolist() == [2, 3, 0]
    padded = bert_padding.pad_input(tokens, indices, 3, 4)
    assert torch.equal(padded, hidden * MASK[..., None])
    (gradient,) = torch.autograd.grad(padded.square().sum(), hidden)
    assert torch.equal(gradient, 2 * hidden * MASK[..., None])


def test_tokens_that_are_not_used_get_rows_and_are_not_counted() -> None:
    _, indices, cu_seqlens, longest, lengths = bert_padding.unpad_input(states(), MASK, UNUSED)
    assert indices.tolist() == [0, 1, 2, 5, 6, 7]
    assert (cu_seqlens.tolist(), longest) == ([0, 3, 6, 6], 3)
    assert lengths.tolist() == [2, 3, 0]


def test_rows_of_several_sequences() -> None:
    mask = torch.tensor([[2, 1, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0]])
    hidden = states()
    tokens, indices, cu_seqlens, longest = bert_padding.unpad_input_for_concatenated_sequences(
        hidden, mask
    )
    assert indices.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert torch.equal(tokens, hidden.flatten(0, 1)[indices])
    assert (cu_seqlens.tolist(), cu_seqlens.dtype, longest) == ([0, 2, 3, 7], torch.int32, 4)


def test_the_first_axis() -> None:
    hidden, indices = states(), torch.tensor([2, 0], dtype=torch.int32)
    assert torch.equal(bert_padding.index_first_axis(hidden, indices), hidden[[2, 0]])
    back = bert_padding.index_put_first_axis(hidden[:2], indices, 4)
    assert torch.equal(back, torch.stack([hidden[1], 0 * hidden[0], hidden[0], 0 * hidden[0]]))


def test_attention_of_what_was_unpadded_is_that_of_each_sequence() -> None:
    """As programs use it: unpad, attend, pad."""
    qkv = torch.randn(3, 4, 3, 2, 32, generator=torch.Generator().manual_seed(0))
    tokens, indices, cu_seqlens, longest, _ = bert_padding.unpad_input(qkv, MASK)
    out: Any = package.flash_attn_varlen_qkvpacked_func(tokens, cu_seqlens, longest, causal=True)
    padded = bert_padding.pad_input(out, indices, 3, 4)
    for row, kept in enumerate(MASK.bool()):
        if kept.any():
            alone: Any = package.flash_attn_qkvpacked_func(qkv[row, kept][None], causal=True)
            assert torch.equal(padded[row, kept], alone[0])
        assert padded[row, ~kept].count_nonzero() == 0


def test_wrong_masks_and_indices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"attention_mask has shape \(3, 5\) and hidden_states"):
        bert_padding.unpad_input(states(), torch.ones(3, 5))
    with pytest.raises(ValueError, match="unused_mask has shape"):
        bert_padding.unpad_input(states(), MASK, MASK[:1])
    with pytest.raises(ValueError, match="attention_mask_in_length has shape"):
        bert_padding.unpad_input_for_concatenated_sequences(states(), MASK.T)
    with pytest.raises(ValueError, match="indices is torch.float32 of shape"):
        bert_padding.index_first_axis(states(), torch.ones(3))
    with pytest.raises(ValueError, match="indices has 2 elements and values 3 rows"):
        bert_padding.index_put_first_axis(states(), torch.tensor([0, 1]), 4)


def test_nothing_is_said_where_there_is_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        package.install_as_flash_attn().remove()
