// Barriers, and what the lanes of a simdgroup tell each other, on any machine; gathered.h has the
// machine's own.  What all lanes do together stands outside of all conditions.
#pragma once
#include "gathered.h"
#include "math.h"
#include "mem_flags.h"
#include "type_traits.h"

namespace metal {

METAL_FUNC void threadgroup_barrier(mem_flags flags)
{
    EMULATOR_EVENT("barriers.threadgroup");
    emulator::sync_threadgroup(static_cast<uint>(flags));
}
METAL_FUNC void simdgroup_barrier(mem_flags flags)
{
    EMULATOR_EVENT("barriers.simdgroup");
    emulator::sync_simdgroup(static_cast<uint>(flags));
}

struct simd_vote {
    typedef ulong vote_t;
    constexpr simd_vote(vote_t v = 0) : votes(v) {}
    constexpr explicit operator vote_t() const { return votes; }
    constexpr bool all() const { return (votes & 0xFFFFFFFFul) == 0xFFFFFFFFul; }
    constexpr bool any() const { return votes != 0; }
    vote_t votes;
};

template <typename T>
METAL_FUNC T simd_shuffle(T x, ushort lane)
{
    EMULATOR_EVENT("shuffles");
    return emulator::Gathered<T>(x).from(lane);
}
template <typename T>
METAL_FUNC T simd_shuffle_xor(T x, ushort mask)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.self ^ mask);
}
template <typename T>
METAL_FUNC T simd_shuffle_up(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.self - delta);
}
template <typename T>
METAL_FUNC T simd_shuffle_down(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.self + delta);
}
template <typename T>
METAL_FUNC T simd_shuffle_rotate_up(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from((all.self - delta) % emulator::SIMDGROUP);
}
template <typename T>
METAL_FUNC T simd_shuffle_rotate_down(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from((all.self + delta) % emulator::SIMDGROUP);
}
template <typename T>
METAL_FUNC T simd_shuffle_and_fill_up(T x, T fill, ushort delta, ushort modulo = emulator::SIMDGROUP)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> values(x), fills(fill);
    const uint at = values.self % modulo, base = values.self - at;
    const T inside = values.from(base + at - delta), outside = fills.from(base + at + modulo - delta);
    return at >= delta ? inside : outside;
}
template <typename T>
METAL_FUNC T simd_shuffle_and_fill_down(T x, T fill, ushort delta, ushort modulo = emulator::SIMDGROUP)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> values(x), fills(fill);
    const uint at = values.self % modulo, base = values.self - at;
    const T inside = values.from(base + at + delta), outside = fills.from(base + at + delta - modulo);
    return at + delta < modulo ? inside : outside;
}
template <typename T>
METAL_FUNC T simd_broadcast(T x, ushort lane)
{
    EMULATOR_EVENT("shuffles");
    return emulator::Gathered<T>(x).from(lane);
}
template <typename T>
METAL_FUNC T simd_broadcast_first(T x)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all[__builtin_ctz(all.present)];
}
METAL_FUNC simd_vote simd_ballot(bool x)
{
    EMULATOR_EVENT("votes");
    return emulator::votes(x);
}
// Of all lanes that get here: the others may have returned by the time that a slow one asks.
METAL_FUNC simd_vote simd_active_threads_mask() { return simd_ballot(true); }
METAL_FUNC bool simd_is_first()
{
    const ulong mask = static_cast<ulong>(simd_active_threads_mask());
    return emulator::lane_index() == static_cast<uint>(__builtin_ctzl(mask));
}
METAL_FUNC bool simd_any(bool x) { return simd_ballot(x).any(); }
METAL_FUNC bool simd_all(bool x) { return !simd_ballot(!x).any(); }

template <typename T>
METAL_FUNC T quad_shuffle(T x, ushort lane)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from((all.self & ~3u) + lane % 4);
}
template <typename T>
METAL_FUNC T quad_broadcast(T x, ushort lane)
{
    return quad_shuffle(x, lane);
}
template <typename T>
METAL_FUNC T quad_shuffle_xor(T x, ushort mask)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.self ^ (mask % 4));
}
template <typename T>
METAL_FUNC T quad_shuffle_up(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.self % 4 >= delta ? all.self - delta : all.self);
}
template <typename T>
METAL_FUNC T quad_shuffle_down(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.self % 4 + delta < 4 ? all.self + delta : all.self);
}

