"""The kernels that tests take where any will do: they compile soon, and each is compiled once."""

from __future__ import annotations

from metal_flash_sdpa.catalogue import ANY_DTYPE

from verify.variants import Variant, manifest


def smallest(family: str, dtype: str = "float16", least: int = 0) -> list[Variant]:
    """A family's kernels for its smallest head_dim, or for that which is not below `least`.

    A family that works for every dtype and head_dim has one kernel.
    """
    own = [v for v in manifest() if v.family == family]
    fit = [v for v in own if v.dtype == ANY_DTYPE or (v.dtype == dtype and v.head_dim >= least)]
    head_dim = min(v.head_dim for v in fit)
    return [v for v in fit if v.head_dim == head_dim]


SMALLEST = {family: smallest(family)[0] for family in dict.fromkeys(v.family for v in manifest())}
