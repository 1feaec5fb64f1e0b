"""Barriers, shuffles, reductions and lanes that leave early."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import emulator

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


def test_without_the_barrier_threads_do_not_exchange() -> None:
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


def test_threadgroup_memory_starts_as_nan() -> None:
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


def test_threadgroup_parameters_and_several_variables() -> None:
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
    assert kernel.threadgroup_bytes == 32 * 8 + 16 + 32 * 4
    kernel.launch([out], 1, 32, threadgroup_lengths=(128, 64))
    assert torch.equal(out, 1000 + 7 * torch.arange(32.0).flip(0))
    with pytest.raises(emulator.EmulatorError, match="threadgroup_lengths has 0 sizes"):
        kernel.launch([out], 1, 32)
