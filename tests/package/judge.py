"""Whether what the package returned is attention: every sequence against float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from verify.reference import Options, attention, compare, lse_tolerance, plain_attention
from verify.run import compare_lse


def rows(lengths: Sequence[int]) -> Iterator[slice]:
    """The rows of each sequence of a packed batch."""
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length


def unpadded(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The sequences of padded tensors."""
    return zip(*tensors)


def unpacked(
    q_lens: Sequence[int], k_lens: Sequence[int], out: Tensor, lse: Tensor, *qkv: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """The sequences of packed tensors: out, lse, q, k, v of each."""
    q, k, v = qkv
    for at, keys in zip(rows(q_lens), rows(k_lens)):
        yield out[at], lse[:, at], q[at], k[keys], v[keys]


def assert_attention(
    sequences: Iterator[tuple[Tensor, ...]],
    options: Options,
    sinks: Tensor | None = None,
    slopes: Tensor | None = None,
) -> None:
    """Each sequence is (out, lse, q, k, v); slopes are (heads,) or (batch, heads)."""
    count = 0
    for b, (out, lse, q, k, v) in enumerate(sequences):
        of_sequence = slopes[b] if slopes is not None and slopes.dim() == 2 else slopes
        given = (q, k, v, options, sinks, of_sequence)
        want, want_lse = attention(*given, dtype=torch.float64)
        error = compare(out, want, plain_attention(*given), q.dtype)
        assert error.ok, (b, error)
        allowed = lse_tolerance(q, k, options, want_lse, of_sequence)
        assert lse.dtype == torch.float32
        assert compare_lse(lse, want_lse, allowed).ok, (b, compare_lse(lse, want_lse, allowed))
        count += 1
    assert count
