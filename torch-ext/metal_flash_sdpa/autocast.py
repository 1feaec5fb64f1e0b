"""Under torch.autocast query, key and value go to one dtype, as those of torch's own attention."""

from typing import Any, Tuple

import torch
from torch import Tensor


def cast(*tensors: Any, to_that_of: Any = None) -> Tuple[Any, ...]:
    """The tensors in autocast's dtype; outside of autocast, and what it leaves alone, as they are.

    `to_that_of` is memory that the call writes in place: its dtype is taken instead, as writing to
    a copy of it would be of no use.
    """
    if not torch.compiler.is_compiling() and not torch._C._is_any_autocast_enabled():
        return tensors
    memory = tensors[0] if to_that_of is None else to_that_of
    if not isinstance(memory, Tensor) or not _takes_part(memory):
        return tensors  # and the checks say what is wrong
    device = memory.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device) if to_that_of is None else memory.dtype
    return tuple(
        tensor.to(dtype) if isinstance(tensor, Tensor) and _takes_part(tensor) else tensor
        for tensor in tensors
    )


def _takes_part(tensor: Tensor) -> bool:
    return bool(tensor.is_floating_point() and tensor.dtype != torch.float64)  # torch's own rule
