"""The cases of kernels that take a mask tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from verify.case import CacheUse, Case, Mask, MaskTensor, Scores, Shape, Values

AXES = ("batch", "head", "row", "key")


def shape_of(q_len: int, k_len: int, heads: int = 4, kv_heads: int = 2) -> Shape:
    """Two padded sequences: packed ones have no grid that a mask could lie on."""
    return Shape((q_len,) * 2, (k_len,) * 2, heads, kv_heads, packed=False)


def of_every_kernel(q: int, k: int) -> Iterator[Case]:
    """Where a mask's elements and a call's rows lie, for tiles of q queries, blocks of k keys."""
    several = shape_of(2 * q + 3, q + 2 * k + 5)
    yield Case("mask, several tiles", several, layout="mixed", attn_mask=MaskTensor("random"))
    causal = MaskTensor("causal", "float32", ("batch", "head"))
    yield Case("causal as a tensor", shape_of(2 * q, 2 * q + k), attn_mask=causal)
    bias = MaskTensor("prefix", "float16", ("head",), "sliced", bias=True)
    yield Case("bias, one block", shape_of(q - 1, k - 1), attn_mask=bias)
    bias = MaskTensor("all", "bfloat16", layout="expanded", shared=("batch",), bias=True)
    yield Case("bias, more queries than keys", shape_of(q + k + 1, k + 1), attn_mask=bias)
    lengths = (2 * k + 3, 0, 1, 2 * k + q + 3)
    in_cache = Shape((q + 1,) * 4, lengths, 2, 1, packed=False)
    padding = MaskTensor("random", shared=("head",))
    yield Case("mask, cache", in_cache, cache=CacheUse(leftpad=3), attn_mask=padding)
    paged = CacheUse(k + 5, leftpad=1)
    bias = MaskTensor("random", "float32", bias=True)
    yield Case("bias, pages", in_cache, cache=paged, layout="mixed", attn_mask=bias)


def of_gradients(q: int, k: int) -> Iterator[Case]:
    """The same of the backward pass: blocks that are skipped, looked at, and neither."""
    several = shape_of(2 * q + 3, q + 2 * k + 5)
    yield Case("mask, several tiles", several, layout="mixed", attn_mask=MaskTensor("random"))
    causal = MaskTensor("causal", "float32", ("batch", "head"))
    yield Case("causal as a tensor", shape_of(2 * q, 2 * q + k), attn_mask=causal)
    bias = MaskTensor("prefix", "float16", ("head",), "sliced", bias=True)
    yield Case("bias, one block", shape_of(q - 1, k - 1), attn_mask=bias)
    bias = MaskTensor("all", "bfloat16", ("batch",), "expanded", bias=True)
    yield Case("bias, more queries than keys", shape_of(q + k + 1, k + 1), attn_mask=bias)
    diagonal = MaskTensor("diagonal blocks", shared=("batch", "head"))
    yield Case("mask: diagonal blocks", shape_of(q + 2 * k, q + 2 * k), attn_mask=diagonal)
    yield one_short(q, k)


def one_short(q: int, k: int) -> Case:
    """Each tile's first row misses just the last key of a block, by its position."""
    shape, everywhere = shape_of(2 * q, 2 * q + k - 2), MaskTensor("all", "float32", bias=True)
    return Case("diagonal one short of a block", shape, Mask(causal=True), attn_mask=everywhere)


def of_more_gradients(q: int, k: int) -> Iterator[Case]:
    """Of kernels with a tile that no other has had yet."""
    shape = shape_of(q + 3, 2 * k + 5)
    masks = {
        "key padding of each head": MaskTensor("padding", "bfloat16", shared=("row",)),
        "random, lowest float16": MaskTensor("random", "float16", bias=True, hides_by="lowest"),
        "transposed": MaskTensor("random", "float32", layout="transposed", bias=True),
        "rows unseen": MaskTensor("rows unseen"),
        "nothing seen": MaskTensor("none", shared=AXES),
        "same along key": MaskTensor("random", "float32", ("key",), bias=True),
    }
    for name, mask in masks.items():
        yield Case(f"mask: {name}", shape, attn_mask=mask)
    capped = Scores(softcap=5.0, alibi=(0.5, -0.05, 0.03))
    bias = MaskTensor("random", "float16", ("head",), bias=True)
    yield Case("mask, softcap, ALiBi", shape, scores=capped, values=Values(9.0), attn_mask=bias)
    yield Case("mask, GQA 14/2", shape_of(33, 40, 14), attn_mask=MaskTensor("random", "float16"))


def of_own_gradient(q: int, k: int) -> Iterator[Case]:
    """Of a mask's own gradient: what it is added up along, its dtypes, and calls' rows."""
    several = shape_of(2 * q + 3, q + 2 * k + 5)
    whole = MaskTensor("random", "float16", layout="sliced", bias=True)
    yield Case("bias, several tiles", several, layout="mixed", attn_mask=whole)
    causal = MaskTensor("causal", "float32", ("batch", "head"))
    yield Case("causal as a tensor", shape_of(2 * q, 2 * q + k), attn_mask=causal)
    of_keys = MaskTensor("all", "bfloat16", ("batch", "row"), bias=True)
    yield Case("bias of keys", shape_of(q + 1, k + 1), attn_mask=of_keys)
    of_queries = MaskTensor("all", "float32", ("key",), bias=True)
    yield Case("bias of queries", shape_of(q - 1, 3 * k + 1), attn_mask=of_queries)
    one = MaskTensor("all", "float32", AXES, bias=True)
    yield Case("bias, one for all", shape_of(q + 3, 4 * k + 5), attn_mask=one)
    yield one_short(q, k)


