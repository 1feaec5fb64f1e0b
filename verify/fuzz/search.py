"""The search: draws calls, runs each in a process of its own, and shrinks the first that fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import hypothesis
import torch
from hypothesis import HealthCheck, Phase

from verify import devices, isolated
from verify.fuzz.calls import Call, calls
from verify.reference import FLOOR
from verify.run import Launch, Outcome, run
from verify.variants import Variant

Launcher = Callable[[Variant], Launch]

CASE_SECONDS = 20  # of CPU time; 0.03 are usual


@dataclass(frozen=True)
class Failure:
    """The smallest call found that fails, and in which words; no call where nobody knows which."""

    call: Call | None
    why: str

    @property
    def name(self) -> str:
        """Of a report: what repeats it."""
        return self.call.to_json() if self.call else "unknown"


@dataclass(frozen=True)
class Found:
    """What a search gave: how many calls ran, and the failure if there was one."""

    calls: int
    failure: Failure | None


class WrongError(AssertionError):
    """A call that fails: what hypothesis shrinks."""


class LostError(BaseException):
    """A call after which this process cannot use the GPU: hypothesis, too, has to stop."""


def outcome_of(call: Call, launcher: Launcher, device: str) -> Outcome:
    """What came of a call.

    On the CPU it runs in a process of its own, and raises if that crashes or does not end; on a
    GPU it runs in this one.
    """
    launch = launcher(call.variant)  # compiled here, for all calls to come
    if device == "emulator":
        outcome = isolated.call(
            partial(run, call.case, call.variant, launch, derived=True), CASE_SECONDS
        )
    else:
        outcome = run(call.case, call.variant, launch, devices.tensors_on(device), derived=True)
    return outcome if call.case.gradients else widened(call, outcome)


def why_wrong(call: Call, launcher: Launcher, device: str = "emulator") -> str:
    """Why a call fails, in words; '' if it does not."""
    try:
        outcome = outcome_of(call, launcher, device)
    except (isolated.CrashError, isolated.TimeLimitError) as error:
        return f"its process ended: {error}"
    return "" if outcome.ok else outcome.explain()


def widened(call: Call, outcome: Outcome) -> Outcome:
    """The outcome under the tolerance of one small call with any values.

    Parity's tolerance is twice the error of plain attention, plus a floor for values near 1.  Over
    a few elements plain attention's error is a matter of luck, so what a kernel may add is derived.
    """
    case, dtype = call.case, getattr(torch, call.variant.dtype)
    std = case.values.value_std
    if call.variant.latent:  # V is part of K
        std = case.values.score_std**0.5
    value = 5.5 * std  # the largest of a few hundred thousand normal values
    floor = FLOOR[dtype] * std
    # On its way to base 2 a logit is rounded once more than in plain attention; an error e of the
    # logits moves a row of the output by at most e times the distance of two values.
    logits = 2.0**-24 * largest_score(call) * 2 * value
    # Weights that are all equal are rounded alike, once to the dtype: that scales the output's row.
    want = outcome.out.want if math.isfinite(outcome.out.want) else 0.0
    weights = torch.finfo(dtype).eps / 2 * abs(want)
    # A large sink leaves the keys weights near the dtype's least step.  Each is rounded by up to
    # half of it, times a value, and so is the output.  That can turn all of it to 0, and then its
    # cosine says nothing.
    least_step = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    underflow = least_step / 2 * (1 + max(case.shape.k_lens) * value)
    out = replace(
        outcome.out,
        tolerance=outcome.out.tolerance + floor + logits + weights + underflow,
        least_cosine=-1.0 if outcome.out.max_abs <= underflow else outcome.out.least_cosine,
    )
    return replace(outcome, out=out)


def largest_score(call: Call) -> float:
    """About the largest score of a call: 5.5 standard deviations."""
    shape, scores, root = call.case.shape, call.case.scores, math.sqrt(call.variant.head_dim)
    scale = 1 / root if scores.softmax_scale is None else abs(scores.softmax_scale)
    largest = 5.5 * call.case.values.score_std * scale * root
    capped = min(largest, scores.softcap) if scores.softcap else largest
    slope = max(map(abs, scores.alibi), default=0.0)
    mask = call.case.attn_mask
    bias = 5.5 if mask and mask.bias else 0.0
    return capped + bias + slope * max(*shape.q_lens, *shape.k_lens)


def search(
    variants: Sequence[Variant], launcher: Launcher, cases: int, seed: int, device: str = "emulator"
) -> Found:
    """Run `cases` calls drawn by `seed`, the same each time; stop and shrink at a failure.

    A call that ends the use of the GPU is not shrunk: no other can run in this process.
    """
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
        if why := why_wrong(call, launcher, device):
            failures.append(Failure(call, why))
            if not devices.is_usable():
                raise LostError(why)
            raise WrongError(why)

    try:
        check()
    except (WrongError, LostError):
        # Hypothesis runs the smallest one last.
        return Found(ran, failures[-1])
    return Found(ran, None)
