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
SKELETON, PARTS = "prefill.metal.j2", "parts/"
DECODE, DECODE_PARTS = "decode.metal.j2", "parts/decode/"

BY_HAND = (
    ByHand(
        "the barrier before staging stands before the loop",
        SKELETON,
        "    for (int key = band.begin; key < band.end; key += BLOCK_K) {\n" + USED_UP,
        USED_UP + "    for (int key = band.begin; key < band.end; key += BLOCK_K) {\n",
    ),
    ByHand(
        "the barrier after staging comes after the scores",
        SKELETON,
        STAGED + "\n        multiply_queries_keys(scores, {{ queries }}, k_block);\n",
        "\n        multiply_queries_keys(scores, {{ queries }}, k_block);\n" + STAGED,
    ),
    ByHand(
        "a barrier of the simdgroup where the threadgroup's is needed (before staging)",
        SKELETON,
        USED_UP,
        USED_UP.replace("threadgroup_barrier", "simdgroup_barrier"),
    ),
    ByHand(
        "a barrier of the simdgroup where the threadgroup's is needed (after staging)",
        SKELETON,
        STAGED,
        STAGED.replace("threadgroup_barrier", "simdgroup_barrier"),
    ),
    ByHand(
        "the barrier before staging orders no memory",
        SKELETON,
        USED_UP,
        USED_UP.replace("mem_flags::mem_threadgroup", "mem_flags::mem_none"),
    ),
    ByHand(
        "the barrier after staging orders no memory",
        SKELETON,
        STAGED,
        STAGED.replace("mem_flags::mem_threadgroup", "mem_flags::mem_none"),
    ),
    ByHand(
        "only the first simdgroup waits for the staged block",
        SKELETON,
        STAGED,
        STAGED.replace("threadgroup_barrier", "if (simdgroup == 0) threadgroup_barrier"),
    ),
    ByHand(
        "the first block is skipped",
        SKELETON,
        "int key = band.begin;",
        "int key = band.begin + BLOCK_K;",
    ),
    ByHand("the last block is skipped", SKELETON, "key < band.end;", "key + BLOCK_K < band.end;"),
    ByHand(
        "scores are rounded to elements",
        PARTS + "scores.metal.j2",
        "scores[r][c].thread_elements()[i] *= scale;",
        "scores[r][c].thread_elements()[i] = element(scores[r][c].thread_elements()[i] * scale);",
    ),
    ByHand(
        "products are summed as elements",
        PARTS + "scores.metal.j2",
        " keys, scores[r][c]);",
        " keys, scores[r][c]); "
        "for (int i = 0; i < 2; ++i) scores[r][c].thread_elements()[i] = "
        "element(scores[r][c].thread_elements()[i]);",
    ),
    ByHand(
        "outputs are rounded to elements at every rescale",
        PARTS + "softmax.metal.j2",
        "outputs[d].thread_elements()[0] *= factor;",
        "outputs[d].thread_elements()[0] = element(outputs[d].thread_elements()[0] * factor);",
    ),
    ByHand(
        "softcap acts on base-2 scores",
        PARTS + "scores.metal.j2",
        "capped ? f.softmax_scale / f.softcap",
        "capped ? f.softmax_scale * LOG2_E / f.softcap",
    ),
    ByHand(
        "the sink is left out of the maximum",
        PARTS + "softmax.metal.j2",
        '"max(sink, LEAST_MAX)" if',
        '"LEAST_MAX" if',
    ),
    ByHand(
        "the maximum starts at the sink, even if that is -inf",
        PARTS + "softmax.metal.j2",
        '"max(sink, LEAST_MAX)" if',
        '"sink" if',
    ),
    ByHand(
        "the maximum starts at 0",
        PARTS + "softmax.metal.j2",
        'if v.sinks else "LEAST_MAX" }}',
        'if v.sinks else "0.0f" }}',
    ),
    ByHand(
        "every query head has the first head's sink",
        SKELETON,
        "sinks[head] * LOG2_E",
        "sinks[0] * LOG2_E",
    ),
    ByHand(
        "sinks are taken per KV head",
        SKELETON,
        "sinks[head] * LOG2_E",
        "sinks[kv_head] * LOG2_E",
    ),
    ByHand(
        "the log-sum-exp is in base 2",
        PARTS + "store.metal.j2",
        "LN_2 * (row_max[r] + fast::log2(row_sum[r]))",
        "row_max[r] + fast::log2(row_sum[r])",
    ),
    ByHand(
        "the log-sum-exp forgets the maximum",
        PARTS + "store.metal.j2",
        "LN_2 * (row_max[r] + fast::log2(row_sum[r]))",
        "LN_2 * fast::log2(row_sum[r])",
    ),
    ByHand(
        "offsets into K are 32 bits wide",
        SKELETON,
        "kv_head * n.k_head_stride",
        "kv_head * int(n.k_head_stride)",
    ),
    ByHand(
        "offsets into V are 32 bits wide",
        SKELETON,
        "kv_head * n.v_head_stride",
        "kv_head * int(n.v_head_stride)",
    ),
    ByHand(
        "offsets into Q are 32 bits wide",
        SKELETON,
        "head * n.q_head_stride",
        "head * int(n.q_head_stride)",
    ),
    ByHand(
        "offsets into the output are 32 bits wide",
        SKELETON,
        "head * n.out_head_stride",
        "head * int(n.out_head_stride)",
    ),
    ByHand(
        "staged rows are read as aligned vectors",
        PARTS + "load.metal.j2",
        "element4(*(device const packed_element4*)(source + i))",
        "*(device const element4*)(source + i)",
    ),
    ByHand(
        "cu_seqlens are trusted",
        PARTS + "sequence.metal.j2",
        "clamp(cu_seqlens_q[i], 0, n.q_len)",
        "cu_seqlens_q[i]",
    ),
    ByHand(
        "decode: a barrier of the simdgroup where the threadgroup's is needed (after staging)",
        DECODE,
        f"{BARRIER} // this one is staged",
        "        simdgroup_barrier(mem_flags::mem_threadgroup);",
    ),
    ByHand(
        "decode: the barrier after staging orders no memory",
        DECODE,
        f"{BARRIER} // this one is staged",
        "        threadgroup_barrier(mem_flags::mem_none);",
    ),
    ByHand(
        "decode: a barrier of the simdgroup where the threadgroup's is needed (shares)",
        DECODE_PARTS + "merge.metal.j2",
        "threadgroup_barrier(mem_flags::mem_threadgroup); // every simdgroup's share is known",
        "simdgroup_barrier(mem_flags::mem_threadgroup);",
    ),
    ByHand(
        "decode: all simdgroups add to the outputs at once",
        DECODE_PARTS + "merge.metal.j2",
        f"{BARRIER} // one simdgroup after the other\n    }}\n",
        "    }\n    threadgroup_barrier(mem_flags::mem_threadgroup);\n",
    ),
    ByHand(
        "decode: outputs are not normalised",
        DECODE_PARTS + "merge.metal.j2",
        "fast::exp2(own_max[i] - all.row_max[i]) / all.row_sum[i]",
        "fast::exp2(own_max[i] - all.row_max[i])",
    ),
    ByHand(
        "decode: every share of the keys counts the sink",
        DECODE_PARTS + "merge.metal.j2",
        "if (share == 0) {",
        "if (true) {",
    ),
    ByHand(
        "decode: partial results are rounded to elements",
        DECODE_PARTS + "merge.metal.j2",
        "{{ target }}(merged[i])",
        "{{ target }}(element(merged[i]))",
    ),
    ByHand(
        "decode: every simdgroup starts at the first key",
        DECODE,
        "int key = band.begin + int(simdgroup) * BLOCK_K;",
        "int key = band.begin;",
    ),
    ByHand(
        "decode: a share of the keys runs into the next one",
        DECODE_PARTS + "band.metal.j2",
        "min(share_begin + steps_per_share * STEP, end)",
        "min(share_begin + steps_per_share * STEP + BLOCK_K, end)",
    ),
    ByHand(
        "decode: offsets into K are 32 bits wide",
        DECODE,
        "kv_head * n.k_head_stride",
        "kv_head * int(n.k_head_stride)",
    ),
    ByHand(
        "the block table is trusted",
        PARTS + "rows.metal.j2",
        "clamp(pages[page_of_sequence], 0, n.pages - 1)",
        "pages[page_of_sequence]",
    ),
    ByHand(
        "the block table is read beyond its last entry",
        PARTS + "rows.metal.j2",
        "min(row, n.k_len - 1)",
        "row",
    ),
    ByHand(
        "values are rotated, too",
        "append.metal.j2",
        "write_row(v, new_v, 0,",
        "write_row(v, new_v, n.rotary_pairs,",
    ),
    ByHand(
        "all queries are rotated as causal ones",
        "append.metal.j2",
        "end + row * n.advance",
        "end + row",
    ),
    ByHand(
        "a full cache is written past its end",
        "append.metal.j2",
        "row >= n.appended || position >= n.k_len",
        "row >= n.appended",
    ),
    ByHand(
        "a share of the keys that a row does not see counts",
        "combine.metal.j2",
        "own_lse == LEAST_MAX ? 0.0f : fast",
        "fast",
    ),
)
