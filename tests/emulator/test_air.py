"""Kernels out of Metal libraries: the container, what is read of AIR, and small kernels that run.

The kernels here are written by hand in the form of Apple's compiler, and turned into bitcode by
clang; those of Apple's compiler itself are run by tests/verify/test_apple.py.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
import torch

from emulator import CompileError, EmulatorError, air, toolchain

MODULE = """
{declarations}
define void @{name}({parameters}) {{
{body}
  ret void
}}
!air.kernel = !{{!0}}
!0 = !{{ptr @{name}, !1, !2}}
!1 = !{{}}
!2 = !{{{nodes}}}
{metadata}
"""
BUFFER = (
    '!{{i32 {i}, !"air.buffer", {constant}!"air.location_index", i32 {i}, i32 1, !"air.{access}", '
    '!"air.address_space", i32 {space}, !"air.arg_type_size", i32 {size}, '
    '!"air.arg_type_align_size", i32 {size}, !"air.arg_type_name", !"{type}", '
    '!"air.arg_name", !"{name}"}}'
)


def buffer(i: int, name: str, kind: str = "float", access: str = "read", space: int = 1) -> str:
    size = {"float": 4, "half": 2, "bfloat": 2, "int": 4}[kind]
    return BUFFER.format(
        i=i, name=name, type=kind, access=access, space=space, size=size, constant=""
    )


def built_in(i: int, attribute: str) -> str:
    return f'!{{i32 {i}, !"air.{attribute}", !"air.arg_type_name", !"uint", !"air.arg_name", !"x"}}'


def field(tag: bytes, content: bytes) -> bytes:
    return tag + struct.pack("<H", len(content)) + content


def container(functions: dict[str, bytes], macos: int = 14) -> bytes:
    """A library, as far as the reader looks."""
    rows, code = struct.pack("<I", len(functions)), b""
    for name, bitcode in functions.items():
        row = field(b"NAME", name.encode() + b"\0")
        row += field(b"MDSZ", struct.pack("<Q", len(bitcode)))
        row += field(b"OFFT", struct.pack("<3Q", 0, 0, len(code))) + b"ENDT"
        rows += struct.pack("<I", len(row) + 4) + row
        code += bitcode
    start = 88 + len(rows)
    numbers = (start + len(code), 88, len(rows), 0, 0, 0, 0, start, len(code))
    return b"MTLB" + bytes(8) + struct.pack("<HH9Q", macos, 0, *numbers) + rows + code


def compile_ir(folder: Path, text: str) -> bytes:
    """Bitcode in the wrapper that Apple's compiler puts around it."""
    source, target = folder / "kernel.ll", folder / "kernel.bc"
    source.write_text(text)
    command, machine = toolchain.compiler()
    flags = ["-w", "-c", "-emit-llvm", "-Xclang", "-disable-llvm-passes"]
    subprocess.run([*command, machine, *flags, str(source), "-o", str(target)], check=True)
    code = target.read_bytes()
    return struct.pack("<5I", 0x0B17C0DE, 0, 20, len(code), 0xFFFFFFFF) + code


def library(
    folder: Path, parameters: str, nodes: list[str], body: str, more: str = ""
) -> air.Library:
    """One kernel called test."""
    text = MODULE.format(
        name="test",
        parameters=parameters,
        body=body,
        declarations=more,
        nodes=", ".join(f"!{i + 3}" for i in range(len(nodes))),
        metadata="\n".join(f"!{i + 3} = {node}" for i, node in enumerate(nodes)),
    )
    path = folder / "test.metallib"
    path.write_bytes(container({"test": compile_ir(folder, text)}))
    return air.Library(path)


# --- the container -------------------------------------------------------------------------------


