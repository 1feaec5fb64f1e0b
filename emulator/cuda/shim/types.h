// Scalars and vectors.  NVRTC's language has no vectors with operators, so they are classes.
#pragma once
#include "builtins.h"
#include "integers.h"
#include "small_floats.h"

typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef unsigned long uintptr_t;
typedef long intptr_t;

namespace metal {
namespace emulator {

// In the place of a T: any type that converts to it, not one to deduce T from.
template <typename T>
struct ScalarOf {
    typedef T type;
};

// A vector's elements by number and by name.
template <typename T, int n>
struct Elements;
template <typename T>
struct Elements<T, 2> {
    union {
        T elements[2];
        struct {
            T x, y;
        };
        struct {
            T r, g;
        };
    };
};
template <typename T>
struct Elements<T, 3> {
    union {
        T elements[3];
        struct {
            T x, y, z;
        };
        struct {
            T r, g, b;
        };
    };
};
template <typename T>
struct Elements<T, 4> {
    union {
        T elements[4];
        struct {
            T x, y, z, w;
        };
        struct {
            T r, g, b, a;
        };
    };
};

// A packed vector is the same, aligned like its elements.
template <typename T, int n, bool packed>
struct alignas(packed ? alignof(T) : sizeof(T) * (n == 3 ? 4 : n)) Vector : Elements<T, n> {
    Vector() = default;
    constexpr METAL_FUNC Vector(T x) : Elements<T, n>{} { spread(x); }
    template <bool other>
    constexpr METAL_FUNC Vector(Vector<T, n, other> v) : Elements<T, n>{}
    {
        put(0, v);
    }
    template <typename U, bool other>
    explicit constexpr METAL_FUNC Vector(Vector<U, n, other> v) : Elements<T, n>{}
    {
        put(0, v);
    }
    // Scalars and vectors, one behind the other.
    template <typename A, typename B, typename... Rest>
    constexpr METAL_FUNC Vector(A a, B b, Rest... rest);

    constexpr METAL_FUNC T& operator[](int i) { return this->elements[i]; }
    constexpr METAL_FUNC const T& operator[](int i) const { return this->elements[i]; }

    // v.zx as a value; ../rewrites.py writes v.swizzled<2, 0>().
    template <int... places>
    constexpr METAL_FUNC Vector<T, sizeof...(places), false> swizzled() const
    {
        return {this->elements[places]...};
    }
    // v.zx = value and its like.
    template <int... places>
    METAL_FUNC auto swizzle();

