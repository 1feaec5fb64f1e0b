"""From padded batches to packed ones and back: flash-attn's module of this name.

How many tokens a mask keeps decides the results' shapes, so unpadding waits for the GPU, as
flash-attn's does.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

# What unpad_input gives: the tokens, their indices, cu_seqlens, the longest length, all lengths.
Unpadded = Tuple[Tensor, Tensor, Tensor, int, Tensor]


def index_first_axis(input: Tensor, indices: Tensor) -> Tensor:  # noqa: A002 (flash-attn's name)
    """The rows `indices` of the first axis."""
    _check_indices(indices)
    return input.index_select(0, indices)


def index_put_first_axis(values: Tensor, indices: Tensor, first_axis_dim: int) -> Tensor:
    """A tensor of `first_axis_dim` rows: `values` at the rows `indices`, zeros elsewhere."""
    _check_indices(indices)
    if indices.shape[0] != values.shape[0]:
        raise ValueError(
            f"indices has {indices.shape[0]} elements and values {values.shape[0]} rows: must be "
            "the same"
        )
    rows = values.new_zeros((first_axis_dim, *values.shape[1:]))
    return rows.index_copy(0, indices.long(), values)


def unpad_input(
    hidden_states: Tensor, attention_mask: Tensor, unused_mask: Optional[Tensor] = None
) -> Unpadded:
    """The tokens of a padded batch that a mask keeps, one sequence after the other.

    Args:
        hidden_states: (batch, length, ...).
        attention_mask: (batch, length), bool or integers; 0 is a token that is left out.
        unused_mask: like attention_mask: tokens that get a row of their own and are not counted
            in the last of the results.

    Returns:
        The tokens (total, ...), their indices in the flattened batch, cu_seqlens (batch + 1,) in
        int32, the longest length, and how many tokens attention_mask keeps of each sequence.
    """
    _check_mask("attention_mask", attention_mask, hidden_states)
    kept = attention_mask != 0
    lengths = kept.sum(1, dtype=torch.int32)
    if unused_mask is not None:
        _check_mask("unused_mask", unused_mask, hidden_states)
        kept = kept | (unused_mask != 0)
    rows = kept.sum(1, dtype=torch.int32)
    tokens, indices, cu_seqlens, longest = _gather(hidden_states, kept.flatten(), rows)
    return tokens, indices, cu_seqlens, longest, lengths


def unpad_input_for_concatenated_sequences(
    hidden_states: Tensor, attention_mask_in_length: Tensor
) -> Tuple[Tensor, Tensor, Tensor, int]:
    """As `unpad_input`, of rows that hold several sequences each, without the last of the results.

    Args:
        hidden_states: (batch, length, ...).
        attention_mask_in_length: (batch, length), integers: the lengths of a row's sequences, in
            order, then zeros.
    """
    _check_mask("attention_mask_in_length", attention_mask_in_length, hidden_states)
    places = torch.arange(attention_mask_in_length.shape[1], device=hidden_states.device)
    kept = places < attention_mask_in_length.sum(1, keepdim=True)
    lengths = attention_mask_in_length.flatten()
    return _gather(hidden_states, kept.flatten(), lengths[lengths != 0].to(torch.int32))


def pad_input(hidden_states: Tensor, indices: Tensor, batch: int, seqlen: int) -> Tensor:
    """The padded batch (batch, seqlen, ...) of tokens whose `indices` unpad_input gave.

    Tokens that were left out are 0.
    """
    padded = index_put_first_axis(hidden_states, indices, batch * seqlen)
    return padded.unflatten(0, (batch, seqlen))


def _gather(
    hidden_states: Tensor, kept: Tensor, lengths: Tensor
) -> Tuple[Tensor, Tensor, Tensor, int]:
    indices = kept.nonzero().flatten()
    cu_seqlens = torch.nn.functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
    tokens = index_first_axis(hidden_states.flatten(0, 1), indices)
    return tokens, indices, cu_seqlens, int(lengths.max()) if lengths.numel() else 0


def _check_mask(name: str, mask: Any, hidden_states: Tensor) -> None:
    if hidden_states.dim() < 2 or mask.shape != hidden_states.shape[:2]:
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)} and hidden_states {tuple(hidden_states.shape)}: "
            "must be (batch, length), of the first two axes of hidden_states"
        )


def _check_indices(indices: Any) -> None:
    if indices.dim() != 1 or indices.dtype not in (torch.int32, torch.int64):
        raise ValueError(
            f"indices is {indices.dtype} of shape {tuple(indices.shape)}: must be (rows,) of int32 "
            "or int64, as unpad_input gives them"
        )
