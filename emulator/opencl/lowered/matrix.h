// simdgroup_matrix as on a GPU: a lane has two elements of it, in registers.
//
// Takes the place of ../prelude/matrix.h where a kernel is lowered to a GPU's instructions.  Loads
// and stores are a lane's own; a product is one instruction that nobody looks into.
#pragma once
#include "simdgroup.h"
#include "types.h"
#include "type_traits.h"

namespace metal {

template <typename T, int columns, int rows = columns>
struct simdgroup_matrix {
    static_assert(columns == 8 && rows == 8, "simdgroup matrices are 8x8");
    typedef vec<T, 2> storage_type;
    simdgroup_matrix() = default;
    explicit simdgroup_matrix(T x) : elements(x) {}
    thread storage_type& thread_elements() thread { return elements; }
    storage_type elements;
};
typedef simdgroup_matrix<half, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8> simdgroup_bfloat8x8;
typedef simdgroup_matrix<float, 8> simdgroup_float8x8;

template <typename T, int columns, int rows = columns>
METAL_FUNC simdgroup_matrix<T, columns, rows> make_filled_simdgroup_matrix(T x)
{
    return simdgroup_matrix<T, columns, rows>(x);
}

namespace emulator {

__attribute__((const)) uint lane_in_simdgroup();

// Where a lane's first element lies; the second is in the next column.
METAL_FUNC ulong2 place(ulong2 origin, ulong stride, bool transposed)
{
    const uint lane = lane_in_simdgroup(), quad = lane / 4;
    const ulong row = (quad & 4) + lane / 2 % 4, column = (quad & 2) * 2 + lane % 2 * 2;
    const ulong first = transposed ? (origin.y + column) * stride + origin.x + row
                                   : (origin.y + row) * stride + origin.x + column;
    return ulong2{first, first + (transposed ? stride : 1)};
}

// d = a * b + c, of the words that hold a lane's two elements.
template <typename Sum, typename Factor, typename OtherFactor, typename Summand>
__attribute__((const)) Sum product(Factor, OtherFactor, Summand);

template <typename T>
using Word = conditional_t<sizeof(T) == 4, uint, uint2>;
template <typename T>
METAL_FUNC Word<T> word(T elements)
{
    return __builtin_bit_cast(Word<T>, elements);
}

} // namespace emulator

#define LOWERED_LOAD(space)                                                                  \
    template <typename T, int columns, int rows>                                             \
    METAL_FUNC void simdgroup_load(                                                          \
        thread simdgroup_matrix<T, columns, rows>& m, const space T* source,                 \
        ulong stride = columns, ulong2 origin = 0, bool transposed = false)                  \
    {                                                                                        \
        const ulong2 at = emulator::place(origin, stride, transposed);                       \
        m.elements = vec<T, 2>{source[at.x], source[at.y]};                                  \
    }
#define LOWERED_STORE(space)                                                                 \
    template <typename T, int columns, int rows>                                             \
    METAL_FUNC void simdgroup_store(                                                         \
        simdgroup_matrix<T, columns, rows> m, space T* target, ulong stride = columns,       \
        ulong2 origin = 0, bool transposed = false)                                          \
    {                                                                                        \
        const ulong2 at = emulator::place(origin, stride, transposed);                       \
        target[at.x] = m.elements.x;                                                         \
        target[at.y] = m.elements.y;                                                         \
    }
LOWERED_LOAD(device)
LOWERED_LOAD(constant)
LOWERED_LOAD(threadgroup)
LOWERED_STORE(device)
LOWERED_STORE(threadgroup)
#undef LOWERED_STORE
#undef LOWERED_LOAD

template <typename D, typename A, typename B, typename C, int n, int k, int m>
METAL_FUNC void simdgroup_multiply_accumulate(
    thread simdgroup_matrix<D, n, m>& d, thread simdgroup_matrix<A, k, m>& a,
    thread simdgroup_matrix<B, n, k>& b, thread simdgroup_matrix<C, n, m>& c)
{
    typedef vec<D, 2> Elements;
    const emulator::Word<Elements> sum = emulator::product<emulator::Word<Elements>>(
        emulator::word(a.elements), emulator::word(b.elements), emulator::word(c.elements));
    d.elements = __builtin_bit_cast(Elements, sum);
}
template <typename D, typename A, typename B, int n, int k, int m>
METAL_FUNC void simdgroup_multiply(
    thread simdgroup_matrix<D, n, m>& d, thread simdgroup_matrix<A, k, m>& a,
    thread simdgroup_matrix<B, n, k>& b)
{
    simdgroup_matrix<D, n, m> zero(D(0));
    simdgroup_multiply_accumulate(d, a, b, zero);
}
template <typename A, typename B, int n, int k, int m>
METAL_FUNC simdgroup_matrix<A, n, m> operator*(simdgroup_matrix<A, k, m> a, simdgroup_matrix<B, n, k> b)
{
    simdgroup_matrix<A, n, m> d;
    simdgroup_multiply(d, a, b);
    return d;
}

} // namespace metal
