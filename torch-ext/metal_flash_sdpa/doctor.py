"""Looks whether the package works on this machine: `python -m metal_flash_sdpa`.

It says what the machine is, compiles kernels of every family and compares what they compute with
torch's own operations, times three calls beside torch's attention, and gives a verdict.  A kernel
that is wrong is named, with the environment variable that keeps it off.
"""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import _ops, call, gpu, launchers, samples
from .catalogue import BUILT_IN, OFF, KernelOffError, kept_off
from .interface import flash_attn_func

RIGHT, WRONG, NOT_RUN = 0, 1, 2  # what main returns

# Each sample runs with these; the first has kernels of all families.
KINDS = ((64, torch.float16), (128, torch.bfloat16), (192, torch.float32))
TIMED_SECONDS = 1.5  # for each of three shapes, and either side
FAMILIES = {
    tile.name: family for (family, *_), tiles in BUILT_IN.variants.items() for tile in tiles
}


class Shape(NamedTuple):
    """A call that is timed, in float16."""

    name: str
    q_len: int
    k_len: int
    heads: int
    kv_heads: int
    head_dim: int
    causal: bool


TIMED = (
    Shape("prefill, 2048 tokens", 2048, 2048, 16, 16, 64, True),
    Shape("prefill, 4096 tokens, 4 heads per KV head", 4096, 4096, 16, 4, 128, True),
    Shape("a token after 8192, 4 heads per KV head", 1, 8192, 32, 8, 128, False),
)


class Finding(NamedTuple):
    """What came of a sample."""

    text: str
    is_right: bool
    suspects: Tuple[str, ...] = ()  # kernels that gave something wrong, or did not compile


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the findings; 0: all is right, 1: something is wrong, 2: nothing can be run here."""
    parser = argparse.ArgumentParser(
        prog="python -m metal_flash_sdpa",
        description=str(__doc__).split("\n\n", maxsplit=1)[0],
        epilog="To run a script on these kernels: python -m metal_flash_sdpa run SCRIPT",
    )
    parser.add_argument("--report", metavar="FILE", help="also write all of it to a file")
    chosen = parser.parse_args(argv)
    if chosen.report:
        try:
            Path(chosen.report).write_text("")  # before a minute is spent
        except OSError as error:
            parser.error(f"--report {chosen.report}: {error.strerror}")
    lines: List[str] = []

    def say(line: str = "") -> None:
        lines.append(line)
        print(line, flush=True)

    verdict = examine(say)
    if chosen.report:
        Path(chosen.report).write_text("\n".join((*lines, "")))
        print(f"written to {chosen.report}: attach it to an issue")
    return verdict


def examine(say: Callable[..., None]) -> int:
    """Say everything, line by line; returns the verdict as a number."""
    device = "mps" if torch.backends.mps.is_available() else "cpu"
    for name, value in machine().items():
        say(f"{name:10} {value}")
    try:
        kept_off()
        launcher = launchers.choose(device, os.environ.get(launchers.FORCE, ""))
    except (RuntimeError, ValueError) as error:
        say(f"{'launcher':10} none: {error}")
        say()
        say("Verdict: nothing can be run here.  The kernels run on the GPU of a Mac (macOS 14 and")
        say("later, torch 2.7 and later); from a checkout the emulator runs them on any CPU.")
        return NOT_RUN
    say(f"{'launcher':10} {why_this(launcher.__name__.rpartition('.')[2], device)}")
    say()
    say("Each family of kernels, compared with torch's operations in float64:")
    findings = compare(device, say)
    say()
    if device == "mps":
        say("Milliseconds of a call, this package and torch's scaled_dot_product_attention:")
        for shape in TIMED:
            try:
                say(f"  {timed(shape, device)}")
            except Exception as error:  # torch's attention may need more memory than there is
                say(f"  {shape.name:44} {_words(error)}")
    else:
        say("Not timed: there is no Apple GPU here, and the emulator's times say nothing of one.")
    say()
    for line in conclusion(device, findings):
        say(line)
    return RIGHT if all(finding.is_right for finding in findings) else WRONG


def machine() -> Dict[str, str]:
    """What this machine is, as far as an issue needs to know."""
    described = gpu.describe("mps") if torch.backends.mps.is_available() else None
    cores = (
        f"{described.family or 'of unknown name'}, {described.cores} cores" if described else "none"
    )
    facts = {
        "Mac": f"{_sysctl('hw.model')}, {_sysctl('machdep.cpu.brand_string')}",
        "GPU": f"Apple {cores}" if described else "no Apple GPU that torch can use",
        "macOS": platform.mac_ver()[0],
    }
    if sys.platform != "darwin":
        facts = {"system": platform.platform(), "GPU": facts["GPU"]}
    return {
        **facts,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "package": f"{_version()}, ops {_ops._OPS_NAME}",
        **{name: os.environ[name] for name in (launchers.FORCE, OFF) if os.environ.get(name)},
    }


def _sysctl(name: str) -> str:
    """What macOS says of its machine; "unknown" elsewhere."""
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _version() -> str:
    """The wheel's version; a build of the Hub and a checkout have none."""
    listed = getattr(importlib.metadata, "packages_distributions", None)  # Python 3.10 and later
    for distribution in listed().get(__package__, []) if listed else []:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    return "not from a wheel"


