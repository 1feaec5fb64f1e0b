"""torch's function transforms, and backward passes: each that is not supported says so by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
)
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

from verify.arena import offsets

Function = Callable[[Tensor], Any]

KEYS, VALUES = torch.randn(2, 1, 5, 2, 32, generator=torch.Generator().manual_seed(1))
QUERIES = torch.randn(1, 3, 4, 32, generator=torch.Generator().manual_seed(2))
DIRECTION = torch.ones_like(QUERIES)
CU_Q, CU_K = offsets((3,)), offsets((5,))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Compiled code of no other test, and torch's own deprecation warnings let be."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch._dynamo.reset()


def padded(q: Tensor) -> Any:
    return flash_attn_func(q, KEYS, VALUES)


def packed(q: Tensor) -> Any:
    return flash_attn_varlen_func(q[0], KEYS[0], VALUES[0], CU_Q, CU_K, 3, 5)


def cached(q: Tensor) -> Any:
    new = torch.zeros(1, 1, 2, 32)
    return flash_attn_with_kvcache(q, KEYS.clone(), VALUES.clone(), new, new, cache_seqlens=3)


def into(q: Tensor) -> Any:
    out = torch.zeros_like(q[0])
    flash_attention_varlen(out, q[0], KEYS[0], VALUES[0], CU_Q, CU_K, 3, 5)
    return out * 2


FUNCTIONS: list[Function] = [padded, packed, cached, into]


def summed(function: Function) -> Function:
    return lambda q: function(q).sum()


def with_dual_tensors(function: Function) -> Any:
    with forward_ad.dual_level():
        return function(forward_ad.make_dual(QUERIES, DIRECTION))


TRANSFORMS: dict[str, tuple[Callable[[Function], Any], str]] = {
    "jvp": (lambda f: jvp(f, (QUERIES,), (DIRECTION,)), "torch.func.jvp"),
    "linearize": (lambda f: linearize(f, QUERIES), "linearize"),
    "jacfwd": (lambda f: jacfwd(summed(f))(QUERIES), "jacfwd"),
    "dual tensors": (with_dual_tensors, "dual tensors"),
    "grad": (lambda f: grad(summed(f))(QUERIES), "torch.func.grad"),
    "vjp": (lambda f: vjp(f, QUERIES), "vjp"),
    "jacrev": (lambda f: jacrev(summed(f))(QUERIES), "jacrev"),
    "hessian": (lambda f: hessian(summed(f))(QUERIES), "hessian"),
    "vmap": (lambda f: vmap(f)(QUERIES[None]), "torch.vmap"),
}


ONE = torch.ones(())


def scaled(q: Tensor) -> Function:
    return lambda factor: (padded(q) * factor).sum()


NESTED: dict[str, tuple[Callable[[], Any], str]] = {
    "grad in jvp": (
        lambda: jvp(lambda q: grad(scaled(q))(ONE), (QUERIES,), (DIRECTION,)),
        "torch.func.jvp",
    ),
    "jvp in grad": (
        lambda: grad(lambda q: jvp(scaled(q), (ONE,), (ONE,))[1])(QUERIES),
        "torch.func.grad",
    ),
    "vmap in jvp": (
        lambda: jvp(lambda q: vmap(scaled(q))(ONE[None]), (QUERIES,), (DIRECTION,)),
        "torch.func.jvp",
    ),
    "grad in vmap": (lambda: vmap(lambda q: grad(scaled(q))(ONE))(QUERIES[None]), "torch.vmap"),
    "a parameter in grad": (
        lambda: grad(scaled(QUERIES.clone().requires_grad_()))(ONE),
        "torch.func.grad",
    ),
}


@pytest.mark.parametrize("name", NESTED)
def test_so_it_is_of_an_outer_transform(name: str) -> None:
    call, message = NESTED[name]
    with pytest.raises(NotImplementedError, match=message):
        call()


def compiled(function: Function, fullgraph: bool = False) -> Function:
    found: Function = torch.compile(function, backend="aot_eager", fullgraph=fullgraph)
    return found


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_transform_is_refused_by_name(function: Function, name: str) -> None:
    transform, message = TRANSFORMS[name]
    with pytest.raises(NotImplementedError, match=f"metal-flash-sdpa does not .*{message}"):
        transform(function)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "linearize"])
@pytest.mark.parametrize("function", [padded, cached])
def test_so_it_is_of_and_within_compiled_code(function: Function, name: str) -> None:
    """Torch cannot trace linearize."""
    transform, message = TRANSFORMS[name]
    with pytest.raises(NotImplementedError, match=message):
        transform(compiled(function))
    torch._dynamo.reset()
    with pytest.raises(NotImplementedError, match=message):
        compiled(lambda _: transform(function))(QUERIES)
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(lambda _: transform(function), fullgraph=True)(QUERIES)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_constant_within_a_transform_is_no_transform(function: Function) -> None:
    want = function(QUERIES)
    _, tangent = jvp(lambda x: function(QUERIES) * x, (torch.ones(()),), (torch.ones(()),))
    assert torch.equal(tangent, want)
    assert torch.equal(grad(lambda x: (function(QUERIES) * x).sum())(torch.ones(())), want.sum())
    assert torch.equal(vmap(lambda x: function(QUERIES) * x)(torch.ones(3))[2], want)
    with forward_ad.dual_level():
        assert torch.equal(function(QUERIES), want)


WHY: dict[Function, str] = {
    padded: "metal-flash-sdpa has no backward pass yet",
    packed: "metal-flash-sdpa has no backward pass yet",
    cached: "flash_attn_with_kvcache has no backward pass: a cache is for inference",
    into: "flash_attention_varlen writes `out` in place: no gradient flows through it",
}


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_forward_runs_with_gradients_on_and_backward_says_why_not(
    function: Function, compiles: bool
) -> None:
    want = function(QUERIES)
    q = QUERIES.clone().requires_grad_()
    call = compiled(function, fullgraph=True) if compiles else function
    assert torch.equal(call(q), want)
    with pytest.raises(NotImplementedError, match=WHY[function]):
        call(q).sum().backward()
    if not compiles:  # torch refuses it itself there, for reasons of its own
        with pytest.raises(NotImplementedError, match=WHY[function]):
            torch.autograd.grad(call(q).sum(), q, create_graph=True)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_inference_compiles(function: Function) -> None:
    with torch.inference_mode():
        assert torch.equal(compiled(function, fullgraph=True)(QUERIES), function(QUERIES))


def test_gradients_that_nobody_wants_leave_no_trace() -> None:
    q = QUERIES.clone().requires_grad_()
    with torch.no_grad():
        assert not into(q).requires_grad
    assert not into(QUERIES).requires_grad


def test_what_marks_an_output_leaves_its_bits_alone() -> None:
    """Zeros of either sign among them."""
    q = QUERIES.clone().requires_grad_()
    out = torch.zeros_like(QUERIES[0])
    values = torch.cat((-torch.zeros(1, 5, 1, 32), torch.zeros(1, 5, 1, 32)), 2)[0]
    flash_attention_varlen(out, q[0], KEYS[0], values, CU_Q, CU_K, 3, 5)
    want = torch.empty_like(QUERIES[0])
    flash_attention_varlen(want, QUERIES[0], KEYS[0], values, CU_Q, CU_K, 3, 5)
    assert torch.equal(out.detach().view(torch.int32), want.view(torch.int32))
