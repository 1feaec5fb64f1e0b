"""Tiny models whose heads or masks are unusual, against transformers' own attention (eager).

transformers' path for flash-attn's functions drops every mask but padding and windows.  Here models
hand theirs to `flash_attn_func` through transformers' AttentionInterface, as eager attention gets
it: a tensor of float32 with the lowest value where a key is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from metal_flash_sdpa import flash_attn_func
from metal_flash_sdpa.checks import HEAD_DIMS
from torch import Tensor
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
)
from transformers.masking_utils import eager_mask
from transformers.models.gemma3.modeling_gemma3 import eager_attention_forward

from verify.tiny_models import HEAD_DIM, LAYERS, SIZE, WINDOW, agreement, tokens

OURS = "ours_with_masks"  # a name with "flash" in it would be looked for on the Hub
LENGTH = 40  # more rows than are decoded
LEAST_COSINE = 0.999999
WIDEST = HEAD_DIMS[-1]

pytestmark = pytest.mark.filterwarnings("ignore:head_dim .* has no kernels of its own")


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    s_aux: Tensor | None = None,
    softcap: float | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers asks for it.  All that hides a key is in the mask."""
    if attention_mask is not None:
        attention_mask = attention_mask[..., : key.shape[-2]]
    if position_bias is not None:
        attention_mask = position_bias if attention_mask is None else position_bias + attention_mask
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    out: Any = flash_attn_func(
        q,
        k,
        v,
        softmax_scale=scaling,
        softcap=softcap or 0.0,
        s_aux=s_aux,
        attn_mask=attention_mask,
    )
    return out, None


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """The interface, under its name."""
    AttentionInterface.register(OURS, attend)
    AttentionMaskInterface.register(OURS, eager_mask)
    yield
    AttentionInterface._global_mapping.pop(OURS)
    AttentionMaskInterface._global_mapping.pop(OURS)


class Model(NamedTuple):
    """A model: what it is called with, what its config says, and what is special about it."""

    special: str
    config: dict[str, Any]
    call: dict[str, Tensor]
    kind: Any = AutoModelForCausalLM


EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
LATENT = {"kv_lora_rank": 32, "q_lora_rank": None, "n_group": 1, "topk_group": 1}
TEXT = tokens(2, LENGTH)
IMAGE = torch.zeros_like(TEXT)  # where an image's tokens stand
IMAGE[:, 7:23] = 1
PADDED = torch.ones_like(TEXT)
PADDED[1, :9] = 0

MODELS = {
    "gemma4_text": Model(
        "the widest heads in full layers, half as wide ones in windows",
        {
            **LAYERS,
            "head_dim": WIDEST // 2,
            "global_head_dim": WIDEST,
            "sliding_window": WINDOW,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": SIZE["vocab_size"],
        },
        {"attention_mask": PADDED},
    ),
    "deepseek_v3": Model(
        "192 columns of Q and K, 128 of V",
        {**EXPERTS, **LATENT, "num_key_value_heads": 4, "first_k_dense_replace": 1},
        {"attention_mask": PADDED},
    ),
    "mimo_v2_flash": Model(
        "192 columns of Q and K, 128 of V; windows, with sinks",
        {**EXPERTS, **LAYERS, "sliding_window": WINDOW},
        {},
    ),
    "gemma3": Model(
        "an image's tokens see each other",
        {
            "text_config": {**SIZE, **HEAD_DIM, **LAYERS, "sliding_window": WINDOW},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 32,
                "image_size": 28,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
            },
            "mm_tokens_per_image": 4,
        },
        {"token_type_ids": IMAGE},
        AutoModelForImageTextToText,
    ),
    "t5": Model(
        "a bias for each distance, and no scale",
        {
            "d_model": 64,
            "d_kv": 32,
            "d_ff": 64,
            "num_heads": 2,
            "num_layers": 2,
            "decoder_start_token_id": 0,
        },
        {"decoder_input_ids": TEXT[:, :30], "attention_mask": PADDED},
        AutoModelForSeq2SeqLM,
    ),
}


def make(name: str, attention: str, **config: Any) -> Any:
    """A model, with the same weights at each call."""
    model = MODELS[name]
    settings = AutoConfig.for_model(name, **{**SIZE, **model.config, **config})
    torch.manual_seed(0)
    made = model.kind.from_config(settings, attn_implementation=attention, dtype=torch.float32)
    for parameter, values in made.named_parameters():
        if parameter.endswith("sinks"):
            values.data.copy_(torch.linspace(5.0, 15.0, len(values)))
    return made.eval()


def logits(model: Any, call: dict[str, Any]) -> Tensor:
    """(tokens, values), of the tokens that are not padding: eager attention lets these see all."""
    with torch.no_grad():
        out: Tensor = model(**call).logits
    padded = "attention_mask" in call and "decoder_input_ids" not in call
    return out[call["attention_mask"].bool()] if padded else out.flatten(0, 1)


def gguf_like(low: torch.dtype) -> Any:
    """Attention of a model that computes in float32 and keeps its cache in 16 bits."""

    def attend_low(module: Any, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **more: Any) -> Any:
        return attend(module, q, k.to(low), v.to(low), *rest, **more)

    return attend_low


@pytest.mark.parametrize("name", MODELS)
def test_forward(name: str, launched: list[str]) -> None:
    call = {"input_ids": TEXT, **MODELS[name].call}
    got = logits(make(name, OURS), call)
    assert any(kernel.startswith("prefill") for kernel in launched)
    launched.clear()
    want = logits(make(name, "eager"), call)
    assert not launched
    agrees = agreement(got, want)
    assert agrees.cosine >= LEAST_COSINE
    assert agrees.argmax == 1.0


@pytest.mark.parametrize("low", [torch.float16, torch.bfloat16], ids=str)
def test_float32_queries_over_keys_of_16_bits(low: torch.dtype, launched: list[str]) -> None:
    """As with a GGUF checkpoint.  Eager attention gets the same keys and values, rounded."""

    def rounded(module: Any, q: Tensor, k: Tensor, v: Tensor, *rest: Any, **more: Any) -> Any:
        k, v = (x.to(low).float() for x in (k, v))
        return eager_attention_forward(module, q, k, v, *rest, **more)

    outputs = []
    for attention in (gguf_like(low), rounded):
        AttentionInterface.register(OURS, attention)
        outputs.append(logits(make("gemma3", OURS), {"input_ids": TEXT, **MODELS["gemma3"].call}))
    agrees = agreement(*outputs)
    assert agrees.cosine >= LEAST_COSINE
    assert agrees.argmax == 1.0
    assert any(kernel.startswith("prefill_float32") for kernel in launched)


SPECIAL: dict[str, dict[str, Any]] = {
    "gemma4_text": {"sliding_window": WINDOW + 1},
    "mimo_v2_flash": {"sliding_window": WINDOW + 1},
    "t5": {"relative_attention_max_distance": 64},
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_special_about_a_model_would_be_missed(name: str) -> None:
    call = {"input_ids": TEXT, **MODELS[name].call}
    want, other = (logits(make(name, "eager", **x), call) for x in ({}, SPECIAL[name]))
    assert agreement(other, want).cosine < LEAST_COSINE


def test_an_image_s_tokens_would_be_missed() -> None:
    model = make("gemma3", "eager")
    seeing = logits(model, {"input_ids": TEXT, "token_type_ids": IMAGE})
    blind = logits(model, {"input_ids": TEXT, "token_type_ids": torch.zeros_like(IMAGE)})
    assert agreement(seeing, blind).cosine < LEAST_COSINE
