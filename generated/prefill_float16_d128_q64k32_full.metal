// prefill_float16_d128_q64k32_full
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash attention, forward: out = softmax(mask(softcap(scale * Q K^T) - alibi)) V, and its log-sum-exp.
//   head_dim   128
//   elements   float16; scores, softmax and sums in float32
//   mask       every query sees every key
//   tile       64 query rows (4 simdgroups of 16) x 32 keys
//   memory     17408 bytes of threadgroup memory: one block of K, one of V

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

typedef half element;

constant constexpr int HEAD_DIM = 128;

// Arrays stay in registers only if every index is known to the compiler.
#define UNROLL _Pragma("clang loop unroll(full)")

// The softmax runs in base 2.  Finite sentinels, because fast math may assume that there is no
// infinity: a masked score lies so far below the least maximum that its weight is exactly 0.
constant constexpr float LOG2_E = 1.44269504f;
constant constexpr float LN_2 = 0.693147181f;
constant constexpr float LEAST_MAX = -1.0e38f;
constant constexpr float MASKED = -3.0e38f;
constant constexpr uint MINUS_INFINITY_BITS = 0xFF800000u;

typedef packed_half4 packed_element4; // aligned like one element: rows may start anywhere
typedef vec<element, 4> element4;

// Matrices are made of 8x8 fragments, one simdgroup_matrix each.
constant constexpr int FRAGMENT = 8;

typedef simdgroup_matrix<element, FRAGMENT, FRAGMENT> ElementMatrix;
typedef simdgroup_matrix<float, FRAGMENT, FRAGMENT> FloatMatrix;

constant constexpr int BLOCK_Q = 64; // query rows per threadgroup
constant constexpr int BLOCK_K = 32; // keys per block
constant constexpr int THREADS = 128;
constant constexpr int STAGED_STRIDE = 136; // HEAD_DIM and padding against bank conflicts
constant constexpr int SIMDGROUP_ROWS = 16; // query rows per simdgroup
constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
constant constexpr int D_FRAGMENTS = HEAD_DIM / FRAGMENT;

// Where a lane stands in its simdgroup's fragments: it holds the elements (row, column) and
// (row, column + 1) of each.
struct Place {
    int row;    // within the threadgroup's tile, for the simdgroup's first row fragment
    int column; // within a fragment
};

inline Place find_place(uint simdgroup, uint lane)
{
    const int quad = lane / 4;
    Place place;
    place.row = simdgroup * SIMDGROUP_ROWS + (quad & 4) + (lane / 2) % 4;
    place.column = (quad & 2) * 2 + (lane % 2) * 2;
    return place;
}

// Row sums and maxima: the four lanes that hold a row differ in bits 0 and 3 of their index.
inline float row_reduce_max(float x)
{
    x = max(x, simd_shuffle_xor(x, 1));
    return max(x, simd_shuffle_xor(x, 8));
}

