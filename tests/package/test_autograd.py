"""The backward pass as torch's autograd, compiler and checkpoints call it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from metal_flash_sdpa import autograd, call, flash_attn_func, flash_attn_varlen_func, ops
from torch import Tensor
from torch._dynamo import config, reset
from torch.library import opcheck
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from verify.arena import offsets

Loss = Callable[..., Tensor]
SINKS = torch.tensor([0.5, -1.5, 2.0, 0.0])


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Compiled code of no other test, and torch's own deprecation warnings let be."""
    reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
    reset()


def draw(q_len: int = 20, k_len: int = 25, needs: bool = True) -> list[Tensor]:
    """q, k, v and sinks."""
    generator = torch.Generator().manual_seed(q_len * 1000 + k_len)
    shapes = ((2, q_len, 4, 32), (2, k_len, 2, 32), (2, k_len, 2, 32))
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    return [x.requires_grad_(needs) for x in (*tensors, SINKS.clone())]


def padded(q: Tensor, k: Tensor, v: Tensor, sinks: Tensor) -> Tensor:
    out, lse, _ = flash_attn_func(
        q * 2, k, v, causal=True, window_size=(7, 7), s_aux=sinks, return_attn_probs=True
    )
    return (out + 1).sin().sum() + lse.cos().sum()


def packed(q: Tensor, k: Tensor, v: Tensor, sinks: Tensor) -> Tensor:
    cu_q = torch.tensor([0, 3, 2 * q.shape[1]], dtype=torch.int32)
    cu_k = torch.tensor([0, 9, 2 * k.shape[1]], dtype=torch.int32)
    out: Any = flash_attn_varlen_func(
        *(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), cu_q, cu_k),
        *(cu_q.diff().max(), cu_k.diff().max()),
        causal=True,
        s_aux=sinks,
    )
    return out.sin().sum()


def gradients(loss: Loss, tensors: list[Tensor]) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = torch.autograd.grad(loss(*tensors), tensors)
    return found


