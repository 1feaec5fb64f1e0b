// decode_bfloat16_d72_q16k16_full_sinks
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash decoding: out = softmax(mask(softcap(scale * Q K^T) - alibi)) V, and its log-sum-exp, for
// few query rows.  The rows of all heads that share a KV head are packed into one tile, so that an
// element of K or V is read once for them all; the keys are split over threadgroups, and within
// one over its simdgroups.  K and V go from device memory straight into matrix fragments.
//   head_dim   72
//   elements   bfloat16; scores, softmax and sums in float32
//   mask       every query sees every key
//   sinks      one logit per query head joins the softmax's denominator
//   tile       16 rows; 8 simdgroups of 16 keys
//   memory     5376 bytes of threadgroup memory: Q, and 8 rows of O while they are merged

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

typedef bfloat element;

constant constexpr int HEAD_DIM = 72;

// Arrays stay in registers only if every index is known to the compiler.
#define UNROLL _Pragma("clang loop unroll(full)")

// The softmax runs in base 2.  Finite sentinels, because fast math may assume that there is no
// infinity: a masked score lies so far below the least maximum that its weight is exactly 0.
constant constexpr float LOG2_E = 1.44269504f;
constant constexpr float LN_2 = 0.693147181f;
constant constexpr float LEAST_MAX = -1.0e38f;
constant constexpr float MASKED = -3.0e38f;
constant constexpr uint MINUS_INFINITY_BITS = 0xFF800000u;

typedef packed_bfloat4 packed_element4; // aligned like one element: rows may start anywhere
typedef vec<element, 4> element4;

// Matrices are made of 8x8 fragments, one simdgroup_matrix each.
constant constexpr int FRAGMENT = 8;

typedef simdgroup_matrix<element, FRAGMENT, FRAGMENT> ElementMatrix;
typedef simdgroup_matrix<float, FRAGMENT, FRAGMENT> FloatMatrix;

constant constexpr int BLOCK_Q = 16;   // rows per threadgroup
constant constexpr int BLOCK_K = 16;  // keys per simdgroup and step
constant constexpr int SIMDGROUPS = 8;
constant constexpr int THREADS = 256;
constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
constant constexpr int FRAGMENT_ELEMENTS = FRAGMENT * FRAGMENT;

// A lane reads VECTOR neighbouring elements at a time.  Which of them meet in a fragment is free,
// as long as Q, or O, takes the same order.  The four lanes that hold a key's row of K together
// read a chunk of 16 columns, which is two fragments; the eight lanes that hold a column of V^T
// read a chunk of 32, which is four.  A head_dim that is no multiple of them ends in zeros.
constant constexpr int VECTOR = 4;
constant constexpr int K_CHUNK = 4 * VECTOR;
constant constexpr int V_CHUNK = 8 * VECTOR;
constant constexpr int K_CHUNKS = (HEAD_DIM + K_CHUNK - 1) / K_CHUNK;
constant constexpr int V_CHUNKS = (HEAD_DIM + V_CHUNK - 1) / V_CHUNK;
constant constexpr int Q_FRAGMENTS = K_CHUNKS * K_CHUNK / FRAGMENT;
constant constexpr int O_FRAGMENTS = V_CHUNKS * V_CHUNK / FRAGMENT;

// Where a lane stands in a fragment: it holds the elements (row, column) and (row, column + 1).
struct Place {
    int row;
    int column;
};

inline Place find_place(uint lane)
{
    const int quad = lane / 4;
    return {(quad & 4) + int(lane / 2) % 4, (quad & 2) * 2 + int(lane % 2) * 2};
}

// Maxima and sums of a fragment's column: its eight lanes differ in bits 1, 2 and 4 of their index.
inline float2 column_reduce_max(float2 x)
{
    x = max(x, simd_shuffle_xor(x, 2));
    x = max(x, simd_shuffle_xor(x, 4));
    return max(x, simd_shuffle_xor(x, 16));
}

