"""Attention as its definition says, and what "correct" means next to it.

`attention` runs in any dtype: in float64 it is the reference, in a kernel's own dtype it is the
plain PyTorch attention whose error bounds the kernel's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

# Error floors and cosines, from design.md, "What correct means".
FLOOR = {torch.float32: 1e-6, torch.float16: 2e-4, torch.bfloat16: 2e-3}
LEAST_COSINE = {torch.float32: 0.999999, torch.float16: 0.999999, torch.bfloat16: 0.9999}

# Orders of a dot product where few rows decide.  With scores of 2,500 and a cap of 1, the errors of
# 24 orders of plain float32 spread from 5e-7 to 6e-5.
MANY_ORDERS = 8
# From here on the rounding of a float32 score, 2^-24 of it and more, shows in its weight as much as
# all other roundings: what a row gives hangs on its few largest scores.
WIDE_SCORE = 1000.0


@dataclass(frozen=True)
class Options:
    """What the mathematics depends on beside the tensors; names as in flash-attn."""

    softmax_scale: float
    causal: bool = False
    window_size: tuple[int, int] = (-1, -1)
    softcap: float = 0.0


def visible(rows: Tensor, q_len: int, k_len: int, options: Options) -> Tensor:
    """Which keys each query row of `rows` sees: (len(rows), k_len) bool, aligned bottom-right."""
    diagonal = rows.unsqueeze(1) + (k_len - q_len)
    keys = torch.arange(k_len).unsqueeze(0)
    left, right = options.window_size
    if options.causal:
        right = 0
    seen = torch.ones(len(rows), k_len, dtype=torch.bool)
    if left >= 0:
        seen &= keys >= diagonal - left
    if right >= 0:
        seen &= keys <= diagonal + right
    return seen


def distance(rows: Tensor, q_len: int, k_len: int) -> Tensor:
    """How far each key is from each query row's diagonal: (len(rows), k_len)."""
    return (rows.unsqueeze(1) + (k_len - q_len) - torch.arange(k_len)).abs()


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    options: Options,
    sinks: Tensor | None = None,
    slopes: Tensor | None = None,
    *,
    dtype: torch.dtype,
    rows: Tensor | None = None,
    scale_product: bool = False,
    bias: Tensor | None = None,
    dropout_scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention of one sequence, every step in `dtype`.

    q (q_len, heads, head_dim), k and v (k_len, kv_heads, head_dim), sinks (heads,) logits,
    slopes (heads,) of ALiBi: a key's distance from the diagonal, times the slope, comes off its
    softcapped score.  bias (heads, q_len, k_len) is added to it; -inf hides a key.  dropout_scale
    (heads, q_len, k_len) multiplies the weights, as dropout does, and not the log-sum-exp.
    Returns out (rows, heads, head_dim) and log-sum-exp (heads, rows); `rows` picks query rows.
    The scale multiplies both q and k by its root, as in PyTorch's own math attention, or with
    `scale_product` their product, as in the eager attention of transformers.
    A row that sees no key gives 0 and -inf.
    """
    logits = scores(
        q, k, options, slopes, dtype=dtype, rows=rows, scale_product=scale_product, bias=bias
    )
    heads, length, k_len = logits.shape
    v = of_query_heads(v.to(dtype), heads).transpose(0, 1)
    if sinks is not None:
        column = sinks.to(dtype).reshape(heads, 1, 1).expand(heads, length, 1)
        logits = torch.cat([logits, column], dim=-1)
    if logits.shape[-1] == 0:
        out = torch.zeros(length, heads, v.shape[-1], dtype=dtype)
        return out, torch.full((heads, length), -math.inf, dtype=dtype)
    # Rows without a key leave the softmax alone: its derivative there would be NaN.
    nothing = (logits == -math.inf).all(-1, keepdim=True)
    logits = logits.masked_fill(nothing, 0)
    lse = logits.logsumexp(dim=-1).masked_fill(nothing[..., 0], -math.inf)
    weights = logits.softmax(dim=-1).masked_fill(nothing, 0)[..., :k_len]
    if dropout_scale is not None:
        weights = weights * dropout_scale.to(dtype)
    return (weights @ v).transpose(0, 1), lse


def of_query_heads(x: Tensor, heads: int) -> Tensor:
    """Rows of K or V (len, kv_heads, head_dim), each KV head once for each query head."""
    return x.repeat_interleave(heads // x.shape[1], dim=1)


def scores(
    q: Tensor,
    k: Tensor,
    options: Options,
    slopes: Tensor | None,
    *,
    dtype: torch.dtype,
    rows: Tensor | None = None,
    scale_product: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """What the softmax is taken of, sinks apart: (heads, rows, k_len), -inf where a key is unseen.

    The arguments are those of `attention`.
    """
    q_len, heads, _ = q.shape
    k_len = k.shape[0]
    if rows is None:
        rows = torch.arange(q_len)
    q = q[rows].to(dtype).transpose(0, 1)
    k = of_query_heads(k.to(dtype), heads).transpose(0, 1)
    if scale_product:
        products = q @ k.transpose(1, 2) * options.softmax_scale
    else:
        root = math.sqrt(abs(options.softmax_scale))
        products = (q * math.copysign(root, options.softmax_scale)) @ (k * root).transpose(1, 2)
    if options.softcap:
        products = options.softcap * torch.tanh(products / options.softcap)
    if slopes is not None:
        products = products - slopes.to(dtype).reshape(heads, 1, 1) * distance(rows, q_len, k_len)
    if bias is not None:
        products = products + bias[:, rows].to(dtype)
    return products.masked_fill(~visible(rows, q_len, k_len, options), -math.inf)


def widest_score(q: Tensor, k: Tensor, options: Options) -> float:
    """No score is larger: the longest query times the longest key."""
    if not (q.numel() and k.numel()):
        return 0.0
    q_length, k_length = (float(x.norm(dim=-1).nan_to_num(0.0).max()) for x in (q, k))
    return abs(options.softmax_scale) * q_length * k_length


def plain_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    options: Options,
    sinks: Tensor | None,
    slopes: Tensor | None = None,
    rows: Tensor | None = None,
    bias: Tensor | None = None,
    dropout_scale: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Plain PyTorch attention in the inputs' dtype, in both of its customary orders.

    Its error bounds a kernel's.  Where one row decides the largest error the two orders differ by
    chance, so neither alone says how far plain PyTorch is off.  A cap well below the scores leaves
    it to the few where tanh is not flat, and wide scores to the few rows whose largest are close:
    there the dot products are summed in several orders too.  (In float32, that is; narrower scores
    are rounded by more than the order makes of them.)
    """
    return tuple(
        attention(
            q.roll(turn, -1),
            k.roll(turn, -1),
            v,
            options,
            sinks,
            slopes,
            dtype=q.dtype,
            rows=rows,
            scale_product=order,
            bias=bias,
            dropout_scale=dropout_scale,
        )[0]
        for turn, order in orders(q, k, options)
    )


