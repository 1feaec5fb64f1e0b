"""The unfused composition is that which torch dispatches, and its arithmetic adds up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.model import unfused
from benchmarks.model.chips import chips
from benchmarks.shapes import Shape

TOKENS = 96
SHAPE = Shape(heads=2, kv_heads=2, head_dim=64, keys=TOKENS, queries=TOKENS, causal=True)
VIEWS = ("view", "expand", "transpose", "detach", "_unsafe_view")


class Matrices(TorchDispatchMode):  # type: ignore[misc]
    """Notes each operation on matrices of n^2: how many it reads and writes, and in which type."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int, int]] = []
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function.name().removeprefix("aten::").split(".")[0]
        read, written = self.matrices(args), self.matrices([result])
        if read + written and name not in VIEWS:
            self.seen.append((name, read, written))
        return result

    def matrices(self, values: Sequence[Any]) -> int:
        """Those of all heads; a mask is one for all of them."""
        found = [x for x in values if isinstance(x, Tensor) and x.numel() == 2 * TOKENS**2]
        self.dtypes |= {x.dtype for x in found}
        return len(found)


def dispatched(causal: bool) -> Matrices:
    """What torch's composition does forward and backward, in float16."""
    q, k, v = (
        torch.randn(1, 2, TOKENS, 64, dtype=torch.float16, requires_grad=True) for _ in range(3)
    )
    noted = Matrices()
    with sdpa_kernel(SDPBackend.MATH), noted:
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    return noted


@pytest.mark.parametrize("causal", [False, True])
def test_its_operations_are_those_that_torch_dispatches(causal: bool) -> None:
    noted = dispatched(causal)
    # Torch also converts the weights to the inputs' type, for nobody; that is left out.
    seen = [step for step in noted.seen if step[0] != "_to_copy"]
    names = {"bmm": 1, "add": 0, "_softmax": 0, "_safe_softmax": 0, "_softmax_backward_data": 0}
    shape = SHAPE if causal else Shape(2, 2, 64, TOKENS, queries=TOKENS)
    calculated = [(o.products, o.read, o.written) for o in unfused.operations(shape)]
    assert sorted((names[name], read, written) for name, read, written in seen) == sorted(
        calculated
    )
    kept = {torch.float32} | ({torch.float16} if len(seen) < len(noted.seen) else set())
    assert noted.dtypes == kept
    assert torch.float32.itemsize == unfused.SCORE_BYTES


def test_the_arithmetic() -> None:
    chip = chips()["M1 Max"]
    shape = Shape(1, 1, 64, 2048, queries=2048)
    pairs = 2048**2
    assert unfused.products(shape) == 6 * pairs * 64 // 512
    assert unfused.traffic(shape) == 11 * 4 * pairs
    assert unfused.extra_bytes(shape) == 3 * 4 * pairs
    # Products of 64 columns are limited by the matrix units, passes over matrices by memory.
    products = 6 * pairs * 64 / 512 * 17.5 / 4 / 32 / 0.8 / 1.296e6
    passes = 5 * 4 * pairs / 410e6
    assert unfused.milliseconds(shape, chip) == pytest.approx(products + passes)


def slower(change: Callable[[Shape], Shape]) -> float:
    """Time with a change / without."""
    chip = chips()["M3 Max"]
    return unfused.milliseconds(change(SHAPE), chip) / unfused.milliseconds(SHAPE, chip)


def test_masks_save_nothing() -> None:
    assert slower(lambda s: replace(s, causal=False, window=(4, 4))) == 1
    assert slower(lambda s: replace(s, causal=False)) < 1  # no pass for the mask
    assert slower(lambda s: replace(s, queries=2 * TOKENS, keys=2 * TOKENS)) == pytest.approx(4)
    assert slower(lambda s: replace(s, kv_heads=1)) == 1  # K and V are repeated
