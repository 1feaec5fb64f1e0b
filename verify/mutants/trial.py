"""Puts templates to the test: representative kernels are rendered, compiled and run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from jinja2 import DictLoader, Environment
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import LaunchPlan

import emulator
from codegen import matrix, render
from codegen.widths import Widths, plain
from emulator.cuda import gpu
from verify import devices, isolated
from verify.case import Case
from verify.cases import edges, every_case
from verify.mutants.verdict import Verdict
from verify.run import Launch, Outcome, instead, run
from verify.variants import BACKWARD, Variant

# Between them, and one mode each, they take every branch of the templates: both kinds of element,
# one and two row fragments, a head_dim that CHAIN divides and one that it does not, a V narrower
# than K and one that is part of it, rows that several simdgroups share.  What is cheap to compile
# and knows most cases comes first, because most mutants die at once.
SHAPES = (
    (plain(72), "float32"),
    (plain(32), "float16"),
    (plain(64), "bfloat16"),
    (plain(32), "float32"),
    (plain(72), "float16"),
    (plain(128), "bfloat16"),
    (plain(32), "bfloat16"),
    (Widths(96, 64), "float16"),
    (plain(512), "float16"),
    (plain(512), "float32"),
    (Widths(320, 256, latent=True), "bfloat16"),
    (Widths(320, 256, latent=True), "float32"),
)
# The same of the backward pass, whose tiles hold both tensors' rows in registers, one's or none's;
# the gradients of K and V come from one kernel where the head_dim is small.
BACKWARD_SHAPES = (
    (plain(72), "float32"),
    (plain(32), "float16"),
    (plain(64), "bfloat16"),
    (plain(128), "float32"),
    (plain(192), "bfloat16"),
    (plain(256), "float16"),
    (plain(192), "float32"),
    (plain(112), "bfloat16"),
    (Widths(96, 64), "float16"),
    (Widths(192, 128), "bfloat16"),
    (plain(72), "float16"),
    (plain(192), "float16"),
)
ANY_SHAPE = (matrix.ANY_WIDTHS, matrix.ANY_DTYPE)  # of a kernel that works for all
Mode = tuple[str | None, bool, bool, str]  # mask, sinks, dropout, dtype of K and V if converted
# In the order in which they are taken; with dropout, any mask.
MODES: tuple[Mode, ...] = tuple(
    (mask, sinks, mask is None, "")
    for mask in ("window", "causal", None, matrix.MASKED, "full")
    for sinks in (True, False)
)

# Case names, those that kill most first; the others follow in their own order.
KILLERS = ("tile edges", "sliced", "GQA 8/2", "empty sequences", "softcap 30", "padded")

# What a kernel is to do no more of than the original, by the beginnings of the counters' names; and
# the cases that show it: among them are blocks that need no mask, and lengths that are just full.
WORK = ("products.", "barriers.", "device.", "threadgroup.", "instructions.")
WORK_CASES = (
    *("several blocks", "tile edges", "append", "causal as a tensor", "mask: key padding"),
    *("softcap 30",),  # a conversion too many in what others do not run
)
WHIMS = 1.01  # times as much: for another constant the compiler may choose other instructions

# How cases are launched.
FAST: Mapping[str, Any] = {"workers": 1}
CHECKED: Mapping[str, Any] = {"check": True}

COMPILE_SECONDS = 60  # of CPU time; 1 to 2 are usual
CASE_SECONDS = 10  # of CPU time; 0.05 are usual
CHECKED_SECONDS = 40  # the same under the checks: 13 are the most


def representatives() -> tuple[matrix.Variant, ...]:
    """The variants that mutants are tried on, in the order of trial: one per family and shape.

    Modes take turns, and so do tiles where a shape has several.
    """
    variants = matrix.matrix()
    chosen = []
    for family in dict.fromkeys(v.family for v in variants):
        own = [v for v in variants if v.family == family]
        shapes = BACKWARD_SHAPES if family in BACKWARD else (*SHAPES, ANY_SHAPE)
        used = Counter[Mode]()
        for widths, dtype in shapes:
            offered: dict[Mode, list[matrix.Variant]] = {}
            for v in own:
                if (v.widths, v.dtype) == (widths, dtype):
                    mode = v.mask, v.sinks, v.dropout, v.kv_dtype
                    offered.setdefault(mode, []).append(v)
            if offered:  # of the modes that there are, one that is used least so far
                modes = [mode for mode in MODES if mode in offered] or list(offered)
                mode = min(modes, key=lambda mode: used[mode])
                used[mode] += 1
                tiles = offered[mode]
                chosen.append(tiles[used.total() % len(tiles)])
    return tuple(chosen)


def rows() -> tuple[Variant, ...]:
    """The representatives as the tests know variants."""
    return tuple(Variant(**row.manifest_row()) for row in representatives())  # type: ignore[arg-type]


def rendered(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The representatives rendered from these templates: (kernel name, Metal source)."""
    jinja: Environment = render.environment()
    jinja.loader = DictLoader(dict(texts))
    by_file = matrix.files(matrix.matrix())
    for v in representatives():
        yield v.name, render.shader(by_file[v.file], jinja)


