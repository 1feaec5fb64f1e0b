"""How many splits of the keys decoding has: enough to keep all cores of the GPU reading memory.

MLX's rule looks at the size of the chip: 32 splits, or 64 for four and more query rows, on base and
Pro chips; 64 to 1024 on a Max and 128 to 1024 on an Ultra, by the number of keys (sdpa_vector_2pass
in its scaled_dot_product_attention.cpp).  Here batch and KV heads count as well: each sequence and
KV head occupies a threadgroup even without splits.
"""

from typing import NamedTuple


class Gpu(NamedTuple):
    """What a plan knows of the GPU.  Results depend on it in their rounding only."""

    family: str = ""  # "M1" and so on; "" if torch does not say
    cores: int = 16  # if torch does not say: as an M1 Pro has


# Simdgroups that keep the loads of one core in flight.
SIMDGROUPS_PER_CORE = {
    # 24 saturate a core (metal-benchmarks), but its register file has room for only 16 of a kernel
    # that takes 104 registers per thread (512 threads: Mesa's agx_performance), as decode's do.
    "M1": 16,
    "M2": 16,  # metal-benchmarks treats both as one architecture
    # Inferred: from the M3 on a core allots registers as they are used (Apple's tech talk on M3 and
    # A17 Pro), so that all 24 have room.
    "M3": 24,
    "M4": 24,
    "M5": 24,
}
OF_UNKNOWN_FAMILY = min(SIMDGROUPS_PER_CORE.values())

# A split has at least so many steps of a threadgroup's loop.  Inferred: a single step would be over
# before its loads overlap with anything.
STEPS_PER_SPLIT = 2
# A split has at least so many keys for each of its rows.  For each row it reads Q and writes O in
# float32, which are the bytes of 1.5 keys in 16 bits, or of 1 key in float32: 5 % of 32 keys.
KEYS_PER_ROW = 32
MOST_SPLITS = 64  # the combine kernel adds them up one after the other


def choose(gpu: Gpu, keys: int, step: int, rows: int, simdgroups: int, threadgroups: int) -> int:
    """The number of splits.  No split is empty.

    `threadgroups` is what the launch would have without splits.  Each of them has `simdgroups`
    simdgroups and `rows` rows, and goes through `keys` keys, `step` of them at a time.
    """
    occupied = gpu.cores * SIMDGROUPS_PER_CORE.get(gpu.family, OF_UNKNOWN_FAMILY)
    wanted = -(-occupied // (simdgroups * max(threadgroups, 1)))
    steps = -(-keys // step)
    least_steps = max(STEPS_PER_SPLIT, -(-rows * KEYS_PER_ROW // step))
    splits = max(1, min(wanted, steps // least_steps, MOST_SPLITS))
    return -(-steps // -(-steps // splits)) if steps else 1


# The backward pass over keys has three threadgroups of 128 threads per core: with 104 to 128
# registers per thread, 384 to 448 threads fit (Mesa's agx_performance).
THREADGROUPS_PER_CORE = 3
# Each split writes and reads a gradient in float32, which its blocks have to be worth.
BLOCKS_PER_SPLIT = 4


def choose_blocks(gpu: Gpu, threadgroups: int, blocks: int) -> int:
    """The number of splits of the query blocks in the backward pass over keys.

    `threadgroups` is what the launch would have without splits; each goes through `blocks` blocks.
    """
    wanted = -(-gpu.cores * THREADGROUPS_PER_CORE // max(threadgroups, 1))
    return max(1, min(wanted, blocks // BLOCKS_PER_SPLIT))
