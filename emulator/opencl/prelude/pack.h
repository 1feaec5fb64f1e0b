// Packing of vectors into integers and back.
#pragma once
#include "types.h"

namespace metal {

#define PRELUDE_PACK(T, n, bits)                     \
    uint pack_##T##_to_unorm##n##x##bits(T##n);      \
    uint pack_##T##_to_snorm##n##x##bits(T##n);      \
    T##n unpack_unorm##n##x##bits##_to_##T(uint);    \
    T##n unpack_snorm##n##x##bits##_to_##T(uint);
PRELUDE_PACK(float, 4, 8)
PRELUDE_PACK(float, 2, 16)
PRELUDE_PACK(half, 4, 8)
PRELUDE_PACK(half, 2, 16)
#undef PRELUDE_PACK

} // namespace metal
