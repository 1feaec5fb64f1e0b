"""Puts the kernels under torch.nn.functional.scaled_dot_product_attention, for code as it is.

torch chooses what runs by the device of the tensors and by whether gradients are recorded.  At both
places where it looks, this registers a function that hands a call to the kernels or, if they do not
serve it, to what stood there before: torch's own, with nothing changed.
"""

import os
import warnings
from functools import partial
from threading import RLock
from types import TracebackType
from typing import Any, Callable, Dict, Optional, Type, Union

import torch
import torch.compiler.config
from torch import Tensor

from . import _ops, sdpa
from .sdpa import Call

REPLACE = "METAL_FLASH_SDPA_REPLACE"  # environment variable: 1, 0, or a type of device
DEVICE = "mps"
_NAME = "aten::scaled_dot_product_attention"


class Replacement:
    """torch's scaled_dot_product_attention, replaced on one type of device.

    Everything here may be called twice, and in any order: it is replaced while a `with` block runs
    or `install` holds, and torch's own again after the last of them.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def install(self) -> "Replacement":
        """Replace it for good, in the whole process; no more happens if it is."""
        with _lock:
            _state(self.device).update(installed=True)
        return self

    def uninstall(self) -> None:
        """Take back what `install` did, by whichever object; nothing happens if nothing did."""
        with _lock:
            _state(self.device).update(installed=False)

    def __enter__(self) -> "Replacement":
        with _lock:
            _state(self.device).update(blocks=+1)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        with _lock:
            _state(self.device).update(blocks=-1)


def replace_sdpa(device: Union[str, torch.device] = DEVICE) -> Replacement:
    """Let torch.nn.functional.scaled_dot_product_attention call the kernels.

    As a context manager, `with replace_sdpa():`, or for good, `replace_sdpa().install()`.  With
    METAL_FLASH_SDPA_REPLACE=1 in the environment importing this package installs it.

    Calls that the kernels do not serve go to torch's own implementation, wrong calls included;
    `explain` says of one which way it goes.  So do all in `torch.nn.attention.sdpa_kernel` blocks
    that leave out FLASH_ATTENTION.

    What torch.compile compiles meanwhile keeps the kernels, also after; what it compiled before
    does not get them.

    Args:
        device: the type of the tensors' device.  (On "cpu" the emulator runs the kernels: for
            tests.)
    """
    return Replacement(torch.device(device).type)


def explain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Optional[Tensor] = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Optional[float] = None,
    enable_gqa: bool = False,
) -> str:
    """Which way this call of scaled_dot_product_attention goes, and why, in one line."""
    call = sdpa.with_autocast(
        Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    )
    why = sdpa.refusal(*call)
    if why:
        return f"torch's own: {why}"
    how = f"metal-flash-sdpa: the {sdpa.launcher(call)} launcher runs its kernels"
    device = query.device.type
    if _state(device).active:
        return how
    return (
        f"{how}, called as metal_flash_sdpa.scaled_dot_product_attention; torch's function of this "
        f"name is not replaced on {device}, as replace_sdpa({_argument(device)}) does"
    )


def _argument(device: str) -> str:
    return "" if device == DEVICE else repr(device)


def install_as_asked() -> None:
    """Install what the environment asks for."""
    asked = os.environ.get(REPLACE, "")
    if asked not in ("", "0"):
        try:
            replacement = replace_sdpa(DEVICE if asked == "1" else asked)
        except RuntimeError:
            raise ValueError(
                f"{REPLACE} is {asked!r}: must be 1, 0, or a type of device such as {DEVICE}"
            ) from None
        try:
            replacement.install()
        except RuntimeError as error:  # an import goes on
            warnings.warn(f"{REPLACE} is {asked!r}, but {error}", stacklevel=3)


class _State:
    """Who wants torch's function replaced on one type of device, and the registration itself."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.installed = False
        self.blocks = 0
        self.library: Any = None

    @property
    def active(self) -> bool:
        return self.library is not None

    def update(self, installed: Optional[bool] = None, blocks: int = 0) -> None:
        before = self.installed, self.blocks
        self.installed = self.installed if installed is None else installed
        self.blocks += blocks
        wanted = self.installed or self.blocks > 0
        if wanted and not self.active:
            try:
                self.library = _register(self.device)
            except RuntimeError:
                self.installed, self.blocks = before
                raise
            torch.compiler.config.cache_key_tag += self._tag
        elif not wanted and self.active:
            self.library._destroy()
            self.library = None
            tags = torch.compiler.config.cache_key_tag
            torch.compiler.config.cache_key_tag = tags.replace(self._tag, "")

    @property
    def _tag(self) -> str:
        """Keeps apart on disk what torch.compile makes of the same code with and without this.

        And with another version of this package: each has a namespace of its own.
        """
        return f"[{_ops._OPS_NAME} on {self.device}]"


_states: Dict[str, _State] = {}
_lock = RLock()


def _state(device: str) -> _State:
    return _states.setdefault(device, _State(device))


def _register(device: str) -> Any:
    keys = (f"Autograd{device.upper()}", device.upper())
    # Of a second function in its place torch would not say which of them is taken off first.
    if any(torch._C._dispatch_has_kernel_for_dispatch_key(_NAME, key) for key in keys):
        raise RuntimeError(
            f"torch's scaled_dot_product_attention is replaced on {device} by other code, perhaps "
            "by another copy of metal_flash_sdpa: take that off first"
        )
    library = torch.library.Library("aten", "IMPL")
    for key in keys:
        library.impl(_NAME, _in_place_of(_standing_at(key)), key)
    return library


def _standing_at(key: str) -> Callable[..., Tensor]:
    """The function that torch calls before any is registered in its place."""
    if hasattr(torch.library, "get_kernel"):
        keys = torch._C.DispatchKeySet(torch._C._parse_dispatch_key(key))
        return partial(torch.library.get_kernel(_NAME, key).call_boxed, keys)
    return torch.ops.aten.scaled_dot_product_attention.default.decompose  # type: ignore[no-any-return]


def _in_place_of(own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function that torch is to call; `own` takes what the kernels do not serve."""
    refusal = sdpa.refusal

    def scaled_dot_product_attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Optional[Tensor] = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: Optional[float] = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if refusal(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa):
            # fmt: off
            return own(  # no unpacking of tuples, which takes longer
                query, key, value, attn_mask, dropout_p, is_causal,
                scale=scale, enable_gqa=enable_gqa,
            )
            # fmt: on
        return sdpa.attend(
            Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
        )

    return scaled_dot_product_attention
