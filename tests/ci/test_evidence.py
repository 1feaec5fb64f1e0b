"""docs/evidence.md from reports: each kind has its section, and no figure without its machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ci import evidence
from ci.evidence_sections import SECTIONS
from verify import evidence as reports
from verify.parity.large import LargeRun
from verify.parity.report import Report, VariantResult, summary
from verify.reference import Error
from verify.run import Outcome
from verify.variants import manifest

GPU = {
    "date": "2026-11-28", "commit": "abc123", "device": "cuda", "machine": "NVIDIA H100",
    "torch": "2.11.0", "command": "python -m verify.x --device cuda",
    "ran": 3, "failed": 0, "failures": [], "seconds": 63.4, "complete": True,
}  # fmt: skip
CPU = GPU | {"device": "emulator", "machine": "Some CPU", "seconds": 1800.0}
MEMORY: dict[str, Any] = {
    "heads": 8, "head_dim": 64, "dtype": "float16", "window": 128, "growth_from": 8192,
    "growth": {"kernel time": 1.01},
    "rows": [
        {"tokens": 512, "attention": "eager", "milliseconds": 0.5, "extra_bytes": 2**22,
         "problem": "", "largest_difference": "nan"},
        {"tokens": 512, "attention": "kernel", "milliseconds": 0.25, "extra_bytes": 0,
         "problem": "", "largest_difference": 1e-3},
        {"tokens": 131072, "attention": "eager", "milliseconds": 0, "extra_bytes": 0,
         "problem": "Tried to allocate 256.00 GiB", "largest_difference": "nan"},
        {"tokens": 131072, "attention": "kernel", "milliseconds": 1.5, "extra_bytes": 0,
         "problem": "", "largest_difference": "nan"},
    ],
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "parity": {
        "families": [{"family": "prefill", "variants": 2, "cases": 9, "far": 2, "worst": 0.93}],
        "seed": [{"name": "full", "cosine": 1.0, "max_abs": 6e-5, "ok": True}],
    },
    "checks": {"families": [{"family": "prefill", "variants": 2, "cases": 9}], "seed": []},
    "sanitize": {
        "tools": [{"tool": "racecheck", "kernels": 30, "cases": 500, "with_findings": 0,
                   "faults": 1, "faults_found": 1}],
        "planted": [{"fault": "a dropped barrier", "tool": "racecheck", "found": False}],
    },
    "fuzz": {"seed": 1, "wanted": 100},
    "mutants": {"killed": 2, "equivalent": 1, "survivors": [], "how": {"wrong numbers": 2}},
    "foreign": {"rows": [{"source": "MLX x.h", "dtype": "float32", "kernels": 1, "cases": 2,
                          "refused": 0, "worst": 0.5}]},
    "front_end": {"compiler": "clang version 22.1.8",
                  "rows": [{"source": "generated", "files": 96, "passed": 96, "kernels": 234}]},
    "apple": {"explanations": ["MLX x.h: too large (1 kernels)"],
              "rows": [{"source": "MLX x.h", "dtype": "float32", "compiled_for": "macOS 14",
                        "kernels": 3, "cases": 4, "equal": 2, "explained": 1}]},
    "registers": {"rows": [{"kernel": "decode_x", "estimate": 121, "widened": None,
                            "registers": 167, "spilled": 34, "doubted": True}]},
    "executors": {"rows": [{"family": "decode", "dtype": "float16", "tensor": "out", "kernels": 1,
                            "elements": 100, "differing": 1, "largest": 1e-3, "units": 1.0}]},
    "memory": MEMORY,
    "model": {
        "model": "openai_privacy_filter",
        "rows": [{"tokens": 1024, "attention": "this_kernel", "compiled": False,
                  "peak_bytes": 2**30, "cosine": 0.999999, "same": 1.0, "problem": ""}],
    },
    "training": {
        "parameters": 102_000_000, "batch": 1, "tokens": 4096, "dtype": "bfloat16", "every": 10,
        "rows": [{"attention": "kernel", "losses": [2.7, 1.1], "distance": 1e-4,
                  "peak_bytes": 2**30}],
    },
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One report of each kind, from a GPU; parity's from a CPU, too."""
    for kind, figures in KINDS.items():
        where = CPU if kind == "checks" else GPU
        (tmp_path / f"{kind}.json").write_text(json.dumps({"kind": kind, **where, **figures}))
    cpu = {"kind": "parity", **CPU, **KINDS["parity"]}
    (tmp_path / "parity-cpu.json").write_text(json.dumps(cpu))
    return tmp_path


def sections(text: str) -> dict[str, str]:
    head, *rest = text.split("\n## ")
    assert head.startswith("# Evidence")
    return {part.partition("\n")[0]: part for part in rest}


def test_each_kind_has_its_section_with_machine_and_commit(folder: Path) -> None:
    found = sections(evidence.page(evidence.load(folder)))
    assert list(found) == [section.title for section in SECTIONS]
    assert {section.kind for section in SECTIONS} == set(KINDS)
    for text in found.values():
        assert "`abc123`" in text
        assert "NVIDIA H100" in text or "Some CPU" in text


