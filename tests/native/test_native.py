"""The C++ launcher gives what the emulator's launcher gives, and refuses what it cannot launch."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from metal_flash_sdpa import launchers
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.launchers import native
from metal_flash_sdpa.plan import LaunchPlan
from torch import Tensor

import emulator
from tests.native.extension import CXX, MAX_THREADS, Extension
from verify.arena import BITS
from verify.case import Case
from verify.cases import SEED_VARIANT, cases, seed_rows
from verify.inputs import Inputs, flat, prepare
from verify.run import Launch, plan_for
from verify.variants import Variant, manifest

if sys.platform != "linux":
    pytest.skip("torch for macOS has the real classes", allow_module_level=True)
if CXX is None and "CI" not in os.environ:
    pytest.skip("no c++ on this machine", allow_module_level=True)

MOST_TENSORS, MOST_INTS = 29, 1024
WIDE = "wide"
WIDE_SOURCE = f"""
#include <metal_stdlib>
using namespace metal;
struct Ints {{ int at[{MOST_INTS}]; }};
struct Floats {{ float at[2]; }};
kernel void wide(
    {"".join(f"device float* t{i} [[buffer({i})]], " for i in range(MOST_TENSORS))}
    constant Ints& ints [[buffer({MOST_TENSORS})]],
    constant Floats& floats [[buffer({MOST_TENSORS + 1})]],
    uint3 at [[thread_position_in_grid]], uint3 size [[threads_per_grid]]) {{
  const uint i = (at.z * size.y + at.y) * size.x + at.x;
  {"".join(f"t{i}[i] = ints.at[{i}] + floats.at[1]; " for i in range(MOST_TENSORS))}
}}
"""

# One head_dim per dtype, as in the parity tests, so that kernels are compiled once for both.
SHOWN = {
    "prefill_float16_d32": "window+sinks",
    "prefill_bfloat16_d72": "causal",
    "prefill_float32_d32": "full+sinks",
    "decode_float16_d32": "",  # with its combine, where the keys are split
}
LARGEST_TILES = {  # a later row of the manifest has a larger tile
    name: v for v in manifest() if SHOWN.get(name := v.name.rsplit("_q", 1)[0]) == v.mode
}
VARIANTS = list(LARGEST_TILES.values())
CASES = (  # the beginnings of their names
    "padded, several tiles",
    "padded, one row",
    "empty sequences",
    "no queries at all",
    "GQA 14/2",
    "softcap 30",
    "sliced",
    "mixed strides",
    "ALiBi per sequence, padded, sliced",
    "past 2^31 elements",
    "sinks mixed",
)
SHOWN_CASES = [(v, case) for v in VARIANTS for case in cases(v) if case.name.startswith(CASES)]
PATHS = {v.name: v.path for v in manifest()}
MADE = launchers._zeros
SEED_ROWS = [
    (v, case)
    for case, mode in seed_rows()
    for v in manifest()
    if (v.family, v.head_dim, v.dtype) == SEED_VARIANT and v.mode == mode
]


@cache
def kernel(name: str) -> Any:
    source = WIDE_SOURCE if name == WIDE else PATHS[name]
    # As builds ahead of time are, and what the emulator's launcher runs: compiled once for both.
    return emulator.compile(source, finite_math=True).function(name)


def zeros(optional: launchers.Optionals, device: torch.device) -> dict[str, Tensor]:
    """What stands in for optional tensors: nothing where torch has no MPS, and none is missing."""
    return MADE(optional, device) if device.type == "cpu" else {}


@pytest.fixture(scope="module")
def extension() -> Iterator[Extension]:
    extension = Extension([WIDE, *(v.name for v in manifest())], kernel)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "ops", extension.ops)
        patch.setattr(launchers, "_zeros", zeros)
        yield extension


def run(variant: Variant, case: Case, launch: Launch) -> Inputs:
    widths, dtype = variant.tried_on
    inputs = prepare(case, widths, getattr(torch, dtype), "cpu")
    plan = plan_for(variant, inputs.request, case)
    workspace = {
        name: flat(shape, "cpu", getattr(torch, kind)).view.view(shape)
        for name, shape, kind in plan.workspace
    }
    for step in plan.launches:
        launch(step, inputs.tensors | workspace)
    return inputs


def by_emulator(variant: Variant, case: Case) -> Inputs:
    def launch(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        if min(step.threadgroups) > 0:  # the native launcher takes an empty grid
            launcher.launch(step, tensors, workers=1)

    return run(variant, case, launch)


def same_bits(got: Inputs, want: Inputs) -> bool:
    """Whether the outputs are equal to the bit and nothing around them was written."""
    pairs = [(got.tensors[name], want.tensors[name]) for name in ("out", "lse")]
    equal = all(
        torch.equal(*(part.contiguous().view(BITS[part.itemsize]) for part in pair))
        for pair in pairs
    )
    return equal and not any(got.arenas[name].damage() for name in ("out", "lse"))


def test_the_variants_are_there() -> None:
    assert len(VARIANTS) == len(SHOWN)
    names = [case.name for _, case in SHOWN_CASES]
    assert [begin for begin in CASES if not any(name.startswith(begin) for name in names)] == []
    assert len(SEED_ROWS) == 6


@pytest.mark.parametrize(("variant", "case"), [*SEED_ROWS, *SHOWN_CASES], ids=lambda x: x.name)
def test_the_op_gives_what_the_emulator_gives(
    extension: Extension, variant: Variant, case: Case
) -> None:
    extension.dispatches.clear()
    got = run(variant, case, extension.launch)
    steps = plan_for(variant, got.request, case).launches
    assert steps[0].kernel == variant.name
    assert extension.dispatches == [step.kernel for step in steps if min(step.threadgroups) > 0]
    assert same_bits(got, by_emulator(variant, case))


def test_the_package_sees_the_compiled_launcher(extension: Extension) -> None:
    assert native.missing() == ""


def test_launches_from_several_threads(extension: Extension) -> None:
    """Each thread gets its own arguments through, whatever the others launch meanwhile."""
    lots = [(v, c) for v, c in SHOWN_CASES if c.name in ("GQA 14/2", "sliced", "mixed strides")]
    expected = [by_emulator(*lot) for lot in lots]
    start = threading.Barrier(len(lots))
    wrong: list[str] = []

    def work(index: int) -> None:
        start.wait()
        for _ in range(5):
            try:
                if not same_bits(run(*lots[index], extension.launch), expected[index]):
                    wrong.append(f"{lots[index][1].name}: other bits")
            except Exception as error:
                wrong.append(str(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(lots))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def wide(extension: Extension, **changes: Any) -> list[Tensor]:
    """Launch WIDE on a grid of 2 x 3 x 1 threadgroups of 2 threads; return the tensors."""
    tensors = [torch.zeros(20) for _ in range(MOST_TENSORS)]
    arguments = {
        "kernel": WIDE,
        "tensors": [extension.ops.as_mps(tensor[i % 4 :]) for i, tensor in enumerate(tensors)],
        "ints": range(MOST_INTS),
        "floats": [9.0, 0.25],
        "threadgroups": [2, 3, 1],
        "threads": 2,
    }
    extension.ops.launch(*(arguments | changes).values())
    return tensors


def test_every_argument_goes_to_its_index(extension: Extension) -> None:
    for i, tensor in enumerate(wide(extension)):
        offset = i % 4
        want = torch.zeros(20)
        want[offset : offset + 12] = i + 0.25
        assert torch.equal(tensor, want)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": "nope"}, r"kernel is 'nope': not among the \d+ kernels of this build"),
        ({"kernel": ""}, "kernel is ''"),
        ({"ints": []}, "the number of ints is 0: must be from 1 to 1024"),
        ({"ints": [0] * 1025}, "the number of ints is 1025"),
        ({"ints": [0, 2**31]}, r"ints\[1\] is 2147483648: must be from -2147483648 to 2147483647"),
        ({"ints": [-(2**31) - 1]}, r"ints\[0\] is -2147483649"),
        ({"floats": [1e39]}, r"floats\[0\] is 1e\+39: must be from -3.4\d+e\+38 to 3.4"),
        ({"floats": [0.0, float("nan")]}, r"floats\[1\] is nan"),
        ({"threadgroups": [1, 1]}, "the number of threadgroups is 2: must be from 3 to 3"),
        ({"threadgroups": [1, -1, 1]}, r"threadgroups\[1\] is -1: must be from 0 to 4294967295"),
        ({"threads": 0}, r"threads \(for wide\) is 0: must be from 1 to 1024"),
        ({"threads": MAX_THREADS + 1}, r"threads \(for wide\) is 1025"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_arguments_are_named(
    extension: Extension, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^launch: {message}"):
        wide(extension, **changes)


def test_bad_tensors_are_named(extension: Extension) -> None:
    good = extension.ops.as_mps(torch.zeros(4))
    for tensors, message in (
        ([good] * 30, "the number of tensors is 30: must be from 0 to 29"),
        ([good, torch.zeros(4)], r"tensors\[1\] is on cpu: must be on mps"),
        ([torch.zeros(4, device="meta")], r"tensors\[0\] is on meta"),
    ):
        with pytest.raises(ValueError, match=f"^launch: {message}"):
            wide(extension, tensors=tensors)
    with pytest.raises(RuntimeError, match="'tensors'"):  # torch's own words
        wide(extension, tensors=[None])


@pytest.mark.parametrize("threadgroups", [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
def test_an_empty_grid_launches_nothing(extension: Extension, threadgroups: list[int]) -> None:
    extension.dispatches.clear()
    assert all((tensor == 0).all() for tensor in wide(extension, threadgroups=threadgroups))
    assert not extension.dispatches


def test_a_failing_launch_is_an_exception_and_the_next_one_works(extension: Extension) -> None:
    wrong = [extension.ops.as_mps(torch.zeros(20, dtype=torch.int32))] * MOST_TENSORS
    with pytest.raises(RuntimeError, match="EmulatorError: wide: argument 0"):
        wide(extension, tensors=wrong)
    wide(extension)
