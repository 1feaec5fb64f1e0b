// simdgroup_matrix: 8x8 matrices that the lanes of a simdgroup hold together.
//
// A matrix lies in one piece, row by row, in the executor's frame: every lane's object stands for
// the executor's one, found at a constant distance.  Collective operations (load, store,
// multiply, fill, copy) do nothing in the other lanes; in the executor, which comes last, they are
// plain vector code.  So a chain of them costs no fibre switch at all.  A lane that looks at its
// own elements after a collective operation first waits until the executor has been there.
#pragma once
#include "checks.h"
#include "events.h"
#include "type_traits.h"

namespace metal {
namespace emulator {

typedef float Row __attribute__((ext_vector_type(8)));

template <typename T>
using RowOf = T __attribute__((ext_vector_type(8)));

template <typename T>
METAL_FUNC Row to_float(RowOf<T> row)
{
    return __builtin_convertvector(row, Row);
}
template <>
METAL_FUNC Row to_float<bfloat>(RowOf<bfloat> row)
{
    typedef uint Bits __attribute__((ext_vector_type(8)));
    const RowOf<ushort> bits = __builtin_bit_cast(RowOf<ushort>, row);
    return __builtin_bit_cast(Row, __builtin_convertvector(bits, Bits) << 16);
}

template <typename T>
METAL_FUNC RowOf<T> from_float(Row row)
{
    return __builtin_convertvector(row, RowOf<T>);
}
template <>
METAL_FUNC RowOf<bfloat> from_float<bfloat>(Row row)
{
    typedef uint Bits __attribute__((ext_vector_type(8)));
    const Bits bits = __builtin_bit_cast(Bits, row);
    const Bits rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16; // to nearest, ties to even
    const Bits quiet = bits >> 16 | 0x40;
    const Bits result = row == row ? rounded : quiet;
    return __builtin_bit_cast(RowOf<bfloat>, __builtin_convertvector(result, RowOf<ushort>));
}

// What the executor does.  Not inlined: a kernel has hundreds of these, and one of them takes far
// longer than a call.
#define EMULATOR_COLLECTIVE __attribute__((noinline)) EMULATOR_UNCHECKED inline

// Three rounds of interleaving halves turn eight rows into eight columns.
template <typename T>
METAL_FUNC void transpose(RowOf<T> (&r)[8])
{
    for (int round = 0; round < 3; ++round) {
        RowOf<T> next[8];
        for (int i = 0; i < 4; ++i) {
            next[2 * i] = __builtin_shufflevector(r[i], r[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            next[2 * i + 1] = __builtin_shufflevector(r[i], r[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        for (int i = 0; i < 8; ++i) {
            r[i] = next[i];
        }
    }
}

// Memory is aligned to elements only.
template <typename T, bool transposed>
EMULATOR_COLLECTIVE void load_rows(RowOf<T>* to, const T* from, ulong stride)
{
    RowOf<T> rows[8];
    for (int i = 0; i < 8; ++i) {
        __builtin_memcpy(&rows[i], from + i * stride, sizeof rows[i]);
    }
    if (transposed) {
        transpose<T>(rows);
    }
    for (int i = 0; i < 8; ++i) {
        to[i] = rows[i];
    }
}

template <typename T, bool transposed>
EMULATOR_COLLECTIVE void store_rows(T* to, const RowOf<T>* from, ulong stride)
{
    RowOf<T> rows[8];
    for (int i = 0; i < 8; ++i) {
        rows[i] = from[i];
    }
    if (transposed) {
        transpose<T>(rows);
    }
    for (int i = 0; i < 8; ++i) {
        __builtin_memcpy(to + i * stride, &rows[i], sizeof rows[i]);
    }
}

// d = a * b + c.  Sums are kept in float and rounded once.
template <typename D, typename A, typename B, typename C>
EMULATOR_COLLECTIVE void multiply_rows(RowOf<D>* d, const RowOf<A>* a, const RowOf<B>* b, const RowOf<C>* c)
{
    Row left[8], right[8], sum[8];
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; ++i) {
        left[i] = to_float<A>(a[i]);
        right[i] = to_float<B>(b[i]);
        sum[i] = to_float<C>(c[i]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; ++i) {
#pragma clang loop unroll(full)
        for (int k = 0; k < 8; ++k) {
            sum[i] = __builtin_elementwise_fma(Row(left[i][k]), right[k], sum[i]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; ++i) {
        d[i] = from_float<D>(sum[i]);
    }
}

template <typename T>
EMULATOR_COLLECTIVE void fill_rows(RowOf<T>* rows, T x)
{
    for (int i = 0; i < 8; ++i) {
        rows[i] = RowOf<T>(x);
    }
}

template <typename T>
EMULATOR_COLLECTIVE void copy_rows(RowOf<T>* to, const RowOf<T>* from)
{
    for (int i = 0; i < 8; ++i) {
        to[i] = from[i];
    }
}

#undef EMULATOR_COLLECTIVE

} // namespace emulator

template <typename T, int columns, int rows>
struct simdgroup_matrix {
    static_assert(columns == 8 && rows == 8, "simdgroup matrices are 8x8");
    typedef emulator::RowOf<T> Row;
    typedef vec<T, 2> storage_type;

    METAL_FUNC simdgroup_matrix() {}
    METAL_FUNC explicit simdgroup_matrix(T x) { fill(x); }
    METAL_FUNC simdgroup_matrix(const thread simdgroup_matrix& other) { copy(other); }
    METAL_FUNC thread simdgroup_matrix& operator=(const thread simdgroup_matrix& other)
    {
        copy(other);
        return *this;
    }

    // The calling lane's two elements.
    METAL_FUNC thread storage_type& thread_elements()
    {
        emulator::settle();
        return *reinterpret_cast<storage_type*>(home() + emulator::this_lane()->element);
    }
    METAL_FUNC const thread storage_type& thread_elements() const
    {
        emulator::settle();
        return *reinterpret_cast<const storage_type*>(home() + emulator::this_lane()->element);
    }

    // The rows, for collective operations.
    METAL_FUNC Row* row_data() const { return reinterpret_cast<Row*>(home()); }

    METAL_FUNC void fill(T x)
    {
        if (emulator::executes_collective()) {
            emulator::fill_rows<T>(row_data(), x);
        }
    }

private:
    METAL_FUNC void copy(const thread simdgroup_matrix& other)
    {
        if (emulator::executes_collective()) {
            emulator::copy_rows<T>(row_data(), other.row_data());
        }
    }

    // Where all lanes' elements are.  The compiler must not know: it would take the memory for
    // this lane's own, and drop or reorder what only others read.
    METAL_FUNC T* home() const
    {
        emulator::address there = reinterpret_cast<emulator::address>(elements) + emulator::distance_to_executor();
        asm("" : "+r"(there));
        return static_cast<T*>(__builtin_assume_aligned(reinterpret_cast<T*>(there), 32));
    }

    alignas(32) T elements[64];
};

namespace emulator {

// The origin counts columns and rows of the matrix, so a transposed one is found across.
template <typename T>
METAL_FUNC T* corner(T* memory, ulong stride, ulong2 origin, bool transposed)
{
    return memory + (transposed ? origin.x * stride + origin.y : origin.y * stride + origin.x);
}

template <Space space, typename T>
METAL_FUNC void load_matrix(
    thread simdgroup_matrix<T, 8, 8>& m, const T* source, ulong stride, ulong2 origin, bool transposed)
{
    const T* from = corner(source, stride, origin, transposed);
    EMULATOR_EVERY_LANE(from);
    if (executes_collective()) {
        EMULATOR_BYTES("read", space, 64 * sizeof(T));
        on_matrix_access(from, stride, transposed, READ);
        (transposed ? load_rows<T, true> : load_rows<T, false>)(m.row_data(), from, stride);
    }
}

template <Space space, typename T>
METAL_FUNC void store_matrix(
    const thread simdgroup_matrix<T, 8, 8>& m, T* target, ulong stride, ulong2 origin, bool transposed)
{
    T* to = corner(target, stride, origin, transposed);
    EMULATOR_EVERY_LANE(to);
    if (executes_collective()) {
        EMULATOR_BYTES("written", space, 64 * sizeof(T));
        on_matrix_access(to, stride, transposed, WRITE);
        (transposed ? store_rows<T, true> : store_rows<T, false>)(to, m.row_data(), stride);
    }
}

} // namespace emulator

#define EMULATOR_LOAD(space, SPACE)                                                             \
    template <typename T>                                                                       \
    METAL_FUNC void simdgroup_load(                                                             \
        thread simdgroup_matrix<T, 8, 8>& m, const space T* source, ulong stride = 8,           \
        ulong2 origin = 0, bool transposed = false)                                             \
    {                                                                                           \
        emulator::load_matrix<emulator::SPACE>(m, (const T*)source, stride, origin, transposed); \
    }
#define EMULATOR_STORE(space, SPACE)                                                            \
    template <typename T>                                                                       \
    METAL_FUNC void simdgroup_store(                                                            \
        const thread simdgroup_matrix<T, 8, 8>& m, space T* target, ulong stride = 8,           \
        ulong2 origin = 0, bool transposed = false)                                             \
    {                                                                                           \
        emulator::store_matrix<emulator::SPACE>(m, (T*)target, stride, origin, transposed);     \
    }
EMULATOR_LOAD(device, DEVICE)
EMULATOR_LOAD(constant, CONSTANT)
EMULATOR_LOAD(threadgroup, THREADGROUP)
EMULATOR_STORE(device, DEVICE)
EMULATOR_STORE(threadgroup, THREADGROUP)
#undef EMULATOR_STORE
#undef EMULATOR_LOAD

// d = a * b + c
template <typename D, typename A, typename B, typename C>
METAL_FUNC void simdgroup_multiply_accumulate(
    thread simdgroup_matrix<D, 8, 8>& d, const thread simdgroup_matrix<A, 8, 8>& a,
    const thread simdgroup_matrix<B, 8, 8>& b, const thread simdgroup_matrix<C, 8, 8>& c)
{
    if (emulator::executes_collective()) {
        EMULATOR_PRODUCT(A, B, D);
        emulator::multiply_rows<D, A, B, C>(d.row_data(), a.row_data(), b.row_data(), c.row_data());
    }
}

} // namespace metal
