"""The case table: what every variant is run on.  Lengths follow the variant's tile."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from metal_flash_sdpa.checks import LEAST_PAGE, ROTARY_STEP
from metal_flash_sdpa.plan import DECODE_QUERIES, SIMD_WIDTH

GENERATED = Path(__file__).resolve().parent.parent / "generated"


@dataclass(frozen=True)
class Variant:
    """A row of generated/manifest.json."""

    name: str
    family: str
    head_dim: int
    dtype: str
    mask: str
    sinks: bool
    file: str
    block_q: int
    block_k: int
    threads: int
    threadgroup_bytes: int

    @property
    def step_k(self) -> int:
        """Keys per step of a threadgroup's loop; a decode kernel's simdgroups each take a block."""
        return self.block_k * (self.threads // SIMD_WIDTH if self.family == "decode" else 1)

    @property
    def mode(self) -> str:
        """Mask mode as reports name it."""
        return f"{self.mask}+sinks" if self.sinks else self.mask


def manifest() -> tuple[Variant, ...]:
    """Every variant that exists."""
    return tuple(Variant(**row) for row in json.loads((GENERATED / "manifest.json").read_text()))


def attention_variants() -> tuple[Variant, ...]:
    """Those that compute attention, rather than work before or after those that do."""
    return tuple(v for v in manifest() if v.family in ("prefill", "decode"))


@dataclass(frozen=True)
class Case:
    """One attention call.  Its seed is its name: a case is the same wherever it runs."""

    name: str
    q_lens: tuple[int, ...]
    k_lens: tuple[int, ...]
    heads: int = 1
    kv_heads: int = 1
    packed: bool = True  # False: a padded batch; all lengths are then equal
    causal: bool = False
    window_size: tuple[int, int] = (-1, -1)
    softcap: float = 0.0
    softmax_scale: float | None = None  # None: head_dim ** -0.5
    score_std: float = 1.0  # standard deviation of the scores at the default scale
    value_std: float = 1.0
    value_mean: float = 0.0
    sinks: tuple[float, ...] = (0.5, -1.5, 2.0)  # repeated over the heads
    alibi: tuple[float, ...] = ()  # slopes, repeated over the heads; none: no ALiBi
    alibi_per_sequence: bool = False  # slopes are repeated over sequences and heads
    layout: str = "contiguous"  # of q, k, v and out: see LAYOUTS
    mixed: bool = False  # each sequence by the family that suits it, not all by the variant's
    splits: int = 1  # shares that decoding divides the keys into
    cache: bool = False  # padded queries; the keys lie in a cache that has more room than they need
    page_size: int = 0  # rows of a page of the cache; 0: no pages
    leftpad: int = 0  # rows before the keys of the first sequence; each has one more than the last
    appended: int = 0  # of each sequence's keys, those that the call itself adds
    overfull: int = 0  # of these, rows that the cache has no room for in the last sequence
    rotary_dim: int = 0  # elements of a row that are rotated; 0: none
    interleaved: bool = True  # pairs are neighbours
    lse: bool = True  # is the log-sum-exp wanted?
    many_keys: bool = False  # have weight in every row: no partial result is a single value
    nan_in: str = ""  # put one NaN into the last row of this tensor
    nonsense: tuple[str, ...] = ()  # tensors that are full of it: nothing but memory is judged

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is {self.layout!r}: must be one of {sorted(LAYOUTS)}")
        if len(self.q_lens) != len(self.k_lens):
            raise ValueError(f"{len(self.q_lens)} q_lens, {len(self.k_lens)} k_lens: must agree")
        if not self.packed and len({*self.q_lens}) != 1:
            raise ValueError("a padded batch has queries of one length")
        if not (self.packed or self.cache) and len({*self.k_lens}) != 1:
            raise ValueError("a padded batch without a cache has keys of one length")
        if self.packed and (self.cache or self.leftpad or self.appended):
            raise ValueError("a cache's queries are padded; packed ones may have pages")
        if self.overfull and not 0 < self.overfull < self.appended:
            raise ValueError(f"overfull is {self.overfull}: must be less than what is appended")

    def written(self, sequence: int) -> int:
        """Rows of what is appended that the cache has room for."""
        return self.appended - (self.overfull if sequence == len(self.k_lens) - 1 else 0)

    def layout_of(self, tensor: str) -> str:
        """How q, k, v or out lies in memory."""
        return MIXED[tensor] if self.layout == "mixed" else self.layout


OFFSETS = ("cu_seqlens_q", "k_begin", "k_end", "block_table")  # what may hold nonsense

LAYOUTS = {
    "contiguous": "(batch, row, head, dim)",
    "transposed": "(batch, head, row, dim), seen as (batch, row, head, dim)",
    "sliced": "heads and rows cut from wider ones, each at an odd offset",
    "far": "the last head lies more than 2^31 elements after the first",
    "mixed": "no two of q, k, v and out have a stride in common: see MIXED",
}
MIXED = {"q": "transposed", "k": "sliced", "v": "contiguous", "out": "sliced"}
MIXED |= {"new_k": "transposed", "new_v": "sliced", "rotated_q": "contiguous"}

MASK_OPTIONS = {
    "full": {},
    "causal": {"causal": True},
    "window": {"window_size": (37, 11)},
}


def cases(variant: Variant) -> Iterator[Case]:
    """The cases of one variant."""
    if variant.family == "append":
        found = tuple(appending(variant))
    else:
        found = (*everywhere(variant), *cached(variant), *of_mask(variant), *of_sinks(variant))
    if variant.family in ("decode", "combine"):
        found = tuple(divided(variant, found))
    for case in found:
        if case.causal or case.window_size != (-1, -1):
            yield case
        else:
            yield replace(case, **MASK_OPTIONS[variant.mask])  # type: ignore[arg-type]


# Cases whose values are what matters, by their names' beginnings: they touch memory as others do.
OF_VALUES = (
    "scores", "many blocks", "large values", "softcap", "scale", "NaN", "sinks",
    "ALiBi and softcap",
)  # fmt: skip


def edges(variant: Variant) -> Iterator[Case]:
    """The cases that say something about memory: what runs under the emulator's checks."""
    for case in cases(variant):
        if not case.name.startswith(OF_VALUES):
            yield case


