// decode_float32_d128.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash decoding: out = softmax(mask(softcap(scale * Q K^T) - alibi + bias)) V, and its log-sum-exp, for
// few query rows.  The rows of all heads that share a KV head are packed into one tile, so that an
// element of K or V is read once for them all; the keys are split over threadgroups, and within
// one over its simdgroups.  K and V go from device memory straight into matrix fragments.
//   head_dim   128
//   elements   float32; scores, softmax and sums in float32
//   K and V    float32; float16 or bfloat16 in kernels of their own
//   masks      any, as a sliding window (left, right); a side without a limit reaches every key
//   masked     if the call has a mask tensor, of bools or of biases
//   sinks      if the call has any: one logit per query head is added to the softmax's denominator

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

typedef float element;

constant constexpr int HEAD_DIM = 128; // columns of Q and K
constant constexpr int HEAD_DIM_V = 128; // columns of V and O

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

typedef packed_float4 packed_element4; // aligned like one element: rows may start anywhere
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

// A lane holds elements of two columns of each fragment.  The eight lanes that hold the same two
// columns have indices that differ in bits 1, 2 and 4.
inline float2 column_max(float2 x)
{
    x = max(x, simd_shuffle_xor(x, 2));
    x = max(x, simd_shuffle_xor(x, 4));
    return max(x, simd_shuffle_xor(x, 16));
}

inline float2 column_sum(float2 x)
{
    x += simd_shuffle_xor(x, 2);
    x += simd_shuffle_xor(x, 4);
    return x + simd_shuffle_xor(x, 16);
}

// For both columns that this lane holds of fragment column c: its largest element, or `least` if that
// is larger.
template <int R, int C>
inline float2 lane_column_max(thread Matrix<float, R, C>& a, int c, float2 least)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int i = 0; i < 2; ++i) {
            least[i] = max(least[i], a.fragments[r][c].thread_elements()[i]);
        }
    }
    return least;
}

// Multiplies the two columns that this lane holds of fragment column c by a factor each.
template <int R, int C>
inline void scale_columns(thread Matrix<float, R, C>& a, int c, float2 factors)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int i = 0; i < 2; ++i) {
            a.fragments[r][c].thread_elements()[i] *= factors[i];
        }
    }
}

// P = 2^(S - maximum of the column) in fragment column c; returns lane_sums and this lane's elements of
// P, added up for each of its columns.
template <int R, int C>
inline float2 exp2_columns(
    thread Matrix<element, R, C>& p, thread Matrix<float, R, C>& s, int c, float2 maxima, float2 lane_sums)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int i = 0; i < 2; ++i) {
            const float weight = fast::exp2(s.fragments[r][c].thread_elements()[i] - maxima[i]);
            lane_sums[i] += weight;
            p.fragments[r][c].thread_elements()[i] = element(weight);
        }
    }
    return lane_sums;
}

// A lane reads VECTOR neighbouring elements of K or V at a time and puts them into several fragments.
// A fragment therefore holds columns that are not neighbours.  stage_queries gives Q the same order,
// and merge_outputs puts the columns of O back.
// The four lanes of a key's row read a chunk of 16 columns of K together, which is two fragments; the
// eight lanes of a value's row read a chunk of 32 columns of V, which is four.  Where the last chunk
// goes beyond a row, zeros are read.
constant constexpr int VECTOR = 4;
constant constexpr int K_CHUNK = 4 * VECTOR;
constant constexpr int V_CHUNK = 8 * VECTOR;
constant constexpr int K_CHUNKS = (HEAD_DIM + K_CHUNK - 1) / K_CHUNK;
constant constexpr int V_CHUNKS = (HEAD_DIM_V + V_CHUNK - 1) / V_CHUNK;
constant constexpr int FRAGMENT_ELEMENTS = FRAGMENT * FRAGMENT;
constant constexpr int Q_FRAGMENTS = K_CHUNKS * K_CHUNK / FRAGMENT;
constant constexpr int O_FRAGMENTS = V_CHUNKS * V_CHUNK / FRAGMENT;

