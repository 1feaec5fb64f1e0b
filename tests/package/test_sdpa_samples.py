"""PyTorch's own samples of scaled_dot_product_attention, through the replacement.

They come with torch (OpInfo, in torch.testing): 25 for each dtype, with inputs that need gradients.
They are drawn in pairs of the same shapes and options: one of each pair runs, and both do where
ALL_SAMPLES is set in the environment.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from metal_flash_sdpa import replace_sdpa
from torch import Tensor

from tests.package.sdpa_calls import (
    assert_close,
    assert_equal,
    gradients,
    in_float64,
    is_served,
    plain_attention,
    torchs_own,
)

pytest.importorskip("expecttest", reason="torch.testing's samples need it: group test")

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
SAMPLES = 25  # of each dtype: one with a bias, 12 with dropout


def attention(*arguments: Tensor, **options: Any) -> Tensor:
    return torch.nn.functional.scaled_dot_product_attention(*arguments, **options)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Their head_dim is 8, which is padded."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "head_dim .* has no kernels of its own")
        yield


def samples(dtype: torch.dtype) -> list[tuple[list[Any], dict[str, Any]]]:
    from torch.testing._internal.common_methods_invocations import op_db

    name = "nn.functional.scaled_dot_product_attention"
    (info,) = (info for info in op_db if info.name == name)
    torch.manual_seed(0)
    drawn = info.sample_inputs("cpu", dtype, requires_grad=True)
    return [([x.input, *x.args], x.kwargs) for x in drawn]


def dropped(tensors: list[Tensor], **options: Any) -> Tensor:
    """What dropout multiplies the weights by, in float64: values that are a unit matrix show it."""
    query, key, value = (x.detach() for x in tensors)
    k_len, columns = value.shape[-2:]
    assert k_len <= columns
    units = torch.eye(k_len, columns, dtype=value.dtype).expand(value.shape)
    torch.manual_seed(1)
    weights = attention(query, key, units, **options)[..., :k_len]
    return (weights != 0).double() / (1 - options["dropout_p"])


def assert_dropped(tensors: list[Tensor], **options: Any) -> None:
    """The result and the gradients are those of the weights that were kept."""
    factors, is_causal = dropped(tensors, **options), options["is_causal"]
    torch.manual_seed(1)
    got = gradients(attention, tensors, **options)
    exact = [in_float64(x) for x in tensors]
    units = torch.eye(factors.shape[-1], dtype=torch.float64)
    weights = plain_attention(exact[0], exact[1], units, is_causal=is_causal)
    matters = factors[weights.detach() > 1e-3]  # and does not round to 0 before it is dropped
    # Of n weights the part that is kept has a standard deviation of sqrt(p (1 - p) / n).
    assert abs((matters != 0).double().mean() - 0.5) < 5 * (0.25 / len(matters)) ** 0.5
    options["factors"] = factors
    want = gradients(plain_attention, exact, **options)
    assert_close(got, want, tensors, few=True, **options)


def assert_torchs_own(tensors: list[Tensor], **options: Any) -> None:
    torch.manual_seed(0)
    want = gradients(torchs_own, tensors, **options)
    torch.manual_seed(0)
    got = gradients(attention, tensors, **options)
    assert all(torch.equal(*pair) for pair in zip(got, want))


def assert_served(tensors: list[Tensor], **options: Any) -> None:
    assert_equal(attention, tensors, few=True, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_sample_is_served_or_torchs_own(dtype: torch.dtype, launched: list[str]) -> None:
    counts: Counter[str] = Counter()
    with replace_sdpa("cpu"):
        for i, (tensors, options) in enumerate(samples(dtype)):
            served = is_served(*tensors, **options)
            way = "passed on" if not served else "dropout" if options["dropout_p"] else "served"
            counts[way] += 1
            if i % 2 and "ALL_SAMPLES" not in os.environ:
                continue
            launched.clear()
            check = {"passed on": assert_torchs_own, "dropout": assert_dropped}
            check.get(way, assert_served)(tensors, **options)
            assert bool(launched) == served
    if dtype == torch.float64:
        assert counts == {"passed on": SAMPLES}
    else:
        assert counts["dropout"] == 12
        assert counts["served"] == 13
        assert counts.total() == SAMPLES
