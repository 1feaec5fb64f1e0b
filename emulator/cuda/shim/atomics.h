// Atomics, in device and threadgroup memory alike.
#pragma once
#include "simdgroup.h"

namespace metal {

enum memory_order { memory_order_relaxed };

template <typename T>
struct atomic {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "the CUDA executor has atomics of 4 and 8 bytes");
    typedef T value_type;
    T value;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;

namespace emulator {

template <typename T>
using Bits = conditional_t<sizeof(T) == 4, uint, unsigned long long>;

template <typename T>
METAL_FUNC T load_atomic(const volatile T* p)
{
    return __builtin_bit_cast(T, *reinterpret_cast<const volatile Bits<T>*>(p));
}

// What was at p, where `wanted` is now if that was `expected`.
template <typename T>
METAL_FUNC T compare_exchange(volatile T* p, T expected, T wanted)
{
    return __builtin_bit_cast(
        T, atomicCAS(reinterpret_cast<Bits<T>*>(const_cast<T*>(p)),
               __builtin_bit_cast(Bits<T>, expected), __builtin_bit_cast(Bits<T>, wanted)));
}

// Replaces *p by next(*p); returns what was there.
template <typename T, typename Next>
METAL_FUNC T exchange_by(volatile T* p, Next next)
{
    T seen = load_atomic(p), expected;
    do {
        expected = seen;
        seen = compare_exchange(p, expected, next(expected));
    } while (__builtin_bit_cast(Bits<T>, seen) != __builtin_bit_cast(Bits<T>, expected));
    return seen;
}

} // namespace emulator

#define EMULATOR_ATOMIC_UPDATE(NAME, expression)                                                  \
    template <typename T>                                                                         \
    METAL_FUNC T atomic_fetch_##NAME##_explicit(                                                  \
        volatile atomic<T>* p, typename atomic<T>::value_type y, memory_order)                    \
    {                                                                                             \
        return emulator::exchange_by(&p->value, [y](T x) { return static_cast<T>(expression); }); \
    }
EMULATOR_ATOMIC_UPDATE(add, x + y)
EMULATOR_ATOMIC_UPDATE(sub, x - y)
EMULATOR_ATOMIC_UPDATE(min, y < x ? y : x)
EMULATOR_ATOMIC_UPDATE(max, x < y ? y : x)
EMULATOR_ATOMIC_UPDATE(and, x & y)
EMULATOR_ATOMIC_UPDATE(or, x | y)
EMULATOR_ATOMIC_UPDATE(xor, x ^ y)
#undef EMULATOR_ATOMIC_UPDATE

template <typename T>
METAL_FUNC T atomic_load_explicit(const volatile atomic<T>* p, memory_order)
{
    return emulator::load_atomic(&p->value);
}
template <typename T>
METAL_FUNC void atomic_store_explicit(volatile atomic<T>* p, typename atomic<T>::value_type x, memory_order)
{
    emulator::exchange_by(&p->value, [x](T) { return x; });
}
template <typename T>
METAL_FUNC T atomic_exchange_explicit(volatile atomic<T>* p, typename atomic<T>::value_type x, memory_order)
{
    return emulator::exchange_by(&p->value, [x](T) { return x; });
}
template <typename T>
METAL_FUNC bool atomic_compare_exchange_weak_explicit(
    volatile atomic<T>* p, T* expected, typename atomic<T>::value_type wanted, memory_order, memory_order)
{
    const T before = *expected;
    *expected = emulator::compare_exchange(&p->value, before, wanted);
    return __builtin_bit_cast(emulator::Bits<T>, *expected) == __builtin_bit_cast(emulator::Bits<T>, before);
}

METAL_FUNC void atomic_thread_fence(mem_flags, memory_order = memory_order_relaxed) { __threadfence(); }

} // namespace metal
