"""CI and the workflows call sessions that exist.  (Their form is `nox -s lint`'s business.)"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ci.sessions import JOBS
from codegen.render import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
FUNCTIONS = {
    node.name: node
    for node in ast.parse((ROOT / "noxfile.py").read_text()).body
    if isinstance(node, ast.FunctionDef)
}
SESSIONS = {name for name, node in FUNCTIONS.items() if node.decorator_list}
COMMANDS = [job.command for job in JOBS]
SHORT = [job.short for job in JOBS if job.short]

# In place of ci/nox: writes down its arguments, and fails where it is told to.
STAND_IN = """#!/bin/sh
echo "$@" >> calls
cat > /dev/null
[ "$2" != "$FAILING" ]
"""


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_session_that_a_workflow_names_exists(workflow: Path) -> None:
    assert set(re.findall(r"ci/nox -s (\w+)", workflow.read_text())) <= SESSIONS


# They write files of the project, or need an NVIDIA GPU or a Mac.
NOT_IN_CI = {"gen", "local", "evidence", "sanitize", "apple_compile"}


def test_ci_runs_every_session_that_needs_no_gpu() -> None:
    assert {job.session for job in JOBS} == SESSIONS - NOT_IN_CI
    assert len(JOBS) == len({job.session for job in JOBS})


def test_a_mac_compiles_every_kernel_with_apples_compiler() -> None:
    text = (ROOT / ".github/workflows/macos.yaml").read_text()
    job = text.split("\n  compile:\n")[1].split("\n  kernels:\n")[0]
    assert "ci/nox -s apple_compile" in job
    assert "path: build/apple_compile.json" in job  # where the session writes it
    assert "if: always()" in job  # a report of spills is wanted most when it fails


def listed(*arguments: str) -> str:
    command = [sys.executable, "-m", "ci.sessions", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_list_is_printed_for_shells_and_for_workflows() -> None:
    assert listed().splitlines() == COMMANDS
    assert listed("--short").splitlines() == SHORT
    assert json.loads(listed("--json")) == COMMANDS


def test_linux_takes_its_matrix_from_the_list() -> None:
    text = (ROOT / ".github/workflows/linux.yaml").read_text()
    assert "python3 -m ci.sessions --json" in text
    assert "session: ${{ fromJSON(needs.list.outputs.sessions) }}" in text
    assert re.findall(r"ci/nox -s (.+)", text) == ["$SESSION"]


@pytest.mark.parametrize("failing", [None, "parity", SHORT[-1].split()[0]])
def test_the_run_on_a_fresh_clone_takes_the_short_ones_in_order(
    tmp_path: Path, failing: str | None
) -> None:
    """It stops at the first that fails, and says so by its exit code."""
    for path in (".ci/run", "ci/sessions.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for stand_in in (tmp_path / "ci/nox", programs / "nix", programs / "qemu-aarch64"):
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "FAILING": failing or "none of them",
    }
    done = subprocess.run(["bash", tmp_path / ".ci/run"], env=environment, check=False)
    last = next((i for i, job in enumerate(SHORT) if job.split()[0] == failing), len(SHORT) - 1)
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"-s {job}" for job in SHORT[: last + 1]
    ]
    assert (done.returncode == 0) == (failing is None)


def called(function: str) -> set[str]:
    """The functions of noxfile.py that one of them calls."""
    calls = (node.func for node in ast.walk(FUNCTIONS[function]) if isinstance(node, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)}


@pytest.mark.parametrize("session", ["lint", "tests"])
def test_what_passes_locally_passes_in_ci(session: str) -> None:
    """Both sessions are nothing but steps that `local` runs as well."""
    assert called(session) == {"install", f"run_{session}"}
    assert called(session) <= called("local")