inline float row_reduce_sum(float x)
{
    x += simd_shuffle_xor(x, 1);
    return x + simd_shuffle_xor(x, 8);
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
    int least_queries; // packed: shorter sequences are left to decode
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

// A threadgroup's query rows and the sequence they belong to.
struct Tile {
    int batch;   // the sequence's index
    int q_start; // the sequence's first query row; 0 unless packed
    int q_len;   // query rows of the sequence
    int k_start; // row of the sequence's first key
    int k_len;
    int row; // the tile's first query row within the sequence
    device const int* pages; // the sequence's line of the block table
};

// cu_seqlens_q[i], kept within the tensor whatever it says.
inline int first_query(device const int* cu_seqlens_q, int i, constant Ints& n)
{
    return clamp(cu_seqlens_q[i], 0, n.q_len);
}

// Padded batches take batch from the grid.  In a packed batch, sequence b owns the tiles from
// q_start(b) / BLOCK_Q + b up to the next one's: enough for its rows wherever they start, so the
// grid needs no sequence's length, and b is found by bisection.
inline Tile find_tile(
    uint3 group, uint3 groups, constant Ints& n, device const int* cu_seqlens_q, device const int* k_begin,
    device const int* k_end, device const int* block_table)
{
    const int index = group.x;
    Tile tile;
    if (n.packed == 0) {
        tile.batch = group.z;
        tile.q_start = 0;
        tile.q_len = n.q_len;
        tile.row = index * BLOCK_Q;
    } else {
        int sequence = 0;
        int end = n.batch;
        while (end - sequence > 1) {
            const int middle = (sequence + end) / 2;
            if (first_query(cu_seqlens_q, middle, n) / BLOCK_Q + middle <= index) {
                sequence = middle;
            } else {
                end = middle;
            }
        }
        tile.batch = sequence; // the batch strides of packed tensors are 0
        tile.q_start = first_query(cu_seqlens_q, sequence, n);
        tile.q_len = first_query(cu_seqlens_q, sequence + 1, n) - tile.q_start;
        tile.row = (index - tile.q_start / BLOCK_Q - sequence) * BLOCK_Q;
    }
    tile.k_start = first_key(tile.batch, n, k_begin);
    tile.k_len = max(end_of_keys(tile.batch, n, k_end, block_table) - tile.k_start, 0);
    tile.pages = block_table + tile.batch * n.table_stride;
    return tile;
}

// The keys that a tile's rows see.  Blocks between inner_begin and inner_end are seen by every
// row of the tile and need no mask.
struct Band {
    int begin;
    int end;
    int inner_begin;
    int inner_end;
};

inline Band find_band(Tile tile)
{
    return {0, tile.k_len, 0, tile.k_len};
}

// Gives the scores that a row does not see their sentinel.
inline void mask_scores(
    thread FloatMatrix (&scores)[ROW_FRAGMENTS][K_FRAGMENTS], Tile tile, int key, Place place)
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        const int end = tile.k_len;
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = key + c * FRAGMENT + place.column + i;
                if (column >= end) {
                    scores[r][c].thread_elements()[i] = MASKED;
                }
            }
        }
    }
}

// Device memory to registers: fragment d of this simdgroup's row fragment r of Q; rows past the end
// are 0.
inline void load_query(
    thread ElementMatrix& query, device const element* q, long stride, int rows, Place place, int r, int d)
{
    const int row = place.row + r * FRAGMENT;
    device const element* source = q + row * stride + d * FRAGMENT + place.column;
    UNROLL for (int i = 0; i < 2; ++i) {
        query.thread_elements()[i] = row < rows ? source[i] : element(0);
    }
}

// Device memory to threadgroup memory: one block of K or V; rows past the end are 0.  Each row has
// threads of its own, whose vectors take turns.
inline void stage_rows(
    threadgroup element* block, device const element* source, Tile tile, int key, long page_stride, long row_stride,
    constant Ints& n, uint thread_index)
{
    constexpr int ROW_THREADS = THREADS / BLOCK_K;
    constexpr int PART = ROW_THREADS * 4; // elements of a row that its threads move at a time
    const int row = thread_index / ROW_THREADS;
    const int column = thread_index % ROW_THREADS * 4;
    const bool exists = key + row < tile.k_len;
    if (exists) {
        source += row_offset(tile.k_start + key + row, tile.pages, page_stride, row_stride, n) + column;
    }
    threadgroup element* target = block + row * STAGED_STRIDE + column;
    UNROLL for (int i = 0; i < HEAD_DIM; i += PART) {
        element4 value = element4(0);
        if (exists) {
            value = element4(*(device const packed_element4*)(source + i));
        }
        *(threadgroup element4*)(target + i) = value;
    }
}

