// backward_mask_float32_d256.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Flash attention, backward: the gradient of a bias that is added to the scores.
//   P     = 2^(logits - log-sum-exp)   recomputed from Q and K
//   dP    = dO V^T
//   dmask = P (dP - delta)             delta as backward_rows has it; the sum of it over all sequences, heads,
//                                      queries or keys that one element of the mask is for
// A threadgroup has a tile of the gradient, and goes over all terms of its sum.  Where that would leave
// cores idle, several do, each over a split of the terms, and partial results are added up in fixed order.
//   head_dim   256
//   elements   float32; scores, weights and sums in float32; the mask may have another type
//   masks      all, and dropout as in the forward kernels

#include <metal_stdlib>
#include <metal_simdgroup_matrix>

using namespace metal;

typedef float element;

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

constant constexpr int D_FRAGMENTS = HEAD_DIM / FRAGMENT;
constant constexpr int V_FRAGMENTS = HEAD_DIM_V / FRAGMENT;
constant constexpr int PADDING = 4; // elements behind a staged row, against bank conflicts
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
    long grad_out_batch_stride; // grad_out: elements from one batch to the next
    long grad_out_row_stride; // grad_out: elements from one row to the next
    long grad_out_head_stride; // grad_out: elements from one head to the next
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
    int sums_batches; // 1: the gradient is one for all batches
    int sums_heads; // 1: the gradient is one for all heads
    int sums_rows; // 1: the gradient is one for all rows
    int sums_keys; // 1: the gradient is one for all keys
    int kv_heads; // number of KV heads
    int splits; // number of splits of the terms; 1: no partial gradients
    int has_dropout; // 1: weights are dropped
    int keep_below; // dropout: bits of a uint; a weight is kept if its random number is less
    int mask_type; // elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
};

struct Scaling {
    float softmax_scale; // multiplies Q K^T
    float softcap; // scores become softcap * tanh(score / softcap); 0: off
    float keep_scale; // 1 / (1 - dropout_p), which scales the weights that are kept
};

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

// Reads one fragment of a simdgroup's rows of a tensor; a row that does not exist is 0.
inline void load_fragment(thread Fragment<element>& fragment, device const element* source, bool exists)
{
    UNROLL for (int i = 0; i < 2; ++i) {
        fragment.thread_elements()[i] = exists ? source[i] : element(0);
    }
}

// A simdgroup's rows of a tensor.  All of them would not fit into the registers: each fragment is read
// when it is needed.
template <int R, int D>
struct ReadRows {
    static constant constexpr int FRAGMENTS = D;
    device const element* source[R]; // this lane's rows and column
    bool exists[R];
};

template <int R, int D>
inline void load_rows(
    thread ReadRows<R, D>& rows, device const element* source, long stride, int row, int end, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int own = row + r * FRAGMENT;
        rows.source[r] = source + own * stride + place.column;
        rows.exists[r] = own < end;
    }
}

// Fragment column d of the rows.
template <int R, int D>
inline void find_column(thread Matrix<element, R, 1>& column, thread ReadRows<R, D>& rows, int d)
{
    UNROLL for (int r = 0; r < R; ++r) {
        load_fragment(column.fragments[r][0], rows.source[r] + d * FRAGMENT, rows.exists[r]);
    }
}

