"""launch(check=True): every kind of mistake is found, by its name and line; sound programs pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import emulator
from emulator import (
    BoundsError,
    DivergentBarrierError,
    EmulatorError,
    MisalignedError,
    RaceError,
    UninitializedError,
)

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
BARRIER = "threadgroup_barrier(mem_flags::mem_threadgroup);"
SIMD_BARRIER = "simdgroup_barrier(mem_flags::mem_threadgroup);"
MEET = f"""
void meet() {{ {BARRIER} }}
template <int n> void meet_often() {{ for (int k = 0; k < n; ++k) meet(); }}
"""


def launch(
    source: str,
    arguments: Sequence[Any],
    threadgroups: int = 1,
    threads: int = 64,
    **options: Any,
) -> emulator.Report:
    """Run the kernel f of a program under the checks."""
    kernel = emulator.compile(HEADER + source).function("f")
    return kernel.launch(arguments, threadgroups, threads, check=True, **options)


def program(body: str, before: str = "") -> str:
    """A kernel f with an output x and the usual indices; its body begins on line 8."""
    return f"""{before}
kernel void f(device float* x [[buffer(0)]], uint i [[thread_index_in_threadgroup]],
              uint g [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]],
              uint s [[simdgroup_index_in_threadgroup]])
{{
{body}
}}
"""


def line_of(source: str, mark: str) -> int:
    """The line of the .metal text on which something stands."""
    lines = (HEADER + source).splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if mark in line]
    return number


def zeros(n: int = 256) -> torch.Tensor:
    return torch.zeros(n)


SOUND = {
    "each its own": "x[i] = i;",
    "behind a barrier": f"threadgroup float t[64]; t[i] = i; {BARRIER} x[i] = t[63 - i];",
    "double buffered": f"""
        threadgroup float t[2][64];
        for (int step = 0; step < 5; ++step) {{
            t[step % 2][i] = i + step;
            {BARRIER}
            x[i] += t[step % 2][63 - i];
        }}""",
    "within a simdgroup": """
        threadgroup float t[64];
        t[i] = i;
        simdgroup_barrier(mem_flags::mem_threadgroup);
        x[i] = t[s * 32 + 31 - lane];""",
    "atomics": """
        device atomic_uint* count = (device atomic_uint*)x;
        atomic_fetch_add_explicit(count, 1u, memory_order_relaxed);
        atomic_load_explicit(count, memory_order_relaxed);""",
    "many read": f"threadgroup float t; if (i == 0) t = 1; {BARRIER} x[i] = t + t;",
    "a device barrier": """
        x[i] = i;
        threadgroup_barrier(mem_flags::mem_device);
        x[64 + i] = x[63 - i];""",
    "matrices": f"""
        threadgroup float t[2][64];
        t[s][lane] = lane; t[s][lane + 32] = lane;
        simdgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_float8x8 m;
        simdgroup_load(m, t[s], 8);
        simdgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_store(m, t[s], 8, ulong2(0), true);
        {BARRIER}
        x[i] = t[1 - s][lane];""",
    "a matrix stored where it was loaded": """
        simdgroup_float8x8 m;
        simdgroup_load(m, x + 64 * s, 8);
        simdgroup_store(m, x + 64 * s, 8);""",
    "neighbouring bytes": "((device uchar*)x)[i] = i;",
    "neighbouring halves": "((device half*)x)[i] = i; ((device half*)x)[i] += 1;",
    "returned together": f"if (g == 0) return; {BARRIER} x[i] = i;",
    "some have returned": "if (i > 5) return; x[i] = i;",
    "a barrier in a loop that unrolls": f"""
        threadgroup float t[64];
        _Pragma("clang loop unroll(full)")
        for (int step = 0; step < 3; ++step) {{
            t[i] = step;
            {BARRIER}
            x[i] += t[63 - i];
            {BARRIER}
        }}""",
    "a barrier in a function, called in several places": """
        meet();
        for (int step = 0; step < 3; ++step) { x[i] += step; meet(); }
        meet_often<2>();
        meet_often<5>();""",
    "all choose one barrier of two": f"if (g == 0) {{ {BARRIER} }} else {{ {BARRIER} }}",
    "all choose one call of two": "if (x[128] == 0) { x[i] = 1; meet(); } else { meet(); }",
    "as many rounds for all": f"for (uint k = 0; k < 4 - g; ++k) {{ {BARRIER} }} {BARRIER}",
    "all leave a loop at once": f"for (uint k = 0;; ++k) {{ {BARRIER} if (k == 3) break; {BARRIER} }}",
    "simdgroups wait apart": f"if (s == 0) {{ {SIMD_BARRIER} }} else {{ {SIMD_BARRIER} }}",
    "simdgroups wait and meet": f"if (s) {{ {SIMD_BARRIER} x[i] = simd_sum(1.0f); }} {BARRIER}",
    "packed at any place": "if (i < 4) *(device packed_float4*)(x + 1 + 4 * i) = float4(1);",
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("schedule", [0, 1, 12345])
def test_sound_programs_pass(name: str, schedule: int) -> None:
    launch(program(SOUND[name], MEET), [zeros()], schedule=schedule)


# name -> (body with the lines marked A and B, where B may be missing)
RACES = {
    "all write one place": "x[0] = i; // A",
    "no barrier": "threadgroup float t[64];\nt[i] = i; // A\nif (i < 32) x[i] = t[i + 32]; // B",
    "a simdgroup's barrier for a threadgroup": """
        threadgroup float t[64];
        t[i] = i; // A
        simdgroup_barrier(mem_flags::mem_threadgroup);
        x[i] = t[63 - i]; // B""",
    "a barrier of no memory": """
        threadgroup float t[64];
        t[i] = i; // A
        threadgroup_barrier(mem_flags::mem_none);
        x[i] = t[63 - i]; // B""",
    "a barrier of the other memory": """
        x[i] = i; // A
        threadgroup_barrier(mem_flags::mem_threadgroup);
        x[i + 64] = x[63 - i]; // B""",
    "lockstep is not promised": """
        threadgroup float t[64];
        t[i] = i; // A
        x[i] = t[i ^ 1]; // B""",
    "a shuffle orders nothing": """
        threadgroup float t[64];
        t[i] = i; // A
        x[i] = simd_shuffle_xor(t[i], 1) + t[i ^ 1]; // B""",
    "overwritten too early": f"""
        threadgroup float t[64];
        t[i] = i;
        {BARRIER}
        x[i] = t[63 - i]; // A
        t[i] = 0; // B""",
    "read once more in the next round": f"""
        threadgroup float t[64];
        for (int step = 0; step < 3; ++step) {{
            t[i] = i; // A
            {BARRIER}
            x[i] = t[63 - i]; // B
        }}""",
    "an atomic and a plain write": """
        atomic_fetch_add_explicit((device atomic_uint*)x, 1u, memory_order_relaxed); // A
        ((device uint*)x)[i] = 1; // B""",
    "a matrix and its elements": """
        threadgroup float t[2][64];
        t[s][lane] = lane; t[s][lane + 32] = lane; // A
        simdgroup_float8x8 m;
        simdgroup_load(m, t[s], 8); // B
        x[i] = m.thread_elements()[0];""",
    "a matrix across": """
        threadgroup float t[2][64];
        simdgroup_float8x8 m = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
        simdgroup_store(m, t[s], 8); // A
        simdgroup_load(m, t[s], 8, ulong2(0), true); // B
        x[i] = m.thread_elements()[0];""",
}


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("schedule", [0, 7])
def test_races_are_found(name: str, schedule: int) -> None:
    source = program(RACES[name])
    with pytest.raises(RaceError, match="data race on .* bytes? of ") as raised:
        launch(source, [zeros()], schedule=schedule)
    lines = {int(n) for n in re.findall(r"<source>:(\d+):", str(raised.value))}
    marks = {mark for mark in ("// A", "// B") if mark in source}
    assert lines <= {line_of(source, mark) for mark in marks}
    assert lines


