// Scalars, vectors, and how they are made.
#pragma once
#include "keywords.h"
#include "integers.h"

typedef __bf16 bfloat;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __INTPTR_TYPE__ intptr_t;

// DECLARE(what, T) for all scalars T of a kind.
#define PRELUDE_INTEGERS(DECLARE, what) \
    DECLARE(what, char)                 \
    DECLARE(what, uchar)                \
    DECLARE(what, short)                \
    DECLARE(what, ushort)               \
    DECLARE(what, int)                  \
    DECLARE(what, uint)                 \
    DECLARE(what, long)                 \
    DECLARE(what, ulong)
#define PRELUDE_FLOATS(DECLARE, what) \
    DECLARE(what, half)               \
    DECLARE(what, bfloat)             \
    DECLARE(what, float)
#define PRELUDE_NUMBERS(DECLARE, what) PRELUDE_INTEGERS(DECLARE, what) PRELUDE_FLOATS(DECLARE, what)

namespace metal {

template <typename T, int n>
using vec = T __attribute__((ext_vector_type(n)));

namespace emulator {

// What a type is made of: its scalar and its width (1 for scalars).
template <typename T>
struct Shape {
    typedef T Scalar;
    static constant constexpr int width = 1;
};
template <typename T, int n>
struct Shape<T __attribute__((ext_vector_type(n)))> {
    typedef T Scalar;
    static constant constexpr int width = n;
};

template <typename T, int n>
struct Components;
template <typename T>
struct Components<T, 2> {
    T x, y;
};
template <typename T>
struct Components<T, 3> {
    T x, y, z;
};
template <typename T>
struct Components<T, 4> {
    T x, y, z, w;
};

} // namespace emulator

// A type of its own, as in Metal: a pointer to it is no pointer to the vector that it becomes.
// Methods without a word on it are for objects in any memory but constant.
template <typename T, int n>
struct packed_vec : emulator::Components<T, n> {
    packed_vec() = default;
    packed_vec(vec<T, n>);
    operator vec<T, n>() const;
    operator vec<T, n>() const constant;
    T& operator[](int);
    T operator[](int) const;
    template <typename Index>
    T operator[](Index) const constant; // a template, as the one above is to be preferred
    packed_vec& operator=(vec<T, n>);
#define PRELUDE_OPERATOR(op)                                             \
    packed_vec& operator op##=(vec<T, n>);                               \
    friend vec<T, n> operator op(packed_vec, packed_vec);                \
    friend vec<T, n> operator op(packed_vec, vec<T, n>);                 \
    friend vec<T, n> operator op(vec<T, n>, packed_vec);
    PRELUDE_OPERATOR(+)
    PRELUDE_OPERATOR(-)
    PRELUDE_OPERATOR(*)
    PRELUDE_OPERATOR(/)
#undef PRELUDE_OPERATOR
};

namespace emulator {

template <typename T, int n>
struct Shape<packed_vec<T, n>> {
    typedef T Scalar;
    static constant constexpr int width = n;
};

// OpenCL has no vectors of bool; comparing vectors gives it integers, which become one of these.
template <int n>
struct BoolVector {
    BoolVector() = default;
    BoolVector(bool);
    template <typename T>
    BoolVector(vec<T, n>);
    thread bool& operator[](int) thread;
    bool operator[](int) const;
    BoolVector operator!() const;
    BoolVector operator&(BoolVector) const;
    BoolVector operator|(BoolVector) const;
    bool elements[n];
};
template <int n>
struct Shape<BoolVector<n>> {
    typedef bool Scalar;
    static constant constexpr int width = n;
};

template <typename T, int n>
struct VectorOf {
    typedef vec<T, n> type;
};
template <int n>
struct VectorOf<bool, n> {
    typedef BoolVector<n> type;
};
// For a T that may be bool.  Unlike vec, no template's arguments can be found by it.
template <typename T, int n>
using any_vec = typename VectorOf<T, n>::type;

} // namespace emulator
} // namespace metal

