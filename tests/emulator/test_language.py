"""Metal's scalars, vectors, functions and program structure, against values worked out by numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import emulator

pytestmark = pytest.mark.usefixtures("executor")

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"


def run(body: str, *args: Any, threads: int = 32, parameters: str, before: str = "") -> None:
    """Runs one threadgroup of a kernel with this body; ``i`` is the thread's index."""
    source = (
        f"{HEADER}{before}\nkernel void test({parameters},"
        f" uint i [[thread_index_in_threadgroup]]) {{\n{body}\n}}\n"
    )
    emulator.compile(source).function("test").launch(list(args), threadgroups=1, threads=threads)


def test_positions_in_a_three_dimensional_grid() -> None:
    source = (
        HEADER
        + """
    kernel void where(
        device uint* out [[buffer(0)]],
        uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
        ushort3 thread_position [[thread_position_in_threadgroup]],
        uint3 size [[threads_per_threadgroup]], uint3 at [[thread_position_in_grid]],
        uint3 grid [[threads_per_grid]], uint index [[thread_index_in_threadgroup]],
        ushort lane [[thread_index_in_simdgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
        uint simdgroups [[simdgroups_per_threadgroup]], uint2 at2 [[thread_position_in_grid]],
        uint width [[threads_per_simdgroup]])
    {
        const bool right = at.x == group.x * size.x + thread_position.x
            && at.y == group.y * size.y + thread_position.y
            && at.z == group.z * size.z + thread_position.z
            && index == thread_position.x + size.x * (thread_position.y + size.y * thread_position.z)
            && lane == index % 32 && simdgroup == index / 32 && simdgroups == 2 && width == 32
            && all(at2 == at.xy) && grid.x == groups.x * size.x;
        out[at.x + grid.x * (at.y + grid.y * at.z)] += right ? 1 : 1000;
    }"""
    )
    out = torch.zeros(2 * 5, 3 * 3, 4 * 3, dtype=torch.int32).view(torch.uint32)
    emulator.compile(source).function("where").launch([out], (2, 3, 4), (5, 3, 3))
    assert (out.view(torch.int32) == 1).all()


def test_vector_constructors_conversions_and_swizzles() -> None:
    out = torch.zeros(24)
    run(
        """
        if (i != 0) return;
        const float4 a = float4(x[0], x[1], x[2], x[3]);
        const float4 b = float4(a.xy, 7, 8.5);
        const half4 c = half4(b);
        const float4 d = static_cast<float4>(c) + float4(half2(1.0h, 2.0h), 0.5, 0);
        *(device float4*)(out) = a.wzyx;
        *(device float4*)(out + 4) = d;
        const uint3 u = uint3(a.xyz);
        out[8] = u.x + u.y + u.z;
        out[9] = metal::float2(3, 4).y;
        const vec<float, 2> e = vec<float, 2>(1, 2);
        out[10] = dot(e, e);
        const int2 n = int2(-1.9f, 2.9f);
        out[11] = n.x * 10 + n.y;
        float3 w = 0;
        w.xz = float2(5, 6);
        out[12] = w.x * 100 + w.y * 10 + w.z;
        const pair p = pair(2);
        out[13] = p.x + p.y;
        out[14] = float2(bfloat2(1.00390625f, 3))[0];
        out[15] = length(float2(3, 4)) + float3(1).z;
        """,
        torch.tensor([1.0, 2, 3, 4]),
        out,
        parameters="device const float* x [[buffer(0)]], device float* out [[buffer(1)]]",
        before="typedef float2 pair;",
    )
    expected = [4, 3, 2, 1, 2, 4, 7.5, 8.5, 6, 4, 5, -8, 506, 4, 1, 6] + [0] * 8
    assert out.tolist() == expected


def test_packed_vectors_may_lie_at_any_element() -> None:
    x, out = torch.arange(16).half(), torch.zeros(16).half()
    run(
        """
        if (i == 0) *(device packed_half4*)(out + 3) = half4(*(device const packed_half4*)(x + 5));
        """,
        x,
        out,
        parameters="device const half* x [[buffer(0)]], device half* out [[buffer(1)]]",
    )
    assert out.tolist() == [0, 0, 0, 5, 6, 7, 8] + [0] * 9


