// half and bfloat, which NVRTC's language has as structs of headers only.
//
// Every operation computes in float and rounds once.  That is the rounding of the exact result:
// float has more than twice the digits of both.
#pragma once
#include "keywords.h"

namespace metal {
namespace emulator {

struct HalfFormat {
    static METAL_FUNC float to_float_at_run_time(unsigned short bits)
    {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
    static METAL_FUNC unsigned short round_at_run_time(float x)
    {
        unsigned short bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
        return bits;
    }
    static METAL_FUNC constexpr float to_float(unsigned short bits)
    {
        if (!__builtin_is_constant_evaluated()) {
            return to_float_at_run_time(bits);
        }
        const unsigned sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
        if (exponent == 31) {
            return __builtin_bit_cast(float, sign | 0x7F800000u | fraction << 13);
        }
        if (exponent != 0) {
            return __builtin_bit_cast(float, sign | (exponent + 112) << 23 | fraction << 13);
        }
        const float x = fraction * 5.9604644775390625e-8f; // a denormal: so many times 2^-24
        return sign ? -x : x;
    }
    static METAL_FUNC constexpr unsigned short round(float x)
    {
        if (!__builtin_is_constant_evaluated()) {
            return round_at_run_time(x);
        }
        const unsigned bits = __builtin_bit_cast(unsigned, x), magnitude = bits & 0x7FFFFFFFu;
        const unsigned sign = bits >> 16 & 0x8000u;
        if (magnitude > 0x7F800000u) {
            return sign | 0x7E00u;
        }
        if (magnitude >= 0x477FF000u) { // 65520 rounds to infinity
            return sign | 0x7C00u;
        }
        if (magnitude < 0x38800000u) { // a denormal: adding 1/2 leaves 24 bits behind the point
            const float moved = __builtin_bit_cast(float, magnitude) + 0.5f;
            return sign | (__builtin_bit_cast(unsigned, moved) - 0x3F000000u);
        }
        return sign | ((magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1)) >> 13);
    }
};

struct BfloatFormat {
    static METAL_FUNC unsigned short round_at_run_time(float x)
    {
        unsigned pair; // the second operand lands in the lower half
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(0.0f), "f"(x));
        return pair;
    }
    static METAL_FUNC constexpr float to_float(unsigned short bits)
    {
        return __builtin_bit_cast(float, static_cast<unsigned>(bits) << 16);
    }
    static METAL_FUNC constexpr unsigned short round(float x)
    {
        if (!__builtin_is_constant_evaluated()) {
            return round_at_run_time(x);
        }
        const unsigned bits = __builtin_bit_cast(unsigned, x);
        if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
            return bits >> 16 | 0x40u;
        }
        return (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
    }
};

template <typename Format>
struct SmallFloat {
    unsigned short bits;

    SmallFloat() = default;
    constexpr METAL_FUNC SmallFloat(float x) : bits(Format::round(x)) {}
    // The other of the two converts only where the source says so.
    template <typename Other>
    explicit constexpr METAL_FUNC SmallFloat(SmallFloat<Other> x) : bits(Format::round(x))
    {
    }
    constexpr METAL_FUNC operator float() const { return Format::to_float(bits); }

    constexpr METAL_FUNC SmallFloat operator+() const { return *this; }
    constexpr METAL_FUNC SmallFloat operator-() const
    {
        SmallFloat negative = *this;
        negative.bits ^= 0x8000u;
        return negative;
    }
    constexpr METAL_FUNC SmallFloat& operator++() { return *this = *this + SmallFloat(1.0f); }
    constexpr METAL_FUNC SmallFloat& operator--() { return *this = *this - SmallFloat(1.0f); }
    constexpr METAL_FUNC SmallFloat operator++(int)
    {
        const SmallFloat before = *this;
        ++*this;
        return before;
    }
    constexpr METAL_FUNC SmallFloat operator--(int)
    {
        const SmallFloat before = *this;
        --*this;
        return before;
    }
};

// An integer beside a small float becomes one; a float beside it makes it a float, by C++'s own
// operators.
template <typename T, typename Result>
struct IfInteger {
};
#define EMULATOR_INTEGER_TYPE(T)             \
    template <typename Result>               \
    struct IfInteger<T, Result> {            \
        typedef Result type;                 \
    };
EMULATOR_INTEGER_TYPE(bool)
EMULATOR_INTEGER_TYPE(char)
EMULATOR_INTEGER_TYPE(signed char)
EMULATOR_INTEGER_TYPE(unsigned char)
EMULATOR_INTEGER_TYPE(short)
EMULATOR_INTEGER_TYPE(unsigned short)
EMULATOR_INTEGER_TYPE(int)
EMULATOR_INTEGER_TYPE(unsigned)
EMULATOR_INTEGER_TYPE(long)
EMULATOR_INTEGER_TYPE(unsigned long)
#undef EMULATOR_INTEGER_TYPE

#define EMULATOR_OPERATOR(op)                                                                       \
    template <typename F>                                                                           \
    constexpr METAL_FUNC SmallFloat<F> operator op(SmallFloat<F> a, SmallFloat<F> b)                \
    {                                                                                               \
        return float(a) op float(b);                                                                \
    }                                                                                               \
    template <typename F, typename I>                                                               \
    constexpr METAL_FUNC typename IfInteger<I, SmallFloat<F>>::type operator op(SmallFloat<F> a, I b) \
    {                                                                                               \
        return a op SmallFloat<F>(b);                                                               \
    }                                                                                               \
    template <typename F, typename I>                                                               \
    constexpr METAL_FUNC typename IfInteger<I, SmallFloat<F>>::type operator op(I a, SmallFloat<F> b) \
    {                                                                                               \
        return SmallFloat<F>(a) op b;                                                               \
    }                                                                                               \
    template <typename F, typename T>                                                               \
    constexpr METAL_FUNC SmallFloat<F>& operator op##=(SmallFloat<F>& a, const T& b)                \
    {                                                                                               \
        return a = static_cast<SmallFloat<F>>(a op b);                                              \
    }
EMULATOR_OPERATOR(+)
EMULATOR_OPERATOR(-)
EMULATOR_OPERATOR(*)
EMULATOR_OPERATOR(/)
#undef EMULATOR_OPERATOR

} // namespace emulator
} // namespace metal

typedef metal::emulator::SmallFloat<metal::emulator::HalfFormat> half;
typedef metal::emulator::SmallFloat<metal::emulator::BfloatFormat> bfloat;