// 8 rows; 4 simdgroups of 16 keys;
// 8448 bytes of threadgroup memory: Q, and 8 rows of O while they are merged.
struct q8k16 {
    typedef element Stored; // an element of K or V
    static constant constexpr int BLOCK_Q = 8; // rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per simdgroup and step
    static constant constexpr int SIMDGROUPS = 4;
    static constant constexpr int STEP_K = SIMDGROUPS * BLOCK_K; // keys per step of a threadgroup
    static constant constexpr int THREADS = 128;
    static constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
};

// 8 rows; 4 simdgroups of 16 keys;
// 8448 bytes of threadgroup memory: Q, and 8 rows of O while they are merged.
struct q8k16_float16 {
    typedef half Stored; // an element of K or V
    static constant constexpr int BLOCK_Q = 8; // rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per simdgroup and step
    static constant constexpr int SIMDGROUPS = 4;
    static constant constexpr int STEP_K = SIMDGROUPS * BLOCK_K; // keys per step of a threadgroup
    static constant constexpr int THREADS = 128;
    static constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
};

// 8 rows; 4 simdgroups of 16 keys;
// 8448 bytes of threadgroup memory: Q, and 8 rows of O while they are merged.
struct q8k16_bfloat16 {
    typedef bfloat Stored; // an element of K or V
    static constant constexpr int BLOCK_Q = 8; // rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per simdgroup and step
    static constant constexpr int SIMDGROUPS = 4;
    static constant constexpr int STEP_K = SIMDGROUPS * BLOCK_K; // keys per step of a threadgroup
    static constant constexpr int THREADS = 128;
    static constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
};

// 16 rows; 8 simdgroups of 16 keys;
// 12800 bytes of threadgroup memory: Q, and 8 rows of O while they are merged.
struct q16k16 {
    typedef element Stored; // an element of K or V
    static constant constexpr int BLOCK_Q = 16; // rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per simdgroup and step
    static constant constexpr int SIMDGROUPS = 8;
    static constant constexpr int STEP_K = SIMDGROUPS * BLOCK_K; // keys per step of a threadgroup
    static constant constexpr int THREADS = 256;
    static constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
};

// 16 rows; 8 simdgroups of 16 keys;
// 12800 bytes of threadgroup memory: Q, and 8 rows of O while they are merged.
struct q16k16_float16 {
    typedef half Stored; // an element of K or V
    static constant constexpr int BLOCK_Q = 16; // rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per simdgroup and step
    static constant constexpr int SIMDGROUPS = 8;
    static constant constexpr int STEP_K = SIMDGROUPS * BLOCK_K; // keys per step of a threadgroup
    static constant constexpr int THREADS = 256;
    static constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
};

// 16 rows; 8 simdgroups of 16 keys;
// 12800 bytes of threadgroup memory: Q, and 8 rows of O while they are merged.
struct q16k16_bfloat16 {
    typedef bfloat Stored; // an element of K or V
    static constant constexpr int BLOCK_Q = 16; // rows per threadgroup
    static constant constexpr int BLOCK_K = 16; // keys per simdgroup and step
    static constant constexpr int SIMDGROUPS = 8;
    static constant constexpr int STEP_K = SIMDGROUPS * BLOCK_K; // keys per step of a threadgroup
    static constant constexpr int THREADS = 256;
    static constant constexpr int ROW_FRAGMENTS = BLOCK_Q / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
};

// Four neighbouring elements of a row, which may start anywhere.
inline element4 load_four(device const element* source)
{
    return element4(*(device const packed_element4*)source);
}

// K and V may have 16 bits where Q has 32: they are converted as they are loaded.
inline element4 load_four(device const half* source)
{
    return element4(half4(*(device const packed_half4*)source));
}

inline element4 load_four(device const bfloat* source)
{
    return element4(bfloat4(*(device const packed_bfloat4*)source));
}

// The same of K or V; zeros where the row or the column does not exist.
template <int COLUMNS, typename T>
inline element4 load_vector(device const T* row, int column, bool exists)
{
    if (COLUMNS % V_CHUNK != 0) {
        exists = exists && column < COLUMNS;
    }
    return exists ? load_four(row + column) : element4(0);
}

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

