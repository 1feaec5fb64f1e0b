"""compute-sanitizer: how it is started, and what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

from verify.evidence import ROOT
from verify.sanitize.jobs import Job

NAME = "compute-sanitizer"
PLACES = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")
PADDING = 1024  # bytes behind each allocation, so that memcheck sees what goes past its end
JOB_SECONDS = 300

_SUMMARY = re.compile(r"^========= (?:ERROR|RACECHECK) SUMMARY: (\d+)", re.MULTILINE)
_MARK = "========= "
_FRAME = re.compile(rf"{_MARK}(COMPUTE-SANITIZER|\w+ SUMMARY)")  # before and after findings
_SHOWN = 12  # lines of a job's first finding


@dataclass(frozen=True)
class Result:
    """What a tool said of a job."""

    job: Job
    findings: int
    cases: int  # that were begun
    seconds: float
    first: str = ""  # the first finding, in the tool's words
    problem: str = ""  # why nothing can be said

    @property
    def ok(self) -> bool:
        """Sound kernels have no findings, and a planted fault has some."""
        return not self.problem and bool(self.findings) == bool(self.job.fault)

    def explain(self) -> str:
        """Why it is not."""
        if self.problem:
            return self.problem
        return self.first or f"{self.job.tool} did not find it"


def find() -> str:
    """The program; "" if there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *PLACES])
    return shutil.which(NAME, path=path) or ""


def command(program: str, job: Job) -> list[str]:
    """What starts a job under its tool."""
    options = ["--tool", job.tool, "--print-limit", "20"]
    if job.tool == "memcheck":  # the API's errors are torch's questions what the GPU can do
        options += ["--padding", str(PADDING), "--report-api-errors", "no"]
    return [program, *options, sys.executable, "-m", "verify.sanitize.launches", job.to_json()]


def run(program: str, job: Job) -> Result:
    """Run a job; it ends after JOB_SECONDS at the latest."""
    environment = os.environ | {
        "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",  # every tensor is an allocation that tools know
        "OMP_NUM_THREADS": "1",
    }
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            command(program, job),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=JOB_SECONDS,
            check=False,
        )
        output, timed_out = done.stdout, False
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        output, timed_out = said.decode(errors="replace") if isinstance(said, bytes) else said, True
    return judge(job, output, time.perf_counter() - begin, timed_out)


def judge(job: Job, output: str, seconds: float, timed_out: bool = False) -> Result:
    """What the output of a job under its tool says."""
    lines = output.splitlines()
    begun = [line.removeprefix("CASE ") for line in lines if line.startswith("CASE ")]
    findings = max((int(count) for count in _SUMMARY.findall(output)), default=0)
    first = first_finding(lines)
    problem = ""
    if timed_out:
        problem = f"not done after {JOB_SECONDS} s, in {begun[-1] if begun else 'no case'}"
    elif not _SUMMARY.search(output):
        problem = f"{NAME} gave no summary; its last line: {lines[-1] if lines else 'none'}"
    elif not findings and "END" not in lines:
        problem = f"the launches ended early: {lines[-3] if len(lines) > 2 else output}"
    return Result(job, findings, len(begun), seconds, first, problem)


def first_finding(lines: list[str]) -> str:
    """The case in which a tool said something first, and what."""
    case = ""
    for number, line in enumerate(lines):
        if line.startswith("CASE "):
            case = line.removeprefix("CASE ")
        elif line.startswith(_MARK) and not _FRAME.match(line):
            said = [text for text in lines[number : number + _SHOWN] if text.startswith(_MARK)]
            return "\n".join([f"in or before the case {case!r}:" if case else "", *said]).strip()
    return ""


def missing() -> str:
    """What is missing here, in one line; "" if nothing is."""
    if find():
        return ""
    return f"no {NAME}, which comes with CUDA's toolkit, in PATH, {' or '.join(PLACES)}"
