"""Metal's types: how they lie in memory, how they are made, and what converts into what.

Each test is one kernel with many results, so that the whole compiles in seconds.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import emulator
from tests.emulator.values import FLOATS, HEADER, SCALARS, SIZES, rounded, run, tensor

pytestmark = pytest.mark.usefixtures("executor")


def test_sizes_and_alignments_of_all_vectors() -> None:
    expected, lines = [], []
    for kind, n in itertools.product(SCALARS[1:], (2, 3, 4)):  # bool: see README's limits
        size = SIZES[kind] * (4 if n == 3 else n)
        names = [(f"{kind}{n}", size, size), (f"vec<{kind}, {n}>", size, size)]
        names.append((f"packed_{kind}{n}", SIZES[kind] * n, SIZES[kind]))
        for name, bytes_, alignment in names:
            expected += [bytes_, alignment]
            lines += [f"sizeof({name})", f"alignof({name})"]
    body = "".join(f"out[{k}] = {line};\n" for k, line in enumerate(lines))
    out = np.zeros(len(lines), np.uint32)
    run(f"kernel void test(device uint* out [[buffer(0)]]) {{ {body} }}", out)
    assert dict(zip(lines, out.tolist(), strict=True)) == dict(zip(lines, expected, strict=True))


def test_structs_lie_in_memory_as_metal_lays_them_out() -> None:
    """Each member is at the next multiple of its alignment, packed ones at their element's."""
    layout = np.dtype({
        "names": ["a", "v", "p", "h", "m", "q", "e"],
        "formats": ["u1", ("f4", 3), ("f4", 3), ("f2", 3), "f4", ("u1", 3), "i8"],
        "offsets": [0, 16, 32, 44, 64, 68, 72],
        "itemsize": 80,
    })  # fmt: skip
    x, out = np.zeros(2, layout), np.zeros(8, np.float32)
    x[1] = (1, (2, 3, 4), (5, 6, 7), (8, 9, 10), 11, (12, 13, 14), 15)
    run(
        """
        struct Part {
            uchar a; float3 v; packed_float3 p; packed_half3 h; alignas(32) float m;
            packed_uchar3 q; long e;
        };
        static_assert(alignof(Part) == 32 && sizeof(Part) == 96, "");
        struct Unaligned { uchar a; float3 v; packed_float3 p; packed_half3 h; float pad[3]; float m;
                           packed_uchar3 q; long e; };
        static_assert(sizeof(Unaligned) == 80 && alignof(Unaligned) == 16, "");
        kernel void test(device Unaligned* x [[buffer(0)]], device float* out [[buffer(1)]])
        {
            device Unaligned& s = x[1];
            out[0] = s.a; out[1] = s.v.z; out[2] = s.p.y + s.p[2]; out[3] = s.h.z; out[4] = s.m;
            out[5] = s.q.x; out[6] = s.e;
            s.p = s.v * 2.0f; s.p.x += 1; s.h = half3(float3(s.p)); s.q = packed_uchar3(1, 2, 3);
        }""",
        x,
        out,
    )
    assert out.tolist()[:7] == [1, 4, 13, 10, 11, 12, 15]
    assert x["p"][1].tolist() == [5, 6, 8] == x["h"][1].tolist()
    assert x["q"][1].tolist() == [1, 2, 3]
    assert x[0].tobytes() == bytes(80)


VALUES: dict[str, list[float]] = {
    "bool": [0, 1, 1, 0, 1, 0], "char": [-128, -1, 0, 1, 100, 127],
    "uchar": [0, 1, 2, 128, 200, 255], "short": [-32768, -300, -1, 0, 300, 32767],
    "ushort": [0, 1, 300, 32768, 60000, 65535], "int": [-(2**31), -70000, -1, 0, 70000, 2**31 - 1],
    "uint": [0, 1, 70000, 2**31, 2**32 - 256, 2**32 - 1],
    "long": [-(2**63), -(2**33), -1, 0, 2**33 + 5, 2**63 - 1],
    "ulong": [0, 1, 2**33 + 5, 2**63, 2**64 - 2**40, 2**64 - 1],
    "half": [0, 0.25, 1.5, 2.75, 99.5, 127], "bfloat": [0, 0.25, 1.5, 2.75, 99.5, 127],
    "float": [0, 0.1, 1.9999999, 2.75, 99.99, 127.5],
}  # fmt: skip


