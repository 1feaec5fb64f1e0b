"""METAL_FLASH_SDPA_OFF: kernels that must not run, and what becomes of calls that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from metal_flash_sdpa import call, catalogue, explain, flash_attn_func, replace_sdpa, sdpa
from metal_flash_sdpa._variants import Key
from metal_flash_sdpa.catalogue import BUILT_IN, OFF, KernelOffError, kept_off

TILES = BUILT_IN.variants[Key("decode", (32, 32), "float32", sinks=True)]


@pytest.fixture
def keep_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the variable, and lets it be read anew."""

    def forget() -> None:
        kept_off.cache_clear()
        call._planned.cache_clear()
        sdpa._known.clear()

    def set_to(names: str) -> None:
        monkeypatch.setenv(OFF, names)
        forget()

    yield set_to
    monkeypatch.undo()
    forget()


def attend(q_len: int, heads: int = 1) -> torch.Tensor:
    q, k = torch.ones(1, q_len, heads, 32), torch.ones(1, 20, 1, 32)
    out = flash_attn_func(q, k, k)
    assert isinstance(out, torch.Tensor)
    return out


@pytest.mark.parametrize(
    ("off", "refused", "runs"),
    [("prefill", 20, 1), ("decode", 1, 20), (" prefill_float32_d32_q64k32_full ,combine", 20, 1)],
)
def test_a_call_that_needs_one_is_refused_by_name(
    keep_off: Callable[[str], None], off: str, refused: int, runs: int
) -> None:
    keep_off(off)
    with pytest.raises(
        KernelOffError,
        match=rf"this call needs {'prefill' if refused > 1 else 'decode'}_float32_d"
        rf".*, of the family .*, which {OFF}=.* keeps off: compute this",
    ):
        attend(refused)
    assert torch.equal(attend(runs), torch.ones(1, runs, 1, 32))


def test_another_tile_takes_the_place_of_one_that_is_off(
    keep_off: Callable[[str], None], launched: list[str]
) -> None:
    small, large = (tile.name for tile in TILES)
    attend(1)
    keep_off(small)
    assert torch.equal(attend(1), torch.ones(1, 1, 1, 32))
    assert launched == [small, large]
    keep_off(f"{small},{large}")
    with pytest.raises(KernelOffError, match=f"needs {small} or {large}, of the family decode"):
        attend(1)


def test_the_forward_pass_runs_where_only_the_backward_is_off(
    keep_off: Callable[[str], None],
) -> None:
    keep_off("backward_q")
    q = torch.ones(1, 20, 1, 32, requires_grad=True)
    out = flash_attn_func(q, q.detach(), q.detach())
    assert isinstance(out, torch.Tensor)
    with pytest.raises(KernelOffError, match="of the family backward_q"):
        out.sum().backward()


def test_an_unknown_name_is_refused(keep_off: Callable[[str], None]) -> None:
    keep_off("prefil")
    with pytest.raises(
        ValueError, match=rf"{OFF} names 'prefil': must be families \(.*prefill, dec"
    ):
        attend(1)
    keep_off(" , ")
    assert catalogue.kept_off() == frozenset()


@pytest.mark.parametrize("off", ["prefill", "backward_q"])
def test_torchs_function_goes_on_without_them(
    keep_off: Callable[[str], None], launched: list[str], off: str
) -> None:
    keep_off(off)
    q = torch.randn(1, 2, 20, 32, requires_grad=True)
    with replace_sdpa("cpu"):
        torch.nn.functional.scaled_dot_product_attention(q, q, q).sum().backward()
        assert not launched
        said = explain(q, q, q)
        assert said.startswith("torch's own: this call needs ")
        assert f"{OFF}={off}" in said
        with torch.no_grad():
            torch.nn.functional.scaled_dot_product_attention(q, q, q)
    assert bool(launched) == (off != "prefill")
