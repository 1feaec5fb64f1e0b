"""Apple's compiler, with a stand-in for xcrun: what is called, what is read, what fails."""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path

import pytest

from ci import apple_compile
from ci.gpu_archive import ArchiveError, Code, read
from codegen.render import ROOT

LEAST_GPUS = list(apple_compile.GPUS)[:-1]


def buffer(fields: dict[int, int]) -> bytes:
    """A FlatBuffer whose root's first field is a table of 32-bit numbers."""
    entries = max(fields) + 1
    order = list(fields)
    vtable = struct.pack("<HH", 4 + 2 * entries, 4 + 4 * len(fields))
    vtable += b"".join(
        struct.pack("<H", 4 + 4 * order.index(i) if i in fields else 0) for i in range(entries)
    )
    vtable += b"\0" * (-len(vtable) % 4)
    root_vtable = struct.pack("<HHHH", 6, 8, 4, 0)
    root = 4 + len(root_vtable)
    table = root + 8 + len(vtable)
    return b"".join([
        struct.pack("<I", root), root_vtable,
        struct.pack("<iI", len(root_vtable), table - root - 4),
        vtable, struct.pack("<i", len(vtable)), *(struct.pack("<I", fields[i]) for i in order),
    ])  # fmt: skip


def mach_o(segment: str, section: str, content: bytes) -> bytes:
    begin = 32 + 72 + 80
    header = struct.pack("<8I", 0xFEEDFACF, 0x1000013, 0, 2, 1, 152, 0, 0)
    command = struct.pack("<2I16s4Q4I", 0x19, 152, segment.encode(), 0, 0, 0, 0, 0, 0, 1, 0)
    names = struct.pack("<16s16s", section.encode(), segment.encode())
    return (
        header + command + names + struct.pack("<2Q8I", 0, len(content), begin, *[0] * 7) + content
    )


def archive(fields: dict[int, int], copies: int = 1) -> bytes:
    inner = mach_o("__GPU_METADATA", "__compute", buffer(fields))
    part = mach_o("__TEXT", "__compute", inner)
    begin = 8 + 20 * copies
    slices = (
        struct.pack(">5I", 0x1000013, 0x13, begin + i * len(part), len(part), 0)
        for i in range(copies)
    )
    return struct.pack(">2I", 0xCBFEBABE, copies) + b"".join(slices) + part * copies


def test_registers_and_spilled_bytes_are_read() -> None:
    assert read(archive({0: 104, 3: 7, 14: 64})) == [Code(104, 64)]
    assert read(archive({0: 52})) == [Code(52, 0)]  # FlatBuffers do not store a 0
    assert read(archive({0: 52, 14: 8}, copies=2)) == [Code(52, 8)] * 2


def test_every_cut_and_garbage_is_refused_clearly() -> None:
    whole = archive({0: 104, 14: 64})
    for length in range(len(whole)):
        with pytest.raises(ArchiveError):
            read(whole[:length])
    for garbage in (b"MTLB" + whole[4:], b"\0" * 400, os.urandom(400)):
        with pytest.raises(ArchiveError, match="not an archive for GPUs"):
            read(garbage)
    with pytest.raises(ArchiveError, match="no section __TEXT,__compute"):
        read(mach_o("__TEXT", "__other", b""))
    with pytest.raises(ArchiveError, match="has no registers"):
        read(archive({14: 64}))
    with pytest.raises(ArchiveError, match="no slice"):
        read(struct.pack(">2I", 0xCBFEBABE, 0))


STAND_IN = """#!{python}
import json, os, sys
from pathlib import Path
program, *rest = sys.argv[1:]
here = Path({here!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if program == "--find":
    sys.exit(rest[0] == os.environ.get("ABSENT"))
out = Path(rest[rest.index("-o") + 1])
if program == "metal":
    if "-std=metal4.1" in rest or os.environ.get("REFUSED", "none") in rest[3]:
        sys.exit("error: what Apple's compiler says")
    out.write_text("air")
elif program == "metallib":
    assert Path(rest[0]).read_text() == "air"
    out.write_text("library")
else:
    if rest[1] == "applegpu_g17s":
        sys.exit("error: unknown architecture")
    assert Path(rest[2]).read_text() == "library"
    (kernel,) = json.loads(Path(rest[3]).read_text())["pipelines"]["compute_pipelines"]
    spills = os.environ.get("SPILLS", "none") in kernel["compute_function"]
    out.write_bytes((here / ("spills" if spills else "fits")).read_bytes())
"""


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an xcrun that writes down its calls."""
    program = tmp_path / "xcrun"
    program.write_text(STAND_IN.format(python=sys.executable, here=str(tmp_path)))
    program.chmod(0o755)
    (tmp_path / "fits").write_bytes(archive({0: 90}))
    (tmp_path / "spills").write_bytes(archive({0: 128, 14: 64}))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(apple_compile.SUMMARY, str(tmp_path / "summary.md"))
    return tmp_path


def session(mac: Path) -> tuple[int, dict[str, object], str]:
    """The session on one file: its exit code, report and summary."""
    report = mac / "report.json"
    code = apple_compile.main(["--only", "decode_float16_d64", "--json", str(report)])
    return code, json.loads(report.read_text()), (mac / "summary.md").read_text()


def test_every_kernel_is_compiled_in_both_standards_and_for_each_gpu(mac: Path) -> None:
    code, report, summary = session(mac)
    assert code == 0
    assert report["standards"] == ["metal3.1", "metal4.0"]
    assert report["gpus"] == LEAST_GPUS
    (names,) = (n for p, n in apple_compile.generated().items() if "decode_float16_d64" in p.name)
    rows = report["rows"]
    assert isinstance(rows, list)
    assert [(r["kernel"], r["gpu"]) for r in rows] == [(n, g) for n in names for g in LEAST_GPUS]
    assert f"| {names[0]} | {' | '.join(['90'] * len(LEAST_GPUS))} |" in summary
    assert "Left out, as a trivial kernel fails: applegpu_g17s" in summary
    assert "unknown architecture" in summary
    calls = [json.loads(line) for line in (mac / "calls").read_text().splitlines()]
    shader = str(ROOT / "generated/decode_float16_d64.metal")
    compiled = [call for call in calls if shader in call]
    assert sorted(call[1] for call in compiled) == ["-std=metal3.1", "-std=metal4.0"]
    assert all({"-Werror", "-c"} <= set(call) for call in compiled)


def test_a_spill_fails_the_session(mac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPILLS", "q16k16")
    code, _, summary = session(mac)
    assert code == 1
    assert "128, **64 B**" in summary
    assert f"{len(LEAST_GPUS)} of {2 * len(LEAST_GPUS)} compiled kernels spill" in summary


def test_a_compile_error_fails_the_session(mac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUSED", "decode_float16")
    code, report, summary = session(mac)
    assert code == 1
    assert report["rows"] == []
    assert "error: what Apple's compiler says" in summary


def test_an_archive_of_another_layout_fails_the_session(mac: Path) -> None:
    (mac / "fits").write_bytes(b"something else")
    code, _, summary = session(mac)
    assert code == 1
    assert "there is no GPU for which" in summary
    assert "is not an archive for GPUs" in summary


@pytest.mark.parametrize("absent", ["metal", "metal-tt"])
def test_a_missing_program_is_named_in_one_line(
    absent: str, mac: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ABSENT", absent)
    assert apple_compile.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("apple_compile needs a Mac with Xcode")
    assert f"; {absent} is not" in line


def test_elsewhere_it_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert apple_compile.main([]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