def same(got: tuple[Tensor, ...], want: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("loss", [padded, packed])
def test_a_training_step_compiles_once_for_all_lengths(loss: Loss, dynamic: bool | None) -> None:
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for lengths in ((20, 25), (30, 35)):  # the second makes the lengths dynamic
        gradients(compiled, draw(*lengths))
    with config.patch(error_on_recompile=True):
        for lengths in ((31, 36), (50, 41), (7, 60)):
            tensors = draw(*lengths)
            assert same(gradients(compiled, tensors), gradients(loss, tensors))


def test_a_training_step_compiles_with_inductor() -> None:
    def loss(*tensors: Tensor) -> Tensor:
        q, k, v, sinks = tensors
        out: Any = flash_attn_func(q, k, v, causal=True, s_aux=sinks)
        return out.square().sum()

    got = gradients(torch.compile(loss, fullgraph=True), draw())
    for a, b in zip(got, gradients(loss, draw()), strict=True):
        assert (a - b).abs().max() <= 1e-6 * b.abs().max()  # squares may be fused with others


SELECTIVE = partial(
    create_selective_checkpoint_contexts,
    lambda _, op, *args, **kwargs: (
        CheckpointPolicy.MUST_SAVE if "forward" in str(op) else CheckpointPolicy.PREFER_RECOMPUTE
    ),
)
WAYS: dict[str, dict[str, Any]] = {
    "reentrant": {"use_reentrant": True},
    "not reentrant": {"use_reentrant": False},
    "selective": {"use_reentrant": False, "context_fn": SELECTIVE},
}


@pytest.mark.parametrize("way", WAYS)
def test_checkpoints(way: str, launched: list[str]) -> None:
    want = gradients(padded, draw())
    launched.clear()
    tensors = draw()
    checkpoint(padded, *tensors, **WAYS[way]).backward()
    assert all(torch.equal(x.grad, y) for x, y in zip(tensors, want, strict=True))
    forwards = [name for name in launched if "backward" not in name]
    assert len(forwards) == (1 if way == "selective" else 2)


def test_a_checkpoint_compiles() -> None:
    def loss(*tensors: Tensor) -> Any:
        return checkpoint(padded, *tensors, use_reentrant=False)

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert same(gradients(compiled, draw()), gradients(padded, draw()))


FORWARD = (True, 7, 7, 0.0, 0, None, 0.0, None, None)


@pytest.mark.parametrize("needs", list(product((False, True), repeat=4)))
def test_opcheck_whatever_needs_gradients(needs: tuple[bool, ...]) -> None:
    tensors = [x.requires_grad_(need) for x, need in zip(draw(needs=False), needs)]
    opcheck(ops.forward, (*tensors[:3], True, None, None, tensors[3], None, None, *FORWARD))


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("wanted", [[True] * 4, [False] * 4, [False, True, False, True]])
def test_opcheck_of_the_backward_pass(wanted: list[bool], is_packed: bool) -> None:
    q, k, v, sinks = draw(needs=False)
    lengths: tuple[Any, ...] = (None, None)
    if is_packed:
        q, k, v = q[0], k[0], v[0]
        lengths = offsets((11, 7)), offsets((20, 5))
    out, lse = ops.forward(q, k, v, True, *lengths, sinks, None, None, *FORWARD)
    options = (*lengths, sinks, None, None, None, True, 7, 7, 0.0, 0.0, None)
    results = torch.randn_like(out), torch.randn_like(lse), q, k, v, out, lse
    opcheck(ops.backward, ([*wanted, False], *results, *options))


def test_a_call_is_planned_once_for_either_pass() -> None:
    tensors = draw()
    call._planned.cache_clear()
    for _ in range(3):
        gradients(padded, tensors)
    assert call._planned.cache_info()[:2] == (4, 2)  # hits and misses
    gradients(padded, draw(k_len=26))
    q, k, v, sinks = tensors
    gradients(padded, [q.mT.contiguous().mT, k, v, sinks])  # another last stride: a copy of it
    assert call._planned.cache_info()[:2] == (6, 4)


def test_what_is_saved_may_come_back_with_other_strides() -> None:
    """As torch.autograd.graph.save_on_cpu gives it back."""
    tensors = [x.detach().transpose(0, 1).contiguous().transpose(0, 1) for x in draw()[:3]]
    tensors = [x.requires_grad_() for x in tensors]

    def loss(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Any = flash_attn_func(q, k, v, causal=True)
        loss: Tensor = out.sin().sum()
        return loss

    want = gradients(loss, tensors)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.contiguous(), lambda x: x):
        got = gradients(loss, tensors)
    assert same(got, want)


def test_without_gradients_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the call take longer: torch.autograd.Function is not asked."""
    monkeypatch.delattr(autograd, "Direct")
    asked = []
    forward = ops.run_forward

    def recorded(*arguments: Any) -> Any:
        asked.append(arguments[3])
        return forward(*arguments)

    monkeypatch.setattr(ops, "run_forward", recorded)
    frozen, with_gradients = draw(needs=False), draw()
    out: Any = flash_attn_func(*frozen[:3])
    with torch.no_grad():
        flash_attn_func(*with_gradients[:3])
    with torch.inference_mode():
        flash_attn_func(*with_gradients[:3])
    assert not out.requires_grad
    assert asked == [False] * 3  # no log-sum-exp
    with pytest.raises(NameError):
        flash_attn_func(*with_gradients[:3])


def test_torch_export_of_inference() -> None:
    class Module(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.project = torch.nn.Linear(32, 32)

        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
            return flash_attn_func(self.project(q), k, v, causal=True)

    module, (q, k, v, _) = Module(), draw(needs=False)
    length = torch.export.Dim("length", min=2, max=100)
    exported = torch.export.export(module, (q, k, v), dynamic_shapes=({1: length}, None, None))
    longer, k, v, _ = draw(33, 25, needs=False)
    assert torch.equal(exported.module()(longer, k, v), module(longer, k, v))


def test_autocast_takes_gradients_back_through_its_cast() -> None:
    q, k, v, sinks = draw()
    with torch.autocast("cpu", torch.bfloat16):
        out: Any = flash_attn_func(q, k.to(torch.bfloat16), v, s_aux=sinks)
    assert out.dtype == torch.bfloat16
    got = torch.autograd.grad(out.sum(), (q, k, v, sinks))
    q, k, v = (x.detach().to(torch.bfloat16).requires_grad_() for x in (q, k, v))
    out = flash_attn_func(q, k, v, s_aux=sinks)
    want = torch.autograd.grad(out.sum(), (q, k, v, sinks))
    assert [x.dtype for x in got] == [torch.float32] * 4
    assert same(got, tuple(x.float() for x in want))


@pytest.mark.parametrize("changed", range(4))
def test_a_change_in_place_is_noticed(changed: int) -> None:
    tensors = [x * 1 for x in draw()]
    q, k, v, sinks = tensors
    out: Any = flash_attn_func(q, k, v, s_aux=sinks)
    tensors[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_so_is_one_of_the_result() -> None:
    out: Any = flash_attn_func(*draw()[:3])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.mul_(2).sum().backward()


def test_no_second_derivative() -> None:
    tensors = draw()
    (of_q,) = torch.autograd.grad(padded(*tensors), tensors[0], create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .double backward"):
        of_q.sum().backward()


def test_alibi_slopes_get_none() -> None:
    q, k, v, _ = draw()
    slopes = torch.rand(4).requires_grad_()
    flash_attn_func(q, k, v, alibi_slopes=slopes).sum().backward()  # type: ignore[union-attr]
    assert slopes.grad is None
    assert q.grad is not None


@pytest.mark.parametrize("compiles", [False, True])
def test_a_paged_cache_has_no_backward_pass(compiles: bool) -> None:
    def function(q: Tensor) -> Any:
        pages = torch.ones(4, 16, 2, 32)
        table = torch.arange(4, dtype=torch.int32).view(1, 4)
        lengths = offsets((20,)), offsets((60,))
        return flash_attn_varlen_func(q, pages, pages, *lengths, 20, 60, block_table=table)

    call = torch.compile(function, backend="aot_eager", fullgraph=True) if compiles else function
    q = torch.randn(20, 4, 32, requires_grad=True)
    out = call(q)
    assert torch.equal(out, function(q.detach()))
    with pytest.raises(NotImplementedError, match="no backward pass with a block_table"):
        out.sum().backward()


def test_the_log_sum_exp_is_kept_even_if_nobody_asked_for_it() -> None:
    q, k, v, sinks = draw()
    wants: Any = flash_attn_func(q, k, v, s_aux=sinks, return_attn_probs=True)
    does_not: Any = flash_attn_func(q, k, v, s_aux=sinks)
    got, want = (torch.autograd.grad(x.sum(), (q, k, v, sinks)) for x in (does_not, wants[0]))
    assert same(got, want)
    out, _ = ops.forward(q, k, v, False, None, None, sinks, None, None, *FORWARD)
    with pytest.raises(ValueError, match="must have been called with return_lse"):
        out.sum().backward()


def results() -> tuple[Any, ...]:
    q, k, v, sinks = draw(needs=False)
    out, lse = ops.forward(q, k, v, True, None, None, sinks, None, None, *FORWARD)
    return q, k, v, out, lse, None, None, sinks, None, None, None, True, 7, 7, 0.0, 0.0, None


BAD: dict[str, tuple[Callable[[Tensor], Tensor], Any, str]] = {
    "shape": (lambda x: x[:, :3], ValueError, r"has shape .*: must be that of"),
    "dtype": (lambda x: x.double(), TypeError, r"is torch.float64: must be torch.float32"),
    "sparse": (lambda x: x.to_sparse(), TypeError, r"is torch.sparse_coo: must be a dense"),
}


@pytest.mark.parametrize("of", ["out", "softmax_lse"])
@pytest.mark.parametrize("name", BAD)
def test_the_op_refuses_a_wrong_gradient(name: str, of: str) -> None:
    change, error, message = BAD[name]
    arguments = results()
    good = {"out": arguments[3], "softmax_lse": arguments[4]}
    given = {**good, of: change(good[of])}
    with pytest.raises(error, match=f"the gradient of {of} {message}"):
        ops.backward([*[True] * 4, False], *given.values(), *arguments)


def test_torch_refuses_other_gradients_or_casts_them() -> None:
    """What torch itself does before the backward pass is called."""
    q, k, v, _ = draw()
    out: Any = flash_attn_func(q, k, v)
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        out.backward(torch.ones(3))
    with pytest.raises(RuntimeError, match="expected device cpu but got meta"):
        out.backward(torch.ones_like(out, device="meta"))
    with pytest.raises(RuntimeError, match="floating point dtype can require gradients"):
        torch.ones(4, dtype=torch.int32).requires_grad_()
    low = torch.ones_like(out, dtype=torch.float16)
    got = torch.autograd.grad(out, (q, k, v), low, retain_graph=True)
    assert same(got, torch.autograd.grad(out, (q, k, v), low.float()))
