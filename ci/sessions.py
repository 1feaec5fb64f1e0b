"""The nox sessions that CI runs, each as the words that follow ``ci/nox -s``.

python -m ci.sessions           one per line: all
python -m ci.sessions --short   one per line: those of .ci/run, which is short and needs no account
python -m ci.sessions --json    all, as a JSON list: the matrix of .github/workflows/linux.yaml

This is the only list; it needs nothing but Python.  A session that fails cheaply stands early.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One call of nox."""

    command: str  # a session's name; its arguments follow after " -- "
    short: bool = False  # .ci/run has it, too

    @property
    def session(self) -> str:
        """The session's name."""
        return self.command.split()[0]


JOBS = (
    Job("flake -- --allow-missing", short=True),
    Job("lint", short=True),
    Job("build", short=True),
    Job("parity", short=True),
    Job("foreign -- --sample 40", short=True),
    Job("tests", short=True),
    Job("fuzz -- --cases 100 --seed 1", short=True),
    Job("mutants -- --sample 30", short=True),
    Job("wheel"),
    Job("cross"),
    Job("publish -- --dry-run"),
    Job("examples"),
    Job("end_to_end -- --tokens 128"),
    Job("perf"),
    Job("tune -- --modelled M1 --head-dim 32 --dry-run"),
)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m ci.sessions", description=__doc__.split("\n")[0]
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="only those of .ci/run")
    form.add_argument("--json", action="store_true", help="as a JSON list")
    options = parser.parse_args()
    commands = [job.command for job in JOBS if job.short or not options.short]
    print(json.dumps(commands) if options.json else "\n".join(commands))


if __name__ == "__main__":
    main()
