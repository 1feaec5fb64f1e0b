"""The kernels over their cases, and the parity run itself: it must be able to fail."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import LaunchPlan, plan_prefill

import emulator
from tests.verify.smallest import smallest
from verify import workers
from verify.arena import Arena
from verify.case import Case, Mask, Shape
from verify.cases import cases
from verify.inputs import prepare
from verify.parity import large, report
from verify.parity.__main__ import run_variant
from verify.run import Launch, Outcome, instead, run
from verify.variants import GENERATED, Variant, manifest

# A head_dim for each dtype, or the next for which a family has kernels.
SHOWN = {"float16": 32, "bfloat16": 72, "float32": 32}


def shown() -> Iterator[Variant]:
    """One kernel of each family and dtype, in different modes.  The session parity runs all."""
    for family in dict.fromkeys(v.family for v in manifest()):
        for turn, (dtype, least) in enumerate(SHOWN.items()):
            own = smallest(family, dtype, least)
            yield (own[0], own[len(own) // 2], own[-1])[turn]


VARIANTS = tuple(dict.fromkeys(shown()))
WINDOW, CAUSAL = (
    next(v for v in smallest("prefill") if v.mode == mode) for mode in ("window", "causal")
)
BACKWARD = {
    family: next(v for v in smallest(family) if v.mode in ("causal", ""))
    for family in ("backward_rows", "backward_q", "backward_kv")
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_variant(variant: Variant) -> None:
    launch = partial(launcher.launch, workers=1)
    failures = [
        f"{outcome.case}: {outcome.explain()}"
        for outcome in (run(case, variant, launch) for case in cases(variant))
        if not outcome.ok
    ]
    assert not failures, "\n".join(failures)


def test_case_names_are_unique() -> None:
    for variant in manifest():
        names = [case.name for case in cases(variant)]
        assert len(set(names)) == len(names)


def broken(variant: Variant, old: str, new: str) -> Launch:
    """A launcher for the variant's shader with one piece of text exchanged."""
    text = (GENERATED / variant.file).read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {variant.file}"
    kernel = emulator.compile(text.replace(old, new), finite_math=True).function(variant.name)
    return instead(variant.name, kernel, workers=1)


def failing(variant: Variant, launch: Launch) -> Iterator[Outcome]:
    outcomes = (run(case, variant, launch) for case in cases(variant) if case.layout != "far")
    return (outcome for outcome in outcomes if not outcome.ok)


@pytest.mark.parametrize(
    ("variant", "old", "new"),
    [
        (CAUSAL, "seen.end = min(diagonal + 1,", "seen.end = min(diagonal + 2,"),
        (WINDOW, "max(diagonal - call.window_left, 0)", "max(diagonal + 1 - call.window_left, 0)"),
        (WINDOW, "unmasked = {last.begin, first.end}", "unmasked = {first.begin, first.end}"),
        (CAUSAL, "softmax.sum[r] *= factors[r];", ""),
        (CAUSAL, "threadgroup_barrier(mem_flags::mem_threadgroup); // this block is staged", ""),
        (BACKWARD["backward_rows"], "delta -= call.has_grad_lse", "delta += call.has_grad_lse"),
        (BACKWARD["backward_rows"], "sum += sink_terms[i];", "sum = sink_terms[i];"),
        (BACKWARD["backward_q"], "exists ? row_delta[own] : 0.0f", "0.0f"),
        (BACKWARD["backward_kv"], "weight * (1.0f - limited * limited)", "weight"),
        (BACKWARD["backward_kv"], "0.0f : weight[0]", "0.0f : weight[1]"),
    ],
)
def test_a_wrong_kernel_fails(variant: Variant, old: str, new: str) -> None:
    assert any(failing(variant, broken(variant, old, new)))


def test_a_row_stored_past_the_end_is_damage() -> None:
    launch = broken(CAUSAL, "if (own >= rows) {", "if (own > rows) {")
    assert any(outcome.damage for outcome in failing(CAUSAL, launch))


def test_the_right_kernel_passes_in_the_same_harness() -> None:
    assert not any(failing(CAUSAL, partial(launcher.launch, workers=1)))


