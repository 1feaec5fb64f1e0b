"""scaled_dot_product_attention: torch's meaning to the letter, and a reason where it is torch's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import metal_flash_sdpa
import pytest
import torch
from metal_flash_sdpa import autograd, explain, launchers, scaled_dot_product_attention, sdpa
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.package.sdpa_calls import OURS, assert_equal, is_served, torchs_own

D = 32


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A head_dim that is padded warns once; that is not the matter here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "head_dim .* has no kernels of its own")
        yield


def draw(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(len(shapes))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def qkv(q_len: int = 20, k_len: int = 20, heads: int = 2, dtype: Any = torch.float32) -> Any:
    keys = (2, heads, k_len, D)
    return draw((2, heads, q_len, D), keys, keys, dtype=dtype)


MASK = torch.rand(20, 30, generator=torch.Generator().manual_seed(0)) < 0.7
BIAS = torch.randn(2, 1, 20, 30, generator=torch.Generator().manual_seed(1))
KEYS = (2, 2, 30, D)

# name -> tensors and options.  Those of few queries run the decode kernels.
SERVED: dict[str, tuple[list[Tensor], dict[str, Any]]] = {
    "full": (qkv(20, 30), {}),
    "causal": (qkv(), {"is_causal": True}),
    "causal, fewer queries": (qkv(20, 50), {"is_causal": True}),
    "causal, more queries": (qkv(50, 20), {"is_causal": True}),
    "causal, few queries": (qkv(5, 50), {"is_causal": True}),
    "causal, one query sees one key": (qkv(1, 50), {"is_causal": True}),
    "causal, one key": (qkv(20, 1), {"is_causal": True}),
    "scale": (qkv(20, 30), {"scale": 0.7}),
    "an int as scale": (qkv(20, 30), {"scale": 1}),
    "negative scale": (qkv(20, 30), {"scale": -0.1}),
    "half precision": (qkv(20, 30, dtype=torch.float16), {"is_causal": True}),
    "GQA": (draw((2, 4, 20, D), KEYS, KEYS), {"enable_gqa": True}),
    "GQA, causal": (draw((2, 4, 20, D), KEYS, KEYS), {"enable_gqa": True, "is_causal": True}),
    "GQA, 3 axes": (draw((4, 20, D), KEYS[1:], KEYS[1:]), {"enable_gqa": True}),
    "GQA, batch broadcasts": (draw((2, 4, 20, D), (1, *KEYS[1:]), KEYS), {"enable_gqa": True}),
    "no batch": (draw((20, D), (30, D), (30, D)), {"is_causal": True}),
    "3 axes": (draw((4, 20, D), (4, 30, D), (4, 30, D)), {}),
    "5 axes": (draw((2, 3, 2, 20, D), (2, 3, 2, 30, D), (2, 3, 2, 30, D)), {}),
    "heads broadcast": (draw((2, 4, 20, D), (2, 1, 30, D), (2, 1, 30, D)), {}),
    "query broadcasts": (draw((20, D), KEYS, KEYS), {}),
    "axes broadcast": (draw((3, 1, 2, 20, D), KEYS, KEYS[1:]), {}),
    "narrow values": (draw((2, 2, 20, D), KEYS, (2, 2, 30, 16)), {}),
    "wide values": (draw((2, 2, 20, 8), (2, 2, 30, 8), KEYS), {"is_causal": True}),
    "no queries": (qkv(0, 30), {}),
    "no keys": (qkv(20, 0), {}),
}
MASKED: dict[str, tuple[list[Tensor], dict[str, Any]]] = {
    "bools": (qkv(20, 30), {"attn_mask": MASK}),
    "bools for each key": (qkv(20, 30), {"attn_mask": MASK[:1]}),
    "bias": (qkv(20, 30), {"attn_mask": BIAS}),
    "bias, half precision": (qkv(20, 30, dtype=torch.float16), {"attn_mask": BIAS.half()}),
    "bias of float32, queries of float16": (
        qkv(20, 30, dtype=torch.float16),
        {"attn_mask": BIAS},
    ),
    "-inf": (qkv(20, 30), {"attn_mask": BIAS.masked_fill(~MASK, -torch.inf)}),
    "a row that sees nothing": (qkv(20, 30), {"attn_mask": MASK & (torch.arange(20) > 3)[:, None]}),
    "few queries": (qkv(5, 30), {"attn_mask": MASK[:5]}),
    "GQA": (draw((2, 4, 20, D), KEYS, KEYS), {"enable_gqa": True, "attn_mask": BIAS}),
    "3 axes": (draw((2, 20, D), KEYS[1:], KEYS[1:]), {"attn_mask": BIAS[:, 0]}),
    "5 axes": (draw((2, 3, 2, 20, D), (2, 3, 2, 30, D), (2, 3, 2, 30, D)), {"attn_mask": MASK}),
    "5 axes of keys": (
        draw((2, 2, 20, D), (3, *KEYS), (3, *KEYS)),
        {"attn_mask": BIAS.expand(2, 2, 20, 30)},
    ),
    "5 axes of a mask": (
        draw((2, 3, 2, 20, D), (2, 3, 2, 30, D), (2, 3, 2, 30, D)),
        {"attn_mask": BIAS[:, None]},
    ),
}


@pytest.mark.parametrize("name", SERVED)
def test_results_and_gradients_are_torchs(name: str, launched: list[str]) -> None:
    tensors, options = SERVED[name]
    assert is_served(*tensors, **options)
    assert_equal(scaled_dot_product_attention, tensors, **options)
    queries = tensors[0].shape[-2]
    forward = {kernel.split("_")[0] for kernel in launched} - {"backward", "combine"}
    assert forward == ({"decode"} if 0 < queries <= 16 else {"prefill"} if queries else set())


@pytest.mark.parametrize("name", MASKED)
def test_masks(name: str, launched: list[str]) -> None:
    tensors, options = MASKED[name]
    tensors = [x.detach() for x in tensors]
    assert is_served(*tensors, **options)
    assert_equal(scaled_dot_product_attention, tensors, **options)
    assert launched


def test_tensors_are_read_in_place(launched: list[str]) -> None:
    """Those that projections leave: (batch, length, heads, head_dim), parts of one tensor."""
    parts = torch.randn(2, 20, 3, 2, D).unbind(2)
    tensors = [x.transpose(1, 2) for x in parts]
    read: list[int] = []

    def attend(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Tensor:
        read.extend(x.data_ptr() for x in (q, k, v))
        return torch.empty_like(q)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdpa, "flash_attn_func", attend)
        out = scaled_dot_product_attention(*tensors)
    assert read == [x.data_ptr() for x in parts]
    assert out.transpose(1, 2).is_contiguous()
    assert_equal(scaled_dot_product_attention, tensors)
    apart = [x.mT.contiguous().mT for x in tensors]  # a last stride that is not 1
    assert_equal(scaled_dot_product_attention, apart)


def test_a_row_that_the_lowest_value_hides_is_zero() -> None:
    """The one difference that the docstring names: torch's own gives the mean of the values."""
    q, k, v = tensors = [x.detach() for x in qkv(20, 30)]
    lowest = torch.zeros(20, 30)
    lowest[3] = torch.finfo(torch.float32).min
    got = scaled_dot_product_attention(q, k, v, attn_mask=lowest)
    hidden = torch.zeros(20, 30).masked_fill(lowest < 0, -torch.inf)
    assert_equal(lambda *_, **__: got, tensors, attn_mask=hidden)
    assert (got[:, :, 3] == 0).all()