def test_threadgroups_are_never_ordered() -> None:
    source = program("x[g / 2] = g; // A")
    with pytest.raises(RaceError, match="thread.*of threadgroup .1, 0, 0.") as raised:
        launch(source, [zeros()], threadgroups=4, threads=1)
    assert str(raised.value).count(f"<source>:{line_of(source, '// A')}") == 2
    with pytest.raises(RaceError, match="reads it"):
        launch(program("x[g] = x[g + 1];"), [zeros()], threadgroups=4, threads=1)
    launch(program("x[g] = x[200];"), [zeros()], threadgroups=4, threads=1)


def test_a_race_is_described() -> None:
    source = program("threadgroup float t[64];\nt[i] = i; // A\nif (i == 1) x[1] = t[0]; // B")
    with pytest.raises(RaceError) as raised:
        launch(source, [zeros()], threads=2)
    assert str(raised.value).splitlines() == [
        "f: data race on 4 bytes of threadgroup memory, t at byte 0 of 256",
        f"  <source>:{line_of(source, '// B')}: thread (1, 0, 0) of threadgroup (0, 0, 0) reads it",
        f"  <source>:{line_of(source, '// A')}: thread (0, 0, 0) of threadgroup (0, 0, 0) writes it",
        "  no barrier orders the two",
    ]


