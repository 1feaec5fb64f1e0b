"""Which weights dropout keeps, worked out on its own: Philox as its paper has it.

Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011.  All in 64-bit integers of NumPy,
where the kernels have 32 bits and `mulhi`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ROUNDS = 7
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
STEPS = 0x9E3779B9, 0xBB67AE85  # from one round's key to the next


def philox(counter: Sequence[np.ndarray], key: Sequence[int]) -> list[np.ndarray]:
    """Philox 4x32: four random words for each counter, which has four words, too."""
    words = [np.asarray(word).astype(np.uint64) for word in counter]
    for turn in range(ROUNDS):
        own = [np.uint64((k + turn * step) & 0xFFFFFFFF) for k, step in zip(key, STEPS)]
        x, z = MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]
        words = [(z >> HALF) ^ words[1] ^ own[0], z & LOW, (x >> HALF) ^ words[3] ^ own[1], x & LOW]
    return words


def kept(batch: int, heads: int, q_len: int, k_len: int, seed: Tensor, dropout_p: float) -> Tensor:
    """Which weights of sequence `batch` are kept: (heads, q_len, k_len) bool."""
    axes = (np.arange(length) for length in (heads, q_len, k_len))
    head, query, key = np.meshgrid(*axes, indexing="ij")
    counter = (query, key // 4, head, np.full_like(head, batch))
    words = philox(counter, [int(word) & 0xFFFFFFFF for word in seed.tolist()])
    return torch.from_numpy(np.choose(key % 4, words) < round((1 - dropout_p) * 2**32))
