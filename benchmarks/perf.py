"""``nox -s perf``: counts, models and, on a Mac, measures; writes build/perf/report.{json,html}."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.counting.ragged import ragged
from benchmarks.model import calibrate
from benchmarks.model.chips import chips
from benchmarks.report import docs, training
from benchmarks.report.page import page_of
from benchmarks.report.results import Result, cases, of, run, run_all
from benchmarks.report.targets import label, targets
from benchmarks.timing import call_overhead, measure

OUTPUT = Path("build/perf")
MEASURED_TOKENS = (1024, 8192, 16384, 131072)


def measurements(results: Sequence[Result]) -> list[tuple[Result, dict[str, float]]]:
    """On a Mac, the times of float16 shapes; elsewhere nothing."""
    if not measure.on_mac():
        return []
    measured = []
    for result in of(results, "prefill", "seed", "gqa", "decode", dtype="float16"):
        if result.shape.keys in MEASURED_TOKENS:
            measured.append((result, measure.measured(result.shape)))
            print(f"measured: {label(result)}", flush=True)
    return measured


def main() -> None:
    """Writes the report; prints the targets."""
    parser = argparse.ArgumentParser(prog="nox -s perf --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two head dims, float16")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="directory (default: %(default)s)"
    )
    parser.add_argument(
        "--docs", action="store_true", help=f"write {docs.PAGE} and its pictures, too"
    )
    chosen = parser.parse_args()
    if chosen.docs and chosen.quick:
        parser.error("--docs is about all shapes: it does not go with --quick")
    begin = time.monotonic()
    results = run_all(cases(chosen.quick), run)
    trained = run_all(training.cases(chosen.quick), training.run)
    batch = ragged()
    judged = [*targets(results, batch), *training.targets(trained)]
    host = call_overhead.all_timed()
    measured = measurements(results)
    known = calibrate.judged()
    document = {
        "targets": [asdict(target) | {"met": target.met} for target in judged],
        "results": [result.document() for result in results],
        "training": [result.document() for result in trained],
        "ragged": asdict(batch),
        "host": [
            {"name": timed.name, "unit": timed.unit, "median": timed.median}
            | {"limit": timed.limit, "met": timed.target.met}
            for timed in host
        ],
        "measured_ms": [
            {"shape": asdict(result.shape), "mask": result.mask, "ms": times}
            for result, times in measured
        ],
        "model": {
            "band": calibrate.band(calibrate.left_out(known)) if known else None,
            "efficiency": {chip.family: chip.efficiency for chip in chips().values()},
        },
    }
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    (chosen.output / "report.html").write_text(
        page_of(results, trained, judged, batch, host, measured)
    )
    if chosen.docs:
        docs.write(docs.page_of(results, trained, judged, batch, host))
    for target in (*judged, *(timed.target for timed in host)):
        print(target)
    seconds = time.monotonic() - begin
    print(f"{chosen.output}/report.html and .json, after {seconds:.0f} s")


if __name__ == "__main__":
    main()
