"""simdgroup_matrix in all element types, against torch."""

from __future__ import annotations

import pytest
import torch

import emulator

pytestmark = pytest.mark.usefixtures("executor")

HEADER = """
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
"""
DTYPES = {"half": torch.float16, "bfloat": torch.bfloat16, "float": torch.float32}


def launch(source: str, *args: object, threads: int = 32) -> None:
    emulator.compile(HEADER + source).function("test").launch(list(args), 1, threads)


def operands(*names: str) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(8, 8).to(DTYPES[name]) for name in names]


@pytest.mark.parametrize("space", ["device", "threadgroup"])
@pytest.mark.parametrize("name", DTYPES)
def test_load_and_store_with_stride_origin_and_transposition(name: str, space: str) -> None:
    x = torch.arange(24 * 20).reshape(24, 20).to(DTYPES[name])
    out = torch.zeros(4, 24, 20, dtype=DTYPES[name])
    stage = "threadgroup T s[480]; for (uint k = i; k < 480; k += 64) s[k] = x[k];"
    launch(
        f"""
        typedef {name} T;
        kernel void test(device const T* x [[buffer(0)]], device T* out [[buffer(1)]],
                         uint i [[thread_index_in_threadgroup]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]])
        {{
            {stage if space == "threadgroup" else "device const T* s = x;"}
            threadgroup_barrier(mem_flags::mem_threadgroup);
            simdgroup_matrix<T, 8, 8> m;
            if (simdgroup == 0) {{
                simdgroup_load(m, s + 41, 20);
                simdgroup_store(m, out + 22, 20);
                simdgroup_load(m, s, 20, ulong2(3, 9), true);
                simdgroup_store(m, out + 480, 20);
            }} else {{
                simdgroup_load(m, s, 20, ulong2(12, 16));
                simdgroup_store(m, out + 960, 20, ulong2(11, 10), true);
                simdgroup_store(m, out + 1440, 20, ulong2(7, 13), false);
            }}
        }}""",
        x,
        out,
        threads=64,
    )
    expected = torch.zeros_like(out)
    expected[0, 1:9, 2:10] = x[2:10, 1:9]
    expected[1, 0:8, 0:8] = x[3:11, 9:17].T  # the origin counts in the transposed matrix
    expected[2, 11:19, 10:18] = x[16:24, 12:20].T
    expected[3, 13:21, 7:15] = x[16:24, 12:20]
    assert torch.equal(out, expected)


@pytest.mark.parametrize("accumulator", DTYPES)
@pytest.mark.parametrize("element", DTYPES)
def test_products_are_summed_in_float_and_rounded_once(element: str, accumulator: str) -> None:
    a, b, c = operands(element, element, accumulator)
    d = torch.zeros(2, 8, 8, dtype=DTYPES[accumulator])
    launch(
        f"""
        kernel void test(device const {element}* a [[buffer(0)]],
                         device const {element}* b [[buffer(1)]],
                         device const {accumulator}* c [[buffer(2)]],
                         device {accumulator}* d [[buffer(3)]])
        {{
            simdgroup_matrix<{element}, 8, 8> left, right;
            simdgroup_matrix<{accumulator}, 8, 8> sum, product;
            simdgroup_load(left, a);
            simdgroup_load(right, b);
            simdgroup_load(sum, c);
            simdgroup_multiply(product, left, right);
            simdgroup_multiply_accumulate(sum, left, right, sum);
            simdgroup_store(sum, d);
            simdgroup_store(product, d + 64);
        }}""",
        a,
        b,
        c,
        d,
    )
    product = a.double() @ b.double()
    exact = torch.stack([product + c.double(), product])
    if accumulator == "float":
        torch.testing.assert_close(d.double(), exact, rtol=1e-6, atol=1e-6)
    else:  # exact up to ties that float sums decide: within one step of the result's type
        step = {"half": 2**-10, "bfloat": 2**-7}[accumulator]
        assert ((d.double() - exact).abs() <= 0.501 * step * exact.abs().clamp(min=0.5) * 2).all()
        assert (d == exact.to(d.dtype)).double().mean() > 0.98


