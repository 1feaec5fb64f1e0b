// How a kernel gets its arguments.
//
// ../rewrites.py writes the function that CUDA starts; it calls the shader's kernel with what is made
// here, so the compiler checks every type.
#pragma once
#include "gathered.h"
#include "parameters.h"

namespace metal {
namespace emulator {

// Of a launch: CUDA's own grid is a line of blocks, and a block a line of whole warps.
struct Launch {
    uint threadgroups[3], threads[3];
    uint threadgroup_offsets[31]; // of [[threadgroup(n)]]
};

constexpr uint whole_simdgroups(uint threads) { return (threads + SIMDGROUP - 1) / SIMDGROUP * SIMDGROUP; }

METAL_FUNC uint thread_index() { return threadIdx.x / SIMDGROUP * SIMDGROUP + lane_index(); }
// Whether this thread only fills up the last simdgroup.
METAL_FUNC bool is_surplus(const Launch& launch)
{
    return thread_index() >= launch.threads[0] * launch.threads[1] * launch.threads[2];
}

// A threadgroup's variable, of all its threads; the source pass gives each a number of its own.
template <typename T, uint number>
METAL_FUNC T& threadgroup_variable()
{
    __shared__ __align__(16) T variable;
    return variable;
}

// [[threadgroup(n)]]
struct ThreadgroupParameter {
    uint offset;
    template <typename T>
    METAL_FUNC operator T*() const
    {
        extern __shared__ __align__(16) unsigned char emulator_threadgroup_parameters[];
        return reinterpret_cast<T*>(emulator_threadgroup_parameters + offset);
    }
    template <typename T>
    METAL_FUNC operator T&() const
    {
        return *static_cast<T*>(*this);
    }
};
METAL_FUNC ThreadgroupParameter threadgroup_parameter(const Launch& launch, uint n)
{
    return {launch.threadgroup_offsets[n]};
}

// The type of a kernel's parameter, and how it is passed: constant references by value, in CUDA's own
// parameters; else as a pointer.
template <uint index, typename F>
struct Nth;
template <typename First, typename... Rest>
struct Nth<0, void (*)(First, Rest...)> {
    typedef First type;
};
template <uint index, typename First, typename... Rest>
struct Nth<index, void (*)(First, Rest...)> : Nth<index - 1, void (*)(Rest...)> {
};
template <uint index, typename F>
using TypeOf = typename Nth<index, F>::type;
template <uint index, typename F>
using Value = remove_const_t<remove_reference_t<TypeOf<index, F>>>;
template <uint index, typename F>
using Reference = remove_reference_t<TypeOf<index, F>>*;

// A position or size: becomes a scalar or a vector of 2 or 3, of uint or ushort.
struct Triple {
    uint x, y, z;
    METAL_FUNC operator uint() const { return x; }
    METAL_FUNC operator uint2() const { return uint2(x, y); }
    METAL_FUNC operator uint3() const { return uint3(x, y, z); }
    METAL_FUNC operator ushort() const { return x; }
    METAL_FUNC operator ushort2() const { return ushort2(x, y); }
    METAL_FUNC operator ushort3() const { return ushort3(x, y, z); }
    METAL_FUNC operator int() const { return x; }
    METAL_FUNC operator short() const { return x; }
};
METAL_FUNC Triple triple(const uint (&v)[3]) { return {v[0], v[1], v[2]}; }
METAL_FUNC Triple place(uint index, const uint (&sizes)[3])
{
    return {index % sizes[0], index / sizes[0] % sizes[1], index / sizes[0] / sizes[1]};
}

namespace attribute {

METAL_FUNC Triple threadgroup_position_in_grid(const Launch& launch) { return place(blockIdx.x, launch.threadgroups); }
METAL_FUNC Triple threadgroups_per_grid(const Launch& launch) { return triple(launch.threadgroups); }
METAL_FUNC Triple threads_per_threadgroup(const Launch& launch) { return triple(launch.threads); }
METAL_FUNC Triple dispatch_threads_per_threadgroup(const Launch& launch) { return threads_per_threadgroup(launch); }
METAL_FUNC Triple thread_position_in_threadgroup(const Launch& launch) { return place(thread_index(), launch.threads); }
METAL_FUNC Triple thread_position_in_grid(const Launch& launch)
{
    const Triple group = threadgroup_position_in_grid(launch), size = threads_per_threadgroup(launch),
                 position = thread_position_in_threadgroup(launch);
    return {group.x * size.x + position.x, group.y * size.y + position.y, group.z * size.z + position.z};
}
METAL_FUNC Triple threads_per_grid(const Launch& launch)
{
    const Triple groups = threadgroups_per_grid(launch), size = threads_per_threadgroup(launch);
    return {groups.x * size.x, groups.y * size.y, groups.z * size.z};
}
METAL_FUNC Triple grid_origin(const Launch&) { return {0, 0, 0}; }
METAL_FUNC uint thread_index_in_threadgroup(const Launch&) { return thread_index(); }
METAL_FUNC uint thread_index_in_simdgroup(const Launch&) { return lane_index(); }
METAL_FUNC uint thread_index_in_quadgroup(const Launch&) { return lane_index() % 4; }
METAL_FUNC uint simdgroup_index_in_threadgroup(const Launch&) { return threadIdx.x / SIMDGROUP; }
METAL_FUNC uint quadgroup_index_in_threadgroup(const Launch&) { return thread_index() / 4; }
METAL_FUNC uint threads_per_simdgroup(const Launch&) { return SIMDGROUP; }
METAL_FUNC uint thread_execution_width(const Launch&) { return SIMDGROUP; }
METAL_FUNC uint simdgroups_per_threadgroup(const Launch&) { return blockDim.x / SIMDGROUP; }
METAL_FUNC uint dispatch_simdgroups_per_threadgroup(const Launch&) { return blockDim.x / SIMDGROUP; }
METAL_FUNC uint quadgroups_per_threadgroup(const Launch&) { return blockDim.x / 4; }

} // namespace attribute

// What Python gets of a parameter: its address space is no part of its type here.
template <Space space, typename T>
struct Describe {
    static constexpr Parameter value() { return {BY_VALUE, false, false, 'S', 1, 0}; }
};
template <Space space, typename T>
struct Describe<space, T*> {
    static constexpr Parameter value() { return describe<T>(space, is_const_v<T>, false); }
};
template <Space space, typename T>
struct Describe<space, T&> {
    static constexpr Parameter value() { return describe<T>(space, is_const_v<T>, true); }
};

} // namespace emulator
} // namespace metal
