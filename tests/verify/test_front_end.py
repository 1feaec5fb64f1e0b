"""Other people's shaders pass the second front end, and one that does not is a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peers import mlx, pytorch
from verify import front_end
from verify.foreign import cases
from verify.front_end import Shader

FAMILIES = (cases.PREFILL, cases.DECODE, cases.STEEL, cases.VECTOR, cases.BLOCKED)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_peoples_shaders_pass(family: str) -> None:
    shader = next((s for s in front_end.shaders() if s.group == family), None)
    if shader is None:
        pytest.skip("its sources are not here: another torch, or python -m peers.fetch")
    assert shader.findings() == []
    assert shader.kernels == len(cases.instantiations(family))


@pytest.mark.skipif(not mlx.available(), reason="MLX's sources are not here")
def test_all_kernels_of_mlx_are_instantiated() -> None:
    families = (cases.STEEL, cases.VECTOR, cases.BLOCKED)
    wanted = set().union(*map(cases.instantiations, families))
    assert sorted(i.name for i in mlx.instances()) == sorted(wanted)


@pytest.mark.skipif(
    not pytorch.available(pytorch.DECODE), reason="this torch has no attention headers for Metal"
)
def test_other_peoples_shaders_are_looked_into() -> None:
    source = pytorch.source(pytorch.DECODE).replace("using namespace metal;", "#define fast slow")
    shader = Shader("broken", source, pytorch.INCLUDE, kernels=1, lenient=True)
    assert any("DecodeAttention.h:" in line and "slow" in line for line in shader.findings())


def test_what_does_not_pass_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.metal", tmp_path / "bad.metal"
    good.write_text("#include <metal_stdlib>\n")
    bad.write_text(
        "#include <metal_stdlib>\nfloat f(device float* x) { return metal::max(*x, 1); }\n"
    )
    evidence = tmp_path / "report.json"
    shaders = [Shader("ours", path, None, kernels=2, lenient=False) for path in (good, bad)]
    monkeypatch.setattr(front_end, "shaders", lambda: iter(shaders))
    monkeypatch.setattr("sys.argv", ["front_end", "--evidence", str(evidence)])
    assert front_end.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{bad}:2: error: call to 'max' is ambiguous")
    assert lines[1] == "ours: 1 of 2 files pass, 4 kernels"
    report = json.loads(evidence.read_text())
    assert (report["ran"], report["failed"]) == (2, 1)
    assert report["compiler"].startswith("clang version")
    shaders.pop()
    assert front_end.main() == 0