// S = Q K^T.
inline void multiply_queries_keys(
    thread FloatMatrix (&scores)[ROW_FRAGMENTS][K_FRAGMENTS], device const element* q, long q_stride, int rows, Place place,
    threadgroup const element* k_block)
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            scores[r][c] = make_filled_simdgroup_matrix<float, FRAGMENT, FRAGMENT>(0.0f);
        }
    }
    UNROLL for (int d = 0; d < D_FRAGMENTS; ++d) {
        ElementMatrix queries[ROW_FRAGMENTS]; // all of Q would not fit into the registers
        UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
            load_query(queries[r], q, q_stride, rows, place, r, d);
        }
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            ElementMatrix keys;
            simdgroup_load(keys, k_block + c * FRAGMENT * STAGED_STRIDE + d * FRAGMENT, STAGED_STRIDE, ulong2(0), true);
            UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
                simdgroup_multiply_accumulate(scores[r][c], queries[r], keys, scores[r][c]);
            }
        }
    }
}

// Scores become base-2 logits; softcap acts on the natural ones.
inline void scale_scores(thread FloatMatrix (&scores)[ROW_FRAGMENTS][K_FRAGMENTS], constant Floats& f)
{
    const bool capped = f.softcap > 0.0f;
    const float scale = capped ? f.softmax_scale / f.softcap : f.softmax_scale * LOG2_E;
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                scores[r][c].thread_elements()[i] *= scale;
            }
        }
    }
    if (capped) {
        const float cap = f.softcap * LOG2_E;
        UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
            UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
                UNROLL for (int i = 0; i < 2; ++i) {
                    // fast::tanh overflows for large arguments
                    scores[r][c].thread_elements()[i] = cap * precise::tanh(scores[r][c].thread_elements()[i]);
                }
            }
        }
    }
}

// ALiBi: a key's distance from the diagonal, times the slope, comes off its base-2 logit.
inline void add_alibi(
    thread FloatMatrix (&scores)[ROW_FRAGMENTS][K_FRAGMENTS], float slope, Tile tile, int key, Place place)
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        const int diagonal = tile.row + place.row + r * FRAGMENT + tile.k_len - tile.q_len;
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = key + c * FRAGMENT + place.column + i;
                scores[r][c].thread_elements()[i] -= slope * float(abs(diagonal - column));
            }
        }
    }
}

// Multiplies each row of O by its factor.
inline void scale_outputs(thread FloatMatrix (&outputs)[D_FRAGMENTS], float factor)
{
    UNROLL for (int d = 0; d < D_FRAGMENTS; ++d) {
        outputs[d].thread_elements()[0] *= factor;
        outputs[d].thread_elements()[1] *= factor;
    }
}

// Before the first block.
inline void clear(
    thread FloatMatrix (&outputs)[ROW_FRAGMENTS][D_FRAGMENTS], thread float (&row_max)[ROW_FRAGMENTS],
    thread float (&row_sum)[ROW_FRAGMENTS])
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        UNROLL for (int d = 0; d < D_FRAGMENTS; ++d) {
            outputs[r][d] = make_filled_simdgroup_matrix<float, FRAGMENT, FRAGMENT>(0.0f);
        }
        row_max[r] = LEAST_MAX;
        row_sum[r] = 0.0f;
    }
}

// A new maximum: what was summed under the old one counts times 2^(old - new).
inline void raise_max(
    thread FloatMatrix (&outputs)[ROW_FRAGMENTS][D_FRAGMENTS], thread float (&row_max)[ROW_FRAGMENTS],
    thread float (&row_sum)[ROW_FRAGMENTS], thread float (&block_max)[ROW_FRAGMENTS])
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        const float new_max = max(row_max[r], row_reduce_max(block_max[r]));
        const float factor = fast::exp2(row_max[r] - new_max);
        row_max[r] = new_max;
        row_sum[r] *= factor;
        scale_outputs(outputs[r], factor);
    }
}

// The maximum is raised when a score exceeds it by more than SLACK, which after the first blocks is
// seldom.  Weights stay below 2^SLACK, far from float16's 65504, and are as exact as ever.
constant constexpr float SLACK = 8.0f;

