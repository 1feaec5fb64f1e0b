"""A case's tensors, laid out as it says, and the request that a call with them makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from metal_flash_sdpa import call
from metal_flash_sdpa.call import dropout
from metal_flash_sdpa.plan import Append, Backward, Request, lse_shape
from torch import Tensor

from codegen.widths import Widths
from verify import masks
from verify.arena import MARGIN, Arena, moved, offsets
from verify.cache import Cache
from verify.case import Case
from verify.reference import Options, attention
from verify.sequences import sequences


@dataclass
class Inputs:
    """A case's tensors, in the arenas that they lie in, and the request made of them."""

    request: Request
    options: Options
    arenas: dict[str, Arena]
    tensors: dict[str, Tensor]
    append: Append | None = None
    backward: Backward | None = None


def prepare(case: Case, widths: Widths, dtype: torch.dtype, device: str) -> Inputs:
    """Draw a case's values and lay its tensors out."""
    generator = torch.Generator().manual_seed(case.seed)
    cache = Cache.of(case)
    arenas = lay_out(case, cache, widths, dtype, device)
    draw(case, cache, arenas, generator)
    small = lengths(case, cache)
    if case.scores.sinks:
        small["sinks"] = repeated(case.scores.sinks, (case.shape.heads,))
    if case.scores.alibi:
        small["alibi_slopes"] = alibi_slopes(case)
    if case.scores.dropout_p:
        small["dropout_seed"] = torch.tensor(
            (case.seed - 2**31, case.seed % 2**31), dtype=torch.int32
        )
    options = options_of(case, widths.qk)
    request = request_of(case, options, widths, arenas, small.get("alibi_slopes"))
    if cache is not None:
        request = cache.described(request)
    mask = None
    if case.attn_mask:
        grid = (case.shape.batch, case.shape.heads, request.q_len, request.k_len)
        mask = masks.draw(case.attn_mask, grid, generator)
        small["bias"] = masks.bias_of(mask, grid)
        if case.attn_mask.layout == "expanded":
            mask = mask.expand(grid)
        mask_type, strides = call.mask(mask)
        request = request._replace(mask_type=mask_type, mask_strides=strides)
    append = append_of(case, request, arenas)
    if append is not None and append.rotary_dim:
        small |= rotary(append, dtype, generator)
    of_lse = lse_shape(arenas["q"].view.shape)
    arenas["lse"] = flat(of_lse, device)
    tensors = {name: arena.view for name, arena in arenas.items()}
    if widths.latent:
        tensors["v"] = tensors["k"][..., : widths.v]
    tensors["lse"] = arenas["lse"].view.view(of_lse)
    tensors |= {name: moved(tensor, device) for name, tensor in small.items()}
    if mask is not None:
        tensors["attn_mask"] = call.bytes_of(moved(mask, device))
    backward = backward_of(case, arenas)
    if mask is not None and backward is not None and case.gradients and case.gradients.of_mask:
        backward = backward._replace(mask_shape=tuple(mask.shape))
        arenas["grad_mask"] = flat(mask.shape, device, mask.dtype)
        tensors["grad_mask"] = call.bytes_of(arenas["grad_mask"].view)
    inputs = Inputs(request, options, arenas, tensors, append, backward)
    if case.gradients and case.gradients.of_lse:
        grad_lse = torch.randn(of_lse, generator=generator)
        tensors["grad_lse"] = grad_lse.to(device)
    if case.gradients and not tensors["q"].is_meta:  # without memory there is nothing to compute
        go_forward(case, inputs)
    return inputs


def flat(shape: Sequence[int], device: str, dtype: torch.dtype = torch.float32) -> Arena:
    """An arena for a contiguous tensor."""
    return Arena((1, 1, 1, math.prod(shape)), dtype, "contiguous", device, packed=True)


def shapes(case: Case, cache: Cache | None) -> dict[str, tuple[int, int, int]]:
    """(batch, rows, heads) of each tensor whose rows are those of a head."""
    shape, batch = case.shape, case.shape.batch
    if shape.packed:
        q_rows, k_rows = (1, sum(shape.q_lens) + shape.tail), (1, sum(shape.k_lens) + shape.tail)
    else:
        q_rows, k_rows = (batch, shape.q_lens[0]), (batch, shape.k_lens[0])
    if cache is not None:
        k_rows = cache.shape
    queries, keys = (*q_rows, shape.heads), (*k_rows, shape.kv_heads)
    found = {"q": queries, "k": keys, "v": keys, "out": queries}
    if case.appended:
        found |= dict.fromkeys(("new_k", "new_v"), (batch, case.appended, shape.kv_heads))
    if case.cache and case.cache.rotary_dim:
        found["rotated_q"] = queries
    if case.gradients:
        found["grad_out"] = queries
        found |= {f"grad_{name}": found[name] for name in case.gradients.wanted}
    return found


