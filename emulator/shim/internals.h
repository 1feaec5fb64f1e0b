// What Apple's own headers are built on.  These names are no part of the language, but shaders call
// them where the library lacks a function for bfloat.
#pragma once
#include "math.h"
#include "simdgroup.h"

// How exact a function has to be; here all are precise.
enum EmulatorMathMode { __METAL_PRECISE_MATH__, __METAL_FAST_MATH__, __METAL_MAYBE_FAST_MATH__ };

#define EMULATOR_UNARY(F) \
    METAL_FUNC float __metal_##F(float x, EmulatorMathMode) { return metal::F(x); }
#define EMULATOR_BINARY(F) \
    METAL_FUNC float __metal_##F(float x, float y, EmulatorMathMode) { return metal::F(x, y); }
#define EMULATOR_TERNARY(F) \
    METAL_FUNC float __metal_f##F(float x, float y, float z, EmulatorMathMode) { return metal::F(x, y, z); }
EMULATOR_UNARY(acos)
EMULATOR_UNARY(acosh)
EMULATOR_UNARY(asin)
EMULATOR_UNARY(asinh)
EMULATOR_UNARY(atan)
EMULATOR_UNARY(atanh)
EMULATOR_UNARY(ceil)
EMULATOR_UNARY(cos)
EMULATOR_UNARY(cosh)
EMULATOR_UNARY(cospi)
EMULATOR_UNARY(exp)
EMULATOR_UNARY(exp10)
EMULATOR_UNARY(exp2)
EMULATOR_UNARY(fabs)
EMULATOR_UNARY(floor)
EMULATOR_UNARY(fract)
EMULATOR_UNARY(log)
EMULATOR_UNARY(log10)
EMULATOR_UNARY(log2)
EMULATOR_UNARY(rint)
EMULATOR_UNARY(round)
EMULATOR_UNARY(rsqrt)
EMULATOR_UNARY(sin)
EMULATOR_UNARY(sinh)
EMULATOR_UNARY(sinpi)
EMULATOR_UNARY(sqrt)
EMULATOR_UNARY(tan)
EMULATOR_UNARY(tanh)
EMULATOR_UNARY(tanpi)
EMULATOR_UNARY(trunc)
EMULATOR_BINARY(atan2)
EMULATOR_BINARY(divide)
EMULATOR_BINARY(fmax)
EMULATOR_BINARY(fmin)
EMULATOR_BINARY(fmod)
EMULATOR_BINARY(pow)
EMULATOR_BINARY(powr)
EMULATOR_TERNARY(max3)
EMULATOR_TERNARY(median3)
EMULATOR_TERNARY(min3)
#undef EMULATOR_TERNARY
#undef EMULATOR_BINARY
#undef EMULATOR_UNARY
METAL_FUNC float __metal_fma(float x, float y, float z) { return metal::fma(x, y, z); }
METAL_FUNC float __metal_nextafter(float x, float y) { return metal::nextafter(x, y); }
METAL_FUNC float __metal_frexp(float x, thread int* exponent) { return metal::frexp(x, *exponent); }
METAL_FUNC float __metal_ldexp(float x, int k, EmulatorMathMode) { return metal::ldexp(x, k); }

METAL_FUNC ushort __metal_get_simdgroup_size(ushort) { return metal::emulator::SIMDGROUP; }

// Alike in all but the name.
#define EMULATOR_SIMD(F)                    \
    template <typename... T>                \
    METAL_FUNC auto __metal_simd_##F(T... x) \
    {                                       \
        return metal::simd_##F(x...);       \
    }
EMULATOR_SIMD(broadcast)
EMULATOR_SIMD(shuffle)
EMULATOR_SIMD(shuffle_and_fill_down)
EMULATOR_SIMD(shuffle_and_fill_up)
EMULATOR_SIMD(shuffle_down)
EMULATOR_SIMD(shuffle_rotate_down)
EMULATOR_SIMD(shuffle_rotate_up)
EMULATOR_SIMD(shuffle_up)
EMULATOR_SIMD(shuffle_xor)
EMULATOR_SIMD(max)
EMULATOR_SIMD(min)
EMULATOR_SIMD(sum)
EMULATOR_SIMD(product)
EMULATOR_SIMD(prefix_exclusive_product)
EMULATOR_SIMD(prefix_exclusive_sum)
EMULATOR_SIMD(prefix_inclusive_product)
EMULATOR_SIMD(prefix_inclusive_sum)
#undef EMULATOR_SIMD
METAL_FUNC int __metal_simd_xor(int x) { return metal::simd_xor(x); } // others convert
