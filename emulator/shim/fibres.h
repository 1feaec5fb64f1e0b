// Threads of a threadgroup are fibres on one CPU thread; nobody schedules them.
//
// The lanes of a simdgroup form a ring and run in its order, each from one sync point to the next:
// to synchronise is to switch to the next lane.  When the last lane of the ring reaches a sync
// point all the others stand there too, so it hands on to the first lane, or, at a threadgroup
// barrier, to the first lane of the next simdgroup.  No counters, no arrival flags.
//
// The lane at the ring's last place is the simdgroup's executor.  Collective matrix operations run
// in it alone, once: when it gets to one, all other lanes have passed it (see matrix.h).
//
// A fibre knows its place from its stack pointer: stacks are STACK apart and aligned, and the
// executor's is the last of each SIMDGROUP of them.  So these questions cost no memory access and
// the compiler knows that their answers never change.
#pragma once
#include "keywords.h"

namespace metal {
namespace emulator {

typedef __UINTPTR_TYPE__ address;
typedef unsigned char byte;

constexpr address STACK = 256 * 1024;
constexpr address SIMDGROUP = 32;
constexpr address MAX_THREADS = 1024;
constexpr address MAX_SIMDGROUPS = MAX_THREADS / SIMDGROUP;
constexpr address MAX_BUFFERS = 31;
// Stacks start at different cache sets: 17 is odd, so 32 lanes fall on 32 sets.
constexpr address COLOUR = 17 * 64;
constexpr address TOP = STACK - SIMDGROUP * COLOUR;
constexpr address SLOT = 16; // bytes that a lane can give to a shuffle

// Where a suspended fibre goes on.  switch_to() knows these offsets.
struct Context {
    void* instruction;
    void* stack;
    void* frame;
};

enum Failure : unsigned { NONE = 0, MATRIX_IN_DIVERGENT_FLOW = 1, FOUND = 2 };

struct Checks; // see checks.h

// Has any fibre been run?
static bool fibres_run = false;

// One launch, shared by all workers.  ../launch/structs.py repeats its layout.
struct Launch {
    unsigned threadgroups[3];
    unsigned threads[3];
    unsigned threadgroup_lengths[MAX_BUFFERS]; // bytes behind [[threadgroup(n)]] parameters
    unsigned failure;
    unsigned schedule; // permutes the order of lanes, simdgroups and threadgroups; 0: as they are
    address next; // threadgroups taken so far, atomically
    void* buffers[MAX_BUFFERS];
    Checks* checks; // in the instrumented build
};

struct Lane;

// Who waits where for the others (see checks.h).
struct Arrival {
    unsigned site; // code address; 0: nobody waits
    unsigned thread_index;
};

struct Simdgroup {
    Lane* first;
    Lane* last;
    Simdgroup* previous;
    Simdgroup* next;
    unsigned index;
    unsigned active;        // a bit for each lane that has not returned
    bool at_barrier;        // where the lanes stopped last: at a threadgroup barrier?
    bool executor_returned; // no one is left to run matrix operations
    bool someone_returned;
    unsigned operations;    // that the first lane to return had passed: the others must agree
    unsigned waiting;       // lanes, by place, that wait for the executor (see settle())
    unsigned waiting_since; // the fewest operations that one of them had passed
    unsigned present[2];    // the lanes that take part in a shuffle, by its parity
    Arrival arrival;        // of the lane that came last, while others are missing
    alignas(64) byte slots[2][SIMDGROUP][SLOT];
};

struct Threadgroup {
    Context worker;
    const Launch* launch;
    byte* arena; // threadgroup memory
    unsigned long* counters; // the worker's, in the counted build
    unsigned position[3];
    unsigned simdgroup_count;
    unsigned failure;
    // For checks.h.
    address stacks;
    address arena_bytes;
    unsigned index;
    Arrival arrival; // of the simdgroup that came last, at a barrier
    unsigned simdgroups_waiting;
    unsigned simdgroups_returned;
    Simdgroup simdgroups[MAX_SIMDGROUPS];
};

// A thread.  It lies on top of its own stack.
struct Lane {
    Context context;
    Lane* next;        // whom to switch to: the successor, except in release_waiting()
    Lane* successor;   // the ring
    Lane* predecessor;
    Simdgroup* simdgroup;
    Threadgroup* group;
    unsigned operations;    // collective operations passed so far
    unsigned char pending;  // ... of which the last may not have been executed yet
    unsigned char parity;   // of shuffles passed: which slots are in use
    unsigned short index;   // in its simdgroup
    unsigned element;       // the first of its two matrix elements
    unsigned thread_index;  // in its threadgroup
    unsigned position[3];   // in its threadgroup
    // Barriers passed that order [0] threadgroup memory, [1] device memory (see checks.h).
    unsigned epochs[2];           // of the threadgroup
    unsigned simdgroup_epochs[2]; // of the simdgroup
};
static_assert(sizeof(Lane) <= COLOUR, "");

// In which element of an 8x8 matrix, row by row, a lane's two begin (the layout MLX relies on).
constexpr unsigned first_element(unsigned lane)
{
    return ((lane / 4 & 4) + lane / 2 % 4) * 8 + (lane / 4 & 2) * 2 + lane % 2 * 2;
}

// Not looked at by the instrumented build (see checks.h), and not part of what calls it.
#ifdef EMULATOR_CHECKS
#define EMULATOR_UNCHECKED __attribute__((no_sanitize("thread", "array-bounds"), noinline))
#else
#define EMULATOR_UNCHECKED
#endif
#define EMULATOR_COLD __attribute__((noinline, cold))

// Not volatile: the compiler may compute it once, as a fibre's stack never moves.
EMULATOR_INLINE address stack_pointer()
{
    address sp;
#if defined(__x86_64__)
    asm("movq %%rsp, %0" : "=r"(sp));
#elif defined(__aarch64__)
    asm("mov %0, sp" : "=r"(sp));
#else
#error "fibres exist for x86-64 and aarch64"
#endif
    return sp;
}

// The fibre's place in its simdgroup's ring, 0..31; counted so that the executor has the last.
EMULATOR_INLINE address place_of(address stack) { return stack / STACK % SIMDGROUP; }
EMULATOR_INLINE address place_of(Lane* lane) { return place_of(reinterpret_cast<address>(lane)); }
EMULATOR_INLINE address place() { return place_of(stack_pointer()); }
EMULATOR_INLINE bool is_executor() { return place() == SIMDGROUP - 1; }

EMULATOR_INLINE Lane* lane_of_stack(address stack)
{
    return reinterpret_cast<Lane*>((stack & ~(STACK - 1)) + TOP + place_of(stack) * COLOUR);
}
EMULATOR_INLINE Lane* this_lane() { return lane_of_stack(stack_pointer()); }

// From an object in this fibre's frame to its twin in the executor's: flow is uniform, so frames
// are alike, and stacks are laid out at constant distances.
EMULATOR_INLINE address distance_to_executor()
{
    return (SIMDGROUP - 1 - place()) * (STACK + COLOUR);
}

// Leaves `from` and goes on with `to`.  Only the instruction, stack and frame pointers are saved;
// all other registers are declared lost, so the compiler spills just what is alive.
EMULATOR_INLINE void switch_to(Context* from, Context* to)
{
#if defined(__x86_64__)
    asm volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rax, (%%rdi)\n\t"
        "movq %%rsp, 8(%%rdi)\n\t"
        "movq %%rbp, 16(%%rdi)\n\t"
        "movq 8(%%rsi), %%rsp\n\t"
        "movq 16(%%rsi), %%rbp\n\t"
        "jmpq *(%%rsi)\n"
        "1:"
        : "+D"(from), "+S"(to)
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
#elif defined(__aarch64__)
    register Context* self asm("x0") = from;
    register Context* other asm("x1") = to;
    asm volatile(
        "adr x2, 1f\n\t"
        "mov x3, sp\n\t"
        "stp x2, x3, [x0]\n\t"
        "str x29, [x0, #16]\n\t"
        "ldp x2, x3, [x1]\n\t"
        "ldr x29, [x1, #16]\n\t"
        "mov sp, x3\n\t"
        "br x2\n"
        "1:"
        : "+r"(self), "+r"(other)
        :
        : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
          "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",
          "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
          "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
          "v27", "v28", "v29", "v30", "v31", "cc", "memory"
#ifndef __APPLE__ // where x18 is the system's own
          , "x18"
#endif
    );
#endif
}

// Gives the whole threadgroup up.
EMULATOR_COLD inline void fail(Lane* lane, Failure failure)
{
    lane->group->failure = failure;
    switch_to(&lane->context, &lane->group->worker);
    __builtin_unreachable();
}

// Puts a lane among those that wait for the operations that it has passed.
EMULATOR_INLINE void wait_for_executor(Lane* lane)
{
    Simdgroup* simdgroup = lane->simdgroup;
    simdgroup->waiting |= 1u << place_of(lane);
    if (lane->operations < simdgroup->waiting_since) {
        simdgroup->waiting_since = lane->operations;
    }
}

// The executor lets the lanes go on to their next stop that wait for one of the first `executed`
// operations, then goes on itself.  In uniform flow they are all the others.  If not, the rest stand
// further ahead, and are left out of this round.
EMULATOR_COLD inline void release_waiting(Lane* executor, unsigned executed)
{
    Simdgroup* simdgroup = executor->simdgroup;
    const unsigned waiting = simdgroup->waiting;
    simdgroup->waiting = 0;
    simdgroup->waiting_since = ~0u;

    Lane* before = executor;
    for (Lane* lane = executor->successor; lane != executor; lane = lane->successor) {
        if (waiting >> place_of(lane) & 1) {
            if (lane->operations <= executed) {
                before->next = lane;
                before = lane;
            } else {
                wait_for_executor(lane);
            }
        }
    }
    if (before == executor) {
        return;
    }
    before->next = executor;
    switch_to(&executor->context, &executor->next->context);
    Lane* lane = executor; // some may have returned
    do {
        lane->next = lane->successor;
        lane = lane->successor;
    } while (lane != executor);
}

// The executor has no more operations to execute before the other lanes come where it stands.
EMULATOR_COLD inline void release_all(Lane* executor)
{
    while (executor->simdgroup->waiting) {
        if (executor->simdgroup->waiting_since > executor->operations) {
            fail(executor, MATRIX_IN_DIVERGENT_FLOW);
        }
        release_waiting(executor, executor->operations);
    }
}

// Waits until the collective operations that this lane has passed are executed.
__attribute__((noinline)) inline void settle_pending(Lane* lane)
{
    Simdgroup* simdgroup = lane->simdgroup;
    lane->pending = false;
    if (is_executor()) {
        if (simdgroup->waiting) {
            release_waiting(lane, lane->operations);
        }
        return;
    }
    if (simdgroup->executor_returned) {
        fail(lane, MATRIX_IN_DIVERGENT_FLOW);
    }
    wait_for_executor(lane);
    switch_to(&lane->context, &lane->next->context);
}

EMULATOR_INLINE void settle()
{
    Lane* lane = this_lane();
    if (__builtin_expect(lane->pending, 0)) {
        settle_pending(lane);
    }
}

// Passes a collective operation; true in the lane that is to execute it.
EMULATOR_INLINE bool executes_collective()
{
    Lane* lane = this_lane();
    lane->pending = true;
    ++lane->operations;
    if (is_executor()) {
        // Someone waits at an earlier operation's result, so has not passed this one.
        if (__builtin_expect(lane->simdgroup->waiting_since < lane->operations, 0)) {
            release_waiting(lane, lane->operations - 1);
        }
        return true;
    }
    return false;
}

EMULATOR_INLINE Lane* arrive(bool at_barrier)
{
    Lane* lane = this_lane();
    lane->pending = false;
    lane->simdgroup->at_barrier = at_barrier;
    if (is_executor() && __builtin_expect(lane->simdgroup->waiting, 0)) {
        release_all(lane);
    }
    return lane;
}

EMULATOR_INLINE void sync_simdgroup()
{
    Lane* lane = arrive(false);
    switch_to(&lane->context, &lane->next->context);
}

EMULATOR_INLINE void sync_threadgroup()
{
    Lane* lane = arrive(true);
    Simdgroup* simdgroup = lane->simdgroup;
    Lane* target = lane == simdgroup->last ? simdgroup->next->first : lane->next;
    switch_to(&lane->context, &target->context);
}

inline void on_return(Lane* lane); // checks.h

// The kernel has returned in this lane: it leaves the ring, the others go on.
inline void leave()
{
    Lane* lane = this_lane();
    on_return(lane);
    Simdgroup* simdgroup = lane->simdgroup;
    if (is_executor()) {
        release_all(lane);
        simdgroup->executor_returned = true;
    }
    if (simdgroup->someone_returned && simdgroup->operations != lane->operations) {
        fail(lane, MATRIX_IN_DIVERGENT_FLOW);
    }
    simdgroup->someone_returned = true;
    simdgroup->operations = lane->operations;
    simdgroup->active &= ~(1u << lane->index);
    simdgroup->present[lane->parity] &= ~(1u << lane->index); // others may have arrived already
    Context* target;
    if (lane->successor != lane) {
        const bool was_last = lane == simdgroup->last;
        lane->predecessor->successor = lane->successor;
        lane->successor->predecessor = lane->predecessor;
        if (lane->predecessor->next == lane) {
            lane->predecessor->next = lane->next;
        }
        if (lane == simdgroup->first) {
            simdgroup->first = lane->successor;
        }
        if (was_last) {
            simdgroup->last = lane->predecessor;
        }
        const bool hands_on = was_last && simdgroup->at_barrier;
        target = hands_on ? &simdgroup->next->first->context : &lane->next->context;
    } else if (simdgroup->next != simdgroup) {
        simdgroup->previous->next = simdgroup->next;
        simdgroup->next->previous = simdgroup->previous;
        target = &simdgroup->next->first->context;
    } else {
        target = &lane->group->worker;
    }
    switch_to(&lane->context, target);
    __builtin_unreachable();
}

} // namespace emulator
} // namespace metal
