"""Metal's types and the functions on them, all of them, against Python's own arithmetic.

Each test is one kernel with many results, so that the whole compiles in seconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import emulator

HEADER = "#include <metal_stdlib>\nusing namespace metal;\n"
INTEGERS: dict[str, Any] = {
    "char": np.int8, "uchar": np.uint8, "short": np.int16, "ushort": np.uint16,
    "int": np.int32, "uint": np.uint32, "long": np.int64, "ulong": np.uint64,
}  # fmt: skip
FLOATS = {"half": torch.float16, "bfloat": torch.bfloat16, "float": torch.float32}
DIGITS = {"half": (11, -24), "bfloat": (8, -133), "float": (24, -149)}  # and the least exponent
SCALARS = ["bool", *INTEGERS, *FLOATS]
SIZES: dict[str, int] = {"bool": 1, "half": 2, "bfloat": 2, "float": 4} | {
    name: np.dtype(kind).itemsize for name, kind in INTEGERS.items()
}


def run(source: str, *args: Any, threads: int = 1, threadgroups: int = 1) -> None:
    kernel = emulator.compile(HEADER + source).function("test")
    kernel.launch(list(args), threadgroups=threadgroups, threads=threads)


def rounded(x: Fraction, kind: str) -> float:
    """The nearest number of a type, ties to even."""
    digits, least = DIGITS[kind]
    if x == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(x)))
    exponent += (abs(x) >= Fraction(2) ** (exponent + 1)) - (abs(x) < Fraction(2) ** exponent)
    step = Fraction(2) ** max(exponent - digits + 1, least)
    return float(round(x / step) * step)


def tensor(values: Any, kind: str) -> Any:
    if kind in FLOATS:
        return torch.tensor(values, dtype=torch.float64).to(FLOATS[kind])
    return np.array(values, np.bool_ if kind == "bool" else INTEGERS[kind])


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


def wrapped(value: int, kind: str) -> int:
    bits = 8 * SIZES[kind]
    low = 0 if kind.startswith("u") else 1 << (bits - 1)
    return (value + low) % (1 << bits) - low


def saturated(value: int, kind: str) -> int:
    info = np.iinfo(INTEGERS[kind])
    return min(max(value, int(info.min)), int(info.max))


def integer_functions(kind: str, x: int, y: int, z: int) -> dict[str, int]:
    """What each call gives, by definition; results are compared modulo their size."""
    bits = 8 * SIZES[kind]
    ux = x % 2**bits
    turn = y % bits
    field = (ux >> 2) & 31
    signed = field - 32 if kind[0] != "u" and field & 16 else field
    return {
        "abs(x)": abs(x), "absdiff(x, y)": abs(x - y), "addsat(x, y)": saturated(x + y, kind),
        "subsat(x, y)": saturated(x - y, kind), "hadd(x, y)": (x + y) >> 1,
        "rhadd(x, y)": (x + y + 1) >> 1, "mulhi(x, y)": x * y >> bits,
        "madhi(x, y, z)": (x * y >> bits) + z, "madsat(x, y, z)": saturated(x * y + z, kind),
        "mad(x, y, z)": x * y + z, "popcount(x)": ux.bit_count(),
        "clz(x)": bits - ux.bit_length(), "ctz(x)": (ux & -ux).bit_length() - 1 if ux else bits,
        "rotate(x, y)": ux << turn | ux >> (bits - turn),
        "reverse_bits(x)": int(f"{ux:0{bits}b}"[::-1], 2), "min(x, y)": min(x, y),
        "max(x, y)": max(x, y), "clamp(x, T(2), T(100))": min(max(x, 2), 100),
        "min3(x, y, z)": min(x, y, z), "max3(x, y, z)": max(x, y, z),
        "median3(x, y, z)": sorted((x, y, z))[1], "select(x, y, z > T(1))": y if z > 1 else x,
        "extract_bits(x, 2, 5)": signed,
        "insert_bits(x, y, 2, 5)": (ux & ~(31 << 2)) | (y % 32) << 2,
        "T(x & y) ^ T(x | ~z)": (x & y) ^ (x | ~z),
    }  # fmt: skip


def test_integer_functions_of_every_type() -> None:
    rng = np.random.default_rng(0)
    inputs = {}
    for kind, dtype in INTEGERS.items():
        info = np.iinfo(dtype)
        edges = [int(info.min), int(info.max), 0, 1, 2, int(info.max) - 1, int(info.min) + 1]
        triples = list(itertools.product(edges[:4], repeat=3))
        triples += [tuple(edges[k] for k in rng.integers(0, len(edges), 3)) for _ in range(32)]
        triples += [tuple(rng.integers(info.min, info.max, 3, dtype).tolist()) for _ in range(160)]
        inputs[kind] = np.array(triples, dtype)
    names = list(integer_functions("int", 0, 0, 0))
    count = len(inputs["int"])
    body = "".join(f"out[{k}] = {name};\n" for k, name in enumerate(names))
    body += f"out += {len(names)};\n"
    # As vectors, of which one element is looked at.
    vectors = [name for name in names if "select" not in name and "^" not in name]
    body += "".join(
        f"out[{k}] = ({name.replace('(x', '(vec<T, 3>(x)').replace('T(2), T(100)', '2, 100')})[1];\n"
        for k, name in enumerate(vectors)
    )
    total = len(names) + len(vectors)
    calls = "".join(
        f"check<{kind}>(x{i}, out{i} + i * {total}, i);" for i, kind in enumerate(INTEGERS)
    )
    parameters = [f"device const {kind}* x{i} [[buffer({i})]]" for i, kind in enumerate(INTEGERS)]
    parameters += [f"device {kind}* out{i} [[buffer({8 + i})]]" for i, kind in enumerate(INTEGERS)]
    outs = [np.zeros((count, total), dtype) for dtype in INTEGERS.values()]
    run(
        f"""
        template <typename T> void check(device const T* x_, device T* out, uint i)
        {{ const T x = x_[3 * i], y = x_[3 * i + 1], z = x_[3 * i + 2]; {body} }}
        kernel void test({", ".join(parameters)}, uint i [[thread_position_in_grid]]) {{ {calls} }}""",
        *inputs.values(),
        *outs,
        threads=count,
    )
    for kind, out in zip(INTEGERS, outs, strict=True):
        for triple, row in zip(inputs[kind].tolist(), out.tolist(), strict=True):
            expected = integer_functions(kind, *triple)
            values = [wrapped(v, kind) for v in expected.values()]
            values += [wrapped(expected[name], kind) for name in vectors]
            got = dict(zip([*names, *(f"vector {v}" for v in vectors)], row, strict=True))
            assert list(got.values()) == values, (kind, triple, got)


def neighbour(x: float, kind: str, up: bool) -> float:
    """The next number of a type, from its digits."""
    digits, least = DIGITS[kind]
    exponent = max(math.frexp(x)[1] - digits, least) if x else least
    step = 2.0**exponent
    if abs(x) == 2.0 ** (exponent + digits - 1) and (x > 0) != up and exponent > least:
        step /= 2
    return x + step if up else x - step


@pytest.mark.parametrize("kind", FLOATS)
def test_float_functions_of_every_type(kind: str) -> None:
    rng = np.random.default_rng(0)
    special = [0.0, 1.0, -1.0, 2.0**-14, 2.0**-24, 1.5, -2.5, 1000.0, 0.3, 2.0**-16]
    columns = np.concatenate([
        np.array(list(itertools.product(special, repeat=3))),
        rng.normal(size=(2000, 3)) * 2.0 ** rng.integers(-10, 5, (2000, 3)),
        # c next to a tie of a * b
        [(1 + 2.0 ** -(DIGITS[kind][0] - 1), 1 + 2.0 ** -(DIGITS[kind][0] - 1), s * 2.0**-24)
         for s in (1, -1)],
    ])  # fmt: skip
    x = torch.tensor(columns).to(FLOATS[kind])
    names = [
        "fma(a, b, c)", "mad(a, b, c)", "min3(a, b, c)", "max3(a, b, c)", "median3(a, b, c)",
        "fmedian3(a, b, c)", "clamp(a, T(-1), T(1))", "nextafter(a, b)", "ldexp(a, 3)",
        "frexp(a, e)", "T(e)", "modf(a, whole)", "whole", "sign(a)", "step(a, b)", "saturate(a)",
        "copysign(a, b)", "fdim(a, b)", "round(a)", "rint(a)", "floor(a)", "ceil(a)", "trunc(a)",
        "T(isnormal(a))", "T(signbit(a))", "fmod(a, b)", "T(isunordered(a, b / T(0) * T(0)))",
        "precise::fma(a, b, c)", "fast::fmax(a, b)", "abs(a)", "fmin(a, b)",
    ]  # fmt: skip
    vectors = ["fma(v, b, c)", "nextafter(v, vec<T, 2>(b))", "clamp(v, T(-1), T(1))", "fmax(v, b)"]
    body = "".join(f"o[{k}] = {name};\n" for k, name in enumerate(names))
    body += "".join(f"o[{len(names) + k}] = ({name})[1];\n" for k, name in enumerate(vectors))
    total = len(names) + len(vectors)
    out = torch.zeros(len(x), total, dtype=FLOATS[kind])
    run(
        f"""
        typedef {kind} T;
        kernel void test(device const T* x [[buffer(0)]], device T* out [[buffer(1)]],
                         uint i [[thread_position_in_grid]])
        {{
            if (i >= {len(x)}) return;
            const T a = x[3 * i], b = x[3 * i + 1], c = x[3 * i + 2];
            const vec<T, 2> v = vec<T, 2>(b, a);
            device T* o = out + {total} * i;
            int e; T whole;
            {body}
        }}""",
        x,
        out,
        threads=256,
        threadgroups=-(-len(x) // 256),
    )
    names = [*names, *vectors]
    least_normal = 2.0 ** (DIGITS[kind][1] + DIGITS[kind][0] - 1)
    for (a, b, c), row in zip(x.double().tolist(), out.double().tolist(), strict=True):
        got = dict(zip(names, row, strict=True))
        fused = rounded(Fraction(a) * Fraction(b) + Fraction(c), kind)
        mantissa, exponent = math.frexp(a)
        median, limited = sorted((a, b, c))[1], min(max(a, -1.0), 1.0)
        following = a if a == b else neighbour(a, kind, b > a)
        away = math.copysign(math.floor(abs(a) + 0.5), a)
        expected = {
            "fma(a, b, c)": fused, "mad(a, b, c)": fused, "precise::fma(a, b, c)": fused,
            "min3(a, b, c)": min(a, b, c), "max3(a, b, c)": max(a, b, c),
            "median3(a, b, c)": median, "fmedian3(a, b, c)": median,
            "clamp(a, T(-1), T(1))": limited, "nextafter(a, b)": following,
            "ldexp(a, 3)": rounded(Fraction(a) * 8, kind), "frexp(a, e)": mantissa,
            "T(e)": exponent, "modf(a, whole)": math.modf(a)[0], "whole": math.modf(a)[1],
            "sign(a)": (a > 0) - (a < 0), "step(a, b)": float(b >= a),
            "saturate(a)": min(max(a, 0.0), 1.0), "copysign(a, b)": math.copysign(a, b),
            "fdim(a, b)": rounded(max(Fraction(a) - Fraction(b), Fraction(0)), kind),
            "round(a)": away, "rint(a)": round(a), "floor(a)": math.floor(a),
            "ceil(a)": math.ceil(a), "trunc(a)": math.trunc(a),
            "T(isnormal(a))": float(abs(a) >= least_normal),
            "T(signbit(a))": float(math.copysign(1, a) < 0),
            "fmod(a, b)": math.fmod(a, b) if b else math.nan,
            "T(isunordered(a, b / T(0) * T(0)))": 1.0, "fast::fmax(a, b)": max(a, b),
            "abs(a)": abs(a), "fmin(a, b)": min(a, b), "fma(v, b, c)": fused,
            "nextafter(v, vec<T, 2>(b))": following, "clamp(v, T(-1), T(1))": limited,
            "fmax(v, b)": max(a, b),
        }  # fmt: skip
        # A sum that just overflows half, and what the type cannot hold, are infinite.
        most = torch.finfo(FLOATS[kind]).max
        for name, value in expected.items():
            wanted = math.copysign(math.inf, value) if abs(value) > most else float(value)
            assert got[name] == wanted or (wanted != wanted and got[name] != got[name]), (
                name, (a, b, c), got[name], wanted,
            )  # fmt: skip


def test_geometric_functions_and_scalars_in_the_place_of_vectors() -> None:
    x, y = np.array([1.0, -2, 3]), np.array([0.5, 4, -1])
    unit = y / np.linalg.norm(y)
    along = unit @ x
    k = 1 - 0.25 * (1 - (unit @ (x / np.linalg.norm(x))) ** 2)
    i = x / np.linalg.norm(x)
    cases = {
        "float3(dot(x, y))": np.full(3, x @ y), "cross(x, y)": np.cross(x, y),
        "float3(length(x), length_squared(x), distance(x, y))":
            [np.linalg.norm(x), x @ x, np.linalg.norm(x - y)],
        "float3(distance_squared(x, y))": np.full(3, (x - y) @ (x - y)),
        "normalize(y)": unit, "reflect(x, normalize(y))": x - 2 * along * unit,
        "refract(normalize(x), normalize(y), 0.5f)": 0.5 * i - (0.5 * (unit @ i) + k**0.5) * unit,
        "faceforward(x, y, x)": x if x @ y < 0 else -x,
        "max(x, 0)": np.maximum(x, 0), "min(0.5, x)": np.minimum(x, 0.5),
        "mix(x, y, 0.25)": x + (y - x) * 0.25, "clamp(x, -1, 1)": np.clip(x, -1, 1),
        "clamp(x, y, 3)": np.minimum(np.maximum(x, y), 3), "pow(abs(x), 2)": x**2,
        "pow(2.0, x)": 2**x, "fmod(x, 2)": np.fmod(x, 2), "step(0, x)": np.where(x < 0, 0, 1),
        "smoothstep(-3, 3, x)": (lambda t: t * t * (3 - 2 * t))((x + 3) / 6),
        "sinpi(x + 0.25)": np.sin(np.pi * (x + 0.25)), "cospi(x)": np.cos(np.pi * x),
        "tanpi(x + 0.25)": np.tan(np.pi * (x + 0.25)), "ldexp(x, int3(1, 2, 3))": x * [2, 4, 8],
        "x * 2 + 1 - y / 2": x * 2 + 1 - y / 2, "float3(half3(x) * 2.0h)": x * 2,
        "float3(packed_float3(x) + packed_float3(y))": x + y,
    }  # fmt: skip
    body = "".join(f"out[{n}] = {case};\n" for n, case in enumerate(cases))
    out = np.zeros((len(cases), 4), np.float32)
    run(
        f"""
        kernel void test(constant packed_float3* in [[buffer(0)]], device float3* out [[buffer(1)]])
        {{ const float3 x = in[0], y = in[1]; {body} }}""",
        np.stack([x, y]).astype(np.float32),
        out,
    )
    for (case, expected), got in zip(cases.items(), out, strict=True):
        np.testing.assert_allclose(got[:3], expected, rtol=1e-6, atol=3e-7, err_msg=case)


@pytest.mark.parametrize("kind", ["float", "half"])
def test_packing_into_integers(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1.2, 1.2, (60, 4)), [[0, 1, -1, 0.5]]]).astype(np.float16)
    out = np.zeros((len(x), 4), np.uint32)
    back = np.zeros((len(x), 12), np.float32)
    run(
        f"""
        kernel void test(device const half4* x [[buffer(0)]], device uint* out [[buffer(1)]],
                         device float* back [[buffer(2)]], uint i [[thread_position_in_grid]])
        {{
            const {kind}4 v = {kind}4(x[i]);
            device uint* o = out + 4 * i;
            o[0] = pack_{kind}_to_unorm4x8(v);
            o[1] = pack_{kind}_to_snorm4x8(v);
            o[2] = pack_{kind}_to_unorm2x16(v.xy);
            o[3] = pack_{kind}_to_snorm2x16(v.xy);
            const float4 a = float4(unpack_unorm4x8_to_{kind}(o[0]));
            const float4 b = float4(unpack_snorm4x8_to_{kind}(o[1]));
            const float4 c = float4(float2(unpack_unorm2x16_to_{kind}(o[2])),
                                    float2(unpack_snorm2x16_to_{kind}(o[3])));
            for (int k = 0; k < 4; ++k) {{
                back[12 * i + k] = a[k]; back[12 * i + 4 + k] = b[k]; back[12 * i + 8 + k] = c[k];
            }}
        }}""",
        x,
        out,
        back,
        threads=len(x),
    )

    def fields(values: np.ndarray, bits: int, low: int) -> tuple[int, list[float]]:
        most = 2 ** (bits + low) - 1
        numbers = [int(np.rint(np.float32(np.clip(v, low, 1)) * np.float32(most))) for v in values]
        word = sum((n % 2**bits) << (bits * k) for k, n in enumerate(numbers))
        return word, [n / most for n in numbers]

    for row, words, values in zip(x, out.tolist(), back, strict=True):
        cases = [
            fields(row, 8, 0),
            fields(row, 8, -1),
            fields(row[:2], 16, 0),
            fields(row[:2], 16, -1),
        ]
        assert words == [word for word, _ in cases]
        expected = [value for _, numbers in cases for value in numbers]
        np.testing.assert_allclose(
            values, expected, rtol=5e-4 if kind == "half" else 1e-6, atol=1e-7
        )


ATOMICS: dict[str, tuple[str, Any]] = {
    "add": ("T(i + 1)", lambda n: sum(range(1, n + 1))),
    "sub": ("T(i + 1)", lambda n: -sum(range(1, n + 1))),
    "min": ("T(5) - T(i)", lambda n: min(0, 6 - n)),
    "max": ("T(i)", lambda n: n - 1),
    "or": ("T(1) << T(i % 7)", lambda n: 127),
    "xor": ("T(1) << T(i % 5)", lambda n: sum(((n + 4 - b) // 5 % 2) << b for b in range(5))),
    "and": ("~(T(1) << T(i % 4))", lambda n: 0),
}


@pytest.mark.parametrize("space", ["device", "threadgroup"])
@pytest.mark.parametrize("kind", ["int", "uint", "float"])
def test_every_atomic_operation(kind: str, space: str) -> None:
    """What all threads leave behind, and that each saw a value of its own."""
    names = ["add", "sub"] if kind == "float" else list(ATOMICS)
    if kind == "uint":
        names.remove("min")  # starts below all values: see int
    threads, groups = 64, 3 if space == "device" else 1
    n = threads * groups
    where = "out" if space == "device" else "mine"
    relaxed = "memory_order_relaxed"
    body = "".join(
        f"atomic_fetch_{name}_explicit(&{where}[{k}], {ATOMICS[name][0]}, {relaxed});\n"
        for k, name in enumerate(names)
    )
    out = tensor([0] * 12, kind)
    seen = tensor([-1 if kind != "uint" else 0] * (3 * n), kind)
    run(
        f"""
        typedef {kind} T;
        kernel void test(device atomic<T>* out [[buffer(0)]], device T* seen [[buffer(1)]],
                         uint i [[thread_position_in_grid]], uint t [[thread_index_in_threadgroup]])
        {{
            threadgroup atomic<T> mine[12];
            if (t < 12) atomic_store_explicit(&mine[t], T(0), {relaxed});
            threadgroup_barrier(mem_flags::mem_threadgroup);
            {body}
            seen[3 * i] = atomic_fetch_add_explicit(&{where}[9], T(1), {relaxed});
            T expected = atomic_load_explicit(&{where}[10], {relaxed});
            while (!atomic_compare_exchange_weak_explicit(
                &{where}[10], &expected, expected + T(1), {relaxed}, {relaxed})) {{}}
            seen[3 * i + 1] = expected;
            seen[3 * i + 2] = atomic_exchange_explicit(&{where}[11], T(i + 1), {relaxed});
            threadgroup_barrier(mem_flags::mem_threadgroup);
            if ({"false" if space == "device" else "t < 12"})
                atomic_store_explicit(&out[t], atomic_load_explicit(&mine[t], {relaxed}), {relaxed});
        }}""",
        out,
        seen,
        threads=threads,
        threadgroups=groups,
    )
    for k, name in enumerate(names):
        assert (
            out[k] == wrapped(ATOMICS[name][1](n), kind) if kind != "float" else ATOMICS[name][1](n)
        )
    assert out[9] == out[10] == n
    rows = np.asarray(seen).reshape(n, 3)
    assert sorted(rows[:, 0].tolist()) == sorted(rows[:, 1].tolist()) == list(range(n))
    # Every value but the last was taken out by someone.
    assert sorted([*rows[:, 2].tolist(), float(out[11])]) == list(range(n + 1))


def test_what_lanes_of_a_quad_tell_each_other() -> None:
    cases: dict[str, Callable[[int], float]] = {
        "quad_shuffle(x, 3 - q)": lambda i: i ^ 3,
        "quad_shuffle_up(x, 1)": lambda i: i - 1 if i % 4 else i,
        "quad_shuffle_down(x, 2)": lambda i: i + 2 if i % 4 < 2 else i,
        "quad_shuffle_xor(x, 2)": lambda i: i ^ 2,
        "quad_shuffle_rotate_up(x, 1)": lambda i: i // 4 * 4 + (i - 1) % 4,
        "quad_shuffle_rotate_down(x, 3)": lambda i: i // 4 * 4 + (i + 3) % 4,
        "quad_shuffle_and_fill_up(x, T(x + T(1)), 1)": lambda i: i - 1 if i % 4 else i + 4,
        "quad_shuffle_and_fill_down(x, T(x + T(1)), 1)": lambda i: i + 1 if i % 4 < 3 else i - 2,
        "quad_broadcast(x, 1)": lambda i: i // 4 * 4 + 1,
        "quad_broadcast_first(x)": lambda i: i // 4 * 4,
        "quad_sum(T(q))": lambda i: 6, "quad_product(T(q + 1))": lambda i: 24,
        "quad_min(x)": lambda i: i // 4 * 4, "quad_max(x)": lambda i: i // 4 * 4 + 3,
        "quad_prefix_inclusive_sum(T(q))": lambda i: [0, 1, 3, 6][i % 4],
        "quad_prefix_exclusive_sum(T(q))": lambda i: [0, 0, 1, 3][i % 4],
        "quad_prefix_inclusive_product(T(q + 1))": lambda i: [1, 2, 6, 24][i % 4],
        "quad_prefix_exclusive_product(T(q + 1))": lambda i: [1, 1, 2, 6][i % 4],
        "T(quad_all(i < 10))": lambda i: int(i < 8), "T(quad_any(i < 10))": lambda i: int(i < 12),
        "T(ushort(quad_ballot(i % 3 == 0)))":
            lambda i: sum(((i // 4 * 4 + k) % 3 == 0) << k for k in range(4)),
        "T(quad_is_first())": lambda i: int(i % 4 == 0),
        "T(ushort(quad_active_threads_mask()))": lambda i: 15,
        "simd_shuffle_and_fill_up(x, T(x + T(1)), 3)": lambda i: i - 3 if i >= 3 else i + 30,
        "simd_shuffle_and_fill_down(x, T(x + T(1)), 5, 8)":
            lambda i: i + 5 if i % 8 < 3 else i - 2,
        "simd_prefix_inclusive_product(T(i < 3 ? 2 : 1))": lambda i: 2 ** min(i + 1, 3),
        "simd_product(T(i % 16 ? 1 : 3))": lambda i: 9,
        "T(simd_is_first())": lambda i: int(i == 0),
    }  # fmt: skip
    integer: dict[str, Callable[[int], float]] = {
        "quad_and(x)": lambda i: i // 4 * 4, "quad_or(x)": lambda i: i // 4 * 4 + 3,
        "quad_xor(x)": lambda i: 0, "simd_and(T(x | T(64)))": lambda i: 64,
        "simd_or(x)": lambda i: 31, "simd_xor(T(x & T(1)))": lambda i: 0,
    }  # fmt: skip
    kinds = [kind for kind in SCALARS if kind != "bool"]
    lines = list(cases | integer)
    results = "".join(f"out[{32 * k}] = float({line});\n" for k, line in enumerate(cases))
    more = "".join(f"out[{32 * (len(cases) + k)}] = float({e});\n" for k, e in enumerate(integer))
    calls = "".join(
        f"check<{kind}>(out + {32 * len(lines) * k} + i, i);"
        + (
            f"check_integer<{kind}>(out + {32 * len(lines) * k} + i, i);"
            if kind in INTEGERS
            else ""
        )
        for k, kind in enumerate(kinds)
    )
    out = np.zeros((len(kinds), len(lines), 32), np.float32)
    run(
        f"""
        template <typename T> void check(device float* out, uint i)
        {{ const T x = T(i); const ushort q = i % 4; {results} }}
        template <typename T> void check_integer(device float* out, uint i)
        {{ const T x = T(i); {more} }}
        kernel void test(device float* out [[buffer(0)]], uint i [[thread_index_in_simdgroup]])
        {{ {calls} }}""",
        out,
        threads=32,
    )
    for kind, table in zip(kinds, out, strict=True):
        for line, row in zip(lines, table, strict=True):
            if line in cases or kind in INTEGERS:
                expected = [(cases | integer)[line](i) for i in range(32)]
                assert row.tolist() == expected, (kind, line)


def test_packed_vectors_of_3_bring_no_newer_cpp() -> None:
    source = (
        HEADER
        + """
    template <typename T> T twice(T x) { if constexpr (sizeof(T) > 2) { return x + x; } return x; }
    kernel void test(device packed_float3* x [[buffer(0)]]) { x[0] = x[0] * twice(2.0f); }"""
    )
    with pytest.raises(emulator.CompileError, match="constexpr if"):
        emulator.compile(source).function("test")
    x = np.array([1, 2, 3], np.float32)
    kernel = emulator.compile(source, extensions=True).function("test")
    kernel.launch([x], threadgroups=1, threads=1)
    kernel.launch([x], threadgroups=1, threads=1, check=True)
    kernel.launch([x], threadgroups=1, threads=1, count=True)
    assert x.tolist() == [64, 128, 192]
