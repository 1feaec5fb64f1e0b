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


DIFFERENTIABLE: list[Function] = [padded, packed]
INFERENCE: list[Function] = [cached, into]
FUNCTIONS = DIFFERENTIABLE + INFERENCE


def summed(function: Function) -> Function:
    return lambda q: function(q).sum()


def with_dual_tensors(function: Function) -> Any:
    with forward_ad.dual_level():
        return function(forward_ad.make_dual(QUERIES, DIRECTION))


FORWARD_MODE = "torch.func.jvp, jacfwd, hessian, linearize, dual tensors"
TRANSFORMS: dict[str, tuple[Callable[[Function], Any], str]] = {
    "jvp": (lambda f: jvp(f, (QUERIES,), (DIRECTION,)), FORWARD_MODE),
    "linearize": (lambda f: linearize(f, QUERIES), FORWARD_MODE),
    "jacfwd": (lambda f: jacfwd(summed(f))(QUERIES), FORWARD_MODE),
    "dual tensors": (with_dual_tensors, FORWARD_MODE),
    "vmap": (lambda f: vmap(f)(QUERIES[None]), "torch.vmap"),
}
REVERSE_MODE = "torch.func.grad, vjp and jacrev"
OF_INFERENCE: dict[str, tuple[Callable[[Function], Any], str]] = {
    **TRANSFORMS,
    "grad": (lambda f: grad(summed(f))(QUERIES), REVERSE_MODE),
    "vjp": (lambda f: vjp(f, QUERIES), REVERSE_MODE),
    "jacrev": (lambda f: jacrev(summed(f))(QUERIES), REVERSE_MODE),
    "hessian": (lambda f: hessian(summed(f))(QUERIES), FORWARD_MODE),
}


def with_dual_gradient(function: Function) -> Any:
    q = QUERIES.clone().requires_grad_()
    out = function(q)
    with forward_ad.dual_level():
        gradient = forward_ad.make_dual(torch.ones_like(out), torch.ones_like(out))
        return torch.autograd.grad(out, q, gradient, create_graph=True)


def jvp_of_vjp(function: Function) -> Any:
    out, pull_back = vjp(function, QUERIES)
    return jvp(pull_back, (out,), (out,))


OF_GRADIENTS: dict[str, tuple[Callable[[Function], Any], str]] = {
    **TRANSFORMS,
    "jacrev": (lambda f: jacrev(summed(f))(QUERIES), "torch.vmap"),
    "hessian": (lambda f: hessian(summed(f))(QUERIES), FORWARD_MODE),
    "grad of grad": (lambda f: grad(lambda q: grad(squared(f))(q).sum())(QUERIES), "second"),
    "vmap of grad": (lambda f: vmap(grad(summed(f)))(QUERIES[None]), "torch.vmap"),
    "jvp of vjp": (jvp_of_vjp, FORWARD_MODE),
    "a dual gradient": (with_dual_gradient, FORWARD_MODE),
}


def squared(function: Function) -> Function:
    return lambda q: function(q).square().sum()


ONE = torch.ones(())


def scaled(q: Tensor) -> Function:
    return lambda factor: (padded(q) * factor).sum()


NESTED: dict[str, tuple[Callable[[], Any], str]] = {
    "grad in jvp": (
        lambda: jvp(lambda q: grad(scaled(q))(ONE), (QUERIES,), (DIRECTION,)),
        "torch.func.jvp",
    ),
    "vmap in jvp": (
        lambda: jvp(lambda q: vmap(scaled(q))(ONE[None]), (QUERIES,), (DIRECTION,)),
        "torch.func.jvp",
    ),
    "grad in vmap": (lambda: vmap(lambda q: grad(scaled(q))(ONE))(QUERIES[None]), "torch.vmap"),
}


@pytest.mark.parametrize("name", NESTED)
def test_so_it_is_of_an_outer_transform(name: str) -> None:
    call, message = NESTED[name]
    with pytest.raises(NotImplementedError, match=message):
        call()


def by_autograd(function: Function) -> Tensor:
    q = QUERIES.clone().requires_grad_()
    return torch.autograd.grad(function(q).sum(), q)[0]


