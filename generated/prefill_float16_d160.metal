// prefill_float16_d160.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash attention, forward: out = softmax(mask(softcap(scale * Q K^T) - alibi + bias)) V, and its log-sum-exp.
//   head_dim   160
//   elements   float16; scores, softmax and sums in float32
//   masks      full, causal (aligned bottom-right), sliding window (left, right)
//   sinks      one logit per query head is added to the softmax's denominator
//   masked     a mask tensor, of bools or of biases; with any mask, and sinks
//   dropout    of weights, by random numbers that depend on a seed alone; with any mask, a tensor or not, and sinks

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

typedef half element;

constant constexpr int HEAD_DIM = 160; // columns of Q and K
constant constexpr int HEAD_DIM_V = 160; // columns of V and O

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

typedef packed_half4 packed_element4; // aligned like one element: rows may start anywhere
typedef vec<element, 4> element4;

// A simdgroup holds a matrix as R x C fragments of 8x8 elements.
constant constexpr int FRAGMENT = 8;

template <typename T>
using Fragment = simdgroup_matrix<T, FRAGMENT, FRAGMENT>;

template <typename T, int R, int C>
struct Matrix {
    Fragment<T> fragments[R][C];
};

// Which two elements of every fragment a lane holds: (row, column) and (row, column + 1).
struct Place {
    int row;
    int column;
};

inline Place find_place(uint lane)
{
    const int quad = lane / 4;
    return {(quad & 4) + int(lane / 2) % 4, (quad & 2) * 2 + int(lane % 2) * 2};
}

// A = 0.
template <typename T, int R, int C>
inline void clear(thread Matrix<T, R, C>& a)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            a.fragments[r][c] = make_filled_simdgroup_matrix<T, FRAGMENT, FRAGMENT>(T(0));
        }
    }
}

// A = scale * A.
template <int R, int C>
inline void scale_elements(thread Matrix<float, R, C>& a, float scale)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                a.fragments[r][c].thread_elements()[i] *= scale;
            }
        }
    }
}

// A = cap * tanh(A).  fast::tanh would overflow for large arguments.
template <int R, int C>
inline void cap_elements(thread Matrix<float, R, C>& a, float cap)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                a.fragments[r][c].thread_elements()[i] = cap * precise::tanh(a.fragments[r][c].thread_elements()[i]);
            }
        }
    }
}

// A lane holds elements of one row of each fragment.  The four lanes that hold the same row have indices
// that differ in bits 0 and 3.
inline float row_max(float x)
{
    x = max(x, simd_shuffle_xor(x, 1));
    return max(x, simd_shuffle_xor(x, 8));
}

inline float row_sum(float x)
{
    x += simd_shuffle_xor(x, 1);
    return x + simd_shuffle_xor(x, 8);
}

// The largest element that this lane holds of each row.
template <int R, int C>
inline void lane_row_max(thread float (&maxima)[R], thread Matrix<float, R, C>& a)
{
    UNROLL for (int r = 0; r < R; ++r) {
        maxima[r] = a.fragments[r][0].thread_elements()[0];
        UNROLL for (int c = 0; c < C; ++c) {
            maxima[r] = max(maxima[r], max(a.fragments[r][c].thread_elements()[0], a.fragments[r][c].thread_elements()[1]));
        }
    }
}

// Multiplies each row by its factor.
template <int R, int C>
inline void scale_rows(thread Matrix<float, R, C>& a, thread float (&factors)[R])
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                a.fragments[r][c].thread_elements()[i] *= factors[r];
            }
        }
    }
}

// P = 2^(scale * S - maximum of the row); adds this lane's elements of P to its sum for the row.
template <int R, int C>
inline void exp2_rows(
    thread Matrix<element, R, C>& p, thread float (&lane_sums)[R], thread Matrix<float, R, C>& s, float scale,
    thread float (&maxima)[R])
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const float weight = fast::exp2(fma(s.fragments[r][c].thread_elements()[i], scale, -maxima[r]));
                lane_sums[r] += weight;
                p.fragments[r][c].thread_elements()[i] = element(weight);
            }
        }
    }
}

constant constexpr int D_FRAGMENTS = HEAD_DIM / FRAGMENT;
constant constexpr int V_FRAGMENTS = HEAD_DIM_V / FRAGMENT;
constant constexpr int PADDING = 8; // elements behind a staged row, against bank conflicts
constant constexpr int STAGED_STRIDE = HEAD_DIM + PADDING;
constant constexpr int STAGED_STRIDE_V = HEAD_DIM_V + PADDING;

