"""PEFT's LoRA: a frozen model of which adapters alone are trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.runs import (
    ALLOWED,
    differences,
    model_of,
    root_mean_square,
    rows,
    train,
    worst_loss,
)
from verify.variants import manifest

peft = pytest.importorskip("peft")

EVERYWHERE = ["q_proj", "k_proj", "v_proj", "o_proj"]


def with_adapters(model: Any, targets: list[str], **options: Any) -> Any:
    """The same adapters at each call, none of them at zero, where LoRA has its B begin."""
    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=4, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM", **options
    )
    return peft.get_peft_model(model, config)


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gpt_oss"])
def test_adapters_learn_and_the_rest_stays(hub: str, tmp_path: Path, name: str) -> None:
    ours, eager = (
        train(with_adapters(model_of(name, attention), EVERYWHERE), rows(), tmp_path)
        for attention in (hub, "eager")
    )
    assert worst_loss(ours, eager) <= ALLOWED
    for parameter, moved in differences(ours.after, ours.before).items():
        assert bool(moved.count_nonzero()) == ("lora" in parameter), parameter


def test_only_the_gradients_that_adapters_need(hub: str, launched: list[str]) -> None:
    """Adapters of the last layer's values alone: no kernel for the gradient of q runs."""
    model = with_adapters(model_of("mistral", hub), ["v_proj"], layers_to_transform=[1])
    model(**{name: values[None] for name, values in rows()[0].items()}).loss.backward()
    ran = {v.gradients for v in manifest() if v.name in launched}
    assert "q" not in ran
    assert any("v" in gradients for gradients in ran)
    with_gradients = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradients == {name for name, p in model.named_parameters() if "lora" in name}
    assert len(with_gradients) == 2


def test_float32_activations_on_a_half_precision_model(
    hub: str, in_float64: str, launched: list[str], tmp_path: Path
) -> None:
    """Norms in float32, as PEFT prepares a quantized model: q and k come in float32, v does not."""
    runs = []
    for attention in (hub, "eager", in_float64):
        model = model_of("qwen3", attention, torch.bfloat16)
        for module_name, module in model.named_modules():
            if "norm" in module_name:
                module.float()
        runs.append(train(with_adapters(model, EVERYWHERE), rows(), tmp_path, bf16=True))
    ours, eager, exact = runs
    assert launched
    assert all("bfloat16" in kernel for kernel in launched)
    assert root_mean_square(ours.losses - exact.losses) <= 2 * root_mean_square(
        eager.losses - exact.losses
    )
    for parameter, moved in differences(ours.after, ours.before).items():
        assert bool(moved.count_nonzero()) == ("lora" in parameter), parameter
