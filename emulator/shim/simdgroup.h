// Barriers, and what the lanes of a simdgroup tell each other.
//
// Each lane puts its value into a slot and goes once round the ring; then all slots are filled.
// Two sets of slots take turns, so nobody overwrites what a slower lane has still to read.
#pragma once
#include "checks.h"
#include "events.h"
#include "math.h"
#include "type_traits.h"

namespace metal {

enum class mem_flags : uint {
    mem_none = 0,
    mem_device = 1,
    mem_threadgroup = 2,
    mem_texture = 4,
    mem_threadgroup_imageblock = 8,
};
METAL_FUNC constexpr mem_flags operator|(mem_flags a, mem_flags b)
{
    return static_cast<mem_flags>(static_cast<uint>(a) | static_cast<uint>(b));
}
METAL_FUNC constexpr mem_flags operator&(mem_flags a, mem_flags b)
{
    return static_cast<mem_flags>(static_cast<uint>(a) & static_cast<uint>(b));
}

METAL_FUNC void threadgroup_barrier(mem_flags flags)
{
    EMULATOR_EVENT("barriers.threadgroup");
    emulator::on_arrival(true);
    emulator::sync_threadgroup();
    emulator::on_passed(static_cast<uint>(flags), true);
}
METAL_FUNC void simdgroup_barrier(mem_flags flags)
{
    EMULATOR_EVENT("barriers.simdgroup");
    emulator::on_arrival(false);
    emulator::sync_simdgroup();
    emulator::on_passed(static_cast<uint>(flags), false);
}

struct simd_vote {
    typedef ulong vote_t;
    constexpr simd_vote(vote_t v = 0) : votes(v) {}
    constexpr explicit operator vote_t() const { return votes; }
    constexpr bool all() const { return (votes & 0xFFFFFFFFul) == 0xFFFFFFFFul; }
    constexpr bool any() const { return votes != 0; }
    vote_t votes;
};

namespace emulator {

template <typename T>
METAL_FUNC T& slot(Lane* lane, uint parity, uint index)
{
    static_assert(sizeof(T) <= SLOT, "values of at most 16 bytes can be shuffled");
    return reinterpret_cast<T&>(lane->simdgroup->slots[parity][index]);
}

// What every lane gave, once all have.
template <typename T>
struct Gathered {
    EMULATOR_APART explicit Gathered(T x)
    {
        Lane* before = this_lane();
        parity = before->parity;
        before->parity ^= 1;
        slot<T>(before, parity, before->index) = x;
        before->simdgroup->present[parity] = before->simdgroup->active;
        on_arrival(false);
        sync_simdgroup();
        lane = this_lane();
        present = lane->simdgroup->present[parity];
    }
    METAL_FUNC T operator[](uint index) const { return slot<T>(lane, parity, index); }
    // Lanes that have returned gave nothing; those that read from them get their own value.
    EMULATOR_APART T from(uint index) const
    {
        const bool there = index < SIMDGROUP && present >> index & 1;
        return (*this)[there ? index : lane->index];
    }
    Lane* lane;
    uint parity;
    uint present; // lanes that had not returned
};

// Folds the active lanes [first, first + count) from the left.
template <typename T, typename Op>
EMULATOR_APART T fold(const Gathered<T>& all, uint first, uint count, Op op)
{
    T result{};
    bool empty = true;
    for (uint i = first; i < first + count; ++i) {
        if (all.present >> i & 1) {
            result = empty ? all[i] : op(result, all[i]);
            empty = false;
        }
    }
    return result;
}

// A bit for each active lane that gave true.
EMULATOR_APART ulong votes(const Gathered<bool>& all)
{
    ulong result = 0;
    for (uint i = 0; i < SIMDGROUP; ++i) {
        result |= static_cast<ulong>((all.present >> i & 1) && all[i]) << i;
    }
    return result;
}

} // namespace emulator

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
    return all.from(all.lane->index ^ mask);
}
template <typename T>
METAL_FUNC T simd_shuffle_up(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.lane->index - delta);
}
template <typename T>
METAL_FUNC T simd_shuffle_down(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.lane->index + delta);
}
template <typename T>
METAL_FUNC T simd_shuffle_rotate_up(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from((all.lane->index - delta) % emulator::SIMDGROUP);
}
template <typename T>
METAL_FUNC T simd_shuffle_rotate_down(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from((all.lane->index + delta) % emulator::SIMDGROUP);
}
template <typename T>
METAL_FUNC T simd_shuffle_and_fill_up(T x, T fill, ushort delta, ushort modulo = emulator::SIMDGROUP)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> values(x), fills(fill);
    const uint at = values.lane->index % modulo, base = values.lane->index - at;
    return at >= delta ? values.from(base + at - delta) : fills.from(base + at + modulo - delta);
}
template <typename T>
METAL_FUNC T simd_shuffle_and_fill_down(T x, T fill, ushort delta, ushort modulo = emulator::SIMDGROUP)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> values(x), fills(fill);
    const uint at = values.lane->index % modulo, base = values.lane->index - at;
    return at + delta < modulo ? values.from(base + at + delta) : fills.from(base + at + delta - modulo);
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
    return emulator::votes(emulator::Gathered<bool>(x));
}
// Of all lanes that get here: the others may have returned by the time that a slow one asks.
METAL_FUNC simd_vote simd_active_threads_mask() { return simd_ballot(true); }
METAL_FUNC bool simd_is_first()
{
    const ulong mask = static_cast<ulong>(simd_active_threads_mask());
    return emulator::this_lane()->index == static_cast<uint>(__builtin_ctzl(mask));
}
METAL_FUNC bool simd_any(bool x) { return simd_ballot(x).any(); }
METAL_FUNC bool simd_all(bool x) { return !simd_ballot(!x).any(); }

