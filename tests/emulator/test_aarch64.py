"""The same shaders as aarch64 programs: every byte is what it is here.

Kernels are cross-compiled by ziglang and linked with a driver, aarch64.cpp, and nothing else;
Debian's qemu-user runs the programs.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from metal_flash_sdpa import flash_attn_func

import emulator
from emulator import toolchain
from emulator.launch.arguments import bind, triple

QEMU = next((found for name in ("qemu-aarch64", "qemu-aarch64-static") if (found := shutil.which(name))), "")  # fmt: skip
DRIVER = Path(__file__).with_name("aarch64.cpp")
HEADER = """
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
"""

pytestmark = [
    pytest.mark.skipif(not QEMU, reason="there is no qemu-aarch64 (Debian: apt install qemu-user)"),
    pytest.mark.skipif(toolchain.machine() == "aarch64", reason="this machine is one"),
]


@pytest.fixture
def both(tmp_path: Path) -> Callable[..., emulator.Report]:
    """A launch here and on aarch64, which must leave the same bytes in all buffers."""

    def launch(
        kernel: emulator.Kernel, args: Sequence[Any], threadgroups: Any, threads: Any
    ) -> emulator.Report:
        types = kernel._fast.types
        buffers = bind(kernel.name, kernel.parameters, types, args)
        assert list(buffers) == list(range(len(buffers)))
        grid = (*triple("threadgroups", threadgroups), *triple("threads", threads))
        stdin = struct.pack("<8I", *grid, kernel.threadgroup_bytes, len(buffers))
        for memory in buffers.values():
            content = ctypes.string_at(memory.address, memory.size)
            stdin += struct.pack("<Q", len(content)) + content
        program = cross_compile(kernel, tmp_path)
        there = subprocess.run([QEMU, program], input=stdin, capture_output=True, check=True)
        report = kernel.launch(args, threadgroups, threads)
        here = [ctypes.string_at(memory.address, memory.size) for memory in buffers.values()]
        assert there.stdout == b"".join(here)
        return report

    return launch


def cross_compile(kernel: emulator.Kernel, folder: Path) -> str:
    """An aarch64 program of the kernel and the driver, by the flags that compile kernels here."""
    source, program = folder / "kernel.cpp", folder / "kernel"
    source.write_text(kernel._source.cpp(kernel.name))
    zig = [*toolchain.compiler()[0], "-target", "aarch64-linux-none"]
    zig.append(toolchain.ZIG_TARGETS["aarch64"])
    flags = [*toolchain.LANGUAGE, *toolchain.ROUNDING, *toolchain.CODE, *toolchain.WARNINGS]
    commands = [
        [*zig, *flags, *toolchain.FORCED, "-c", str(source), "-o", str(folder / "kernel.o")],
        [*zig, "-std=c++17", "-O1", "-ffreestanding", "-isystem", str(toolchain.SHIM), "-c", str(DRIVER),
         "-o", str(folder / "driver.o")],
        [*zig, "-nostdlib", "-static", str(folder / "kernel.o"), str(folder / "driver.o"), "-o", str(program)],
    ]  # fmt: skip
    for command in commands:
        result = toolchain.run(command)
        assert result.returncode == 0, result.stderr
    return str(program)


def test_barriers_shuffles_atomics_and_early_returns(both: Callable[..., emulator.Report]) -> None:
    source = """
    kernel void test(device float* out [[buffer(0)]], device atomic_int* sums [[buffer(1)]],
                     constant long& n [[buffer(2)]], uint i [[thread_index_in_threadgroup]],
                     uint3 at [[thread_position_in_grid]], uint group [[threadgroup_position_in_grid]])
    {
        threadgroup float staged[200];
        threadgroup atomic_int count;
        if (i == 0) atomic_store_explicit(&count, 0, memory_order_relaxed);
        staged[i] = i * 0.37f;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (i % 7 == 3) return;
        float x = staged[199 - i];
        for (int round = 0; round < 3; ++round) {
            x += simd_shuffle_xor(x, ushort(1 << round)) + simd_shuffle_up(x, 1);
            x = quad_sum(x) - simd_prefix_exclusive_sum(x) + simd_max(x);
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        atomic_fetch_add_explicit(&count, int(i), memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        atomic_fetch_add_explicit(&sums[i % 4], atomic_load_explicit(&count, memory_order_relaxed),
                                  memory_order_relaxed);
        out[at.x] = x + float(n % 1000) + float(ulong(simd_ballot(i % 2 == 0)) % 1021);
    }"""
    kernel = emulator.compile(HEADER + source).function("test")
    both(kernel, [torch.zeros(600), torch.zeros(4, dtype=torch.int32), 1 << 40], 3, 200)


@pytest.mark.parametrize("kind", ["half", "bfloat", "float"])
def test_matrix_products_and_elements(kind: str, both: Callable[..., emulator.Report]) -> None:
    torch.manual_seed(0)
    dtype = {"half": torch.float16, "bfloat": torch.bfloat16, "float": torch.float32}[kind]
    source = f"""
    typedef {kind} T;
    kernel void test(device const T* a [[buffer(0)]], device T* out [[buffer(1)]],
                     device float* sums [[buffer(2)]], uint lane [[thread_index_in_simdgroup]],
                     uint simdgroup [[simdgroup_index_in_threadgroup]])
    {{
        threadgroup T staged[512];
        for (uint k = lane; k < 128; k += 32) staged[128 * simdgroup + k] = a[128 * simdgroup + k];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_matrix<T, 8, 8> left, right, product;
        simdgroup_matrix<float, 8, 8> sum = make_filled_simdgroup_matrix<float, 8, 8>(0.1f);
        simdgroup_load(left, staged + 128 * simdgroup, 16);
        simdgroup_load(right, staged + 128 * simdgroup, 16, ulong2(0, 8), true);
        for (int k = 0; k < 5; ++k) {{
            simdgroup_multiply_accumulate(sum, left, right, sum);
            if (lane % 3 == 1) sum.thread_elements()[0] *= 0.5f;
            simdgroup_multiply(product, left, right);
            left.thread_elements() = product.thread_elements() * T(0.25);
        }}
        simdgroup_store(left, out + 64 * simdgroup, 8, 0, true);
        simdgroup_store(sum, sums + 64 * simdgroup);
    }}"""
    kernel = emulator.compile(HEADER + source).function("test")
    both(
        kernel,
        [torch.randn(512).to(dtype), torch.zeros(256, dtype=dtype), torch.zeros(256)],
        1,
        128,
    )


def test_half_and_bfloat_arithmetic_and_own_functions(both: Callable[..., emulator.Report]) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2000) * 2.0 ** torch.randint(-12, 12, (3, 2000))
    x[0, :6] = torch.tensor([float("nan"), float("inf"), -float("inf"), 65520.0, 1e-7, 0.0])
    source = """
    template <typename T> void test_in(device const float* x, device T* out)
    {
        const T a = T(x[0]), b = T(x[2000]), c = T(x[4000]);
        const vec<T, 3> v = vec<T, 3>(a, b, c) * b + a;
        out[0] = a * b + c; out[1] = a / b; out[2] = a - b; out[3] = fma(a, b, c); out[4] = v.z;
        out[5] = exp2(a); out[6] = log2(abs(b)); out[7] = sqrt(abs(c)); out[8] = rsqrt(abs(a));
        out[9] = T(int(clamp(b, T(-99), T(99)))); out[10] = rint(c); out[11] = nextafter(a, b);
        out[12] = exp(min(a, T(5))); out[13] = fmin(a, b); out[14] = T(half(c)); out[15] = T(bfloat(b));
    }
    kernel void test(device const float* x [[buffer(0)]], device half* h [[buffer(1)]],
                     device bfloat* b [[buffer(2)]], device float* f [[buffer(3)]],
                     uint i [[thread_position_in_grid]])
    {
        test_in<half>(x + i, h + 16 * i);
        test_in<bfloat>(x + i, b + 16 * i);
        test_in<float>(x + i, f + 16 * i);
    }"""
    kernel = emulator.compile(HEADER + source).function("test")
    outs = [torch.zeros(32000, dtype=d) for d in (torch.float16, torch.bfloat16, torch.float32)]
    both(kernel, [x, *outs], 20, 100)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attention(
    dtype: torch.dtype, both: Callable[..., emulator.Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = []
    launch = emulator.Kernel.launch

    def launch_both(
        kernel: emulator.Kernel, args: Any, threadgroups: Any, threads: Any, **_: Any
    ) -> Any:
        launched.append(kernel.name)
        monkeypatch.setattr(emulator.Kernel, "launch", launch)
        return both(kernel, args, threadgroups, threads)

    torch.manual_seed(0)
    q = torch.randn(1, 70, 4, 64).to(dtype)
    k, v = (torch.randn(1, 90, 2, 64).to(dtype) for _ in range(2))
    monkeypatch.setattr(emulator.Kernel, "launch", launch_both)
    flash_attn_func(q, k, v, causal=True, window_size=(40, 0))
    assert len(launched) == 1
