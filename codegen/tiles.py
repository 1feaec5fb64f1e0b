"""Tile shapes: tuning as a table that a person reads and the program parses.

One line per head_dim; a head_dim exists because it has a line here.  "192/128" is a pair: rows of
Q and K have 192 columns, those of V and O have 128.  Each kernel family has a tile for 16-bit
elements (float16, bfloat16) and one for float32, or "none" if it has no kernels for this head_dim:

    simdgroups   simdgroups per threadgroup
    rows         query rows per simdgroup, a multiple of 8; with 16, each fragment of K or V that is
                 loaded serves two matrix products
    block        keys per block, a multiple of 8; in decode per simdgroup: more keys are more loads
                 in flight; in backward_kv, where the rows are keys, query rows per block
    slices       a fourth number, if there is one: so many simdgroups have the same rows, each for a
                 slice of the columns

Prefill stages blocks of K and V in threadgroup memory.  It holds S, P and O in registers (two
elements of every 8x8 fragment per thread), and Q if it fits; else it reads Q again for each block.
A wide head_dim therefore needs fewer rows and a shorter block: 16 rows of O alone take 128
registers at head_dim 256, and at 192 reading Q again is more device traffic than K and V.  In
decode all simdgroups work on the same rows, each on keys of its own.  K and V go from device memory
straight into registers; only Q is staged.

At head_dim 512 even 8 rows of O take all registers.  There a tile is divided into slices: a
simdgroup multiplies its columns of Q and K, the sums are added up through threadgroup memory, and
with the weights it has all it needs for its columns of V and O.  Nothing is multiplied twice; the
exchange costs 4 * slices bytes of threadgroup memory per score, and a barrier.  Blocks of K and V
are wide, and take turns in one place.  8 rows of Q stay in registers; with 16, a fragment would
serve two products, but Q would be read again for each short block.  A divided decode kernel packs
rows as decode does, and stages blocks as prefill does.

In a latent pair, "576/512 latent", V is the first columns of K (DeepSeek's absorbed attention): a
block that is staged serves both products.  There are kernels for decoding alone, whose many heads
share one KV head.

The backward kernels work as prefill's do, on rows of two tensors and blocks of two others.  Over
the keys of some query rows (backward_q) the rows are of Q and dO, the blocks of K and V; over the
queries of some keys (backward_kv) it is the other way round.  Beside S they hold dP, and the
gradients that they add up: one matrix in backward_q, two in backward_kv.  Two do not fit at
head_dim 192 and 256: there dK and dV have a kernel each, which costs an eighth product of 8x8
fragments beside seven.

A cell may hold several tiles, those with fewer rows first.  A plan takes the first with room for
all rows that share a KV head, so that K and V are read once for them; if none has, the last.
Decode's O takes rows / 8 x head_dim / 8 x 2 of the 128 registers that a thread of an Apple GPU may
have (applegpu): 64 for 16 rows of head_dim 128.  For 192 and 256 it would take 96 and 128, and
leave too few for S, P and addresses.  32 rows would not be faster where they fit: with 10 bytes of
DRAM and 205 operations of 8x8 products per core and clock (metal-benchmarks, M1), a core that reads
K in 16 bits at full bandwidth has time to multiply each element with 20 rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

# How the tiles were chosen, and the tiles; `nox -s tune` writes both.
TUNED = "by hand, from counted work and modelled times"
TABLE = """
       head_dim    |       prefill 2       |       prefill 4       |             decode 2            |        decode 4       |      backward_q 2     |      backward_q 4     |     backward_kv 2     |     backward_kv 4
                   | simdgroups rows block | simdgroups rows block |      simdgroups rows block      | simdgroups rows block | simdgroups rows block | simdgroups rows block | simdgroups rows block | simdgroups rows block
    ---------------+-----------------------+-----------------------+---------------------------------+-----------------------+-----------------------+-----------------------+-----------------------+----------------------
          32       |        4 16 32        |        4 16 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |        4 16 16        |         4 8 32
          40       |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |         4 8 32        |         4 8 16
          48       |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |         4 8 32        |         4 8 16
          64       |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 32, 8 16 16    |        4 16 32        |         4 8 32        |         4 8 32        |         4 8 16
          72       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
          80       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
          88       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
          96       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
         104       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |     4 8 16, 8 16 8    |         4 8 32        |         4 8 16        |         4 8 16        |         4 8 8
         112       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |     4 8 16, 8 16 8    |         4 8 32        |         4 8 16        |         4 8 16        |         4 8 8
         128       |        4 16 32        |         4 8 16        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 16        |         4 8 8
         160       |         4 8 16        |         4 8 16        |              4 8 16             |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16
         192       |         4 8 16        |         4 8 16        |              4 8 16             |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16
         256       |         4 8 16        |         4 8 8         |              4 8 16             |         4 8 8         |         4 8 16        |         4 8 8         |         4 8 16        |         4 8 8
        96/64      |        4 16 32        |         4 8 32        |         4 8 32, 8 16 16         |    4 8 16, 8 16 16    |         4 8 32        |         4 8 16        |         4 8 32        |         4 8 16
       192/128     |         4 8 32        |         4 8 16        |         4 8 32, 8 16 16         |     4 8 16, 8 16 8    |         4 8 16        |         4 8 16        |         4 8 16        |         4 8 16
         512       |       16 8 16 4       |        8 8 8 4        |  4 8 16 4, 8 8 16 4, 16 8 16 4  |    4 8 8 4, 8 8 8 4   |          none         |          none         |          none         |          none
    320/256 latent |          none         |          none         | 4 8 16 4, 8 16 16 4, 16 16 16 4 |   4 8 16 4, 8 8 16 2  |          none         |          none         |          none         |          none
    576/512 latent |          none         |          none         |  4 8 16 4, 8 8 16 4, 16 8 16 4  |    4 8 8 4, 8 8 8 4   |          none         |          none         |          none         |          none
