"""Derivatives: those of attention; of everything else an error that says why there are none.

Attention is a torch.autograd.Function, whose backward pass is a second one where it may itself be
differentiated: that one's backward pass refuses.  torch.func wants such functions, torch.compile
wants an op: while it traces, a function does not know which gradients it needs.  Modes that watch
what is dispatched, as selective checkpointing does, want the op, too.  Plain tensors in eager mode
need neither, and are spared more than half of the time.  All have the same rules.
"""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd import Function

from . import head_dims, ops, transforms
from ._ops import add_op_namespace_prefix
from ._variants import LATENT
from .catalogue import BUILT_IN
from .transforms import VMAP, unsupported

SECOND_DERIVATIVES = (
    "second derivatives (double backward, grad of grad)",
    "compute this attention with torch's own operations",
)
_WAY_OUT = (
    "Run under torch.no_grad(), or train with flash_attn_func or flash_attn_varlen_func, without a "
    "block_table"
)
NO_BACKWARD_PAGED = (
    "flash_attn_varlen_func has no backward pass with a block_table: a cache is for inference. "
    + _WAY_OUT
)
NO_BACKWARD_WIDE = (
    "head_dim {} has no backward pass: a thread's registers do not hold its gradients; up to {} "
    "there is one. Run under torch.no_grad(), or compute this attention with torch's own operations"
)
NO_BACKWARD_CONVERTED = (
    "there is no backward pass where k and v have 16 bits and q has 32. Run under "
    "torch.no_grad(), or give k.float() and v.float(), through which their gradients flow"
)
NO_BACKWARD_CACHED = (
    f"flash_attn_with_kvcache has no backward pass: a cache is for inference. {_WAY_OUT}"
)
NO_BACKWARD_INTO = (
    f"flash_attention_varlen writes `out` in place: no gradient flows through it. {_WAY_OUT}"
)

_compiling = torch.compiler.is_compiling
DIFFERENTIABLE = BUILT_IN.differentiable
PLAIN = (Tensor, torch.nn.Parameter, type(None))

Gradients = Tuple[Optional[Tensor], ...]


class Attention(Function):  # type: ignore[misc]
    """`ops.forward`, of the same arguments; with return_lse, without which nothing is kept."""

    @staticmethod
    def forward(*arguments: Any) -> Any:
        return ops.forward(*arguments)

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Any, ...], output: Tuple[Tensor, Tensor]) -> None:
        q, k, v, _, cu_seqlens_q, cu_seqlens_k, sinks, slopes, *numbers = inputs
        *mask, _, block_table, dropout_p, dropout_seed, attn_mask = numbers
        out, lse = output
        ctx.save_for_backward(
            *(q, k, v, out, lse, cu_seqlens_q, cu_seqlens_k, sinks, slopes, dropout_seed),
            attn_mask,
        )
        ctx.numbers = (*mask, dropout_p)
        ctx.refusal = refusal(q, k, v, block_table)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad_out: Optional[Tensor], grad_lse: Optional[Tensor]) -> Gradients:
        q, k, v, _, _, _, sinks, *others, attn_mask = ctx.needs_input_grad
        *grads, of_sinks, of_mask = _differentiate(
            ctx, (q, k, v, sinks, attn_mask), grad_out, grad_lse
        )
        return (*grads, None, None, None, of_sinks, *[None] * len(others), of_mask)

    @staticmethod
    def vmap(*_: Any) -> Any:
        raise unsupported(*VMAP)


