"""Training in the report: a forward and a backward pass, beside the unfused composition.

Ours is counted, and its times are modelled from the counts; the composition is calculated
(benchmarks/model/unfused.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from benchmarks.counting.backward import PRODUCTS, TrainingWork, extra_bytes, training
from benchmarks.counting.interior import Interior, backward_interior
from benchmarks.counting.work import Work
from benchmarks.model import unfused
from benchmarks.model.chips import REPORTED, chips
from benchmarks.model.cost import estimate, training_milliseconds
from benchmarks.report.published import PUBLISHED
from benchmarks.report.results import COMMON_HEAD_DIMS, DTYPES, M1_MAX, MASKS, Case, prefill
from benchmarks.report.targets import JUDGED, blocks, label, worst
from benchmarks.shapes import FRAGMENT, Shape
from benchmarks.target import Target

if TYPE_CHECKING:
    from benchmarks.report.page import Page

HEADS = 8
TOKENS = (2048, 4096, 16384)
LONGEST = TOKENS[-1]
WIDE = 256  # the head_dim that stands for those whose dK and dV have a kernel each
OF_UNFUSED = 0.75  # of its time, at most, with a causal mask
OF_UNFUSED_WINDOW = 0.1  # at LONGEST tokens
OF_UNFUSED_MEMORY = 0.02
MEMORY = Shape(32, 32, 64, 4096, queries=4096, causal=True)
HALF_SCORES = 2  # bytes


@dataclass(frozen=True)
class Trained:
    """What a training step does for one shape."""

    mask: str
    shape: Shape
    work: TrainingWork
    inner: dict[str, Interior]  # by family

    def document(self) -> dict[str, Any]:
        """For the JSON."""
        named = [(step.kernels[0].name, step) for step in self.work.launches]
        return {
            "mask": self.mask,
            "shape": asdict(self.shape),
            "counts": {name: dict(step.counts) for name, step in named},
            "interior": {family: asdict(inner) for family, inner in self.inner.items()},
            "extra_bytes": self.work.backward.extra_bytes,
            "unfused_extra_bytes": unfused.extra_bytes(self.shape),
            "modelled_ms": {chip: ours_ms(self, chip) for chip in REPORTED},
            "modelled_unfused_ms": {chip: unfused_ms(self, chip) for chip in REPORTED},
        }


def cases(quick: bool) -> list[Case]:
    """All of the report; `quick`: in float16 alone, and nothing beside the common head dims."""
    dtypes = DTYPES[:1] if quick else DTYPES
    chosen = [
        Case("training", mask, tuple(prefill(HEADS, HEADS, dim, dtype, mask, n) for n in TOKENS))
        for dim, dtype, mask in product(COMMON_HEAD_DIMS, dtypes, MASKS)
    ]
    if not quick:
        others = ((32, 8, 128), (HEADS, HEADS, WIDE))
        shapes = [prefill(*sizes, DTYPES[0], "causal", 4096) for sizes in others]
        chosen += [Case("training", "causal", (shape,)) for shape in shapes]
    return chosen


def run(case: Case) -> list[Trained]:
    """Counts a case."""
    inner = backward_interior(case.shapes[0])
    return [Trained(case.mask, shape, training(shape, M1_MAX), inner) for shape in case.shapes]


# --- targets -------------------------------------------------------------------------------------


def turned(shape: Shape) -> Shape:
    """The shape in which keys are queries: who sees whom stays."""
    left, right = shape.window
    right = 0 if shape.causal else right
    return replace(
        shape, queries=shape.keys, keys=shape.queries, causal=False, window=(right, left)
    )


def fragments_touched(result: Trained, work: Work) -> int:
    """8x8x8 fragments of the blocks that the band touches, of one launch.

    The rows of a tile are queries in backward_q and keys in the others.
    """
    shape, kernel = result.shape, work.kernels[0]
    each = kernel.block_q * kernel.block_k * shape.head_dim // FRAGMENT**3
    if work.name != "backward_q":
        shape = turned(shape)
        kernel = replace(kernel, block_q=kernel.block_k, block_k=kernel.block_q)
    return each * blocks(shape, kernel, aligned=False) * shape.batch * shape.heads


def products_per_pair(result: Trained) -> float:
    """8x8 products for each pair of blocks that the band touches; 2 in a forward pass."""
    launches = result.work.backward.matrix_launches
    return sum(work.products / fragments_touched(result, work) for work in launches)


def to_touched(result: Trained) -> float:
    """Products / those of the blocks that the band touches, of the kernel with most."""
    return max(
        work.products / (PRODUCTS[work.name] * fragments_touched(result, work))
        for work in result.work.backward.matrix_launches
    )


def ours_ms(result: Trained, chip: str) -> float:
    return training_milliseconds(result.work, result.shape, chips()[chip])


def unfused_ms(result: Trained, chip: str) -> float:
    return unfused.milliseconds(result.shape, chips()[chip])


def time_ratio(result: Trained, chip: str, score_bytes: int = unfused.SCORE_BYTES) -> float:
    """Modelled time of ours / that of the unfused composition."""
    theirs = unfused.milliseconds(result.shape, chips()[chip], score_bytes)
    return ours_ms(result, chip) / theirs


def least_efficiency(result: Trained, chip: str) -> float:
    """At which ours would take all of the time that it may."""
    return chips()[chip].efficiency * time_ratio(result, chip) / OF_UNFUSED


def growth(result: Trained) -> float:
    """Memory / that of half the tokens."""
    half = result.shape.keys // 2
    smaller = replace(result.shape, queries=half, keys=half)
    return result.work.backward.extra_bytes / extra_bytes(smaller, M1_MAX)


def of_counts(results: Sequence[Trained]) -> list[Target]:
    """What the counts and plans decide."""
    per_pair = "training: 8x8 products per pair of blocks"
    wide = [r for r in results if len(r.work.backward.matrix_launches) > 2]
    narrow = [r for r in results if r not in wide]
    memory = extra_bytes(MEMORY, M1_MAX) / unfused.extra_bytes(MEMORY)
    longest = [r for r in results if r.shape.keys == LONGEST]
    return [
        *worst(per_pair, 7, narrow, products_per_pair),
        *worst(f"{per_pair}, head_dim {WIDE}", 7, wide, products_per_pair),
        *worst("training: products / those that the band touches", 1, results, to_touched),
        *worst(
            "training: barriers per block", 2, results,
            lambda r: max(inner.barriers for inner in r.inner.values()),
        ),
        *worst("training: memory / that of half the tokens", 2, longest, growth),
        Target(
            "training: memory / the composition's", memory, OF_UNFUSED_MEMORY,
            where=f"H {MEMORY.heads}, {MEMORY.keys} tokens; the composition's is calculated",
        ),
    ]  # fmt: skip


def of_model(results: Sequence[Trained]) -> list[Target]:
    """What the model decides."""
    common = [r for r in results if r.shape.head_dim in COMMON_HEAD_DIMS]
    of_mask = {mask: [r for r in common if r.mask == mask] for mask in MASKS}
    windowed = [r for r in common if r.shape.mask == "window" and r.shape.keys == LONGEST]
    judged = []
    for chip in JUDGED:
        name = f"{chip}: training / unfused"
        ratio = partial(time_ratio, chip=chip)
        halved = partial(time_ratio, chip=chip, score_bytes=HALF_SCORES)
        least = partial(least_efficiency, chip=chip)
        causal = of_mask["causal"]
        judged += worst(f"{name}, causal", OF_UNFUSED, causal, ratio)
        judged += worst(f"the efficiency that would make it {OF_UNFUSED}", None, causal, least)
        judged += worst(f"if unfused scores had {HALF_SCORES} bytes", None, causal, halved)
        judged += worst(f"{name}, window, {LONGEST} tokens", OF_UNFUSED_WINDOW, windowed, ratio)
        judged += worst(f"{name}, full", None, of_mask["full"], ratio)
    return judged


def targets(results: Sequence[Trained]) -> list[Target]:
    """All of them."""
    return [*of_counts(results), *of_model(results)]


# --- page ----------------------------------------------------------------------------------------


def on_training(page: Page, results: Sequence[Trained]) -> None:
    """What is counted, then what is modelled, then what others measured: a table each."""
    page.head("Training: forward and backward")
    page.say(
        "Our kernels are counted and their times modelled as those of the forward pass. Beside "
        "them stands what PyTorch and MLX run on a Mac when gradients are asked for: attention as "
        "single operations, with the scores of all pairs in memory. Nothing of it is counted: "
        "benchmarks/model/unfused.py calculates its products, at "
        f"{100 * unfused.OF_ALU:g} % of the matrix units' rate, and its passes over n^2 matrices "
        "of float32 (PyTorch's type; MLX's may be 16 bits, a row of the targets has that figure) "
        "at the rate of DRAM, whichever takes longer for each operation. The efficiency of ours "
        "is that of published forward kernels; another row has the one at which the target would "
        "be missed."
    )
    page.say("Counted, of one more block inside the band, per 8x8x8 product (barriers: per block):")
    heading = (
        "kernel", "products per pair", "barriers", "threadgroup B", "device B", "scalar",
        "special", "registers, estimated", *(f"limit, {chip}" for chip in JUDGED),
    )  # fmt: skip
    rows = []
    for r in results:
        if r.shape.keys != 4096 or r.shape.dtype != DTYPES[0]:
            continue
        for work in r.work.backward.matrix_launches:
            inner, kernel = r.inner[work.name], work.kernels[0]
            limits = [estimate(work, r.shape, chips()[chip]).limit for chip in JUDGED]
            rows.append((
                f"{work.name}, D {r.shape.head_dim}, {r.mask}, H {r.shape.heads}/"
                f"{r.shape.kv_heads}, {kernel.block_q} queries x {kernel.block_k} keys",
                work.products / fragments_touched(r, work), inner.barriers,
                inner.threadgroup_bytes, inner.device_bytes, inner.arithmetic, inner.special,
                kernel.registers, *limits,
            ))  # fmt: skip
    page.table(heading, rows)
    page.say("Modelled from these counts, and from the calculated composition:")
    times = [
        (label(r), *(ms(r, chip) for chip in JUDGED for ms in (ours_ms, unfused_ms)))
        for r in results
        if r.shape.dtype == DTYPES[0]
    ]
    chips_named = (f"{chip}: {name}" for chip in JUDGED for name in ("ours", "unfused"))
    page.table(("modelled ms, forward and backward", *chips_named), times)
    ours, theirs = extra_bytes(MEMORY, M1_MAX), unfused.extra_bytes(MEMORY)
    page.say(
        f"Memory beyond inputs, outputs and gradients at {MEMORY.heads} heads and "
        f"{MEMORY.keys:,} tokens: ours {ours / 1e6:.2f} MB by the plan, three numbers of each row; "
        f"the composition's {theirs / 1e9:.2f} GB, calculated, {unfused.ALIVE} matrices of n^2 at "
        "a time."
    )
    page.say(
        "What others have published about their backward passes. They measured it on Macs, with "
        "shapes and versions of their own: it cannot be set beside a modelled time."
    )
    page.table(
        ("source", "machine", "what", "measured by its author"),
        [(p.who, p.machine, p.what, p.figure) for p in PUBLISHED],
        left=(1, 2, 3),
    )
