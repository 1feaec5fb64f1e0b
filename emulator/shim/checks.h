// The instrumented build: the compiler calls a hook before every access to memory, and the shim one
// at every synchronisation.  Here is what they check.  In the fast build all of it is empty.
//
// Two accesses to one byte race if at least one writes, not both are atomic, and no barrier orders
// them.  A barrier orders memory of the kinds in its flags: threadgroup_barrier between all threads
// of a threadgroup, simdgroup_barrier between those of one simdgroup.  Nothing else does: lanes of
// a simdgroup are not taken to run in lockstep, and threadgroups are never ordered.  So a thread
// counts, for each kind of memory, the barriers of either sort that it has passed.  Two accesses
// are ordered if the counts tell them apart; no vector clocks are needed.
//
// For every two bytes a cell remembers the last write and two reads, chosen so that whoever races
// with any read since that write races with one of them.
#pragma once
#include "arena.h"

namespace metal {
namespace emulator {

// Bits: writes, atomic, reads and writes.
enum AccessKind : unsigned { READ = 0, WRITE = 1, ATOMIC_READ = 2, ATOMIC_WRITE = 3, ATOMIC_UPDATE = 7 };

// What was found.  ../checks/messages.py repeats the numbers, ../launch/structs.py the layouts.
enum Problem : unsigned {
    NO_PROBLEM = 0,
    RACE = 1,
    OUT_OF_BOUNDS = 2,
    UNINITIALIZED = 3,
    MISALIGNED = 4,
    DIVERGENT = 5,
    PRIVATE_OUT_OF_BOUNDS = 6,
};
enum MemoryKind : unsigned { THREADGROUP_MEMORY = 0, DEVICE_MEMORY = 1 };

constexpr address GRANULE = 2; // bytes of a cell
struct Cell {
    unsigned long write; // Accesses, see identify()
    unsigned long reads[2];
    unsigned write_site; // code addresses
    unsigned read_sites[2];
    unsigned written; // bytes written so far, as a mask; in threadgroup memory also by which group
};
static_assert(sizeof(Cell) == 40, "");

struct Extent { // of a buffer
    byte* begin;
    address size;
    Cell* cells; // of device memory that someone may write; else null
    address writable;
};
struct Finding {
    unsigned problem;
    unsigned kind; // AccessKind
    address location;
    unsigned size;
    unsigned site;
    unsigned thread_index; // in its threadgroup
    unsigned group;
    unsigned other_kind;
    unsigned other_site;
    unsigned other_thread_index;
    unsigned other_group;
};
struct Checks {
    Finding finding;
    Finding pending; // a read of what nobody wrote: if somebody writes it unordered, it is a race
    unsigned extent_count;
    Extent extents[MAX_BUFFERS + 1];
    Cell* arena_cells;
};

#ifdef EMULATOR_CHECKS

extern "C" __attribute__((visibility("hidden"))) byte __ehdr_start[];
extern "C" __attribute__((visibility("hidden"))) byte _end[];

EMULATOR_INLINE unsigned site_of(void* code)
{
    return static_cast<unsigned>(static_cast<byte*>(code) - __ehdr_start);
}

EMULATOR_UNCHECKED EMULATOR_COLD inline void describe(
    Finding& finding, Lane* lane, Problem problem, AccessKind kind, address location, unsigned size,
    unsigned site, unsigned thread_index)
{
    finding.problem = problem;
    finding.kind = kind;
    finding.location = location;
    finding.size = size;
    finding.site = site;
    finding.thread_index = thread_index;
    finding.group = lane->group->index;
}

EMULATOR_UNCHECKED EMULATOR_COLD inline void report(
    Lane* lane, Problem problem, AccessKind kind, address location, unsigned size, unsigned site,
    unsigned thread_index)
{
    Checks* checks = lane->group->launch->checks;
    const Finding& pending = checks->pending;
    if (pending.problem && problem != RACE) {
        checks->finding = pending; // whatever came after may come from it
    } else {
        describe(checks->finding, lane, problem, kind, location, size, site, thread_index);
    }
    fail(lane, FOUND);
}

// Who accesses what: 2 bits bytes of the granule, 1 atomic, 10 thread, 14 barriers of the simdgroup,
// 15 of the threadgroup, 22 threadgroup.  0 is nobody.
typedef unsigned long Access;
EMULATOR_INLINE Access identify(Lane* lane, unsigned thread_index, MemoryKind memory, AccessKind kind)
{
    return Access(kind >> 1 & 1) << 2 | Access(thread_index) << 3
         | Access(lane->simdgroup_epochs[memory] & 0x3FFF) << 13
         | Access(lane->epochs[memory] & 0x7FFF) << 27 | Access(lane->group->index & 0x3FFFFF) << 42;
}
EMULATOR_INLINE unsigned thread_of(Access a) { return a >> 3 & 0x3FF; }
EMULATOR_INLINE unsigned simdgroup_of(Access a) { return a >> 8 & 0x1F; }
EMULATOR_INLINE unsigned group_of(Access a) { return a >> 42; }

EMULATOR_INLINE bool concurrent(Access a, Access b)
{
    if (group_of(a) != group_of(b)) {
        return true;
    }
    if ((a ^ b) >> 27) {
        return false; // a threadgroup_barrier apart
    }
    if (simdgroup_of(a) != simdgroup_of(b)) {
        return true;
    }
    return ((a ^ b) >> 13 & 0x3FFF) == 0 && thread_of(a) != thread_of(b);
}
EMULATOR_INLINE bool race(Access a, Access b)
{
    return (a & b & 3) && !(a & b & 4) && concurrent(a, b);
}

EMULATOR_UNCHECKED EMULATOR_COLD inline void report_race(
    Lane* lane, AccessKind kind, address location, unsigned size, unsigned site, unsigned thread_index,
    Access other, AccessKind other_kind, unsigned other_site)
{
    Finding& finding = lane->group->launch->checks->finding;
    finding.other_kind = other_kind | (other & 4 ? 2 : 0);
    finding.other_site = other_site;
    finding.other_thread_index = thread_of(other);
    finding.other_group = group_of(other);
    report(lane, RACE, kind, location, size, site, thread_index);
}

// A read that `reads` holds is forgotten if it is ordered before the new one, or if the new one and
// the other that stays differ more: in threadgroup, in simdgroup, in thread.
EMULATOR_INLINE void remember_read(Cell& cell, Access access, unsigned site)
{
    unsigned at = 2;
    for (unsigned i = 0; i < 2 && at == 2; ++i) {
        if (cell.reads[i] == 0 || !concurrent(cell.reads[i], access)) {
            at = i;
        }
    }
    if (at == 2) {
        const Access first = cell.reads[0], second = cell.reads[1];
        const bool alike = group_of(first) == group_of(second)
                         && (group_of(access) != group_of(first) || simdgroup_of(first) == simdgroup_of(second));
        if (!alike) {
            return;
        }
        at = 1;
    }
    const bool same = cell.reads[at] >> 3 == access >> 3;
    cell.reads[at] = access | (same ? cell.reads[at] & 3 : 0);
    cell.read_sites[at] = site;
}

// One thread's access to memory with cells, which begin at `base`.
EMULATOR_UNCHECKED inline void check_cells(
    Lane* lane, unsigned thread_index, Cell* cells, address offset, address location, unsigned size,
    AccessKind kind, MemoryKind memory, unsigned site)
{
    const Access who = identify(lane, thread_index, memory, kind);
    const address end = offset + size;
    const unsigned life = memory == THREADGROUP_MEMORY ? (lane->group->index + 1) << 2 : 0;
    for (address granule = offset / GRANULE; granule * GRANULE < end; ++granule) {
        Cell& cell = cells[granule];
        const address begin = granule * GRANULE;
        const unsigned bytes = (begin >= offset ? 1 : 0) | (begin + 1 < end ? 2 : 0);
        const Access access = who | bytes;
        if (memory == THREADGROUP_MEMORY && (cell.written ^ life) >> 2) {
            cell = Cell{0, {0, 0}, 0, {0, 0}, life}; // left by an earlier threadgroup
        }
        if (memory == THREADGROUP_MEMORY && (!(kind & 1) || kind & 4) && bytes & ~cell.written) {
            Finding& pending = lane->group->launch->checks->pending;
            if (!pending.problem) {
                describe(pending, lane, UNINITIALIZED, kind, location, size, site, thread_index);
            }
        }
        if (cell.write && race(cell.write, access)) {
            report_race(lane, kind, location, size, site, thread_index, cell.write, WRITE, cell.write_site);
        }
        if (!(kind & 1)) {
            remember_read(cell, access, site);
            continue;
        }
        for (unsigned i = 0; i < 2; ++i) {
            if (cell.reads[i] && race(cell.reads[i], access)) {
                report_race(lane, kind, location, size, site, thread_index, cell.reads[i], READ, cell.read_sites[i]);
            }
        }
        const bool same = cell.write >> 3 == access >> 3;
        cell.write = access | (same ? cell.write & 3 : 0);
        cell.write_site = site;
        cell.reads[0] = cell.reads[1] = 0;
        cell.written |= bytes;
    }
}

EMULATOR_UNCHECKED inline void check_access(
    Lane* lane, unsigned thread_index, address location, unsigned size, AccessKind kind, unsigned site)
{
    Threadgroup* group = lane->group;
    Checks* checks = group->launch->checks;
    const address in_arena = location - reinterpret_cast<address>(group->arena);
    if (in_arena < group->arena_bytes) {
        if (!lies_in_variable(group->launch, in_arena, size)) {
            report(lane, OUT_OF_BOUNDS, kind, location, size, site, thread_index);
        }
        check_cells(lane, thread_index, checks->arena_cells, in_arena, location, size, kind, THREADGROUP_MEMORY, site);
        return;
    }
    for (unsigned i = 0; i < checks->extent_count; ++i) {
        const Extent& extent = checks->extents[i];
        const address offset = location - reinterpret_cast<address>(extent.begin);
        if (offset < extent.size && size <= extent.size - offset && (!(kind & 1) || extent.writable)) {
            if (extent.cells) {
                const address aligned = reinterpret_cast<address>(extent.begin) % GRANULE;
                check_cells(lane, thread_index, extent.cells, offset + aligned, location, size, kind, DEVICE_MEMORY, site);
            }
            return;
        }
    }
    const bool in_image = location >= reinterpret_cast<address>(__ehdr_start) && location < reinterpret_cast<address>(_end);
    const bool in_launch = location - reinterpret_cast<address>(group->launch) < sizeof(Launch);
    if (!in_image && !in_launch) {
        report(lane, OUT_OF_BOUNDS, kind, location, size, site, thread_index);
    }
}

// Before each access that the compiler sees.  Stacks are the threads' own.
EMULATOR_UNCHECKED inline void on_access(void* pointer, unsigned size, AccessKind kind, bool aligned, void* code)
{
    if (!fibres_run) {
        return; // the library is being loaded
    }
    Lane* lane = this_lane();
    const address location = reinterpret_cast<address>(pointer);
    if (location - lane->group->stacks < MAX_THREADS * STACK
        || location - reinterpret_cast<address>(lane->group) < sizeof(Threadgroup)) {
        return;
    }
    if (aligned && location % size) {
        report(lane, MISALIGNED, kind, location, size, site_of(code), lane->thread_index);
    }
    check_access(lane, lane->thread_index, location, size, kind, site_of(code));
}

// A matrix in memory is read or written by the lanes that hold its elements.
template <typename T>
EMULATOR_UNCHECKED inline void on_matrix_access(const T* corner, unsigned long stride, bool transposed, AccessKind kind)
{
    Lane* lane = this_lane();
    const unsigned site = site_of(__builtin_return_address(0));
    for (unsigned i = 0; i < SIMDGROUP; ++i) {
        const unsigned row = first_element(i) / 8, column = first_element(i) % 8;
        for (unsigned e = 0; e < 2; ++e) {
            const unsigned long offset = transposed ? (column + e) * stride + row : row * stride + column + e;
            const unsigned thread_index = lane->simdgroup->index * SIMDGROUP + i;
            check_access(lane, thread_index, reinterpret_cast<address>(corner + offset), sizeof(T), kind, site);
        }
    }
}

EMULATOR_UNCHECKED inline void on_atomic(const volatile void* pointer, unsigned size, AccessKind kind)
{
    Lane* lane = this_lane();
    const address location = reinterpret_cast<address>(pointer);
    check_access(lane, lane->thread_index, location, size, kind, site_of(__builtin_return_address(0)));
}

// The lane is at `site`, or has returned if that is 0; someone else is elsewhere.
EMULATOR_UNCHECKED EMULATOR_COLD inline void report_divergence(Lane* lane, unsigned site, Arrival other)
{
    Finding& finding = lane->group->launch->checks->finding;
    finding.other_site = other.site;
    finding.other_thread_index = other.thread_index;
    finding.other_group = lane->group->index;
    report(lane, DIVERGENT, READ, 0, 0, site, lane->thread_index);
}

// A lane has come to a barrier or to a simdgroup operation: all others must come to the same one.
//
// Two are the same if the same calls in the source lead there.  All functions are inlined, so each
// such way is one call of on_arrival(), known by its address, as long as the compiler neither copies
// a call (as in unrolled loops) nor makes one of two (as where two branches end alike).
__attribute__((noduplicate, nomerge)) EMULATOR_UNCHECKED inline void on_arrival(bool at_barrier)
{
    Lane* lane = this_lane();
    Simdgroup* simdgroup = lane->simdgroup;
    Threadgroup* group = lane->group;
    const unsigned site = site_of(__builtin_return_address(0));
    const Arrival arrival = {site, lane->thread_index};
    if (simdgroup->someone_returned || (at_barrier && group->simdgroups_returned)) {
        report_divergence(lane, site, Arrival{0, 0});
    }
    if (simdgroup->arrival.site && simdgroup->arrival.site != site) {
        report_divergence(lane, site, simdgroup->arrival);
    }
    simdgroup->arrival = arrival;
    if (lane != simdgroup->last) {
        return;
    }
    simdgroup->arrival.site = 0; // all lanes are here
    if (at_barrier) {
        if (group->simdgroups_waiting && group->arrival.site != site) {
            report_divergence(lane, site, group->arrival);
        }
        group->arrival = arrival;
        group->simdgroups_waiting = (group->simdgroups_waiting + 1) % group->simdgroup_count;
    }
}

// A lane goes on behind a barrier of these flags.
EMULATOR_INLINE void on_passed(unsigned flags, bool whole_threadgroup)
{
    Lane* lane = this_lane();
    for (unsigned memory = 0; memory < 2; ++memory) {
        if (flags & (memory == THREADGROUP_MEMORY ? 2 : 1)) {
            ++(whole_threadgroup ? lane->epochs : lane->simdgroup_epochs)[memory];
        }
    }
}

// A lane's kernel has returned.
EMULATOR_UNCHECKED inline void on_return(Lane* lane)
{
    Simdgroup* simdgroup = lane->simdgroup;
    Threadgroup* group = lane->group;
    if (simdgroup->arrival.site) {
        report_divergence(lane, 0, simdgroup->arrival);
    }
    if (lane == lane->successor) { // the last of its simdgroup
        ++group->simdgroups_returned;
        if (group->simdgroups_waiting) {
            report_divergence(lane, 0, group->arrival);
        }
    }
}

// A threadgroup has come to its end.
EMULATOR_UNCHECKED inline void check_end(Threadgroup* group)
{
    Checks* checks = group->launch->checks;
    if (!group->failure && checks->pending.problem) {
        checks->finding = checks->pending;
        group->failure = FOUND;
    }
}

#else

inline void check_end(Threadgroup*) {}
template <typename T>
EMULATOR_INLINE void on_matrix_access(const T*, unsigned long, bool, AccessKind) {}
EMULATOR_INLINE void on_atomic(const volatile void*, unsigned, AccessKind) {}
EMULATOR_INLINE void on_arrival(bool) {}
EMULATOR_INLINE void on_passed(unsigned, bool) {}
inline void on_return(Lane*) {}
#endif

} // namespace emulator
} // namespace metal

