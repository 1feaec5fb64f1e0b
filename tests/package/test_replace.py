"""replace_sdpa: the kernels under torch's own name, for as long as somebody wants it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as functional
from metal_flash_sdpa import _ops, explain, replace, replace_sdpa, sdpa
from metal_flash_sdpa.__main__ import main
from metal_flash_sdpa.replace import REPLACE
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.package.sdpa_calls import assert_equal, gradients, torchs_own
from tests.package.test_sdpa import WRONG

ROOT = Path(__file__).resolve().parent.parent.parent
SHAPE = (2, 2, 20, 32)
ONE = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
PACKED = Path(sdpa.__file__).parent.parent


def attention(*arguments: Tensor, **options: object) -> Tensor:
    return functional.scaled_dot_product_attention(*arguments, **options)


def leaves() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(SHAPE, generator=generator).requires_grad_() for _ in range(3)]


@pytest.fixture(autouse=True)
def back_to_torchs_own() -> Iterator[None]:
    """No test leaves anything behind, in torch's caches either."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.compile's own
        yield
    torch._dynamo.reset()
    replace_sdpa("cpu").uninstall()
    assert not is_replaced()
    assert torch.compiler.config.cache_key_tag == ""


def is_replaced() -> bool:
    """Whether torch's dispatcher has a function of ours."""
    return bool(
        torch._C._dispatch_has_kernel_for_dispatch_key(replace._NAME, "AutogradCPU")
        and not torch._C._dispatch_has_kernel_for_dispatch_key(replace._NAME, "AutogradXLA")
    )


def test_with_gradients(launched: list[str]) -> None:
    with replace_sdpa("cpu"):
        assert_equal(attention, leaves(), is_causal=True)
    assert {name.split("_")[0] for name in launched} == {"prefill", "backward"}
    launched.clear()
    attention(*leaves())
    assert not launched


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: Callable[[], object], launched: list[str]) -> None:
    with mode(), replace_sdpa("cpu"):  # type: ignore[attr-defined]
        tensors = [x.detach().clone() for x in leaves()]
        got = attention(*tensors)
        assert launched
        torch.testing.assert_close(got, torchs_own(*tensors))


def test_other_devices_are_left_alone(launched: list[str]) -> None:
    with replace_sdpa():
        attention(*leaves())
        assert replace._state("mps").active
    assert not launched
    assert not replace._state("mps").active


def test_modules_of_torch_call_it(launched: list[str]) -> None:
    module = torch.nn.MultiheadAttention(64, 2, batch_first=True)
    x = torch.randn(2, 20, 64)
    want = module(x, x, x, need_weights=False)[0]
    with replace_sdpa("cpu"):
        got = module(x, x, x, need_weights=False)[0]
    assert launched
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_raise_as_before(name: str, launched: list[str]) -> None:
    tensors, options = WRONG[name]
    with pytest.raises(Exception) as want:  # noqa: PT011 what torch raises is what is asked
        attention(*tensors, **options)
    with replace_sdpa("cpu"), pytest.raises(type(want.value)) as got:
        attention(*tensors, **options)
    assert str(got.value) == str(want.value)
    assert not launched


def test_what_is_not_served_is_torchs_own_with_gradients(launched: list[str]) -> None:
    tensors = [x.detach().double().requires_grad_() for x in leaves()]
    with replace_sdpa("cpu"):
        pairs = zip(gradients(attention, tensors), gradients(torchs_own, tensors))
        assert all(torch.equal(got, want) for got, want in pairs)
        with sdpa_kernel(SDPBackend.MATH):
            assert_equal(attention, leaves())
    assert not launched


def test_an_error_inside_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """No result is better than one that nobody has computed."""

    def fails(*_: object, **__: object) -> Tensor:
        raise RuntimeError("no memory for out")

    monkeypatch.setattr(sdpa, "flash_attn_func", fails)
    with replace_sdpa("cpu"), pytest.raises(RuntimeError, match="no memory for out"):
        attention(*leaves())


def test_twice_and_in_any_order() -> None:
    first, second = replace_sdpa("cpu"), replace_sdpa("cpu")
    first.uninstall()  # nothing is installed: nothing happens
    assert not is_replaced()
    assert first.install() is first
    second.install()
    first.uninstall()
    assert not is_replaced()
    with first:
        with second, first:
            assert is_replaced()
        first.install()
        second.uninstall()  # the block still wants it
        assert is_replaced()
    assert not is_replaced()
    outer, inner = replace_sdpa("cpu"), replace_sdpa("cpu")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert is_replaced()
    inner.__exit__(None, None, None)
    assert not is_replaced()


def test_a_block_that_raises_ends_it() -> None:
    with pytest.raises(KeyError), replace_sdpa("cpu"):
        raise KeyError
    assert not is_replaced()


def test_other_code_that_replaces_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library = torch.library.Library("aten", "IMPL")
    library.impl("scaled_dot_product_attention", lambda *_, **__: ONE, "AutogradCPU")
    try:
        with pytest.raises(RuntimeError, match="is replaced on cpu by other code"):
            replace_sdpa("cpu").install()
        assert not replace._state("cpu").active
        assert attention(ONE, ONE, ONE) is ONE
        monkeypatch.setenv(REPLACE, "cpu")
        with pytest.warns(UserWarning, match="METAL_FLASH_SDPA_REPLACE is 'cpu', but torch's"):
            replace.install_as_asked()
    finally:
        library._destroy()
    with replace_sdpa("cpu"):  # and then it can
        assert is_replaced()


