"""What `kernels benchmark` times on a Mac: this kernel beside what torch has for the same work.

    kernels benchmark kernels-community/metal-flash-sdpa --version 2
    kernels benchmark .             # a checkout, after ci/nox -s build

The runner's column Ref is torch's scaled_dot_product_attention; for windows and sinks, which it
does not have, it is plain PyTorch that computes the keys of the window alone, block by block of
queries.  Every workload is float16, whose rounding stays below the runner's tolerance of 1e-2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import torch
from kernels.benchmark import Benchmark
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as sdpa

SHRINK = 1  # lengths are divided by it; a test has no Mac
QUERY_BLOCK = 1024  # rows of the reference's block: its scores then take 50 MB

Class = TypeVar("Class", bound=type[Benchmark])


def workloads(**shapes: tuple[Any, ...]) -> Callable[[Class], Class]:
    """Give a class one workload per name: setup_NAME(*shape), benchmark_NAME and verify_NAME."""

    def add(cls: Class) -> Class:
        for name, shape in shapes.items():
            setattr(cls, f"setup_{name}", partialmethod(cls.make, *shape))
            setattr(cls, f"benchmark_{name}", cls.run)
            setattr(cls, f"verify_{name}", cls.reference)
        return cls

    return add


def shrunk(length: int) -> int:
    return max(length // SHRINK, 1)


@workloads(
    tokens_8192=(8192, 8, 8),
    tokens_16384=(16384, 8, 8),
    tokens_131072=(131072, 8, 8),
    privacy_filter_16384=(16384, 14, 2),
)
class Window(Benchmark):
    """A window of 128 keys on both sides and a sink: head_dim 64, as openai/privacy-filter has."""

    seed = 1
    window = (128, 128)

    def make(self, tokens: int, heads: int, kv_heads: int) -> None:
        half = {"device": self.device, "dtype": torch.float16}
        self.q = torch.randn(1, shrunk(tokens), heads, 64, **half)
        self.k, self.v = (torch.randn(1, shrunk(tokens), kv_heads, 64, **half) for _ in "kv")
        self.sinks = torch.randn(heads, device=self.device)

    def run(self) -> None:
        self.out = self.kernel.flash_attn_func(
            self.q, self.k, self.v, window_size=self.window, s_aux=self.sinks
        )

    def reference(self) -> Tensor:
        """In float32; a block of queries and the keys that any of them sees at a time."""
        left, right = self.window
        tokens, heads = self.q.shape[1:3]
        blocks = []
        for begin in range(0, tokens, QUERY_BLOCK):
            end = min(begin + QUERY_BLOCK, tokens)
            first, last = max(begin - left, 0), min(end + right, tokens)
            q = self.q[0, begin:end].float()
            k, v = (
                x[0, first:last].float().repeat_interleave(heads // x.shape[2], dim=1)
                for x in (self.k, self.v)
            )
            rows = torch.arange(begin, end, device=self.device)[:, None]
            columns = torch.arange(first, last, device=self.device)
            seen = (columns >= rows - left) & (columns <= rows + right)
            scores = torch.einsum("qhd,khd->hqk", q, k) * q.shape[-1] ** -0.5
            scores = scores.masked_fill(~seen, float("-inf"))
            sinks = self.sinks[:, None, None].expand(-1, end - begin, 1)
            weights = torch.cat([scores, sinks], -1).softmax(-1)[..., :-1]
            blocks.append(torch.einsum("hqk,khd->qhd", weights, v))
        return torch.cat(blocks)[None].to(self.q.dtype)


@workloads(
    llama_4096=(1, 4096, 32, 8, 128),
    batch_8_1024=(8, 1024, 32, 8, 128),
    head_dim_64_8192=(1, 8192, 16, 16, 64),
)
class Causal(Benchmark):
    """Prefill of a prompt."""

    seed = 2

    def make(self, batch: int, tokens: int, heads: int, kv_heads: int, head_dim: int) -> None:
        half = {"device": self.device, "dtype": torch.float16}
        self.q = torch.randn(batch, shrunk(tokens), heads, head_dim, **half)
        self.k, self.v = (
            torch.randn(batch, shrunk(tokens), kv_heads, head_dim, **half) for _ in "kv"
        )

    def run(self) -> None:
        self.out = self.kernel.flash_attn_func(self.q, self.k, self.v, causal=True)

    def reference(self) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (self.q, self.k, self.v))
        return sdpa(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2)


@workloads(
    llama_8192=(1, 8192, 32, 8, 128),
    llama_131072=(1, 131072, 32, 8, 128),
    batch_16_2048=(16, 2048, 32, 8, 128),
)
class Decode(Benchmark):
    """One new token over a cache, four query heads to a KV head."""

    seed = 3

    def make(self, batch: int, keys: int, heads: int, kv_heads: int, head_dim: int) -> None:
        half = {"device": self.device, "dtype": torch.float16}
        self.q = torch.randn(batch, 1, heads, head_dim, **half)
        self.k, self.v = (
            torch.randn(batch, shrunk(keys), kv_heads, head_dim, **half) for _ in "kv"
        )

    def run(self) -> None:
        self.out = self.kernel.flash_attn_with_kvcache(self.q, self.k, self.v, causal=True)

    def reference(self) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (self.q, self.k, self.v))
        return sdpa(q, k, v, enable_gqa=True).transpose(1, 2)


@workloads(
    prompts=((4096, 96, 1500, 700, 32, 2048), 16, 64),
    prompts_and_decoding=((2048, *[1] * 15), 16, 64),
)
class Varlen(Benchmark):
    """A packed batch, causal; sequences of one query have 2,048 keys."""

    seed = 4

    def make(self, queries: tuple[int, ...], heads: int, head_dim: int) -> None:
        half = {"device": self.device, "dtype": torch.float16}
        queries = tuple(map(shrunk, queries))
        keys = tuple(shrunk(2048) if length == 1 else length for length in queries)
        self.q = torch.randn(sum(queries), heads, head_dim, **half)
        self.k, self.v = (torch.randn(sum(keys), heads, head_dim, **half) for _ in "kv")
        self.offsets = [list(accumulate(lengths, initial=0)) for lengths in (queries, keys)]
        self.cu_seqlens = [
            torch.tensor(offsets, dtype=torch.int32, device=self.device) for offsets in self.offsets
        ]
        self.longest = max(queries), max(keys)

    def run(self) -> None:
        self.out = self.kernel.flash_attn_varlen_func(
            *(self.q, self.k, self.v, *self.cu_seqlens, *self.longest), causal=True
        )

    def reference(self) -> Tensor:
        parts = []
        for queries, keys in zip(*map(pairwise, self.offsets)):
            q = self.q[slice(*queries)].transpose(0, 1)
            k, v = (x[slice(*keys)].transpose(0, 1) for x in (self.k, self.v))
            one = q.shape[1] == 1  # sees all keys; torch's is_causal would align it top-left
            parts.append(sdpa(q, k, v, is_causal=not one).transpose(0, 1))
        return torch.cat(parts)
