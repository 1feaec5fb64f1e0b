// append_float32_d64
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Appends rows of K and V to each sequence of a cache, and applies rotary position embeddings to
// the new rows of K and to Q.  A row that the cache has no room or no page for is not written.
//   head_dim   64
//   elements   float32; rotated in float32
//   tile       one row per simdgroup

#include <metal_stdlib>

using namespace metal;

typedef float element;

constant constexpr int HEAD_DIM = 64;

// Arrays stay in registers only if every index is known to the compiler.
#define UNROLL _Pragma("clang loop unroll(full)")

// The softmax runs in base 2.  Finite sentinels, because fast math may assume that there is no
// infinity: a masked score lies so far below the least maximum that its weight is exactly 0.
constant constexpr float LOG2_E = 1.44269504f;
constant constexpr float LN_2 = 0.693147181f;
constant constexpr float LEAST_MAX = -1.0e38f;
constant constexpr float MASKED = -3.0e38f;
constant constexpr uint MINUS_INFINITY_BITS = 0xFF800000u;

constant constexpr int SIMD_WIDTH = 32;
constant constexpr int THREADS = 32;

// The arguments that are not tensors: one array of int32 (a long takes two).
struct Ints {
    long q_batch_stride; // q: elements from one batch to the next
    long q_row_stride; // q: elements from one row to the next
    long q_head_stride; // q: elements from one head to the next
    long new_k_batch_stride; // new_k: elements from one batch to the next
    long new_k_row_stride; // new_k: elements from one row to the next
    long new_k_head_stride; // new_k: elements from one head to the next
    long new_v_batch_stride; // new_v: elements from one batch to the next
    long new_v_row_stride; // new_v: elements from one row to the next
    long new_v_head_stride; // new_v: elements from one head to the next
    long rotated_q_batch_stride; // rotated_q: elements from one batch to the next
    long rotated_q_row_stride; // rotated_q: elements from one row to the next
    long rotated_q_head_stride; // rotated_q: elements from one head to the next
    long k_batch_stride; // k: elements from one batch to the next
    long k_row_stride; // k: elements from one row to the next
    long k_head_stride; // k: elements from one head to the next
    long v_batch_stride; // v: elements from one batch to the next
    long v_row_stride; // v: elements from one row to the next
    long v_head_stride; // v: elements from one head to the next
    long table_stride; // block_table: from one sequence to the next
    int q_len; // query rows of each sequence; packed: of all together
    int k_len; // rows of K that each sequence may have; packed: of all together
    int kv_heads; // KV heads
    int ends; // 1: k_end says where each sequence's keys end; 0: at row k_len
    int appended; // rows that this call adds at k_end
    int page_size; // rows of a page of K and V; 0: no block table
    int pages; // that K and V have
    int rotary_pairs; // pairs of elements that are rotated; 0: none
    int rotary_rows; // positions that have an angle
    int interleaved; // 1: a pair is two neighbours; 0: one of either half
    int advance; // 1: query i is at k_end + i; 0: all queries are at k_end
};

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

// Writes a row; the first `pairs` pairs of its elements are turned by the angles of a position.
inline void write_row(
    device element* target, device const element* source, int pairs, device const element* rotary_cos,
    device const element* rotary_sin, int position, constant Ints& n, uint lane)
{
    const long angles = long(clamp(position, 0, n.rotary_rows - 1)) * pairs;
    for (int pair = lane; pair < HEAD_DIM / 2; pair += SIMD_WIDTH) {
        const bool turned = pair < pairs;
        const bool neighbours = !turned || n.interleaved != 0;
        const int first = neighbours ? 2 * pair : pair;
        const int second = neighbours ? first + 1 : pair + pairs;
        float x = source[first];
        float y = source[second];
        if (turned) {
            const float cosine = rotary_cos[angles + pair];
            const float sine = rotary_sin[angles + pair];
            const float turned_x = x * cosine - y * sine;
            y = x * sine + y * cosine;
            x = turned_x;
        }
        target[first] = element(x);
        target[second] = element(y);
    }
}

// Whether the cache has the page that a row belongs in.
inline bool page_exists(int row, device const int* pages, constant Ints& n)
{
    if (n.page_size == 0) {
        return true;
    }
    const int page = pages[row / n.page_size];
    return page >= 0 && page < n.pages;
}

// A threadgroup has one row of one head: first the heads of K, then those of V, then those of Q.
[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void append_float32_d64(
    device const element* q [[buffer(0)]],
    device const element* new_k [[buffer(1)]],
    device const element* new_v [[buffer(2)]],
    device const element* rotary_cos [[buffer(3)]],
    device const element* rotary_sin [[buffer(4)]],
    device element* rotated_q [[buffer(5)]],
    device element* k [[buffer(6)]],
    device element* v [[buffer(7)]],
    device const int* k_end [[buffer(8)]],
    device const int* block_table [[buffer(9)]],
    constant Ints& n [[buffer(10)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    const int row = group.x;
    const int batch = group.z;
    const int end = n.ends == 0 ? n.k_len - n.appended : clamp(k_end[batch], 0, n.k_len); // of the cache so far
    if (int(group.y) >= 2 * n.kv_heads) {
        const int head = group.y - 2 * n.kv_heads;
        if (row < n.q_len) {
            write_row(
                rotated_q + batch * n.rotated_q_batch_stride + row * n.rotated_q_row_stride + head * n.rotated_q_head_stride,
                q + batch * n.q_batch_stride + row * n.q_row_stride + head * n.q_head_stride, n.rotary_pairs, rotary_cos,
                rotary_sin, end + row * n.advance, n, lane);
        }
        return;
    }
    const int position = end + row;
    device const int* pages = block_table + batch * n.table_stride;
    const bool in_use = n.ends == 0 || k_end[batch] >= 0;
    if (!in_use || row >= n.appended || position >= n.k_len || !page_exists(position, pages, n)) {
        return;
    }
    const int head = group.y % n.kv_heads;
    const int page = n.page_size == 0 ? batch : 0; // a padded batch has a page for each sequence
    if (int(group.y) < n.kv_heads) {
        k += page * n.k_batch_stride + row_offset(position, pages, n.k_batch_stride, n.k_row_stride, n) + head * n.k_head_stride;
        new_k += batch * n.new_k_batch_stride + row * n.new_k_row_stride + head * n.new_k_head_stride;
        write_row(k, new_k, n.rotary_pairs, rotary_cos, rotary_sin, position, n, lane);
    } else {
        v += page * n.v_batch_stride + row_offset(position, pages, n.v_batch_stride, n.v_row_stride, n) + head * n.v_head_stride;
        new_v += batch * n.new_v_batch_stride + row * n.new_v_row_stride + head * n.new_v_head_stride;
        write_row(v, new_v, 0, rotary_cos, rotary_sin, position, n, lane);
    }
}
