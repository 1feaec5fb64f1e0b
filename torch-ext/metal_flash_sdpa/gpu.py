"""What a plan wants to know of the GPU: how many cores have to be kept busy."""

import subprocess
from functools import lru_cache

import torch

# Cores of each chip's full version, from Apple's specifications.
CORES = {
    "M1": 8,
    "M1 Pro": 16,
    "M1 Max": 32,
    "M1 Ultra": 64,
    "M2": 10,
    "M2 Pro": 19,
    "M2 Max": 38,
    "M2 Ultra": 76,
    "M3": 10,
    "M3 Pro": 18,
    "M3 Max": 40,
    "M3 Ultra": 80,
    "M4": 10,
    "M4 Pro": 20,
    "M4 Max": 40,
    "M5": 10,
    "M5 Max": 40,
}
UNKNOWN = 16  # cores of a chip that is not in the table: a middling one


@lru_cache(maxsize=None)
def cores(device_type: str) -> int:
    """Cores of the GPU behind a type of device; on the CPU those of a middling one.

    Asked of torch where it knows, else looked up by the chip's name.
    """
    if device_type != "mps":
        return UNKNOWN
    count = getattr(torch.backends.mps, "get_core_count", None)
    known = count() if count is not None else 0
    return int(known) or CORES.get(_chip(), UNKNOWN)


def _chip() -> str:
    """The chip's name, as in CORES; empty if the system does not say."""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip().replace("Apple ", "", 1)
