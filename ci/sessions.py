"""The nox sessions that CI runs, each as the words that follow ``ci/nox -s``.

python -m ci.sessions           all, one per line
python -m ci.sessions --short   those of .ci/run, one per line
python -m ci.sessions --json    all, as a JSON list: the matrix of .github/workflows/linux.yaml

This is the only list; it needs nothing but Python.  .ci/run keeps the order.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One session in CI."""

    command: str  # the session's name; its arguments follow after " -- "
    short: str | None = None  # what .ci/run calls; None: it leaves the session out

    @property
    def session(self) -> str:
        """The session's name."""
        return self.command.split()[0]


def both(command: str) -> Job:
    """A session that .ci/run calls as the workflow does."""
    return Job(command, short=command)


JOBS = (
    both("flake -- --allow-missing"),
    both("lint"),
    both("build"),
    both("parity"),
    Job("cuda -- --all", short="cuda"),
    Job("foreign -- --sample 40", short="foreign -- --sample 20"),
    both("tests"),
    Job("training"),
    Job("fuzz -- --cases 100 --seed 1", short="fuzz -- --cases 50 --seed 1"),
    Job("mutants -- --sample 30"),
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
    form.add_argument("--short", action="store_true", help="those of .ci/run")
    form.add_argument("--json", action="store_true", help="as a JSON list")
    options = parser.parse_args()
    chosen = (job.short if options.short else job.command for job in JOBS)
    commands = [command for command in chosen if command]
    print(json.dumps(commands) if options.json else "\n".join(commands))


if __name__ == "__main__":
    main()
