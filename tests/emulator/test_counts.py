"""Counters against counts worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import Request, plan_prefill

import emulator
from emulator.counting.counts import NAMES, Counts

ROOT = Path(emulator.__file__).parent.parent
HEAD = """#include <metal_stdlib>
using namespace metal;
"""


def count(
    body: str,
    *args: Any,
    threads: int = 64,
    threadgroups: int = 2,
    parameters: str = "device const float* x, device float* out",
    **options: Any,
) -> emulator.Report:
    """Launches a kernel of that body, in which i is the thread's index in the grid."""
    source = f"""{HEAD}
kernel void f({parameters}, uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]]) {{
{body}
}}
"""
    kernel = emulator.compile(source).function("f")
    return kernel.launch(args, threadgroups=threadgroups, threads=threads, count=True, **options)


def per_thread(report: emulator.Report) -> dict[str, float]:
    """What is not zero, by thread, without the sizes of the grid."""
    counts = report.counts
    grid = ("threads", "simdgroups", "threadgroups")
    return {name: counts.per_thread(name) for name, n in counts.items() if n and name not in grid}


def test_straight_line() -> None:
    x, out = torch.arange(128.0), torch.zeros(128)
    report = count("out[i] = x[i] * 2.0f + 1.0f;", x, out)
    assert torch.equal(out, x * 2 + 1)
    assert per_thread(report) == {
        "device.bytes_read": 4,
        "device.bytes_written": 4,
        "instructions.float": 2,
        "instructions.memory": 2,
        "instructions.convert": 1,  # i, to an address's 64 bits
        "instructions.address": 2,
    }
    sizes = ("threads", "simdgroups", "threadgroups")
    assert [report.counts[name] for name in sizes] == [128, 4, 2]


def test_all_names_are_there() -> None:
    counts = count("out[i] = x[i];", torch.zeros(128), torch.zeros(128)).counts
    assert list(counts) == list(NAMES)
    assert counts["calls.exp2"] == counts["products.half*half+float"] == 0
    with pytest.raises(KeyError, match=r"no counter 'device.bytes'.*device.bytes_read"):
        counts["device.bytes"]
    json.dumps(counts)


@pytest.mark.parametrize(
    ("type_", "statement", "expected"),
    [
        ("int", "((x[i] << 3) ^ x[i + 1]) + 5", {"int": 4}),  # and i + 1
        ("uint", "x[i] / 3u % 5u", {"int": 2}),
        ("uint", "popcount(x[i]) + clz(x[i])", {"int": 3}),
        ("int", "max(x[i], 7)", {"int": 1}),
        ("int", "clamp(x[i], -3, 7)", {"int": 2}),
        ("int", "x[i] > 4 ? x[i] * 3 : x[i] - 9", {"int": 2, "compare": 1, "select": 1}),
        ("float", "max(x[i], 0.5f)", {"float": 1}),
        ("float", "fmin(x[i], 0.5f)", {"float": 1}),
        ("float", "fma(x[i], x[i], 3.0f)", {"float": 1}),
        ("float", "floor(x[i]) + fabs(x[i])", {"float": 3}),
        ("float", "float(int(x[i]))", {"convert": 2}),
        ("float", "x[i] < 0.5f ? 1.0f : 2.0f", {"compare": 1, "select": 1}),
        ("half", "x[i] * x[i] + half(1)", {"half": 2}),
        ("bfloat", "x[i] * x[i] + bfloat(1)", {"bfloat": 2}),
        ("half", "half(float(x[i]) * 3.1f)", {"float": 1, "convert": 2}),
        ("float4", "x[i] * x[i] + 1.0f", {"float": 8}),
        ("float4", "max(x[i], 0.5f)", {"float": 4}),
        ("float4", "float4(dot(x[i], x[i]))", {"float": 7}),
        ("float4", "x[i].xxyy + x[i].zwzw", {"float": 4}),
    ],
)
def test_arithmetic(type_: str, statement: str, expected: dict[str, int]) -> None:
    parameters = f"device const {type_}* x, device {type_}* out"
    dtypes = {"half": torch.float16, "bfloat": torch.bfloat16, "float": torch.float32}
    dtype = dtypes.get(type_.removesuffix("4"), torch.int32)
    x = torch.ones(129 * 4).to(dtype)
    if type_ == "uint":
        x = x.view(torch.uint32)
    report = count(f"out[i] = {statement};", x, torch.zeros_like(x), parameters=parameters)
    kinds = ("int", "float", "half", "bfloat", "compare", "select", "convert", "branch")
    found = {kind: report.counts.per_thread(f"instructions.{kind}") for kind in kinds}
    indices = 2 if "i + 1" in statement else 1  # each becomes 64 bits wide
    found["convert"] -= indices
    assert {kind: n for kind, n in found.items() if n} == expected
    assert report.counts.total("calls.") == 0