class Elsewhere(torch.Tensor):  # type: ignore[misc]
    """A tensor with operations of its own."""

    @classmethod
    def __torch_dispatch__(cls, function: Any, _: Any, arguments: Any = (), options: Any = None):  # type: ignore[no-untyped-def]
        return function(*arguments, **(options or {}))


ONE = torch.randn(1, 2, 20, D)
ODD = torch.randn(1, 2, 20, 30)
NEGATIVE = torch.randn(1, 2, 20, D, dtype=torch.complex64).conj().imag

# What torch's own serves, and what of the reason is to be read.
PASSED_ON: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "float64": ([ONE.double()] * 3, {}, "query is torch.float64: must be"),
    "head_dim": ([ODD] * 3, {}, "query has head_dim 30: must be a multiple of 8"),
    "width of values": ([ONE, ONE, ODD], {}, "value has head_dim 30"),
    "too wide": ([ONE.repeat(1, 1, 1, 40)] * 3, {}, "query has head_dim 1280"),
    "no batch": ([ONE[:0]] * 3, {}, "an empty batch"),
    "mask and is_causal": (  # an error of torch's own, but not on every device
        [ONE] * 3,
        {"attn_mask": torch.ones(20, 20), "is_causal": True},
        "attn_mask and is_causal are both given",
    ),
    "everything dropped": ([ONE] * 3, {"dropout_p": 1.0}, "dropout_p is 1.0"),
    "huge scale": ([ONE] * 3, {"scale": 1e38}, "scale is 1e+38"),
    "negative view": ([NEGATIVE, ONE, ONE], {}, "query is a negative view"),
}


