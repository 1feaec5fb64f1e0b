// What a kernel out of a Metal library calls, on the emulator's fibres.
//
// Functions that a GPU computes in its own way (exp2, sums over a simdgroup) are the shim's, as both
// sides of a comparison must take the same.  Where the shim gives a meaning to the source (in which
// lane a matrix element lies, what a transposed load is, how bfloat is rounded), nothing of it is
// used here or in functions.py: an error there must not be an error here.
#pragma clang system_header
#include "metal.h"

#define AIR_TEXT(x) AIR_TEXT_(x)
#define AIR_TEXT_(x) #x
#define AIR_NAME(name) __asm__(AIR_TEXT(__USER_LABEL_PREFIX__) "air." name)
#define AIR(result, cpp, name, ...)                                     \
    extern "C" result cpp(__VA_ARGS__) AIR_NAME(name);                  \
    extern "C" EMULATOR_HIDDEN result cpp(__VA_ARGS__)
#define EMULATOR_HIDDEN __attribute__((visibility("hidden"), noinline, used))

using namespace metal;
namespace shim = metal::emulator;

// The kernel with its arguments; functions.py writes it.
extern "C" void air_kernel() AIR_NAME("kernel");

static void emulator_lane()
{
    air_kernel();
    shim::leave();
}

static void no_parameters() {} // Python has them from the library
EMULATOR_ENTRY(no_parameters)

// --- arguments -------------------------------------------------------------------------------------

AIR(void*, air_buffer, "buffer", unsigned index) { return shim::this_lane()->group->launch->buffers[index]; }

static void put(unsigned* to, shim::Triple value)
{
    to[0] = value.x;
    to[1] = value.y;
    to[2] = value.z;
}
static void put(unsigned* to, unsigned value) { to[0] = value; }

#define AIR_BUILT_IN(name) \
    AIR(void, air_##name, #name, unsigned* to) { put(to, shim::attribute::name()); }
AIR_BUILT_IN(dispatch_simdgroups_per_threadgroup)
AIR_BUILT_IN(dispatch_threads_per_threadgroup)
AIR_BUILT_IN(grid_origin)
AIR_BUILT_IN(quadgroup_index_in_threadgroup)
AIR_BUILT_IN(quadgroups_per_threadgroup)
AIR_BUILT_IN(simdgroup_index_in_threadgroup)
AIR_BUILT_IN(simdgroups_per_threadgroup)
AIR_BUILT_IN(thread_execution_width)
AIR_BUILT_IN(thread_index_in_quadgroup)
AIR_BUILT_IN(thread_index_in_simdgroup)
AIR_BUILT_IN(thread_index_in_threadgroup)
AIR_BUILT_IN(thread_position_in_grid)
AIR_BUILT_IN(thread_position_in_threadgroup)
AIR_BUILT_IN(threadgroup_position_in_grid)
AIR_BUILT_IN(threadgroups_per_grid)
AIR_BUILT_IN(threads_per_grid)
AIR_BUILT_IN(threads_per_simdgroup)
AIR_BUILT_IN(threads_per_threadgroup)

// --- what lanes do together ------------------------------------------------------------------------

AIR(void, air_wg_barrier, "wg.barrier", int, int) { shim::sync_threadgroup(); }
AIR(void, air_simdgroup_barrier, "simdgroup.barrier", int, int) { shim::sync_simdgroup(); }
AIR(float, air_simd_sum, "simd_sum.f32", float x) { return simd_sum(x); }
AIR(float, air_simd_max, "simd_max.f32", float x) { return simd_max(x); }
AIR(float, air_simd_shuffle_xor, "simd_shuffle_xor.f32", float x, unsigned short mask)
{
    return simd_shuffle_xor(x, mask);
}
AIR(float, air_prefix_sum, "simd_prefix_inclusive_sum.f32", float x)
{
    return simd_prefix_inclusive_sum(x);
}

// --- functions that a GPU has units for ------------------------------------------------------------

AIR(float, air_fast_exp, "fast_exp.f32", float x) { return fast::exp(x); }
AIR(float, air_fast_exp2, "fast_exp2.f32", float x) { return fast::exp2(x); }
AIR(float, air_fast_log, "fast_log.f32", float x) { return fast::log(x); }
AIR(float, air_log2, "log2.f32", float x) { return precise::log2(x); }
AIR(float, air_tanh, "tanh.f32", float x) { return precise::tanh(x); }

// --- matrices --------------------------------------------------------------------------------------

// A lane holds two elements side by side.  The bits of its number, from the lowest: column 2, row 1,
// row 2, column 4, row 4.
struct Place {
    unsigned row, column;
};
static Place place_of_lane()
{
    const unsigned lane = shim::this_lane()->index;
    const unsigned bit[] = {lane & 1, lane >> 1 & 1, lane >> 2 & 1, lane >> 3 & 1, lane >> 4 & 1};
    return {bit[1] + 2 * bit[2] + 4 * bit[4], 2 * bit[0] + 4 * bit[3]};
}

// How far from the pointer the element lies that is a lane's first or second.
AIR(unsigned long, air_offset, "matrix_offset", unsigned long stride, unsigned long x, unsigned long y,
    bool transposed, unsigned which)
{
    const Place place = place_of_lane();
    const unsigned long row = place.row + y, column = place.column + which + x;
    return transposed ? column * stride + row : row * stride + column;
}

// One worker runs these kernels, so there is one of these per simdgroup.  Two sets take turns, as a
// fast lane may begin its next product while a slow one still reads this one's factors.
struct Factors {
    float left[8][8], right[8][8];
};
static Factors factors[shim::MAX_SIMDGROUPS][2];

// The lane's two elements of left * right + sum: in float, from the first column to the last.
AIR(void, air_product, "matrix_product", float* elements, float left_0, float left_1, float right_0,
    float right_1)
{
    shim::Lane* lane = shim::this_lane();
    const Place place = place_of_lane();
    const unsigned turn = lane->parity;
    lane->parity ^= 1;
    Factors& all = factors[lane->simdgroup->index][turn];
    all.left[place.row][place.column] = left_0;
    all.left[place.row][place.column + 1] = left_1;
    all.right[place.row][place.column] = right_0;
    all.right[place.row][place.column + 1] = right_1;
    shim::sync_simdgroup();
    for (unsigned which = 0; which < 2; ++which) {
        float sum = elements[which];
        for (unsigned k = 0; k < 8; ++k) {
            sum = __builtin_fmaf(all.left[place.row][k], all.right[k][place.column + which], sum);
        }
        elements[which] = sum;
    }
}