def divided(variant: Variant, found: Iterable[Case]) -> Iterator[Case]:
    """Decode's cases: each with its keys divided in another way, and edges of the shares."""
    several = (2, 1, 3, 5, 64) if variant.family == "decode" else (2, 64)
    for case, splits in zip(found, cycle(several)):
        if variant.family == "decode" or any(case.q_lens):
            yield replace(case, splits=splits)
        if variant.family == "decode" and case.layout == "mixed" and splits > 1:
            yield replace(case, name=f"{case.name}, undivided")
    step = decode_step(variant)
    edges = (step - 1, step, step + 1, 2 * step, 2 * step + 1, 7 * step - 3)
    for splits in (2, 3, 7):
        yield Case(f"{splits} shares", (2, 1, 3, 1, 16, 1), edges, 4, 2, splits=splits)
    yield Case("more shares than lanes", (1, 2), (SIMD_WIDTH * step + 1, 40), splits=SIMD_WIDTH + 1)
    # More heads than rows of a tile, more queries than decode is meant for.
    yield Case("GQA 16", (1, 17, 3), (3 * step + 1, 40, 9), heads=16, splits=3)


def decode_step(variant: Variant) -> int:
    """Keys per step of the decode kernel; combine's, of the widest that it may follow."""
    if variant.family == "decode":
        return variant.step_k
    wanted = ("decode", variant.head_dim, variant.dtype)
    return max(v.step_k for v in manifest() if (v.family, v.head_dim, v.dtype) == wanted)


ROWS_TO_COMPARE = 128