// The rows of one fragment of the tile; the count is 0 or less if it has none.
inline PackedRows rows_of_fragment(PackedRows rows, int fragment)
{
    const int before = fragment * FRAGMENT;
    return {rows.first + before, min(FRAGMENT, rows.count - before), rows.heads_per_kv_head, rows.first_head};
}

// Sets the scores of keys that a row does not see to MASKED.  `rows` are those of fragment column c.
template <int R, int C>
inline void mask_columns(
    thread Matrix<float, R, C>& scores, int c, PackedRows rows, Sequence sequence, int key, Place place, constant Call& call)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        const int diagonal = query_of(rows, place.column + i) + sequence.k_len - sequence.q_len;
        const KeyRange seen = keys_seen<WINDOW>(diagonal, sequence, call);
        UNROLL for (int r = 0; r < R; ++r) {
            const int row = key + r * FRAGMENT + place.row;
            if (row < seen.begin || row >= seen.end) {
                scores.fragments[r][c].thread_elements()[i] = MASKED;
            }
        }
    }
}

// ALiBi of this lane's rows: a key's distance from the diagonal, times the slope, is subtracted from
// its base-2 logit.
struct ColumnAlibi {
    int diagonal[2];
    float slope[2];
};

inline ColumnAlibi find_column_alibi(
    PackedRows rows, Sequence sequence, device const float* alibi_slopes, Place place, constant Call& call)
{
    ColumnAlibi alibi;
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        alibi.diagonal[i] = query_of(rows, row) + sequence.k_len - sequence.q_len;
        const long slope = sequence.batch * call.alibi_batch_stride + head_of(rows, row) * call.alibi_head_stride;
        alibi.slope[i] = call.has_alibi == 0 ? 0.0f : LOG2_E * alibi_slopes[slope];
    }
    return alibi;
}

template <int R, int C>
inline void add_column_alibi(thread Matrix<float, R, C>& scores, int c, ColumnAlibi alibi, int key, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int i = 0; i < 2; ++i) {
            const int distance = abs(alibi.diagonal[i] - (key + r * FRAGMENT + place.row));
            scores.fragments[r][c].thread_elements()[i] -= alibi.slope[i] * float(distance);
        }
    }
}

// The sinks of this lane's rows, in base 2.  They count once, in the first split of the keys.
inline float2 find_sink(device const float* sinks, PackedRows rows, Place place, uint split, constant Call& call)
{
    float2 sink = MASKED;
    UNROLL for (int i = 0; i < 2; ++i) {
        if (call.has_sinks != 0 && split == 0) {
            sink[i] = sinks[head_of(rows, place.column + i)] * LOG2_E;
        }
    }
    return sink;
}

// A mask's elements for row `row` of `rows` and all keys.
inline device const uchar* find_mask_row(
    device const uchar* attn_mask, PackedRows rows, int row, Sequence sequence, constant Call& call)
{
    return attn_mask + sequence.batch * call.mask_batch_stride + head_of(rows, row) * call.mask_head_stride
        + query_of(rows, row) * call.mask_row_stride;
}

// Whether a mask lets the rows of a fragment column see any of this lane's keys.
template <int R>
inline bool shows_keys(
    device const uchar* attn_mask, PackedRows rows, Sequence sequence, int key, int end, Place place, constant Call& call)
{
    bool shown = false;
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        if (row >= rows.count) {
            continue;
        }
        device const uchar* mask = find_mask_row(attn_mask, rows, row, sequence, call);
        UNROLL for (int r = 0; r < R; ++r) {
            const int column = key + r * FRAGMENT + place.row;
            if (!shown && column < end) {
                shown = !is_hidden(mask_bits(mask + column * call.mask_key_stride, call.mask_type));
            }
        }
    }
    return shown;
}