def of_more_own_gradients(q: int, k: int) -> Iterator[Case]:
    """Of kernels with a tile that no other has had yet."""
    shape = shape_of(q + 3, 2 * k + 5)
    masks = {
        "rows unseen, lowest": MaskTensor("rows unseen", "float16", hides_by="lowest"),
        "diagonal blocks": MaskTensor("diagonal blocks", "float32", ("head",), bias=True),
        "expanded": MaskTensor("random", "bfloat16", ("batch",), "expanded", bias=True),
        "nothing seen": MaskTensor("none", "float32", ("head", "row")),
        "of heads": MaskTensor("all", "float16", ("batch", "row", "key"), bias=True),
    }
    for name, mask in masks.items():
        yield Case(f"mask: {name}", shape, attn_mask=mask)
    capped = Scores(softcap=5.0, alibi=(0.5, -0.05, 0.03))
    bias = MaskTensor("random", "float32", ("batch",), bias=True)
    yield Case("mask, softcap, ALiBi", shape, scores=capped, values=Values(9.0), attn_mask=bias)
    band = Mask(window_size=(k, 0))  # of each tile it begins and ends where a block does
    yield Case("several blocks", shape_of(2 * q, 2 * q), band, attn_mask=bias)
    dropped = Scores(dropout_p=0.3)
    yield Case("mask, dropout", shape, scores=dropped, attn_mask=bias)
    yield Case("mask, GQA 14/2", shape_of(33, 40, 14), attn_mask=replace(bias, dtype="float16"))


def of_dropout(q: int, k: int) -> Iterator[Case]:
    """Of kernels that drop weights as well."""
    several = shape_of(q + 3, q + 2 * k + 5)
    yield Case("mask, several tiles", several, attn_mask=MaskTensor("random"))
    bias = MaskTensor("prefix", "float32", ("head",), "sliced", bias=True)
    yield Case("bias, several tiles", several, layout="mixed", attn_mask=bias)


def of_mask_tensors(q: int, k: int) -> Iterator[Case]:
    """Masks of every kind; tiles of the same size take them in the same way."""
    square = shape_of(3 * q + 2 * k + 7, 3 * q + 2 * k + 7)
    wider = shape_of(2 * q + 3, 2 * q + 5 * k + 9)
    masks = {
        "diagonal blocks": MaskTensor("diagonal blocks", shared=("batch", "head")),
        "prefix and causal": MaskTensor("prefix", shared=("head",)),
        "key padding": MaskTensor("padding", shared=("head", "row")),
        "key padding of each head": MaskTensor("padding", "bfloat16", shared=("row",)),
        "random, -inf": MaskTensor("random", "float32", bias=True),
        "random, lowest float32": MaskTensor("random", "float32", bias=True, hides_by="lowest"),
        "random, lowest float16": MaskTensor("random", "float16", bias=True, hides_by="lowest"),
        "random, lowest bfloat16": MaskTensor("random", "bfloat16", hides_by="lowest"),
        "transposed": MaskTensor("random", "float16", layout="transposed", bias=True),
        "sliced": MaskTensor("random", "float32", layout="sliced", bias=True),
        "sliced bools": MaskTensor("random", layout="sliced"),
        "rows unseen": MaskTensor("rows unseen"),
        "rows unseen, lowest": MaskTensor("rows unseen", "float16", hides_by="lowest"),
        "nothing seen": MaskTensor("none", shared=AXES),
        "all seen": MaskTensor("all", "float32"),
        "NaN": MaskTensor("all", "float16", nan=True),
        "NaN among biases": MaskTensor("all", "bfloat16", bias=True, nan=True),
    }
    for axis in AXES:
        masks[f"same along {axis}"] = MaskTensor("random", "float32", (axis,), bias=True)
        expanded = MaskTensor("random", "bool", (axis,), "expanded")
        masks[f"same along {axis}, expanded"] = expanded
    for i, (name, mask) in enumerate(masks.items()):
        yield Case(f"mask: {name}", (square, wider)[i % 2], attn_mask=mask)
    capped = Scores(softcap=5.0, alibi=(0.5, -0.05, 0.03))
    bias = MaskTensor("random", "float16", ("head",), bias=True)
    yield Case("mask, softcap, ALiBi", wider, scores=capped, values=Values(9.0), attn_mask=bias)
    yield Case("mask, GQA 14/2", shape_of(33, 40, 14), attn_mask=MaskTensor("random", "float16"))


def of_decode(k: int) -> Iterator[Case]:
    """Masks of few queries; blocks of k keys."""
    bias = MaskTensor("random", "float32", bias=True)
    yield Case("mask, one query", shape_of(1, 3 * k + 5, 8), attn_mask=MaskTensor("random"))
    yield Case("bias, few queries", shape_of(5, 3 * k + 5, 6), attn_mask=bias, layout="sliced")
    padding = MaskTensor("padding", "bfloat16", ("head", "row"), hides_by="lowest")
    lengths = (2 * k + 3, 0, 1, 9 * k)
    in_cache = Shape((2,) * 4, lengths, 8, 1, packed=False)
    yield Case("mask, cache", in_cache, cache=CacheUse(), attn_mask=padding)
    paged = CacheUse(k + 9, leftpad=3)
    sliced = MaskTensor("rows unseen", "float16", ("batch",), "sliced", bias=True)
    yield Case("bias, pages", in_cache, cache=paged, attn_mask=sliced)
    expanded = MaskTensor("random", "bool", ("row", "key"), "expanded")
    yield Case("mask of heads", shape_of(3, k + 1, 4), attn_mask=expanded)
    nan = MaskTensor("all", "float16", ("head",), nan=True)
    yield Case("NaN in a mask", shape_of(3, k + 1, 4), attn_mask=nan)
    yield Case("mask of nothing", shape_of(3, k + 1, 4), attn_mask=MaskTensor("none"))
