"""Launches on an NVIDIA GPU; all are skipped where there is none."""

from __future__ import annotations

import pytest
import torch

import emulator
from emulator import EmulatorError
from emulator.cuda import gpu

FLOATS = {torch.float16: "half", torch.bfloat16: "bfloat", torch.float32: "float"}
SOURCE = """
#include <metal_stdlib>
using namespace metal;

kernel void scale(device float* x [[buffer(0)]], constant float& by [[buffer(1)]],
                  uint i [[thread_position_in_grid]])
{
    x[i] *= by;
}

kernel void scale_by_one_elsewhere(device float* x [[buffer(0)]], device float* by [[buffer(1)]],
                                   uint i [[thread_position_in_grid]])
{
    x[i] *= by[0];
}

kernel void add_table(device int* x [[buffer(0)]], constant int* table [[buffer(1)]],
                      uint i [[thread_position_in_grid]])
{
    x[i] += table[i];
}

kernel void more_than_32_kib(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]])
{
    threadgroup float all[8193];
    all[i] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    x[i] = all[8192 - i];
}

template <typename T>
kernel void product(device T* a [[buffer(0)]], device T* b [[buffer(1)]], device float* d [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]])
{
    simdgroup_matrix<T, 8, 8> left, right;
    simdgroup_load(left, a + 64 * group);
    simdgroup_load(right, b + 64 * group);
    simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    simdgroup_multiply_accumulate(sum, left, right, sum);
    simdgroup_store(sum, d + 64 * group);
}
template [[host_name("product_half")]] kernel decltype(product<half>) product<half>;
template [[host_name("product_bfloat")]] kernel decltype(product<bfloat>) product<bfloat>;
template [[host_name("product_float")]] kernel decltype(product<float>) product<float>;
"""

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


def kernel(name: str = "scale") -> emulator.Kernel:
    return emulator.compile(SOURCE).function(name)


def test_the_kernels_here_become_cuda() -> None:
    library = emulator.compile(SOURCE)
    for name in library.kernels:
        assert f"metal_{name}(" in library.cuda(name)


def test_without_a_gpu_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(EmulatorError, match="is built without CUDA"):
        gpu.require()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EmulatorError, match="no NVIDIA GPU, or no driver"):
        gpu.require()


def test_a_gpu_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "T4")
    gpu.architecture.cache_clear()
    with pytest.raises(EmulatorError, match="T4 is sm_75; the emulator needs sm_80 or newer"):
        gpu.architecture(0)


@needs_gpu
def test_it_works_in_place_on_the_current_stream() -> None:
    x = torch.arange(2048.0, device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        stream.wait_stream(torch.cuda.default_stream())
        kernel().launch([x, 2.0], threadgroups=8, threads=256)
        y = x + 1
    stream.synchronize()
    assert torch.equal(y, torch.arange(2048.0, device="cuda") * 2 + 1)


@needs_gpu
def test_constants_may_be_numbers_bytes_arrays_and_tensors() -> None:
    import numpy as np

    for by in (3.0, np.float32(3), np.array([3], np.float32), torch.tensor([3.0], device="cuda")):
        x = torch.ones(64, device="cuda")
        kernel().launch([x, by], threadgroups=2, threads=32)
        assert torch.equal(x, torch.full_like(x, 3.0))


@needs_gpu
def test_constant_pointers_take_bytes() -> None:
    x = torch.zeros(32, dtype=torch.int32, device="cuda")
    table = torch.arange(32, dtype=torch.int32)
    kernel("add_table").launch([x, bytes(table.numpy())], 1, 32)
    assert torch.equal(x.cpu(), table)


@needs_gpu
def test_tensors_on_several_devices_are_refused() -> None:
    with pytest.raises(EmulatorError, match="argument 1 is on cpu, but argument 0 on cuda:0"):
        kernel("scale_by_one_elsewhere").launch(
            [torch.ones(32, device="cuda"), torch.ones(1)], 1, 32
        )


@needs_gpu
@pytest.mark.parametrize("option", [{"check": True}, {"count": True}, {"outputs": [0]}])
def test_options_of_the_cpu_executor_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(EmulatorError, match="compute-sanitizer"):
        kernel().launch([torch.ones(32, device="cuda"), 1.0], 1, 32, **option)  # type: ignore[arg-type]


@needs_gpu
def test_limits_are_refused() -> None:
    x = torch.ones(4096, device="cuda")
    with pytest.raises(EmulatorError, match="2048 threads per threadgroup; at most 1024"):
        kernel().launch([x, 1.0], 1, 2048)
    with pytest.raises(EmulatorError, match=r"3\d+ bytes of threadgroup memory; Metal has 32768"):
        kernel("more_than_32_kib").launch([x], 1, 32)
    with pytest.raises(EmulatorError, match="dtype float16; it must have float32"):
        kernel().launch([x.half(), 1.0], 1, 32)


@needs_gpu
def test_a_launch_is_part_of_a_graph() -> None:
    x = torch.ones(64, device="cuda")
    scale = kernel()
    scale.launch([x, 2.0], 2, 32)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scale.launch([x, 2.0], 2, 32)
    graph.replay()
    graph.replay()
    assert torch.equal(x, torch.full_like(x, 8.0))


@needs_gpu
@pytest.mark.parametrize("dtype", FLOATS)
def test_how_far_a_matrix_product_is_from_the_exact_one(dtype: torch.dtype) -> None:
    """Products are exact; sums of eight are float, within 8 units of the largest term's last place."""
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(512, 8, 8, generator=generator).to(dtype).cuda() for _ in range(2))
    d = torch.empty(512, 8, 8, device="cuda")
    kernel(f"product_{FLOATS[dtype]}").launch([a, b, d], 512, 32)
    exact = a.double() @ b.double()
    largest = (a.double().abs() @ b.double().abs()).clamp_min(1e-30)
    assert ((d.double() - exact).abs() / largest).max() <= 8 * 2.0**-24
