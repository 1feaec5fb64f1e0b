"""The command line: its worked example to the letter, arguments, and errors in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import emulator
from emulator.__main__ import main
from emulator.launch.arrays import parse_argument

SOURCE = """#include <metal_stdlib>
using namespace metal;
constant bool twice [[function_constant(0)]];
kernel void test(device half* out [[buffer(0)]], constant float3& v [[buffer(1)]],
                 device const bfloat* b [[buffer(2)]], constant int* n [[buffer(3)]],
                 threadgroup float* t [[threadgroup(0)]], uint i [[thread_index_in_threadgroup]])
{
    t[i] = v.z + n[0];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = half(t[i] * float(b[i]) * (twice ? 2 : 1) * FACTOR);
}
"""


@pytest.fixture
def shader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.metal").write_text(SOURCE)
    return "test.metal"


def run(*arguments: str) -> int:
    return main(["run", "test.metal", "test", "--threads", "10", "-D", "FACTOR=1", *arguments])


ARGUMENTS = ("--arg", "half[10]", "--arg", "float4:1,2,3.5,0", "--arg", "bfloat[10]=arange",
             "--arg", "int:-1", "--threadgroup-bytes", "64", "--constant", "twice=true")  # fmt: skip


def test_the_example_of_the_help_text(tmp_path: Path) -> None:
    root = Path(emulator.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}

    def shell(command: str) -> str:
        command = command.replace("python ", f"{sys.executable} ", 1)
        return subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ).stdout  # fmt: skip

    _, _, text = shell("python -m emulator --help").partition("with this in scale.metal\n")
    source, _, session = text.partition("two threadgroups of four threads each:\n")
    (tmp_path / "scale.metal").write_text(textwrap.dedent(source).strip() + "\n")
    steps = textwrap.dedent(session).strip().split("$ ")[1:]
    assert len(steps) == 3
    for step in steps:
        lines = step.splitlines()
        length = 1 + sum(line.endswith("\\") for line in lines)
        assert shell("\n".join(lines[:length])) == "\n".join(lines[length:]) + "\n"


def test_run_with_every_kind_of_argument(shader: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*ARGUMENTS, "--save", "0=out.npy") == 0
    assert capsys.readouterr().out == "out: half[10]: 0 5 10 15 20 25 30 35 ... 45\n"
    saved = np.load("out.npy")
    assert saved.dtype == np.float16
    assert saved.tolist() == [5.0 * i for i in range(10)]
    assert run("--arg", "out.npy", *ARGUMENTS[2:], "--counts") == 0
    assert "barriers.threadgroup: 10\n" in capsys.readouterr().out
    assert run(*ARGUMENTS, "--check") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("float[3]", "float[3]: 0 0 0"),
        ("uchar[3]=ones", "uchar[3]: 1 1 1"),
        ("bfloat[2]=nan", "bfloat[2]: nan nan"),
        ("bfloat2:1.00390625,-3", "bfloat[2]: 1 -3"),
        ("half[10]=arange", "half[10]: 0 1 2 3 4 5 6 7 ... 9"),
        ("uint:0x10", "uint[1]: 16"),
        ("float:inf", "float[1]: inf"),
        ("bool2:1,0", "bool[2]: 1 0"),
        ("ulong:18446744073709551615", "ulong[1]: 1.84467e+19"),
    ],
)
def test_arguments_as_text(text: str, expected: str) -> None:
    assert str(parse_argument(text)) == expected


def test_random_arguments_depend_on_their_seed() -> None:
    one, same, other = (str(parse_argument(f"float[9]=random:{seed}")) for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.metal", "test"], "cannot read the shader none.metal: No such file"),
        (["run", "test.metal", "tset", "-D", "FACTOR=1"], "no kernel 'tset'; there are: test"),
        (["run", "test.metal", "test", "--arg", "float"], "--arg float: it may be float:2.0, uint3"),
        (["run", "test.metal", "test", "--arg", "double[3]"], "--arg double[3]: the type may be bool"),
        (["run", "test.metal", "test", "--arg", "int[3]=random:1"], "int holds -2147483648 to 2147483647"),
        (["run", "test.metal", "test", "--arg", "int:99999999999"], "int holds -2147483648 to"),
        (["run", "test.metal", "test", "--arg", "float[3]=two"], "a buffer is filled with zeros"),
        (["run", "test.metal", "test", "--arg", "x.npy"], "--arg x.npy: [Errno 2] No such file"),
        (["run", "test.metal", "test", "--save", "0=x"], "--save 0=x: it must be N=FILE.npy, with N"),
        (["run", "test.metal", "test", "--constant", "0=yes"], "it must be true, false or a number"),
        (["run", "test.metal", "test", "--grid", "8x8"], "--grid 8x8: it must be one to three"),
        (["run", "test.metal", "test", "-D", "FACTOR=1", "--constant", "0=true"],
         "test: 0 arguments given, but it takes 4"),
    ],
)  # fmt: skip
def test_wrong_commands(
    arguments: list[str], message: str, shader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--threadgroup-bytes" not in arguments and arguments[1] == "test.metal":
        arguments = [*arguments, "--threadgroup-bytes", "64"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_check_says_what_is_wrong(shader: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", shader, "-D", "FACTOR=1", "--constant", "0=false"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "test: 0 bytes of threadgroup memory, at most 1024 threads", "1 kernel, 0 findings: good",
    ]  # fmt: skip
    Path(shader).write_text(
        "#include <metal_stdlib>\nint counter;\n"
        "kernel void broken(device float* x [[buffer(0)]]) { x = y; }\n"
        "kernel void big(device float* x [[buffer(0)]]) { threadgroup float t[9000]; t[0] = x[0]; }\n"
    )
    assert main(["check", shader]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "broken: does not compile"
    assert lines[1] == "big: 36000 bytes of threadgroup memory, at most 1024 threads"
    assert lines[2].startswith("test.metal:2: program-scope variable: ")
    assert any("test.metal:3:" in f and "identifier 'y'" in f for f in lines), lines
    assert "big: 36000 bytes of threadgroup memory; Metal has 32768" in lines
    assert lines[-1] == "2 kernels, 3 findings: bad"