def shaders(texts: Mapping[str, str]) -> dict[str, str]:
    """All of them: kernel name -> Metal source."""
    return dict(rendered(texts))


def in_order(chosen: Iterable[Case]) -> list[Case]:
    """Cases, likely killers first."""

    def rank(case: Case) -> int:
        """By the beginning of its name: a case may run in several modes."""
        ranks = (i for i, name in enumerate(KILLERS) if case.name.startswith(name))
        return next(ranks, len(KILLERS))

    return sorted(chosen, key=rank)


@cache
def warm() -> None:
    """Let torch set itself up, which every forked process then inherits: half a second per case."""
    torch.set_num_threads(1)
    devices.import_all()
    variant = rows()[0]
    run(in_order(every_case(variant))[0], variant, lambda *_: None)


def attempt(texts: Mapping[str, str], originals: Mapping[str, str]) -> Verdict:
    """Try the templates on all representatives that they change, up to the first failure.

    `originals` are the shaders of the templates without a mistake.  What costs least comes first,
    on all of them: most mutants die of wrong numbers.
    """
    warm()
    try:
        sources = shaders(texts)
    except render.RenderError as error:
        return Verdict("template", "", "", str(error).splitlines()[0])
    changed = [v for v in rows() if sources[v.name] != originals.get(v.name)]
    for stage in (try_numbers, try_checks, try_work):
        for variant in changed:
            verdict = stage(variant, sources[variant.name], originals.get(variant.name))
            if verdict.killed:
                return verdict
    return Verdict("survived")


def attempt_on_gpu(texts: Mapping[str, str], originals: Mapping[str, str]) -> Verdict:
    """As `attempt`, on an NVIDIA GPU: what does not compile there, and what computes wrong numbers.

    It runs in a process that is replaced when it can no longer use the GPU.  Nothing is checked
    there, and no work is counted.
    """
    torch.set_num_threads(1)
    try:
        sources = shaders(texts)
    except render.RenderError as error:
        return Verdict("template", "", "", str(error).splitlines()[0])
    for variant in rows():
        if sources[variant.name] != originals.get(variant.name):
            verdict = try_on_gpu(variant, sources[variant.name])
            if verdict.killed:
                return verdict
    return Verdict("survived")


def try_on_gpu(variant: Variant, source: str) -> Verdict:
    """Run a shader's cases on the GPU, up to the first that fails.

    Those beyond 2^31 elements, of which only one at a time has room, are left to the CPU.
    """
    try:
        library = emulator.compile(source, finite_math=True)
        library.prebuild_cuda(variant.name, gpu.architecture(0))
    except emulator.EmulatorError as error:
        return Verdict("compiler", variant.name, "", first_error(error))
    launch = devices.waiting(instead(variant.name, library.function(variant.name)))
    for case in in_order(case for case in every_case(variant) if case.layout != "far"):
        task = partial(run, case, variant, launch, "cuda")
        verdict = judge(task, Verdict("survived", variant.name, case.name))
        if verdict.killed and not devices.is_usable():
            ended = devices.TimeLimitError.__name__ in verdict.why
            return replace(verdict, how="time limit" if ended else "crash")
        if verdict.killed:
            return verdict
    return Verdict("survived")


def first_error(error: Exception) -> str:
    """The compiler's first error, or all that is said."""
    return next((line for line in str(error).splitlines() if "error:" in line), str(error))


def healthy(variant: Variant, source: str, device: str) -> Verdict:
    """Try a shader without a mistake: whether its cases pass."""
    if device == "cuda":
        torch.set_num_threads(1)
        return try_on_gpu(variant, source)
    verdict = try_numbers(variant, source)
    return verdict if verdict.killed else try_checks(variant, source)


def try_numbers(variant: Variant, source: str, _original: str | None = None) -> Verdict:
    """Build a shader and run all cases, up to the first that fails."""
    kernel = build(variant, source)
    if isinstance(kernel, Verdict):
        return kernel
    return first_failure(try_cases(in_order(every_case(variant)), variant, kernel, FAST))


def try_checks(variant: Variant, source: str, _original: str | None = None) -> Verdict:
    """Run the cases that say something about memory, under the emulator's checks."""
    kernel = build(variant, source, checked=True)
    if isinstance(kernel, Verdict):
        return kernel
    return first_failure(try_cases(in_order(edges(every_case(variant))), variant, kernel, CHECKED))


