// A worker: takes threadgroups of a launch one after another and runs each to its end.
#pragma once
#include "fibres.h"
#include "keywords.h"

namespace metal {
namespace emulator {

// Threadgroup variables get their places in the arena when the library is loaded, so that the
// bytes a kernel needs are known before it runs.
constexpr address ARENA_ALIGNMENT = 16;
static address threadgroup_bytes = 0;

inline address reserve_threadgroup_bytes(address size)
{
    const address offset = threadgroup_bytes;
    threadgroup_bytes += (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    return offset;
}

template <typename T, int id>
struct ThreadgroupVariable {
    static const address offset;
};
template <typename T, int id>
const address ThreadgroupVariable<T, id>::offset = reserve_threadgroup_bytes(sizeof(T));

// [[max_total_threads_per_threadgroup(n)]], likewise: n may depend on template parameters.
static unsigned max_threads = MAX_THREADS;

inline unsigned limit_threads(unsigned n) { return max_threads = n; }

template <unsigned n>
struct ThreadLimit {
    static const unsigned limit;
};
template <unsigned n>
const unsigned ThreadLimit<n>::limit = limit_threads(n);

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
    address offset = threadgroup_bytes;
    for (unsigned i = 0; i < n; ++i) {
        const address length = group->launch->threadgroup_lengths[i];
        offset += (length + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    }
    return group->arena + offset;
}

// In which element of an 8x8 matrix, row by row, a lane's two begin (the layout MLX relies on).
constexpr unsigned first_element(unsigned lane)
{
    return ((lane / 4 & 4) + lane / 2 % 4) * 8 + (lane / 4 & 2) * 2 + lane % 2 * 2;
}

// Makes a simdgroup's ring out of `count` fibres, to start at `entry`.  Its last lane takes the
// executor's place.
inline void enter_simdgroup(
    Threadgroup* group, Simdgroup* simdgroup, address stacks, unsigned count, void (*entry)())
{
    simdgroup->active = ~0u >> (SIMDGROUP - count);
    simdgroup->at_barrier = false;
    simdgroup->executor_returned = false;
    simdgroup->someone_returned = false;
    simdgroup->waiting = 0;
    simdgroup->waiting_since = ~0u;
    const unsigned* const threads = group->launch->threads;
    Lane* previous = nullptr;
    for (unsigned index = 0; index < count; ++index) {
        const address lane_place = simdgroup->index * SIMDGROUP + SIMDGROUP - count + index;
        Lane* lane = lane_of_stack(stacks + lane_place * STACK);
        lane->context.instruction = reinterpret_cast<void*>(entry);
#if defined(__x86_64__)
        lane->context.stack = reinterpret_cast<byte*>(lane) - 8; // as if called
#else
        lane->context.stack = lane;
#endif
        lane->context.frame = nullptr;
        lane->simdgroup = simdgroup;
        lane->group = group;
        lane->operations = 0;
        lane->pending = false;
        lane->parity = 0;
        lane->index = static_cast<unsigned short>(index);
        lane->element = first_element(index);
        lane->thread_index = simdgroup->index * SIMDGROUP + index;
        lane->position[0] = lane->thread_index % threads[0];
        lane->position[1] = lane->thread_index / threads[0] % threads[1];
        lane->position[2] = lane->thread_index / threads[0] / threads[1];
        lane->predecessor = previous;
        if (previous) {
            previous->next = previous->successor = lane;
        } else {
            simdgroup->first = lane;
        }
        previous = lane;
    }
    simdgroup->last = previous;
    previous->next = previous->successor = simdgroup->first;
    simdgroup->first->predecessor = previous;
}

// `stacks` is aligned to STACK * SIMDGROUP, and there is one for each thread, rounded up to whole
// simdgroups.  Returns when no threadgroup is left, or one has failed.
inline void run_worker(
    Launch* launch, address stacks, Threadgroup* group, byte* arena, address arena_bytes,
    void (*entry)())
{
    const unsigned* const groups = launch->threadgroups;
    const address total = static_cast<address>(groups[0]) * groups[1] * groups[2];
    const unsigned threads = launch->threads[0] * launch->threads[1] * launch->threads[2];
    group->launch = launch;
    group->arena = arena;
    group->simdgroup_count = (threads + SIMDGROUP - 1) / SIMDGROUP;
    group->failure = NONE;
    for (;;) {
        const address index = __atomic_fetch_add(&launch->next, 1, __ATOMIC_RELAXED);
        if (index >= total || __atomic_load_n(&launch->failure, __ATOMIC_RELAXED)) {
            return;
        }
        group->position[0] = index % groups[0];
        group->position[1] = index / groups[0] % groups[1];
        group->position[2] = index / groups[0] / groups[1];
        // Nobody may rely on what threadgroup memory holds: all ones are NaNs.
        __builtin_memset(arena, 0xFF, arena_bytes);
        for (unsigned s = 0; s < group->simdgroup_count; ++s) {
            Simdgroup* simdgroup = &group->simdgroups[s];
            simdgroup->index = s;
            simdgroup->next = &group->simdgroups[(s + 1) % group->simdgroup_count];
            simdgroup->next->previous = simdgroup;
            const unsigned left = threads - s * SIMDGROUP;
            const unsigned count = left < SIMDGROUP ? left : SIMDGROUP;
            enter_simdgroup(group, simdgroup, stacks, count, entry);
        }
        switch_to(&group->worker, &group->simdgroups[0].first->context);
        if (group->failure) {
            __atomic_store_n(&launch->failure, group->failure, __ATOMIC_RELAXED);
        }
    }
}

} // namespace emulator
} // namespace metal
