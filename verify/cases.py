"""The case table: what every variant is run on.  Lengths follow the variant's tile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import cycle, islice

from metal_flash_sdpa._variants import KV_TYPES
from metal_flash_sdpa.checks import ROTARY_STEP
from metal_flash_sdpa.plan import DECODE_QUERIES, SIMD_WIDTH

from verify import mask_cases
from verify.case import OFFSETS, CacheUse, Case, Gradients, Mask, Scores, Shape, Values
from verify.variants import (
    BACKWARD,
    BACKWARD_MASK,
    BACKWARD_ROWS,
    MASKED,
    Variant,
    manifest,
)

# What a case that says nothing of its mask runs under, by mask mode.
MASKS = {
    "full": Mask(),
    "causal": Mask(causal=True),
    "window": Mask(window_size=(37, 11)),
}
PAGE = 16  # rows of a page, where a case does not ask for another
SINKS = (0.5, -1.5, 2.0)  # of a case that says nothing of them, where there are any

# The modes of a kernel that learns them when it runs: each of its cases takes the next one or two,
# and two neighbours have different masks.
TURNS = (
    *(("full", False), ("window", True)),
    *(("causal", False), ("full", True)),
    *(("window", False), ("causal", True)),
)


FAR = "past 2^31 elements"  # the name of the case, or its beginning


# Cases that a row's width matters to, by their names' beginnings: where rows lie, how they are cut
# into fragments, and how long sums become.
OF_WIDTH = (
    "tile edges", "padded, several tiles", "several blocks", "more queries than keys, sinks",
    "sliced", "large values", "NaN in v", "GQA 8/2", "pages", "7 splits", "k alone", "v alone",
    "every gradient", "append to pages", "rotate", *KV_TYPES, "mask", "causal as a tensor", "bias",
    FAR,
)  # fmt: skip


def cases(variant: Variant) -> Iterator[Case]:
    """The cases of one variant.

    Kernels of a family that have the same tile differ in the number of fragments and in what their
    elements are: the first of them has every case, the others have those of OF_WIDTH.
    """
    every = every_case(variant)
    if is_first_of_its_tile(variant):
        return every
    return (case for case in every if case.name.startswith(OF_WIDTH))


def every_case(variant: Variant) -> Iterator[Case]:
    """The cases of a variant as if no other had its tile."""
    for case in of_family(variant):
        yield replace(case, kv_dtype=case.kv_dtype or variant.kv_dtype)


def of_family(variant: Variant) -> Iterator[Case]:
    """The cases of its family, whatever its K and V are."""
    if variant.family == "append":
        yield from appending(variant)
    elif variant.family == "combine":
        table = (*of_lengths(variant), *of_values(variant), *of_layouts(variant))
        yield from divided(variant, (*table, *of_nonsense(variant)))
    elif variant.family == "decode":
        yield from of_turns(variant)
    elif variant.family == BACKWARD_ROWS:
        for case in (*of_rows(variant), *of_sinks()):
            yield replace(case, gradients=case.gradients or Gradients())
    elif variant.dropout:
        yield from dropping(variant)
    elif variant.family == "mask_blocks":
        follows = (*variant.tried_on, MASKED)
        user = next(v for v in manifest() if (v.widths, v.dtype, v.mask) == follows)
        yield from in_turns(mask_cases.of_mask_tensors(user.block_q, user.block_k))
    elif variant.mask == MASKED:
        yield from masked(variant)
    elif variant.family in BACKWARD:
        assert variant.mask is not None
        for case in (*differentiated(variant), *of_tile(variant, variant.mask)):
            wanted = case.gradients or Gradients(variant.gradients)
            yield in_mode(replace(case, gradients=wanted), variant.mask, sinks=False)
    else:
        assert variant.mask is not None
        common = (*everywhere(variant), *cached(variant), *converted(variant))
        of_mode = (*of_tile(variant, variant.mask), *(of_sinks() if variant.sinks else ()))
        for case in (*common, *of_mode):
            yield in_mode(case, variant.mask, variant.sinks)


def of_tile(variant: Variant, *masks: str) -> Iterator[Case]:
    """Cases about scores and masks, which know nothing of head_dim."""
    yield from of_scores(variant)
    for mask in masks:
        yield from of_mask(variant, mask)


Kind = tuple[object, ...]


def kind(variant: Variant) -> Kind:
    """What kernels have in common that differ in head_dim and dtypes alone."""
    mode = variant.mask, variant.sinks, variant.dropout, variant.latent
    is_wide = variant.dtype == "float32"  # its templates have branches of their own
    return variant.family, is_wide, *mode, variant.block_q, variant.block_k, variant.threads


@cache
def firsts() -> dict[Kind, str]:
    """The first kernel of each kind, of the smallest head_dim."""
    ascending = sorted(manifest(), key=lambda v: v.widths)  # else in the manifest's order
    return {kind(v): v.name for v in reversed(ascending)}


def is_first_of_its_tile(variant: Variant) -> bool:
    """Whether no kernel before it has the same tile."""
    return firsts()[kind(variant)] == variant.name


def dropping(variant: Variant) -> Iterator[Case]:
    """The cases of a kernel with dropout, which learns its mask when it runs.

    At most half of the weights are dropped: those that are kept become larger, and the floors of
    what an error may be are for results near 1.
    """
    of_mask = mask_cases.of_dropout(variant.block_q, variant.block_k)
    if variant.family in BACKWARD:
        wanted = Gradients(variant.gradients)
        table = [
            replace(c, gradients=c.gradients or wanted)
            for c in (*differentiated(variant), *of_mask)
        ]
        table = [case for case in table if not case.name.startswith(OF_VALUES)]
    else:
        table = [*of_lengths(variant), *of_layouts(variant), *converted(variant), *of_mask]
    for case, (mask, sinks), dropout_p in zip(table, cycle(TURNS), cycle((0.2, 0.5))):
        case = in_mode(case, mask, sinks)
        yield replace(case, scores=replace(case.scores, dropout_p=dropout_p))


def masked(variant: Variant) -> Iterator[Case]:
    """The cases of a kernel with a mask tensor, which learns band and sinks when it runs."""
    of_every, of_first = mask_cases.of_every_kernel, mask_cases.of_mask_tensors
    gradients = None
    if variant.family == BACKWARD_MASK:
        of_every, of_first = mask_cases.of_own_gradient, mask_cases.of_more_own_gradients
        gradients = Gradients("", of_mask=True)
    elif variant.family in BACKWARD:
        of_every, of_first = mask_cases.of_gradients, mask_cases.of_more_gradients
        gradients = Gradients(variant.gradients)
    table = [*of_every(variant.block_q, variant.block_k)]
    if variant.family == "prefill":
        for kv_dtype in KV_TYPES if variant.dtype == "float32" else ():
            table.append(replace(table[0], name=f"mask, {kv_dtype} K and V", kv_dtype=kv_dtype))
    if is_first_of_its_tile(variant):
        table += of_first(variant.block_q, variant.block_k)
    yield from in_turns(replace(case, gradients=gradients) for case in table)


def in_turns(table: Iterable[Case]) -> Iterator[Case]:
    """Each case in the next of the modes."""
    for case, (mask, sinks) in zip(table, cycle(TURNS)):
        yield in_mode(case, mask, sinks)


def in_mode(case: Case, mask: str, sinks: bool) -> Case:
    """A case under a mask mode, and with sinks, unless it has its own."""
    scores = case.scores
    if sinks and not scores.sinks:
        scores = replace(scores, sinks=SINKS)
    return replace(case, mask=MASKS[mask] if case.mask == Mask() else case.mask, scores=scores)


def of_turns(variant: Variant) -> Iterator[Case]:
    """The cases of a kernel that learns its mode when it runs."""
    turn = cycle(TURNS)
    turns = 2 if is_first_of_its_tile(variant) else 1
    for case in divided(variant, (*everywhere(variant), *cached(variant), *of_tile(variant))):
        for mask, sinks in islice(turn, turns):
            name = f"{case.name}, {mask}{'+sinks' if sinks else ''}"
            yield in_mode(replace(case, name=name), mask, sinks)
    if is_first_of_its_tile(variant):
        masks = (*of_mask(variant, "causal"), *of_mask(variant, "window"))
        masks += tuple(in_turns(mask_cases.of_decode(variant.step_k)))
        yield from divided(variant, masks, edges=False)
    yield from divided(variant, of_sinks(), edges=False)


# Cases whose values are what matters, by their names' beginnings: they touch memory as others do.
OF_VALUES = (
    "scores", "many blocks", "large values", "softcap", "scale", "NaN", "sinks",
    "ALiBi and softcap",
)  # fmt: skip


def edges(table: Iterable[Case]) -> Iterator[Case]:
    """The cases that say something about memory: what runs under the emulator's checks."""
    for case in table:
        if not case.name.startswith(OF_VALUES):
            yield case