inline float2 column_reduce_sum(float2 x)
{
    x += simd_shuffle_xor(x, 2);
    x += simd_shuffle_xor(x, 4);
    return x + simd_shuffle_xor(x, 16);
}

// Four elements of a row of K or V; zeros where the row or the column does not exist.
inline element4 load_vector(device const element* row, int column, bool exists)
{
    exists = exists && column < HEAD_DIM;
    return exists ? element4(*(device const packed_element4*)(row + column)) : element4(0);
}

// The arguments that are not tensors: one array of int32 (a long takes two), one of float32.
struct Ints {
    long q_batch_stride; // q: elements from one batch to the next
    long q_row_stride; // q: elements from one row to the next
    long q_head_stride; // q: elements from one head to the next
    long k_batch_stride; // k: elements from one batch to the next
    long k_row_stride; // k: elements from one row to the next
    long k_head_stride; // k: elements from one head to the next
    long v_batch_stride; // v: elements from one batch to the next
    long v_row_stride; // v: elements from one row to the next
    long v_head_stride; // v: elements from one head to the next
    long out_batch_stride; // out: elements from one batch to the next
    long out_row_stride; // out: elements from one row to the next
    long out_head_stride; // out: elements from one head to the next
    long lse_batch_stride; // lse: elements from one batch to the next
    long lse_head_stride; // lse: elements from one head to the next
    long alibi_batch_stride; // alibi_slopes: elements from one sequence to the next
    long alibi_head_stride; // alibi_slopes: elements from one head to the next
    long table_stride; // block_table: from one sequence to the next
    int batch; // sequences
    int q_len; // query rows of each sequence; packed: of all together
    int k_len; // rows of K that each sequence may have; packed: of all together
    int packed; // 1: cu_seqlens_q says where each sequence's queries lie
    int group; // query heads that share one KV head
    int begins; // 1: k_begin says where each sequence's keys begin; 0: at row 0
    int ends; // 1: k_end says where each sequence's keys end; 0: at row k_len
    int appended; // rows that this call adds at k_end
    int page_size; // rows of a page of K and V; 0: no block table
    int pages; // that K and V have
    int window_left; // keys seen before the diagonal
    int window_right; // keys seen after the diagonal
    int lse; // 1: lse is wanted
    int alibi; // 1: alibi_slopes are there
    int kv_heads; // KV heads
    int most_queries; // packed: longer sequences are left to prefill
    int splits; // shares that the keys are divided into; 1: no partial results
    int slots; // queries per sequence that partial results have room for
};

struct Floats {
    float softmax_scale; // multiplies Q K^T
    float softcap; // scores become softcap * tanh(score / softcap); 0: off
};

// Where a sequence's keys lie, kept within K and V whatever the buffers say.
inline int first_key(int sequence, constant Ints& n, device const int* k_begin)
{
    return n.begins == 0 ? 0 : clamp(k_begin[sequence], 0, n.k_len);
}

// A slot that is not in use has no keys: its length is negative, or the page of its last key is.
inline int end_of_keys(int sequence, constant Ints& n, device const int* k_end, device const int* block_table)
{
    if (n.ends != 0 && k_end[sequence] < 0) {
        return 0;
    }
    const int end = n.ends == 0 ? n.k_len : min(clamp(k_end[sequence], 0, n.k_len) + n.appended, n.k_len);
    if (n.page_size != 0 && end > 0 && block_table[sequence * n.table_stride + (end - 1) / n.page_size] < 0) {
        return 0;
    }
    return end;
}

// Elements from the start of K or V to a row.  A paged cache has a block table, of which `pages`
// is the sequence's line; rows are counted over the sequence's pages.
inline long row_offset(int row, device const int* pages, long page_stride, long row_stride, constant Ints& n)
{
    if (n.page_size == 0) {
        return row * row_stride;
    }
    const int existing = min(row, n.k_len - 1); // a block may end beyond the last row
    const int page_of_sequence = existing / n.page_size;
    const int page = clamp(pages[page_of_sequence], 0, n.pages - 1);
    return page * page_stride + (existing - page_of_sequence * n.page_size) * row_stride;
}

