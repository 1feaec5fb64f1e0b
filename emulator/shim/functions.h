// The functions that a GPU has a unit or a sequence of instructions for, and how a CPU computes them.
//
// float versions of exp and log come from one polynomial each, evaluated in double: at most
// 0.6 ulp, and denormals, overflow and infinities need no special cases on the way back to float.
#pragma once
#include "events.h"

namespace metal {
namespace emulator {

constexpr double LOG2_E = 1.4426950408889634;
constexpr double LOG2_10 = 3.321928094887362;

// 2^t: 2^n by the exponent's bits, 2^f for |f| <= 1/2 by its Taylor series.
METAL_FUNC float exp2_of(double t)
{
    const double above = -200.0 > t ? -200.0 : t; // so written, NaN passes through
    const double inside = 200.0 < above ? 200.0 : above;
    const double rounder = 0x1.8p52; // adding it leaves an integer in the low bits
    const double rounded = inside + rounder;
    const double f = inside - (rounded - rounder);
    const double f2 = f * f;
    const double low = __builtin_fma(
        __builtin_fma(0.05550410866482158, f, 0.2402265069591007), f2, __builtin_fma(0.6931471805599453, f, 1.0));
    const double high = __builtin_fma(
        __builtin_fma(1.5252733804059841e-05, f, 0.0001540353039338161), f2,
        __builtin_fma(0.0013333558146428443, f, 0.009618129107628477));
    const double fraction = __builtin_fma(high, f2 * f2, low);
    const ulong bits = __builtin_bit_cast(ulong, fraction) + (__builtin_bit_cast(ulong, rounded) << 52);
    return static_cast<float>(__builtin_bit_cast(double, bits));
}

// log2(x): the exponent's bits, and for a mantissa m around 1 the series of atanh((m-1)/(m+1)).
METAL_FUNC double log2_of(float x)
{
    const ulong bits = __builtin_bit_cast(ulong, static_cast<double>(x)); // every float is a normal double
    const ulong shifted = bits - 0x3FE6A09E667F3BCDul; // so that m lies in [sqrt(1/2), sqrt(2))
    const double exponent = static_cast<double>(static_cast<long>(shifted) >> 52);
    const double m = __builtin_bit_cast(double, bits - (shifted & 0xFFF0000000000000ul));
    const double s = (m - 1.0) / (m + 1.0);
    const double s2 = s * s;
    const double series = 1.0
        + s2 * (1.0 / 3 + s2 * (1.0 / 5 + s2 * (1.0 / 7 + s2 * (1.0 / 9 + s2 * (1.0 / 11 + s2 * (1.0 / 13))))));
    const double result = exponent + 2.8853900817779268 * s * series; // 2 / ln 2
    if (x > 0.0f && x < __builtin_inff()) {
        return result;
    }
    return x == 0.0f ? -__builtin_inf() : x > 0.0f ? __builtin_inf() : __builtin_nan("");
}

// Of pi * x, where the multiple of 2 pi goes away before it costs digits.
METAL_FUNC double whole_turns_off(float x) { return 3.141592653589793 * (x - 2.0 * __builtin_rint(0.5 * x)); }

} // namespace emulator
} // namespace metal

// What a GPU has units or sequences of instructions for: UNARY(F, expression in x) and BINARY(F,
// expression in x and y).
#define EMULATOR_TRANSCENDENTALS(UNARY, BINARY)               \
    EMULATOR_ALIKE(UNARY, BINARY)                             \
    UNARY(tanh, __builtin_tanhf(x))

// Those whose fast:: is like their precise::, among finite numbers.
#define EMULATOR_ALIKE(UNARY, BINARY)                         \
    UNARY(exp2, exp2_of(x))                                   \
    UNARY(exp, exp2_of(x * LOG2_E))                           \
    UNARY(exp10, exp2_of(x * LOG2_10))                        \
    UNARY(log2, static_cast<float>(log2_of(x)))               \
    UNARY(log, static_cast<float>(log2_of(x) / LOG2_E))       \
    UNARY(log10, static_cast<float>(log2_of(x) / LOG2_10))    \
    UNARY(sin, __builtin_sinf(x))                             \
    UNARY(cos, __builtin_cosf(x))                             \
    UNARY(tan, __builtin_tanf(x))                             \
    UNARY(asin, __builtin_asinf(x))                           \
    UNARY(acos, __builtin_acosf(x))                           \
    UNARY(atan, __builtin_atanf(x))                           \
    UNARY(sinh, __builtin_sinhf(x))                           \
    UNARY(cosh, __builtin_coshf(x))                           \
    UNARY(asinh, __builtin_asinhf(x))                         \
    UNARY(acosh, __builtin_acoshf(x))                         \
    UNARY(atanh, __builtin_atanhf(x))                         \
    UNARY(sinpi, __builtin_sin(whole_turns_off(x)))           \
    UNARY(cospi, __builtin_cos(whole_turns_off(x)))           \
    UNARY(tanpi, __builtin_tan(whole_turns_off(x)))           \
    UNARY(sqrt, __builtin_sqrtf(x))                           \
    UNARY(rsqrt, static_cast<float>(1.0 / __builtin_sqrt(x))) \
    BINARY(pow, __builtin_powf(x, y))                         \
    BINARY(powr, __builtin_powf(x, y))                        \
    BINARY(atan2, __builtin_atan2f(x, y))                     \
    BINARY(fmod, __builtin_fmodf(x, y))
