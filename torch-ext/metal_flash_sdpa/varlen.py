"""The kernels behind torch.nn.attention.varlen.varlen_attn, under the name "METAL".

    torch.nn.attention.activate_flash_attention_impl("METAL")

torch has a slot for implementations of flash attention, and ops that they register for a device.
Importing this package fills the slot; that it is wanted, only the call above says.
"""

from functools import partial
from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import attention as _slots

from . import call, checks, head_dims, ops
from .call import Options
from .keys import Keys, packed
from .plan import lse_shape

NAME = "METAL"
DEVICE = "mps"


def register(name: str = NAME, device: str = DEVICE) -> None:
    """Tell torch of this implementation, for tensors on a type of device.

    Raises RuntimeError where this torch has no slot for one.
    """
    if not has_slot():
        raise RuntimeError(
            f"torch {torch.__version__} has no torch.nn.attention.register_flash_attention_impl, "
            "and so no varlen_attn here: call metal_flash_sdpa.flash_attn_varlen_func, or use a "
            "newer torch"
        )
    _slots.register_flash_attention_impl(name, register_fn=partial(_activate, device))


def has_slot() -> bool:
    """Whether this torch takes implementations of flash attention by name."""
    return hasattr(_slots, "register_flash_attention_impl")


class _Handle:
    """What torch takes off when another implementation is activated, or none."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def remove(self) -> None:
        self._library._destroy()


def _activate(device: str) -> _Handle:
    library = torch.library.Library("aten", "IMPL")
    try:
        for name, function in _OPS.items():
            if hasattr(torch.ops.aten, name):  # the one in place came later than the others
                library.impl(name, function, device.upper())
    except RuntimeError as error:
        library._destroy()
        raise RuntimeError(
            f"flash attention cannot be registered on {device}; has other code done so? {error}"
        ) from error
    return _Handle(library)


def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cum_seq_q: Optional[Tensor],
    cum_seq_k: Optional[Tensor],
    max_q: int,
    max_k: int,
    dropout_p: float,
    is_causal: bool,
    return_debug_mask: bool,
    **options: Any,
) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Out, its log-sum-exp, and three tensors that say nothing where nothing is dropped."""
    out = query.new_zeros((*query.shape[:-1], value.shape[-1]))
    lse = _forward_in_place(
        *(out, query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal),
        return_debug_mask,
        **options,
    )
    seed = torch.zeros(2, dtype=torch.uint64, device=query.device)
    return out, lse, seed, query.new_empty(0), query.new_empty(0)


def _forward_in_place(
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cum_seq_q: Optional[Tensor],
    cum_seq_k: Optional[Tensor],
    max_q: int,
    max_k: int,
    dropout_p: float,
    is_causal: bool,
    return_debug_mask: bool,
    *,
    scale: Optional[float] = None,
    window_size_left: Optional[int] = None,
    window_size_right: Optional[int] = None,
    seqused_k: Optional[Tensor] = None,
    alibi_slopes: Optional[Tensor] = None,
    block_table: Optional[Tensor] = None,
    num_splits: Optional[int] = None,
) -> Tensor:
    """The log-sum-exp of what is written to `out`."""
    _check_no_dropout(dropout_p)
    key_axes = checks.PACKED if block_table is None else checks.PAGED
    checks.check_qkv(checks.PACKED, key_axes, query=query, key=key, value=value)
    checks.check_out(out, query, value)
    if cum_seq_k is None and block_table is not None:
        cum_seq_k = cum_seq_q  # of pages only seqused_k says how many keys there are
        if seqused_k is None:
            raise ValueError("cu_seq_k and seqused_k are None: must have one with block_table")
    batch = checks.check_sequences(query, cum_seq_q, cum_seq_k, max_q, max_k)
    checks.check_block_table(block_table, batch, query, key)
    checks.check_per_sequence("seqused_k", seqused_k, batch, query)
    splits = 0 if num_splits is None else num_splits
    checks.check_splits(splits)
    window = _window(window_size_left, window_size_right)
    checks.check_options(
        *(query, batch, 0.0, scale, is_causal, window, 0.0, alibi_slopes, None),
        names={"softmax_scale": "scale", "causal": "is_causal"},
    )
    scale, (query, key, value) = head_dims.fit(scale, query, key, value)
    in_place = out if out.stride(-1) == 1 else out.contiguous()
    wide = head_dims.widen(in_place, value.shape[-1])
    lse = torch.full(lse_shape(query.shape), -torch.inf, dtype=torch.float32, device=query.device)
    call.attend(
        *(wide, lse, query, key, value),
        options=Options(
            alibi_slopes=alibi_slopes, softmax_scale=scale, causal=is_causal, window_size=window
        ),
        cu_seqlens_q=cum_seq_q,
        keys=_keys(cum_seq_k, seqused_k, block_table),
        max_q_len=max_q,
        splits=splits,
    )
    head_dims.write_back(out, wide)
    return lse


def _backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    logsumexp: Tensor,
    cum_seq_q: Tensor,
    cum_seq_k: Tensor,
    max_q: int,
    max_k: int,
    dropout_p: float,
    is_causal: bool,
    rng_state: Tensor,
    unused: Tensor,
    *,
    scale: Optional[float] = None,
    window_size_left: Optional[int] = None,
    window_size_right: Optional[int] = None,
) -> Tuple[Tensor, ...]:
    """The gradients of query, key and value."""
    _check_no_dropout(dropout_p)
    columns = [x.shape[-1] for x in (query, key, value)]
    scale, (query, key, value) = head_dims.fit(scale, query, key, value)
    of_out = value.shape[-1]
    left, right = _window(window_size_left, window_size_right)
    gradients = ops.run_backward(
        wanted=(True, True, True, False, False),
        grad_out=head_dims.widen(grad_out, of_out),
        grad_lse=None,
        q=query,
        k=key,
        v=value,
        out=head_dims.widen(out, of_out),
        lse=logsumexp,
        cu_seqlens_q=cum_seq_q,
        cu_seqlens_k=cum_seq_k,
        sinks=None,
        attn_mask=None,
        alibi_slopes=None,
        softmax_scale=scale,
        causal=is_causal,
        window_left=left,
        window_right=right,
        softcap=0.0,
        dropout_p=0.0,
        dropout_seed=None,
    )
    return tuple(head_dims.narrow(x, n) for x, n in zip(gradients, columns))


def _keys(
    cum_seq_k: Optional[Tensor], seqused_k: Optional[Tensor], block_table: Optional[Tensor]
) -> Keys:
    """Where keys lie: of each sequence only the first seqused_k count, if they are given."""
    if seqused_k is None or cum_seq_k is None:
        return packed(cum_seq_k, block_table)
    if block_table is not None:
        return Keys(end=seqused_k, block_table=block_table)
    return Keys(begin=cum_seq_k, end=cum_seq_k[:-1] + seqused_k)


def _window(left: Optional[int], right: Optional[int]) -> Tuple[int, int]:
    return -1 if left is None else left, -1 if right is None else right


def _check_no_dropout(dropout_p: float) -> None:
    if dropout_p:
        raise NotImplementedError(
            f"dropout_p is {dropout_p}: must be 0 here; metal_flash_sdpa.flash_attn_varlen_func "
            "has dropout"
        )


_OPS = {
    "_flash_attention_forward": _forward,
    "_flash_attention_forward_no_dropout_inplace": _forward_in_place,
    "_flash_attention_backward": _backward,
}
