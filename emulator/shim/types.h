// Scalars and vectors.
#pragma once
#include "keywords.h"
#include "integers.h"

typedef _Float16 half;
typedef __bf16 bfloat;
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

// Address spaces, and scalars by a letter: as in Python's struct module; 'E' is bfloat, 'S' a struct, 'V' void.
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
EMULATOR_SCALAR(void, 'V')
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

#if __cplusplus > 202002L // only shaders that use them are compiled with explicit object parameters
// packed_float3 and its like: clang has no vectors of 3 that take no more room than their elements.
// Functions with an explicit object work in every address space.
template <typename T>
struct Packed3 {
    union {
        struct {
            T x, y, z;
        };
        struct {
            T r, g, b;
        };
    };
    Packed3() = default;
    constexpr Packed3(vec<T, 3> v) : x(v.x), y(v.y), z(v.z) {}
    constexpr Packed3(const Packed3& v) = default;
    constexpr Packed3(const device Packed3& v) : x(v.x), y(v.y), z(v.z) {}
    constexpr Packed3(const constant Packed3& v) : x(v.x), y(v.y), z(v.z) {}
    constexpr Packed3(const threadgroup Packed3& v) : x(v.x), y(v.y), z(v.z) {}
    template <typename Self>
    constexpr operator vec<T, 3>(this Self& self)
    {
        return vec<T, 3>{self.x, self.y, self.z};
    }
    template <typename Self>
    METAL_FUNC auto& operator[](this Self& self, int i)
    {
        return (&self.x)[i];
    }
    template <typename Self, typename U>
    METAL_FUNC Self& operator=(this Self& self, const U& other)
    {
        const vec<T, 3> v = other;
        self.x = v.x;
        self.y = v.y;
        self.z = v.z;
        return self;
    }
#define EMULATOR_PACKED_OPERATOR(op)                                                       \
    friend vec<T, 3> operator op(const Packed3& a, vec<T, 3> b) { return vec<T, 3>(a) op b; } \
    friend vec<T, 3> operator op(vec<T, 3> a, const Packed3& b) { return a op vec<T, 3>(b); } \
    friend vec<T, 3> operator op(const Packed3& a, const Packed3& b)                       \
    {                                                                                      \
        return vec<T, 3>(a) op vec<T, 3>(b);                                               \
    }                                                                                      \
    template <typename Self>                                                               \
    METAL_FUNC Self& operator op##=(this Self& self, vec<T, 3> v)                          \
    {                                                                                      \
        return self = vec<T, 3>(self) op v;                                                \
    }
    EMULATOR_PACKED_OPERATOR(+)
    EMULATOR_PACKED_OPERATOR(-)
    EMULATOR_PACKED_OPERATOR(*)
    EMULATOR_PACKED_OPERATOR(/)
#undef EMULATOR_PACKED_OPERATOR
};
template <typename T>
struct Shape<Packed3<T>> {
    typedef T Scalar;
    static constexpr int width = 3;
};
#endif

// The elements of clang's vectors of bool are bits, which it cannot write one by one.
template <typename T>
struct Writable {
    typedef T type;
};
template <>
struct Writable<bool> {
    typedef uchar type;
};

template <typename Scalar, typename V>
METAL_FUNC void fill(V&, int)
{
}
template <typename Scalar, typename V, typename U, typename... Rest>
METAL_FUNC void fill(V& v, int at, U x, Rest... rest)
{
    constexpr int width = Shape<U>::width;
    if constexpr (width == 1) {
        v[at] = static_cast<Scalar>(x);
    } else {
        for (int i = 0; i < width; ++i) {
            v[at + i] = static_cast<Scalar>(x[i]);
        }
    }
    fill<Scalar>(v, at + width, rest...);
}

// clang converts neither of half and bfloat to the other.
template <typename T, typename U>
constexpr bool between_small_floats = (__is_same(T, half) && __is_same(U, bfloat)) || (__is_same(T, bfloat) && __is_same(U, half));

// V(x): the source pass puts this in the place of constructors and static_casts of vectors, which
// C++ does not have for them.
template <typename V, typename U>
METAL_FUNC constexpr V make(U x)
{
    typedef Shape<V> To;
    typedef Shape<U> From;
    if constexpr (From::width == 1 && between_small_floats<typename To::Scalar, U>) {
        return V(static_cast<float>(x));
    } else if constexpr (To::width == 1 || From::width == 1) {
        return V(x);
    } else {
        static_assert(To::width == From::width, "a vector converts to one of equal width");
        typedef vec<typename To::Scalar, To::width> Target;
        const vec<typename From::Scalar, From::width> aligned = x;
        if constexpr (between_small_floats<typename To::Scalar, typename From::Scalar>) {
            return __builtin_convertvector(__builtin_convertvector(aligned, vec<float, To::width>), Target);
        } else {
            return __builtin_convertvector(aligned, Target);
        }
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
        typedef typename Shape<V>::Scalar Scalar;
        vec<typename Writable<Scalar>::type, Shape<V>::width> v;
        fill<Scalar>(v, 0, a, b, rest...);
        return make<V>(v);
    }
}

} // namespace emulator

template <typename T>
struct remove_addrspace {
    typedef T type;
};
template <typename T>
struct remove_addrspace<device T> {
    typedef T type;
};
template <typename T>
struct remove_addrspace<constant T> {
    typedef T type;
};
template <typename T>
struct remove_addrspace<threadgroup T> {
    typedef T type;
};

} // namespace metal

#if __cplusplus > 202002L
#define EMULATOR_PACKED_3(T) typedef metal::emulator::Packed3<T> packed_##T##3;
EMULATOR_PACKED_3(char)
EMULATOR_PACKED_3(uchar)
EMULATOR_PACKED_3(short)
EMULATOR_PACKED_3(ushort)
EMULATOR_PACKED_3(int)
EMULATOR_PACKED_3(uint)
EMULATOR_PACKED_3(long)
EMULATOR_PACKED_3(ulong)
EMULATOR_PACKED_3(half)
EMULATOR_PACKED_3(bfloat)
EMULATOR_PACKED_3(float)
#undef EMULATOR_PACKED_3
#endif
