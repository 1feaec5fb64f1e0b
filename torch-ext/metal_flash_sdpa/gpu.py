"""Asks torch which GPU this is, and how many cores it has."""

import re
from functools import lru_cache

import torch

from .splits import Gpu


@lru_cache(maxsize=None)
def describe(device_type: str) -> Gpu:
    """The GPU behind a type of device.

    Gpu() with its defaults if torch does not say: on the CPU, and with a torch before 2.9.
    """
    mps = torch.backends.mps
    if device_type != "mps" or not hasattr(mps, "get_core_count"):
        return Gpu()
    generation = re.match(r"Apple (M\d+)\b", mps.get_name())  # "Apple M3 Max"
    return Gpu(generation[1] if generation else "", int(mps.get_core_count()))
