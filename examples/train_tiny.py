"""A small GPT learns to add, twice: with this package's attention, and with eager attention.

    python examples/train_tiny.py
    python examples/train_tiny.py --steps 300 --tokens 1024 --width 512 --layers 8   (on a GPU)

It makes its own text, sums such as 27+5=32.  Both models start alike and see the same text, so that
their losses stay together.  On a Mac it runs on the GPU, elsewhere through the emulator; there a
step takes seconds, and on an NVIDIA GPU (--device cuda) the second executor runs the kernels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "torch-ext"),
]  # a checkout; installed, the package needs neither

from metal_flash_sdpa import flash_attn_func  # noqa: E402

ALPHABET = "0123456789+= "
NEAR = (
    1e-3  # a loss may differ from eager's by so much of it: sums in another order, step after step
)

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


class Saved:
    """Counts what autograd keeps between the forward and the backward pass, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0

    def count(self) -> torch.autograd.graph.saved_tensors_hooks:
        kept: dict[int, int] = {}
        self.bytes = 0

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            self.bytes = sum(kept.values())
            return tensor

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)


def train(options: argparse.Namespace, attention: Attention) -> tuple[list[float], int, int]:
    """Each step's loss; bytes kept for the backward pass; a GPU's peak in bytes, 0 if unknown."""
    device = torch.device(options.device)
    torch.manual_seed(0)
    model = Gpt(options, attention).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    losses, saved = [], Saved()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(options.steps):
        text = sums(options.batch, options.tokens, generator).to(device)
        with (
            saved.count(),
            torch.autocast(device.type, torch.bfloat16, enabled=options.dtype == "bfloat16"),
        ):
            logits = model(text[:, :-1])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return losses, saved.bytes, peak


def report(what: str, theirs: int, ours: int) -> None:
    """One line about memory."""
    print(f"{what}, MiB: eager {theirs / 2**20:.1f}, kernel {ours / 2**20:.1f}")


def main() -> int:
    """Print both losses and both memories; return 1 if the losses part."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128, help="per line")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--head-dim", type=int, default=32)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    mac = torch.backends.mps.is_available()
    parser.add_argument("--device", default="mps" if mac else "cpu")
    options = parser.parse_args()
    if options.width % options.head_dim:
        parser.error(
            f"--width is {options.width}: must be a multiple of --head-dim, {options.head_dim}"
        )

    theirs, theirs_saved, theirs_peak = train(options, eager)
    ours, ours_saved, ours_peak = train(options, kernel)
    print(f"{'step':>6}{'eager':>12}{'kernel':>12}{'difference':>12}")
    every = max(1, options.steps // 12)
    for step in range(0, options.steps, every):
        a, b = theirs[step], ours[step]
        print(f"{step:6}{a:12.6f}{b:12.6f}{abs(a - b) / a:12.1e}")
    report("kept for the backward pass", theirs_saved, ours_saved)
    if ours_peak:
        report("peak of the GPU's memory", theirs_peak, ours_peak)
    worst = max(abs(a - b) / a for a, b in zip(theirs, ours))
    allowed = NEAR if options.dtype == "float32" else 0.05
    print(
        f"{'PASS' if worst <= allowed else 'FAIL'} losses differ by at most {worst:.1e} of eager's"
    )
    return int(worst > allowed)


if __name__ == "__main__":
    sys.exit(main())
