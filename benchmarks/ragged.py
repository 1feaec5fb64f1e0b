"""A ragged batch: ours in one packed call, the peers in a padded one with the mask it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import run
from metal_flash_sdpa.plan import DECODE_QUERIES, LaunchPlan, plan
from torch import Tensor

from benchmarks.peers.call import Attention
from benchmarks.shapes import Shape, draw
from benchmarks.work import ANY_GPU, PEERS, counted, installed, request, total, variants
from emulator.counting.counts import Counts

LENGTHS = (700, 33, 5, 260, 129, 1, 512)
BATCH = Shape(heads=2, kv_heads=2, head_dim=64, keys=sum(LENGTHS), queries=sum(LENGTHS))


@dataclass(frozen=True)
class Ragged:
    """Counts by implementation, and threadgroups of ours that had nothing to do."""

    lengths: tuple[int, ...]
    heads: int
    counts: dict[str, dict[str, int]]
    empty_groups: dict[str, int]  # by kernel

    @property
    def allowed_empty(self) -> int:
        """One per sequence and head."""
        return len(self.lengths) * self.heads


def useful_groups(step: LaunchPlan, shape: Shape, lengths: tuple[int, ...]) -> int:
    """Threadgroups of a launch that have rows to compute."""
    variant = variants()[step.kernel]
    few = [length for length in lengths if length <= DECODE_QUERIES]
    if variant["family"] == "prefill":
        many = [length for length in lengths if length > DECODE_QUERIES]
        return shape.heads * sum(-(-length // int(variant["block_q"])) for length in many)
    if variant["family"] == "decode":
        splits, tiles = step.threadgroups[0], step.threadgroups[1] // shape.kv_heads
        needed = (-(-length * shape.group // int(variant["block_q"])) for length in few)
        return sum(min(n, tiles) for n in needed) * shape.kv_heads * splits
    return sum(min(length, step.threadgroups[1]) for length in few) * shape.heads  # combine


def ours_ragged(shape: Shape, lengths: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """The packed call's counts, and how many threadgroups of it are empty."""
    q, k, v = (x[0].transpose(0, 1) for x in draw(shape))
    out = torch.empty_like(q)
    offsets = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    # One batch for all sequences: its stride is 0.
    in_batch = [x.as_strided((1, *x.shape), (0, *x.stride())) for x in (q, k, v, out)]
    asked = request(shape, in_batch[0], in_batch[1], in_batch[2], in_batch[3], ANY_GPU)
    asked = asked._replace(batch=len(lengths), packed=True, begins=True, ends=True)
    tensors = {
        "q": q, "k": k, "v": v, "out": out,
        "cu_seqlens_q": offsets, "k_begin": offsets[:-1], "k_end": offsets[1:],
    }  # fmt: skip
    counts: list[Counts] = []
    empty: dict[str, int] = {}

    def count(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        counts.append(launcher.launch(step, tensors, count=True, workers=1).counts)
        empty[step.kernel] = counts[-1]["threadgroups"] - useful_groups(step, shape, lengths)

    run(plan(asked), tensors, count)
    return total(counts), empty


def peer_ragged(name: str, shape: Shape, lengths: tuple[int, ...]) -> dict[str, int]:
    """The same sequences padded to the longest, keys beyond their ends hidden."""
    padded = replace(shape, batch=len(lengths), queries=max(lengths), keys=max(lengths))
    q, k, v = draw(padded)
    seen = torch.arange(padded.keys) < torch.tensor(lengths).unsqueeze(1)
    mask = seen[:, None, None, :].expand(-1, padded.heads, padded.queries, -1).contiguous()
    problem = Attention(q, k, v, padded.head_dim**-0.5, mask=mask)
    return counted(PEERS[name](problem, problem.new_output()))


def ragged(shape: Shape = BATCH, lengths: tuple[int, ...] = LENGTHS) -> Ragged:
    """All of them."""
    own, empty = ours_ragged(shape, lengths)
    others = {name: peer_ragged(name, shape, lengths) for name in installed()}
    return Ragged(lengths, shape.heads, {"ours": own, **others}, empty)
