"""The search: draws calls, runs each in a process of its own, and shrinks the first that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import hypothesis
import torch
from hypothesis import HealthCheck, Phase

from tests.cases import Variant
from tests.fuzz.calls import Call, calls
from tests.mutants import isolated
from tests.parity.run import Launch, Outcome, run

Launcher = Callable[[Variant], Launch]

CASE_SECONDS = 20  # of CPU time; 0.03 are usual


@dataclass(frozen=True)
class Failure:
    """The smallest call found that fails, and in which words."""

    call: Call
    why: str


@dataclass(frozen=True)
class Found:
    """What a search gave: how many calls ran, and the failure if there was one."""

    calls: int
    failure: Failure | None


class WrongError(AssertionError):
    """A call that fails: what hypothesis shrinks."""


def why_wrong(call: Call, launcher: Launcher) -> str:
    """Why a call fails, in words; '' if it does not."""
    launch = launcher(call.variant)  # compiled here, for all calls to come
    try:
        outcome: Outcome = isolated.call(
            partial(run, call.case, call.variant, launch), CASE_SECONDS
        )
    except (isolated.CrashError, isolated.TimeLimitError) as error:
        return f"its process ended: {error}"
    return "" if outcome.ok or only_underflow(call, outcome) else outcome.explain()


def only_underflow(call: Call, outcome: Outcome) -> bool:
    """Whether the direction of the output is all that is wrong, in values too small to have one.

    A large sink leaves the keys weights near the dtype's least step.  Each is rounded by up to
    half of it, times a value, and so is the output: an error within that is no kernel's fault,
    but it can turn the whole output to 0 and its cosine with it.
    """
    finfo = torch.finfo(getattr(torch, call.variant.dtype))
    least_step = finfo.smallest_normal * finfo.eps
    largest_value = 5.5 * call.case.value_std  # of a few thousand normal values
    rounding = least_step / 2 * (1 + max(call.case.k_lens) * largest_value)
    fine_otherwise = replace(outcome, out=replace(outcome.out, least_cosine=-1.0)).ok
    return fine_otherwise and outcome.out.max_abs <= rounding


def search(variants: Sequence[Variant], launcher: Launcher, cases: int, seed: int) -> Found:
    """Run `cases` calls drawn by `seed`, the same each time; stop and shrink at a failure."""
    torch.set_num_threads(1)
    ran = 0
    failures: list[Failure] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(calls(variants))
    def check(call: Call) -> None:
        nonlocal ran
        ran += 1
        if why := why_wrong(call, launcher):
            failures.append(Failure(call, why))
            raise WrongError(why)

    try:
        check()
    except WrongError:
        # Hypothesis runs the smallest one last.
        return Found(ran, failures[-1])
    return Found(ran, None)
