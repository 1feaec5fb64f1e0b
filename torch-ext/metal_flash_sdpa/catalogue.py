"""Which kernels there are, what they are called with, and where their sources lie."""

import struct
from operator import itemgetter
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence, Tuple

from ._variants import SIGNATURES, VARIANTS, Signature, Variant

# Not resolved: in the cache of `kernels` each file is a link to a blob that lies elsewhere.
_PACKAGE = Path(__file__).absolute().parent
# A built package carries its shaders; a checkout has them in generated/.
_FOLDERS = (_PACKAGE / "shaders", _PACKAGE.parent.parent / "generated")

Key = Tuple[str, int, str, Optional[str], bool]  # family, head_dim, dtype, mask, sinks
Values = Mapping[str, Any]


class Layout(NamedTuple):
    """How the kernels of a family take their arguments; made once, as decoding plans anew."""

    buffers: Tuple[str, ...]
    optional: Tuple[Tuple[str, str], ...]  # buffers that a call may lack, each with its dtype
    ints: Callable[[Values], Tuple[int, ...]]  # what is bound as int32, from values by name
    floats: Callable[[Values], Tuple[float, ...]]


class Catalogue:
    """The kernels that plans pick from and launchers run.

    variants: (family, head_dim, dtype, mask, sinks) -> its tiles, those with fewer rows first.
    folders: where the sources may lie, in order.
    """

    def __init__(
        self,
        variants: Mapping[Key, Sequence[Variant]] = VARIANTS,
        folders: Sequence[Path] = _FOLDERS,
        signatures: Mapping[str, Signature] = SIGNATURES,
    ) -> None:
        self.variants = variants
        self.folders = folders
        self._layouts = {
            (family, dtype): _layout(signature, dtype)
            for family, signature in signatures.items()
            for dtype in self.dtypes
        }

    @property
    def head_dims(self) -> Tuple[int, ...]:
        """The supported head dims, ascending."""
        return tuple(sorted({head_dim for _, head_dim, _, _, _ in self.variants}))

    @property
    def dtypes(self) -> Tuple[str, ...]:
        """The names of the supported dtypes."""
        return tuple(dict.fromkeys(dtype for _, _, dtype, _, _ in self.variants))

    def variant(
        self,
        family: str,
        head_dim: int,
        dtype: str,
        mask: Optional[str] = None,
        sinks: bool = False,
        rows: int = 1,
    ) -> Variant:
        """A kernel: of several tiles the smallest that holds `rows`, or else the largest.

        Raises ValueError if there is none.
        """
        tiles = self.variants.get((family, head_dim, dtype, mask, sinks))
        if tiles is None:
            raise ValueError(
                f"head_dim is {head_dim} and dtype {dtype}: supported are head dims "
                f"{list(self.head_dims)} in {', '.join(self.dtypes)}"
            )
        for tile in tiles:
            if tile.block_q >= rows:
                return tile
        return tiles[-1]

    def layout(self, family: str, dtype: str) -> Layout:
        """How the kernels of a family take their arguments, for elements of a dtype."""
        return self._layouts[family, dtype]

    def path(self, file: str) -> Path:
        """Where a shader lies.  Raises FileNotFoundError naming where it was looked for."""
        for folder in self.folders:
            path = folder / file
            if path.is_file():
                return path
        raise FileNotFoundError(f"{file} is neither in {' or '.join(map(str, self.folders))}")


def _layout(signature: Signature, dtype: str) -> Layout:
    optional = tuple((name, own or dtype) for name, own in signature.optional.items())
    fields = "".join(code for _, code in signature.ints)
    # A struct that holds a 64-bit member is a multiple of 8 bytes long.
    packed = struct.Struct("<" + fields + ("4x" if fields.count("i") % 2 else ""))
    words = struct.Struct(f"<{packed.size // 4}i")
    pick_ints = _picker([name for name, _ in signature.ints])
    pick_floats = _picker(signature.floats)

    def ints(values: Values) -> Tuple[int, ...]:
        return words.unpack(packed.pack(*pick_ints(values)))

    def floats(values: Values) -> Tuple[float, ...]:
        return tuple(map(float, pick_floats(values)))

    return Layout(signature.buffers, optional, ints, floats)


def _picker(names: Sequence[str]) -> Callable[[Values], Tuple[Any, ...]]:
    """What takes these values, as a tuple."""
    if len(names) > 1:  # of a single name itemgetter would give no tuple
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


BUILT_IN = Catalogue()
