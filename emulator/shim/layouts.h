// The numbers, sizes and offsets that ../launch/structs.py repeats; it compares them when a kernel
// is loaded.
#pragma once
#include "entry.h"

namespace metal {
namespace emulator {

struct Fact {
    char name[60];
    unsigned value;
};

#define EMULATOR_NUMBER(name) {#name, name}
#define EMULATOR_SIZE(type) {"sizeof(" #type ")", sizeof(type)}
#define EMULATOR_MEMBER(type, member) {#type "." #member, __builtin_offsetof(type, member)}
static constexpr Fact facts[] = {
    EMULATOR_NUMBER(STACK),
    EMULATOR_NUMBER(SIMDGROUP),
    EMULATOR_NUMBER(MAX_THREADS),
    EMULATOR_NUMBER(MAX_BUFFERS),
    EMULATOR_NUMBER(GRANULE),
    EMULATOR_SIZE(Parameter),
    EMULATOR_MEMBER(Parameter, space),
    EMULATOR_MEMBER(Parameter, is_const),
    EMULATOR_MEMBER(Parameter, is_reference),
    EMULATOR_MEMBER(Parameter, scalar),
    EMULATOR_MEMBER(Parameter, width),
    EMULATOR_MEMBER(Parameter, size),
    EMULATOR_SIZE(Launch),
    EMULATOR_MEMBER(Launch, threadgroups),
    EMULATOR_MEMBER(Launch, threads),
    EMULATOR_MEMBER(Launch, threadgroup_lengths),
    EMULATOR_MEMBER(Launch, failure),
    EMULATOR_MEMBER(Launch, schedule),
    EMULATOR_MEMBER(Launch, next),
    EMULATOR_MEMBER(Launch, buffers),
    EMULATOR_MEMBER(Launch, checks),
    EMULATOR_SIZE(Variable),
    EMULATOR_MEMBER(Variable, id),
    EMULATOR_MEMBER(Variable, offset),
    EMULATOR_MEMBER(Variable, size),
    EMULATOR_SIZE(Cell),
    EMULATOR_MEMBER(Cell, write),
    EMULATOR_MEMBER(Cell, reads),
    EMULATOR_MEMBER(Cell, write_site),
    EMULATOR_MEMBER(Cell, read_sites),
    EMULATOR_MEMBER(Cell, written),
    EMULATOR_SIZE(Extent),
    EMULATOR_MEMBER(Extent, begin),
    EMULATOR_MEMBER(Extent, size),
    EMULATOR_MEMBER(Extent, cells),
    EMULATOR_MEMBER(Extent, writable),
    EMULATOR_SIZE(Finding),
    EMULATOR_MEMBER(Finding, problem),
    EMULATOR_MEMBER(Finding, kind),
    EMULATOR_MEMBER(Finding, location),
    EMULATOR_MEMBER(Finding, size),
    EMULATOR_MEMBER(Finding, site),
    EMULATOR_MEMBER(Finding, thread_index),
    EMULATOR_MEMBER(Finding, group),
    EMULATOR_MEMBER(Finding, other_kind),
    EMULATOR_MEMBER(Finding, other_site),
    EMULATOR_MEMBER(Finding, other_thread_index),
    EMULATOR_MEMBER(Finding, other_group),
    EMULATOR_SIZE(Checks),
    EMULATOR_MEMBER(Checks, finding),
    EMULATOR_MEMBER(Checks, pending),
    EMULATOR_MEMBER(Checks, extent_count),
    EMULATOR_MEMBER(Checks, extents),
    EMULATOR_MEMBER(Checks, arena_cells),
};
#undef EMULATOR_MEMBER
#undef EMULATOR_SIZE
#undef EMULATOR_NUMBER

} // namespace emulator
} // namespace metal
