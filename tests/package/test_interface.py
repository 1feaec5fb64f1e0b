"""What the public functions return, for the calls that transformers makes and for the others."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import partialmethod
from typing import Any

import metal_flash_sdpa as package
import pytest
import torch
from metal_flash_sdpa import (
    call,
    checks,
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    ops,
)
from metal_flash_sdpa.catalogue import BUILT_IN, Catalogue
from metal_flash_sdpa.launchers import emulator as launcher
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import emulator
from tests.package.judge import assert_attention, unpacked, unpadded
from verify.arena import Arena, offsets
from verify.reference import Options

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
HEAD_DIM = 32
SCALE = HEAD_DIM**-0.5


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).to(dtype)


def seen_as_rows(*shape: int, dtype: torch.dtype) -> Tensor:
    """(batch, row, head, dim), in memory (batch, head, row, dim)."""
    batch, length, heads, dim = shape
    return draw(batch, heads, length, dim, dtype=dtype).transpose(1, 2)


# name -> (q, k, v) of a dtype, options of the call, options of the reference, sinks' dtype
def contiguous(dtype: torch.dtype) -> tuple[Tensor, ...]:
    return tuple(draw(2, 20, heads, HEAD_DIM, dtype=dtype) for heads in (4, 2, 2))


def transposed(dtype: torch.dtype) -> tuple[Tensor, ...]:
    q = seen_as_rows(2, 20, 4, HEAD_DIM, dtype=dtype)
    assert q.stride() == (2560, 32, 640, 1)
    return q, seen_as_rows(2, 20, 2, HEAD_DIM, dtype=dtype), draw(2, 20, 2, HEAD_DIM, dtype=dtype)


def decode(dtype: torch.dtype) -> tuple[Tensor, ...]:
    cache = tuple(seen_as_rows(2, 40, 2, HEAD_DIM, dtype=dtype)[:, :37] for _ in "kv")
    assert cache[0].stride() == (2 * 40 * HEAD_DIM, HEAD_DIM, 40 * HEAD_DIM, 1)
    return draw(2, 1, 4, HEAD_DIM, dtype=dtype), *cache


CALLS: dict[str, tuple[Any, dict[str, Any], Options, torch.dtype | None]] = {
    "mistral": (contiguous, {"causal": True}, Options(SCALE, True), None),
    "mistral, window": (
        contiguous,
        {"causal": True, "window_size": (6, 6)},
        Options(SCALE, True, (6, 6)),
        None,
    ),
    "gemma2": (
        contiguous,
        {"causal": True, "window_size": (6, 6), "softcap": 50.0, "softmax_scale": 0.25},
        Options(0.25, True, (6, 6), 50.0),
        None,
    ),
    "gpt_oss": (
        transposed,
        {"causal": True, "window_size": (6, 6)},
        Options(SCALE, True, (6, 6)),
        torch.bfloat16,
    ),
    "openai_privacy_filter": (
        transposed,
        {"window_size": (6, 6), "softmax_scale": 1.0},
        Options(1.0, False, (6, 6)),
        torch.float32,
    ),
    "decode": (decode, {"causal": True}, Options(SCALE, True), None),
    "decode, window and sinks": (
        decode,
        {"causal": True, "window_size": (6, 6)},
        Options(SCALE, True, (6, 6)),
        torch.float16,
    ),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_padded_calls_of_transformers(name: str, dtype: torch.dtype) -> None:
    make, given, options, sinks_dtype = CALLS[name]
    q, k, v = make(dtype)
    sinks = None if sinks_dtype is None else torch.tensor([0.5, -1.5, 2.0, 0.0]).to(sinks_dtype)
    call = {**given, "dropout_p": 0.0, "deterministic": True, "s_aux": sinks}
    out, lse, probabilities = flash_attn_func(q, k, v, **call, return_attn_probs=True)
    assert probabilities is None
    assert (out.dtype, out.shape, lse.shape) == (dtype, q.shape, (2, 4, q.shape[1]))
    assert out.is_contiguous()
    assert_attention(unpadded(out, lse, q, k, v), options, sinks)
    assert torch.equal(flash_attn_func(q, k, v, **call), out)


def scalar(value: int) -> Tensor:
    return torch.tensor(value, dtype=torch.int32)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("q_lens", "k_lens", "longest"),
    [
        ((9, 1, 30), (9, 1, 30), (scalar(30), scalar(30))),  # packed position_ids
        ((20, 13), (20, 13), (20, 20)),  # a padding mask
        ((1, 1), (21, 21), (1, 21)),  # decode, static cache
        ((1, 1, 1), (20, 12, 17), (1, 20)),  # continuous batching
    ],
)
def test_packed_calls_of_transformers(
    q_lens: tuple[int, ...], k_lens: tuple[int, ...], longest: tuple[Any, Any], dtype: torch.dtype
) -> None:
    q = draw(sum(q_lens), 4, HEAD_DIM, dtype=dtype)
    k, v = (draw(sum(k_lens), 2, HEAD_DIM, dtype=dtype) for _ in "kv")
    cu_q, cu_k = offsets(q_lens), offsets(k_lens)
    out, lse, _ = flash_attn_varlen_func(
        q, k, v, cu_q, cu_k, *longest, causal=True, window_size=(6, 6), return_attn_probs=True
    )
    assert (out.shape, lse.shape) == (q.shape, (4, sum(q_lens)))
    options = Options(SCALE, True, (6, 6))
    assert_attention(unpacked(q_lens, k_lens, out, lse, q, k, v), options)
    wide = flash_attn_varlen_func(
        q, k, v, cu_q.long(), cu_k.long(), *longest, causal=True, window_size=(6, 6)
    )
    assert torch.equal(wide, out)


BOTH = {"prefill", "decode"}


@pytest.mark.parametrize(
    ("longest", "families"),
    [(1, {"decode"}), (16, {"decode"}), (17, BOTH), (0, BOTH), (scalar(1), BOTH)],
)
@pytest.mark.parametrize("q_lens", [(1,) * 20, (19, 1)])
def test_a_small_int_as_max_seqlen_q_saves_a_launch_and_changes_nothing(
    launched: list[str], q_lens: tuple[int, ...], longest: Any, families: set[str]
) -> None:
    """Nor if it is wrong, as where one sequence has 19 rows."""
    k_lens = (20,) * len(q_lens)
    q = draw(sum(q_lens), 4, HEAD_DIM)
    k, v = (draw(sum(k_lens), 2, HEAD_DIM) for _ in "kv")
    out, lse, _ = flash_attn_varlen_func(
        *(q, k, v, offsets(q_lens), offsets(k_lens), longest, 20), return_attn_probs=True
    )
    assert_attention(unpacked(q_lens, k_lens, out, lse, q, k, v), Options(SCALE))
    assert {name.split("_")[0] for name in launched} - {"combine"} == families


def test_lengths_that_are_not_decoded_share_a_plan() -> None:
    q = draw(40, 4, HEAD_DIM)
    known = []
    for longest in (17, 40, 999):
        flash_attn_varlen_func(q, q, q, offsets((40,)), offsets((40,)), longest, 40)
        known.append(call._planned.cache_info().misses)
    assert len(set(known)) == 1


@pytest.mark.parametrize(
    "slopes", [(0.5, -0.1, 0.03, 0.0), (0.5, 0.2, 0.1, 0.0, 1.0, 2.0, 0.3, 0.7)]
)
def test_alibi(slopes: tuple[float, ...]) -> None:
    alibi = torch.tensor(slopes) if len(slopes) == 4 else torch.tensor(slopes).view(4, 2).T
    q, k, v = contiguous(torch.float32)
    out, lse, _ = flash_attn_func(
        q, k[:, :15], v[:, :15], softcap=3.0, alibi_slopes=alibi, return_attn_probs=True
    )
    options = Options(SCALE, softcap=3.0)
    assert_attention(unpadded(out, lse, q, k[:, :15], v[:, :15]), options, slopes=alibi)

    lengths = (12, 8)
    out, lse, _ = flash_attn_varlen_func(
        *(q[0], k[0], v[0], offsets(lengths), offsets(lengths), 12, 12),
        alibi_slopes=alibi,
        return_attn_probs=True,
    )
    sequences = unpacked(lengths, lengths, out, lse, q[0], k[0], v[0])
    assert_attention(sequences, Options(SCALE), slopes=alibi)


CAPS = (checks.LEAST_SOFTCAP, 1e-30, 1e-3, 1e6, checks.MOST_SOFTCAP)


@pytest.mark.parametrize("q_len", [1, 20])
@pytest.mark.parametrize("softcap", CAPS)
def test_every_softcap_that_is_accepted_caps(softcap: float, q_len: int) -> None:
    q, k, v = contiguous(torch.float32)
    q = q[:, :q_len]
    out, lse, _ = flash_attn_func(q, k, v, softcap=softcap, return_attn_probs=True)
    assert_attention(unpadded(out, lse, q, k, v), Options(SCALE, softcap=softcap))


@pytest.mark.parametrize("q_len", [1, 20])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scale", [0.0, 1e-45, 1e-38, 1e20, checks.MOST_SCALE])
def test_every_scale_that_is_accepted_scales(scale: float, sign: int, q_len: int) -> None:
    """Queries and keys bring the scores back to where they usually are."""
    q, k, v = contiguous(torch.float32)
    q = q[:, :q_len] / max(scale, 1.0)
    out, lse, _ = flash_attn_func(q, k, v, softmax_scale=sign * scale, return_attn_probs=True)
    # The reference multiplies q and k by the scale's root, which is why q may be this small.
    assert_attention(unpadded(out, lse, q, k, v), Options(sign * scale))


def test_the_bounds_are_the_kernels() -> None:
    """A score of 1 under the largest scale lies within what the kernels take for a logit."""
    source = BUILT_IN.path("prefill_float32_d32.metal").read_text()
    log2_e, least_max, masked = (
        float(re.search(rf"float {name} = (.*?)f?;", source)[1])  # type: ignore[index]
        for name in ("LOG2_E", "LEAST_MAX", "MASKED")
    )
    largest = checks.MOST_SCALE * log2_e
    assert largest <= -least_max
    assert masked < 2 * least_max  # so that its weight is 0 whatever the maximum
    # A capped score that a GPU takes for 0 changes its logit by less than float32 rounds one of 1.
    assert checks.MOST_SOFTCAP * checks.LEAST_SOFTCAP <= 2.0**-24


@pytest.mark.parametrize("contiguous_out", [True, False])
def test_the_function_of_earlier_versions(contiguous_out: bool) -> None:
    """Its softcapping of 1.0 is off; out is written in place whatever its strides."""
    q, k, v = (t[0] for t in contiguous(torch.float32))
    lengths = offsets((12, 8))
    sinks = torch.tensor([0.5, -1.5, 2.0, 0.0])
    shape = (20, 4, HEAD_DIM) if contiguous_out else (HEAD_DIM, 4, 20)
    out = torch.full(shape, torch.nan)
    out = out if contiguous_out else out.permute(2, 1, 0)
    for softcapping, softcap in ((1.0, 0.0), (0.0, 0.0), (1.5, 1.5)):
        options = {"s_aux": sinks, "window_size": (6, 2)}
        flash_attention_varlen(
            *(out, q, k, v, lengths, lengths, 12, 12, True, 0.3, softcapping), **options
        )
        want = flash_attn_varlen_func(
            *(q, k, v, lengths, lengths, 12, 12),
            **{"causal": True, "softmax_scale": 0.3, "softcap": softcap, **options},
        )
        assert torch.equal(out, want)


def test_defaults_of_the_function_of_earlier_versions() -> None:
    q, k, v = (t[0] for t in contiguous(torch.float32))
    lengths = offsets((12, 8))
    out = torch.empty_like(q)
    flash_attention_varlen(out, q, k, v, lengths, lengths, 12, 12)
    assert torch.equal(out, flash_attn_varlen_func(q, k, v, lengths, lengths, 12, 12))


def test_nothing_to_do() -> None:
    q, k, v = contiguous(torch.float32)
    out, lse, _ = flash_attn_func(q[:, :0], k, v, return_attn_probs=True)
    assert (out.shape, lse.shape) == ((2, 0, 4, HEAD_DIM), (2, 4, 0))
    out, lse, _ = flash_attn_func(q, k[:, :0], v[:, :0], return_attn_probs=True)
    assert (out == 0).all()
    assert (lse == -torch.inf).all()


FLASH_ATTN = (  # flash-attn 2.8
    "dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0, "
    "alibi_slopes=None, deterministic=False, return_attn_probs=False"
)
SDPA = (  # torch's
    "query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, "
    "enable_gqa=False"
)
SIGNATURES = {
    "flash_attn_func": f"q, k, v, {FLASH_ATTN}, s_aux=None, attn_mask=None",
    "flash_attn_varlen_func": (
        "q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, "
        f"{FLASH_ATTN}, block_table=None, s_aux=None"
    ),
    "flash_attn_with_kvcache": (
        "q, k_cache, v_cache, k=None, v=None, rotary_cos=None, rotary_sin=None, "
        "cache_seqlens=None, cache_batch_idx=None, cache_leftpad=None, block_table=None, "
        "softmax_scale=None, causal=False, window_size=(-1, -1), softcap=0.0, "
        "rotary_interleaved=True, alibi_slopes=None, num_splits=0, return_softmax_lse=False, "
        "s_aux=None, attn_mask=None"
    ),
    "flash_attn_qkvpacked_func": f"qkv, {FLASH_ATTN}, s_aux=None, attn_mask=None",
    "flash_attn_kvpacked_func": f"q, kv, {FLASH_ATTN}, s_aux=None, attn_mask=None",
    "flash_attn_varlen_qkvpacked_func": f"qkv, cu_seqlens, max_seqlen, {FLASH_ATTN}, s_aux=None",
    "flash_attn_varlen_kvpacked_func": (
        f"q, kv, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, {FLASH_ATTN}, s_aux=None"
    ),
    "explain": SDPA,
    "install_as_flash_attn": "",
    "register_with_transformers": "name='metal_attention'",
    "replace_sdpa": "device='mps'",
    "scaled_dot_product_attention": SDPA,
    "flash_attention_varlen": (
        "out, query, key, value, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, "
        "do_causal=False, scale=None, softcapping=1.0, s_aux=None, window_size=(-1, -1)"
    ),
}


def test_signatures() -> None:
    """Callers read them: what is not named is not passed, silently."""
    assert sorted(SIGNATURES) == package.__all__
    for name, signature in SIGNATURES.items():
        function = getattr(package, name)
        assert inspect.isfunction(function)
        parameters = inspect.signature(function).parameters.values()
        plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
        assert ", ".join(map(str, plain)) == signature


class Watch(TorchDispatchMode):  # type: ignore[misc]
    """Lists the copies that torch makes, and refuses to read a tensor's content back."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = str(function)
        assert "_local_scalar_dense" not in name, "the GPU would have to be waited for"
        if "clone" in name or "copy" in name:
            self.copies.append(name)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watches a call down to the launch: no mode reaches into an op, so the op is left out."""
    monkeypatch.setattr(ops, "forward", ops.forward._init_fn)
    with Watch() as watch:
        yield watch


def test_nothing_is_read_back_or_copied(watch: Watch) -> None:
    q, k, v = transposed(torch.float16)
    sinks, slopes = torch.zeros(4), torch.zeros(4, 2).T
    longest = scalar(12)
    lengths = offsets((12, 8))
    watch.copies.clear()
    options = {"causal": True, "window_size": (4, 4), "s_aux": sinks, "alibi_slopes": slopes}
    flash_attn_func(q, k, v, **options)
    flash_attn_varlen_func(q[0], k[0], v[0], lengths, lengths, longest, longest, **options)
    assert not watch.copies


def test_reading_back_would_be_noticed(watch: Watch) -> None:
    with pytest.raises(AssertionError, match="waited for"):
        scalar(12).item()


def test_only_a_last_stride_other_than_1_is_copied(watch: Watch) -> None:
    q, k, v = contiguous(torch.float32)
    strided = torch.empty(*k.shape[:3], 2 * HEAD_DIM)[..., ::2].copy_(k)
    watch.copies.clear()
    out = flash_attn_func(q, strided, v)
    assert watch.copies == ["aten.clone.default"]
    assert torch.equal(out, flash_attn_func(q, k, v))


BIG = 2**31 - 1
OFFSETS = {
    "decreasing": (0, 12, 5, 20),
    "past the end": (0, 12, 500, BIG),
    "negative": (-BIG, -3, 12, 20),
    "backwards": (20, 12, 5, 0),
    "again and again": (0, 20, 0, 20),
    "nothing": (7, 7, 7, 7),
    "backwards, then on": (12, 5, 5, 20),
}
OVERLAPPING = {"decreasing", "again and again"}  # two sequences write one row: a race, rightly


@pytest.mark.parametrize("of_keys", OFFSETS)
@pytest.mark.parametrize("of_queries", OFFSETS)
def test_wrong_offsets_stay_within_the_tensors(of_queries: str, of_keys: str) -> None:
    """Everything around the tensors is NaN: none is read, none is overwritten."""
    arenas = {
        name: Arena((1, 20, heads, HEAD_DIM), torch.float16, "contiguous", "cpu", True)
        for name, heads in (("q", 4), ("k", 2), ("v", 2), ("out", 4))
    }
    for name, arena in arenas.items():
        arena.fill(torch.zeros(arena.view.shape) if name == "out" else draw(*arena.view.shape))
    around = (BIG, -BIG)  # read as an offset, it would be noticed
    cu_q, cu_k = (
        torch.tensor([*around, *OFFSETS[name], *around], dtype=torch.int32)[2:-2]
        for name in (of_queries, of_keys)
    )
    out, q, k, v = (arenas[name].view for name in ("out", "q", "k", "v"))
    flash_attention_varlen(out, q, k, v, cu_q, cu_k, 20, 20, True)
    assert out.isfinite().all()
    assert arenas["out"].damage() == 0


def with_wrong_offsets(of_queries: str, of_keys: str) -> None:
    """One packed call; every tensor has exactly the memory that it needs."""
    q, k, v = (draw(20, heads, HEAD_DIM, dtype=torch.float16) for heads in (4, 2, 2))
    cu_q, cu_k = (torch.tensor(OFFSETS[name], dtype=torch.int32) for name in (of_queries, of_keys))
    flash_attn_varlen_func(q, k, v, cu_q, cu_k, 20, 20, causal=True)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator watches every access of every kernel."""
    monkeypatch.setattr(
        emulator.Kernel, "launch", partialmethod(emulator.Kernel.launch, check=True)
    )


