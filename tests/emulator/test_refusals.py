"""What Apple's compiler refuses and clang lets pass is found, and nothing else."""

from __future__ import annotations

import concurrent.futures
import json
from pathlib import Path

import pytest
import torch

import emulator
from emulator import EmulatorError
from emulator.__main__ import main

ROOT = Path(__file__).parents[2]
TORCH = Path(torch.__file__).parent / "include"
HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
KERNEL = "kernel void test(device float* x [[buffer(0)]]) { %s }"

# A program and what the finding calls it; a newline stands before the line that is at fault.
REFUSED = [
    (KERNEL % "\n@auto f = [](float y) { return y; }; x[0] = f(x[0]);", "lambda"),
    (KERNEL % "\n@x[0] = apply([&] { return 1; });", "lambda"),
    (KERNEL % "\n@x[0] = dynamic_cast<float>(x[0]);", "dynamic_cast"),
    (KERNEL % "\n@auto t = typeid(x);", "typeid"),
    (KERNEL % "\n@int* p = new int;", "new"),
    (KERNEL % "int* p = nullptr;\n@delete p;", "delete"),
    (KERNEL % "again:\n@goto again;", "goto"),
    (KERNEL % "\n@register int i = 0;", "register"),
    (KERNEL % "\n@thread_local int i = 0;", "thread_local"),
    (KERNEL % "\n@try { x[0] = 1; } catch (int) {}", "try"),
    (KERNEL % "\n@throw 1;", "throw"),
    (KERNEL % "x[0] = 1;\n@double y = 2;", "double"),
    (KERNEL % "\n@long double y = 2;", "double"),
    (KERNEL % "\n@unsigned long long y = 2;", "long long"),
    (KERNEL % "\n@x[0] = std::min(1, 2);", "std::"),
    (KERNEL % "\n@static int calls = 0;", "static variable"),
    (KERNEL % "\n@static constexpr int N = 8;", "static variable"),
    ("float f() { \n@threadgroup float y[4]; return 0; }", "threadgroup variable"),
    ("struct A { void f() { if (1) { \n@threadgroup int y; } } };", "threadgroup variable"),
    ("struct A {\n@virtual void f() {} };", "virtual"),
    ("struct A {\n@static constexpr int n = 4; };", "static data member"),
    ("struct A {};\n@const A a = A();", "program-scope variable"),
    ("\n@int counter;", "program-scope variable"),
    ("\n@const int N = 4;", "program-scope variable"),
    ("\n@constexpr float TABLE[2] = {1, 2};\nconstant int n = 3;", "program-scope variable"),
    ("namespace a { namespace b {\n@static const int N = 4; } }", "program-scope variable"),
    ("template <typename T, int n = (2 > 1)>\n@constexpr int N = n;", "program-scope variable"),
    ("\n@struct A { int n; }\na;", "program-scope variable"),
    ("\n@threadgroup float shared[32];", "program-scope variable"),
    ("\n@kernel int test() { return 1; }", "kernel"),
    ("\n@void main() {}", "main"),
    ("kernel void test(device float* x [[buffer(0)]],\n@constant int& n [[buffer(1)]] = 3) {}",
     "default argument"),
    ("\n@#include <vector>", "header"),
    ("\n@#include <math.h>", "header"),
    ("// a comment\n@// \u2192 by torch.mps.compile_shader", "character"),
    ("#define SQUARE(x) double(x) * double(x)\n" + KERNEL % "\n@x[0] = SQUARE(2);", "double"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "construct"), REFUSED)
def test_refused_constructs_are_found_with_their_line(source: str, construct: str) -> None:
    before, _, after = (HEADER + source).partition("@")
    findings = emulator.lint(before + after)
    line = before.count("\n") + 1
    assert {f.construct for f in findings} - {"catch"} == {construct}
    assert {(f.path, f.line) for f in findings} == {("<source>", line)}
    assert str(findings[0]).startswith(f"<source>:{line}: ")


RECURSION = [
    ("int f(int n) {\nreturn n < 2 ? 1 : n * f(n - 1); }", {2}),
    ("int g(int);\nint f(int n) {\nreturn g(n); }\nint g(int n) {\nreturn f(n); }", {3, 5}),
    ("template <typename T> T f(T x, int n = 1) {\nreturn f(x); }", {2}),
    ("namespace a { int f(int n) {\nreturn a::f(n); } }", {2}),
    ("struct A { int f(int n) {\nreturn this->f(n); } int h(int n) { return f(n); } };", {2}),
    # Whichever overload is meant, it comes back.
    ("int f(float x);\nint f(int n) { return\nf(n); }\nint f(float x) {\nreturn f(x); }", {3, 5}),
    # An overload that ends it may be meant; another number of arguments is another function; a
    # template's next instance is; so is Metal's function of the name.
    ("int f(float x) { return 1; }\nint f(int n) { return f(float(n)); }", set()),
    ("int f(int n) { return f(n, 1); }\nint f(int n, int m) { return n; }", set()),
    ("template <int n> int f() { return f<n - 1>(); }\ntemplate <> int f<0>() { return 0; }", set()),
    ("struct A {};\nA max(A a, A b) { return max(a, b); }", set()),
    ("template <typename Op> struct M { int f(int n) { return Op::f(n); } };", set()),
    ("struct M { int f(int n) { return inner.f(n); } T inner; };", set()),
]  # fmt: skip