def converted(value: float, source: str, target: str) -> float:
    """What a value of one type is in another."""
    exact = (
        Fraction(float(tensor([value], source)[0])) if source in FLOATS else Fraction(int(value))
    )
    if target == "bool":
        return float(exact != 0)
    if target in FLOATS:
        result = rounded(exact, target)
        return (
            math.copysign(math.inf, result) if target == "half" and abs(result) > 65504 else result
        )
    bits = 8 * SIZES[target]
    low = 0 if target.startswith("u") else 1 << (bits - 1)
    return (math.trunc(exact) + low) % (1 << bits) - low


def test_every_conversion_between_scalars_and_between_vectors() -> None:
    ways = ["B(x[0])", "(B)x[0]", "static_cast<B>(x[0])"]
    vector = ["vec<B, 3>(v)", "(vec<B, 3>)v", "static_cast<vec<B, 3>>(v)"]
    results = "".join(f"*out++ = {way};\n" for way in ways)
    results += "".join(f"*out++ = ({way})[1];\n" for way in vector)
    # Implicit, and through types that only the template knows.
    results += "assign(*out++, x[0]); *out++ = through<B>(x[0]);"
    results += "*out++ = through<vec<B, 3>>(v)[2];"
    count = len(ways) + len(vector) + 3
    calls = "".join(
        f"convert<{a}, {b}>(x{i}, out{j} + {count} * {i} * 6, n);\n"
        for i, a in enumerate(SCALARS)
        for j, b in enumerate(SCALARS)
    )
    parameters = [f"device const {a}* x{i} [[buffer({i})]]" for i, a in enumerate(SCALARS)]
    parameters += [f"device {b}* out{j} [[buffer({12 + j})]]" for j, b in enumerate(SCALARS)]
    ins = [tensor(VALUES[a], a) for a in SCALARS]
    outs = [tensor([0] * (12 * 6 * count), b) for b in SCALARS]
    run(
        f"""
        template <typename T, typename U> T through(U x) {{ return (T)static_cast<T>(T(x)); }}
        template <typename A, typename B> void assign(device B& to, A x) {{ to = x; }}
        void assign(device half& to, bfloat x) {{ to = half(x); }}  // clang asks for these casts
        void assign(device bfloat& to, half x) {{ to = bfloat(x); }}
        template <typename A, typename B>
        void convert(device const A* x, device B* out, uint n)
        {{
            x += n; out += {count} * n;
            const vec<A, 3> v = vec<A, 3>(x[0]);
            {results}
        }}
        kernel void test({", ".join(parameters)}, uint n [[thread_position_in_grid]])
        {{ {calls} }}""",
        *ins,
        *outs,
        threads=6,
    )
    for out, b in zip(outs, SCALARS, strict=True):
        got = np.asarray(out.double() if b in FLOATS else out).reshape(12, 6, count)
        for i, a in enumerate(SCALARS):
            for k, value in enumerate(VALUES[a]):
                assert set(got[i, k].tolist()) == {converted(value, a, b)}, (a, b, value)


def test_constructors_and_swizzles_of_every_type() -> None:
    """Element k of the vector v is k + 1; the first characters of a name are elements 0 to 3."""
    parts = [
        p
        for n in (2, 3, 4)
        for k in range(1, n + 1)
        for p in itertools.product((1, 2, 3, 4), repeat=k)
        if sum(p) == n
    ]
    expected: list[float] = []
    lines: list[str] = []
    for part in parts:
        n, at, arguments = sum(part), 0, []
        for width in part:
            elements = ", ".join(f"T({at + j + 1})" for j in range(width))
            arguments.append(elements if width == 1 else f"vec<T, {width}>({elements})")
            at += width
        lines += [f"vec<T, {n}>({', '.join(arguments)})[{k}]" for k in range(n)]
        expected += range(1, n + 1)
    for letters in ("xyzw", "rgba"):
        for read in [*itertools.product(range(4), repeat=2), (3, 2, 1, 0), (0, 0, 3), (1, 3, 1, 3)]:
            name = "".join(letters[k] for k in read)
            lines += [f"v.{name}[{k}]" for k in range(len(read))]
            expected += [k + 1 for k in read]
    writes = list(itertools.permutations(range(4), 2)) + list(itertools.permutations(range(4), 3))
    body = "".join(f"*out++ = float({line});\n" for line in lines)
    for write in writes:
        values = ", ".join(f"T({10 * k + 10})" for k in range(len(write)))
        name = "".join("xyzw"[k] for k in write)
        body += f"{{ vec<T, 4> w = v; w.{name} = vec<T, {len(write)}>({values}); "
        body += "for (int k = 0; k < 4; ++k) *out++ = float(w[k]); }\n"
        expected += [10 * write.index(k) + 10 if k in write else k + 1 for k in range(4)]
    body += "vec<T, 4> w = v; w.y = T(50); w[2] = w.x; w.xw += T(3); w.zy = w.yz;"
    body += "for (int k = 0; k < 4; ++k) *out++ = float(w[k]);"
    expected += [4, 1, 50, 7]
    kinds = [kind for kind in SCALARS if kind != "bool"]
    out = np.zeros((len(kinds), len(expected)), np.float32)
    calls = "".join(f"check<{kind}>(out + {len(expected)} * {i});" for i, kind in enumerate(kinds))
    run(
        f"""
        template <typename T> void check(device float* out)
        {{ const vec<T, 4> v = vec<T, 4>(T(1), T(2), T(3), T(4)); {body} }}
        kernel void test(device float* out [[buffer(0)]]) {{ {calls} }}""",
        out,
    )
    for kind, row in zip(kinds, out, strict=True):
        assert row.tolist() == expected, kind


