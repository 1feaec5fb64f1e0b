"""Random attention calls: a variant and a case of it, drawn by hypothesis; and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hypothesis import strategies as st
from metal_flash_sdpa._variants import KV_TYPES
from metal_flash_sdpa._variants import MASK_TYPES as MASK_CODES
from metal_flash_sdpa.checks import ROTARY_STEP
from metal_flash_sdpa.plan import DECODE_QUERIES, UNBOUNDED

from verify.cache import first_rows
from verify.case import (
    MASK_LAYOUTS,
    CacheUse,
    Case,
    Gradients,
    Mask,
    MaskTensor,
    Scores,
    Shape,
    Values,
)
from verify.cases import MASKS
from verify.mask_cases import AXES
from verify.masks import PATTERNS
from verify.variants import BACKWARD, BACKWARD_MASK, MASKED, Variant

MASK_TYPES = tuple(MASK_CODES)  # bool comes first

# A case costs what its longest loops cost: together these keep it near 30 ms.
MOST_QUERIES = 160  # per sequence; two tiles and a bit
MOST_KEYS = 200  # per sequence; more than six blocks
MOST_SEQUENCES = 4
MOST_HEADS = 16
GROUPS = (1, 2, 4, 7, 8, 16)  # query heads over one KV head
MOST_SPLITS = 64
MOST_THREADGROUPS = 256  # of a decode kernel whose keys are in more than 5 splits
MOST_SPARE = 5  # rows of a cache's entry beyond its longest sequence, where each has one entry

# Between the heads of the layout "far" lie 2^31 elements; the parity cases have it.
LAYOUTS = ("contiguous", "transposed", "sliced", "mixed")
# Of a backward pass: with scores and values as large as these no gradient is beyond float16.
MODEST_SPREADS = (1.0, 0.0, 0.1, 25.0)
MODEST_VALUES = (1.0, 0.01)
MOST_TAIL = 5  # rows that belong to no sequence
# Half at most: weights that are kept become larger, and errors have floors for results near 1.
DROPOUTS = (0.5, 0.1)
SCALES = (None, 1.0, 0.01, -0.2)  # None: head_dim ** -0.5
SPREADS = (1.0, 0.0, 0.1, 25.0, 2500.0)  # standard deviations of the scores
SOFTCAPS = (0.0, 30.0, 50.0, 1.0, 0.5)
SLOPES = (0.0, 0.5, 0.004, -0.1)
SINKS = (0.0, 0.5, -1.5, 4.0, 30.0, 1e4, -1e4, float("-inf"))


@dataclass(frozen=True)
class Call:
    """One case on one variant."""

    variant: Variant
    case: Case

    def to_json(self) -> str:
        """The call as one line; `from_json` reads it back."""
        return json.dumps({"variant": self.variant.name, "case": asdict(self.case)})


def from_json(text: str, variants: Sequence[Variant]) -> Call:
    """The call that `to_json` wrote.  Raises ValueError if it is none, or its variant is gone."""
    try:
        found: dict[str, Any] = json.loads(text)
        variant = next(v for v in variants if v.name == found["variant"])
        return Call(variant, rebuilt(Case, found["case"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a call: {error}") from None
    except StopIteration:
        raise ValueError(f"there is no variant {found['variant']!r}") from None


PARTS = {"shape": Shape, "mask": Mask, "scores": Scores, "values": Values, "cache": CacheUse}
PARTS |= {"gradients": Gradients, "attn_mask": MaskTensor}


def rebuilt(kind: Any, fields: dict[str, Any]) -> Any:
    """A case, or a part of one, from what `asdict` and JSON made of it."""
    whole = {}
    for name, value in fields.items():
        if name in PARTS and value is not None:
            whole[name] = rebuilt(PARTS[name], value)
        else:
            whole[name] = tuple(value) if isinstance(value, list) else value
    return kind(**whole)


def dropouts(variant: Variant) -> st.SearchStrategy[float]:
    """How many weights are dropped: some by a kernel with dropout; some or none for a mask."""
    if variant.family == BACKWARD_MASK:
        return st.sampled_from((0.0, *DROPOUTS))
    return st.sampled_from(DROPOUTS if variant.dropout else (0.0,))


def kv_dtypes(variant: Variant, cache: CacheUse | None) -> st.SearchStrategy[str]:
    """Of K and V, where it may be another than that of Q: prefill learns it when it runs."""
    appends = cache is not None and cache.appended  # which decode's calls do, too
    if variant.family != "prefill" or variant.dtype != "float32" or appends:
        return st.just(variant.kv_dtype)
    return st.sampled_from(("", *KV_TYPES))


def lengths(most: int, edges: Sequence[int]) -> st.SearchStrategy[int]:
    """Sequence lengths: any, and often those next to a multiple of a tile."""
    near = sorted({n for edge in edges for n in (edge - 1, edge, edge + 1) if 0 <= n <= most})
    return st.integers(0, most) | st.sampled_from(near)


@st.composite
def calls(draw: st.DrawFn, variants: Sequence[Variant]) -> Call:
    """A call of one of the variants.  Shrinks towards one short sequence and plain options."""
    variant = draw(st.sampled_from(variants))
    if variant.family in BACKWARD:
        return Call(variant, draw(backward_cases(variant)))
    block_q, block_k = variant.block_q, variant.block_k
    few = st.integers(1, DECODE_QUERIES)
    q_len = few | lengths(MOST_QUERIES, (block_q, 2 * block_q))
    k_len = lengths(MOST_KEYS, (block_k, 2 * block_k, block_q))
    pairs = draw(st.lists(st.tuples(q_len, k_len), min_size=1, max_size=MOST_SEQUENCES))
    packed, in_cache = draw(st.booleans()), draw(st.booleans())
    # A packed batch has no grid that a mask tensor could lie on.
    packed = packed and variant.mask != MASKED
    attn_mask = draw(masks_of(variant, packed))
    q_lens, k_lens = (tuple(side) for side in zip(*pairs))
    if not packed:
        q_lens = q_lens[:1] * len(pairs)
    if not (packed or in_cache):
        k_lens = k_lens[:1] * len(pairs)
    fixed = MASKS.keys() & {variant.mask}
    mask = draw(masks(draw(st.sampled_from(sorted(fixed or MASKS)))))
    always = bool(fixed and variant.sinks)
    most_sinks = 3 if variant.sinks else 0
    sinks = st.lists(st.sampled_from(SINKS), min_size=int(always), max_size=most_sinks)
    kv_heads = draw(st.sampled_from((1, 2, 3)))
    group = draw(st.sampled_from([g for g in GROUPS if g * kv_heads <= MOST_HEADS]))
    tiles = sum(-(-q * group // block_q) for q in q_lens) * kv_heads
    many = min(MOST_SPLITS, MOST_THREADGROUPS // max(1, tiles))
    splits = st.sampled_from((1, 2, 3, 5, max(1, many))) | st.integers(1, max(1, many))
    name = f"values {draw(st.integers(0, 9999))}"  # the values are drawn from the name
    softcap, scale = draw(st.sampled_from(SOFTCAPS)), draw(st.sampled_from(SCALES))
    values = Values(draw(st.sampled_from(SPREADS)), draw(st.sampled_from((1.0, 0.01, 100.0))))
    scores = Scores(
        softcap,
        scale,
        sinks=tuple(draw(sinks)),
        alibi=tuple(draw(st.lists(st.sampled_from(SLOPES), max_size=3))),
        alibi_per_sequence=draw(st.booleans()),
        dropout_p=draw(dropouts(variant)),
    )
    layout = draw(st.sampled_from(LAYOUTS))
    divided = draw(splits) if variant.family == "decode" else 1
    shape = Shape(q_lens, k_lens, group * kv_heads, kv_heads, packed)
    cache = draw(caches(shape, variant)) if in_cache else None
    if cache is not None:  # what is appended counts among the keys
        shape = replace(shape, k_lens=tuple(max(k_len, cache.appended) for k_len in k_lens))
    whole = (name, shape, mask, scores, values, cache, layout, divided)
    kv_dtype = draw(kv_dtypes(variant, cache))
    return Call(variant, Case(*whole, attn_mask=attn_mask, kv_dtype=kv_dtype))


def masks_of(variant: Variant, packed: bool) -> st.SearchStrategy[MaskTensor | None]:
    """The mask tensor of a call, or none, by what the variant computes."""
    if variant.mask == MASKED:
        return mask_tensors(MASK_TYPES[variant.family == BACKWARD_MASK :])
    if packed or not variant.takes_mask:
        return st.none()
    return st.none() | mask_tensors()


@st.composite
def mask_tensors(draw: st.DrawFn, dtypes: Sequence[str] = MASK_TYPES) -> MaskTensor:
    """A mask of bools or biases; shrinks towards one of the first dtype that hides nothing."""
    return MaskTensor(
        draw(st.sampled_from(list(PATTERNS))),
        draw(st.sampled_from(dtypes)),
        tuple(draw(st.lists(st.sampled_from(AXES), unique=True, max_size=3))),
        draw(st.sampled_from(sorted(MASK_LAYOUTS))),
        bias=draw(st.booleans()),
        hides_by=draw(st.sampled_from(("-inf", "lowest"))),
    )


@st.composite
def backward_cases(draw: st.DrawFn, variant: Variant) -> Case:
    """A call's backward pass, for gradients that the variant computes."""
    q, k = variant.block_q, variant.block_k
    q_len, k_len = lengths(MOST_QUERIES, (q, 2 * q, k)), lengths(MOST_KEYS, (k, 2 * k, q))
    pairs = draw(st.lists(st.tuples(q_len, k_len), min_size=1, max_size=MOST_SEQUENCES))
    packed = draw(st.booleans()) and variant.mask != MASKED
    q_lens, k_lens = (tuple(side) for side in zip(*pairs))
    if not packed:
        q_lens, k_lens = (lens[:1] * len(pairs) for lens in (q_lens, k_lens))
    kv_heads = draw(st.sampled_from((1, 2, 3)))
    group = draw(st.sampled_from([g for g in GROUPS if g * kv_heads <= MOST_HEADS // 2]))
    tail = draw(st.integers(0, MOST_TAIL)) if packed else 0
    wanted = draw(st.sampled_from(sorted({variant.gradients, *variant.gradients}, key=len)))
    return Case(
        f"values {draw(st.integers(0, 9999))}",
        Shape(q_lens, k_lens, group * kv_heads, kv_heads, packed, tail),
        draw(masks(draw(st.sampled_from(sorted(MASKS.keys() & {variant.mask} or MASKS))))),
        Scores(
            draw(st.sampled_from(SOFTCAPS)),
            draw(st.sampled_from(SCALES)),
            sinks=tuple(draw(st.lists(st.sampled_from(SINKS), max_size=3))),
            alibi=tuple(draw(st.lists(st.sampled_from(SLOPES), max_size=3))),
            alibi_per_sequence=draw(st.booleans()),
            dropout_p=draw(dropouts(variant)),
        ),
        Values(draw(st.sampled_from(MODEST_SPREADS)), draw(st.sampled_from(MODEST_VALUES))),
        layout=draw(st.sampled_from((*LAYOUTS, "expanded"))),
        gradients=Gradients(wanted, draw(st.booleans()), variant.family == BACKWARD_MASK),
        attn_mask=draw(masks_of(variant, packed)),
    )


@st.composite
def caches(draw: st.DrawFn, shape: Shape, variant: Variant) -> CacheUse:
    """A cache for the keys of a call: entries with room to spare, or pages.

    Into entries of padded queries the call may append, and then rotate; not, however, if these
    have another dtype than the cache.
    """
    edge = st.sampled_from((variant.block_k - 1, variant.block_k, variant.block_k + 1))
    use = CacheUse()
    if not (shape.packed or variant.latent):  # whose caller appends
        appended = draw(st.just(0) | st.integers(1, DECODE_QUERIES) | st.just(shape.q_lens[0]))
        rotary_dim = 0
        if appended and not variant.kv_dtype:
            rotary_dim = ROTARY_STEP * draw(st.integers(0, variant.head_dim // ROTARY_STEP))
        if rotary_dim:  # there are angles for as many positions as the cache has rows
            appended = max(appended, shape.q_lens[0])
        use = CacheUse(
            leftpad=draw(st.just(0) | st.integers(1, 2 * variant.block_k) | edge),
            appended=appended,
            rotary_dim=rotary_dim,
            interleaved=draw(st.booleans()) if rotary_dim else True,
        )
    # An entry for each sequence, at any index, as with cache_batch_idx, is a page that holds it all
    # and may be smaller than others.
    starts = first_rows(use, shape.batch)
    longest = max(max(n, use.appended) + start for n, start in zip(shape.k_lens, starts))
    whole = st.integers(max(1, longest), longest + MOST_SPARE)
    paged = st.integers(1, MOST_KEYS) | edge.filter(bool) | whole
    return replace(use, page_size=draw(paged if shape.packed else st.just(0) | paged))


@st.composite
def masks(draw: st.DrawFn, mask: str) -> Mask:
    """A mask mode as a caller may write it."""
    if mask == "full":
        return Mask()
    if mask == "causal":
        ways = (Mask(causal=True), Mask(window_size=(-1, 0)), Mask(True, (-1, 9)))
        return draw(st.sampled_from(ways))
    side = st.integers(0, MOST_KEYS) | st.sampled_from((0, 1, 64, 127, UNBOUNDED - 1))
    left = draw(st.just(-1) | side)
    if left >= 0:
        return Mask(draw(st.booleans()), (left, draw(st.sampled_from((-1, UNBOUNDED)) | side)))
    return Mask(window_size=(left, draw(side.filter(bool))))
