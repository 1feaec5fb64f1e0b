"""What Apple's compiler made of foreign shaders: it agrees with the emulator, unless that errs."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
import torch

from emulator import toolchain
from peers import compiled, mlx, pytorch
from verify.apple import report, run
from verify.apple.run import Difference, Outcome, Subject

NEEDS = {
    "PyTorch": pytorch.available(pytorch.PREFILL) and compiled.available("PyTorch"),
    "MLX": mlx.available() and compiled.available("MLX"),
}

# Of each error that is planted into the shim: a kernel, the file, what stands there, what instead.
LAYOUT = "MLX steel_attention_float32_bq32_bk32_bd64_bv64_wm4_wn1_maskfloat32: none, 45 x 77"
ROUNDING = "PyTorch sdpa_vector 1-pass bfloat16 64: none, 3 x 77"
TRANSPOSITION = "MLX gated_delta_fused_chunk_float_128_128_16_16_8"
ERRORS = {
    "another fragment layout": (
        *(LAYOUT, "fibres.h"),
        *(
            "((lane / 4 & 4) + lane / 2 % 4) * 8 + (lane / 4 & 2) * 2",
            "lane / 4 * 8 + lane / 2 % 2 * 4",
        ),
    ),
    "a wrong rounding of bfloat": (
        *(ROUNDING, "entry.h"),
        *("(bits + 0x7FFF + (bits >> 16 & 1)) >> 16", "bits >> 16"),
    ),
    "a swapped transposition": (
        *(TRANSPOSITION, "matrix.h"),
        *(
            "sizeof rows[i]);\n    }\n    if (transposed)",
            "sizeof rows[i]);\n    }\n    if (!transposed)",
        ),
    ),
}


def find(wanted: str) -> Subject:
    author, _, name = wanted.partition(" ")
    if not NEEDS[author]:
        pytest.skip(
            f"{author}'s libraries for macOS are not here: python -m peers.fetch --compiled"
        )
    return next(s for s in run.all_subjects() if s.name == name)


def forget_what_was_compiled() -> None:
    """A process keeps what it has loaded, whatever becomes of the shim."""
    for cached in (toolchain._identity, mlx._library, pytorch.library):
        cached.cache_clear()


@pytest.mark.parametrize(
    "name",
    [
        *(LAYOUT, ROUNDING),
        "PyTorch prefill_attention float16 64: bool causal, 45 x 77",
        "PyTorch sdpa_vector 2-pass float32 96: float, 3 x 300",
        "MLX steel_attention_bfloat16_bq32_bk32_bd64_bv64_wm4_wn1_maskbool_: bool, 45 x 77",
        "MLX sdpa_vector_2pass_1_float16_t_64_64: bool, 3 x 300",
    ],
)
def test_every_bit_is_equal(name: str) -> None:
    subject = find(name)
    outcomes = run.compare(subject)
    assert [o.macos for o in outcomes] == [x.macos for x in compiled.libraries(subject.author)]
    assert all(o.equal for o in outcomes), [str(o) for o in outcomes]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_the_shim_is_noticed(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, file, right, wrong = ERRORS[error]
    subject = find(name)
    shim = Path(shutil.copytree(toolchain.SHIM, tmp_path / "shim"))
    text = (shim / file).read_text()
    assert text.count(right) == 1
    (shim / file).write_text(text.replace(right, wrong))
    monkeypatch.setattr(toolchain, "SHIM", shim)
    forced = ("-isystem", str(shim), "-include", str(shim / "metal.h"))
    monkeypatch.setattr(toolchain, "FORCED", forced)
    forget_what_was_compiled()
    try:
        outcome = run.compare(subject)[0]
    finally:
        forget_what_was_compiled()
    assert not outcome.ok
    assert outcome.difference.differing > outcome.difference.elements / 10


def test_what_does_not_fit_a_mac_is_explained() -> None:
    name = "steel_attention_float32_bq32_bk16_bd192_bv192_wm4_wn1_maskfloat32: none, 45 x 77"
    (outcome,) = run.compare(find(f"MLX {name}"))
    assert str(outcome) == "needs 40,448 bytes of threadgroup memory; Metal has 32,768"
    assert outcome.ok
    assert not outcome.equal


def test_differences_are_counted_bit_by_bit() -> None:
    ours = torch.tensor([0.0, 1.0, torch.nan, 3.0])
    theirs = torch.tensor([-0.0, 1.0, torch.nan, 3.5])
    found = run.difference([("a", ours), ("b", ours)], [("a", ours), ("b", theirs)])
    assert found == Difference(differing=2, elements=8, largest=0.5, where="b")
    assert str(Outcome(14, ("kernel",), found)) == "b: 2 of 8 elements differ, by up to 0.5"


def test_a_kernel_is_bit_equal_only_if_every_case_is() -> None:
    subject = Subject("MLX x.h", "case", "float32", lambda: run.Prepared([], []))
    equal = Outcome(14, ("a", "b"), Difference(elements=4))
    different = Outcome(14, ("b",), Difference(differing=1, elements=4))
    explained = Outcome(14, ("c",), explained="too large")
    results = [report.Result(subject, [o]) for o in (equal, different, explained)]
    (row,) = report.rows(results)
    assert (row["kernels"], row["equal"], row["explained"], row["different"]) == (3, 1, 1, 1)
    assert [r.ok for r in results] == [True, False, True]
    assert report.explanations(results) == ["MLX x.h: too large (1 kernels)"]
    summary = report.summary(results, 3, 1.0)
    assert (summary["failed"], summary["ran"], summary["complete"]) == (1, 3, True)


def test_nothing_compared_is_not_equal() -> None:
    assert not Outcome(14, ("kernel",)).ok


def test_a_sample_of_attention_is_that_of_the_foreign_shaders() -> None:
    find(LAYOUT), find(ROUNDING)
    from verify.foreign import cases

    attention = [c.name for c in cases.sample(cases.all_cases(), 5)]
    names = [s.name for s in run.all_subjects(sample=5)]
    assert names[:5] == attention
    assert [n.startswith("gated_delta") for n in names[5:]] == [True]


def test_libraries_of_another_wheel_than_the_sources_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = struct.Struct("<4s8xHH9Q")
    for macos in (26, 14):
        library = header.pack(b"MTLB", macos, 0, 92, 88, 4, 0, 0, 0, 0, 92, 0) + bytes(4)
        (tmp_path / f"macos-{macos}.metallib").write_bytes(library)
    (tmp_path / "wheel.txt").write_text("torch==1.0")
    monkeypatch.setattr(
        compiled,
        "AUTHORS",
        {"A": (tmp_path, lambda: "torch==1.0"), "B": (tmp_path, lambda: "torch==2.0")},
    )
    assert [x.macos for x in compiled.libraries("A")] == [14, 26]
    assert not compiled.available("B")