#ifdef EMULATOR_CHECKS
// What -fsanitize=thread calls.  A type's alignment is its size, except where the compiler knows
// less (packed vectors): those are the unaligned ones.
#define EMULATOR_HOOK(name, size, kind, aligned)                                                       \
    extern "C" EMULATOR_UNCHECKED void name(void* p)                                                   \
    {                                                                                                  \
        ::metal::emulator::on_access(p, size, ::metal::emulator::kind, aligned, __builtin_return_address(0)); \
    }
#define EMULATOR_HOOKS(size)                                   \
    EMULATOR_HOOK(__tsan_read##size, size, READ, true)         \
    EMULATOR_HOOK(__tsan_write##size, size, WRITE, true)       \
    EMULATOR_HOOK(__tsan_unaligned_read##size, size, READ, false) \
    EMULATOR_HOOK(__tsan_unaligned_write##size, size, WRITE, false)
EMULATOR_HOOKS(1)
EMULATOR_HOOKS(2)
EMULATOR_HOOKS(4)
EMULATOR_HOOKS(8)
EMULATOR_HOOKS(16)
#undef EMULATOR_HOOKS
#undef EMULATOR_HOOK

extern "C" EMULATOR_UNCHECKED void __tsan_init() {}
extern "C" EMULATOR_UNCHECKED void* __tsan_memcpy(void* to, const void* from, __SIZE_TYPE__ size)
{
    void* code = __builtin_return_address(0);
    ::metal::emulator::on_access(const_cast<void*>(from), size, ::metal::emulator::READ, false, code);
    ::metal::emulator::on_access(to, size, ::metal::emulator::WRITE, false, code);
    return __builtin_memcpy(to, from, size);
}
extern "C" EMULATOR_UNCHECKED void* __tsan_memmove(void* to, const void* from, __SIZE_TYPE__ size)
{
    void* code = __builtin_return_address(0);
    ::metal::emulator::on_access(const_cast<void*>(from), size, ::metal::emulator::READ, false, code);
    ::metal::emulator::on_access(to, size, ::metal::emulator::WRITE, false, code);
    return __builtin_memmove(to, from, size);
}
extern "C" EMULATOR_UNCHECKED void* __tsan_memset(void* to, int value, __SIZE_TYPE__ size)
{
    ::metal::emulator::on_access(to, size, ::metal::emulator::WRITE, false, __builtin_return_address(0));
    return __builtin_memset(to, value, size);
}
// What -fsanitize=array-bounds calls before an index past an array of known length.
extern "C" EMULATOR_UNCHECKED void __ubsan_handle_out_of_bounds_minimal()
{
    using namespace ::metal::emulator;
    Lane* lane = this_lane();
    const unsigned site = site_of(__builtin_return_address(0));
    report(lane, PRIVATE_OUT_OF_BOUNDS, READ, 0, 0, site, lane->thread_index);
}
#endif
