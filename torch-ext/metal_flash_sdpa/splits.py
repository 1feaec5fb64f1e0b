"""Into how many shares decoding divides the keys: so many that the whole GPU reads memory.

MLX has a rule for the size of the chip alone: 32 shares, or 64 for four and more query rows, on
base and Pro chips; 64 to 1024 on a Max and 128 to 1024 on an Ultra, by the number of keys
(sdpa_vector_2pass in its scaled_dot_product_attention.cpp).  Here batch and KV heads count as well,
because they occupy cores without any shares.
"""

from typing import NamedTuple


class Gpu(NamedTuple):
    """What a plan knows of the GPU.  Results do not depend on it beyond rounding."""

    family: str = ""  # "M1" and so on, as in the table; else unknown
    cores: int = 16  # an M1 Pro's, where nobody says


# Simdgroups that keep the loads of one core in flight.
SIMDGROUPS_PER_CORE = {
    # 24 saturate a core (metal-benchmarks).  Of a kernel that takes 104 registers its register file
    # holds 512 threads (Mesa's agx_performance), which are 16, and decode's take about as many.
    "M1": 16,
    "M2": 16,  # metal-benchmarks treats both as one architecture
    # Inferred: registers are allotted as they are used (Apple's tech talk on M3 and A17 Pro), so
    # that those 24 find room.
    "M3": 24,
    "M4": 24,
    "M5": 24,
}
OF_ANOTHER_FAMILY = min(SIMDGROUPS_PER_CORE.values())

STEPS_PER_SHARE = 2  # of a threadgroup's loop, at least; inferred: one to start, one to go on
# Each share reads its rows of Q, and writes rows of O in float32 that are read again: for a row
# what 1.5 keys take in 16 bits (or 1 key in float32).  Of 32 keys that is 5 %.
KEYS_PER_ROW = 32
MOST_SHARES = 64  # the second launch adds them up one after the other


def choose(gpu: Gpu, keys: int, step: int, rows: int, simdgroups: int, groups: int) -> int:
    """Shares for a launch of `groups` threadgroups without any.

    Each threadgroup is `simdgroups` wide and goes through `keys` in steps of `step` for so many
    `rows`.  No share is empty.
    """
    occupied = gpu.cores * SIMDGROUPS_PER_CORE.get(gpu.family, OF_ANOTHER_FAMILY)
    wanted = -(-occupied // (simdgroups * max(groups, 1)))
    steps = -(-keys // step)
    least_steps = max(STEPS_PER_SHARE, -(-rows * KEYS_PER_ROW // step))
    shares = max(1, min(wanted, steps // least_steps, MOST_SHARES))
    return -(-steps // -(-steps // shares)) if steps else 1
