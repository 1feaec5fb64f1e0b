"""Caches, in rows and in pages, against what flash-attn documents of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partialmethod
from typing import Any

import pytest
import torch
from metal_flash_sdpa import (
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
    ops,
)
from metal_flash_sdpa.catalogue import Catalogue
from metal_flash_sdpa.launchers import emulator as launcher
from torch import Tensor

import emulator
from tests.package.judge import assert_attention
from verify.arena import offsets
from verify.reference import Options

HEADS, KV_HEADS, HEAD_DIM = 4, 2, 32
PAGE = 16
SCALE = HEAD_DIM**-0.5
SINKS = torch.tensor([0.5, -1.5, 2.0, 0.0])


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(dtype)


def caches(entries: int, rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    return tuple(draw(entries, rows, KV_HEADS, HEAD_DIM + i, dtype=dtype)[..., i:] for i in (0, 1))


def paged(cache: Tensor, table: Tensor) -> Tensor:
    """A cache's entries laid into pages; pages that are in no table are NaN."""
    pages = torch.full((int(table.max()) + 2, PAGE, *cache.shape[2:]), torch.nan).to(cache.dtype)
    for b, row in enumerate(table.tolist()):
        for place, page in enumerate(row):
            part = cache[b, place * PAGE : (place + 1) * PAGE]
            pages[page, : len(part)] = part
    return pages


def turn(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, interleaved: bool) -> Tensor:
    """Rotary position embeddings as complex numbers: rows (len, heads, head_dim)."""
    pairs = cos.shape[1]
    angle = torch.complex(cos.float(), sin.float())[positions].unsqueeze(1)
    head, rest = x[..., : 2 * pairs].float(), x[..., 2 * pairs :]
    halves = head.unflatten(-1, (pairs, 2) if interleaved else (2, pairs))
    axis = -1 if interleaved else -2
    turned = torch.complex(*halves.unbind(axis)) * angle
    joined = torch.stack((turned.real, turned.imag), axis).flatten(-2)
    return torch.cat((joined.to(x.dtype), rest), -1)


TABLE = torch.tensor([[5, 0, 3], [1, 6, 2]])
LENGTHS = (37, 20)


