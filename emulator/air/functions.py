"""The functions that AIR calls, in LLVM IR: air.* by name and type.

Those that need other threads, or are a matter of a GPU's own arithmetic, are in runtime.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CompileError

FMULADD = "air.fmuladd"  # in the place of llvm.fmuladd, which may round once or twice

RUNTIME = Path(__file__).parent / "runtime.cpp"
# What it has under AIR's own names, and the attributes of arguments that it knows.
IN_RUNTIME = {
    f"air.{name}" for name in re.findall(r'^AIR\(.*?, "(.*?)"', RUNTIME.read_text(), re.M)
}
BUILT_IN = set(re.findall(r"^AIR_BUILT_IN\((\w+)\)", RUNTIME.read_text(), re.MULTILINE))

# What every module gets.  A CPU without bfloat calls __truncsfbf2 to round to it: to nearest, ties
# to even, and a NaN stays one.
PRELUDE = """
declare ptr @air.buffer(i32)
declare i64 @air.matrix_offset(i64, i64, i64, i1 zeroext, i32) convergent
declare void @air.matrix_product(ptr, float, float, float, float) convergent

define hidden bfloat @__truncsfbf2(float %x) {
  %bits = bitcast float %x to i32
  %high = lshr i32 %bits, 16
  %odd = and i32 %high, 1
  %up = add i32 %odd, 32767
  %sum = add i32 %bits, %up
  %nearest = lshr i32 %sum, 16
  %quiet = or i32 %high, 64
  %nan = fcmp uno float %x, 0.0
  %chosen = select i1 %nan, i32 %quiet, i32 %nearest
  %short = trunc i32 %chosen to i16
  %result = bitcast i16 %short to bfloat
  ret bfloat %result
}
"""


@dataclass(frozen=True)
class Declaration:
    """A function that a module calls."""

    name: str
    result: str
    parameters: tuple[str, ...]

    def define(self, *body: str) -> str:
        """Its definition; the parameters are %0, %1 ..."""
        parameters = ", ".join(f"{t} %{i}" for i, t in enumerate(self.parameters))
        head = f"define internal {self.result} @{self.name}({parameters}) alwaysinline convergent"
        return "\n".join([head + " {", *(f"  {line}" for line in body), "}"])


def define(declared: Iterable[Declaration]) -> str:
    """Definitions of what can be said in IR, declarations of the rest.

    Raises CompileError naming a function that is not covered.
    """
    lines = "\n".join(_written(declared)).splitlines()
    # Two functions may call the same intrinsic, which is declared once.
    declarations = dict.fromkeys(line for line in lines if line.startswith("declare "))
    return "\n".join([PRELUDE, *declarations, *(x for x in lines if x not in declarations)])


def _written(declared: Iterable[Declaration]) -> Iterable[str]:
    for function in declared:
        if function.name in IN_RUNTIME:
            parameters = ", ".join(f"{t} zeroext" if t == "i16" else t for t in function.parameters)
            yield f"declare {function.result} @{function.name}({parameters}) convergent"
            continue
        for pattern, write in DEFINITIONS.items():
            match = re.fullmatch(pattern, function.name)
            if match:
                yield write(function, match)
                break
        else:
            raise CompileError(f"the kernel calls {function.name}, which is not covered")


def _fmuladd(f: Declaration, _: re.Match[str]) -> str:
    """Rounded twice, as the emulator compiles the source."""
    t = f.result
    return f.define(f"%p = fmul {t} %0, %1", f"%s = fadd {t} %p, %2", f"ret {t} %s")


def _float_extreme(f: Declaration, match: re.Match[str]) -> str:
    """A NaN loses against a number."""
    t, name = f.result, f"llvm.{match[1]}num.{match[2]}"
    call = f"%x = call {t} @{name}({t} %0, {t} %1)"
    return f"declare {t} @{name}({t}, {t})\n" + f.define(call, f"ret {t} %x")


def _integer_extreme(f: Declaration, match: re.Match[str]) -> str:
    t, order = f.result, match[2] + {"max": "gt", "min": "lt"}[match[1]]
    return f.define(
        f"%c = icmp {order} {t} %0, %1", f"%x = select i1 %c, {t} %0, {t} %1", f"ret {t} %x"
    )


def _predicate(f: Declaration, _: re.Match[str]) -> str:
    t = f.result
    return f.define(f"%c = icmp ne {t} %0, 0", f"%x = zext i1 %c to {t}", f"ret {t} %x")


def _element(matrix: str) -> str:
    """The type of a matrix's elements."""
    return matrix.split(" x ")[1].rstrip(">")


def _widened(name: str, value: str, t: str) -> str:
    return f"%{name} = " + (
        f"fadd float {value}, -0.0" if t == "float" else f"fpext {t} {value} to float"
    )