# body -> what the message says
BOUNDS = {
    "x[i + 193] = 0; // A": "thread .63, 0, 0.*writes 4 bytes, just past the end of x",
    "x[int(i) - 1] = 0; // A": "writes 4 bytes, 4 bytes before x",
    "x[1 << 28] = x[i]; // A": r"writes 4 bytes, 1073740800 bytes past the end of x",
    "threadgroup float t[64]; threadgroup float* p = t;\np[i + 1] = 0; // A": (
        "writes 4 bytes of threadgroup memory, just past the end of t"
    ),
    "threadgroup float t[64];\nt[i + 1] = 0; // A": "thread .63, 0, 0.*an array past its end",
    "float a[4] = {1, 2, 3, 4}; x[i] =\na[i]; // A": "thread .4, 0, 0.*an array past its end",
    "*(device float4*)(x + 252 + i) = 0; // A": "writes 16 bytes",
    "simdgroup_float8x8 m;\nsimdgroup_load(m, x + 193 + s, 8); // A": "reads 4 bytes, just past",
}


@pytest.mark.parametrize("body", BOUNDS)
def test_accesses_out_of_bounds_are_found(body: str) -> None:
    source = program(body)
    with pytest.raises(BoundsError, match=BOUNDS[body]) as raised:
        launch(source, [zeros()])
    assert f"<source>:{line_of(source, '// A')}: " in str(raised.value)


def test_bounds_are_those_of_the_view() -> None:
    storage = zeros(512)
    source = program("x[i] = 1;")
    launch(source, [storage[64:128]])
    with pytest.raises(BoundsError, match="which has 252 bytes"):
        launch(source, [storage[64:127]])
    with pytest.raises(BoundsError, match="4 bytes before x"):
        launch(program("x[-1] = 1;"), [storage[64:128]])
    assert storage[63] == 0
    # A strided view reaches from its first element to its last.
    launch(program("if (i < 15) x[i] = 1;"), [storage[:16:2]])
    with pytest.raises(BoundsError):
        launch(program("if (i < 16) x[i] = 1;"), [storage[:16:2]])


def test_read_only_memory_is_not_written() -> None:
    source = HEADER + (
        "kernel void f(device const float* a [[buffer(0)]], device float* x [[buffer(1)]],"
        " uint i [[thread_index_in_threadgroup]])"
        "\n{ x[i] = a[i];\n*(device float*)(&a[i]) = 1; // A\n}"
    )
    with pytest.raises(BoundsError, match="a .*which is read-only"):
        emulator.compile(source).function("f").launch([zeros(), zeros()], 1, 64, check=True)


def test_offsets_beyond_4_gib() -> None:
    far = torch.empty(2**30 + 1100)  # float32: more than 2^32 bytes; only some pages are touched
    launch(program("x[(1l << 30) + i] = i; x[(1l << 30) + 1000] = x[5];"), [far], threads=1)
    with pytest.raises(RaceError, match="at byte 4294967296 of"):
        launch(program("x[1l << 30] = i;"), [far])
    with pytest.raises(BoundsError, match="just past the end"):
        launch(program("x[(1l << 30) + 1100] = 0;"), [far])