    template <typename U>
    constexpr METAL_FUNC int put(int at, U x)
    {
        this->elements[at] = static_cast<T>(x);
        return at + 1;
    }
    template <typename U, int m, bool other>
    constexpr METAL_FUNC int put(int at, Vector<U, m, other> v)
    {
        for (int i = 0; i < m; ++i) {
            this->elements[at + i] = static_cast<T>(v.elements[i]);
        }
        return at + m;
    }

private:
    constexpr METAL_FUNC void spread(T x)
    {
        for (int i = 0; i < n; ++i) {
            this->elements[i] = x;
        }
    }
};

// What a type is made of: its scalar and its width (1 for scalars).
template <typename T>
struct Shape {
    typedef T Scalar;
    static constexpr int width = 1;
};
template <typename T, int n, bool packed>
struct Shape<Vector<T, n, packed>> {
    typedef T Scalar;
    static constexpr int width = n;
};

template <typename T, int n, bool packed>
template <typename A, typename B, typename... Rest>
constexpr METAL_FUNC Vector<T, n, packed>::Vector(A first, B second, Rest... rest) : Elements<T, n>{}
{
    static_assert(
        n == ((Shape<A>::width + Shape<B>::width) + ... + Shape<Rest>::width),
        "a vector is made of as many elements as it has");
    int at = put(put(0, first), second);
    ((at = put(at, rest)), ...);
}

// Some elements of a vector, to be assigned to.
template <typename V, int... places>
struct Swizzle {
    typedef typename Shape<V>::Scalar T;
    typedef Vector<T, sizeof...(places), false> Value;
    V* vector;
    METAL_FUNC Value operator=(Value value)
    {
        int i = 0;
        ((vector->elements[places] = value.elements[i++]), ...);
        return value;
    }
#define EMULATOR_SWIZZLE_OPERATOR(op)                        \
    METAL_FUNC Value operator op##=(Value value)             \
    {                                                        \
        return *this = vector->template swizzled<places...>() op value; \
    }
    EMULATOR_SWIZZLE_OPERATOR(+)
    EMULATOR_SWIZZLE_OPERATOR(-)
    EMULATOR_SWIZZLE_OPERATOR(*)
    EMULATOR_SWIZZLE_OPERATOR(/)
#undef EMULATOR_SWIZZLE_OPERATOR
};
template <typename T, int n, bool packed>
template <int... places>
METAL_FUNC auto Vector<T, n, packed>::swizzle()
{
    return Swizzle<Vector, places...>{this};
}

// Operators work element by element; a scalar stands for a vector of it.
#define EMULATOR_VECTOR_OPERATOR(op, Result)                                                           \
    template <typename T, int n, bool p, bool q>                                                       \
    constexpr METAL_FUNC Vector<Result, n, false> operator op(Vector<T, n, p> a, Vector<T, n, q> b)     \
    {                                                                                                  \
        Vector<Result, n, false> result{};                                                             \
        for (int i = 0; i < n; ++i) {                                                                  \
            result.elements[i] = static_cast<Result>(a.elements[i] op b.elements[i]);                  \
        }                                                                                              \
        return result;                                                                                 \
    }                                                                                                  \
    template <typename T, int n, bool p>                                                               \
    constexpr METAL_FUNC Vector<Result, n, false> operator op(                                         \
        Vector<T, n, p> a, typename ScalarOf<T>::type b)                                               \
    {                                                                                                  \
        return a op Vector<T, n, false>(b);                                                            \
    }                                                                                                  \
    template <typename T, int n, bool p>                                                               \
    constexpr METAL_FUNC Vector<Result, n, false> operator op(                                         \
        typename ScalarOf<T>::type a, Vector<T, n, p> b)                                               \
    {                                                                                                  \
        return Vector<T, n, false>(a) op b;                                                            \
    }
#define EMULATOR_VECTOR_ARITHMETIC(op)                                                                 \
    EMULATOR_VECTOR_OPERATOR(op, T)                                                                    \
    template <typename T, int n, bool p, typename U>                                                   \
    constexpr METAL_FUNC Vector<T, n, p>& operator op##=(Vector<T, n, p>& a, const U& b)               \
    {                                                                                                  \
        return a = a op b;                                                                             \
    }
EMULATOR_VECTOR_ARITHMETIC(+)
EMULATOR_VECTOR_ARITHMETIC(-)
EMULATOR_VECTOR_ARITHMETIC(*)
EMULATOR_VECTOR_ARITHMETIC(/)
EMULATOR_VECTOR_ARITHMETIC(%)
EMULATOR_VECTOR_ARITHMETIC(&)
EMULATOR_VECTOR_ARITHMETIC(|)
EMULATOR_VECTOR_ARITHMETIC(^)
EMULATOR_VECTOR_ARITHMETIC(<<)
EMULATOR_VECTOR_ARITHMETIC(>>)
EMULATOR_VECTOR_OPERATOR(==, bool)
EMULATOR_VECTOR_OPERATOR(!=, bool)
EMULATOR_VECTOR_OPERATOR(<, bool)
EMULATOR_VECTOR_OPERATOR(<=, bool)
EMULATOR_VECTOR_OPERATOR(>, bool)
EMULATOR_VECTOR_OPERATOR(>=, bool)
EMULATOR_VECTOR_OPERATOR(&&, bool)
EMULATOR_VECTOR_OPERATOR(||, bool)
#undef EMULATOR_VECTOR_ARITHMETIC
#undef EMULATOR_VECTOR_OPERATOR

#define EMULATOR_VECTOR_UNARY(op, Result)                                               \
    template <typename T, int n, bool p>                                                \
    constexpr METAL_FUNC Vector<Result, n, false> operator op(Vector<T, n, p> v)         \
    {                                                                                   \
        Vector<Result, n, false> result{};                                              \
        for (int i = 0; i < n; ++i) {                                                   \
            result.elements[i] = static_cast<Result>(op v.elements[i]);                 \
        }                                                                               \
        return result;                                                                  \
    }
EMULATOR_VECTOR_UNARY(+, T)
EMULATOR_VECTOR_UNARY(-, T)
EMULATOR_VECTOR_UNARY(~, T)
EMULATOR_VECTOR_UNARY(!, bool)
#undef EMULATOR_VECTOR_UNARY

#define EMULATOR_VECTOR_STEP(op, by)                                                    \
    template <typename T, int n, bool p>                                                \
    constexpr METAL_FUNC Vector<T, n, p>& operator op(Vector<T, n, p>& v)               \
    {                                                                                   \
        return v = v by T(1);                                                           \
    }                                                                                   \
    template <typename T, int n, bool p>                                                \
    constexpr METAL_FUNC Vector<T, n, p> operator op(Vector<T, n, p>& v, int)           \
    {                                                                                   \
        const Vector<T, n, p> before = v;                                               \
        op v;                                                                           \
        return before;                                                                  \
    }
EMULATOR_VECTOR_STEP(++, +)
EMULATOR_VECTOR_STEP(--, -)
#undef EMULATOR_VECTOR_STEP

// V(a, b, ...), as the rewrites that both executors share write it.
template <typename V, typename... Parts>
constexpr METAL_FUNC V make(Parts... parts)
{
    return V(parts...);
}

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

constexpr uint SIMDGROUP = 32;

} // namespace emulator

template <typename T, int n>
using vec = emulator::Vector<T, n, false>;

template <typename T>
struct remove_addrspace {
    typedef T type;
};

} // namespace metal

#define EMULATOR_VECTORS(T)                                   \
    typedef metal::emulator::Vector<T, 2, false> T##2;        \
    typedef metal::emulator::Vector<T, 3, false> T##3;        \
    typedef metal::emulator::Vector<T, 4, false> T##4;        \
    namespace metal {                                         \
    using program::T##2;                                      \
    using program::T##3;                                      \
    using program::T##4;                                      \
    }
#define EMULATOR_ALL_VECTORS(T)                               \
    EMULATOR_VECTORS(T)                                       \
    typedef metal::emulator::Vector<T, 2, true> packed_##T##2; \
    typedef metal::emulator::Vector<T, 3, true> packed_##T##3; \
    typedef metal::emulator::Vector<T, 4, true> packed_##T##4;
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
#undef EMULATOR_VECTORS

namespace metal {
using program::bfloat;
using program::half;
using program::ptrdiff_t;
using program::size_t;
using program::uchar;
using program::uint;
using program::ulong;
using program::ushort;
using program::int8_t;
using program::int16_t;
using program::int32_t;
using program::int64_t;
using program::uint8_t;
using program::uint16_t;
using program::uint32_t;
using program::uint64_t;
} // namespace metal
