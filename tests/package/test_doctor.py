"""The doctor: what it finds on the emulator, and that it finds what is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from metal_flash_sdpa import catalogue, doctor, launchers, samples
from metal_flash_sdpa._variants import Key
from metal_flash_sdpa.catalogue import BUILT_IN, OFF
from metal_flash_sdpa.launchers import emulator
from metal_flash_sdpa.plan import LaunchPlan
from torch import Tensor

HALF = (64, torch.float16)


def sample(name: str) -> samples.Sample:
    (found,) = (sample for sample in samples.SAMPLES if sample.name == name)
    return found


def test_all_is_right_on_the_emulator(
    tmp_path: Path, launched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.txt"
    assert doctor.main(["--report", str(report)]) == doctor.RIGHT
    printed = capsys.readouterr().out
    assert printed.startswith(report.read_text())
    assert f"written to {report}" in printed
    assert "launcher   emulator; not native: takes tensors on mps; not jit: takes" in printed
    assert printed.count(" right, error 0.") == len(doctor.KINDS) * len(samples.SAMPLES)
    assert "Not timed: there is no Apple GPU here" in printed
    assert "Verdict: right on the emulator." in printed
    assert {doctor.FAMILIES[name] for name in launched} == set(BUILT_IN.signatures)


def test_every_result_blames_a_family_that_made_it(launched: list[str]) -> None:
    for head_dim, dtype in (HALF, doctor.KINDS[-1]):
        for one in samples.SAMPLES:
            launched.clear()
            results = one.on_kernels(head_dim, dtype, "cpu")
            assert {name for name in results if not name.startswith(samples.SIZE)} == set(one.blame)
            ran = {doctor.FAMILIES[name] for name in launched}
            assert all(ran.intersection(families) for families in one.blame.values())


Buffers = Sequence[Tensor]


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """From the call on, a family's kernels leave the named buffer off by a tenth."""
    prepare = emulator.prepare

    def damage(family: str, buffer: str) -> None:
        def wrong(plan: LaunchPlan, *rest: Any) -> Callable[[Buffers], Any]:
            run = prepare(plan, *rest)

            def launch(buffers: Buffers) -> None:
                run(buffers)
                if doctor.FAMILIES[plan.kernel] == family:
                    result = buffers[plan.buffers.index(buffer)]
                    result.copy_(result * 1.1 if result.is_floating_point() else 1 - result)

            return launch

        monkeypatch.setattr(emulator, "prepare", wrong)

    return damage


@pytest.mark.parametrize(
    ("name", "family", "buffer"),
    [
        ("prefill", "prefill", "out"),
        ("prefill, causal", "prefill", "lse"),
        ("prefill, mask tensor", "prefill", "out"),
        ("prefill, mask tensor", "mask_blocks", "mask_states"),
        ("decode", "decode", "out"),
        ("decode, keys split", "combine", "out"),
        ("append, rotary, pages", "append", "k"),
        ("backward", "backward_q", "grad_q"),
        ("backward", "backward_kv", "grad_v"),
        ("backward", "backward_rows", "grad_sinks"),
    ],
)
def test_a_wrong_kernel_is_named(
    damaged: Callable[[str, str], None], name: str, family: str, buffer: str
) -> None:
    damaged(family, buffer)
    finding = doctor.judge(sample(name), *HALF, "cpu")
    assert finding.text.startswith("WRONG, error ")
    suspects = [doctor.FAMILIES[kernel] for kernel in finding.suspects]
    assert family in suspects
    assert len(suspects) == (2 if "mask" in name else 1)


def test_a_nan_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_number(*arguments: Any, **options: Any) -> Any:
        out, lse, _ = samples._attend(*(x.float() for x in arguments), **options)
        return out * torch.nan, lse, None

    monkeypatch.setattr(samples, "_KERNELS", samples.Functions(no_number, no_number))
    monkeypatch.setattr(doctor, "KINDS", (HALF,))
    monkeypatch.setattr(samples, "SAMPLES", (sample("prefill"),))
    assert doctor.main([]) == doctor.WRONG
    printed = capsys.readouterr().out
    assert "WRONG, error nan of what is allowed" in printed
    assert "Verdict: something is wrong, and no kernel ran that could be named." in printed


