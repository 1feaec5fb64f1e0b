"""Into how many parts decoding splits the keys: so many that the whole GPU reads memory.

MLX has a rule for the size of the chip alone: 32 splits, or 64 for four and more query rows, on
base and Pro chips; 64 to 1024 on a Max and 128 to 1024 on an Ultra, by the number of keys
(sdpa_vector_2pass in its scaled_dot_product_attention.cpp).  Here batch and KV heads count as well,
because they occupy cores without any splits.
"""

from typing import NamedTuple


class Gpu(NamedTuple):
    """What a plan knows of the GPU.  Results do not depend on it beyond rounding."""

    family: str = ""  # "M1" and so on, as in the table; else unknown
    cores: int = 16  # an M1 Pro's, where nobody says


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
OF_ANOTHER_FAMILY = min(SIMDGROUPS_PER_CORE.values())

# A split takes at least so many steps of a threadgroup's loop: one to start and one to go on
# (inferred).
STEPS_PER_SPLIT = 2
# Each split reads its rows of Q, and writes rows of O in float32 that are read again: per row as
# many bytes as 1.5 keys in 16 bits (1 key in float32).  That is 5 % of 32 keys.
KEYS_PER_ROW = 32
MOST_SPLITS = 64  # the combine kernel adds them up one after the other


def choose(gpu: Gpu, keys: int, step: int, rows: int, simdgroups: int, threadgroups: int) -> int:
    """The number of splits for a launch that would have so many `threadgroups` without any.

    Each threadgroup is `simdgroups` wide and goes through `keys` in steps of `step` for so many
    `rows`.  No split is empty.
    """
    occupied = gpu.cores * SIMDGROUPS_PER_CORE.get(gpu.family, OF_ANOTHER_FAMILY)
    wanted = -(-occupied // (simdgroups * max(threadgroups, 1)))
    steps = -(-keys // step)
    least_steps = max(STEPS_PER_SPLIT, -(-rows * KEYS_PER_ROW // step))
    splits = max(1, min(wanted, steps // least_steps, MOST_SPLITS))
    return -(-steps // -(-steps // splits)) if steps else 1
