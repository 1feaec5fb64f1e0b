"""Flash attention for Apple GPUs: flash-attn's functions on MPS tensors, and torch's own."""

from . import doctor as doctor
from . import varlen
from .as_flash_attn import install_as_flash_attn
from .attention_interface import register_with_transformers
from .interface import (
    flash_attention_varlen,
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
)
from .packed import (
    flash_attn_kvpacked_func,
    flash_attn_qkvpacked_func,
    flash_attn_varlen_kvpacked_func,
    flash_attn_varlen_qkvpacked_func,
)
from .replace import explain, install_as_asked, replace_sdpa
from .sdpa import scaled_dot_product_attention

__all__ = [
    "explain",
    "flash_attention_varlen",
    "flash_attn_func",
    "flash_attn_kvpacked_func",
    "flash_attn_qkvpacked_func",
    "flash_attn_varlen_func",
    "flash_attn_varlen_kvpacked_func",
    "flash_attn_varlen_qkvpacked_func",
    "flash_attn_with_kvcache",
    "install_as_flash_attn",
    "register_with_transformers",
    "replace_sdpa",
    "scaled_dot_product_attention",
]

if varlen.has_slot():
    varlen.register()
install_as_asked()
