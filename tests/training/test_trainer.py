"""transformers' Trainer over tiny models: this package's attention beside eager attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from tests.training.runs import (
    BATCH,
    STEPS,
    Run,
    differences,
    model_of,
    norm,
    train,
    worst_loss,
)
from tests.transformers.test_models import MODES
from verify.tiny_models import tokens
from verify.variants import BACKWARD, BACKWARD_ROWS, manifest

pytest.importorskip("accelerate", reason="nox -s training installs it")

LENGTH = 70  # more rows than a tile of queries, more keys than two
LABELS = 9  # as many as openai_privacy_filter has
IGNORED = -100  # the label of a token that has none
MODELS = ("mistral", "qwen3", "gemma2", "gpt_oss", "openai_privacy_filter")

# A loss may differ from eager's by so much of it.  So may a gradient, of its own size, and so the
# way that plain gradient descent goes: it is the sum of the gradients.
ALLOWED = 1e-4
# AdamW divides each gradient by its own size.  Of the gradients that are spread around zero a part
# of ALLOWED is smaller than its error: there a step is as good as random, and up to two steps'
# lengths off.  The root of what that adds up to, beside the root of all steps:
ALLOWED_ADAMW = 2 * ALLOWED**0.5
FLOAT32_ROUNDING = 2.0**-24


def rows() -> list[dict[str, Tensor]]:
    """Texts, of which every other batch is padded: then transformers packs what is not padding."""
    generator = torch.Generator().manual_seed(2)
    found = []
    for place, text in enumerate(tokens(STEPS * BATCH, LENGTH)):
        is_padded = place // BATCH % 2
        length = int(torch.randint(5, LENGTH, (), generator=generator)) if is_padded else LENGTH
        mask = torch.arange(LENGTH) < length
        labels = torch.where(mask, text % LABELS, IGNORED)
        found.append({"input_ids": text * mask, "attention_mask": mask.long(), "labels": labels})
    return found


def exact(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention in float64, as transformers calls it."""
    groups = query.shape[1] // key.shape[1]
    k, v = (x.double().repeat_interleave(groups, dim=1) for x in (key, value))
    scores = query.double() @ k.mT * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if attention_mask is not None:
        scores = scores + attention_mask
    if s_aux is not None:
        column = s_aux.double().reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, column], -1)
    weights = scores.softmax(-1)[..., : k.shape[2]]
    return (weights @ v).transpose(1, 2).to(query.dtype).contiguous(), None


@pytest.fixture
def in_float64() -> str:
    """The name of `exact` in transformers."""
    AttentionInterface.register("in_float64", exact)
    AttentionMaskInterface.register("in_float64", eager_mask)
    return "in_float64"


def ran_backward(launched: list[str]) -> set[str | None]:
    """The masks of the backward pass's kernels that ran."""
    families = BACKWARD - {BACKWARD_ROWS}
    return {v.mask for v in manifest() if v.family in families and v.name in launched}


@pytest.mark.parametrize("optimizer", ["adamw_torch", "sgd"])
@pytest.mark.parametrize("name", MODELS)
def test_float32(
    hub: str, launched: list[str], tmp_path: Path, name: str, optimizer: str
) -> None:
    rate = {"adamw_torch": 1e-3, "sgd": 0.5}[optimizer]
    ours, eager = (
        train(model_of(name, attention), rows(), tmp_path, optim=optimizer, learning_rate=rate)
        for attention in (hub, "eager")
    )
    assert ran_backward(launched) == {mask for mask, _ in MODES[name]}
    assert eager.losses[-5:].mean() < 0.9 * eager.losses[:5].mean()  # it learns
    assert worst_loss(ours, eager) <= ALLOWED
    moved = differences(eager.after, eager.before)
    apart = differences(ours.after, eager.after)
    if optimizer == "adamw_torch":
        assert norm(apart) <= ALLOWED_ADAMW * norm(moved)
    else:
        for parameter, difference in apart.items():
            stored = STEPS * FLOAT32_ROUNDING * eager.after[parameter].norm()
            assert difference.norm() <= ALLOWED * moved[parameter].norm() + stored, parameter


def root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16(hub: str, in_float64: str, launched: list[str], tmp_path: Path, name: str) -> None:
    """Beside two runs without this package, which round in attention or not: within twice of what
    they differ, as for every single gradient."""
    runs: list[Run] = [
        train(model_of(name, attention), rows(), tmp_path, bf16=True)
        for attention in (hub, "eager", in_float64)
    ]
    assert all("bfloat16" in kernel for kernel in launched if kernel.startswith("backward"))
    assert ran_backward(launched) == {mask for mask, _ in MODES[name]}
    ours, eager, exactly = runs
    assert root_mean_square(ours.losses - exactly.losses) <= 2 * root_mean_square(
        eager.losses - exactly.losses
    )
    assert norm(differences(ours.after, exactly.after)) <= 2 * norm(
        differences(eager.after, exactly.after)
    )
