"""The attention that takes transformers' masks: by the name that is registered, and the Hub's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from metal_flash_sdpa import attention_interface, register_with_transformers
from metal_flash_sdpa.attention_interface import flash_attn_forward, supports_flash_attn
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModel,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ci.build import in_place_of_the_hub, masked
from tests.transformers.test_models import CALLS, LEAST_COSINE, TEXT, logits, padding
from verify.tiny_models import MODELS, agreement, make
from verify.variants import manifest

attend: Any = flash_attn_forward


@pytest.fixture(params=["registered", "from the Hub"])
def name(
    request: pytest.FixtureRequest, masked_variant: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What attn_implementation is: both ways lead to one function."""
    if request.param == "registered":
        return register_with_transformers()
    for variable, value in in_place_of_the_hub(masked_variant, masked().repo).items():
        monkeypatch.setenv(variable, value)
    return masked().repo


@pytest.mark.parametrize("call", ["no padding", "left padding", "packed"])
@pytest.mark.parametrize("model", MODELS)
def test_models_with_transformers_masks(
    launched: list[str], name: str, model: str, call: str
) -> None:
    # Without a cache, or transformers does not look for packed sequences.
    inputs = {**CALLS[call], "use_cache": False}
    agrees = agreement(logits(make(model, name), inputs), logits(make(model, "eager"), inputs))
    assert agrees.cosine >= LEAST_COSINE[torch.float32]
    assert agrees.argmax == 1.0
    assert any(kernel.startswith("prefill") for kernel in launched)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("model", ["gemma2", "gpt_oss"])
def test_generation(name: str, model: str, cache: str) -> None:
    """With a static cache, which is longer than what it holds at first."""
    options = {"max_new_tokens": 6, "do_sample": False, "cache_implementation": cache}
    got, want = (
        make(model, attention).generate(TEXT, attention_mask=padding("left"), **options)
        for attention in (name, "eager")
    )
    assert torch.equal(got, want)


def test_continuous_batching_is_refused_by_transformers(name: str) -> None:
    """It takes names with "flash" in them alone, beside its own: a build of the Hub has one."""
    with pytest.raises(ValueError, match=f"{name} is not supported for continuous batching"):
        make("qwen2", name).generate_batch([[1, 2]])


ENCODER = {
    "hidden_size": 128,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 97,
}
OTHERS: dict[str, dict[str, Any]] = {
    "bert": ENCODER,
    "t5": {
        "d_model": 64,
        "d_kv": 32,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 2,
        "vocab_size": 97,
    },
}


@pytest.mark.parametrize("model", OTHERS)
def test_encoders_and_biases(launched: list[str], name: str, model: str) -> None:
    """An encoder sees both sides; t5 adds a bias of positions, and its decoder is causal."""
    inputs = {"input_ids": TEXT, "attention_mask": padding("right")}
    if model == "t5":
        inputs["decoder_input_ids"] = TEXT[:, :30]
    outs = []
    for attention in (name, "eager"):
        torch.manual_seed(0)
        config = AutoConfig.for_model(model, **OTHERS[model])
        made = AutoModel.from_config(config, attn_implementation=attention).eval()
        with torch.no_grad():
            outs.append(made(**inputs).last_hidden_state)
    kept = padding("right").bool() if model == "bert" else torch.ones(2, 30, dtype=torch.bool)
    agrees = agreement(*(out[kept] for out in outs))
    assert agrees.cosine >= LEAST_COSINE[torch.float32]
    masked = {v.name for v in manifest() if v.family == "prefill" and v.mask == "masked"}
    assert masked.intersection(launched)


class Layer(nn.Module):  # type: ignore[misc]
    """What transformers hands over as the module."""

    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal
        self.num_key_value_groups = 2


def draw(q_len: int, k_len: int, head_dim: int = 32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, q_len, head_dim), (2, 2, k_len, head_dim), (2, 2, k_len, head_dim))
    return [torch.randn(shape, generator=generator) for shape in shapes]


BIAS = torch.randn(1, 4, 30, 40, generator=torch.Generator().manual_seed(1))
MASK = BIAS[:, :1] > -0.5


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("q_len", [1, 30, 40])
@pytest.mark.parametrize("bias", [False, True])
def test_without_a_mask_it_is_transformers_own(q_len: int, causal: bool, bias: bool) -> None:
    """30 queries before 40 keys stand at the first of them, one query stands at the last."""
    qkv = draw(q_len, 40)
    position_bias = torch.randn(1, 4, q_len, 40) if bias else None
    arguments: Any = (Layer(causal), *qkv, None)
    got, _ = attend(*arguments, scaling=0.3, position_bias=position_bias)
    want, _ = sdpa_attention_forward(*arguments, scaling=0.3, position_bias=position_bias)
    torch.testing.assert_close(got, want, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("mask", [MASK, BIAS], ids=["bool", "bias"])
@pytest.mark.parametrize("bias", [None, 2 * BIAS], ids=["alone", "with a bias of positions"])
def test_masks_are_transformers_own(mask: Tensor, bias: Tensor | None) -> None:
    arguments: Any = (Layer(True), *draw(30, 40), mask)
    got, nothing = attend(*arguments, is_causal=True, position_bias=bias)
    want, _ = sdpa_attention_forward(*arguments, is_causal=True, position_bias=bias)
    assert nothing is None
    torch.testing.assert_close(got, want, atol=2e-6, rtol=1e-5)


def test_a_window_without_a_mask() -> None:
    qkv = draw(40, 40)
    distance = torch.arange(40)[:, None] - torch.arange(40)
    got, _ = attend(Layer(True), *qkv, None, sliding_window=8)
    band = ((distance >= 0) & (distance < 8))[None, None]
    torch.testing.assert_close(got, attend(Layer(True), *qkv, band)[0], atol=2e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch's own
def test_compiled(name: str) -> None:
    model = make("gemma2", name, torch.float16)
    want = logits(model, CALLS["left padding"])
    torch._dynamo.reset()
    model.forward = torch.compile(model.forward, backend="aot_eager", fullgraph=True)
    assert torch.equal(logits(model, {**CALLS["left padding"]}), want)


def test_is_causal_as_an_argument_counts_more_than_the_module() -> None:
    qkv: Any = draw(40, 40)
    got, _ = attend(Layer(True), *qkv, None, is_causal=False)
    assert torch.equal(got, attend(Layer(False), *qkv, None)[0])
    assert not torch.equal(got, attend(Layer(True), *qkv, None)[0])


def test_a_cache_in_another_dtype_is_read_exactly() -> None:
    q, k, v = draw(1, 40)
    k, v = k.half(), v.half()
    got, _ = flash_attn_forward(Layer(True), q, k, v, None)
    assert got.dtype == torch.float32
    assert torch.equal(got, flash_attn_forward(Layer(True), q, k.float(), v.float(), None)[0])


def test_heads_that_it_takes() -> None:
    assert all(supports_flash_attn(9, *dims) for dims in ((64, 64), (192, 128), (40, 40), (256, 8)))
    assert not any(supports_flash_attn(9, *dims) for dims in ((0, 64), (64, 36), (8192, 64)))


def test_a_name_that_transformers_takes_for_another_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'my_flash': transformers treats names with 'fla"):
        register_with_transformers("my_flash")
    assert "my_flash" not in AttentionInterface().valid_keys()
    assert register_with_transformers("metal_two") in AttentionInterface().valid_keys()
    assert attention_interface.NAME in AttentionInterface().valid_keys()
    del AttentionInterface._global_mapping["metal_two"]
