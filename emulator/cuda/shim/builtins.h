// What clang has built in and NVRTC does not, under clang's names: so the parts of the shim that do
// not depend on a machine serve both compilers.
#pragma once
#include "keywords.h"

// Questions about types.
namespace metal {
namespace builtin {

template <typename T, typename U>
struct Same {
    static constexpr bool value = false;
};
template <typename T>
struct Same<T, T> {
    static constexpr bool value = true;
};
template <typename T>
struct Bare {
    typedef T type;
    static constexpr bool is_const = false;
};
template <typename T>
struct Bare<const T> {
    typedef typename Bare<T>::type type;
    static constexpr bool is_const = true;
};
template <typename T>
struct Bare<volatile T> {
    typedef typename Bare<T>::type type;
    static constexpr bool is_const = Bare<T>::is_const;
};
template <typename T>
struct Pointer {
    static constexpr bool value = false;
};
template <typename T>
struct Pointer<T*> {
    static constexpr bool value = true;
};
template <typename T>
struct Integer {
    static constexpr bool value = false, is_signed = false;
    typedef T Signed, Unsigned;
};
#define EMULATOR_INTEGERS(T, S, U, minus)                           \
    template <>                                                     \
    struct Integer<T> {                                             \
        static constexpr bool value = true, is_signed = minus;      \
        typedef S Signed;                                           \
        typedef U Unsigned;                                         \
    };
EMULATOR_INTEGERS(bool, bool, bool, false)
EMULATOR_INTEGERS(char, signed char, unsigned char, true)
EMULATOR_INTEGERS(signed char, signed char, unsigned char, true)
EMULATOR_INTEGERS(unsigned char, signed char, unsigned char, false)
EMULATOR_INTEGERS(short, short, unsigned short, true)
EMULATOR_INTEGERS(unsigned short, short, unsigned short, false)
EMULATOR_INTEGERS(int, int, unsigned, true)
EMULATOR_INTEGERS(unsigned, int, unsigned, false)
EMULATOR_INTEGERS(long, long, unsigned long, true)
EMULATOR_INTEGERS(unsigned long, long, unsigned long, false)
EMULATOR_INTEGERS(long long, long long, unsigned long long, true)
EMULATOR_INTEGERS(unsigned long long, long long, unsigned long long, false)
#undef EMULATOR_INTEGERS

} // namespace builtin
} // namespace metal

#define EMULATOR_OF(...) program::metal::builtin::Integer<typename program::metal::builtin::Bare<__VA_ARGS__>::type>
#define __is_same(...) (program::metal::builtin::Same<__VA_ARGS__>::value)
#define __is_const(...) (program::metal::builtin::Bare<__VA_ARGS__>::is_const)
#define __is_pointer(...) (program::metal::builtin::Pointer<typename program::metal::builtin::Bare<__VA_ARGS__>::type>::value)
#define __is_integral(...) (EMULATOR_OF(__VA_ARGS__)::value)
#define __is_signed(...) (EMULATOR_OF(__VA_ARGS__)::is_signed || __is_floating_point(__VA_ARGS__))
#define __is_unsigned(...) (EMULATOR_OF(__VA_ARGS__)::value && !EMULATOR_OF(__VA_ARGS__)::is_signed)
#define __is_floating_point(...) __is_same(typename program::metal::builtin::Bare<__VA_ARGS__>::type, float)
#define __is_void(...) __is_same(typename program::metal::builtin::Bare<__VA_ARGS__>::type, void)
#define __is_convertible(...) __is_convertible_to(__VA_ARGS__)
#define __make_signed(...) typename EMULATOR_OF(__VA_ARGS__)::Signed
#define __make_unsigned(...) typename EMULATOR_OF(__VA_ARGS__)::Unsigned