def test_misaligned_vectors_are_found() -> None:
    source = program("*(device float4*)(x + 4 * i + 1) = 0; // A")
    with pytest.raises(MisalignedError, match="x .*at byte 4 .*not aligned to 16 bytes") as raised:
        launch(source, [zeros(512)])
    assert f":{line_of(source, '// A')}: " in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        "threadgroup float t[64]; if (i < 63) t[i] = 0;\n"
        f"{BARRIER}\nx[i] = t[63 - i] + t[63]; // A",
        "threadgroup half t[64]; if (i < 32) t[2 * i] = 0;\n"
        f"{BARRIER}\nif (i == 0) x[i] = *(threadgroup uint*)(t + 4); // A",
        "threadgroup float t[64]; simdgroup_float8x8 m;\nsimdgroup_load(m, t, 8); // A",
    ],
)
def test_reads_of_memory_that_nobody_wrote(body: str) -> None:
    source = program(body)
    with pytest.raises(
        UninitializedError, match="t at byte .* which no thread has written"
    ) as raised:
        launch(source, [zeros()])
    assert f":{line_of(source, '// A')}: " in str(raised.value)


def test_threadgroup_memory_does_not_outlive_its_threadgroup() -> None:
    body = f"threadgroup float t[64]; if (g == 0) t[i] = 1; {BARRIER} x[64 * g + i] = t[i];"
    launch(program(body), [zeros()], threadgroups=1)
    with pytest.raises(UninitializedError, match="threadgroup .1, 0, 0."):
        launch(program(body), [zeros()], threadgroups=2)


def test_outputs_must_be_written() -> None:
    source = program("if (i != 9) x[i] = i;")
    launch(source, [zeros(64)])
    with pytest.raises(UninitializedError, match=r"x \[\[buffer\(0\)\]\] at byte 36"):
        launch(source, [zeros(64)], outputs=[0])
    launch(program("x[2 * i] = i;"), [zeros(128)[::2]], outputs=[0])  # the gaps are no elements
    with pytest.raises(EmulatorError, match=r"outputs has 1; it may have \[0\]"):
        launch(source, [zeros(64)], outputs=[1])


# body -> what the message says; the lines where threads wait are marked
RETURNED = "has returned, and others wait|some have returned"
DIFFERENT = "threads wait at different places"
DIVERGENT = {
    f"if (i < 32) {{\n{BARRIER} // A\n}}": RETURNED,
    f"if (i % 2) {{\n{BARRIER} // A\n}}": RETURNED,
    f"if (i < 5) return;\n{BARRIER} // A": "some have returned before",
    f"if (i < 32) {{\n{BARRIER} // A\n}} else {{\n{BARRIER} // B\n}}": DIFFERENT,
    f"if (lane < 9) {{\n{BARRIER} // A\n}} else {{\n{BARRIER} // B\n}}": DIFFERENT,
    f"if (i < 32) {{ {BARRIER} }} else {{ {BARRIER} }} // A": "another of that line",
    f"if (lane < 9) {{ {SIMD_BARRIER} }} else {{ {SIMD_BARRIER} }} // A": "another of that line",
    f"if (lane < 9) {{\n{SIMD_BARRIER} // A\n}} else {{\n{BARRIER} // B\n}}": DIFFERENT,
    "if (i < 32) {\nmeet(); // A\n} else {\nmeet(); // B\n}": DIFFERENT,
    "if (i < 32) {\nmeet_often<2>(); // A\n} else {\nmeet_often<3>(); // B\n}": DIFFERENT,
    f"for (uint k = 0; k <= s; ++k) {{\n{BARRIER} // A\n}}\n{BARRIER} // B": DIFFERENT,
    "if (lane < 9)\nx[i] = simd_sum(x[i]); // A": "returned",
    "if (lane < 9)\nx[i] = simd_sum(x[i]); // A\nelse\nx[i] = simd_sum(x[i]); // B": DIFFERENT,
    "simdgroup_float8x8 m; if (lane < 9)\nsimdgroup_load(m, x, 8); // A": "not reached by all",
}