// Adds a mask to the base-2 logits of fragment column c; `rows` are its rows, and keys from `end` on do
// not exist.
template <int R, int C>
inline void add_column_mask(
    thread Matrix<float, R, C>& logits, int c, device const uchar* attn_mask, PackedRows rows, Sequence sequence, int key,
    int end, Place place, constant Call& call)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        if (row >= rows.count) {
            continue;
        }
        device const uchar* mask = find_mask_row(attn_mask, rows, row, sequence, call);
        UNROLL for (int r = 0; r < R; ++r) {
            const int column = key + r * FRAGMENT + place.row;
            if (column < end) {
                const uint bits = mask_bits(mask + column * call.mask_key_stride, call.mask_type);
                const float logit = logits.fragments[r][c].thread_elements()[i];
                logits.fragments[r][c].thread_elements()[i] = masked_logit(logit, bits);
            }
        }
    }
}

// Copies a fragment's rows of Q to threadgroup memory, transposed.  The columns get the order that they
// have in fragments of K (see VECTOR).  Rows that do not exist are 0.
template <typename Tile>
inline void stage_queries(
    threadgroup element* q_block, device const element* q, PackedRows rows, constant Call& call, uint thread_index)
{
    for (int i = thread_index; i < Q_FRAGMENTS * FRAGMENT_ELEMENTS; i += Tile::THREADS) {
        const int row = i % FRAGMENT;
        const int fragment = i / FRAGMENT_ELEMENTS;
        const int lane_of_row = i / FRAGMENT % FRAGMENT / 2; // 0..3, of the four that hold a key's row
        const int chunk = fragment / 2;
        const int column = (chunk * 4 + lane_of_row) * VECTOR + fragment % 2 * 2 + i / FRAGMENT % 2;
        element value = element(0);
        if (row < rows.count && column < HEAD_DIM) {
            value = q[query_of(rows, row) * call.q_row_stride + head_of(rows, row) * call.q_head_stride + column];
        }
        q_block[i] = value;
    }
}

// This lane's row of K in each fragment of a block of keys.
template <typename T, int R>
struct KeyRows {
    device const T* start[R];
    bool exists[R];
};

template <typename T, int R>
inline void find_key_rows(
    thread KeyRows<T, R>& rows, device const T* k, Sequence sequence, int key, int end, Place place, constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int row = key + r * FRAGMENT + place.row;
        rows.start[r] = k + row_offset(sequence.k_start + row, sequence.pages, call.k_batch_stride, call.k_row_stride, call);
        rows.exists[r] = row < end;
    }
}

// S^T = K Q^T over the chunks of columns from `begin` to `end`.  K is read once for all rows of Q.
template <typename T, int R, int C>
inline void multiply_chunks(
    thread Matrix<float, R, C>& scores, int begin, int end, thread KeyRows<T, R>& rows, threadgroup const element* q_block,
    Place place)
{
    clear(scores);
    UNROLL for (int chunk = begin; chunk < end; ++chunk) {
        element4 vectors[R];
        UNROLL for (int r = 0; r < R; ++r) {
            vectors[r] = load_vector<HEAD_DIM>(rows.start[r], chunk * K_CHUNK + place.column / 2 * VECTOR, rows.exists[r]);
        }
        UNROLL for (int half_chunk = 0; half_chunk < 2; ++half_chunk) {
            Fragment<element> queries[C];
            UNROLL for (int c = 0; c < C; ++c) {
                const int fragment = c * Q_FRAGMENTS + chunk * 2 + half_chunk;
                simdgroup_load(queries[c], q_block + fragment * FRAGMENT_ELEMENTS, FRAGMENT);
            }
            UNROLL for (int r = 0; r < R; ++r) {
                Fragment<element> keys;
                keys.thread_elements()[0] = vectors[r][half_chunk * 2];
                keys.thread_elements()[1] = vectors[r][half_chunk * 2 + 1];
                UNROLL for (int c = 0; c < C; ++c) {
                    simdgroup_multiply_accumulate(scores.fragments[r][c], keys, queries[c], scores.fragments[r][c]);
                }
            }
        }
    }
}

