"""Runs one case on one variant and compares it with the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from metal_flash_sdpa.call import add_partials
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import (
    LaunchPlan,
    Plan,
    Request,
    plan,
    plan_append,
    plan_backward,
    plan_decode,
    plan_prefill,
)
from torch import Tensor

from verify import gradients, masks
from verify.cache import Cache, wrong_rows
from verify.case import Case
from verify.inputs import Inputs, flat, garble, prepare
from verify.reference import (
    Error,
    attention,
    compare,
    lse_tolerance,
    plain_attention,
    position_of_largest,
)
from verify.sequences import sequences
from verify.variants import Variant, manifest

Launch = Callable[[LaunchPlan, dict[str, Tensor]], Any]


@dataclass(frozen=True)
class Outcome:
    """What one case gave."""

    case: str
    out: Error
    lse: Error
    damage: int  # elements written outside the outputs
    problem: str = ""  # an exception or a wrong plan, in words
    gradients: dict[str, Error] = field(default_factory=dict)  # and what else a backward pass gave

    @property
    def results(self) -> dict[str, Error]:
        """All that was judged."""
        return self.gradients or {"out": self.out, "lse": self.lse}

    @property
    def ok(self) -> bool:
        judged_ok = all(error.ok for error in self.results.values())
        return judged_ok and not self.damage and not self.problem

    @property
    def shown(self) -> tuple[str, Error]:
        """What reports say of it: the output, or the gradient closest to what it may be off."""
        if not self.gradients:
            return "out", self.out
        own = [named for named in self.gradients.items() if named[0] in gradients.COMPARED]
        named = own or self.gradients.items()
        return max(named, key=lambda named: (not named[1].ok, named[1].ratio))

    def explain(self) -> str:
        """Why it failed, in one line."""
        if self.problem:
            return self.problem
        if self.damage:
            return f"{self.damage} elements outside the outputs were overwritten"
        name, error = next((each for each in self.results.items() if not each[1].ok), self.shown)
        return (
            f"{name}{list(error.worst)} is {error.got:.7g}, should be {error.want:.7g}; "
            f"max-abs {error.max_abs:.3g} (allowed {error.tolerance:.3g}), cos {error.cosine:.7f}"
        )


NOTHING = Error(0.0, 1.0, 1.0, 0.0, (), 0.0, 0.0)


def judge(case: Case, inputs: Inputs, dtype: torch.dtype) -> tuple[Error, Error]:
    """Errors of out and lse over all sequences of a case that has run."""
    sinks = inputs.tensors["sinks"].cpu() if "sinks" in inputs.tensors else None
    names = ("got", "want", "lse", "want lse")
    columns: dict[str, list[Tensor]] = {name: [] for name in names}
    plain: list[tuple[Tensor, ...]] = []
    tolerance = 0.0
    attended = inputs.tensors | {"q": inputs.tensors.get("rotated_q", inputs.tensors["q"])}
    for part in sequences(case, attended):
        q, k, v, slopes = part["q"], part["k"], part["v"], part.get("slopes")
        besides = {name: part[name] for name in ("bias", "dropout_scale") if name in part}
        given = (q, k, v, inputs.options, sinks, slopes)
        want, want_lse = attention(*given, dtype=torch.float64, **besides)
        plain.append(plain_attention(*given, **besides))
        allowed = lse_tolerance(q, k, inputs.options, want_lse, slopes, part.get("bias"))
        tolerance = max(tolerance, allowed)
        for name, value in zip(names, (part["out"], want, part["lse"].T, want_lse.T)):
            columns[name].append(value)
    joined = {name: torch.cat(values) for name, values in columns.items()}
    orders = [torch.cat(order) for order in zip(*plain)]
    out = compare(joined["got"], joined["want"], orders, dtype)
    lse = compare_lse(joined["lse"], joined["want lse"], tolerance) if case.lse else NOTHING
    return out, lse


def compare_lse(got: Tensor, want: Tensor, tolerance: float) -> Error:
    """Error of a log-sum-exp; -inf and NaN must stand exactly where the reference has them."""
    if got.numel() == 0:
        return NOTHING
    got = got.double()
    difference = (got - want).abs()
    difference[(got == want) | (got.isnan() & want.isnan())] = 0.0
    difference = difference.nan_to_num(nan=torch.inf)
    worst = position_of_largest(difference)
    return Error(
        max_abs=difference.max().item(),
        tolerance=tolerance,
        cosine=1.0,
        least_cosine=0.0,
        worst=worst,
        got=got[worst].item(),
        want=want[worst].item(),
    )


def plan_for(variant: Variant, request: Request, case: Case) -> Plan:
    """The plan that computes a case on a variant, or with the kernels that suit it.

    The variant's tile computes cases with fewer rows as well: a batch's sequences share one.
    """
    request = request._replace(num_splits=case.splits)
    if case.mixed or variant.family == "append":
        return plan(request)
    if variant.family in ("prefill", "mask_blocks"):
        return plan_prefill(request)
    return plan_decode(request, rows=variant.block_q)


USELESS_BYTE = 0x55  # no state of a mask's block


def absent(step: LaunchPlan, device: str) -> dict[str, Tensor]:
    """What is bound for tensors that a case does not have: nothing that a kernel may use.

    The package binds zeros, with which a kernel that reads them might do no harm.
    """

    def useless(dtype: str) -> Tensor:
        kind = getattr(torch, dtype)
        value = math.nan if kind.is_floating_point else torch.iinfo(kind).min or USELESS_BYTE
        return torch.full((1,), value, dtype=kind, device=device)

    return {name: useless(dtype) for name, dtype in step.optional}


def given(
    step: LaunchPlan, tensors: dict[str, Tensor], queries: Tensor, device: str
) -> dict[str, Tensor]:
    """What a launch is given: queries only if it reads them."""
    tensors = tensors | {"q": queries}
    if step.kernel.startswith("append") and "rotated_q" not in tensors:
        del tensors["q"]
    return absent(step, device) | tensors


def whole_plan(variant: Variant, inputs: Inputs, case: Case) -> Plan:
    """The plan of a case: of its backward pass, or with what it appends.

    What appends may rotate the queries for the launches that follow.
    """
    if inputs.backward is not None:
        return plan_backward(inputs.request, inputs.backward)
    if inputs.append is None:
        return plan_for(variant, inputs.request, case)
    first = plan_append(inputs.request, inputs.append)
    request = inputs.request
    if inputs.append.rotary_dim:
        request = request._replace(q_strides=inputs.append.rotated_q_strides)
    rest = plan_for(variant, request, case)
    return Plan(first.launches + rest.launches, rest.workspace)


def wrong_besides(
    case: Case,
    inputs: Inputs,
    between: dict[str, Tensor],
    dtype: torch.dtype,
    kernels: Sequence[str],
) -> str:
    """What is wrong with the results of `kernels` beside out and lse; "" if nothing is."""
    if "mask_states" in between:
        found = between["mask_states"].cpu()
        tile = next(v for v in manifest() if v.name in kernels and v.family == "prefill")
        bias = inputs.tensors["bias"].cpu()
        wanted = masks.states(bias, tile.block_q, tile.block_k, found.shape)
        if not torch.equal(found, wanted):
            wrong = int((found != wanted).sum())
            return f"mask_states: {wrong} of {found.numel()} blocks are in another state"
    if case.values.many_keys and "partial_out" in between and dtype != torch.float32:
        # If they were rounded to the elements' dtype, that would drown in the final rounding.
        partial_out = between["partial_out"]
        written = partial_out[partial_out.isfinite() & (partial_out != 0)]
        if written.numel() and torch.equal(written, written.to(dtype).float()):
            return f"partial_out: all {written.numel()} values are of {dtype}, not float32"
    return wrong_rows(case, inputs.tensors) if inputs.append else ""


def outputs(case: Case) -> list[str]:
    """The tensors that a case's launches write, beside the cache and the workspace."""
    if case.gradients:
        of_mask = ["grad_mask"] if case.gradients.of_mask else []
        return [f"grad_{name}" for name in case.gradients.wanted] + of_mask
    return ["out", "lse", *(["rotated_q"] if case.cache and case.cache.rotary_dim else [])]


