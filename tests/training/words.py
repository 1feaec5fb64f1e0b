"""A tokenizer that knows one word for each token of the tiny models' vocabulary."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from verify.tiny_models import PADDING, VOCABULARY

END = 1  # the token that ends a text
WORDS = {f"w{token}": token for token in range(VOCABULARY)}


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(WordLevel(WORDS, unk_token=f"w{PADDING}"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=f"w{PADDING}",
        eos_token=f"w{END}",
        unk_token=f"w{PADDING}",
        model_max_length=512,
    )


def text_of(tokens: list[int]) -> str:
    return " ".join(f"w{token}" for token in tokens)
