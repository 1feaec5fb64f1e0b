"""Live ranges against what can be counted by hand."""

from __future__ import annotations

import pytest

import emulator


def registers(body: str) -> int:
    source = f"""#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
kernel void f(device const half* x, device float* out, constant int& n, threadgroup half* t,
    uint i [[thread_index_in_threadgroup]])
{{
{body}
}}
"""
    source = source.replace("threadgroup half* t,", "threadgroup half* t [[threadgroup(0)]],")
    return emulator.compile(source).registers("f")


def sums(matrices: int, kind: str = "float") -> str:
    """A loop that adds products to so many matrices."""
    return f"""
    simdgroup_matrix<{kind}, 8, 8> sums[{matrices}];
    _Pragma("clang loop unroll(full)") for (int m = 0; m < {matrices}; ++m) {{
        sums[m] = make_filled_simdgroup_matrix<{kind}, 8, 8>(0);
    }}
    for (int k = 0; k < n; ++k) {{
        _Pragma("clang loop unroll(full)") for (int m = 0; m < {matrices}; ++m) {{
            simdgroup_half8x8 a;
            simdgroup_load(a, t + m * 64, 8);
            simdgroup_multiply_accumulate(sums[m], a, a, sums[m]);
        }}
    }}
    _Pragma("clang loop unroll(full)") for (int m = 0; m < {matrices}; ++m) {{
        out[m * 32 + i] = sums[m].thread_elements()[0] + sums[m].thread_elements()[1];
    }}
"""


@pytest.mark.parametrize(("kind", "of_a_matrix"), [("float", 2), ("half", 1)])
def test_a_matrix_is_two_elements(kind: str, of_a_matrix: int) -> None:
    few, many = registers(sums(4, kind)), registers(sums(12, kind))
    assert many - few == 8 * of_a_matrix


def test_what_waits_for_the_end_of_the_loop_is_not_counted() -> None:
    waiting = "const float kept = out[i];" + sums(4) + "out[i] += kept;"
    assert registers(waiting) == registers(sums(4))


def test_without_products_the_whole_kernel_counts() -> None:
    def body(values: int) -> str:
        loads = "".join(f"const float v{k} = x[i + {k} * n];\n" for k in range(values))
        stores = "".join(f"out[i + {k} * n] = v{k};\n" for k in range(values))
        return f"{loads} threadgroup_barrier(mem_flags::mem_none); {stores}"

    assert registers(body(24)) - registers(body(8)) >= 16


def test_an_unknown_kernel() -> None:
    source = "kernel void f(device float* out) {\n}\n"
    with pytest.raises(emulator.EmulatorError, match="no kernel 'g'; there are: f"):
        emulator.compile(source).registers("g")
