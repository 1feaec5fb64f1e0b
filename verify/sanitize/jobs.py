"""What runs under which tool: every kind of kernel on cases that reach its edges, and faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ci.cuda import sample
from verify.case import Case
from verify.cases import every_case
from verify.variants import GENERATED, Variant, manifest

TOOLS = ("racecheck", "memcheck", "synccheck", "initcheck")

# Where a kernel's memory has ends, by the beginnings of the cases' names.  A case takes seconds
# under a tool, so values are left to parity.
EDGES = (
    "tile edges",
    "padded, several tiles",
    "padded, one row",
    "fewer queries than keys",
    "empty sequences",
    "prefill and decode",
    "GQA 14/2",
    "ALiBi per sequence, padded, sliced",
    "mixed strides",
    "no log-sum-exp",
    "cache, left padding",
    "appended to pages",
    "packed queries, pages",
    "diagonal one short of a block",
    "window misses a last key",
    "window, keys run out",
    "sinks -inf",
    "3 splits",
    "more splits than lanes",
    "append to pages",
    "append to an overfull cache",
    "rotate in a full cache",
    "rotate neighbours, all",
    "rotate halves",
    "expanded",
    "more queries than keys, sinks",
    "no sinks",
    "causal as a tensor",
    "mask, several tiles",
    "bias, one block",
    "bias, more queries than keys",
    "mask, cache",
    "bias, pages",
    "float16 K and V",
    "bfloat16 pages",
    "mask: random",
    "mask: key padding",
    "mask: sliced bools",
    "mask: diagonal blocks",
    "bias, several tiles",
    "bias of keys",
    "bias of queries",
)


@dataclass(frozen=True)
class Fault:
    """A mistake in a kernel's source, and the tool that has to find it."""

    name: str
    tool: str
    was: str
    becomes: str


# No kernel has a simdgroup_barrier that could be dropped.
BARRIER = "threadgroup_barrier(mem_flags::mem_threadgroup);"
FAULTS = (
    Fault("a dropped threadgroup barrier", "racecheck", f"{BARRIER} // this block is staged", ""),
    Fault(
        "a row read past the end",
        "memcheck",
        "key + row < sequence.k_len",
        "key + row <= sequence.k_len",
    ),
    Fault(
        "a barrier that half of the threads reach",
        "synccheck",
        f"{BARRIER} // the last block is used up",
        f"if (thread_index % 2 == 0) {{ {BARRIER} }}",
    ),
    Fault("an unwritten row", "initcheck", "if (own >= rows) {", "if (own + 1 >= rows) {"),
)
BROKEN = ("prefill", 32, "float16", "full")  # the kind of kernel that they are in
BROKEN_CASE = "padded, one row"  # the last sequence's keys end in the middle of a block


@dataclass(frozen=True)
class Job:
    """A kernel under a tool, in a process of its own."""

    tool: str
    variant: str
    fault: str = ""  # the name of one of FAULTS, if it is broken by it

    @property
    def name(self) -> str:
        """As reports have it."""
        return f"{self.tool}: {self.fault or self.variant}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def kernel(self) -> Variant:
        """Its row of the manifest."""
        return next(v for v in manifest() if v.name == self.variant)

    @property
    def planted(self) -> Fault | None:
        return next((fault for fault in FAULTS if fault.name == self.fault), None)

    def source(self) -> str:
        """The kernel's file, with its fault."""
        text = (GENERATED / self.kernel.file).read_text()
        if fault := self.planted:
            if text.count(fault.was) != 1:
                raise ValueError(f"{fault.was!r} stands {text.count(fault.was)} times: {self.name}")
            text = text.replace(fault.was, fault.becomes)
        return text

    def cases(self) -> list[Case]:
        """What it runs on."""
        wanted = (BROKEN_CASE,) if self.fault else EDGES
        return [case for case in every_case(self.kernel) if reaches(case, wanted)]


def reaches(case: Case, names: tuple[str, ...]) -> bool:
    """Whether a case is one of these; where a kernel learns its mask, that is in its name, too."""
    return any(case.name == name or case.name.startswith(f"{name}, ") for name in names)


def kinds() -> list[Variant]:
    """One kernel of each family, dtype and mask mode, and of each size of a threadgroup.

    Of decode also one for each number of rows, and of V's that are part of K.
    """
    rows = [asdict(variant) for variant in manifest()]
    taken = [Variant(**row) for row in sample(rows)]

    def kind(v: Variant) -> tuple[object, ...]:
        of_rows = v.block_q if v.family == "decode" else 0
        return v.family, v.dtype, v.threads, of_rows, v.latent

    kinds = {*map(kind, taken)}
    for variant in manifest():
        if kind(variant) not in kinds:
            kinds.add(kind(variant))
            taken.append(variant)
    return taken


def planted() -> Iterator[Job]:
    """The faults, each under the tool that has to find it."""
    broken = next(
        v for v in manifest() if (v.family, v.head_dim, v.dtype, v.mask) == BROKEN and not v.sinks
    )
    for fault in FAULTS:
        yield Job(fault.tool, broken.name, fault.name)


def sound(tools: tuple[str, ...] = TOOLS) -> Iterator[Job]:
    """The kernels as they are."""
    for tool in tools:
        for variant in kinds():
            yield Job(tool, variant.name)
