"""The launchers: which one runs, what they pass on, and that they agree."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from metal_flash_sdpa import _ops, call, flash_attn_func, flash_attn_varlen_func, launchers
from metal_flash_sdpa.catalogue import BUILT_IN
from metal_flash_sdpa.launchers import emulator, jit, native
from metal_flash_sdpa.plan import LaunchPlan
from torch import Tensor

from tests.package import metal
from verify.arena import offsets
from verify.variants import manifest


def forget() -> None:
    """A launcher is chosen, and a call prepared for it, once per process: let both be done anew."""
    launchers.choose.cache_clear()
    launchers.chosen.cache_clear()
    call._planned.cache_clear()


@pytest.fixture(autouse=True)
def choices() -> Iterator[None]:
    forget()
    yield
    forget()


def force(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From here on, this launcher."""
    monkeypatch.setenv(launchers.FORCE, name)
    forget()


@pytest.fixture
def jit_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The launcher jit for CPU tensors, on the stand-in; the shaders that it compiled."""
    compiled = []

    def compile_shader(source: str) -> metal.Library:
        compiled.append(source)
        return metal.compile_shader(source)

    monkeypatch.setattr(jit, "DEVICES", ("cpu",))
    monkeypatch.setattr(jit, "_kernels", {})
    monkeypatch.setattr(torch.mps, "compile_shader", compile_shader, raising=False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    force(monkeypatch, "jit")
    return compiled


FILES = {v.name: v.file for v in manifest()}


@pytest.fixture
def native_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The launcher native for CPU tensors, on an op as compiled builds have it; what it ran."""
    ran = []

    def launch(
        name: str,
        tensors: list[Tensor],
        ints: list[int],
        floats: list[float],
        threadgroups: list[int],
        threads: int,
    ) -> None:
        ran.append(name)
        arguments = [*tensors, metal.bind(ints, "int32"), metal.bind(floats)]
        kernel = emulator._kernel(BUILT_IN, FILES[name], name)
        kernel.launch(arguments, threadgroups=threadgroups, threads=(threads, 1, 1), workers=1)

    library = torch.library.Library(_ops._OPS_NAME, "FRAGMENT")
    library.define(
        "launch(str kernel, Tensor(a!)[] tensors, int[] ints, float[] floats, "
        "int[] threadgroups, int threads) -> ()"
    )
    library.impl("launch", launch, "CPU")
    monkeypatch.setattr(native, "DEVICES", ("cpu",))
    yield ran
    library._destroy()
    if hasattr(_ops.ops, "launch"):
        delattr(_ops.ops, "launch")


def calls() -> list[Tensor]:
    """What two calls with everything in them return."""
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 9, 4, 32, generator=generator).transpose(0, 1).contiguous().transpose(0, 1)
    k, v = (torch.randn(2, 40, 2, 32, generator=generator) for _ in "kv")
    sinks, slopes = torch.tensor([0.5, 1.0, -1.0, 0.0]), torch.rand(2, 4, generator=generator)
    options = {"s_aux": sinks, "alibi_slopes": slopes, "softcap": 20.0}
    first = flash_attn_func(q, k, v, window_size=(9, 4), return_attn_probs=True, **options)
    packed = (
        q.flatten(0, 1),
        k.flatten(0, 1),
        v.flatten(0, 1),
        offsets((17, 1)),
        offsets((33, 47)),
    )
    second = flash_attn_varlen_func(*packed, 17, 47, causal=True, return_attn_probs=True)
    return [*first[:2], *second[:2]]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_all_launchers_agree(jit_here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    by_jit = calls()
    assert len(jit_here) == 3
    force(monkeypatch, "emulator")
    assert same(calls(), by_jit)
    assert len(jit_here) == 3


def test_of_a_file_only_the_kernel_that_runs_is_compiled(jit_here: list[str]) -> None:
    calls()
    kernels = [sorted(metal.compile_shader(source).kernels) for source in jit_here]
    assert [len(names) for names in kernels] == [1, 1, 1]
    assert {name.split("_")[0] for names in kernels for name in names} == {"prefill", "decode"}


def test_native_agrees_and_is_preferred(
    native_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_native = calls()
    assert [name.split("_")[0] for name in native_here] == ["decode", "prefill", "decode"]
    assert native_here[1].endswith("_causal")
    force(monkeypatch, "emulator")
    assert same(calls(), by_native)


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        ({"arg_casts": {}}, False),
        ({"arg_casts": {8: "int32"}}, False),
        ({}, True),
    ],
)
def test_a_wrong_cast_shows(
    jit_here: list[str], monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], right: bool
) -> None:
    """The stand-in binds what it is given, as a Mac would."""
    run = metal.Function.__call__

    def changed(self: metal.Function, *arguments: Any, **options: Any) -> None:
        run(self, *arguments, **{**options, **broken})

    force(monkeypatch, "emulator")
    want = calls()
    force(monkeypatch, "jit")
    monkeypatch.setattr(metal.Function, "__call__", changed)
    try:
        assert same(calls(), want) == right
    except Exception:
        assert not right