// A call's arguments beside its tensors: an array of int32, where a long takes two, and one of float32.
struct Call {
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
    long table_stride; // block_table: elements from one sequence to the next
    long mask_batch_stride; // attn_mask: bytes from one batch to the next
    long mask_head_stride; // attn_mask: bytes from one head to the next
    long mask_row_stride; // attn_mask: bytes from one row to the next
    long mask_key_stride; // attn_mask: bytes from one key to the next
    long state_batch_stride; // mask_states: states from one batch to the next
    long state_head_stride; // mask_states: states from one head to the next
    long state_tile_stride; // mask_states: states from one tile to the next
    long state_block_stride; // mask_states: states from one block to the next
    int batch; // number of sequences
    int q_len; // query rows of each sequence; packed: of all sequences together
    int k_len; // rows of K of each sequence, used or not; packed: of all sequences
    int packed; // 1: packed batch, cu_seqlens_q is given; 0: padded batch
    int heads_per_kv_head; // query heads that share one KV head
    int has_k_begin; // 1: k_begin is given; 0: keys begin at row 0
    int has_k_end; // 1: k_end is given; 0: keys end at row k_len
    int appended; // rows that this call appends, from k_end on
    int page_size; // rows in each page of K and V; 0: no pages
    int pages; // number of pages in K and V
    int window_left; // keys seen before the diagonal
    int window_right; // keys seen after the diagonal
    int has_alibi; // 1: alibi_slopes are given
    int wants_lse; // 1: lse is written
    int mask_type; // elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
    int least_queries; // packed: shorter sequences are left to decode
    int has_sinks; // 1: sinks are given
    int keep_below; // dropout: bits of a uint; a weight is kept if its random number is less
    int kv_type; // elements of K and V: 0 own, 1 float16, 2 bfloat16
};

struct Scaling {
    float softmax_scale; // multiplies Q K^T
    float softcap; // scores become softcap * tanh(score / softcap); 0: off
    float keep_scale; // 1 / (1 - dropout_p), which scales the weights that are kept
};

// The offset of a row of K or V, in elements.  In a paged cache, `pages` lists the sequence's pages (its
// row of the block table), and rows are counted through these pages.
inline long row_offset(int row, device const int* pages, long page_stride, long row_stride, constant Call& call)
{
    if (call.page_size == 0) {
        return row * row_stride;
    }
    const int existing = min(row, call.k_len - 1); // a block may end beyond the last row
    const int page_of_sequence = existing / call.page_size;
    const int page = clamp(pages[page_of_sequence], 0, call.pages - 1);
    return page * page_stride + (existing - page_of_sequence * call.page_size) * row_stride;
}

// A sequence's rows in Q and K.
struct Sequence {
    int batch;   // its index
    int q_start; // its first query row; 0 unless the batch is packed
    int q_len;
    int k_start; // the row of its first key
    int k_len;
    device const int* pages; // its line of the block table
};

// cu_seqlens_q[i], moved into the range of rows that exist: the host never reads it.
inline int first_query(device const int* cu_seqlens_q, int i, constant Call& call)
{
    return clamp(cu_seqlens_q[i], 0, call.q_len);
}

// The row after a sequence's last key.  A slot that is not in use has no keys: its length is negative,
// or the page of its last key is.
inline int end_of_keys(int batch, constant Call& call, device const int* k_end, device const int* pages)
{
    if (call.has_k_end != 0 && k_end[batch] < 0) {
        return 0;
    }
    const int end = call.has_k_end == 0 ? call.k_len : min(min(k_end[batch], call.k_len) + call.appended, call.k_len);
    if (call.page_size != 0 && end > 0 && pages[(end - 1) / call.page_size] < 0) {
        return 0;
    }
    return end;
}

inline Sequence find_sequence(
    int batch, constant Call& call, device const int* cu_seqlens_q, device const int* k_begin, device const int* k_end,
    device const int* block_table)
{
    Sequence sequence;
    sequence.batch = batch;
    sequence.q_start = call.packed == 0 ? 0 : first_query(cu_seqlens_q, batch, call);
    sequence.q_len = call.packed == 0 ? call.q_len : first_query(cu_seqlens_q, batch + 1, call) - sequence.q_start;
    sequence.k_start = call.has_k_begin == 0 ? 0 : clamp(k_begin[batch], 0, call.k_len);
    sequence.pages = block_table + batch * call.table_stride;
    sequence.k_len = max(end_of_keys(batch, call, k_end, sequence.pages) - sequence.k_start, 0);
    return sequence;
}

// The keys from `begin` on, up to but not including `end`.
struct KeyRange {
    int begin;
    int end;
};

enum MaskMode { FULL, CAUSAL, WINDOW };