def why_this(name: str, device: str) -> str:
    """Which launcher, and why no other that is preferred to it."""
    if os.environ.get(launchers.FORCE):
        return f"{name}, as {launchers.FORCE} says"
    earlier = launchers.NAMES[: launchers.NAMES.index(name)]
    return "; ".join(
        (name, *(f"not {other}: {launchers.why_not(other, device)}" for other in earlier))
    )


def compare(device: str, say: Callable[..., None]) -> List[Finding]:
    """Run every sample."""
    findings = []
    for head_dim, dtype in KINDS:
        for sample in samples.SAMPLES:
            finding = judge(sample, head_dim, dtype, device)
            say(f"  {sample.name:34} {str(dtype)[6:]:9} d{head_dim:<4} {finding.text}")
            findings.append(finding)
    return findings


def judge(sample: samples.Sample, head_dim: int, dtype: torch.dtype, device: str) -> Finding:
    """Run a sample on the kernels, in float64 and in its own dtype, and compare."""
    with call.noting() as kernels:
        try:
            got = sample.on_kernels(head_dim, dtype, device)
        except KernelOffError:
            return Finding(f"not run: {OFF} keeps a kernel off", True)
        except Exception as error:  # whatever it is: the other samples are to run, too
            return Finding(f"FAILS {_words(error)}", False, tuple(kernels[-1:]))
    exact, plain = sample.exactly(head_dim, dtype), sample.plainly(head_dim, dtype)
    ratios: List[float] = []
    suspects: Dict[str, None] = {}
    for name, families in sample.blame.items():
        values, size = got[name], exact.get(samples.SIZE + name)
        allowed = 2 * _difference(plain[name], exact[name]) + samples.FLOOR[dtype]
        if size is not None:
            allowed += torch.finfo(dtype).eps * float(size.max())
        ratios.append(_difference(values, exact[name]) / allowed)
        if not ratios[-1] <= 1:  # NaN is wrong as well
            suspects.update((name, None) for name in kernels if FAMILIES[name] in families)
    is_right = all(ratio <= 1 for ratio in ratios)
    worst = max(ratios, key=lambda ratio: (ratio != ratio, ratio))
    verdict = "right" if is_right else "WRONG"
    return Finding(f"{verdict}, error {worst:.2f} of what is allowed", is_right, tuple(suspects))


def _words(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def _difference(values: Tensor, exact: Tensor) -> float:
    return float((values.detach().cpu().double() - exact).abs().max())


def timed(shape: Shape, device: str) -> str:
    """A call's time beside that of torch's own attention."""
    q_shape, k_shape = (
        (1, length, heads, shape.head_dim)
        for length, heads in ((shape.q_len, shape.heads), (shape.k_len, shape.kv_heads))
    )
    q, k, v = (
        torch.randn(size, dtype=torch.float16, device=device)
        for size in (q_shape, k_shape, k_shape)
    )
    turned = [x.transpose(1, 2).contiguous() for x in (q, k, v)]
    ours = _milliseconds(lambda: flash_attn_func(q, k, v, causal=shape.causal))
    attention = torch.nn.functional.scaled_dot_product_attention
    grouped = shape.heads != shape.kv_heads
    torchs = _milliseconds(lambda: attention(*turned, is_causal=shape.causal, enable_gqa=grouped))
    return f"{shape.name:44} {ours:9.3f} {torchs:9.3f}  {torchs / ours:.2f} times as fast"


def _milliseconds(function: Callable[[], Any]) -> float:
    """The least time of a call among batches of calls, each long enough to be timed."""
    for _ in range(2):  # compiles, and warms up
        function()
    torch.mps.synchronize()
    begin, least = time.perf_counter(), float("inf")
    while time.perf_counter() - begin < TIMED_SECONDS:
        start = time.perf_counter()
        for _ in range(8):
            function()
        torch.mps.synchronize()
        least = min(least, (time.perf_counter() - start) / 8)
    return 1e3 * least


def conclusion(device: str, findings: Sequence[Finding]) -> List[str]:
    """The verdict."""
    suspects = list(dict.fromkeys(name for finding in findings for name in finding.suspects))
    if suspects:
        return [
            "Verdict: these kernels do not work on this machine:",
            *(f"  {name}" for name in suspects),
            "Keep them off, until this is repaired, with",
            f"  export {OFF}={','.join(suspects)}",
            "Calls that need one of them are then refused by name, or, with replace_sdpa(), go to",
            "torch's own attention.  Please open an issue with what --report FILE writes.",
        ]
    if not all(finding.is_right for finding in findings):
        return [
            "Verdict: something is wrong, and no kernel ran that could be named.  Please open an",
            "issue with what --report FILE writes.",
        ]
    if device != "mps":
        return [
            "Verdict: right on the emulator.  This says nothing of Apple's compiler and GPUs: run",
            "it on a Mac.",
        ]
    return ["Verdict: the kernels work on this machine."]
