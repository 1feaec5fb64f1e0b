"""Tensors in poisoned memory: what a kernel reads or writes beside them shows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MARGIN = 1 << 14  # poisoned elements on either side: more than a row of any case
FAR = 2**31 + 64  # elements from one head to the next in the "far" layout
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
BYTE = 0x55  # in place of NaN


class Arena:
    """One tensor of shape (batch, rows, heads, dim) inside a larger block of NaN, or of bytes.

    `layout` is one of cases.LAYOUTS.  `packed` drops the batch axis of the view.  `margin` is the
    least number of elements on either side.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        layout: str,
        device: str,
        packed: bool,
        margin: int = MARGIN,
    ) -> None:
        batch, rows, heads, dim = shape
        offset = margin
        if layout == "contiguous":
            strides = (rows * heads * dim, heads * dim, dim)
        elif layout == "transposed":
            strides = (heads * rows * dim, dim, rows * dim)
        elif layout == "sliced":
            strides = (rows * (heads + 1) * (dim + 3), (heads + 1) * (dim + 3), dim + 3)
            offset += 1
        elif layout == "expanded":
            strides = (0, dim, 0)
        else:
            strides = (rows * dim, dim, FAR)
        steps = [(n - 1) * stride for n, stride in zip(shape[:3], strides) if n]
        length = offset + sum(steps) + dim + margin
        self._nothing = torch.nan if dtype.is_floating_point else BYTE
        self.storage = torch.empty(length, dtype=dtype, device=device)
        # Only the pages that can be reached in good faith are touched in the far layout.
        near = 2 * margin + batch * rows * dim
        self._poisoned = (
            [self.storage[h * FAR : h * FAR + near] for h in range(heads)]
            if layout == "far"
            else [self.storage]
        )
        for part in self._poisoned:
            part.fill_(self._nothing)
        self._poison = [part.view(BITS[dtype.itemsize]).clone() for part in self._poisoned]
        view = self.storage.as_strided(shape, (*strides, 1), offset)
        self.strides = (0, *strides[1:]) if packed else strides
        self.view = view[0] if packed else view
        # What lies in memory once: all of it, unless sequences and heads are the same memory.
        self._once = view[:1, :, :1] if layout == "expanded" else view

    def fill(self, values: Tensor) -> None:
        """Give the tensor its values, or as many as it has room for; the surroundings stay NaN."""
        batch, _, heads, _ = self._once.shape
        values = values if values.dim() == 4 else values.unsqueeze(0)
        self._once.copy_(values[:batch, :, :heads])

    def damage(self) -> int:
        """Elements around the tensor that are no longer the poison.  Ends the tensor's use."""
        self.view.fill_(self._nothing)
        return sum(
            int((part.view(poison.dtype) != poison).sum())
            for part, poison in zip(self._poisoned, self._poison)
        )


def moved(tensor: Tensor, device: str) -> Tensor:
    """The tensor on a device as it lies here: its strides, its offset, what is in the gaps.

    `Tensor.to` packs a tensor that has gaps, and a request that states the strides is then wrong.
    """
    count = tensor.untyped_storage().nbytes() // tensor.itemsize
    storage = tensor.as_strided((count,), (1,), 0).to(device)
    return storage.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def offsets(lengths: Sequence[int]) -> Tensor:
    """cu_seqlens of a packed batch: (batch + 1,) int32."""
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
