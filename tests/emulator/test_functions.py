"""Metal's functions of one thread, all of them, against Python's own arithmetic.

Each test is one kernel with many results, so that the whole compiles in seconds.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.emulator.values import DIGITS, FLOATS, INTEGERS, SIZES, rounded, run, wrapped

pytestmark = pytest.mark.usefixtures("executor")


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