def divided(variant: Variant, table: Iterable[Case], edges: bool = True) -> Iterator[Case]:
    """Decode's cases: each with its keys split in another way, and with edges of the splits."""
    several = (2, 1, 3, 5, 64) if variant.family == "decode" else (2, 64)
    for case, splits in zip(table, cycle(several)):
        if variant.family == "decode" or any(case.shape.q_lens):
            yield replace(case, splits=splits)
        if variant.family == "decode" and case.layout == "mixed" and splits > 1:
            yield replace(case, name=f"{case.name}, not split")
    if edges:
        yield from edges_of_splits(decode_step(variant))


def edges_of_splits(step: int) -> Iterator[Case]:
    """Lengths around multiples of the keys that a threadgroup takes at a time, and many splits."""
    lengths = (step - 1, step, step + 1, 2 * step, 2 * step + 1, 7 * step - 3)
    for splits in (2, 3, 7):
        yield Case(f"{splits} splits", Shape((2, 1, 3, 1, 16, 1), lengths, 4, 2), splits=splits)
    many = Shape((1, 2), (SIMD_WIDTH * step + 1, 40))
    yield Case("more splits than lanes", many, splits=SIMD_WIDTH + 1)
    # More heads than rows of a tile, more queries than decode is meant for.
    yield Case("GQA 16", Shape((1, 17, 3), (3 * step + 1, 40, 9), heads=16), splits=3)


