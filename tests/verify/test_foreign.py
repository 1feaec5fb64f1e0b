"""A few of the foreign shaders in the ordinary tests, and what the big run is made of."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from peers import fetch, mlx, pytorch
from peers.call import Attention, PeerCall, UnsupportedError
from verify.foreign import cases, report, run
from verify.foreign.__main__ import missing
from verify.foreign.cases import Case

NEEDS_PYTORCH = pytest.mark.skipif(
    not (pytorch.available(pytorch.PREFILL) and pytorch.available(pytorch.DECODE)),
    reason="this torch has no attention headers for Metal",
)
NEEDS_MLX = pytest.mark.skipif(
    not mlx.available(), reason="MLX's sources are not here: python -m peers.fetch"
)


def find(all_cases: list[Case], *, kernel: str, mode: str) -> Case:
    return next(c for c in all_cases if kernel in c.kernel and c.mode == mode)


def problem(head_dim: int, **changes: Tensor | bool | None) -> Attention:
    q, k, v = (torch.zeros(1, 2, 3, head_dim, dtype=torch.float16) for _ in range(3))
    return replace(Attention(q, k, v, 1.0), **changes)  # type: ignore[arg-type]


@NEEDS_PYTORCH
@pytest.mark.parametrize(
    ("kernel", "mode"),
    [
        ("prefill_attention float16 64", "none"),
        ("prefill_attention float32 72", "bool causal"),
        ("prefill_attention bfloat16 256", "float"),
        ("sdpa_vector 1-pass float16 96", "causal"),
        ("sdpa_vector 2-pass bfloat16 64", "bool"),
    ],
)
def test_pytorch(kernel: str, mode: str) -> None:
    outcome = run.run(find(cases.all_cases(), kernel=kernel, mode=mode))
    assert outcome.ok, outcome.error


@NEEDS_MLX
@pytest.mark.parametrize(
    ("kernel", "mode"),
    [
        ("steel_attention_float16_bq32_bk32_bd96_bv64", "causal sinks"),
        ("steel_attention_bfloat16_bq32_bk16_bd256_bv256_wm4_wn2_maskbool_", "bool"),
        ("steel_attention_float32_bq32_bk32_bd80", "lse"),
        ("sdpa_vector_bfloat16_t_192_128", "float"),
        ("sdpa_vector_2pass_1_float_64_64", "sinks"),
        ("sdpa_vector_2pass_1_gqa_12_float16_t_128_128", "none"),
        ("sdpa_blocked_causal_mask_float16", "causal_mask"),
    ],
)
def test_mlx(kernel: str, mode: str) -> None:
    outcome = run.run(find(cases.all_cases(), kernel=kernel, mode=mode))
    assert outcome.ok
    assert not outcome.refused


@NEEDS_MLX
def test_a_kernel_that_metal_has_no_room_for_is_refused() -> None:
    kernel = "steel_attention_float32_bq32_bk16_bd192_bv192_wm4_wn1_maskfloat32"
    outcome = run.run(find(cases.all_cases(), kernel=kernel, mode="none"))
    assert (outcome.refused, outcome.threadgroup_bytes, outcome.error) == (True, 40448, None)


@NEEDS_PYTORCH
def test_a_wrong_scale_is_noticed() -> None:
    case = find(list(cases.decode_cases()), kernel="1-pass float32 64", mode="none")

    def wrong(a: Attention, out: Tensor) -> list[PeerCall]:
        return pytorch.decode(replace(a, scale=1.01 * a.scale), out, passes=1)

    assert run.run(case).ok
    assert not run.run(replace(case, calls=wrong)).ok


@NEEDS_PYTORCH
def test_the_first_pass_of_pytorchs_decode_writes_its_sums_from_32_lanes() -> None:
    case = find(list(cases.decode_cases()), kernel="2-pass float16 64", mode="none")
    outcome = replace(run.run(case), findings=run.check(case))
    ((place, found),) = report.findings([report.Result(case, outcome)])
    assert place.startswith("Race at DecodeAttention.h:")
    assert [f.kernel for f in found] == ["sdpa_vector_2pass_1_half_64_64_masknone"]
    assert "sums [[buffer(4)]]" in found[0].message


@pytest.mark.parametrize("causal", [False, True])
def test_the_bias_says_what_the_mask_and_causality_mean(causal: bool) -> None:
    q, k = torch.zeros(1, 1, 2, 8), torch.zeros(1, 1, 3, 8)
    mask = torch.tensor([[[[True, False, True], [True, True, True]]]])
    a = Attention(q, k, k, 1.0, causal=causal, mask=mask)
    top_left, bottom_right = (
        (run.bias(a, diagonal) == 0).int().flatten().tolist() for diagonal in (True, False)
    )
    assert top_left == ([1, 0, 0, 1, 1, 0] if causal else [1, 0, 1, 1, 1, 1])
    assert bottom_right == ([1, 0, 0, 1, 1, 1] if causal else [1, 0, 1, 1, 1, 1])


@NEEDS_PYTORCH
def test_what_pytorch_has_no_kernel_for() -> None:
    out = torch.empty(0)
    with pytest.raises(UnsupportedError, match=r"head dims 40, 40: prefill_attention has \[32, 64"):
        pytorch.prefill(problem(40), out)
    with pytest.raises(UnsupportedError, match="sinks: sdpa_vector has"):
        pytorch.decode(problem(64, sinks=torch.zeros(2)), out, passes=1)
    with pytest.raises(UnsupportedError, match="causal and a mask"):
        pytorch.decode(problem(64, causal=True, mask=torch.ones(1, 2, 3, 3)), out, passes=1)


@NEEDS_MLX
def test_what_mlx_has_no_kernel_for() -> None:
    out = torch.empty(0)
    with pytest.raises(UnsupportedError, match=r"head dims 40, 40 in torch.float16: steel"):
        mlx.steel(problem(40), out)
    with pytest.raises(UnsupportedError, match="head dims 72, 72: sdpa_vector has"):
        mlx.vector(problem(72), out, passes=1)
    with pytest.raises(UnsupportedError, match=r"sdpa_vector_2pass_1_gqa_1 has \[\]"):
        mlx.grouped(problem(64), out)


@NEEDS_MLX
def test_mlx_refuses_strides_that_its_vector_kernels_cannot_walk() -> None:
    out, wide = torch.empty(0), torch.zeros(2, 3, 2, 64, dtype=torch.float16)
    q = k = torch.zeros(2, 2, 3, 64, dtype=torch.float16)
    with pytest.raises(UnsupportedError, match="k has strides"):
        mlx.vector(Attention(q, wide.transpose(1, 2), k, 1.0), out, passes=1)
    with pytest.raises(UnsupportedError, match="q has strides"):
        mlx.vector(Attention(wide.transpose(1, 2), k, k, 1.0), out, passes=1)


def shaped(q_len: int, k_len: int, heads: int = 1, head_dim: int = 64) -> Attention:
    q = torch.zeros(1, heads, q_len, head_dim, dtype=torch.float16)
    k = torch.zeros(1, 1, k_len, head_dim, dtype=torch.float16)
    return Attention(q, k, k, 1.0)


def chosen(calls: list[PeerCall]) -> list[str]:
    return [call.kernel.name.split("_float16")[0].split("_half")[0] for call in calls]


@NEEDS_PYTORCH
@pytest.mark.parametrize(
    ("a", "kernels"),
    [
        (shaped(8, 8), ["sdpa_vector"]),
        (shaped(9, 9), ["prefill_attention"]),
        (shaped(8, 7), ["prefill_attention"]),
        (shaped(1, 1024), ["sdpa_vector_2pass_1", "sdpa_vector_2pass_2"]),
        (shaped(1, 9, head_dim=72), ["prefill_attention"]),
    ],
)
def test_which_kernel_pytorch_takes(a: Attention, kernels: list[str]) -> None:
    assert chosen(pytorch.attention(a, a.new_output())) == kernels


@NEEDS_MLX
@pytest.mark.parametrize(
    ("a", "chip", "kernels"),
    [
        (shaped(8, 8), "base", ["sdpa_vector"]),
        (shaped(2, 8, heads=17), "base", ["steel_attention"]),
        (shaped(9, 9), "max", ["steel_attention"]),
        (shaped(1, 9, head_dim=72), "max", ["steel_attention"]),
        (shaped(1, 1024), "base", ["sdpa_vector"]),
        (shaped(1, 1024), "max", ["sdpa_vector_2pass_1", "sdpa_vector_2pass_2"]),
        (shaped(1, 4096, heads=2), "base", ["sdpa_vector_2pass_1", "sdpa_vector_2pass_2"]),
    ],
)
def test_which_kernel_mlx_takes(a: Attention, chip: str, kernels: list[str]) -> None:
    assert chosen(mlx.attention(a, a.new_output(), chip)) == kernels


@pytest.mark.parametrize(
    ("chip", "rows", "k_len", "parts"),
    [
        ("base", 3, 4096, 32), ("base", 4, 4096, 64),
        ("max", 4, 99999, 64), ("max", 5, 1024, 64), ("max", 5, 8192, 128),
        ("max", 5, 8193, 256), ("max", 5, 65536, 512), ("max", 5, 65537, 1024),
        ("ultra", 2, 8192, 128), ("ultra", 2, 8193, 256), ("ultra", 3, 99999, 128),
        ("ultra", 6, 16383, 128), ("ultra", 6, 16384, 512), ("ultra", 6, 65536, 1024),
    ],
)  # fmt: skip
def test_into_how_many_parts_mlx_splits_keys(chip: str, rows: int, k_len: int, parts: int) -> None:
    assert mlx.splits(shaped(1, k_len, heads=rows), chip) == parts


def test_heads_per_simdgroup_of_the_instantiations_in_mlxs_library() -> None:
    sizes = ((8, 64), (8, 128), (12, 128), (16, 128))
    assert [mlx.heads_per_simdgroup(*size) for size in sizes] == [8, 4, 4, 2]


def test_headers_and_kernel_names_come_out_of_a_wheel(tmp_path: Path) -> None:
    record = b"NAME\x07\x00kernel_\x00TYPE\x01\x00\x02NAME\x02\x00b\x00TYPE"
    with zipfile.ZipFile(tmp_path / "wheel.whl", "w") as archive:
        archive.writestr(f"{fetch.HEADERS}steel/a.h", "a")
        archive.writestr(f"{fetch.HEADERS}notes.txt", "not a header")
        archive.writestr(fetch.COMPILED, b"MTLB" + record)
    fetch.unpack(tmp_path / "wheel.whl", tmp_path)
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    header = fetch.HEADERS.removeprefix("mlx/") + "steel/a.h"
    assert files == [header, "kernels.txt", "wheel.whl"]
    assert (tmp_path / "kernels.txt").read_text() == "b\nkernel_\n"


def test_compiled_libraries_come_out_of_wheels(tmp_path: Path) -> None:
    # A header of 88 bytes, a list of no functions, and nothing else.
    old, new = (
        struct.pack("<4s8xHH9Q", b"MTLB", macos, 0, 92, 88, 4, 0, 0, 0, 0, 92, 0) + bytes(4)
        for macos in (14, 26)
    )
    with zipfile.ZipFile(tmp_path / "torch.whl", "w") as archive:
        archive.writestr(fetch.PYTORCH_BINARY, b"MTLBuffer" + old + b"code" + new)
    with zipfile.ZipFile(tmp_path / "mlx.whl", "w") as archive:
        archive.writestr(fetch.COMPILED, old)
    fetch.unpack_pytorch(tmp_path / "torch.whl", tmp_path)
    fetch.unpack(tmp_path / "mlx.whl", tmp_path, compiled=True)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.metallib")}
    assert found == {"macos-14.metallib": old, "macos-26.metallib": new, "mlx.metallib": old}
    fetch.unpack(tmp_path / "mlx.whl", tmp_path)
    assert not (tmp_path / "mlx.metallib").exists(), "it may be an older wheel's"


def test_without_compiled_libraries_the_sources_are_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wheel.txt").write_text(fetch.requirement())
    monkeypatch.setattr(fetch, "TARGET", tmp_path)
    monkeypatch.setattr(fetch, "METALLIB", tmp_path / "mlx.metallib")
    monkeypatch.setattr(fetch, "PYTORCH_COMPILED", tmp_path / "compiled")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch.main(["--compiled"]) == 0
    assert fetch.is_here(fetch.requirement(), tmp_path)
    said = capfd.readouterr().err
    assert said.count(fetch.NOT_COMPARED) == said.count("\n") == 2


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--optional",), 0)])
def test_no_registry_is_said_in_one_line(
    arguments: tuple[str, ...],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fetch, "TARGET", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch.main(arguments) == code
    said = capfd.readouterr().err
    assert said.startswith(f"no {fetch.requirement()}: No matching distribution found")
    assert said.count("\n") == 1
    assert ("tests of MLX's shaders are skipped" in said) == (code == 0)


def test_the_pinned_wheel_is_one_version() -> None:
    assert fetch.requirement().startswith("mlx-metal==")


@NEEDS_PYTORCH
def test_a_kernel_that_no_case_launches_is_named() -> None:
    case = find(list(cases.decode_cases()), kernel="1-pass float16 64", mode="none")
    names = pytorch.library(pytorch.DECODE).kernels
    all_but_one = run.Outcome(tuple(names[1:]), 0)
    assert missing([report.Result(case, all_but_one)]) == [f"{cases.DECODE} {names[0]}"]
    assert missing([report.Result(case, run.Outcome(tuple(names), 0))]) == []
