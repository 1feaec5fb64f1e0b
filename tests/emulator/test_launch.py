"""Memory of arguments, the cache, and running on several threads and processes."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import emulator
from emulator import toolchain

SOURCE = """
#include <metal_stdlib>
using namespace metal;
kernel void add(device float* x [[buffer(0)]], constant float& y [[buffer(1)]],
                uint i [[thread_position_in_grid]])
{
    x[i] += y;
}
kernel void negate(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = -x[i]; }
kernel void brain(device float* x [[buffer(0)]], constant bfloat& y [[buffer(1)]],
                  constant bool& yes [[buffer(2)]], constant long& n [[buffer(3)]])
{
    x[0] = float(y); x[1] = yes; x[2] = float(n >> 32);
}
"""


ANYTHING = """
#include <metal_stdlib>
using namespace metal;
kernel void widen(device const void* x [[buffer(0)]], constant int& wide [[buffer(1)]],
                  device float* out [[buffer(2)]], uint i [[thread_position_in_grid]])
{
    out[i] = wide != 0 ? ((device const float*)x)[i] : float(((device const half*)x)[i]);
}
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_pointer_to_void_takes_elements_of_any_type(dtype: torch.dtype) -> None:
    kernel = emulator.compile(ANYTHING).function("widen")
    x, out = torch.arange(4, dtype=dtype), torch.zeros(4)
    wide = int(dtype == torch.float32)
    kernel.launch([x, wide, out], threadgroups=1, threads=4, check=True)
    assert out.tolist() == [0, 1, 2, 3]
    with pytest.raises(emulator.BoundsError, match=r"past the end of x \[\[buffer\(0\)\]\]"):
        kernel.launch([x[:3], wide, out], threadgroups=1, threads=4, check=True)
    with pytest.raises(
        emulator.EmulatorError, match="is the number 3; it must be a device const void"
    ):
        kernel.launch([3, wide, out], threadgroups=1, threads=4)


@pytest.fixture(scope="module")
def library() -> emulator.Library:
    return emulator.compile(SOURCE)


def test_tensors_are_used_in_place_from_their_offset(library: emulator.Library) -> None:
    x = torch.zeros(6, 8)
    library.function("add").launch([x[2:4, 3:], 1.5], threadgroups=1, threads=5)
    expected = torch.zeros(6, 8)
    expected[2, 3:] = 1.5
    assert torch.equal(x, expected)


def test_numpy_arrays_bytes_and_numbers(library: emulator.Library) -> None:
    x = np.zeros(4, np.float32)
    for value in (1, 2.5, np.float32(4), np.array([8], np.float32), torch.tensor(16.0)):
        library.function("add").launch([x, value], threadgroups=1, threads=4)
    library.function("add").launch([x, np.float32(32).tobytes()], threadgroups=2, threads=2)
    assert x.tolist() == [63.5] * 4
    library.function("brain").launch([x, 1.01, True, 5 << 32], threadgroups=1, threads=1)
    assert x.tolist() == [torch.tensor(1.01).bfloat16().item(), 1, 5, 63.5]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_threadgroup_runs_exactly_once(library: emulator.Library, workers: int) -> None:
    x = torch.zeros(1000 * 8)
    library.function("add").launch([x, 1.0], threadgroups=1000, threads=8, workers=workers)
    assert (x == 1).all()


def test_launches_from_several_threads(library: emulator.Library) -> None:
    def work(number: int) -> bool:
        x = torch.zeros(4096)
        for _ in range(20):
            library.function("add").launch([x, float(number)], threadgroups=64, threads=64)
        return bool((x == 20 * number).all())

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_kernels_are_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: emulator.Library
) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    first = emulator.compile(SOURCE).prebuild("negate")
    assert first.is_relative_to(tmp_path)
    stamp = first.stat().st_mtime_ns
    assert emulator.compile(SOURCE).prebuild("negate") == first
    assert first.stat().st_mtime_ns == stamp
    changed = emulator.compile(SOURCE.replace("-x[i]", "- x[i] * 2")).prebuild("negate")
    assert changed != first
    # Safe to delete, even under a running program.
    first.unlink()
    x = torch.ones(1)
    emulator.compile(SOURCE).function("negate").launch([x], threadgroups=1, threads=1)
    assert x.item() == -1
    assert library.function("add") is library.function("add")


def test_processes_share_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    program = f"import emulator; print(emulator.compile({SOURCE!r}).prebuild('add'))"
    root = Path(emulator.__file__).parent.parent
    runs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root)
        for _ in range(3)
    ]
    paths = {run.communicate()[0].decode().strip() for run in runs}
    assert all(run.returncode == 0 for run in runs)
    assert len(paths) == 1
    assert len(list((tmp_path / "kernels").iterdir())) == 1


def test_a_system_compiler_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METAL_EMULATOR_CACHE", str(tmp_path))
    monkeypatch.setenv("METAL_EMULATOR_CXX", "no-such-clang++ -v")
    with pytest.raises(emulator.EmulatorError, match="cannot run the compiler no-such-clang"):
        emulator.compile(SOURCE)


def test_importing_the_emulator_does_not_import_torch() -> None:
    program = "import emulator, sys; assert not {'torch', 'numpy'} & set(sys.modules)"
    root = Path(emulator.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)


def test_the_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("METAL_EMULATOR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert toolchain.cache_directory() == tmp_path / "metal-emulator"
