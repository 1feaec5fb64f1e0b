"""The fuzz run: it finds what is planted, shrinks it, and its command repeats it."""

from __future__ import annotations

import os
import shlex
from functools import cache, partial

import pytest
import torch
from hypothesis import given, settings
from metal_flash_sdpa.launchers.emulator import launch_on
from metal_flash_sdpa.plan import plan_prefill
from rich.console import Console

import emulator
from tests.cases import GENERATED, Case, Variant, manifest
from tests.fuzz import __main__ as session
from tests.fuzz import search
from tests.fuzz.calls import Call, calls, from_json
from tests.parity.run import Launch, Outcome, prepare
from tests.reference import Error

VARIANTS = manifest()
CAUSAL = next(v for v in VARIANTS if (v.head_dim, v.dtype, v.mode) == (32, "float16", "causal"))

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    session.warm()


def broken(old: str, new: str) -> search.Launcher:
    """A launcher of the shaders with a bug planted in them."""

    @cache
    def launcher(variant: Variant) -> Launch:
        text = (GENERATED / variant.file).read_text()
        assert text.count(old) == 1
        kernel = emulator.compile(text.replace(old, new)).function(variant.name)
        return partial(launch_on, kernel, workers=1)

    return launcher


@given(calls(VARIANTS))
@settings(max_examples=200, database=None, deadline=None, derandomize=True)
def test_a_call_is_planned_for_its_variant_and_survives_json(call: Call) -> None:
    assert from_json(call.to_json(), VARIANTS) == call
    if sum(call.case.q_lens) < 100:
        variant, dtype = call.variant, getattr(torch, call.variant.dtype)
        request = prepare(call.case, variant.head_dim, dtype, variant.sinks, "cpu").request
        assert plan_prefill(request).kernel == variant.name


def test_the_kernels_as_they_are_pass() -> None:
    found = search.search([CAUSAL], session.launcher, 20, seed=3)
    assert found.failure is None
    assert found.calls >= 20


def test_a_seed_draws_the_same_calls() -> None:
    bug = broken("row_sum[r] *= factor;", "")
    first, second = (search.search([CAUSAL], bug, 25, seed=1) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("old", "new", "least"),
    [
        # Two blocks of keys are needed before a rescale is missed.
        ("row_sum[r] *= factor;", "", lambda case: max(case.k_lens) > CAUSAL.block_k),
        ("const int kv_head = head / n.group", "const int kv_head = 0", lambda c: c.kv_heads > 1),
        ("if (row >= rows) {", "if (row > rows) {", lambda case: sum(case.q_lens) > 0),
    ],
)
def test_a_planted_bug_is_found_and_shrunk(old: str, new: str, least: object) -> None:
    failure = search.search([CAUSAL], broken(old, new), 100, seed=0).failure
    assert failure is not None
    case = failure.call.case
    assert least(case)  # type: ignore[operator]
    assert (case.layout, case.softcap, case.value_std) == ("contiguous", 0.0, 1.0)
    assert search.why_wrong(failure.call, broken(old, new)) == failure.why
    assert not search.why_wrong(failure.call, session.launcher)


def test_a_crash_is_found_and_names_its_call() -> None:
    def launcher(_: Variant) -> Launch:
        return lambda plan, _tensors: os.abort() if plan.threadgroups[1] > 2 else None

    call = Call(CAUSAL, Case("crash", (3,), (3,), heads=4, causal=True))
    assert "SIGABRT" in search.why_wrong(call, launcher)


def test_the_command_repeats_the_call() -> None:
    call = Call(CAUSAL, Case("one", (3, 4), (5, 6), heads=2, causal=True, window_size=(-1, 3)))
    words = shlex.split(session.command(call))
    assert words[:4] == ["nox", "-s", "fuzz", "--"]
    assert from_json(words[5], VARIANTS) == call
    assert session.replay(words[5], Console(quiet=True)) == 0


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"variant": "x", "case": {}}'])
def test_what_is_no_call_is_refused(text: str) -> None:
    assert session.replay(text, Console(quiet=True)) == 2


def test_only_an_error_in_what_the_dtype_cannot_hold_is_underflow() -> None:
    call = Call(CAUSAL, Case("one", (1,), (1,), causal=True))
    tiny = Error(1e-13, 2e-4, 0.0, 0.999999, (0,), 0.0, 1e-13)
    exact = Error(0.0, 1.0, 1.0, 0.0, (), 0.0, 0.0)
    assert search.only_underflow(call, Outcome("one", tiny, exact, 0))
    assert not search.only_underflow(call, Outcome("one", tiny, exact, 1))
    large = Error(1e-5, 2e-4, 0.9, 0.999999, (0,), 0.0, 1e-5)
    assert not search.only_underflow(call, Outcome("one", large, exact, 0))


def test_pieces_share_out_the_variants() -> None:
    parts = session.pieces(2000, 0)
    assert {v for part in parts for v in part.args[0]} == set(VARIANTS)  # type: ignore[attr-defined]
    assert sum(part.args[2] for part in parts) == 2000  # type: ignore[attr-defined]
