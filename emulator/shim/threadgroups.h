// A worker: takes threadgroups of a launch one after another and runs each to its end.
#pragma once
#include "arena.h"
#include "checks.h"

namespace metal {
namespace emulator {

// [[max_total_threads_per_threadgroup(n)]], likewise: n may depend on template parameters.
static unsigned max_threads = MAX_THREADS;

EMULATOR_UNCHECKED inline unsigned limit_threads(unsigned n) { return max_threads = n; }

template <unsigned n>
struct ThreadLimit {
    static const unsigned limit;
};
template <unsigned n>
const unsigned ThreadLimit<n>::limit = limit_threads(n);

// The i-th of n things in a schedule's order.
EMULATOR_UNCHECKED inline address permuted(address i, address n, unsigned schedule)
{
    if (schedule == 0) {
        return i;
    }
    address step = schedule * 2654435761u % n | 1; // any that has no divisor in common with n
    for (;; ++step) {
        address a = step, b = n;
        while (b) {
            const address rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) {
            return (i * step + schedule) % n;
        }
    }
}

// Makes a simdgroup's ring out of `count` fibres, to start at `entry`.  Its last lane takes the
// executor's place.
EMULATOR_UNCHECKED inline void enter_simdgroup(
    Threadgroup* group, Simdgroup* simdgroup, address stacks, unsigned count, void (*entry)())
{
    simdgroup->active = ~0u >> (SIMDGROUP - count);
    simdgroup->at_barrier = false;
    simdgroup->executor_returned = false;
    simdgroup->someone_returned = false;
    simdgroup->waiting = 0;
    simdgroup->waiting_since = ~0u;
    simdgroup->arrival.site = 0;
    const unsigned* const threads = group->launch->threads;
    Lane* previous = nullptr;
    for (unsigned place = 0; place < count; ++place) {
        const unsigned index = permuted(place, count, group->launch->schedule);
        const address lane_place = simdgroup->index * SIMDGROUP + SIMDGROUP - count + place;
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
        for (unsigned memory = 0; memory < 2; ++memory) {
            lane->epochs[memory] = lane->simdgroup_epochs[memory] = 0;
        }
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
EMULATOR_UNCHECKED inline void run_worker(
    Launch* launch, address stacks, Threadgroup* group, byte* arena, address arena_bytes,
    unsigned long* counters, void (*entry)())
{
    const unsigned* const groups = launch->threadgroups;
    const address total = static_cast<address>(groups[0]) * groups[1] * groups[2];
    const unsigned threads = launch->threads[0] * launch->threads[1] * launch->threads[2];
    group->launch = launch;
    group->arena = arena;
    group->counters = counters;
    group->simdgroup_count = (threads + SIMDGROUP - 1) / SIMDGROUP;
    group->failure = NONE;
    group->stacks = stacks;
    group->arena_bytes = arena_bytes;
    fibres_run = true;
    for (;;) {
        const address turn = __atomic_fetch_add(&launch->next, 1, __ATOMIC_RELAXED);
        if (turn >= total || __atomic_load_n(&launch->failure, __ATOMIC_RELAXED)) {
            return;
        }
        const address index = permuted(turn, total, launch->schedule);
        group->index = index;
        group->simdgroups_waiting = group->simdgroups_returned = 0;
        group->position[0] = index % groups[0];
        group->position[1] = index / groups[0] % groups[1];
        group->position[2] = index / groups[0] / groups[1];
        // Nobody may rely on what threadgroup memory holds: all ones are NaNs.
        __builtin_memset(arena, 0xFF, arena_bytes);
        const unsigned simdgroups = group->simdgroup_count;
        for (unsigned place = 0; place < simdgroups; ++place) {
            const unsigned s = permuted(place, simdgroups, launch->schedule);
            Simdgroup* simdgroup = &group->simdgroups[s];
            simdgroup->index = s;
            simdgroup->next = &group->simdgroups[permuted((place + 1) % simdgroups, simdgroups, launch->schedule)];
            simdgroup->next->previous = simdgroup;
            const unsigned left = threads - s * SIMDGROUP;
            const unsigned count = left < SIMDGROUP ? left : SIMDGROUP;
            enter_simdgroup(group, simdgroup, stacks, count, entry);
        }
        Simdgroup* first = &group->simdgroups[permuted(0, simdgroups, launch->schedule)];
        switch_to(&group->worker, &first->first->context);
        check_end(group);
        if (group->failure) {
            __atomic_store_n(&launch->failure, group->failure, __ATOMIC_RELAXED);
        }
    }
}

} // namespace emulator
} // namespace metal

#ifdef EMULATOR_COUNTS
// ../counting/ir.py calls this where a kernel begins.
extern "C" __attribute__((used, visibility("hidden"))) inline unsigned long* emulator_counters()
{
    return metal::emulator::this_lane()->group->counters;
}
#endif
