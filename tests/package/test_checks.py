"""Wrong calls: each is refused with the argument, what came and what is allowed."""

from __future__ import annotations

import inspect
import re
from typing import Any

import metal_flash_sdpa as package
import numpy
import pytest
import torch
from torch import Tensor

F32, F16 = torch.float32, torch.float16


def zeros(*shape: int, dtype: torch.dtype = F32, device: str = "cpu") -> Tensor:
    return torch.zeros(shape, dtype=dtype, device=device)


def offsets(*values: int, dtype: torch.dtype = torch.int32, device: str = "cpu") -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)


def padded(**changes: Any) -> None:
    """A call of flash_attn_func that is right but for the changes."""
    call = {"q": zeros(2, 5, 4, 32), "k": zeros(2, 7, 2, 32), "v": zeros(2, 7, 2, 32)}
    package.flash_attn_func(**{**call, **changes})


PACKED = {
    "cu_seqlens_q": offsets(0, 3, 5),
    "cu_seqlens_k": offsets(0, 4, 7),
    "max_seqlen_q": 3,
    "max_seqlen_k": 4,
}


def packed(**changes: Any) -> None:
    """A call of flash_attn_varlen_func that is right but for the changes."""
    call = {"q": zeros(5, 4, 32), "k": zeros(7, 2, 32), "v": zeros(7, 2, 32), **PACKED}
    package.flash_attn_varlen_func(**{**call, **changes})


def into(**changes: Any) -> None:
    """A call of flash_attention_varlen that is right but for the changes."""
    call = {"query": zeros(5, 4, 32), "key": zeros(7, 2, 32), "value": zeros(7, 2, 32), **PACKED}
    package.flash_attention_varlen(**{"out": zeros(5, 4, 32), **call, **changes})


def cached(**changes: Any) -> None:
    """A call of flash_attn_with_kvcache that is right but for the changes; it changes no cache."""
    call = {
        "q": zeros(2, 1, 4, 32),
        "k_cache": zeros(2, 40, 2, 32),
        "v_cache": zeros(2, 40, 2, 32),
        **changes,
    }
    caches = [call[name] for name in ("k_cache", "v_cache")]
    before = [cache.clone() for cache in caches]
    try:
        package.flash_attn_with_kvcache(**call)
    finally:
        assert all(map(torch.equal, caches, before))


def paged(**changes: Any) -> None:
    """The same, of a paged cache."""
    pages = {"k_cache": zeros(7, 16, 2, 32), "v_cache": zeros(7, 16, 2, 32)}
    cached(**{**pages, "block_table": torch.zeros(2, 3, dtype=torch.int32), **changes})


def grown(**changes: Any) -> None:
    """The same, with a new row for each sequence: only a wrong one leaves the cache unchanged."""
    new = {"k": torch.ones(2, 1, 2, 32), "v": torch.ones(2, 1, 2, 32), "cache_seqlens": 3}
    cached(**{**new, **changes})


def turned(**changes: Any) -> None:
    """The same, with rotary positions."""
    grown(**{"rotary_cos": zeros(40, 8), "rotary_sin": zeros(40, 8), **changes})


