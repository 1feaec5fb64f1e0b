"""Random attention calls: a variant and a case of it, drawn by hypothesis; and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis import strategies as st
from metal_flash_sdpa.plan import UNBOUNDED

from tests.cases import Case, Variant

# A case costs what its longest loops cost: together these keep it near 30 ms.
MOST_QUERIES = 160  # per sequence; two tiles and a bit
MOST_KEYS = 200  # per sequence; more than six blocks
MOST_SEQUENCES = 4
MOST_HEADS = 8

# Between the heads of the layout "far" lie 2^31 elements; the parity cases have it.
LAYOUTS = ("contiguous", "transposed", "sliced", "mixed")
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
        lists = {k: tuple(v) for k, v in found["case"].items() if isinstance(v, list)}
        fields: dict[str, Any] = found["case"] | lists
        variant = next(v for v in variants if v.name == found["variant"])
        return Call(variant, Case(**fields))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a call: {error}") from None
    except StopIteration:
        raise ValueError(f"there is no variant {found['variant']!r}") from None


def lengths(most: int, edges: Sequence[int]) -> st.SearchStrategy[int]:
    """Sequence lengths: any, and often those next to a multiple of a tile."""
    near = sorted({n for edge in edges for n in (edge - 1, edge, edge + 1) if 0 <= n <= most})
    return st.integers(0, most) | st.sampled_from(near)


@st.composite
def calls(draw: st.DrawFn, variants: Sequence[Variant]) -> Call:
    """A call of one of the variants.  Shrinks towards one short sequence and plain options."""
    variant = draw(st.sampled_from(variants))
    block_q, block_k = variant.block_q, variant.block_k
    q_len = lengths(MOST_QUERIES, (block_q, 2 * block_q))
    k_len = lengths(MOST_KEYS, (block_k, 2 * block_k, block_q))
    pairs = draw(st.lists(st.tuples(q_len, k_len), min_size=1, max_size=MOST_SEQUENCES))
    packed = draw(st.booleans())
    if not packed:
        pairs = [pairs[0]] * len(pairs)
    kv_heads = draw(st.sampled_from((1, 2, 3)))
    group = draw(st.sampled_from([g for g in (1, 2, 4, 7, 8) if g * kv_heads <= MOST_HEADS]))
    causal, window = draw(masks(variant.mask))
    case = Case(
        name=f"values {draw(st.integers(0, 9999))}",  # the values are drawn from the name
        q_lens=tuple(q for q, _ in pairs),
        k_lens=tuple(k for _, k in pairs),
        heads=group * kv_heads,
        kv_heads=kv_heads,
        packed=packed,
        causal=causal,
        window_size=window,
        softcap=draw(st.sampled_from(SOFTCAPS)),
        softmax_scale=draw(st.sampled_from(SCALES)),
        score_std=draw(st.sampled_from(SPREADS)),
        value_std=draw(st.sampled_from((1.0, 0.01, 100.0))),
        sinks=tuple(draw(st.lists(st.sampled_from(SINKS), min_size=1, max_size=3))),
        alibi=tuple(draw(st.lists(st.sampled_from(SLOPES), max_size=3))),
        alibi_per_sequence=draw(st.booleans()),
        layout=draw(st.sampled_from(LAYOUTS)),
        splits=draw(st.sampled_from((1, 2, 3, 5))) if variant.family == "decode" else 1,
    )
    return Call(variant, case)


@st.composite
def masks(draw: st.DrawFn, mask: str) -> tuple[bool, tuple[int, int]]:
    """(causal, window_size) as a caller may write a mask mode."""
    if mask == "full":
        return False, (-1, -1)
    if mask == "causal":
        return draw(st.sampled_from(((True, (-1, -1)), (False, (-1, 0)), (True, (-1, 9)))))
    side = st.integers(0, MOST_KEYS) | st.sampled_from((0, 1, 64, 127, UNBOUNDED - 1))
    left = draw(st.just(-1) | side)
    if left >= 0:
        return draw(st.booleans()), (left, draw(st.sampled_from((-1, UNBOUNDED)) | side))
    return False, (left, draw(side.filter(bool)))