// 32 query rows (4 simdgroups of 8) x 8 keys;
// 17664 bytes of threadgroup memory: one block of K, one of V.
struct q32k8 {
    static constant constexpr int BLOCK_Q = 32; // query rows per threadgroup
    static constant constexpr int BLOCK_K = 8; // keys per block
    static constant constexpr int THREADS = 128;
    static constant constexpr int SIMDGROUP_ROWS = 8; // query rows per simdgroup
    static constant constexpr int ROW_FRAGMENTS = SIMDGROUP_ROWS / FRAGMENT;
    static constant constexpr int K_FRAGMENTS = BLOCK_K / FRAGMENT;
    static constant constexpr bool DROPOUT = true;
    static constant constexpr bool TAKES_MASK = true;
    typedef ReadRows<ROW_FRAGMENTS, D_FRAGMENTS> Queries;
    typedef ReadRows<ROW_FRAGMENTS, V_FRAGMENTS> GradRows;
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

// Copies a block of rows to threadgroup memory; rows from `end` on are 0.
template <int THREADS, int BLOCK, int COLUMNS>
inline void stage_rows(
    threadgroup element* block, device const element* source, long stride, int first_row, int end, uint thread_index)
{
    constexpr int ROW_THREADS = THREADS / BLOCK;
    const int row = thread_index / ROW_THREADS;
    const bool exists = first_row + row < end;
    stage_row<ROW_THREADS, COLUMNS>(
        block + row * (COLUMNS + PADDING), source + (first_row + row) * stride, thread_index % ROW_THREADS * 4, exists);
}

// Reads fragment (c, d) of a block of staged rows, transposed: columns x rows.
template <int STRIDE>
inline void load_transposed(thread Fragment<element>& fragment, threadgroup const element* block, int c, int d)
{
    simdgroup_load(fragment, block + c * FRAGMENT * STRIDE + d * FRAGMENT, STRIDE, ulong2(0), true);
}

// Adds B to fragment column c of A.
template <int R, int C>
inline void add_to_column(thread Matrix<float, R, C>& a, int c, thread Matrix<float, R, 1>& b)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int i = 0; i < 2; ++i) {
            a.fragments[r][c].thread_elements()[i] += b.fragments[r][0].thread_elements()[i];
        }
    }
}

// S = A B^T, where B is a block of staged rows, STRIDE elements apart.  A float32 product is summed in
// short chains, so that its rounding error grows with the chain's length and not with that of a row.
constant constexpr int CHAIN = 4; // fragments

template <int STRIDE, typename Rows, int R, int C>
inline void multiply_transposed(thread Matrix<float, R, C>& s, thread Rows& a, threadgroup const element* block)
{
    clear(s);
    UNROLL for (int c = 0; c < C; ++c) {
        UNROLL for (int begin = 0; begin < Rows::FRAGMENTS; begin += CHAIN) {
            Matrix<float, R, 1> sums;
            clear(sums);
            UNROLL for (int d = begin; d < min(begin + CHAIN, Rows::FRAGMENTS); ++d) {
                Fragment<element> b;
                load_transposed<STRIDE>(b, block, c, d);
                Matrix<element, R, 1> column;
                find_column(column, a, d);
                UNROLL for (int r = 0; r < R; ++r) {
                    simdgroup_multiply_accumulate(sums.fragments[r][0], column.fragments[r][0], b, sums.fragments[r][0]);
                }
            }
            add_to_column(s, c, sums);
        }
    }
}

