"""torch.nn.attention.varlen.varlen_attn on these kernels: what torch documents of it, each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from metal_flash_sdpa import varlen
from torch import Tensor
from torch.nn import attention as slots
from torch.nn.attention.varlen import AuxRequest, varlen_attn, varlen_attn_out

from tests.package.judge import assert_attention, unpacked
from verify.reference import Options

Q_LENS, K_LENS, HEADS, D = (20, 1, 33), (20, 40, 33), 4, 32
PAGE = 16


@pytest.fixture(autouse=True)
def active() -> Iterator[None]:
    """The implementation, active for tensors on the CPU."""
    varlen.register("METAL on cpu", "cpu")
    slots.activate_flash_attention_impl("METAL on cpu")
    yield
    slots.restore_flash_attention_impl(_raise_warn=False)


def offsets(lengths: tuple[int, ...]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def draw(kv_heads: int = HEADS, columns: int = D, dtype: Any = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = ((sum(Q_LENS), HEADS), (sum(K_LENS), kv_heads), (sum(K_LENS), kv_heads))
    return [
        torch.randn(*shape, columns, generator=generator).to(dtype).requires_grad_()
        for shape in rows
    ]


LENGTHS = (offsets(Q_LENS), offsets(K_LENS), max(Q_LENS), max(K_LENS))
LSE = AuxRequest(lse=True)


def assert_attends(
    results: tuple[Tensor, Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_lens: tuple[int, ...] = K_LENS,
    scale: float = D**-0.5,
    window: tuple[int, int] = (-1, -1),
) -> None:
    out, lse = (x.detach() for x in results)
    tensors = (x.detach() for x in (q, k, v))
    assert_attention(
        unpacked(Q_LENS, k_lens, out, lse, *tensors), Options(scale, window_size=window)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_full(dtype: torch.dtype, launched: list[str]) -> None:
    q, k, v = draw(dtype=dtype)
    assert_attends(varlen_attn(q, k, v, *LENGTHS, return_aux=LSE), q, k, v)
    assert launched


def test_out_alone() -> None:
    q, k, v = draw()
    out = varlen_attn(q, k, v, *LENGTHS)
    assert torch.equal(out, varlen_attn(q, k, v, *LENGTHS, return_aux=LSE)[0])
    assert torch.equal(out, varlen_attn(q, k, v, *LENGTHS, return_aux=AuxRequest()))


@pytest.mark.parametrize("window", [(-1, 0), (7, 0), (3, 5), (-1, 2), (0, 0)])
def test_window_size(window: tuple[int, int]) -> None:
    """(-1, 0) is causal, and where lengths differ the last query stands at the last key."""
    q, k, v = draw()
    results = varlen_attn(q, k, v, *LENGTHS, window_size=window, return_aux=LSE)
    assert_attends(results, q, k, v, window=window)


def test_scale() -> None:
    q, k, v = draw()
    results = varlen_attn(q, k, v, *LENGTHS, scale=0.5, return_aux=LSE)
    assert_attends(results, q, k, v, scale=0.5)


def test_enable_gqa() -> None:
    q, k, v = draw(kv_heads=2)
    results = varlen_attn(q, k, v, *LENGTHS, enable_gqa=True, return_aux=LSE)
    assert_attends(results, q, k, v)
    with pytest.raises(ValueError, match="same number of heads"):
        varlen_attn(q, k, v, *LENGTHS)


def gradients(function: Any, tensors: list[Tensor], *arguments: Any, **options: Any) -> Any:
    out = function(*tensors, *arguments, **options)
    weights = torch.linspace(-1, 1, out.numel()).reshape(out.shape).to(out.dtype)
    return torch.autograd.grad(out, tensors, weights)


@pytest.mark.parametrize("columns", [D, 24])  # the second is padded
@pytest.mark.parametrize("window", [(-1, -1), (-1, 0), (7, 3)])
def test_gradients(window: tuple[int, int], columns: int) -> None:
    """Those of flash_attn_varlen_func, which are compared with float64 elsewhere."""
    from metal_flash_sdpa import flash_attn_varlen_func

    tensors = draw(kv_heads=2, columns=columns)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "head_dim 24 has no kernels of its own")
        got = gradients(varlen_attn, tensors, *LENGTHS, window_size=window, enable_gqa=True)
        want = gradients(flash_attn_varlen_func, tensors, *LENGTHS, window_size=window)
    assert [x.shape for x in got] == [x.shape for x in tensors]
    assert all(map(torch.equal, got, want))


def test_compiled(launched: list[str]) -> None:
    tensors = draw()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.compile's own
        torch._dynamo.reset()
        compiled = torch.compile(varlen_attn, fullgraph=True, backend="aot_eager")
        got = gradients(compiled, tensors, *LENGTHS, window_size=(-1, 0))
        torch._dynamo.reset()
    assert launched
    assert all(
        map(torch.equal, got, gradients(varlen_attn, tensors, *LENGTHS, window_size=(-1, 0)))
    )


USED = (13, 37, 1)  # of the keys of each sequence


def of_keys(tensor: Tensor, used: tuple[int, ...]) -> Tensor:
    """The rows of K or V of which the first so many of each sequence are used."""
    parts = tensor.detach().split(K_LENS)
    return torch.cat([part[:length] for part, length in zip(parts, used)])


@pytest.mark.parametrize("window", [(-1, -1), (-1, 0)])
def test_seqused_k(window: tuple[int, int]) -> None:
    q, k, v = (x.detach() for x in draw())
    used = torch.tensor(USED, dtype=torch.int32)
    results = varlen_attn(q, k, v, *LENGTHS, seqused_k=used, window_size=window, return_aux=LSE)
    kept = of_keys(k, USED), of_keys(v, USED)
    assert_attends(results, q, *kept, k_lens=USED, window=window)


def paged(tensor: Tensor, table: Tensor, used: tuple[int, ...]) -> Tensor:
    """Pages that hold the first rows of each sequence where the table says; NaN elsewhere."""
    pages = torch.full((int(table.max()) + 1, PAGE, *tensor.shape[1:]), torch.nan)
    for row, part, length in zip(table, tensor.split(K_LENS), used):
        for j in range(length):
            pages[row[j // PAGE], j % PAGE] = part[j]
    return pages


TABLE = torch.tensor([[5, 2, 0], [1, 7, 3], [4, 6, 0]], dtype=torch.int32)


@pytest.mark.parametrize("given", ["cu_seq_k", "none"])
def test_block_table(given: str) -> None:
    q, k, v = (x.detach() for x in draw())
    pages = paged(k, TABLE, USED), paged(v, TABLE, USED)
    cu_seq_k = offsets(USED) if given == "cu_seq_k" else None
    results = varlen_attn(
        *(q, *pages, LENGTHS[0], cu_seq_k, max(Q_LENS), max(USED)),
        seqused_k=torch.tensor(USED, dtype=torch.int32),
        block_table=TABLE,
        return_aux=LSE,
    )
    assert_attends(results, q, of_keys(k, USED), of_keys(v, USED), k_lens=USED)


def test_num_splits(launched: list[str]) -> None:
    """With 1 the bits of a sequence do not depend on those beside it."""
    generator = torch.Generator().manual_seed(0)
    k, v = (torch.randn(1200, HEADS, D, generator=generator) for _ in "kv")
    q = torch.randn(2, HEADS, D, generator=generator)
    both = varlen_attn(q, k, v, offsets((1, 1)), offsets((700, 500)), 1, 700, num_splits=1)
    assert not any(name.startswith("combine") for name in launched)
    alone = varlen_attn(
        q[:1], k[:700], v[:700], offsets((1,)), offsets((700,)), 1, 700, num_splits=1
    )
    assert torch.equal(both[:1], alone)
    split = varlen_attn(q, k, v, offsets((1, 1)), offsets((700, 500)), 1, 700, num_splits=3)
    assert any(name.startswith("combine") for name in launched)
    torch.testing.assert_close(split, both)


def test_out_variant() -> None:
    q, k, v = (x.detach() for x in draw())
    want = varlen_attn(q, k, v, *LENGTHS, return_aux=LSE)
    out = torch.full_like(q, torch.nan)
    got, lse = varlen_attn_out(out, q, k, v, *LENGTHS, return_aux=LSE)
    assert got is out
    assert torch.equal(out, want[0])
    assert torch.equal(lse, want[1])
    apart = torch.full((*q.shape[:-1], 2 * D), torch.nan)[..., ::2]  # a last stride of 2
    varlen_attn_out(apart, q, k, v, *LENGTHS)
    assert torch.equal(apart, want[0])


def test_what_is_for_inference_has_no_gradients() -> None:
    used = torch.tensor(USED, dtype=torch.int32)
    with pytest.raises(RuntimeError, match="inference-only"):
        varlen_attn(*draw(), *LENGTHS, seqused_k=used)


def test_bad_input_is_named() -> None:
    q, k, v = (x.detach() for x in draw())
    used = torch.tensor(USED, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"seqused_k has shape \(2,\): must be \(batch,\)"):
        varlen_attn(q, k, v, *LENGTHS, seqused_k=used[:2])
    with pytest.raises(ValueError, match="num_splits is 1000"):
        varlen_attn(q, k, v, *LENGTHS, num_splits=1000)
    with pytest.raises(TypeError, match="query is torch.float64"):
        varlen_attn(q.double(), k.double(), v.double(), *LENGTHS)
    with pytest.raises(ValueError, match="seqused_k are None: must have one with block_table"):
        varlen_attn(
            q, *[k[:48].view(3, 16, HEADS, D)] * 2, LENGTHS[0], None, 33, 40, block_table=TABLE
        )
    with pytest.raises(NotImplementedError, match="dropout_p is 0.5"):
        torch.ops.aten._flash_attention_forward(q, k, v, *LENGTHS, 0.5, False, False)


def test_it_is_registered_by_name_and_active_only_when_asked_for() -> None:
    assert "METAL" in slots.list_flash_attention_impls()
    assert slots.current_flash_attention_impl() == "METAL on cpu"
    slots.activate_flash_attention_impl("METAL")  # for "mps", in place of the other
    assert slots.current_flash_attention_impl() == "METAL"
    with pytest.raises(NotImplementedError, match="_flash_attention_forward"):
        varlen_attn(*draw(), *LENGTHS)
    slots.activate_flash_attention_impl("METAL on cpu")
    varlen_attn(*draw(), *LENGTHS)
    slots.restore_flash_attention_impl()
    assert slots.current_flash_attention_impl() is None
    with pytest.raises(NotImplementedError, match="_flash_attention_forward"):
        varlen_attn(*draw(), *LENGTHS)


def test_an_old_torch_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(slots, "register_flash_attention_impl")
    assert not varlen.has_slot()
    with pytest.raises(RuntimeError, match=r"has no .*register_flash.*flash_attn_varlen_func"):
        varlen.register()