def test_an_exception_is_an_outcome() -> None:
    def launch(*_: object) -> None:
        raise RuntimeError("no such device")

    outcome = run(Case("one", Shape((1,), (1,))), manifest()[0], launch)
    assert not outcome.ok
    assert outcome.explain() == "RuntimeError: no such device"


def test_the_plan_must_pick_the_variant() -> None:
    outcome = run(Case("one", Shape((1,), (1,)), Mask(causal=True)), WINDOW, lambda *_: None)
    assert "the plan picked" in outcome.explain()


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ValueError("no")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_parity_builds_each_kernel_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    launcher._kernel.cache_clear()
    result = run_variant(CAUSAL, [next(iter(cases(CAUSAL)))], "emulator")
    assert not list(result.failures())
    assert len(list((tmp_path / "kernels").glob("*.so"))) == 1


def test_a_crash_is_the_result_of_its_task_only() -> None:
    tasks: list[Callable[[], object]] = [crash, partial(str, 5), fail]
    results = dict(workers.run(tasks, 2))
    assert isinstance(results[0], workers.CrashError)
    assert "SIGKILL" in str(results[0])
    assert results[1] == "5"
    assert isinstance(results[2], ValueError)


@pytest.mark.parametrize(
    ("variant", "window_size", "side"),
    [(CAUSAL, (-1, 0), "right"), (WINDOW, (10, 5), "right"), (WINDOW, (10, 5), "left")],
    ids=str,
)
def test_blocks_outside_the_band_are_not_read(
    variant: Variant, window_size: tuple[int, int], side: str
) -> None:
    """A tile's K loop starts and ends at the blocks that its band touches: NaN beyond is unseen."""
    block_q, block_k, tiles = variant.block_q, variant.block_k, 4
    length = tiles * block_q
    left, right = window_size
    case = Case("band", Shape((length,), (length,)), Mask(window_size=window_size))
    inputs = prepare(case, variant.widths, torch.float16, "cpu")
    first_row = (tiles - 1) * block_q if side == "left" else 0
    begin = max(first_row - left, 0) if left >= 0 else 0
    blocks = -(-(min(first_row + block_q + right, length) - begin) // block_k)
    for name in ("k", "v"):
        inputs.tensors[name][:begin] = torch.nan
        inputs.tensors[name][begin + blocks * block_k :] = torch.nan
    launcher.launch(plan_prefill(inputs.request).launches[0], inputs.tensors, workers=1)
    assert inputs.tensors["out"][first_row : first_row + block_q].isfinite().all()
    assert inputs.tensors["out"].isnan().any()  # the other tiles do read the NaN


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced"])
def test_arena_sees_every_element_around_the_tensor(layout: str) -> None:
    shape = (2, 3, 2, 8)
    arena = Arena(shape, torch.float16, layout, "cpu", packed=False)
    arena.fill(torch.ones(shape))
    inside = int((arena.storage == 1).sum())
    assert inside == arena.view.numel()
    outside = arena.storage.isnan().nonzero().flatten()
    arena.storage[outside[[0, -1]]] = 0.0
    assert arena.damage() == 2


def test_memory_that_grows_with_the_length_is_seen() -> None:
    held = []

    def leaking(plan: LaunchPlan, tensors: dict[str, torch.Tensor]) -> None:
        memory = mmap.mmap(-1, 4096 * tensors["q"].shape[0])  # not what the heap has kept
        torch.frombuffer(memory, dtype=torch.uint8).fill_(1)
        held.append(memory)
        launcher.launch(plan, tensors, workers=1)

    lengths = (512, 8192)
    assert large.memory_is_flat([large.run(n, launcher.launch, "cpu") for n in lengths])
    assert not large.memory_is_flat([large.run(n, leaking, "cpu") for n in lengths])


def test_report_is_written(tmp_path: Path) -> None:
    variant = manifest()[0]
    outcome = run(Case("one", Shape((5,), (5,))), variant, partial(launcher.launch, workers=1))
    result = report.VariantResult(variant, (outcome,), 0.1)
    done = report.Report("emulator", (result,), (), (), 0.1)
    report.write(done, tmp_path)
    assert done.ok
    assert variant.name in (tmp_path / "report.json").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "1 of 1 variants pass" in page
    assert "http" not in page  # self-contained
