"""Which kernels there are, what they are called with, and where their sources lie."""

from pathlib import Path
from typing import Mapping, Optional, Sequence, Tuple

from ._variants import SIGNATURES, VARIANTS, Signature, Variant

# Not resolved: in the cache of `kernels` each file is a link to a blob that lies elsewhere.
_PACKAGE = Path(__file__).absolute().parent
# A built package carries its shaders; a checkout has them in generated/.
_FOLDERS = (_PACKAGE / "shaders", _PACKAGE.parent.parent / "generated")

# Of a kernel that works for every head_dim and dtype.
ANY_HEAD_DIM, ANY_DTYPE = 0, "any"

# family, head_dim, dtype, mask (None: any), sinks, dropout, dtype of K and V if they are converted
Key = Tuple[str, int, str, Optional[str], bool, bool, str]


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
        return tuple(sorted({dim for _, dim, *_ in self.variants} - {ANY_HEAD_DIM}))

    @property
    def dtypes(self) -> Tuple[str, ...]:
        """The names of the supported dtypes."""
        every = (dtype for _, _, dtype, *_ in self.variants if dtype != ANY_DTYPE)
        return tuple(dict.fromkeys(every))

    def variant(
        self,
        family: str,
        head_dim: int,
        dtype: str,
        mask: Optional[str] = None,
        sinks: bool = False,
        dropout: bool = False,
        kv_dtype: str = "",
        rows: int = 1,
    ) -> Variant:
        """A kernel: of several tiles the smallest that holds `rows`, or else the largest.

        Raises ValueError if there is none.
        """
        tiles = self.variants.get((family, head_dim, dtype, mask, sinks, dropout, kv_dtype))
        if tiles is None:
            raise ValueError(
                f"head_dim is {head_dim} and dtype {dtype}: supported are head dims "
                f"{list(self.head_dims)} in {', '.join(self.dtypes)}"
            )
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


BUILT_IN = Catalogue()
