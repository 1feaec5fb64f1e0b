"""Where each sequence's keys lie in k and v: worked out here, whatever the caller says it with."""

from typing import NamedTuple, Optional

from torch import Tensor


class Keys(NamedTuple):
    """By default a sequence's keys are all rows of its batch."""

    begin: Optional[Tensor] = None  # (batch,): row of the first
    end: Optional[Tensor] = None  # (batch,): row after the last, before any are appended
    length: Optional[int] = None  # rows that every sequence has; None: all, or as `end` says
    block_table: Optional[Tensor] = None  # (batch, pages): k and v are pages
    appended: int = 0  # rows that are added at `end`, or of `length` the last ones

    def room(self, rows: int) -> int:
        """Rows that a sequence may have in memory of `rows` rows per entry or page."""
        return rows if self.block_table is None else rows * self.block_table.shape[1]


ALL_ROWS = Keys()


def packed(cu_seqlens_k: Optional[Tensor], block_table: Optional[Tensor] = None) -> Keys:
    """Keys of a packed batch; in pages, those of each sequence begin at row 0 of its first."""
    if cu_seqlens_k is None:
        return ALL_ROWS
    if block_table is None:
        return Keys(begin=cu_seqlens_k, end=cu_seqlens_k[1:])
    return Keys(end=cu_seqlens_k[1:] - cu_seqlens_k[:-1], block_table=block_table)


def cached(
    cache_seqlens: Optional[Tensor],
    cache_len: Optional[int],
    cache_leftpad: Optional[Tensor],
    cache_batch_idx: Optional[Tensor],
    block_table: Optional[Tensor],
    appended: int,
) -> Keys:
    """Keys in a cache, of which a call appends the last.

    Before, each sequence has cache_seqlens of them, or else all sequences cache_len; neither: as
    many as the cache has rows.
    """
    if cache_batch_idx is not None:  # an entry of the cache is a page that holds a whole sequence
        block_table = cache_batch_idx.unsqueeze(1)
    length = None if cache_len is None else cache_len + appended
    return Keys(cache_leftpad, cache_seqlens, length, block_table, appended)
