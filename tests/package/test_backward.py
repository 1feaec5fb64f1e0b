"""Gradients beside float64 autograd of the reference, with every option that the forward has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from metal_flash_sdpa import flash_attn_func, flash_attn_varlen_func
from torch import Tensor

from verify.arena import offsets
from verify.reference import Options, attention, compare, lse_tolerance, visible

from .judge import rows

HEADS = 4


@dataclass(frozen=True)
class Case:
    """One call, and what is asked of it."""

    head_dim: int = 32
    dtype: torch.dtype = torch.float32
    q_lens: tuple[int, ...] = (37, 37)
    k_lens: tuple[int, ...] = (50, 50)
    kv_heads: int = 2
    packed: bool = False
    tail: int = 0  # packed: rows behind the last sequence
    mask: dict[str, Any] = field(default_factory=dict)  # causal, window_size, softcap
    softmax_scale: float | None = None
    sinks: bool = False
    alibi: bool = False
    with_lse: bool = True  # the log-sum-exp has a gradient, too


WINDOW = {"window_size": (9, 5)}
CASES = {
    "full": Case(kv_heads=4),
    "only out has a gradient": Case(with_lse=False, kv_heads=1, softmax_scale=-0.3),
    "causal, sinks": Case(dtype=torch.float16, head_dim=64, mask={"causal": True}, sinks=True),
    "everything": Case(
        dtype=torch.bfloat16, mask={**WINDOW, "softcap": 3.0}, alibi=True, sinks=True
    ),
    "more queries than keys": Case(q_lens=(40,), k_lens=(15,), mask={"causal": True}),
    "the same, sinks": Case(q_lens=(40,), k_lens=(15,), mask={"causal": True}, sinks=True),
    "no keys": Case(q_lens=(20,), k_lens=(0,), sinks=True),
    "no queries": Case(q_lens=(0,), k_lens=(20,), sinks=True),
    "one query": Case(q_lens=(1, 1), k_lens=(33, 33), mask={"causal": True}, sinks=True),
    "packed window": Case(q_lens=(40, 3, 0, 21), k_lens=(50, 30, 7, 10), packed=True, mask=WINDOW),
    "packed, and rows beyond": Case(
        q_lens=(18, 20), k_lens=(30, 5), packed=True, tail=9, mask={"causal": True}, sinks=True
    ),
    "two kernels for dK and dV": Case(
        head_dim=192, dtype=torch.float16, q_lens=(20,), k_lens=(40,), mask={"causal": True}
    ),
}


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(n * 31**i for i, n in enumerate(shape)))
    return torch.randn(shape, generator=generator).to(dtype)


class Call:
    """The call of a case, its results and its gradients; all tensors as packed ones."""

    def __init__(self, case: Case, *, wanted: Sequence[str] = ("q", "k", "v", "sinks")) -> None:
        total_q, total_k = sum(case.q_lens) + case.tail, sum(case.k_lens) + case.tail
        shapes = {"q": (total_q, HEADS), "k": (total_k, case.kv_heads), "v": (total_k, 1)}
        self.tensors = {
            name: draw(rows, heads, case.head_dim, dtype=case.dtype)
            for name, (rows, heads) in shapes.items()
        }
        self.tensors["v"] = self.tensors["v"].expand(-1, case.kv_heads, -1).clone()
        self.tensors["v"] += self.tensors["k"].roll(1, -1)
        self.sinks = draw(HEADS) if case.sinks else None
        self.slopes = draw(HEADS).abs() / 10 if case.alibi else None
        self.grad_out = draw(total_q + 1, HEADS, case.head_dim, dtype=case.dtype)[1:]
        self.grad_lse = draw(HEADS, total_q)
        leaves = dict(self.tensors)
        if self.sinks is not None:
            leaves["sinks"] = self.sinks
        self.wanted = [name for name in wanted if name in leaves]
        for name in self.wanted:
            leaves[name].requires_grad_()
        out, lse = self.run(case)
        results = [(out, self.grad_out), (lse, self.grad_lse)][: 1 + case.with_lse]
        found = torch.autograd.grad(
            [result for result, _ in results],
            [leaves[name] for name in self.wanted],
            [gradient for _, gradient in results],
        )
        self.out, self.lse = out.detach(), lse.detach()
        self.gradients = dict(zip(self.wanted, found))

    def run(self, case: Case) -> tuple[Tensor, Tensor]:
        """Out and log-sum-exp, packed."""
        options: dict[str, Any] = {
            **case.mask,
            "softmax_scale": case.softmax_scale,
            "alibi_slopes": self.slopes,
            "s_aux": self.sinks,
            "return_attn_probs": True,
        }
        q, k, v = self.tensors.values()
        if case.packed:
            cu_q, cu_k = offsets(case.q_lens), offsets(case.k_lens)
            longest = max(case.q_lens), max(case.k_lens)
            out, lse, _ = flash_attn_varlen_func(q, k, v, cu_q, cu_k, *longest, **options)
            return out, lse
        batch = len(case.q_lens)
        q, k, v = (x.unflatten(0, (batch, len(x) // batch)) for x in (q, k, v))
        out, lse, _ = flash_attn_func(q, k, v, **options)
        return out.flatten(0, 1), lse.transpose(0, 1).flatten(1)

    def reference(self, case: Case, dtype: torch.dtype, scale_product: bool = False) -> Any:
        """Gradients of plain PyTorch attention in `dtype`; 0 for rows that it has none of."""
        scale = case.head_dim**-0.5 if case.softmax_scale is None else case.softmax_scale
        options = Options(scale, **case.mask)
        found = {name: torch.zeros_like(x, dtype=dtype) for name, x in self.tensors.items()}
        found["sinks"] = torch.zeros(HEADS, dtype=dtype)
        for at, keys in zip(rows(case.q_lens), rows(case.k_lens)):
            given = {
                name: x.detach()[at if name == "q" else keys].to(dtype)
                for name, x in self.tensors.items()
            }
            if self.sinks is not None:
                given["sinks"] = self.sinks.detach().to(dtype)
            leaves = {name: x.requires_grad_() for name, x in given.items()}
            q, k, v, *sinks = leaves.values()
            seen = torch.ones(len(q), dtype=torch.bool)
            if not sinks:  # a row that sees nothing is a constant, where autograd would give NaN
                seen = visible(torch.arange(len(q)), len(q), len(k), options).any(1)
            out, lse = attention(
                *(q, k, v, options, sinks[0] if sinks else None, self.slopes),
                dtype=dtype,
                rows=seen.nonzero().flatten(),
                scale_product=scale_product,
            )
            loss = (out * self.grad_out[at][seen].to(dtype)).sum()
            if case.with_lse:
                loss = loss + (lse * self.grad_lse[:, at][:, seen].to(dtype)).sum()
            of_sequence = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            for name, gradient in zip(leaves, of_sequence):
                if gradient is not None:
                    place = {"q": at, "sinks": slice(None)}.get(name, keys)
                    found[name][place] += gradient
        return found

    def sinks_bound(self, case: Case) -> Tensor:
        """How far the gradient of a sink may be off.

        It is the sum over rows of -weight * (dO . O - dLSE), one number with nothing to average
        its errors.  In float32, with u = 2^-24, a dot product of n terms is off by n u of their
        magnitudes, and so is a sum; a weight is as far off as the log-sum-exp.  In 16 bits weights
        and O are rounded to them, each element of O by twice the unit of softmax(...) |V| at most.
        These roundings are independent, so that six times the root of their squares' sum holds.
        """
        assert self.sinks is not None
        scale = case.head_dim**-0.5 if case.softmax_scale is None else case.softmax_scale
        options, u = Options(scale, **case.mask), 2.0**-24
        unit = 0.0 if case.dtype == torch.float32 else torch.finfo(case.dtype).eps / 2
        sinks = self.sinks.detach()
        bound, squares = torch.zeros(2, HEADS, dtype=torch.float64)
        for at, keys in zip(rows(case.q_lens), rows(case.k_lens)):
            q, k, v = (x.detach() for x in self.tensors.values())
            q, k, v = q[at], k[keys], v[keys].abs()
            wide, lse = attention(q, k, v, options, sinks, self.slopes, dtype=torch.float64)
            if len(k) == 0:
                lse = sinks.double().unsqueeze(1).expand(HEADS, len(q))
            weight = (sinks.double().unsqueeze(1) - lse).exp()
            products = self.grad_out[at].double().abs() * wide
            sums = products.sum(-1).T
            terms = sums + self.grad_lse[:, at].abs() * case.with_lse
            relative = lse_tolerance(q, k, options, lse, self.slopes) + (len(q) + 4) * u
            bound += (weight * ((2 * case.head_dim + len(k)) * u * sums + relative * terms)).sum(1)
            squares += ((2 * unit * products).square().sum(-1).T * weight.square()).sum(1)
        return bound + 6 * squares.sqrt()


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    case = CASES[name]
    call = Call(case)
    want = call.reference(case, torch.float64)
    plain = [call.reference(case, case.dtype, order) for order in (False, True)]
    for tensor, gradient in call.gradients.items():
        if tensor == "sinks":
            assert ((gradient - want["sinks"]).abs() <= call.sinks_bound(case)).all()
            continue
        assert gradient.dtype == case.dtype
        error = compare(gradient, want[tensor], [p[tensor] for p in plain], case.dtype)
        assert error.ok, (tensor, error)


def test_rows_in_no_sequence_are_0_and_so_are_their_gradients() -> None:
    case = CASES["packed, and rows beyond"]
    call = Call(case)
    assert not call.out[-case.tail :].any()
    assert (call.lse[:, -case.tail :] == -torch.inf).all()
    for name in ("q", "k", "v"):
        assert not call.gradients[name][-case.tail :].any()
        assert call.gradients[name][: -case.tail].any()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_in_rows_that_see_nothing_stays_there(value: float) -> None:
    """Rows of no sequence, and rows without a key, whose log-sum-exp is -inf: zero gradients."""
    q, k, v, sinks = (x.requires_grad_() for x in (draw(9, 2, 32), *draw(2, 4, 2, 32), draw(2)))
    grad_out, grad_lse = draw(9, 2, 32), draw(2, 9)
    begins = torch.tensor([0, 5], dtype=torch.int32)  # four rows belong to no sequence
    out, lse, _ = flash_attn_varlen_func(
        *(q, k, v, begins, begins.clamp(max=4), 5, 4), s_aux=sinks, return_attn_probs=True
    )
    of_all = torch.autograd.grad((out, lse), (q, k, v, sinks), (grad_out, grad_lse), True)
    grad_out[5:], grad_lse[:, 5:] = value, value
    again = torch.autograd.grad((out, lse), (q, k, v, sinks), (grad_out, grad_lse))
    assert all(map(torch.equal, of_all, again))


@pytest.mark.parametrize("wanted", ["q", "k", "v", "sinks"])
@pytest.mark.parametrize("name", ["causal, sinks", "two kernels for dK and dV"])
def test_one_gradient_alone_is_the_same_and_costs_less(
    name: str, wanted: str, launched: list[str]
) -> None:
    case = CASES[name]
    if wanted == "sinks" and not case.sinks:
        pytest.skip("no sinks")
    every = Call(case).gradients
    of_all = set(launched)
    launched.clear()
    alone = Call(case, wanted=[wanted]).gradients
    assert list(alone) == [wanted]
    assert torch.equal(alone[wanted], every[wanted])
    assert set(launched) < of_all


def test_again_and_again_the_same_bits() -> None:
    case = CASES["packed window"]
    first, second = Call(case).gradients, Call(case).gradients
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("sinks_dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_gradient_of_the_sinks_has_their_dtype(sinks_dtype: torch.dtype) -> None:
    q, k, v = draw(1, 20, 4, 32), draw(1, 25, 2, 32), draw(1, 25, 2, 32)
    sinks = draw(4).to(sinks_dtype).requires_grad_()
    wide = sinks.detach().float().requires_grad_()
    found = []
    for leaf in (sinks, wide):
        out: Any = flash_attn_func(q, k, v, s_aux=leaf)
        found += torch.autograd.grad(out.square().sum(), leaf)
    assert found[0].dtype == sinks_dtype
    assert torch.equal(found[0], found[1].to(sinks_dtype))


def expanded(x: Tensor) -> Tensor:
    return x[:, :, :1].expand(x.shape)


def heads_first(x: Tensor) -> Tensor:
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def every_second(x: Tensor) -> Tensor:
    return torch.stack((x, x + 1), -1)[..., 0]


def of_one_projection(x: Tensor) -> Tensor:
    return torch.cat((x + 1, x, x + 2), 2)[:, :, x.shape[2] : 2 * x.shape[2]]


@pytest.mark.parametrize("view", [expanded, heads_first, every_second, of_one_projection])
def test_any_strides(view: Any) -> None:
    tensors = draw(2, 20, 4, 32), draw(2, 25, 2, 32), draw(2, 25, 2, 32) + 1
    grad_out = view(draw(2, 20, 4, 32) / 3)
    results = []
    for change in (view, lambda x: view(x).contiguous()):
        leaves = [x.clone().requires_grad_() for x in tensors]
        q, k, v = map(change, leaves)
        out: Any = flash_attn_func(q, k, v, causal=True)
        results.append(torch.autograd.grad(out, leaves, change(grad_out)))
    for a, b in zip(*results):
        assert torch.equal(a, b)


def test_a_sum_s_gradient_has_no_strides() -> None:
    leaves = [x.requires_grad_() for x in (draw(1, 20, 4, 32), draw(1, 25, 2, 32))]
    out: Any = flash_attn_func(leaves[0], leaves[1], leaves[1])
    of_sum = torch.autograd.grad(out.sum(), leaves, retain_graph=True)
    of_ones = torch.autograd.grad(out, leaves, torch.ones_like(out))
    assert all(map(torch.equal, of_sum, of_ones))
