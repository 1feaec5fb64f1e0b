// decode_float16_d512.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash decoding for wide heads: out = softmax(mask(softcap(scale * Q K^T) - alibi + bias)) V, and its
// log-sum-exp, for few query rows.  The rows of all heads that share a KV head are packed into tiles;
// the keys are split over threadgroups.  O of a wide head fits into the registers of no simdgroup:
// several have the same rows, each for a slice of the columns.
//   head_dim   512
//   elements   float16; scores, softmax and sums in float32
//   masks      any, as a sliding window (left, right); a side without a limit reaches every key
//   masked     if the call has a mask tensor, of bools or of biases
//   sinks      if the call has any: one logit per query head is added to the softmax's denominator

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

typedef half element;

constant constexpr int HEAD_DIM = 512; // columns of Q and K
constant constexpr int HEAD_DIM_V = 512; // columns of V and O

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
    int has_sinks; // 1: sinks are given
    int kv_heads; // number of KV heads
    int most_queries; // packed: longer sequences are left to prefill
    int splits; // number of splits of the keys; 1: no partial results
    int slots; // queries per sequence that partial results have room for
};

struct Scaling {
    float softmax_scale; // multiplies Q K^T
    float softcap; // scores become softcap * tanh(score / softcap); 0: off
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

// A tile's rows: one for each pair of a query and a query head of this KV head.  The heads of one query
// are neighbours.
struct PackedRows {
    int first; // counted over the sequence's pairs
    int count; // that exist
    int heads_per_kv_head;
    int first_head;
};

inline PackedRows find_packed_rows(int first, int most, int kv_head, Sequence sequence, constant Call& call)
{
    const int heads = call.heads_per_kv_head;
    return {first, min(most, sequence.q_len * heads - first), heads, kv_head * heads};
}

inline int query_of(PackedRows rows, int row)
{
    return (rows.first + row) / rows.heads_per_kv_head;
}

inline int head_of(PackedRows rows, int row)
{
    return rows.first_head + (rows.first + row) % rows.heads_per_kv_head;
}

// Partial results have room for `slots` queries of each sequence.  The keys of a longer one are not split.
inline bool is_split(Sequence sequence, constant Call& call)
{
    return call.splits > 1 && sequence.q_len <= call.slots;
}

// The keys of one split: whole steps of the threadgroup, as many in each split; the last may have fewer.
// With a mask tensor none of them is known to need no mask.
template <typename Tile>
inline Band split_band(Band band, int split, int splits, constant Call& call)
{
    const int steps = (max(band.visited.end - band.visited.begin, 0) + Tile::STEP_K - 1) / Tile::STEP_K;
    const int steps_per_split = (steps + splits - 1) / splits;
    const int begin = band.visited.begin + split * steps_per_split * Tile::STEP_K;
    const int end = min(begin + steps_per_split * Tile::STEP_K, band.visited.end);
    const KeyRange visited = {begin, end};
    const KeyRange unmasked = {band.unmasked.begin, call.mask_type == NONE_MASK ? min(band.unmasked.end, end) : begin};
    return {visited, unmasked};
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

// 8 query rows (4 simdgroups, each for a slice of 8) x 16 keys;
// 18688 bytes of threadgroup memory: one block of K, or of V, and sums of scores.
struct q8k16 {
    static constant constexpr int BLOCK_Q = 8; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per block
    static constant constexpr int THREADS = 128;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr int SLICES = 4; // simdgroups that have the same rows
    static constant constexpr int D_FRAGMENTS = HEAD_DIM / SLICES / FRAGMENT; // of a slice of Q and K
    static constant constexpr int V_FRAGMENTS = HEAD_DIM_V / SLICES / FRAGMENT;
    static constant constexpr int SUMS = 4 * SIMDGROUP_ROWS * BLOCK_K; // of scores, of all simdgroups
    typedef element Stored; // an element of K or V
    static constant constexpr int STEP_K = BLOCK_K; // keys per step of a threadgroup
    typedef HeldRows<ROW_FRAGMENTS, D_FRAGMENTS> Queries;
};

// 16 query rows (8 simdgroups, each for a slice of 8) x 16 keys;
// 20736 bytes of threadgroup memory: one block of K, or of V, and sums of scores.
struct q16k16 {
    static constant constexpr int BLOCK_Q = 16; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per block
    static constant constexpr int THREADS = 256;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr int SLICES = 4; // simdgroups that have the same rows
    static constant constexpr int D_FRAGMENTS = HEAD_DIM / SLICES / FRAGMENT; // of a slice of Q and K
    static constant constexpr int V_FRAGMENTS = HEAD_DIM_V / SLICES / FRAGMENT;
    static constant constexpr int SUMS = 8 * SIMDGROUP_ROWS * BLOCK_K; // of scores, of all simdgroups
    typedef element Stored; // an element of K or V
    static constant constexpr int STEP_K = BLOCK_K; // keys per step of a threadgroup
    typedef HeldRows<ROW_FRAGMENTS, D_FRAGMENTS> Queries;
};

// 32 query rows (16 simdgroups, each for a slice of 8) x 16 keys;
// 24832 bytes of threadgroup memory: one block of K, or of V, and sums of scores.
struct q32k16 {
    static constant constexpr int BLOCK_Q = 32; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per block
    static constant constexpr int THREADS = 512;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr int SLICES = 4; // simdgroups that have the same rows
    static constant constexpr int D_FRAGMENTS = HEAD_DIM / SLICES / FRAGMENT; // of a slice of Q and K
    static constant constexpr int V_FRAGMENTS = HEAD_DIM_V / SLICES / FRAGMENT;
    static constant constexpr int SUMS = 16 * SIMDGROUP_ROWS * BLOCK_K; // of scores, of all simdgroups
    typedef element Stored; // an element of K or V
    static constant constexpr int STEP_K = BLOCK_K; // keys per step of a threadgroup
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

constant constexpr int SIMD_WIDTH = 32;

// A simdgroup's scores are sums over its slice of the columns.  Each lane writes its elements to
// threadgroup memory.
template <int R, int C>
inline void write_sums(threadgroup float* sums, thread Matrix<float, R, C>& scores, uint simdgroup, uint lane)
{
    sums += simdgroup * R * C * FRAGMENT * FRAGMENT + lane;
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                sums[((r * C + c) * 2 + i) * SIMD_WIDTH] = scores.fragments[r][c].thread_elements()[i];
            }
        }
    }
}

