"""Seven models as transformers defines them, shrunk: random weights from configs alone.

Nothing is downloaded.  Windows are a few tokens wide, and weights large, so that the mask, the
sinks and the softcap decide what a model of this size says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

WINDOW = 8  # tokens
VOCABULARY = 97
PADDING = 0  # the token that pads

SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
    "pad_token_id": PADDING,
    "bos_token_id": None,
    "eos_token_id": None,  # generate as many tokens as asked for
}
HEAD_DIM = {"head_dim": 32}  # qwen2 takes hidden_size / num_attention_heads
LAYERS = {"layer_types": ["sliding_attention", "full_attention"]}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}


class TinyModel(NamedTuple):
    """One model: what its config says beyond SIZE, and what its attention asks of a kernel."""

    special: str
    config: dict[str, Any]
    generates: bool = True


MODELS = {
    "mistral": TinyModel("window", {**HEAD_DIM, "sliding_window": WINDOW}),
    "qwen2": TinyModel("full attention", {}),
    "qwen3": TinyModel("full attention, normed q and k", HEAD_DIM),
    "gemma2": TinyModel(
        "window and full, softcap",
        {**HEAD_DIM, **LAYERS, "sliding_window": WINDOW, "attn_logit_softcapping": 2.0},
    ),
    "gemma3_text": TinyModel(
        "window and full, normed q and k", {**HEAD_DIM, **LAYERS, "sliding_window": WINDOW}
    ),
    "gpt_oss": TinyModel(
        "window and full, sinks", {**HEAD_DIM, **LAYERS, **EXPERTS, "sliding_window": WINDOW}
    ),
    "openai_privacy_filter": TinyModel(
        "window on both sides, sinks, scale 1.0",
        {**HEAD_DIM, **EXPERTS, "sliding_window": WINDOW, "num_labels": 9},
        generates=False,
    ),
}


class Agreement(NamedTuple):
    """How much two outputs say the same: cosine, and share of rows with the same largest value."""

    cosine: float
    argmax: float


def agreement(got: torch.Tensor, want: torch.Tensor) -> Agreement:
    """Compare two outputs of the shape (tokens, values), in float64."""
    cosine = torch.nn.functional.cosine_similarity(
        got.double().flatten(), want.double().flatten(), dim=0
    )
    same = got.argmax(-1) == want.argmax(-1)
    return Agreement(cosine.item(), same.double().mean().item())


def tokens(batch: int, length: int) -> torch.Tensor:
    """Random text, the same at each call."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(PADDING + 1, VOCABULARY, (batch, length), generator=generator)


def make(
    name: str, attn_implementation: str, dtype: torch.dtype = torch.float32, **config: Any
) -> Any:
    """A model, with the same weights at each call; `config` overrides its config."""
    model = MODELS[name]
    kind = AutoModelForCausalLM if model.generates else AutoModelForTokenClassification
    settings = AutoConfig.for_model(name, **{**SIZE, **model.config, **config})
    torch.manual_seed(0)
    made = kind.from_config(settings, attn_implementation=attn_implementation, dtype=dtype)
    for parameter, values in made.named_parameters():
        if parameter.endswith("sinks"):
            values.data.copy_(torch.linspace(5.0, 15.0, len(values)))  # as large as scores
    return made.eval()
