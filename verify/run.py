"""Runs one case on one variant and compares it with the reference."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from metal_flash_sdpa import launchers
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import (
    Append,
    LaunchPlan,
    Plan,
    Request,
    lse_shape,
    plan,
    plan_append,
    plan_decode,
    plan_prefill,
)
from torch import Tensor

from verify.arena import MARGIN, Arena, moved, offsets
from verify.cache import Cache, wrong_rows
from verify.cases import Case, Variant
from verify.reference import (
    Error,
    Options,
    attention,
    compare,
    lse_tolerance,
    plain_attention,
    position_of_largest,
)

Launch = Callable[[LaunchPlan, dict[str, Tensor]], Any]


@dataclass(frozen=True)
class Outcome:
    """What one case gave."""

    case: str
    out: Error
    lse: Error
    damage: int  # elements written outside the outputs
    problem: str = ""  # an exception or a wrong plan, in words

    @property
    def ok(self) -> bool:
        return self.out.ok and self.lse.ok and not self.damage and not self.problem

    def explain(self) -> str:
        """Why it failed, in one line."""
        if self.problem:
            return self.problem
        if self.damage:
            return f"{self.damage} elements outside the outputs were overwritten"
        name, error = ("out", self.out) if not self.out.ok else ("lse", self.lse)
        return (
            f"{name}{list(error.worst)} is {error.got:.7g}, should be {error.want:.7g}; "
            f"max-abs {error.max_abs:.3g} (allowed {error.tolerance:.3g}), cos {error.cosine:.7f}"
        )


NOTHING = Error(0.0, 1.0, 1.0, 0.0, (), 0.0, 0.0)


@dataclass
class Inputs:
    """A case's tensors, in the arenas that they lie in, and the request made of them."""

    request: Request
    options: Options
    arenas: dict[str, Arena]
    tensors: dict[str, Tensor]
    append: Append | None = None


def flat(shape: Sequence[int], device: str) -> Arena:
    """An arena for a contiguous float32 tensor."""
    return Arena((1, 1, 1, math.prod(shape)), torch.float32, "contiguous", device, packed=True)


