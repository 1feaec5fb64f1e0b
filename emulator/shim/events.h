// What the counted build counts that no instruction stands for; other builds do without.
//
// An event is a comment in assembly, so nothing moves it to where it would happen more or less
// often.  ../counting/ir.py finds it in the compiler's output, counts it with its block, and takes it out.
#pragma once
#include "types.h"

#ifdef EMULATOR_COUNTS

// A name, then numbers that are known to the compiler.
#define EMULATOR_EVENT(name) asm volatile("#emulator " name)
#define EMULATOR_BYTES(name, space, n) asm volatile("#emulator " name " %0 %1" : : "i"(space), "i"(n))
#define EMULATOR_PRODUCT(A, B, D)                                   \
    asm volatile("#emulator products %0 %1 %2"                      \
                 :                                                  \
                 : "i"(::metal::emulator::ScalarCode<A>::value),    \
                   "i"(::metal::emulator::ScalarCode<B>::value),    \
                   "i"(::metal::emulator::ScalarCode<D>::value))

// Every lane works out where a matrix lies, though only the executor goes there: the compiler must
// not move the one to the other.
#define EMULATOR_EVERY_LANE(x) asm volatile("" : : "r"(x))

// A function of Metal that is counted as one call, not by its insides.
#define EMULATOR_CALLED inline __attribute__((noinline, const))

// A function that does a GPU's work in many instructions: kept apart, so that none of them gets lost
// among the shader's.
#define EMULATOR_APART inline __attribute__((noinline))

#else

#define EMULATOR_EVENT(name)
#define EMULATOR_BYTES(name, space, n)
#define EMULATOR_PRODUCT(A, B, D)
#define EMULATOR_EVERY_LANE(x)
#define EMULATOR_CALLED METAL_FUNC
#define EMULATOR_APART METAL_FUNC

#endif
