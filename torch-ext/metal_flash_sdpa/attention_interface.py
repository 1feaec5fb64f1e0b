"""Attention as transformers' models call it, with the masks that they make.

Where transformers has a name for an implementation of attention, it calls a function with a module,
Q, K, V and a mask.  This is that function, for two ways to find it: a build of its own on the Hub
(whose name has no "flash" in it, by which transformers keeps an implementation from models whose
masks flash-attn cannot take), and `register_with_transformers` for a package that pip installed.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from .autograd import may_need_gradients
from .checks import HEAD_DIM_STEP, HEAD_DIMS
from .interface import flash_attn_func

NAME = "metal_attention"


def flash_attn_forward(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Optional[Tensor],
    scaling: Optional[float] = None,
    dropout: float = 0.0,
    sliding_window: Optional[int] = None,
    softcap: Optional[float] = None,
    s_aux: Optional[Tensor] = None,
    is_causal: Optional[bool] = None,
    position_bias: Optional[Tensor] = None,
    **_: Any,
) -> Tuple[Tensor, None]:
    """Attention of a padded batch, for transformers.

    Args:
        module: the layer; its `is_causal` counts where the argument is None.
        query: (batch, heads, q_len, head_dim).
        key, value: (batch, kv_heads, k_len, head_dim); in 16 bits also where query has 32, as a
            GGUF model's cache.
        attention_mask: what broadcasts to (batch, heads, q_len, k_len), bool or a bias.  It holds
            the window and causality.  None: all keys, or causal if the module is.
        position_bias: a bias beside the mask, of the same shape.

    Returns:
        out (batch, q_len, heads, head_dim), and None in place of the weights.
    """
    q_len = query.shape[2]
    causal, window = False, (-1, -1)
    if attention_mask is None:
        asked = getattr(module, "is_causal", True) if is_causal is None else is_causal
        causal = q_len > 1 and bool(asked)
        if causal and key.shape[2] > q_len:
            # A static cache that was empty: the queries stand at its first rows, others are unused.
            key, value = key[:, :, :q_len], value[:, :, :q_len]
            position_bias = None if position_bias is None else position_bias[..., :q_len]
        if sliding_window is not None:
            window = (sliding_window - 1, sliding_window - 1)
    if key.dtype != query.dtype and may_need_gradients(query, key, value):
        key, value = key.to(query.dtype), value.to(query.dtype)  # through which gradients flow
    out = flash_attn_func(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        dropout_p=dropout,
        softmax_scale=scaling,
        causal=causal,
        window_size=window,
        softcap=softcap or 0.0,
        s_aux=s_aux,
        attn_mask=_together(attention_mask, position_bias),
    )
    assert isinstance(out, Tensor)
    return out, None


def supports_flash_attn(n_q: int, head_dim_k: int, head_dim_v: int) -> bool:
    """Whether `flash_attn_forward` takes such heads, for any number of queries."""
    return all(
        0 < columns <= HEAD_DIMS[-1] and columns % HEAD_DIM_STEP == 0
        for columns in (head_dim_k, head_dim_v)
    )


def _together(mask: Optional[Tensor], bias: Optional[Tensor]) -> Optional[Tensor]:
    """One mask tensor that says what both say."""
    if mask is None or bias is None:
        return bias if mask is None else mask
    if mask.dtype == torch.bool:
        return torch.where(mask, bias, -torch.inf)
    return mask + bias


def register_with_transformers(name: str = NAME) -> str:
    """Let transformers know this package's attention by a name, for `attn_implementation`.

    For a package that was installed with pip; where `kernels` is installed, transformers loads a
    build from the Hub by the Hub's name for it.

    Args:
        name: without "flash", "sdpa" or "flex" in it, as transformers takes such names for other
            implementations, with other masks.

    Returns:
        The name.
    """
    for word in ("flash", "sdpa", "flex", "eager", "|"):
        if word in name:
            raise ValueError(
                f"name is {name!r}: transformers treats names with {word!r} in them in a way of "
                f"its own; take another, as {NAME!r}"
            )
    from transformers import AttentionInterface, AttentionMaskInterface

    # Named before any model is made, so that models find it; registering it again changes nothing.
    AttentionInterface.register(name, flash_attn_forward)
    AttentionMaskInterface.register(name, AttentionMaskInterface()["sdpa"])
    return name