// A += B.
template <int R, int C>
inline void add(thread Matrix<float, R, C>& a, thread Matrix<float, R, C>& b)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                a.fragments[r][c].thread_elements()[i] += b.fragments[r][c].thread_elements()[i];
            }
        }
    }
}

// S^T = K Q^T for a block of keys; keys from `end` on do not exist and are read as 0.  A float32
// product is summed in short chains, so that its rounding error grows with the chain's length and not
// with HEAD_DIM.
constant constexpr int CHAIN = 2; // chunks
template <typename T, int R, int C>
inline void multiply_keys_queries(
    thread Matrix<float, R, C>& scores, device const T* k, Sequence sequence, int key, int end,
    threadgroup const element* q_block, Place place, constant Call& call)
{
    KeyRows<T, R> rows;
    find_key_rows(rows, k, sequence, key, end, place, call);
    multiply_chunks(scores, 0, min(CHAIN, K_CHUNKS), rows, q_block, place);
    UNROLL for (int begin = CHAIN; begin < K_CHUNKS; begin += CHAIN) {
        Matrix<float, R, C> sums;
        multiply_chunks(sums, begin, min(begin + CHAIN, K_CHUNKS), rows, q_block, place);
        add(scores, sums);
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

// What a sink adds to the sum of a row with this maximum; both are base-2 logits.  NaN gives NaN.
inline float sink_weight(float sink, float maximum)
{
    return sink <= MASKED ? 0.0f : fast::exp2(sink - maximum);
}

// The online softmax of this lane's two rows of a fragment.
struct ColumnSoftmax {
    float2 maximum; // of base-2 logits
    float2 sum;     // of the weights: this lane's, or all
};

// Before the first block.
inline void clear(thread ColumnSoftmax& softmax)
{
    softmax.maximum = LEAST_MAX;
    softmax.sum = 0.0f;
}

// Online softmax: P^T = 2^(S^T - max).  The sum and O so far are multiplied by 2^(old max - max).
template <int R, int C, int D>
inline void update_column_softmax(
    thread Matrix<element, R, C>& weights, thread Matrix<float, D, C>& outputs, thread ColumnSoftmax& softmax,
    thread Matrix<float, R, C>& scores, int c)
{
    const float2 maximum = column_max(lane_column_max(scores, c, softmax.maximum));
    const float2 factor = fast::exp2(softmax.maximum - maximum);
    softmax.maximum = maximum;
    softmax.sum *= factor;
    scale_columns(outputs, c, factor);
    softmax.sum = exp2_columns(weights, scores, c, maximum, softmax.sum);
}

// O^T += V^T P^T for a block of keys; values from `end` on do not exist and are read as 0.  V is read
// once for the weights of all rows.
template <typename T, int R, int C>
inline void add_weighted_values(
    thread Matrix<float, O_FRAGMENTS, C>& outputs, thread Matrix<element, R, C>& weights, device const T* v,
    Sequence sequence, int key, int end, Place place, constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        device const T* rows[2];
        bool exists[2];
        UNROLL for (int i = 0; i < 2; ++i) {
            const int row = key + r * FRAGMENT + place.column + i;
            rows[i] = v + row_offset(sequence.k_start + row, sequence.pages, call.v_batch_stride, call.v_row_stride, call);
            exists[i] = row < end;
        }
        UNROLL for (int chunk = 0; chunk < V_CHUNKS; ++chunk) {
            const int column = chunk * V_CHUNK + place.row * VECTOR;
            const element4 first = load_vector<HEAD_DIM_V>(rows[0], column, exists[0]);
            const element4 second = load_vector<HEAD_DIM_V>(rows[1], column, exists[1]);
            UNROLL for (int i = 0; i < VECTOR; ++i) {
                Fragment<element> values;
                values.thread_elements()[0] = first[i];
                values.thread_elements()[1] = second[i];
                UNROLL for (int c = 0; c < C; ++c) {
                    thread Fragment<float>& sum = outputs.fragments[chunk * VECTOR + i][c];
                    simdgroup_multiply_accumulate(sum, values, weights.fragments[r][c], sum);
                }
            }
        }
    }
}

// The maximum and the sum of each row of a fragment, over the keys of one simdgroup.
struct SimdgroupSoftmax {
    float maximum[FRAGMENT];
    float sum[FRAGMENT];
};

// The maximum and the sum of this lane's rows, over the keys of all simdgroups and the sink.
template <typename Tile>
inline ColumnSoftmax merge_softmax(
    threadgroup SimdgroupSoftmax* softmax_of, ColumnSoftmax own, float2 sink, uint simdgroup, Place place)
{
    const float2 own_sum = column_sum(own.sum);
    if (place.row == 0) {
        UNROLL for (int i = 0; i < 2; ++i) {
            softmax_of[simdgroup].maximum[place.column + i] = own.maximum[i];
            softmax_of[simdgroup].sum[place.column + i] = own_sum[i];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup); // every simdgroup's softmax is known

    ColumnSoftmax all;
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        float maximum = max(sink[i], LEAST_MAX);
        UNROLL for (int s = 0; s < Tile::SIMDGROUPS; ++s) {
            maximum = max(maximum, softmax_of[s].maximum[row]);
        }
        float sum = sink_weight(sink[i], maximum);
        UNROLL for (int s = 0; s < Tile::SIMDGROUPS; ++s) {
            sum += softmax_of[s].sum[row] * fast::exp2(softmax_of[s].maximum[row] - maximum);
        }
        all.maximum[i] = maximum;
        all.sum[i] = sum;
    }
    return all;
}

// Adds up O of all simdgroups for fragment column c, normalised, in threadgroup memory.  There it is
// stored row by row.  The order of the sum is fixed.
template <typename Tile, int C>
inline void merge_outputs(
    threadgroup float* merged, thread Matrix<float, O_FRAGMENTS, C>& outputs, int c, float2 own_maximum, ColumnSoftmax all,
    uint simdgroup, Place place)
{
    float2 factor;
    UNROLL for (int i = 0; i < 2; ++i) {
        // A row that sees no key has sum 0 and O 0.
        factor[i] = all.sum[i] == 0.0f ? 0.0f : fast::exp2(own_maximum[i] - all.maximum[i]) / all.sum[i];
    }
    scale_columns(outputs, c, factor);
    for (uint s = 0; s < Tile::SIMDGROUPS; ++s) {
        if (simdgroup == s) {
            UNROLL for (int o = 0; o < O_FRAGMENTS; ++o) {
                const int column = o / VECTOR * V_CHUNK + place.row * VECTOR + o % VECTOR;
                if (HEAD_DIM_V % V_CHUNK != 0 && column >= HEAD_DIM_V) {
                    continue;
                }
                UNROLL for (int i = 0; i < 2; ++i) {
                    threadgroup float& sum = merged[(place.column + i) * HEAD_DIM_V + column];
                    sum = outputs.fragments[o][c].thread_elements()[i] + (s == 0 ? 0.0f : sum);
                }
            }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup); // one simdgroup after the other
    }
}

// Copies the rows that exist to device memory; they are a result or a partial result.
template <typename Tile, typename T>
inline void store_rows(
    device T* out, threadgroup const float* merged, PackedRows rows, long row_stride, long head_stride, uint thread_index)
{
    for (int i = thread_index; i < rows.count * HEAD_DIM_V; i += Tile::THREADS) {
        const int row = i / HEAD_DIM_V;
        const long offset = query_of(rows, row) * row_stride + head_of(rows, row) * head_stride;
        out[offset + i % HEAD_DIM_V] = T(merged[i]);
    }
}

inline void store_log_sum_exp(
    device float* lse, ColumnSoftmax all, PackedRows rows, long head_stride, uint simdgroup, Place place)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        if (simdgroup == 0 && place.row == 0 && row < rows.count) {
            lse[head_of(rows, row) * head_stride + query_of(rows, row)] = log_sum_exp(all.maximum[i], all.sum[i]);
        }
    }
}

