// Metal's own words that C++ can be taught.
#pragma once

// The OpenCL attributes make distinct types, so that mixing address spaces up is an error, and yet
// name address space 0, which compilers instrument like any other memory.
#define device __attribute__((opencl_global))
#define constant __attribute__((opencl_constant))
#define threadgroup __attribute__((opencl_local))
#define thread

// Without debug information, what is inlined counts as the line that called it.  The counted build
// tells by it which instructions are the emulator's own.
#ifdef EMULATOR_COUNTS
#define EMULATOR_INLINED always_inline
#define EMULATOR_INLINE inline __attribute__((EMULATOR_INLINED))
#else
// In the instrumented build two calls stay two, even where two branches end alike: the barriers in
// them are not the same (see on_arrival() in checks.h).
#ifdef EMULATOR_CHECKS
#define EMULATOR_INLINED always_inline, nomerge
#else
#define EMULATOR_INLINED always_inline
#endif
#define EMULATOR_INLINE inline __attribute__((EMULATOR_INLINED, nodebug))
#endif
#define METAL_FUNC EMULATOR_INLINE