// A sequence's rows in Q and K.
struct Sequence {
    int batch;   // the sequence's index
    int q_start; // its first query row; 0 unless packed
    int q_len;
    int k_start; // row of its first key
    int k_len;
    device const int* pages; // its line of the block table
};

// cu_seqlens_q[i], kept within the tensor whatever it says.
inline int first_query(device const int* cu_seqlens_q, int i, constant Ints& n)
{
    return clamp(cu_seqlens_q[i], 0, n.q_len);
}

inline Sequence find_sequence(
    int index, constant Ints& n, device const int* cu_seqlens_q, device const int* k_begin, device const int* k_end,
    device const int* block_table)
{
    Sequence sequence;
    sequence.batch = index;
    sequence.q_start = n.packed == 0 ? 0 : first_query(cu_seqlens_q, index, n);
    sequence.q_len = n.packed == 0 ? n.q_len : first_query(cu_seqlens_q, index + 1, n) - sequence.q_start;
    sequence.k_start = first_key(index, n, k_begin);
    sequence.k_len = max(end_of_keys(index, n, k_end, block_table) - sequence.k_start, 0);
    sequence.pages = block_table + index * n.table_stride;
    return sequence;
}

// Partial results have room for `slots` queries of each sequence.  A longer one is not split.
inline bool is_split(Sequence sequence, constant Ints& n)
{
    return n.splits > 1 && sequence.q_len <= n.slots;
}

// A tile's rows: pairs of a query and a head of the group, heads first.
struct Rows {
    int first; // counted over the sequence's pairs
    int count; // that exist
    int group; // query heads that share the KV head
    int head;  // the first of them
};

inline Rows find_rows(int first, int kv_head, Sequence sequence, constant Ints& n)
{
    return {first, min(BLOCK_Q, sequence.q_len * n.group - first), n.group, kv_head * n.group};
}

// Those of one fragment; none, if the tile has fewer.
inline Rows rows_of_fragment(Rows rows, int fragment)
{
    const int before = fragment * FRAGMENT;
    return {rows.first + before, min(FRAGMENT, rows.count - before), rows.group, rows.head};
}

inline int query_of(Rows rows, int row)
{
    return (rows.first + row) / rows.group;
}

inline int head_of(Rows rows, int row)
{
    return rows.head + (rows.first + row) % rows.group;
}

// This threadgroup's share of the keys that the tile's rows see.  Blocks between inner_begin and
// inner_end are seen by every row and need no mask.
struct Band {
    int begin;
    int end;
    int inner_begin;
    int inner_end;
};

inline Band find_band(Rows rows, Sequence sequence, constant Ints& n, int share, int shares)
{
    const int begin = 0;
    const int end = sequence.k_len;
    const int inner_begin = 0;
    const int inner_end = end;
    constexpr int STEP = SIMDGROUPS * BLOCK_K;
    const int steps = (max(end - begin, 0) + STEP - 1) / STEP;
    const int steps_per_share = (steps + shares - 1) / shares;
    const int share_begin = begin + share * steps_per_share * STEP;
    const int share_end = min(share_begin + steps_per_share * STEP, end);
    return {share_begin, share_end, inner_begin, min(inner_end, share_end)};
}

// The keys that this lane's two rows see.
struct Sight {
    int begin[2];
    int end[2];
};

inline Sight find_sight(Rows rows, Sequence sequence, Band band, Place place)
{
    Sight sight;
    UNROLL for (int i = 0; i < 2; ++i) {
        sight.begin[i] = 0;
        sight.end[i] = band.end;
    }
    return sight;
}

