"""One small call for each family of kernels, and what torch's own operations make of it.

The doctor runs them.  A sample is written once, for any function that attends: this package's, or
`_attend`, which is attention as its definition says, in the dtype of its tensors.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import interface

Results = Dict[str, Tensor]
Draw = Callable[..., Tensor]  # a random tensor of a shape, the same in every run, in any dtype

# What an error may be beyond twice that of plain torch in the same dtype.
FLOOR = {torch.float32: 1e-6, torch.float16: 2e-4, torch.bfloat16: 2e-3}

# Before a result's name: the size of what was added up for it, where few numbers are.  One rounding
# of the terms may change so much of it, while the error of plain torch may be small by luck.
SIZE = "size of "

HEADS, KV_HEADS = 4, 2
PAGE = 16  # rows of a page


class Functions(NamedTuple):
    """Who computes: the package, or torch."""

    attend: Callable[..., Any]  # as flash_attn_func with return_attn_probs
    attend_to_cache: Callable[..., Tensor]  # as flash_attn_with_kvcache


class Sample(NamedTuple):
    """A call; `blame` names the families that no other sample tests and that made a result."""

    name: str
    call: Callable[[Functions, Draw, int], Results]
    blame: Dict[str, Tuple[str, ...]]

    def on_kernels(self, head_dim: int, dtype: torch.dtype, device: str) -> Results:
        """The results of this package, on a device."""
        return self.call(_KERNELS, _draw(dtype, dtype, device), head_dim)

    def exactly(self, head_dim: int, dtype: torch.dtype) -> Results:
        """Of torch, in float64, on the CPU."""
        return self.call(_TORCH, _draw(dtype, torch.float64), head_dim)

    def plainly(self, head_dim: int, dtype: torch.dtype) -> Results:
        """Of torch, in the kernels' dtype, on the CPU."""
        return self.call(_TORCH, _draw(dtype, dtype), head_dim)


