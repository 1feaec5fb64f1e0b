"""`python -m verify.sanitize.launches JOB`: a job's launches, for a tool to look at.

Every tensor is an allocation of its own that ends with its last element; gaps between its rows, and
what a kernel is to write, are memory that nobody has written.  What was written is then read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

import torch
from metal_flash_sdpa.call import add_partials
from metal_flash_sdpa.launchers import emulator as launcher
from torch import Tensor

import emulator
from verify import devices
from verify.case import Case
from verify.inputs import Inputs, garble, prepare
from verify.run import Launch, absent, instead, outputs, whole_plan
from verify.sanitize.jobs import Job
from verify.variants import Variant

LAUNCH_SECONDS = 120.0  # a tool makes some things a thousand times slower


def unwritten(shape: Sequence[int], dtype: torch.dtype, device: str) -> Tensor:
    """Memory of which nobody knows what is in it."""
    return torch.empty(tuple(shape), dtype=dtype, device=device)


def tight(tensor: Tensor, device: str, filled: bool) -> Tensor:
    """A tensor in as much memory as it needs, with the same strides; only its elements written."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    length = 1 + sum((n - 1) * step for n, step in steps) if tensor.numel() else 1
    storage = unwritten((length,), tensor.dtype, device)
    copy = storage.as_strided(tensor.shape, tensor.stride())
    if filled:  # where an axis has a stride of 0, once
        once = tuple(slice(None if step else 1) for step in tensor.stride())
        copy[once].copy_(tensor[once])
    return copy


def placed(inputs: Inputs, written: Sequence[str], device: str) -> dict[str, Tensor]:
    """A case's tensors, each on its own; nobody has written those that the launches are to."""
    return {
        name: tight(tensor, device, filled=name not in written)
        for name, tensor in inputs.tensors.items()
    }


def read(tensors: Mapping[str, Tensor]) -> int:
    """Reads every element on the device, where a tool sees it; how many are NaN."""
    return sum(int(tensor.isnan().cpu().sum()) for tensor in tensors.values())


def run(case: Case, variant: Variant, launch: Launch, device: str) -> int:
    """A case's launches; returns how many NaN there are in what was written."""
    widths, dtype = variant.tried_on
    inputs = prepare(case, widths, getattr(torch, dtype), "cpu")
    if case.nonsense:
        garble(inputs.tensors, case.nonsense)
    plan = whole_plan(variant, inputs, case)
    results = outputs(case)
    tensors = placed(inputs, results, device)
    make = torch.zeros if plan.zeroed else unwritten
    between = {
        name: make(shape, dtype=getattr(torch, kind), device=device)
        for name, shape, kind in plan.workspace
    }
    queries = tensors["q"]
    for step in plan.launches:
        if min(step.threadgroups) > 0:
            launch(step, absent(step, device) | tensors | between | {"q": queries})
        queries = tensors.get("rotated_q", queries)
    if case.gradients:
        add_partials({**tensors, **between})
    # Rows that belong to no sequence stay as they are.
    written = {
        name: tensors[name][: -case.shape.tail or None] if case.gradients else tensors[name]
        for name in results
    }
    if not case.lse:
        del written["lse"]
    if case.appended:
        written |= {name: tensors[name] for name in "kv"}
    return read(written)


def of_job(job: Job) -> Launch:
    """The package's launcher, with the job's kernel in the place of its own if it is broken."""
    if not job.fault:
        return launcher.launch
    kernel = emulator.compile(job.source(), finite_math=True).function(job.variant)
    return instead(job.variant, kernel)


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    torch.set_num_threads(1)
    launch = devices.waiting(of_job(job), LAUNCH_SECONDS)
    for case in job.cases():
        print(f"CASE {case.name}", flush=True)
        run(case, job.kernel, launch, "cuda")
    print("END", flush=True)


if __name__ == "__main__":
    main()