def everywhere(variant: Variant) -> Iterator[Case]:
    """Cases for all variants, under the mask that the variant computes."""
    q, k = variant.block_q, variant.block_k
    edges = (1, k - 1, k, k + 1, q - 1, q, q + 1, 2 * q + k + 5)
    yield Case("tile edges", edges, edges)
    yield Case("padded", (q + 3, q + 3), (q + 3, q + 3), heads=2, kv_heads=2, packed=False)
    rows, keys = (2 * q + 3,) * 2, (q + 2 * k + 5,) * 2
    yield Case("padded, several tiles", rows, keys, 4, 2, packed=False, layout="mixed")
    yield Case("padded, one row", (1, 1, 1), (k + 2,) * 3, heads=4, kv_heads=2, packed=False)
    yield Case("several blocks", (3 * q + 17,), (5 * k + 3 * q + 7,), heads=2, kv_heads=1)
    yield Case(
        "fewer queries than keys", (1, 3, q, q + 1), (k + 1, 3 * k + 5, q + 2 * k + 7, q + k)
    )
    yield Case("more queries than keys", (k + 9, q + k + 1, 2 * q), (1, k - 1, q + 3))
    yield Case("empty sequences", (0, 5, 0, q + 1, 7, 0), (4, 9, 0, 0, k, 0), heads=2)
    few = DECODE_QUERIES
    q_lens, k_lens = (1, 40, 0, few, few + 1, 1, 9), (70, 40, 7, 60, 90, 3, 0)
    # Decode's tile is chosen for one query of each head that shares a KV head.
    group = q // 2 + 1 if variant.family == "decode" else 2
    yield Case("prefill and decode", q_lens, k_lens, 2 * group, kv_heads=2, mixed=True)
    yield Case("no keys at all", (3, 2), (0, 0), heads=2)
    yield Case("no queries at all", (0, 0), (3, 2), heads=2)
    for heads, kv_heads in ((2, 1), (8, 2), (14, 2), (8, 1)):
        yield Case(f"GQA {heads}/{kv_heads}", (33, 5), (40, 47), heads=heads, kv_heads=kv_heads)
    # Large scores magnify single roundings.  Plain attention's largest error, by which these cases
    # are judged, needs some rows to be found.
    heads = max(2, ROWS_TO_COMPARE // q)
    for softcap in (30.0, 50.0):
        name = f"softcap {softcap:.0f}"
        yield Case(name, (q + 5,), (q + k + 9,), heads, score_std=25.0, softcap=softcap)
    # Of arguments beyond 44, fast::tanh is NaN.
    yield Case("softcap 0.5", (q + 5,), (k + 9,), heads, score_std=25.0, softcap=0.5)
    rows, keys = (q + 5, 9), (q + k + 9, k + 3)
    slopes = (0.5, -0.05, 0.03)
    # In base 2 these are 1 and 0, which a careless test may take for "no slope".
    yield Case("ALiBi", rows, keys, 4, 2, alibi=(math.log(2), 0.0, 0.0, math.log(2)))
    yield Case("ALiBi, more queries than keys", keys, rows, 2, 2, alibi=slopes)
    yield Case("ALiBi per sequence", rows, keys, 2, 2, alibi=slopes, alibi_per_sequence=True)
    rows, keys = (q + 5,) * 2, (2 * k + 9,) * 2
    yield Case(
        "ALiBi per sequence, padded, sliced",
        *(rows, keys, 2, 1),
        packed=False,
        alibi=slopes,
        alibi_per_sequence=True,
        layout="sliced",
    )
    yield Case("ALiBi and softcap", rows, keys, heads, score_std=25.0, softcap=5.0, alibi=slopes)
    yield Case("scale 1", (41,), (50,), softmax_scale=1.0, score_std=0.3)
    yield Case("scale negative", (41,), (50,), heads, softmax_scale=-0.2)
    # Only rows whose two largest scores lie within a few units show any error at all.
    yield Case("scores to 1e4", (q + 1,), (2 * k + 67,), 16 * heads, score_std=2500.0)
    yield Case("scores all 0", (q + 1, 3), (k + 3, 2), score_std=0.0)
    # Outputs near 1 after many blocks: what is rounded once per block would show.
    yield Case("many blocks", (9,), (60 * k + 7,), value_mean=1.0, many_keys=True)
    # Near float16's largest, so that a sum of them in float16 is infinite; rows raise their maximum
    # again and again.
    yield Case(
        "large values", (9,), (9 * k + 7,), 2, score_std=6.0, value_mean=6e4, value_std=500.0
    )
    yield Case("transposed", (q + 2,) * 2, (k + 3,) * 2, 4, 2, packed=False, layout="transposed")
    yield Case("sliced", (q + 2, 7), (k + 3, 19), 4, 2, layout="sliced")
    yield Case("mixed strides", (q + 2, 7), (k + 3, 2 * k), 4, 2, layout="mixed")
    yield Case("no log-sum-exp", (q + 2, 3), (2 * k + 3, k), 2, 1, lse=False)
    yield Case("past 2^31 elements", (9,), (k + 1,), 2, 2, layout="far")
    offsets = Case(
        "nonsense for offsets", (q + 3, 5, 2 * q), (k + 9, 3, 2 * k), 2, 1, nonsense=OFFSETS
    )
    yield offsets
    yield replace(
        offsets, name="nonsense for pages", page_size=LEAST_PAGE, nonsense=("block_table",)
    )
    # The NaN is in the last sequence, whose one query sees every key; the first stays finite.
    for tensor in ("q", "k", "v"):
        yield Case(f"NaN in {tensor}", (19, 1), (23, 30), 2, 2, nan_in=tensor)


def cached(variant: Variant) -> Iterator[Case]:
    """Keys in a cache: with room to spare, to the right of padding, in pages."""
    q, k = variant.block_q, variant.block_k
    lengths = (2 * k + 3, 0, 1, 2 * k + q + 3)  # the last ends nearest to the end of what there is
    # With so few keys each rounding is a good part of the error: it takes many rows to find plain
    # attention's largest.
    yield Case("cache", (3,) * 4, lengths, 16, 8, packed=False, cache=True, layout="sliced")
    yield Case(
        "cache, left padding", (q + 1,) * 4, lengths, 2, 1, packed=False, cache=True, leftpad=3
    )
    pages = replace(
        Case("pages", (2,) * 4, lengths, 16, 8, packed=False, cache=True, layout="mixed"),
        page_size=LEAST_PAGE,
    )
    yield replace(pages, leftpad=1)
    yield replace(pages, name="appended to pages", k_lens=(2 * k + 3, 2, 3, q + k + 2), appended=2)
    q_lens, k_lens = (q + 3, 1, 0, 7), (q + k + 5, 2 * LEAST_PAGE, 9, LEAST_PAGE - 1)
    yield Case("packed queries, pages", q_lens, k_lens, 2, 1, page_size=LEAST_PAGE + 3)
    yield Case("page wider than a block", q_lens, k_lens, page_size=q + k, layout="transposed")


def appending(variant: Variant) -> Iterator[Case]:
    """Rows that are added to a cache before it is attended to."""

    def grown(name: str, q_len: int, k_lens: tuple[int, ...], appended: int) -> Case:
        q_lens = (q_len,) * len(k_lens)
        return Case(name, q_lens, k_lens, 4, 2, packed=False, cache=True, appended=appended)

    yield replace(grown("append", 1, (1, 30, 17), 1), causal=True)
    yield replace(grown("append to pages", 5, (5, 37, 18), 5), page_size=LEAST_PAGE)
    yield replace(grown("append more than queries", 2, (40, 9), 9), leftpad=2)
    yield replace(grown("append to full pages", 5, (5, 2 * LEAST_PAGE), 5), page_size=LEAST_PAGE)
    crowded = replace(grown("append to an overfull cache", 2, (7, 30), 4), overfull=3)
    yield replace(crowded, layout="mixed")
    rotated = replace(crowded, rotary_dim=ROTARY_STEP, causal=True)
    yield replace(rotated, name="rotate more than queries", overfull=0)
    yield replace(rotated, name="rotate in a full cache", overfull=3)
    yield replace(grown("rotate fewer than queries", 6, (7, 30), 2), rotary_dim=ROTARY_STEP)
    pages = replace(grown("append to nonsense", 3, (5, 40), 3), page_size=LEAST_PAGE)
    yield replace(pages, rotary_dim=ROTARY_STEP, nonsense=OFFSETS)
    whole = variant.head_dim // ROTARY_STEP * ROTARY_STEP
    for interleaved in (True, False):
        pairs = "neighbours" if interleaved else "halves"
        case = replace(
            grown(f"rotate {pairs}", 3, (30, 9), 3),
            rotary_dim=ROTARY_STEP,
            interleaved=interleaved,
            causal=True,
        )
        yield case
        yield replace(case, name=f"rotate {pairs}, all", rotary_dim=whole, causal=False)
        yield replace(
            grown(f"rotate {pairs}, pages, window", 20, (35, 20), 20),
            rotary_dim=whole,
            interleaved=interleaved,
            window_size=(9, 0),
            page_size=LEAST_PAGE,
            leftpad=4,
        )


def of_mask(variant: Variant) -> Iterator[Case]:
    """What only some masks can be asked."""
    q, k = variant.block_q, variant.block_k
    if variant.mask == "causal":
        # Each tile's first row misses just the last key of a block.
        yield Case("diagonal one short of a block", (2 * q,), (2 * q + k - 2,))
        yield Case("window open on the left", (50,), (60,), window_size=(-1, 0))
    if variant.mask != "window":
        return
    n = 2 * q + k + 13
    # In the first block the first tile's last row misses key 0 alone, or its first row the last
    # key alone: with a window one wider the block would need no mask.
    yield Case("window misses a first key", (n,), (n,), window_size=(q - 2, -1))
    yield Case("window misses a last key", (n,), (n,), window_size=(-1, k - 2))
    for left, right in ((0, 0), (1, 0), (64, 64), (0, 3), (k, k), (20, -1), (-1, 20), (9999, 9999)):
        window = (left, right)
        yield Case(f"window {window}", (n,), (n,), window_size=window)
    # Windows that leave some rows without a key, on either side.
    yield Case("window wider than the keys", (n, 3), (k + 3, 5), window_size=(2 * k + 9,) * 2)
    yield Case("window, keys run out", (n, 40), (k + 1, n), window_size=(5, 2))
    yield Case("window, keys to spare", (k + 1, 1), (n, n), window_size=(5, 2))
    yield Case("window and causal", (n, 9), (n, 70), 2, 1, causal=True, window_size=(33, 64))
    yield Case("window and softcap", (n,), (n,), window_size=(64, 0), score_std=25.0, softcap=50.0)


def of_sinks(variant: Variant) -> Iterator[Case]:
    """Extreme sinks, for the variants that have them."""
    if not variant.sinks:
        return
    infinity = float("inf")
    yield Case("sinks -inf", (40, 9), (45, 0), 2, 1, sinks=(-infinity,))
    yield Case("sinks large", (40, 9), (45, 0), 3, 1, sinks=(4.0, 30.0, 1e4))
    yield Case("sinks mixed", (40,), (45,), 4, 2, sinks=(-infinity, -1e4, 0.0, 8.0))


def seed_rows() -> tuple[tuple[Case, str], ...]:
    """The six rows of the seed's own table, float16, head_dim 64: (case, mask mode).

    Its limit is max-abs <= 1e-4.  float16 rounds a value between 1/8 and 1/4 by up to 6.1e-5, so
    values have a standard deviation of 0.1, which keeps outputs below 1/4: the rounding of the
    output alone then takes at most 61 % of the limit.
    """
    full = Case("full", (1024,), (1024,), heads=8, kv_heads=8, value_std=0.1)
    window = replace(full, name="window (64, 64)", window_size=(64, 64))
    gqa = replace(window, name="+ GQA (H=8, Hkv=2)", kv_heads=2)
    last = replace(gqa, name="H=14, Hkv=2, window 127, sink", heads=14, window_size=(127, 127))
    return (
        (full, "full"),
        (window, "window"),
        (replace(full, name="sink only"), "full+sinks"),
        (replace(window, name="window + sink"), "window+sinks"),
        (gqa, "window+sinks"),
        (last, "window+sinks"),
    )


SEED_VARIANT = ("prefill", 64, "float16")  # family, head_dim, dtype
SEED_MAX_ABS = 1e-4
SEED_COSINE = 0.9999995  # prints as 1.000000