def _draw(rounded_to: torch.dtype, dtype: torch.dtype, device: str = "cpu") -> Draw:
    """Numbers that `rounded_to` holds, in another dtype: all runs of a sample have the same."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(rounded_to).to(device, dtype)

    return draw


# --- torch's side --------------------------------------------------------------------------------


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    softmax_scale: Optional[float] = None,
    causal: bool = False,
    window_size: Sequence[int] = (-1, -1),
    softcap: float = 0.0,
    s_aux: Optional[Tensor] = None,
    attn_mask: Optional[Tensor] = None,
    return_attn_probs: bool = True,
) -> Tuple[Tensor, Tensor, None]:
    """Attention of a padded batch, by its definition; arguments as in flash_attn_func."""
    group = q.shape[2] // k.shape[2]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = (
        q @ k.transpose(2, 3) * (q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale)
    )
    if softcap:
        scores = softcap * (scores / softcap).tanh()
    if attn_mask is not None:
        scores = scores + attn_mask
    q_len, k_len = scores.shape[2:]
    ahead = torch.arange(k_len)[None, :] - torch.arange(q_len)[:, None] - (k_len - q_len)
    left, right = window_size
    right = 0 if causal else right
    hidden = torch.zeros(q_len, k_len, dtype=torch.bool)
    if left >= 0:
        hidden = hidden | (ahead < -left)
    if right >= 0:
        hidden = hidden | (ahead > right)
    scores = scores.masked_fill(hidden, -torch.inf)
    if s_aux is not None:
        sinks = s_aux.to(scores.dtype)[None, :, None, None].expand(*scores.shape[:3], 1)
        scores = torch.cat((scores, sinks), 3)
    out = scores.softmax(3)[..., :k_len] @ v
    return out.transpose(1, 2), scores.logsumexp(3), None


def _attend_to_cache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Optional[Tensor] = None,
    v: Optional[Tensor] = None,
    rotary_cos: Optional[Tensor] = None,
    rotary_sin: Optional[Tensor] = None,
    cache_seqlens: int = 0,
    block_table: Optional[Tensor] = None,
    causal: bool = False,
    num_splits: int = 0,
) -> Tensor:
    """Attention over a cache; arguments as in flash_attn_with_kvcache."""
    if block_table is not None:
        k_cache, v_cache = (x[block_table].flatten(1, 2) for x in (k_cache, v_cache))
    keys, values = (x[:, :cache_seqlens] for x in (k_cache, v_cache))
    if k is not None and v is not None:
        if rotary_cos is not None and rotary_sin is not None:
            places = slice(cache_seqlens, cache_seqlens + k.shape[1])
            q, k = (_rotated(x, rotary_cos[places], rotary_sin[places]) for x in (q, k))
        keys, values = torch.cat((keys, k), 1), torch.cat((values, v), 1)
    return _attend(q, keys, values, causal=causal)[0]


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Neighbouring elements turned by an angle of their own, in every row."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


_KERNELS = Functions(interface.flash_attn_func, interface.flash_attn_with_kvcache)
_TORCH = Functions(_attend, _attend_to_cache)


# --- the samples ---------------------------------------------------------------------------------


def _qkv(draw: Draw, q_len: int, k_len: int, head_dim: int) -> Tuple[Tensor, Tensor, Tensor]:
    k_shape = (2, k_len, KV_HEADS, head_dim)
    return draw(2, q_len, HEADS, head_dim), draw(*k_shape), draw(*k_shape)


def _prefill(**options: Any) -> Callable[[Functions, Draw, int], Results]:
    def call(functions: Functions, draw: Draw, head_dim: int) -> Results:
        qkv = _qkv(draw, 70, 100, head_dim)
        out, lse, _ = functions.attend(*qkv, return_attn_probs=True, **options)
        return {"out": out, "lse": lse}

    return call


def _with_sinks(functions: Functions, draw: Draw, head_dim: int) -> Results:
    qkv, sinks = _qkv(draw, 70, 100, head_dim), draw(HEADS)
    options = {"window_size": (20, 10), "softcap": 5.0, "s_aux": sinks, "return_attn_probs": True}
    out, lse, _ = functions.attend(*qkv, **options)
    return {"out": out, "lse": lse}


def _with_mask(functions: Functions, draw: Draw, head_dim: int) -> Results:
    qkv, bias = _qkv(draw, 70, 100, head_dim), draw(1, HEADS, 70, 100)
    bias = bias.masked_fill(bias > 1, -torch.inf)
    out, lse, _ = functions.attend(*qkv, attn_mask=bias, return_attn_probs=True)
    return {"out": out, "lse": lse}


def _decode(splits: int) -> Callable[[Functions, Draw, int], Results]:
    def call(functions: Functions, draw: Draw, head_dim: int) -> Results:
        qkv = _qkv(draw, 1, 600, head_dim)
        return {"out": functions.attend_to_cache(*qkv, cache_seqlens=555, num_splits=splits)}

    return call


def _append(functions: Functions, draw: Draw, head_dim: int) -> Results:
    pages = [draw(12, PAGE, KV_HEADS, head_dim) for _ in "kv"]
    table = torch.tensor([[3, 1, 7, 10, 0], [2, 11, 5, 6, 4]], device=pages[0].device)
    q, k, v = _qkv(draw, 3, 3, head_dim)
    turns = [draw(100, head_dim // 2) for _ in ("cos", "sin")]
    options = {"cache_seqlens": 60, "block_table": table, "causal": True, "num_splits": 1}
    return {"out": functions.attend_to_cache(q, *pages, k, v, *turns, **options)}


def _backward(functions: Functions, draw: Draw, head_dim: int) -> Results:
    tensors = [*_qkv(draw, 70, 70, head_dim), draw(HEADS).float()]
    weights = draw(2, 70, HEADS, head_dim)
    *qkv, sinks = (x.requires_grad_() for x in tensors)
    out, lse, _ = functions.attend(*qkv, causal=True, s_aux=sinks, return_attn_probs=True)
    gradients = torch.autograd.grad(out, tensors, weights)
    # A sink's gradient adds up its weight in a row times (weights * out), of `out` as rounded.
    of_sinks = (sinks[None, :, None] - lse).exp()
    terms = of_sinks * (weights * out).abs().sum(-1).transpose(1, 2)
    return {
        **dict(zip(("grad_q", "grad_k", "grad_v", "grad_sinks"), gradients)),
        SIZE + "grad_sinks": terms.sum((0, 2)).detach(),
    }


def _backward_with_mask(functions: Functions, draw: Draw, head_dim: int) -> Results:
    qkv, bias = _qkv(draw, 70, 100, head_dim), draw(1, HEADS, 70, 100).requires_grad_()
    weights = draw(2, 70, HEADS, head_dim)
    out, _, _ = functions.attend(*qkv, attn_mask=bias, return_attn_probs=True)
    return {"grad_mask": torch.autograd.grad(out, bias, weights)[0]}


_OF_PREFILL: Dict[str, Tuple[str, ...]] = {"out": ("prefill",), "lse": ("prefill",)}
_OF_MASKED: Dict[str, Tuple[str, ...]] = dict.fromkeys(_OF_PREFILL, ("mask_blocks", "prefill"))
SAMPLES = (
    Sample("prefill", _prefill(), _OF_PREFILL),
    Sample("prefill, causal", _prefill(causal=True), _OF_PREFILL),
    Sample("prefill, window, sinks, softcap", _with_sinks, _OF_PREFILL),
    Sample("prefill, mask tensor", _with_mask, _OF_MASKED),
    Sample("decode", _decode(1), {"out": ("decode",)}),
    Sample("decode, keys split", _decode(4), {"out": ("combine",)}),
    Sample("append, rotary, pages", _append, {"out": ("append",)}),
    Sample(
        "backward",
        _backward,
        {
            "grad_q": ("backward_q",),
            "grad_k": ("backward_kv", "backward_k"),
            "grad_v": ("backward_kv", "backward_v"),
            "grad_sinks": ("backward_rows",),
        },
    ),
    Sample("backward, mask tensor", _backward_with_mask, {"grad_mask": ("backward_mask",)}),
)