FLOAT_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp, "exp2": np.exp2, "log": np.log, "log2": np.log2, "log10": np.log10,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "tanh": np.tanh, "sin": np.sin,
    "cos": np.cos, "floor": np.floor, "ceil": np.ceil, "rint": np.rint, "abs": np.abs,
    "trunc": np.trunc, "exp10": lambda x: 10.0**x,
}  # fmt: skip


@pytest.fixture
def float_results(executor: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each function's values, as metal:: and as fast:: and precise::, and the inputs."""
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, 1e-39, 3e38, 88.8, -150.5]
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [special, rng.normal(size=2000), 1 + rng.normal(size=1000) * 1e-3, rng.uniform(0, 1e4, 1084)]
    ).astype(np.float32)  # fmt: skip
    body = ""
    for number, name in enumerate(FLOAT_FUNCTIONS):
        space = "metal::" if name in ("abs",) else ("fast::", "precise::", "")[number % 3]
        body += f"out[{number} * 4096 + k] = {space}{name}(x[k]);\n"
    out = np.zeros((len(FLOAT_FUNCTIONS), 4096), np.float32)
    run(
        f"for (uint k = i; k < 4096; k += 256) {{ {body} }}",
        x,
        out,
        threads=256,
        parameters="device const float* x [[buffer(0)]], device float* out [[buffer(1)]]",
    )
    return {name: (x, out[number]) for number, name in enumerate(FLOAT_FUNCTIONS)}


