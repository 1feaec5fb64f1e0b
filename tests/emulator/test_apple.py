"""What shaders written against Apple's own headers rely on beyond the language's specification."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import emulator

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
KERNEL = "kernel void test(device float* x [[buffer(0)]], uint i [[thread_index_in_threadgroup]])"


def run(source: str, values: torch.Tensor, *, extensions: bool = False) -> torch.Tensor:
    """The buffer after one threadgroup of 32."""
    library = emulator.compile(HEADER + source, extensions=extensions)
    library.function("test").launch([values], threadgroups=1, threads=32)
    return values


def test_a_shader_may_have_bfloat_functions_of_its_own() -> None:
    source = f"""
    namespace metal {{
    METAL_FUNC bfloat exp2(bfloat) {{ return bfloat(5.0f); }}
    METAL_FUNC bfloat max(bfloat, bfloat) {{ return bfloat(6.0f); }}
    namespace fast {{ METAL_FUNC bfloat abs(bfloat) {{ return bfloat(7.0f); }} }}
    }}
    {KERNEL} {{
        const bfloat b = bfloat(x[i]);
        x[i] = exp2(b) + 10.0f * max(b, b) + 100.0f * fast::abs(b) + 1000.0f * min(b, b)
            + 10000.0f * min(b, 1.0f);
    }}"""
    expected = 5 + 10 * 6 + 100 * 7 + 1000 * 2 + 10000 * 1
    assert (run(source, torch.full((32,), 2.0)) == expected).all()


def test_internals_under_the_library() -> None:
    source = f"""
    {KERNEL} {{
        int exponent;
        const float mantissa = __metal_frexp(x[i], &exponent);
        x[i] = __metal_exp2(x[i] - 16, __METAL_FAST_MATH__) + __metal_fmin3(x[i], 3.0f, 9.0f, __METAL_PRECISE_MATH__)
            + __metal_ldexp(mantissa, exponent, __METAL_MAYBE_FAST_MATH__)
            + 64 * __metal_simd_shuffle_xor(ushort(i), ushort(__metal_get_simdgroup_size(ushort()) - 1))
            + __metal_simd_sum(1.0f) + __metal_simd_xor(1.0f);
    }}"""
    i = np.arange(32.0)
    expected = np.exp2(i - 16) + np.minimum(i, 3) + i + 64 * (31 - i) + 32
    assert np.allclose(run(source, torch.arange(32.0)).numpy(), expected, rtol=2**-22, atol=0)


def test_members_for_other_address_spaces_and_their_attributes() -> None:
    source = f"""
    struct Pair {{
        float a, b;
        constexpr Pair(float x) thread : a(x), b{{2 * x}} {{}}
        constexpr Pair(float x) threadgroup : a(x), b{{9 * x}} {{ }}
    public:
        template <typename T, typename = enable_if_t<is_same_v<T, int>>>
        constexpr Pair(T x) device : a(x), b(9 * x) {{ if (x) {{ a = 1; }} }}
        float sum() const thread {{ return a + b; }}
        float sum() const constant;
        float sum() const device {{ return 100; }}
    }};
    METAL_FUNC float first(threadgroup float* shared [[threadgroup(0)]]) {{ return shared[0]; }}
    {KERNEL} {{
        threadgroup float shared[1];
        shared[0] = 0.5f;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const float initial = first(shared);
        static_assert(is_same_v<remove_addrspace_t<const device float>, const float>, "");
        x[i] = Pair(x[i]).sum() + initial;
    }}"""
    assert torch.equal(run(source, torch.arange(32.0)), 3 * torch.arange(32.0) + 0.5)


def test_extensions_are_an_error_unless_asked_for() -> None:
    source = f"{KERNEL} {{ if constexpr (true) x[i] = 1; }}"
    with pytest.raises(emulator.CompileError, match=r"C\+\+17"):
        run(source, torch.zeros(32))
    assert (run(source, torch.zeros(32), extensions=True) == 1).all()


def test_constants_of_other_kernels_need_no_value() -> None:
    source = f"""
    constant int missing [[function_constant(7)]];
    template <int n> kernel void other(device float* x [[buffer(0)]]) {{ x[0] = missing + n; }}
    template [[host_name("other")]] [[kernel]] decltype(other<1>) other<1>;
    {KERNEL} {{ x[i] = 1; }}"""
    assert (run(source, torch.zeros(32)) == 1).all()
    with pytest.raises(emulator.CompileError, match="missing has no value"):
        emulator.compile(HEADER + source).function("other").load()


def test_class_templates_with_conditions_in_their_heads() -> None:
    source = f"""
    METAL_FUNC float two() {{ return 2; }}
    template <typename T, typename = enable_if_t<is_same_v<T, float> && !is_same_v<T, half>>>
    struct Twice {{
        T x;
        T get() const thread {{ return two() * x; }}
        T get() const device {{ return 3 * x; }}
    }};
    {KERNEL} {{ x[i] = Twice<float>{{x[i]}}.get(); }}"""
    assert torch.equal(run(source, torch.arange(32.0)), 2 * torch.arange(32.0))
