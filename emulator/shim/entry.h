// How a kernel gets its arguments, and how Python gets at a kernel.
//
// The source pass turns a kernel parameter's attribute into a default argument made here, so a
// kernel is started by calling it without arguments, and the compiler checks every type.
#pragma once
#include "parameters.h"
#include "threadgroups.h"
#include "type_traits.h"

namespace metal {
namespace emulator {

// [[buffer(n)]]: becomes whatever pointer or reference the parameter is.
struct Buffer {
    unsigned index;
    METAL_FUNC void* data() const { return this_lane()->group->launch->buffers[index]; }
    template <typename T>
    METAL_FUNC operator device T*() const
    {
        return (device T*)data();
    }
    template <typename T>
    METAL_FUNC operator constant T*() const
    {
        return (constant T*)data();
    }
};
struct BufferReference {
    Buffer buffer;
    template <typename T>
    METAL_FUNC operator device T&() const
    {
        return *(device T*)buffer.data();
    }
    template <typename T>
    METAL_FUNC operator constant T&() const
    {
        return *(constant T*)buffer.data();
    }
};

// [[threadgroup(n)]]
struct ThreadgroupParameter {
    unsigned index;
    template <typename T>
    METAL_FUNC operator threadgroup T*() const
    {
        return (threadgroup T*)threadgroup_parameter(index);
    }
    template <typename T>
    METAL_FUNC operator threadgroup T&() const
    {
        return *(threadgroup T*)threadgroup_parameter(index);
    }
};

// A position or size: becomes a scalar or a vector of 2 or 3, of uint or ushort.
struct Triple {
    unsigned x, y, z;
    METAL_FUNC operator uint() const { return x; }
    METAL_FUNC operator uint2() const { return make<uint2>(x, y); }
    METAL_FUNC operator uint3() const { return make<uint3>(x, y, z); }
    METAL_FUNC operator ushort() const { return x; }
    METAL_FUNC operator ushort2() const { return make<ushort2>(x, y); }
    METAL_FUNC operator ushort3() const { return make<ushort3>(x, y, z); }
    METAL_FUNC operator int() const { return x; }
    METAL_FUNC operator short() const { return x; }
};
METAL_FUNC Triple triple(const unsigned (&v)[3]) { return {v[0], v[1], v[2]}; }

namespace attribute {

METAL_FUNC Triple threadgroup_position_in_grid() { return triple(this_lane()->group->position); }
METAL_FUNC Triple threadgroups_per_grid() { return triple(this_lane()->group->launch->threadgroups); }
METAL_FUNC Triple threads_per_threadgroup() { return triple(this_lane()->group->launch->threads); }
METAL_FUNC Triple dispatch_threads_per_threadgroup() { return threads_per_threadgroup(); }
METAL_FUNC Triple thread_position_in_threadgroup() { return triple(this_lane()->position); }
METAL_FUNC Triple thread_position_in_grid()
{
    const Triple group = threadgroup_position_in_grid(), size = threads_per_threadgroup(),
                 position = thread_position_in_threadgroup();
    return {group.x * size.x + position.x, group.y * size.y + position.y, group.z * size.z + position.z};
}
METAL_FUNC Triple threads_per_grid()
{
    const Triple groups = threadgroups_per_grid(), size = threads_per_threadgroup();
    return {groups.x * size.x, groups.y * size.y, groups.z * size.z};
}
METAL_FUNC Triple grid_origin() { return {0, 0, 0}; }
METAL_FUNC uint thread_index_in_threadgroup() { return this_lane()->thread_index; }
METAL_FUNC uint thread_index_in_simdgroup() { return this_lane()->index; }
METAL_FUNC uint thread_index_in_quadgroup() { return this_lane()->index % 4; }
METAL_FUNC uint simdgroup_index_in_threadgroup() { return this_lane()->simdgroup->index; }
METAL_FUNC uint quadgroup_index_in_threadgroup() { return this_lane()->thread_index / 4; }
METAL_FUNC uint threads_per_simdgroup() { return SIMDGROUP; }
METAL_FUNC uint thread_execution_width() { return SIMDGROUP; }
METAL_FUNC uint simdgroups_per_threadgroup() { return this_lane()->group->simdgroup_count; }
METAL_FUNC uint dispatch_simdgroups_per_threadgroup() { return simdgroups_per_threadgroup(); }
METAL_FUNC uint quadgroups_per_threadgroup() { return (this_lane()->group->simdgroup_count * SIMDGROUP) / 4; }

} // namespace attribute

// Of each kind of parameter.
template <typename T>
struct Describe {
    static constexpr Parameter value() { return {BY_VALUE, false, false, 'S', 1, 0}; }
};
#define EMULATOR_DESCRIBE(space, code)                                                                \
    template <typename T>                                                                             \
    struct Describe<space T*> {                                                                       \
        static constexpr Parameter value() { return describe<T>(code, is_const_v<T>, false); }        \
    };                                                                                                \
    template <typename T>                                                                             \
    struct Describe<space T&> {                                                                       \
        static constexpr Parameter value() { return describe<T>(code, is_const_v<T>, true); }         \
    };
EMULATOR_DESCRIBE(device, DEVICE)
EMULATOR_DESCRIBE(constant, CONSTANT)
EMULATOR_DESCRIBE(threadgroup, THREADGROUP)
#undef EMULATOR_DESCRIBE

template <typename... T>
constexpr unsigned parameter_count(void (*)(T...))
{
    return sizeof...(T);
}
template <typename... T>
const Parameter* parameters(void (*)(T...))
{
    static constexpr Parameter all[] = {Describe<T>::value()..., {}};
    return all;
}

} // namespace emulator
} // namespace metal