@pytest.mark.parametrize("name", FLOAT_FUNCTIONS)
def test_float_functions_are_within_two_ulp(
    name: str, float_results: dict[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    x, got = float_results[name]
    with np.errstate(all="ignore"):
        exact = FLOAT_FUNCTIONS[name](x.astype(np.float64))
        expected = exact.astype(np.float32)
        ulp = np.spacing(np.abs(expected)).astype(np.float64)
        error = np.abs(got.astype(np.float64) - exact) / ulp
    finite = np.isfinite(expected)
    assert error[finite].max() <= 2
    np.testing.assert_array_equal(got[~finite], expected[~finite])


def test_fast_tanh_overflows_as_the_specification_has_it() -> None:
    out = torch.zeros(8)
    arguments = "44.0f, 45.0f, -45.0f, 0.25f"
    body = f"""
    const float x[] = {{{arguments}}};
    if (i < 4) {{
        out[i] = fast::tanh(x[i]);
        out[4 + i] = precise::tanh(x[i]);
    }}
    """
    run(body, out, parameters="device float* out [[buffer(0)]]")
    quarter = math.tanh(0.25)
    want = torch.tensor([1.0, math.nan, -1.0, quarter, 1.0, 1.0, -1.0, quarter])
    torch.testing.assert_close(out, want, equal_nan=True)


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("finite_math", [False, True])
def test_finite_math_leaves_nothing_of_infinities(finite_math: bool, checked: bool) -> None:
    calls = (
        "exp2(-x)",
        "log2(0.0f * y)",
        "exp(88.8f * y)",
        "pow(y + 1.0f, x)",
        "exp2(-200.0f * y)",
    )
    stores = "".join(
        f"out[{i}] = {space}::{call};\n"
        for i, (space, call) in enumerate((s, c) for s in ("fast", "precise") for c in calls)
    )
    source = f"""#include <metal_stdlib>
    using namespace metal;
    kernel void test(device float* out [[buffer(0)]], constant float& x [[buffer(1)]],
                     constant float& y [[buffer(2)]])
    {{
        {stores}
    }}
    """
    out = torch.zeros(2 * len(calls))
    kernel = emulator.compile(source, finite_math=finite_math).function("test")
    kernel.launch([out, math.inf, 1.0], threadgroups=1, threads=1, check=checked)
    exact = torch.tensor([0.0, -math.inf, math.inf, math.inf, 0.0])
    fast = torch.tensor([*[math.nan] * 4, 0.0]) if finite_math else exact
    torch.testing.assert_close(out, torch.cat([fast, exact]), equal_nan=True)


def test_integer_functions() -> None:
    x = torch.tensor([-7, 0, 1, 0x7FFF0000, -(2**31), 12345], dtype=torch.int32)
    out = torch.zeros(6, 8, dtype=torch.int32)
    run(
        """
        if (i >= 6) return;
        const int v = x[i];
        device int* o = out + 8 * i;
        o[0] = popcount(v); o[1] = clz(v); o[2] = clamp(v, -5, 100); o[3] = int(abs(v));
        o[4] = mulhi(v, 65536); o[5] = as_type<int>(as_type<float>(v)); o[6] = select(1, 2, v > 0);
        o[7] = int(ulong(uint(v)) >> 31);
        """,
        x,
        out,
        parameters="device const int* x [[buffer(0)]], device int* out [[buffer(1)]]",
    )
    for v, row in zip(x.tolist(), out.tolist(), strict=True):
        bits = v & 0xFFFFFFFF
        assert row[:3] == [bits.bit_count(), 32 - bits.bit_length(), min(max(v, -5), 100)]
        assert row[3] & 0xFFFFFFFF == abs(v)
        assert row[4:] == [v * 65536 >> 32, v, 2 if v > 0 else 1, bits >> 31]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_floats_round_after_every_operation(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    a, b, c = (torch.randn(4096).to(dtype) for _ in range(3))
    out = torch.zeros(3, 4096, dtype=dtype)
    name = {torch.float16: "half", torch.bfloat16: "bfloat"}[dtype]
    run(
        """
        for (uint k = i; k < 4096; k += 32) {
            out[k] = a[k] * b[k] + c[k];
            out[4096 + k] = a[k] / b[k];
            out[8192 + k] = T(float(a[k]) * float(b[k]) + float(c[k]));
        }""",
        a,
        b,
        c,
        out,
        parameters="device const T* a [[buffer(0)]], device const T* b [[buffer(1)]],"
        "device const T* c [[buffer(2)]], device T* out [[buffer(3)]]",
        before=f"typedef {name} T;",
    )
    assert torch.equal(out[0], a * b + c)
    assert torch.equal(out[1], a / b)
    assert torch.equal(out[2], (a.float() * b.float() + c.float()).to(dtype))


def test_structs_and_64_bit_offsets() -> None:
    x = torch.zeros(4)
    layout = np.dtype([("stride", "i8"), ("n", "i4"), ("scale", "f4")])
    run(
        # Only thread 1 lands inside x; thread 0 would be 2^33 elements before it.
        "if (i == 1 && int(i) < p.n) x[long(i) * p.stride - (1l << 33)] = p.scale * table[i];",
        x,
        np.array([(1 << 33, 2, 0.5)], layout),
        np.array([0, 6], np.int32),
        parameters="device float* x [[buffer(0)]], constant Sizes& p [[buffer(1)]],"
        "constant int* table [[buffer(2)]]",
        before="struct Sizes { long stride; int n; float scale; };",
    )
    assert x.tolist() == [3.0, 0, 0, 0]


def test_program_scope_constants_functions_templates_and_macros() -> None:
    out = torch.zeros(8)
    source = (
        HEADER
        + """
    constant constexpr int N = 4;
    constant float TABLE[N] = {1.5, 2.5, 3.5, 4.5};
    enum class Kind { plain, doubled };
    namespace tools {
    template <typename T, Kind kind>
    struct Scale {
        static constant constexpr int factor = kind == Kind::doubled ? 2 : 1;
        T offset;
        Scale(T offset_) thread : offset(offset_) {}
        T apply(T x) const thread { return x * T(factor) + offset; }
    };
    }
    float from_table(constant float* table, int i) { return table[i]; }
    void add(threadgroup float values[N], device float* out, thread const float& more, uint i)
    {
        out[i] = values[i] + more;
    }
    template <typename T, Kind kind>
    [[kernel]] void apply(device T* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]])
    {
        threadgroup T values[N];
        const tools::Scale<T, kind> scale(SHIFT);
        values[i] = scale.apply(from_table(TABLE, i));
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const float more = 100;
        add(values, out, more, i);
    }
    #define MAKE(name, type, kind) \\
        template [[host_name("apply_" #name "_" #type)]] [[kernel]] \\
        decltype(apply<type, kind>) apply<type, kind>;
    MAKE(plain, float, Kind::plain)
    MAKE(doubled, float, Kind::doubled)
    template [[host_name("explicit")]] [[kernel]] void
    apply<float, Kind::doubled>(device float* out [[buffer(0)]], uint i [[thread_index_in_threadgroup]]);
    """
    )
    library = emulator.compile(source, defines={"SHIFT": 10})
    assert library.kernels == ["apply_plain_float", "apply_doubled_float", "explicit"]
    library.function("apply_plain_float").launch([out], 1, 4)
    assert out[:4].tolist() == [111.5, 112.5, 113.5, 114.5]
    for name in library.kernels[1:]:
        library.function(name).launch([out], 1, 4)
        assert out[:4].tolist() == [113, 115, 117, 119]


def test_function_constants_specialise() -> None:
    source = (
        HEADER
        + """
    constant int factor [[function_constant(0)]];
    constant bool has_bias [[function_constant(1)]];
    constant float slope [[function_constant(2)]];
    constant float used_slope = is_function_constant_defined(slope) ? slope : 0.5;
    kernel void test(device float* x [[buffer(0)]],
                     device const float* bias [[buffer(1), function_constant(has_bias)]],
                     uint i [[thread_position_in_grid]])
    {
        x[i] = x[i] * factor * used_slope;
        if (has_bias) x[i] += bias[i];
    }"""
    )
    x = torch.ones(2)
    plain = emulator.compile(source, function_constants={"factor": 4, 1: False})
    plain.function("test").launch([x], 1, 2)
    assert x.tolist() == [2, 2]
    both = emulator.compile(source, function_constants={0: 3, "has_bias": True, 2: 1.0})
    both.function("test").launch([x, torch.tensor([1.0, 2.0])], 1, 2)
    assert x.tolist() == [7, 8]
    with pytest.raises(emulator.CompileError, match="function constant factor has no value"):
        emulator.compile(source, function_constants={1: False}).function("test").load()


def test_atomics() -> None:
    out = torch.zeros(3, dtype=torch.int32)
    source = (
        HEADER
        + """
    kernel void test(device atomic_int* out [[buffer(0)]], uint i [[thread_position_in_grid]])
    {
        threadgroup atomic_int count;
        atomic_store_explicit(&count, 0, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        atomic_fetch_add_explicit(&count, 2, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        atomic_fetch_add_explicit(&out[0], atomic_load_explicit(&count, memory_order_relaxed), memory_order_relaxed);
        atomic_fetch_max_explicit(&out[1], int(i), memory_order_relaxed);
    }"""
    )
    emulator.compile(source).function("test").launch([out], 50, 64)
    assert out.tolist() == [50 * 64 * 128, 50 * 64 - 1, 0]


def test_literals_and_nan() -> None:
    out = torch.zeros(12)
    out.view(torch.int32)[11] = 0x7FFFFFFF
    run(
        """
        if (i != 0) return;
        out[0] = sizeof(1.0) + sizeof(1e3) + sizeof(.5) + 10 * sizeof(1.0h) + 100 * sizeof(1.0bf);
        out[1] = fmin(NAN, 1.0);
        out[2] = fmax(1.0, NAN);
        out[3] = fmin(2.0, 1.0) + fmax(2.0, 1.0);
        out[4] = isnan(NAN) && isinf(-INFINITY) && !isfinite(INFINITY) && !isnan(INFINITY);
        out[5] = float(bfloat(out[11])); // NaN, but rounding its bits would give -0
        out[6] = float(bfloat(1.0 + 0.00390625));
        out[7] = float(half(65520.0));
        out[8] = 0x1F + 1e2 + 07 + 1'000;
        out[9] = exp2(as_type<float>(0x7FFFFFFFu));
        out[10] = 3 / 2 + 3 / 2.0;
        """,
        out,
        parameters="device float* out [[buffer(0)]]",
    )
    nan, inf = float("nan"), float("inf")
    expected = [232, 1, 1, 3, 1, nan, 1, inf, 1138, nan, 2.5, nan]
    torch.testing.assert_close(out, torch.tensor(expected), equal_nan=True)
