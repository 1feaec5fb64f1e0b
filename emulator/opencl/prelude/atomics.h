// Atomics.
#pragma once
#include "simdgroup.h"

namespace metal {

enum memory_order { memory_order_relaxed };

template <typename T>
struct atomic {
    T value;
};
typedef atomic<bool> atomic_bool;
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<ulong> atomic_ulong;
typedef atomic<float> atomic_float;

#define PRELUDE_UPDATE(space, NAME) \
    template <typename T>           \
    T NAME##_explicit(volatile space atomic<T>*, remove_const_t<T>, memory_order);
#define PRELUDE_ATOMICS(space)                                                                      \
    PRELUDE_UPDATE(space, atomic_exchange)                                                          \
    PRELUDE_UPDATE(space, atomic_fetch_add)                                                         \
    PRELUDE_UPDATE(space, atomic_fetch_and)                                                         \
    PRELUDE_UPDATE(space, atomic_fetch_max)                                                         \
    PRELUDE_UPDATE(space, atomic_fetch_min)                                                         \
    PRELUDE_UPDATE(space, atomic_fetch_or)                                                          \
    PRELUDE_UPDATE(space, atomic_fetch_sub)                                                         \
    PRELUDE_UPDATE(space, atomic_fetch_xor)                                                         \
    template <typename T>                                                                           \
    T atomic_load_explicit(const volatile space atomic<T>*, memory_order);                          \
    template <typename T>                                                                           \
    void atomic_store_explicit(volatile space atomic<T>*, remove_const_t<T>, memory_order);         \
    template <typename T>                                                                           \
    bool atomic_compare_exchange_weak_explicit(                                                     \
        volatile space atomic<T>*, thread T*, remove_const_t<T>, memory_order, memory_order);
PRELUDE_ATOMICS(device)
PRELUDE_ATOMICS(threadgroup)
#undef PRELUDE_ATOMICS
#undef PRELUDE_UPDATE
void atomic_thread_fence(mem_flags, memory_order = memory_order_relaxed);

} // namespace metal