"""  # noqa: E501

FRAGMENT = 8  # rows and columns of a simdgroup_matrix, Metal Shading Language 2.3
SIMD_WIDTH = 32  # threads per simdgroup on every Apple GPU
MAX_THREADS = 1024  # per threadgroup, Metal feature set tables, Apple7 and later
MAX_THREADGROUP_BYTES = 32 * 1024  # the same table
# Elements that a lane of a decode kernel reads at a time, and columns of K and V that a simdgroup
# then has; see decode/tile.metal.j2.
VECTOR = 4
K_CHUNK = 4 * VECTOR
V_CHUNK = 8 * VECTOR
FLOAT_BYTES = 4
REGISTER_BYTES = 4
MAX_REGISTERS = 128  # per thread, github.com/dougallj/applegpu; beyond that the compiler spills
# For addresses, indices and bounds; inferred, as no compiler for Apple GPUs is at hand.
# docs/evidence.md has the sums beside what LLVM's allocator for another GPU takes.
# tests/codegen/test_registers.py compares the sum with the live ranges of clang's IR.
OTHER_REGISTERS = 20
# For the loop over heads around the loop over blocks: both ranges, and addresses in each.  So many
# more values are alive in clang's IR of backward_kv than of backward_q; see the test above.
HEAD_LOOP_REGISTERS = 20
RANDOM_REGISTERS = 16  # four words each of a counter and its products, a key and what it is made of
TERM_REGISTERS = 6  # four indices, and how many terms are left
MASK_REGISTERS = 6  # the address of the rows' elements, that of the states, and a state
HEAD_MASK_REGISTERS = 4  # more in a loop over heads: both addresses for one of them
# Where K and V may have 16 bits under float32 queries: their type, and what addresses depend on it.
CONVERTED_REGISTERS = 8
# In a divided tile: a simdgroup's slice, addresses of its own sums, of the others' and of V's.
SLICE_REGISTERS = 8
ROW_PADDING_BYTES = 16  # added to each staged row so that rows start in different banks


LATENT = "latent"  # what the table calls a pair whose V is the first columns of K


class TileError(ValueError):
    """A tile that no Apple GPU could launch, or a table line that cannot be read."""


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
        raise TileError(f"{kind!r} behind {columns}: must be {LATENT!r} or nothing")
    return Widths(int(qk), int(v or qk), latent=bool(kind))


@dataclass(frozen=True)
class Tile(ABC):
    """The part of the attention matrix that one threadgroup holds at a time."""

    simdgroups: int
    rows: int
    block: int
    slices: int = 1  # simdgroups that have the same rows, each for some of the columns
    # What its kernels do besides: "dropout", with any mask, "masked" with a mask tensor, or the
    # dtype of K and V that they convert.
    extra: str = ""

    def __post_init__(self) -> None:
        for name, value, step in self.sizes():
            if value <= 0 or value % step:
                raise TileError(f"{name} = {value}: must be a positive multiple of {step}")
        if self.slices < 1 or self.simdgroups % self.slices:
            raise TileError(f"slices = {self.slices}: must divide the {self.simdgroups} simdgroups")
        if self.threads > MAX_THREADS:
            raise TileError(
                f"simdgroups = {self.simdgroups}: {self.threads} threads per threadgroup, "
                f"the limit is {MAX_THREADS}"
            )

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        """(field, value, what it must be a multiple of)."""
        return (
            ("simdgroups", self.simdgroups, 1),
            ("rows", self.rows, FRAGMENT),
            ("block", self.block, FRAGMENT),
        )

    @property
    def block_q(self) -> int:
        """Query rows per threadgroup."""
        return self.rows

    @property
    def block_k(self) -> int:
        """Keys per block."""
        return self.block

    @property
    def step_k(self) -> int:
        """Keys per step of a threadgroup's loop."""
        return self.block_k

    @property
    def name(self) -> str:
        """The shape, as kernels and their files name it."""
        return f"q{self.block_q}k{self.block_k}{'_' if self.extra else ''}{self.extra}"

    @property
    def threads(self) -> int:
        """Threads per threadgroup."""
        return self.simdgroups * SIMD_WIDTH

    @abstractmethod
    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        """Bytes of threadgroup memory."""

    def live(self, widths: Widths, element_bytes: int, widened: bool = False) -> dict[str, int]:
        """What a thread holds where it holds most: part -> 32-bit registers, estimated.

        `widened`: a 16-bit element takes a whole register, as bfloat16 probably does on M1 and M2,
        whose documented instructions have no such operands (inferred; the code is the same).
        Empty: no estimate.
        """
        return {}

    def registers(self, widths: Widths, element_bytes: int, widened: bool = False) -> int:
        """32-bit registers per thread, estimated; 0: no estimate."""
        return sum(self.live(widths, element_bytes, widened).values())

    def for_dropout(self) -> Tile:
        """The tile of kernels that drop weights: their random numbers need registers as well.

        They take a mask tensor, too.
        """
        return replace(self, rows=FRAGMENT, extra="dropout")

    def for_mask(self) -> Tile:
        """The tile of kernels that take a mask tensor."""
        return replace(self, extra="masked")

    def for_kv(self, dtype: str) -> Tile:
        """The tile of kernels whose K and V have another dtype than Q."""
        return replace(self, extra=dtype)

    @property
    def takes_mask(self) -> bool:
        """Whether its kernels take a mask tensor."""
        return self.extra in ("dropout", "masked")

    def rows_held(self, widths: Widths, element_bytes: int) -> tuple[bool, ...]:
        """Of the tensors whose rows a simdgroup goes through again and again, which it holds in
        registers.
        """
        return ()


