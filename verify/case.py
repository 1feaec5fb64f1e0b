"""What a case is: one attention call, described in numbers and words."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

OFFSETS = ("cu_seqlens_q", "k_begin", "k_end", "block_table")  # what may hold nonsense

LAYOUTS = {
    "contiguous": "(batch, row, head, dim)",
    "transposed": "(batch, head, row, dim), seen as (batch, row, head, dim)",
    "sliced": "heads and rows cut from wider ones, each at an odd offset",
    "far": "the last head lies more than 2^31 elements after the first",
    "mixed": "no two of q, k, v and out have a stride in common: see MIXED",
    "expanded": "all sequences and heads of k, v and dO are the same memory: strides of 0",
}
MIXED = {"q": "transposed", "k": "sliced", "v": "contiguous", "out": "sliced"}
MIXED |= {"new_k": "transposed", "new_v": "sliced", "rotated_q": "contiguous"}
MIXED |= {"grad_out": "transposed", "grad_q": "sliced", "grad_k": "contiguous"}
MIXED |= {"grad_v": "transposed"}
EXPANDED = ("k", "v", "grad_out")


@dataclass(frozen=True)
class Shape:
    """How many rows each sequence has, and how many heads."""

    q_lens: tuple[int, ...]
    k_lens: tuple[int, ...]
    heads: int = 1
    kv_heads: int = 1
    packed: bool = True  # False: a padded batch; all lengths of q are then equal
    tail: int = 0  # packed: rows of Q and K after the last sequence, which belong to none

    def __post_init__(self) -> None:
        if len(self.q_lens) != len(self.k_lens):
            raise ValueError(f"{len(self.q_lens)} q_lens, {len(self.k_lens)} k_lens: must agree")
        if not self.packed and len({*self.q_lens}) != 1:
            raise ValueError("a padded batch has queries of one length")
        if self.tail and not self.packed:
            raise ValueError("only a packed batch has rows that belong to no sequence")

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return len(self.q_lens)


@dataclass(frozen=True)
class Mask:
    """Which keys a row sees, as flash-attn's callers say it."""

    causal: bool = False
    window_size: tuple[int, int] = (-1, -1)


MASK_LAYOUTS = {
    "contiguous": "(batch, head, row, key)",
    "expanded": "the same, and all axes that share it have strides of 0 and their full size",
    "transposed": "(batch, head, key, row), seen as (batch, head, row, key)",
    "sliced": "cut from a wider and taller one, at an odd offset",
}


@dataclass(frozen=True)
class MaskTensor:
    """A mask as a tensor of (batch, heads, q_len, k_len); verify/masks.py has the patterns."""

    pattern: str  # of the keys that are seen
    dtype: str = "bool"
    shared: tuple[str, ...] = ()  # of "batch", "head", "row", "key": it is the same along these
    layout: str = "contiguous"  # see MASK_LAYOUTS
    bias: bool = False  # adds something where a key is seen
    hides_by: str = "-inf"  # or "lowest", the dtype's lowest value
    nan: bool = False  # for the last query's first key


@dataclass(frozen=True)
class Scores:
    """What becomes of a dot product before the softmax."""

    softcap: float = 0.0
    softmax_scale: float | None = None  # None: head_dim ** -0.5
    sinks: tuple[float, ...] = ()  # repeated over the heads; none: no sinks
    alibi: tuple[float, ...] = ()  # slopes, repeated over the heads; none: no ALiBi
    alibi_per_sequence: bool = False  # slopes are repeated over sequences and heads
    dropout_p: float = 0.0  # the probability that a weight is dropped


@dataclass(frozen=True)
class Values:
    """What the elements of q, k and v are drawn from."""

    score_std: float = 1.0  # standard deviation of the scores at the default scale
    value_std: float = 1.0
    value_mean: float = 0.0
    many_keys: bool = False  # have weight in every row: no partial result is a single value
    nan_in: str = ""  # put one NaN into the last row of this tensor


@dataclass(frozen=True)
class CacheUse:
    """Keys that lie in a cache, which has more room than they need."""

    page_size: int = 0  # rows of a page; 0: no pages
    leftpad: int = 0  # rows before the keys of the first sequence; each has one more than the last
    appended: int = 0  # of each sequence's keys, those that the call itself adds
    overfull: int = 0  # of these, rows that the cache has no room for in the last sequence
    rotary_dim: int = 0  # elements of a row that are rotated; 0: none
    interleaved: bool = True  # pairs are neighbours
    unused: str = ""  # the first sequence's slot is not in use, as its "length" or its "pages" say

    def __post_init__(self) -> None:
        if self.unused not in ("", "length", "pages"):
            raise ValueError(f"unused is {self.unused!r}: must be '', 'length' or 'pages'")
        if self.unused == "pages" and not self.page_size:
            raise ValueError("unused is 'pages', but the cache has none")
        if self.overfull and not 0 < self.overfull < self.appended:
            raise ValueError(f"overfull is {self.overfull}: must be less than what is appended")


@dataclass(frozen=True)
class Gradients:
    """What a backward pass is asked for, and given beside the gradient of O."""

    wanted: str = ""  # those of "q", "k" and "v", each by its letter
    of_lse: bool = True  # the log-sum-exp has a gradient, too
    of_mask: bool = False  # that of the mask tensor is wanted


@dataclass(frozen=True)
class Case:
    """One attention call.  Its seed is its name: a case is the same wherever it runs."""

    name: str
    shape: Shape
    mask: Mask = Mask()
    scores: Scores = Scores()
    values: Values = Values()
    cache: CacheUse | None = None
    layout: str = "contiguous"  # of q, k, v and out: see LAYOUTS
    splits: int = 1  # of the keys, in decoding
    mixed: bool = False  # each sequence by the family that suits it, not all by the variant's
    lse: bool = True  # is the log-sum-exp wanted?
    nonsense: tuple[str, ...] = ()  # tensors that are full of it: nothing but memory is judged
    gradients: Gradients | None = None  # given: the backward pass, not the forward pass, is run
    attn_mask: MaskTensor | None = None

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is {self.layout!r}: must be one of {sorted(LAYOUTS)}")
        shape, cache = self.shape, self.cache
        if self.attn_mask and shape.packed:
            raise ValueError("a packed batch has no grid of queries and keys that a mask lies on")
        if not (shape.packed or cache) and len({*shape.k_lens}) != 1:
            raise ValueError("a padded batch without a cache has keys of one length")
        if shape.packed and cache and (not cache.page_size or cache.leftpad or cache.appended):
            raise ValueError("a cache's queries are padded; packed ones may have pages")
        if cache and cache.unused and shape.k_lens[0]:
            raise ValueError("the first sequence's slot is not in use: it has no keys")

    @property
    def seed(self) -> int:
        """Of the values, of the pages' order, and of the schedule under the checks."""
        return zlib.crc32(self.name.encode())

    @property
    def appended(self) -> int:
        """Rows that the call adds to each sequence's keys."""
        return self.cache.appended if self.cache else 0

    def layout_of(self, tensor: str) -> str:
        """How a tensor whose rows are head_dim long lies in memory."""
        if self.layout == "expanded":
            return "expanded" if tensor in EXPANDED else "contiguous"
        return MIXED[tensor] if self.layout == "mixed" else self.layout