// Online softmax: P = 2^(scale S - max).
inline void update_softmax(
    thread ElementMatrix (&weights)[ROW_FRAGMENTS][K_FRAGMENTS],
    thread FloatMatrix (&outputs)[ROW_FRAGMENTS][D_FRAGMENTS], thread float (&row_max)[ROW_FRAGMENTS],
    thread float (&row_sum)[ROW_FRAGMENTS], thread FloatMatrix (&scores)[ROW_FRAGMENTS][K_FRAGMENTS], float scale)
{
    float block_max[ROW_FRAGMENTS]; // of this lane's elements
    bool grown = false;
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        block_max[r] = scores[r][0].thread_elements()[0];
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            block_max[r] = max(block_max[r], max(scores[r][c].thread_elements()[0], scores[r][c].thread_elements()[1]));
        }
        block_max[r] *= scale;
        grown = grown || block_max[r] > row_max[r] + SLACK;
    }
    if (simd_any(grown)) {
        raise_max(outputs, row_max, row_sum, block_max);
    }
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const float weight = fast::exp2(fma(scores[r][c].thread_elements()[i], scale, -row_max[r]));
                row_sum[r] += weight;
                weights[r][c].thread_elements()[i] = element(weight);
            }
        }
    }
}

// After the last block: the four lanes of a row pool their sums, and O is normalised.
inline void finish_softmax(
    thread FloatMatrix (&outputs)[ROW_FRAGMENTS][D_FRAGMENTS], thread float (&row_max)[ROW_FRAGMENTS],
    thread float (&row_sum)[ROW_FRAGMENTS])
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        row_sum[r] = row_reduce_sum(row_sum[r]);
        // A row that sees no key has sum 0 and O 0, and stays so.
        scale_outputs(outputs[r], row_sum[r] == 0.0f ? 0.0f : 1.0f / row_sum[r]);
    }
}

// O += P V.
inline void add_weighted_values(
    thread FloatMatrix (&outputs)[ROW_FRAGMENTS][D_FRAGMENTS],
    thread ElementMatrix (&weights)[ROW_FRAGMENTS][K_FRAGMENTS], threadgroup const element* v_block)
{
    UNROLL for (int d = 0; d < D_FRAGMENTS; ++d) {
        UNROLL for (int c = 0; c < K_FRAGMENTS; ++c) {
            ElementMatrix values;
            simdgroup_load(values, v_block + c * FRAGMENT * STAGED_STRIDE + d * FRAGMENT, STAGED_STRIDE);
            UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
                simdgroup_multiply_accumulate(outputs[r][d], weights[r][c], values, outputs[r][d]);
            }
        }
    }
}

// Registers to device memory: the rows that exist, and their log-sum-exp if it is wanted.
inline void store_rows(
    device element* out, device float* lse, thread FloatMatrix (&outputs)[ROW_FRAGMENTS][D_FRAGMENTS],
    thread float (&row_max)[ROW_FRAGMENTS], thread float (&row_sum)[ROW_FRAGMENTS], long stride, int rows, Place place,
    bool wants_lse)
{
    UNROLL for (int r = 0; r < ROW_FRAGMENTS; ++r) {
        const int row = place.row + r * FRAGMENT;
        if (row >= rows) {
            continue;
        }
        device element* target = out + row * stride + place.column;
        UNROLL for (int d = 0; d < D_FRAGMENTS; ++d) {
            UNROLL for (int i = 0; i < 2; ++i) {
                target[d * FRAGMENT + i] = element(outputs[r][d].thread_elements()[i]);
            }
        }
        if (wants_lse && place.column == 0) {
            const float natural = LN_2 * (row_max[r] + fast::log2(row_sum[r]));
            // As bits, so that fast math has no infinity to reason about.
            lse[row] = as_type<float>(row_sum[r] == 0.0f ? MINUS_INFINITY_BITS : as_type<uint>(natural));
        }
    }
}