def _product(f: Declaration, _: re.Match[str]) -> str:
    """A lane's two elements are the first two of its 64; products are summed in float."""
    lines = ["%sums = alloca [2 x float]", "%next = getelementptr float, ptr %sums, i64 1"]
    for operand, name in enumerate(("left", "right", "sum")):
        t = _element(f.parameters[operand])
        for i in range(2):
            whole = f"<64 x {t}> %{operand}"
            lines.append(f"%{name}.{i}.narrow = extractelement {whole}, i64 {i}")
            lines.append(_widened(f"{name}.{i}", f"%{name}.{i}.narrow", t))
    factors = ", ".join(f"float %{name}.{i}" for name in ("left", "right") for i in range(2))
    lines += [
        "store float %sum.0, ptr %sums",
        "store float %sum.1, ptr %next",
        f"call void @air.matrix_product(ptr %sums, {factors})",
        "%wide.0 = load float, ptr %sums",
        "%wide.1 = load float, ptr %next",
    ]
    t = _element(f.result)
    for i in range(2):
        narrow = (
            f"fadd float %wide.{i}, -0.0" if t == "float" else f"fptrunc float %wide.{i} to {t}"
        )
        lines.append(f"%result.{i} = {narrow}")
    return f.define(*lines, *_both(t, "%result.0", "%result.1"))


def _both(t: str, first: str, second: str) -> Sequence[str]:
    """Return a matrix of which a lane has these two elements."""
    return (
        f"%matrix.0 = insertelement <64 x {t}> poison, {t} {first}, i64 0",
        f"%matrix.1 = insertelement <64 x {t}> %matrix.0, {t} {second}, i64 1",
        f"ret <64 x {t}> %matrix.1",
    )


def _filled(f: Declaration, _: re.Match[str]) -> str:
    return f.define(*_both(_element(f.result), "%0", "%0"))


def _places(t: str, pointer: int) -> Iterable[str]:
    """Addresses of a lane's two elements, of a pointer, a stride, an origin and a transposition."""
    stride, origin, transposed = (f"%{pointer + i}" for i in (1, 2, 3))
    yield f"%x = extractelement <2 x i64> {origin}, i64 0"
    yield f"%y = extractelement <2 x i64> {origin}, i64 1"
    for i in range(2):
        where = f"i64 {stride}, i64 %x, i64 %y, i1 zeroext {transposed}, i32 {i}"
        yield f"%offset.{i} = call i64 @air.matrix_offset({where})"
        yield f"%place.{i} = getelementptr {t}, ptr %{pointer}, i64 %offset.{i}"


def _load(f: Declaration, _: re.Match[str]) -> str:
    t = _element(f.result)
    loads = (f"%element.{i} = load {t}, ptr %place.{i}" for i in range(2))
    return f.define(*_places(t, 0), *loads, *_both(t, "%element.0", "%element.1"))


def _store(f: Declaration, _: re.Match[str]) -> str:
    t = _element(f.parameters[0])
    lines = [*_places(t, 1)]
    for i in range(2):
        lines.append(f"%element.{i} = extractelement <64 x {t}> %0, i64 {i}")
        lines.append(f"store {t} %element.{i}, ptr %place.{i}")
    return f.define(*lines, "ret void")


MATRIX = r"air\.simdgroup_matrix_8x8_"
DEFINITIONS: dict[str, Callable[[Declaration, re.Match[str]], str]] = {
    rf"{re.escape(FMULADD)}\..*": _fmuladd,
    r"air\.(?:fast_)?f(max|min)\.(\w+)": _float_extreme,
    r"air\.(max|min)\.([su])\.\w+": _integer_extreme,
    r"air\.normalize_function_constant_predicate\.\w+": _predicate,
    rf"{MATRIX}multiply_accumulate\..*": _product,
    rf"{MATRIX}init_filled\..*": _filled,
    rf"{MATRIX}load\..*": _load,
    rf"{MATRIX}store\..*": _store,
}


def entry(name: str, arguments: Sequence[tuple[str, int]], types: Sequence[str]) -> str:
    """@air.kernel: the kernel with its arguments, (attribute, index of the buffer) of each."""
    lines, values, built_in = [], [], set()
    for i, ((attribute, index), t) in enumerate(zip(arguments, types, strict=True)):
        if attribute == "buffer":
            lines.append(f"%a{i} = call ptr @air.buffer(i32 {index})")
            values.append(f"ptr %a{i}")
            continue
        built_in.add(f"declare void @air.{attribute}(ptr)")
        count, scalar = re.fullmatch(r"(?:<(\d) x )?(i\d+)>?", t).groups()  # type: ignore[union-attr]
        wide = f"<{count} x i32>" if count else "i32"
        lines += [
            f"%p{i} = alloca [3 x i32], align 16",
            f"call void @air.{attribute}(ptr %p{i})",
            f"%w{i} = load {wide}, ptr %p{i}, align 16",
            f"%a{i} = {'trunc' if scalar == 'i16' else 'bitcast'} {wide} %w{i} to {t}",
        ]
        values.append(f"{t} %a{i}")
    call = f'call void @"{name}"({", ".join(values)})'
    head = "define hidden void @air.kernel() convergent {"
    body = (f"  {line}" for line in (*lines, call, "ret void"))
    return "\n".join([*sorted(built_in), head, *body, "}"])


def call_all(name: str, functions: Iterable[str]) -> str:
    """A function for Python that calls others, which take nothing."""
    calls = (f"  call void @{function}()" for function in functions)
    return "\n".join([f"define void @{name}() {{", *calls, "  ret void", "}"])
