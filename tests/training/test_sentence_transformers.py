"""sentence-transformers: a contrastive loss over texts of many lengths, without padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from tests.training.runs import ALLOWED, Run, finish, settings, worst_loss
from tests.training.words import text_of, tokenizer
from verify.tiny_models import SIZE, WINDOW, tokens

library = pytest.importorskip("sentence_transformers")
datasets = pytest.importorskip("datasets")

BATCH = 8
PAIRS = 3 * BATCH
STEPS = 12  # each pair is seen four times
LONGEST = 60

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": NO_DROPOUT,
    "modernbert": {"local_attention": 2 * WINDOW, "global_attn_every_n_layers": 2},
}


def pairs() -> Any:
    """A question and its answer, which is half of the same words; all of different lengths."""
    generator = torch.Generator().manual_seed(4)
    questions, answers = [], []
    for text in tokens(PAIRS, LONGEST).tolist():
        length, half = torch.randint(3, LONGEST, (2,), generator=generator).tolist()
        questions.append(text_of(text[:length]))
        answers.append(text_of(text[length // 2 :][:half]))
    return datasets.Dataset.from_dict({"question": questions, "answer": answers})


def encoder(name: str, folder: Path) -> Path:
    """A tiny one on disk, with its tokenizer."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **{**SIZE, **ENCODERS[name], "initializer_range": 0.09})
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def train(path: Path, attention: str, folder: Path) -> Run:
    words = library.sentence_transformer.modules.Transformer(
        str(path), model_kwargs={"attn_implementation": attention}
    )
    assert words.can_flatten_inputs == (attention != "eager")
    pooling = library.sentence_transformer.modules.Pooling(words.get_embedding_dimension())
    model = library.SentenceTransformer(modules=[words, pooling], device="cpu")
    arguments = library.SentenceTransformerTrainingArguments(
        str(folder), **settings(max_steps=STEPS, per_device_train_batch_size=BATCH)
    )
    loss = library.sentence_transformer.losses.MultipleNegativesRankingLoss(model)
    return finish(
        library.SentenceTransformerTrainer(model, arguments, train_dataset=pairs(), loss=loss)
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_flattened_is_padded_eager(
    hub: str, launched: list[str], tmp_path: Path, name: str
) -> None:
    path = encoder(name, tmp_path / "encoder")
    ours, eager = (train(path, attention, tmp_path) for attention in (hub, "eager"))
    masks = ("full", "window") if name == "modernbert" else ("full",)
    for mask in masks:
        assert any(k.startswith("backward_kv") and k.endswith(mask) for k in launched)
    assert eager.losses[-3:].mean() < eager.losses[:3].mean()
    assert worst_loss(ours, eager) <= ALLOWED
