"""Lines of transformers that stand in the way on a Mac: set from outside, they are all there is.

docs/integrations.md lists them.  That of block tables in continuous batching has its test beside
the others of continuous batching, in test_models.py.
"""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, modeling_flash_attention_utils
from transformers.models.flint.modeling_flint import FlintPreTrainedModel
from transformers.models.granite_swa.modeling_granite_swa import GraniteSWAPreTrainedModel
from transformers.models.granitemoe_swa.modeling_granitemoe_swa import GraniteMoeSWAPreTrainedModel

from tests.transformers.test_models import CALLS, LEAST_COSINE, logits
from verify.tiny_models import EXPERTS, HEAD_DIM, LAYERS, SIZE, WINDOW, agreement, make


def test_flash_attention_2_on_a_mac_needs_an_entry_in_one_table(
    hub: str, launched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FLASH_ATTN_KERNEL_FALLBACK names a repository with builds for CUDA and XPU alone."""
    fallback = modeling_flash_attention_utils.FLASH_ATTN_KERNEL_FALLBACK
    assert hub not in fallback.values()
    with pytest.raises((ImportError, ValueError)):
        make("qwen2", "flash_attention_2")
    monkeypatch.setitem(fallback, "flash_attention_2", hub)
    model = make("qwen2", "flash_attention_2")
    want = logits(make("qwen2", "eager"), CALLS["left padding"])
    launched.clear()
    agrees = agreement(logits(model, CALLS["left padding"]), want)
    assert agrees.cosine >= LEAST_COSINE[torch.float32]
    assert any(name.startswith("prefill") for name in launched)


UNLISTED = {
    "granite_swa": GraniteSWAPreTrainedModel,
    "granitemoe_swa": GraniteMoeSWAPreTrainedModel,
    "flint": FlintPreTrainedModel,
}


OF_FLINT = {"num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}


@pytest.mark.parametrize("name", UNLISTED)
def test_models_with_sinks_need_our_name_in_their_list(
    hub: str, launched: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """_compatible_flash_implementations of a class; another name is replaced by the first of it."""
    kind = UNLISTED[name]
    listed = kind._compatible_flash_implementations
    assert hub not in listed
    monkeypatch.setattr(kind, "_compatible_flash_implementations", [*listed, hub])
    size = {**SIZE, **HEAD_DIM, **LAYERS, **EXPERTS, **OF_FLINT, "sliding_window": WINDOW}
    models = []
    for attention in (hub, "eager"):
        torch.manual_seed(0)
        config = AutoConfig.for_model(name, **size)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
        models.append(model.eval())
    assert models[0].config._attn_implementation == hub
    got, want = (logits(model, CALLS["no padding"]) for model in models)
    agrees = agreement(got, want)
    assert agrees.cosine >= LEAST_COSINE[torch.float32]
    assert any("sinks" in kernel for kernel in launched)