def decode_step(variant: Variant) -> int:
    """Keys per step of the decode kernel; combine's, of the widest that it may follow."""
    if variant.family == "decode":
        return variant.step_k
    wanted = ("decode", variant.widths, variant.dtype)
    return max(v.step_k for v in manifest() if (v.family, v.widths, v.dtype) == wanted)


def everywhere(variant: Variant) -> Iterator[Case]:
    """Cases for all variants, under the mask that the variant computes."""
    yield from of_lengths(variant)
    yield from of_values(variant)
    yield from of_layouts(variant)
    yield from of_nonsense(variant)


def of_lengths(variant: Variant) -> Iterator[Case]:
    """Sequences that end around the edges of tiles, that are empty, whose heads share keys."""
    q, k = variant.block_q, variant.block_k
    edges = (1, k - 1, k, k + 1, q - 1, q, q + 1, 2 * q + k + 5)
    yield Case("tile edges", Shape(edges, edges))
    yield Case("padded", Shape((q + 3, q + 3), (q + 3, q + 3), 2, 2, packed=False))
    several = Shape((2 * q + 3,) * 2, (q + 2 * k + 5,) * 2, 4, 2, packed=False)
    yield Case("padded, several tiles", several, layout="mixed")
    yield Case("padded, one row", Shape((1, 1, 1), (k + 2,) * 3, 4, 2, packed=False))
    yield Case("several blocks", Shape((3 * q + 17,), (5 * k + 3 * q + 7,), 2, 1))
    yield Case("several blocks, just full", Shape((2 * q,), (2 * math.lcm(q, k),)))
    fewer = Shape((1, 3, q, q + 1), (k + 1, 3 * k + 5, q + 2 * k + 7, q + k))
    yield Case("fewer queries than keys", fewer)
    yield Case("more queries than keys", Shape((k + 9, q + k + 1, 2 * q), (1, k - 1, q + 3)))
    yield Case("empty sequences", Shape((0, 5, 0, q + 1, 7, 0), (4, 9, 0, 0, k, 0), heads=2))
    few = DECODE_QUERIES
    q_lens, k_lens = (1, 40, 0, few, few + 1, 1, 9), (70, 40, 7, 60, 90, 3, 0)
    # Decode's tile is chosen for one query of each head that shares a KV head.
    group = q // 2 + 1 if variant.family == "decode" else 2
    yield Case("prefill and decode", Shape(q_lens, k_lens, 2 * group, kv_heads=2), mixed=True)
    yield Case("no keys at all", Shape((3, 2), (0, 0), heads=2))
    yield Case("no queries at all", Shape((0, 0), (3, 2), heads=2))
    for heads, kv_heads in ((2, 1), (8, 2), (14, 2), (8, 1)):
        yield Case(f"GQA {heads}/{kv_heads}", Shape((33, 5), (40, 47), heads, kv_heads))


