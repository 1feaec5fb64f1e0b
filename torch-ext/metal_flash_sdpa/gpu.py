"""What a plan wants to know of the GPU: how many cores have to be kept busy."""

from functools import lru_cache

import torch

from .plan import USUAL_CORES


@lru_cache(maxsize=None)
def cores(device_type: str) -> int:
    """Cores of the GPU behind a type of device.

    USUAL_CORES where nobody says: on the CPU, and with a torch before 2.9, which does not know.
    """
    known = getattr(torch.backends.mps, "get_core_count", None) if device_type == "mps" else None
    return int(known()) if known is not None else USUAL_CORES