@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ("exp2(x[i])", {"exp2": 1}),
        ("fast::exp2(x[i]) + precise::exp2(x[i] + 1.0f)", {"exp2": 2}),
        ("exp(x[i]) * log(x[i])", {"exp": 1, "log": 1}),
        ("sqrt(x[i]) + rsqrt(x[i])", {"sqrt": 1, "rsqrt": 1}),
        ("pow(x[i], 0.3f)", {"pow": 1}),
        ("float(exp2(half(x[i])))", {"exp2": 1}),
        ("x[i] / (x[i] + 1.0f)", {"divide": 1}),
        ("divide(x[i], x[i] + 1.0f)", {"divide": 1}),
        ("dot(exp2(float3(x[i])), float3(1.0f, 2.0f, 3.0f))", {"exp2": 1}),  # three alike
        ("ldexp(x[i], int(t))", {"ldexp": 1}),
        ("tanh(x[i])", {"tanh": 1}),
    ],
)
def test_calls(expression: str, calls: dict[str, int]) -> None:
    counts = count(f"out[i] = {expression};", torch.ones(128), torch.zeros(128)).counts
    found = {name: counts.per_thread(name) for name in counts if name.startswith("calls.")}
    assert found == {f"calls.{name}": n for name, n in calls.items()}


def test_an_emulators_own_work_is_not_counted() -> None:
    # What a call, a reduction or a product takes on the CPU is nobody's business.
    body = """
    const float a = x[i];
    out[i] = simd_sum(exp2(a)) + simd_shuffle_xor(a, t);"""
    found = per_thread(count(body, torch.ones(128), torch.zeros(128)))
    assert found == {
        "device.bytes_read": 4,
        "device.bytes_written": 4,
        "instructions.float": 1,
        "instructions.memory": 2,
        "instructions.convert": 2,  # i to 64 bits, t to 16
        "instructions.address": 2,
        "calls.exp2": 1,
        "reductions": 1,
        "shuffles": 1,
    }


def test_loop_trips() -> None:
    body = """
    float sum = 0.0f;
    for (int k = 0; k < n; ++k) {
        sum += exp2(x[k]);
    }
    out[i] = sum;"""
    parameters = "device const float* x, device float* out, constant int& n"
    for n in (0, 1, 7, 100):
        counts = count(body, torch.ones(128), torch.zeros(128), n, parameters=parameters).counts
        assert counts["calls.exp2"] == counts["instructions.float"] == 128 * n
        assert counts["device.bytes_read"] == 128 * n * 4
        assert counts["device.bytes_written"] == 128 * 4
        assert counts["constant.bytes_read"] == 128 * 4


def test_divergent_branches() -> None:
    body = """
    if (i % 3 == 0) {
        out[i] = exp2(x[i]);
    } else if (x[i] > 64.0f) {
        return;
    }
    out[i] += 1.0f;
    """
    counts = count(body, torch.arange(128.0), torch.zeros(128)).counts
    third = math.ceil(128 / 3)
    returned = sum(1 for i in range(128) if i % 3 and i > 64)
    assert counts["calls.exp2"] == third
    assert counts["instructions.float"] == 128 - returned


def test_sizes_that_fill_no_simdgroup() -> None:
    body = "out[i] = simd_sum(x[i]); threadgroup_barrier(mem_flags::mem_none);"
    counts = count(body, torch.ones(120), torch.zeros(120), threads=40, threadgroups=3).counts
    assert counts["simdgroups"] == 6
    assert counts["reductions"] == counts["barriers.threadgroup"] == counts["threads"] == 120


