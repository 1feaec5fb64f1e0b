"""openai_privacy_filter from end to end: tokens per second and memory, eager and this kernel.

    python benchmarks/timing/end_to_end.py                # on a Mac: full size, random weights
    python benchmarks/timing/end_to_end.py --model openai/privacy-filter --tokens 1024 8192
    python benchmarks/timing/end_to_end.py --model tiny   # anywhere, in a minute or two

Nothing is downloaded unless a checkpoint is named: time and memory do not depend on the weights.
Every row is a process of its own, so that none inherits another's memory or compiled code.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]  # the builder, the tiny models and the emulator

NAME = "openai_privacy_filter"
FULL, TINY = "full", "tiny"
TOKENS = {FULL: (1024, 8192, 16384), TINY: (64, 128)}  # where none are asked for
EAGER, KERNEL = "eager", "kernel"
WARM_UPS = 2  # the first compiles

MEMORY = {
    # torch keeps what it has got from Metal until empty_cache, so afterwards it still has the peak.
    "mps": "what torch got from Metal, weights included (driver_allocated_memory)",
    "cpu": "the process's peak resident set, Python and weights included",
}


@dataclass(frozen=True)
class Way:
    """What a row measures."""

    model: str  # FULL, TINY or a checkpoint
    tokens: int
    attention: str
    compiled: bool
    dtype: str
    runs: int
    backend: str = "inductor"  # of torch.compile


@dataclass
class Row:
    """What was measured; with a `problem` nothing was."""

    way: Way
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    labels: list[int] = field(default_factory=list)  # the model's answer
    problem: str = ""

    @property
    def tokens_per_second(self) -> float:
        return self.way.tokens / statistics.median(self.seconds)


def make(way: Way) -> Any:
    """The model, on the CPU, the same weights for all ways."""
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification

    from ci.build import hub_name
    from verify import tiny_models

    attention = EAGER if way.attention == EAGER else hub_name()
    dtype = getattr(torch, way.dtype)
    if way.model == TINY:
        return tiny_models.make(NAME, attention, dtype)
    options = {"attn_implementation": attention, "dtype": dtype}
    if way.model == FULL:
        torch.manual_seed(0)
        config = AutoConfig.for_model(NAME)  # its defaults are the published model's sizes
        return AutoModelForTokenClassification.from_config(config, **options).eval()
    return AutoModelForTokenClassification.from_pretrained(way.model, **options).eval()


def measure(way: Way) -> Row:
    """Run one way in this process."""
    import torch
    from transformers.utils import logging

    from benchmarks.timing.machine import device

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    on = device()
    model = make(way).to(on)
    generator = torch.Generator().manual_seed(1)
    # The first and the last of the vocabulary pad, here and there.
    text = torch.randint(1, model.config.vocab_size - 1, (1, way.tokens), generator=generator)
    text = text.to(on)
    if way.compiled:
        model.forward = torch.compile(model.forward, backend=way.backend)
    row = Row(way)
    try:
        with torch.no_grad():
            for run in range(WARM_UPS + way.runs):
                if run == WARM_UPS and on == "mps":
                    torch.mps.empty_cache()
                begin = time.perf_counter()
                logits = model(text).logits
                if on == "mps":
                    torch.mps.synchronize()
                row.seconds.append(time.perf_counter() - begin)
    except (RuntimeError, MemoryError) as error:  # torch has no other name for a full GPU
        return Row(way, problem=f"{type(error).__name__}: {error}".splitlines()[0])
    del row.seconds[:WARM_UPS]
    row.labels = logits[0].argmax(-1).tolist()
    if on == "mps":
        row.peak_bytes = torch.mps.driver_allocated_memory()
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        row.peak_bytes = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return row


def measure_apart(way: Way) -> Row:
    """Run one way in a process of its own, which the system may kill."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure, way).result()
        except BrokenProcessPool:
            return Row(way, problem="the process was killed; out of memory?")


def line(row: Row, eager: Row) -> str:
    """A row of the table; `eager` has the same length and is compiled likewise."""
    name = f"{row.way.tokens:9}  {row.way.attention:11}{'yes' if row.way.compiled else 'no':10}"
    if row.problem:
        return f"{name}{row.problem}"
    times, agrees = "", ""
    if eager.seconds and row is not eager:
        times = f"{row.tokens_per_second / eager.tokens_per_second:.2f} x"
        same = sum(map(int.__eq__, row.labels, eager.labels))
        agrees = f"{same / len(row.labels):.1%}"
    return (
        f"{name}{statistics.median(row.seconds) * 1e3:12.1f}{row.tokens_per_second:12.0f}"
        f"{times:>10}{row.peak_bytes / 2**20:12.0f}{agrees:>10}"
    )


def rows(options: argparse.Namespace) -> Iterator[tuple[Row, Row]]:
    """Every row with the eager one beside it."""
    for tokens in options.tokens or TOKENS.get(options.model, TOKENS[FULL]):
        for compiled in (False,) if options.no_compile else (False, True):
            measured: list[Row] = []
            for attention in (EAGER, KERNEL):
                way = Way(
                    options.model,
                    tokens,
                    attention,
                    compiled,
                    options.dtype,
                    options.runs,
                    options.backend,
                )
                measured.append(measure_apart(way))
                yield measured[-1], measured[0]


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: must be at least 1")
    return value


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's options."""
    about, usage = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=about, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="full, tiny or a checkpoint (default: full on a Mac)")
    parser.add_argument("--tokens", type=positive, nargs="+", metavar="N", help="lengths of text")
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], default="float16")
    parser.add_argument("--runs", type=positive, default=5, help="timed runs; the median counts")
    parser.add_argument("--backend", default="inductor", help="torch.compile's (default: inductor)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    parser.add_argument(
        "--build",
        type=Path,
        default=ROOT / "build",
        metavar="DIRECTORY",
        help="where the package is built before it is loaded (default: build)",
    )
    return parser.parse_args(arguments)


def main() -> int:
    """Print the table; return how many rows could not be measured."""
    options = parse()

    from benchmarks.timing.machine import describe, device
    from ci.build import assemble, in_place_of_the_hub

    environment = in_place_of_the_hub(assemble(options.build))
    options.model = options.model or (FULL if device() == "mps" else TINY)
    if options.model not in TOKENS:  # a checkpoint, which may have to be downloaded
        environment.pop("HF_HUB_OFFLINE")
    os.environ.update(environment)  # the rows' processes have it before they import transformers

    print(f"{NAME} ({options.model}, {options.dtype}), measured on {describe()}")
    print(f"peak MiB: {MEMORY[device()]}; same: of the labels, as eager")
    print(
        f"{'tokens':>9}  {'attention':11}{'compiled':10}{'median ms':>12}{'tokens/s':>12}"
        f"{'speed':>10}{'peak MiB':>12}{'same':>10}"
    )
    measured = []
    for row, eager in rows(options):
        print(line(row, eager), flush=True)
        measured.append(row)
    if options.json:
        report = {
            "measured_on": describe(),
            "memory": MEMORY[device()],
            "rows": [
                {**asdict(row.way), "seconds": row.seconds, "peak_bytes": row.peak_bytes}
                | ({"problem": row.problem} if row.problem else {})
                for row in measured
            ],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return sum(bool(row.problem) for row in measured)


if __name__ == "__main__":
    sys.exit(main())
