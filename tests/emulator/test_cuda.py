"""Metal as CUDA C++: the text, what NVRTC makes of it, and what is missing where it is."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import emulator
from emulator import CompileError, EmulatorError
from emulator.__main__ import main
from emulator.cuda import compiler, rewrites
from emulator.source import preprocessor
from emulator.source.tokens import Tokens

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
SCALE = """kernel void scale(device float* x [[buffer(0)]], constant float& by [[buffer(1)]],
                  uint i [[thread_position_in_grid]])
{
    x[i] *= by;
}
"""
needs_nvrtc = pytest.mark.skipif(
    not (importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings")),
    reason="no cuda-bindings (dependency group cuda)",
)


def cuda(source: str, name: str = "scale", **options: Any) -> str:
    """What follows the shim in the kernel's text."""
    text = emulator.compile(HEADER + source, **options).cuda(name)
    return text[text.index('#line 1 "<source>"') :]


def test_the_text_needs_no_gpu_no_nvrtc_and_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    text = emulator.compile(HEADER + SCALE).cuda("scale")
    assert not re.search(r"^\s*#\s*include", text, re.MULTILINE)
    assert 'extern "C" __global__' in text
    assert "x[i] *= by;" in text


def test_references_to_constants_are_passed_by_value_and_all_else_by_address() -> None:
    source = """kernel void scale(device float* x [[buffer(0)]], constant float& by [[buffer(1)]],
        constant int* table [[buffer(2)]], device atomic_uint& count [[buffer(3)]]) { }"""
    text = cuda(source)
    assert "Value<1, Kernel> p1" in text
    assert re.search(r"TypeOf<0, Kernel> p0.*TypeOf<2, Kernel> p2.*Reference<3, Kernel> p3", text)
    assert "scale(p0, p1, p2, *p3)" in text


@pytest.mark.parametrize(
    ("metal", "expected"),
    [
        ("::metal::exp2(x)", "::program::metal::exp2(x)"),
        ("return ::metal::exp2(x)", "return ::program::metal::exp2(x)"),
        ("metal::exp2(x)", "metal::exp2(x)"),
        ("array<T>::size", "array<T>::size"),
        ("f<::metal::vec<T, 2>>()", "f<::program::metal::vec<T, 2>>()"),
    ],
)
def test_the_global_namespace_is_the_programs(metal: str, expected: str) -> None:
    tokens = Tokens(metal)
    rewrites.name_the_program(tokens)
    assert str(tokens) == expected


@pytest.mark.parametrize(
    ("metal", "expected"),
    [
        ("f(v.xy)", "f(v.template swizzled<0, 1>())"),
        ("p->bgr + 1", "p->template swizzled<2, 1, 0>() + 1"),
        ("v.zx = w", "v.template swizzle<2, 0>() = w"),
        ("v.zx += w", "v.template swizzle<2, 0>() += w"),
        ("v.zx == w", "v.template swizzled<2, 0>() == w"),
        ("v.x + v.xq", "v.x + v.xq"),
        ("v.xy()", "v.xy()"),
        ("int xy; v.xy = s.zw", "int xy; v.xy = s.template swizzled<2, 3>()"),
    ],
)
def test_swizzles_become_calls(metal: str, expected: str) -> None:
    tokens = Tokens(metal)
    rewrites.swizzle(tokens)
    assert str(tokens) == expected


@pytest.mark.parametrize(
    ("clang", "nvrtc"),
    [
        ('# 7 "a.metal" 1 3', '#line 7 "a.metal"'),
        ("#pragma clang loop unroll(full)", "#pragma unroll "),
        ("#pragma clang loop unroll(disable)", "#pragma unroll 1"),
        ("#pragma clang loop unroll_count(4)", "#pragma unroll 4"),
        ("#pragma unroll(2)", "#pragma unroll 2"),
        ("#pragma METAL fp math_mode(safe)", ""),
    ],
)
def test_markers_and_pragmas(clang: str, nvrtc: str) -> None:
    tokens = Tokens(clang)
    rewrites.translate_markers(tokens)
    assert str(tokens) == nvrtc


def test_overloads_for_other_address_spaces_are_the_same_function() -> None:
    source = """
    template <typename T> struct Bare {};
    template <typename T> struct Bare<device T*> { typedef T type; };
    template <typename T> struct Bare<threadgroup T*> { typedef T type; };
    float first(const device float* x) { return x[0]; }
    float first(constant float* x) { return x[0]; }
    """
    text = cuda(source + SCALE)
    assert text.count("typedef T type;") == 1
    assert text.count("return x[0];") == 1
    with pytest.raises(CompileError, match="<source>:8: error: on CUDA this overload .* else"):
        cuda(source.replace("constant float* x) { return x[0]", "constant float* x) { return x[1]")
             + SCALE)  # fmt: skip


def test_a_kernel_that_is_not_there_is_named() -> None:
    with pytest.raises(EmulatorError, match="no kernel 'scales'; there are: scale"):
        emulator.compile(HEADER + SCALE).cuda("scales")


@needs_nvrtc
def test_nvrtc_names_the_metal_files_line(tmp_path: Path) -> None:
    shader = tmp_path / "shader.metal"
    shader.write_text(HEADER + SCALE.replace("*= by", "*= bye"))
    with pytest.raises(CompileError, match=r'shader\.metal:6: error: identifier "bye" is undef'):
        emulator.compile(shader).prebuild_cuda("scale")