// Numbers.
#define __SCHAR_MAX__ 127
#define __SHRT_MAX__ 32767
#define __INT_MAX__ 2147483647
#define __LONG_MAX__ 9223372036854775807l
#define __FLT_MAX__ 3.402823466e+38f
#define __FLT_MIN__ 1.175494351e-38f
#define __FLT_EPSILON__ 1.192092896e-07f
constexpr METAL_FUNC float __builtin_inff() { return __builtin_bit_cast(float, 0x7F800000u); }
constexpr METAL_FUNC float __builtin_nanf(const char*) { return __builtin_bit_cast(float, 0x7FC00000u); }
constexpr METAL_FUNC double __builtin_inf() { return __builtin_inff(); }
constexpr METAL_FUNC double __builtin_nan(const char*) { return __builtin_nanf(""); }

// Bits.
template <typename U>
constexpr METAL_FUNC int __builtin_popcountg(U x)
{
    int count = 0;
    for (unsigned long bits = x; bits; bits &= bits - 1) {
        ++count;
    }
    return count;
}
template <typename U>
constexpr METAL_FUNC int __builtin_clzg(U x, int if_zero)
{
    int count = 8 * sizeof(U);
    for (unsigned long bits = x; bits; bits >>= 1) {
        --count;
    }
    return x ? count : if_zero;
}
template <typename U>
constexpr METAL_FUNC int __builtin_ctzg(U x, int if_zero)
{
    return x ? __builtin_popcountg((static_cast<unsigned long>(x) - 1) & ~static_cast<unsigned long>(x)) : if_zero;
}
constexpr METAL_FUNC int __builtin_ctz(unsigned x) { return __builtin_ctzg(x, 32); }
constexpr METAL_FUNC int __builtin_ctzl(unsigned long x) { return __builtin_ctzg(x, 64); }
template <typename U>
constexpr METAL_FUNC U __builtin_elementwise_bitreverse(U x)
{
    U reversed = 0;
    for (unsigned i = 0; i < 8 * sizeof(U); ++i) {
        reversed = static_cast<U>(reversed << 1 | (x >> i & 1));
    }
    return reversed;
}
template <typename T>
constexpr METAL_FUNC T emulator_saturated(__int128 x)
{
    const bool negative = T(-1) < T(0);
    const __int128 one = 1, most = (one << (8 * sizeof(T) - negative)) - 1, least = negative ? -most - 1 : 0;
    return static_cast<T>(x < least ? least : x > most ? most : x);
}
template <typename T>
constexpr METAL_FUNC T __builtin_elementwise_add_sat(T x, T y)
{
    return emulator_saturated<T>(static_cast<__int128>(x) + y);
}
template <typename T>
constexpr METAL_FUNC T __builtin_elementwise_sub_sat(T x, T y)
{
    return emulator_saturated<T>(static_cast<__int128>(x) - y);
}

// Of floats.
constexpr METAL_FUNC float __builtin_fabsf(float x)
{
    return __builtin_bit_cast(float, __builtin_bit_cast(unsigned, x) & 0x7FFFFFFFu);
}
constexpr METAL_FUNC bool __builtin_signbit(float x) { return __builtin_bit_cast(unsigned, x) >> 31; }
METAL_FUNC float __builtin_floorf(float x) { return floorf(x); }
METAL_FUNC float __builtin_ceilf(float x) { return ceilf(x); }
METAL_FUNC float __builtin_truncf(float x) { return truncf(x); }
METAL_FUNC float __builtin_roundf(float x) { return roundf(x); }
METAL_FUNC float __builtin_rintf(float x) { return rintf(x); }
METAL_FUNC float __builtin_fmaf(float x, float y, float z) { return fmaf(x, y, z); }
METAL_FUNC float __builtin_ldexpf(float x, int k) { return ldexpf(x, k); }
METAL_FUNC float __builtin_frexpf(float x, int* exponent) { return frexpf(x, exponent); }
METAL_FUNC int __builtin_ilogbf(float x) { return ilogbf(x); }
METAL_FUNC float __builtin_nextafterf(float x, float y) { return nextafterf(x, y); }
