"""Run every kernel on the CPU and on an NVIDIA GPU with the same inputs: how far are they apart?

`python -m verify.executors`.  Both are right (that is parity's to say); this says where they give
the same bits, and the largest difference where they do not.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from emulator import EmulatorError
from verify import devices, evidence
from verify.cases import every_case
from verify.inputs import flat, prepare
from verify.progress import console as terminal
from verify.progress import execute
from verify.run import given, outputs, whole_plan
from verify.variants import Variant, manifest

WIDTH = 120  # where the output is not a terminal

# A few cases of each kernel: every step of the arithmetic, and none where a rounding decides much.
CASES = (
    *("several blocks", "GQA 8/2", "softcap 30"),
    *("3 splits", "rotate halves", "append to pages"),
    *("expanded", "every gradient"),
    *("mask, several tiles", "bias, several tiles", "bias, more queries than keys"),
    *("bias, pages", "bias of keys", "mask: random"),
)


@dataclass(frozen=True)
class Difference:
    """One tensor of one case."""

    variant: str
    case: str
    tensor: str
    elements: int
    differing: int  # in their bits
    largest: float
    units: float  # the same in units in the last place of the dtype, of the larger value


def compare(variant: Variant, case: str, tensor: str, ours: Tensor, other: Tensor) -> Difference:
    """How far two results are apart; NaN and infinity must stand in the same places."""
    ours, other = ours.detach().contiguous(), other.detach().contiguous()
    both_nan = ours.isnan() & other.isnan()
    differing = (ours != other) & ~both_nan
    a, b = ours[differing].double(), other[differing].double()
    gap = (a - b).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    units = gap / unit(torch.maximum(a.abs(), b.abs()), ours.dtype)
    return Difference(
        variant.name,
        case,
        tensor,
        ours.numel(),
        int(differing.sum()),
        gap.max().item() if len(gap) else 0.0,
        units.max().item() if len(gap) else 0.0,
    )


def unit(size: Tensor, dtype: torch.dtype) -> Tensor:
    """The step between values of a dtype at that size."""
    if not dtype.is_floating_point:
        return torch.ones_like(size)
    info = torch.finfo(dtype)
    exponent = torch.frexp(size.clamp(min=info.smallest_normal))[1] - 1
    return torch.ldexp(torch.full_like(size, info.eps), exponent)


def results(variant: Variant, name: str, device: str) -> dict[str, Tensor]:
    """What a case's launches leave, on the CPU; of a backward pass, also what lies between them."""
    case = next(case for case in every_case(variant) if case.name == name)
    widths, dtype = variant.tried_on
    on, launch = devices.tensors_on(device), devices.launcher(device)
    inputs = prepare(case, widths, getattr(torch, dtype), on)
    plan = whole_plan(variant, inputs, case)
    between = {
        name: flat(shape, on, getattr(torch, kind)).view.view(shape)
        for name, shape, kind in plan.workspace
    }
    queries = inputs.tensors["q"]
    for step in plan.launches:
        if min(step.threadgroups) > 0:
            launch(step, given(step, inputs.tensors | between, queries, on))
        queries = inputs.tensors.get("rotated_q", queries)
    kept = [*outputs(case), *("kv" if case.cache else "")]  # what was appended to K and V
    left = {name: inputs.tensors[name].cpu() for name in kept}
    if "grad_mask" in left:  # its elements, rather than its bytes
        left["grad_mask"] = inputs.arenas["grad_mask"].view.cpu()
    if case.gradients:
        left |= {name: tensor.cpu() for name, tensor in between.items()}
    return left


def chosen_cases(variant: Variant) -> list[str]:
    """The names of the cases that a kernel is compared in; in a few modes, if it has several."""
    names = [case.name for case in every_case(variant)]
    return [n for n in names if any(n == c or n.startswith(f"{c}, ") for c in CASES)]


