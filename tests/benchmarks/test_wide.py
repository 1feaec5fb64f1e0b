"""Wide heads, pairs and latent caches: nothing is multiplied or read twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.counting.ours import ANY_GPU, BUILT, ours_counted, plan_of
from benchmarks.counting.work import family
from benchmarks.shapes import Shape
from codegen.tile_shapes import FLOAT_BYTES, FRAGMENT

WIDE = Shape(1, 1, head_dim=512, keys=64, queries=32)
LATENT = (
    Shape(64, 1, head_dim=320, head_dim_v=256, latent=True, keys=64),
    Shape(32, 1, head_dim=576, head_dim_v=512, latent=True, keys=64),
)


@pytest.mark.parametrize(
    "shape",
    [
        WIDE,
        replace(WIDE, head_dim=192, head_dim_v=128),
        replace(WIDE, head_dim=96, head_dim_v=64, queries=64),
        replace(WIDE, heads=8, queries=1),
        replace(WIDE, heads=16, queries=1),
        *LATENT,
    ],
    ids=lambda s: f"{s.head_dim}-{s.widths[1]}-{s.heads}-{s.queries}",
)
def test_a_tile_multiplies_and_reads_once(shape: Shape) -> None:
    counts = ours_counted(shape, ANY_GPU, 1)
    assert family(counts, "products.") == shape.least_products
    assert counts["device.bytes_read"] == shape.least_bytes


def test_what_the_slices_of_a_tile_exchange() -> None:
    """Beside a fragment for each product: each slice's sums are read by the others."""
    counts = ours_counted(WIDE, ANY_GPU)
    (step,) = plan_of(WIDE, ANY_GPU).launches
    tile = BUILT.variants[step.kernel].tile
    assert (tile.slices, tile.rows) == (4, FRAGMENT)
    fragment = FRAGMENT * FRAGMENT * WIDE.element_bytes
    sums = FLOAT_BYTES * WIDE.queries * WIDE.keys * tile.slices
    assert counts["threadgroup.bytes_read"] == (
        family(counts, "products.") * fragment + (tile.slices - 1) * sums
    )
    staged = sum(WIDE.widths) * WIDE.keys * WIDE.element_bytes
    assert counts["threadgroup.bytes_written"] == staged + sums


@pytest.mark.parametrize("shape", LATENT, ids=lambda s: f"{s.head_dim}")
def test_more_heads_than_a_tile_has_rows_read_again(shape: Shape) -> None:
    """O of 128 rows of 512 columns has 256 KiB; a core has 208 KiB of registers (applegpu)."""
    twice = replace(shape, heads=2 * shape.heads)
    of_keys = shape.keys * shape.head_dim * shape.element_bytes
    assert ours_counted(twice, ANY_GPU, 1)["device.bytes_read"] == twice.least_bytes + of_keys