def test_functions_come_out_of_a_container(tmp_path: Path) -> None:
    codes = {"first": b"\xde\xc0\x17\x0bone", "second": b"\xde\xc0\x17\x0bsecond"}
    data = container(codes, macos=15)
    path = tmp_path / "x.metallib"
    path.write_bytes(data)
    found = air.Library(path)
    assert (found.kernels, found.macos) == (list(codes), 15)
    assert {name: found._container.bitcode(name) for name in codes} == codes
    with pytest.raises(EmulatorError, match="has no function 'third' among 2"):
        found.function("third")


def test_libraries_are_found_inside_of_a_file() -> None:
    first, second = container({"a": b"1234"}, 14), container({}, 26)
    data = b"MTLBuffer" + first + b"xMTLB" + second + b"MTLB"
    assert list(air.find_libraries(data)) == [(14, first), (26, second)]
    assert list(air.find_libraries(first[:-1])) == []


@pytest.mark.parametrize("data", [b"MTLB", b"no library at all" * 10])
def test_what_is_no_library_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(EmulatorError, match="x is not a whole Metal library"):
        air.Library(tmp_path / "x")


def test_what_is_no_bitcode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(container({"f": b"text"}))
    with pytest.raises(EmulatorError, match="f is not LLVM bitcode"):
        air.Library(tmp_path / "x").function("f")


# --- kernels -------------------------------------------------------------------------------------


def test_threads_share_threadgroup_memory_and_see_constants(tmp_path: Path) -> None:
    # Each thread writes its number times a function constant, and reads its neighbour's.
    more = """
    @stage = internal unnamed_addr addrspace(3) global [64 x i32] undef, align 4
    @factor.init = internal unnamed_addr addrspace(2) externally_initialized constant i32 undef, section "air.fc_initializer", align 4
    @factor = internal unnamed_addr addrspace(2) global i32 undef, align 4
    @llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] [{ i32, ptr, ptr } { i32 65535, ptr @start, ptr null }]
    define internal void @start() section "air.static_init" {
      %1 = load i32, ptr addrspace(2) @factor.init, align 4
      store i32 %1, ptr addrspace(2) @factor, align 4
      ret void
    }
    declare void @air.wg.barrier(i32, i32)
    !air.function_constants = !{!99}
    !99 = !{ptr addrspace(2) @factor.init, !"int", !"factor", i32 7, i1 true}
    """
    body = """
      %factor = load i32, ptr addrspace(2) @factor, align 4
      %mine = getelementptr [64 x i32], ptr addrspace(3) @stage, i32 0, i32 %i
      %product = mul i32 %i, %factor
      store i32 %product, ptr addrspace(3) %mine, align 4
      call void @air.wg.barrier(i32 2, i32 1)
      %next = xor i32 %i, 63
      %other = getelementptr [64 x i32], ptr addrspace(3) @stage, i32 0, i32 %next
      %value = load i32, ptr addrspace(3) %other, align 4
      %to = getelementptr i32, ptr addrspace(1) %out, i32 %i
      store i32 %value, ptr addrspace(1) %to, align 4
    """
    nodes = [buffer(0, "out", "int", "read_write"), built_in(1, "thread_index_in_threadgroup")]
    found = library(tmp_path, "ptr addrspace(1) %out, i32 %i", nodes, body, more)
    each: list[dict[int | str, bool | int | float]] = [{"factor": 3}, {7: 5}]
    for constants in each:
        out = torch.zeros(64, dtype=torch.int32)
        found.function("test", constants).launch([out], 1, 64)
        (factor,) = constants.values()
        assert torch.equal(out, (63 - torch.arange(64)) * factor)
    with pytest.raises(EmulatorError, match="function constant factor has no value"):
        found.function("test").launch([out], 1, 64)
    with pytest.raises(EmulatorError, match=r"argument 0 \(out\) has dtype float32"):
        found.function("test", {7: 1}).launch([torch.zeros(64)], 1, 64)
    with pytest.raises(EmulatorError, match="1056 threads per threadgroup; at most 1024"):
        found.function("test", {7: 1}).launch([out], 1, (32, 33))


