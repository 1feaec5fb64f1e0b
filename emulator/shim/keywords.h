// Metal's own words that C++ can be taught.
#pragma once

// The OpenCL attributes make distinct types, so that mixing address spaces up is an error, and yet
// name address space 0, which compilers instrument like any other memory.
#define device __attribute__((opencl_global))
#define constant __attribute__((opencl_constant))
#define threadgroup __attribute__((opencl_local))
#define thread

// Without debug information, so that what is inlined counts as the line that called it.
#define METAL_FUNC inline __attribute__((always_inline, nodebug))
