"""What a peer is asked for, and the launches that answer it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from emulator import Kernel, Report

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def dtype_name(dtype: torch.dtype) -> str:
    """As in PyTorch: float16, bfloat16, float32."""
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Attention:
    """One attention problem.

    q (batch, heads, q_len, head_dim), k and v (batch, kv_heads, k_len, head_dim or value_dim), in
    one dtype, any strides with elements of a row side by side.  mask (batch, heads, q_len, k_len)
    is of bool, where True is seen, or of the dtype, then added to the scores.  sinks (heads,) of
    the dtype are logits.  Where the diagonal of `causal` lies differs
    between peers.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    scale: float
    causal: bool = False
    mask: Tensor | None = None
    sinks: Tensor | None = None

    @property
    def batch(self) -> int:
        return int(self.q.shape[0])

    @property
    def heads(self) -> int:
        return int(self.q.shape[1])

    @property
    def kv_heads(self) -> int:
        return int(self.k.shape[1])

    @property
    def heads_per_kv_head(self) -> int:
        """Query heads that share one KV head."""
        return self.heads // self.kv_heads

    @property
    def q_len(self) -> int:
        return int(self.q.shape[2])

    @property
    def k_len(self) -> int:
        return int(self.k.shape[2])

    @property
    def head_dim(self) -> int:
        return int(self.q.shape[3])

    @property
    def value_dim(self) -> int:
        return int(self.v.shape[3])

    @property
    def dtype(self) -> torch.dtype:
        return self.q.dtype

    def to(self, device: str | torch.device) -> Attention:
        """The same problem with its tensors on a device."""
        mask, sinks = (None if x is None else x.to(device) for x in (self.mask, self.sinks))
        q, k, v = (x.to(device) for x in (self.q, self.k, self.v))
        return replace(self, q=q, k=k, v=v, mask=mask, sinks=sinks)

    def new_output(self) -> Tensor:
        """Where the result goes, filled with NaN: (batch, heads, q_len, value_dim)."""
        return self.q.new_full((*self.q.shape[:3], self.value_dim), torch.nan)


class UnsupportedError(ValueError):
    """The peer has no kernel for this problem; says which part of it."""


@dataclass(frozen=True)
class PeerCall:
    """One launch.  `outputs` are the arguments of which the kernel writes every element."""

    kernel: Kernel
    args: Sequence[Any]
    threadgroups: Sequence[int]
    threads: Sequence[int]
    outputs: Sequence[int]

    def launch(self, check: bool = False, workers: int | None = None) -> Report:
        """Runs it on so many CPU threads; with `check` under the emulator's checks."""
        return self.kernel.launch(
            self.args,
            self.threadgroups,
            self.threads,
            check,
            outputs=self.outputs if check else (),
            workers=workers,
        )


def pack(code: str, *numbers: float) -> bytes:
    """The bytes of an inline constant."""
    return struct.pack(f"={len(numbers)}{code}", *numbers)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)
