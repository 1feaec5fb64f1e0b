// simdgroup_matrix: each lane holds a pair of neighbours of one row; see gathered.h for whose.
#pragma once
#include "gathered.h"

namespace metal {

template <typename T, int columns, int rows>
struct simdgroup_matrix {
    static_assert(columns == 8 && rows == 8, "simdgroup matrices are 8x8");
    typedef vec<T, 2> storage_type;

    simdgroup_matrix() = default;
    explicit METAL_FUNC simdgroup_matrix(T x) : elements(x) {}

    // The calling lane's two elements.
    METAL_FUNC storage_type& thread_elements() { return elements; }
    METAL_FUNC const storage_type& thread_elements() const { return elements; }

private:
    storage_type elements;
};

namespace emulator {

METAL_FUNC uint matrix_row() { return hardware_lane() / 4; }
METAL_FUNC uint matrix_column() { return hardware_lane() % 4 * 2; }

// Where a lane's two elements lie in memory.  The origin counts columns and rows of the matrix, so a
// transposed one is found across.
struct Places {
    METAL_FUNC Places(ulong stride, ulong2 origin, bool transposed)
    {
        const ulong row = matrix_row(), column = matrix_column();
        const ulong corner = transposed ? origin.x * stride + origin.y : origin.y * stride + origin.x;
        first = corner + (transposed ? column * stride + row : row * stride + column);
        second = first + (transposed ? stride : 1);
    }
    ulong first, second;
};

METAL_FUNC uint transposed(uint pair)
{
    uint result;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
    return result;
}

// a * b + c on the matrix unit, whose smallest product has 16 rows: the lower eight stay zero.  Its
// products are exact and its sums float.
#define EMULATOR_PRODUCT(T, type)                                                                        \
    METAL_FUNC float2 product(vec<T, 2> a, vec<T, 2> b, float2 c)                                        \
    {                                                                                                    \
        float2 sum, unused;                                                                              \
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32." type "." type ".f32 "                       \
                     "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %9};"                               \
                     : "=f"(sum.x), "=f"(sum.y), "=f"(unused.x), "=f"(unused.y)                          \
                     : "r"(__builtin_bit_cast(uint, a)), "r"(0), "r"(transposed(__builtin_bit_cast(uint, b))), \
                       "f"(c.x), "f"(c.y), "f"(0.0f));                                                   \
        return sum;                                                                                      \
    }
EMULATOR_PRODUCT(half, "f16")
EMULATOR_PRODUCT(bfloat, "bf16")
#undef EMULATOR_PRODUCT

// The same in float, exact but for the roundings of the sums: the matrix unit would cut factors to
// TF32.  Sums run in the order of the CPU executor's.
template <typename A, typename B>
METAL_FUNC float2 product(vec<A, 2> a, vec<B, 2> b, float2 c)
{
    const uint row = matrix_row() * 4, columns = hardware_lane() % 4;
    for (uint k = 0; k < 8; ++k) {
        const float left = __shfl_sync(ALL_LANES, float(a[k % 2]), row + k / 2);
        c.x = fmaf(left, __shfl_sync(ALL_LANES, float(b.x), k * 4 + columns), c.x);
        c.y = fmaf(left, __shfl_sync(ALL_LANES, float(b.y), k * 4 + columns), c.y);
    }
    return c;
}

} // namespace emulator

template <typename T>
METAL_FUNC void simdgroup_load(
    simdgroup_matrix<T, 8, 8>& m, const T* source, ulong stride = 8, ulong2 origin = 0, bool transposed = false)
{
    const emulator::Places at(stride, origin, transposed);
    m.thread_elements() = vec<T, 2>(source[at.first], source[at.second]);
}
template <typename T>
METAL_FUNC void simdgroup_store(
    const simdgroup_matrix<T, 8, 8>& m, T* target, ulong stride = 8, ulong2 origin = 0, bool transposed = false)
{
    const emulator::Places at(stride, origin, transposed);
    target[at.first] = m.thread_elements().x;
    target[at.second] = m.thread_elements().y;
}

// d = a * b + c, rounded once.
template <typename D, typename A, typename B, typename C>
METAL_FUNC void simdgroup_multiply_accumulate(
    simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a, const simdgroup_matrix<B, 8, 8>& b,
    const simdgroup_matrix<C, 8, 8>& c)
{
    const float2 sum = emulator::product(a.thread_elements(), b.thread_elements(), float2(c.thread_elements()));
    d.thread_elements() = vec<D, 2>(sum);
}

} // namespace metal
