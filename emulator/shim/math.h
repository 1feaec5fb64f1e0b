// Arithmetic and transcendental functions, on any machine; functions.h has the machine's own.
#pragma once
#include "functions.h"
#include "type_traits.h"

namespace metal {
namespace emulator {

METAL_FUNC double bits_to_double(ulong x) { return __builtin_bit_cast(double, x); }
METAL_FUNC ulong double_to_bits(double x) { return __builtin_bit_cast(ulong, x); }

// The next value of a type whose bits count up in order of magnitude.
template <typename T>
METAL_FUNC T next_after(T x, T to)
{
    if (!(x < to) && !(x > to)) {
        return x == to ? to : x + to; // NaN if one is
    }
    const short bits = __builtin_bit_cast(short, x);
    if (float(x) == 0.0f) {
        return __builtin_bit_cast(T, static_cast<short>(to > x ? 1 : 0x8001));
    }
    return __builtin_bit_cast(T, static_cast<short>(bits + ((bits < 0) == (to < x) ? 1 : -1)));
}

// a * b + c with one rounding, for types of which double holds every product.  On the way the sum
// is rounded to odd, to 53 bits and then to float's 24: so it stays beside a tie that it is beside.
template <typename T>
EMULATOR_APART T fuse(T a, T b, T c)
{
    const double product = double(float(a)) * double(float(b)), addend = double(float(c));
    const double sum = product + addend, back = sum - product;
    const double lost = (product - (sum - back)) + (addend - back);
    ulong bits = double_to_bits(sum);
    if (sum - sum != 0) {
        return static_cast<T>(static_cast<float>(sum));
    }
    if (lost != 0 && !(bits & 1)) {
        bits += (lost > 0) == (sum > 0) ? 1 : -1;
    }
    if (bits & 0x1FFFFFFF) {
        bits = (bits & ~0x1FFFFFFFul) | 0x20000000;
    }
    return static_cast<T>(static_cast<float>(bits_to_double(bits)));
}
// By the exponent's bits.
METAL_FUNC constexpr bool is_normal(half x) { return __builtin_bit_cast(ushort, x) & 0x7C00; }
METAL_FUNC constexpr bool is_normal(bfloat x) { return __builtin_bit_cast(ushort, x) & 0x7F80; }
METAL_FUNC constexpr bool is_normal(float x) { return __builtin_bit_cast(uint, x) & 0x7F800000; }
METAL_FUNC float fuse(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// Where Metal takes a vector, a scalar of any type stands for one.
template <typename T>
struct ScalarArgument {
    typedef T type;
};
template <typename T>
using Scalar = typename ScalarArgument<T>::type;

} // namespace emulator

// Functions of bfloat are templates, as in Metal, where shaders may add their own of the same names:
// those are preferred.
#define EMULATOR_BFLOAT template <typename B, enable_if_t<__is_same(B, bfloat), int> = 0>

// F(x) for float, half, bfloat and vectors of them; `expression` computes it in float.
#define EMULATOR_UNARY(F, expression)                                   \
    METAL_FUNC float F(float x) { return expression; }                  \
    METAL_FUNC half F(half h)                                           \
    {                                                                   \
        const float x = h;                                              \
        return static_cast<half>(expression);                           \
    }                                                                   \
    EMULATOR_BFLOAT                                                     \
    METAL_FUNC B F(B b)                                                 \
    {                                                                   \
        const float x = b;                                              \
        return static_cast<B>(expression);                              \
    }                                                                   \
    template <typename T, int n>                                        \
    METAL_FUNC vec<T, n> F(vec<T, n> v)                                 \
    {                                                                   \
        vec<T, n> result;                                               \
        for (int i = 0; i < n; ++i) {                                   \
            result[i] = F(static_cast<T>(v[i]));                        \
        }                                                               \
        return result;                                                  \
    }
#define EMULATOR_BINARY(F, expression)                                  \
    METAL_FUNC float F(float x, float y) { return expression; }         \
    METAL_FUNC half F(half a, half b)                                   \
    {                                                                   \
        const float x = a, y = b;                                       \
        return static_cast<half>(expression);                           \
    }                                                                   \
    EMULATOR_BFLOAT                                                     \
    METAL_FUNC B F(B a, B b)                                            \
    {                                                                   \
        const float x = a, y = b;                                       \
        return static_cast<B>(expression);                              \
    }                                                                   \
    template <typename T, int n>                                        \
    METAL_FUNC vec<T, n> F(vec<T, n> a, vec<T, n> b)                    \
    {                                                                   \
        vec<T, n> result;                                               \
        for (int i = 0; i < n; ++i) {                                   \
            result[i] = F(static_cast<T>(a[i]), static_cast<T>(b[i]));  \
        }                                                               \
        return result;                                                  \
    }                                                                   \
    template <typename T, int n>                                        \
    METAL_FUNC vec<T, n> F(vec<T, n> a, emulator::Scalar<T> b)          \
    {                                                                   \
        return F(a, static_cast<vec<T, n>>(b));                         \
    }                                                                   \
    template <typename T, int n>                                        \
    METAL_FUNC vec<T, n> F(emulator::Scalar<T> a, vec<T, n> b)          \
    {                                                                   \
        return F(static_cast<vec<T, n>>(a), b);                         \
    }

// Each computes in float, by a function of its own.
namespace emulator {
namespace called {

#define EMULATOR_UNARY_CALLED(F, expression) \
    EMULATOR_CALLED float F(float x) { return expression; }
#define EMULATOR_BINARY_CALLED(F, expression) \
    EMULATOR_CALLED float F(float x, float y) { return expression; }
EMULATOR_TRANSCENDENTALS(EMULATOR_UNARY_CALLED, EMULATOR_BINARY_CALLED)
#undef EMULATOR_BINARY_CALLED
#undef EMULATOR_UNARY_CALLED

} // namespace called

// What fast:: makes of a function's result.  Fast math may take it that no argument and no result
// is infinite or NaN (Apple's specification of the language, "ULPs and Relative Error").  With
// EMULATOR_FINITE_MATH, what then comes out is the worst that may: NaN.
template <typename... Arguments>
METAL_FUNC float finite(float result, Arguments... arguments)
{
#ifdef EMULATOR_FINITE_MATH
    const float all[] = {result, arguments...};
    for (float x : all) {
        result += 0.0f * x;
    }
#endif
    return result;
}

// By (t - 1) / (t + 1) with t = exp(2x), as the specification has it: NaN where t is infinite.
METAL_FUNC float fast_tanh(float x)
{
    return exp2_of(2.0 * LOG2_E * x) == __builtin_inff() ? __builtin_nanf("") : called::tanh(x);
}

} // namespace emulator

#define EMULATOR_CALL_UNARY(F, expression) EMULATOR_UNARY(F, emulator::called::F(x))
#define EMULATOR_CALL_BINARY(F, expression) EMULATOR_BINARY(F, emulator::called::F(x, y))

#define EMULATOR_ROUNDING                                  \
    EMULATOR_UNARY(floor, __builtin_floorf(x))             \
    EMULATOR_UNARY(ceil, __builtin_ceilf(x))               \
    EMULATOR_UNARY(trunc, __builtin_truncf(x))             \
    EMULATOR_UNARY(round, __builtin_roundf(x))             \
    EMULATOR_UNARY(rint, __builtin_rintf(x))               \
    EMULATOR_UNARY(fabs, __builtin_fabsf(x))               \
    EMULATOR_UNARY(fract, x - __builtin_floorf(x))         \
    EMULATOR_UNARY(saturate, x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f) \
    EMULATOR_BINARY(fmin, x != x ? y : x > y ? y : x)      \
    EMULATOR_BINARY(fmax, x != x ? y : x < y ? y : x)      \
    EMULATOR_BINARY(fdim, x > y ? x - y : 0.0f)            \
    EMULATOR_BINARY(copysign, __builtin_copysignf(x, y))   \
    EMULATOR_BINARY(step, y < x ? 0.0f : 1.0f)             \
    EMULATOR_BINARY(divide, x / y)

// Those that exist in fast:: and precise:: too, and are precise without either.
#define EMULATOR_PRECISE                                                \
    EMULATOR_TRANSCENDENTALS(EMULATOR_CALL_UNARY, EMULATOR_CALL_BINARY) \
    EMULATOR_ROUNDING

EMULATOR_PRECISE
EMULATOR_UNARY(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == x ? x : 0.0f)
namespace precise {
EMULATOR_PRECISE
} // namespace precise
namespace fast {
#define EMULATOR_FAST_UNARY(F, expression) EMULATOR_UNARY(F, emulator::finite(emulator::called::F(x), x))
#define EMULATOR_FAST_BINARY(F, expression) EMULATOR_BINARY(F, emulator::finite(emulator::called::F(x, y), x, y))
EMULATOR_ALIKE(EMULATOR_FAST_UNARY, EMULATOR_FAST_BINARY)
EMULATOR_UNARY(tanh, emulator::fast_tanh(x))
EMULATOR_ROUNDING
#undef EMULATOR_FAST_BINARY
#undef EMULATOR_FAST_UNARY
} // namespace fast

#undef EMULATOR_PRECISE
#undef EMULATOR_ROUNDING
#undef EMULATOR_CALL_BINARY
#undef EMULATOR_CALL_UNARY
#undef EMULATOR_ALIKE
#undef EMULATOR_TRANSCENDENTALS
#undef EMULATOR_BINARY
#undef EMULATOR_UNARY

// Functions of each scalar type by itself, so that overloads compete as they do in Metal.
#define EMULATOR_COMMON(OVERLOAD, T)                                                               \
    OVERLOAD METAL_FUNC constexpr T min(T x, T y) { return y < x ? y : x; }                        \
    OVERLOAD METAL_FUNC constexpr T max(T x, T y) { return x < y ? y : x; }                        \
    OVERLOAD METAL_FUNC constexpr T clamp(T x, T low, T high) { return min(max(x, low), high); }   \
    OVERLOAD METAL_FUNC constexpr T select(T no, T yes, bool condition) { return condition ? yes : no; } \
    OVERLOAD METAL_FUNC constexpr T min3(T x, T y, T z) { return min(x, min(y, z)); }              \
    OVERLOAD METAL_FUNC constexpr T max3(T x, T y, T z) { return max(x, max(y, z)); }              \
    OVERLOAD METAL_FUNC constexpr T median3(T x, T y, T z) { return max(min(x, y), min(max(x, y), z)); }
#define EMULATOR_INTEGER(T, U)                                                                \
    METAL_FUNC constexpr U abs(T x) { return static_cast<U>(x < T(0) ? T(0) - x : x); }       \
    METAL_FUNC constexpr U absdiff(T x, T y)                                                  \
    {                                                                                         \
        return x < y ? static_cast<U>(y) - static_cast<U>(x) : static_cast<U>(x) - static_cast<U>(y); \
    }                                                                                         \
    METAL_FUNC constexpr T popcount(T x) { return T(__builtin_popcountg(static_cast<U>(x))); } \
    METAL_FUNC constexpr T clz(T x) { return T(__builtin_clzg(static_cast<U>(x), int(8 * sizeof(T)))); } \
    METAL_FUNC constexpr T ctz(T x) { return T(__builtin_ctzg(static_cast<U>(x), int(8 * sizeof(T)))); } \
    METAL_FUNC constexpr T rotate(T x, T by)                                                  \
    {                                                                                         \
        const int bits = 8 * sizeof(T), left = static_cast<U>(by) % bits;                     \
        return left == 0 ? x : T(static_cast<U>(static_cast<U>(x) << left | static_cast<U>(x) >> (bits - left))); \
    }                                                                                         \
    METAL_FUNC constexpr T hadd(T x, T y) { return T((x >> 1) + (y >> 1) + (x & y & 1)); }    \
    METAL_FUNC constexpr T rhadd(T x, T y) { return T((x >> 1) + (y >> 1) + ((x | y) & 1)); } \
    METAL_FUNC constexpr T addsat(T x, T y) { return __builtin_elementwise_add_sat(x, y); }   \
    METAL_FUNC constexpr T subsat(T x, T y) { return __builtin_elementwise_sub_sat(x, y); }   \
    METAL_FUNC constexpr T extract_bits(T x, uint offset, uint bits)                          \
    {                                                                                         \
        const uint width = 8 * sizeof(T);                                                     \
        return bits == 0 ? T(0)                                                               \
            : T(T(static_cast<U>(x) << (width - bits - offset)) >> (width - bits));           \
    }                                                                                         \
    METAL_FUNC constexpr T insert_bits(T x, T with, uint offset, uint bits)                   \
    {                                                                                         \
        const U mask = bits >= 8 * sizeof(T) ? U(~U(0)) : U(((U(1) << bits) - 1) << offset);  \
        return T((static_cast<U>(x) & U(~mask)) | (U(static_cast<U>(with) << offset) & mask)); \
    }                                                                                         \
    METAL_FUNC constexpr T reverse_bits(T x) { return T(__builtin_elementwise_bitreverse(static_cast<U>(x))); } \
    METAL_FUNC constexpr T mulhi(T x, T y)                                                    \
    {                                                                                         \
        return T((static_cast<__int128>(x) * static_cast<__int128>(y)) >> (8 * sizeof(T)));   \
    }                                                                                         \
    METAL_FUNC constexpr T madhi(T x, T y, T z) { return T(mulhi(x, y) + z); }                \
    METAL_FUNC constexpr T madsat(T x, T y, T z)                                              \
    {                                                                                         \
        const __int128 sum = static_cast<__int128>(x) * y + z, low = T(-1) < T(0) ? -__int128(U(~U(0)) / 2) - 1 : 0, \
                       high = T(-1) < T(0) ? U(~U(0)) / 2 : U(~U(0));                         \
        return T(sum < low ? low : sum > high ? high : sum);                                  \
    }                                                                                         \
    METAL_FUNC constexpr T mad(T x, T y, T z) { return T(U(x) * U(y) + U(z)); }
#define EMULATOR_FLOAT(OVERLOAD, T)                                                                \
    OVERLOAD METAL_FUNC constexpr T abs(T x) { return static_cast<T>(__builtin_fabsf(x)); }        \
    OVERLOAD METAL_FUNC T mix(T x, T y, T a) { return x + (y - x) * a; }                           \
    OVERLOAD METAL_FUNC T fma(T x, T y, T z) { return emulator::fuse(x, y, z); }                    \
    OVERLOAD METAL_FUNC T mad(T x, T y, T z) { return fma(x, y, z); }                              \
    OVERLOAD METAL_FUNC T fmin3(T x, T y, T z) { return fmin(x, fmin(y, z)); }                     \
    OVERLOAD METAL_FUNC T fmax3(T x, T y, T z) { return fmax(x, fmax(y, z)); }                     \
    OVERLOAD METAL_FUNC T fmedian3(T x, T y, T z) { return fmax(fmin(x, y), fmin(fmax(x, y), z)); } \
    OVERLOAD METAL_FUNC T smoothstep(T low, T high, T x)                                           \
    {                                                                                              \
        const T t = clamp((x - low) / (high - low), T(0), T(1));                                   \
        return t * t * (T(3) - T(2) * t);                                                          \
    }                                                                                              \
    OVERLOAD METAL_FUNC constexpr bool isnan(T x) { return x != x; }                               \
    OVERLOAD METAL_FUNC constexpr bool isunordered(T x, T y) { return x != x || y != y; }          \
    OVERLOAD METAL_FUNC constexpr bool isordered(T x, T y) { return x == x && y == y; }            \
    OVERLOAD METAL_FUNC constexpr bool isinf(T x) { return __builtin_isinf(float(x)); }            \
    OVERLOAD METAL_FUNC constexpr bool isfinite(T x) { return __builtin_isfinite(float(x)); }      \
    OVERLOAD METAL_FUNC constexpr bool isnormal(T x) { return isfinite(x) && emulator::is_normal(x); } \
    OVERLOAD METAL_FUNC constexpr bool signbit(T x) { return __builtin_signbit(float(x)); }        \
    OVERLOAD METAL_FUNC T ldexp(T x, int k) { return static_cast<T>(__builtin_ldexpf(x, k)); }     \
    OVERLOAD METAL_FUNC int ilogb(T x) { return __builtin_ilogbf(x); }                             \
    OVERLOAD METAL_FUNC T frexp(T x, thread int& exponent) { return static_cast<T>(__builtin_frexpf(x, &exponent)); } \
    OVERLOAD METAL_FUNC T modf(T x, thread T& whole)                                               \
    {                                                                                              \
        whole = static_cast<T>(__builtin_truncf(x));                                               \
        return static_cast<T>(__builtin_copysignf(__builtin_isinf(float(x)) ? 0.0f : float(x - whole), x)); \
    }                                                                                              \
    OVERLOAD METAL_FUNC T sincos(T x, thread T& cosine)                                            \
    {                                                                                              \
        cosine = cos(x);                                                                           \
        return sin(x);                                                                             \
    }
EMULATOR_COMMON(, char)
EMULATOR_COMMON(, uchar)
EMULATOR_COMMON(, short)
EMULATOR_COMMON(, ushort)
EMULATOR_COMMON(, int)
EMULATOR_COMMON(, uint)
EMULATOR_COMMON(, long)
EMULATOR_COMMON(, ulong)
EMULATOR_INTEGER(char, uchar)
EMULATOR_INTEGER(uchar, uchar)
EMULATOR_INTEGER(short, ushort)
EMULATOR_INTEGER(ushort, ushort)
EMULATOR_INTEGER(int, uint)
EMULATOR_INTEGER(uint, uint)
EMULATOR_INTEGER(long, ulong)
EMULATOR_INTEGER(ulong, ulong)
EMULATOR_COMMON(, half)
EMULATOR_COMMON(, float)
EMULATOR_COMMON(EMULATOR_BFLOAT, B)
EMULATOR_FLOAT(, half)
EMULATOR_FLOAT(, float)
EMULATOR_FLOAT(EMULATOR_BFLOAT, B)
METAL_FUNC constexpr int mul24(int x, int y) { return int(uint(x) * uint(y)); }
METAL_FUNC constexpr uint mul24(uint x, uint y) { return x * y; }
METAL_FUNC constexpr int mad24(int x, int y, int z) { return int(uint(x) * uint(y) + uint(z)); }
METAL_FUNC constexpr uint mad24(uint x, uint y, uint z) { return x * y + z; }
METAL_FUNC float nextafter(float x, float y) { return __builtin_nextafterf(x, y); }
METAL_FUNC half nextafter(half x, half y) { return emulator::next_after(x, y); }
EMULATOR_BFLOAT METAL_FUNC B nextafter(B x, B y) { return emulator::next_after(x, y); }
METAL_FUNC constexpr bool select(bool no, bool yes, bool condition) { return condition ? yes : no; }
#undef EMULATOR_BFLOAT
#undef EMULATOR_FLOAT
#undef EMULATOR_INTEGER
#undef EMULATOR_COMMON
namespace fast {
using metal::abs;
using metal::clamp;
using metal::fma;
using metal::max;
using metal::min;
using metal::mix;
} // namespace fast
namespace precise {
using metal::abs;
using metal::clamp;
using metal::fma;
using metal::max;
using metal::min;
using metal::mix;
} // namespace precise

// Element by element on vectors.
#define EMULATOR_VECTOR_1(F)                                                  \
    template <typename T, int n>                                              \
    METAL_FUNC vec<decltype(F(T())), n> F(vec<T, n> x)                        \
    {                                                                         \
        vec<decltype(F(T())), n> result;                                      \
        for (int i = 0; i < n; ++i) {                                         \
            result[i] = F(static_cast<T>(x[i]));                              \
        }                                                                     \
        return result;                                                        \
    }
#define EMULATOR_VECTOR_2(F)                                                  \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(vec<T, n> x, vec<T, n> y)                          \
    {                                                                         \
        vec<T, n> result;                                                     \
        for (int i = 0; i < n; ++i) {                                         \
            result[i] = F(static_cast<T>(x[i]), static_cast<T>(y[i]));        \
        }                                                                     \
        return result;                                                        \
    }                                                                         \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(vec<T, n> x, emulator::Scalar<T> y)                          \
    {                                                                         \
        return F(x, static_cast<vec<T, n>>(y));                               \
    }                                                                         \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(emulator::Scalar<T> x, vec<T, n> y)                          \
    {                                                                         \
        return F(static_cast<vec<T, n>>(x), y);                               \
    }
#define EMULATOR_VECTOR_3(F)                                                  \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(vec<T, n> x, vec<T, n> y, vec<T, n> z)             \
    {                                                                         \
        vec<T, n> result;                                                     \
        for (int i = 0; i < n; ++i) {                                         \
            result[i] = F(static_cast<T>(x[i]), static_cast<T>(y[i]), static_cast<T>(z[i])); \
        }                                                                     \
        return result;                                                        \
    }                                                                         \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(vec<T, n> x, emulator::Scalar<T> y, emulator::Scalar<T> z)             \
    {                                                                         \
        return F(x, static_cast<vec<T, n>>(y), static_cast<vec<T, n>>(z));    \
    }                                                                         \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(vec<T, n> x, vec<T, n> y, emulator::Scalar<T> z)             \
    {                                                                         \
        return F(x, y, static_cast<vec<T, n>>(z));                            \
    }                                                                         \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(emulator::Scalar<T> x, emulator::Scalar<T> y, vec<T, n> z)             \
    {                                                                         \
        return F(static_cast<vec<T, n>>(x), static_cast<vec<T, n>>(y), z);    \
    }
EMULATOR_VECTOR_1(abs)
EMULATOR_VECTOR_1(popcount)
EMULATOR_VECTOR_1(clz)
EMULATOR_VECTOR_1(ctz)
EMULATOR_VECTOR_1(reverse_bits)
EMULATOR_VECTOR_1(isnan)
EMULATOR_VECTOR_1(isinf)
EMULATOR_VECTOR_1(isfinite)
EMULATOR_VECTOR_1(isnormal)
EMULATOR_VECTOR_1(signbit)
EMULATOR_VECTOR_2(min)
EMULATOR_VECTOR_2(max)
EMULATOR_VECTOR_2(absdiff)
EMULATOR_VECTOR_2(addsat)
EMULATOR_VECTOR_2(subsat)
EMULATOR_VECTOR_2(hadd)
EMULATOR_VECTOR_2(rhadd)
EMULATOR_VECTOR_2(mulhi)
EMULATOR_VECTOR_2(rotate)
EMULATOR_VECTOR_2(mul24)
EMULATOR_VECTOR_2(nextafter)
EMULATOR_VECTOR_3(clamp)
EMULATOR_VECTOR_3(mix)
EMULATOR_VECTOR_3(fma)
EMULATOR_VECTOR_3(mad)
EMULATOR_VECTOR_3(min3)
EMULATOR_VECTOR_3(max3)
EMULATOR_VECTOR_3(median3)
EMULATOR_VECTOR_3(smoothstep)
EMULATOR_VECTOR_3(fmin3)
EMULATOR_VECTOR_3(fmax3)
EMULATOR_VECTOR_3(fmedian3)
EMULATOR_VECTOR_3(mad24)
EMULATOR_VECTOR_3(madhi)
EMULATOR_VECTOR_3(madsat)
#undef EMULATOR_VECTOR_3
#undef EMULATOR_VECTOR_2
#undef EMULATOR_VECTOR_1

// Conditions are vectors of bool, or of what comparing vectors gives in clang: 0 and -1.
template <typename T, typename Condition, int n>
METAL_FUNC vec<T, n> select(vec<T, n> no, vec<T, n> yes, vec<Condition, n> condition)
{
    vec<T, n> result;
    for (int i = 0; i < n; ++i) {
        result[i] = condition[i] ? yes[i] : no[i];
    }
    return result;
}
template <typename Condition, int n>
METAL_FUNC bool any(vec<Condition, n> x)
{
    bool result = false;
    for (int i = 0; i < n; ++i) {
        result = result || x[i];
    }
    return result;
}
template <typename Condition, int n>
METAL_FUNC bool all(vec<Condition, n> x)
{
    bool result = true;
    for (int i = 0; i < n; ++i) {
        result = result && x[i];
    }
    return result;
}
METAL_FUNC constexpr bool any(bool x) { return x; }
METAL_FUNC constexpr bool all(bool x) { return x; }

template <typename T, int n>
METAL_FUNC T dot(vec<T, n> x, vec<T, n> y)
{
    T sum = x[0] * y[0];
    for (int i = 1; i < n; ++i) {
        sum += x[i] * y[i];
    }
    return sum;
}
template <typename T, int n>
METAL_FUNC T length_squared(vec<T, n> x)
{
    return dot(x, x);
}
template <typename T, int n>
METAL_FUNC T length(vec<T, n> x)
{
    return sqrt(dot(x, x));
}
template <typename T, int n>
METAL_FUNC T distance(vec<T, n> x, vec<T, n> y)
{
    return length(x - y);
}
template <typename T, int n>
METAL_FUNC vec<T, n> normalize(vec<T, n> x)
{
    return x * rsqrt(dot(x, x));
}
template <typename T, int n>
METAL_FUNC T distance_squared(vec<T, n> x, vec<T, n> y)
{
    return length_squared(x - y);
}
template <typename T, int n>
METAL_FUNC vec<T, n> faceforward(vec<T, n> x, vec<T, n> incident, vec<T, n> reference)
{
    return dot(reference, incident) < T(0) ? x : -x;
}
template <typename T, int n>
METAL_FUNC vec<T, n> reflect(vec<T, n> incident, vec<T, n> normal)
{
    return incident - T(2) * dot(normal, incident) * normal;
}
template <typename T, int n>
METAL_FUNC vec<T, n> refract(vec<T, n> incident, vec<T, n> normal, T eta)
{
    const T along = dot(normal, incident), rest = T(1) - eta * eta * (T(1) - along * along);
    return rest < T(0) ? vec<T, n>(T(0)) : eta * incident - (eta * along + sqrt(rest)) * normal;
}
#define EMULATOR_VECTOR_OUT(F, Out)                                           \
    template <typename T, int n>                                              \
    METAL_FUNC vec<T, n> F(vec<T, n> x, thread vec<Out, n>& out)              \
    {                                                                         \
        vec<T, n> result;                                                     \
        for (int i = 0; i < n; ++i) {                                         \
            Out part;                                                         \
            result[i] = F(static_cast<T>(x[i]), part);                        \
            out[i] = part;                                                    \
        }                                                                     \
        return result;                                                        \
    }
EMULATOR_VECTOR_OUT(modf, T)
EMULATOR_VECTOR_OUT(sincos, T)
EMULATOR_VECTOR_OUT(frexp, int)
#undef EMULATOR_VECTOR_OUT
template <typename T, int n>
METAL_FUNC vec<T, n> ldexp(vec<T, n> x, vec<int, n> k)
{
    vec<T, n> result;
    for (int i = 0; i < n; ++i) {
        result[i] = ldexp(static_cast<T>(x[i]), k[i]);
    }
    return result;
}
template <typename T, int n>
METAL_FUNC vec<T, n> extract_bits(vec<T, n> x, uint offset, uint bits)
{
    vec<T, n> result;
    for (int i = 0; i < n; ++i) {
        result[i] = extract_bits(static_cast<T>(x[i]), offset, bits);
    }
    return result;
}
template <typename T, int n>
METAL_FUNC vec<T, n> insert_bits(vec<T, n> x, emulator::Scalar<vec<T, n>> with, uint offset, uint bits)
{
    vec<T, n> result;
    for (int i = 0; i < n; ++i) {
        result[i] = insert_bits(static_cast<T>(x[i]), static_cast<T>(with[i]), offset, bits);
    }
    return result;
}
template <typename T>
METAL_FUNC vec<T, 3> cross(vec<T, 3> x, vec<T, 3> y)
{
    return emulator::make<vec<T, 3>>(
        x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]);
}

template <typename T, typename U>
METAL_FUNC constexpr T as_type(U x)
{
    static_assert(sizeof(T) == sizeof(U), "as_type needs types of one size");
    return __builtin_bit_cast(T, x);
}

} // namespace metal

using metal::as_type;