def prepare(case: Case, head_dim: int, dtype: torch.dtype, sinks: bool, device: str) -> Inputs:
    """Draw a case's values and lay its tensors out."""
    generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()))
    batch, heads, kv_heads = len(case.q_lens), case.heads, case.kv_heads
    cache = Cache.of(case)
    q_rows = (1, sum(case.q_lens)) if case.packed else (batch, case.q_lens[0])
    k_rows = (1, sum(case.k_lens)) if case.packed else (batch, case.k_lens[0])
    if cache is not None:
        k_rows = cache.shape
    shapes = {"q": (*q_rows, heads), "k": (*k_rows, kv_heads)}
    shapes["v"], shapes["out"] = shapes["k"], shapes["q"]
    if case.appended:
        shapes |= dict.fromkeys(("new_k", "new_v"), (batch, case.appended, kv_heads))
    if case.rotary_dim:
        shapes["rotated_q"] = shapes["q"]

    arenas = {}
    for name, shape in shapes.items():
        packed = case.packed and not (cache is not None and name in "kv")
        layout = case.layout_of(name)
        # Nonsense may lead anywhere, the next page too: nothing lies around K and V to hide that.
        margin = 0 if case.nonsense and name in "kv" else MARGIN
        arenas[name] = Arena((*shape, head_dim), dtype, layout, device, packed, margin)
    spread = {"q": case.score_std**0.5, "k": case.score_std**0.5, "v": case.value_std}
    if case.appended:
        spread |= {"new_k": spread["k"], "new_v": spread["v"]}
    for name, std in spread.items():
        values = torch.randn(arenas[name].view.shape, generator=generator) * std
        if name == "v":
            values += case.value_mean
        if case.nan_in == name:
            values.view(-1, values.shape[-2], head_dim)[-1, 0, head_dim // 2] = torch.nan
        if cache is not None and name in "kv":
            values[~cache.used(appended=False)] = torch.nan
        arenas[name].fill(values)

    slopes = alibi_slopes(case, device)
    scale = head_dim**-0.5 if case.softmax_scale is None else case.softmax_scale
    request = Request(
        dtype=str(dtype).removeprefix("torch."),
        head_dim=head_dim,
        heads=heads,
        kv_heads=kv_heads,
        batch=batch,
        q_len=shapes["q"][1],
        k_len=shapes["k"][1],
        packed=case.packed,
        q_strides=arenas["q"].strides,
        k_strides=arenas["k"].strides,
        v_strides=arenas["v"].strides,
        out_strides=arenas["out"].strides,
        softmax_scale=scale,
        causal=case.causal,
        window_size=case.window_size,
        softcap=case.softcap,
        lse=case.lse,
        sinks=sinks,
        alibi=slopes is not None,
        alibi_strides=alibi_strides(slopes),
        begins=case.packed,
        ends=case.packed,
    )
    if cache is not None:
        request = cache.described(request)
    of_lse = lse_shape(arenas["q"].view.shape)
    lse = arenas["lse"] = flat(of_lse, device)
    tensors = {name: arena.view for name, arena in arenas.items()}
    tensors["lse"] = lse.view.view(of_lse)
    if case.packed:
        tensors["cu_seqlens_q"] = moved(offsets(case.q_lens), device)
        tensors["k_begin"] = moved(offsets(case.k_lens), device)
        tensors["k_end"] = tensors["k_begin"][1:]
    if cache is not None:
        tensors |= {name: moved(tensor, device) for name, tensor in cache.tensors().items()}
    append = None
    if case.appended:
        append = Append(arenas["new_k"].strides, arenas["new_v"].strides)
        if case.rotary_dim:
            angles = torch.rand(request.k_len, case.rotary_dim // 2, generator=generator) * math.tau
            tensors["rotary_cos"] = moved(angles.cos().to(dtype), device)
            tensors["rotary_sin"] = moved(angles.sin().to(dtype), device)
            append = append._replace(
                rotated_q_strides=arenas["rotated_q"].strides,
                rotary_dim=case.rotary_dim,
                rotary_rows=request.k_len,
                interleaved=case.interleaved,
            )
    if sinks:
        repeats = -(-heads // len(case.sinks))
        tensors["sinks"] = moved(torch.tensor((case.sinks * repeats)[:heads]), device)
    if slopes is not None:
        tensors["alibi_slopes"] = slopes
    options = Options(scale, case.causal, case.window_size, case.softcap)
    return Inputs(request, options, arenas, tensors, append)


# What no offset and no page may be, and what one of them may: too large, negative, decreasing.
NONSENSE = (2**31 - 1, -5, 10**6, -(2**31), 3)


def garble(tensors: dict[str, Tensor], names: Sequence[str]) -> None:
    """Nonsense in place of these offsets and pages."""
    for name in names:
        if name in tensors:
            count = tensors[name].numel()
            values = torch.tensor((NONSENSE * count)[:count], dtype=torch.int32)
            tensors[name].copy_(values.view(tensors[name].shape))


def alibi_slopes(case: Case, device: str) -> Tensor | None:
    """A case's slopes, (heads,) or (batch, heads); sliced ones are cut from a wider tensor."""
    if not case.alibi:
        return None
    shape = (len(case.q_lens), case.heads) if case.alibi_per_sequence else (case.heads,)
    count = int(torch.Size(shape).numel())
    values = torch.tensor((case.alibi * count)[:count]).view(shape)
    step = 2 if case.layout == "sliced" else 1
    slopes = torch.full((*shape[:-1], case.heads * step), torch.nan)[..., ::step]
    return moved(slopes.copy_(values), device)


def alibi_strides(slopes: Tensor | None) -> tuple[int, int]:
    """The strides of slopes, as a request has them."""
    if slopes is None:
        return (0, 0)
    return (slopes.stride(0) if slopes.dim() == 2 else 0, slopes.stride(-1))


def sequences(case: Case, tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Each sequence of a case on its own: q, k, v, out (len, heads, dim) and lse (heads, len).

    And, if the case has any, slopes (heads,).
    """
    q_start = k_start = 0
    cache = Cache.of(case)
    for b, (q_len, k_len) in enumerate(zip(case.q_lens, case.k_lens)):
        if case.packed:
            q_rows, k_rows = slice(q_start, q_start + q_len), slice(k_start, k_start + k_len)
            parts = {name: tensors[name][q_rows] for name in ("q", "out")}
            parts |= {name: tensors[name][k_rows] for name in ("k", "v") if cache is None}
            parts["lse"] = tensors["lse"][:, q_rows]
            q_start, k_start = q_start + q_len, k_start + k_len
        else:
            parts = {name: tensors[name][b] for name in ("q", "out", "lse")}
            parts |= {name: tensors[name][b] for name in ("k", "v") if cache is None}
        if cache is not None:
            parts |= {name: tensors[name][cache.rows(b)] for name in ("k", "v")}
        if "alibi_slopes" in tensors:
            parts["slopes"] = tensors["alibi_slopes"].broadcast_to(len(case.q_lens), -1)[b]
        yield {name: part.cpu() for name, part in parts.items()}


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
        want, want_lse = attention(q, k, v, inputs.options, sinks, slopes, dtype=torch.float64)
        plain.append(plain_attention(q, k, v, inputs.options, sinks, slopes))
        tolerance = max(tolerance, lse_tolerance(q, k, inputs.options, want_lse, slopes))
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
    request = request._replace(splits=case.splits)
    if case.mixed or variant.family == "append":
        return plan(request)
    if variant.family == "prefill":
        return Plan((plan_prefill(request),))
    return plan_decode(request, rows=variant.block_q)


def absent(dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """What is bound for tensors that a case does not have: nothing that a kernel may use.

    The package binds zeros, with which a kernel that reads them might do no harm.
    """
    return {
        name: torch.full((1,), math.nan, dtype=own or dtype, device=device)
        if (own or dtype).is_floating_point
        else torch.full((1,), -(2**31), dtype=own, device=device)
        for name, own in launchers.OPTIONAL.items()
    }


def whole_plan(variant: Variant, inputs: Inputs, case: Case) -> Plan:
    """The plan of a case with what it appends, whose first launch may rotate the queries."""
    if inputs.append is None:
        return plan_for(variant, inputs.request, case)
    first = plan_append(inputs.request, inputs.append)
    request = inputs.request
    if inputs.append.rotary_dim:
        request = request._replace(q_strides=inputs.append.rotated_q_strides)
    rest = plan_for(variant, request, case)
    return Plan((first, *rest.launches), rest.workspace)


def wrong_besides(
    case: Case, inputs: Inputs, between: dict[str, Tensor], dtype: torch.dtype
) -> str:
    """What is wrong with partial results, or with what was appended; "" if nothing is."""
    if case.many_keys and "partial_out" in between and dtype != torch.float32:
        # If they were rounded to the elements' dtype, that would drown in the final rounding.
        partial_out = between["partial_out"]
        written = partial_out[partial_out.isfinite() & (partial_out != 0)]
        if written.numel() and torch.equal(written, written.to(dtype).float()):
            return f"partial_out: all {written.numel()} values are of {dtype}, not float32"
    return wrong_rows(case, inputs.tensors) if inputs.append else ""


def instead(name: str, kernel: Any, **options: Any) -> Launch:
    """A launcher with `kernel` in place of the one called `name`; options go to the emulator."""

    def launch(step: LaunchPlan, tensors: dict[str, Tensor]) -> None:
        if step.kernel == name:
            emulator.launch_on(kernel, step, tensors, **options)
        else:
            emulator.launch(step, tensors, **options)

    return launch


def schedule_of(case: Case) -> int:
    """A schedule for a case under the checks: another for each, always the same."""
    return zlib.crc32(case.name.encode())


def run(case: Case, variant: Variant, launch: Launch, device: str = "cpu") -> Outcome:
    """Run `case` on `variant`; anything that goes wrong is in the outcome."""
    dtype = getattr(torch, variant.dtype)
    try:
        inputs = prepare(case, variant.head_dim, dtype, variant.sinks, device)
        if case.nonsense:
            garble(inputs.tensors, case.nonsense)
        made = whole_plan(variant, inputs, case)
        if variant.name not in (picked := [step.kernel for step in made.launches]):
            return Outcome(case.name, NOTHING, NOTHING, 0, f"the plan picked {', '.join(picked)}")
        workspace = {name: flat(shape, device) for name, shape in made.workspace}
        between = {name: workspace[name].view.view(shape) for name, shape in made.workspace}
        queries = inputs.tensors["q"]
        for step in made.launches:
            if min(step.threadgroups) > 0:
                launch(step, absent(dtype, device) | inputs.tensors | between | {"q": queries})
            queries = inputs.tensors.get("rotated_q", queries)
        if case.nonsense:
            out = lse = NOTHING
        elif problem := wrong_besides(case, inputs, between, dtype):
            return Outcome(case.name, NOTHING, NOTHING, 0, problem)
        else:
            out, lse = judge(case, inputs, dtype)
        written = [inputs.arenas["out"], inputs.arenas["lse"], *workspace.values()]
        damage = 0 if case.lse else int((~inputs.tensors["lse"].isnan()).sum())
        damage += sum(arena.damage() for arena in written)
        if (cache := Cache.of(case)) is not None and not case.nonsense:
            damage += sum(cache.strays(inputs.tensors[name]) for name in ("k", "v"))
    except Exception as error:  # a kernel under test may fail in any way
        return Outcome(case.name, NOTHING, NOTHING, 0, f"{type(error).__name__}: {error}")
    return Outcome(case.name, out, lse, damage)