// Adds up the sums of all slices.  All simdgroups that share rows do so in one order, so that they have
// the same scores to the bit.
template <int SLICES, int R, int C>
inline void add_sums(thread Matrix<float, R, C>& scores, threadgroup const float* sums, uint simdgroup, uint lane)
{
    constexpr int ELEMENTS = R * C * FRAGMENT * FRAGMENT;
    const int own = simdgroup % SLICES;
    sums += (simdgroup - own) * ELEMENTS + lane;
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                float sum = 0.0f;
                UNROLL for (int slice = 0; slice < SLICES; ++slice) {
                    const int place = slice * ELEMENTS + ((r * C + c) * 2 + i) * SIMD_WIDTH;
                    sum += slice == own ? scores.fragments[r][c].thread_elements()[i] : sums[place];
                }
                scores.fragments[r][c].thread_elements()[i] = sum;
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

// What a lane knows of one of its rows; it has one in each row of fragments.
struct OwnRow {
    bool exists;
    int query;
    int head;
    int diagonal; // the key at the query's position
    float slope;  // of ALiBi, in base 2
};

inline OwnRow find_own_row(
    PackedRows rows, int row, Sequence sequence, device const float* alibi_slopes, constant Call& call)
{
    OwnRow own;
    own.exists = row < rows.count;
    own.query = query_of(rows, row);
    own.head = head_of(rows, row);
    own.diagonal = own.query + sequence.k_len - sequence.q_len;
    const long place = sequence.batch * call.alibi_batch_stride + own.head * call.alibi_head_stride;
    own.slope = call.has_alibi == 0 ? 0.0f : LOG2_E * alibi_slopes[place];
    return own;
}

// The sink of a head, in base 2.  It counts once, in the first split of the keys.
inline float find_sink(device const float* sinks, int head, uint split, constant Call& call)
{
    return call.has_sinks != 0 && split == 0 ? sinks[head] * LOG2_E : MASKED;
}

template <int R, int D>
inline void load_packed_rows(
    thread HeldRows<R, D>& rows, device const element* q, thread OwnRow (&own)[R], Place place, constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        device const element* source = q + own[r].query * call.q_row_stride + own[r].head * call.q_head_stride;
        UNROLL for (int d = 0; d < D; ++d) {
            load_fragment(rows.held.fragments[r][d], source + d * FRAGMENT + place.column, own[r].exists);
        }
    }
}

// ALiBi: a key's distance from the diagonal, times the slope, is subtracted from its base-2 logit.
template <int R, int C>
inline void add_packed_alibi(thread Matrix<float, R, C>& logits, thread OwnRow (&own)[R], int key, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int distance = abs(own[r].diagonal - (key + c * FRAGMENT + place.column + i));
                logits.fragments[r][c].thread_elements()[i] -= own[r].slope * float(distance);
            }
        }
    }
}