WRONG: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    # query, key and value
    (padded, {"q": None}, TypeError, "q is None: must be a torch.Tensor"),
    (padded, {"k": [[1.0]]}, TypeError, "k is a list: must be a torch.Tensor"),
    (padded, {"v": object()}, TypeError, "v is a object: must be a torch.Tensor"),
    (padded, {"q": zeros(2, 5, 4, 32).to_sparse()}, TypeError, "q is torch.sparse_coo: must be"),
    (padded, {"q": zeros(5, 4, 32)}, ValueError, "q has shape (5, 4, 32): must be (batch, length"),
    (padded, {"k": zeros(2, 7, 64)}, ValueError, "k has shape (2, 7, 64): must be (batch, length"),
    (packed, {"q": zeros(1, 5, 4, 32)}, ValueError, "q has shape (1, 5, 4, 32): must be (total"),
    (packed, {"v": zeros(7, 32)}, ValueError, "v has shape (7, 32): must be (total length, heads"),
    (padded, {"q": zeros(2, 5, 4, 32, dtype=torch.int32)}, TypeError, "q is torch.int32: must be"),
    (padded, {"q": zeros(2, 5, 4, 32, dtype=torch.bool)}, TypeError, "q is torch.bool: must be"),
    (
        padded,
        {"k": zeros(2, 7, 2, 32, dtype=torch.float64)},
        TypeError,
        "k is torch.float64: must be torch.float16 or torch.bfloat16 or torch.float32",
    ),
    (
        padded,
        {"k": zeros(2, 7, 2, 32, dtype=F16)},
        TypeError,
        "v is torch.float32 and k is torch.float16: must be the same",
    ),
    (
        padded,
        {"q": zeros(2, 5, 4, 32, dtype=F16)},
        TypeError,
        "k is torch.float32 and q is torch.float16: must be the same, or, where q is "
        "torch.float32, torch.float16 or torch.bfloat16",
    ),
    (packed, {"v": zeros(7, 2, 32, dtype=F16)}, TypeError, "v is torch.float16 and k is"),
    (
        padded,
        {"k": zeros(2, 7, 2, 32, device="meta")},
        ValueError,
        "k is on meta and q on cpu: must be the same",
    ),
    (packed, {"v": zeros(7, 2, 32, device="meta")}, ValueError, "v is on meta and q on cpu"),
    (
        padded,
        {"v": zeros(2, 8, 2, 32)},
        ValueError,
        "v has shape (2, 8, 2, 32) and k (2, 7, 2, 32): must be the same",
    ),
    (
        padded,
        {"v": zeros(2, 7, 2, 520)},
        ValueError,
        "v has head_dim 520: must be a multiple of 8 up to 512.  Call once for every 512 columns",
    ),
    (padded, {"q": zeros(2, 5, 4, 64)}, ValueError, "k has head_dim 32 and q 64: must be the same"),
    (
        padded,
        {"q": zeros(2, 5, 4, 36)},
        ValueError,
        "q has head_dim 36: must be a multiple of 8 up to 512.  Pad q, k and v with zeros",
    ),
    (
        packed,
        {"q": zeros(5, 4, 576)},
        ValueError,
        "q has head_dim 576: must be a multiple of 8 up to 512.  torch.nn.functional.scaled_dot_",
    ),
    (padded, {"q": zeros(2, 5, 3, 32)}, ValueError, "q has 3 heads and k 2: must be a multiple"),
    (padded, {"q": zeros(2, 5, 0, 32)}, ValueError, "q has 0 heads and k 2: must be a multiple"),
    (
        packed,
        {"k": zeros(7, 0, 32), "v": zeros(7, 0, 32)},
        ValueError,
        "q has 4 heads and k 0: must be a multiple",
    ),
    (padded, {"q": zeros(3, 5, 4, 32)}, ValueError, "k has batch 2 and q 3: must be the same"),
    (
        padded,
        {"q": zeros(0, 5, 4, 32), "k": zeros(0, 7, 2, 32), "v": zeros(0, 7, 2, 32)},
        ValueError,
        "q has shape (0, 5, 4, 32): an empty batch",
    ),
    # with a way out
    (
        padded,
        {"q": zeros(2, 8, 100, 32), "k": zeros(2, 2, 120, 32), "v": zeros(2, 2, 120, 32)},
        ValueError,
        "q has 100 heads and k 120: must be a multiple of them.  If heads come before length, as "
        "in torch's own attention, give x.transpose(1, 2) of q, k and v",
    ),
    (
        packed,
        {"q": zeros(8, 100, 32), "k": zeros(2, 120, 32), "v": zeros(2, 120, 32)},
        ValueError,
        "If heads come before length, as in torch's own attention, give x.transpose(0, 1) of q, k",
    ),
    (
        padded,
        {"q": zeros(2, 5, 4, 36)},
        ValueError,
        "q, k and v with zeros to a multiple, as torch.nn.functional.pad(x, (0, 4)) does for 36, "
        "give softmax_scale=36 ** -0.5, and take the first columns of the result",
    ),
    (into, {"query": zeros(5, 4, 201)}, ValueError, "(0, 7)) does for 201, give scale=201 ** -0.5"),
    (
        padded,
        {"causal": numpy.bool_(True)},
        TypeError,
        f"causal is a numpy.{numpy.bool_.__name__}: must be a bool.  causal.item() is one of",
    ),
    (packed, {"max_seqlen_q": numpy.int64(3)}, TypeError, "max_seqlen_q is a numpy.int64: must be"),
    (cached, {"cache_seqlens": numpy.int32(3)}, TypeError, "cache_seqlens.item() is one of Python"),
    (cached, {"cache_seqlens": [1, 2]}, TypeError, "cache_seqlens is a list: must be an int or a"),
    (cached, {"num_splits": numpy.int64(2)}, TypeError, "num_splits is a numpy.int64: must be an"),
    (padded, {"softcap": numpy.float32(2)}, TypeError, "softcap is a numpy.float32: must be a num"),
    (
        padded,
        {"window_size": (numpy.int64(3), 0)},
        TypeError,
        "window_size[0] is a numpy.int64: must be an int.  window_size[0].item() is one of",
    ),
    (padded, {"window_size": "a long string of text"}, TypeError, "window_size is a str: must be"),
    (packed, {"max_seqlen_k": 10**5000}, ValueError, "max_seqlen_k is a int: must be from 0 to"),
    # what describes a packed batch
    (packed, {"cu_seqlens_q": [0, 3, 5]}, TypeError, "cu_seqlens_q is a list: must be a torch"),
    (packed, {"cu_seqlens_k": None}, TypeError, "cu_seqlens_k is None: must be a torch.Tensor"),
    (
        packed,
        {"cu_seqlens_q": zeros(3)},
        TypeError,
        "cu_seqlens_q is torch.float32: must be torch.int32 or torch.int64",
    ),
    (
        packed,
        {"cu_seqlens_k": zeros(3, dtype=torch.int16)},
        TypeError,
        "cu_seqlens_k is torch.int16",
    ),
    (
        packed,
        {"cu_seqlens_q": offsets(0, 3, 5).view(1, 3)},
        ValueError,
        "cu_seqlens_q has shape (1, 3): must be (batch + 1,)",
    ),
    (packed, {"cu_seqlens_k": offsets(0)}, ValueError, "cu_seqlens_k has shape (1,): must be"),
    (
        packed,
        {"cu_seqlens_k": offsets(0, 7)},
        ValueError,
        "cu_seqlens_k has 2 elements and cu_seqlens_q 3: must be the same number",
    ),
    (
        packed,
        {"cu_seqlens_q": offsets(0, 3, 5, device="meta")},
        ValueError,
        "cu_seqlens_q is on meta and the query on cpu",
    ),
    (packed, {"max_seqlen_q": 3.0}, TypeError, "max_seqlen_q is 3.0: must be an int or a tensor"),
    (packed, {"max_seqlen_k": None}, TypeError, "max_seqlen_k is None: must be an int or a tensor"),
    (packed, {"max_seqlen_k": -1}, ValueError, "max_seqlen_k is -1: must be from 0 to"),
    (packed, {"max_seqlen_q": 2**63}, ValueError, "max_seqlen_q is 9223372036854775808: must be"),
    (
        packed,
        {"max_seqlen_q": offsets(3, 4)},
        ValueError,
        "max_seqlen_q has shape (2,): must be of",
    ),
    # a cache
    (cached, {"k_cache": zeros(3, 40, 2, 32)}, ValueError, "v_cache has shape (2, 40, 2, 32) and"),
    (
        cached,
        {"k_cache": zeros(3, 40, 2, 32), "v_cache": zeros(3, 40, 2, 32)},
        ValueError,
        "k_cache has batch 3 and q 2: must be the same",
    ),
    (cached, {"k_cache": zeros(40, 2, 32)}, ValueError, "k_cache has shape (40, 2, 32): must be"),
    (cached, {"cache_seqlens": 41}, ValueError, "cache_seqlens is 41: must be from 0 to 40"),
    (cached, {"cache_seqlens": -1}, ValueError, "cache_seqlens is -1: must be from 0 to 40"),
    (cached, {"cache_seqlens": 2.5}, TypeError, "cache_seqlens is 2.5: must be an int or a"),
    (cached, {"cache_seqlens": zeros(2)}, TypeError, "cache_seqlens is torch.float32: must be"),
    (cached, {"cache_seqlens": offsets(1)}, ValueError, "cache_seqlens has shape (1,): must be"),
    (
        cached,
        {"cache_seqlens": offsets(1, 2, device="meta")},
        ValueError,
        "cache_seqlens is on meta and the query on cpu",
    ),
    (cached, {"cache_batch_idx": offsets(1)}, ValueError, "cache_batch_idx has shape (1,): must"),
    (cached, {"cache_leftpad": zeros(2)}, TypeError, "cache_leftpad is torch.float32: must be"),
    (
        paged,
        {"cache_batch_idx": offsets(0, 1)},
        ValueError,
        "cache_batch_idx and block_table are both given: must be one or none",
    ),
    (paged, {"block_table": offsets(0, 1)}, ValueError, "block_table has shape (2,): must be"),
    (paged, {"block_table": zeros(2, 3)}, TypeError, "block_table is torch.float32: must be"),
    (
        paged,
        {"block_table": torch.zeros(2, 0, dtype=torch.int32)},
        ValueError,
        "block_table has shape (2, 0): must be (batch, pages of a sequence), here (2, at least 1)",
    ),
    (
        paged,
        {"k_cache": zeros(7, 0, 2, 32), "v_cache": zeros(7, 0, 2, 32)},
        ValueError,
        "page_size 0: must be at least 1",
    ),
    (
        paged,
        {"k_cache": zeros(0, 16, 2, 32), "v_cache": zeros(0, 16, 2, 32)},
        ValueError,
        "must have at least 1 page",
    ),
    (paged, {"cache_seqlens": 49}, ValueError, "cache_seqlens is 49: must be from 0 to 48"),
    (packed, {"block_table": offsets(0, 1)}, ValueError, "k has shape (7, 2, 32): must be (pages"),
    (
        packed,
        {
            "k": zeros(4, 16, 2, 32),
            "v": zeros(4, 16, 2, 32),
            "block_table": torch.zeros(3, 2, dtype=torch.int32),
        },
        ValueError,
        "block_table has shape (3, 2): must be (batch, pages of a sequence), here (2, at least 1)",
    ),
    # what is appended to it
    (
        cached,
        {"k": zeros(2, 1, 2, 32)},
        ValueError,
        "and v is None: must both be given, or neither",
    ),
    (cached, {"v": zeros(2, 1, 2, 32)}, ValueError, "k is None and v is a torch.Tensor: must"),
    (grown, {"cache_seqlens": None}, ValueError, "cache_seqlens is None: must be given with k"),
    (grown, {"cache_seqlens": 40}, ValueError, "k has 1 rows: the cache has room for at most 0"),
    (
        grown,
        {"k": zeros(2, 38, 2, 32), "v": zeros(2, 38, 2, 32)},
        ValueError,
        "k has 38 rows: the cache has room for at most 37 more",
    ),
    (
        grown,
        {"k": zeros(2, 1, 4, 32)},
        ValueError,
        "k has shape (2, 1, 4, 32): must be (batch, new",
    ),
    (
        grown,
        {"v": zeros(2, 3, 2, 32)},
        ValueError,
        "v has shape (2, 3, 2, 32): must be (batch, new",
    ),
    (grown, {"k": zeros(2)}, ValueError, "k has shape (2,): must be (batch, new_len, kv_heads"),
    (grown, {"v": zeros(2, 1, 2, 32, dtype=F16)}, TypeError, "v is torch.float16: must be"),
    (
        grown,
        {"k_cache": zeros(2, 40, 2, 64)[..., ::2]},
        ValueError,
        "k_cache has strides (5120, 128, 64, 2): the last must be 1 to append to it",
    ),
    (
        grown,
        {"v_cache": zeros(1, 40, 2, 32).expand(2, -1, -1, -1)},
        ValueError,
        "v_cache has strides (0, 64, 32, 1): its elements must not overlap",
    ),
    (cached, {"rotary_cos": zeros(40, 8)}, ValueError, "rotary_cos is given and k is not: must"),
    (turned, {"rotary_sin": None}, TypeError, "rotary_sin is None: must be a torch.Tensor"),
    (turned, {"rotary_cos": None}, TypeError, "rotary_cos is None: must be a torch.Tensor"),
    (turned, {"rotary_cos": zeros(40, 8, dtype=F16)}, TypeError, "rotary_cos is torch.float16"),
    (turned, {"rotary_cos": zeros(40)}, ValueError, "rotary_cos has shape (40,): must be (pos"),
    (turned, {"rotary_sin": zeros(41, 8)}, ValueError, "rotary_sin has shape (41, 8) and rotary"),
    (
        turned,
        {"rotary_cos": zeros(40, 12), "rotary_sin": zeros(40, 12)},
        ValueError,
        "rotary_cos has shape (40, 12), a rotary_dim of 24: must be a multiple of 16 up to",
    ),
    (
        turned,
        {"rotary_cos": zeros(40, 24), "rotary_sin": zeros(40, 24)},
        ValueError,
        "a rotary_dim of 48: must be a multiple of 16 up to head_dim, 32",
    ),
    (
        turned,
        {"rotary_cos": zeros(39, 8), "rotary_sin": zeros(39, 8)},
        ValueError,
        "rotary_cos has 39 positions: must be at least the cache's rows, 40",
    ),
    (cached, {"rotary_interleaved": 1}, TypeError, "rotary_interleaved is 1: must be a bool"),
    (cached, {"num_splits": 1.0}, TypeError, "num_splits is 1.0: must be an int"),
    (cached, {"num_splits": -1}, ValueError, "num_splits is -1: must be from 0 to 128"),
    (cached, {"num_splits": 129}, ValueError, "num_splits is 129: must be from 0 to 128"),
    (cached, {"window_size": (-2, 0)}, ValueError, "window_size is (-2, 0): must be (left, right)"),
    # options
    (padded, {"dropout_p": 1.0}, ValueError, "dropout_p is 1.0: must be from 0 up to but not"),
    (packed, {"dropout_p": -0.1}, ValueError, "dropout_p is -0.1: must be from 0 up"),
    (padded, {"dropout_p": None}, TypeError, "dropout_p is None: must be a number, from 0"),
    (padded, {"softmax_scale": "auto"}, TypeError, "softmax_scale is 'auto': must be a number"),
    (padded, {"softmax_scale": zeros(1)}, TypeError, "softmax_scale is a torch.Tensor: must be"),
    (
        padded,
        {"softmax_scale": float("nan")},
        ValueError,
        "softmax_scale is nan: must be from -6.9e+37",
    ),
    (
        packed,
        {"softmax_scale": float("inf")},
        ValueError,
        "softmax_scale is inf: must be from -6.9e+37",
    ),
    (padded, {"softcap": -1.0}, ValueError, "softcap is -1.0: must be 0 (off) or from 1.17549"),
    (
        padded,
        {"softcap": None},
        TypeError,
        "softcap is None: must be a number, 0 (off) or from 1.17549",
    ),
    (padded, {"softcap": float("inf")}, ValueError, "softcap is inf: must be 0 (off) or from"),
    (padded, {"softcap": 3e38}, ValueError, "softcap is 3e+38: must be 0 (off) or from 1.17549"),
    (
        padded,
        {"softcap": 2.0**103},
        ValueError,
        "must be 0 (off) or from 1.1754943508222875e-38 to",
    ),
    (packed, {"softcap": 1e-39}, ValueError, "softcap is 1e-39: must be 0 (off) or from 1.17549"),
    (cached, {"softcap": 5e-324}, ValueError, "softcap is 5e-324: must be 0 (off) or from 1.17549"),
    (into, {"softcapping": 1e31}, ValueError, "softcapping is 1e+31: must be 0 (off) or from"),
    (
        padded,
        {"softmax_scale": 7e37},
        ValueError,
        "softmax_scale is 7e+37: must be from -6.9e+37 to",
    ),
    (
        cached,
        {"softmax_scale": -3e38},
        ValueError,
        "softmax_scale is -3e+38: must be from -6.9e+37",
    ),
    (into, {"scale": 10**400}, ValueError, "must be from -6.9e+37 to 6.9e+37, or None"),
    (
        padded,
        {"softmax_scale": 1e10, "softcap": 1e-30},
        ValueError,
        "is 10000000000.0 and softcap 1e-30: the first divided by the second is 1e+40: must be 0",
    ),
    (
        into,
        {"scale": 1e-20, "softcapping": 1e20},
        ValueError,
        "scale is 1e-20 and softcapping 1e+20: the first divided by the second is 1e-40: must be 0",
    ),
    (padded, {"causal": None}, TypeError, "causal is None: must be a bool"),
    (padded, {"return_attn_probs": 1}, TypeError, "return_attn_probs is 1: must be a bool"),
    (packed, {"return_attn_probs": [1]}, TypeError, "return_attn_probs is a list: must be a bool"),
    (cached, {"return_softmax_lse": None}, TypeError, "return_softmax_lse is None: must be a bool"),
    (packed, {"causal": zeros(1)}, TypeError, "causal is a torch.Tensor: must be a bool"),
    (padded, {"window_size": (-2, 0)}, ValueError, "window_size is (-2, 0): must be (left, right)"),
    (padded, {"window_size": (4,)}, ValueError, "window_size has length 1: must be (left, right)"),
    (padded, {"window_size": 4}, TypeError, "window_size is 4: must be two ints"),
    (packed, {"window_size": (4.0, 4)}, TypeError, "window_size[0] is 4.0: must be an int"),
    (packed, {"window_size": None}, TypeError, "window_size is None: must be two ints"),
    (padded, {"s_aux": [0.0]}, TypeError, "s_aux is a list: must be a torch.Tensor"),
    (padded, {"s_aux": zeros(2)}, ValueError, "s_aux has shape (2,): must be (heads,), here (4,)"),
    (packed, {"s_aux": zeros(1, 4)}, ValueError, "s_aux has shape (1, 4): must be (heads,)"),
    (padded, {"s_aux": offsets(1, 2, 3, 4)}, TypeError, "s_aux is torch.int32: must be a float"),
    (
        padded,
        {"s_aux": zeros(4, device="meta")},
        ValueError,
        "s_aux is on meta and the query on cpu",
    ),
    (
        padded,
        {"alibi_slopes": zeros(3)},
        ValueError,
        "alibi_slopes has shape (3,): must be (heads,) or (batch, heads), here (4,) or (2, 4)",
    ),
    (packed, {"alibi_slopes": zeros(3, 4)}, ValueError, "alibi_slopes has shape (3, 4): must be"),
    (
        padded,
        {"alibi_slopes": zeros(4, dtype=F16)},
        TypeError,
        "alibi_slopes is torch.float16: must be torch.float32",
    ),
    (padded, {"alibi_slopes": 0.5}, TypeError, "alibi_slopes is 0.5: must be a torch.Tensor"),
    # the drop-in function, with its own names
    (into, {"out": None}, TypeError, "out is None: must be a torch.Tensor"),
    (
        into,
        {"out": zeros(5, 4, 64)},
        ValueError,
        "out has shape (5, 4, 64): must be query's with value's head_dim, (5, 4",
    ),
    (into, {"out": zeros(5, 4, 32, dtype=F16)}, TypeError, "out is torch.float16: must be torch.f"),
    (into, {"out": zeros(5, 4, 32, device="meta")}, ValueError, "out is on meta and query on cpu"),
    (
        into,
        {"out": zeros(1, 4, 32).expand(5, 4, 32)},
        ValueError,
        "out has strides (0, 32, 1): its elements must not overlap",
    ),
    (into, {"out": zeros(5, 4, 32).requires_grad_()}, ValueError, "out requires grad, but no"),
    (into, {"key": zeros(7, 2, 64)}, ValueError, "key has head_dim 64 and query 32: must be the"),
    (
        into,
        {"query": zeros(5, 4, 44)},
        ValueError,
        "query has head_dim 44: must be a multiple of 8",
    ),
    (into, {"do_causal": 0}, TypeError, "do_causal is 0: must be a bool"),
    (into, {"scale": "1"}, TypeError, "scale is '1': must be a number"),
    (into, {"softcapping": -5.0}, ValueError, "softcapping is -5.0: must be 0 (off) or from"),
    (into, {"window_size": (0, -7)}, ValueError, "window_size is (0, -7): must be (left, right)"),
]


