"""A case's tensors, one sequence after the other."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from verify.cache import Cache
from verify.case import Case
from verify.dropout import kept

OF_QUERIES = ("q", "out", "grad_out", "grad_q")  # a row for each query
OF_KEYS = ("k", "v", "grad_k", "grad_v")
OF_ROWS = ("lse", "grad_lse", "row_lse", "row_delta")  # a number for each query and head


def sequences(case: Case, tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Each sequence of a case on its own: its rows of each tensor, on the CPU.

    Those of queries and keys are (len, heads, dim), numbers for each query (heads, len); and, if
    the case has any, slopes (heads,); with dropout also what its weights are multiplied by,
    dropout_scale (heads, q_len, k_len), in float64, and with a mask tensor what it adds to the
    scores, bias (heads, q_len, k_len).
    """
    q_start = k_start = 0
    cache, shape = Cache.of(case), case.shape
    queries, keys, numbers = (
        [name for name in names if name in tensors] for names in (OF_QUERIES, OF_KEYS, OF_ROWS)
    )
    for b, (q_len, k_len) in enumerate(zip(shape.q_lens, shape.k_lens)):
        if shape.packed:
            q_rows, k_rows = slice(q_start, q_start + q_len), slice(k_start, k_start + k_len)
            parts = {name: tensors[name][q_rows] for name in queries}
            parts |= {name: tensors[name][k_rows] for name in keys if cache is None}
            parts |= {name: tensors[name][:, q_rows] for name in numbers}
            q_start, k_start = q_start + q_len, k_start + k_len
        else:
            parts = {name: tensors[name][b] for name in (*queries, *numbers)}
            parts |= {name: tensors[name][b] for name in keys if cache is None}
        if cache is not None:
            parts |= {name: tensors[name][cache.rows(b)] for name in keys}
        if "alibi_slopes" in tensors:
            parts["slopes"] = tensors["alibi_slopes"].broadcast_to(shape.batch, -1)[b]
        if "bias" in tensors:
            parts["bias"] = tensors["bias"][b, :, :q_len, :k_len]
        if "dropout_seed" in tensors:
            dropout_p = case.scores.dropout_p
            of_sequence = (b, shape.heads, q_len, k_len)
            keeps = kept(*of_sequence, tensors["dropout_seed"].cpu(), dropout_p)
            parts["dropout_scale"] = keeps.to(torch.float64) / (1 - dropout_p)
        yield {name: part.cpu() for name, part in parts.items()}
