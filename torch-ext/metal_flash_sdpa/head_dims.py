"""Head dims without kernels of their own run as in flash-attn: padded to the next that has them.

Columns of zeros change neither a score nor the other columns of the result.  The softmax's scale
stays that of the head_dim that was given.
"""

import warnings
from functools import lru_cache
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from .checks import HEAD_DIMS


def fit(
    softmax_scale: Optional[float], *tensors: Tensor
) -> Tuple[Optional[float], Tuple[Tensor, ...]]:
    """The scale, and query, key, value as kernels take them: in as many columns each.

    Tensors that fit are given back as they are.
    """
    query, _, value = tensors
    head_dim, of_value = query.shape[-1], value.shape[-1]
    if head_dim == of_value and head_dim in HEAD_DIMS:
        return softmax_scale, tensors
    columns = padded(max(head_dim, of_value))
    if not torch.compiler.is_compiling():
        _warn(head_dim, of_value, columns)
    scale = head_dim**-0.5 if softmax_scale is None else softmax_scale
    return scale, tuple(widen(tensor, columns) for tensor in tensors)


def padded(columns: int) -> int:
    """The least head_dim with kernels that has so many columns."""
    return next(head_dim for head_dim in HEAD_DIMS if head_dim >= columns)


def widen(tensor: Tensor, columns: int) -> Tensor:
    """A tensor with columns of zeros behind its own; itself if it has as many."""
    missing = columns - tensor.shape[-1]
    return pad(tensor, (0, missing)) if missing else tensor


def narrow(tensor: Tensor, columns: int) -> Tensor:
    """The first columns of a result, contiguous; itself if it has no more."""
    return tensor if tensor.shape[-1] == columns else tensor[..., :columns].contiguous()


def write_back(memory: Tensor, wide: Tensor) -> None:
    """What a call wrote into a widened copy of memory that it was to write in place."""
    if wide is not memory:
        memory.copy_(wide[..., : memory.shape[-1]])


@lru_cache(maxsize=None)
def _warn(head_dim: int, of_value: int, columns: int) -> None:
    """Once per process and head_dim."""
    given = f"head_dim {head_dim}" + (f", {of_value} of v," if of_value != head_dim else "")
    warnings.warn(
        f"{given} has no kernels of its own: every call copies q, k and v (of a KV cache, all of "
        f"it) into {columns} columns and computes as much as with head_dim {columns}",
        stacklevel=5,
    )
