// What the lanes of a simdgroup tell each other, on a CPU.
//
// Each lane puts its value into a slot and goes once round the ring; then all slots are filled.
// Two sets of slots take turns, so nobody overwrites what a slower lane has still to read.
#pragma once
#include "checks.h"
#include "events.h"
#include "type_traits.h"

namespace metal {
namespace emulator {

METAL_FUNC uint lane_index() { return this_lane()->index; }

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
        self = lane->index;
        present = lane->simdgroup->present[parity];
    }
    METAL_FUNC T operator[](uint index) const { return slot<T>(lane, parity, index); }
    // Lanes that have returned gave nothing; those that read from them get their own value.
    EMULATOR_APART T from(uint index) const
    {
        const bool there = index < SIMDGROUP && present >> index & 1;
        return (*this)[there ? index : self];
    }
    uint present; // lanes that had not returned
    ushort self;

private:
    Lane* lane;
    uint parity;
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

// A bit for each active lane that says true.
EMULATOR_APART ulong votes(bool x)
{
    const Gathered<bool> all(x);
    ulong result = 0;
    for (uint i = 0; i < SIMDGROUP; ++i) {
        result |= static_cast<ulong>((all.present >> i & 1) && all[i]) << i;
    }
    return result;
}

// Barriers, for the memory that their flags name.
METAL_FUNC void sync_threadgroup(uint flags)
{
    on_arrival(true);
    sync_threadgroup();
    on_passed(flags, true);
}
METAL_FUNC void sync_simdgroup(uint flags)
{
    on_arrival(false);
    sync_simdgroup();
    on_passed(flags, false);
}

} // namespace emulator
} // namespace metal
