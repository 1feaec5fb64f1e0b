"""A shader that nobody here wrote, unmodified: PyTorch's prefill attention from the torch wheel."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import emulator

INCLUDE = Path(torch.__file__).parent / "include"
SHADER = "ATen/native/mps/kernels/PrefillAttention.h"
# What PyTorch's own Attention.metal includes before it.
SOURCE = f"""
#include <metal_stdlib>
#include <metal_simdgroup>
#include <metal_simdgroup_matrix>
#include <c10/metal/utils.h>
using namespace metal;
#include <{SHADER}>
"""
TILES = {256: (16, 8, 2), 128: (32, 16, 4), 96: (32, 32, 4), 72: (32, 32, 4), 64: (32, 32, 4)}

pytestmark = pytest.mark.skipif(
    not (INCLUDE / SHADER).exists(), reason=f"this torch has no {SHADER}"
)


@pytest.fixture(scope="module")
def library() -> emulator.Library:
    return emulator.compile(SOURCE, include=[INCLUDE])


def test_all_its_kernels_are_found(library: emulator.Library) -> None:
    assert len(library.kernels) == 126


@pytest.mark.parametrize(
    ("dtype", "head_dim", "causal", "mask"),
    [
        (torch.float16, 64, False, None),
        (torch.bfloat16, 64, True, None),
        (torch.float32, 72, False, None),
        (torch.float16, 128, True, "float16"),
        (torch.float32, 96, False, "bool_"),
        (torch.bfloat16, 256, False, "bfloat16"),
    ],
)
def test_prefill_attention(
    library: emulator.Library, dtype: torch.dtype, head_dim: int, causal: bool, mask: str | None
) -> None:
    torch.manual_seed(0)
    batch, heads, kv_heads, q_len, k_len = 2, 4, 2, 45, 77
    q = torch.randn(batch, heads, q_len, head_dim).to(dtype)
    k, v = (torch.randn(batch, kv_heads, k_len, head_dim).to(dtype) for _ in range(2))
    bias = torch.zeros(batch, heads, q_len, k_len)
    if mask is not None:
        bias = torch.randn_like(bias).to(dtype).float()
    given = bias > 0 if mask == "bool_" else bias.to(dtype)
    if mask == "bool_":
        bias = torch.zeros_like(bias).masked_fill(~given, -torch.inf)
    if causal:
        hidden = torch.ones(q_len, k_len).triu(1).bool()
        bias = bias.masked_fill(hidden, -torch.inf)
    expected = torch.nn.functional.scaled_dot_product_attention(
        q.double(), k.double(), v.double(), attn_mask=bias.double(), enable_gqa=True
    )

    block_q, block_k, simdgroups = TILES[head_dim]
    type_name = str(dtype).removeprefix("torch.")
    name = (
        f"prefill_attention_{type_name}_bq{block_q}_bk{block_k}_bd{head_dim}_wm{simdgroups}_wn1"
        f"_hm{int(mask is not None)}_dc{int(causal)}_mask{mask or type_name}"
    )
    out = torch.full_like(q, torch.nan)
    sizes = [batch, heads, head_dim, q_len, k_len, heads // kv_heads]
    strides = [s for x in (q, k, v, out) for s in x.stride()[:3]]
    floats = np.array([head_dim**-0.5, 1.0], np.float32)
    params = (
        np.array(sizes, np.int32).tobytes()
        + floats.tobytes()
        + np.array(strides, np.int32).tobytes()
    )
    kernel = library.function(name)
    assert kernel.max_threads == simdgroups * 32
    args = [q, k, v, out, params, np.array(given.stride(), np.int32), given]
    grid = (-(-q_len // block_q), heads, batch)
    kernel.launch(args, threadgroups=grid, threads=simdgroups * 32)
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 2e-6}[dtype]
    assert (out.double() - expected).abs().max() < tolerance

    computed = out.clone()
    report = kernel.launch(args, threadgroups=grid, threads=simdgroups * 32, count=True)
    assert torch.equal(out, computed)
    if not causal:
        blocks = math.prod(grid) * -(-k_len // block_k)
        products = blocks * 2 * (block_q // 8) * (block_k // 8) * (head_dim // 8)
        assert report.counts["products.float*float+float"] == products