// The keys that a query sees.  `diagonal` is the key at its own position: masks are aligned
// bottom-right, that is, the last query is at the position of the last key.
template <MaskMode MASK>
inline KeyRange keys_seen(int diagonal, Sequence sequence, constant Call& call)
{
    KeyRange seen = {0, sequence.k_len};
    if (MASK == CAUSAL) {
        seen.end = min(diagonal + 1, sequence.k_len);
    }
    if (MASK == WINDOW) {
        seen.begin = max(diagonal - call.window_left, 0);
        seen.end = min(diagonal + call.window_right + 1, sequence.k_len);
    }
    return seen;
}

// For neighbouring query rows: the keys from the first to the last that any of them sees, and among
// them those that all of them see.  The latter need no mask.
struct Band {
    KeyRange visited;
    KeyRange unmasked;
};

template <MaskMode MASK>
inline Band find_band(int first_query, int last_query, Sequence sequence, constant Call& call)
{
    const int offset = sequence.k_len - sequence.q_len; // of a query's diagonal
    const KeyRange first = keys_seen<MASK>(first_query + offset, sequence, call);
    const KeyRange last = keys_seen<MASK>(last_query + offset, sequence, call);
    const KeyRange visited = {first.begin, last.end};
    const KeyRange unmasked = {last.begin, first.end};
    return {visited, unmasked};
}

// The index of the sequence that threadgroup `index` works on.  In a padded batch the grid has an axis
// for it.  In a packed batch, sequence b has the threadgroups from begins[b] / BLOCK + b to where those
// of b + 1 begin.  These are enough for its rows wherever they start, so the host can choose the grid
// without any sequence's length.  Bisection finds b.
template <int BLOCK>
inline int find_batch(int index, int batch_in_grid, constant Call& call, device const int* begins, int rows)
{
    if (call.packed == 0) {
        return batch_in_grid;
    }
    int batch = 0;
    int end = call.batch;
    while (end - batch > 1) {
        const int middle = (batch + end) / 2;
        if (clamp(begins[middle], 0, rows) / BLOCK + middle <= index) {
            batch = middle;
        } else {
            end = middle;
        }
    }
    return batch; // the batch strides of packed tensors are 0
}

// The first row of threadgroup `index`, within its sequence, which begins at row `begin`.
template <int BLOCK>
inline int find_first_row(int index, int begin, int batch, constant Call& call)
{
    const int first_index = call.packed == 0 ? 0 : begin / BLOCK + batch;
    return (index - first_index) * BLOCK;
}

// Reads one fragment of a simdgroup's rows of a tensor; a row that does not exist is 0.
inline void load_fragment(thread Fragment<element>& fragment, device const element* source, bool exists)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        fragment.thread_elements()[i] = exists ? source[i] : element(0);
    }
}

// A simdgroup's rows of a tensor, held in registers.
template <int R, int D>
struct HeldRows {
    static constant constexpr int FRAGMENTS = D;
    Matrix<element, R, D> held;
};

template <int R, int D>
inline void load_rows(
    thread HeldRows<R, D>& rows, device const element* source, long stride, int row, int end, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int own = row + r * FRAGMENT;
        UNROLL for (int d = 0; d < D; ++d) {
            load_fragment(rows.held.fragments[r][d], source + own * stride + d * FRAGMENT + place.column, own < end);
        }
    }
}

// Fragment column d of the rows.
template <int R, int D>
inline void find_column(thread Matrix<element, R, 1>& column, thread HeldRows<R, D>& rows, int d)
{
    UNROLL for (int r = 0; r < R; ++r) {
        column.fragments[r][0] = rows.held.fragments[r][d];
    }
}

// 32 query rows (4 simdgroups of 8) x 16 keys;
// 10752 bytes of threadgroup memory: one block of K, one of V.
struct q32k16 {
    static constant constexpr int BLOCK_Q = 32; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per block
    static constant constexpr int THREADS = 128;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr bool DROPOUT = false;
    static constant constexpr bool TAKES_MASK = false;
    typedef HeldRows<ROW_FRAGMENTS, D_FRAGMENTS> Queries;
};

// 32 query rows (4 simdgroups of 8) x 16 keys;
// 10752 bytes of threadgroup memory: one block of K, one of V.
struct q32k16_dropout {
    static constant constexpr int BLOCK_Q = 32; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per block
    static constant constexpr int THREADS = 128;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr bool DROPOUT = true;
    static constant constexpr bool TAKES_MASK = true;
    typedef HeldRows<ROW_FRAGMENTS, D_FRAGMENTS> Queries;
};

