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
from benchmarks.report import docs
from benchmarks.report.page import page_of
from benchmarks.report.results import Result, cases, of, run_all
from benchmarks.report.targets import label, targets
from benchmarks.timing import call_overhead, measure

OUTPUT = Path("build/perf")
VERDICTS = {None: "", True: "met", False: "NOT MET"}
MEASURED_TOKENS = (1024, 8192, 16384, 131072)


def measurements(results: Sequence[Result]) -> list[tuple[Result, dict[str, float]]]:
    """On a Mac, the times of float16 shapes; elsewhere nothing."""
    if not measure.on_mac():
        return []
    found = []
    for result in of(results, "prefill", "seed", "gqa", "decode", dtype="float16"):
        if result.shape.keys in MEASURED_TOKENS:
            found.append((result, measure.measured(result.shape)))
            print(f"measured: {label(result)}", flush=True)
    return found


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
    results = run_all(cases(chosen.quick))
    batch = ragged()
    found = targets(results, batch)
    host = [*call_overhead.calls_timed(), call_overhead.import_timed()]
    measured = measurements(results)
    known = calibrate.judged()
    document = {
        "targets": [asdict(target) | {"met": target.met} for target in found],
        "results": [result.document() for result in results],
        "ragged": asdict(batch),
        "host": [
            {"name": t.name, "unit": t.unit, "median": t.median, "target": t.target, "met": t.met}
            for t in host
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
    (chosen.output / "report.html").write_text(page_of(results, found, batch, host, measured))
    if chosen.docs:
        docs.write(docs.page_of(results, found, batch, host))
    for target in found:
        print(
            f"{target.name:54} {target.figure:9.4g} {target.asked:>13}  "
            f"{VERDICTS[target.met]:8} {target.where}"
        )
    for timed in host:
        asked = "" if timed.target is None else f"at most {timed.target:g}"
        figure = f"{timed.median:.1f} {timed.unit}"
        print(f"{timed.name:54} {figure:>9} {asked:>13}  {VERDICTS[timed.met]}")
    seconds = time.monotonic() - begin
    print(f"{chosen.output}/report.html and .json, after {seconds:.0f} s")


if __name__ == "__main__":
    main()
