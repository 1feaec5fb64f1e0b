"""openai_privacy_filter at its full size on an NVIDIA GPU: eager attention beside the kernel.

Random weights, the same for both; nothing is downloaded.  The kernel runs through the emulator's
CUDA executor: the memory and the model's answer are what is looked at, not the time.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from metal_flash_sdpa.interface import flash_attn_func
from torch import Tensor

from benchmarks.timing.on_nvidia import measure, no_room
from emulator import EmulatorError
from verify import devices, evidence, tiny_models

NAME = "openai_privacy_filter"
# With "flash" in its name transformers would look for one of its own list.
EAGER, KERNEL = "eager", "this_kernel"
TOKENS = (1024, 4096, 8192, 16384, 32768, 65536, 131072)
RUNS = 2


@dataclass(frozen=True)
class Row:
    """One way at one length."""

    tokens: int
    attention: str
    compiled: bool
    milliseconds: float = 0.0
    peak_bytes: int = 0  # beyond the weights and the tokens
    cosine: float = math.nan  # of the logits, with eager's
    same: float = math.nan  # labels that are eager's
    problem: str = ""


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    sliding_window: int,
    s_aux: Tensor,
    **_: Any,
) -> tuple[Tensor, None]:
    """The kernel as transformers calls attention: tensors are (batch, heads, rows, head_dim)."""
    assert attention_mask is None
    assert not module.is_causal
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    sides = (sliding_window - 1, sliding_window - 1)
    out = flash_attn_func(q, k, v, softmax_scale=scaling, window_size=sides, s_aux=s_aux)
    assert isinstance(out, Tensor)
    return out, None


def make(tiny: bool, device: str) -> Any:
    """The model."""
    from transformers import AttentionInterface, AutoConfig, AutoModelForTokenClassification

    AttentionInterface.register(KERNEL, attend)
    if tiny:
        return tiny_models.make(NAME, EAGER, torch.float16).to(device)
    torch.manual_seed(0)
    config = AutoConfig.for_model(NAME)  # its defaults are the published model's sizes
    with torch.device(device):
        model = AutoModelForTokenClassification.from_config(
            config, attn_implementation=EAGER, dtype=torch.float16
        )
    return model.eval()


def text_of(model: Any, tokens: int, device: str) -> Tensor:
    """Any words; the first and the last of the vocabulary pad, here and there."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(1, model.config.vocab_size - 1, (1, tokens), generator=generator)
    return words.to(device)


def logits_of(forward: Any, text: Tensor) -> Tensor:
    """The model's answer in float32, on the CPU."""
    with torch.no_grad():
        found: Tensor = forward(text).logits[0].float().cpu()
    return found


def agreement(logits: Tensor, eager: Tensor) -> tuple[float, float]:
    """The cosine of two answers, and how many labels are the same."""
    cosine = torch.nn.functional.cosine_similarity(
        logits.double().flatten(), eager.double().flatten(), dim=0
    )
    return float(cosine), float((logits.argmax(-1) == eager.argmax(-1)).double().mean())


def row_of(model: Any, text: Tensor, attention: str, compiled: bool, eager: Tensor | None) -> Any:
    """A row and the logits; None for these where there are none."""
    tokens = text.shape[1]
    model.set_attn_implementation(attention)
    torch.compiler.reset()
    forward = torch.compile(model.forward) if compiled else model.forward
    try:
        logits = logits_of(forward, text)
        with torch.no_grad():
            taken = measure(lambda: forward(text), RUNS)
    except torch.OutOfMemoryError as error:
        return Row(tokens, attention, compiled, problem=no_room(error)), None
    except Exception as error:  # torch's compiler may refuse in many ways: the row says it
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        return Row(tokens, attention, compiled, problem=why), None
    finally:
        torch.cuda.empty_cache()
    cosine, same = (math.nan, math.nan) if eager is None else agreement(logits, eager)
    row = Row(
        tokens,
        attention,
        compiled,
        taken.milliseconds,
        taken.peak_bytes,
        cosine,
        same,
        taken.problem,
    )
    return row, logits


def rows(model: Any, tokens: list[int], compiled: list[bool], end: float) -> Iterator[Row]:
    """Each length, until neither way fits or the time is up."""
    fits = {EAGER: True, KERNEL: True}
    for count in tokens:
        text = text_of(model, count, "cuda")
        eager = None
        for is_compiled in compiled:
            for attention in (EAGER, KERNEL):
                if time.monotonic() > end:
                    return
                if not fits[attention]:
                    continue
                row, logits = row_of(model, text, attention, is_compiled, eager)
                if attention == EAGER and not is_compiled:
                    eager = logits
                if row.problem and not is_compiled:
                    fits[attention] = False
                yield row


def line(row: Row) -> str:
    """A row of the table."""
    begin = f"{row.tokens:9,}  {row.attention:17}{'yes' if row.compiled else 'no':9}"
    if row.problem:
        return f"{begin}{row.problem}"
    agrees = "" if math.isnan(row.cosine) else f"{row.cosine:12.6f}{row.same:10.2%}"
    return f"{begin}{row.milliseconds:12.1f}{row.peak_bytes / 2**20:12.0f}{agrees}"


def summary(found: list[Row], complete: bool, begin: float) -> dict[str, object]:
    """What docs/evidence.md says of a run."""
    wrong = [r for r in found if r.attention == KERNEL and r.problem and not r.compiled]
    return {
        "ran": len(found),
        "complete": complete,
        "failed": len(wrong),
        "failures": evidence.failures((f"{r.tokens} tokens", r.problem) for r in wrong),
        "seconds": round(time.monotonic() - begin, 1),
        "model": NAME,
        "rows": [asdict(row) for row in found],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.timing.model_memory", description=__doc__
    )
    parser.add_argument("--tokens", type=int, nargs="+", metavar="N", default=list(TOKENS))
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try this program")
    parser.add_argument(
        "--compiled", action=argparse.BooleanOptionalAction, default=True, help="torch.compile, too"
    )
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin no more rows after so many"
    )
    evidence.add_option(parser)
    chosen = parser.parse_args()
    try:
        devices.require("cuda")
    except EmulatorError as error:
        print(error)
        return 2
    begin = time.monotonic()
    print(f"{NAME}{' (tiny)' if chosen.tiny else ''}, float16, {evidence.machine('cuda')}")
    model = make(chosen.tiny, "cuda")
    print(f"weights: {torch.cuda.memory_allocated() / 2**20:.0f} MiB")
    print(
        f"{'tokens':>9}  {'attention':17}{'compiled':9}{'ms':>12}{'peak MiB':>12}"
        f"{'cos':>12}{'same':>10}"
    )
    found: list[Row] = []
    ways = [False, True] if chosen.compiled else [False]
    for row in rows(model, chosen.tokens, ways, begin + chosen.seconds):
        found.append(row)
        print(line(row), flush=True)
        evidence.write(chosen.evidence, "model", "cuda", summary(found, False, begin))
    complete = bool(found) and found[-1].tokens == chosen.tokens[-1]
    evidence.write(chosen.evidence, "model", "cuda", summary(found, complete, begin))
    return 0


if __name__ == "__main__":
    sys.exit(main())