@pytest.mark.parametrize("body", DIVERGENT)
@pytest.mark.parametrize("schedule", [0, 3])
def test_divergence_is_found(body: str, schedule: int) -> None:
    source = program(body, MEET)
    with pytest.raises(DivergentBarrierError, match=DIVERGENT[body]) as raised:
        launch(source, [zeros()], schedule=schedule)
    if "matrix" not in str(raised.value):
        lines = {int(n) for n in re.findall(r"<source>:(\d+)", str(raised.value))}
        marks = {mark for mark in ("// A", "// B") if mark in source}
        assert {line_of(source, mark) for mark in marks} <= lines


def test_divergence_is_described() -> None:
    source = program("if (i < 32) {\nmeet(); // A\n} else {\nmeet(); // B\n}", MEET)
    meet = line_of(source, "void meet()")
    with pytest.raises(DivergentBarrierError) as raised:
        launch(source, [zeros()], threadgroups=2)
    a, b = line_of(source, "// A"), line_of(source, "// B")
    assert str(raised.value).splitlines() == [
        "f: threads wait at different places",
        f"  <source>:{meet}, called at <source>:{b}: "
        "thread (63, 0, 0) of threadgroup (0, 0, 0) waits here",
        f"  <source>:{meet}, called at <source>:{a}: "
        "thread (31, 0, 0) of threadgroup (0, 0, 0) waits here",
        "  all must reach the same barrier or simdgroup operation",
    ]


def test_a_schedule_permutes_and_repeats() -> None:
    """Who comes first is seen in the order in which threads draw numbers."""
    source = program("""
        device atomic_uint* next = (device atomic_uint*)x;
        ((device uint*)x)[1 + g * 64 + i] = atomic_fetch_add_explicit(next, 1u, memory_order_relaxed);
    """)

    def order(schedule: int) -> list[int]:
        numbers = torch.zeros(1 + 3 * 64)
        launch(source, [numbers], threadgroups=3, schedule=schedule)
        return [int(n) for n in numbers.view(torch.int32)[1:]]

    natural = order(0)
    assert natural == list(range(192))
    assert order(5) == order(5) != natural
    assert sorted(order(5)) == natural
    assert order(5) != order(6)


def test_numpy_arrays_are_checked_too() -> None:
    launch(program("x[i] = 1;"), [np.zeros(64, np.float32)])
    with pytest.raises(BoundsError):
        launch(program("x[i] = 1;"), [np.zeros(63, np.float32)])


def test_after_a_finding_all_is_as_before() -> None:
    with pytest.raises(RaceError):
        launch(program(RACES["no barrier"]), [zeros()])
    launch(program(SOUND["behind a barrier"]), [zeros()])


def test_threadgroup_parameters_have_bounds() -> None:
    source = """
kernel void f(device float* x [[buffer(0)]], threadgroup float* t [[threadgroup(0)]],
              uint i [[thread_index_in_threadgroup]])
{ t[i] = i; threadgroup_barrier(mem_flags::mem_threadgroup); x[i] = t[63 - i]; }"""
    launch(source, [zeros()], threadgroup_lengths=[256])
    with pytest.raises(BoundsError, match=r"just past the end of \[\[threadgroup\(0\)\]\]"):
        launch(source, [zeros()], threadgroup_lengths=[128])


def test_private_variables_that_were_never_set_begin_as_a_value_that_shows() -> None:
    source = program(
        """
    struct Both { int whole; float real; } both;
    float numbers[4];
    if (i > 0) {
        both.whole = 0;
        both.real = numbers[1] = 1.0f;
    }
    x[2 * i] = both.real + numbers[1];
    x[2 * i + 1] = float(both.whole);
    """
    )
    x = zeros(128)
    launch(source, [x])
    assert x[0].isnan() and x[1] < -1e9
    assert x[2:].tolist() == [2.0, 0.0] * 63
