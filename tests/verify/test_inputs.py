"""What a case lays out with strides of its own lies so on every device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from verify.arena import moved
from verify.cache import UNUSED, Cache
from verify.case import LAYOUTS, CacheUse, Case, Shape
from verify.cases import PAGE, cases, every_case
from verify.inputs import Inputs, prepare
from verify.variants import Variant, manifest

# Of each family and mode one variant: between them they have every case's name.
VARIANTS = tuple({(v.family, v.mode): v for v in manifest()}.values())
ELSEWHERE = "meta"  # a device other than the CPU, without memory, that every machine has


def inputs_on(device: str, case: Case, variant: Variant) -> Inputs:
    widths, dtype = variant.tried_on
    return prepare(case, widths, getattr(torch, dtype), device)


def places(inputs: Inputs) -> dict[str, Any]:
    """Where each tensor's elements lie in its memory, and how much memory that is."""
    return {
        name: (t.shape, t.stride(), t.storage_offset(), t.untyped_storage().nbytes())
        for name, t in inputs.tensors.items()
    }


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_case_lies_alike_on_another_device(variant: Variant) -> None:
    for case in cases(variant):
        here, elsewhere = (inputs_on(device, case, variant) for device in ("cpu", ELSEWHERE))
        assert {t.device.type for t in elsewhere.tensors.values()} == {ELSEWHERE}
        assert places(elsewhere) == places(here), case.name
        assert (elsewhere.request, elsewhere.append) == (here.request, here.append), case.name
        assert elsewhere.backward == here.backward, case.name


def test_the_request_states_the_strides_that_there_are() -> None:
    stated = 0
    for variant in VARIANTS:
        for case in cases(variant):
            inputs = inputs_on(ELSEWHERE, case, variant)
            request, tensors = inputs.request, inputs.tensors
            for name in ("q", "k", "v", "out"):
                assert getattr(request, f"{name}_strides")[-2:] == tensors[name].stride()[-3:-1]
            for name in ("grad_out", "grad_q", "grad_k", "grad_v"):
                if name in tensors:
                    strides = getattr(inputs.backward, f"{name}_strides")
                    assert strides[-2:] == tensors[name].stride()[-3:-1]
            if "block_table" in tensors:
                assert request.table_stride == tensors["block_table"].stride(0)
                stated += 1
            if "alibi_slopes" in tensors:
                assert request.alibi_strides[-1] == tensors["alibi_slopes"].stride(-1)
                stated += tensors["alibi_slopes"].stride(-1) > 1
    assert stated


def slot_not_in_use(unused: str, appended: int) -> dict[str, Tensor]:
    """What a cache of pages says of two sequences, the first of which has no keys."""
    use = CacheUse(PAGE, appended=appended, unused=unused)
    return Cache.of(Case("x", Shape((1, 1), (0, 40), packed=False), cache=use)).tensors()  # type: ignore[union-attr]


@pytest.mark.parametrize("appended", [0, 2])
def test_a_slot_is_not_in_use_by_its_length_or_its_pages(appended: int) -> None:
    by_length = slot_not_in_use("length", appended)
    assert by_length["k_end"].tolist() == [UNUSED, 40 - appended]
    by_pages = slot_not_in_use("pages", appended)
    first_new_row = by_pages["k_end"][0] if appended else by_pages["k_end"][0] - 1
    first, second = by_pages["block_table"][0, :2].tolist()
    assert first_new_row == PAGE
    assert second < 0 <= first


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ({"unused": "pages"}, "has none"),
        ({"unused": "row"}, "'row': must be"),
        ({"unused": "length"}, "it has no keys"),
    ],
)
def test_a_slot_that_cannot_be_unused_is_refused(use: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Case("x", Shape((1,), (4,), packed=False), cache=CacheUse(**use))


def test_all_layouts_are_among_the_cases() -> None:
    assert {case.layout for variant in VARIANTS for case in every_case(variant)} == LAYOUTS.keys()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24).view(4, 6)[:, :5],
        torch.arange(24).view(4, 6)[1:, ::2],
        torch.arange(24).view(4, 6).T,
        torch.arange(3).expand(4, 3),
        torch.arange(0),
    ],
    ids=["cut", "sliced", "transposed", "expanded", "empty"],
)
def test_a_tensor_is_moved_with_its_strides_and_its_gaps(tensor: Tensor) -> None:
    elsewhere = moved(tensor, ELSEWHERE)
    assert (elsewhere.shape, elsewhere.stride()) == (tensor.shape, tensor.stride())
    assert elsewhere.storage_offset() == tensor.storage_offset()
    here = moved(tensor, "cpu")
    assert torch.equal(here, tensor)
    assert here.untyped_storage().nbytes() == tensor.untyped_storage().nbytes()