@pytest.mark.parametrize("name", PASSED_ON)
def test_what_is_passed_on_is_torchs_own(name: str, launched: list[str]) -> None:
    tensors, options, reason = PASSED_ON[name]
    said = explain(*tensors, **options)
    assert said.startswith("torch's own: ")
    assert reason in said
    assert "\n" not in said
    torch.manual_seed(0)
    want = torchs_own(*tensors, **options)
    torch.manual_seed(0)
    got = scaled_dot_product_attention(*tensors, **options)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
    assert not launched


def test_gradients_that_no_kernel_computes_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question to the package decides; it is asked anew where the answer may differ."""
    tensors = qkv(20, 30)
    detached = [x.detach() for x in tensors]
    monkeypatch.setattr(sdpa, "_known", {})
    monkeypatch.setattr(autograd, "refusal", lambda *_: "too wide.  The way out")
    assert is_served(*detached, attn_mask=MASK)
    said = sdpa.refusal(tensors[0], tensors[1], tensors[2], MASK, 0.0, False, None, False)
    assert said == "too wide"
    assert is_served(*detached, attn_mask=MASK)
    with torch.no_grad():
        assert is_served(*tensors, attn_mask=MASK)
    monkeypatch.setattr(sdpa, "_known", {})
    monkeypatch.setattr(autograd, "refusal", lambda *_: "")
    assert is_served(*tensors, attn_mask=MASK)


def test_gradients_with_a_mask_are_torchs() -> None:
    assert_equal(scaled_dot_product_attention, qkv(20, 30), attn_mask=BIAS)


def test_what_else_torch_does_is_a_reason() -> None:
    tensors = [ONE] * 3
    with sdpa_kernel(SDPBackend.MATH):
        assert "flash attention is off: sdpa_kernel" in explain(*tensors)
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        assert is_served(*tensors)
    with forward_ad.dual_level():
        assert "forward-mode" in explain(*tensors)
    said: list[str] = []

    def listen(x: Tensor) -> Tensor:
        said.append(explain(x, x, x))
        return x

    torch.func.vmap(listen)(ONE)
    assert "torch.func" in said[0]
    other = ONE.as_subclass(Elsewhere)
    assert "is a Elsewhere, with operations of its own" in explain(ONE, other, ONE)
    assert "the tensors are on cpu and meta" in explain(ONE, ONE.to("meta"), ONE)
    assert "no launcher" in explain(*[ONE.to("meta")] * 3)
    assert "query is torch.sparse_coo" in explain(ONE.to_sparse(), ONE, ONE)


def test_what_is_asked_of_tensors_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other tensors of the same shapes it may not be so."""
    monkeypatch.setattr(sdpa, "_known", {})
    assert not is_served(ONE, ONE.to("meta"), ONE)
    assert not is_served(ONE.to_sparse(), ONE, ONE)
    with sdpa_kernel(SDPBackend.MATH):
        assert not is_served(ONE, ONE, ONE)
    assert is_served(ONE, ONE, ONE)
    assert not is_served(ONE, ONE.to("meta"), ONE)


def test_transforms_give_what_they_give_torchs_own() -> None:
    def weighed(q: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, ONE, ONE).sin().sum()

    def reference(q: Tensor) -> Tensor:
        return torchs_own(q, ONE, ONE).sin().sum()

    got, want = torch.func.grad(weighed)(ONE), torch.func.grad(reference)(ONE)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    many = torch.stack([ONE, -ONE])
    warnings.filterwarnings("ignore", "There is a performance drop")  # that of torch's own
    torch.testing.assert_close(
        torch.vmap(scaled_dot_product_attention)(many, many, many),
        torch.stack([torchs_own(x, x, x) for x in many]),
    )