template <typename T>
METAL_FUNC T quad_shuffle(T x, ushort lane)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from((all.lane->index & ~3u) + lane % 4);
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
    return all.from(all.lane->index ^ (mask % 4));
}
template <typename T>
METAL_FUNC T quad_shuffle_up(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.lane->index % 4 >= delta ? all.lane->index - delta : all.lane->index);
}
template <typename T>
METAL_FUNC T quad_shuffle_down(T x, ushort delta)
{
    EMULATOR_EVENT("shuffles");
    const emulator::Gathered<T> all(x);
    return all.from(all.lane->index % 4 + delta < 4 ? all.lane->index + delta : all.lane->index);
}

template <typename T>
METAL_FUNC T quad_shuffle_rotate_up(T x, ushort delta)
{
    const emulator::Gathered<T> all(x);
    return all.from((all.lane->index & ~3u) + (all.lane->index - delta & 3));
}
template <typename T>
METAL_FUNC T quad_shuffle_rotate_down(T x, ushort delta)
{
    const emulator::Gathered<T> all(x);
    return all.from((all.lane->index & ~3u) + (all.lane->index + delta & 3));
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
    return votes >> (emulator::this_lane()->index & ~3u) & 15;
}
METAL_FUNC quad_vote quad_active_threads_mask() { return quad_ballot(true); }
METAL_FUNC bool quad_any(bool x) { return quad_ballot(x).any(); }
METAL_FUNC bool quad_all(bool x) { return !quad_ballot(!x).any(); }
METAL_FUNC bool quad_is_first()
{
    const uint mask = static_cast<ushort>(quad_active_threads_mask());
    return emulator::this_lane()->index % 4 == static_cast<uint>(__builtin_ctz(mask));
}
template <typename T>
METAL_FUNC T quad_broadcast_first(T x)
{
    const emulator::Gathered<T> all(x);
    const uint base = all.lane->index & ~3u;
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
        return emulator::fold(all, all.lane->index & ~3u, 4, emulator::Reduce_##NAME());          \
    }
#define EMULATOR_SCAN(NAME, identity)                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T simd_prefix_inclusive_##NAME(T x)                                                \
    {                                                                                             \
        EMULATOR_EVENT("reductions");                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        return emulator::fold(all, 0, all.lane->index + 1u, emulator::Reduce_##NAME());           \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T simd_prefix_exclusive_##NAME(T x)                                                \
    {                                                                                             \
        EMULATOR_EVENT("reductions");                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        const uint before = all.present & ((1u << all.lane->index) - 1);          \
        return before == 0 ? static_cast<T>(identity)                                             \
                           : emulator::fold(all, 0, all.lane->index, emulator::Reduce_##NAME());  \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T quad_prefix_inclusive_##NAME(T x)                                                \
    {                                                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        const uint at = all.lane->index % 4;                                                      \
        return emulator::fold(all, all.lane->index - at, at + 1, emulator::Reduce_##NAME());      \
    }                                                                                             \
    template <typename T>                                                                         \
    METAL_FUNC T quad_prefix_exclusive_##NAME(T x)                                                \
    {                                                                                             \
        const emulator::Gathered<T> all(x);                                                       \
        const uint at = all.lane->index % 4, base = all.lane->index - at;                         \
        return (all.present >> base & ((1u << at) - 1)) == 0                                      \
            ? static_cast<T>(identity)                                                            \
            : emulator::fold(all, base, at, emulator::Reduce_##NAME());                           \
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
