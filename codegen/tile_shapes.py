"""The shapes of tiles, family by family: rows and keys, threadgroup memory, registers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace

from codegen.widths import Widths

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


class TileError(ValueError):
    """A tile that no Apple GPU could launch, or a table line that cannot be read."""


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
