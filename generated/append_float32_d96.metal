// append_float32_d96.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// Appends rows of K and V to each sequence of a cache, and applies rotary position embeddings to
// the new rows of K and to Q.  A row that the cache has no room or no page for is not written.
//   head_dim   96
//   elements   float32; rotated in float32
//   tile       one row per simdgroup

#include <metal_stdlib>

using namespace metal;

typedef float element;

constant constexpr int HEAD_DIM = 96; // columns of Q and K
constant constexpr int HEAD_DIM_V = 96; // columns of V and O

// Arrays stay in registers only if every index is known to the compiler.
#define UNROLL _Pragma("clang loop unroll(full)")

constant constexpr int SIMD_WIDTH = 32;
constant constexpr int THREADS = 32;

// A call's arguments beside its tensors: an array of int32, where a long takes two.
struct Call {
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
    long table_stride; // block_table: elements from one sequence to the next
    int q_len; // query rows of each sequence; packed: of all sequences together
    int k_len; // rows of K of each sequence, used or not; packed: of all sequences
    int kv_heads; // number of KV heads
    int has_k_end; // 1: k_end is given; 0: keys end at row k_len
    int appended; // rows that this call appends, from k_end on
    int page_size; // rows in each page of K and V; 0: no pages
    int pages; // number of pages in K and V
    int rotary_pairs; // pairs of elements that are rotated in each row; 0: none
    int rotary_rows; // positions that have an angle
    int interleaved; // 1: a pair is two neighbours; 0: one element of each half
    int queries_advance; // 1: query i has position k_end + i; 0: all have k_end
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

// Copies a row of so many columns.  Its first `pairs` pairs of elements are rotated by the angles of a position.
template <int COLUMNS>
inline void write_row(
    device element* target, device const element* source, int pairs, device const element* rotary_cos,
    device const element* rotary_sin, int position, constant Call& call, uint lane)
{
    const long angles = long(clamp(position, 0, call.rotary_rows - 1)) * pairs;
    for (int pair = lane; pair < COLUMNS / 2; pair += SIMD_WIDTH) {
        const bool turned = pair < pairs;
        const bool neighbours = !turned || call.interleaved != 0;
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
inline bool page_exists(int row, device const int* pages, constant Call& call)
{
    if (call.page_size == 0) {
        return true;
    }
    const int page = pages[row / call.page_size];
    return page >= 0 && page < call.pages;
}

// A threadgroup copies one row of one head.  In the grid, the heads of K come first, then those of V,
// then those of Q.
[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void append_float32_d96(
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
    constant Call& call [[buffer(10)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]])
{
    const int row = group.x;
    const int batch = group.z;
    const int end = call.has_k_end == 0 ? call.k_len - call.appended : clamp(k_end[batch], 0, call.k_len); // of the cache so far
    if (int(group.y) >= 2 * call.kv_heads) {
        const int head = group.y - 2 * call.kv_heads;
        if (row < call.q_len) {
            q += batch * call.q_batch_stride + row * call.q_row_stride + head * call.q_head_stride;
            rotated_q += batch * call.rotated_q_batch_stride;
            rotated_q += row * call.rotated_q_row_stride + head * call.rotated_q_head_stride;
            const int position = end + row * call.queries_advance;
            write_row<HEAD_DIM>(rotated_q, q, call.rotary_pairs, rotary_cos, rotary_sin, position, call, lane);
        }
        return;
    }
    const int position = end + row;
    device const int* pages = block_table + batch * call.table_stride;
    const bool in_use = call.has_k_end == 0 || k_end[batch] >= 0;
    if (!in_use || row >= call.appended || position >= call.k_len || !page_exists(position, pages, call)) {
        return;
    }
    const int head = group.y % call.kv_heads;
    const int page = call.page_size == 0 ? batch : 0; // a padded batch has a page for each sequence
    if (int(group.y) < call.kv_heads) {
        k += page * call.k_batch_stride + head * call.k_head_stride;
        k += row_offset(position, pages, call.k_batch_stride, call.k_row_stride, call);
        new_k += batch * call.new_k_batch_stride + row * call.new_k_row_stride + head * call.new_k_head_stride;
        write_row<HEAD_DIM>(k, new_k, call.rotary_pairs, rotary_cos, rotary_sin, position, call, lane);
    } else {
        v += page * call.v_batch_stride + head * call.v_head_stride;
        v += row_offset(position, pages, call.v_batch_stride, call.v_row_stride, call);
        new_v += batch * call.new_v_batch_stride + row * call.new_v_row_stride + head * call.new_v_head_stride;
        write_row<HEAD_DIM_V>(v, new_v, 0, rotary_cos, rotary_sin, position, call, lane);
    }
}
