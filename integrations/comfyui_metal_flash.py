"""A node for ComfyUI: attention of a model on a Mac by metal_flash_sdpa, in memory that is flat.

Put this file into ComfyUI/custom_nodes/ and install metal_flash_sdpa into ComfyUI's Python.  The
node "Metal Flash Attention" goes between a model and its sampler.  Calls that the kernels do not
take go on to ComfyUI's own attention: other devices, and heads of other widths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from metal_flash_sdpa import flash_attn_func
from metal_flash_sdpa.attention_interface import supports_flash_attn
from metal_flash_sdpa.catalogue import KernelOffError
from torch import Tensor

DEVICES = ("mps",)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def attention(
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
    """Attention as ComfyUI calls it; attn_precision is not needed: scores are float32 anyway.

    q, k and v are (batch, length, heads * head_dim), or with skip_reshape (batch, heads, length,
    head_dim); the result is like the first, or with skip_output_reshape like the second.
    """
    if skip_reshape:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    else:
        q, k, v = (x.unflatten(-1, (heads, -1)) for x in (q, k, v))
    if mask is not None and mask.dim() < 4:  # (batch, queries, keys), or without a batch
        mask = mask.unsqueeze(-3)
    out = flash_attn_func(q, k, v, attn_mask=mask, softmax_scale=options.get("scale"))
    assert isinstance(out, Tensor)
    return out.transpose(1, 2) if skip_output_reshape else out.flatten(2)


def takes(q: Tensor, v: Tensor, heads: int, skip_reshape: bool) -> bool:
    """Whether the kernels compute such a call."""
    columns = [x.shape[-1] // (1 if skip_reshape else heads) for x in (q, v)]
    return q.device.type in DEVICES and q.dtype in DTYPES and supports_flash_attn(0, *columns)


def override(original: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
    """What ComfyUI calls in place of its own attention, which is the first argument."""
    q, _, v, heads = arguments[:4]
    if takes(q, v, heads, options.get("skip_reshape", False)):
        try:
            return attention(*arguments, **options)
        except KernelOffError:  # METAL_FLASH_SDPA_OFF
            pass
    return original(*arguments, **options)


class MetalFlashAttention:
    """The node."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "model_patches"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 (ComfyUI's name)
        """What the node takes."""
        return {"required": {"model": ("MODEL",)}}

    def patch(self, model: Any) -> tuple[Any]:
        """A copy of the model that attends through `override`."""
        patched = model.clone()
        options = patched.model_options.get("transformer_options", {})
        patched.model_options["transformer_options"] = {
            **options,
            "optimized_attention_override": override,
        }
        return (patched,)


NODE_CLASS_MAPPINGS = {"MetalFlashAttention": MetalFlashAttention}
NODE_DISPLAY_NAME_MAPPINGS = {"MetalFlashAttention": "Metal Flash Attention"}
