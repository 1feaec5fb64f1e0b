// metal::array, numeric_limits, and what stands for objects that a launch makes.
#pragma once
#include "type_traits.h"
#include "types.h"

namespace metal {

template <typename T, size_t n>
struct array {
    T elements[n];
    device T& operator[](size_t) device;
    threadgroup T& operator[](size_t) threadgroup;
    thread T& operator[](size_t) thread;
    const device T& operator[](size_t) const device;
    const constant T& operator[](size_t) const constant;
    const threadgroup T& operator[](size_t) const threadgroup;
    const thread T& operator[](size_t) const thread;
    static constexpr size_t size() { return n; }
};

template <typename T>
struct numeric_limits;
#define PRELUDE_LIMITS(_, T)                           \
    template <>                                        \
    struct numeric_limits<T> {                         \
        static constant constexpr bool is_specialized = true; \
        static constexpr T lowest() { return T(0); }   \
        static constexpr T min() { return T(0); }      \
        static constexpr T max() { return T(0); }      \
        static constexpr T epsilon() { return T(0); }  \
        static constexpr T infinity() { return T(0); } \
        static constexpr T quiet_NaN() { return T(0); } \
    };
PRELUDE_NUMBERS(PRELUDE_LIMITS, )
PRELUDE_LIMITS(, bool)
PRELUDE_LIMITS(, int8_t) // signed char, which is no char
#undef PRELUDE_LIMITS

namespace emulator {

template <typename T, int number>
threadgroup T& threadgroup_variable();

} // namespace emulator

// Whether a launch gives the constant a value.
template <typename T>
bool is_function_constant_defined(const constant T&);

} // namespace metal

// clang lacks these where the pointer lies in an address space and the number is a class's.
template <typename P, typename N>
metal::enable_if_t<__is_pointer(P) && __is_class(N), thread P&> operator+=(thread P&, N);
template <typename P, typename N>
metal::enable_if_t<__is_pointer(P) && __is_class(N), thread P&> operator-=(thread P&, N);
