"""Writes docs/evidence.md from the reports in docs/evidence/, which the programs left there."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import shorten

from ci.evidence_sections import DEVICES, SECTIONS, Report, table, wrapped

ROOT = Path(__file__).resolve().parent.parent
REPORTS = Path("docs/evidence")
PAGE = Path("docs/evidence.md")
SHOWN = 120  # characters of why something failed
NEEDED = (
    *("kind", "date", "commit", "device", "machine", "torch", "command"),
    *("ran", "failed", "failures", "seconds", "complete"),
)

INTRODUCTION = """\
What has been run, where, at which commit, and what came out. `nox -s evidence` writes this page
from reports that the programs themselves left (`--evidence FILE`) and that lie in `docs/evidence/`.
A remark, where a report has one, was added by hand.

Kinds of evidence are kept apart. A figure here is of the machine that stands with it. What was run
on an NVIDIA GPU shows that the Metal source means what it should under real concurrency. It shows
nothing of Apple's compiler, time, registers or arithmetic. **Nothing on this page was run on Apple
hardware.** Work that is counted, and times that are modelled, are on [a page of their
own](performance.md)."""


class EvidenceError(ValueError):
    """A report that cannot be read; says which and why."""


def provenance(reports: Sequence[Report]) -> str:
    """Where each report of a section is from, and how it ended."""
    return table(
        ("on", "machine", "torch", "date", "commit", "ran", "failed", "seconds"),
        (
            (
                DEVICES[r["device"]],
                r["machine"],
                r["torch"],
                r["date"],
                f"`{r['commit']}`",
                amount(r),
                f"**{r['failed']}**" if r["failed"] else 0,
                f"{r['seconds']:,.0f}",
            )
            for r in reports
        ),
        left=5,
    )


def amount(report: Report) -> str:
    """How many things ran, and of how many if it was cut short."""
    if report["complete"]:
        return f"{report['ran']:,}"
    wanted = f" of {report['wanted']:,}" if "wanted" in report else ""
    return f"{report['ran']:,}{wanted} (cut short)"


def failures(reports: Sequence[Report]) -> Iterable[str]:
    """Every failure by name, and the beginning of why; the report has all of it."""
    for r in reports:
        if r["failed"]:
            yield f"Failed on the {DEVICES[r['device']]}:"
            lines = [
                f"- {f['name']}: {shorten(f['why'], SHOWN, placeholder=' ...')}"
                for f in r["failures"]
            ]
            more = r["failed"] - len(lines)
            yield "\n".join([*lines, *([f"- and {more} more"] if more > 0 else [])])


def load(folder: Path) -> list[Report]:
    """All reports.  Raises EvidenceError naming one that is none."""
    kinds = {section.kind for section in SECTIONS}
    reports = []
    for path in sorted(folder.glob("*.json")):
        try:
            report: Report = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise EvidenceError(f"{path.name}: {error}") from None
        if missing := [name for name in NEEDED if name not in report]:
            raise EvidenceError(f"{path.name} has no {', '.join(missing)}")
        if report["kind"] not in kinds or report["device"] not in DEVICES:
            raise EvidenceError(
                f"{path.name} is a {report['kind']!r} on {report['device']!r}: must be one of "
                f"{', '.join(sorted(kinds))} on {', '.join(DEVICES)}"
            )
        reports.append(report)
    return reports


def page(reports: Sequence[Report]) -> str:
    """docs/evidence.md."""
    parts = ["# Evidence", "<!-- Written by `nox -s evidence`; do not edit. -->", INTRODUCTION]
    for section in SECTIONS:
        own = [r for r in reports if r["kind"] == section.kind]
        parts += [f"## {section.title}", wrapped(section.about)]
        if not own:
            parts.append("No report yet.")
            continue
        parts.append(provenance(own))
        parts += [wrapped(r["remark"]) for r in own if "remark" in r]
        try:
            parts += [*section.figures(own), *failures(own)]
        except (KeyError, TypeError) as error:
            raise EvidenceError(
                f"a report of {section.kind} is not as it must be: {error}"
            ) from None
        commands = dict.fromkeys(r["command"] for r in own)
        parts.append("\n".join(["```", *commands, "```"]))
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="nox -s evidence --", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, say whether it is fresh"
    )
    chosen = parser.parse_args(arguments)
    try:
        text = page(load(ROOT / REPORTS))
    except EvidenceError as error:
        print(error, file=sys.stderr)
        return 1
    path = ROOT / PAGE
    if chosen.check:
        if path.exists() and path.read_text() == text:
            return 0
        print(f"{PAGE} is not what {REPORTS}/ says; run `nox -s evidence`", file=sys.stderr)
        return 1
    path.write_text(text)
    print(f"{PAGE}: {text.count(chr(10) + '## ')} sections")
    return 0


if __name__ == "__main__":
    sys.exit(main())
