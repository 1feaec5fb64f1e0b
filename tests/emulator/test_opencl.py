"""The second front end refuses what it is there for, at its line, and takes what is sound."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import emulator
from emulator import EmulatorError, toolchain
from emulator.__main__ import main

ROOT = Path(__file__).parents[2]
HEADER = """#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
constant bool has_bias [[function_constant(0)]];
struct Pair { int first, second; };
typedef Pair Couple;
void fill(thread float& y) { y = 1; }
void jump(ushort by);
template <typename T> T sum(threadgroup T* values, ushort n);
"""
KERNEL = """kernel void test(
    device float* x [[buffer(0)]], constant int& n [[buffer(1)]], device half4* h [[buffer(2)]],
    threadgroup float* t [[threadgroup(0)]], uint i [[thread_position_in_grid]])
{
%s
}
"""
MATRICES = "simdgroup_float8x8 a, b, c; const simdgroup_float8x8 fixed(0);"

# What is at fault, a part of the message, and the same as it should be: statements of a kernel.
STATEMENTS = {
    "a pointer to another space": (
        "thread float* p = x;", "cannot initialize", "device float* p = x;",
    ),
    "a reference to another space": ("fill(x[0]);", "no matching function", "float y; fill(y);"),
    "a cast to another space": (
        "auto p = (threadgroup float*)x;", "mismatching address spaces", "auto p = (device int*)x;",
    ),
    "a cast from threadgroup memory": (
        "auto p = (device half*)t;", "mismatching address spaces", "auto p = (threadgroup half*)t;",
    ),
    "a reinterpret_cast to another space": (
        "auto p = reinterpret_cast<thread int*>(x);", "not allowed",
        "auto p = reinterpret_cast<device int*>(x);",
    ),
    "a store to constant memory": ("n = 3;", "not assignable", "x[0] = n;"),
    "an argument in another space": (
        "x[0] = sum(x, ushort(n));", "no matching function", "x[0] = sum(t, ushort(n));",
    ),
    "an ambiguous maximum": ("x[0] = max(n, i);", "'max' is ambiguous", "x[0] = max(n, int(i));"),
    "an ambiguous minimum": ("x[0] = min(h[0].x, 1.0f);", "ambiguous", "x[0] = min(h[0].x, 1.0h);"),
    "an ambiguous clamp": ("x[0] = clamp(x[0], 0, 1);", "", "x[0] = clamp(x[0], 0.0f, 1.0f);"),
    "an ambiguous power": ("x[0] = exp2(n);", "'exp2' is ambiguous", "x[0] = exp2(float(n));"),
    "a minimum of unlike vectors": ("h[0] = max(h[0], float4(0));", "max", "h[0] = max(h[0], half4(0));"),
    "narrowing in braces": ("short s{n};", "cannot be narrowed", "short s{short(n)};"),
    "narrowing in an array": ("ushort s[2] = {i, 0};", "cannot be narrowed", "uint s[2] = {i, 0};"),
    "narrowing in a call": ("jump(n);", "loses integer precision", "jump(ushort(n)); jump(8);"),
    "narrowing in the library": (
        "x[0] = simd_shuffle(x[0], n);", "loses integer precision",
        "x[0] = simd_shuffle(x[0], ushort(n));",
    ),
    "narrowing of a long": ("int m = long(n) * n;", "loses integer precision", "long m = long(n) * n;"),
    "narrowing of a float": ("half y = x[0];", "loses floating-point", "half y = half(x[0]);"),
    "a float to an integer": ("int m = x[0];", "turns floating-point", "int m = int(x[0]);"),
    "a float to a bfloat": ("bfloat y = x[0];", "loses floating-point", "bfloat y = bfloat(x[0]);"),
    "a load into a const matrix": (
        f"{MATRICES} simdgroup_load(fixed, x);", "no matching function",
        f"{MATRICES} simdgroup_load(a, x);",
    ),
    "a product into a const matrix": (
        f"{MATRICES} simdgroup_multiply_accumulate(fixed, a, b, c);", "no matching function",
        f"{MATRICES} simdgroup_multiply_accumulate(c, a, b, c);",
    ),
    "elements of a const matrix": (
        f"{MATRICES} fixed.thread_elements()[0] = 1;", "",
        f"{MATRICES} a.thread_elements()[0] = 1;",
    ),
    "a matrix of another type": (
        "simdgroup_half8x8 m; simdgroup_load(m, x);", "no matching function",
        "simdgroup_float8x8 m; simdgroup_load(m, x);",
    ),
    "a vector of another width": ("float2 y = float2(h[0]);", "equal width", "float2 y = float2(h[0].xy);"),
    "a packed vector for a vector": (
        "device packed_half4* p = h;", "cannot initialize",
        "auto p = (device packed_half4*)h; half4 y = p[0]; p[1] = y;",
    ),
    "bits of another size": ("x[0] = as_type<float>(h[0].x);", "one size", "h[0].x = as_type<half>(ushort(n));"),
    "a function constant as a size": ("float y[has_bias ? 2 : 1];", "constant", "float y[2]; y[has_bias] = 1;"),
    "a pointer without a space": ("float y = 0; float* p = &y;", "pointer", "float y = 0; thread float* p = &y;"),
    "a reference without a space": ("Pair p; const Pair& q = p;", "reference", "Pair p; const thread Pair& q = p;"),
    "a synonym without a space": ("Pair p; Couple& q = p;", "reference", "Pair p; thread Couple& q = p;"),
    "a vector without a space": ("half4 y; vec<half, 4>* p = &y;", "pointer", "half4 y; thread vec<half, 4>* p = &y;"),
    "a pointer to a pointer without a space": (
        "device float* y = x; device float** p = &y;", "pointer",
        "device float* y = x; device float* thread* p = &y;",
    ),
    "a cast without a space": ("auto p = (const float*)x;", "pointer", "auto p = (const device float*)x;"),
}  # fmt: skip

# The same for what stands outside of functions.
DECLARATIONS = {
    "a union": ("union Bits { float f; uint u; };", "union", "struct Bits { float f; uint u; };"),
    "a union in a struct": (
        "struct Bits { union { float f; uint u; }; };", "union",
        "struct Bits { struct { float f; uint u; } both; };",
    ),
    "a parameter without a space": ("void f(float* p);", "pointer", "void f(device float* p);"),
    "a result without a space": ("thread float* f(); half& g();", "reference", "thread float* f(); thread half& g();"),
    "a member without a space": ("struct View { half4* p; };", "pointer", "struct View { device half4* p; };"),
    "a method for another space": (
        "struct Box { float y; thread float& get() { return y; } }; float f(device Box* b) { return b->get(); }",
        "", "struct Box { float y; thread float& get() { return y; } }; float f(thread Box* b) { return b->get(); }",
    ),
}  # fmt: skip

PAIRS = {
    name: (KERNEL % bad, message, KERNEL % good)
    for name, (bad, message, good) in STATEMENTS.items()
}
PAIRS |= DECLARATIONS


@pytest.mark.parametrize(("bad", "message", "good"), PAIRS.values(), ids=PAIRS)
def test_what_is_refused_and_what_is_right(bad: str, message: str, good: str) -> None:
    assert emulator.check_types(HEADER + good) == []
    findings = emulator.check_types(HEADER + bad)
    line = (HEADER + bad).partition(
        next(w for w in bad.splitlines() if w not in good.splitlines())
    )[0].count("\n") + 1
    assert {(f.path, f.line) for f in findings} == {("<source>", line)}, findings
    text = "\n".join(map(str, findings))
    assert message in text
    for of_clang in ("__global", "__local", "__private", "__constant", "__bf16", "-W"):
        assert of_clang not in text


SOUND = """
enum class Kind : int { plain, doubled };
constant float TABLE[2] = {1.0, 2.0};
constant bool doubles = is_function_constant_defined(has_bias) ? has_bias : true;
template <typename T>
struct Rows {
    static constant constexpr int size = 4;
    typedef vec<T, 2> part;
    T items[size];
    Rows() thread = default;
    Rows(T x) thread : items{x, x, x, x} {}
    thread T& at(int i) { return items[i]; }
    T sum() const { T total = 0; for (int i = 0; i < size; ++i) { total += items[i]; } return total; }
    void clear() { at(0) = T(0); fill_from(at(1)); }
    void fill_from(thread T& x) { items[2] = x; }
    Rows doubled() const thread { Rows copy = *this; return copy; }
};
struct Value {
    int n;
    int get() const thread { return n; }
};
Value value() { Value v{3}; return v; }
template <typename T, Kind kind = Kind::plain>
[[kernel, max_total_threads_per_threadgroup(32)]] void all(
    device T* x [[buffer(0)]], device atomic_int* counter [[buffer(1)]], constant float3& v [[buffer(2)]],
    device packed_float3* p [[buffer(3)]], threadgroup T* given [[threadgroup(0)]],
    uint lane [[thread_index_in_simdgroup]])
{
    threadgroup T shared[4], other;
    shared[lane % 4] = T(TABLE[0] * 1.5);
    threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
    Rows<T> rows(x[0]);
    rows.at(1) = given[0];
    rows.clear();
    other = rows.doubled().at(2) + T(value().get());
    const float4 y = float4(v, 1.0), z = fast::exp2(-y) * 2;
    const bool4 larger = y > z;
    const float4 chosen = select(y, z, larger | isnan(y));
    typename Rows<bool>::part flags = y.xy < z.xy;
    flags[1] = any(larger) && simd_any(y.x > 0) && simd_ballot(true).all();
    p[0] = chosen.xyz + float3(p[1]) * p[2];
    p[1] += float3(packed_float3(chosen.xyz) - packed_float3(v));
    bfloat b = bfloat(y.w) * bfloat(0.5h);
    atomic_fetch_add_explicit(counter, flags[0] ? 1 : doubles, memory_order_relaxed);
    int exponent;
    const float fraction = frexp(float(b), exponent);
    simdgroup_matrix<T, 8, 8> m = make_filled_simdgroup_matrix<T, 8, 8>(T(0));
    simdgroup_multiply_accumulate(m, m, m, m);
    simdgroup_store(m, shared, 8, ulong2(0, 8), true);
    x[lane] = simd_sum(rows.sum()) + T(fraction) + T(exponent) + as_type<packed_half2>(1u)[0];
}
template [[host_name("made")]] [[kernel]] decltype(all<float>) all<float>;
template [[host_name("more")]] [[kernel]] decltype(all<half, Kind::doubled>) all<half, Kind::doubled>;
"""


def test_what_metal_has_is_taken() -> None:
    assert emulator.check_types(HEADER + SOUND) == []


def test_what_apple_takes_passes_leniently() -> None:
    lenient = {
        name for name, (bad, _, _) in PAIRS.items()
        if not emulator.check_types(HEADER + bad, lenient=True)
    }  # fmt: skip
    assert lenient == {
        "narrowing in a call", "narrowing in the library", "narrowing of a long",
        "narrowing of a float", "a float to an integer", "a union", "a union in a struct",
    }  # fmt: skip


def test_an_error_is_at_the_line_of_a_header_too(tmp_path: Path) -> None:
    (tmp_path / "tools.h").write_text(
        "inline int least(int n, uint i)\n{\n    return min(n, i);\n}\n"
    )
    (tmp_path / "a.metal").write_text(
        f'{HEADER}#include "tools.h"\nshort f(int n) {{ return n; }}\n'
    )
    findings = emulator.check_types(tmp_path / "a.metal")
    places = [(Path(f.path).name, f.line, f.construct) for f in findings]
    assert places == [("a.metal", 11, "narrowing"), ("tools.h", 3, "error")]


def test_a_template_is_looked_at_as_it_is_instantiated() -> None:
    source = "template <typename T> T larger(T x, int n)\n{\n    return max(x, n);\n}\n"
    assert emulator.check_types(f"{HEADER}{source}int f(int n) {{ return larger(n, n); }}\n") == []
    findings = emulator.check_types(
        f"{HEADER}{source}float f(float y) {{ return larger(y, 1); }}\n"
    )
    assert [(f.line, f.construct) for f in findings] == [(12, "error")]


def test_the_same_text_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    source = HEADER + KERNEL % "x[0] = max(n, i);"
    first = emulator.check_types(source)
    run, compiled = toolchain.run, []

    def counted(command: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
        compiled.append(command)
        return run(command, stdin)

    monkeypatch.setattr(toolchain, "run", counted)
    assert emulator.check_types(source) == first
    assert compiled == []
    assert emulator.check_types(source.replace("max", "min")) != first
    assert len(compiled) == 2  # the preprocessor and the front end


def test_another_compiler_without_opencl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = HEADER + KERNEL % "x[2] = 1;"
    emulator.check_types(source)  # and the preprocessor's output is in the cache
    monkeypatch.setenv("METAL_EMULATOR_CXX", "/bin/false")
    with pytest.raises(EmulatorError, match="/bin/false -cc1 does not take C\\+\\+ for OpenCL"):
        emulator.check_types(source)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.metal"
    path.write_text(HEADER + KERNEL % "x[0] = max(x[0], float(BY));\njump(BY);")
    finding = (
        f"{path}:15: narrowing: implicit conversion loses integer precision: 'int' to 'ushort'"
    )
    assert main(["lint", str(path), "-D", "BY=n"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(finding)
    assert lines[1:] == ["1 file, 1 finding"]
    assert main(["lint", str(path), "-D", "BY=n", "--lenient"]) == 0
    assert main(["lint", str(path), "-D", "BY=8"]) == 0
    path.write_text(
        (HEADER + KERNEL % "x[0] = max(x[0], BY);").replace("void jump(ushort by);", "")
    )
    capsys.readouterr()
    assert main(["check", str(path), "-D", "BY=i"]) == 1
    assert "'max' is ambiguous" in capsys.readouterr().out
    assert main(["check", str(path), "-D", "BY=1.0f"]) == 0
    assert capsys.readouterr().out.endswith("1 kernel, 0 findings: good\n")


@pytest.mark.parametrize("family", ["prefill", "decode", "combine", "append"])
def test_generated_kernels_pass(family: str) -> None:
    manifest = json.loads((ROOT / "generated" / "manifest.json").read_text())
    file = next(variant["file"] for variant in manifest if variant["family"] == family)
    assert emulator.check_types(ROOT / "generated" / file) == []
