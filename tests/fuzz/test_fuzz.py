"""The fuzz run: it finds what is planted, shrinks it, and its command repeats it."""

from __future__ import annotations

import os
import shlex
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from rich.console import Console

import emulator
from tests.cases import GENERATED, Case, Variant, attention_variants
from tests.fuzz import __main__ as session
from tests.fuzz import search
from tests.fuzz.calls import Call, calls, from_json
from tests.parity.run import Launch, Outcome, instead, plan_for, prepare
from tests.reference import Error

VARIANTS = attention_variants()
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
        return instead(variant.name, kernel, workers=1)

    return launcher


@given(calls(VARIANTS))
@settings(max_examples=200, database=None, deadline=None, derandomize=True)
def test_a_call_is_planned_for_its_variant_and_survives_json(call: Call) -> None:
    assert from_json(call.to_json(), VARIANTS) == call
    if sum(call.case.q_lens) < 100:
        variant, dtype = call.variant, getattr(torch, call.variant.dtype)
        request = prepare(call.case, variant.head_dim, dtype, variant.sinks, "cpu").request
        plan = plan_for(variant.family, request, call.case)
        assert plan.launches[0].kernel == variant.name


def test_the_kernels_as_they_are_pass() -> None:
    found = search.search([CAUSAL], session.launcher, 20, seed=3)
    assert found.failure is None
    assert found.calls >= 20


def test_a_seed_draws_the_same_calls() -> None:
    bug = broken("row_sum[r] *= factor[r];", "")
    first, second = (search.search([CAUSAL], bug, 25, seed=1) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("old", "new", "least"),
    [
        # Two blocks of keys are needed before a rescale is missed.
        ("row_sum[r] *= factor[r];", "", lambda case: max(case.k_lens) > CAUSAL.block_k),
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


def outcome(max_abs: float, cosine: float, damage: int = 0) -> Outcome:
    out = Error(max_abs, 2e-4, cosine, 0.999999, (0,), 0.0, max_abs)
    return Outcome("one", out, Error(0.0, 1.0, 1.0, 0.0, (), 0.0, 0.0), damage)


def test_the_cosine_is_not_asked_of_what_the_dtype_cannot_hold() -> None:
    call = Call(CAUSAL, Case("one", (1,), (1,), causal=True))
    assert search.widened(call, outcome(1e-13, 0.0)).ok
    assert not search.widened(call, outcome(1e-13, 0.0, damage=1)).ok
    assert not search.widened(call, outcome(1e-5, 0.9)).ok


def test_the_tolerance_grows_with_the_values_and_scores_only() -> None:
    def extra(**options: float) -> float:
        call = Call(CAUSAL, Case("one", (1,), (1,), causal=True, **options))  # type: ignore[arg-type]
        return search.widened(call, outcome(0.0, 1.0)).out.tolerance - 2e-4

    assert extra() == pytest.approx(2e-4, rel=0.05)  # once more the floor of float16
    assert extra(value_std=100.0) == pytest.approx(2e-2, rel=0.05)
    assert extra(score_std=2500.0) == pytest.approx(2e-4 + 2.0**-24 * 13750 * 11, rel=0.05)
    assert extra(score_std=2500.0, softcap=50.0) == pytest.approx(2e-4, rel=0.3)


def test_pieces_share_out_the_variants() -> None:
    parts = session.pieces(2000, 0)
    assert {v for part in parts for v in part.args[0]} == set(VARIANTS)  # type: ignore[attr-defined]
    assert sum(part.args[2] for part in parts) == 2000  # type: ignore[attr-defined]
