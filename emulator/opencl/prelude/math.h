// Functions of numbers: a plain overload for each type, so that they compete as Metal's do.
#pragma once
#include "type_traits.h"
#include "types.h"

// DECLARE(F, T) for all scalars and vectors of a kind.
#define PRELUDE_SHAPES_1(F, T) PRELUDE_1(F, T) PRELUDE_1(F, T##2) PRELUDE_1(F, T##3) PRELUDE_1(F, T##4)
#define PRELUDE_SHAPES_2(F, T) PRELUDE_2(F, T) PRELUDE_2(F, T##2) PRELUDE_2(F, T##3) PRELUDE_2(F, T##4)
#define PRELUDE_SHAPES_3(F, T) PRELUDE_3(F, T) PRELUDE_3(F, T##2) PRELUDE_3(F, T##3) PRELUDE_3(F, T##4)
#define PRELUDE_1(F, T) T F(T);
#define PRELUDE_2(F, T) T F(T, T);
#define PRELUDE_3(F, T) T F(T, T, T);

namespace metal {

// Of floats: in fast:: and precise::, which have float alone, and in neither.
#define PRELUDE_OF_ONE(DECLARE) \
    DECLARE(acos) DECLARE(acosh) DECLARE(asin) DECLARE(asinh) DECLARE(atan) DECLARE(atanh)    \
    DECLARE(ceil) DECLARE(cos) DECLARE(cosh) DECLARE(cospi) DECLARE(exp) DECLARE(exp2)        \
    DECLARE(exp10) DECLARE(fabs) DECLARE(floor) DECLARE(fract) DECLARE(log) DECLARE(log2)     \
    DECLARE(log10) DECLARE(rint) DECLARE(round) DECLARE(rsqrt) DECLARE(saturate) DECLARE(sign) \
    DECLARE(sin) DECLARE(sinh) DECLARE(sinpi) DECLARE(sqrt) DECLARE(tan) DECLARE(tanh)        \
    DECLARE(tanpi) DECLARE(trunc)
#define PRELUDE_OF_TWO(DECLARE) \
    DECLARE(atan2) DECLARE(copysign) DECLARE(divide) DECLARE(fdim) DECLARE(fmax) DECLARE(fmin) \
    DECLARE(fmod) DECLARE(nextafter) DECLARE(pow) DECLARE(powr) DECLARE(step)
#define PRELUDE_OF_THREE(DECLARE) \
    DECLARE(fma) DECLARE(fmax3) DECLARE(fmedian3) DECLARE(fmin3) DECLARE(mix) DECLARE(smoothstep)

// In Metal nothing becomes a bfloat by itself, in clang a float does.  A template takes none.
#define PRELUDE_BFLOAT template <typename B, enable_if_t<__is_same(B, bfloat), int> = 0>
#define PRELUDE_ALL_1(F) PRELUDE_FLOATS(PRELUDE_SHAPES_1, F)
#define PRELUDE_ALL_2(F)                                    \
    PRELUDE_SHAPES_2(F, half)                               \
    PRELUDE_SHAPES_2(F, float)                              \
    PRELUDE_BFLOAT B F(B, B);                               \
    PRELUDE_2(F, bfloat2) PRELUDE_2(F, bfloat3) PRELUDE_2(F, bfloat4)
#define PRELUDE_ALL_3(F)                                    \
    PRELUDE_SHAPES_3(F, half)                               \
    PRELUDE_SHAPES_3(F, float)                              \
    PRELUDE_BFLOAT B F(B, B, B);                            \
    PRELUDE_3(F, bfloat2) PRELUDE_3(F, bfloat3) PRELUDE_3(F, bfloat4)
PRELUDE_OF_ONE(PRELUDE_ALL_1)
PRELUDE_OF_TWO(PRELUDE_ALL_2)
PRELUDE_OF_THREE(PRELUDE_ALL_3)

#define PRELUDE_FLOAT_1(F) PRELUDE_SHAPES_1(F, float)
#define PRELUDE_FLOAT_2(F) PRELUDE_SHAPES_2(F, float)
#define PRELUDE_FLOAT_3(F) PRELUDE_SHAPES_3(F, float)
#define PRELUDE_ACCURACY             \
    PRELUDE_OF_ONE(PRELUDE_FLOAT_1)   \
    PRELUDE_OF_TWO(PRELUDE_FLOAT_2)   \
    PRELUDE_OF_THREE(PRELUDE_FLOAT_3) \
    PRELUDE_FLOAT_1(abs)              \
    PRELUDE_FLOAT_2(max)              \
    PRELUDE_FLOAT_2(min)              \
    PRELUDE_FLOAT_3(clamp)
namespace fast {
PRELUDE_ACCURACY
} // namespace fast
namespace precise {
PRELUDE_ACCURACY
} // namespace precise
#undef PRELUDE_ACCURACY
#undef PRELUDE_FLOAT_3
#undef PRELUDE_FLOAT_2
#undef PRELUDE_FLOAT_1
#undef PRELUDE_OF_THREE
#undef PRELUDE_OF_TWO
#undef PRELUDE_OF_ONE

// Of all numbers.
#define PRELUDE_NUMBER_2(F) PRELUDE_INTEGERS(PRELUDE_SHAPES_2, F) PRELUDE_ALL_2(F)
#define PRELUDE_NUMBER_3(F) PRELUDE_INTEGERS(PRELUDE_SHAPES_3, F) PRELUDE_ALL_3(F)
PRELUDE_NUMBER_2(max)
PRELUDE_NUMBER_2(min)
PRELUDE_NUMBER_3(clamp)
PRELUDE_NUMBER_3(mad)
PRELUDE_NUMBER_3(max3)
PRELUDE_NUMBER_3(median3)
PRELUDE_NUMBER_3(min3)
#undef PRELUDE_NUMBER_3
#undef PRELUDE_NUMBER_2
#undef PRELUDE_ALL_3
#undef PRELUDE_ALL_2
#undef PRELUDE_ALL_1
#undef PRELUDE_BFLOAT

// Of integers.
#define PRELUDE_INTEGER_1(F) PRELUDE_INTEGERS(PRELUDE_SHAPES_1, F)
#define PRELUDE_INTEGER_2(F) PRELUDE_INTEGERS(PRELUDE_SHAPES_2, F)
#define PRELUDE_INTEGER_3(F) PRELUDE_INTEGERS(PRELUDE_SHAPES_3, F)
PRELUDE_INTEGER_1(clz)
PRELUDE_INTEGER_1(ctz)
PRELUDE_INTEGER_1(popcount)
PRELUDE_INTEGER_1(reverse_bits)
PRELUDE_INTEGER_2(addsat)
PRELUDE_INTEGER_2(hadd)
PRELUDE_INTEGER_2(mulhi)
PRELUDE_INTEGER_2(rhadd)
PRELUDE_INTEGER_2(rotate)
PRELUDE_INTEGER_2(subsat)
PRELUDE_INTEGER_3(madhi)
PRELUDE_INTEGER_3(madsat)
#undef PRELUDE_INTEGER_3
#undef PRELUDE_INTEGER_2
#undef PRELUDE_INTEGER_1
PRELUDE_FLOATS(PRELUDE_SHAPES_1, abs)
PRELUDE_SHAPES_2(mul24, int)
PRELUDE_SHAPES_2(mul24, uint)
PRELUDE_SHAPES_3(mad24, int)
PRELUDE_SHAPES_3(mad24, uint)
#define PRELUDE_UNSIGNED(T, U) U abs(T); U absdiff(T, T);
#define PRELUDE_UNSIGNED_SHAPES(T, U) \
    PRELUDE_UNSIGNED(T, U) PRELUDE_UNSIGNED(T##2, U##2) PRELUDE_UNSIGNED(T##3, U##3) PRELUDE_UNSIGNED(T##4, U##4)
PRELUDE_UNSIGNED_SHAPES(char, uchar)
PRELUDE_UNSIGNED_SHAPES(uchar, uchar)
PRELUDE_UNSIGNED_SHAPES(short, ushort)
PRELUDE_UNSIGNED_SHAPES(ushort, ushort)
PRELUDE_UNSIGNED_SHAPES(int, uint)
PRELUDE_UNSIGNED_SHAPES(uint, uint)
PRELUDE_UNSIGNED_SHAPES(long, ulong)
PRELUDE_UNSIGNED_SHAPES(ulong, ulong)
#undef PRELUDE_UNSIGNED_SHAPES
#undef PRELUDE_UNSIGNED
#define PRELUDE_BITS(_, T) T extract_bits(T, uint, uint); T insert_bits(T, T, uint, uint);
#define PRELUDE_BITS_SHAPES(_, T) PRELUDE_BITS(, T) PRELUDE_BITS(, T##2) PRELUDE_BITS(, T##3) PRELUDE_BITS(, T##4)
PRELUDE_INTEGERS(PRELUDE_BITS_SHAPES, )
#undef PRELUDE_BITS_SHAPES
#undef PRELUDE_BITS

// Of what kind a float is.
#define PRELUDE_KIND(F, T) bool F(T); bool2 F(T##2); bool3 F(T##3); bool4 F(T##4);
#define PRELUDE_KINDS(F) PRELUDE_FLOATS(PRELUDE_KIND, F)
PRELUDE_KINDS(isfinite)
PRELUDE_KINDS(isinf)
PRELUDE_KINDS(isnan)
PRELUDE_KINDS(isnormal)
PRELUDE_KINDS(signbit)
#undef PRELUDE_KINDS
#undef PRELUDE_KIND
#define PRELUDE_ORDER(_, T) bool isordered(T, T); bool isunordered(T, T);
PRELUDE_FLOATS(PRELUDE_ORDER, )
#undef PRELUDE_ORDER

// A second result is written through a reference.
#define PRELUDE_OUTPUT(T, I)        \
    T frexp(T, thread I&);          \
    I ilogb(T);                     \
    T ldexp(T, I);                  \
    T modf(T, thread T&);           \
    T sincos(T, thread T&);
#define PRELUDE_OUTPUTS(_, T) \
    PRELUDE_OUTPUT(T, int) PRELUDE_OUTPUT(T##2, int2) PRELUDE_OUTPUT(T##3, int3) PRELUDE_OUTPUT(T##4, int4)
PRELUDE_FLOATS(PRELUDE_OUTPUTS, )
#undef PRELUDE_OUTPUTS
#undef PRELUDE_OUTPUT

// Of vectors.
#define PRELUDE_GEOMETRY(T, V)    \
    T distance(V, V);             \
    T distance_squared(V, V);     \
    T dot(V, V);                  \
    V faceforward(V, V, V);       \
    T length(V);                  \
    T length_squared(V);          \
    V normalize(V);               \
    V reflect(V, V);              \
    V refract(V, V, T);
#define PRELUDE_GEOMETRIES(_, T) \
    PRELUDE_GEOMETRY(T, T##2) PRELUDE_GEOMETRY(T, T##3) PRELUDE_GEOMETRY(T, T##4) T##3 cross(T##3, T##3);
PRELUDE_FLOATS(PRELUDE_GEOMETRIES, )
#undef PRELUDE_GEOMETRIES
#undef PRELUDE_GEOMETRY

#define PRELUDE_SELECT(_, T)           \
    T select(T, T, bool);              \
    T##2 select(T##2, T##2, bool2);    \
    T##3 select(T##3, T##3, bool3);    \
    T##4 select(T##4, T##4, bool4);
PRELUDE_NUMBERS(PRELUDE_SELECT, )
PRELUDE_SELECT(, bool)
#undef PRELUDE_SELECT
bool any(bool);
bool all(bool);
#define PRELUDE_CONDITION(n) \
    bool any(bool##n);       \
    bool all(bool##n);
PRELUDE_CONDITION(2)
PRELUDE_CONDITION(3)
PRELUDE_CONDITION(4)
#undef PRELUDE_CONDITION

template <typename T, typename U>
constexpr T as_type(U x)
{
    static_assert(sizeof(T) == sizeof(U), "as_type needs types of one size");
    return __builtin_bit_cast(T, x);
}

} // namespace metal

using metal::as_type;

#undef PRELUDE_3
#undef PRELUDE_2
#undef PRELUDE_1
#undef PRELUDE_SHAPES_3
#undef PRELUDE_SHAPES_2
#undef PRELUDE_SHAPES_1