def fragment_registers(element_bytes: int, widened: bool = False) -> int:
    """Registers that a thread needs for its two elements of a fragment."""
    held = REGISTER_BYTES if widened else element_bytes
    return -(-FRAGMENT * FRAGMENT // SIMD_WIDTH * held // REGISTER_BYTES)


@dataclass(frozen=True)
class PrefillTile(Tile):
    """Each simdgroup has rows of its own; all use the same blocks of K and V."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads % self.block:
            raise TileError(
                f"block = {self.block}: must divide the {self.threads} threads, "
                "as many of which stage each row"
            )

    @property
    def block_q(self) -> int:
        return self.simdgroups // self.slices * self.rows

    @property
    def row_threads(self) -> int:
        """Threads that stage a row of a block."""
        return self.threads // self.block

    def staged_padding(self, element_bytes: int) -> int:
        """Elements between the end of a staged row and the next."""
        return ROW_PADDING_BYTES // element_bytes

    def rows_held(self, widths: Widths, element_bytes: int) -> tuple[bool, ...]:
        """Whether Q stays in registers; else its fragments are read again for each block."""
        return (self.registers_with_queries(widths, element_bytes) <= MAX_REGISTERS,)

    def live(self, widths: Widths, element_bytes: int, widened: bool = False) -> dict[str, int]:
        """While S is computed.  P needs no registers: it replaces S element by element."""
        parts = self._parts(widths, element_bytes, widened)
        if not all(self.rows_held(widths, element_bytes)):
            parts["Q"] = 0
            parts["address and bound of Q"] = 3 * self.rows // FRAGMENT
        return parts

    @property
    def besides(self) -> dict[str, int]:
        """What a mask tensor takes, and dropout's random numbers while they are drawn."""
        random = {"random numbers": RANDOM_REGISTERS} if self.extra == "dropout" else {}
        return random | ({"mask": MASK_REGISTERS} if self.takes_mask else {})

    def registers_with_queries(self, widths: Widths, element_bytes: int) -> int:
        """All registers if Q stays in them."""
        return sum(self._parts(widths, element_bytes, widened=False).values())

    def _parts(self, widths: Widths, element_bytes: int, widened: bool) -> dict[str, int]:
        sums = fragment_registers(FLOAT_BYTES)
        elements = fragment_registers(element_bytes, widened)
        return {
            "O": self._fragments(widths.v // self.slices) * sums,
            "S": self._fragments(self.block) * sums,
            "Q": self._fragments(widths.qk // self.slices) * elements,
            "a fragment of Q, of K and of a sum": 2 * elements + sums,
            "statistics": 3 * self.rows // FRAGMENT,
            "other": OTHER_REGISTERS,
            **({"slices": SLICE_REGISTERS} if self.slices > 1 else {}),
            **(
                {"K and V of any type": CONVERTED_REGISTERS} if self.converts(element_bytes) else {}
            ),
            **self.besides,
        }

    def converts(self, element_bytes: int) -> bool:
        """Whether its kernels learn at run time what the elements of K and V are."""
        return element_bytes == FLOAT_BYTES

    def _fragments(self, columns: int) -> int:
        """8x8 fragments in a simdgroup's rows of so many columns."""
        return self.rows // FRAGMENT * (columns // FRAGMENT)

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        rows = [columns + self.staged_padding(element_bytes) for columns in widths[:2]]
        if self.slices == 1:
            return self.block * sum(rows) * element_bytes
        # K and V take turns; beside them are the simdgroups' sums of scores.
        scores = self.simdgroups * self.rows * self.block * FLOAT_BYTES
        return self.block * max(rows) * element_bytes + scores


@dataclass(frozen=True)
class DecodeTile(Tile):
    """All simdgroups work on the same rows; each has keys of its own."""

    @property
    def step_k(self) -> int:
        return self.simdgroups * self.block

    def live(self, widths: Widths, element_bytes: int, widened: bool = False) -> dict[str, int]:
        """While a chunk of K is multiplied: of V a lane has two rows, of K one in each fragment."""
        sums = fragment_registers(FLOAT_BYTES)
        elements = fragment_registers(element_bytes, widened)
        rows, keys = self.rows // FRAGMENT, self.block_k // FRAGMENT
        columns = -(-widths.v // V_CHUNK) * V_CHUNK
        parts = {
            "O": rows * (columns // FRAGMENT) * sums,
            "S": rows * keys * sums,
            # Two columns of each fragment: maximum, sum, diagonal, slope.
            "statistics and ALiBi": rows * 2 * 4,
            "rows of K: addresses and bounds": keys * 3,
            "a chunk of K": keys * (VECTOR // 2) * elements,
            "a fragment of Q for each row, and of K": (rows + 1) * elements,
            "other": OTHER_REGISTERS,
        }
        if element_bytes == FLOAT_BYTES:
            parts["the sum of a chain"] = rows * keys * sums
        return parts

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        columns = -(-widths.qk // K_CHUNK) * K_CHUNK
        queries = self.block_q * columns * element_bytes
        # The results of the simdgroups are added up for 8 rows at a time.
        outputs = FRAGMENT * widths.v * FLOAT_BYTES
        statistics = 2 * self.simdgroups * FRAGMENT * FLOAT_BYTES
        return queries + outputs + statistics


@dataclass(frozen=True)
class DividedDecodeTile(PrefillTile):
    """As in prefill, of rows that decode packs: of all heads that share a KV head."""

    def converts(self, element_bytes: int) -> bool:
        """There are kernels for each type of K and V."""
        return False


@dataclass(frozen=True)
class BackwardTile(PrefillTile):
    """Each simdgroup has rows of its own, of two tensors; all use the same blocks of two others.

    The gradients of its rows are added up in registers.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slices > 1:
            raise TileError(f"slices = {self.slices}: backward kernels have none")

    def gradients(self, widths: Widths, element_bytes: int) -> int:
        """How many matrices of gradients a kernel adds up."""
        return 1

    def rows_held(self, widths: Widths, element_bytes: int) -> tuple[bool, ...]:
        """Whether its rows of the first tensor, and of the second, stay in registers."""
        gradients = self.gradients(widths, element_bytes)
        least = self._least(widths, element_bytes, gradients)
        free = MAX_REGISTERS - sum(least.values())
        first, second = self._tensors(widths, fragment_registers(element_bytes))
        return first <= free, first + second <= free

    def live(self, widths: Widths, element_bytes: int, widened: bool = False) -> dict[str, int]:
        """While a gradient is added to."""
        parts = self._least(widths, element_bytes, self.gradients(widths, element_bytes), widened)
        tensors = self._tensors(widths, fragment_registers(element_bytes, widened))
        held = self.rows_held(widths, element_bytes)
        parts["rows held"] = sum(n for n, is_held in zip(tensors, held) if is_held)
        return parts

    def _tensors(self, widths: Widths, registers: int) -> tuple[int, int]:
        """Registers of its rows of either tensor, each fragment in so many."""
        return self._fragments(widths.qk) * registers, self._fragments(widths.v) * registers

    def _least(
        self, widths: Widths, element_bytes: int, gradients: int, widened: bool = False
    ) -> dict[str, int]:
        """The same without the rows that may be held.

        P and dS need no registers of their own: they replace S and dP element by element.
        """
        sums = fragment_registers(FLOAT_BYTES)
        elements = fragment_registers(element_bytes, widened)
        return {
            "gradients": sum(self._tensors(widths, sums)[:gradients]),
            "S and dP": 2 * self._fragments(self.block) * sums,
            "a fragment each of two factors, and of a sum": 2 * elements + sums,
            # An address and a bound of either tensor, statistics and what the row sees.
            "addresses, statistics and band": 7 * self.rows // FRAGMENT,
            "other": OTHER_REGISTERS,
            **self.besides,
        }


@dataclass(frozen=True)
class BackwardQTile(BackwardTile):
    """The rows are those of Q and of the gradient of O; the blocks are of K and V."""


@dataclass(frozen=True)
class BackwardMaskTile(BackwardQTile):
    """The same; what it adds up are as many elements of the mask's gradient as of S.

    Random numbers are drawn when its rows' fragments and addresses are no longer needed.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.extra != "dropout":
            raise TileError("a mask's gradient has one kernel, with dropout known at run time")

    @property
    def name(self) -> str:
        """Nothing need be said of what all of them do."""
        return f"q{self.block_q}k{self.block_k}"

    def rows_held(self, widths: Widths, element_bytes: int) -> tuple[bool, ...]:
        """Neither: it goes through them once."""
        return False, False

    def _least(
        self, widths: Widths, element_bytes: int, gradients: int, widened: bool = False
    ) -> dict[str, int]:
        parts = super()._least(widths, element_bytes, gradients, widened)
        parts.pop("random numbers")
        sums = self._fragments(self.block) * fragment_registers(FLOAT_BYTES)
        return {**parts, "gradients": sums, "which term": TERM_REGISTERS}

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        sums = self.block_q * self.block_k * FLOAT_BYTES
        return super().threadgroup_bytes(widths, element_bytes) + sums


@dataclass(frozen=True)
class BackwardKVTile(BackwardTile):
    """The rows are those of K and V; the blocks are of Q and of the gradient of O."""

    def _least(
        self, widths: Widths, element_bytes: int, gradients: int, widened: bool = False
    ) -> dict[str, int]:
        parts = super()._least(widths, element_bytes, gradients, widened)
        if self.takes_mask:
            parts["mask"] += HEAD_MASK_REGISTERS
        return {**parts, "heads and their blocks": HEAD_LOOP_REGISTERS}

    def gradients(self, widths: Widths, element_bytes: int) -> int:
        """Those of K and V, if both fit into the registers; else each has a kernel of its own."""
        both = self._least(widths, element_bytes, gradients=2)
        return 2 if sum(both.values()) <= MAX_REGISTERS else 1

    @property
    def block_q(self) -> int:
        return self.block

    @property
    def block_k(self) -> int:
        """Keys per threadgroup."""
        return self.simdgroups * self.rows

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        statistics = 2 * self.block * FLOAT_BYTES
        return super().threadgroup_bytes(widths, element_bytes) + statistics


@dataclass(frozen=True)
class RowBlockTile(Tile):
    """Each simdgroup has one row after the other."""

    simdgroups: int = 8
    rows: int = 8
    block: int = 1

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        return ()

    @property
    def block_q(self) -> int:
        return self.simdgroups * self.rows

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        return self.block_q * FLOAT_BYTES


@dataclass(frozen=True)
class MaskTile(Tile):
    """Each simdgroup looks at one block of a mask."""

    simdgroups: int = 8
    rows: int = 1
    block: int = 1

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        return ()

    @property
    def step_k(self) -> int:
        """Blocks per threadgroup."""
        return self.simdgroups

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        return 0


@dataclass(frozen=True)
class RowTile(Tile):
    """One simdgroup has one row."""

    simdgroups: int = 1
    rows: int = 1
    block: int = 1

    def sizes(self) -> Iterable[tuple[str, int, int]]:
        return ()

    def threadgroup_bytes(self, widths: Widths, element_bytes: int) -> int:
        return 0


FIELDS = ("simdgroups", "rows", "block")
SLICES = "slices"  # a field that a tile may have behind these
NONE = "none"  # in place of tiles
Cell = tuple[str, Widths, int]  # of the table: family, widths, element bytes
Tiles = dict[Cell, tuple[Tile, ...]]  # those with fewer rows first


def decode_tile(simdgroups: int, rows: int, block: int, slices: int = 1) -> Tile:
    """One of the kind that it is."""
    kind = DecodeTile if slices == 1 else DividedDecodeTile
    return kind(simdgroups, rows, block, slices)


KINDS: dict[str, Callable[..., Tile]] = {
    "prefill": PrefillTile,
    "decode": decode_tile,
    "backward_q": BackwardQTile,
    "backward_kv": BackwardKVTile,
}


def parse(table: str, excused: Container[tuple[Cell, Tile]] = ()) -> Tiles:
    """Read the tile table into {(family, widths, element bytes): tiles, fewest rows first}.

    Its first line names the families and their element bytes, its second the tiles' fields.
    A tile whose estimate is beyond what a thread may have is refused, unless it is `excused`.
    """
    families, names, _, *lines = (line for line in table.splitlines() if line.strip())
    headings = [heading.split() for heading in families.split("|")[1:]]
    columns = [cells.split() for cells in names.split("|")[1:]]
    tiles: dict[Cell, tuple[Tile, ...]] = {}
    for line in lines:
        try:
            name, *cells = line.split("|")
            widths = read_widths(name)
            for (family, element_bytes), fields, cell in zip(headings, columns, cells, strict=True):
                key = (family, widths, int(element_bytes))
                if key in tiles:
                    raise TileError("this head_dim has a line already")
                if cell.strip() == NONE:
                    continue
                tiles[key] = tuple(read(family, fields, tile) for tile in cell.split(","))
                rows = [tile.block_q for tile in tiles[key]]
                if rows != sorted({*rows}):
                    raise TileError(f"tiles of {rows} rows: each must have more than the last")
                for tile in tiles[key]:
                    needed = tile.registers(widths, int(element_bytes))
                    if needed > MAX_REGISTERS and (key, tile) not in excused:
                        raise TileError(
                            f"{family} {element_bytes}: {needed} registers per thread, a GPU has "
                            f"{MAX_REGISTERS}: take a smaller tile, or name it in doubts.py"
                        )
        except (TypeError, ValueError) as error:
            raise TileError(f"tile table, line '{line.strip()}': {error}") from None
    return tiles


def read(family: str, fields: list[str], sizes: str) -> Tile:
    """One tile of the table, such as "4 8 32", or "8 8 16 2" if it has slices."""
    values = [int(size) for size in sizes.split()]
    names = [*fields, SLICES] if len(values) > len(fields) else fields
    return KINDS[family](**dict(zip(names, values, strict=True)))


def write(tiles: Mapping[Cell, Iterable[Tile]]) -> str:
    """The table that `parse` reads as these tiles."""
    columns = list(dict.fromkeys((family, element_bytes) for family, _, element_bytes in tiles))
    lines = [
        ["head_dim", *(f"{family} {element_bytes}" for family, element_bytes in columns)],
        ["", *[" ".join(FIELDS)] * len(columns)],
    ]
    for own in dict.fromkeys(own for _, own, _ in tiles):
        cells = (tiles.get((family, own, size), ()) for family, size in columns)
        lines.append([str(own), *(", ".join(map(sizes, cell)) or NONE for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [text.center(width) for text, width in zip(line, widths, strict=True)] for line in lines
    ]
    rows = [" | ".join(line).rstrip() for line in padded]
    rows.insert(2, "-+-".join("-" * width for width in widths))
    return "\n" + "".join(f"    {row}\n" for row in rows)


def sizes(tile: Tile) -> str:
    """A tile as `read` takes it."""
    names = (*FIELDS, SLICES) if tile.slices > 1 else FIELDS
    return " ".join(str(getattr(tile, name)) for name in names)