def of_a_parameter() -> Tensor:
    """It is a constant to torch.func.grad, but not to the backward pass around that."""
    q = QUERIES.clone().requires_grad_()
    return torch.autograd.grad(grad(scaled(q))(ONE), q)[0]


DERIVATIVES: dict[str, Callable[[], Tensor]] = {
    "grad": lambda: grad(lambda q: padded(q).sum())(QUERIES),
    "vjp": lambda: vjp(padded, QUERIES)[1](torch.ones_like(QUERIES))[0],
    "packed": lambda: grad(lambda q: packed(q).sum())(QUERIES),
    "jvp in grad": lambda: grad(lambda q: jvp(scaled(q), (ONE,), (ONE,))[1])(QUERIES),
    "grad in grad": lambda: grad(lambda q: grad(scaled(q))(ONE))(QUERIES),
    "vmap in grad": lambda: grad(lambda q: vmap(scaled(q))(torch.ones(2) / 2).sum())(QUERIES),
    "a parameter": of_a_parameter,
    "grad of compiled code": lambda: grad(summed(compiled(padded)))(QUERIES),
    "grad in compiled code": lambda: compiled(lambda q: grad(summed(padded))(q))(QUERIES),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_reverse_mode_gives_the_gradient(name: str) -> None:
    assert torch.equal(DERIVATIVES[name](), by_autograd(packed if name == "packed" else padded))


def test_with_respect_to_every_tensor() -> None:
    def loss(q: Tensor, k: Tensor, v: Tensor, sinks: Tensor) -> Any:
        out, lse, _ = flash_attn_func(q, k, v, s_aux=sinks, return_attn_probs=True)
        return out.square().sum() + lse.square().sum()

    tensors = (QUERIES, KEYS, VALUES, torch.ones(4))
    leaves = [x.clone().requires_grad_() for x in tensors]
    want = torch.autograd.grad(loss(*leaves), leaves)
    for which in ((3,), (1, 2), (0, 1, 2, 3)):
        gradient: Any = grad(loss, which)
        whole: Any = torch.compile(gradient, backend="aot_eager")
        for function in (gradient, whole):
            for i, got in zip(which, function(*tensors), strict=True):
                assert torch.equal(got, want[i])


def test_a_graph_cannot_hold_it() -> None:
    """There a tensor does not say whether torch.func.grad is to differentiate by it."""
    whole = compiled(lambda q: grad(summed(padded))(q), fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        whole(QUERIES)


def test_slopes_have_no_gradient() -> None:
    def loss(slopes: Tensor) -> Any:
        return flash_attn_func(QUERIES, KEYS, VALUES, alibi_slopes=slopes).sum()  # type: ignore[union-attr]

    with pytest.raises(NotImplementedError, match="not of alibi_slopes"):
        grad(loss)(torch.ones(4))


def compiled(function: Function, fullgraph: bool = False) -> Function:
    found: Function = torch.compile(function, backend="aot_eager", fullgraph=fullgraph)
    return found


@pytest.mark.parametrize("name", OF_INFERENCE)
@pytest.mark.parametrize("function", INFERENCE)
def test_a_transform_is_refused_by_name(function: Function, name: str) -> None:
    transform, message = OF_INFERENCE[name]
    with pytest.raises(NotImplementedError, match=f"metal-flash-sdpa does not .*{message}"):
        transform(function)


@pytest.mark.parametrize("name", OF_GRADIENTS)
@pytest.mark.parametrize("function", DIFFERENTIABLE)
def test_so_is_all_but_the_first_derivative(function: Function, name: str) -> None:
    transform, message = OF_GRADIENTS[name]
    with pytest.raises(NotImplementedError, match=f"metal-flash-sdpa does not .*{message}"):
        transform(function)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (function, name)
        for function, transforms in ((padded, TRANSFORMS), (cached, OF_INFERENCE))
        for name in transforms
        if name != "linearize"
    ],
)
def test_so_it_is_of_and_within_compiled_code(function: Function, name: str) -> None:
    """Torch cannot trace linearize."""
    transform, message = OF_INFERENCE[name]
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
    cached: "flash_attn_with_kvcache has no backward pass: a cache is for inference",
    into: "flash_attention_varlen writes `out` in place: no gradient flows through it",
}


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("function", INFERENCE)
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
