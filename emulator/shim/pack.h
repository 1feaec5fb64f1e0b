// Packing of vectors into integers and back: unorm is [0, 1], snorm [-1, 1].
#pragma once
#include "math.h"

namespace metal {
namespace emulator {

// n fields of `bits` bits, the first in the lowest bits.
template <int n, uint bits>
METAL_FUNC uint pack(vec<float, n> x, float low)
{
    const float most = (1u << (low < 0 ? bits - 1 : bits)) - 1;
    uint packed = 0;
    for (int i = 0; i < n; ++i) {
        const int field = __builtin_rintf(clamp(x[i], low, 1.0f) * most);
        packed |= (uint(field) & ((1u << bits) - 1)) << (bits * i);
    }
    return packed;
}
template <int n, uint bits>
METAL_FUNC vec<float, n> unpack_unorm(uint packed)
{
    vec<float, n> x;
    for (int i = 0; i < n; ++i) {
        x[i] = extract_bits(packed, bits * i, bits) / float((1u << bits) - 1);
    }
    return x;
}
template <int n, uint bits>
METAL_FUNC vec<float, n> unpack_snorm(uint packed)
{
    vec<float, n> x;
    for (int i = 0; i < n; ++i) {
        x[i] = max(extract_bits(int(packed), bits * i, bits) / float((1u << (bits - 1)) - 1), -1.0f);
    }
    return x;
}

} // namespace emulator

#define EMULATOR_PACK(T, n, bits)                                                                  \
    METAL_FUNC uint pack_##T##_to_unorm##n##x##bits(vec<T, n> x)                                   \
    {                                                                                              \
        return emulator::pack<n, bits>(emulator::make<vec<float, n>>(x), 0.0f);                    \
    }                                                                                              \
    METAL_FUNC uint pack_##T##_to_snorm##n##x##bits(vec<T, n> x)                                   \
    {                                                                                              \
        return emulator::pack<n, bits>(emulator::make<vec<float, n>>(x), -1.0f);                   \
    }                                                                                              \
    METAL_FUNC vec<T, n> unpack_unorm##n##x##bits##_to_##T(uint x)                                 \
    {                                                                                              \
        return emulator::make<vec<T, n>>(emulator::unpack_unorm<n, bits>(x));                      \
    }                                                                                              \
    METAL_FUNC vec<T, n> unpack_snorm##n##x##bits##_to_##T(uint x)                                 \
    {                                                                                              \
        return emulator::make<vec<T, n>>(emulator::unpack_snorm<n, bits>(x));                      \
    }
EMULATOR_PACK(float, 4, 8)
EMULATOR_PACK(float, 2, 16)
EMULATOR_PACK(half, 4, 8)
EMULATOR_PACK(half, 2, 16)
#undef EMULATOR_PACK

} // namespace metal
