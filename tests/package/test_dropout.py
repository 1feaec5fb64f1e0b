"""Dropout: the same weights are dropped forward and backward, and they are those of Philox."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from metal_flash_sdpa import call, keys
from metal_flash_sdpa.call import Options
from torch import Tensor

from verify import dropout as verify_dropout


def kept(shape: tuple[int, int, int, int], seed: Tensor, dropout_p: float) -> Tensor:
    """Which weights of (batch, heads, q_len, k_len) are kept."""
    batch, heads, q_len, k_len = shape
    masks = [verify_dropout.kept(b, heads, q_len, k_len, seed, dropout_p) for b in range(batch)]
    return torch.stack(masks)


def test_philox_gives_the_known_answers() -> None:
    """Of Random123's list of known answers, those of 7 rounds."""
    zero = np.zeros(1, np.uint64)
    words = verify_dropout.philox((zero, zero, zero, zero), (0, 0))
    assert [int(word[0]) for word in words] == [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]


def reference(
    q: Tensor, k: Tensor, v: Tensor, grad_out: Tensor, keep: Tensor, dropout_p: float, causal: bool
) -> list[Tensor]:
    """Out and the gradients of q, k and v in float64."""
    q, k, v = (x.double().requires_grad_() for x in (q, k, v))
    group = q.shape[2] // k.shape[2]
    wide_k, wide_v = (x.repeat_interleave(group, 2) for x in (k, v))
    scores = torch.einsum("bihd,bjhd->bhij", q, wide_k) * q.shape[-1] ** -0.5
    if causal:
        i = torch.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1]
        scores = scores.masked_fill(torch.arange(k.shape[1]) > i, -torch.inf)
    weights = scores.softmax(-1) * keep / (1 - dropout_p)
    out = torch.einsum("bhij,bjhd->bihd", weights, wide_v)
    return [out.detach(), *torch.autograd.grad((out * grad_out).sum(), (q, k, v))]


@pytest.mark.parametrize(
    ("head_dim", "dtype", "causal", "dropout_p"),
    [
        (32, torch.float32, False, 0.2),
        (32, torch.float16, True, 0.1),
        (128, torch.float32, True, 0.5),  # two kernels compute the gradients of k and v
    ],
)
def test_forward_and_backward_drop_what_philox_says(
    head_dim: int, dtype: torch.dtype, causal: bool, dropout_p: float
) -> None:
    torch.manual_seed(0)
    batch, q_len, k_len, heads, kv_heads = 2, 37, 50, 4, 2
    q, grad_out = (torch.randn(batch, q_len, heads, head_dim).to(dtype) for _ in range(2))
    k, v = (torch.randn(batch, k_len, kv_heads, head_dim).to(dtype) for _ in range(2))
    seed = torch.randint(-(2**31), 2**31 - 1, (2,), dtype=torch.int32)
    options = Options(causal=causal, dropout_p=dropout_p, dropout_seed=seed)
    out, lse = torch.empty_like(q), torch.empty(batch, heads, q_len)
    call.attend(out, lse, q, k, v, options)
    gradients = [torch.empty_like(x) for x in (q, k, v)]
    call.differentiate(
        grad_out=grad_out,
        grad_lse=None,
        q=q,
        k=k,
        v=v,
        out=out,
        lse=lse,
        options=options,
        cu_seqlens_q=None,
        keys=keys.ALL_ROWS,
        grad_q=gradients[0],
        grad_k=gradients[1],
        grad_v=gradients[2],
        wants_sinks=False,
    )
    keep = kept((batch, heads, q_len, k_len), seed, dropout_p)
    wanted = reference(q, k, v, grad_out, keep, dropout_p, causal)
    # A weight that is dropped on one side only would be off by some hundredths.
    allowed = 1e-5 if dtype == torch.float32 else 1e-2
    for actual, right in zip((out, *gradients), wanted, strict=True):
        assert (actual - right).abs().max() < allowed


@pytest.mark.parametrize("dropout_p", [0.01, 0.17, 0.9])
def test_the_kept_are_as_many_as_asked_for(dropout_p: float) -> None:
    """With v = 1 and k = 0 out counts the weights that are kept."""
    q_len, k_len, heads = 64, 512, 4
    q, k = torch.zeros(1, q_len, heads, 32), torch.zeros(1, k_len, heads, 32)
    seed = torch.tensor([3, 4], dtype=torch.int32)
    out = torch.empty_like(q)
    call.attend(
        out, None, q, k, torch.ones_like(k), Options(dropout_p=dropout_p, dropout_seed=seed)
    )
    counts = (out[0, :, :, 0] * (1 - dropout_p) * k_len).double()
    assert (counts - counts.round()).abs().max() < 1e-3
    # 5 standard deviations of a binomial distribution, of all of them and of the variance by rows
    n = counts.numel() * k_len
    sigma = (n * dropout_p * (1 - dropout_p)) ** 0.5
    assert abs(counts.sum() - n * (1 - dropout_p)) < 5 * sigma
    variance = k_len * dropout_p * (1 - dropout_p)
    assert abs(counts.var() / variance - 1) < 5 * (2 / counts.numel()) ** 0.5
    assert len(set(counts[:, 0].tolist())) > 1
    assert not torch.equal(counts[:, 0], counts[:, 1])  # heads drop others
