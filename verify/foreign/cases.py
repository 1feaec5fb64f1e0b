"""Which of the peers' kernels run on what.  Every instantiation of theirs occurs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from peers import mlx, pytorch
from peers.call import DTYPES, Attention, PeerCall, dtype_name

T = TypeVar("T")
Calls = Callable[[Attention, Tensor], list[PeerCall]]

PREFILL = "PyTorch PrefillAttention.h"
DECODE = "PyTorch DecodeAttention.h"
STEEL = "MLX steel_attention.h"
VECTOR = "MLX sdpa_vector.h"
BLOCKED = "MLX sdpa_blocked.h"

# Sources of theirs that cannot run here, and why.
NOT_RUN = {
    "MLX steel_attention_nax.h": "needs MetalPerformancePrimitives, which only Apple has",
    "MLX sdpa_vjp_*": "compiled into the wheel's library; its source is not in the wheel",
}


@dataclass(frozen=True)
class Sizes:
    batch: int
    heads: int
    kv_heads: int
    q_len: int
    k_len: int


@dataclass(frozen=True)
class Case:
    """One problem for one instantiation, in words that name it."""

    family: str
    kernel: str
    dtype: torch.dtype
    head_dim: int
    value_dim: int
    sizes: Sizes
    small: Sizes  # under the checks
    mode: str  # words out of: none causal bool float sinks lse
    calls: Calls
    top_left: bool  # the causal diagonal

    @property
    def name(self) -> str:
        s = self.sizes
        return f"{self.kernel}: {self.mode}, {s.q_len} x {s.k_len}"

    def has(self, word: str) -> bool:
        return word in self.mode.split()


# Nothing here is a multiple of a block; one case per tile is.
LONG = Sizes(batch=2, heads=4, kv_heads=2, q_len=45, k_len=77)
WHOLE = replace(LONG, q_len=64, k_len=96)
FEW = replace(LONG, q_len=3)
SPLIT = replace(FEW, k_len=300)  # more than one round of 256 keys, and of 32 * 4
ONE = replace(LONG, batch=1, heads=2, kv_heads=1, q_len=35, k_len=43)
ONE_FEW = replace(ONE, q_len=2)
ONE_SPLIT = replace(ONE_FEW, k_len=270)


def prefill_cases() -> Iterable[Case]:
    """Every kernel of PrefillAttention.h, and every tile once more on whole blocks."""
    modes = ("none", "causal", "float", "float causal", "bool", "bool causal")
    for dtype in DTYPES:
        for dim in pytorch.TILES:
            for mode in modes:
                name = f"prefill_attention {dtype_name(dtype)} {dim}"
                case = Case(
                    PREFILL, name, dtype, dim, dim, LONG, ONE, mode, pytorch.prefill, top_left=True
                )
                yield case
                if mode == "none":
                    yield replace(case, sizes=WHOLE)


def decode_cases() -> Iterable[Case]:
    """Every kernel of DecodeAttention.h."""
    for dtype in DTYPES:
        for dim in pytorch.DECODE_HEAD_DIMS:
            for passes, sizes, small in ((1, FEW, ONE_FEW), (2, SPLIT, ONE_SPLIT)):
                for mode in ("none", "causal", "bool", "float"):
                    name = f"sdpa_vector {passes}-pass {dtype_name(dtype)} {dim}"
                    calls = partial(pytorch.decode, passes=passes)
                    yield Case(
                        DECODE, name, dtype, dim, dim, sizes, small, mode, calls, top_left=True
                    )


def steel_cases() -> Iterable[Case]:
    """Every instantiation of steel attention, and every tile once more on whole blocks."""
    for s in mlx.Steel.all():
        own = ("none", "causal", "float", "causal sinks", "lse")
        for mode in ("bool",) if s.mask == "bool_" else own:
            calls = partial(mlx.steel, instance=s)
            case = Case(
                STEEL, s.name, s.dtype, s.head_dim, s.value_dim, LONG, ONE, mode, calls, False
            )
            yield case
            if mode == "none":
                yield replace(case, sizes=WHOLE)


def vector_cases() -> Iterable[Case]:
    """Every instantiation of sdpa_vector, in one and in two passes."""
    for passes, prefix in ((1, "sdpa_vector"), (2, "sdpa_vector_2pass_1")):
        sizes, small = (FEW, ONE_FEW) if passes == 1 else (SPLIT, ONE_SPLIT)
        for dtype, dim, value_dim, rest in mlx.vector_dims(prefix):
            for mode in ("none", "causal", "bool", "float", "sinks"):
                name = f"{prefix}_{mlx.NAMES[dtype]}_{dim}_{value_dim}{rest}"
                calls = partial(mlx.vector, passes=passes, unroll=rest)
                yield Case(VECTOR, name, dtype, dim, value_dim, sizes, small, mode, calls, False)
    for group in (8, 12, 16):
        prefix = f"sdpa_vector_2pass_1_gqa_{group}"
        sizes = Sizes(batch=2, heads=2 * group, kv_heads=2, q_len=1, k_len=300)
        small = Sizes(batch=1, heads=group, kv_heads=1, q_len=1, k_len=70)
        for dtype, dim, value_dim, _ in mlx.vector_dims(prefix):
            name = f"{prefix}_{mlx.NAMES[dtype]}_{dim}_{value_dim}"
            yield Case(
                VECTOR, name, dtype, dim, value_dim, sizes, small, "none", mlx.grouped, False
            )


def blocked_cases() -> Iterable[Case]:
    """Every kernel of sdpa_blocked.h: what MLX does around its matrix products for long queries."""
    for step in mlx.BLOCKED_STEPS:
        for dtype in mlx.BLOCKED_DTYPES:
            name = f"sdpa_blocked_{step}_{dtype_name(dtype)}"
            yield Case(BLOCKED, name, dtype, 64, 64, LONG, ONE, step, _no_attention, False)


def _no_attention(_: Attention, __: Tensor) -> list[PeerCall]:
    raise NotImplementedError("a step of attention only; run.step launches it")


def all_cases() -> list[Case]:
    """Those whose sources are installed."""
    cases: list[Case] = []
    if pytorch.available(pytorch.PREFILL):
        cases += prefill_cases()
    if pytorch.available(pytorch.DECODE):
        cases += decode_cases()
    if mlx.available():
        cases += [*steel_cases(), *vector_cases(), *blocked_cases()]
    return cases


def sample(everything: Sequence[T], size: int | None) -> list[T]:
    """So many of them, in their order and the same in every run; all if there are no more."""
    if size is None or size >= len(everything):
        return list(everything)
    kept = set(random.Random(0).sample(range(len(everything)), size))
    return [one for i, one in enumerate(everything) if i in kept]


def instantiations(family: str) -> set[str]:
    """Host names of all kernels that a family's authors instantiate."""
    if family in (PREFILL, DECODE):
        header = pytorch.PREFILL if family == PREFILL else pytorch.DECODE
        return set(pytorch.library(header).kernels)
    prefix = {STEEL: "steel_attention_", VECTOR: "sdpa_vector_", BLOCKED: "sdpa_blocked_"}[family]
    return {name for name in mlx.kernel_names() if name.startswith(prefix)}
