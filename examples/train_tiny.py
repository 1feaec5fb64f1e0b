"""A small GPT learns to add, twice: with this package's attention, and with eager attention.

    python examples/train_tiny.py

It makes its own text, sums such as 27+5=32.  Both models begin with the same weights and read the
same text, so that their losses stay together; the memory that a step takes is printed, too.  On a
Mac it runs on the GPU, elsewhere through the emulator; the first run compiles the kernels.  See
`--help` for larger models.
"""

from __future__ import annotations

import argparse
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "torch-ext")]  # installed, the package needs neither

from metal_flash_sdpa import flash_attn_func  # noqa: E402

ALPHABET = "0123456789+= "
# A loss may differ from eager's by so much of it.  Sums are taken in another order, and each step
# builds on the one before; in bfloat16, which has 8 bits, every number is rounded so far.
NEAR = {"float32": 1e-4, "bfloat16": 2**-8}

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def kernel(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """This package; tensors are (batch, tokens, heads, head_dim)."""
    out = flash_attn_func(q, k, v, causal=True)
    assert isinstance(out, Tensor)
    return out


def eager(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same with all scores in memory."""
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * q.shape[-1] ** -0.5
    ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    weights = scores.masked_fill(ahead, -torch.inf).float().softmax(-1).to(q.dtype)
    return torch.einsum("bhij,bjhd->bihd", weights, v)


class Block(nn.Module):  # type: ignore[misc]
    """Attention and a perceptron, each beside a way around it."""

    def __init__(self, width: int, heads: int, attention: Attention) -> None:
        super().__init__()
        self.heads, self.attention = heads, attention
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.to_width = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.to_qkv(self.before(x)).unflatten(-1, (3, self.heads, -1))
        x = x + self.to_width(self.attention(*qkv.unbind(2)).flatten(2))
        return x + self.perceptron(self.between(x))


class Gpt(nn.Module):  # type: ignore[misc]
    """Characters in, the next character's logits out."""

    def __init__(self, options: argparse.Namespace, attention: Attention) -> None:
        super().__init__()
        width = options.width
        self.characters = nn.Embedding(len(ALPHABET), width)
        self.places = nn.Embedding(options.tokens, width)
        self.blocks = nn.Sequential(
            *(Block(width, width // options.head_dim, attention) for _ in range(options.layers))
        )
        self.last, self.to_logits = nn.LayerNorm(width), nn.Linear(width, len(ALPHABET))

    def forward(self, text: Tensor) -> Tensor:
        places = torch.arange(text.shape[1], device=text.device)
        x = self.characters(text) + self.places(places)
        logits: Tensor = self.to_logits(self.last(self.blocks(x)))
        return logits


def sums(batch: int, tokens: int, generator: torch.Generator) -> Tensor:
    """Lines of sums, (batch, tokens + 1), as places in the alphabet."""
    lines = []
    for _ in range(batch):
        line = ""
        while len(line) <= tokens:
            a, b = torch.randint(0, 100, (2,), generator=generator).tolist()
            line += f"{a}+{b}={a + b} "
        lines.append([ALPHABET.index(character) for character in line[: tokens + 1]])
    return torch.tensor(lines)


class Live(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of what torch's operations make, as long as it lives, on any device.

    What an operation makes and frees within itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self.known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.known.update(storages((args, kwargs)))  # weights and text are not counted
        result = operation(*args, **(kwargs or {}))
        for storage in storages(result):
            if storage not in self.known:
                self.known.add(storage)
                self.add(storage.nbytes())
                weakref.finalize(storage, self.add, -storage.nbytes())
        return result

    def add(self, count: int) -> None:
        self.bytes += count
        self.peak = max(self.peak, self.bytes)


def storages(values: Any) -> list[torch.UntypedStorage]:
    """Of all tensors in lists, tuples and dicts."""
    return [x.untyped_storage() for x in tree_leaves(values) if isinstance(x, Tensor)]


class Learner:
    """A model and its optimizer; every learner begins with the same weights."""

    def __init__(self, options: argparse.Namespace, attention: Attention) -> None:
        torch.manual_seed(0)
        self.model = Gpt(options, attention).to(options.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=options.rate)
        self.autocast = torch.autocast(
            torch.device(options.device).type, torch.bfloat16, enabled=options.dtype == "bfloat16"
        )
        self.losses: list[float] = []
        self.peak = 0  # bytes beyond weights, the optimizer's state and the text

    def step(self, text: Tensor) -> None:
        """One step of training."""
        with Live() as live:
            with self.autocast:
                logits = self.model(text[:, :-1])
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
            loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(loss.item())
        self.peak = max(self.peak, live.peak)


def add_options(parser: argparse.ArgumentParser, dtype: str, **sizes: float) -> None:
    """What a model and its training are made of, each with its default."""
    about = {"tokens": "of a line of text", "rate": "the learning rate"}
    for name, default in sizes.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), default=default, help=about.get(name))
    parser.add_argument("--dtype", choices=tuple(NEAR), default=dtype)


def main() -> int:
    """Print both losses and both memories; return 1 if the losses part."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(
        parser, "float32", steps=20, batch=1, tokens=512, layers=2, width=64, head_dim=32, rate=1e-3
    )
    mac = torch.backends.mps.is_available()
    parser.add_argument("--device", default="mps" if mac else "cpu")
    options = parser.parse_args()
    if options.width % options.head_dim:
        parser.error(
            f"--width is {options.width}: must be a multiple of --head-dim, {options.head_dim}"
        )

    theirs, ours = (Learner(options, attention) for attention in (eager, kernel))
    generator = torch.Generator().manual_seed(1)
    worst = 0.0
    print(f"{'step':>6}{'eager':>12}{'kernel':>12}{'difference':>12}")
    for step in range(options.steps):
        text = sums(options.batch, options.tokens, generator).to(options.device)
        theirs.step(text)
        ours.step(text)
        their_loss, our_loss = theirs.losses[-1], ours.losses[-1]
        difference = abs(our_loss - their_loss) / their_loss
        worst = max(worst, difference)
        if step % max(1, options.steps // 20) == 0:
            print(f"{step:6}{their_loss:12.6f}{our_loss:12.6f}{difference:12.1e}", flush=True)
    peaks = f"eager {theirs.peak / 2**20:.1f}, kernel {ours.peak / 2**20:.1f}"
    print(f"peak memory of a step, MiB: {peaks}")
    passed = worst <= NEAR[options.dtype]
    print(f"{'PASS' if passed else 'FAIL'} losses differ by at most {worst:.1e} of eager's")
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
