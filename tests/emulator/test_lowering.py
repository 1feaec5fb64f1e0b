"""The second opinion on registers: LLVM's allocator for another GPU, on kernels counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import emulator
from emulator.__main__ import main

from .test_registers import sums

SOURCE = """#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
template <typename T>
[[kernel]] void add(device const T* x, device float* out, constant int& n,
    uint i [[thread_index_in_threadgroup]])
{{
    threadgroup half t[64];
    {body}
}}
template [[host_name("f")]] [[kernel]] decltype(add<half>) add<half>;
template [[host_name("g")]] [[kernel]] decltype(add<bfloat>) add<bfloat>;
"""


def opinion(body: str, name: str = "f") -> tuple[int, int]:
    allocation = emulator.compile(SOURCE.format(body=body)).second_opinion(name)
    return allocation.registers, allocation.spilled


def test_a_matrix_is_two_elements_of_a_lane() -> None:
    (few, _), (many, spilled) = opinion(sums(8)), opinion(sums(24))
    assert many - few == pytest.approx(16 * 2, abs=3)  # the allocator aligns pairs
    assert spilled == 0


def test_what_does_not_fit_is_spilled() -> None:
    registers, spilled = opinion(sums(80))  # 160 registers of sums alone
    assert registers > 160
    assert spilled >= 160 - 128


def test_functions_of_the_library_are_instructions() -> None:
    """Those that other lanes have a part in, and those whose values registers do not hold as is."""
    body = """
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const bool any = simd_any(x[i] > T(0));
    const half4 h = half4(*(device const packed_half4*)(x + 4 * i));
    out[i] = any ? float(fma(h.x, h.y, h.z)) : fast::exp2(simd_shuffle_xor(float(x[i]), 1));
    """
    for name in "fg":
        registers, spilled = opinion(body, name)
        assert 0 < registers < 32
        assert spilled == 0


def test_the_command_prints_both_opinions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shader = tmp_path / "sums.metal"
    shader.write_text(SOURCE.format(body=sums(80)))
    assert main(["registers", str(shader), "f"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["kernel", "alive", "LLVM", "for", "AMD", "spilled", "of", "128"]
    name, alive, registers, spilled = row.split()
    assert name == "f"
    assert min(int(alive), int(registers)) > 160
    assert int(spilled) > 0


def test_without_the_back_end_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shader = tmp_path / "sums.metal"
    shader.write_text(SOURCE.format(body=sums(1)))
    compiler = tmp_path / "clang++"
    compiler.write_text(
        "#!/bin/sh\ncat > /dev/null\necho error: unknown target triple >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    library = emulator.compile(shader)
    monkeypatch.setenv("METAL_EMULATOR_CXX", str(compiler))
    with pytest.raises(emulator.EmulatorError, match="has no back end for AMD GPUs"):
        library.second_opinion("f")
