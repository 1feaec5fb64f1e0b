"""Decoding reads what there is to read once, and less than the peers do."""

from __future__ import annotations

import pytest

from benchmarks.decode_work import Shape, ours, peers

CORES = 32
LLAMA = Shape(heads=32, kv_heads=8, head_dim=128, keys=8192)


def test_keys_and_values_are_read_once() -> None:
    work = ours(LLAMA, CORES)
    assert work.launches <= 2
    assert work.products <= 1.1 * LLAMA.least_products
    # The rest is Q once more for each share of the keys, and the shares' results.
    assert LLAMA.least_bytes <= work.bytes_read <= 1.05 * LLAMA.least_bytes


@pytest.mark.parametrize("group", [1, 4, 8])
def test_no_more_is_read_than_by_the_peers(group: int) -> None:
    """They read a key once for each query head; PyTorch's shaders come with torch."""
    shape = Shape(heads=8, kv_heads=8 // group, head_dim=128, keys=2048)
    read = ours(shape, CORES).bytes_read
    others = peers(shape)
    assert others
    assert all(read <= other.bytes_read / (1 if group == 1 else 2) for other in others)