def test_threadgroup_memory_and_barriers() -> None:
    body = """
    threadgroup float tile[64];
    tile[t] = x[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float sum = 0.0f;
    for (int k = 0; k < 4; ++k) {
        sum += tile[(t + k * n) % 64];
        simdgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = sum;"""
    parameters = "device const float* x, device float* out, constant uint& n"
    args = (torch.ones(128), torch.zeros(128), 5)
    counts = count(body, *args, parameters=parameters).counts
    assert counts["threadgroup.bytes_written"] == 128 * 4
    assert counts["threadgroup.bytes_read"] == 128 * 4 * 4
    assert counts["barriers.threadgroup"] == 128
    assert counts["barriers.simdgroup"] == 128 * 4


def test_accesses_of_vectors_and_structs() -> None:
    body = """
    Pair pair = pairs[i];
    out[i] = float4(half4(packed[i])) + pair.a + pair.b;"""
    parameters = "constant Pair* pairs, device const packed_half4* packed, device float4* out"
    source = f"""{HEAD}
    struct Pair {{ float a; int b; }};
    kernel void f({parameters}, uint i [[thread_position_in_grid]]) {{{body.replace("pair = pairs[i]", "pair; pair.a = pairs[i].a; pair.b = pairs[i].b")}}}
    """
    kernel = emulator.compile(source).function("f")
    args = [bytes(8 * 64), torch.ones(64, 4).half(), torch.zeros(64, 4)]
    counts = kernel.launch(args, threadgroups=1, threads=64, count=True).counts
    assert counts["constant.bytes_read"] == 64 * 8
    assert counts["device.bytes_read"] == 64 * 8
    assert counts["device.bytes_written"] == 64 * 16


@pytest.mark.parametrize(
    ("a", "b", "d"),
    [("half", "half", "float"), ("float", "float", "float"), ("bfloat", "half", "half")],
)
def test_matrices_count_once_per_simdgroup(a: str, b: str, d: str) -> None:
    size = {"half": 2, "bfloat": 2, "float": 4}
    dtypes = {"half": torch.float16, "bfloat": torch.bfloat16, "float": torch.float32}
    body = f"""
    threadgroup {b} tile[64];
    if (t < 64) {{
        tile[t] = y[t];
    }}
    threadgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_matrix<{a}, 8, 8> left;
    simdgroup_matrix<{b}, 8, 8> right;
    simdgroup_matrix<{d}, 8, 8> sum = make_filled_simdgroup_matrix<{d}, 8, 8>(0);
    simdgroup_load(left, x, 8);
    for (int k = 0; k < n; ++k) {{
        simdgroup_load(right, tile, 8, ulong2(0), true);
        simdgroup_multiply_accumulate(sum, left, right, sum);
    }}
    simdgroup_store(sum, out + i / 32 * 64, 8);"""
    parameters = f"device const {a}* x, device const {b}* y, device {d}* out, constant int& n"
    x, y = torch.eye(8).to(dtypes[a]), torch.eye(8).to(dtypes[b])
    out = torch.zeros(6, 8, 8).to(dtypes[d])
    counts = count(body, x, y, out, 5, parameters=parameters, threads=96).counts
    assert torch.equal(out.float(), 5 * torch.eye(8).expand(6, 8, 8))
    assert {k: n for k, n in counts.items() if k.startswith("products")} == {
        f"products.{a}*{b}+{d}": 6 * 5
    }
    assert counts["device.bytes_read"] == 6 * 64 * size[a] + 2 * 64 * size[b]
    assert counts["device.bytes_written"] == 6 * 64 * size[d]
    assert counts["threadgroup.bytes_written"] == 2 * 64 * size[b]
    assert counts["threadgroup.bytes_read"] == 6 * 5 * 64 * size[b]


