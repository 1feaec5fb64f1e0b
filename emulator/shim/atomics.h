// Atomics.  Threadgroups run on several CPU threads, so these are the CPU's own.
#pragma once
#include "simdgroup.h"

namespace metal {

enum memory_order { memory_order_relaxed };

template <typename T>
struct atomic {
    typedef T value_type;
    T value;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;

namespace emulator {

// Replaces *p by next(*p); returns what was there.
template <typename T, typename Next>
EMULATOR_APART T exchange_by(T* p, Next next)
{
    on_atomic(p, sizeof(T), ATOMIC_UPDATE);
    T seen, wanted;
    __atomic_load(p, &seen, __ATOMIC_RELAXED);
    do {
        wanted = next(seen);
    } while (!__atomic_compare_exchange(p, &seen, &wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return seen;
}

} // namespace emulator

#define EMULATOR_ATOMIC_UPDATE(space, SPACE, NAME, expression)                                      \
    template <typename T>                                                                           \
    METAL_FUNC T atomic_fetch_##NAME##_explicit(volatile space atomic<T>* p, typename atomic<T>::value_type y, memory_order) \
    {                                                                                               \
        EMULATOR_EVENT("atomics." SPACE);                                                           \
        return emulator::exchange_by((T*)&p->value, [y](T x) { return static_cast<T>(expression); }); \
    }
#define EMULATOR_ATOMICS(space, SPACE)                                                              \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, add, x + y)                                                \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, sub, x - y)                                                \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, min, y < x ? y : x)                                        \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, max, x < y ? y : x)                                        \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, and, x & y)                                                \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, or, x | y)                                                 \
    EMULATOR_ATOMIC_UPDATE(space, SPACE, xor, x ^ y)                                                \
    template <typename T>                                                                           \
    METAL_FUNC T atomic_load_explicit(const volatile space atomic<T>* p, memory_order)              \
    {                                                                                               \
        EMULATOR_EVENT("atomics." SPACE);                                                           \
        emulator::on_atomic((const T*)&p->value, sizeof(T), emulator::ATOMIC_READ);                                \
        T x;                                                                                        \
        __atomic_load((const T*)&p->value, &x, __ATOMIC_RELAXED);                                   \
        return x;                                                                                   \
    }                                                                                               \
    template <typename T>                                                                           \
    METAL_FUNC void atomic_store_explicit(volatile space atomic<T>* p, typename atomic<T>::value_type x, memory_order) \
    {                                                                                               \
        EMULATOR_EVENT("atomics." SPACE);                                                           \
        emulator::on_atomic((const T*)&p->value, sizeof(T), emulator::ATOMIC_WRITE);                               \
        __atomic_store((T*)&p->value, &x, __ATOMIC_RELAXED);                                        \
    }                                                                                               \
    template <typename T>                                                                           \
    METAL_FUNC T atomic_exchange_explicit(volatile space atomic<T>* p, typename atomic<T>::value_type y, memory_order) \
    {                                                                                               \
        EMULATOR_EVENT("atomics." SPACE);                                                           \
        return emulator::exchange_by((T*)&p->value, [y](T) { return y; });                          \
    }                                                                                               \
    template <typename T>                                                                           \
    METAL_FUNC bool atomic_compare_exchange_weak_explicit(                                          \
        volatile space atomic<T>* p, thread T* expected, typename atomic<T>::value_type wanted, memory_order, memory_order) \
    {                                                                                               \
        EMULATOR_EVENT("atomics." SPACE);                                                           \
        emulator::on_atomic((const T*)&p->value, sizeof(T), emulator::ATOMIC_UPDATE);                              \
        return __atomic_compare_exchange(                                                           \
            (T*)&p->value, expected, &wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);            \
    }
EMULATOR_ATOMICS(device, "device")
EMULATOR_ATOMICS(threadgroup, "threadgroup")
#undef EMULATOR_ATOMICS
#undef EMULATOR_ATOMIC_UPDATE

METAL_FUNC void atomic_thread_fence(mem_flags, memory_order = memory_order_relaxed)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

} // namespace metal
