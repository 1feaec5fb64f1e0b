"""Refuses torch's function transforms, by name: no kernel here has a rule for any of them.

Without this, torch.func.jvp would pass through an op as if it were constant, and give zeros.
"""

from typing import Any, Dict, List, Tuple

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.autograd import forward_ad

_functorch = torch._C._functorch
_Transform = _functorch.TransformType

_NONE = ("", "")
_FORWARD_MODE = (
    "forward-mode derivatives (torch.func.jvp, jacfwd, linearize, dual tensors)",
    "compute this attention with torch's own operations",
)
_REVERSE_MODE = (
    "torch.func.grad, vjp, jacrev and hessian of a function for inference",
    "flash_attn_func and flash_attn_varlen_func without a block_table have gradients",
)
_Refused = Dict[Any, Tuple[str, str]]
_REFUSED: _Refused = {
    _Transform.Vmap: (
        "torch.vmap",
        "fold the mapped axis into the batch, which every call has",
    ),
    _Transform.Jvp: _FORWARD_MODE,
    _Transform.Grad: _REVERSE_MODE,
}


_FIRST_DERIVATIVES = {key: words for key, words in _REFUSED.items() if key != _Transform.Grad}


def refuse(*tensors: object, differentiable: bool = False) -> None:
    """Raise NotImplementedError if a transform is at work on one of these tensors.

    What is `differentiable` has a backward pass, which torch.func.grad and its kin may use.
    """
    refused = _FIRST_DERIVATIVES if differentiable else _REFUSED
    if torch.compiler.is_compiling():
        # Which tensors it is at work on cannot be asked here, so none may be around at all.
        what, way_out = _around_the_graph(refused)
    elif torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        what, way_out = _at_work_on([t for t in tensors if isinstance(t, Tensor)], refused)
    else:
        return
    if what:
        raise NotImplementedError(f"metal-flash-sdpa does not support {what}: {way_out}")


def _around_the_graph(refused: _Refused) -> Tuple[str, str]:
    innermost = _functorch.peek_interpreter_stack()
    if innermost is not None:
        return refused.get(innermost.key(), _NONE)
    return _FORWARD_MODE if forward_ad._current_level >= 0 else _NONE


def _at_work_on(tensors: List[Tensor], refused: _Refused) -> Tuple[str, str]:
    stack = _functorch.get_interpreter_stack() or ()
    at_level = {interpreter.level(): interpreter.key() for interpreter in stack}
    innermost = max(at_level, default=0)
    for tensor in tensors:
        level = _functorch.maybe_get_level(tensor)
        transform = at_level.get(level)
        # Within torch.func.jvp and grad constants are wrapped as well: they have no tangent and
        # require no gradient.  Of an outer transform's tensors that cannot be asked.
        if transform == _Transform.Vmap or (transform in refused and level != innermost):
            return refused[transform]
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
            return _FORWARD_MODE
        if (
            _Transform.Grad in refused
            and tensor.requires_grad
            and _Transform.Grad in at_level.values()
        ):
            return _REVERSE_MODE
    return _NONE


# What torch.compiler.assume_constant_result and disable do, without importing the compiler here,
# which takes a second.  While a graph is traced its transforms are active, and where others are,
# torch compiles anew; a tensor that stands for another one cannot be asked for its tangent.
_around_the_graph._dynamo_marked_constant = True  # type: ignore[attr-defined]
_at_work_on = _disable_dynamo(_at_work_on)