typedef metal::emulator::BoolVector<2> bool2;
typedef metal::emulator::BoolVector<3> bool3;
typedef metal::emulator::BoolVector<4> bool4;

#define PRELUDE_VECTORS(_, T)       \
    typedef metal::vec<T, 2> T##2;  \
    typedef metal::vec<T, 3> T##3;  \
    typedef metal::vec<T, 4> T##4;
#define PRELUDE_PACKED_VECTORS(_, T)              \
    typedef metal::packed_vec<T, 2> packed_##T##2; \
    typedef metal::packed_vec<T, 3> packed_##T##3; \
    typedef metal::packed_vec<T, 4> packed_##T##4;
PRELUDE_NUMBERS(PRELUDE_VECTORS, )
PRELUDE_NUMBERS(PRELUDE_PACKED_VECTORS, )
#undef PRELUDE_PACKED_VECTORS
#undef PRELUDE_VECTORS

namespace metal {

#define PRELUDE_USING(_, T) \
    using ::T##2;           \
    using ::T##3;           \
    using ::T##4;           \
    using ::packed_##T##2;  \
    using ::packed_##T##3;  \
    using ::packed_##T##4;
PRELUDE_NUMBERS(PRELUDE_USING, )
#undef PRELUDE_USING
using ::bfloat;
using ::bool2;
using ::bool3;
using ::bool4;
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

namespace emulator {

// clang converts neither of half and bfloat to the other.
template <typename T, typename U>
constexpr bool between_small_floats =
    (__is_same(T, half) && __is_same(U, bfloat)) || (__is_same(T, bfloat) && __is_same(U, half));

template <typename V>
constexpr V make()
{
    return V{};
}
// V(x) and (V)x: the rewrites put this in the place of constructors and casts of vectors and small
// floats, which C++ does not have for clang's.
template <typename V, typename U>
constexpr V make(U x)
{
    typedef typename Shape<V>::Scalar To;
    typedef typename Shape<U>::Scalar From;
    constexpr int to = Shape<V>::width, from = Shape<U>::width;
    static_assert(to == 1 || from == 1 || to == from, "a vector converts to one of equal width");
    if constexpr (to > 1 && __is_same(From, bool)) {
        return V{};
    } else if constexpr (to > 1 && from > 1 && !__is_same(To, bool)) {
        const vec<From, from> plain = x;
        if constexpr (between_small_floats<To, From>) {
            return __builtin_convertvector(__builtin_convertvector(plain, vec<float, to>), vec<To, to>);
        } else {
            return __builtin_convertvector(plain, vec<To, to>);
        }
    } else if constexpr (from == 1 && between_small_floats<To, From>) {
        return V(static_cast<float>(x));
    } else if constexpr (to > 1 && from == 1) {
        return V(any_vec<To, to>(static_cast<To>(x)));
    } else {
        return V(x);
    }
}
// V(a, b, ...): scalars and vectors, one behind the other.
template <typename V, typename A, typename B, typename... Rest>
constexpr V make(A a, B b, Rest... rest)
{
    if constexpr (Shape<V>::width == 1) {
        return V(a, b, rest...);
    } else {
        static_assert(
            Shape<V>::width == ((Shape<A>::width + Shape<B>::width) + ... + Shape<Rest>::width),
            "a vector is made of as many elements as it has");
        return V{};
    }
}

} // namespace emulator

template <typename T>
struct remove_addrspace {
    typedef T type;
};
#define PRELUDE_REMOVE(space)           \
    template <typename T>               \
    struct remove_addrspace<space T> {  \
        typedef T type;                 \
    };
PRELUDE_REMOVE(device)
PRELUDE_REMOVE(constant)
PRELUDE_REMOVE(threadgroup)
PRELUDE_REMOVE(thread)
#undef PRELUDE_REMOVE

} // namespace metal