@pytest.mark.parametrize("of_keys", OFFSETS)
@pytest.mark.parametrize("of_queries", [name for name in OFFSETS if name not in OVERLAPPING])
def test_wrong_offsets_lead_to_no_stray_access(
    checked: None, of_queries: str, of_keys: str
) -> None:
    with_wrong_offsets(of_queries, of_keys)


@pytest.mark.parametrize(
    ("of_queries", "of_keys"), [("negative", "nothing"), ("backwards, then on", "past the end")]
)
def test_without_the_clamp_stray_accesses_are_found(
    checked: None, monkeypatch: pytest.MonkeyPatch, of_queries: str, of_keys: str
) -> None:
    def without_clamp(catalogue: Catalogue, file: str, name: str) -> emulator.Kernel:
        source = catalogue.path(file).read_text()
        believed = source.replace("clamp(cu_seqlens_q[i], 0, call.q_len)", "cu_seqlens_q[i]")
        believed = believed.replace("clamp(k_begin[batch], 0, call.k_len)", "k_begin[batch]")
        believed = believed.replace("min(k_end[batch], call.k_len)", "k_end[batch]")
        believed = believed.replace("call.appended, call.k_len)", "call.appended, 1 << 30)")
        assert believed != source
        return emulator.compile(believed).function(name)

    monkeypatch.setattr(launcher, "_kernel", without_clamp)
    with pytest.raises(emulator.BoundsError):
        with_wrong_offsets(of_queries, of_keys)