@pytest.mark.parametrize("q_len", [1, 5, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("where", ["rows", "pages", "entries", "left padding"])
def test_a_cache_is_attended_to(where: str, dtype: torch.dtype, q_len: int) -> None:
    k, v = caches(2, 3 * PAGE, dtype)
    q = draw(2, q_len, HEADS, HEAD_DIM, dtype=dtype)
    call: dict[str, Any] = {"cache_seqlens": torch.tensor(LENGTHS), "causal": True, "s_aux": SINKS}
    parts = [(k[b, :n], v[b, :n]) for b, n in enumerate(LENGTHS)]
    if where == "pages":
        k, v = (paged(cache, TABLE) for cache in (k, v))
        call["block_table"] = TABLE
    elif where == "entries":
        call["cache_batch_idx"] = torch.tensor([1, 0])
        parts = [(k[1 - b, :n], v[1 - b, :n]) for b, n in enumerate(LENGTHS)]
    elif where == "left padding":
        call["cache_leftpad"] = torch.tensor([3, 20])
        parts = [(k[0, 3:37], v[0, 3:37]), (k[1, 20:20], v[1, 20:20])]
    out, lse = flash_attn_with_kvcache(q, k, v, **call, return_softmax_lse=True)
    assert (out.shape, lse.shape) == (q.shape, (2, HEADS, q_len))
    found = ((out[b], lse[b], q[b], *parts[b]) for b in range(2))
    assert_attention(found, Options(SCALE, True), SINKS)


@pytest.mark.parametrize("cache_seqlens", [None, 0, 1, 30])
def test_one_length_for_all(cache_seqlens: int | None) -> None:
    k, v = caches(2, 41)
    q = draw(2, 3, HEADS, HEAD_DIM)
    out = flash_attn_with_kvcache(q, k, v, cache_seqlens=cache_seqlens, window_size=(9, 4))
    want = flash_attn_func(q, k[:, :cache_seqlens], v[:, :cache_seqlens], window_size=(9, 4))
    assert torch.equal(out, want)
    split = flash_attn_with_kvcache(
        q, k, v, cache_seqlens=cache_seqlens, window_size=(9, 4), num_splits=5
    )
    torch.testing.assert_close(split, want, rtol=0, atol=2e-6)


MASKS: dict[str, dict[str, Any]] = {
    "full": {},
    "causal": {"causal": True},
    "window": {"window_size": (9, 0)},
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("interleaved", [True, False, None])
@pytest.mark.parametrize("where", ["rows", "pages", "entries", "left padding", "one length"])
def test_appending(where: str, interleaved: bool | None, mask: str) -> None:
    """Rotated by absolute rows of the cache; `interleaved` None: not rotated."""
    rows, new_len, q_len = 3 * PAGE, 4, 3
    k, v = caches(2, rows)
    q = draw(2, q_len, HEADS, HEAD_DIM)
    new_k, new_v = (draw(2, new_len, KV_HEADS, HEAD_DIM + i)[..., i:] for i in (0, 1))
    lengths = (30, 30) if where == "one length" else LENGTHS
    call: dict[str, Any] = {"cache_seqlens": torch.tensor(lengths, dtype=torch.int32)}
    cos, sin = (f(draw(rows + 1, 8)) for f in (torch.cos, torch.sin))
    turned_q, turned_k = q, new_k
    if interleaved is not None:
        call |= {"rotary_cos": cos, "rotary_sin": sin, "rotary_interleaved": interleaved}
        steps = torch.arange(q_len) * (mask != "full")
        turn_by = [(n + steps, n + torch.arange(new_len)) for n in lengths]
        both = zip(q, new_k, turn_by)
        turned = [
            (turn(a, cos, sin, i, interleaved), turn(b, cos, sin, j, interleaved))
            for a, b, (i, j) in both
        ]
        turned_q, turned_k = (torch.stack(part) for part in zip(*turned))

    order, begins = [0, 1], (0, 0)
    entries_k, entries_v = k.clone(), v.clone()
    if where == "entries":
        order, call["cache_batch_idx"] = [1, 0], torch.tensor([1, 0])
    elif where == "left padding":
        begins, call["cache_leftpad"] = (3, 7), torch.tensor([3, 7])
    elif where == "one length":
        call["cache_seqlens"] = 30
    for b, n in enumerate(lengths):
        entries_k[order[b], n : n + new_len] = turned_k[b]
        entries_v[order[b], n : n + new_len] = new_v[b]
    given_k, given_v, want_k, want_v = k, v, entries_k, entries_v
    if where == "pages":
        given_k, given_v, want_k, want_v = (paged(c, TABLE) for c in (k, v, entries_k, entries_v))
        call["block_table"] = TABLE
    out, lse = flash_attn_with_kvcache(
        q, given_k, given_v, new_k, new_v, **call, **MASKS[mask], return_softmax_lse=True
    )
    # The sum of two products, either of which may be rounded first.
    torch.testing.assert_close(given_k, want_k, rtol=0, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(given_v, want_v, rtol=0, atol=0, equal_nan=True)
    found = []
    for b, n in enumerate(lengths):
        keys = slice(begins[b], n + new_len)
        part = (entries_k[order[b], keys], entries_v[order[b], keys])
        found.append((out[b], lse[b], turned_q[b], *part))
    assert_attention(iter(found), Options(SCALE, **MASKS[mask]))


def test_rows_without_room_are_left_out() -> None:
    k, v = caches(2, 20)
    new_k, new_v = (draw(2, 4, KV_HEADS, HEAD_DIM) for _ in "kv")
    before = k.clone()
    q = draw(2, 1, HEADS, HEAD_DIM)
    lengths = torch.tensor([18, 25])
    out = flash_attn_with_kvcache(q, k, v, new_k, new_v, cache_seqlens=lengths)
    assert torch.equal(k[0, 18:], new_k[0, :2])
    assert torch.equal(k[1], before[1])
    assert torch.equal(out, flash_attn_func(q, k, v))


LIVE, UNUSED = 30, -1  # rows in use
UNUSED_SLOTS: dict[str, dict[str, Any]] = {
    "a negative length": {"cache_seqlens": torch.tensor([LIVE, UNUSED])},
    "the least length": {"cache_seqlens": torch.tensor([LIVE, -(2**63)])},
    "a negative entry": {"cache_batch_idx": torch.tensor([0, UNUSED])},
    "a negative entry, one length": {
        "cache_batch_idx": torch.tensor([0, UNUSED]),
        "cache_seqlens": LIVE,
    },
    "a negative length and no page": {
        "cache_seqlens": torch.tensor([LIVE, UNUSED]),
        "block_table": torch.tensor([[0, 1, 2], [UNUSED] * 3]),
    },
    "no page": {"block_table": torch.tensor([[0, 1, 2], [UNUSED] * 3])},
    "no page, no key": {
        "cache_seqlens": torch.tensor([LIVE, 0]),
        "block_table": torch.tensor([[0, 1, 2], [UNUSED] * 3]),
    },
}


@pytest.mark.parametrize("num_splits", [1, 3])
@pytest.mark.parametrize("sinks", [None, SINKS], ids=["", "sinks"])
@pytest.mark.parametrize("q_len", [1, 40])
@pytest.mark.parametrize("new", [False, True], ids=["read", "append"])
@pytest.mark.parametrize("name", UNUSED_SLOTS)
def test_a_slot_that_is_not_in_use(
    name: str, new: bool, q_len: int, sinks: Tensor | None, num_splits: int
) -> None:
    """Nothing is appended for it, it sees no key, and the other sequence is as if alone."""
    call: dict[str, Any] = {"cache_seqlens": torch.tensor([LIVE, LIVE]), **UNUSED_SLOTS[name]}
    k, v = (draw(3, PAGE, KV_HEADS, HEAD_DIM) for _ in "kv")
    if "block_table" not in call:
        k, v = (cache.view(1, 3 * PAGE, KV_HEADS, HEAD_DIM).repeat(2, 1, 1, 1) for cache in (k, v))
    q = draw(2, q_len, HEADS, HEAD_DIM)
    if new:
        call["k"], call["v"] = torch.full((2, 2, 2, KV_HEADS, HEAD_DIM), 3.0)
    want_k, want_v = k.clone(), v.clone()
    alone = {
        key: value[:1] if isinstance(value, Tensor) else value
        for key, value in {**call, "cache_batch_idx": torch.tensor([0])}.items()
        if key != "cache_batch_idx" or "block_table" not in call
    }
    options: dict[str, Any] = {
        "s_aux": sinks,
        "num_splits": num_splits,
        "causal": True,
        "return_softmax_lse": True,
    }
    want, want_lse = flash_attn_with_kvcache(q[:1], want_k, want_v, **alone, **options)
    out, lse = flash_attn_with_kvcache(q, k, v, **call, **options)
    assert torch.equal(k, want_k)
    assert torch.equal(v, want_v)
    torch.testing.assert_close(out[:1], want, rtol=0, atol=1e-6)
    torch.testing.assert_close(lse[:1], want_lse, rtol=0, atol=1e-6)
    none = torch.empty(1, 0, KV_HEADS, HEAD_DIM)
    _, lse_of_none, _ = flash_attn_func(q[1:], none, none, s_aux=sinks, return_attn_probs=True)
    assert not out[1].any()
    assert torch.equal(lse[1:], lse_of_none)
    assert sinks is not None or (lse[1] == -torch.inf).all()


@pytest.mark.parametrize("page", [-1, -(2**31), 3, 2**31 - 1])
def test_a_page_that_does_not_exist_is_never_written_to(page: int) -> None:
    """The first new row lies in a page, the second one in none."""
    k, v = (draw(3, PAGE, KV_HEADS, HEAD_DIM) for _ in "kv")
    new = torch.full((1, 2, KV_HEADS, HEAD_DIM), 3.0)
    want = k.clone()
    want[1, PAGE - 1] = 3.0
    flash_attn_with_kvcache(
        *(draw(1, 1, HEADS, HEAD_DIM), k, v, new, new),
        cache_seqlens=torch.tensor([PAGE - 1]),
        block_table=torch.tensor([[1, page, 0]]),
    )
    assert torch.equal(k, want)


@pytest.mark.parametrize("max_q_len", [1, 40])
def test_packed_queries_over_pages(max_q_len: int) -> None:
    k, v = caches(2, 3 * PAGE)
    q_lens = (1, 1) if max_q_len == 1 else (40, 2)
    q = draw(sum(q_lens), HEADS, HEAD_DIM)
    cu_q, cu_k = offsets(q_lens), offsets(LENGTHS)
    out, lse, _ = flash_attn_varlen_func(
        *(q, paged(k, TABLE), paged(v, TABLE), cu_q, cu_k.long(), max_q_len, 37),
        causal=True,
        block_table=TABLE.int(),
        return_attn_probs=True,
    )
    parts = zip(out.split(q_lens), lse.split(q_lens, 1), q.split(q_lens), k, v, LENGTHS)
    assert_attention(
        ((o, of, rows, keys[:n], values[:n]) for o, of, rows, keys, values, n in parts),
        Options(SCALE, True),
    )


BIG = 2**31 - 1
WRONG: dict[str, dict[str, Tensor]] = {
    "lengths": {"cache_seqlens": torch.tensor([BIG, -BIG], dtype=torch.int32)},
    "padding": {"cache_leftpad": torch.tensor([-5, BIG], dtype=torch.int32)},
    "padding beyond the length": {"cache_leftpad": torch.tensor([38, 21], dtype=torch.int32)},
    "entries": {"cache_batch_idx": torch.tensor([-BIG, BIG], dtype=torch.int32)},
    "pages": {"block_table": torch.tensor([[-BIG, BIG, 7], [8, -1, -7]], dtype=torch.int32)},
}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator watches every access of every kernel."""
    monkeypatch.setattr(
        emulator.Kernel, "launch", partialmethod(emulator.Kernel.launch, check=True)
    )


def with_wrong_content(name: str, q_len: int, new: bool) -> Tensor:
    """One call; every tensor has exactly the memory that it needs."""
    wrong = WRONG[name]
    shape = (7, PAGE) if "block_table" in wrong else (2, 2 * PAGE)
    k, v = (draw(*shape, KV_HEADS, HEAD_DIM) for _ in "kv")
    call: dict[str, Any] = {"cache_seqlens": torch.tensor([20, 11]), **wrong}
    if new:
        call["k"] = call["v"] = draw(2, 2, KV_HEADS, HEAD_DIM)
        call["rotary_cos"] = call["rotary_sin"] = draw(3 * PAGE, 8)
    q = draw(2, q_len, HEADS, HEAD_DIM)
    return flash_attn_with_kvcache(q, k, v, causal=True, **call)


@pytest.mark.parametrize("new", [False, True], ids=["read", "append"])
@pytest.mark.parametrize("q_len", [1, 40])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_content_leads_to_no_stray_access(
    checked: None, name: str, q_len: int, new: bool
) -> None:
    if new and name in ("pages", "entries"):
        assert_overlap(lambda: with_wrong_content(name, q_len, new))
    else:
        assert with_wrong_content(name, q_len, new).isfinite().all()


def assert_overlap(call: Callable[[], Tensor]) -> None:
    """Two sequences may append to one page then: a race, rightly; but nothing stray."""
    with suppress(emulator.RaceError):
        assert call().isfinite().all()


CLAMPS = {
    "lengths": (
        "min(k_end[batch], call.k_len) + call.appended, call.k_len",
        "k_end[batch], BIG",
    ),
    "padding": ("clamp(k_begin[batch], 0, call.k_len)", "k_begin[batch]"),
    "pages": ("clamp(pages[page_of_sequence], 0, call.pages - 1)", "pages[page_of_sequence]"),
}


@pytest.mark.parametrize("q_len", [1, 40])
@pytest.mark.parametrize("name", CLAMPS)
def test_without_a_clamp_stray_accesses_are_found(
    checked: None, monkeypatch: pytest.MonkeyPatch, name: str, q_len: int
) -> None:
    """All clamps are left out at once, so that kernels are compiled once: the rest is right."""

    def without_clamps(catalogue: Catalogue, file: str, kernel: str) -> emulator.Kernel:
        source = catalogue.path(file).read_text()
        for clamped, bare in CLAMPS.values():
            if "combine" not in kernel:
                assert clamped in source
            source = source.replace(clamped, bare.replace("BIG", "1 << 30"))
        return emulator.compile(source).function(kernel)

    monkeypatch.setattr(launcher, "_kernel", without_clamps)
    with pytest.raises(emulator.BoundsError):
        with_wrong_content(name, q_len, new=False)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Calls of the ops, for torch's own checks of them."""
    q = draw(2, 1, HEADS, HEAD_DIM)
    k, v = (draw(2, 40, KV_HEADS, HEAD_DIM) for _ in "kv")
    new = draw(2, 1, KV_HEADS, HEAD_DIM)
    cos, sin = (f(draw(40, 8)) for f in (torch.cos, torch.sin))
    used = torch.tensor([30, 20], dtype=torch.int32)
    mask = (True, -1, -1)
    yield ops.append, (q, k, v, new, new, cos, sin, True, *mask, used, None, None, None, 0)
    yield ops.append, (q, k, v, new, new, None, None, True, *mask, None, 30, None, None, 0)
    rest = (SINKS, None, None, *mask, 0.0, 0, None)
    yield ops.forward_cached, (q, k, v, True, used, None, None, None, None, 1, *rest)
    yield ops.forward_cached, (q, k, v, False, None, 30, None, None, None, 0, *rest)


@pytest.mark.parametrize(("op", "arguments"), list(samples()))
def test_the_ops_are_as_torch_wants_them(op: Any, arguments: tuple[Any, ...]) -> None:
    torch.library.opcheck(op, arguments)


def test_a_step_compiles_without_a_break() -> None:
    def step(q: Tensor, k: Tensor, v: Tensor, used: Tensor) -> Tensor:
        new = q[:, :, :KV_HEADS] * 0.5
        out = flash_attn_with_kvcache(q, k, v, new, new, cache_seqlens=used, causal=True)
        assert isinstance(out, Tensor)
        return out + 1

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    q = draw(2, 1, HEADS, HEAD_DIM)
    used = torch.tensor([30, 20], dtype=torch.int32)
    (k, v), (other_k, other_v) = caches(2, 40), caches(2, 40)
    assert torch.equal(compiled(q, k, v, used), step(q, other_k, other_v, used))
    assert torch.equal(k, other_k)
    assert torch.equal(v, other_v)