@needs_nvrtc
def test_an_unset_function_constant_is_an_error_where_it_is_used() -> None:
    source = "constant float factor [[function_constant(3)]];\n" + SCALE
    emulator.compile(HEADER + source).prebuild_cuda("scale")
    with pytest.raises(CompileError, match="function constant factor has no value"):
        emulator.compile(HEADER + source.replace("= by", "= factor")).prebuild_cuda("scale")


@needs_nvrtc
def test_lanes_are_numbered_so_that_elements_lie_where_metal_has_them() -> None:
    """Lane b4 b3 b2 b1 b0 has row b4 b2 b1 and columns b3 b0 and the next, as MLX publishes it."""
    checks = ""
    for lane in range(32):
        bits = [lane >> i & 1 for i in range(5)]
        row, column = 4 * bits[4] + 2 * bits[2] + bits[1], 4 * bits[3] + 2 * bits[0]
        hardware = 4 * row + column // 2  # of NVIDIA's fragments
        checks += f"static_assert(metal::emulator::to_hardware({lane}) == {hardware});"
        checks += f"static_assert(metal::emulator::to_metal({hardware}) == {lane});\n"
    text = emulator.compile(HEADER + SCALE).cuda("scale")
    compiler.build(text.replace('#line 1 "<source>"', checks + '#line 1 "<source>"'))


@needs_nvrtc
@pytest.mark.parametrize("small", ["Half", "Bfloat"])
def test_the_compilers_roundings_are_those_of_ieee(small: str) -> None:
    """What is worked out at compile time: ties, denormals, overflow and NaN, against torch."""
    dtype = {"Half": torch.float16, "Bfloat": torch.bfloat16}[small]
    numbers = [1.0, -1.0, 65504.0, 65519.0, 65520.0, 3e38, 6e-8, 3e-8, 2.9e-8, 6.1e-5, -6.0e-5,
               1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 1e-40, 0.0, -0.0]  # fmt: skip
    x = torch.tensor(numbers)
    checks = ""
    for bits, expected in zip(x.view(torch.int32).tolist(), x.to(dtype).view(torch.int16).tolist(),
                              strict=True):  # fmt: skip
        value = f"__builtin_bit_cast(float, {bits & 0xFFFFFFFF}u)"
        rounded = f"metal::emulator::{small}Format::round({value})"
        checks += f'static_assert({rounded} == {expected & 0xFFFF}, "{bits:#x}");\n'
    for bits in (0x0001, 0x03FF, 0x0400, 0x3C01, 0x7C00, 0x8001, 0xBC00):
        exact = torch.tensor([bits - (bits >> 15 << 16)], dtype=torch.int16).view(dtype).float()
        wanted = int(exact.view(torch.int32)) & 0xFFFFFFFF
        widened = f"metal::emulator::{small}Format::to_float({bits})"
        checks += f'static_assert(__builtin_bit_cast(unsigned, {widened}) == {wanted}u, "");\n'
    text = emulator.compile(HEADER + SCALE).cuda("scale")
    compiler.build(text.replace('#line 1 "<source>"', checks + '#line 1 "<source>"'))


@needs_nvrtc
def test_an_architecture_that_nvrtc_does_not_know_is_named() -> None:
    with pytest.raises(EmulatorError, match="invalid value for --gpu-architecture"):
        emulator.compile(HEADER + SCALE).prebuild_cuda("scale", architecture=12345)


@needs_nvrtc
def test_compiled_code_is_found_again_wherever_the_file_lies(tmp_path: Path) -> None:
    paths = set()
    for folder in ("one", "two"):
        shader = tmp_path / folder / "shader.metal"
        shader.parent.mkdir()
        shader.write_text(HEADER + SCALE)
        paths.add(emulator.compile(shader).prebuild_cuda("scale"))
    assert len(paths) == 1


def test_without_cuda_bindings_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    library = emulator.compile(HEADER + SCALE)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(EmulatorError, match="no cuda-bindings: pip install --group cuda"):
        library.prebuild_cuda("scale")


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shader = tmp_path / "shader.metal"
    shader.write_text(HEADER + SCALE)
    assert main(["cuda", str(shader)]) == 0
    assert capsys.readouterr().out == emulator.compile(shader).cuda("scale")
    shader.write_text(HEADER + SCALE + SCALE.replace("scale", "other"))
    assert main(["cuda", str(shader)]) == 2
    assert "has 2 kernels; name one: scale, other" in capsys.readouterr().err
    assert main(["cuda", str(shader), "other"]) == 0


def test_a_prepared_cache_serves_a_machine_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shader, header = tmp_path / "shader.metal", tmp_path / "half.h"
    header.write_text("#define BY by\n")
    shader.write_text('#include "half.h"\n' + HEADER + SCALE.replace("= by", "= BY"))
    assert main(["prepare", str(tmp_path / "cache"), str(shader)]) == 0
    text = emulator.compile(shader).cuda("scale")
    monkeypatch.setenv("METAL_EMULATOR_CXX", "/there/is/no/compiler")
    assert emulator.compile(shader).cuda("scale") == text
    header.write_text("#define BY 2 * by\n")
    with pytest.raises(EmulatorError, match="cannot run the compiler"):
        emulator.compile(shader)


def test_messages_of_the_preprocessor_name_the_file(tmp_path: Path) -> None:
    shader = tmp_path / "shader.metal"
    shader.write_text('\n#include "missing.h"\n')
    with pytest.raises(CompileError, match=rf"{shader}:2:.*missing\.h"):
        emulator.compile(shader)
    assert preprocessor.MAIN not in str(shader)