OF_KV = ("k", "v", "new_k", "new_v")


def columns(widths: Widths, tensor: str) -> int:
    """The columns of a tensor whose rows are those of a head."""
    name = tensor.removeprefix("grad_").removeprefix("new_")
    return widths.v if name in ("v", "out") else widths.qk


def lay_out(
    case: Case, cache: Cache | None, widths: Widths, dtype: torch.dtype, device: str
) -> dict[str, Arena]:
    """An arena for each tensor whose rows are those of a head."""
    arenas = {}
    for name, shape in shapes(case, cache).items():
        if widths.latent and name == "v":
            continue
        packed = case.shape.packed and not (cache is not None and name in "kv")
        # Nonsense may lead anywhere, the next page too: nothing lies around K and V to hide that.
        margin = 0 if case.nonsense and name in "kv" else MARGIN
        layout = case.layout_of(name)
        own = getattr(torch, case.kv_dtype) if case.kv_dtype and name in OF_KV else dtype
        arenas[name] = Arena((*shape, columns(widths, name)), own, layout, device, packed, margin)
    return arenas


def draw(
    case: Case, cache: Cache | None, arenas: dict[str, Arena], generator: torch.Generator
) -> None:
    """Give q, k, v and what is appended their values; rows of a cache without a key stay NaN."""
    of_scores, of_values = case.values.score_std**0.5, case.values.value_std
    spread = {"q": of_scores, "k": of_scores, "v": of_values}
    spread |= {"new_k": of_scores, "new_v": of_values} if case.appended else {}
    spread |= {"grad_out": 1.0} if case.gradients else {}
    for name, std in spread.items():
        if name not in arenas:
            continue  # V is part of K
        values = torch.randn(arenas[name].view.shape, generator=generator) * std
        if name == "v":
            values += case.values.value_mean
        if case.shape.tail and name in "qkv":
            values[-case.shape.tail :] = torch.nan
        if case.values.nan_in == name:
            heads, head_dim = values.shape[-2:]
            values.view(-1, heads, head_dim)[-1, 0, head_dim // 2] = torch.nan
        if cache is not None and name in "kv":
            values[~cache.used(appended=False)] = torch.nan
        arenas[name].fill(values)


def lengths(case: Case, cache: Cache | None) -> dict[str, Tensor]:
    """What tells the kernels where each sequence begins and ends, and where its pages are."""
    found: dict[str, Tensor] = {}
    if case.shape.packed:
        found["cu_seqlens_q"] = offsets(case.shape.q_lens)
        found["k_begin"] = offsets(case.shape.k_lens)
        found["k_end"] = found["k_begin"][1:]
    return found if cache is None else found | cache.tensors()


def options_of(case: Case, head_dim: int) -> Options:
    """What the mathematics depends on."""
    scale = case.scores.softmax_scale
    return Options(
        softmax_scale=head_dim**-0.5 if scale is None else scale,
        causal=case.mask.causal,
        window_size=case.mask.window_size,
        softcap=case.scores.softcap,
    )


def request_of(
    case: Case, options: Options, widths: Widths, arenas: dict[str, Arena], slopes: Tensor | None
) -> Request:
    """The request of a call whose keys lie in no cache."""
    q, k = arenas["q"].view, arenas["k"].view
    return Request(
        dtype=str(q.dtype).removeprefix("torch."),
        kv_dtype=case.kv_dtype,
        head_dim=widths.qk,
        head_dim_v=widths.v,
        heads=case.shape.heads,
        kv_heads=case.shape.kv_heads,
        batch=case.shape.batch,
        q_len=q.shape[-3],
        k_len=k.shape[-3],
        packed=case.shape.packed,
        q_strides=arenas["q"].strides,
        k_strides=arenas["k"].strides,
        v_strides=arenas["k" if widths.latent else "v"].strides,
        out_strides=arenas["out"].strides,
        softmax_scale=options.softmax_scale,
        causal=options.causal,
        window_size=options.window_size,
        softcap=options.softcap,
        wants_lse=case.lse,
        has_sinks=bool(case.scores.sinks),
        has_alibi=slopes is not None,
        alibi_strides=alibi_strides(slopes),
        has_k_begin=case.shape.packed,
        has_k_end=case.shape.packed,
        **dropout(case.scores.dropout_p),
    )


def append_of(case: Case, request: Request, arenas: dict[str, Arena]) -> Append | None:
    """What a call says of the rows that it appends, if it does."""
    if case.cache is None or not case.cache.appended:
        return None
    append = Append(arenas["new_k"].strides, arenas["new_v"].strides)
    if not case.cache.rotary_dim:
        return append
    return append._replace(
        rotated_q_strides=arenas["rotated_q"].strides,
        rotary_dim=case.cache.rotary_dim,
        rotary_rows=request.k_len,
        interleaved=case.cache.interleaved,
    )


def backward_of(case: Case, arenas: dict[str, Arena]) -> Backward | None:
    """What a backward pass is asked for, if the case is one."""
    if case.gradients is None:
        return None
    wanted = case.gradients.wanted
    q, k, v = (arenas[f"grad_{x}"].strides if x in wanted else (0, 0, 0) for x in "qkv")
    return Backward(
        arenas["grad_out"].strides,
        grad_q_strides=q,
        grad_k_strides=k,
        grad_v_strides=v,
        wants_q="q" in wanted,
        wants_k="k" in wanted,
        wants_v="v" in wanted,
        has_grad_lse=case.gradients.of_lse,
    )


def go_forward(case: Case, inputs: Inputs) -> None:
    """Fill `out` and `lse` with what the forward pass gives, each rounded once.

    Rows that belong to no sequence have an output of 0 and see no key.
    """
    out = torch.zeros(inputs.arenas["out"].view.shape)
    lse = torch.full(lse_shape(out.shape), -math.inf)
    sinks = inputs.tensors.get("sinks")
    results = {**inputs.tensors, "out": out, "lse": lse}
    for part in sequences(case, results):
        q, k, v, slopes = part["q"], part["k"], part["v"], part.get("slopes")
        given = (q, k, v, inputs.options, None if sinks is None else sinks.cpu(), slopes)
        besides = {name: part[name] for name in ("bias", "dropout_scale") if name in part}
        want, want_lse = attention(*given, dtype=torch.float64, **besides)
        part["out"].copy_(want)
        part["lse"].copy_(want_lse)
    inputs.arenas["out"].fill(out)
    inputs.tensors["lse"].copy_(lse)


def rotary(append: Append, dtype: torch.dtype, generator: torch.Generator) -> dict[str, Tensor]:
    """Cosines and sines of any angles, a row for each position."""
    shape = (append.rotary_rows, append.rotary_dim // 2)
    angles = torch.rand(shape, generator=generator) * math.tau
    return {"rotary_cos": angles.cos().to(dtype), "rotary_sin": angles.sin().to(dtype)}


def repeated(values: Sequence[float], shape: tuple[int, ...]) -> Tensor:
    """A tensor that is filled with the values, over and over."""
    count = math.prod(shape)
    return torch.tensor((tuple(values) * count)[:count]).view(shape)


def alibi_slopes(case: Case) -> Tensor:
    """A case's slopes, (heads,) or (batch, heads); sliced ones are cut from a wider tensor."""
    heads = case.shape.heads
    shape = (case.shape.batch, heads) if case.scores.alibi_per_sequence else (heads,)
    step = 2 if case.layout == "sliced" else 1
    slopes = torch.full((*shape[:-1], heads * step), torch.nan)[..., ::step]
    return slopes.copy_(repeated(case.scores.alibi, shape))


def alibi_strides(slopes: Tensor | None) -> tuple[int, int]:
    """The strides of slopes, as a request has them."""
    if slopes is None:
        return (0, 0)
    return (slopes.stride(0) if slopes.dim() == 2 else 0, slopes.stride(-1))


# What no offset and no page may be, and what one of them may: too large, negative, decreasing.
NONSENSE = (2**31 - 1, -5, 10**6, -(2**31), 3)


def garble(tensors: dict[str, Tensor], names: Sequence[str]) -> None:
    """Nonsense in place of these offsets and pages."""
    for name in names:
        if name in tensors:
            count = tensors[name].numel()
            values = torch.tensor((NONSENSE * count)[:count], dtype=torch.int32)
            tensors[name].copy_(values.view(tensors[name].shape))