class Direct(Function):  # type: ignore[misc]
    """`Attention` for plain tensors outside of graphs and transforms.

    torch takes time for every argument, and for every result that may have a gradient.  So here the
    arguments of `ops.forward` come in one tuple, behind those of them that may need gradients, and
    the log-sum-exp is a result only if it is wanted.  Nor is there a setup_context: torch binds the
    arguments of a function that has one by name, which takes as long as all the rest.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        sinks: Optional[Tensor],
        attn_mask: Optional[Tensor],
        alibi_slopes: Optional[Tensor],
        return_lse: bool,
        arguments: Tuple[Any, ...],
    ) -> Any:
        outputs = ops.run_forward(*arguments)
        Attention.setup_context(ctx, arguments, outputs)
        return outputs if return_lse else outputs[0]

    @staticmethod
    def backward(
        ctx: Any, grad_out: Optional[Tensor], grad_lse: Optional[Tensor] = None
    ) -> Gradients:
        grads = _differentiate(ctx, ctx.needs_input_grad[:5], grad_out, grad_lse)
        return (*grads, None, None, None)


def refusal(q: Tensor, k: Tensor, v: Tensor, block_table: Optional[Tensor] = None) -> str:
    """Why attention with these arguments has no backward pass; "" if it has one."""
    if block_table is not None:
        return NO_BACKWARD_PAGED
    if k.dtype != q.dtype:
        return NO_BACKWARD_CONVERTED
    widths = q.shape[-1], v.shape[-1]
    if widths in DIFFERENTIABLE:
        return ""
    if widths not in LATENT and head_dims.padded(widths) in DIFFERENTIABLE:
        return ""
    return NO_BACKWARD_WIDE.format(q.shape[-1], max(DIFFERENTIABLE)[0])


def _differentiate(
    ctx: Any, wanted: Sequence[bool], grad_out: Optional[Tensor], grad_lse: Optional[Tensor]
) -> Gradients:
    """The gradients of q, k, v, sinks and attn_mask; None for those that are not wanted."""
    q, k, v, out, lse, cu_seqlens_q, cu_seqlens_k, sinks, slopes, seed, mask = ctx.saved_tensors
    transforms.refuse(grad_out, grad_lse, differentiable=True)
    if grad_out is None:
        grad_out = torch.zeros_like(out)
    if ctx.refusal:
        inputs = [x for x, is_wanted in zip((q, k, v, sinks, mask), wanted) if is_wanted]
        found = no_backward(grad_out, inputs, ctx.refusal)
    else:
        if torch.is_grad_enabled() or _transformed():
            differentiate = Differentiation.apply
        else:
            differentiate = (
                ops.run_backward if _are_plain(grad_out, q, k, v, mask) else ops.backward
            )
        found = differentiate(
            *(wanted, grad_out, grad_lse, q, k, v, out, lse, cu_seqlens_q, cu_seqlens_k),
            *(sinks, mask, slopes, *ctx.numbers, seed),
        )
    in_order = iter(found)
    return tuple([next(in_order) if is_wanted else None for is_wanted in wanted])


class Differentiation(Function):  # type: ignore[misc]
    """`ops.backward`, of the same arguments; it has no derivatives of its own."""

    @staticmethod
    def forward(*arguments: Any) -> Any:
        return tuple(ops.backward(*arguments))

    @staticmethod
    def setup_context(ctx: Any, inputs: Tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise unsupported(*SECOND_DERIVATIVES)

    @staticmethod
    def vmap(*_: Any) -> Any:
        raise unsupported(*VMAP)


ops.forward.register_autograd(Attention.backward, setup_context=Attention.setup_context)


def attention(
    *,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    return_lse: bool,
    cu_seqlens_q: Optional[Tensor],
    cu_seqlens_k: Optional[Tensor],
    sinks: Optional[Tensor],
    alibi_slopes: Optional[Tensor],
    softmax_scale: Optional[float],
    causal: bool,
    window_size: Sequence[int],
    softcap: float,
    max_q_len: int,
    block_table: Optional[Tensor],
    dropout_p: float,
    attn_mask: Optional[Tensor],
) -> Tuple[Tensor, Any]:
    """Out and its log-sum-exp, which is one with return_lse only; with gradients if wanted.

    The seed of dropout comes from torch's generator of the CPU: torch.utils.checkpoint restores its
    state before it computes a part again, and on "mps" that of no other.
    """
    seed = None
    if dropout_p:
        seed = torch.randint(-(2**31), 2**31, (2,), dtype=torch.int32).to(q.device)
    differentiable = may_need_gradients(q, k, v, sinks, alibi_slopes, attn_mask)
    plain = _are_plain(q, k, v, sinks, attn_mask)
    arguments = (
        *(q, k, v, return_lse or differentiable, cu_seqlens_q, cu_seqlens_k, sinks, alibi_slopes),
        *(softmax_scale, causal, *window_size, softcap, max_q_len, block_table, dropout_p, seed),
        attn_mask,
    )
    if differentiable and not _compiling():
        if plain and not _transformed():
            found = Direct.apply(q, k, v, sinks, attn_mask, alibi_slopes, return_lse, arguments)
            return found if return_lse else (found, None)
        attend = Attention.apply
    else:
        attend = ops.run_forward if plain else ops.forward
    outputs: Tuple[Tensor, Tensor] = attend(*arguments)
    return outputs


def _are_plain(*tensors: Optional[Tensor]) -> bool:
    """Whether nobody needs to see an op: no graph is traced, no mode is on, no tensor special."""
    if _compiling() or torch._C._len_torch_dispatch_stack():
        return False
    for tensor in tensors:  # all() of a generator would take twice as long
        if type(tensor) not in PLAIN or (tensor is not None and tensor.is_meta):
            return False
    return True


def may_need_gradients(*tensors: Optional[Tensor]) -> bool:
    """Whether a backward pass may be asked for.

    Within torch.func's transforms always: an outer one's tensors do not say whether they need it.
    """
    if _transformed():
        return True
    if torch.is_grad_enabled():
        for tensor in tensors:
            if tensor is not None and tensor.requires_grad:
                return True
    return False


def _transformed() -> bool:
    """Whether torch.func is at work; it never is in a graph, see transforms.py."""
    return not _compiling() and torch._C._are_functorch_transforms_active()


@torch.library.custom_op(add_op_namespace_prefix("no_backward"), mutates_args=())
def no_backward(grad: Tensor, inputs: List[Tensor], why: str) -> List[Tensor]:
    """In place of the gradients of `inputs`: an error that says why there are none.

    An op, so that a model compiled with gradients on, and only ever run forward, compiles.  It
    takes the output's gradient, so that no compiler moves it into the forward pass.
    """
    raise NotImplementedError(why)


@no_backward.register_fake
def _(grad: Tensor, inputs: List[Tensor], why: str) -> List[Tensor]:
    return [torch.empty_like(tensor) for tensor in inputs]


def _refuse_backward(op: Any, why: str) -> None:
    """Let the backward pass of an op say why there is none."""

    def save_inputs(ctx: Any, inputs: Tuple[Any, ...], output: Any) -> None:
        ctx.count = len(inputs)
        ctx.places = [
            i
            for i, value in enumerate(inputs)
            if isinstance(value, Tensor) and value.is_floating_point()
        ]
        ctx.save_for_backward(*(inputs[i] for i in ctx.places))

    def backward(ctx: Any, grad: Tensor, *_: Any) -> Gradients:
        gradients = dict(zip(ctx.places, no_backward(grad, list(ctx.saved_tensors), why)))
        return tuple(gradients.get(i) for i in range(ctx.count))

    op.register_autograd(backward, setup_context=save_inputs)


@torch.library.custom_op(add_op_namespace_prefix("nothing_of"), mutates_args=())
def nothing_of(q: Tensor, k: Tensor, v: Tensor, sinks: Optional[Tensor]) -> Tensor:
    """-0.0, which added to a number leaves its bits as they are.

    An output written in place has no gradient.  Added to it, this one has the backward pass that
    says so, where without it the inputs would go without a gradient silently.
    """
    return torch.full((), -0.0, dtype=q.dtype, device=q.device)


@nothing_of.register_fake
def _(q: Tensor, *_: Any) -> Tensor:
    return torch.empty((), dtype=q.dtype, device=q.device)


_refuse_backward(ops.forward_cached, NO_BACKWARD_CACHED)
_refuse_backward(nothing_of, NO_BACKWARD_INTO)
