"""Runs a case and compares it with the definition of attention."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import emulator
from emulator.launch.structs import MAX_THREADGROUP_BYTES
from peers import mlx
from peers.call import Attention, PeerCall
from verify import devices, reference
from verify.foreign.cases import BLOCKED, Case, Sizes

CHECK_ERRORS = (
    emulator.RaceError,
    emulator.BoundsError,
    emulator.UninitializedError,
    emulator.DivergentBarrierError,
)


@dataclass(frozen=True)
class Finding:
    """What the checks say of a kernel."""

    kernel: str
    kind: str  # Race, Bounds, ...
    message: str


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    kernels: tuple[str, ...]  # host names of what was launched
    threadgroup_bytes: int
    error: reference.Error | None = None
    plain: float = 0.0  # largest error of plain PyTorch attention in the same dtype
    findings: tuple[Finding, ...] = ()
    refused: bool = False  # over Metal's threadgroup memory

    @property
    def ok(self) -> bool:
        return self.refused or (self.error is not None and self.error.ok)


def problem(case: Case, sizes: Sizes) -> Attention:
    """The case's tensors, the same in every run."""
    generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(case.dtype)

    mask: Tensor | None = None
    scores = (sizes.batch, sizes.heads, sizes.q_len, sizes.k_len)
    if case.has("bool"):
        mask = torch.rand(scores, generator=generator) < 0.7
        mask[..., 0] = True  # a row without keys is a matter of taste
    elif case.has("float"):
        mask = normal(*scores)
        mask[..., 1::5] = -torch.inf
    return Attention(
        q=normal(sizes.batch, sizes.heads, sizes.q_len, case.head_dim),
        k=normal(sizes.batch, sizes.kv_heads, sizes.k_len, case.head_dim),
        v=normal(sizes.batch, sizes.kv_heads, sizes.k_len, case.value_dim),
        scale=case.head_dim**-0.5,
        causal=case.has("causal"),
        mask=mask,
        sinks=normal(sizes.heads) if case.has("sinks") else None,
    )


def bias(a: Attention, top_left: bool) -> Tensor:
    """Mask and causality as what is added to the scores, in float64."""
    added = torch.zeros(a.batch, a.heads, a.q_len, a.k_len, dtype=torch.float64)
    if a.mask is not None:
        is_bool = a.mask.dtype == torch.bool
        added = added.masked_fill(~a.mask, -torch.inf) if is_bool else a.mask.double()
    if a.causal:
        diagonal = 0 if top_left else a.k_len - a.q_len
        hidden = torch.ones(a.q_len, a.k_len, dtype=torch.bool).triu(diagonal + 1)
        added = added.masked_fill(hidden, -torch.inf)
    return added


def expected(a: Attention, top_left: bool) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Output and log-sum-exp in float64, and the outputs of plain attention in the dtype."""
    options = reference.Options(a.scale)
    outputs, lses, plains = [], [], []
    for q, k, v, added in zip(a.q, a.k, a.v, bias(a, top_left), strict=True):
        rows = (q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1))
        out, lse = reference.attention(*rows, options, a.sinks, dtype=torch.float64, bias=added)
        outputs.append(out.transpose(0, 1))
        lses.append(lse)
        plain = reference.plain_attention(*rows, options, a.sinks, bias=added)
        plains.append([p.transpose(0, 1) for p in plain])
    first, second = (torch.stack(p) for p in zip(*plains, strict=True))
    return torch.stack(outputs), torch.stack(lses), (first, second)


@dataclass(frozen=True)
class Launches:
    """A case's kernels with their arguments, and where they leave their results."""

    calls: Sequence[PeerCall]
    got: Tensor
    lse: Tensor | None = None


def launches(case: Case, a: Attention) -> Launches:
    """The launches that answer a problem."""
    if case.has("scale_copy"):
        scaled = torch.full_like(a.q, torch.nan)
        return Launches([mlx.scale_queries(a.q, scaled, a.scale)], scaled)
    if case.has("causal_mask"):
        scores = any_scores(a)
        return Launches([mlx.mask_scores(scores, a.q_len)], scores)
    out = a.new_output()
    if not case.has("lse"):
        return Launches(case.calls(a, out), out)
    lse = a.q.new_full(a.q.shape[:3], torch.nan, dtype=torch.float32)
    return Launches(mlx.steel(a, out, lse, find_steel(case.kernel)), out, lse)


