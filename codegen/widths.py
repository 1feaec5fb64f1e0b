"""The columns of a head."""

from __future__ import annotations

from typing import NamedTuple

LATENT = "latent"  # what the table calls a pair whose V is the first columns of K


class Widths(NamedTuple):
    """The columns of a head: of Q and K, and of V and O.  Most models have as many of both."""

    qk: int
    v: int
    latent: bool = False  # V is the first columns of K

    @property
    def is_pair(self) -> bool:
        """Whether they differ."""
        return self.qk != self.v

    def __str__(self) -> str:
        own = f"{self.qk}/{self.v}" if self.is_pair else f"{self.qk}"
        return f"{own} {LATENT}" if self.latent else own

    @property
    def name(self) -> str:
        """What kernels and their files are called by."""
        return f"d{self.qk}v{self.v}" if self.is_pair else f"d{self.qk}"


def plain(head_dim: int) -> Widths:
    """The widths of a head_dim that Q, K and V have in common."""
    return Widths(head_dim, head_dim)


def read_widths(text: str) -> Widths:
    """Widths as the table has them: "64", or "192/128" for a pair, or "576/512 latent"."""
    columns, _, kind = text.strip().partition(" ")
    qk, _, v = columns.partition("/")
    if kind not in ("", LATENT):
        raise ValueError(f"{kind!r} behind {columns}: must be {LATENT!r} or nothing")
    return Widths(int(qk), int(v or qk), latent=bool(kind))
