// Threadgroup memory: an arena of each worker, in which variables have fixed places.
#pragma once
#include "fibres.h"
#include "keywords.h"

namespace metal {
namespace emulator {

// Threadgroup variables get their places in the arena when the library is loaded, so that the
// bytes a kernel needs are known before it runs.
constexpr address ARENA_ALIGNMENT = 16;
static address threadgroup_bytes = 0;

// Where a variable or parameter lies.  The instrumented build leaves room between them, so that
// running off one is not running into the next.
struct Variable {
    int id;
    address offset;
    address size;
};
constexpr unsigned MAX_VARIABLES = 64;
static Variable variables[MAX_VARIABLES];
static unsigned variable_count = 0;
static address placed_bytes = 0;
#ifdef EMULATOR_CHECKS
constexpr address RED_ZONE = 256;
#else
constexpr address RED_ZONE = 0;
#endif

EMULATOR_UNCHECKED inline address reserve_threadgroup_bytes(int id, address size)
{
    const address padded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    const address offset = placed_bytes;
    if (variable_count < MAX_VARIABLES) {
        variables[variable_count++] = {id, offset, size};
    }
    threadgroup_bytes += padded;
    placed_bytes += padded + RED_ZONE;
    return offset;
}

template <typename T, int id>
struct ThreadgroupVariable {
    static const address offset;
};
template <typename T, int id>
const address ThreadgroupVariable<T, id>::offset = reserve_threadgroup_bytes(id, sizeof(T));

template <typename T, int id>
EMULATOR_INLINE threadgroup T& threadgroup_variable()
{
    byte* variable = this_lane()->group->arena + ThreadgroupVariable<T, id>::offset;
    return *(threadgroup T*)variable;
}

// The n-th [[threadgroup(n)]] parameter: behind the variables, in order.
inline byte* threadgroup_parameter(unsigned n)
{
    const Threadgroup* group = this_lane()->group;
    address offset = placed_bytes;
    for (unsigned i = 0; i < n; ++i) {
        const address length = group->launch->threadgroup_lengths[i];
        offset += (length + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT + RED_ZONE;
    }
    return group->arena + offset;
}

// Does a piece of the arena belong to one variable or parameter?
EMULATOR_INLINE bool lies_in_variable(const Launch* launch, address offset, address size)
{
    for (unsigned i = 0; i < variable_count; ++i) {
        if (offset - variables[i].offset < variables[i].size) {
            return size <= variables[i].size - (offset - variables[i].offset);
        }
    }
    address begin = placed_bytes;
    for (unsigned i = 0; i < MAX_BUFFERS && launch->threadgroup_lengths[i]; ++i) {
        const address length = launch->threadgroup_lengths[i];
        if (offset - begin < length) {
            return size <= length - (offset - begin);
        }
        begin += (length + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT + RED_ZONE;
    }
    return false;
}

} // namespace emulator
} // namespace metal
