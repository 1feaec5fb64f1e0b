"""Mistakes with a kernel that no pattern expresses, written out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ByHand:
    """A mistake written out: `old` stands exactly once in the file."""

    breaks: str
    file: str
    old: str
    new: str


BARRIER = "        threadgroup_barrier(mem_flags::mem_threadgroup);"
USED_UP = f"{BARRIER} // the last block is used up\n"
STAGED = f"{BARRIER} // this block is staged\n"
NO_MEMORY = ("mem_flags::mem_threadgroup", "mem_flags::mem_none")
SIMDGROUP = ("threadgroup_barrier", "simdgroup_barrier")
LOOP = """\
    for (int key = begin; key < band.visited.end; key += Tile::BLOCK_K) {
        const int state = state_of_block<Tile>(mask_states, key / Tile::BLOCK_K * call.state_block_stride, call);
        if (state == NOTHING_SEEN) {
            continue;
        }
"""  # noqa: E501
SCORES = (
    "\n        multiply_transposed<STAGED_STRIDE>"
    '(scores, queries, k_block{{ " + first_column" if slices > 1 }});\n'
)

SUMS_ARE_THERE = (
    f'    {BARRIER} // all sums are there{{{{ "" if latent else ", and K is used up" }}}}\n'
)
BY_HAND = (
    ByHand(
        "the barrier before staging stands before the loop",
        "prefill/kernel.metal.j2",
        LOOP + USED_UP,
        USED_UP + LOOP,
    ),
    ByHand(
        "the barrier after staging comes after the scores",
        "prefill/kernel.metal.j2",
        STAGED + SCORES,
        SCORES + STAGED,
    ),
    ByHand(
        "a barrier of the simdgroup where the threadgroup's is needed (before staging)",
        "prefill/kernel.metal.j2",
        USED_UP,
        USED_UP.replace("threadgroup_barrier", "simdgroup_barrier"),
    ),
    ByHand(
        "a barrier of the simdgroup where the threadgroup's is needed (after staging)",
        "prefill/kernel.metal.j2",
        STAGED,
        STAGED.replace("threadgroup_barrier", "simdgroup_barrier"),
    ),
    ByHand(
        "the barrier before staging orders no memory",
        "prefill/kernel.metal.j2",
        USED_UP,
        USED_UP.replace("mem_flags::mem_threadgroup", "mem_flags::mem_none"),
    ),
    ByHand(
        "the barrier after staging orders no memory",
        "prefill/kernel.metal.j2",
        STAGED,
        STAGED.replace("mem_flags::mem_threadgroup", "mem_flags::mem_none"),
    ),
    ByHand(
        "only the first simdgroup waits for the staged block",
        "prefill/kernel.metal.j2",
        STAGED,
        STAGED.replace("threadgroup_barrier", "if (simdgroup == 0) threadgroup_barrier"),
    ),
    ByHand(
        "the first block is skipped",
        "prefill/kernel.metal.j2",
        "int key = begin;",
        "int key = begin + Tile::BLOCK_K;",
    ),
    ByHand(
        "the last block is skipped",
        "prefill/kernel.metal.j2",
        "key < band.visited.end;",
        "key + Tile::BLOCK_K < band.visited.end;",
    ),
    ByHand(
        "scores are rounded to elements",
        "parts/matrix.metal.j2",
        "a.fragments[r][c].thread_elements()[i] *= scale;",
        "a.fragments[r][c].thread_elements()[i] = "
        "element(a.fragments[r][c].thread_elements()[i] * scale);",
    ),
    ByHand(
        "products are summed as elements",
        "parts/products.metal.j2",
        " b, s.fragments[r][c]);",
        " b, s.fragments[r][c]); "
        "for (int i = 0; i < 2; ++i) s.fragments[r][c].thread_elements()[i] = "
        "element(s.fragments[r][c].thread_elements()[i]);",
    ),
    ByHand(
        "outputs are rounded to elements at every rescale",
        "parts/rows.metal.j2",
        "a.fragments[r][c].thread_elements()[i] *= factors[r];",
        "a.fragments[r][c].thread_elements()[i] = "
        "element(a.fragments[r][c].thread_elements()[i] * factors[r]);",
    ),
    ByHand(
        "softcap acts on base-2 scores",
        "parts/scale_scores.metal.j2",
        "scaling.softmax_scale / scaling.softcap",
        "scaling.softmax_scale * LOG2_E / scaling.softcap",
    ),
    ByHand(
        "the sink is left out of the maximum",
        "prefill/softmax.metal.j2",
        "max(sinks[r], LEAST_MAX)",
        "LEAST_MAX",
    ),
    ByHand(
        "the maximum starts at the sink, even if that is -inf",
        "prefill/softmax.metal.j2",
        "max(sinks[r], LEAST_MAX)",
        "sinks[r]",
    ),
    ByHand(
        "the maximum starts at 0",
        "prefill/softmax.metal.j2",
        "max(sinks[r], LEAST_MAX)",
        "max(sinks[r], 0.0f)",
    ),
    ByHand(
        "every query head has the first head's sink",
        "prefill/kernel.metal.j2",
        "sinks[head] * LOG2_E",
        "sinks[0] * LOG2_E",
    ),
    ByHand(
        "sinks are taken per KV head",
        "prefill/kernel.metal.j2",
        "sinks[head] * LOG2_E",
        "sinks[kv_head] * LOG2_E",
    ),
    ByHand(
        "the log-sum-exp is in base 2",
        "parts/base_2.metal.j2",
        "LN_2 * (row_max + fast::log2(row_sum))",
        "row_max + fast::log2(row_sum)",
    ),
    ByHand(
        "the log-sum-exp forgets the maximum",
        "parts/base_2.metal.j2",
        "LN_2 * (row_max + fast::log2(row_sum))",
        "LN_2 * fast::log2(row_sum)",
    ),
    ByHand(
        "offsets into K are 32 bits wide",
        "prefill/kernel.metal.j2",
        "kv_head * call.k_head_stride",
        "kv_head * int(call.k_head_stride)",
    ),
    ByHand(
        "offsets into V are 32 bits wide",
        "prefill/kernel.metal.j2",
        "kv_head * call.v_head_stride",
        "kv_head * int(call.v_head_stride)",
    ),
    ByHand(
        "offsets into Q are 32 bits wide",
        "prefill/kernel.metal.j2",
        "head * call.q_head_stride",
        "head * int(call.q_head_stride)",
    ),
    ByHand(
        "offsets into the output are 32 bits wide",
        "prefill/kernel.metal.j2",
        "head * call.out_head_stride",
        "head * int(call.out_head_stride)",
    ),
    ByHand(
        "rows are read as aligned vectors",
        "parts/load_four.metal.j2",
        "element4(*(device const packed_element4*)source)",
        "*(device const element4*)source",
    ),
    ByHand(
        "rows of bfloat16 are taken for float16",
        "parts/load_four.metal.j2",
        "element4(bfloat4(*(device const packed_bfloat4*)source))",
        "element4(half4(*(device const packed_half4*)source))",
    ),
    ByHand(
        "keys and values of bfloat16 are taken for float32",
        "prefill/keys.metal.j2",
        "call.kv_type == BFLOAT16_KV",
        "call.kv_type == FLOAT16_KV",
    ),
    ByHand(
        "cu_seqlens are trusted",
        "parts/sequence.metal.j2",
        "clamp(cu_seqlens_q[i], 0, call.q_len)",
        "cu_seqlens_q[i]",
    ),
    ByHand(
        "rows of V are as wide as those of K",
        "prefill/kernel.metal.j2",
        "{% if slices == 1 %}\n        stage_rows<Tile, HEAD_DIM_V>",
        "{% if slices == 1 %}\n        stage_rows<Tile, HEAD_DIM>",
    ),
    ByHand(
        "slices: nobody waits for the others' sums",
        "prefill/kernel.metal.j2",
        f"{BARRIER} // all sums are there, and K is used up\n",
        "",
    ),
    ByHand(
        "slices: nobody waits for V",
        "prefill/kernel.metal.j2",
        f"{BARRIER} // V is staged\n",
        "",
    ),
    ByHand(
        "slices: a simdgroup adds up the first rows' sums",
        "parts/slices.metal.j2",
        "sums += (simdgroup - own) * ELEMENTS + lane;",
        "sums += lane;",
    ),
    ByHand(
        "divided decode: nobody waits for the others' sums",
        "divided_decode/kernel.metal.j2",
        SUMS_ARE_THERE,
        "",
    ),
    ByHand(
        "divided decode: nobody waits for V",
        "divided_decode/kernel.metal.j2",
        f"    {BARRIER} // V is staged\n",
        "",
    ),
    ByHand(
        "divided decode: every split of the keys counts the sink",
        "divided_decode/rows.metal.j2",
        "call.has_sinks != 0 && split == 0",
        "call.has_sinks != 0",
    ),
    ByHand(
        "divided decode: every head has the first one's sink",
        "divided_decode/rows.metal.j2",
        "sinks[head] * LOG2_E",
        "sinks[0] * LOG2_E",
    ),
    ByHand(
        "divided decode: offsets into K are 32 bits wide",
        "divided_decode/kernel.metal.j2",
        "kv_head * call.k_head_stride",
        "kv_head * int(call.k_head_stride)",
    ),
    ByHand(
        "decode: a barrier of the simdgroup where the threadgroup's is needed (after staging)",
        "decode/kernel.metal.j2",
        f"{BARRIER} // this one is staged",
        "        simdgroup_barrier(mem_flags::mem_threadgroup);",
    ),
    ByHand(
        "decode: the barrier after staging orders no memory",
        "decode/kernel.metal.j2",
        f"{BARRIER} // this one is staged",
        "        threadgroup_barrier(mem_flags::mem_none);",
    ),
    ByHand(
        "decode: a barrier of the simdgroup where the threadgroup's is needed (softmax)",
        "decode/merge.metal.j2",
        "threadgroup_barrier(mem_flags::mem_threadgroup); // every simdgroup's softmax is known",
        "simdgroup_barrier(mem_flags::mem_threadgroup);",
    ),
    ByHand(
        "decode: all simdgroups add to the outputs at once",
        "decode/merge.metal.j2",
        f"{BARRIER} // one simdgroup after the other\n    }}\n",
        "    }\n    threadgroup_barrier(mem_flags::mem_threadgroup);\n",
    ),
    ByHand(
        "decode: outputs are not normalised",
        "decode/merge.metal.j2",
        "fast::exp2(own_maximum[i] - all.maximum[i]) / all.sum[i]",
        "fast::exp2(own_maximum[i] - all.maximum[i])",
    ),
    ByHand(
        "decode: every split of the keys counts the sink",
        "decode/columns.metal.j2",
        "call.has_sinks != 0 && split == 0",
        "call.has_sinks != 0",
    ),
    ByHand(
        "decode: sinks are read where the call has none",
        "decode/columns.metal.j2",
        "call.has_sinks != 0 && split == 0",
        "split == 0",
    ),
    ByHand(
        "decode: partial results are rounded to elements",
        "decode/store.metal.j2",
        "T(merged[i])",
        "T(element(merged[i]))",
    ),
    ByHand(
        "decode: every simdgroup starts at the first key",
        "decode/kernel.metal.j2",
        "band.visited.begin + int(simdgroup) * Tile::BLOCK_K",
        "band.visited.begin",
    ),
    ByHand(
        "decode: a split of the keys runs into the next one",
        "decode/rows.metal.j2",
        "min(begin + steps_per_split * Tile::STEP_K, band.visited.end)",
        "min(begin + steps_per_split * Tile::STEP_K + Tile::BLOCK_K, band.visited.end)",
    ),
    ByHand(
        "decode: every fragment of rows works on the first one's",
        "decode/columns.metal.j2",
        "fragment * FRAGMENT",
        "0 * FRAGMENT",
    ),
    ByHand(
        "decode: offsets into K are 32 bits wide",
        "decode/kernel.metal.j2",
        "kv_head * call.k_head_stride",
        "kv_head * int(call.k_head_stride)",
    ),
    ByHand(
        "the block table is trusted",
        "parts/pages.metal.j2",
        "clamp(pages[page_of_sequence], 0, call.pages - 1)",
        "pages[page_of_sequence]",
    ),
    ByHand(
        "the block table is read beyond its last entry",
        "parts/pages.metal.j2",
        "min(row, call.k_len - 1)",
        "row",
    ),
    ByHand(
        "values are rotated, too",
        "append/kernel.metal.j2",
        "write_row<HEAD_DIM_V>(v, new_v, 0,",
        "write_row<HEAD_DIM_V>(v, new_v, call.rotary_pairs,",
    ),
    ByHand(
        "as much is appended to V as to K",
        "append/kernel.metal.j2",
        "write_row<HEAD_DIM_V>(v,",
        "write_row<HEAD_DIM>(v,",
    ),
    ByHand(
        "all queries are rotated as causal ones",
        "append/kernel.metal.j2",
        "end + row * call.queries_advance",
        "end + row",
    ),
    ByHand(
        "a full cache is written past its end",
        "append/kernel.metal.j2",
        "row >= call.appended || position >= call.k_len",
        "row >= call.appended",
    ),
    ByHand(
        "a split of the keys that a row does not see counts",
        "combine/kernel.metal.j2",
        "own_lse == LEAST_MAX ? 0.0f : fast",
        "fast",
    ),
    *(
        ByHand(
            f"{family}: {breaks}",
            f"{family}/kernel.metal.j2",
            f"{indent}{barrier}",
            f"{indent}{becomes}",
        )
        for family, indent in (("backward_q", ""), ("backward_kv", "    "), ("backward_mask", ""))
        for breaks, barrier, becomes in (
            ("no barrier before staging", USED_UP, ""),
            ("no barrier after staging", STAGED, ""),
            ("the barrier after staging orders no memory", STAGED, STAGED.replace(*NO_MEMORY)),
            ("only the simdgroup waits before staging", USED_UP, USED_UP.replace(*SIMDGROUP)),
        )
    ),
    ByHand(
        "backward_q: offsets into dO are 32 bits wide",
        "backward_q/kernel.metal.j2",
        "head * call.grad_out_head_stride",
        "head * int(call.grad_out_head_stride)",
    ),
    ByHand(
        "backward_q: offsets into dQ are 32 bits wide",
        "backward_q/kernel.metal.j2",
        "head * call.grad_q_head_stride",
        "head * int(call.grad_q_head_stride)",
    ),
    ByHand(
        "backward_kv: offsets into Q are 32 bits wide",
        "backward_kv/kernel.metal.j2",
        "head * call.q_head_stride",
        "head * int(call.q_head_stride)",
    ),
    ByHand(
        "backward_kv: offsets into gradients are 32 bits wide",
        "backward_kv/kernel.metal.j2",
        "kv_head * call.grad_{{ tensor }}_head_stride",
        "kv_head * int(call.grad_{{ tensor }}_head_stride)",
    ),
    ByHand(
        "backward_rows: offsets into O are 32 bits wide",
        "backward_rows/kernel.metal.j2",
        "head * call.out_head_stride",
        "head * int(call.out_head_stride)",
    ),
    ByHand(
        "backward_q: the gradient is not scaled",
        "backward_q/kernel.metal.j2",
        "    scale_elements(gradients, scaling.softmax_scale);\n",
        "",
    ),
    ByHand(
        "backward_kv: the gradient of K is not scaled",
        "backward_kv/kernel.metal.j2",
        '"softmax_scale" if tensor == "k" else "keep_scale"',
        '"keep_scale"',
    ),
    ByHand(
        "backward_kv: only the first query head of a group counts",
        "backward_kv/kernel.metal.j2",
        "head < first_head + call.heads_per_kv_head",
        "head < first_head + 1",
    ),
    ByHand(
        "backward_kv: the gradient of K is computed without the mask",
        "backward_kv/kernel.metal.j2",
        "                clear_unseen(scores, seeing, query, place);\n",
        "",
    ),
    ByHand(
        "backward_kv: both gradients are written, wanted or not",
        "backward_kv/kernel.metal.j2",
        "    if (call.wants_{{ tensor }} != 0) {",
        "    if (true) {",
    ),
    ByHand(
        "backward_q: the last block is skipped",
        "backward_q/kernel.metal.j2",
        "key < band.visited.end;",
        "key + Tile::BLOCK_K < band.visited.end;",
    ),
    ByHand(
        "backward: the softcap's derivative is left out",
        "backward/weights.metal.j2",
        "float2(weight, weight * (1.0f - limited * limited))",
        "float2(weight, weight)",
    ),
    ByHand(
        "backward: V's gradient has the softcap's derivative",
        "backward_kv/weights.metal.j2",
        "0.0f : weight[0])",
        "0.0f : weight[1])",
    ),
    *(
        ByHand(
            f"{family}: a mask's blocks begin where the band does",
            f"{family}/kernel.metal.j2",
            f"Tile::TAKES_MASK ? band.visited.begin / Tile::{size} * Tile::{size} : ",
            "",
        )
        for family, size in (("backward_q", "BLOCK_K"), ("backward_kv", "BLOCK_Q"))
    ),
    ByHand(
        "backward_mask: the gradient has the softcap's derivative",
        "backward_mask/kernel.metal.j2",
        "weigh_rows<false, WEIGHT>",
        "weigh_rows<false, DERIVED>",
    ),
    ByHand(
        "backward_mask: nobody waits for the other simdgroups' sums",
        "backward_mask/kernel.metal.j2",
        "    threadgroup_barrier(mem_flags::mem_threadgroup); // all sums are staged\n",
        "",
    ),
    ByHand(
        "backward_mask: a bfloat16 is cut off instead of rounded",
        "backward_mask/store.metal.j2",
        "(bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16",
        "bits >> 16",
    ),
    ByHand(
        "backward: a row without keys has its log-sum-exp as it is",
        "backward/unseen.metal.j2",
        "as_type<uint>(natural) == MINUS_INFINITY_BITS ? UNSEEN : natural * LOG2_E",
        "natural * LOG2_E",
    ),
    ByHand(
        "backward_rows: the gradient of the log-sum-exp is added",
        "backward_rows/kernel.metal.j2",
        "delta -= call.has_grad_lse",
        "delta += call.has_grad_lse",
    ),
    ByHand(
        "backward_rows: nobody waits for the other simdgroups' sink terms",
        "backward_rows/kernel.metal.j2",
        "    threadgroup_barrier(mem_flags::mem_threadgroup);\n",
        "",
    ),
    ByHand(
        "backward_rows: the first head's sink is every head's",
        "backward_rows/kernel.metal.j2",
        "sinks[head] * LOG2_E",
        "sinks[0] * LOG2_E",
    ),
)