def test_a_wrong_order_shows(jit_here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, "emulator")
    want = calls()
    force(monkeypatch, "jit")
    prepare = jit.prepare

    def swapped(plan: LaunchPlan, *rest: Any) -> Any:
        encode = prepare(plan, *rest)
        return lambda buffers: encode((buffers[0], buffers[2], buffers[1], *buffers[3:]))

    monkeypatch.setattr(jit, "prepare", swapped)
    assert not same(calls(), want)


def test_the_stand_in_binds_as_torch_does() -> None:
    assert metal.bind(3) == (3).to_bytes(8, "little")
    assert metal.bind([1, 2], "int32") == b"\1\0\0\0\2\0\0\0"
    assert metal.bind((1.0,)) == b"\0\0\x80\x3f"
    for wrong in (None, b"bytes", [], [None]):
        with pytest.raises(TypeError):
            metal.bind(wrong)


def test_a_shader_is_compiled_once_by_all_threads(jit_here: list[str]) -> None:
    together = Barrier(4)

    def call(_: int) -> Tensor:
        together.wait()
        q = torch.ones(1, 3, 1, 32)
        return flash_attn_func(q, q, q)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(call, range(4)))
    assert len(jit_here) == 1
    assert all(torch.equal(result, torch.ones(1, 3, 1, 32)) for result in results)


def test_the_emulator_runs_cpu_tensors() -> None:
    assert launchers.choose("cpu") is emulator


@pytest.mark.parametrize(
    ("device", "forced", "words"),
    [
        (
            "mps",
            "",
            ["native: this build has no compiled", "jit: torch has no MPS", "emulator: takes"],
        ),
        ("mps", "native", ["LAUNCHER allows", "native: this build has no compiled launcher"]),
        ("mps", "jit", ["jit: torch has no MPS on this machine"]),
        ("cpu", "jit", ["on cpu", "jit: takes tensors on mps"]),
        ("cpu", "native", ["native: takes tensors on mps"]),
        ("xpu", "", ["no launcher for tensors on xpu", "emulator: takes tensors on cpu and cuda"]),
    ],
)
def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, device: str, forced: str, words: list[str]
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RuntimeError) as caught:
        launchers.choose(device, forced)
    assert all(part in str(caught.value) for part in words), caught.value


def test_a_torch_without_compile_shader_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.mps, "compile_shader", raising=False)
    assert jit.missing() == f"torch {torch.__version__} has no torch.mps.compile_shader, 2.7 has"


def test_an_absent_emulator_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    really_import = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "emulator":
            raise ImportError("No module named 'emulator'")
        return really_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert "No module named 'emulator'; the emulator is in the" in emulator.missing()


def test_an_unknown_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, "cuda")
    q = torch.ones(1, 3, 1, 32)
    with pytest.raises(
        ValueError, match="LAUNCHER is 'cuda': must be one of native, jit, emulator"
    ):
        flash_attn_func(q, q, q)


def test_a_missing_shader_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no_such\.metal is neither in .*shaders or "):
        BUILT_IN.path("no_such.metal")


def test_the_package_needs_neither_numpy_nor_the_emulator() -> None:
    code = "import sys, metal_flash_sdpa as m; print('emulator' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
