"""Refuses torch's function transforms by name where there is no rule for them.

Without this, torch.func.jvp would pass through an op as if it were constant, and give zeros.
"""

from typing import Iterator, List, Tuple

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.autograd import forward_ad

_functorch = torch._C._functorch
_Transform = _functorch.TransformType

Unsupported = Tuple[str, str]  # what is not supported, and what to do instead

_NONE = ("", "")
FORWARD_MODE = (
    "forward-mode derivatives (torch.func.jvp, jacfwd, hessian, linearize, dual tensors)",
    "compute this attention with torch's own operations",
)
REVERSE_MODE = (
    "torch.func.grad, vjp and jacrev here",
    "outside of torch.compile(fullgraph=True) flash_attn_func has gradients, though not of "
    "alibi_slopes, and so has flash_attn_varlen_func without a block_table",
)
VMAP = ("torch.vmap", "fold the mapped axis into the batch, which every call has")

_DIFFERENTIABLE = {_Transform.Vmap: VMAP, _Transform.Jvp: FORWARD_MODE}
_CONSTANT = {**_DIFFERENTIABLE, _Transform.Grad: REVERSE_MODE}


def refuse(*tensors: object, differentiable: bool = False) -> None:
    """Raise NotImplementedError if a transform is at work on one of these tensors.

    With respect to `differentiable` ones torch.func.grad and vjp have a rule.
    """
    if torch.compiler.is_compiling():
        # Which tensors it is at work on cannot be asked here, so none may be around at all.  Nor
        # can be asked with respect to which of them torch.func.grad is to differentiate.  Without
        # fullgraph torch takes the error as a reason to run the call as it is, which may do.
        found = _around_the_graph()
    elif torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        found = _at_work_on([t for t in tensors if isinstance(t, Tensor)], differentiable)
    else:
        return
    if found[0]:
        raise unsupported(*found)


def unsupported(what: str, way_out: str) -> NotImplementedError:
    """The error of what is not supported."""
    return NotImplementedError(f"metal-flash-sdpa does not support {what}: {way_out}")


def _around_the_graph() -> Unsupported:
    innermost = _functorch.peek_interpreter_stack()
    if innermost is not None:
        return _CONSTANT.get(innermost.key(), _NONE)
    return FORWARD_MODE if forward_ad._current_level >= 0 else _NONE


def _at_work_on(tensors: List[Tensor], differentiable: bool) -> Unsupported:
    refused = _DIFFERENTIABLE if differentiable else _CONSTANT
    stack = _functorch.get_interpreter_stack() or ()
    at_level = {interpreter.level(): interpreter.key() for interpreter in stack}
    innermost = max(at_level, default=0)
    for tensor in tensors:
        # Within torch.func.jvp and grad constants are wrapped as well: they have no tangent and
        # require no gradient.  Of an outer transform's tensors that cannot be asked.
        for level in _levels(tensor):
            transform = at_level.get(level)
            if transform == _Transform.Vmap or (transform in refused and level != innermost):
                return refused[transform]
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
            return FORWARD_MODE
        if tensor.requires_grad and not differentiable and _Transform.Grad in at_level.values():
            return REVERSE_MODE
    return _NONE


def _levels(tensor: Tensor) -> Iterator[int]:
    """The transforms that have wrapped a tensor, innermost first."""
    while _functorch.is_functorch_wrapped_tensor(tensor):
        yield _functorch.maybe_get_level(tensor)
        tensor = _functorch.get_unwrapped(tensor)


# What torch.compiler.assume_constant_result and disable do, without importing the compiler here,
# which takes a second.  While a graph is traced its transforms are active, and where others are,
# torch compiles anew; a tensor that stands for another one cannot be asked for its tangent.
_around_the_graph._dynamo_marked_constant = True  # type: ignore[attr-defined]
_at_work_on = _disable_dynamo(_at_work_on)