def strays(case: Case, tensor: Tensor) -> int:
    """Elements of rows that belong to no sequence, which were NaN and no longer are."""
    tail = case.shape.tail if case.gradients and not case.nonsense else 0
    return int((~tensor[-tail:].isnan()).sum()) if tail else 0


def instead(name: str, kernel: Any, **options: Any) -> Launch:
    """A launcher with `kernel` in place of the one called `name`; options go to the emulator."""

    def launch(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        if step.kernel == name:
            emulator.launch_on(kernel, step, tensors, **options)
        else:
            emulator.launch(step, tensors, **options)

    return launch


def run(
    case: Case, variant: Variant, launch: Launch, device: str = "cpu", derived: bool = False
) -> Outcome:
    """Run `case` on `variant`; anything that goes wrong is in the outcome.

    `derived`: see gradients.judge.
    """
    widths, dtype_name = variant.tried_on
    dtype = getattr(torch, dtype_name)
    try:
        inputs = prepare(case, widths, dtype, device)
        if case.nonsense:
            garble(inputs.tensors, case.nonsense)
        made = whole_plan(variant, inputs, case)
        if variant.name not in (picked := [step.kernel for step in made.launches]):
            return Outcome(case.name, NOTHING, NOTHING, 0, f"the plan picked {', '.join(picked)}")
        workspace = {
            name: flat(shape, device, getattr(torch, kind)) for name, shape, kind in made.workspace
        }
        between = {name: workspace[name].view.view(shape) for name, shape, _ in made.workspace}
        queries = inputs.tensors["q"]
        for step in made.launches:
            if min(step.threadgroups) > 0:
                launch(step, given(step, inputs.tensors | between, queries, device))
            queries = inputs.tensors.get("rotated_q", queries)
        if case.gradients:
            of_mask = inputs.arenas.get("grad_mask")
            add_partials({**inputs.tensors, **between}, of_mask and of_mask.view)
        out = lse = NOTHING
        of_backward: dict[str, Error] = {}
        if case.nonsense:
            pass
        elif case.gradients:
            of_backward = gradients.judge(case, inputs, between, dtype, derived)
        elif problem := wrong_besides(case, inputs, between, dtype, picked):
            return Outcome(case.name, NOTHING, NOTHING, 0, problem)
        else:
            out, lse = judge(case, inputs, dtype)
        written = [inputs.arenas[name] for name in outputs(case)] + [*workspace.values()]
        damage = 0 if case.lse else int((~inputs.tensors["lse"].isnan()).sum())
        damage += sum(strays(case, inputs.tensors[name]) for name in outputs(case))
        damage += sum(arena.damage() for arena in written)
        if (cache := Cache.of(case)) is not None and not case.nonsense:
            damage += sum(cache.strays(inputs.tensors[name]) for name in ("k", "v"))
    except Exception as error:  # a kernel under test may fail in any way
        return Outcome(case.name, NOTHING, NOTHING, 0, f"{type(error).__name__}: {error}")
    return Outcome(case.name, out, lse, damage, gradients=of_backward)
