"""Decoding reads what there is to read once, and less than the peers do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from metal_flash_sdpa.splits import Gpu

from benchmarks.counting.decode import targets, theirs
from benchmarks.counting.ours import ours
from benchmarks.counting.theirs import installed
from benchmarks.counting.work import Kernel, Work
from benchmarks.shapes import Shape
from benchmarks.target import missed

GPU = Gpu("M1", 32)
SMALL = Shape(heads=16, kv_heads=4, head_dim=64, keys=2048)


def broken(shape: Shape, own: Work, others: list[Work]) -> list[str]:
    return [str(target) for target in missed(targets(shape, own, others))]


def test_keys_and_values_are_read_once() -> None:
    """Beyond them, Q once more for each split of the keys, and the splits' partial results."""
    llama = Shape(heads=32, kv_heads=8, head_dim=128, keys=8192)
    own = ours(llama, GPU)
    assert own.bytes_read >= llama.least_bytes
    assert not broken(llama, own, [])


@pytest.mark.parametrize("heads_per_kv_head", [1, 4, 8, 16])
def test_no_more_is_read_than_by_the_peers(heads_per_kv_head: int) -> None:
    """They read a key once for each query head; PyTorch's shaders come with torch."""
    shape = replace(SMALL, kv_heads=SMALL.heads // heads_per_kv_head)
    others = theirs(shape)
    assert others
    assert not broken(shape, ours(shape, GPU), others)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(("heads", "queries"), [(4, 4), (2, 8), (1, 16), (7, 2)])
def test_several_queries_share_what_is_read(heads: int, queries: int, dtype: str) -> None:
    """As a speculative decoder asks for: 16 rows of one KV head fit one tile."""
    shape = Shape(2 * heads, 2, head_dim=32, keys=2048, dtype=dtype, queries=queries)
    assert not broken(shape, ours(shape, GPU), [])


def test_what_does_not_fit_the_largest_tile_is_read_again() -> None:
    shape = replace(SMALL, queries=8)  # 32 rows, two tiles
    own = ours(shape, GPU)
    assert 2 <= own.bytes_read / shape.least_bytes <= 2.1
    assert own.products == shape.least_products


@pytest.mark.skipif("mlx" not in installed(), reason="MLX's shaders are not installed")
@pytest.mark.parametrize(
    ("heads", "changes", "taken"),
    [
        (8, {}, True),
        (4, {}, False),  # it has none for so few
        (8, {"keys": 8191}, False),
        (8, {"sinks": True}, False),
        (16, {"head_dim": 64}, False),
    ],
)
def test_mlx_reads_less_where_one_kernel_takes_all_heads_of_a_kv_head(
    heads: int, changes: dict[str, Any], taken: bool
) -> None:
    shape = replace(Shape(heads, 1, head_dim=128, keys=8192), **changes)
    works = theirs(shape)
    (path,) = (work for work in works if work.name == "mlx")
    assert (f"gqa_{heads}" in path.kernels[0].name) == taken
    assert (
        path.bytes_read < 3 * shape.least_bytes
    ) == taken  # the path for all reads once per head
    assert not broken(shape, ours(shape, GPU), works)


@pytest.mark.parametrize("keys", [512, 4096])
def test_a_windowed_step_reads_its_window_whatever_the_caches_length(keys: int) -> None:
    """128 keys are seen; a block more is allowed for, because a window may begin anywhere."""
    window, block = 127, 128
    seen = replace(SMALL, keys=window + 1 + block)
    assert ours(replace(SMALL, keys=keys, window=(window, 0)), GPU).bytes_read <= seen.least_bytes


def did(launches: int, bytes_read: int, products: int) -> Work:
    kernel = Kernel("k", threads=32, threadgroup_bytes=0, block_q=8, block_k=8)
    counts = {"device.bytes_read": bytes_read, "products.float16": products}
    return Work("theirs", (kernel,) * launches, counts)


def test_a_broken_promise_is_seen() -> None:
    least, products = SMALL.least_bytes, SMALL.least_products
    own = did(launches=3, bytes_read=2 * least, products=2 * products)
    other = did(launches=1, bytes_read=3 * least, products=0)
    assert len(broken(SMALL, own, [other])) == 4  # 2/3 of a peer that reads again
    fair = did(launches=2, bytes_read=least, products=products)
    assert not broken(SMALL, fair, [other, did(1, least, 0)])
    assert broken(SMALL, fair, [did(1, least - 1, 0)])