@pytest.mark.parametrize("name", DTYPES)
def test_thread_elements_follow_the_published_layout(name: str) -> None:
    out = torch.zeros(64, dtype=DTYPES[name])
    launch(
        f"""
        typedef {name} T;
        kernel void test(device T* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]])
        {{
            simdgroup_matrix<T, 8, 8> m = make_filled_simdgroup_matrix<T, 8, 8>(T(1));
            reinterpret_cast<thread vec<T, 2>&>(m.thread_elements()) += vec<T, 2>(T(lane), T(lane));
            m.thread_elements()[1] += T(0.5);
            simdgroup_store(m, out);
        }}""",
        out,
    )
    expected = torch.zeros(8, 8)
    for lane in range(32):
        quad = lane // 4
        row, column = (quad & 4) + lane // 2 % 4, (quad & 2) * 2 + lane % 2 * 2
        expected[row, column], expected[row, column + 1] = lane + 1, lane + 1.5
    assert torch.equal(out.reshape(8, 8), expected.to(out.dtype))


def test_elements_and_collective_operations_take_turns() -> None:
    """Powers of a matrix, scaled element by element between the products, in four simdgroups."""
    torch.manual_seed(0)
    a = torch.randn(4, 8, 8) / 3
    out = torch.zeros(4, 8, 8)
    traces = torch.zeros(4, 128)
    launch(
        """
        kernel void test(device const float* a [[buffer(0)]], device float* out [[buffer(1)]],
                         device float* traces [[buffer(2)]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]])
        {
            simdgroup_float8x8 base, power;
            simdgroup_load(base, a + 64 * simdgroup);
            power = base;
            for (int k = 0; k < 4; ++k) {
                simdgroup_float8x8 next;
                simdgroup_multiply(next, power, base);
                float sum = 0;
                for (int j = 0; j < 2; ++j) {
                    next.thread_elements()[j] *= 2;
                    sum += next.thread_elements()[j];
                }
                traces[simdgroup * 128 + k * 32 + lane] = simd_sum(sum);
                power = next;
            }
            simdgroup_store(power, out + 64 * simdgroup);
        }""",
        a,
        out,
        traces,
        threads=128,
    )
    power = a.double()
    for k in range(4):
        power = 2 * power @ a.double()
        expected = power.sum((1, 2))[:, None].expand(4, 32)
        torch.testing.assert_close(
            traces[:, 32 * k : 32 * k + 32].double(), expected, rtol=1e-5, atol=1e-5
        )
    torch.testing.assert_close(out.double(), power, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("condition", ["lane < 7", "lane % 2 == 1", "lane == 31", "lane != 31"])
def test_only_some_lanes_may_look_at_their_elements(condition: str) -> None:
    """Right after a product, before another, before a barrier, and before the end."""
    a, b = operands("float", "float")
    out = torch.zeros(3, 64)
    launch(
        f"""
        kernel void test(device const float* a [[buffer(0)]], device const float* b [[buffer(1)]],
                         device float* out [[buffer(2)]], uint lane [[thread_index_in_simdgroup]])
        {{
            simdgroup_float8x8 left, right, product;
            simdgroup_load(left, a);
            simdgroup_load(right, b);
            simdgroup_multiply(product, left, right);
            if ({condition}) product.thread_elements()[0] += 1;
            simdgroup_multiply(product, product, right);
            if ({condition}) out[lane] = product.thread_elements()[0];
            simdgroup_multiply(product, product, right);
            simdgroup_store(product, out + 64);
            simdgroup_barrier(mem_flags::mem_device);
            out[32 + lane] = out[64 + lane];
            simdgroup_multiply(product, product, right);
            if ({condition}) out[128 + lane] = product.thread_elements()[1];
        }}""",
        a,
        b,
        out,
    )
    quad = torch.arange(32) // 4
    lanes = torch.arange(32)
    rows, columns = (quad & 4) + lanes // 2 % 4, (quad & 2) * 2 + lanes % 2 * 2
    chosen = torch.tensor([eval(condition, {"lane": lane}) for lane in range(32)])
    right = b.double()
    first = a.double() @ right
    first[rows[chosen], columns[chosen]] += 1
    second = first @ right
    third = second @ right
    fourth = third @ right
    expected = torch.zeros(3, 64, dtype=torch.float64)
    expected[0, :32] = torch.where(chosen, second[rows, columns], 0)
    expected[0, 32:] = third.flatten()[:32]
    expected[1] = third.flatten()
    expected[2, :32] = torch.where(chosen, fourth[rows, columns + 1], 0)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("condition", ["lane == 31", "lane % 3 == 1", "lane < 5", "lane != 31"])
def test_a_lane_that_looks_late_waits_for_the_last_product(condition: str) -> None:
    """All look at a second product while the executor has not got past a look at the first."""
    a, b = operands("float", "float")
    out = torch.zeros(2, 64)
    launch(
        f"""
        kernel void test(device const float* a [[buffer(0)]], device const float* b [[buffer(1)]],
                         device float* out [[buffer(2)]], uint lane [[thread_index_in_simdgroup]])
        {{
            simdgroup_float8x8 left, right, sum, product;
            simdgroup_load(left, a);
            simdgroup_load(right, b);
            sum = simdgroup_float8x8(0);
            product = simdgroup_float8x8(0);
            for (int k = 0; k < 4; ++k) {{
                simdgroup_multiply_accumulate(sum, left, right, sum);
                if ({condition}) sum.thread_elements()[0] += 1;
                simdgroup_multiply(product, left, right);
                left.thread_elements() = product.thread_elements() * 0.25f;
            }}
            simdgroup_store(left, out);
            simdgroup_store(sum, out + 64);
        }}""",
        a,
        b,
        out,
    )
    lanes = torch.arange(32)
    quad = lanes // 4
    rows, columns = (quad & 4) + lanes // 2 % 4, (quad & 2) * 2 + lanes % 2 * 2
    chosen = torch.tensor([eval(condition, {"lane": lane}) for lane in range(32)])
    left, right = a.double(), b.double()
    total = torch.zeros(8, 8, dtype=torch.float64)
    for _ in range(4):
        total += left @ right
        total[rows[chosen], columns[chosen]] += 1
        left = left @ right * 0.25
    expected = torch.stack([left, total]).reshape(2, 64)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


def test_lanes_may_return_after_a_look_at_their_elements() -> None:
    out = torch.zeros(96)
    launch(
        """
        kernel void test(device float* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]])
        {
            // As many rows as columns, where their number is left out.
            simdgroup_float8x8 m = make_filled_simdgroup_matrix<float, 8>(3);
            if (lane % 4 == 1 || lane == 30) {
                out[lane] = m.thread_elements()[0];
                return;
            }
            out[32 + lane] = simd_sum(1.0f);
            threadgroup_barrier(mem_flags::mem_none);
            out[64 + lane] = simd_sum(2.0f);
        }""",
        out,
    )
    lanes = torch.arange(32)
    returned = (lanes % 4 == 1) | (lanes == 30)
    stay = float((~returned).sum())
    assert torch.equal(out[:32], torch.where(returned, 3.0, 0.0))
    assert torch.equal(out[32:64], torch.where(returned, 0.0, stay))
    assert torch.equal(out[64:], torch.where(returned, 0.0, 2 * stay))


def test_arrays_of_matrices_in_structs_passed_by_reference() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(16, 16).half(), torch.randn(16, 16).half()
    out = torch.zeros(16, 16)
    launch(
        """
        struct Tile { simdgroup_matrix<float, 8, 8> parts[2][2]; };
        void multiply(thread Tile& sum, threadgroup const half* a, device const half* b)
        {
            for (int k = 0; k < 2; ++k)
                for (int r = 0; r < 2; ++r)
                    for (int c = 0; c < 2; ++c) {
                        simdgroup_half8x8 left, right;
                        simdgroup_load(left, a + r * 128 + k * 8, 16);
                        simdgroup_load(right, b + c * 128 + k * 8, 16, 0, true);
                        simdgroup_multiply_accumulate(sum.parts[r][c], left, right, sum.parts[r][c]);
                    }
        }
        kernel void test(device const half* a [[buffer(0)]], device const half* b [[buffer(1)]],
                         device float* out [[buffer(2)]], uint lane [[thread_index_in_simdgroup]])
        {
            threadgroup half staged[256];
            for (int k = lane; k < 64; k += 32)
                *(threadgroup half4*)(staged + 4 * k) = *(device const half4*)(a + 4 * k);
            simdgroup_barrier(mem_flags::mem_threadgroup);
            Tile sum;
            for (int r = 0; r < 2; ++r)
                for (int c = 0; c < 2; ++c)
                    sum.parts[r][c] = simdgroup_float8x8(0);
            multiply(sum, staged, b);
            const Tile copy = sum;
            for (int r = 0; r < 2; ++r)
                for (int c = 0; c < 2; ++c)
                    simdgroup_store(copy.parts[r][c], out + r * 128 + c * 8, 16);
        }""",
        a,
        b,
        out,
    )
    torch.testing.assert_close(out, a.float() @ b.float().T)


def test_nan_and_infinity_pass_through() -> None:
    a = torch.eye(8).bfloat16()
    b = torch.ones(8, 8).bfloat16()
    b[2, 3], b[4, 5] = float("nan"), float("inf")
    out = torch.zeros(8, 8).bfloat16()
    launch(
        """
        kernel void test(device const bfloat* a [[buffer(0)]], device const bfloat* b [[buffer(1)]],
                         device bfloat* out [[buffer(2)]])
        {
            simdgroup_bfloat8x8 x, y, z;
            simdgroup_load(x, a);
            simdgroup_load(y, b);
            simdgroup_multiply(z, x, y);
            simdgroup_store(z, out);
        }""",
        a,
        b,
        out,
    )
    assert out[:, 3].isnan().sum() == 8
    assert (out[4, 5] == float("inf")) and out[:, 5].isnan().sum() == 7


def test_bfloat_products_round_ties_to_even_and_keep_every_nan() -> None:
    a = torch.eye(8)
    c = torch.zeros(8, 8)
    c[0] = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 2**-8, 3e38, 0, 0, 0])
    c.view(torch.int32)[1] = 0x7FFFFFFF  # a NaN that rounding up would turn into -0
    out = torch.zeros(8, 8).bfloat16()
    launch(
        """
        kernel void test(device const float* a [[buffer(0)]], device const float* c [[buffer(1)]],
                         device bfloat* out [[buffer(2)]])
        {
            simdgroup_float8x8 x, y;
            simdgroup_bfloat8x8 z;
            simdgroup_load(x, a);
            simdgroup_load(y, c);
            simdgroup_multiply_accumulate(z, x, simdgroup_float8x8(0), y);
            simdgroup_store(z, out);
        }""",
        a,
        c,
        out,
    )
    torch.testing.assert_close(out, c.bfloat16(), rtol=0, atol=0, equal_nan=True)


