"""Runs a kernel twice, from its source and as Apple's compiler left it, and compares every bit."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from emulator import air
from emulator.launch.structs import MAX_THREADGROUP_BYTES
from peers import compiled, mlx
from peers.call import PeerCall, dtype_name
from verify.foreign import cases
from verify.foreign.cases import Case
from verify.foreign.run import launches, problem

GATED_DELTA = f"MLX {mlx.GATED_DELTA}"
TOKENS = 19  # two chunks of 8, and a part of one
BITS = {2: torch.int16, 4: torch.int32}  # an integer as wide as an element


@dataclass(frozen=True)
class Prepared:
    """Launches with tensors of their own, and where the last of them leaves its results."""

    calls: Sequence[PeerCall]
    results: Sequence[Tensor]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything of which the launches write every element, by name."""
        for call in self.calls:
            for index in call.outputs:
                yield f"{call.kernel.name} [[buffer({index})]]", call.args[index]
        for result in self.results:
            yield "result", result


@dataclass(frozen=True)
class Subject:
    """Something to run: whenever it is prepared, its inputs are the same."""

    source: str  # whose file
    name: str
    dtype: str
    prepare: Callable[[], Prepared]

    @property
    def author(self) -> str:
        """Of the source, as peers.compiled has it."""
        return self.source.split()[0]


@dataclass(frozen=True)
class Difference:
    """How far two runs' tensors are apart, bit by bit."""

    differing: int = 0  # elements, of those ...
    elements: int = 0  # ... that were compared
    largest: float = 0.0
    where: str = ""  # the first tensor that differs

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.differing:,} of {self.elements:,} elements differ, by up to "
            f"{self.largest:.3g}"
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a subject, with one of Apple's libraries."""

    macos: int  # the version that the library was compiled for
    kernels: tuple[str, ...]
    difference: Difference = Difference()
    explained: str = ""  # why there is nothing to compare

    @property
    def equal(self) -> bool:
        """Whether every bit is."""
        return self.difference.elements > 0 and self.difference.differing == 0

    @property
    def ok(self) -> bool:
        return self.equal or bool(self.explained)

    def __str__(self) -> str:
        return self.explained or str(self.difference)


def all_subjects(sample: int | None = None) -> list[Subject]:
    """Every case of the foreign shaders, and MLX's gated delta rule for its transposed matrices.

    A sample has the same cases as one of the foreign shaders, whose builds it finds in the cache.
    """
    attention = cases.all_cases()
    subjects = [
        Subject(case.family, case.name, dtype_name(case.dtype), partial(prepare, case))
        for case in cases.sample(attention, sample)
    ]
    if mlx.available():
        others = mlx.GatedDelta.all()
        size = None if sample is None else max(1, sample * len(others) // len(attention))
        subjects += [
            Subject(GATED_DELTA, s.name, dtype_name(s.dtype), partial(prepare_gated_delta, s))
            for s in cases.sample(others, size)
        ]
    return [s for s in subjects if compiled.available(s.author)]


def prepare(case: Case) -> Prepared:
    """An attention problem's launches."""
    started = launches(case, problem(case, case.sizes))
    lse = [] if started.lse is None else [started.lse]
    return Prepared(started.calls, [started.got, *lse])


def prepare_gated_delta(s: mlx.GatedDelta) -> Prepared:
    """The gated delta rule's launch, on one sequence."""
    generator = torch.Generator().manual_seed(zlib.crc32(s.name.encode()))
    rows, heads = (1, TOKENS), (s.value_heads,)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / 4

    def rates() -> Tensor:
        return torch.rand(*rows, *heads, generator=generator).to(s.dtype)

    q, k = (normal(*rows, s.key_heads, s.key_dim).to(s.dtype) for _ in range(2))
    v = normal(*rows, *heads, s.value_dim).to(s.dtype)
    state = normal(1, *heads, s.value_dim, s.key_dim)
    out, new_state = torch.full_like(v, torch.nan), torch.full_like(state, torch.nan)
    call = mlx.gated_delta(s, [q, k, v, state, rates(), rates()], out, new_state)
    return Prepared([call], [])


def compare(subject: Subject) -> tuple[Outcome, ...]:
    """Runs the source once, and each of Apple's libraries on the same inputs."""
    torch.set_num_threads(1)
    ours = subject.prepare()
    names = tuple(call.kernel.name for call in ours.calls)
    libraries = compiled.libraries(subject.author)
    size = max(call.kernel.threadgroup_bytes for call in ours.calls)
    if size > MAX_THREADGROUP_BYTES:
        why = f"needs {size:,} bytes of threadgroup memory; Metal has {MAX_THREADGROUP_BYTES:,}"
        return tuple(Outcome(library.macos, names, explained=why) for library in libraries)
    for call in ours.calls:
        call.launch(workers=1)
    return tuple(compare_with(library, subject, ours) for library in libraries)


def compare_with(library: air.Library, subject: Subject, ours: Prepared) -> Outcome:
    """Runs a library's kernels and compares what they wrote with what ours did."""
    theirs = subject.prepare()
    for call in theirs.calls:
        kernel = library.function(call.kernel.name, call.kernel.function_constants)
        kernel.launch(call.args, call.threadgroups, call.threads)
    names = tuple(call.kernel.name for call in ours.calls)
    return Outcome(library.macos, names, difference(ours.tensors(), theirs.tensors()))


def difference(
    ours: Iterable[tuple[str, Tensor]], theirs: Iterable[tuple[str, Tensor]]
) -> Difference:
    """Compares tensors of the same names; a NaN equals a NaN of the same bits."""
    differing, elements, largest, where = 0, 0, 0.0, ""
    for (name, mine), (_, other) in zip(ours, theirs, strict=True):
        as_bits = BITS[mine.element_size()]
        unlike = mine.contiguous().view(as_bits) != other.contiguous().view(as_bits)
        count = int(unlike.sum())
        elements += mine.numel()
        differing += count
        if count:
            where = where or name
            off = (mine.double() - other.double()).abs()[unlike]
            largest = max(largest, float(off.nan_to_num(nan=torch.inf).max()))
    return Difference(differing, elements, largest, where)
