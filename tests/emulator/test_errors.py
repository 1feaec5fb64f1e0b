"""Everything that is refused before anything runs, and what the message says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import emulator
from emulator import CompileError, EmulatorError

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
SOURCE = (
    HEADER
    + """
struct Sizes { int n; float scale; };
kernel void scale(device half* out [[buffer(0)]], device const float* x [[buffer(1)]],
                  constant Sizes& sizes [[buffer(2)]], constant uint& offset [[buffer(3)]],
                  uint i [[thread_position_in_grid]])
{
    if (int(i) < sizes.n) out[i] = half(x[i + offset] * sizes.scale);
}
"""
)


@pytest.fixture(scope="module")
def scale() -> emulator.Kernel:
    return emulator.compile(SOURCE).function("scale")


def good() -> list[Any]:
    sizes = np.array([(4, 2.0)], dtype=[("n", "i4"), ("scale", "f4")])
    return [torch.zeros(4).half(), torch.arange(5.0), sizes, 1]


def test_good_arguments(scale: emulator.Kernel) -> None:
    args = good()
    report = scale.launch(args, threadgroups=1, threads=32)
    assert args[0].tolist() == [2, 4, 6, 8]
    assert report.seconds > 0
    with pytest.raises(emulator.EmulatorError, match="count=True"):
        _ = report.counts


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, torch.zeros(4), r"argument 0 (out) has dtype float32; it must have float16, as it is a device half*"),
        (1, np.zeros(4), r"argument 1 (x) has dtype float64; it must have float32, as it is a device const float*"),
        (0, bytes(8), r"argument 0 (out) cannot be written, but it is a device half*"),
        (0, None, r"argument 0 (out) is None; it must be a device half*"),
        (1, "x", r"argument 1 (x) is a str; it may be a torch tensor, a numpy array, bytes or a number"),
        (1, torch.zeros(4, device="meta"), r"argument 1 (x) is on meta; the emulator runs on the CPU and on CUDA"),
        (2, bytes(12), r"argument 2 (sizes) has 12 bytes; it must have 8, as it is a constant struct of 8 bytes&"),
        (2, 3, r"argument 2 (sizes) is the number 3; it must be a constant struct of 8 bytes&"),
        (3, np.int32(1), r"argument 3 (offset) has dtype int32; it must have uint32, as it is a constant uint&"),
        (3, -1, r"argument 3 (offset) is -1, which does not fit a constant uint&"),
        (3, 1.5, r"argument 3 (offset) is 1.5, which does not fit a constant uint&"),
        (3, np.zeros(2, np.uint32), r"argument 3 (offset) has 8 bytes; it must have 4, as it is a constant uint&"),
    ],
)  # fmt: skip
def test_wrong_arguments(scale: emulator.Kernel, index: int, value: object, message: str) -> None:
    args = good()
    args[index] = value
    with pytest.raises(EmulatorError, match=f"scale: {re.escape(message)}"):
        scale.launch(args, threadgroups=1, threads=32)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_wrong_argument_count(scale: emulator.Kernel, count: int) -> None:
    expected = (
        f"scale: {count} arguments given, but it takes 4: "
        "out [[buffer(0)]], x [[buffer(1)]], sizes [[buffer(2)]], offset [[buffer(3)]]"
    )
    with pytest.raises(EmulatorError, match=re.escape(expected)):
        scale.launch([*good(), 1][:count], threadgroups=1, threads=32)


@pytest.mark.parametrize("grid", [0, -1, (), (1, 2, 3, 4), (1, 0), 1.5, (2.0, 1), 1 << 31, "8"])
def test_bad_grids(scale: emulator.Kernel, grid: Any) -> None:
    with pytest.raises(EmulatorError, match="scale: threadgroups must be 1 to 3 positive integers"):
        scale.launch(good(), threadgroups=grid, threads=32)
    with pytest.raises(EmulatorError, match="scale: threads must be 1 to 3 positive integers"):
        scale.launch(good(), threadgroups=1, threads=grid)


def test_limits(scale: emulator.Kernel) -> None:
    with pytest.raises(EmulatorError, match="1056 threads per threadgroup; at most 1024"):
        scale.launch(good(), threadgroups=1, threads=(32, 33))
    source = (
        HEADER
        + """
    [[kernel, max_total_threads_per_threadgroup(4 * N)]]
    void few(device int* x [[buffer(0)]]) { x[0] = 1; }
    [[max_total_threads_per_threadgroup(64)]] [[kernel]] void few2(device int* x) { x[0] = 1; }
    [[max_total_threads_per_threadgroup(64)]] kernel void few3(device int* x) { x[0] = 1; }
    template <int n> kernel [[max_total_threads_per_threadgroup(n)]]
    void some(device int* x [[buffer(0)]]) { x[0] = 1; }
    template [[host_name("few4")]] kernel void some<64>(device int* x [[buffer(0)]]);
    kernel void large(device float* x [[buffer(0)]], uint i [[thread_index_in_threadgroup]])
    {
        threadgroup float4 a[2048];
        threadgroup float b[1];
        a[i] = x[i]; b[0] = 0;
        x[i] = a[i].x + b[0];
    }
    kernel void many(device float* x [[buffer(31)]]) { x[0] = 1; }
    """
    )
    library = emulator.compile(source, defines={"N": 16})
    x = torch.zeros(1, dtype=torch.int32)
    for name in ("few", "few2", "few3", "few4"):
        with pytest.raises(EmulatorError, match=f"{name}: 65 threads per threadgroup; at most 64"):
            library.function(name).launch([x], threadgroups=1, threads=65)
        library.function(name).launch([x], threadgroups=1, threads=64)
    with pytest.raises(EmulatorError, match="large: 32784 bytes of threadgroup memory; .* 32768"):
        library.function("large").launch([torch.zeros(32)], threadgroups=1, threads=32)
    with pytest.raises(EmulatorError, match=r"many: buffer\(31\); Metal has 31 buffers"):
        library.function("many").launch([None] * 31 + [x.float()], threadgroups=1, threads=1)


def test_unknown_kernel() -> None:
    with pytest.raises(EmulatorError, match="no kernel 'scales'; there are: scale"):
        emulator.compile(SOURCE).function("scales")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="cannot read the shader .*none.metal: No such file"):
        emulator.compile(tmp_path / "none.metal")


def test_inline_constants_are_limited(scale: emulator.Kernel) -> None:
    arguments = [*good()[:2], bytes(4097), 1]
    with pytest.raises(EmulatorError, match="has 4097 bytes.*at most 4096"):
        scale.launch(arguments, threadgroups=1, threads=32)


KERNEL = "kernel void k(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {"
REFUSED = {
    "undeclared": (f"{KERNEL}\n    x[i] = y;\n}}", 4, "undeclared identifier 'y'"),
    "device pointer made from threadgroup": (
        f"{KERNEL}\n    threadgroup float t[4];\n    device float* p = t;\n    x[i] = p[0];\n}}",
        5,
        "cannot initialize a variable of type 'device float *'",
    ),
    "constant memory written": (
        "kernel void k(constant float* x [[buffer(0)]]) {\n    device float* p = x;\n p[0] = 1;\n}",
        4,
        "with an lvalue of type 'constant float *'",
    ),
    "const written": (
        "kernel void k(device const float* x [[buffer(0)]]) {\n    x[0] = 1;\n}", 4, "read-only",
    ),
    "if constexpr": (f"{KERNEL}\n    if constexpr (true) x[i] = 1;\n}}", 4, "C++17"),
    "structured binding": (
        f"{KERNEL}\n    int a[2] = {{1, 2}};\n    auto [b, c] = a; x[i] = b + c;\n}}", 5, "C++17",
    ),
    "nested namespace": (f"namespace a::b {{ }}\n{KERNEL} x[i] = 1; }}", 3, "C++17"),
    "double": (f"{KERNEL}\n    x[i] = double(1);\n}}", 4, "Metal has no 'double'"),
    "goto": (f"{KERNEL}\n    goto end; end: x[i] = 1;\n}}", 4, "Metal has no 'goto'"),
    "standard library": (f"#include <cmath>\n{KERNEL} x[i] = 1; }}", 3, "'cmath' file not found"),
    "parameter without attribute": (
        "kernel void k(device float* x [[buffer(0)]],\n  uint i) { x[i] = 1; }", 4, "no attribute",
    ),
    "texture": (
        "kernel void k(texture2d<float> t [[texture(0)]]) {}", 3, "[[texture]] is not supported",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_compile_is_reported_with_its_own_line(name: str, tmp_path: Path) -> None:
    source, line, message = REFUSED[name]
    path = tmp_path / "shader.metal"
    path.write_text(HEADER + source)
    with pytest.raises(CompileError) as caught:
        library = emulator.compile(path)
        library.function(library.kernels[0]).load()
    assert f"{path}:{line}" in str(caught.value)
    assert message in str(caught.value)


def test_errors_in_included_files_name_those(tmp_path: Path) -> None:
    (tmp_path / "part.h").write_text("\nfloat half_of(float x) { return x / two; }\n")
    source = '#include "part.h"\n' + HEADER + f"{KERNEL} x[i] = half_of(x[i]); }}"
    (tmp_path / "shader.metal").write_text(source)
    with pytest.raises(CompileError, match=r"part\.h:2:.*'two'"):
        emulator.compile(tmp_path / "shader.metal").function("k").load()
    with pytest.raises(CompileError, match="'part.h' file not found"):
        emulator.compile(source)
    with pytest.raises(CompileError, match=r"part\.h:2:.*'two'"):
        emulator.compile(source, include=[tmp_path]).function("k").load()


def test_matrix_operations_that_not_all_lanes_reach() -> None:
    source = """
    #include <metal_stdlib>
    #include <metal_simdgroup_matrix>
    using namespace metal;
    kernel void k(device float* x [[buffer(0)]], uint lane [[thread_index_in_simdgroup]])
    {
        if (lane == 31) return;
        simdgroup_float8x8 m;
        simdgroup_load(m, x);
        x[lane] = m.thread_elements()[0];
    }"""
    kernel = emulator.compile(source).function("k")
    with pytest.raises(
        EmulatorError, match="k: a simdgroup_matrix operation was not reached by all"
    ):
        kernel.launch([torch.zeros(64)], threadgroups=4, threads=32)


def test_thread_memory_must_fit_a_fibre() -> None:
    source = HEADER + KERNEL + "float big[65536]; for (uint k = 0; k < 65536; ++k) big[k] = x[k];"
    source += "threadgroup_barrier(mem_flags::mem_none); x[i] = big[int(x[0])]; }"
    with pytest.raises(CompileError, match=r"stack frame size \(\d+\) exceeds limit \(196608\)"):
        emulator.compile(source).function("k").load()