// The log-sum-exp of a partial result, in base 2; LEAST_MAX if the row sees none of its keys.
inline void store_partial_lse(
    device float* lse, ColumnSoftmax all, PackedRows rows, long heads, uint simdgroup, Place place)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        const int row = place.column + i;
        if (simdgroup == 0 && place.row == 0 && row < rows.count) {
            const float base_2 = all.maximum[i] + fast::log2(all.sum[i]);
            lse[query_of(rows, row) * heads + head_of(rows, row)] = all.sum[i] == 0.0f ? LEAST_MAX : base_2;
        }
    }
}

template <typename Tile>
[[kernel, max_total_threads_per_threadgroup(Tile::THREADS)]]
void decode(
    device const element* q [[buffer(0)]],
    device const void* k [[buffer(1)]],
    device const void* v [[buffer(2)]],
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
    threadgroup element q_block[Tile::ROW_FRAGMENTS * Q_FRAGMENTS * FRAGMENT_ELEMENTS];
    threadgroup float merged[FRAGMENT * HEAD_DIM_V];
    threadgroup SimdgroupSoftmax softmax_of[Tile::SIMDGROUPS];

    // Where this threadgroup works: one sequence, one KV head, one split of the keys.
    const Sequence sequence = find_sequence(group.z, call, cu_seqlens_q, k_begin, k_end, block_table);
    const int kv_head = group.y % call.kv_heads;
    const int tiles = groups.y / call.kv_heads; // of the grid; longer sequences take more turns
    const bool split = is_split(sequence, call);
    if (sequence.q_len > call.most_queries || (!split && group.x > 0)) {
        return;
    }
    const Place place = find_place(lane);
    q += sequence.batch * call.q_batch_stride + sequence.q_start * call.q_row_stride;
    const int page = call.page_size == 0 ? sequence.batch : 0; // a padded batch has a page for each sequence
    device const Stored* stored_k = (device const Stored*)k + page * call.k_batch_stride + kv_head * call.k_head_stride;
    device const Stored* stored_v = (device const Stored*)v + page * call.v_batch_stride + kv_head * call.v_head_stride;

    Matrix<float, Tile::K_FRAGMENTS, Tile::ROW_FRAGMENTS> scores;    // S^T: keys x rows
    Matrix<element, Tile::K_FRAGMENTS, Tile::ROW_FRAGMENTS> weights; // P^T
    Matrix<float, O_FRAGMENTS, Tile::ROW_FRAGMENTS> outputs;         // O^T: columns x rows
    ColumnSoftmax softmax[Tile::ROW_FRAGMENTS];
    ColumnAlibi alibi[Tile::ROW_FRAGMENTS];

    const int last = sequence.q_len * call.heads_per_kv_head;
    for (int first = group.y / call.kv_heads * Tile::BLOCK_Q; first < last; first += tiles * Tile::BLOCK_Q) {
        const PackedRows rows = find_packed_rows(first, Tile::BLOCK_Q, kv_head, sequence, call);
        const Band whole = find_band<WINDOW>(query_of(rows, 0), query_of(rows, rows.count - 1), sequence, call);
        const Band band = split_band<Tile>(whole, group.x, split ? groups.x : 1, call);

        // The barriers of the last tile's merge lie between its products and what is staged here.
        UNROLL for (int r = 0; r < Tile::ROW_FRAGMENTS; ++r) {
            const PackedRows own = rows_of_fragment(rows, r);
            alibi[r] = find_column_alibi(own, sequence, alibi_slopes, place, call);
            stage_queries<Tile>(q_block + r * Q_FRAGMENTS * FRAGMENT_ELEMENTS, q, own, call, thread_index);
            clear(softmax[r]);
        }
        clear(outputs);
        threadgroup_barrier(mem_flags::mem_threadgroup); // this one is staged

        const int first_key = band.visited.begin + int(simdgroup) * Tile::BLOCK_K;
        for (int key = first_key; key < band.visited.end; key += Tile::STEP_K) {
            bool shown = call.mask_type == NONE_MASK;
            UNROLL for (int r = 0; r < Tile::ROW_FRAGMENTS; ++r) {
                const PackedRows own = rows_of_fragment(rows, r);
                shown = shown || shows_keys<Tile::K_FRAGMENTS>(attn_mask, own, sequence, key, band.visited.end, place, call);
            }
            if (!simd_any(shown)) {
                continue; // the mask hides these keys from all rows: neither they nor their values are read
            }
            multiply_keys_queries(scores, stored_k, sequence, key, band.visited.end, q_block, place, call);
            scale_scores(scores, scaling);
            UNROLL for (int r = 0; r < Tile::ROW_FRAGMENTS; ++r) {
                if (alibi[r].slope[0] != 0.0f || alibi[r].slope[1] != 0.0f) {
                    add_column_alibi(scores, r, alibi[r], key, place);
                }
                if (key < band.unmasked.begin || key + Tile::BLOCK_K > band.unmasked.end) {
                    const PackedRows own = rows_of_fragment(rows, r);
                    if (call.mask_type != NONE_MASK) {
                        add_column_mask(scores, r, attn_mask, own, sequence, key, band.visited.end, place, call);
                    }
                    mask_columns(scores, r, own, sequence, key, place, call);
                }
                update_column_softmax(weights, outputs, softmax[r], scores, r);
            }
            add_weighted_values(outputs, weights, stored_v, sequence, key, band.visited.end, place, call);
        }

        UNROLL for (int r = 0; r < Tile::ROW_FRAGMENTS; ++r) {
            const PackedRows own = rows_of_fragment(rows, r);
            const float2 sink = find_sink(sinks, own, place, group.x, call);
            const ColumnSoftmax all = merge_softmax<Tile>(softmax_of, softmax[r], sink, simdgroup, place);
            merge_outputs<Tile>(merged, outputs, r, softmax[r].maximum, all, simdgroup, place);
            if (split) {
                const long first_slot = (long(group.x) * call.batch + sequence.batch) * call.slots;
                const long heads = call.kv_heads * call.heads_per_kv_head;
                device float* first_out = partial_out + first_slot * heads * HEAD_DIM_V;
                store_rows<Tile>(first_out, merged, own, heads * HEAD_DIM_V, HEAD_DIM_V, thread_index);
                store_partial_lse(partial_lse + first_slot * heads, all, own, heads, simdgroup, place);
            } else {
                const long first_row = sequence.batch * call.out_batch_stride + sequence.q_start * call.out_row_stride;
                store_rows<Tile>(out + first_row, merged, own, call.out_row_stride, call.out_head_stride, thread_index);
                if (call.wants_lse != 0) {
                    const long first_lse = sequence.batch * call.lse_batch_stride + sequence.q_start;
                    store_log_sum_exp(lse + first_lse, all, own, call.lse_head_stride, simdgroup, place);
                }
            }
        }
    }
}

