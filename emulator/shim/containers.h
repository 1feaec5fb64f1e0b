// metal::array and numeric_limits.
#pragma once
#include "types.h"

namespace metal {

// In thread memory only: C++ has no member functions for other address spaces.
template <typename T, size_t n>
struct array {
    T elements[n];
    METAL_FUNC constexpr T& operator[](size_t i) { return elements[i]; }
    METAL_FUNC constexpr const T& operator[](size_t i) const { return elements[i]; }
    static METAL_FUNC constexpr size_t size() { return n; }
};

template <typename T>
struct numeric_limits;

#define EMULATOR_LIMITS(T, lowest_value, least, most, step)              \
    template <>                                                          \
    struct numeric_limits<T> {                                           \
        static constexpr bool is_specialized = true;                     \
        static constexpr T lowest() { return lowest_value; }             \
        static constexpr T min() { return least; }                       \
        static constexpr T max() { return most; }                        \
        static constexpr T epsilon() { return step; }                    \
        static constexpr T infinity() { return T(__builtin_inff()); }    \
        static constexpr T quiet_NaN() { return T(__builtin_nanf("")); } \
    };
#define EMULATOR_INTEGER_LIMITS(T, least, most)               \
    template <>                                               \
    struct numeric_limits<T> {                                \
        static constexpr bool is_specialized = true;          \
        static constexpr T lowest() { return least; }         \
        static constexpr T min() { return least; }            \
        static constexpr T max() { return most; }             \
    };
EMULATOR_INTEGER_LIMITS(bool, false, true)
EMULATOR_INTEGER_LIMITS(char, -__SCHAR_MAX__ - 1, __SCHAR_MAX__)
EMULATOR_INTEGER_LIMITS(signed char, -__SCHAR_MAX__ - 1, __SCHAR_MAX__)
EMULATOR_INTEGER_LIMITS(uchar, 0, 2 * __SCHAR_MAX__ + 1)
EMULATOR_INTEGER_LIMITS(short, -__SHRT_MAX__ - 1, __SHRT_MAX__)
EMULATOR_INTEGER_LIMITS(ushort, 0, 2 * __SHRT_MAX__ + 1)
EMULATOR_INTEGER_LIMITS(int, -__INT_MAX__ - 1, __INT_MAX__)
EMULATOR_INTEGER_LIMITS(uint, 0, 2u * __INT_MAX__ + 1)
EMULATOR_INTEGER_LIMITS(long, -__LONG_MAX__ - 1, __LONG_MAX__)
EMULATOR_INTEGER_LIMITS(ulong, 0, 2ul * __LONG_MAX__ + 1)
EMULATOR_LIMITS(half, half(-65504.0f), half(6.103515625e-05f), half(65504.0f), half(0.0009765625f))
EMULATOR_LIMITS(bfloat, bfloat(-3.38953139e38f), bfloat(1.17549435e-38f), bfloat(3.38953139e38f), bfloat(0.0078125f))
EMULATOR_LIMITS(float, -__FLT_MAX__, __FLT_MIN__, __FLT_MAX__, __FLT_EPSILON__)
#undef EMULATOR_INTEGER_LIMITS
#undef EMULATOR_LIMITS

} // namespace metal