@dataclass(frozen=True)
class Bound:
    """A case's launches and what they are to compute."""

    calls: Sequence[PeerCall]
    got: Tensor
    want: Tensor  # in float64
    plain: Sequence[Tensor]  # the same by PyTorch in the case's dtype
    lse: Tensor | None = None
    want_lse: Tensor | None = None
    lse_tolerance: float = 0.0


def bind(case: Case, sizes: Sizes, device: str = "cpu") -> Bound:
    """The case's kernels with their arguments, on a device; what they are to compute is not."""
    a = problem(case, sizes)
    started = launches(case, a.to(device))
    if case.family == BLOCKED:
        return Bound(started.calls, started.got, *expected_step(case, a))
    want, want_lse, plain = expected(a, case.top_left)
    if started.lse is None:
        return Bound(started.calls, started.got, want, plain)
    limit = reference.lse_tolerance(a.q, a.k, reference.Options(a.scale), want_lse)
    return Bound(started.calls, started.got, want, plain, started.lse, want_lse, limit)


def find_steel(name: str) -> mlx.Steel:
    """The instantiation of that host name."""
    return next(s for s in mlx.Steel.all() if s.name == name)


def any_scores(a: Attention) -> Tensor:
    """Numbers for sdpa_blocked's mask, (heads * q_len, columns)."""
    return torch.cat([a.q, a.q], -1)[0].flatten(0, 1)


def expected_step(case: Case, a: Attention) -> tuple[Tensor, Sequence[Tensor]]:
    """One of sdpa_blocked's steps: the scaled queries, or scores whose late keys are hidden."""
    if case.has("scale_copy"):
        scale = torch.tensor(a.scale).to(a.dtype)
        return a.q.double() * scale.double(), [a.q * scale]
    want = any_scores(a).double()
    late = torch.ones(a.q_len, a.q_len, dtype=torch.bool).triu(1).repeat(a.heads, 1)
    want[:, -a.q_len :].masked_fill_(late, torch.finfo(a.dtype).min)
    return want, [want]


def run(case: Case, device: str = "emulator") -> Outcome:
    """Launches the case's kernels, on one CPU thread or a GPU, and compares what they wrote."""
    bound = bind(case, case.sizes, devices.tensors_on(device))
    on_gpu = device == "cuda"
    size = max(
        call.kernel.threadgroup_bytes_on_gpu() if on_gpu else call.kernel.threadgroup_bytes
        for call in bound.calls
    )
    names = tuple(call.kernel.name for call in bound.calls)
    if size > MAX_THREADGROUP_BYTES:
        return Outcome(names, size, refused=True)
    for call in bound.calls:
        call.launch(workers=None if on_gpu else 1)
        if on_gpu:
            devices.wait()
    error = reference.compare(bound.got.cpu(), bound.want, bound.plain, case.dtype)
    if bound.lse is not None and bound.want_lse is not None:
        off = (
            (bound.lse.cpu().double() - bound.want_lse).abs().nan_to_num(nan=torch.inf).max().item()
        )
        if off > bound.lse_tolerance:
            raise AssertionError(
                f"log-sum-exp: off by {off:.3g}, {bound.lse_tolerance:.3g} allowed"
            )
    return Outcome(names, size, error, (error.tolerance - reference.FLOOR[case.dtype]) / 2)


def check(case: Case) -> tuple[Finding, ...]:
    """Launches the case's kernels on a smaller problem under the checks; what they found.

    A launch ends with its first finding.
    """
    findings = []
    for call in bind(case, case.small).calls:
        try:
            call.launch(check=True)
        except CHECK_ERRORS as error:
            kind = type(error).__name__.removesuffix("Error")
            findings.append(Finding(call.kernel.name, kind, str(error)))
            call.launch()  # the next kernel needs its results
    return tuple(findings)


def run_and_check(case: Case, device: str, checked: bool) -> Outcome:
    """Both."""
    torch.set_num_threads(1)
    outcome = run(case, device)
    if not checked or outcome.refused:
        return outcome
    return replace(outcome, findings=check(case))