// Adds a mask to base-2 logits.
template <int R, int C>
inline void add_packed_mask(
    thread Matrix<float, R, C>& logits, device const uchar* attn_mask, thread OwnRow (&own)[R], Sequence sequence, int key,
    Place place, constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        device const uchar* mask = attn_mask + sequence.batch * call.mask_batch_stride
            + own[r].head * call.mask_head_stride + own[r].query * call.mask_row_stride;
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = key + c * FRAGMENT + place.column + i;
                if (own[r].exists && column < sequence.k_len) {
                    const uint bits = mask_bits(mask + column * call.mask_key_stride, call.mask_type);
                    const float logit = logits.fragments[r][c].thread_elements()[i];
                    logits.fragments[r][c].thread_elements()[i] = masked_logit(logit, bits);
                }
            }
        }
    }
}

// Sets the scores of keys that a row does not see to MASKED.
template <int R, int C>
inline void mask_packed_rows(
    thread Matrix<float, R, C>& scores, thread OwnRow (&own)[R], Sequence sequence, int key, Place place,
    constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const KeyRange seen = keys_seen<WINDOW>(own[r].diagonal, sequence, call);
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = key + c * FRAGMENT + place.column + i;
                if (column < seen.begin || column >= seen.end) {
                    scores.fragments[r][c].thread_elements()[i] = MASKED;
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

// Writes the rows that exist to device memory; they are a result or a partial result.
template <typename T, int R, int D>
inline void store_packed_rows(
    device T* out, thread Matrix<float, R, D>& outputs, thread OwnRow (&own)[R], long row_stride, long head_stride,
    Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        if (!own[r].exists) {
            continue;
        }
        device T* target = out + own[r].query * row_stride + own[r].head * head_stride + place.column;
        UNROLL for (int d = 0; d < D; ++d) {
            UNROLL for (int i = 0; i < 2; ++i) {
                target[d * FRAGMENT + i] = T(outputs.fragments[r][d].thread_elements()[i]);
            }
        }
    }
}

template <int R>
inline void store_log_sum_exp(
    device float* lse, thread RowSoftmax<R>& softmax, thread OwnRow (&own)[R], long head_stride, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        if (own[r].exists && place.column == 0) {
            lse[own[r].head * head_stride + own[r].query] = log_sum_exp(softmax.maximum[r], softmax.sum[r]);
        }
    }
}

// The log-sum-exp of a partial result, in base 2; LEAST_MAX if the row sees none of its keys.
template <int R>
inline void store_partial_lse(
    device float* lse, thread RowSoftmax<R>& softmax, thread OwnRow (&own)[R], long heads, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        if (own[r].exists && place.column == 0) {
            const float base_2 = softmax.maximum[r] + fast::log2(softmax.sum[r]);
            lse[own[r].query * heads + own[r].head] = softmax.sum[r] == 0.0f ? LEAST_MAX : base_2;
        }
    }
}

