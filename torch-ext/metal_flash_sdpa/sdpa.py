"""torch's scaled_dot_product_attention, by the kernels where they serve a call.

What they do not serve goes to torch's own implementation, wrong calls included: so what is an
error, and which one, is torch's to say.  A reason, in words, decides: there is none, "", where a
call is served.
"""

from functools import lru_cache
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import autograd, checks, head_dims, launchers
from ._ops import add_op_namespace_prefix, ops
from .autocast import cast
from .call import Options, why_off
from .catalogue import kept_off
from .interface import flash_attn_func

_SIGNATURES = 4096  # of so many the reasons are kept
# Where a user puts the function below in place of torch's, this remains torch's.
_torchs_own = torch._C._nn.scaled_dot_product_attention
_PYTHON, _NEGATIVE = torch._C.DispatchKey.Python, torch._C.DispatchKey.Negative


class Call(NamedTuple):
    """The arguments of a call, as torch names and orders them."""

    query: Any
    key: Any
    value: Any
    attn_mask: Any = None
    dropout_p: Any = 0.0
    is_causal: Any = False
    scale: Any = None
    enable_gqa: Any = False


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Optional[Tensor] = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Optional[float] = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`torch.nn.functional.scaled_dot_product_attention`, of the same arguments and meaning.

    Args:
        query: (..., heads, q_len, head_dim); the axes before q_len may be any, or none.
        key, value: (..., heads, k_len, head_dim); that of value may be another.
        attn_mask: what broadcasts to (..., heads, q_len, k_len): bool, True where a query may see
            a key, or a bias that is added to the scores.
        dropout_p: the probability that a weight is dropped, whether a model trains or not.  The
            seed is drawn from torch's generator of the CPU.
        is_causal: query i sees the keys up to key i, where the first query stands at the first key.
            (In flash-attn, and so in flash_attn_func, the last stands at the last.)
        scale: multiplies the scores; None is head_dim ** -0.5.
        enable_gqa: key and value may have fewer heads than query.

    The tensors are read in place, whatever their strides, as long as the last one is 1.  The result
    lies in memory as (..., q_len, heads, head_dim), as that of torch's own flash kernels: the
    transpose that brings the heads back to the columns is free.

    `metal_flash_sdpa.explain` says of a call whether the kernels serve it.  Where they do not, this
    is torch's own function.  Two things differ where they do: dropout draws other numbers, and a
    row is 0 where the lowest value of attn_mask's dtype stands for all its keys, as it is in both
    for -inf and False; torch's own gives the mean of all values.
    """
    attention = ops.scaled_dot_product_attention if torch.compiler.is_compiling() else _decided
    return attention(
        *(query, key, value, attn_mask, dropout_p, is_causal), scale=scale, enable_gqa=enable_gqa
    )


def _decided(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Optional[Tensor] = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: Optional[float] = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The function itself, as a run of this Python decides which way a call goes.

    It is also an op, which torch takes apart by running it: so torch.compile need not read it.
    """
    call = Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    wanted = with_autocast(call)
    if not refusal(*wanted):
        return attend(wanted)
    result: Tensor = _torchs_own(*call[:6], scale=scale, enable_gqa=enable_gqa)
    return result


_NAME = add_op_namespace_prefix("scaled_dot_product_attention")
torch.library.define(
    _NAME,
    "(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, "
    "bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
)
torch.library.impl(_NAME, "CompositeImplicitAutograd", _decided)


def with_autocast(call: Call) -> Call:
    """The call as torch's own function sees it under torch.autocast."""
    query, key, value, attn_mask = cast(*call[:4])
    return call._replace(query=query, key=key, value=value, attn_mask=attn_mask)


def launcher(call: Call) -> str:
    """The name of the launcher that runs a call that is served."""
    name: str = launchers.chosen(call.query.device).__name__.rpartition(".")[2]
    return name


def attend(call: Call) -> Tensor:
    """The result of a call that the kernels serve."""
    q, k, v, asked = _asked(call)
    out = flash_attn_func(
        *(q, k, v, asked.dropout_p, asked.softmax_scale, asked.causal, asked.window_size),
        attn_mask=asked.attn_mask,
    )
    assert isinstance(out, Tensor)  # no log-sum-exp is asked for
    of_query = _leading(call)[0]
    out = out.transpose(1, 2)
    return out if len(of_query) == 2 else out.reshape(*of_query, *out.shape[-2:])


