"""A short training run with transformers' Trainer, and how far two of them are apart."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments

from tests.transformers.test_models import EVERY_EXPERT, WITH_EXPERTS
from verify.tiny_models import make, tokens

# Whatever imports this module is skipped as a whole where they are not all there.
LIBRARIES = ("accelerate", "datasets", "peft", "sentence_transformers", "trl")
if MISSING := [name for name in LIBRARIES if find_spec(name) is None]:
    pytest.skip(f"nox -s training installs {', '.join(MISSING)}", allow_module_level=True)

STEPS = 20
BATCH = 2
LENGTH = 70  # more rows than a tile of queries, more keys than two
LABELS = 9  # as many as openai_privacy_filter has
IGNORED = -100  # the label of a token that has none

# A step's loss may differ from eager's by so much of it.  So may a gradient, of its own size, and
# so the way that plain gradient descent goes: it is the sum of the gradients.
ALLOWED = 1e-4

# The tiny models' own weights are so large that two runs of eager attention itself, with the sums
# in another order, part within 20 steps.  These are about as large as width ** -0.5: no layer
# makes a difference larger.  The scores are smaller then, and so are the sinks.
INITIALIZER_RANGE = 0.09
LARGEST_SINK = 2.0


def model_of(name: str, attention: str, dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    """A tiny model to train; all experts take part, as a rounding can tip a token to another."""
    experts = EVERY_EXPERT if name in WITH_EXPERTS else {}
    model = make(name, attention, dtype, initializer_range=INITIALIZER_RANGE, **experts, **config)
    for parameter, values in model.named_parameters():
        if parameter.endswith("sinks"):
            values.data.copy_(torch.linspace(0, LARGEST_SINK, len(values)))
    return model


def rows() -> list[dict[str, Tensor]]:
    """Texts, half of them padded: of a batch that has one, transformers packs what is not padding.

    The trainers draw batches at random, so that some have none.
    """
    generator = torch.Generator().manual_seed(2)
    found = []
    for place, text in enumerate(tokens(STEPS * BATCH, LENGTH)):
        shorter = int(torch.randint(5, LENGTH, (), generator=generator))
        mask = torch.arange(LENGTH) < (shorter if place % 2 else LENGTH)
        labels = torch.where(mask, text % LABELS, IGNORED)
        found.append({"input_ids": text * mask, "attention_mask": mask.long(), "labels": labels})
    return found


def settings(**others: Any) -> dict[str, Any]:
    """What every trainer is asked here: nothing but steps, on the CPU."""
    plain: dict[str, Any] = {
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return plain | others


@dataclass(frozen=True)
class Run:
    """What came out of a training run."""

    losses: Tensor  # of each step
    before: dict[str, Tensor]  # the parameters, in float64
    after: dict[str, Tensor]


def parameters(model: Any) -> dict[str, Tensor]:
    return {name: values.detach().double() for name, values in model.named_parameters()}


def finish(trainer: Any) -> Run:
    """Let any trainer run, and collect."""
    before = parameters(trainer.model)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == trainer.args.max_steps
    return Run(torch.tensor(losses), before, parameters(trainer.model))


def train(model: Any, rows: list[dict[str, Tensor]], folder: Path, **others: Any) -> Run:
    """Transformers' own Trainer."""
    arguments = TrainingArguments(str(folder), **settings(**others))
    return finish(Trainer(model, arguments, train_dataset=rows))


def worst_loss(got: Run, want: Run) -> float:
    """The largest difference of a step's loss, of the wanted loss."""
    return float(((got.losses - want.losses) / want.losses).abs().max())


def norm(values: dict[str, Tensor]) -> float:
    """Of all parameters as one vector."""
    return float(torch.stack([tensor.norm() for tensor in values.values()]).norm())


def differences(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
    assert a.keys() == b.keys()
    return {name: a[name] - b[name] for name in a}


def root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
