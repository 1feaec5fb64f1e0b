// simdgroup_matrix as on a GPU: a lane has two elements of it, in registers.
//
// Takes the place of shim/matrix.h where only the live ranges of a kernel's values are of interest.
// It cannot run: what comes from other lanes is made up.
#pragma once
#include "events.h"
#include "type_traits.h"

namespace metal {

template <typename T, int columns, int rows>
struct simdgroup_matrix {
    typedef vec<T, 2> storage_type;
    METAL_FUNC simdgroup_matrix() {}
    METAL_FUNC explicit simdgroup_matrix(T x) : elements(x) {}
    METAL_FUNC thread storage_type& thread_elements() { return elements; }
    METAL_FUNC const thread storage_type& thread_elements() const { return elements; }
    storage_type elements;
};

namespace emulator {

// Assembly takes and gives words.
template <unsigned bytes>
struct WordOf;
template <>
struct WordOf<4> { typedef uint Type; };
template <>
struct WordOf<8> { typedef ulong Type; };
template <typename T>
using Word = typename WordOf<sizeof(T)>::Type;

} // namespace emulator

// The address of a lane's elements is one register and a constant for each fragment.
#define EMULATOR_LOAD(space)                                                                           \
    template <typename T>                                                                              \
    METAL_FUNC void simdgroup_load(                                                                    \
        thread simdgroup_matrix<T, 8, 8>& m, const space T* source, ulong stride = 8,                  \
        ulong2 origin = 0, bool transposed = false)                                                    \
    {                                                                                                  \
        emulator::Word<vec<T, 2>> word;                                                                \
        asm volatile("# load" : "=r"(word) : "r"(source), "r"(stride));                                \
        m.elements = __builtin_bit_cast(vec<T, 2>, word);                                              \
    }
#define EMULATOR_STORE(space)                                                                          \
    template <typename T>                                                                              \
    METAL_FUNC void simdgroup_store(                                                                   \
        const thread simdgroup_matrix<T, 8, 8>& m, space T* target, ulong stride = 8,                  \
        ulong2 origin = 0, bool transposed = false)                                                    \
    {                                                                                                  \
        const auto word = __builtin_bit_cast(emulator::Word<vec<T, 2>>, m.elements);                   \
        asm volatile("# store" : : "r"(word), "r"(target), "r"(stride));                               \
    }
EMULATOR_LOAD(device)
EMULATOR_LOAD(constant)
EMULATOR_LOAD(threadgroup)
EMULATOR_STORE(device)
EMULATOR_STORE(threadgroup)
#undef EMULATOR_STORE
#undef EMULATOR_LOAD

// d = a * b + c
template <typename D, typename A, typename B, typename C>
METAL_FUNC void simdgroup_multiply_accumulate(
    thread simdgroup_matrix<D, 8, 8>& d, const thread simdgroup_matrix<A, 8, 8>& a,
    const thread simdgroup_matrix<B, 8, 8>& b, const thread simdgroup_matrix<C, 8, 8>& c)
{
    emulator::Word<vec<D, 2>> word;
    asm volatile("# product"
                 : "=r"(word)
                 : "r"(__builtin_bit_cast(emulator::Word<vec<A, 2>>, a.elements)),
                   "r"(__builtin_bit_cast(emulator::Word<vec<B, 2>>, b.elements)),
                   "r"(__builtin_bit_cast(emulator::Word<vec<C, 2>>, c.elements)));
    d.elements = __builtin_bit_cast(vec<D, 2>, word);
}

} // namespace metal
