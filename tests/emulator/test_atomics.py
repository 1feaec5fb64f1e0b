"""Atomic operations: all threads' updates arrive, and each sees a value of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.emulator.values import run, tensor, wrapped

pytestmark = pytest.mark.usefixtures("executor")

ATOMICS: dict[str, tuple[str, Any]] = {
    "add": ("T(i + 1)", lambda n: sum(range(1, n + 1))),
    "sub": ("T(i + 1)", lambda n: -sum(range(1, n + 1))),
    "min": ("T(5) - T(i)", lambda n: min(0, 6 - n)),
    "max": ("T(i)", lambda n: n - 1),
    "or": ("T(1) << T(i % 7)", lambda n: 127),
    "xor": ("T(1) << T(i % 5)", lambda n: sum(((n + 4 - b) // 5 % 2) << b for b in range(5))),
    "and": ("~(T(1) << T(i % 4))", lambda n: 0),
}


@pytest.mark.parametrize("space", ["device", "threadgroup"])
@pytest.mark.parametrize("kind", ["int", "uint", "float"])
def test_every_atomic_operation(kind: str, space: str) -> None:
    """What all threads leave behind, and that each saw a value of its own."""
    names = ["add", "sub"] if kind == "float" else list(ATOMICS)
    if kind == "uint":
        names.remove("min")  # starts below all values: see int
    threads, groups = 64, 3 if space == "device" else 1
    n = threads * groups
    where = "out" if space == "device" else "mine"
    relaxed = "memory_order_relaxed"
    body = "".join(
        f"atomic_fetch_{name}_explicit(&{where}[{k}], {ATOMICS[name][0]}, {relaxed});\n"
        for k, name in enumerate(names)
    )
    out = tensor([0] * 12, kind)
    seen = tensor([-1 if kind != "uint" else 0] * (3 * n), kind)
    run(
        f"""
        typedef {kind} T;
        kernel void test(device atomic<T>* out [[buffer(0)]], device T* seen [[buffer(1)]],
                         uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]])
        {{
            threadgroup atomic<T> mine[12];
            if (t < 12) atomic_store_explicit(&mine[t], T(0), {relaxed});
            threadgroup_barrier(mem_flags::mem_threadgroup);
            {body}
            seen[3 * i] = atomic_fetch_add_explicit(&{where}[9], T(1), {relaxed});
            T expected = atomic_load_explicit(&{where}[10], {relaxed});
            while (!atomic_compare_exchange_weak_explicit(
                &{where}[10], &expected, expected + T(1), {relaxed}, {relaxed})) {{}}
            seen[3 * i + 1] = expected;
            seen[3 * i + 2] = atomic_exchange_explicit(&{where}[11], T(i + 1), {relaxed});
            threadgroup_barrier(mem_flags::mem_threadgroup);
            if ({"false" if space == "device" else "t < 12"})
                atomic_store_explicit(&out[t], atomic_load_explicit(&mine[t], {relaxed}), {relaxed});
        }}""",
        out,
        seen,
        threads=threads,
        threadgroups=groups,
    )
    for k, name in enumerate(names):
        assert (
            out[k] == wrapped(ATOMICS[name][1](n), kind) if kind != "float" else ATOMICS[name][1](n)
        )
    assert out[9] == out[10] == n
    rows = np.asarray(seen).reshape(n, 3)
    assert sorted(rows[:, 0].tolist()) == sorted(rows[:, 1].tolist()) == list(range(n))
    # Every value but the last was taken out by someone.
    assert sorted([*rows[:, 2].tolist(), float(out[11])]) == list(range(n + 1))