template <typename Tile>
[[kernel, max_total_threads_per_threadgroup(Tile::THREADS)]]
void decode(
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
    device const uchar* attn_mask [[buffer(13)]],
    constant Call& call [[buffer(14)]],
    constant Scaling& scaling [[buffer(15)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    typedef typename Tile::Stored Stored;
    threadgroup element k_block[Tile::BLOCK_K * STAGED_STRIDE];
    threadgroup element* v_block = k_block; // they take turns
    threadgroup float sums[Tile::SUMS]; // of scores

    // Where this threadgroup works: one sequence, one KV head, one split of the keys.
    const Sequence sequence = find_sequence(group.z, call, cu_seqlens_q, k_begin, k_end, block_table);
    const int kv_head = group.y % call.kv_heads;
    const int tiles = groups.y / call.kv_heads; // of the grid; longer sequences take more turns
    const bool split = is_split(sequence, call);
    if (sequence.q_len > call.most_queries || (!split && group.x > 0)) {
        return;
    }
    const Place place = find_place(lane);
    const int row = simdgroup / Tile::SLICES * Tile::SIMDGROUP_ROWS + place.row; // this lane's first, within a tile
    const int slice = simdgroup % Tile::SLICES;
    const int first_column = slice * Tile::D_FRAGMENTS * FRAGMENT; // of Q and K
    const int first_column_v = slice * Tile::V_FRAGMENTS * FRAGMENT;
    q += sequence.batch * call.q_batch_stride + sequence.q_start * call.q_row_stride;
    const int page = call.page_size == 0 ? sequence.batch : 0; // a padded batch has a page for each sequence
    device const Stored* stored_k = (device const Stored*)k + page * call.k_batch_stride + kv_head * call.k_head_stride;
    device const Stored* stored_v = (device const Stored*)v + page * call.v_batch_stride + kv_head * call.v_head_stride;

    typename Tile::Queries queries;
    Matrix<float, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> scores;
    Matrix<element, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> weights;
    Matrix<float, Tile::ROW_FRAGMENTS, Tile::V_FRAGMENTS> outputs;
    RowSoftmax<Tile::ROW_FRAGMENTS> softmax;
    OwnRow own[Tile::ROW_FRAGMENTS];
    float row_sinks[Tile::ROW_FRAGMENTS];

    const int last = sequence.q_len * call.heads_per_kv_head;
    for (int first = group.y / call.kv_heads * Tile::BLOCK_Q; first < last; first += tiles * Tile::BLOCK_Q) {
        const PackedRows rows = find_packed_rows(first, Tile::BLOCK_Q, kv_head, sequence, call);
        const Band whole = find_band<WINDOW>(query_of(rows, 0), query_of(rows, rows.count - 1), sequence, call);
        const Band band = split_band<Tile>(whole, group.x, split ? groups.x : 1, call);
        UNROLL for (int r = 0; r < Tile::ROW_FRAGMENTS; ++r) {
            own[r] = find_own_row(rows, row + r * FRAGMENT, sequence, alibi_slopes, call);
            row_sinks[r] = find_sink(sinks, own[r].head, group.x, call);
        }
        load_packed_rows(queries, q + first_column, own, place, call);
        clear(outputs);
        clear(softmax, row_sinks);

        for (int key = band.visited.begin; key < band.visited.end; key += Tile::BLOCK_K) {
            threadgroup_barrier(mem_flags::mem_threadgroup); // the last block is used up
            stage_rows<Tile, HEAD_DIM>(
                k_block, stored_k, sequence, key, call.k_batch_stride, call.k_row_stride, call, thread_index);
            threadgroup_barrier(mem_flags::mem_threadgroup); // this block is staged

            multiply_transposed<STAGED_STRIDE>(scores, queries, k_block + first_column);
            write_sums(sums, scores, simdgroup, lane);
            threadgroup_barrier(mem_flags::mem_threadgroup); // all sums are there, and K is used up
            stage_rows<Tile, HEAD_DIM_V>(
                v_block, stored_v, sequence, key, call.v_batch_stride, call.v_row_stride, call, thread_index);
            add_sums<Tile::SLICES>(scores, sums, simdgroup, lane);
            scale_scores(scores, scaling);
            if (call.has_alibi != 0) {
                add_packed_alibi(scores, own, key, place);
            }
            if (key < band.unmasked.begin || key + Tile::BLOCK_K > band.unmasked.end) {
                if (call.mask_type != NONE_MASK) {
                    add_packed_mask(scores, attn_mask, own, sequence, key, place, call);
                }
                mask_packed_rows(scores, own, sequence, key, place, call);
            }
            update_row_softmax(weights, outputs, softmax, scores, 1.0f);
            threadgroup_barrier(mem_flags::mem_threadgroup); // V is staged
            multiply_accumulate<STAGED_STRIDE_V>(outputs, weights, v_block + first_column_v);
        }

        finish_row_softmax(outputs, softmax, row_sinks, 1.0f);
        if (split) {
            const long first_slot = (long(group.x) * call.batch + sequence.batch) * call.slots;
            const long heads = call.kv_heads * call.heads_per_kv_head;
            device float* first_out = partial_out + first_slot * heads * HEAD_DIM_V + first_column_v;
            store_packed_rows(first_out, outputs, own, heads * HEAD_DIM_V, HEAD_DIM_V, place);
            if (slice == 0) {
                store_partial_lse(partial_lse + first_slot * heads, softmax, own, heads, place);
            }
        } else {
            const long first_row = sequence.batch * call.out_batch_stride + sequence.q_start * call.out_row_stride;
            device element* first_out = out + first_row + first_column_v;
            store_packed_rows(first_out, outputs, own, call.out_row_stride, call.out_head_stride, place);
            if (call.wants_lse != 0 && slice == 0) {
                const long first_lse = sequence.batch * call.lse_batch_stride + sequence.q_start;
                store_log_sum_exp(lse + first_lse, softmax, own, call.lse_head_stride, place);
            }
        }
    }
}

// The kernels.  To compile one of them alone, define ONLY and ONLY_<its name>.
#if !defined(ONLY) || defined(ONLY_decode_float16_d512_q8k16)
template [[host_name("decode_float16_d512_q8k16")]] [[kernel]]
decltype(decode<q8k16>) decode<q8k16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float16_d512_q16k16)
template [[host_name("decode_float16_d512_q16k16")]] [[kernel]]
decltype(decode<q16k16>) decode<q16k16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float16_d512_q32k16)
template [[host_name("decode_float16_d512_q32k16")]] [[kernel]]
decltype(decode<q32k16>) decode<q32k16>;
#endif