// The source pass puts this behind the kernel that Python asked for, and before it the function
// that each fibre runs, emulator_lane().
#define EMULATOR_ENTRY(KERNEL)                                                                        \
    EMULATOR_EXPORT unsigned emulator_parameter_count() { return ::metal::emulator::parameter_count(&KERNEL); } \
    EMULATOR_EXPORT const ::metal::emulator::Parameter* emulator_parameters() { return ::metal::emulator::parameters(&KERNEL); } \
    EMULATOR_EXPORT unsigned emulator_max_threads() { return ::metal::emulator::max_threads; }        \
    EMULATOR_EXPORT unsigned long emulator_threadgroup_bytes() { return ::metal::emulator::threadgroup_bytes; } \
    EMULATOR_EXPORT unsigned long emulator_placed_bytes() { return ::metal::emulator::placed_bytes; }  \
    EMULATOR_EXPORT unsigned emulator_red_zone() { return ::metal::emulator::RED_ZONE; }              \
    EMULATOR_EXPORT unsigned emulator_variable_count() { return ::metal::emulator::variable_count; }  \
    EMULATOR_EXPORT const ::metal::emulator::Variable* emulator_variables() { return ::metal::emulator::variables; } \
    EMULATOR_EXPORT unsigned emulator_fact_count() { return sizeof(::metal::emulator::facts) / sizeof(::metal::emulator::Fact); } \
    EMULATOR_EXPORT const ::metal::emulator::Fact* emulator_facts() { return ::metal::emulator::facts; } \
    EMULATOR_EXPORT unsigned long emulator_group_bytes() { return sizeof(::metal::emulator::Threadgroup); } \
    EMULATOR_EXPORT void emulator_run(                                                                \
        ::metal::emulator::Launch* launch, unsigned long stacks, ::metal::emulator::Threadgroup* group, \
        unsigned char* arena, unsigned long arena_bytes, unsigned long* counters)                     \
    {                                                                                                 \
        ::metal::emulator::run_worker(launch, stacks, group, arena, arena_bytes, counters, &emulator_lane); \
    }
#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default"), noinline)) EMULATOR_UNCHECKED

// What the compiler calls to round to bfloat; not every system's run-time library has it.
extern "C" __attribute__((weak, visibility("hidden"))) __bf16 __truncsfbf2(float x)
{
    const unsigned bits = __builtin_bit_cast(unsigned, x);
    const unsigned rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16; // to nearest, ties to even
    const unsigned quiet = bits >> 16 | 0x40;
    return __builtin_bit_cast(__bf16, static_cast<unsigned short>(x == x ? rounded : quiet));
}
