"""Which kernels there are, what they are called with, and where their sources lie."""

import os
from functools import lru_cache
from pathlib import Path
from typing import FrozenSet, Mapping, Optional, Sequence, Tuple

from ._variants import LATENT, SIGNATURES, VARIANTS, Key, Signature, Variant, Widths

# Not resolved: in the cache of `kernels` each file is a link to a blob that lies elsewhere.
_PACKAGE = Path(__file__).absolute().parent
# A built package carries its shaders; a checkout has them in generated/.
_FOLDERS = (_PACKAGE / "shaders", _PACKAGE.parent.parent / "generated")

# Of a kernel that works for every head_dim and dtype.
ANY_WIDTHS, ANY_DTYPE = (0, 0), "any"

OFF = "METAL_FLASH_SDPA_OFF"  # environment variable: families and kernels that must not run


class KernelOffError(RuntimeError):
    """A call needs a kernel that METAL_FLASH_SDPA_OFF keeps off."""


@lru_cache(maxsize=None)
def kept_off() -> FrozenSet[str]:
    """The families and kernels that METAL_FLASH_SDPA_OFF names, read once, at the first call.

    Raises ValueError for a name that is neither.
    """
    names = frozenset(filter(None, map(str.strip, os.environ.get(OFF, "").split(","))))
    kernels = {tile.name for tiles in VARIANTS.values() for tile in tiles}
    for name in sorted(names - kernels - SIGNATURES.keys()):
        raise ValueError(
            f"{OFF} names {name!r}: must be families ({', '.join(SIGNATURES)}) or kernels, as in "
            f"{next(iter(VARIANTS.values()))[0].name}, with commas between them"
        )
    return names


class Catalogue:
    """The kernels that plans pick from and launchers run.

    variants: Key -> its tiles, fewest rows first.
    folders: where the sources may lie, in order.
    signatures: family -> what its kernels are called with.
    """

    def __init__(
        self,
        variants: Mapping[Key, Sequence[Variant]] = VARIANTS,
        folders: Sequence[Path] = _FOLDERS,
        signatures: Mapping[str, Signature] = SIGNATURES,
    ) -> None:
        self.variants = variants
        self.folders = folders
        self.signatures = signatures

    @property
    def head_dims(self) -> Tuple[int, ...]:
        """The supported head dims, ascending."""
        return tuple(sorted(qk for qk, v in self.widths if qk == v))

    @property
    def widths(self) -> Tuple[Widths, ...]:
        """The widths that every call may have, ascending; latent ones are not among them."""
        return tuple(sorted({own for _, own, *_ in self.variants} - {ANY_WIDTHS, *LATENT}))

    @property
    def differentiable(self) -> Tuple[Widths, ...]:
        """The widths that have a backward pass, ascending."""
        return tuple(sorted({own for family, own, *_ in self.variants if family == "backward_q"}))

    @property
    def dtypes(self) -> Tuple[str, ...]:
        """The names of the supported dtypes."""
        every = (dtype for _, _, dtype, *_ in self.variants if dtype != ANY_DTYPE)
        return tuple(dict.fromkeys(every))

    def variant(
        self,
        family: str,
        widths: Widths,
        dtype: str,
        mask: Optional[str] = None,
        sinks: bool = False,
        dropout: bool = False,
        kv_dtype: str = "",
        rows: int = 1,
    ) -> Variant:
        """A kernel: of several tiles the smallest that holds `rows`, or else the largest.

        Raises ValueError if there is none, KernelOffError if all are kept off.
        """
        tiles = self.variants.get(Key(family, widths, dtype, mask, sinks, dropout, kv_dtype))
        if tiles is None:
            qk, v = widths
            given = f"{qk}" if qk == v else f"{qk}, {v} of v,"
            supported = "supported with dropout" if dropout else "supported"
            raise ValueError(
                f"head_dim is {given} and dtype {dtype}: {supported} are head dims "
                f"{list(self.head_dims)} in {', '.join(self.dtypes)}"
            )
        if off := kept_off():
            tiles = _without(off, family, tiles)
        for tile in tiles:
            if tile.block_q >= rows:
                return tile
        return tiles[-1]

    def path(self, file: str) -> Path:
        """Where a shader lies.  Raises FileNotFoundError naming where it was looked for."""
        for folder in self.folders:
            path = folder / file
            if path.is_file():
                return path
        raise FileNotFoundError(f"{file} is neither in {' or '.join(map(str, self.folders))}")


def _without(off: FrozenSet[str], family: str, tiles: Sequence[Variant]) -> Sequence[Variant]:
    """The tiles of a kernel that may run."""
    left = [] if family in off else [tile for tile in tiles if tile.name not in off]
    if not left:
        raise KernelOffError(
            f"this call needs {' or '.join(tile.name for tile in tiles)}, of the family {family}, "
            f"which {OFF}={','.join(sorted(off))} keeps off: compute this attention with torch's "
            "own operations, or take the name out of the variable"
        )
    return left


BUILT_IN = Catalogue()
