"""The namespace of this checkout's torch ops; a build has an _ops.py of its own in its place."""

import torch

_OPS_NAME = "_metal_flash_sdpa_checkout"

ops = getattr(torch.ops, _OPS_NAME)


def add_op_namespace_prefix(op_name: str) -> str:
    """The full name of an op of this checkout."""
    return f"{_OPS_NAME}::{op_name}"
