"""What docs/evidence.md has a section for, and how it tells the figures of such reports."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 100
DEVICES = {
    "emulator": "CPU executor",
    "cuda": "NVIDIA GPU",
    "mps": "Mac",
    "none": "none: compiled, not run",
}

Report = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A kind of report, what it shows, and how its figures are told."""

    kind: str
    title: str
    about: str
    figures: Callable[[Sequence[Report]], Iterable[str]]


def table(heading: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> str:
    """A table whose first columns are words and whose others are numbers."""
    marks = [":---" if i < left else "---:" for i in range(len(heading))]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, marks, *cells))


def of_parity(reports: Sequence[Report]) -> Iterable[str]:
    yield table(
        ("on", "family", "variants", "cases", "largest error / allowed"),
        (
            (
                DEVICES[r["device"]],
                f["family"],
                f["variants"],
                f"{f['cases']:,}",
                f"{f['worst']:.3f}",
            )
            for r in reports
            for f in r["families"]
        ),
        left=2,
    )
    for r in reports:
        far = sum(f["far"] for f in r["families"])
        if far and r["device"] != "emulator":
            yield wrapped(
                f"Of these, {far:,} cases on the {DEVICES[r['device']]} have offsets beyond 2^31 "
                "elements: 16 GB or more of real memory each, one at a time."
            )
        if r["seed"]:
            yield f"The seed's own table, on the {DEVICES[r['device']]}:"
            yield table(
                ("row", "cos", "max-abs"),
                ((s["name"], f"{s['cosine']:.6f}", f"{s['max_abs']:.1e}") for s in r["seed"]),
            )


def of_checks(reports: Sequence[Report]) -> Iterable[str]:
    yield table(
        ("family", "variants", "cases"),
        ((f["family"], f["variants"], f"{f['cases']:,}") for r in reports for f in r["families"]),
    )