// 32 query rows (4 simdgroups of 8) x 16 keys;
// 10752 bytes of threadgroup memory: one block of K, one of V.
struct q32k16_masked {
    static constant constexpr int BLOCK_Q = 32; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per block
    static constant constexpr int THREADS = 128;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr bool DROPOUT = false;
    static constant constexpr bool TAKES_MASK = true;
    typedef HeldRows<ROW_FRAGMENTS, D_FRAGMENTS> Queries;
};

// Four neighbouring elements of a row, which may start anywhere.
inline element4 load_four(device const element* source)
{
    return element4(*(device const packed_element4*)source);
}

// Copies a row to threadgroup memory, four elements at a time, from `column` on; zeros if it does not
// exist.  ROW_THREADS threads share a row.
template <int ROW_THREADS, int COLUMNS, typename T>
inline void stage_row(threadgroup element* target, device const T* source, int column, bool exists)
{
    constexpr int PART = ROW_THREADS * 4; // elements of a row that its threads move at a time
    UNROLL for (int i = 0; i < COLUMNS; i += PART) {
        if (COLUMNS % PART != 0 && column + i >= COLUMNS) {
            continue; // the last part has less
        }
        element4 value = element4(0);
        if (exists) {
            value = load_four(source + column + i);
        }
        *(threadgroup element4*)(target + column + i) = value;
    }
}

// Copies a block of K or V to threadgroup memory; rows past the end are 0.
template <typename Tile, int COLUMNS, typename T>
inline void stage_rows(
    threadgroup element* block, device const T* source, Sequence sequence, int key, long page_stride, long row_stride,
    constant Call& call, uint thread_index)
{
    constexpr int ROW_THREADS = Tile::THREADS / Tile::BLOCK_K;
    const int row = thread_index / ROW_THREADS;
    const bool exists = key + row < sequence.k_len;
    if (exists) {
        source += row_offset(sequence.k_start + key + row, sequence.pages, page_stride, row_stride, call);
    }
    threadgroup element* target = block + row * (COLUMNS + PADDING);
    stage_row<ROW_THREADS, COLUMNS>(target, source, thread_index % ROW_THREADS * 4, exists);
}

// Reads fragment (c, d) of a block of staged rows, transposed: columns x rows.
template <int STRIDE>
inline void load_transposed(thread Fragment<element>& fragment, threadgroup const element* block, int c, int d)
{
    simdgroup_load(fragment, block + c * FRAGMENT * STRIDE + d * FRAGMENT, STRIDE, ulong2(0), true);
}

// S = A B^T, where B is a block of staged rows, STRIDE elements apart.
template <int STRIDE, typename Rows, int R, int C>
inline void multiply_transposed(thread Matrix<float, R, C>& s, thread Rows& a, threadgroup const element* block)
{
    clear(s);
    UNROLL for (int d = 0; d < Rows::FRAGMENTS; ++d) {
        Matrix<element, R, 1> column;
        find_column(column, a, d);
        UNROLL for (int c = 0; c < C; ++c) {
            Fragment<element> b;
            load_transposed<STRIDE>(b, block, c, d);
            UNROLL for (int r = 0; r < R; ++r) {
                simdgroup_multiply_accumulate(s.fragments[r][c], column.fragments[r][0], b, s.fragments[r][c]);
            }
        }
    }
}

// O += P B, where B is a block of staged rows, STRIDE elements apart.
template <int STRIDE, int R, int C, int D>
inline void multiply_accumulate(
    thread Matrix<float, R, D>& outputs, thread Matrix<element, R, C>& weights, threadgroup const element* block)
{
    UNROLL for (int d = 0; d < D; ++d) {
        UNROLL for (int c = 0; c < C; ++c) {
            Fragment<element> b;
            simdgroup_load(b, block + c * FRAGMENT * STRIDE + d * FRAGMENT, STRIDE);
            UNROLL for (int r = 0; r < R; ++r) {
                simdgroup_multiply_accumulate(outputs.fragments[r][d], weights.fragments[r][c], b, outputs.fragments[r][d]);
            }
        }
    }
}

// Turns scores into base-2 logits.  The softcap limits the natural logits.
template <int R, int C>
inline void scale_scores(thread Matrix<float, R, C>& scores, constant Scaling& scaling)
{
    if (scaling.softcap > 0.0f) {
        scale_elements(scores, scaling.softmax_scale / scaling.softcap);
        cap_elements(scores, scaling.softcap * LOG2_E);
    } else {
        scale_elements(scores, scaling.softmax_scale * LOG2_E);
    }
}

// ALiBi: a key's distance from the diagonal, times the slope, is subtracted from its base-2 logit.
struct RowAlibi {
    float slope; // in base 2
    int offset;  // of a query's diagonal
};