def _asked(call: Call) -> Tuple[Tensor, Tensor, Tensor, Options]:
    """What flash_attn_func is asked for: query, key and value, and options."""
    q, k, v = _laid_out(call)
    q_len, k_len = q.shape[1], k.shape[1]
    causal, right = call.is_causal, -1
    if causal and q_len < k_len:  # no query stands at the keys behind the first q_len
        k, v = k[:, :q_len], v[:, :q_len]
    elif causal and q_len > k_len:
        # As the last query stands at the last key, each sees so many keys behind its own.
        causal, right = False, q_len - k_len
    asked = Options(
        softmax_scale=None if call.scale is None else float(call.scale),
        causal=causal,
        window_size=(-1, right),
        dropout_p=float(call.dropout_p),
        attn_mask=_mask(call, q, k),
    )
    return q, k, v, asked


def refusal(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any,
    dropout_p: Any,
    is_causal: Any,
    scale: Any,
    enable_gqa: Any,
) -> str:
    """Why the kernels do not serve a call; "" if they do.

    Code that is passed on waits for this, so it takes as little time as it can: what depends on
    shapes, dtypes and numbers is known from the first such call.
    """
    signature: Any = None
    why = None
    try:
        # fmt: off
        signature = (  # unpacking other tuples into it would take longer
            query.shape, key.shape, value.shape, query.dtype, key.dtype, value.dtype, dropout_p,
            is_causal, scale, enable_gqa,
            None if attn_mask is None else (attn_mask.shape, attn_mask.dtype),
            torch.is_grad_enabled() and (
                query.requires_grad or key.requires_grad or value.requires_grad
                or (attn_mask is not None and attn_mask.requires_grad)
            ),
        )
        # fmt: on
        why = _known.get(signature)
    except (AttributeError, TypeError):  # no tensor, or of a shape that only a running graph knows
        signature = None
    if why is None:
        return _refusal_of_new(
            signature, Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
        )
    return why or _refusal_of_tensors(query, key, value, attn_mask)


def _refusal_of_new(signature: Any, call: Call) -> str:
    """The same where nothing is known of a signature; None is not remembered."""
    why = _no_tensors(call) or _refusal_of_tensors(*call[:4])
    if why:
        return why
    why = _ask(call)
    if signature is not None and _has_numbers(call):
        if len(_known) >= _SIGNATURES:
            _known.clear()
        _known[signature] = why
    return why


_known: Dict[Any, str] = {}


def _has_numbers(call: Call) -> bool:
    """Whether each is of its type: as keys, Python takes True for 1, and False for 0.0."""
    of_bools = type(call.is_causal), type(call.enable_gqa)
    return of_bools == (bool, bool) and bool not in (type(call.dropout_p), type(call.scale))


def _no_tensors(call: Call) -> str:
    for name, tensor in zip(Call._fields[:4], call):
        if not isinstance(tensor, Tensor) and (tensor is not None or name != "attn_mask"):
            return f"{name} is no tensor"
        if tensor is not None and tensor.dim() < 2:
            return f"{name} has shape {tuple(tensor.shape)}: has fewer than 2 axes"
    return ""


def _ask(call: Call) -> str:
    """What a signature says, by the package's own checks and by what torch asks beside them."""
    query, mask = call.query, call.attn_mask
    if mask is not None:
        if call.is_causal:
            return "attn_mask and is_causal are both given"
        if mask.dtype not in (torch.bool, torch.float32, query.dtype):
            return f"attn_mask is {mask.dtype} and query {query.dtype}"
        if mask.dim() > max(x.dim() for x in call[:3]):
            return f"attn_mask has shape {tuple(mask.shape)}: has more axes than query"
    try:
        checks.check_bool("is_causal", call.is_causal)
        checks.check_bool("enable_gqa", call.enable_gqa)
        q, k, v = _laid_out(call)
        checks.check_qkv(checks.PADDED, checks.PADDED, query=q, key=k, value=v)
        checks.check_options(
            *(q, q.shape[0], call.dropout_p, call.scale, False, (-1, -1), 0.0, None, None),
            names={"softmax_scale": "scale"},
        )
        checks.check_mask(_mask(call, q, k), q, k.shape[1])
        differentiable = autograd.may_need_gradients(*call[:4])
        if differentiable and (why := autograd.refusal(q, k, v)):
            return _first_sentence(why)
        return _why_off(call, differentiable)
    except (TypeError, ValueError, RuntimeError) as error:  # NotImplementedError among the last
        return _first_sentence(str(error))