def of_sanitize(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield table(
            ("tool", "kernels", "cases", "kernels with findings", "planted faults found"),
            (
                (
                    *(t["tool"], t["kernels"], t["cases"], t["with_findings"]),
                    f"{t['faults_found']} of {t['faults']}",
                )
                for t in r["tools"]
            ),
        )
        yield "The planted faults:"
        yield table(
            ("fault", "tool", "found"),
            ((p["fault"], p["tool"], "yes" if p["found"] else "**no**") for p in r["planted"]),
            left=3,
        )


def of_fuzz(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        rate = r["ran"] / r["seconds"] if r["seconds"] else 0.0
        yield f"{DEVICES[r['device']]}: seed {r['seed']}, {rate:,.0f} cases a second."


def of_mutants(reports: Sequence[Report]) -> Iterable[str]:
    yield table(
        ("on", "mutants", "killed", "equivalent, by review", "others that survive"),
        (
            (
                *(DEVICES[r["device"]], f"{r['ran']:,}", f"{r['killed']:,}"),
                *(r["equivalent"], len(r["survivors"])),
            )
            for r in reports
        ),
    )
    for r in reports:
        ways = ", ".join(f"{how} {count:,}" for how, count in r["how"].items())
        yield wrapped(f"How they died on the {DEVICES[r['device']]}: {ways}.")
    if any(r["device"] == "cuda" for r in reports):
        yield wrapped(
            "On a GPU nothing is checked, no work is counted, and cases beyond 2^31 elements are "
            "left out: who survives there may die on the CPU."
        )


def of_foreign(reports: Sequence[Report]) -> Iterable[str]:
    yield table(
        ("on", "source", "dtype", "kernels", "cases", "over 32 KiB", "largest error / allowed"),
        (
            (
                *(DEVICES[r["device"]], row["source"], row["dtype"], row["kernels"], row["cases"]),
                *(row["refused"], f"{row['worst']:.3f}"),
            )
            for r in reports
            for row in r["rows"]
        ),
        left=3,
    )


def of_front_end(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield f"The compiler is {r['compiler']}, not Apple's."
        yield table(
            ("source", "files", "pass", "kernels in them"),
            (
                (row["source"], f"{row['files']:,}", f"{row['passed']:,}", f"{row['kernels']:,}")
                for row in r["rows"]
            ),
        )


def of_apple(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield table(
            ("source", "dtype", "compiled for", "kernels", "cases", "bit-equal", "explained"),
            (
                (
                    *(row["source"], row["dtype"], row["compiled_for"], row["kernels"]),
                    *(row["cases"], row["equal"], row["explained"]),
                )
                for row in r["rows"]
            ),
            left=3,
        )
        yield from (f"Explained: {why}." for why in r["explanations"])


def of_registers(reports: Sequence[Report]) -> Iterable[str]:
    yield wrapped(
        "Estimate: what the kernel's source holds at once, from its tile (codegen/tile_shapes.py); "
        "widened: if a bfloat16 element takes a whole register, as it probably does on M1 and M2. "
        "AMD: what LLVM's allocator for an AMD GPU (gfx1030) takes where it may, and how many it "
        "spills if it has the 128 registers of a thread of an Apple GPU. A tile in doubt has a "
        "smaller one in codegen/doubts.py. None of this is of Apple's compiler."
    )
    yield table(
        ("kernel", "tile in doubt", "estimate", "widened", "AMD registers", "AMD spills"),
        (
            (
                *(row["kernel"], "yes" if row["doubted"] else "", row["estimate"]),
                *(row["widened"] or "", row["registers"], row["spilled"]),
            )
            for r in reports
            for row in r["rows"]
        ),
        left=2,
    )


def of_executors(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield table(
            ("family", "dtype", "tensor", "kernels", "same bits", "largest difference", "in ulp"),
            (
                (
                    *(row["family"], row["dtype"], row["tensor"], row["kernels"]),
                    f"{1 - row['differing'] / max(1, row['elements']):.2%}",
                    *(number(row["largest"], ".1e"), number(row["units"], ".1f")),
                )
                for row in r["rows"]
            ),
            left=3,
        )


def of_memory(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield wrapped(
            f"One sequence, {r['dtype']}, {r['heads']} heads of {r['head_dim']}, a window of "
            f"{r['window']} keys on either side, sinks. Memory is the peak of torch's allocator "
            "beyond inputs and output. The kernel runs through the emulator's CUDA executor: its "
            "time on this GPU is not a Mac's, how it grows is the kernel's own."
        )
        by_tokens: dict[int, dict[str, Any]] = {}
        for row in r["rows"]:
            by_tokens.setdefault(row["tokens"], {})[row["attention"]] = row
        yield table(
            (
                *("tokens", "eager, MiB", "kernel, MiB"),
                *("eager, ms", "kernel, ms", "kernel, ns per token", "largest difference"),
            ),
            (memory_row(tokens, ways) for tokens, ways in by_tokens.items()),
            left=0,
        )
        for what, exponent in r["growth"].items():
            yield f"{what.capitalize()} from {r['growth_from']:,} tokens: tokens^{exponent:.2f}."
        for row in r["rows"]:
            if row["problem"]:
                way = row["attention"].capitalize()
                yield f"{way}, {row['tokens']:,} tokens: {row['problem']}."


def memory_row(tokens: int, ways: dict[str, Any]) -> list[str]:
    """A length: eager beside the kernel."""
    eager, kernel = ways.get("eager"), ways.get("kernel")

    def cell(row: Any, name: str, scale: float, digits: str) -> str:
        if row is None:
            return ""
        return "does not fit" if row["problem"] else f"{row[name] / scale:,{digits}}"

    ns = (
        ""
        if kernel is None or kernel["problem"]
        else f"{kernel['milliseconds'] / tokens * 1e6:.0f}"
    )
    return [
        f"{tokens:,}",
        cell(eager, "extra_bytes", 2**20, ".1f"),
        cell(kernel, "extra_bytes", 2**20, ".1f"),
        cell(eager, "milliseconds", 1, ".2f"),
        cell(kernel, "milliseconds", 1, ".2f"),
        ns,
        number(kernel["largest_difference"], ".1e") if kernel else "",
    ]


def of_model(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield wrapped(
            f"{r['model']} at its published size, float16, random weights, one sequence. Memory is "
            "the peak of torch's allocator beyond weights and tokens."
        )
        yield table(
            ("tokens", "attention", "compiled", "MiB", "cos of the logits", "labels as eager's"),
            (
                (
                    f"{row['tokens']:,}",
                    "eager" if row["attention"] == "eager" else "kernel",
                    "yes" if row["compiled"] else "no",
                    row["problem"] or f"{row['peak_bytes'] / 2**20:,.0f}",
                    number(row["cosine"], ".6f"),
                    number(row["same"], ".2%"),
                )
                for row in r["rows"]
            ),
            left=3,
        )


def of_training(reports: Sequence[Report]) -> Iterable[str]:
    for r in reports:
        yield wrapped(
            f"{r['parameters'] / 1e6:.0f} million parameters, {r['batch']} x {r['tokens']:,} "
            f"tokens, {r['dtype']}, {r['ran']} steps. Apart: the root mean square of what the "
            "losses differ from those of eager attention in float32. Memory is the most that a "
            "step takes beyond weights and the optimizer's state."
        )
        yield table(
            ("attention", "first loss", f"the last of every {r['every']}th", "apart", "MiB"),
            (
                (
                    *(row["attention"], f"{row['losses'][0]:.4f}", f"{row['losses'][-1]:.4f}"),
                    *(number(row["distance"], ".1e"), f"{row['peak_bytes'] / 2**20:,.0f}"),
                )
                for row in r["rows"]
            ),
        )


def number(value: float | str, form: str) -> str:
    """A figure; reports write as words what is no number: "nan" is none."""
    if isinstance(value, str):
        return "" if value == "nan" else value
    return f"{value:{form}}"


def wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


SECTIONS = (
    Section(
        "parity",
        "Parity",
        "Every kernel over the case table against float64: `nox -s parity`.",
        of_parity,
    ),
    Section(
        "checks",
        "The emulator's checks",
        "Races, stray accesses and unwritten memory, on the CPU: `nox -s parity -- --check`.",
        of_checks,
    ),
    Section(
        "sanitize",
        "NVIDIA's sanitizers",
        "Every kind of kernel under compute-sanitizer's four tools, after faults that each has to "
        "find: `nox -s sanitize`.",
        of_sanitize,
    ),
    Section("fuzz", "Fuzz", "Random calls against float64: `nox -s fuzz`.", of_fuzz),
    Section(
        "mutants",
        "Mutants",
        "Templates broken on purpose, one change each: `nox -s mutants`.",
        of_mutants,
    ),
    Section(
        "foreign",
        "Other people's shaders",
        "PyTorch's and MLX's attention, unmodified, on the same emulator: `nox -s foreign`.",
        of_foreign,
    ),
    Section(
        "front_end",
        "A second front end",
        "Shaders as C++ for OpenCL, in which clang knows address spaces and overloads as Metal has "
        "them: `nox -s lint` for ours, `nox -s foreign` for all. What is refused stands in the "
        "[emulator's README](../emulator/README.md#a-second-front-end). PyTorch's and MLX's, which "
        "Apple's compiler took, may have implicit narrowing and unions (`--lenient`), ours not.",
        of_front_end,
    ),
    Section(
        "apple",
        "What Apple's compiler made of them",
        "The same shaders twice on the CPU, with the same inputs: from the source, and as Apple's "
        "compiler left them in the wheels for macOS (`nox -s foreign`, `python -m verify.apple`). "
        "What this shows, and what both sides share, stands in the [emulator's "
        "README](../emulator/README.md#what-apples-compiler-made). A kernel is bit-equal if every "
        "element of all that it wrote is, in every case.",
        of_apple,
    ),
    Section(
        "registers",
        "Registers, estimated",
        "32-bit registers per thread, of each shape the kernel that has most to remember: `python "
        "-m verify.registers`.",
        of_registers,
    ),
    Section(
        "executors",
        "CPU against GPU, bit by bit",
        "The same kernels on the same inputs on both executors: `python -m verify.executors`. Why "
        "they may differ, and by how much, stands in the [emulator's "
        "README](../emulator/README.md#where-the-two-executors-differ).",
        of_executors,
    ),
    Section(
        "memory",
        "Memory of windowed attention",
        "Eager attention beside the kernel: `python -m benchmarks.timing.memory`.",
        of_memory,
    ),
    Section(
        "model",
        "A whole model",
        "Eager attention beside the kernel: `python -m benchmarks.timing.model_memory`.",
        of_model,
    ),
    Section(
        "training",
        "Training",
        "A GPT from examples/train_tiny.py, three times over the same text: `python -m "
        "benchmarks.timing.training`.",
        of_training,
    ),
)