ROWS_TO_COMPARE = 128


def heads_to_compare(variant: Variant) -> int:
    """Heads of a case with large scores, which magnify single roundings.

    Plain attention's largest error, by which these cases are judged, needs some rows to be found.
    Each head of theirs has a row more than a tile, or several more.
    """
    return max(2, ROWS_TO_COMPARE // (variant.block_q + 1))


def of_scores(variant: Variant) -> Iterator[Case]:
    """Softcap, ALiBi and scales."""
    q, k, heads = variant.block_q, variant.block_k, heads_to_compare(variant)
    wide = Values(score_std=25.0)
    for softcap in (30.0, 50.0):
        shape = Shape((q + 5,), (q + k + 9,), heads)
        yield Case(f"softcap {softcap:.0f}", shape, scores=Scores(softcap), values=wide)
    # Of arguments beyond 44, fast::tanh is NaN.
    shape = Shape((q + 5,), (k + 9,), heads)
    yield Case("softcap 0.5", shape, scores=Scores(softcap=0.5), values=wide)
    rows, keys = (q + 5, 9), (q + k + 9, k + 3)
    slopes = (0.5, -0.05, 0.03)
    per_sequence = Scores(alibi=slopes, alibi_per_sequence=True)
    # In base 2 these are 1 and 0, which a careless test may take for "no slope".
    plain = Scores(alibi=(math.log(2), 0.0, 0.0, math.log(2)))
    yield Case("ALiBi", Shape(rows, keys, 4, 2), scores=plain)
    shape = Shape(keys, rows, 2, 2)
    yield Case("ALiBi, more queries than keys", shape, scores=Scores(alibi=slopes))
    yield Case("ALiBi per sequence", Shape(rows, keys, 2, 2), scores=per_sequence)
    shape = Shape((q + 5,) * 2, (2 * k + 9,) * 2, 2, 1, packed=False)
    name = "ALiBi per sequence, padded, sliced"
    yield Case(name, shape, scores=per_sequence, layout="sliced")
    shape = Shape((q + 5,) * 2, (2 * k + 9,) * 2, heads)
    capped = Scores(softcap=5.0, alibi=slopes)
    yield Case("ALiBi and softcap", shape, scores=capped, values=wide)
    shape = Shape((41,), (50,))
    yield Case("scale 1", shape, scores=Scores(softmax_scale=1.0), values=Values(score_std=0.3))
    yield Case("scale negative", Shape((41,), (50,), heads), scores=Scores(softmax_scale=-0.2))


def of_values(variant: Variant) -> Iterator[Case]:
    """Elements that a kernel's arithmetic might not hold."""
    q, k = variant.block_q, variant.block_k
    # Only rows whose two largest scores lie within a few units show any error at all.
    shape = Shape((q + 1,), (2 * k + 67,), 16 * heads_to_compare(variant))
    yield Case("scores to 1e4", shape, values=Values(score_std=2500.0))
    yield Case("scores all 0", Shape((q + 1, 3), (k + 3, 2)), values=Values(score_std=0.0))
    # Outputs near 1 after many blocks: what is rounded once per block would show.
    near_one = Values(value_mean=1.0, many_keys=True)
    yield Case("many blocks", Shape((9,), (60 * k + 7,)), values=near_one)
    # Near float16's largest, so that a sum of them in float16 is infinite; rows raise their maximum
    # again and again.
    large = Values(score_std=6.0, value_mean=6e4, value_std=500.0)
    # Where V is part of K they are scores too, which magnify single roundings.
    heads = ROWS_TO_COMPARE // 9 if variant.latent else 2
    yield Case("large values", Shape((9,), (9 * k + 7,), heads), values=large)


def of_layouts(variant: Variant) -> Iterator[Case]:
    """Strides of every kind, and an output less."""
    q, k = variant.block_q, variant.block_k
    shape = Shape((q + 2,) * 2, (k + 3,) * 2, 4, 2, packed=False)
    yield Case("transposed", shape, layout="transposed")
    yield Case("sliced", Shape((q + 2, 7), (k + 3, 19), 4, 2), layout="sliced")
    yield Case("mixed strides", Shape((q + 2, 7), (k + 3, 2 * k), 4, 2), layout="mixed")
    yield Case("no log-sum-exp", Shape((q + 2, 3), (2 * k + 3, k), 2, 1), lse=False)
    yield Case(FAR, Shape((9,), (k + 1,), 2, 2), layout="far")


def of_nonsense(variant: Variant) -> Iterator[Case]:
    """Offsets and pages that lead nowhere, and NaN where there should be none."""
    q, k = variant.block_q, variant.block_k
    shape = Shape((q + 3, 5, 2 * q), (k + 9, 3, 2 * k), 2, 1)
    yield Case("nonsense for offsets", shape, nonsense=OFFSETS)
    pages = CacheUse(page_size=PAGE)
    yield Case("nonsense for pages", shape, cache=pages, nonsense=("block_table",))
    # The NaN is in the last sequence, whose one query sees every key; the first stays finite.
    for tensor in ("q", "k", "v"):
        yield Case(f"NaN in {tensor}", Shape((19, 1), (23, 30), 2, 2), values=Values(nan_in=tensor))


def cached(variant: Variant) -> Iterator[Case]:
    """Keys in a cache: with room to spare, to the right of padding, in pages."""
    q, k = variant.block_q, variant.block_k
    lengths = (2 * k + 3, 0, 1, 2 * k + q + 3)  # the last ends nearest to the end of what there is
    # With so few keys each rounding is a good part of the error: it takes many rows to find plain
    # attention's largest.
    shape = Shape((3,) * 4, lengths, 16, 8, packed=False)
    yield Case("cache", shape, cache=CacheUse(), layout="sliced")
    shape = Shape((q + 1,) * 4, lengths, 2, 1, packed=False)
    yield Case("cache, left padding", shape, cache=CacheUse(leftpad=3))
    shape = Shape((2,) * 4, lengths, 16, 8, packed=False)
    yield Case("pages", shape, cache=CacheUse(PAGE, leftpad=1), layout="mixed")
    shape = replace(shape, k_lens=(2 * k + 3, 2, 3, q + k + 2))
    appended = CacheUse(PAGE, appended=2)
    if not variant.latent:  # whose caller appends
        yield Case("appended to pages", shape, cache=appended, layout="mixed")
    shape = Shape((q + 3, 1, 0, 7), (q + k + 5, 2 * PAGE, 9, PAGE - 1), 2, 1)
    yield Case("packed queries, pages", shape, cache=CacheUse(PAGE + 3))
    unused = Shape((2,) * 3, (0, 2 * k + 3, 2 * PAGE), 2, 1, packed=False)
    yield Case("slot not in use", unused, cache=CacheUse(unused="length"))
    yield Case("no page for the last key", unused, cache=CacheUse(PAGE, unused="pages"))
    one_head = replace(shape, heads=1)
    yield Case("pages of one row", one_head, cache=CacheUse(1), layout="mixed")
    yield Case("page wider than a block", one_head, cache=CacheUse(q + k), layout="transposed")


def converted(variant: Variant) -> Iterator[Case]:
    """K and V in 16 bits under queries in 32; prefill's kernels learn it when they run."""
    if variant.dtype != "float32":
        return
    q, k = variant.block_q, variant.block_k
    for kv_dtype in KV_TYPES:
        shape = Shape((q + 3, 1, 7), (q + 2 * k + 5, k - 1, 0), 4, 2)
        yield Case(f"{kv_dtype} K and V", shape, kv_dtype=kv_dtype)
        lengths = (2 * k + 3, 0, 1, 2 * k + q + 3)
        shape = Shape((q + 1,) * 4, lengths, 2, 1, packed=False)
        pages = CacheUse(PAGE, leftpad=1)
        yield Case(f"{kv_dtype} pages", shape, cache=pages, layout="mixed", kv_dtype=kv_dtype)
        far = Shape((9,), (k + 1,), 2, 2)
        yield Case(f"{FAR}, {kv_dtype}", far, layout="far", kv_dtype=kv_dtype)


def appending(variant: Variant) -> Iterator[Case]:
    """Rows that are added to a cache before it is attended to."""
    causal = Mask(causal=True)

    def grown(q_len: int, *k_lens: int) -> Shape:
        return Shape((q_len,) * len(k_lens), k_lens, 4, 2, packed=False)

    yield Case("append", grown(1, 1, 30, 17), causal, cache=CacheUse(appended=1))
    paged = CacheUse(PAGE, appended=5)
    yield Case("append to pages", grown(5, 5, 37, 18), cache=paged, layout="mixed")
    more = CacheUse(appended=9, leftpad=2)
    yield Case("append more than queries", grown(2, 40, 9), cache=more)
    yield Case("append to pages of one row", grown(5, 5, 37, 18), cache=replace(paged, page_size=1))
    yield Case("append to full pages", grown(5, 5, 2 * PAGE), cache=paged)
    unused = grown(2, 0, 37)
    yield Case("append to a slot not in use", unused, cache=CacheUse(appended=2, unused="length"))
    no_page = CacheUse(PAGE, appended=2, unused="pages")
    yield Case("append without a page", unused, cache=no_page)
    overfull, crowded = grown(2, 7, 30), CacheUse(appended=4, overfull=3)
    yield Case("append to an overfull cache", overfull, cache=crowded, layout="mixed")
    rotated = replace(crowded, rotary_dim=ROTARY_STEP)
    with_room = replace(rotated, overfull=0)
    yield Case("rotate more than queries", overfull, causal, cache=with_room)
    yield Case("rotate in a full cache", overfull, causal, cache=rotated)
    fewer = CacheUse(appended=2, rotary_dim=ROTARY_STEP)
    yield Case("rotate fewer than queries", grown(6, 7, 30), cache=fewer)
    paged = CacheUse(PAGE, appended=3, rotary_dim=ROTARY_STEP)
    yield Case("append to nonsense", grown(3, 5, 40), cache=paged, nonsense=OFFSETS)
    whole = variant.head_dim // ROTARY_STEP * ROTARY_STEP
    for interleaved in (True, False):
        name = f"rotate {'neighbours' if interleaved else 'halves'}"
        part = CacheUse(appended=3, rotary_dim=ROTARY_STEP, interleaved=interleaved)
        yield Case(name, grown(3, 30, 9), causal, cache=part)
        yield Case(f"{name}, all", grown(3, 30, 9), cache=replace(part, rotary_dim=whole))
        paged = CacheUse(PAGE, 4, 20, rotary_dim=whole, interleaved=interleaved)
        windowed = Mask(window_size=(9, 0))
        yield Case(f"{name}, pages, window", grown(20, 35, 20), windowed, cache=paged)


def of_mask(variant: Variant, mask: str) -> Iterator[Case]:
    """What only this mask can be asked."""
    q, k = variant.block_q, variant.block_k
    if mask == "causal":
        # Each tile's first row misses just the last key of a block.
        shape = Shape((2 * q,), (2 * q + k - 2,))
        yield Case("diagonal one short of a block", shape, Mask(causal=True))
        yield Case("window open on the left", Shape((50,), (60,)), Mask(window_size=(-1, 0)))
    if mask != "window":
        return
    n = 2 * q + k + 13
    square = Shape((n,), (n,))
    # In the first block the first tile's last row misses key 0 alone, or its first row the last
    # key alone: with a window one wider the block would need no mask.
    yield Case("window misses a first key", square, Mask(window_size=(q - 2, -1)))
    yield Case("window misses a last key", square, Mask(window_size=(-1, k - 2)))
    both_sides = ((0, 0), (1, 0), (64, 64), (0, 3), (k, k), (20, -1), (-1, 20), (9999, 9999))
    for window in dict.fromkeys(both_sides):
        yield Case(f"window {window}", square, Mask(window_size=window))
    # Windows that leave some rows without a key, on either side.
    wider = Mask(window_size=(2 * k + 9,) * 2)
    yield Case("window wider than the keys", Shape((n, 3), (k + 3, 5)), wider)
    narrow = Mask(window_size=(5, 2))
    yield Case("window, keys run out", Shape((n, 40), (k + 1, n)), narrow)
    yield Case("window, keys to spare", Shape((k + 1, 1), (n, n)), narrow)
    both = Mask(causal=True, window_size=(33, 64))
    yield Case("window and causal", Shape((n, 9), (n, 70), 2, 1), both)
    one_sided, capped, wide = Mask(window_size=(64, 0)), Scores(softcap=50.0), Values(25.0)
    yield Case("window and softcap", square, one_sided, capped, wide)


def of_sinks() -> Iterator[Case]:
    """Extreme sinks."""
    infinity = float("inf")
    absent, large = Scores(sinks=(-infinity,)), Scores(sinks=(4.0, 30.0, 1e4))
    yield Case("sinks -inf", Shape((40, 9), (45, 0), 2, 1), scores=absent)
    yield Case("sinks large", Shape((40, 9), (45, 0), 3, 1), scores=large)
    mixed = Scores(sinks=(-infinity, -1e4, 0.0, 8.0))
    yield Case("sinks mixed", Shape((40,), (45,), 4, 2), scores=mixed)


def differentiated(variant: Variant) -> Iterator[Case]:
    """Cases of all kernels that go over keys and queries to compute gradients."""
    q, k = variant.block_q, variant.block_k
    edges = (1, k - 1, k, k + 1, q - 1, q, q + 1, 2 * q + k + 5)
    yield Case("tile edges", Shape(edges, edges, tail=3))
    several = Shape((2 * q + 3,) * 2, (q + 2 * k + 5,) * 2, 4, 2, packed=False)
    yield Case("padded, several tiles", several, layout="mixed")
    yield Case("several blocks", Shape((3 * q + 17,), (5 * k + 3 * q + 7,), 2, 1))
    yield Case("several blocks, just full", Shape((2 * q,), (2 * math.lcm(q, k),)))
    fewer = Shape((1, 3, q, q + 1), (k + 1, 3 * k + 5, q + 2 * k + 7, q + k), 2, 1)
    yield Case("fewer queries than keys", fewer, layout="sliced")
    # Under a causal mask the first rows of these see no key.
    more = Shape((k + 9, q + k + 1, 2 * q), (1, k - 1, q + 3), 4, 2)
    yield Case("more queries than keys, sinks", more, scores=Scores(sinks=SINKS))
    empty = Shape((0, 5, 0, q + 1, 7, 0), (4, 9, 0, 0, k, 0), heads=2, tail=5)
    yield Case("empty sequences", empty)
    yield Case("GQA 8/2", Shape((33, 5), (40, 47), 8, 2))
    without = Gradients(variant.gradients, of_lse=False)
    repeated = Shape((q + 2,) * 2, (k + 3,) * 2, 4, 2, packed=False)
    yield Case("expanded", repeated, layout="expanded", gradients=without)
    for wanted in variant.gradients if len(variant.gradients) > 1 else ():
        alone = Gradients(wanted)
        yield Case(f"{wanted} alone", Shape((q + 2,), (2 * k + 3,), 2, 1), gradients=alone)
    shape = Shape((q + 1,), (2 * k + 67,), 16 * heads_to_compare(variant))
    yield Case("scores to 1e3", shape, values=Values(score_std=250.0))
    yield Case(FAR, Shape((9,), (k + 1,), 2, 2), layout="far")
    shape = Shape((q + 3, 5, 2 * q), (k + 9, 3, 2 * k), 2, 1)
    yield Case("nonsense for offsets", shape, nonsense=OFFSETS)


def of_rows(variant: Variant) -> Iterator[Case]:
    """What there is to know of each row before its gradient can be computed."""
    q, causal = variant.block_q, Mask(causal=True)
    sinks = Scores(sinks=SINKS)
    edges = (1, q - 1, q, q + 1, 2 * q + 5)
    yield Case("tile edges", Shape(edges, edges, heads=3, tail=2), scores=sinks)
    yield Case("no sinks", Shape((q + 3, 5), (7, q)), gradients=Gradients(of_lse=False))
    several = Shape((2 * q + 3,) * 2, (9,) * 2, 4, 2, packed=False)
    yield Case("padded, several tiles", several, causal, sinks, layout="mixed")
    without = Gradients(of_lse=False)
    one = Shape((q + 2,) * 2, (11,) * 2, 4, 2, packed=False)
    yield Case("expanded", one, scores=sinks, layout="expanded", gradients=without)
    yield Case("no queries at all", Shape((0, 0), (3, 2), heads=2), scores=sinks)
    yield Case(FAR, Shape((9,), (5,), 2, 2), scores=sinks, layout="far")
    every = Gradients("qkv")
    yield Case("every gradient", Shape((q + 9, 7), (20, 40), 4, 2), causal, sinks, gradients=every)


def seed_rows() -> tuple[tuple[Case, str], ...]:
    """The six rows of the seed's own table, float16, head_dim 64: (case, mask mode).

    Its limit is max-abs <= 1e-4.  float16 rounds a value between 1/8 and 1/4 by up to 6.1e-5, so
    values have a standard deviation of 0.1, which keeps outputs below 1/4: the rounding of the
    output alone then takes at most 61 % of the limit.
    """
    full = Case("full", Shape((1024,), (1024,), 8, 8), values=Values(value_std=0.1))
    window = replace(full, name="window (64, 64)", mask=Mask(window_size=(64, 64)))
    fewer = replace(full.shape, kv_heads=2)
    gqa = replace(window, name="+ GQA (H=8, Hkv=2)", shape=fewer)
    last = Case(
        "H=14, Hkv=2, window 127, sink",
        replace(fewer, heads=14),
        Mask(window_size=(127, 127)),
        values=full.values,
    )
    rows = (
        (full, "full"),
        (window, "window"),
        (replace(full, name="sink only"), "full+sinks"),
        (replace(window, name="window + sink"), "window+sinks"),
        (gqa, "window+sinks"),
        (last, "window+sinks"),
    )
    return tuple((in_mode(case, "full", "sinks" in mode), mode) for case, mode in rows)


SEED_VARIANT = ("prefill", 64, "float16")  # family, head_dim, dtype
SEED_MAX_ABS = 1e-4
SEED_COSINE = 0.9999995  # prints as 1.000000