def _why_off(call: Call, differentiable: bool) -> str:
    """Which kernel that a call needs METAL_FLASH_SDPA_OFF keeps off; "" if none."""
    if not kept_off():
        return ""
    q, k, v, asked = _asked(call)
    _, (q, k, v) = head_dims.fit(asked.softmax_scale, q, k, v)
    return why_off(q, k, v, asked, differentiable)


def _first_sentence(why: str) -> str:
    """What is wrong; the ways out behind it are for calls that nobody else serves."""
    return why.partition(".  ")[0].partition("\n")[0]


def _refusal_of_tensors(*tensors: Optional[Tensor]) -> str:
    """Why not, as far as it depends on what else torch is doing, and on what the tensors are."""
    if not torch._C._get_flash_sdp_enabled():
        return "flash attention is off: sdpa_kernel, or torch.backends.cuda.enable_flash_sdp"
    if torch._C._are_functorch_transforms_active():
        return "torch.func's transforms are at work"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are at work"
    for name, tensor in zip(Call._fields, tensors):
        if tensor is not None:
            why = _refusal_of_one(name, tensor)
            if why:
                return why
    devices = {tensor.device for tensor in tensors if tensor is not None}
    if len(devices) > 1:
        return f"the tensors are on {' and '.join(sorted(map(str, devices)))}"
    return _no_launcher(*devices)


def _refusal_of_one(name: str, tensor: Tensor) -> str:
    kind, keys = type(tensor), torch._C._dispatch_keys(tensor)
    if tensor.layout != torch.strided:
        return f"{name} is {tensor.layout}: must be a dense tensor (torch.strided)"
    # Of torch's own classes those that stand for tensors while it traces have a _mode_key.
    if keys.has(_PYTHON) and getattr(kind, "_mode_key", None) is None:
        return f"{name} is a {kind.__name__}, with operations of its own"
    if keys.has(_NEGATIVE):
        return f"{name} is a negative view: its memory holds the opposite sign"
    return ""


@lru_cache(maxsize=None)
def _no_launcher(device: torch.device) -> str:
    try:
        launchers.chosen(device)
    except RuntimeError as error:
        return str(error)
    return ""


def _leading(call: Call) -> Tuple[Sequence[int], Sequence[int]]:
    """The axes before length of query, and those of key and value, after broadcasting.

    The last of them are the heads.  Raises RuntimeError where axes do not fit.
    """
    of_query, of_key, of_value = (x.shape[:-2] for x in call[:3])
    if of_query == of_key == of_value:
        return of_query, of_key
    if not call.enable_gqa:
        shared = torch.broadcast_shapes(of_query, of_key, of_value)
        return shared, shared
    shared = torch.broadcast_shapes(of_query[:-1], of_key[:-1], of_value[:-1])
    if of_key[-1:] != of_value[-1:]:
        raise ValueError(f"key has {of_key[-1:]} heads and value {of_value[-1:]}: must be the same")
    return (*shared, *of_query[-1:]), (*shared, *of_key[-1:])


def _laid_out(call: Call) -> Tuple[Tensor, Tensor, Tensor]:
    """Query, key and value as flash_attn_func takes them: (batch, length, heads, head_dim).

    Views, but where several axes before the heads have no one stride.
    """
    query, key, value = call[:3]
    of_query, of_keys = _leading(call)
    return (
        _grouped(query, of_query).transpose(1, 2),
        _grouped(key, of_keys).transpose(1, 2),
        _grouped(value, of_keys).transpose(1, 2),
    )


def _grouped(tensor: Tensor, leading: Sequence[int]) -> Tensor:
    """The tensor with the axes `leading`, as (batch, heads, length, columns)."""
    if tensor.shape[:-2] != leading:
        tensor = tensor.expand(*leading, *tensor.shape[-2:])
    while tensor.dim() < 4:
        tensor = tensor.unsqueeze(0)
    return tensor if tensor.dim() == 4 else tensor.flatten(0, -4)


def _mask(call: Call, q: Tensor, k: Tensor) -> Optional[Tensor]:
    """The mask, as flash_attn_func takes it: axes before the heads are the batch."""
    mask: Optional[Tensor] = call.attn_mask
    of_query = _leading(call)[0]
    if mask is None or mask.dim() < 4 or len(of_query) <= 2:
        return mask
    return mask.expand(*of_query, q.shape[1], k.shape[1]).flatten(0, -4)
