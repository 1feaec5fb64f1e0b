// What the lanes of a simdgroup tell each other: a simdgroup is a warp.
//
// Metal's lane and the hardware's lane are two numbers of one thread.  Apple gives lane b4 b3 b2 b1
// b0 of an 8x8 matrix the row b4 b2 b1 and the pair of columns b3 b0; NVIDIA's 8x8 fragments give lane
// h4 h3 h2 h1 h0 the row h4 h3 h2 and the pair of columns h1 h0.  So bits change places, and a
// matrix's elements lie where the matrix unit wants them.
#pragma once
#include "events.h"
#include "type_traits.h"

namespace metal {
namespace emulator {

METAL_FUNC uint hardware_lane()
{
    uint lane;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    return lane;
}
constexpr METAL_FUNC uint to_metal(uint h) { return (h & 17) | (h >> 1 & 1) << 3 | (h >> 2 & 3) << 1; }
constexpr METAL_FUNC uint to_hardware(uint lane)
{
    return (lane & 17) | (lane >> 3 & 1) << 1 | (lane >> 1 & 3) << 2;
}
METAL_FUNC uint lane_index() { return to_metal(hardware_lane()); }

constexpr uint ALL_LANES = 0xFFFFFFFFu;

// The bits of a ballot in the order of Metal's lanes.
METAL_FUNC uint in_metal_order(uint ballot)
{
    if (ballot == 0 || ballot == ALL_LANES) {
        return ballot;
    }
    uint ordered = 0;
    for (uint lane = 0; lane < SIMDGROUP; ++lane) {
        ordered |= (ballot >> to_hardware(lane) & 1) << lane;
    }
    return ordered;
}

// Any value, in words of 32 bits, from a lane that may be another one for each reader.
template <typename T>
METAL_FUNC T shuffled(T x, uint lane)
{
    constexpr uint words = (sizeof(T) + 3) / 4;
    uint raw[words] = {};
    memcpy(raw, &x, sizeof x);
    for (uint word = 0; word < words; ++word) {
        raw[word] = __shfl_sync(ALL_LANES, raw[word], to_hardware(lane));
    }
    memcpy(&x, raw, sizeof x);
    return x;
}

// What every lane gives.  All lanes that have not returned must ask at the same time.
template <typename T>
struct Gathered {
    METAL_FUNC explicit Gathered(T x)
        : present(in_metal_order(__ballot_sync(ALL_LANES, true))), self(lane_index()), value(x)
    {
    }
    METAL_FUNC T operator[](uint lane) const { return shuffled(value, lane); }
    // Lanes that have returned gave nothing; those that read from them get their own value.
    METAL_FUNC T from(uint lane) const
    {
        const bool there = lane < SIMDGROUP && present >> lane & 1;
        return shuffled(value, there ? lane : self);
    }
    uint present; // lanes that had not returned
    uint self;

private:
    T value;
};

// Folds the active lanes [first, first + count) from the left: the order, and so every rounding, is
// that of the CPU executor.
template <typename T, typename Op>
METAL_FUNC T fold(const Gathered<T>& all, uint first, uint count, Op op)
{
    T result{};
    bool empty = true;
    for (uint lane = 0; lane < SIMDGROUP; ++lane) { // as `first` and `count` may differ between lanes
        const T x = all[lane];
        if (lane - first < count && all.present >> lane & 1) {
            result = empty ? x : op(result, x);
            empty = false;
        }
    }
    return result;
}

// A bit for each active lane that says true.
METAL_FUNC ulong votes(bool x) { return in_metal_order(__ballot_sync(ALL_LANES, x)); }

METAL_FUNC void sync_threadgroup(uint) { __syncthreads(); }
METAL_FUNC void sync_simdgroup(uint) { __syncwarp(); }

} // namespace emulator
} // namespace metal
