"""Lets `import flash_attn` find this package's functions, for programs that know no other name.

A finder at the end of Python's list is asked only where no other finds the module, so a flash_attn
that is installed is never hidden, even if it is installed later.
"""

import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import Any, Dict, Iterable, Optional, Type

from . import bert_padding, interface, packed

# The release of flash-attn whose functions these are: what programs compare with the least they
# need.
VERSION = "2.8.3"

PACKAGE, DISTRIBUTION = "flash_attn", "flash-attn"

_FUNCTIONS = (
    "flash_attn_func",
    "flash_attn_kvpacked_func",
    "flash_attn_qkvpacked_func",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    "flash_attn_with_kvcache",
)
_PADDING = (
    "index_first_axis",
    "index_put_first_axis",
    "pad_input",
    "unpad_input",
    "unpad_input_for_concatenated_sequences",
)
# diffusers imports them with the functions, and calls them where GPUs share a sequence.
_PASSES = ("_wrapped_flash_attn_backward", "_wrapped_flash_attn_forward")
_MODULES = (PACKAGE, f"{PACKAGE}.flash_attn_interface", f"{PACKAGE}.bert_padding")


def _contents(name: str) -> Dict[str, Any]:
    """What one of the modules has."""
    if name == f"{PACKAGE}.bert_padding":
        return {function: getattr(bert_padding, function) for function in _PADDING}
    sources = {**vars(interface), **vars(packed)}
    functions = {function: sources[function] for function in _FUNCTIONS}
    if name == PACKAGE:
        return {"__version__": VERSION, **functions}
    return {**dict.fromkeys(_PASSES, _refuse_to_share), **functions}


def _refuse_to_share(*_: Any, **__: Any) -> None:
    raise NotImplementedError(
        "context parallelism spreads a sequence over several GPUs; a Mac has one for torch"
    )


class Installed:
    """flash_attn as it was put in place; `remove`, or the end of a with block, undoes it."""

    def __init__(self, finder: Optional["_Finder"]) -> None:
        self._finder = finder

    def remove(self) -> None:
        """Let `import flash_attn` fail again; what was imported goes on working.  May be repeated.

        Where the installing was asked for several times, the last removal counts.
        """
        finder, self._finder = self._finder, None
        if finder is None:
            return
        finder.users -= 1
        if finder.users == 0 and finder in sys.meta_path:
            sys.meta_path.remove(finder)
            for name in _MODULES:
                if isinstance(getattr(sys.modules.get(name), "__loader__", None), _Finder):
                    del sys.modules[name]

    def __enter__(self) -> "Installed":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.remove()


def install_as_flash_attn() -> Installed:
    """Let `import flash_attn` find this package's functions, where flash-attn is not installed.

    Covers flash_attn, flash_attn.flash_attn_interface and flash_attn.bert_padding, and what
    importlib.metadata says of flash-attn.  Programs that look for flash_attn when they are imported
    have to be imported afterwards.  A flash_attn that is there already stays, and a warning says
    so.

    Returns:
        What undoes it: `.remove()`, or the end of a with block.
    """
    present = next((finder for finder in sys.meta_path if isinstance(finder, _Finder)), None)
    where = _place() if present is None else ""
    if where:
        warnings.warn(
            f"there is a flash_attn ({where}), which stays: `import flash_attn` finds that one. "
            "This package's functions are in metal_flash_sdpa, under the same names",
            stacklevel=2,
        )
        return Installed(None)
    finder = present or _Finder()
    if present is None:
        sys.meta_path.append(finder)
        importlib.invalidate_caches()
    finder.users += 1
    return Installed(finder)


def _place() -> str:
    """Where another flash_attn is; "" if there is none."""
    imported = sys.modules.get(PACKAGE)
    if imported is not None:  # maybe a program's own stand-in, without a file
        return getattr(imported, "__file__", None) or "imported already"
    spec = importlib.util.find_spec(PACKAGE)
    return "" if spec is None else spec.origin or "without a file"


class _Distribution(importlib.metadata.Distribution):
    """What importlib.metadata says of flash-attn."""

    def read_text(self, filename: str) -> Optional[str]:
        return {
            "METADATA": f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {VERSION}\n",
            "top_level.txt": f"{PACKAGE}\n",  # packages_distributions() looks there
        }.get(filename)

    def locate_file(self, path: Any) -> Any:
        raise FileNotFoundError(f"{path}: {DISTRIBUTION} has no files; metal_flash_sdpa has")


class _Finder(MetaPathFinder, Loader):
    """Finds and makes the modules, and finds the distribution."""

    def __init__(self) -> None:
        self.users = 0  # calls of install_as_flash_attn that are not undone

    def find_spec(
        self, fullname: str, path: Any = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if fullname not in _MODULES:
            return None
        return ModuleSpec(fullname, self, origin=__package__, is_package=fullname == PACKAGE)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context
    ) -> Iterable[importlib.metadata.Distribution]:
        wanted = context.name
        if wanted is None or wanted.lower().replace("_", "-") == DISTRIBUTION:
            return [_Distribution()]
        return []

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_contents(module.__name__))
