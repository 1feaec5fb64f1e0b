"""What is not read or computed because a mask hides it, counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from metal_flash_sdpa import call, launchers
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import LaunchPlan, Request, plan
from torch import Tensor

from emulator.counting.counts import Counts
from tests.package.test_plan import BASE

HEADS, HEAD_DIM = 2, 32


def counted(q_len: int, k_len: int, mask: Tensor | None) -> tuple[Tensor, list[Counts]]:
    """The output of one call, and the counts of each of its launches."""
    generator = torch.Generator().manual_seed(k_len)
    shapes = ((q_len, HEADS), (k_len, HEADS), (k_len, HEADS))
    q, k, v = (torch.randn(1, rows, heads, HEAD_DIM, generator=generator) for rows, heads in shapes)
    out = torch.empty_like(q)
    tensors = {"q": q.half(), "k": k.half(), "v": v.half(), "out": out.half()}
    request: Request = BASE._replace(
        dtype="float16",
        head_dim=HEAD_DIM,
        heads=HEADS,
        kv_heads=HEADS,
        batch=1,
        q_len=q_len,
        k_len=k_len,
        num_splits=1,
        wants_lse=False,
        packed=False,
        **{f"{n}_strides": x.stride()[:3] for n, x in zip("qkv", (q, k, v))},
        out_strides=out.stride()[:3],
    )
    if mask is not None:
        mask_type, strides = call.mask(mask)
        request = request._replace(mask_type=mask_type, mask_strides=strides)
        tensors["attn_mask"] = call.bytes_of(mask)
    counts: list[Counts] = []

    def launch(step: LaunchPlan, bound: dict[str, Tensor], *_: Any) -> None:
        counts.append(launcher.launch(step, bound, count=True, workers=1).counts)

    launchers.run(plan(request), tensors, launch=launch)
    return tensors["out"], counts


def test_decode_does_not_read_what_a_mask_hides() -> None:
    """Of a cache that is a quarter full, a quarter; where a mask hides nothing, hardly more."""
    k_len = 1024
    _, (whole,) = counted(1, k_len, None)
    quarter = torch.arange(k_len) < k_len // 4
    out, (masked,) = counted(1, k_len, quarter)
    assert masked.total("products.") * 4 == whole.total("products.")
    assert masked["device.bytes_read"] < 0.3 * whole["device.bytes_read"]
    _, (shown,) = counted(1, k_len, torch.ones(k_len, dtype=torch.bool))
    assert shown.total("products.") == whole.total("products.")
    assert shown["device.bytes_read"] < 1.05 * whole["device.bytes_read"]
    # A bias far below all scores gives the same weights, 0, with nothing skipped.
    low = torch.zeros(k_len, dtype=torch.float32).masked_fill(~quarter, -1e4)
    same, (looked,) = counted(1, k_len, low)
    assert looked.total("products.") == whole.total("products.")
    assert torch.equal(out, same)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.float32])
def test_a_look_at_a_mask_of_each_head_reads_what_it_hides(dtype: torch.dtype) -> None:
    """Where something is seen one row's end is enough: that is read by the kernel that follows."""
    length = 512
    seen = torch.ones(length, length, dtype=torch.bool).tril().expand(1, HEADS, length, length)
    mask = seen if dtype == torch.bool else torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)
    mask = mask.to(dtype).contiguous()
    _, (look, attend) = counted(length, length, mask)
    _, (causal_look, causal) = counted(length, length, mask[:, :1])
    every = mask.numel() * mask.element_size()
    assert look["device.bytes_read"] < 0.55 * every
    assert causal_look["device.bytes_read"] > 0.8 * every / HEADS
    # No block is visited in vain.
    assert attend.total("products.") == causal.total("products.")
    blocks = sum(range(1, length // 64 + 1)) * 2 * HEADS  # of 64 queries and 32 keys, that are seen
    assert attend.total("products.") == blocks * 2 * (64 // 8) * (32 // 8) * (HEAD_DIM // 8)


def test_bools_are_looked_at_four_at_a_time() -> None:
    length = 512
    seen = torch.ones(length, length, dtype=torch.bool).tril()
    spread = torch.zeros(length, 2 * length, dtype=torch.bool)
    spread[:, ::2] = seen
    found = [counted(length, length, mask) for mask in (seen, spread[:, ::2])]
    assert torch.equal(found[0][0], found[1][0])
    at_once, each = (look["instructions.memory"] for _, (look, _) in found)
    assert at_once < 0.35 * each
