"""Says what to use instead of an argument that other attention functions have."""

import functools
import inspect
from typing import Any, Callable, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

# Names of one thing.  A function takes one of them, or none.
_SYNONYMS = (
    ("causal", "is_causal", "do_causal"),
    ("softmax_scale", "scale", "sm_scale"),
    ("softcap", "softcapping", "soft_cap", "logits_soft_cap"),
    ("dropout_p", "dropout"),
    ("window_size", "sliding_window", "window"),
    ("s_aux", "sinks", "sink", "learnable_sink"),
    ("return_attn_probs", "return_softmax_lse", "return_lse"),
    ("block_table", "page_table"),
    ("attn_mask", "attention_mask", "attn_bias"),
    ("q", "query"),
    ("k", "key"),
    ("v", "value"),
)
_NO_MASK = (
    "packed sequences have no grid of queries and keys in common that a mask could lie on; causal "
    "and window_size mask by position, and flash_attn_func takes an attn_mask for a padded batch"
)
_INSTEAD = {
    "attn_mask": _NO_MASK,
    "attention_mask": _NO_MASK,
    "attn_bias": _NO_MASK,
    "key_padding_mask": _NO_MASK,
    "enable_gqa": "leave it out; fewer KV heads than query heads are always taken",
}


def hinting(function: Function) -> Function:
    """The function, but an unknown argument's error says what to use where that is known."""
    names = frozenset(inspect.signature(function).parameters)
    hints = {name: hint for name, hint in _INSTEAD.items() if name not in names}
    for synonyms in _SYNONYMS:
        for own in names.intersection(synonyms):
            hints.update((other, f"use {own}") for other in synonyms if other not in names)

    @functools.wraps(function)
    def hinted(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name in hints:
                raise TypeError(f"{function.__name__}() has no argument {name!r}: {hints[name]}")
        return function(*args, **kwargs)

    return cast(Function, hinted)