template <typename T>
METAL_FUNC T quad_shuffle_rotate_up(T x, ushort delta)
{
    const emulator::Gathered<T> all(x);
    return all.from((all.self & ~3u) + (all.self - delta & 3));
}
template <typename T>
METAL_FUNC T quad_shuffle_rotate_down(T x, ushort delta)
{
    const emulator::Gathered<T> all(x);
    return all.from((all.self & ~3u) + (all.self + delta & 3));
}
template <typename T>
METAL_FUNC T quad_shuffle_and_fill_up(T x, T fill, ushort delta, ushort modulo = 4)
{
    return simd_shuffle_and_fill_up(x, fill, delta, modulo);
}
template <typename T>
METAL_FUNC T quad_shuffle_and_fill_down(T x, T fill, ushort delta, ushort modulo = 4)
{
    return simd_shuffle_and_fill_down(x, fill, delta, modulo);
}

struct quad_vote {
    typedef ushort vote_t;
    constexpr quad_vote(vote_t v = 0) : votes(v) {}
    constexpr explicit operator vote_t() const { return votes; }
    constexpr bool all() const { return (votes & 15) == 15; }
    constexpr bool any() const { return votes != 0; }
    vote_t votes;
};
METAL_FUNC quad_vote quad_ballot(bool x)
{
    const ulong votes = static_cast<ulong>(simd_ballot(x));
    return votes >> (emulator::lane_index() & ~3u) & 15;
}
METAL_FUNC quad_vote quad_active_threads_mask() { return quad_ballot(true); }
METAL_FUNC bool quad_any(bool x) { return quad_ballot(x).any(); }
METAL_FUNC bool quad_all(bool x) { return !quad_ballot(!x).any(); }
METAL_FUNC bool quad_is_first()
{
    const uint mask = static_cast<ushort>(quad_active_threads_mask());
    return emulator::lane_index() % 4 == static_cast<uint>(__builtin_ctz(mask));
}
template <typename T>
METAL_FUNC T quad_broadcast_first(T x)
{
    const emulator::Gathered<T> all(x);
    const uint base = all.self & ~3u;
    return all[base + __builtin_ctz(all.present >> base & 15)];
}

// Reductions over the simdgroup and the quad, and for sums and products the running ones.
#define EMULATOR_REDUCTION(NAME, expression)                                                      \
    namespace emulator {                                                                          \
    struct Reduce_##NAME {                                                                        \
        template <typename T>                                                                     \
        METAL_FUNC T operator()(T x, T y) const                                                   \
        {                                                                                         \
            return static_cast<T>(expression);                                                    \
        }                                                                                         \
    };                                                                                            \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T simd_##NAME(T x)                                                                 \
    {                                                                                             \
        EMULATOR_EVENT("reductions");                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        return emulator::fold(all, 0, emulator::SIMDGROUP, emulator::Reduce_##NAME());            \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T quad_##NAME(T x)                                                                 \
    {                                                                                             \
        EMULATOR_EVENT("reductions");                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        return emulator::fold(all, all.self & ~3u, 4, emulator::Reduce_##NAME());               \
    }
#define EMULATOR_SCAN(NAME, identity)                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T simd_prefix_inclusive_##NAME(T x)                                                \
    {                                                                                             \
        EMULATOR_EVENT("reductions");                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        return emulator::fold(all, 0, all.self + 1u, emulator::Reduce_##NAME());                \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T simd_prefix_exclusive_##NAME(T x)                                                \
    {                                                                                             \
        EMULATOR_EVENT("reductions");                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        const uint before = all.present & ((1u << all.self) - 1);                           \
        const T folded = emulator::fold(all, 0, all.self, emulator::Reduce_##NAME());             \
        return before == 0 ? static_cast<T>(identity) : folded;                                   \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T quad_prefix_inclusive_##NAME(T x)                                                \
    {                                                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        const uint at = all.self % 4;                                                             \
        return emulator::fold(all, all.self - at, at + 1, emulator::Reduce_##NAME());             \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T quad_prefix_exclusive_##NAME(T x)                                                \
    {                                                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        const uint at = all.self % 4, base = all.self - at;                                 \
        const T folded = emulator::fold(all, base, at, emulator::Reduce_##NAME());                \
        return (all.present >> base & ((1u << at) - 1)) == 0 ? static_cast<T>(identity) : folded; \
    }
EMULATOR_REDUCTION(sum, x + y)
EMULATOR_REDUCTION(product, x * y)
EMULATOR_REDUCTION(max, max(x, y))
EMULATOR_REDUCTION(min, min(x, y))
EMULATOR_REDUCTION(and, x & y)
EMULATOR_REDUCTION(or, x | y)
EMULATOR_REDUCTION(xor, x ^ y)
EMULATOR_SCAN(sum, 0)
EMULATOR_SCAN(product, 1)
#undef EMULATOR_SCAN
#undef EMULATOR_REDUCTION

} // namespace metal
