// combine_bfloat16_d256.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// The second step of flash decoding: each row's partial results, one for each split of the keys,
// become its output and its log-sum-exp.  The order of the sums is fixed.
//   head_dim   256
//   elements   bfloat16; partial results and sums in float32
//   tile       one row per simdgroup

#include <metal_stdlib>

using namespace metal;

typedef bfloat element;

constant constexpr int HEAD_DIM = 256; // columns of Q and K
constant constexpr int HEAD_DIM_V = 256; // columns of V and O

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

constant constexpr int SIMD_WIDTH = 32;
constant constexpr int THREADS = 32;
constant constexpr int LANE_COLUMNS = (HEAD_DIM + SIMD_WIDTH - 1) / SIMD_WIDTH; // that a lane works on

// A call's arguments beside its tensors: an array of int32, where a long takes two.
struct Call {
    long out_batch_stride; // out: elements from one batch to the next
    long out_row_stride; // out: elements from one row to the next
    long out_head_stride; // out: elements from one head to the next
    long lse_batch_stride; // lse: elements from one batch to the next
    long lse_head_stride; // lse: elements from one head to the next
    int batch; // number of sequences
    int q_len; // query rows of each sequence; packed: of all sequences together
    int packed; // 1: packed batch, cu_seqlens_q is given; 0: padded batch
    int wants_lse; // 1: lse is written
    int splits; // number of splits of the keys; 1: no partial results
    int slots; // queries per sequence that partial results have room for
};

[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void combine_bfloat16_d256(
    device element* out [[buffer(0)]],
    device float* lse [[buffer(1)]],
    device const float* partial_out [[buffer(2)]],
    device const float* partial_lse [[buffer(3)]],
    device const int* cu_seqlens_q [[buffer(4)]],
    constant Call& call [[buffer(5)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    const int head = group.x;
    const int sequence = group.z;
    const int q_start = call.packed == 0 ? 0 : clamp(cu_seqlens_q[sequence], 0, call.q_len);
    const int q_len = call.packed == 0 ? call.q_len : clamp(cu_seqlens_q[sequence + 1], 0, call.q_len) - q_start;
    if (q_len > call.slots) {
        return; // this sequence was not split
    }
    const long heads = groups.x;
    const long rows = heads * call.slots * call.batch; // of one split
    const long first_row = long(sequence) * call.slots * heads + head;
    partial_lse += first_row;
    partial_out += first_row * HEAD_DIM;
    out += sequence * call.out_batch_stride + q_start * call.out_row_stride + head * call.out_head_stride;
    lse += sequence * call.lse_batch_stride + head * call.lse_head_stride + q_start;

    for (int query = group.y; query < q_len; query += groups.y) { // longer sequences take more turns
        const long row = query * heads;
        float row_max = LEAST_MAX;
        for (int split = lane; split < call.splits; split += SIMD_WIDTH) {
            row_max = max(row_max, partial_lse[split * rows + row]);
        }
        row_max = simd_max(row_max);
        float row_sum = 0.0f;
        float outputs[LANE_COLUMNS] = {};
        for (int first = 0; first < call.splits; first += SIMD_WIDTH) {
            // Each lane weighs one split; then all lanes add up one split after the other.
            const int own = first + lane;
            const float own_lse = own < call.splits ? partial_lse[own * rows + row] : LEAST_MAX;
            const float own_weight = own_lse == LEAST_MAX ? 0.0f : fast::exp2(own_lse - row_max); // a NaN stays one
            for (int split = first; split < min(first + SIMD_WIDTH, call.splits); ++split) {
                const float weight = simd_shuffle(own_weight, ushort(split - first));
                row_sum += weight;
                UNROLL for (int i = 0; i < LANE_COLUMNS; ++i) {
                    const int column = i * SIMD_WIDTH + lane;
                    if (column < HEAD_DIM) {
                        outputs[i] += weight * partial_out[(split * rows + row) * HEAD_DIM + column];
                    }
                }
            }
        }

        const bool seen = row_sum != 0.0f; // does the row see any key?
        UNROLL for (int i = 0; i < LANE_COLUMNS; ++i) {
            const int column = i * SIMD_WIDTH + lane;
            if (column < HEAD_DIM) {
                out[query * call.out_row_stride + column] = element(seen ? outputs[i] / row_sum : 0.0f);
            }
        }
        if (lane == 0 && call.wants_lse != 0) {
            lse[query] = log_sum_exp(row_max, row_sum);
        }
    }
}