def test_a_simdgroup_may_have_fewer_lanes(executor: str) -> None:
    if executor != "cpu":
        pytest.skip("a GPU has no product of fewer lanes")
    x = torch.randn(2, 8, 8)
    out = torch.zeros(2, 8, 8)
    launch(
        """
        kernel void test(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]])
        {
            simdgroup_float8x8 m;
            simdgroup_load(m, x + 64 * simdgroup);
            m.thread_elements()[0] += 1;
            simdgroup_store(m, out + 64 * simdgroup);
        }""",
        x,
        out,
        threads=40,
    )
    changed = torch.zeros(2, 8, 8)
    changed[:, :, ::2] = 1
    changed[1, 2:] = 0  # only lanes 0 to 7 exist: two elements each in rows 0 to 3 ...
    changed[1, :4, ::2] = 1
    changed[1, :4, 4:] = 0  # ... of the left half
    assert torch.equal(out, x + changed)


def test_matrices_in_different_scopes_do_not_share_memory() -> None:
    """Lane 0 fills the second matrix while the others have still to read the first."""
    x = torch.randn(8, 8)
    out = torch.zeros(32)
    halves = torch.zeros(8, 8).half()
    launch(
        """
        kernel void test(device const float* x [[buffer(0)]], device float* out [[buffer(1)]],
                         device half* halves [[buffer(2)]], uint lane [[thread_index_in_simdgroup]])
        {
            {
                simdgroup_float8x8 m;
                simdgroup_load(m, x);
                out[lane] = m.thread_elements()[0] + m.thread_elements()[1];
            }
            {
                simdgroup_half8x8 m;
                m.thread_elements() = half2(2, 3);
                simdgroup_store(m, halves);
            }
        }""",
        x,
        out,
        halves,
    )
    assert halves.sum() == 32 * 5
    lanes = torch.arange(32)
    quad = lanes // 4
    rows, columns = (quad & 4) + lanes // 2 % 4, (quad & 2) * 2 + lanes % 2 * 2
    assert torch.equal(out, x[rows, columns] + x[rows, columns + 1])