// Gives the scores that a row does not see their sentinel.
inline void mask_scores(thread FloatMatrix (&scores)[K_FRAGMENTS], Sight sight, int key, Place place)
{
    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        const int column = key + c * FRAGMENT + place.row;
        UNROLL for (int i = 0; i < 2; ++i) {
            if (column < sight.begin[i] || column >= sight.end[i]) {
                scores[c].thread_elements()[i] = MASKED;
            }
        }
    }
}

// Device memory to threadgroup memory: a fragment's rows of Q, transposed, their columns in the order
// that load_vector gives the rows of K; rows that do not exist are 0.
inline void stage_queries(
    threadgroup element* q_block, device const element* q, Rows rows, constant Ints& n, uint thread_index)
{
    for (int i = thread_index; i < Q_FRAGMENTS * FRAGMENT_ELEMENTS; i += THREADS) {
        const int row = i % FRAGMENT;
        const int fragment = i / FRAGMENT_ELEMENTS;
        const int lane_of_row = i / FRAGMENT % FRAGMENT / 2; // 0..3, of the four that hold a key's row
        const int chunk = fragment / 2;
        const int column = (chunk * 4 + lane_of_row) * VECTOR + fragment % 2 * 2 + i / FRAGMENT % 2;
        element value = element(0);
        if (row < rows.count && column < HEAD_DIM) {
            value = q[query_of(rows, row) * n.q_row_stride + head_of(rows, row) * n.q_head_stride + column];
        }
        q_block[i] = value;
    }
}

// This lane's row of K in each fragment of a block of keys.
struct KeyRows {
    device const element* start[K_FRAGMENTS];
    bool exists[K_FRAGMENTS];
};

inline KeyRows find_key_rows(
    device const element* k, Sequence sequence, int key, int end, Place place, constant Ints& n)
{
    KeyRows rows;
    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        const int row = key + c * FRAGMENT + place.row;
        rows.start[c] = k + row_offset(sequence.k_start + row, sequence.pages, n.k_batch_stride, n.k_row_stride, n);
        rows.exists[c] = row < end;
    }
    return rows;
}

// sums = K Q^T over the chunks from `begin` to `end`.  What was read of K is multiplied with all rows.
inline void multiply_chunks(
    thread FloatMatrix (&sums)[ROW_FRAGMENTS][K_FRAGMENTS], int begin, int end, KeyRows rows, threadgroup const element* q_block,
    Place place)
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            sums[r][c] = make_filled_simdgroup_matrix<float, FRAGMENT, FRAGMENT>(0.0f);
        }
    }
    UNROLL for (int chunk = begin; chunk < end; ++chunk) {
        element4 vectors[K_FRAGMENTS];
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            vectors[c] = load_vector(rows.start[c], chunk * K_CHUNK + place.column / 2 * VECTOR, rows.exists[c]);
        }
        UNROLL for (int half_chunk = 0; half_chunk < 2; ++half_chunk) {
            ElementMatrix queries[ROW_FRAGMENTS];
            UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
                const int fragment = r * Q_FRAGMENTS + chunk * 2 + half_chunk;
                simdgroup_load(queries[r], q_block + fragment * FRAGMENT_ELEMENTS, FRAGMENT);
            }
            UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
                ElementMatrix columns;
                columns.thread_elements()[0] = vectors[c][half_chunk * 2];
                columns.thread_elements()[1] = vectors[c][half_chunk * 2 + 1];
                UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
                    simdgroup_multiply_accumulate(sums[r][c], columns, queries[r], sums[r][c]);
                }
            }
        }
    }
}

// S^T = K Q^T over a block of keys; from `end` on they do not exist.
inline void multiply_keys_queries(
    thread FloatMatrix (&scores)[ROW_FRAGMENTS][K_FRAGMENTS], device const element* k, Sequence sequence, int key,
    int end, threadgroup const element* q_block, Place place, constant Ints& n)
{
    multiply_chunks(scores, 0, K_CHUNKS, find_key_rows(k, sequence, key, end, place, n), q_block, place);
}