def test_vectors_of_bool() -> None:
    out = np.zeros(8, np.int32)
    run(
        """
        kernel void test(device int* out [[buffer(0)]], constant float4& x [[buffer(1)]])
        {
            const bool4 m = x < float4(2.5), all_set = true;
            const bool2 h = bool2(true, false);
            out[0] = m[0] + 2 * m[1] + 4 * m[2] + 8 * m[3];
            out[1] = any(m) + 2 * all(m) + 4 * all(m | !m) + 8 * any(m & !m);
            out[2] = dot(select(float4(1), float4(10), m), float4(1));
            out[3] = int4(m).y + int(all(all_set)) + h[0] + h[1];
            out[4] = any(x == 2.0) + 2 * all(x != x) + 4 * all(bool2(m[0], m[1]));
            out[5] = dot(select(x, 0.0f - x, x > 2.0f), float4(1));
            out[6] = select(int3(1, 2, 3), int3(4, 5, 6), bool3(0, 1, 0)).y;
        }""",
        out,
        np.array([1, 2, 3, 4], np.float32),
    )
    assert out.tolist() == [3, 1 + 4, 22, 1 + 1 + 1, 1 + 4, 1 + 2 - 3 - 4, 5, 0]


def test_as_type_keeps_the_bits() -> None:
    pairs = [
        (a, b, n, m)
        for a, b in itertools.product([s for s in SCALARS if s != "bool"], repeat=2)
        for n, m in itertools.product((1, 2, 4), repeat=2)
        if SIZES[a] * n == SIZES[b] * m
    ]
    lines = "".join(
        f"copy<{a}{n if n > 1 else ''}, {b}{m if m > 1 else ''}>(x, out + {32 * k});\n"
        for k, (a, b, n, m) in enumerate(pairs)
    )
    x = torch.randint(256, (32,), dtype=torch.uint8)  # torch's memory is aligned for any vector
    out = torch.zeros(len(pairs), 32, dtype=torch.uint8)
    run(
        f"""
        template <typename A, typename B> void copy(device const uchar* x, device uchar* out)
        {{ *(device B*)out = as_type<B>(*(device const A*)x); }}
        kernel void test(device const uchar* x [[buffer(0)]], device uchar* out [[buffer(1)]])
        {{ {lines} }}""",
        x,
        out,
    )
    for (a, _, n, _), row in zip(pairs, out, strict=True):
        size = SIZES[a] * n
        assert torch.equal(row[:size], x[:size])
        assert not row[size:].any()


def test_packed_vectors_of_3_bring_no_newer_cpp() -> None:
    source = (
        HEADER
        + """
    template <typename T> T twice(T x) { if constexpr (sizeof(T) > 2) { return x + x; } return x; }
    kernel void test(device packed_float3* x [[buffer(0)]]) { x[0] = x[0] * twice(2.0f); }"""
    )
    with pytest.raises(emulator.CompileError, match="constexpr if"):
        emulator.compile(source).function("test").load()
    x = np.array([1, 2, 3], np.float32)
    kernel = emulator.compile(source, extensions=True).function("test")
    kernel.launch([x], threadgroups=1, threads=1)
    kernel.launch([x], threadgroups=1, threads=1, check=True)
    kernel.launch([x], threadgroups=1, threads=1, count=True)
    assert x.tolist() == [64, 128, 192]
