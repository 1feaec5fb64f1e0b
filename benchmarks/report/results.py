"""The shapes of the report, and what each implementation does for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, TypeVar

from metal_flash_sdpa.splits import Gpu

from benchmarks.counting.interior import Interior, interior
from benchmarks.counting.ours import ours
from benchmarks.counting.theirs import installed, peer
from benchmarks.counting.work import FEW_QUERIES, Work, derived
from benchmarks.model.cost import modelled
from benchmarks.shapes import UNBOUNDED, Shape
from peers.call import UnsupportedError

HEAD_DIMS = (64, 72, 96, 128, 256)  # a choice: those that the targets are stated for
COMMON_HEAD_DIMS = (64, 128)  # for which alone a fraction of the matrix limit is asked
DTYPES = ("float16", "bfloat16")
TOKENS = (1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
WINDOW = (64, 64)  # "window 128": 64 keys on either side
MASKS: dict[str, dict[str, Any]] = {
    "full": {},
    "causal": {"causal": True},
    "window 128 + sinks": {"window": WINDOW, "sinks": True},
}
SEED_TOKENS = (8192, 16384, 131072)  # the first metal-flash-sdpa's table, Hub discussion 5
DECODE_KEYS = (1024, 8192, 32768)
RISING = "rising"  # ours, if every block of keys raises the maximum of its scores
M1_MAX = Gpu("M1", 32)  # that decoding is planned for

Done = TypeVar("Done")


@dataclass(frozen=True)
class Case:
    """Shapes that differ by their tokens only, and so are counted in one go."""

    section: str
    mask: str
    shapes: tuple[Shape, ...]

    @property
    def label(self) -> str:
        shape = self.shapes[0]
        heads = f"{shape.heads}/{shape.kv_heads} heads"
        return f"{self.section}: head dim {shape.head_dim}, {shape.dtype}, {self.mask}, {heads}"


@dataclass(frozen=True)
class Result:
    """One shape, by implementation."""

    section: str
    mask: str
    shape: Shape
    work: dict[str, Work]
    missing: dict[str, str] = field(default_factory=dict)  # why there is none
    inner: dict[str, Interior] = field(default_factory=dict)  # loops, of prefill kernels

    def document(self) -> dict[str, Any]:
        """For the JSON."""
        parts: dict[str, Any] = {
            name: {
                "kernels": [kernel.name for kernel in work.kernels],
                "counts": dict(work.counts),
                "derived": derived(work, self.shape),
                "interior": asdict(self.inner[name]) if name in self.inner else {},
                "modelled_ms": modelled(work, self.shape),
                "extra_bytes": work.extra_bytes,
            }
            for name, work in self.work.items()
        }
        parts |= {name: {"error": why} for name, why in self.missing.items()}
        return {
            "section": self.section, "mask": self.mask, "shape": asdict(self.shape), **parts,
        }  # fmt: skip


def prefill(heads: int, kv_heads: int, dim: int, dtype: str, mask: str, tokens: int) -> Shape:
    """As many queries as keys."""
    options = MASKS[mask]
    return Shape(heads, kv_heads, dim, tokens, dtype, queries=tokens, **options)


def cases(quick: bool) -> list[Case]:
    """All of the report; `quick`: two head dims in float16."""
    dims, dtypes = (COMMON_HEAD_DIMS, DTYPES[:1]) if quick else (HEAD_DIMS, DTYPES)
    chosen = [
        Case("prefill", mask, tuple(prefill(8, 8, dim, dtype, mask, n) for n in TOKENS))
        for dim, dtype, mask in product(dims, dtypes, MASKS)
    ]
    mask = "window 128 + sinks"
    seed = tuple(prefill(8, 8, 64, "float16", mask, n) for n in SEED_TOKENS)
    chosen.append(Case("seed", mask, seed))
    for (heads, kv_heads, dim), mask in product(((32, 8, 128), (14, 2, 64)), MASKS):
        shapes = tuple(prefill(heads, kv_heads, dim, "float16", mask, n) for n in (1024, 8192))
        chosen.append(Case("gqa", mask, shapes))
    for kv_heads in (32, 8, 4):
        steps = tuple(Shape(32, kv_heads, 128, keys) for keys in DECODE_KEYS)
        chosen.append(Case("decode", "full", steps))
    return chosen


def run(case: Case) -> list[Result]:
    """Counts a case."""
    results = []
    first = case.shapes[0]
    inner: dict[str, Interior] = {}
    missing: dict[str, str] = {}
    for name in ("ours", *installed()):
        try:
            if first.queries > FEW_QUERIES:
                inner[name] = interior(name, first)
            elif name != "ours":
                peer(name, first)
        except UnsupportedError as error:
            missing[name] = f"no kernel: {error}"
    if first.queries > FEW_QUERIES:
        inner[RISING] = interior("ours", replace(first, rising=True))
    for shape in case.shapes:
        work = {"ours": ours(shape, M1_MAX)}
        work |= {name: peer(name, shape) for name in installed() if name not in missing}
        results.append(Result(case.section, case.mask, shape, work, missing, inner))
    return results


def run_all(
    chosen: Sequence[Case], count: Callable[[Case], list[Done]], say: Any = print
) -> list[Done]:
    """Counts all cases on all cores; says what is done as it is done."""
    begin = time.monotonic()
    finished: dict[int, list[Done]] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = {pool.submit(count, case): i for i, case in enumerate(chosen)}
        for done in as_completed(waiting):
            i = waiting[done]
            finished[i] = done.result()
            seconds = time.monotonic() - begin
            say(f"[{len(finished)}/{len(chosen)}] {seconds:4.0f} s  {chosen[i].label}", flush=True)
    return [result for i in range(len(chosen)) for result in finished[i]]


def of(results: Iterable[Result], *sections: str, **wanted: Any) -> list[Result]:
    """Those of some sections whose shapes have these fields."""
    return [
        r
        for r in results
        if r.section in sections
        and all(getattr(r.shape, name) == value for name, value in wanted.items())
    ]


def is_windowed(shape: Shape) -> bool:
    return shape.window != UNBOUNDED