// Scores become base-2 logits; softcap acts on the natural ones.
inline void scale_scores(thread FloatMatrix (&scores)[K_FRAGMENTS], constant Floats& f)
{
    const bool capped = f.softcap > 0.0f;
    const float scale = capped ? f.softmax_scale / f.softcap : f.softmax_scale * LOG2_E;
    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        UNROLL for (int i = 0; i < 2; ++i) {
            scores[c].thread_elements()[i] *= scale;
        }
    }
    if (capped) {
        const float cap = f.softcap * LOG2_E;
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                // fast::tanh overflows for large arguments
                scores[c].thread_elements()[i] = cap * precise::tanh(scores[c].thread_elements()[i]);
            }
        }
    }
}

// ALiBi of this lane's rows: a key's distance from the diagonal, times the slope, comes off its
// base-2 logit.
struct Alibi {
    int diagonal[2];
    float slope[2];
};

inline Alibi find_alibi(Rows rows, Sequence sequence, device const float* alibi_slopes, constant Ints& n, Place place)
{
    Alibi bias;
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        bias.diagonal[i] = query_of(rows, row) + sequence.k_len - sequence.q_len;
        const long slope = sequence.batch * n.alibi_batch_stride + head_of(rows, row) * n.alibi_head_stride;
        bias.slope[i] = n.alibi == 0 ? 0.0f : LOG2_E * alibi_slopes[slope];
    }
    return bias;
}

inline void add_alibi(thread FloatMatrix (&scores)[K_FRAGMENTS], Alibi bias, int key, Place place)
{
    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        UNROLL for (int i = 0; i < 2; ++i) {
            const int distance = abs(bias.diagonal[i] - (key + c * FRAGMENT + place.row));
            scores[c].thread_elements()[i] -= bias.slope[i] * float(distance);
        }
    }
}

// The online softmax of this lane's two rows of a fragment.
struct Softmax {
    float2 row_max; // of base-2 scores
    float2 row_sum; // this lane's share of the denominator
};

// Before the first block.
inline void clear(thread FloatMatrix (&outputs)[O_FRAGMENTS], thread Softmax& softmax)
{
    UNROLL for (int o = 0; o < O_FRAGMENTS; ++o) {
        outputs[o] = make_filled_simdgroup_matrix<float, FRAGMENT, FRAGMENT>(0.0f);
    }
    softmax.row_max = LEAST_MAX;
    softmax.row_sum = 0.0f;
}

// Multiplies each row of O by its factor.
inline void scale_outputs(thread FloatMatrix (&outputs)[O_FRAGMENTS], float2 factor)
{
    UNROLL for (int o = 0; o < O_FRAGMENTS; ++o) {
        outputs[o].thread_elements()[0] *= factor[0];
        outputs[o].thread_elements()[1] *= factor[1];
    }
}

// Online softmax: P = 2^(S - max), and what was summed under the old maximum is rescaled.
inline void update_softmax(
    thread ElementMatrix (&weights)[K_FRAGMENTS], thread FloatMatrix (&outputs)[O_FRAGMENTS],
    thread Softmax& softmax, thread FloatMatrix (&scores)[K_FRAGMENTS])
{
    float2 new_max = softmax.row_max;
    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        new_max = max(new_max, float2(scores[c].thread_elements()));
    }
    new_max = column_reduce_max(new_max);

    const float2 factor = fast::exp2(softmax.row_max - new_max);
    softmax.row_max = new_max;
    softmax.row_sum *= factor;
    scale_outputs(outputs, factor);

    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        const float2 weight = fast::exp2(float2(scores[c].thread_elements()) - new_max);
        softmax.row_sum += weight;
        weights[c].thread_elements()[0] = element(weight[0]);
        weights[c].thread_elements()[1] = element(weight[1]);
    }
}

