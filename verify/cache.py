"""A case's KV cache: where its keys lie, and what appending to it must have written."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from metal_flash_sdpa.plan import Request
from torch import Tensor

from verify.case import CacheUse, Case, Mask

SPARE_ROWS = 5  # of a sequence's entry, beyond its keys
SPARE_PAGES = 2
UNUSED = -7  # the length of a slot that is not in use
NO_PAGES = (-5, 2**31 - 1)  # what the block table holds where a sequence has no page


@dataclass(frozen=True)
class Cache:
    """The keys of a case, in rows of the entries of a cache, or in rows of its pages."""

    case: Case
    use: CacheUse
    shape: tuple[int, int]  # (entries, rows) or (pages, page_size)
    pages: Tensor | None  # (batch, pages of a sequence)

    @classmethod
    def of(cls, case: Case) -> Cache | None:
        """The cache that a case has, if any; the same one each time."""
        if (use := case.cache) is None:
            return None
        batch = case.shape.batch
        ends = [start + k_len for start, k_len in zip(first_rows(use, batch), case.shape.k_lens)]
        if not use.page_size:
            room = ends[-1] if use.overfull else max(ends) + SPARE_ROWS
            return cls(case, use, (batch, room), None)
        of_sequence = max(1, -(-max(ends) // use.page_size))
        pages = batch * of_sequence + SPARE_PAGES
        generator = torch.Generator().manual_seed(case.seed)
        order = torch.randperm(pages, generator=generator)[: batch * of_sequence]
        return cls(case, use, (pages, use.page_size), order.view(batch, of_sequence))

    def written(self, sequence: int) -> int:
        """Rows of what is appended that the cache has room for."""
        if sequence == 0 and self.use.unused:
            return 0
        last = sequence == self.case.shape.batch - 1
        return self.use.appended - (self.use.overfull if last else 0)

    def rows(self, b: int, appended: bool = True) -> tuple[Tensor, Tensor]:
        """Where the keys of sequence b lie, with or without those that the call appends."""
        count = self.case.shape.k_lens[b] - (0 if appended else self.written(b))
        row = first_rows(self.use, self.case.shape.batch)[b] + torch.arange(count)
        if self.pages is None:
            return torch.full_like(row, b), row
        page_size = self.use.page_size
        return self.pages[b, row // page_size], row % page_size

    def used(self, appended: bool = True) -> Tensor:
        """Which rows of the cache hold a key: bool, of the cache's shape."""
        mask = torch.zeros(self.shape, dtype=torch.bool)
        for b in range(self.case.shape.batch):
            mask[self.rows(b, appended)] = True
        return mask

    def described(self, request: Request) -> Request:
        """The request, with what it says of its cache."""
        entries, rows = self.shape
        request = request._replace(
            k_len=rows,
            has_k_begin=self.use.leftpad > 0,
            has_k_end=True,
            appended=self.use.appended,
        )
        if self.pages is None:
            return request
        of_sequence = self.pages.shape[1]
        return request._replace(
            k_len=rows * of_sequence, page_size=rows, pages=entries, table_stride=of_sequence + 1
        )

    def tensors(self) -> dict[str, Tensor]:
        """What tells the kernels where the keys lie."""
        begins = torch.tensor(first_rows(self.use, self.case.shape.batch))
        k_lens = self.case.shape.k_lens
        used = torch.tensor([k_len - self.written(b) for b, k_len in enumerate(k_lens)])
        ends = begins + used
        if self.use.unused:
            # Its last key's page would be the second, which it does not have; it has the first.
            last_key = self.use.page_size + (0 if self.use.appended else 1)
            ends[0] = UNUSED if self.use.unused == "length" else last_key
        found = {"k_begin": begins.int(), "k_end": ends.int()}
        if self.pages is not None:
            batch, of_sequence = self.pages.shape
            table = torch.full((batch, of_sequence + 1), NO_PAGES[0], dtype=torch.int32)
            table[int(bool(self.use.unused)) :, 1::2] = NO_PAGES[1]
            for b, (begin, k_len) in enumerate(zip(begins.tolist(), k_lens)):
                needed = -(-(begin + k_len) // self.use.page_size)
                needed = 1 if b == 0 and self.use.unused == "pages" else needed
                table[b, :needed] = self.pages[b, :needed].int()
            found["block_table"] = table[:, :of_sequence]
        return found

    def strays(self, keys: Tensor) -> int:
        """Elements of a cache that was NaN, apart from its keys, and no longer is."""
        return int((~keys[~self.used().to(keys.device)].isnan()).sum())


def first_rows(use: CacheUse, batch: int) -> list[int]:
    """The row of each sequence's first key in such a cache."""
    return [use.leftpad + b if use.leftpad else 0 for b in range(batch)]


def wrong_rows(case: Case, tensors: dict[str, Tensor]) -> str:
    """What is wrong with what a call appended and rotated, in words; "" if it is right."""
    cache = Cache.of(case)
    assert cache is not None
    use, shape = cache.use, case.shape
    for b in range(shape.batch):
        written = cache.written(b)
        pages, rows = (index[-written:] for index in cache.rows(b))
        position = first_rows(use, shape.batch)[b] + shape.k_lens[b] - written
        positions = position + torch.arange(written)
        k, v = (tensors[name].cpu() for name in ("k", "v"))
        new_k, new_v = (tensors[name][b, :written].cpu() for name in ("new_k", "new_v"))
        if not torch.equal(v[pages, rows], new_v):
            return f"V of sequence {b}: the rows appended are not the new ones"
        if use.rotary_dim == 0 and not torch.equal(k[pages, rows], new_k):
            return f"K of sequence {b}: the rows appended are not the new ones"
        if use.rotary_dim == 0:
            continue
        # Causal queries, and a window's, stand at the new rows; others all at the first.
        advance = case.mask != Mask()
        of_queries = position + torch.arange(shape.q_lens[b]) * advance
        for name, source, got, at in (
            ("K", new_k, k[pages, rows], positions),
            ("Q", tensors["q"][b].cpu(), tensors["rotated_q"][b].cpu(), of_queries),
        ):
            want, tolerance = rotated(use, source, tensors, at)
            excess = (got.double() - want).abs() - tolerance
            worst = excess.max().item() if excess.numel() else 0.0  # there may be no queries
            if not worst <= 0:
                return f"{name} of sequence {b}: {worst:.3g} beyond what rounding explains"
    return ""


def rotated(
    use: CacheUse, x: Tensor, tensors: dict[str, Tensor], positions: Tensor
) -> tuple[Tensor, Tensor]:
    """Rows (len, heads, head_dim) at their positions, in float64, and how far each may be off.

    A float32 sum of two products is off by at most 3 * 2^-24 of their sizes, and rounding it to
    the elements' dtype by half a unit in the last place, or of the smallest subnormal.
    """
    dtype = torch.finfo(x.dtype)
    x = x.double()
    want, size = x.clone(), x.abs()
    pairs = use.rotary_dim // 2
    first = torch.arange(pairs) * (2 if use.interleaved else 1)
    second = first + (1 if use.interleaved else pairs)
    cosine, sine = (
        # Beyond the last position that has an angle, that one's is taken.
        tensors[name].cpu().double()[positions.clamp(max=len(tensors[name]) - 1)].unsqueeze(1)
        for name in ("rotary_cos", "rotary_sin")
    )
    a, b = x[..., first], x[..., second]
    want[..., first], want[..., second] = a * cosine - b * sine, a * sine + b * cosine
    size[..., first] = size[..., second] = a.abs() + b.abs()
    tolerance = dtype.eps / 2 * want.abs() + 3 * 2.0**-24 * size + dtype.smallest_normal * dtype.eps
    return want, tolerance
