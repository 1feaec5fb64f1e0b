"""The sanitizers' run without a GPU: what it would launch, what it makes of the tools' words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from metal_flash_sdpa.launchers import emulator as launcher
from torch import Tensor

import emulator
from tests.verify.smallest import SMALLEST
from verify.arena import BYTE
from verify.cases import every_case
from verify.run import instead
from verify.sanitize import __main__ as session
from verify.sanitize import jobs, launches, tool
from verify.sanitize.jobs import Job
from verify.variants import manifest

FAULTS = list(jobs.planted())
SOUND = Job("racecheck", FAULTS[0].variant)
RACE = """\
========= COMPUTE-SANITIZER
CASE tile edges
CASE GQA 14/2
========= Error: Race reported between Write access at stage_rows+0x10 in prefill.metal:401
=========     and Read access at multiply+0x20 in prefill.metal:500 [64 hazards]
=========
END
========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)
"""
CLEAN = """\
========= COMPUTE-SANITIZER
CASE tile edges
END
========= ERROR SUMMARY: 0 errors
"""


def test_every_kind_of_kernel_has_cases() -> None:
    kinds = jobs.kinds()
    wanted = {(v.family, v.dtype, v.mask, v.sinks) for v in manifest()}
    assert {(v.family, v.dtype, v.mask, v.sinks) for v in kinds} == wanted
    assert {v.block_q for v in kinds if v.family == "decode"} == {
        v.block_q for v in manifest() if v.family == "decode"
    }
    for job in jobs.sound():
        assert len(job.cases()) >= 5
        assert all(case.layout != "far" for case in job.cases())


@pytest.mark.parametrize("name", jobs.EDGES)
def test_every_edge_is_some_kernels_case(name: str) -> None:
    assert any(jobs.reaches(case, (name,)) for v in jobs.kinds() for case in every_case(v))


def test_each_tool_has_a_fault_to_find() -> None:
    assert {job.tool for job in FAULTS} == set(jobs.TOOLS)
    for job in FAULTS:
        assert job.source() != SOUND.source()
        assert [case.name for case in job.cases()] == [jobs.BROKEN_CASE]


def test_tensors_end_where_their_elements_do() -> None:
    view = torch.arange(40.0).view(5, 8)[1:4, :6]
    copy = launches.tight(view, "cpu", filled=True)
    assert torch.equal(copy, view)
    assert copy.stride() == view.stride()
    assert copy.untyped_storage().nbytes() == 4 * (2 * 8 + 6)
    assert launches.tight(view[:0], "cpu", filled=True).untyped_storage().nbytes() == 4


def launched(job: Job, launch: Callable[..., object]) -> list[int]:
    """NaN in what a job's cases wrote."""
    return [launches.run(case, job.kernel, launch, "cpu") for case in job.cases()]


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes memory that nobody wrote show on the CPU."""

    def poison(shape: Sequence[int], dtype: torch.dtype, device: str) -> Tensor:
        value = math.nan if dtype.is_floating_point else torch.iinfo(dtype).min or BYTE
        return torch.full(tuple(shape), value, dtype=dtype, device=device)

    monkeypatch.setattr(launches, "unwritten", poison)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("family", sorted({v.family for v in manifest()} - {"append"}))
def test_jobs_write_all_that_is_read(family: str) -> None:
    kernel = SMALLEST[family]
    job = Job("initcheck", kernel.name)
    for case in job.cases():
        if not (case.cache and case.appended):  # rows of a cache without a key are NaN
            assert launches.run(case, kernel, launcher.launch, "cpu") == 0, case.name


@pytest.mark.usefixtures("poisoned")
def test_the_unwritten_row_is_one() -> None:
    (job,) = (job for job in FAULTS if job.tool == "initcheck")
    assert launched(job, launcher.launch) == [0]
    assert launched(job, launches.of_job(job)) > [0]


@pytest.mark.parametrize(
    ("tool", "error"),
    [
        ("racecheck", emulator.RaceError),
        ("memcheck", emulator.BoundsError),
        ("synccheck", emulator.DivergentBarrierError),
    ],
)
def test_the_emulators_own_checks_find_the_other_faults(tool: str, error: type[Exception]) -> None:
    """So they are what their names say, in the case that the tools see."""
    (job,) = (job for job in FAULTS if job.tool == tool)
    kernel = emulator.compile(job.source(), finite_math=True).function(job.variant)
    with pytest.raises(error):
        launched(job, instead(job.variant, kernel, check=True))
    launched(job, partial(launcher.launch, check=True))


def test_a_race_is_read_from_the_tools_words() -> None:
    result = tool.judge(SOUND, RACE, 1.0)
    assert (result.findings, result.cases, result.ok) == (2, 2, False)
    assert result.explain().startswith("in or before the case 'GQA 14/2':\n========= Error: Race")
    assert tool.judge(FAULTS[0], RACE, 1.0).ok


def test_a_clean_run_is_one_that_came_to_its_end() -> None:
    assert tool.judge(SOUND, CLEAN, 1.0).ok
    assert not tool.judge(FAULTS[0], CLEAN, 1.0).ok
    assert "did not find it" in tool.judge(FAULTS[0], CLEAN, 1.0).explain()
    assert "ended early" in tool.judge(SOUND, CLEAN.replace("END\n", ""), 1.0).explain()
    assert "no summary; its last line: END" in tool.judge(SOUND, "CASE one\nEND\n", 1.0).explain()
    assert "not done" in tool.judge(SOUND, CLEAN, 1.0, timed_out=True).explain()


def test_the_report_counts_what_each_tool_did() -> None:
    results = [
        tool.judge(SOUND, CLEAN, 1.0),
        tool.judge(FAULTS[0], RACE, 1.0),
        tool.judge(Job("memcheck", SOUND.variant), CLEAN, 1.0),
    ]
    report = session.summary(results, 3, 9.0)
    assert report["complete"]
    assert report["failed"] == 0
    assert [row["tool"] for row in report["tools"]] == ["racecheck", "memcheck"]
    assert report["tools"][0] | {"tool": ""} == {
        "tool": "", "kernels": 1, "cases": 1, "with_findings": 0, "faults": 1, "faults_found": 1
    }  # fmt: skip
    assert report["planted"][0]["fault"] == "a dropped threadgroup barrier"


def test_memcheck_sees_the_ends_of_tensors() -> None:
    started = tool.command("compute-sanitizer", Job("memcheck", SOUND.variant))
    assert started[:3] == ["compute-sanitizer", "--tool", "memcheck"]
    assert "--padding" in started
    assert "--padding" not in tool.command("compute-sanitizer", SOUND)