inline RowAlibi find_row_alibi(device const float* alibi_slopes, Sequence sequence, int head, constant Call& call)
{
    const long place = sequence.batch * call.alibi_batch_stride + head * call.alibi_head_stride;
    return {call.has_alibi == 0 ? 0.0f : LOG2_E * alibi_slopes[place], sequence.k_len - sequence.q_len};
}

template <int R, int C>
inline void add_row_alibi(thread Matrix<float, R, C>& scores, RowAlibi alibi, int row, int key, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int diagonal = row + r * FRAGMENT + alibi.offset;
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = key + c * FRAGMENT + place.column + i;
                scores.fragments[r][c].thread_elements()[i] -= alibi.slope * float(abs(diagonal - column));
            }
        }
    }
}

// Sets the scores of keys that a row does not see to MASKED.
template <MaskMode MASK, int R, int C>
inline void mask_rows(
    thread Matrix<float, R, C>& scores, Sequence sequence, int row, int key, Place place, constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int diagonal = row + r * FRAGMENT + sequence.k_len - sequence.q_len;
        const KeyRange seen = keys_seen<MASK>(diagonal, sequence, call);
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = key + c * FRAGMENT + place.column + i;
                if (column >= seen.end || (MASK == WINDOW && column < seen.begin)) {
                    scores.fragments[r][c].thread_elements()[i] = MASKED;
                }
            }
        }
    }
}

// The elements of a call's mask tensor.
enum MaskType { NONE_MASK, BOOL_MASK, FLOAT16_MASK, BFLOAT16_MASK, FLOAT32_MASK };

// What there is to see in a block of a mask: nothing; every key, with nothing added to a score; or
// what only a look at each element says.
enum MaskState { NOTHING_SEEN, ALL_SEEN, LOOK_CLOSER };

// From -6.9e37 down, as float32 has it: with such a bias, -inf among them, a key is hidden.
constant constexpr uint HIDDEN_FROM_BITS = 0xFE4FA3ABu;
constant constexpr uint LOWEST_HALF_BITS = 0xFBFFu; // the next ones are those of -inf

// What an element adds to the score, as the bits of a float32; a bool that is true adds 0.  They stay
// bits, because fast math may assume that no float is infinite.
inline uint mask_bits(device const uchar* element, int type)
{
    if (type == BOOL_MASK) {
        return *element != 0 ? 0u : MINUS_INFINITY_BITS;
    }
    if (type == FLOAT32_MASK) {
        return *(device const uint*)element;
    }
    const uint bits = *(device const ushort*)element;
    if (type == BFLOAT16_MASK) {
        return bits << 16;
    }
    const bool hides = bits == LOWEST_HALF_BITS || bits == LOWEST_HALF_BITS + 1;
    return hides ? MINUS_INFINITY_BITS : as_type<uint>(float(as_type<half>(ushort(bits))));
}

inline bool is_hidden(uint bits)
{
    return bits >= HIDDEN_FROM_BITS && bits <= MINUS_INFINITY_BITS;
}

// A base-2 logit with what the mask adds to it.
inline float masked_logit(float logit, uint bits)
{
    return is_hidden(bits) ? MASKED : fma(as_type<float>(bits), LOG2_E, logit);
}

// The state of a block of the call's mask; without one there is nothing to add.
template <typename Tile>
inline int state_of_block(device const uchar* mask_states, long place, constant Call& call)
{
    return !Tile::TAKES_MASK || call.mask_type == NONE_MASK ? ALL_SEEN : mask_states[place];
}

// A lane's elements of a mask for a matrix of scores, whose rows may be queries or keys.
struct MaskElements {
    device const uchar* first; // for the lane's first score
    long row_stride;
    long column_stride;
    int rows; // that exist, from the first on
    int columns;
    int type;
};

// What the mask adds to a score: bits, as mask_bits has them.  What does not exist is hidden.
inline uint added_to(MaskElements mask, int row, int column)
{
    const bool exists = row < mask.rows && column < mask.columns;
    return exists ? mask_bits(mask.first + row * mask.row_stride + column * mask.column_stride, mask.type)
                  : MINUS_INFINITY_BITS;
}

// A block of scores to which nothing is added.
struct NoMask {};

inline uint added_to(NoMask, int, int)
{
    return 0u;
}

// Adds a mask to base-2 logits.
template <int R, int C>
inline void add_mask(thread Matrix<float, R, C>& logits, MaskElements mask)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const float logit = logits.fragments[r][c].thread_elements()[i];
                const uint bits = added_to(mask, r * FRAGMENT, c * FRAGMENT + i);
                logits.fragments[r][c].thread_elements()[i] = masked_logit(logit, bits);
            }
        }
    }
}