def test_a_kernel_that_does_not_compile_is_named_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = emulator.prepare

    def refused(plan: LaunchPlan, *rest: Any) -> Any:
        if doctor.FAMILIES[plan.kernel] == "decode":
            raise SyntaxError("program_source:12: use of undeclared identifier\nand more")
        return prepare(plan, *rest)

    monkeypatch.setattr(emulator, "prepare", refused)
    monkeypatch.setattr(doctor, "KINDS", (HALF,))
    monkeypatch.setattr(samples, "SAMPLES", (sample("decode"), sample("prefill")))
    assert doctor.main([]) == doctor.WRONG
    printed = capsys.readouterr().out
    (name,) = {
        tile.name for tile in BUILT_IN.variants[Key("decode", (64, 64), "float16", sinks=True)]
    } & {word.strip() for word in printed.split("\n")}
    assert "FAILS SyntaxError: program_source:12: use of undeclared identifier\n" in printed
    assert "  right, error" in printed.replace("d64   right", "d64     right")
    assert f"export {OFF}={name}\n" in printed
    # What it says to set is accepted, and keeps that kernel from running.
    monkeypatch.setenv(OFF, name)
    catalogue.kept_off.cache_clear()
    assert catalogue.kept_off() == {name}
    monkeypatch.undo()
    catalogue.kept_off.cache_clear()


def test_what_is_kept_off_is_not_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OFF, "decode")
    catalogue.kept_off.cache_clear()
    monkeypatch.setattr(doctor, "KINDS", (HALF,))
    assert doctor.main([]) == doctor.RIGHT
    printed = capsys.readouterr().out
    assert printed.count(f"not run: {OFF} keeps a kernel off") == 3  # decode, combine and append
    assert f"{OFF} decode\n" in printed
    monkeypatch.setenv(OFF, "decod")
    catalogue.kept_off.cache_clear()
    assert doctor.main([]) == doctor.NOT_RUN
    assert f"{OFF} names 'decod'" in capsys.readouterr().out
    monkeypatch.undo()
    catalogue.kept_off.cache_clear()


def test_a_report_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        doctor.main(["--report", str(tmp_path / "nowhere/report.txt")])
    assert "report.txt: No such file or directory" in capsys.readouterr().err


def test_where_nothing_can_run_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launchers.choose.cache_clear()
    monkeypatch.setenv(launchers.FORCE, "jit")
    assert doctor.main([]) == doctor.NOT_RUN
    printed = capsys.readouterr().out
    assert "launcher   none: no launcher that METAL_FLASH_SDPA_LAUNCHER allows" in printed
    assert "Verdict: nothing can be run here." in printed
    assert f"{launchers.FORCE} jit\n" in printed


def test_it_reads_what_a_mac_says_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(doctor, "_sysctl", lambda name: f"<{name}>")
    monkeypatch.setattr("platform.mac_ver", lambda: ("26.1", ("", "", ""), "arm64"))
    facts = doctor.machine()
    assert facts["Mac"] == "<hw.model>, <machdep.cpu.brand_string>"
    assert facts["macOS"] == "26.1"
    assert torch.__version__ == facts["torch"]


def test_it_times_this_package_beside_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "synchronize", lambda: None)
    monkeypatch.setattr(doctor, "TIMED_SECONDS", 0.1)
    small = doctor.Shape("small", 1, 40, 4, 2, 64, False)
    name, ours, torchs, ratio, *words = doctor.timed(small, "cpu").split()
    assert (name, words) == ("small", ["times", "as", "fast"])
    assert float(ratio) == pytest.approx(float(torchs) / float(ours), rel=0.1, abs=0.02)


def test_its_reference_is_torchs_own_attention() -> None:
    """Beside F.scaled_dot_product_attention, which the reference must not be wrong with us of."""
    q, k, v = samples._qkv(samples._draw(torch.float32, torch.float64), 30, 40, 64)
    mask = torch.randn(30, 40, dtype=torch.float64)
    out, _, _ = samples._attend(q, k, v, attn_mask=mask)
    want = torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (q, k, v)), attn_mask=mask, enable_gqa=True
    )
    torch.testing.assert_close(out, want.transpose(1, 2), atol=1e-12, rtol=1e-12)
    band, _, _ = samples._attend(q, k, v, causal=True, window_size=(5, 7))
    distance = torch.arange(40)[None] - torch.arange(30)[:, None] - 10
    hidden = torch.zeros(30, 40, dtype=torch.float64)
    hidden[(distance > 0) | (distance < -5)] = -torch.inf
    torch.testing.assert_close(band, samples._attend(q, k, v, attn_mask=hidden)[0])