@pytest.mark.parametrize(
    ("t", "mangled", "dtype"),
    [
        ("float", "f32", torch.float32),
        ("half", "f16", torch.float16),
        ("bfloat", "bf16", torch.bfloat16),
    ],
)
def test_matrices_are_loaded_across_multiplied_and_stored(
    t: str, mangled: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    matrix = f"<64 x {t}>"
    name = "air.simdgroup_matrix_8x8_"
    load, store = f"@{name}load.v64{mangled}.p1{mangled}", f"@{name}store.v64{mangled}.p1{mangled}"
    multiply = f"@{name}multiply_accumulate" + f".v64{mangled}" * 4
    filled = f"@{name}init_filled.v64{mangled}.{mangled}"
    rest = "i64, <2 x i64>, i1"
    more = f"""
    declare {matrix} {load}(ptr addrspace(1) readonly captures(none), {rest})
    declare void {store}({matrix}, ptr addrspace(1), {rest})
    declare {matrix} {multiply}({matrix}, {matrix}, {matrix})
    declare {matrix} {filled}({t})
    """
    whole, origin = "i64 8, <2 x i64> zeroinitializer", "i64 9, <2 x i64> <i64 1, i64 0>"
    body = f"""
      %a = call {matrix} {load}(ptr addrspace(1) %x, {whole}, i1 true)
      %b = call {matrix} {load}(ptr addrspace(1) %y, {origin}, i1 false)
      %one = call {matrix} {filled}({t} 1.0)
      %d = call {matrix} {multiply}({matrix} %a, {matrix} %b, {matrix} %one)
      call void {store}({matrix} %d, ptr addrspace(1) %out, {whole}, i1 false)
    """
    nodes = [buffer(0, "x", t), buffer(1, "y", t), buffer(2, "out", t, "read_write")]
    found = library(
        tmp_path, ", ".join(f"ptr addrspace(1) %{n}" for n in ("x", "y", "out")), nodes, body, more
    )
    torch.manual_seed(0)
    x, y, out = (
        torch.randn(8, 8).to(dtype),
        torch.randn(8, 9).to(dtype),
        torch.zeros(8, 8).to(dtype),
    )
    found.function("test").launch([x, y, out], 1, 32)
    want = x.double().T @ y[:, 1:].double() + 1
    torch.testing.assert_close(out, want.to(dtype))


def test_bfloat_is_rounded_to_nearest_and_ties_to_even(tmp_path: Path) -> None:
    body = """
      %from = getelementptr float, ptr addrspace(1) %x, i32 %i
      %to = getelementptr bfloat, ptr addrspace(1) %out, i32 %i
      %wide = load float, ptr addrspace(1) %from, align 4
      %narrow = fptrunc float %wide to bfloat
      store bfloat %narrow, ptr addrspace(1) %to, align 2
    """
    nodes = [
        *(buffer(0, "x"), buffer(1, "out", "bfloat", "read_write")),
        built_in(2, "thread_position_in_grid"),
    ]
    bits = torch.tensor([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0x7F800001])
    x = bits.to(torch.int32).view(torch.float32)
    out = torch.zeros(6, dtype=torch.bfloat16)
    parameters = "ptr addrspace(1) %x, ptr addrspace(1) %out, i32 %i"
    library(tmp_path, parameters, nodes, body).function("test").launch([x, out], 1, 6)
    want = [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0x7F80, 0x7FC0]
    assert out.view(torch.int16).tolist() == want


@pytest.mark.parametrize(
    ("nodes", "body", "more", "why"),
    [
        (
            [],
            "  call void @air.dance()",
            "declare void @air.dance()",
            "calls air.dance, which is not",
        ),
        ([buffer(0, "t", space=3)], "", "", "argument t is threadgroup memory"),
        ([built_in(0, "stage_in")], "", "", "neither a buffer nor a known built-in value"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(
    nodes: list[str], body: str, more: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match=why):
        library(tmp_path, "i32 %x" if nodes else "", nodes, body, more).function("test")
