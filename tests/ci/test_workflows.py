"""The GitHub workflows call sessions that exist.  (Their form is `nox -s lint`'s business.)"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen.render import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
SESSIONS = set(
    re.findall(r"^@nox\.session.*\ndef (\w+)\(", (ROOT / "noxfile.py").read_text(), re.M)
)


def called(text: str) -> Iterator[str]:
    """The sessions that a workflow names, in its commands and in its matrix."""
    yield from re.findall(r"ci/nox -s (\w+)", text)
    for matrix in re.findall(r"session:\n((?: +- .+\n)+)", text):
        yield from re.findall(r"- (\w+)", matrix)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_session_that_it_calls_exists(workflow: Path) -> None:
    names = set(called(workflow.read_text()))
    assert names
    assert names <= SESSIONS


def test_linux_runs_what_needs_no_mac() -> None:
    text = (ROOT / ".github/workflows/linux.yaml").read_text()
    assert set(called(text)) == SESSIONS - {"gen", "local"}
