"""Head dims without kernels of their own run as in flash-attn: padded to the next that has them.

Q and K have one number of columns, V and O another: `widths` are both.

Columns of zeros change neither a score nor the other columns of the result.  The softmax's scale
stays that of the head_dim that was given.
"""

import warnings
from functools import lru_cache
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ._variants import LATENT, Widths
from .catalogue import BUILT_IN
from .checks import is_view

WIDTHS = sorted(BUILT_IN.widths, key=sum)  # fewest columns first


def fit(
    softmax_scale: Optional[float], *tensors: Tensor
) -> Tuple[Optional[float], Tuple[Tensor, ...]]:
    """The scale, and query, key, value as kernels take them.

    Tensors that fit are given back as they are.
    """
    query, key, value = tensors
    given = query.shape[-1], value.shape[-1]
    if given in WIDTHS or (given in LATENT and is_view(key, value)):
        return softmax_scale, tensors
    widths = padded(given)
    if not torch.compiler.is_compiling():
        _warn(given, widths)
    scale = given[0] ** -0.5 if softmax_scale is None else softmax_scale
    columns = (widths[0], widths[0], widths[1])
    return scale, tuple(widen(tensor, own) for tensor, own in zip(tensors, columns))


def padded(given: Widths) -> Widths:
    """Of the widths with kernels that have so many columns those with the fewest."""
    return next(own for own in WIDTHS if own[0] >= given[0] and own[1] >= given[1])


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
def _warn(given: Widths, widths: Widths) -> None:
    """Once per process and head_dim."""
    warnings.warn(
        f"head_dim {_named(given, ',')} has no kernels of its own: every call copies what is "
        "narrower of q, k and v (of a KV cache, all of it) and computes as much as with head_dim "
        f"{_named(widths)}",
        stacklevel=5,
    )


def _named(widths: Widths, end: str = "") -> str:
    """In words; what follows a pair may need an `end`."""
    head_dim, of_value = widths
    return f"{head_dim}" if of_value == head_dim else f"{head_dim}, {of_value} of v{end}"
