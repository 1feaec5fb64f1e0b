"""Flash attention for Apple GPUs: flash-attn's functions on MPS tensors, and torch's own."""

from . import varlen
from .interface import (
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
)
from .replace import explain, install_as_asked, replace_sdpa
from .sdpa import scaled_dot_product_attention

__all__ = [
    "explain",
    "flash_attention_varlen",
    "flash_attn_func",
    "flash_attn_varlen_func",
    "flash_attn_with_kvcache",
    "replace_sdpa",
    "scaled_dot_product_attention",
]

if varlen.has_slot():
    varlen.register()
install_as_asked()
