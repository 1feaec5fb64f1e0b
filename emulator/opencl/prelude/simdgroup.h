// Barriers, and what the lanes of a simdgroup tell each other.
#pragma once
#include "mem_flags.h"
#include "types.h"
#include "type_traits.h"

namespace metal {

void threadgroup_barrier(mem_flags);
void simdgroup_barrier(mem_flags);

namespace emulator {

constexpr constant int SIMDGROUP = 32;

// What lanes pass to each other: numbers and vectors of them.
template <typename T>
using Passed = enable_if_t<is_arithmetic_v<typename Shape<T>::Scalar>, T>;
template <typename T>
using PassedInteger = enable_if_t<is_integral_v<typename Shape<T>::Scalar>, T>;

} // namespace emulator

#define PRELUDE_LANES(group, votes)                                                                \
    template <typename T> emulator::Passed<T> group##_shuffle(T, ushort);                          \
    template <typename T> emulator::Passed<T> group##_shuffle_xor(T, ushort);                      \
    template <typename T> emulator::Passed<T> group##_shuffle_up(T, ushort);                       \
    template <typename T> emulator::Passed<T> group##_shuffle_down(T, ushort);                     \
    template <typename T> emulator::Passed<T> group##_shuffle_rotate_up(T, ushort);                \
    template <typename T> emulator::Passed<T> group##_shuffle_rotate_down(T, ushort);              \
    template <typename T> emulator::Passed<T> group##_shuffle_and_fill_up(T, T, ushort, ushort = emulator::SIMDGROUP); \
    template <typename T> emulator::Passed<T> group##_shuffle_and_fill_down(T, T, ushort, ushort = emulator::SIMDGROUP); \
    template <typename T> emulator::Passed<T> group##_broadcast(T, ushort);                        \
    template <typename T> emulator::Passed<T> group##_broadcast_first(T);                          \
    template <typename T> emulator::Passed<T> group##_sum(T);                                      \
    template <typename T> emulator::Passed<T> group##_product(T);                                  \
    template <typename T> emulator::Passed<T> group##_max(T);                                      \
    template <typename T> emulator::Passed<T> group##_min(T);                                      \
    template <typename T> emulator::Passed<T> group##_prefix_inclusive_sum(T);                     \
    template <typename T> emulator::Passed<T> group##_prefix_exclusive_sum(T);                     \
    template <typename T> emulator::Passed<T> group##_prefix_inclusive_product(T);                 \
    template <typename T> emulator::Passed<T> group##_prefix_exclusive_product(T);                 \
    template <typename T> emulator::PassedInteger<T> group##_and(T);                               \
    template <typename T> emulator::PassedInteger<T> group##_or(T);                                \
    template <typename T> emulator::PassedInteger<T> group##_xor(T);                               \
    struct group##_vote {                                                                          \
        typedef votes vote_t;                                                                      \
        explicit group##_vote(vote_t);                                                             \
        explicit operator vote_t() const;                                                          \
        bool all() const;                                                                          \
        bool any() const;                                                                          \
    };                                                                                             \
    group##_vote group##_ballot(bool);                                                             \
    group##_vote group##_active_threads_mask();                                                    \
    bool group##_is_first();                                                                       \
    bool group##_any(bool);                                                                        \
    bool group##_all(bool);
PRELUDE_LANES(simd, ulong)
PRELUDE_LANES(quad, ushort)
#undef PRELUDE_LANES

} // namespace metal