// Dropout: whether a weight is kept depends on the call's seed and on which weight it is, and on nothing
// else.  So the backward pass, with other tiles, keeps the same ones.
struct Dropout {
    uint2 seed;
    uint head;
    uint batch;
    uint keep_below; // a weight is kept if its random number is less
};

inline Dropout find_dropout(device const int* dropout_seed, int head, int batch, constant Call& call)
{
    return {uint2(dropout_seed[0], dropout_seed[1]), uint(head), uint(batch), uint(call.keep_below)};
}

// Philox 4x32 with 7 rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011).
inline uint4 philox(uint4 counter, uint2 key)
{
    UNROLL for (int round = 0; round < 7; ++round) {
        const uint high_x = mulhi(0xD2511F53u, counter.x);
        const uint high_z = mulhi(0xCD9E8D57u, counter.z);
        counter = uint4(
            high_z ^ counter.y ^ key.x, 0xCD9E8D57u * counter.z, high_x ^ counter.w ^ key.y, 0xD2511F53u * counter.x);
        key += uint2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// Each call of philox serves four neighbouring keys.
inline bool is_kept(Dropout dropout, int query, int key)
{
    const uint4 numbers = philox(uint4(query, key / 4, dropout.head, dropout.batch), dropout.seed);
    return numbers[key % 4] < dropout.keep_below;
}

// Sets what is not kept to 0; rows are queries.
template <typename T, int R, int C>
inline void drop_from_rows(thread Matrix<T, R, C>& a, Dropout dropout, int query, int key, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                if (!is_kept(dropout, query + r * FRAGMENT, key + c * FRAGMENT + place.column + i)) {
                    a.fragments[r][c].thread_elements()[i] = T(0);
                }
            }
        }
    }
}

// What a sink adds to the sum of a row with this maximum; both are base-2 logits.  NaN gives NaN.
inline float sink_weight(float sink, float maximum)
{
    return sink <= MASKED ? 0.0f : fast::exp2(sink - maximum);
}

// The online softmax of this lane's rows; it has one in each row of fragments.
template <int R>
struct RowSoftmax {
    float maximum[R]; // of the row's base-2 logits, at most SLACK below the true one
    float sum[R];     // of the row's weights: this lane's, and from finish_row_softmax on all
};

// Before the first block; the rows' sinks take part in their maxima from the start.
template <int R>
inline void clear(thread RowSoftmax<R>& softmax, thread float (&sinks)[R])
{
    UNROLL for (int r = 0; r < R; ++r) {
        softmax.maximum[r] = max(sinks[r], LEAST_MAX);
        softmax.sum[r] = 0.0f;
    }
}

// Raises the maxima; the sums and O so far are multiplied by 2^(old maximum - new maximum).
template <int R, int D>
inline void raise_max(
    thread Matrix<float, R, D>& outputs, thread RowSoftmax<R>& softmax, thread float (&lane_maxima)[R])
{
    float factors[R];
    UNROLL for (int r = 0; r < R; ++r) {
        const float maximum = max(softmax.maximum[r], row_max(lane_maxima[r]));
        factors[r] = fast::exp2(softmax.maximum[r] - maximum);
        softmax.maximum[r] = maximum;
        softmax.sum[r] *= factors[r];
    }
    scale_rows(outputs, factors);
}

// The maximum is raised only if a score exceeds it by more than SLACK, which is rare after the first
// blocks.  So weights reach 2^SLACK = 256 at most, far below float16's largest value of 65504, and
// their relative precision is the same.
constant constexpr float SLACK = 8.0f;

// Online softmax: P = 2^(scale S - max).
template <int R, int C, int D>
inline void update_row_softmax(
    thread Matrix<element, R, C>& weights, thread Matrix<float, R, D>& outputs, thread RowSoftmax<R>& softmax,
    thread Matrix<float, R, C>& scores, float scale)
{
    float lane_maxima[R];
    lane_row_max(lane_maxima, scores);
    bool grown = false;
    UNROLL for (int r = 0; r < R; ++r) {
        lane_maxima[r] *= scale;
        grown = grown || lane_maxima[r] > softmax.maximum[r] + SLACK;
    }
    if (simd_any(grown)) {
        raise_max(outputs, softmax, lane_maxima);
    }
    exp2_rows(weights, softmax.sum, scores, scale, softmax.maximum);
}

// After the last block: the lanes of a row add up their sums, and O is normalised.
template <int R, int D>
inline void finish_row_softmax(
    thread Matrix<float, R, D>& outputs, thread RowSoftmax<R>& softmax, thread float (&sinks)[R], float keep_scale)
{
    float factors[R];
    UNROLL for (int r = 0; r < R; ++r) {
        softmax.sum[r] = row_sum(softmax.sum[r]) + sink_weight(sinks[r], softmax.maximum[r]);
        // A row that sees no key has sum 0 and O 0, and stays so.
        factors[r] = softmax.sum[r] == 0.0f ? 0.0f : keep_scale / softmax.sum[r];
    }
    scale_rows(outputs, factors);
}