def test_a_chain_of_matrices() -> None:
    # Every lane works out where a matrix lies and goes round the loop; the emulator's own way of
    # running the products once is nowhere to be seen.
    body = """
    simdgroup_matrix<float, 8, 8> a, b, sum = make_filled_simdgroup_matrix<float, 8, 8>(0);
    simdgroup_load(a, x, 8);
    simdgroup_load(b, x + n * 64, 8);
    for (int k = 0; k < n; ++k) {
        simdgroup_multiply_accumulate(sum, a, b, sum);
        simdgroup_multiply_accumulate(sum, a, b, sum);
        simdgroup_multiply_accumulate(sum, a, b, sum);
    }
    simdgroup_store(sum, out, 8);"""
    parameters = "device const float* x, device float* out, constant int& n"
    counts = count(body, torch.zeros(256), torch.zeros(64), 3, parameters=parameters).counts
    assert counts["products.float*float+float"] == counts["simdgroups"] * 9
    found = {
        name.removeprefix("instructions."): counts.per_thread(name)
        for name in counts
        if name.startswith("instructions.") and name != "instructions.memory"
    }
    expected = {"int": 1 + 3, "compare": 4, "branch": 4, "convert": 1, "address": 1}
    assert {name: n for name, n in found.items() if n} == expected


def test_simdgroup_functions() -> None:
    body = """
    float y = simd_shuffle_down(x[i], 1) + simd_broadcast(x[i], 3) + quad_broadcast(x[i], 1);
    y = simd_max(y) + quad_sum(y) + simd_prefix_inclusive_sum(y);
    out[i] = simd_any(y > 3.0f) ? y : simd_shuffle_and_fill_up(y, 0.0f, 1);"""
    report = count(body, torch.zeros(128), torch.zeros(128))
    assert [report.counts.per_thread(n) for n in ("shuffles", "reductions", "votes")] == [4, 3, 1]


def test_atomics() -> None:
    body = """
    threadgroup atomic_int local;
    if (t == 0) {
        atomic_store_explicit(&local, 0, memory_order_relaxed);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    atomic_fetch_add_explicit(&local, 1, memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (t == 0) {
        atomic_fetch_max_explicit(total, atomic_load_explicit(&local, memory_order_relaxed), memory_order_relaxed);
    }"""
    total = torch.zeros(1, dtype=torch.int32)
    found = per_thread(count(body, total, parameters="device atomic_int* total", threadgroups=1))
    assert total.item() == 64
    assert found["atomics.threadgroup"] == (1 + 64 + 1) / 64
    assert found["atomics.device"] == 1 / 64
    assert not {"device.bytes_read", "threadgroup.bytes_written", "instructions.memory"} & set(
        found
    )


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "twice.h").write_text("inline float twice(float x)\n{\n    return x * 2.0f;\n}\n")
    shader = tmp_path / "shader.metal"
    shader.write_text(
        HEAD
        + """#include "twice.h"
        kernel void f(device const float* x, device float* out, uint i [[thread_position_in_grid]])
        {
            const float a = exp2(x[i]);
            if (a > 2.0f) {
                out[i] = x[i + 64] + 1.0f;
            } else {
                out[i] = twice(x[i + 65])
                    - 3.0f;
            }
        }
        """
    )
    x = torch.tensor([0.0, 1, 2, 3]).repeat(33)
    kernel = emulator.compile(shader).function("f")
    report = kernel.launch([x, torch.zeros(64)], threadgroups=1, threads=64, count=True)
    lines = report.lines
    assert lines[6]["calls.exp2"] == 64
    assert lines[6]["device.bytes_read"] == 64 * 4
    assert lines[7] == {"instructions.compare": 64, "instructions.branch": 64}
    assert lines[8]["instructions.float"] == 32
    assert lines[11]["instructions.float"] == 32
    assert report.counts.by_line[str(tmp_path / "twice.h"), 3] == {"instructions.float": 32}
    for name, n in report.counts.items():
        if name not in ("threads", "simdgroups", "threadgroups"):
            assert n == sum(names.get(name, 0) for names in report.counts.by_line.values())

    text = report.listing()
    assert text.startswith("64 threads in 1 threadgroups; ")
    row = next(row for row in text.splitlines() if "exp2(x[i])" in row)
    assert row.split()[1] == "64*"  # of the calls
    assert "return x * 2.0f" in text
    assert "#include" not in text

    # The cache must not remember another file's lines.
    shader.write_text("// one line more\n" + shader.read_text())
    kernel = emulator.compile(shader).function("f")
    report = kernel.launch([x, torch.zeros(64)], threadgroups=1, threads=64, count=True)
    assert report.lines[7] == lines[6]