def test_cpu_and_gpu_stand_in_rows_of_their_own(folder: Path) -> None:
    parity = sections(evidence.page(evidence.load(folder)))["Parity"]
    assert "| NVIDIA GPU | NVIDIA H100 | 2.11.0 | 2026-11-28 | `abc123` | 3 | 0 | 63 |" in parity
    assert "| CPU executor | Some CPU | 2.11.0 | 2026-11-28 | `abc123` | 3 | 0 | 1,800 |" in parity
    assert "2 cases on the NVIDIA GPU have offsets beyond 2^31" in " ".join(parity.split())


def test_what_was_cut_short_failed_or_was_missed_is_said(folder: Path) -> None:
    short = {"kind": "fuzz", **GPU, **KINDS["fuzz"], "complete": False, "ran": 40, "failed": 1}
    short["failures"] = [{"name": "a call", "why": "out is 1,\n should be 2" + " again" * 99}]
    short["remark"] = "The machine was taken back."
    (folder / "fuzz.json").write_text(json.dumps(short))
    found = sections(evidence.page(evidence.load(folder)))
    assert "| 40 of 100 (cut short) | **1** |" in found["Fuzz"]
    (line,) = [line for line in found["Fuzz"].splitlines() if line.startswith("- a call: ")]
    assert line.startswith("- a call: out is 1, should be 2 again")
    assert len(line) <= evidence.SHOWN + len("- a call: ")
    assert "\nThe machine was taken back.\n" in found["Fuzz"]
    assert "| a dropped barrier | racecheck | **no** |" in found["NVIDIA's sanitizers"]


def test_the_memory_story_has_a_row_for_each_length(folder: Path) -> None:
    found = sections(evidence.page(evidence.load(folder)))["Memory of windowed attention"]
    assert "| 512 | 4.0 | 0.0 | 0.50 | 0.25 | 488 | 1.0e-03 |" in found
    assert "| 131,072 | does not fit | 0.0 | does not fit | 1.50 | 11 |  |" in found
    assert "Kernel time from 8,192 tokens: tokens^1.01." in found
    assert "Eager, 131,072 tokens: Tried to allocate 256.00 GiB." in found


def test_kernels_of_apples_compiler_are_counted(folder: Path) -> None:
    found = sections(evidence.page(evidence.load(folder)))["What Apple's compiler made of them"]
    assert "| MLX x.h | float32 | macOS 14 | 3 | 4 | 2 | 1 |" in found
    assert "Explained: MLX x.h: too large (1 kernels)." in found


def test_registers_have_the_estimate_beside_the_second_opinion(folder: Path) -> None:
    found = sections(evidence.page(evidence.load(folder)))["Registers, estimated"]
    assert "| decode_x | yes | 121 |  | 167 | 34 |" in found


def test_without_reports_the_page_says_so(tmp_path: Path) -> None:
    found = sections(evidence.page(evidence.load(tmp_path)))
    assert all("No report yet." in text for text in found.values())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", r"x.json: Expecting"),
        ("{}", r"x.json has no kind, date"),
        (
            json.dumps({"kind": "x", **GPU}),
            r"x.json is a 'x' on 'cuda': must be one of apple, checks",
        ),
    ],
)
def test_what_is_no_report_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(evidence.EvidenceError, match=why):
        evidence.load(tmp_path)


def test_a_report_without_its_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"kind": "parity", **GPU}))
    with pytest.raises(evidence.EvidenceError, match="a report of parity .*families"):
        evidence.page(evidence.load(tmp_path))


def test_check_says_whether_the_page_is_fresh(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evidence, "ROOT", folder)
    (folder / "docs" / "evidence").mkdir(parents=True)
    assert evidence.main(["--check"]) == 1
    assert "run `nox -s evidence`" in capsys.readouterr().err
    assert evidence.main([]) == 0
    assert evidence.main(["--check"]) == 0
    (folder / "docs" / "evidence" / "memory.json").write_text((folder / "memory.json").read_text())
    assert evidence.main(["--check"]) == 1


def test_the_page_in_the_repository_is_fresh() -> None:
    assert evidence.main(["--check"]) == 0


def error(ratio: float) -> Error:
    return Error(ratio, 1.0, 1.0, 0.9, (0,), 0.0, 0.0)


def test_what_a_program_writes_is_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(reports.COMMIT, "abc123")
    variant = manifest()[0]
    outcomes = (
        Outcome("past 2^31 elements", error(0.5), error(0.1), 0),
        Outcome("tile edges", error(2.0), error(0.1), 0),
    )
    done = Report(
        "emulator",
        (VariantResult(variant, outcomes, 0.1),),
        (),
        (LargeRun.failed(8192, "no"),),
        1.0,
    )
    reports.write(tmp_path / "parity.json", "parity", "emulator", summary(done, 2))
    (report,) = evidence.load(tmp_path)
    assert (report["ran"], report["failed"], report["commit"]) == (2, 2, "abc123")
    assert report["torch"] == torch.__version__
    assert report["families"] == [
        {"family": variant.family, "variants": 1, "cases": 2, "far": 1, "worst": 2.0}
    ]
    assert report["large"][0]["max_abs"] == "inf"  # no JSON has infinity
    assert f"{variant.name}: tile edges" in evidence.page([report])


def test_no_report_is_written_where_none_is_wanted() -> None:
    reports.write(None, "parity", "emulator", {})
