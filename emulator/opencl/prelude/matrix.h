// simdgroup_matrix.  What a product writes or reads is a reference that is not const: shaders that
// keep to that compile whichever way Apple's library has it.
#pragma once
#include "types.h"
#include "type_traits.h"

namespace metal {

template <typename T, int columns, int rows = columns>
struct simdgroup_matrix {
    static_assert(columns == 8 && rows == 8, "simdgroup matrices are 8x8");
    static_assert(is_floating_point_v<T>, "simdgroup matrices are of half, bfloat or float");
    typedef vec<T, 2> storage_type;
    simdgroup_matrix() = default;
    explicit simdgroup_matrix(T);
    thread storage_type& thread_elements() thread;
};
typedef simdgroup_matrix<half, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8> simdgroup_bfloat8x8;
typedef simdgroup_matrix<float, 8> simdgroup_float8x8;

template <typename T, int columns, int rows = columns>
simdgroup_matrix<T, columns, rows> make_filled_simdgroup_matrix(T);

#define PRELUDE_LOAD(space)                                                               \
    template <typename T, int columns, int rows>                                          \
    void simdgroup_load(                                                                  \
        thread simdgroup_matrix<T, columns, rows>&, const space T*, ulong stride = columns, \
        ulong2 origin = 0, bool transposed = false);
#define PRELUDE_STORE(space)                                                              \
    template <typename T, int columns, int rows>                                          \
    void simdgroup_store(                                                                 \
        simdgroup_matrix<T, columns, rows>, space T*, ulong stride = columns,             \
        ulong2 origin = 0, bool transposed = false);
PRELUDE_LOAD(device)
PRELUDE_LOAD(constant)
PRELUDE_LOAD(threadgroup)
PRELUDE_STORE(device)
PRELUDE_STORE(threadgroup)
#undef PRELUDE_STORE
#undef PRELUDE_LOAD

template <typename D, typename A, typename B, typename C, int n, int k, int m>
void simdgroup_multiply_accumulate(
    thread simdgroup_matrix<D, n, m>& d, thread simdgroup_matrix<A, k, m>& a,
    thread simdgroup_matrix<B, n, k>& b, thread simdgroup_matrix<C, n, m>& c);
template <typename D, typename A, typename B, int n, int k, int m>
void simdgroup_multiply(
    thread simdgroup_matrix<D, n, m>& d, thread simdgroup_matrix<A, k, m>& a,
    thread simdgroup_matrix<B, n, k>& b);
template <typename A, typename B, int n, int k, int m>
simdgroup_matrix<A, n, m> operator*(simdgroup_matrix<A, k, m>, simdgroup_matrix<B, n, k>);

} // namespace metal
