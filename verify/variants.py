"""The kernels that exist: the rows of generated/manifest.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from metal_flash_sdpa.catalogue import ANY_DTYPE
from metal_flash_sdpa.plan import BACKWARD_FAMILIES, SIMD_WIDTH

from codegen.widths import Widths, plain

GENERATED = Path(__file__).resolve().parent.parent / "generated"

MASKED = "masked"  # the mode of kernels that take a mask tensor
BACKWARD = frozenset(BACKWARD_FAMILIES)
BACKWARD_ROWS = "backward_rows"  # whose statistics the others read
BACKWARD_MASK = "backward_mask"  # which computes a mask's gradient
OF_OUT = ("combine", BACKWARD_ROWS)  # these know the columns of O alone


@dataclass(frozen=True)
class Variant:
    """One kernel."""

    name: str
    family: str
    head_dim: int
    head_dim_v: int
    latent: bool
    dtype: str
    mask: str | None
    sinks: bool
    dropout: bool
    kv_dtype: str
    file: str
    block_q: int
    block_k: int
    threads: int
    threadgroup_bytes: int

    @property
    def step_k(self) -> int:
        """Keys per step of a threadgroup's loop; a decode kernel's simdgroups each take a block."""
        return self.block_k * (self.threads // SIMD_WIDTH if self.family == "decode" else 1)

    @property
    def widths(self) -> Widths:
        """The columns of a head."""
        return Widths(self.head_dim, self.head_dim_v, self.latent)

    @property
    def columns(self) -> str:
        """The same as reports name it: "64", or "192/128"."""
        return str(self.widths._replace(latent=False))

    @property
    def tried_on(self) -> tuple[Widths, str]:
        """Widths and dtype of what it is tried on: these, if it works for all."""
        any_dtype = self.dtype == ANY_DTYPE
        return (plain(64), "float16") if any_dtype else (self.widths, self.dtype)

    @property
    def gradients(self) -> str:
        """Of "q", "k" and "v", those whose gradients a kernel of the backward pass computes."""
        computes = self.family in BACKWARD - {BACKWARD_ROWS, BACKWARD_MASK}
        return self.family.removeprefix("backward_") if computes else ""

    @property
    def takes_mask(self) -> bool:
        """Whether a call that it computes may have a mask tensor."""
        return self.mask == MASKED or self.dropout or self.family == "decode"

    @property
    def path(self) -> Path:
        """The file that holds it."""
        return GENERATED / self.file

    @property
    def mode(self) -> str:
        """Mask mode as reports name it; "" for a family without modes."""
        if self.dropout:
            return "dropout"
        if self.kv_dtype:
            return f"{self.kv_dtype} K and V"
        if self.mask == MASKED:
            return self.mask  # sinks are known at run time
        return f"{self.mask}+sinks" if self.mask and self.sinks else self.mask or ""


@cache
def manifest() -> tuple[Variant, ...]:
    """Every variant that exists."""
    return tuple(Variant(**row) for row in json.loads((GENERATED / "manifest.json").read_text()))


def attention_variants() -> tuple[Variant, ...]:
    """Those that compute attention, rather than work before or after those that do."""
    return tuple(v for v in manifest() if v.family in ("prefill", "decode"))


def backward_variants() -> tuple[Variant, ...]:
    """Those that compute gradients, or what gradients are computed from."""
    return tuple(v for v in manifest() if v.family in BACKWARD)


def helpers(variant: Variant) -> list[Variant]:
    """The kernels that a plan with this variant may launch, too."""
    families = {BACKWARD_ROWS} if variant.family in BACKWARD else {"append", "combine"}
    if variant.takes_mask and variant.family != "decode":
        families.add("mask_blocks")
    widths, dtype = variant.tried_on
    of_out = plain(widths.v)
    dtypes = (dtype, variant.kv_dtype)  # a cache is appended to in its own
    return [
        v
        for v in manifest()
        if v.dtype == ANY_DTYPE
        or (v.widths == (of_out if v.family in OF_OUT else widths) and v.dtype in dtypes)
        if v.family in families - {variant.family}
    ]
