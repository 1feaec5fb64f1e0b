"""What a measurement was taken on, from the machine's own words."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch


def device() -> str:
    """The type of device that kernels run on here: "mps", or "cpu" through the emulator."""
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe() -> str:
    """Chip, cores of its GPU, memory, system and torch, as far as this machine tells them."""
    system = f"macOS {platform.mac_ver()[0]}" if platform.mac_ver()[0] else platform.platform()
    parts = [_chip(), _memory(), system, f"torch {torch.__version__}"]
    if device() == "mps":
        cores = getattr(torch.backends.mps, "get_core_count", None)  # torch >= 2.9
        parts.insert(1, f"{cores()} GPU cores" if cores else "")
    else:
        parts.append("no Apple GPU: kernels on the CPU, through the emulator")
    return ", ".join(part for part in parts if part)


def _chip() -> str:
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string")
    lines = _read("/proc/cpuinfo").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    if platform.system() == "Darwin":
        amount = int(_sysctl("hw.memsize") or 0)
    else:
        words = _read("/proc/meminfo").split()  # MemTotal: 4040364 kB
        amount = 1024 * int(words[1]) if words else 0
    return f"{amount / 2**30:.0f} GiB" if amount else ""


def _sysctl(name: str) -> str:
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.is_file() else ""
