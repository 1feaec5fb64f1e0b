// Functions that a GPU has a unit or a sequence for, by CUDA's own: exp2 within 2 units in the last
// place, the others as NVIDIA's table of accuracy says.
#pragma once
#include "types.h"

namespace metal {
namespace emulator {

constexpr float LOG2_E = 1.4426950408889634f;

METAL_FUNC float exp2_of(float x) { return exp2f(x); }

} // namespace emulator
} // namespace metal

#define EMULATOR_ALIKE(UNARY, BINARY)             \
    UNARY(exp2, exp2f(x))                         \
    UNARY(exp, expf(x))                           \
    UNARY(exp10, exp10f(x))                       \
    UNARY(log2, log2f(x))                         \
    UNARY(log, logf(x))                           \
    UNARY(log10, log10f(x))                       \
    UNARY(sin, sinf(x))                           \
    UNARY(cos, cosf(x))                           \
    UNARY(tan, tanf(x))                           \
    UNARY(asin, asinf(x))                         \
    UNARY(acos, acosf(x))                         \
    UNARY(atan, atanf(x))                         \
    UNARY(sinh, sinhf(x))                         \
    UNARY(cosh, coshf(x))                         \
    UNARY(asinh, asinhf(x))                       \
    UNARY(acosh, acoshf(x))                       \
    UNARY(atanh, atanhf(x))                       \
    UNARY(sinpi, sinpif(x))                       \
    UNARY(cospi, cospif(x))                       \
    UNARY(tanpi, sinpif(x) / cospif(x))           \
    UNARY(sqrt, sqrtf(x))                         \
    UNARY(rsqrt, rsqrtf(x))                       \
    BINARY(pow, powf(x, y))                       \
    BINARY(powr, powf(x, y))                      \
    BINARY(atan2, atan2f(x, y))                   \
    BINARY(fmod, fmodf(x, y))

#define EMULATOR_TRANSCENDENTALS(UNARY, BINARY)   \
    EMULATOR_ALIKE(UNARY, BINARY)                 \
    UNARY(tanh, tanhf(x))