def test_a_launch_that_does_not_count() -> None:
    kernel = emulator.compile(f"{HEAD}kernel void f(device int* x) {{}}").function("f")
    x = torch.zeros(1, dtype=torch.int32)
    report = kernel.launch([x], threadgroups=1, threads=1)
    for ask in (lambda: report.counts, lambda: report.lines, report.listing):
        with pytest.raises(emulator.EmulatorError, match=r"launch\(\.\.\., count=True\)"):
            ask()


def attention(n: int, mask: str, **options: Any) -> tuple[emulator.Report, dict[str, Any]]:
    """A generated kernel's launch, and its row of the manifest."""
    heads, head_dim = 2, 64
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, n, heads, head_dim).half() for _ in range(3))
    tensors = {"q": q, "k": k, "v": v, "out": torch.empty_like(q)}
    tensors["lse"] = torch.empty(1, heads, n)
    strides = q.stride()[:3]
    request = Request(
        dtype="float16", head_dim=head_dim, heads=heads, kv_heads=heads, batch=1, q_len=n, k_len=n,
        packed=False, q_strides=strides, k_strides=strides, v_strides=strides, out_strides=strides,
        softmax_scale=head_dim**-0.5, causal=mask == "causal",
    )  # fmt: skip
    (plan,) = plan_prefill(request).launches
    manifest = json.loads((ROOT / "generated" / "manifest.json").read_text())
    variant = next(row for row in manifest if row["name"] == plan.kernel)
    assert variant["mask"] == mask
    return launcher.launch(plan, tensors, **options), variant


def test_counts_do_not_depend_on_workers_or_schedule() -> None:
    first, _ = attention(200, "causal", count=True)
    for options in ({}, {"workers": 1}, {"workers": 2}, {"schedule": 1}, {"schedule": 12345}):
        again, _ = attention(200, "causal", count=True, **options)
        assert again.counts == first.counts
        assert again.counts.by_line == first.counts.by_line


@pytest.mark.parametrize("n", [64, 200])
def test_attention_with_full_mask(n: int) -> None:
    report, variant = attention(n, "full", count=True)
    heads, head_dim = 2, 64
    q_blocks, k_blocks = math.ceil(n / variant["block_q"]), math.ceil(n / variant["block_k"])
    # Q K^T and P V, in fragments of 8 x 8 x 8, of whole blocks.
    fragments = variant["block_q"] // 8 * (variant["block_k"] // 8) * (head_dim // 8)
    products = 2 * heads * q_blocks * k_blocks * fragments
    assert report.counts["products.half*half+float"] == products
    # Every block of queries reads all of K and V, and Q once; besides, the launch has a few numbers.
    bytes_of = {
        name: sum(
            names.get("device.bytes_read", 0)
            for line, names in report.lines.items()
            if text in (ROOT / "generated" / variant["file"]).read_text().splitlines()[line - 1]
        )
        for name, text in {
            "k and v": "packed_element4*)",
            "q": "= exists ? source[i]",
        }.items()
    }
    assert bytes_of == {
        "k and v": 2 * heads * q_blocks * n * head_dim * 2,
        "q": heads * n * head_dim * 2,
    }
    written = report.counts["device.bytes_written"]
    assert written == heads * n * (head_dim * 2 + 4)  # rows of fp16, and their log-sum-exp
    # One for each weight; and, where a maximum rises, as it does in the first block, one for each row
    # in each of the four lanes that hold it.
    weights = heads * q_blocks * k_blocks * variant["block_q"] * variant["block_k"]
    rises = (report.counts["calls.exp2"] - weights) / (4 * heads * q_blocks * variant["block_q"])
    assert 1 <= rises <= k_blocks
    # What has no line is done once by each thread, some dozens of instructions of hundreds: a block of
    # keys alone takes more.  The emulator's own work, which clang moves about, is not in it.
    lost = report.counts.by_line[("", 0)]
    instructions = sum(n for name, n in lost.items() if name.startswith("instructions."))
    assert instructions < 64 * report.counts["threads"]


