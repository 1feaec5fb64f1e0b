// Scalars and vectors.
#pragma once
#include "keywords.h"

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef _Float16 half;
typedef __bf16 bfloat;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __INTPTR_TYPE__ intptr_t;

namespace metal {

template <typename T, int n>
using vec = T __attribute__((ext_vector_type(n)));

} // namespace metal

// A packed vector of 2 or 4 is the same vector, aligned like its elements.
#define EMULATOR_VECTORS(T)                                                        \
    typedef T T##2 __attribute__((ext_vector_type(2)));                            \
    typedef T T##3 __attribute__((ext_vector_type(3)));                            \
    typedef T T##4 __attribute__((ext_vector_type(4)));
#define EMULATOR_PACKED_VECTORS(T)                                                 \
    typedef T packed_##T##2 __attribute__((ext_vector_type(2), aligned(sizeof(T)))); \
    typedef T packed_##T##4 __attribute__((ext_vector_type(4), aligned(sizeof(T))));
#define EMULATOR_ALL_VECTORS(T) EMULATOR_VECTORS(T) EMULATOR_PACKED_VECTORS(T)
EMULATOR_VECTORS(bool)
EMULATOR_ALL_VECTORS(char)
EMULATOR_ALL_VECTORS(uchar)
EMULATOR_ALL_VECTORS(short)
EMULATOR_ALL_VECTORS(ushort)
EMULATOR_ALL_VECTORS(int)
EMULATOR_ALL_VECTORS(uint)
EMULATOR_ALL_VECTORS(long)
EMULATOR_ALL_VECTORS(ulong)
EMULATOR_ALL_VECTORS(half)
EMULATOR_ALL_VECTORS(bfloat)
EMULATOR_ALL_VECTORS(float)
#undef EMULATOR_ALL_VECTORS
#undef EMULATOR_PACKED_VECTORS
#undef EMULATOR_VECTORS

namespace metal {

using ::bfloat;
using ::half;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::ulong;
using ::ushort;
using ::int8_t;
using ::int16_t;
using ::int32_t;
using ::int64_t;
using ::uint8_t;
using ::uint16_t;
using ::uint32_t;
using ::uint64_t;
#define EMULATOR_USING(T) \
    using ::T##2;         \
    using ::T##3;         \
    using ::T##4;
EMULATOR_USING(bool)
EMULATOR_USING(char)
EMULATOR_USING(uchar)
EMULATOR_USING(short)
EMULATOR_USING(ushort)
EMULATOR_USING(int)
EMULATOR_USING(uint)
EMULATOR_USING(long)
EMULATOR_USING(ulong)
EMULATOR_USING(half)
EMULATOR_USING(bfloat)
EMULATOR_USING(float)
#undef EMULATOR_USING

namespace emulator {

// What a type is made of: its scalar and its width (1 for scalars).
template <typename T>
struct Shape {
    typedef T Scalar;
    static constexpr int width = 1;
};
template <typename T, int n>
struct Shape<T __attribute__((ext_vector_type(n)))> {
    typedef T Scalar;
    static constexpr int width = n;
};

// Address spaces, and scalars by a letter: as in Python's struct module; 'E' is bfloat, 'S' a struct.
enum Space : unsigned char { BY_VALUE, DEVICE, CONSTANT, THREADGROUP };
template <typename T>
struct ScalarCode {
    static constexpr char value = 'S';
};
#define EMULATOR_SCALAR(T, code)                \
    template <>                                 \
    struct ScalarCode<T> {                      \
        static constexpr char value = code;     \
    };
EMULATOR_SCALAR(bool, '?')
EMULATOR_SCALAR(char, 'b')
EMULATOR_SCALAR(signed char, 'b')
EMULATOR_SCALAR(uchar, 'B')
EMULATOR_SCALAR(short, 'h')
EMULATOR_SCALAR(ushort, 'H')
EMULATOR_SCALAR(int, 'i')
EMULATOR_SCALAR(uint, 'I')
EMULATOR_SCALAR(long, 'q')
EMULATOR_SCALAR(ulong, 'Q')
EMULATOR_SCALAR(half, 'e')
EMULATOR_SCALAR(bfloat, 'E')
EMULATOR_SCALAR(float, 'f')
#undef EMULATOR_SCALAR

template <typename V>
METAL_FUNC void fill(V&, int)
{
}
template <typename V, typename U, typename... Rest>
METAL_FUNC void fill(V& v, int at, U x, Rest... rest)
{
    typedef typename Shape<V>::Scalar Scalar;
    constexpr int width = Shape<U>::width;
    if constexpr (width == 1) {
        v[at] = static_cast<Scalar>(x);
    } else {
        for (int i = 0; i < width; ++i) {
            v[at + i] = static_cast<Scalar>(x[i]);
        }
    }
    fill(v, at + width, rest...);
}

// V(x): the source pass puts this in the place of constructors and static_casts of vectors, which
// C++ does not have for them.
template <typename V, typename U>
METAL_FUNC constexpr V make(U x)
{
    if constexpr (Shape<V>::width == 1 || Shape<U>::width == 1) {
        return V(x);
    } else {
        static_assert(Shape<V>::width == Shape<U>::width, "a vector converts to one of equal width");
        return __builtin_convertvector(x, V);
    }
}
template <typename V>
METAL_FUNC constexpr V make()
{
    return V{};
}
// V(a, b, ...): scalars and vectors, one behind the other.
template <typename V, typename A, typename B, typename... Rest>
METAL_FUNC constexpr V make(A a, B b, Rest... rest)
{
    if constexpr (Shape<V>::width == 1) {
        return V(a, b, rest...);
    } else {
        static_assert(
            Shape<V>::width == ((Shape<A>::width + Shape<B>::width) + ... + Shape<Rest>::width),
            "a vector is made of as many elements as it has");
        V v;
        fill(v, 0, a, b, rest...);
        return v;
    }
}

} // namespace emulator
} // namespace metal