// O += P B, where B is a block of staged rows, STRIDE elements apart.  A block's products are summed on
// their own, so that rounding errors grow with the number of blocks and not with the number of rows.
template <int STRIDE, int R, int C, int D>
inline void multiply_accumulate(
    thread Matrix<float, R, D>& outputs, thread Matrix<element, R, C>& weights, threadgroup const element* block)
{
    UNROLL for (int d = 0; d < D; ++d) {
        Matrix<float, R, 1> sums;
        clear(sums);
        UNROLL for (int c = 0; c < C; ++c) {
            Fragment<element> b;
            simdgroup_load(b, block + c * FRAGMENT * STRIDE + d * FRAGMENT, STRIDE);
            UNROLL for (int r = 0; r < R; ++r) {
                simdgroup_multiply_accumulate(sums.fragments[r][0], weights.fragments[r][c], b, sums.fragments[r][0]);
            }
        }
        add_to_column(outputs, d, sums);
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

// The base-2 log-sum-exp of a row that sees nothing: every weight is exactly 0 beside it, and no
// difference with a score overflows.
constant constexpr float UNSEEN = 3.0e37f;

// The choice is made among bits, because fast math may assume that no float is infinite.
inline float base_2_lse(float natural)
{
    return as_type<uint>(natural) == MINUS_INFINITY_BITS ? UNSEEN : natural * LOG2_E;
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

// What weigh gives.
enum WeightPart { WEIGHT, DERIVED };

// The weight of a score, and the same times the derivative of its logit: 1, or with a softcap
// 1 - tanh^2.  PLAIN: there is neither softcap nor anything that is taken off, by ALiBi or a mask.
template <bool PLAIN>
inline float2 weigh(float score, float taken_off, float lse, constant Scaling& scaling)
{
    if (PLAIN) {
        return fast::exp2(fma(score, scaling.softmax_scale * LOG2_E, -lse));
    }
    if (scaling.softcap == 0.0f) {
        return fast::exp2(score * (scaling.softmax_scale * LOG2_E) - taken_off - lse);
    }
    const float limited = precise::tanh(score * (scaling.softmax_scale / scaling.softcap));
    const float weight = fast::exp2(scaling.softcap * LOG2_E * limited - taken_off - lse);
    return float2(weight, weight * (1.0f - limited * limited));
}

// What is taken off a base-2 logit by its distance from the diagonal, and by what a mask adds to it.
inline float taken_off(RowAlibi alibi, int distance, uint added)
{
    return fma(as_type<float>(added), -LOG2_E, alibi.slope * float(abs(distance)));
}

// Sets what a row does not see to 0: columns are counted like `seen`, from `first` on.
template <typename T, int R, int C>
inline void clear_unseen(thread Matrix<T, R, C>& a, thread KeyRange (&seen)[R], int first, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int column = first + c * FRAGMENT + place.column + i;
                if (column < seen[r].begin || column >= seen[r].end) {
                    a.fragments[r][c].thread_elements()[i] = T(0);
                }
            }
        }
    }
}

// What a lane knows of its rows; it has one in each row of fragments.
template <int R>
struct RowStatistics {
    float lse[R];      // log-sum-exp, base 2
    float delta[R];    // see backward_rows
    KeyRange seen[R];  // keys
};

template <MaskMode MASK, int R>
inline void load_statistics(
    thread RowStatistics<R>& rows, device const float* row_lse, device const float* row_delta, Sequence sequence, int first_row,
    int row, constant Call& call)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int own = first_row + row + r * FRAGMENT;
        const bool exists = own < sequence.q_len;
        rows.lse[r] = exists ? row_lse[own] : UNSEEN;
        rows.delta[r] = exists ? row_delta[own] : 0.0f;
        rows.seen[r] = keys_seen<MASK>(own + sequence.k_len - sequence.q_len, sequence, call);
    }
}

// Scores become weights, or weights times the derivative of their logits.
template <bool PLAIN, WeightPart PART, typename Mask, int R, int C>
inline void weigh_rows(
    thread Matrix<float, R, C>& scores, thread RowStatistics<R>& rows, RowAlibi alibi, Mask mask, int row, int key,
    Place place, constant Scaling& scaling)
{
    UNROLL for (int r = 0; r < R; ++r) {
        const int diagonal = row + r * FRAGMENT + alibi.offset;
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const int distance = diagonal - (key + c * FRAGMENT + place.column + i);
                const uint added = added_to(mask, r * FRAGMENT, c * FRAGMENT + i);
                const float score = scores.fragments[r][c].thread_elements()[i];
                const float2 weight = weigh<PLAIN>(score, taken_off(alibi, distance, added), rows.lse[r], scaling);
                scores.fragments[r][c].thread_elements()[i] = is_hidden(added) ? 0.0f : weight[PART];
            }
        }
    }
}

// dS = P (dP - delta).
template <int R, int C>
inline void differentiate_rows(
    thread Matrix<element, R, C>& grad_scores, thread Matrix<float, R, C>& weights, thread Matrix<float, R, C>& grad_weights,
    thread RowStatistics<R>& rows, float keep_scale)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const float difference = fma(grad_weights.fragments[r][c].thread_elements()[i], keep_scale, -rows.delta[r]);
                grad_scores.fragments[r][c].thread_elements()[i] =
                    element(weights.fragments[r][c].thread_elements()[i] * difference);
            }
        }
    }
}