// O^T += V^T P^T over a block of keys; from `end` on they do not exist.  What was read of V is
// multiplied with the weights of all rows.
inline void add_weighted_values(
    thread FloatMatrix (&outputs)[ROW_FRAGMENTS][O_FRAGMENTS], thread ElementMatrix (&weights)[ROW_FRAGMENTS][K_FRAGMENTS],
    device const element* v, Sequence sequence, int key, int end, Place place, constant Ints& n)
{
    UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
        device const element* rows[2];
        bool exists[2];
        UNROLL for (int i = 0; i < 2; ++i) {
            const int row = key + c * FRAGMENT + place.column + i;
            rows[i] = v + row_offset(sequence.k_start + row, sequence.pages, n.v_batch_stride, n.v_row_stride, n);
            exists[i] = row < end;
        }
        UNROLL for (int chunk = 0; chunk < V_CHUNKS; ++chunk) {
            const int column = chunk * V_CHUNK + place.row * VECTOR;
            const element4 first = load_vector(rows[0], column, exists[0]);
            const element4 second = load_vector(rows[1], column, exists[1]);
            UNROLL for (int i = 0; i < VECTOR; ++i) {
                ElementMatrix values;
                values.thread_elements()[0] = first[i];
                values.thread_elements()[1] = second[i];
                UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
                    thread FloatMatrix& sum = outputs[r][chunk * VECTOR + i];
                    simdgroup_multiply_accumulate(sum, values, weights[r][c], sum);
                }
            }
        }
    }
}

// What a simdgroup has of each row of a fragment: its maximum, and its sum under that maximum.
struct Shares {
    float row_max[FRAGMENT];
    float row_sum[FRAGMENT];
};

// The softmax of this lane's rows over all simdgroups; the first share of the keys counts the sink.
inline Softmax merge_shares(
    threadgroup Shares* shares, Softmax own, uint simdgroup, Place place, float2 sink)
{
    const float2 own_sum = column_reduce_sum(own.row_sum);
    if (place.row == 0) {
        UNROLL for (int i = 0; i < 2; ++i) {
            shares[simdgroup].row_max[place.column + i] = own.row_max[i];
            shares[simdgroup].row_sum[place.column + i] = own_sum[i];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup); // every simdgroup's share is known

    Softmax all;
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        float row_max = max(sink[i], LEAST_MAX);
        UNROLL for (int s = 0; s < SIMDGROUPS; ++s) {
            row_max = max(row_max, shares[s].row_max[row]);
        }
        float row_sum = fast::exp2((sink[i] < MASKED ? MASKED : sink[i]) - row_max);
        UNROLL for (int s = 0; s < SIMDGROUPS; ++s) {
            row_sum += shares[s].row_sum[row] * fast::exp2(shares[s].row_max[row] - row_max);
        }
        all.row_max[i] = row_max;
        all.row_sum[i] = row_sum;
    }
    return all;
}