@pytest.mark.parametrize(
    ("call", "changes", "error", "message"),
    [pytest.param(*wrong, id=f"{wrong[0].__name__}: {wrong[3][:40]}") for wrong in WRONG],
)
def test_a_wrong_call_is_refused(
    call: Any, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        call(**changes)
    assert type(caught.value) is error


@pytest.mark.parametrize("call", [padded, packed, into, cached, paged])
def test_the_call_is_right_but_for_the_change(call: Any) -> None:
    call()


@pytest.mark.parametrize("call", [grown, turned])
def test_the_appending_call_is_right_but_for_the_change(call: Any) -> None:
    with pytest.raises(AssertionError):  # the cache did change
        call()


@pytest.mark.parametrize("call", [padded, packed, into, cached])
def test_no_message_prints_what_is_in_a_container(call: Any) -> None:
    contents = 123456789
    wrong: list[Any] = [
        [contents] * 100,
        {contents: contents},
        torch.full((2, 2), contents).double(),
    ]
    names = set(inspect.signature(getattr(package, FUNCTIONS[call])).parameters)
    # one is accepted and has no effect; the other two are looked at by `cached` itself
    names -= {"deterministic", "k_cache", "v_cache"}
    for name in names:
        for value in wrong:
            with pytest.raises((TypeError, ValueError)) as caught:
                call(**{name: value})
            assert str(contents) not in str(caught.value), name
            assert len(str(caught.value)) < 300


FUNCTIONS = {
    padded: "flash_attn_func",
    packed: "flash_attn_varlen_func",
    cached: "flash_attn_with_kvcache",
    into: "flash_attention_varlen",
}
HINTS = [
    (padded, "is_causal", "use causal"),
    (packed, "attn_mask", "packed sequences have no grid of queries and keys in common"),
    (padded, "attention_mask", "use attn_mask"),
    (cached, "attn_bias", "use attn_mask"),
    (padded, "enable_gqa", "leave it out; fewer KV heads than query heads are always taken"),
    (padded, "dropout", "use dropout_p"),
    (packed, "scale", "use softmax_scale"),
    (packed, "sinks", "use s_aux"),
    (packed, "page_table", "use block_table"),
    (cached, "softcapping", "use softcap"),
    (cached, "return_attn_probs", "use return_softmax_lse"),
    (padded, "return_softmax_lse", "use return_attn_probs"),
    (into, "causal", "use do_causal"),
    (into, "softmax_scale", "use scale"),
    (into, "softcap", "use softcapping"),
    (into, "q", "use query"),
]


@pytest.mark.parametrize(("call", "name", "hint"), HINTS)
def test_an_argument_of_other_functions_gets_a_hint(call: Any, name: str, hint: str) -> None:
    message = f"{FUNCTIONS[call]}() has no argument {name!r}: {hint}"
    with pytest.raises(TypeError, match=re.escape(message)):
        call(**{name: None})


def test_of_any_other_argument_python_speaks() -> None:
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'nonsense'"):
        padded(nonsense=1)


def test_padding_the_head_dim_as_the_message_says() -> None:
    q, k, v = (torch.randn(2, 9, heads, 28) for heads in (4, 2, 2))
    wide_q, wide_k, wide_v = (torch.nn.functional.pad(x, (0, 4)) for x in (q, k, v))
    out: Any = package.flash_attn_func(wide_q, wide_k, wide_v, softmax_scale=28**-0.5)
    want = torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (q, k, v)), enable_gqa=True
    )
    torch.testing.assert_close(out[..., :28], want.transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_there_are_enough() -> None:
    assert len(WRONG) >= 40
