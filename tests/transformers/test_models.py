"""Seven tiny models in transformers: this package's attention against transformers' own (eager)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import ContinuousBatchingConfig, GenerationConfig

from verify.tiny_models import EXPERTS, MODELS, PADDING, WINDOW, agreement, make, tokens
from verify.variants import manifest

LENGTH = 70  # more rows than a tile of queries, more keys than two
SEQUENCES = (30, 1, 39)  # packed
NEW = 12  # tokens to generate

GENERATES = [name for name, model in MODELS.items() if model.generates]
WITH_EXPERTS = [name for name, model in MODELS.items() if EXPERTS.items() <= model.config.items()]
EVERY_EXPERT = {"num_experts_per_tok": EXPERTS["num_local_experts"]}

# What a model must run of the prefill kernels: (mask, sinks).
MODES = {
    "mistral": {("window", False)},
    "qwen2": {("causal", False)},
    "qwen3": {("causal", False)},
    "gemma2": {("window", False), ("causal", False)},
    "gemma3_text": {("window", False), ("causal", False)},
    "gpt_oss": {("window", True), ("causal", True)},
    "openai_privacy_filter": {("window", True)},
}

# In half precision the two sides round at different places.  A cosine of 0.999 is a relative error
# of 4.5 %, which is 11 units of bfloat16 (2 ** -8), after two layers that round a dozen times each.
LEAST_COSINE = {torch.float32: 0.999999, torch.float16: 0.999, torch.bfloat16: 0.999}


def padding(side: str) -> Tensor:
    """A mask of two sequences, the second shorter."""
    mask = torch.ones(2, LENGTH, dtype=torch.int64)
    mask[1, slice(0, 23) if side == "left" else slice(-23, None)] = 0
    return mask


TEXT = tokens(2, LENGTH)
CALLS: dict[str, dict[str, Tensor]] = {
    "no padding": {"input_ids": TEXT},
    "left padding": {"input_ids": TEXT, "attention_mask": padding("left")},
    "right padding": {"input_ids": TEXT, "attention_mask": padding("right")},
    "packed": {
        "input_ids": TEXT[:1],
        "position_ids": torch.cat([torch.arange(length) for length in SEQUENCES])[None],
    },
}


def logits(model: Any, call: dict[str, Tensor]) -> Tensor:
    """(tokens, values), of the tokens that are not padding."""
    with torch.no_grad():
        out: Tensor = model(**call).logits
    return out[call.get("attention_mask", torch.ones_like(call["input_ids"])).bool()]


def eager_logits(model: Any, call: dict[str, Tensor]) -> Tensor:
    """As `logits`, where packed sequences run one by one, which is what packing stands for."""
    if "position_ids" not in call:
        return logits(model, call)
    parts = call["input_ids"].split(SEQUENCES, dim=1)
    return torch.cat([logits(model, {"input_ids": part}) for part in parts])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_forward(hub: str, launched: list[str], name: str, call: str) -> None:
    got = logits(make(name, hub), CALLS[call])
    agrees = agreement(got, eager_logits(make(name, "eager"), CALLS[call]))
    assert agrees.cosine >= LEAST_COSINE[torch.float32]
    assert agrees.argmax == 1.0
    ran = [v for v in manifest() if v.name in launched]
    assert {(v.mask, v.sinks) for v in ran if v.family == "prefill"} == MODES[name]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_forward_in_half_precision(hub: str, name: str, call: str, dtype: torch.dtype) -> None:
    # A rounding can tip a token to another expert, on which no tolerance would hold: all take part.
    config = EVERY_EXPERT if name in WITH_EXPERTS else {}
    got, want = make(name, hub, dtype, **config), make(name, "eager", dtype, **config)
    agrees = agreement(logits(got, CALLS[call]), eager_logits(want, CALLS[call]))
    assert agrees.cosine >= LEAST_COSINE[dtype]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", GENERATES)
def test_generate(hub: str, name: str, cache: str, padded: bool) -> None:
    mask = padding("left") if padded else torch.ones_like(TEXT)
    options = {"max_new_tokens": NEW, "do_sample": False, "cache_implementation": cache}
    got, want = (
        make(name, attention).generate(TEXT, attention_mask=mask, **options)
        for attention in (hub, "eager")
    )
    assert got.shape == (2, LENGTH + NEW)
    assert torch.equal(got, want)


@pytest.mark.parametrize("name", ["mistral", "qwen2", "gpt_oss"])
def test_continuous_batching(hub: str, name: str) -> None:
    prompts = [TEXT[0].tolist(), TEXT[1, :5].tolist(), TEXT[1, 20:59].tolist()]
    greedy = GenerationConfig(max_new_tokens=NEW, do_sample=False, pad_token_id=PADDING)
    # The first prompt takes two steps, so one batch mixes prefill and decode.
    sizes = ContinuousBatchingConfig(num_blocks=8, max_batch_tokens=64)
    found = make(name, hub).generate_batch(prompts, greedy, continuous_batching_config=sizes)
    got = {tuple(result.prompt_ids): result.generated_tokens for result in found.values()}
    eager = make(name, "eager")
    for prompt in prompts:
        want = eager.generate(torch.tensor([prompt]), generation_config=greedy)
        assert got.pop(tuple(prompt)) == want[0, len(prompt) :].tolist()
    assert not got


def test_continuous_batching_over_pages(
    hub: str, launched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoding steps through flash_attn_with_kvcache, on transformers' own pages.

    transformers takes this path on CUDA and XPU alone, and for implementations whose name says
    flash attention 2 or 3: what decides that is left out here, and stands in the way on a Mac.
    """
    where = "transformers.generation.continuous_batching.initialization"
    monkeypatch.setattr(f"{where}.ensure_decode_fast_path_is_available", lambda *_, **__: None)
    prompts = [TEXT[0, :17].tolist(), TEXT[1, :5].tolist()]
    greedy = GenerationConfig(max_new_tokens=NEW, do_sample=False, pad_token_id=PADDING)
    sizes = ContinuousBatchingConfig(num_blocks=8, max_batch_tokens=64, max_blocks_per_request=4)
    found = make("qwen2", hub).generate_batch(prompts, greedy, continuous_batching_config=sizes)
    got = {tuple(result.prompt_ids): result.generated_tokens for result in found.values()}
    assert any(name.startswith("append") for name in launched)
    eager = make("qwen2", "eager")
    for prompt in prompts:
        want = eager.generate(torch.tensor([prompt]), generation_config=greedy)
        assert got[tuple(prompt)] == want[0, len(prompt) :].tolist()


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch's own
@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("mistral", "aot_eager"),
        ("gpt_oss", "aot_eager"),
        ("openai_privacy_filter", "aot_eager"),
        ("mistral", "inductor"),
    ],
)
def test_compiled(hub: str, name: str, backend: str) -> None:
    """Not a single graph break, in float16: for float32 transformers logs that it casts.

    Experts run batched, as the loop over them depends on the data.
    """
    config = {"experts_implementation": "batched_mm"} if name in WITH_EXPERTS else {}
    model = make(name, hub, torch.float16, **config)
    want = logits(model, CALLS["no padding"])
    torch._dynamo.reset()
    model.forward = torch.compile(model.forward, backend=backend, fullgraph=True)
    got = logits(model, {**CALLS["no padding"]})
    if backend == "aot_eager":
        assert torch.equal(got, want)
    else:  # inductor keeps more digits between two operations
        assert agreement(got, want).cosine >= LEAST_COSINE[torch.float16]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch's own