@pytest.mark.parametrize(("source", "lines"), RECURSION)
def test_recursion_is_found_where_no_overload_can_end_it(source: str, lines: set[int]) -> None:
    assert {f.line for f in emulator.lint(source + "\n", metal="2.3")} == lines
    assert emulator.lint(source + "\n", metal="2.4") == []


def test_versions_of_metal() -> None:
    source = "struct A {};\nstruct B : A {};\n" + KERNEL % "auto f = [] { return 1; };"
    found = {
        v: [f.construct for f in emulator.lint(source, metal=v)] for v in ("2.4", "3.1", "3.2")
    }
    assert found == {"2.4": ["derived class", "lambda"], "3.1": ["lambda"], "3.2": []}
    with pytest.raises(EmulatorError, match="metal is '3'; it must be a version like '3.1'"):
        emulator.lint(source, metal="3")


ALLOWED = """
#include <metal_stdlib>
using namespace metal;
#ifndef __METAL__
#include <vector>
#endif
constant constexpr int N = 4;
constant float TABLE[N] = {1.0, 2.0, 3.0, 4.0};
constant bool has_bias [[function_constant(0)]];
constexpr sampler nearest(filter::nearest);
enum class Kind : int { plain, doubled };
enum Old { first, second };
typedef struct { int n; } Pair;
struct Forward;
template <typename T, typename = enable_if_t<is_same_v<T, float> && (sizeof(T) > 2)>>
struct Box {
    static constant constexpr int size = sizeof(T);
    T items[N];
    Box() = default;
    Box(const thread Box&) = delete;
    Box(T x) thread : items{x, x, x, x} {}
    thread Box& operator=(T x) thread noexcept { items[0] = x; return *this; }
    T operator[](int i) const thread { return items[i]; }
    static T twice(T x) { return x + x; }
};
METAL_FUNC float pick(threadgroup float* shared, device float (&x)[4], int i)
{
    threadgroup float* p = shared + i;
    threadgroup float& q = shared[i];
    const float new_value = x[i] + p[0] + q;
    return new_value;
}
template <typename T, Kind kind = Kind::plain>
[[kernel, max_total_threads_per_threadgroup(32)]] void test(
    device T* x [[buffer(0)]], threadgroup T* given [[threadgroup(0)]])
{
    threadgroup T shared[4];
    static constant constexpr int M = 3;
    if (kind == Kind::plain) { shared[M] = TABLE[M]; }
    x[(int)given[0]] = Box<float>::twice(1.0);
}
template [[host_name("made")]] [[kernel]] decltype(test<float>) test<float>;
"""


def test_what_metal_allows_is_not_reported() -> None:
    assert emulator.lint(ALLOWED, metal="3.0") == []


def test_a_finding_in_a_header_names_the_header(tmp_path: Path) -> None:
    (tmp_path / "tools.h").write_text("// \u2192\nint counter;\n")
    (tmp_path / "a.metal").write_text('#include "tools.h"\ndouble f();\n')
    findings = emulator.lint(tmp_path / "a.metal")
    places = [(Path(f.path).name, f.line, f.construct) for f in findings]
    assert places == [("a.metal", 2, "double"), ("tools.h", 2, "program-scope variable")]


def test_every_generated_kernel_compiles_for_the_oldest_supported_metal() -> None:
    manifest = json.loads((ROOT / "generated" / "manifest.json").read_text())
    files = sorted({ROOT / "generated" / variant["file"] for variant in manifest})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        findings = [f for found in pool.map(emulator.lint, files) for f in found]
    assert len(files) == len(list((ROOT / "generated").glob("*.metal")))
    assert findings == []


@pytest.mark.parametrize("header", ["PrefillAttention.h", "DecodeAttention.h"])
def test_shaders_that_ship_have_no_findings(header: str) -> None:
    shader = f"ATen/native/mps/kernels/{header}"
    if not (TORCH / shader).exists():
        pytest.skip(f"this torch has no {shader}")
    includes = ["metal_stdlib", "metal_simdgroup_matrix", "c10/metal/utils.h", shader]
    source = "".join(f"#include <{name}>\n" for name in includes)
    assert emulator.lint(source, include=[TORCH]) == []


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.metal", tmp_path / "bad.metal"
    good.write_text(HEADER + KERNEL % "")
    bad.write_text(HEADER + "T counter;\n")
    assert main(["lint", str(good)]) == 0
    assert capsys.readouterr().out == "1 file, 0 findings\n"
    assert main(["lint", str(good), str(bad), "-D", "T=double"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{bad}:3: double: not in Metal's language"
    assert lines[1].startswith(f"{bad}:3: program-scope variable: ")
    assert lines[2] == "2 files, 2 findings"
    assert main(["lint", str(tmp_path), "-D", "T=double"]) == 1
    assert capsys.readouterr().out.splitlines() == lines
    (tmp_path / "none").mkdir()
    assert main(["lint", str(tmp_path / "none")]) == 2
    assert "is a directory without .metal files" in capsys.readouterr().err
    assert main(["lint", str(tmp_path / "none.metal")]) == 2
    assert "error: cannot read the shader" in capsys.readouterr().err
