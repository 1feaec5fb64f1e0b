"""Attention in float64, which runs in lower precision are compared with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask


def exact_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it: tensors are (batch, heads, rows, head_dim)."""
    groups = query.shape[1] // key.shape[1]
    k, v = (x.double().repeat_interleave(groups, dim=1) for x in (key, value))
    scores = query.double() @ k.mT * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    if s_aux is not None:
        column = s_aux.double().reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, column], -1)
    weights = scores.softmax(-1)[..., : k.shape[2]]
    return (weights @ v).transpose(1, 2).to(query.dtype).contiguous(), None


@pytest.fixture
def in_float64() -> str:
    """The name of `exact_attention` in transformers."""
    AttentionInterface.register("in_float64", exact_attention)
    AttentionMaskInterface.register("in_float64", eager_mask)
    return "in_float64"