def differences(variant: Variant, devices_: tuple[str, str]) -> list[Difference]:
    """All of a kernel's cases on two devices."""
    torch.set_num_threads(1)
    found = []
    for name in chosen_cases(variant):
        one, other = (results(variant, name, device) for device in devices_)
        found += [compare(variant, name, tensor, one[tensor], other[tensor]) for tensor in one]
    return found


def rows(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """By family, dtype and tensor: how many elements differ, and by how much at most."""
    kinds: dict[tuple[str, str, str], list[Difference]] = {}
    by_name = {v.name: v for v in manifest()}
    for difference in found:
        variant = by_name[difference.variant]
        # K and V are both a cache's.
        tensor = "K, V" if difference.tensor in ("k", "v") else difference.tensor
        kinds.setdefault((variant.family, variant.dtype, tensor), []).append(difference)
    return [
        {
            "family": family,
            "dtype": dtype,
            "tensor": tensor,
            "kernels": len({d.variant for d in own}),
            "elements": sum(d.elements for d in own),
            "differing": sum(d.differing for d in own),
            "largest": max(d.largest for d in own),
            "units": max(d.units for d in own),
        }
        for (family, dtype, tensor), own in kinds.items()
    ]


def table(made: Sequence[dict[str, Any]]) -> Table:
    shown = Table(title="CPU against GPU", title_justify="left")
    for name in ("family", "dtype", "tensor", "kernels", "elements", "same bits", "largest", "ulp"):
        shown.add_column(name, justify="left" if name in ("family", "dtype", "tensor") else "right")
    for row in made:
        same = 1 - row["differing"] / max(1, row["elements"])
        shown.add_row(
            *(row["family"], row["dtype"], row["tensor"], str(row["kernels"])),
            *(
                f"{row['elements']:,}",
                f"{same:.2%}",
                f"{row['largest']:.1e}",
                f"{row['units']:.1f}",
            ),
        )
    return shown


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verify.executors", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", help="only kernels with this in their names")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin no more kernels after so many"
    )
    evidence.add_option(parser)
    return parser.parse_args()


def main() -> int:
    chosen = options()
    console = terminal(WIDTH)
    begin = time.perf_counter()
    try:
        devices.require("cuda")
    except EmulatorError as error:
        console.print(str(error), highlight=False, markup=False)
        return 2
    wanted = [v for v in manifest() if not chosen.only or chosen.only in v.name]
    if not wanted:
        console.print(f"no kernel has {chosen.only!r} in its name")
        return 2
    end = time.time() + chosen.seconds
    tasks: list[Callable[[], Any]] = [
        partial(in_time, end, variant, ("emulator", "cuda")) for variant in wanted
    ]
    results = execute(tasks, "kernels", console, "cuda")
    found = [d for result in results if isinstance(result, list) for d in result]
    failed = [
        (variant.name, f"{type(result).__name__}: {result}")
        for variant, result in zip(wanted, results, strict=True)
        if isinstance(result, Exception)
    ]
    made = rows(found)
    ran = len({d.variant for d in found})
    seconds = round(time.perf_counter() - begin, 1)
    evidence.write(
        chosen.evidence,
        "executors",
        "cuda",
        {
            "ran": ran,
            "wanted": len(wanted),
            "complete": ran == len(wanted),
            "failed": len(failed),
            "failures": evidence.failures(failed),
            "seconds": seconds,
            "rows": made,
        },
    )
    console.print(table(made))
    for name, why in failed:
        console.print(f"[bold red]FAIL[/] {name}: {why}", highlight=False)
    console.print(f"{ran} of {len(wanted)} kernels, {seconds:.0f} s", highlight=False)
    return 1 if failed else 0


def in_time(end: float, variant: Variant, devices_: tuple[str, str]) -> list[Difference] | None:
    """A kernel's differences, unless the time is up."""
    return differences(variant, devices_) if time.time() < end else None


if __name__ == "__main__":
    sys.exit(main())
