// backward_rows_float16_d64.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash attention, backward, first step: for each row of O
//   row_lse    its log-sum-exp in base 2
//   row_delta  the sum of dO * O, less the gradient of the log-sum-exp
// and, for each head and each threadgroup's rows, what they add to the gradient of the sink:
// -exp(sink - log-sum-exp) * row_delta.
//   head_dim   64
//   elements   float16; sums in float32
//   tile       64 rows; each simdgroup takes one after the other

#include <metal_stdlib>

using namespace metal;

typedef half element;

constant constexpr int HEAD_DIM = 64; // columns of Q and K
constant constexpr int HEAD_DIM_V = 64; // columns of V and O

// Arrays stay in registers only if every index is known to the compiler.
#define UNROLL _Pragma("clang loop unroll(full)")

// The softmax is computed in base 2.  A masked score is a large negative number and not -inf, because
// fast math may assume that no value is infinite.  It lies so far below LEAST_MAX, where the maximum
// of a row starts, that its weight is exactly 0.
constant constexpr float LOG2_E = 1.44269504f;
constant constexpr float LN_2 = 0.693147181f;
constant constexpr float LEAST_MAX = -1.0e38f;
constant constexpr float MASKED = -3.0e38f;
constant constexpr uint MINUS_INFINITY_BITS = 0xFF800000u;

// The natural log-sum-exp of a row, from its base-2 maximum and the sum of its weights; -inf if it
// sees no key.  The choice is made among bits, because fast math may assume that no float is infinite.
inline float log_sum_exp(float row_max, float row_sum)
{
    const float natural = LN_2 * (row_max + fast::log2(row_sum));
    return as_type<float>(row_sum == 0.0f ? MINUS_INFINITY_BITS : as_type<uint>(natural));
}

// What a sink adds to the sum of a row with this maximum; both are base-2 logits.  NaN gives NaN.
inline float sink_weight(float sink, float maximum)
{
    return sink <= MASKED ? 0.0f : fast::exp2(sink - maximum);
}

constant constexpr int SIMD_WIDTH = 32;
constant constexpr int SIMDGROUPS = 8;
constant constexpr int BLOCK_Q = 64; // rows per threadgroup
constant constexpr int THREADS = SIMDGROUPS * SIMD_WIDTH;

// A call's arguments beside its tensors: an array of int32, where a long takes two.
struct Call {
    long out_batch_stride; // out: elements from one batch to the next
    long out_row_stride; // out: elements from one row to the next
    long out_head_stride; // out: elements from one head to the next
    long grad_out_batch_stride; // grad_out: elements from one batch to the next
    long grad_out_row_stride; // grad_out: elements from one row to the next
    long grad_out_head_stride; // grad_out: elements from one head to the next
    long lse_batch_stride; // lse: elements from one batch to the next
    long lse_head_stride; // lse: elements from one head to the next
    int q_len; // query rows of each sequence; packed: of all sequences together
    int has_grad_lse; // 1: grad_lse is given
    int has_sinks; // 1: sinks are given
};

// The base-2 log-sum-exp of a row that sees nothing: every weight is exactly 0 beside it, and no
// difference with a score overflows.
constant constexpr float UNSEEN = 3.0e37f;

// The choice is made among bits, because fast math may assume that no float is infinite.
inline float base_2_lse(float natural)
{
    return as_type<uint>(natural) == MINUS_INFINITY_BITS ? UNSEEN : natural * LOG2_E;
}

[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void backward_rows_float16_d64(
    device const element* out [[buffer(0)]],
    device const element* grad_out [[buffer(1)]],
    device const float* lse [[buffer(2)]],
    device const float* grad_lse [[buffer(3)]],
    device const float* sinks [[buffer(4)]],
    device float* row_lse [[buffer(5)]],
    device float* row_delta [[buffer(6)]],
    device float* grad_sinks [[buffer(7)]],
    constant Call& call [[buffer(8)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup float sink_terms[BLOCK_Q];

    const int head = group.y;
    const int first_row = group.x * BLOCK_Q;
    const float sink = call.has_sinks == 0 ? MASKED : sinks[head] * LOG2_E;
    out += group.z * call.out_batch_stride + head * call.out_head_stride;
    grad_out += group.z * call.grad_out_batch_stride + head * call.grad_out_head_stride;
    const long first_lse = group.z * call.lse_batch_stride + head * call.lse_head_stride;

    for (int i = simdgroup; i < BLOCK_Q; i += SIMDGROUPS) {
        const int row = first_row + i;
        const bool exists = row < call.q_len;
        float product = 0.0f;
        if (exists) {
            for (int column = lane; column < HEAD_DIM; column += SIMD_WIDTH) {
                const float gradient = grad_out[row * call.grad_out_row_stride + column];
                product += gradient * float(out[row * call.out_row_stride + column]);
            }
        }
        product = simd_sum(product);
        if (lane == 0) {
            float delta = product;
            float base_2 = UNSEEN;
            if (exists) {
                delta -= call.has_grad_lse == 0 ? 0.0f : grad_lse[first_lse + row];
                base_2 = base_2_lse(lse[first_lse + row]);
                row_lse[first_lse + row] = base_2;
                row_delta[first_lse + row] = delta;
            }
            // A row that sees nothing has no part in the sink's gradient, whatever its delta is.
            sink_terms[i] = base_2 == UNSEEN ? 0.0f : -sink_weight(sink, base_2) * delta;
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (call.has_sinks != 0 && thread_index == 0) {
        float sum = 0.0f; // in the order of the rows
        for (int i = 0; i < BLOCK_Q; ++i) {
            sum += sink_terms[i];
        }
        grad_sinks[(long(group.z) * groups.y + head) * groups.x + group.x] = sum;
    }
}