def test_no_device() -> None:
    with pytest.raises(RuntimeError, match="metal"):
        replace_sdpa("metal")


def test_explain_says_whether_it_is_replaced() -> None:
    assert "not replaced on cpu" in explain(ONE, ONE, ONE)
    with replace_sdpa("cpu"):
        assert explain(ONE, ONE, ONE) == "metal-flash-sdpa: the emulator launcher runs its kernels"


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_graphs_keep_it(backend: str, launched: list[str]) -> None:
    with replace_sdpa("cpu"):
        compiled = torch.compile(attention, backend=backend, fullgraph=True)
        assert_equal(compiled, leaves(), is_causal=True)
        assert {name.split("_")[0] for name in launched} == {"prefill", "backward"}
        with torch.inference_mode():
            launched.clear()
            compiled(ONE, ONE, ONE, is_causal=True)
            assert launched
    launched.clear()
    assert_equal(compiled, leaves(), is_causal=True)  # also after
    assert launched


def test_a_new_length_does_not_compile_anew(launched: list[str]) -> None:
    with replace_sdpa("cpu"):
        compiled = torch.compile(attention, backend="aot_eager", fullgraph=True, dynamic=True)
        for length in (20, 25, 31):
            x = torch.randn(1, 2, length, 32)
            with torch.compiler.set_stance("default" if length == 20 else "fail_on_recompile"):
                torch.testing.assert_close(compiled(x, x, x), torchs_own(x, x, x))
    assert len(launched) == 3


def test_what_is_on_disk_is_kept_apart() -> None:
    """Of the same code torch would otherwise take what it compiled without the kernels."""
    with replace_sdpa("cpu"):
        replaced = torch.compiler.config.cache_key_tag
        with replace_sdpa("cpu"):
            assert torch.compiler.config.cache_key_tag == replaced
    assert replaced != torch.compiler.config.cache_key_tag


def test_another_version_has_another_tag() -> None:
    with replace_sdpa("cpu"):
        assert _ops._OPS_NAME in torch.compiler.config.cache_key_tag


def seconds(call: Callable[[], object], calls: int = 100) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begin) / calls


def test_a_call_that_is_passed_on_costs_little() -> None:
    """At most what torch's own takes for the smallest of calls, which is 5 to 8 microseconds.

    Both are timed in turn, and the quickest of each counts: a loaded machine only adds to it.
    """
    x = torch.randn(1, 2, 4, 16, dtype=torch.float64)
    own, passed_on = [], []
    for _ in range(300):
        own.append(seconds(lambda: attention(x, x, x)))
        with replace_sdpa("cpu"):
            passed_on.append(seconds(lambda: attention(x, x, x)))
        if len(own) > 3 and min(passed_on) < 2 * min(own):
            return
    pytest.fail(f"{min(passed_on) * 1e6:.1f} us, of which torch's own takes {min(own) * 1e6:.1f}")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(PACKED)))}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


SCRIPT = """
import sys
import torch
from beside import shape
x = torch.randn(shape)
out = torch.nn.functional.scaled_dot_product_attention(x, x, x)
print(__name__, sys.argv[1:], "metal_flash_sdpa" in sys.modules)
if "metal_flash_sdpa" in sys.modules:
    print(sys.modules["metal_flash_sdpa"].explain(x, x, x))
sys.exit(3)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("shape = (1, 2, 20, 32)\n")
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_an_unchanged_script_runs_with_it(script: Path) -> None:
    done = run("-m", "metal_flash_sdpa", "run", "--device", "cpu", str(script), "a", "--device=b")
    assert done.stdout.splitlines() == [
        "__main__ ['a', '--device=b'] True",
        "metal-flash-sdpa: the emulator launcher runs its kernels",
    ], done.stderr
    assert done.returncode == 3


def test_a_module_runs_with_it(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(script.parent)
    done = run("-m", "metal_flash_sdpa", "run", "--device", "cpu", "-m", "script", "a")
    assert done.stdout.splitlines()[0] == "__main__ ['a'] True", done.stderr
    assert done.returncode == 3


def test_what_cannot_be_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        ([str(tmp_path / "none.py")], "none.py: there is no such file"),
        (["--device", "metal", "none.py"], "--device metal: "),
        ([], "required: script"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["run", *arguments])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert not is_replaced()


def test_what_is_no_run_is_the_doctors(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["script.py"])
    assert ended.value.code == 2
    assert "unrecognized arguments: script.py" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m metal_flash_sdpa run SCRIPT" in capsys.readouterr().out


IMPORTED = "import metal_flash_sdpa, torch; print(metal_flash_sdpa.replace._states)"


def test_the_environment_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("-c", IMPORTED, **{REPLACE: "1"})
    assert done.stdout.startswith("{'mps': "), done.stderr
    for value, is_asked in (("cpu", True), ("0", False), ("", False)):
        monkeypatch.setenv(REPLACE, value)
        replace.install_as_asked()
        assert is_replaced() == is_asked
        replace_sdpa("cpu").uninstall()


def test_a_wrong_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REPLACE, "yes")
    with pytest.raises(ValueError, match="REPLACE is 'yes': must be 1, 0, or a type of device"):
        replace.install_as_asked()