// A fragment's O of all simdgroups, normalised, in threadgroup memory: row by row, summed in a fixed
// order.
inline void merge_outputs(
    threadgroup float* merged, thread FloatMatrix (&outputs)[O_FRAGMENTS], float2 own_max, Softmax all,
    uint simdgroup, Place place)
{
    float2 factor;
    UNROLL for (int i = 0; i < 2; ++i) {
        // A row that sees no key has sum 0 and O 0.
        factor[i] = all.row_sum[i] == 0.0f ? 0.0f : fast::exp2(own_max[i] - all.row_max[i]) / all.row_sum[i];
    }
    scale_outputs(outputs, factor);
    for (uint s = 0; s < SIMDGROUPS; ++s) {
        if (simdgroup == s) {
            UNROLL for (int o = 0; o < O_FRAGMENTS; ++o) {
                const int column = o / VECTOR * V_CHUNK + place.row * VECTOR + o % VECTOR;
                UNROLL for (int i = 0; i < 2; ++i) {
                    if (column >= HEAD_DIM) {
                        continue;
                    }
                    threadgroup float& sum = merged[(place.column + i) * HEAD_DIM + column];
                    sum = outputs[o].thread_elements()[i] + (s == 0 ? 0.0f : sum);
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup); // one simdgroup after the other
    }
}

// Threadgroup memory to device memory: the rows that exist; one function for results and one for
// partial results.
inline void store_rows(
    device element* out, threadgroup const float* merged, Rows rows, long row_stride, long head_stride, uint thread_index)
{
    for (int i = thread_index; i < rows.count * HEAD_DIM; i += THREADS) {
        const int row = i / HEAD_DIM;
        const long offset = query_of(rows, row) * row_stride + head_of(rows, row) * head_stride;
        out[offset + i % HEAD_DIM] = element(merged[i]);
    }
}

inline void store_rows(
    device float* out, threadgroup const float* merged, Rows rows, long row_stride, long head_stride, uint thread_index)
{
    for (int i = thread_index; i < rows.count * HEAD_DIM; i += THREADS) {
        const int row = i / HEAD_DIM;
        const long offset = query_of(rows, row) * row_stride + head_of(rows, row) * head_stride;
        out[offset + i % HEAD_DIM] = float(merged[i]);
    }
}

inline void store_lse(device float* lse, Softmax all, Rows rows, long head_stride, uint simdgroup, Place place)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        if (simdgroup == 0 && place.row == 0 && row < rows.count) {
            const float natural = LN_2 * (all.row_max[i] + fast::log2(all.row_sum[i]));
            // As bits, so that fast math has no infinity to reason about.
            lse[head_of(rows, row) * head_stride + query_of(rows, row)] =
                as_type<float>(all.row_sum[i] == 0.0f ? MINUS_INFINITY_BITS : as_type<uint>(natural));
        }
    }
}

// Of a share of the keys: in base 2, LEAST_MAX where a row sees none of them.
inline void store_base_2_lse(device float* lse, Softmax all, Rows rows, long heads, uint simdgroup, Place place)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        if (simdgroup == 0 && place.row == 0 && row < rows.count) {
            const float base_2 = all.row_max[i] + fast::log2(all.row_sum[i]);
            lse[query_of(rows, row) * heads + head_of(rows, row)] = all.row_sum[i] == 0.0f ? LEAST_MAX : base_2;
        }
    }
}

// The sinks of this lane's rows, in base 2.  Only the first share of the keys counts them.
inline float2 find_sink(device const float* sinks, Rows rows, Place place, uint share)
{
    float2 sink = MASKED;
    UNROLL for (int i = 0; i < 2; ++i) {
        if (share == 0) {
            sink[i] = sinks[head_of(rows, place.column + i)] * LOG2_E;
        }
    }
    return sink;
}

