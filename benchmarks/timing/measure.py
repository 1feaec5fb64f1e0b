"""Time on a Mac's GPU: ours through the JIT launcher, torch's SDPA, eager, and an installed MLX.

Nothing of this has run on Apple hardware yet; its timing logic is tested with a fake clock, and
what is called is tested on the CPU, where ours goes through the emulator.
"""

from __future__ import annotations

import importlib
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from metal_flash_sdpa import launchers
from metal_flash_sdpa.call import Options, attend, differentiate
from metal_flash_sdpa.catalogue import BUILT_IN, Catalogue
from metal_flash_sdpa.keys import ALL_ROWS
from torch import Tensor

from benchmarks.counting.theirs import problem_for
from benchmarks.shapes import Shape, draw, visible

BATCH_SECONDS = 0.02  # between two waits for the GPU: a wait costs about 0.2 ms (phosphor)
MOST_CALLS = 1000
EAGER_BYTES = 4 << 30  # of scores; larger shapes are not tried

Call = Callable[[], Any]


def on_mac() -> bool:
    """Whether this machine has a GPU to measure."""
    return bool(torch.backends.mps.is_available())


def median_ms(
    call: Call,
    wait: Call,
    clock: Callable[[], float] = time.perf_counter,
    repeats: int = 15,
    warm: int = 3,
) -> float:
    """Milliseconds of one call: the median of several batches, each waited for as a whole.

    `wait` returns when the GPU has done all that it was given.  The calls before the first batch
    (compilation, caches) do not count.
    """
    for _ in range(warm):
        call()
    wait()

    def batch(calls: int) -> float:
        begin = clock()
        for _ in range(calls):
            call()
        wait()
        return (clock() - begin) / calls

    once = batch(1)
    calls = max(1, min(MOST_CALLS, math.ceil(BATCH_SECONDS / max(once, 1e-9))))
    return statistics.median(batch(calls) for _ in range(repeats)) * 1e3


def ours(shape: Shape, device: str, catalogue: Catalogue = BUILT_IN) -> Call:
    """Our attention, with the kernels of a catalogue; on a Mac through the JIT launcher."""
    if device == "mps":
        os.environ[launchers.FORCE] = "jit"
    q, k, v = (x.to(device).transpose(1, 2) for x in draw(shape))
    sinks = torch.zeros(shape.heads, device=device) if shape.sinks else None

    options = Options(sinks=sinks, causal=shape.causal, window_size=shape.window)

    def call() -> Tensor:
        out = torch.empty_like(q)
        attend(out, None, q, k, v, options, catalogue=catalogue)
        return out.transpose(1, 2)

    return call


def backward(
    shape: Shape, device: str, gradients: str, catalogue: Catalogue = BUILT_IN
) -> Callable[[], dict[str, Tensor]]:
    """Our backward pass; `gradients` says which of "qkv" are asked for.

    Returns them by name, as (batch, rows, heads, head_dim).
    """
    if device == "mps":
        os.environ[launchers.FORCE] = "jit"
    q, k, v = (x.to(device).transpose(1, 2) for x in draw(shape))
    sinks = torch.zeros(shape.heads, device=device) if shape.sinks else None
    options = Options(sinks=sinks, causal=shape.causal, window_size=shape.window)
    out, grad_out = torch.empty_like(q), q  # any gradient does
    lse = torch.empty(shape.batch, shape.heads, shape.queries, device=device)
    attend(out, lse, q, k, v, options, catalogue=catalogue)
    inputs = {"q": q, "k": k, "v": v}

    def call() -> dict[str, Tensor]:
        made = {name: torch.empty_like(inputs[name]) for name in gradients}
        differentiate(
            grad_out=grad_out,
            grad_lse=None,
            **inputs,
            out=out,
            lse=lse,
            options=options,
            cu_seqlens_q=None,
            keys=ALL_ROWS,
            grad_q=made.get("q"),
            grad_k=made.get("k"),
            grad_v=made.get("v"),
            wants_sinks=False,
            catalogue=catalogue,
        )
        return made

    return call


def sdpa(shape: Shape, device: str) -> Call:
    """Torch's own, with the mask that it needs."""
    a = problem_for("pytorch", shape).to(device)

    def call() -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(
            a.q, a.k, a.v, attn_mask=a.mask, is_causal=a.causal, scale=a.scale, enable_gqa=True
        )

    return call


def eager(shape: Shape, device: str) -> Call:
    """Attention in single steps, as transformers has it."""
    a = problem_for("pytorch", shape).to(device)
    hidden = ~visible(shape).to(device) if a.mask is None and shape.mask != "full" else None

    def call() -> Tensor:
        k, v = (x.repeat_interleave(a.heads_per_kv_head, 1) for x in (a.k, a.v))
        scores = a.q @ k.mT * a.scale
        if hidden is not None:
            scores = scores.masked_fill(hidden, -math.inf)
        elif a.mask is not None and a.mask.dtype == torch.bool:
            scores = scores.masked_fill(~a.mask, -math.inf)
        elif a.mask is not None:
            scores = scores + a.mask
        return scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v

    return call


def mlx(shape: Shape) -> tuple[Call, Call] | None:
    """MLX's, and how to wait for it; None where it is not installed."""
    try:
        mx = importlib.import_module("mlx.core")
    except ImportError:
        return None
    a = problem_for("mlx", shape)
    dtype = getattr(mx, shape.dtype)
    q, k, v = (mx.array(x.float().numpy()).astype(dtype) for x in (a.q, a.k, a.v))
    mask: Any = "causal" if a.causal else None
    if a.mask is not None:
        mask = mx.array(a.mask[:1, :1].contiguous().numpy())
    options = {} if a.sinks is None else {"sinks": mx.array(a.sinks.float().numpy()).astype(dtype)}

    def call() -> Any:
        out = mx.fast.scaled_dot_product_attention(q, k, v, scale=a.scale, mask=mask, **options)
        mx.async_eval(out)
        return out

    return call, mx.synchronize


def measured(shape: Shape, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Milliseconds by implementation, on this Mac; without those that its memory cannot hold."""
    wait = torch.mps.synchronize
    times = {"ours": median_ms(ours(shape, "mps"), wait, clock)}
    scores = shape.batch * shape.heads * shape.queries * shape.keys * 4
    if scores <= EAGER_BYTES:
        times["pytorch"] = median_ms(sdpa(shape, "mps"), wait, clock)
        times["eager"] = median_ms(eager(shape, "mps"), wait, clock)
    if (theirs := mlx(shape)) is not None and scores <= EAGER_BYTES:
        times["mlx"] = median_ms(*theirs, clock)
    return times