[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void prefill_float16_d128_q64k32_full(
    device const element* q [[buffer(0)]],
    device const element* k [[buffer(1)]],
    device const element* v [[buffer(2)]],
    device element* out [[buffer(3)]],
    device float* lse [[buffer(4)]],
    device const int* cu_seqlens_q [[buffer(5)]],
    device const int* k_begin [[buffer(6)]],
    device const int* k_end [[buffer(7)]],
    device const int* block_table [[buffer(8)]],
    device const float* alibi_slopes [[buffer(9)]],
    constant Ints& n [[buffer(10)]],
    constant Floats& f [[buffer(11)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup element k_block[BLOCK_K * STAGED_STRIDE];
    threadgroup element v_block[BLOCK_K * STAGED_STRIDE];

    // Where this threadgroup works: a tile of one sequence's query rows, one head.
    const Tile tile = find_tile(group, groups, n, cu_seqlens_q, k_begin, k_end, block_table);
    if (tile.row < 0 || tile.row >= tile.q_len || tile.q_len < n.least_queries) {
        return; // a ragged batch has at most one empty tile per sequence and head
    }
    const int head = group.y;
    const int kv_head = head / n.group;
    const long slope_offset = tile.batch * n.alibi_batch_stride + head * n.alibi_head_stride;
    const float slope = n.alibi == 0 ? 0.0f : LOG2_E * alibi_slopes[slope_offset];
    const bool only_scaled = f.softmax_scale > 0.0f && f.softcap == 0.0f && slope == 0.0f;
    const Band band = find_band(tile);
    const Place place = find_place(simdgroup, lane);

    q += tile.batch * n.q_batch_stride + (tile.q_start + tile.row) * n.q_row_stride + head * n.q_head_stride;
    const int page = n.page_size == 0 ? tile.batch : 0; // a padded batch has a page for each sequence
    k += page * n.k_batch_stride + kv_head * n.k_head_stride;
    v += page * n.v_batch_stride + kv_head * n.v_head_stride;
    out += tile.batch * n.out_batch_stride + (tile.q_start + tile.row) * n.out_row_stride + head * n.out_head_stride;
    lse += tile.batch * n.lse_batch_stride + head * n.lse_head_stride + tile.q_start + tile.row;

    FloatMatrix scores[ROW_FRAGMENTS][K_FRAGMENTS];
    ElementMatrix weights[ROW_FRAGMENTS][K_FRAGMENTS];
    FloatMatrix outputs[ROW_FRAGMENTS][D_FRAGMENTS];
    float row_max[ROW_FRAGMENTS]; // of base-2 logits, at most SLACK below the true one
    float row_sum[ROW_FRAGMENTS]; // this lane's share of the softmax denominator

    clear(outputs, row_max, row_sum);

    for (int key = band.begin; key < band.end; key += BLOCK_K) {
        threadgroup_barrier(mem_flags::mem_threadgroup); // the last block is used up
        stage_rows(k_block, k, tile, key, n.k_batch_stride, n.k_row_stride, n, thread_index);
        stage_rows(v_block, v, tile, key, n.v_batch_stride, n.v_row_stride, n, thread_index);
        threadgroup_barrier(mem_flags::mem_threadgroup); // this block is staged

        multiply_queries_keys(scores, q, n.q_row_stride, tile.q_len - tile.row, place, k_block);
        const bool inner = key >= band.inner_begin && key + BLOCK_K <= band.inner_end;
        float scale = f.softmax_scale * LOG2_E; // makes base-2 logits of scores, within the exponent
        if (!inner || !only_scaled) {
            scale_scores(scores, f);
            if (slope != 0.0f) {
                add_alibi(scores, slope, tile, key, place);
            }
            if (!inner) {
                mask_scores(scores, tile, key, place);
            }
            scale = 1.0f; // they are logits now
        }
        update_softmax(weights, outputs, row_max, row_sum, scores, scale);
        add_weighted_values(outputs, weights, v_block);
    }

    finish_softmax(outputs, row_max, row_sum);
    store_rows(out, lse, outputs, row_max, row_sum, n.out_row_stride, tile.q_len - tile.row, place, n.lse != 0);
}