WRONG: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "no tensor": ([ONE, ONE, None], {}),
    "one axis": ([ONE[0, 0, 0], ONE, ONE], {}),
    "dtypes differ": ([ONE, ONE.half(), ONE], {}),
    "ints": ([ONE.int()] * 3, {}),
    "axes do not fit": ([ONE, ONE.expand(3, 2, 20, D).mT, ONE], {}),
    "batches differ": ([ONE.expand(2, 2, 20, D), ONE.expand(3, 2, 20, D), ONE], {}),
    "heads do not divide": ([ONE, ONE.repeat(1, 2, 1, 1), ONE], {"enable_gqa": True}),
    "head dims differ": ([ONE, ODD, ONE], {}),
    "a mask of one axis": ([ONE] * 3, {"attn_mask": torch.ones(20)}),
    "a mask of more axes": ([ONE[0]] * 3, {"attn_mask": torch.ones(2, 1, 20, 20)}),
    "the mask's shape": ([ONE] * 3, {"attn_mask": torch.ones(20, 21)}),
    "the mask's dtype": ([ONE] * 3, {"attn_mask": torch.ones(20, 20).half()}),
    "ints as mask": ([ONE] * 3, {"attn_mask": torch.ones(20, 20).int()}),
    "dropout_p": ([ONE] * 3, {"dropout_p": -0.5}),
    "is_causal": ([ONE] * 3, {"is_causal": "no"}),
    "scale": ([ONE] * 3, {"scale": "small"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_raise_as_torchs_own_does(name: str, launched: list[str]) -> None:
    tensors, options = WRONG[name]
    call = sdpa.Call(*tensors, **options)
    with pytest.raises(Exception) as want:  # noqa: PT011 what torch raises is what is asked
        torch.nn.functional.scaled_dot_product_attention(
            *call[:6], scale=call.scale, enable_gqa=call.enable_gqa
        )
    with pytest.raises(type(want.value)) as got:
        scaled_dot_product_attention(*tensors, **options)
    assert str(got.value) == str(want.value)
    assert explain(*tensors, **options).startswith("torch's own: ")
    assert not launched


def test_a_wrong_bool_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes 1 for True and False for 0.0: what is known of one is not said of the other."""
    monkeypatch.setattr(sdpa, "_known", {})
    assert not is_served(*[ONE] * 3, is_causal=1)
    assert is_served(*[ONE] * 3, is_causal=True)
    assert not is_served(*[ONE] * 3, dropout_p=False)
    assert is_served(*[ONE] * 3, dropout_p=0.0)
    got = scaled_dot_product_attention(ONE, ONE, ONE, dropout_p=False)  # as torch's own takes it
    torch.testing.assert_close(got, scaled_dot_product_attention(*[ONE] * 3))


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdpa, "_SIGNATURES", 2)
    monkeypatch.setattr(sdpa, "_known", {})
    for length in range(1, 6):
        assert is_served(*[ONE[:, :, :length]] * 3)
    assert 1 <= len(sdpa._known) <= 2


def test_autocast_casts_as_for_torchs_own() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert is_served(ONE, ONE.half(), ONE)
        out = scaled_dot_product_attention(ONE, ONE, ONE, attn_mask=BIAS[:1, :, :, :20])
    assert out.dtype == torch.bfloat16


def test_in_torchs_place_it_does_not_call_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    functional = torch.nn.functional
    monkeypatch.setattr(functional, "scaled_dot_product_attention", scaled_dot_product_attention)
    got = functional.scaled_dot_product_attention(*[ODD] * 3)
    torch.testing.assert_close(got, torchs_own(*[ODD] * 3))


def test_explain_names_the_launcher_and_the_way_to_replace() -> None:
    said = explain(ONE, ONE, ONE)
    assert said.startswith(f"{OURS}the emulator launcher")
    assert said.endswith("as replace_sdpa('cpu') does")
    assert launchers.chosen(ONE.device).__name__.endswith("emulator")
    assert {"explain", "replace_sdpa"} <= set(metal_flash_sdpa.__all__)
