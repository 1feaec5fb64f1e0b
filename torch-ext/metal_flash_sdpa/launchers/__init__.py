"""Launchers: each runs a LaunchPlan on tensors and knows nothing of attention.

Every launcher module has one function, `launch(plan, tensors)`.
"""

from functools import lru_cache
from pathlib import Path
from typing import Dict, List

import torch

from ..plan import LaunchPlan

_PACKAGE = Path(__file__).resolve().parent.parent
# A built package carries its shaders; a checkout has them in generated/.
_SHADER_FOLDERS = (_PACKAGE / "shaders", _PACKAGE.parent.parent / "generated")


def shader_path(kernel: str) -> Path:
    """The .metal file that holds `kernel`.  Raises FileNotFoundError naming where it looked."""
    for folder in _SHADER_FOLDERS:
        path = folder / f"{kernel}.metal"
        if path.is_file():
            return path
    places = " or ".join(str(folder) for folder in _SHADER_FOLDERS)
    raise FileNotFoundError(f"{kernel}.metal is neither in {places}")


# What a kernel takes and a call may not have; a padded batch has no offsets, few models slopes.
_OPTIONAL = {
    "cu_seqlens_q": torch.int32,
    "cu_seqlens_k": torch.int32,
    "alibi_slopes": torch.float32,
}


@lru_cache(maxsize=None)
def _zero(name: str, device: torch.device) -> torch.Tensor:
    """What is bound in place of an optional tensor that is not there."""
    return torch.zeros(1, dtype=_OPTIONAL[name], device=device)


def bind(plan: LaunchPlan, tensors: Dict[str, torch.Tensor]) -> List[torch.Tensor]:
    """The plan's buffers in binding order."""
    device = tensors["q"].device
    return [tensors[name] if name in tensors else _zero(name, device) for name in plan.buffers]
