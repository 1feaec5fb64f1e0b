"""The node for ComfyUI, by the signature that ComfyUI calls, without ComfyUI."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from metal_flash_sdpa import catalogue
from torch import Tensor

from integrations import comfyui_metal_flash as node

HEADS, HEAD_DIM = 4, 40  # SD 1.5's first blocks; it has no kernels of its own


def plain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    mask: Tensor | None = None,
    attn_precision: torch.dtype | None = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **options: Any,
) -> Tensor:
    """ComfyUI's contract, on torch's attention."""
    if not skip_reshape:
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    if mask is not None:
        mask = mask[None] if mask.dim() == 2 else mask
        mask = mask[:, None] if mask.dim() == 3 else mask
    out: Tensor = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, scale=options.get("scale"), enable_gqa=True
    )
    return out if skip_output_reshape else out.transpose(1, 2).flatten(2)


@pytest.fixture(autouse=True)
def on_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "DEVICES", ("cpu",))


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def flat(length: int) -> Tensor:
    return draw(2, length, HEADS * HEAD_DIM)


def split(length: int, heads: int = HEADS) -> Tensor:
    return draw(2, heads, length, HEAD_DIM)


MASKS = {
    "none": None,
    "queries x keys": draw(20, 77) > 0,
    "batch x queries x keys": draw(2, 20, 77),
    "batch x heads x queries x keys": draw(2, HEADS, 20, 77),
    "one row for all": draw(2, 1, 77) > 0,
}


@pytest.mark.filterwarnings("ignore:head_dim 40 has no kernels")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("skip_output_reshape", [False, True])
@pytest.mark.parametrize("skip_reshape", [False, True])
def test_it_keeps_comfyuis_contract(
    launched: list[str], mask: str, skip_reshape: bool, skip_output_reshape: bool
) -> None:
    make = split if skip_reshape else flat
    qkv = (make(20), make(77), make(77))
    options = {"skip_reshape": skip_reshape, "skip_output_reshape": skip_output_reshape}
    got = node.override(
        plain, *qkv, HEADS, mask=MASKS[mask], attn_precision=None, transformer_options={}, **options
    )
    assert any(name.startswith("prefill") for name in launched)
    want = plain(*qkv, HEADS, mask=MASKS[mask], **options)
    torch.testing.assert_close(got, want, atol=2e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:head_dim 40 has no kernels")
def test_fewer_kv_heads_a_scale_and_positional_masks() -> None:
    arguments = (split(20), split(77, 2), split(77, 2), HEADS, MASKS["queries x keys"])
    options: dict[str, Any] = {"skip_reshape": True, "enable_gqa": True, "scale": 0.1}
    got, want = node.override(plain, *arguments, **options), plain(*arguments, **options)
    torch.testing.assert_close(got, want, atol=2e-6, rtol=1e-5)


def refuse(*_: Any, **__: Any) -> Tensor:
    raise AssertionError("went on to ComfyUI's own attention")


@pytest.mark.parametrize(
    ("q", "heads"),
    [
        (draw(1, 20, 4 * 44), 4),  # no multiple of 8
        (draw(1, 20, 4096), 1),  # too wide
        (draw(1, 20, 64).double(), 1),
        (draw(1, 20, 64).to("meta"), 1),
    ],
)
def test_what_the_kernels_do_not_take_goes_on(q: Tensor, heads: int) -> None:
    passed: list[Tensor] = []

    def original(*arguments: Any, **_: Any) -> Tensor:
        passed.append(arguments[0])
        return q

    assert node.override(original, q, q, q, heads) is q
    assert passed == [q]
    fits = draw(1, 20, 64)
    assert node.override(refuse, fits, fits, fits, 2).shape == fits.shape


def test_a_kernel_that_is_kept_off_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def off(*_: Any, **__: Any) -> Tensor:
        raise catalogue.KernelOffError("off")

    monkeypatch.setattr(node, "attention", off)
    fits = draw(1, 20, 64)
    assert torch.equal(node.override(plain, fits, fits, fits, 2), plain(fits, fits, fits, 2))


class Model:
    """As much of ComfyUI's ModelPatcher as a node sees."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.model_options = options

    def clone(self) -> Model:
        return Model(copy.copy(self.model_options))


@pytest.mark.parametrize("options", [{}, {"transformer_options": {"patches": 1}}])
def test_the_node_patches_a_copy(options: dict[str, Any]) -> None:
    (kind,) = node.NODE_CLASS_MAPPINGS.values()
    assert node.NODE_CLASS_MAPPINGS.keys() == node.NODE_DISPLAY_NAME_MAPPINGS.keys()
    assert kind.INPUT_TYPES() == {"required": {"model": ("MODEL",)}}
    model = Model(copy.deepcopy(options))
    (patched,) = getattr(kind(), kind.FUNCTION)(model)
    assert model.model_options == options
    found = patched.model_options["transformer_options"]
    assert found.pop("optimized_attention_override") is node.override
    assert found == options.get("transformer_options", {})
