// What the prelude only declares, where a kernel's registers depend on how it is done.  All other
// functions of Metal's library count as one instruction: see ../lowering.py.
#pragma once
#include "metal.h"

namespace metal {

template <typename T, int n>
packed_vec<T, n>::operator vec<T, n>() const
{
    if constexpr (n == 3) {
        return vec<T, n>{this->x, this->y, this->z};
    } else {
        return __builtin_bit_cast(vec<T, n>, *this); // one load
    }
}

// The bounds of loops that are unrolled are made of these.
#define LOWERED_INTEGER(_, T)                                                  \
    METAL_FUNC T min(T a, T b) { return a < b ? a : b; }                        \
    METAL_FUNC T max(T a, T b) { return a < b ? b : a; }                        \
    METAL_FUNC T clamp(T x, T least, T most) { return min(max(x, least), most); }
PRELUDE_INTEGERS(LOWERED_INTEGER, )
#undef LOWERED_INTEGER
METAL_FUNC uint abs(int x) { return x < 0 ? -x : x; }

} // namespace metal