// The terms that are added up for one element of the gradient: how many along each axis, or where one of
// them is.  Along an axis that the gradient has itself there is one term.
struct Terms {
    int batch;
    int head;
    int tile;  // of queries
    int block; // of keys
};

inline int count_heads(constant Call& call)
{
    return call.heads_per_kv_head * call.kv_heads;
}

template <typename Tile>
inline Terms count_terms(constant Call& call)
{
    return {
        call.sums_batches == 0 ? 1 : call.batch, call.sums_heads == 0 ? 1 : count_heads(call),
        call.sums_rows == 0 ? 1 : (call.q_len + Tile::BLOCK_Q - 1) / Tile::BLOCK_Q,
        call.sums_keys == 0 ? 1 : (call.k_len + Tile::BLOCK_K - 1) / Tile::BLOCK_K};
}

// Term `index` in their order: blocks come first, then tiles.  There is at least one.
inline Terms find_term(long index, Terms counts)
{
    const long of_head = long(counts.tile) * counts.block;
    const int in_head = int(index % of_head); // of one head there are fewer than 2^31
    const int heads = int(index / of_head);
    return {heads / counts.head, heads % counts.head, in_head / counts.block, in_head % counts.block};
}

inline void advance(thread Terms& term, Terms counts)
{
    if (++term.block < counts.block) {
        return;
    }
    term.block = 0;
    if (++term.tile < counts.tile) {
        return;
    }
    term.tile = 0;
    if (++term.head < counts.head) {
        return;
    }
    term.head = 0;
    ++term.batch;
}

// Adds dmask = P (dP - delta).
template <int R, int C>
inline void add_differentiated(
    thread Matrix<float, R, C>& gradients, thread Matrix<float, R, C>& weights, thread Matrix<float, R, C>& grad_weights,
    thread RowStatistics<R>& rows, float keep_scale)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                const float difference = fma(grad_weights.fragments[r][c].thread_elements()[i], keep_scale, -rows.delta[r]);
                gradients.fragments[r][c].thread_elements()[i] += weights.fragments[r][c].thread_elements()[i] * difference;
            }
        }
    }
}

// Copies this lane's elements to a tile in threadgroup memory, whose rows are `stride` long.
template <int R, int C>
inline void stage_sums(threadgroup float* sums, thread Matrix<float, R, C>& gradients, int stride, int row, Place place)
{
    UNROLL for (int r = 0; r < R; ++r) {
        UNROLL for (int c = 0; c < C; ++c) {
            UNROLL for (int i = 0; i < 2; ++i) {
                sums[(row + r * FRAGMENT) * stride + c * FRAGMENT + place.column + i] =
                    gradients.fragments[r][c].thread_elements()[i];
            }
        }
    }
}

// The part of the gradient along an axis that a threadgroup has, and what of the tile is added up for
// each of its elements.
struct Side {
    int all;   // elements of the gradient
    int first; // of the threadgroup's
    int count;
    int terms;
};

// `size` of the tile, for threadgroup `index` along the axis.
inline Side find_side(int sums, int length, int index, int size)
{
    if (sums != 0) {
        return {1, 0, 1, size};
    }
    return {length, index * size, min(size, length - index * size), 1};
}

// The sum of so many rows and keys of a tile, in their order.
inline float sum_of(threadgroup const float* sums, int stride, int rows, int keys)
{
    float sum = 0.0f;
    for (int row = 0; row < rows; ++row) {
        for (int key = 0; key < keys; ++key) {
            sum += sums[row * stride + key];
        }
    }
    return sum;
}