[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void decode_bfloat16_d72_q16k16_full_sinks(
    device const element* q [[buffer(0)]],
    device const element* k [[buffer(1)]],
    device const element* v [[buffer(2)]],
    device element* out [[buffer(3)]],
    device float* lse [[buffer(4)]],
    device float* partial_out [[buffer(5)]],
    device float* partial_lse [[buffer(6)]],
    device const int* cu_seqlens_q [[buffer(7)]],
    device const int* k_begin [[buffer(8)]],
    device const int* k_end [[buffer(9)]],
    device const int* block_table [[buffer(10)]],
    device const float* alibi_slopes [[buffer(11)]],
    device const float* sinks [[buffer(12)]],
    constant Ints& n [[buffer(13)]],
    constant Floats& f [[buffer(14)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup element q_block[ROW_FRAGMENTS * Q_FRAGMENTS * FRAGMENT_ELEMENTS];
    threadgroup float merged[FRAGMENT * HEAD_DIM];
    threadgroup Shares shares[SIMDGROUPS];

    // Where this threadgroup works: one sequence, one KV head, one share of the keys.
    const Sequence sequence = find_sequence(group.z, n, cu_seqlens_q, k_begin, k_end, block_table);
    const int kv_head = group.y % n.kv_heads;
    const int tiles = groups.y / n.kv_heads; // of the grid; longer sequences take more turns
    const bool split = is_split(sequence, n);
    if (sequence.q_len > n.most_queries || (!split && group.x > 0)) {
        return;
    }
    const Place place = find_place(lane);
    q += sequence.batch * n.q_batch_stride + sequence.q_start * n.q_row_stride;
    const int page = n.page_size == 0 ? sequence.batch : 0; // a padded batch has a page for each sequence
    k += page * n.k_batch_stride + kv_head * n.k_head_stride;
    v += page * n.v_batch_stride + kv_head * n.v_head_stride;

    FloatMatrix scores[ROW_FRAGMENTS][K_FRAGMENTS];    // S^T: keys x rows
    ElementMatrix weights[ROW_FRAGMENTS][K_FRAGMENTS]; // P^T
    FloatMatrix outputs[ROW_FRAGMENTS][O_FRAGMENTS];   // O^T: head_dim x rows
    Softmax softmax[ROW_FRAGMENTS];
    Sight sight[ROW_FRAGMENTS];
    Alibi bias[ROW_FRAGMENTS];

    for (int row = group.y / n.kv_heads * BLOCK_Q; row < sequence.q_len * n.group; row += tiles * BLOCK_Q) {
        const Rows rows = find_rows(row, kv_head, sequence, n);
        const Band band = find_band(rows, sequence, n, split ? group.x : 0, split ? groups.x : 1);

        // The barriers of the last tile's merge lie between its products and what is staged here.
        UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
            const Rows own = rows_of_fragment(rows, r);
            sight[r] = find_sight(own, sequence, band, place);
            bias[r] = find_alibi(own, sequence, alibi_slopes, n, place);
            stage_queries(q_block + r * Q_FRAGMENTS * FRAGMENT_ELEMENTS, q, own, n, thread_index);
            clear(outputs[r], softmax[r]);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup); // this one is staged

        for (int key = band.begin + int(simdgroup) * BLOCK_K; key < band.end; key += SIMDGROUPS * BLOCK_K) {
            multiply_keys_queries(scores, k, sequence, key, band.end, q_block, place, n);
            UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
                scale_scores(scores[r], f);
                if (bias[r].slope[0] != 0.0f || bias[r].slope[1] != 0.0f) {
                    add_alibi(scores[r], bias[r], key, place);
                }
                if (key < band.inner_begin || key + BLOCK_K > band.inner_end) {
                    mask_scores(scores[r], sight[r], key, place);
                }
                update_softmax(weights[r], outputs[r], softmax[r], scores[r]);
            }
            add_weighted_values(outputs, weights, v, sequence, key, band.end, place, n);
        }

        UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
            const Rows own = rows_of_fragment(rows, r);
            const Softmax all = merge_shares(shares, softmax[r], simdgroup, place, find_sink(sinks, own, place, group.x));
            merge_outputs(merged, outputs[r], softmax[r].row_max, all, simdgroup, place);
            if (split) {
                const long first_slot = (long(group.x) * n.batch + sequence.batch) * n.slots;
                const long heads = n.kv_heads * n.group;
                store_rows(partial_out + first_slot * heads * HEAD_DIM, merged, own, heads * HEAD_DIM, HEAD_DIM, thread_index);
                store_base_2_lse(partial_lse + first_slot * heads, all, own, heads, simdgroup, place);
            } else {
                store_rows(out + sequence.batch * n.out_batch_stride + sequence.q_start * n.out_row_stride, merged, own,
                    n.out_row_stride, n.out_head_stride, thread_index);
                if (n.lse != 0) {
                    store_lse(lse + sequence.batch * n.lse_batch_stride + sequence.q_start, all, own, n.lse_head_stride, simdgroup, place);
                }
            }
        }
    }
}
