"""Barriers, shuffles, reductions, quads, and lanes that leave early."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import emulator
from tests.emulator.values import INTEGERS, SCALARS, run

pytestmark = pytest.mark.usefixtures("executor")

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"


def launch(source: str, *args: object, threadgroups: int = 1, threads: int = 32) -> None:
    kernel = emulator.compile(HEADER + source).function("test")
    kernel.launch(list(args), threadgroups, threads)


REVERSE = """
kernel void test(device float* x [[buffer(0)]], uint i [[thread_index_in_threadgroup]],
                 uint n [[threads_per_threadgroup]], uint group [[threadgroup_position_in_grid]])
{
    threadgroup float staged[1024];
    x += group * n;
    for (int round = 0; round < 3; ++round) {
        staged[i] = x[i];
        BARRIER
        x[i] = staged[n - 1 - i];
        BARRIER
    }
}
"""


@pytest.mark.parametrize("threads", [1, 2, 31, 32, 33, 100, 1023, 1024])
def test_threadgroup_barrier_lets_threads_exchange(threads: int) -> None:
    x = torch.randn(3, threads)
    expected = x.flip(1)
    launch(
        REVERSE.replace("BARRIER", "threadgroup_barrier(mem_flags::mem_threadgroup);"),
        x,
        threadgroups=3,
        threads=threads,
    )
    assert torch.equal(x, expected)


def test_without_the_barrier_threads_do_not_exchange(executor: str) -> None:
    if executor != "cpu":
        pytest.skip("on a GPU they may")
    x = torch.arange(64.0)
    launch(REVERSE.replace("BARRIER", ""), x, threads=64)
    assert not torch.equal(x, torch.arange(64.0).flip(0))


SHUFFLES: dict[str, Callable[[int], int]] = {
    "simd_shuffle(x, 31 - lane)": lambda i: 31 - i,
    "simd_shuffle_xor(x, 5)": lambda i: i ^ 5,
    "simd_shuffle_up(x, 3)": lambda i: i - 3 if i >= 3 else i,
    "simd_shuffle_down(x, 3)": lambda i: i + 3 if i + 3 < 32 else i,
    "simd_shuffle_rotate_up(x, 3)": lambda i: (i - 3) % 32,
    "simd_shuffle_rotate_down(x, 3)": lambda i: (i + 3) % 32,
    "simd_broadcast(x, 7)": lambda i: 7,
    "simd_broadcast_first(x)": lambda i: 0,
    "quad_shuffle_xor(x, 3)": lambda i: i ^ 3,
    "quad_broadcast(x, 2)": lambda i: i & ~3 | 2,
    "simd_sum(x)": lambda i: sum(range(32)),
    "simd_min(x)": lambda i: 0,
    "simd_max(x)": lambda i: 31,
    "quad_sum(x)": lambda i: sum(range(i & ~3, (i & ~3) + 4)),
    "simd_prefix_exclusive_sum(x)": lambda i: sum(range(i)),
    "simd_prefix_inclusive_sum(x)": lambda i: sum(range(i + 1)),
    "T(simd_all(lane < 32u))": lambda i: 1,
    "T(simd_any(lane == 40u))": lambda i: 0,
    "T(ulong(simd_ballot(lane % 2 == 1)) >> 28)": lambda i: 10,
}


@pytest.mark.parametrize("kind", ["float", "half", "int", "uint2", "long"])
def test_shuffles_and_reductions(kind: str) -> None:
    scalar = "uint" if kind == "uint2" else kind
    expressions = [e for e in SHUFFLES if kind != "uint2" or "shuffle" in e or "broadcast" in e]
    lines = "".join(
        f"out[{n} * 64 + i] = int({e.replace('T(', scalar + '(')}{'.x' * (kind == 'uint2')});\n"
        for n, e in enumerate(expressions)
    )
    out = torch.zeros(len(expressions), 64, dtype=torch.int32)
    launch(
        f"""
        kernel void test(device int* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]])
        {{
            const {kind} x = {kind}(lane);
            {lines}
        }}""",
        out,
        threads=64,
    )
    for expression, row in zip(expressions, out, strict=True):
        assert row.tolist() == [SHUFFLES[expression](i) for i in range(32)] * 2, expression


def test_reductions_count_only_lanes_that_are_there() -> None:
    out = torch.zeros(100)
    launch(
        """
        kernel void test(device float* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]])
        {
            if (i % 32 == 5 || i % 32 == 31) return;
            out[i] = simd_sum(1.0f);
        }""",
        out,
        threads=100,
    )
    gone = torch.arange(100) % 32
    expected = torch.where(torch.arange(100) < 96, 30.0, 4.0)
    expected[(gone == 5) | (gone == 31)] = 0
    assert torch.equal(out, expected)


@pytest.mark.parametrize("condition", ["i >= 40", "i < 40", "i % 3 == 0", "i != 17", "i == 99"])
def test_other_threads_go_on_when_some_return_early(condition: str) -> None:
    out = torch.zeros(100)
    launch(
        f"""
        kernel void test(device float* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]])
        {{
            threadgroup float staged[100];
            staged[i] = 0;
            threadgroup_barrier(mem_flags::mem_threadgroup);
            if ({condition}) return;
            staged[i] = 1;
            threadgroup_barrier(mem_flags::mem_threadgroup);
            float sum = 0;
            for (int k = 0; k < 100; ++k) sum += staged[k];
            out[i] = sum;
        }}""",
        out,
        threads=100,
    )
    stays = torch.tensor([not eval(condition, {"i": i}) for i in range(100)])
    assert torch.equal(out, torch.where(stays, float(stays.sum()), 0.0))


def test_threadgroup_memory_starts_as_nan(executor: str) -> None:
    if executor != "cpu":
        pytest.skip("on a GPU it holds what the last threadgroup left")
    out = torch.zeros(32)
    launch(
        """
        kernel void test(device float* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]])
        {
            threadgroup float staged[32];
            out[i] = staged[i];
        }""",
        out,
    )
    assert out.isnan().all()


def test_threadgroup_parameters_and_several_variables(executor: str) -> None:
    source = """
    kernel void test(device float* out [[buffer(0)]], threadgroup float* a [[threadgroup(0)]],
                     threadgroup half* b [[threadgroup(1)]], uint i [[thread_index_in_threadgroup]])
    {
        threadgroup float2 c[32], d;
        threadgroup float e[4][8];
        a[i] = i; b[i] = i * 2; c[i] = float2(i, 1); e[i / 8][i % 8] = 3 * i;
        if (i == 0) d = 1000;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const uint k = 31 - i;
        out[i] = a[k] + b[k] + c[k].x + d.y + e[k / 8][k % 8];
    }"""
    out = torch.zeros(32)
    kernel = emulator.compile(HEADER + source).function("test")
    if executor != "cuda":  # there it is the CPU executor's to say
        assert kernel.threadgroup_bytes == 32 * 8 + 16 + 32 * 4
    kernel.launch([out], 1, 32, threadgroup_lengths=(128, 64))
    assert torch.equal(out, 1000 + 7 * torch.arange(32.0).flip(0))
    with pytest.raises(emulator.EmulatorError, match="threadgroup_lengths has 0 sizes"):
        kernel.launch([out], 1, 32)


def test_what_lanes_of_a_quad_tell_each_other() -> None:
    cases: dict[str, Callable[[int], float]] = {
        "quad_shuffle(x, 3 - q)": lambda i: i ^ 3,
        "quad_shuffle_up(x, 1)": lambda i: i - 1 if i % 4 else i,
        "quad_shuffle_down(x, 2)": lambda i: i + 2 if i % 4 < 2 else i,
        "quad_shuffle_xor(x, 2)": lambda i: i ^ 2,
        "quad_shuffle_rotate_up(x, 1)": lambda i: i // 4 * 4 + (i - 1) % 4,
        "quad_shuffle_rotate_down(x, 3)": lambda i: i // 4 * 4 + (i + 3) % 4,
        "quad_shuffle_and_fill_up(x, T(x + T(1)), 1)": lambda i: i - 1 if i % 4 else i + 4,
        "quad_shuffle_and_fill_down(x, T(x + T(1)), 1)": lambda i: i + 1 if i % 4 < 3 else i - 2,
        "quad_broadcast(x, 1)": lambda i: i // 4 * 4 + 1,
        "quad_broadcast_first(x)": lambda i: i // 4 * 4,
        "quad_sum(T(q))": lambda i: 6, "quad_product(T(q + 1))": lambda i: 24,
        "quad_min(x)": lambda i: i // 4 * 4, "quad_max(x)": lambda i: i // 4 * 4 + 3,
        "quad_prefix_inclusive_sum(T(q))": lambda i: [0, 1, 3, 6][i % 4],
        "quad_prefix_exclusive_sum(T(q))": lambda i: [0, 0, 1, 3][i % 4],
        "quad_prefix_inclusive_product(T(q + 1))": lambda i: [1, 2, 6, 24][i % 4],
        "quad_prefix_exclusive_product(T(q + 1))": lambda i: [1, 1, 2, 6][i % 4],
        "T(quad_all(i < 10))": lambda i: int(i < 8), "T(quad_any(i < 10))": lambda i: int(i < 12),
        "T(ushort(quad_ballot(i % 3 == 0)))":
            lambda i: sum(((i // 4 * 4 + k) % 3 == 0) << k for k in range(4)),
        "T(quad_is_first())": lambda i: int(i % 4 == 0),
        "T(ushort(quad_active_threads_mask()))": lambda i: 15,
        "simd_shuffle_and_fill_up(x, T(x + T(1)), 3)": lambda i: i - 3 if i >= 3 else i + 30,
        "simd_shuffle_and_fill_down(x, T(x + T(1)), 5, 8)":
            lambda i: i + 5 if i % 8 < 3 else i - 2,
        "simd_prefix_inclusive_product(T(i < 3 ? 2 : 1))": lambda i: 2 ** min(i + 1, 3),
        "simd_product(T(i % 16 ? 1 : 3))": lambda i: 9,
        "T(simd_is_first())": lambda i: int(i == 0),
    }  # fmt: skip
    integer: dict[str, Callable[[int], float]] = {
        "quad_and(x)": lambda i: i // 4 * 4, "quad_or(x)": lambda i: i // 4 * 4 + 3,
        "quad_xor(x)": lambda i: 0, "simd_and(T(x | T(64)))": lambda i: 64,
        "simd_or(x)": lambda i: 31, "simd_xor(T(x & T(1)))": lambda i: 0,
    }  # fmt: skip
    kinds = [kind for kind in SCALARS if kind != "bool"]
    lines = list(cases | integer)
    results = "".join(f"out[{32 * k}] = float({line});\n" for k, line in enumerate(cases))
    more = "".join(f"out[{32 * (len(cases) + k)}] = float({e});\n" for k, e in enumerate(integer))
    calls = "".join(
        f"check<{kind}>(out + {32 * len(lines) * k} + i, i);"
        + (
            f"check_integer<{kind}>(out + {32 * len(lines) * k} + i, i);"
            if kind in INTEGERS
            else ""
        )
        for k, kind in enumerate(kinds)
    )
    out = np.zeros((len(kinds), len(lines), 32), np.float32)
    run(
        f"""
        template <typename T> void check(device float* out, uint i)
        {{ const T x = T(i); const ushort q = i % 4; {results} }}
        template <typename T> void check_integer(device float* out, uint i)
        {{ const T x = T(i); {more} }}
        kernel void test(device float* out [[buffer(0)]], uint i [[thread_index_in_simdgroup]])
        {{ {calls} }}""",
        out,
        threads=32,
    )
    for kind, table in zip(kinds, out, strict=True):
        for line, row in zip(lines, table, strict=True):
            if line in cases or kind in INTEGERS:
                expected = [(cases | integer)[line](i) for i in range(32)]
                assert row.tolist() == expected, (kind, line)