def test_compiled_with_a_length_that_only_the_graph_knows(hub: str) -> None:
    """Where max_length_q is a tensor, transformers puts its `.item()` into the graph."""
    model = make("mistral", hub, torch.bfloat16)
    packed = CALLS["packed"]
    cu_seqlens = torch.tensor([0, *SEQUENCES], dtype=torch.int32).cumsum(0, dtype=torch.int32)

    def function(input_ids: Tensor, position_ids: Tensor, cu_seqlens: Tensor) -> Tensor:
        longest = cu_seqlens.diff().max()
        call = {"cu_seq_lens_q": cu_seqlens, "cu_seq_lens_k": cu_seqlens, "use_cache": False}
        call |= {"max_length_q": longest, "max_length_k": longest}
        out: Tensor = model(input_ids=input_ids, position_ids=position_ids, **call).logits
        return out

    arguments = (packed["input_ids"], packed["position_ids"], cu_seqlens)
    torch._dynamo.reset()
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    with torch.no_grad(), torch._dynamo.config.patch(capture_scalar_outputs=True):
        assert torch.equal(compiled(*arguments), function(*arguments))


SPECIAL: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": WINDOW + 1},
    "gemma2": {"attn_logit_softcapping": None},
    "gemma3_text": {"sliding_window": WINDOW + 1},
    "gpt_oss": {"sliding_window": WINDOW + 1},
    "openai_privacy_filter": {"sliding_window": WINDOW + 1},
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_special_about_a_model_would_be_missed(name: str) -> None:
    """Windows one token off, no softcap, no sinks: each is beyond what is tolerated."""
    call = CALLS["no padding"]
    want = logits(make(name, "eager"), call)
    others = [make(name, "eager", **SPECIAL[name])]
    if name in WITH_EXPERTS:
        others.append(make(name, "eager"))
        for parameter, values in others[-1].named_parameters():
            if parameter.endswith("sinks"):
                values.data.fill_(-1e4)
    for other in others:
        assert agreement(logits(other, call), want).cosine < LEAST_COSINE[torch.bfloat16]