def orders(q: Tensor, k: Tensor, options: Options) -> Iterable[tuple[int, bool]]:
    """The orders of plain PyTorch attention: turns of a dot product, and when it is scaled."""
    turns: Iterable[int] = (0,)
    if q.dtype == torch.float32 and (options.softcap or widest_score(q, k, options) > WIDE_SCORE):
        turns = range(0, q.shape[-1], q.shape[-1] // MANY_ORDERS)
    return product(turns, (False, True))


def position_of_largest(x: Tensor) -> tuple[int, ...]:
    """Its indices.  (torch.unravel_index imports sympy: 0.4 s in each process that compares.)"""
    return tuple((x == x.max()).nonzero()[0].tolist())


@dataclass(frozen=True)
class Error:
    """How far an output is from the reference, and how far it may be."""

    max_abs: float
    tolerance: float
    cosine: float
    least_cosine: float
    worst: tuple[int, ...]  # position of the worst element
    got: float
    want: float

    @property
    def ok(self) -> bool:
        return self.max_abs <= self.tolerance and self.cosine >= self.least_cosine

    @property
    def ratio(self) -> float:
        """Error as a fraction of the tolerance."""
        return self.max_abs / self.tolerance


def compare(got: Tensor, want: Tensor, plain: Sequence[Tensor], dtype: torch.dtype) -> Error:
    """Error of `got` against the float64 `want`; `plain` is same-dtype PyTorch attention.

    The tolerance is twice the largest finite error of `plain`, plus the floor.

    NaN must stand exactly where the reference has it; there it counts as equal.
    """
    floor, least_cosine = FLOOR[dtype], LEAST_COSINE[dtype]
    if got.numel() == 0:
        return Error(0.0, floor, 1.0, least_cosine, (), 0.0, 0.0)
    got = got.double()
    plain_error = max(
        (p.double() - want).abs().nan_to_num(nan=0.0, posinf=0.0).max().item() for p in plain
    )
    difference = (got - want).abs()
    difference[got.isnan() & want.isnan()] = 0.0
    difference = difference.nan_to_num(nan=math.inf)
    worst = position_of_largest(difference)
    a, b = got.nan_to_num().flatten(), want.nan_to_num().flatten()
    norms = (a.norm() * b.norm()).item()
    cosine = (a @ b).item() / norms if norms else float(a.norm() == b.norm())
    return Error(
        max_abs=difference.max().item(),
        tolerance=2 * plain_error + floor,
        cosine=cosine,
        least_cosine=least_cosine,
        worst=worst,
        got=got[worst].item(),
        want=want[worst].item(),
    )


def lse_tolerance(
    q: Tensor,
    k: Tensor,
    options: Options,
    want: Tensor,
    slopes: Tensor | None = None,
    bias: Tensor | None = None,
) -> float:
    """How far a float32 log-sum-exp may be from `want`.

    With u = 2^-24: a dot product of head_dim terms is off by at most head_dim * u * |q| |k|
    (Cauchy-Schwarz bounds the sum of |q_d k_d|), scaling, capping and the running maximum add a
    few roundings of a value that large, a bias, ALiBi's or another, a few of its own size, summing
    k_len weights is off by k_len * u relatively, and the final logarithm and product round a value
    of size |lse| (of sums near 1, fast::log2 is off by up to 2^-22 = 4 u, says Apple's
    specification).
    """
    size: float = 0.0
    if q.numel() and k.numel():
        norms = (
            q.double().norm(dim=-1).nan_to_num().max() * k.double().norm(dim=-1).nan_to_num().max()
        )
        size = norms.item() * abs(options.softmax_scale)
    added: float = 0.0
    if slopes is not None:
        added += slopes.abs().max().item() * max(q.shape[0], k.shape[0])
    if bias is not None and (finite_bias := bias[bias.isfinite()]).numel():
        added += finite_bias.abs().max().item()
    finite = want[want.isfinite()]
    largest: float = finite.abs().max().item() if finite.numel() else 0.0
    head_dim, k_len = int(q.shape[-1]), int(k.shape[0])
    return 2.0**-24 * ((head_dim + 8) * size + 8 * added + k_len + 4 * largest + 8)
