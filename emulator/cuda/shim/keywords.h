// Metal's own words that C++ can be taught.
#pragma once

// CUDA's pointers are generic: the compiler finds out by itself which memory they lead to.  That
// address spaces are not mixed up is for the CPU executor to check.
#define device
#define constant const
#define threadgroup
#define thread

#define EMULATOR_INLINE __forceinline__
#define METAL_FUNC EMULATOR_INLINE