def first_failure(verdicts: Generator[Verdict, None, None]) -> Verdict:
    """The first verdict that kills; the rest is not asked for."""
    with closing(verdicts) as each:
        return next((verdict for verdict in each if verdict.killed), Verdict("survived"))


def try_work(variant: Variant, source: str, original: str | None) -> Verdict:
    """Count what a shader does in a few cases, beside the original, if there is one."""
    for case in every_case(variant):
        if original is None or not case.name.startswith(WORK_CASES):
            continue
        was, now = (
            isolated.call(partial(work, variant, text, case), COMPILE_SECONDS)
            for text in (original, source)
        )
        for family in WORK:
            if now[family] > was[family] * WHIMS:
                why = f"{family}: {now[family]} for {was[family]}"
                return Verdict("more work", variant.name, case.name, why)
    return Verdict("survived")


def work(variant: Variant, source: str, case: Case) -> dict[str, int]:
    """What the shader does in a case: counters by family.  RuntimeError if it fails."""
    kernel = emulator.compile(source).function(variant.name)
    total = dict.fromkeys(WORK, 0)

    def launch(step: LaunchPlan, tensors: dict[str, torch.Tensor]) -> None:
        if step.kernel == variant.name:
            counts = launcher.launch_on(kernel, step, tensors, count=True, workers=1).counts
            for family in WORK:
                total[family] += counts.total(family)
        else:
            launcher.launch(step, tensors)

    outcome = run(case, variant, launch)
    if not outcome.ok:
        raise RuntimeError(f"{variant.name}, {case.name}: {outcome.explain()}")
    return total


def build(variant: Variant, source: str, checked: bool = False) -> emulator.Kernel | Verdict:
    """The compiled shader, or how it dies before any case."""
    try:
        library = emulator.compile(source, finite_math=True)
        isolated.call(partial(library.prebuild, variant.name), COMPILE_SECONDS)
        if checked:
            isolated.call(partial(library.prebuild, variant.name, checked=True), COMPILE_SECONDS)
        kernel = library.function(variant.name)
    except (emulator.EmulatorError, isolated.CrashError, isolated.TimeLimitError) as error:
        return Verdict("compiler", variant.name, "", first_error(error))
    if kernel.threadgroup_bytes != variant.threadgroup_bytes:
        why = f"{kernel.threadgroup_bytes} bytes of threadgroup memory are not what the matrix says"
        return Verdict("memory", variant.name, "", why)
    return kernel


class Killer(NamedTuple):
    """A case of a family, in which some mutant fails."""

    family: str
    case: str


def killers(texts: Mapping[str, str], originals: Mapping[str, str]) -> frozenset[Killer]:
    """Every case in which the templates fail; none if they do not even render or compile."""
    warm()
    try:
        sources = shaders(texts)
    except render.RenderError:
        return frozenset()
    found = set()
    for variant in rows():
        if sources[variant.name] == originals.get(variant.name):
            continue
        kernel = build(variant, sources[variant.name], checked=True)
        if isinstance(kernel, Verdict):
            continue
        for chosen, options in ((every_case(variant), FAST), (edges(every_case(variant)), CHECKED)):
            for verdict in try_cases(in_order(chosen), variant, kernel, options):
                if verdict.killed:
                    found.add(Killer(variant.family, verdict.case))
    return frozenset(found)


def all_cases() -> list[Killer]:
    """Every case that mutants are tried in."""
    return list(
        dict.fromkeys(Killer(v.family, case.name) for v in rows() for case in every_case(v))
    )


def try_cases(
    chosen: Sequence[Case],
    variant: Variant,
    kernel: emulator.Kernel,
    options: Mapping[str, Any],
) -> Generator[Verdict, None, None]:
    """Run cases, each in a schedule of its own; one that ends its process starts another."""
    launcher: Callable[..., Launch] = partial(instead, variant.name, kernel, **options)
    rest = list(chosen)
    seconds = CHECKED_SECONDS if options == CHECKED else CASE_SECONDS
    while rest:
        tasks = [partial(run, case, variant, launcher(schedule=case.seed)) for case in rest]
        with closing(isolated.each(tasks, seconds)) as outcomes:
            while rest:
                case = rest.pop(0)
                verdict = judge(
                    partial(next, outcomes), Verdict("survived", variant.name, case.name)
                )
                yield verdict
                if verdict.how in ("time limit", "crash"):
                    break


def judge(task: Callable[[], Outcome], verdict: Verdict) -> Verdict:
    """The verdict as it stands after one more case."""
    try:
        outcome = task()
    except isolated.TimeLimitError as error:
        return replace(verdict, how="time limit", why=str(error))
    except isolated.CrashError as error:
        return replace(verdict, how="crash", why=str(error))
    if outcome.ok:
        return verdict
    how = "damage" if outcome.damage else "emulator" if outcome.problem else "wrong numbers"
    return replace(verdict, how=how, why=outcome.explain())
