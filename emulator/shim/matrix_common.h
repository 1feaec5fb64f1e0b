// What both forms of matrix.h have in common: the one here, and ../values/matrix.h.
#pragma once
#include "matrix.h"

namespace metal {

typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;

template <typename T, int columns, int rows = columns>
METAL_FUNC simdgroup_matrix<T, columns, rows> make_filled_simdgroup_matrix(T x)
{
    return simdgroup_matrix<T, columns, rows>(x);
}

template <typename D, typename A, typename B>
METAL_FUNC void simdgroup_multiply(
    thread simdgroup_matrix<D, 8, 8>& d, const thread simdgroup_matrix<A, 8, 8>& a,
    const thread simdgroup_matrix<B, 8, 8>& b)
{
    simdgroup_multiply_accumulate(d, a, b, simdgroup_matrix<D, 8, 8>(D(0)));
}

template <typename T>
METAL_FUNC simdgroup_matrix<T, 8, 8> operator*(
    const thread simdgroup_matrix<T, 8, 8>& a, const thread simdgroup_matrix<T, 8, 8>& b)
{
    simdgroup_matrix<T, 8, 8> product;
    simdgroup_multiply(product, a, b);
    return product;
}

} // namespace metal