@pytest.mark.parametrize(
    "body",
    [
        "out[i] = exp2(x[i]) / 3.0f + simd_sum(x[i]) * tanh(x[i]);",
        # clang's IR of this is not valid as it stands
        "bool4 m; for (int k = 0; k < 4; ++k) { m[k] = flags[i + k]; } out[i] = m[i % 4] ? x[i] : 1.0f;",
    ],
)
def test_counting_changes_no_result(body: str) -> None:
    parameters = "device const float* x, device float* out, device const bool* flags"
    source = f"{HEAD}kernel void f({parameters}, uint i [[thread_position_in_grid]]) {{ {body} }}"
    kernel = emulator.compile(source).function("f")
    x, out, again = torch.randn(128), torch.zeros(128), torch.zeros(128)
    flags = torch.rand(131) < 0.5
    kernel.launch([x, out, flags], threadgroups=2, threads=64)
    kernel.launch([x, again, flags], threadgroups=2, threads=64, count=True)
    assert torch.equal(out, again)


# What runs twice on the same memory counts and leaves something else.
TALLY = f"""{HEAD}
kernel void f(device int* x, device int* sparse, device atomic_int* total, constant int& n,
              uint i [[thread_position_in_grid]]) {{
    if (x[i] < n) {{
        x[i] += 5;
        sparse[2 * i] += 1;
    }}
    atomic_fetch_add_explicit(total, x[i], memory_order_relaxed);
}}
"""


def tally(n: int = 40, **options: Any) -> tuple[emulator.Report, torch.Tensor]:
    """A launch of this program, and all that it may write; `total` lies in `sparse`, too."""
    kernel = emulator.compile(TALLY).function("f")
    x, memory = torch.arange(64, dtype=torch.int32), torch.zeros(128, dtype=torch.int32)
    report = kernel.launch([x, memory[:127:2], memory[127:], n], 2, 32, **options)
    return report, torch.cat([x, memory])


@pytest.mark.parametrize("options", [{}, {"schedule": 7}, {"workers": 1}])
def test_a_launch_that_checks_and_counts_leaves_what_one_launch_does(options: Any) -> None:
    _, want = tally(**options)
    alone, _ = tally(count=True, **options)
    both, got = tally(check=True, count=True, **options)
    assert torch.equal(got, want)
    assert both.counts == alone.counts
    assert both.counts.by_line == alone.counts.by_line
    assert both.counts["atomics.device"] == 64


def test_checked_attention_counts_the_same() -> None:
    alone, _ = attention(40, "causal", count=True)
    both, _ = attention(40, "causal", count=True, check=True)
    assert both.counts == alone.counts
    assert both.counts.by_line == alone.counts.by_line


def test_what_the_checks_find_ends_a_launch_that_counts() -> None:
    source = (
        f"{HEAD}kernel void f(device int* x, uint i [[thread_position_in_grid]]) {{ x[0] = i; }}"
    )
    kernel = emulator.compile(source).function("f")
    x = torch.zeros(1, dtype=torch.int32)
    kernel.launch([x], threadgroups=1, threads=64, count=True)
    with pytest.raises(emulator.RaceError, match="data race on 4 bytes of x"):
        kernel.launch([x], threadgroups=1, threads=64, check=True, count=True)


def test_numbers_in_a_listing() -> None:
    line = ("x.metal", 1)
    counts = Counts({"threads": 1, "threadgroups": 1}, {line: {"instructions.int": 123456}})
    assert "123.5k*" in emulator.counting.counts.listing(counts, {"x.metal": "int x;"})


@pytest.mark.parametrize(("check", "counts"), [(False, False), (True, False), (False, True)])
def test_a_launch_compiles_only_the_build_that_it_runs(
    check: bool, counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    kernel = emulator.compile(
        HEAD + "kernel void f(device float* x [[buffer(0)]]) { x[0] = 1.0f; }"
    ).function("f")
    out = torch.zeros(1)
    kernel.launch([out], threadgroups=1, threads=1, check=check, count=counts)
    assert out.item() == 1.0
    assert len(list((tmp_path / "kernels").glob("*.so"))) == 1