// Writes the rows that exist to device memory.
template <typename T, int R, int D>
inline void store_rows(
    device T* out, thread Matrix<float, R, D>& outputs, long stride, int row, int rows, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int own = row + r * FRAGMENT;
        if (own >= rows) {
            continue;
        }
        device T* target = out + own * stride + place.column;
        UNROLL for (int d = 0; d < D; ++d) {
            UNROLL for (int i = 0; i < 2; ++i) {
                target[d * FRAGMENT + i] = T(outputs.fragments[r][d].thread_elements()[i]);
            }
        }
    }
}

template <int R>
inline void store_log_sum_exp(device float* lse, thread RowSoftmax<R>& softmax, int row, int rows, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int own = row + r * FRAGMENT;
        if (own < rows && place.column == 0) {
            lse[own] = log_sum_exp(softmax.maximum[r], softmax.sum[r]);
        }
    }
}

template <typename Tile, MaskMode MASK, bool SINKS>
[[kernel, max_total_threads_per_threadgroup(Tile::THREADS)]]
void prefill(
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
    device const float* sinks [[buffer(10)]],
    device const int* dropout_seed [[buffer(11)]],
    device const uchar* attn_mask [[buffer(12)]],
    device const uchar* mask_states [[buffer(13)]],
    constant Call& call [[buffer(14)]],
    constant Scaling& scaling [[buffer(15)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup element k_block[Tile::BLOCK_K * STAGED_STRIDE];
    threadgroup element v_block[Tile::BLOCK_K * STAGED_STRIDE_V];

    // Where this threadgroup works: some query rows of one sequence, one head.
    // Under a causal mask the last rows see most keys: they start first.
    const int index = MASK == CAUSAL ? groups.x - 1 - group.x : group.x;
    const int batch = find_batch<Tile::BLOCK_Q>(index, group.z, call, cu_seqlens_q, call.q_len);
    const Sequence sequence = find_sequence(batch, call, cu_seqlens_q, k_begin, k_end, block_table);
    const int first_row = find_first_row<Tile::BLOCK_Q>(index, sequence.q_start, batch, call);
    if (first_row < 0 || first_row >= sequence.q_len || sequence.q_len < call.least_queries) {
        return; // a ragged batch has at most one empty threadgroup per sequence and head
    }
    const int head = group.y;
    const int kv_head = head / call.heads_per_kv_head;
    const float sink = SINKS && call.has_sinks != 0 ? sinks[head] * LOG2_E : MASKED;
    const RowAlibi alibi = find_row_alibi(alibi_slopes, sequence, head, call);
    const bool only_scaled = scaling.softmax_scale > 0.0f && scaling.softcap == 0.0f && alibi.slope == 0.0f;
    const int last_row = min(first_row + Tile::BLOCK_Q, sequence.q_len) - 1;
    const Band band = find_band<MASK>(first_row, last_row, sequence, call);
    const Place place = find_place(lane);
    const int row = simdgroup * Tile::SIMDGROUP_ROWS + place.row; // this lane's first, counted from first_row
    const int rows = sequence.q_len - first_row; // that exist

    q += batch * call.q_batch_stride + (sequence.q_start + first_row) * call.q_row_stride + head * call.q_head_stride;
    const int page = call.page_size == 0 ? batch : 0; // a padded batch has a page for each sequence
    const long first_k = page * call.k_batch_stride + kv_head * call.k_head_stride;
    const long first_v = page * call.v_batch_stride + kv_head * call.v_head_stride;
    k += first_k;
    v += first_v;
    out += batch * call.out_batch_stride + (sequence.q_start + first_row) * call.out_row_stride + head * call.out_head_stride;
    lse += batch * call.lse_batch_stride + head * call.lse_head_stride + sequence.q_start + first_row;
    attn_mask += batch * call.mask_batch_stride + head * call.mask_head_stride + (first_row + row) * call.mask_row_stride
        + place.column * call.mask_key_stride;
    mask_states += batch * call.state_batch_stride + head * call.state_head_stride + index * call.state_tile_stride;

    typename Tile::Queries queries;
    Matrix<float, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> scores;
    Matrix<element, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> weights;
    Matrix<float, Tile::ROW_FRAGMENTS, V_FRAGMENTS> outputs;
    RowSoftmax<Tile::ROW_FRAGMENTS> softmax;
    float row_sinks[Tile::ROW_FRAGMENTS];

    load_rows(queries, q, call.q_row_stride, row, rows, place);
    clear(outputs);
    UNROLL for (int r = 0; r < Tile::ROW_FRAGMENTS; ++r) {
        row_sinks[r] = sink;
    }
    clear(softmax, row_sinks);

    // A mask's blocks begin at multiples of BLOCK_K.
    const int begin = Tile::TAKES_MASK ? band.visited.begin / Tile::BLOCK_K * Tile::BLOCK_K : band.visited.begin;
    for (int key = begin; key < band.visited.end; key += Tile::BLOCK_K) {
        const int state = state_of_block<Tile>(mask_states, key / Tile::BLOCK_K * call.state_block_stride, call);
        if (state == NOTHING_SEEN) {
            continue;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup); // the last block is used up
        stage_rows<Tile, HEAD_DIM>(
            k_block, k, sequence, key, call.k_batch_stride, call.k_row_stride, call, thread_index);
        stage_rows<Tile, HEAD_DIM_V>(
            v_block, v, sequence, key, call.v_batch_stride, call.v_row_stride, call, thread_index);
        threadgroup_barrier(mem_flags::mem_threadgroup); // this block is staged

        multiply_transposed<STAGED_STRIDE>(scores, queries, k_block);
        const bool unmasked = key >= band.unmasked.begin && key + Tile::BLOCK_K <= band.unmasked.end;
        float scale = scaling.softmax_scale * LOG2_E; // makes base-2 logits of scores, within the exponent
        if (!unmasked || !only_scaled || state == LOOK_CLOSER) {
            scale_scores(scores, scaling);
            if (alibi.slope != 0.0f) {
                add_row_alibi(scores, alibi, first_row + row, key, place);
            }
            if (state == LOOK_CLOSER) {
                const MaskElements elements = {
                    attn_mask + key * call.mask_key_stride, call.mask_row_stride, call.mask_key_stride, rows - row,
                    sequence.k_len - key - place.column, call.mask_type};
                add_mask(scores, elements);
            }
            if (!unmasked) {
                mask_rows<MASK>(scores, sequence, first_row + row, key, place, call);
            }
            scale = 1.0f; // they are logits now
        }
        update_row_softmax(weights, outputs, softmax, scores, scale);
        if (Tile::DROPOUT) {
            drop_from_rows(weights, find_dropout(dropout_seed, head, batch, call), first_row + row, key, place);
        }
        multiply_accumulate<STAGED_STRIDE_V>(outputs, weights, v_block);
    }

    finish_row_softmax(outputs, softmax, row_sinks, scaling.keep_scale);
    store_rows(out, outputs, call.out_row_stride, row, rows, place);
    if (call.wants_lse != 0) {
        store_log_sum_exp(lse, softmax, row, rows, place);
    }
}

// The kernels.  To compile one of them alone, define ONLY and ONLY_<its name>.
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_full)
template [[host_name("prefill_float16_d160_q32k16_full")]] [[kernel]]
decltype(prefill<q32k16, FULL, false>) prefill<q32k16, FULL, false>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_full_sinks)
template [[host_name("prefill_float16_d160_q32k16_full_sinks")]] [[kernel]]
decltype(prefill<q32k16, FULL, true>) prefill<q32k16, FULL, true>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_causal)
template [[host_name("prefill_float16_d160_q32k16_causal")]] [[kernel]]
decltype(prefill<q32k16, CAUSAL, false>) prefill<q32k16, CAUSAL, false>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_causal_sinks)
template [[host_name("prefill_float16_d160_q32k16_causal_sinks")]] [[kernel]]
decltype(prefill<q32k16, CAUSAL, true>) prefill<q32k16, CAUSAL, true>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_window)
template [[host_name("prefill_float16_d160_q32k16_window")]] [[kernel]]
decltype(prefill<q32k16, WINDOW, false>) prefill<q32k16, WINDOW, false>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_window_sinks)
template [[host_name("prefill_float16_d160_q32k16_window_sinks")]] [[kernel]]
decltype(prefill<q32k16, WINDOW, true>) prefill<q32k16, WINDOW, true>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_dropout)
template [[host_name("prefill_float16_d160_q32k16_dropout")]] [[kernel]]
decltype(prefill<q32k16_dropout, WINDOW, true>) prefill<q32k16_dropout, WINDOW, true>;
#endif
#if !defined(ONLY) || defined(ONLY_prefill_float16_d160_q32k16_masked)
template [[host_name("prefill_float16_d160_q32k16_masked")]] [[kernel]]
decltype(prefill<q32k16_masked, WINDOW, true>) prefill<q32k16_masked, WINDOW, true>;
#endif