// The bits of a bfloat16, rounded to the nearest; a NaN stays one.
inline ushort bfloat16_bits(float value)
{
    const uint bits = as_type<uint>(value);
    const bool is_nan = bits << 1 > MINUS_INFINITY_BITS << 1;
    return ushort(is_nan ? bits >> 16 | 0x40u : (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

// Writes an element of a gradient that has the mask's type.
inline void write_element(device uchar* gradient, long index, float value, int type)
{
    if (type == FLOAT32_MASK) {
        ((device float*)gradient)[index] = value;
    } else if (type == FLOAT16_MASK) {
        ((device half*)gradient)[index] = half(value);
    } else {
        ((device ushort*)gradient)[index] = bfloat16_bits(value);
    }
}

template <typename Tile, MaskMode MASK>
[[kernel, max_total_threads_per_threadgroup(Tile::THREADS)]]
void backward_mask(
    device const element* q [[buffer(0)]],
    device const element* k [[buffer(1)]],
    device const element* v [[buffer(2)]],
    device const element* grad_out [[buffer(3)]],
    device const float* row_lse [[buffer(4)]],
    device const float* row_delta [[buffer(5)]],
    device uchar* grad_mask [[buffer(6)]],
    device float* partial_mask [[buffer(7)]],
    device const int* cu_seqlens_q [[buffer(8)]],
    device const int* k_begin [[buffer(9)]],
    device const int* k_end [[buffer(10)]],
    device const int* block_table [[buffer(11)]],
    device const float* alibi_slopes [[buffer(12)]],
    device const int* dropout_seed [[buffer(13)]],
    device const uchar* attn_mask [[buffer(14)]],
    device const uchar* mask_states [[buffer(15)]],
    constant Call& call [[buffer(16)]],
    constant Scaling& scaling [[buffer(17)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup element k_block[Tile::BLOCK_K * STAGED_STRIDE];
    threadgroup element v_block[Tile::BLOCK_K * STAGED_STRIDE_V];
    threadgroup float sums[Tile::BLOCK_Q * Tile::BLOCK_K];

    // Where this threadgroup works: a tile of the gradient, one split of the terms of its sums.
    const int split = group.x % call.splits;
    const int first_block = group.x / call.splits;
    const int grad_heads = call.sums_heads == 0 ? count_heads(call) : 1;
    const Terms counts = count_terms<Tile>(call);
    const long count = long(counts.batch) * counts.head * counts.tile * counts.block;
    const long terms_per_split = (count + call.splits - 1) / call.splits;
    const long first_term = split * terms_per_split;
    const long last_term = min(first_term + terms_per_split, count);
    const Place place = find_place(lane);
    const int row = simdgroup * Tile::SIMDGROUP_ROWS + place.row; // this lane's first, counted from the tile's

    typename Tile::Queries queries;
    typename Tile::GradRows grad_rows; // of O
    RowStatistics<Tile::ROW_FRAGMENTS> statistics;
    Matrix<float, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> scores;
    Matrix<float, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> grad_weights;
    Matrix<float, Tile::ROW_FRAGMENTS, Tile::K_FRAGMENTS> gradients;

    clear(gradients);
    Terms term = Terms();
    if (first_term < last_term) {
        term = find_term(first_term, counts);
    }
    for (long i = first_term; i < last_term; ++i, advance(term, counts)) {
        const int batch = group.z / grad_heads + term.batch;
        const int head = group.z % grad_heads + term.head;
        const int tile = group.y + term.tile;
        const int block = first_block + term.block;
        const int first_row = tile * Tile::BLOCK_Q;
        const int key = block * Tile::BLOCK_K;
        const Sequence sequence = find_sequence(batch, call, cu_seqlens_q, k_begin, k_end, block_table);
        const int last_row = min(first_row + Tile::BLOCK_Q, sequence.q_len) - 1;
        const Band band = find_band<MASK>(first_row, last_row, sequence, call);
        const long place_of_state = batch * call.state_batch_stride + head * call.state_head_stride
            + tile * call.state_tile_stride + block * call.state_block_stride;
        const bool visited = key < band.visited.end && key + Tile::BLOCK_K > band.visited.begin;
        if (!visited || state_of_block<Tile>(mask_states, place_of_state, call) == NOTHING_SEEN) {
            continue;
        }

        const int kv_head = head / call.heads_per_kv_head;
        threadgroup_barrier(mem_flags::mem_threadgroup); // the last block is used up
        stage_rows<Tile::THREADS, Tile::BLOCK_K, HEAD_DIM>(
            k_block, k + batch * call.k_batch_stride + kv_head * call.k_head_stride, call.k_row_stride, key, sequence.k_len,
            thread_index);
        stage_rows<Tile::THREADS, Tile::BLOCK_K, HEAD_DIM_V>(
            v_block, v + batch * call.v_batch_stride + kv_head * call.v_head_stride, call.v_row_stride, key, sequence.k_len,
            thread_index);
        threadgroup_barrier(mem_flags::mem_threadgroup); // this block is staged

        const int rows = sequence.q_len - first_row; // that exist
        const long first_lse = batch * call.lse_batch_stride + head * call.lse_head_stride;
        const RowAlibi alibi = find_row_alibi(alibi_slopes, sequence, head, call);
        device const element* q_rows = q + batch * call.q_batch_stride + first_row * call.q_row_stride;
        device const element* grad_out_rows = grad_out + batch * call.grad_out_batch_stride
            + first_row * call.grad_out_row_stride;
        const MaskElements elements = {
            attn_mask + batch * call.mask_batch_stride + head * call.mask_head_stride
                + (first_row + row) * call.mask_row_stride + (key + place.column) * call.mask_key_stride,
            call.mask_row_stride, call.mask_key_stride, rows - row, sequence.k_len - key - place.column, call.mask_type};
        load_statistics<MASK>(statistics, row_lse + first_lse, row_delta + first_lse, sequence, first_row, row, call);

        load_rows(queries, q_rows + head * call.q_head_stride, call.q_row_stride, row, rows, place);
        multiply_transposed<STAGED_STRIDE>(scores, queries, k_block);
        weigh_rows<false, WEIGHT>(scores, statistics, alibi, elements, first_row + row, key, place, scaling);
        if (key < band.unmasked.begin || key + Tile::BLOCK_K > band.unmasked.end) {
            clear_unseen(scores, statistics.seen, key, place);
        }
        load_rows(grad_rows, grad_out_rows + head * call.grad_out_head_stride, call.grad_out_row_stride, row, rows, place);
        multiply_transposed<STAGED_STRIDE_V>(grad_weights, grad_rows, v_block);
        if (call.has_dropout != 0) {
            drop_from_rows(grad_weights, find_dropout(dropout_seed, head, batch, call), first_row + row, key, place);
        }
        add_differentiated(gradients, scores, grad_weights, statistics, scaling.keep_scale);
    }

    stage_sums(sums, gradients, Tile::BLOCK_K, row, place);
    threadgroup_barrier(mem_flags::mem_threadgroup); // all sums are staged
    const Side rows = find_side(call.sums_rows, call.q_len, group.y, Tile::BLOCK_Q);
    const Side keys = find_side(call.sums_keys, call.k_len, first_block, Tile::BLOCK_K);
    const int own_key = thread_index % Tile::BLOCK_K;
    if (own_key >= keys.count) {
        return;
    }
    for (int own_row = thread_index / Tile::BLOCK_K; own_row < rows.count; own_row += Tile::THREADS / Tile::BLOCK_K) {
        const float sum = sum_of(sums + own_row * Tile::BLOCK_K + own_key, Tile::BLOCK_K, rows.terms, keys.terms);
        const long index = (long(group.z) * rows.all + rows.first + own_row) * keys.all + keys.first + own_key;
        if (call.splits > 1) {
            partial_mask[long(split) * groups.z * rows.all * keys.all + index] = sum;
        } else {
            write_element(grad_mask, index, sum, call.mask_type);
        }
    }
}

// The kernels.  To compile one of them alone, define ONLY and ONLY_<its name>.
#if !defined(ONLY) || defined(ONLY_backward_mask_float32_d256_q32k8)
template [[host_name("backward_mask_float32_d256_q32k8")]] [[kernel]]
decltype(backward_mask<q32k8, WINDOW>) backward_mask<q32k8, WINDOW>;
#endif
