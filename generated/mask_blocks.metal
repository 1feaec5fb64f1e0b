// mask_blocks.metal
//
// Written by `python -m codegen` from templates/; do not edit.
//
// What there is to see in each block of a mask: some query rows x some keys, as the kernel that follows
// takes them.  It skips blocks where nothing is seen, and in those where everything is it has nothing to
// add.  A block is left as soon as its state is known: of a bias most need one element.  So do all in
// which something is seen, if one head of one sequence has the state: to find out whether everything is
// would read as much as the kernel that follows then need not read.
// Where a mask is the same for all sequences, heads, queries or keys, there is one of them.
//   tile       one block per simdgroup; 8 simdgroups

#include <metal_stdlib>

using namespace metal;

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

constant constexpr int SIMD_WIDTH = 32;
constant constexpr int SIMDGROUPS = 8;
constant constexpr int THREADS = SIMDGROUPS * SIMD_WIDTH;

// A call's arguments beside its tensors: an array of int32, where a long takes two.
struct Call {
    long mask_batch_stride; // attn_mask: bytes from one batch to the next
    long mask_head_stride; // attn_mask: bytes from one head to the next
    long mask_row_stride; // attn_mask: bytes from one row to the next
    long mask_key_stride; // attn_mask: bytes from one key to the next
    int mask_type; // elements of attn_mask: 0 none, 1 bool, 2 float16, 3 bfloat16, 4 float32
    int mask_heads; // heads that the mask has, 1 if it is the same for all
    int mask_rows; // query rows that it has, 1 if it is the same for all
    int mask_keys; // keys that it has, 1 if it is the same for all
    int tile_rows; // query rows of a tile
    int block_keys; // keys of a block
    int blocks; // number of key blocks
    int is_shared; // 1: several heads or sequences have this state
};

// What elements do: a set of these.
constant constexpr uint HIDES = 1;      // its key
constant constexpr uint ADDS_NOTHING = 2;
constant constexpr uint ADDS_SOMETHING = 4;

inline uint effect_of(uint bits)
{
    return is_hidden(bits) ? HIDES : bits << 1 == 0u ? ADDS_NOTHING : ADDS_SOMETHING; // -0 adds nothing, too
}

// Whether no further element can change the state of a block.
inline bool is_known(uint effects, constant Call& call)
{
    return effects > (call.is_shared == 0 ? HIDES : ADDS_NOTHING);
}

// What so many neighbouring elements do.
template <int TYPE, int COUNT>
inline uint effects_at(device const uchar* elements)
{
    if (COUNT == 1) {
        return effect_of(mask_bits(elements, TYPE));
    }
    const uchar4 bools = *(device const packed_uchar4*)elements;
    return (any(bools == uchar4(0)) ? HIDES : 0u) | (any(bools != uchar4(0)) ? ADDS_NOTHING : 0u);
}

// What the elements of a block do, or enough of them to know its state.  Neighbouring lanes have
// neighbouring keys, COUNT of them each.
template <int TYPE, int COUNT = 1>
inline uint effects_of_type(device const uchar* mask, int rows, int keys, uint lane, constant Call& call)
{
    uint effects = simd_or(lane == 0 ? effect_of(mask_bits(mask, TYPE)) : 0u);
    const int parts = keys / COUNT; // of a row
    const int lanes = min(parts, SIMD_WIDTH);
    const int rows_at_once = SIMD_WIDTH / lanes;
    const int own_row = lane / lanes;
    for (int first = 0; first < parts; first += lanes) {
        const int part = first + lane % lanes;
        device const uchar* elements = mask + own_row * call.mask_row_stride + part * COUNT * call.mask_key_stride;
        for (int row = own_row; row < rows + own_row && !is_known(effects, call); row += rows_at_once) {
            const bool exists = row < rows && part < parts;
            effects |= simd_or(exists ? effects_at<TYPE, COUNT>(elements) : 0u);
            elements += rows_at_once * call.mask_row_stride;
        }
    }
    return effects;
}

inline uint effects_of(device const uchar* mask, int rows, int keys, uint lane, constant Call& call)
{
    if (call.mask_type == BOOL_MASK && call.mask_key_stride == 1 && keys % 4 == 0) {
        return effects_of_type<BOOL_MASK, 4>(mask, rows, keys, lane, call);
    }
    if (call.mask_type == BOOL_MASK) {
        return effects_of_type<BOOL_MASK>(mask, rows, keys, lane, call);
    }
    if (call.mask_type == FLOAT16_MASK) {
        return effects_of_type<FLOAT16_MASK>(mask, rows, keys, lane, call);
    }
    if (call.mask_type == BFLOAT16_MASK) {
        return effects_of_type<BFLOAT16_MASK>(mask, rows, keys, lane, call);
    }
    return effects_of_type<FLOAT32_MASK>(mask, rows, keys, lane, call);
}

[[kernel, max_total_threads_per_threadgroup(THREADS)]]
void mask_blocks(
    device const uchar* attn_mask [[buffer(0)]],
    device uchar* mask_states [[buffer(1)]],
    constant Call& call [[buffer(2)]],
    uint3 group [[threadgroup_position_in_grid]],
    uint3 groups [[threadgroups_per_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]])
{
    const int block = group.x * SIMDGROUPS + simdgroup;
    if (block >= call.blocks) {
        return;
    }
    const int first_row = group.y * call.tile_rows;
    const int first_key = block * call.block_keys;
    const int rows = min(call.tile_rows, call.mask_rows - first_row);
    const int keys = min(call.block_keys, call.mask_keys - first_key);
    attn_mask += group.z / call.mask_heads * call.mask_batch_stride + group.z % call.mask_heads * call.mask_head_stride
        + first_row * call.mask_row_stride + first_key * call.mask_key_stride;

    const uint effects = effects_of(attn_mask, rows, keys, lane, call);
    if (lane == 0) {
        const MaskState state = is_known(effects, call) ? LOOK_CLOSER : effects == HIDES ? NOTHING_SEEN : ALL_SEEN;
        mask_states[(long(group.z) * groups.y + group.y) * call.blocks + block] = uchar(state);
    }
}