// The kernels.  To compile one of them alone, define ONLY and ONLY_<its name>.
#if !defined(ONLY) || defined(ONLY_decode_float32_d128_q8k16)
template [[host_name("decode_float32_d128_q8k16")]] [[kernel]]
decltype(decode<q8k16>) decode<q8k16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float32_d128_q8k16_float16)
template [[host_name("decode_float32_d128_q8k16_float16")]] [[kernel]]
decltype(decode<q8k16_float16>) decode<q8k16_float16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float32_d128_q8k16_bfloat16)
template [[host_name("decode_float32_d128_q8k16_bfloat16")]] [[kernel]]
decltype(decode<q8k16_bfloat16>) decode<q8k16_bfloat16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float32_d128_q16k16)
template [[host_name("decode_float32_d128_q16k16")]] [[kernel]]
decltype(decode<q16k16>) decode<q16k16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float32_d128_q16k16_float16)
template [[host_name("decode_float32_d128_q16k16_float16")]] [[kernel]]
decltype(decode<q16k16_float16>) decode<q16k16_float16>;
#endif
#if !defined(ONLY) || defined(ONLY_decode_float32_d128_q16k16_bfloat16)
template [[host_name("decode_float32_d128_q16k16_bfloat16")]] [[kernel]]
decltype(decode<q16k16_bfloat16>) decode<q16k16_bfloat16>;
#endif
