"""The gradients of attention: autograd's, and how far a kernel's may be off.

A kernel's gradients of q, k and v are judged as its output is: compared with float64, at most
twice the error of plain PyTorch in the inputs' own dtype, plus a floor.  The gradient of a sink is
a single number, a long sum whose terms may cancel, and plain PyTorch's error of it is a matter of
luck: its bound is derived.  So is every bound where a case has few elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from verify.case import Case
from verify.inputs import Inputs
from verify.reference import (
    Error,
    Options,
    attention,
    compare,
    distance,
    of_query_heads,
    orders,
    position_of_largest,
    scores,
)
from verify.sequences import sequences

COMPARED = ("grad_q", "grad_k", "grad_v")  # with plain PyTorch's; a bound of the others is derived
UNIT = 2.0**-24  # a float32 operation rounds its result by at most so much of it
LOG2_E = math.log2(math.e)
UNSEEN = 1e37  # the statistics have a log-sum-exp beyond this for a row that sees nothing


def autograd(
    part: Mapping[str, Tensor],
    options: Options,
    sinks: Tensor | None,
    dtype: torch.dtype,
    turn: int = 0,
    scale_product: bool = False,
) -> dict[str, Tensor]:
    """The gradients of one sequence, every step in `dtype`; `turn` rolls the dot products."""
    leaves = {name: part[name].detach().to(dtype).requires_grad_() for name in "qkv"}
    if sinks is not None:
        leaves["sinks"] = sinks.detach().to(dtype).requires_grad_()
    if "bias" in part:
        leaves["bias"] = part["bias"].to(dtype).requires_grad_()
    results = attention(
        leaves["q"].roll(turn, -1),
        leaves["k"].roll(turn, -1),
        leaves["v"],
        options,
        leaves.get("sinks"),
        part.get("slopes"),
        dtype=dtype,
        scale_product=scale_product,
        bias=leaves.get("bias"),
        dropout_scale=part.get("dropout_scale"),
    )
    given = [part["grad_out"], part.get("grad_lse")]
    pairs = [(x, g.to(dtype)) for x, g in zip(results, given) if g is not None and x.requires_grad]
    if not pairs:  # no key, no sink: nothing depends on anything
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    outputs, gradients = zip(*pairs)
    found = torch.autograd.grad(
        outputs, list(leaves.values()), gradients, allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, found))


def recomputed(
    part: Mapping[str, Tensor], options: Options, turn: int = 0, scale_product: bool = False
) -> dict[str, Tensor]:
    """The gradients of one sequence in the inputs' dtype, as every fused backward pass has them.

    Weights come from the log-sum-exp that was stored, and the sum that they have in common from
    the output.  Where the softmax cancels exactly, autograd over it has no error at all; a weight
    that is recomputed has that of the log-sum-exp.
    """
    dtype, heads = part["q"].dtype, part["q"].shape[1]
    q, k = (part[name].detach().requires_grad_() for name in "qk")
    rolled = q.roll(turn, -1), k.roll(turn, -1)
    slopes, bias = part.get("slopes"), part.get("bias")
    logits = scores(*rolled, options, slopes, dtype=dtype, scale_product=scale_product, bias=bias)
    lse = part["lse"].unsqueeze(-1)
    weights = (logits.detach() - lse).exp().masked_fill(lse == -math.inf, 0).to(dtype)
    grad_out, out = (part[name].transpose(0, 1) for name in ("grad_out", "out"))
    delta = (grad_out * out).sum(-1)
    delta = delta - part["grad_lse"] if "grad_lse" in part else delta
    grad_weights = grad_out @ of_query_heads(part["v"], heads).permute(1, 2, 0)
    scales = part["dropout_scale"].to(dtype) if "dropout_scale" in part else 1
    grad_logits = (weights * (scales * grad_weights - delta.unsqueeze(-1))).to(dtype)
    grad_q, grad_k = torch.autograd.grad(logits, (q, k), grad_logits)
    grad_v = (
        ((scales * weights).transpose(1, 2) @ grad_out)
        .unflatten(0, (part["v"].shape[1], -1))
        .sum(1)
    )
    return {"q": grad_q, "k": grad_k, "v": grad_v.transpose(0, 1)}


def plain_gradients(
    part: Mapping[str, Tensor], options: Options, sinks: Tensor | None
) -> list[dict[str, Tensor]]:
    """Plain PyTorch's gradients of one sequence in the inputs' dtype.

    In each order of its dot products.  And PyTorch has two backward passes: autograd over the
    softmax, and that of its fused kernels, which recompute the weights from the log-sum-exp.  In
    16 bits their errors are much the same; in float32 a kernel of ours may have twice the larger.
    """
    dtype, turns = part["q"].dtype, list(orders(part["q"], part["k"], options))
    found = [autograd(part, options, sinks, dtype, *turn) for turn in turns]
    if dtype == torch.float32:
        found += [recomputed(part, options, *turn) for turn in turns]
    return found


def explained(part: Mapping[str, Tensor], options: Options) -> dict[str, Tensor]:
    """How far roundings alone may move each element of one sequence's gradients.

    With u = 2^-24, and r half a unit in the last place of the inputs' dtype:
      logit   its dot product, scale and mask as in reference.lse_tolerance; the log-sum-exp by four
              roundings of its size.  So far, and by r, is a weight off, relatively
      dP      a dot product of head_dim terms
      delta   by r of each dO * O, as O is rounded, and by the roundings of a sum
      dS      rounded once to the dtype; under a softcap its factor 1 - tanh^2 is off as tanh is
      sums    of N terms by N u of their sizes, and each gradient is rounded once to the dtype
      bias    of P dP in float32, before it is added up for what a mask shares; see mask_error
    What is rounded to the dtype is off by half its least step at least.
    """
    dtype, heads = part["q"].dtype, part["q"].shape[1]
    kv_heads, (q_len, k_len) = part["k"].shape[1], (part["q"].shape[0], part["k"].shape[0])
    info, terms, terms_v = torch.finfo(dtype), part["q"].shape[-1], part["v"].shape[-1]
    rounding, least = info.eps / 2, info.smallest_normal * info.eps / 2
    queries, grad_out, out = (part[n].double().transpose(0, 1) for n in ("q", "grad_out", "out"))
    keys, values = (of_query_heads(part[n].double(), heads).transpose(0, 1) for n in "kv")
    slopes, lse = part.get("slopes"), part["lse"].double().unsqueeze(-1)
    bias = part.get("bias")
    logits = scores(part["q"], part["k"], options, slopes, dtype=torch.float64, bias=bias)
    weights = (logits - lse).exp().masked_fill(lse == -math.inf, 0)
    scale = abs(options.softmax_scale)
    size = scale * queries.norm(dim=-1).unsqueeze(-1) * keys.norm(dim=-1).unsqueeze(-2)
    of_product = UNIT * (terms + 8) * size
    of_logit = of_product + UNIT * (4 * lse.abs().nan_to_num(posinf=0) + 8 * options.softcap + 8)
    if slopes is not None:
        away = distance(torch.arange(q_len), q_len, k_len)
        of_logit = of_logit + 8 * UNIT * slopes.double().abs().reshape(-1, 1, 1) * away
    if bias is not None:
        of_logit = of_logit + 8 * UNIT * bias.double().abs().masked_fill(bias == -math.inf, 0)
    of_weight = weights * of_logit.expm1()
    lse_delta = part["grad_lse"].double().unsqueeze(-1) if "grad_lse" in part else 0.0
    products = (grad_out * out).sum(-1, keepdim=True)
    scales = part.get(
        "dropout_scale", torch.ones(())
    )  # of dropout; one rounding each, of its factor
    grad_weights = scales * (grad_out @ values.transpose(1, 2))
    difference = (grad_weights - products + lse_delta).abs()
    of_difference = (
        (rounding + UNIT * (terms_v + 2)) * (grad_out * out).abs().sum(-1, keepdim=True)
        + least * grad_out.abs().sum(-1, keepdim=True)
        + UNIT * (terms_v + 4) * scales * (grad_out.abs() @ values.abs().transpose(1, 2))
        + 2 * UNIT * (difference + abs(lse_delta))
    )
    slope, of_slope = torch.ones_like(weights), torch.zeros_like(weights)
    if options.softcap:
        limited = (queries @ keys.transpose(1, 2) * options.softmax_scale / options.softcap).tanh()
        slope = 1 - limited**2
        of_slope = 8 * UNIT + 2 * slope * of_product / options.softcap
    grad_logits = weights * difference * slope
    of_logits = (
        of_weight * (difference + of_difference) * slope
        + weights * (of_difference * slope + (difference + of_difference) * of_slope)
        + (rounding + 4 * UNIT) * grad_logits
        + least
    ).masked_fill(logits == -math.inf, 0)
    of_bias = of_weight * (difference + of_difference) + weights * (
        of_difference + 4 * UNIT * difference
    )
    of_weight = (of_weight + rounding * weights + least).masked_fill(logits == -math.inf, 0)
    of_weight, weights = (
        scales * of_weight + 2 * UNIT * scales * weights,
        scales * weights,
    )
    of_sums = UNIT * (q_len * heads + k_len)

    def of_keys(x: Tensor) -> Tensor:
        return x.unflatten(0, (kv_heads, -1)).sum(1).transpose(0, 1)

    def of_sum(error: Tensor, value: Tensor, factor: Tensor) -> Tensor:
        total = value @ factor.abs()
        return error @ factor.abs() + (of_sums + rounding) * total

    columns = grad_logits.transpose(1, 2), of_logits.transpose(1, 2), weights.transpose(1, 2)
    return {
        "q": scale * of_sum(of_logits, grad_logits, keys).transpose(0, 1) + least,
        "k": scale * of_keys(of_sum(columns[1], columns[0], queries)) + least,
        "v": of_keys(of_sum(of_weight.transpose(1, 2), columns[2], grad_out)) + least,
        **({} if bias is None else {"bias": of_bias}),
    }


def judge(
    case: Case,
    inputs: Inputs,
    between: Mapping[str, Tensor],
    dtype: torch.dtype,
    derived: bool = False,
) -> dict[str, Error]:
    """The error of each gradient and statistic of a backward pass that has run, by its name.

    `derived`: gradients may be off by what roundings explain, not by what plain PyTorch is.
    """
    assert case.gradients is not None
    wanted = [name for name in "qkv" if name in case.gradients.wanted]
    sinks = inputs.tensors["sinks"].cpu() if "sinks" in inputs.tensors else None
    got: dict[str, list[Tensor]] = {name: [] for name in wanted}
    want: dict[str, list[Tensor]] = {name: [] for name in wanted}
    plain: dict[str, list[list[Tensor]]] = {name: [] for name in wanted}
    of_sinks = bound = torch.zeros(case.shape.heads, dtype=torch.float64)
    of_bias: list[tuple[Tensor, Tensor]] = []  # of each sequence: the gradient, and its bound
    found: dict[str, Error] = {}
    of_rows = {
        name: between[name].view(inputs.tensors["lse"].shape) for name in ("row_lse", "row_delta")
    }
    for part in sequences(case, {**inputs.tensors, **of_rows}):
        for name, error in statistics(part):
            found[name] = larger(error, found.get(name))
        if sinks is None and not wanted and not case.gradients.of_mask:
            continue
        exact = autograd(part, inputs.options, sinks, torch.float64)
        if case.gradients.of_mask:
            of_bias.append((exact["bias"], explained(part, inputs.options)["bias"]))
        if not wanted:
            allowed = []
        elif derived:
            allowed = [explained(part, inputs.options)]
        else:
            allowed = plain_gradients(part, inputs.options, sinks)
        for name in wanted:
            got[name].append(part[f"grad_{name}"])
            want[name].append(exact[name])
            plain[name].append([gradients[name] for gradients in allowed])
        if sinks is not None:
            of_sinks = of_sinks + exact["sinks"]
            bound = bound + sink_bound(part, sinks, dtype)
    for name in wanted:
        whole = [torch.cat(order) for order in zip(*plain[name])]
        ours, exactly = torch.cat(got[name]), torch.cat(want[name])
        found[f"grad_{name}"] = (
            within(ours, exactly, whole[0]) if derived else compare(ours, exactly, whole, dtype)
        )
    if of_bias and inputs.backward is not None:
        grad_mask = inputs.arenas["grad_mask"].view.cpu().view(inputs.backward.mask_shape)
        found["grad_mask"] = mask_error(grad_mask, *map(torch.stack, zip(*of_bias)))
    if sinks is not None:
        summed = between["grad_sinks"].cpu().sum((0, 2))
        found["grad_sinks"] = within(summed, of_sinks, bound)
    return found


def mask_error(got: Tensor, terms: Tensor, bounds: Tensor) -> Error:
    """How far a mask's gradient is off what `terms`, each off by its bound, add up to.

    Terms are added in float32: N of them are off by N u of their sizes.  Sums are rounded once.
    """
    shared = [axis for axis, size in enumerate(got.shape) if size == 1]
    count = math.prod(terms.shape[axis] for axis in shared)
    want, bound, size = (
        x.sum(shared, keepdim=True) if shared else x for x in (terms, bounds, terms.abs())
    )
    info = torch.finfo(got.dtype)
    bound = bound + count * UNIT * size + info.eps / 2 * (want.abs() + bound)
    return within(got, want, bound + info.smallest_normal * info.eps / 2)


def statistics(part: Mapping[str, Tensor]) -> Iterator[tuple[str, Error]]:
    """How far each row's statistics are off; what they are made of is what the kernel is given."""
    lse = part["lse"].double()
    unseen = lse == -math.inf
    got = part["row_lse"].double()
    # One rounding of LOG2_E, one of the product.
    yield "row_lse", within(got, lse * LOG2_E, 2 * UNIT * LOG2_E * lse.abs(), skip=unseen)
    yield "row_lse of nothing", within((got > UNSEEN).double(), unseen.double(), 0 * got)
    product = part["grad_out"].double() * part["out"].double()
    size, delta = product.abs().sum(-1).T, product.sum(-1).T
    grad_lse = part["grad_lse"].double() if "grad_lse" in part else torch.zeros_like(delta)
    delta = delta - grad_lse
    # Each product is rounded once and takes part in fewer than head_dim sums; one more of the end.
    terms = part["out"].shape[-1]
    yield "row_delta", within(part["row_delta"], delta, UNIT * ((terms + 1) * size + delta.abs()))


def sink_bound(part: Mapping[str, Tensor], sinks: Tensor, dtype: torch.dtype) -> Tensor:
    """How far a sequence's part of each sink's gradient may be off, (heads,).

    It is the sum over rows of -exp(sink - lse) * delta.  With u = 2^-24:
      delta   off by half an ulp of `dtype` of each dO * O, as O was rounded (or half its least
              step), and head_dim + 1 roundings of their sum; one each of the gradient of the
              log-sum-exp and of the sum
      exp     its argument in base 2 off by three roundings of the log-sum-exp (as it is given, of
              log2(e), of the product), two of the sink, one of their difference; fast::exp2 itself
              by 4 u
      sum     of N terms, off by N u times the sum of their sizes, and so is each product, by u
    """
    lse, sink = part["lse"].double(), sinks.double().unsqueeze(1)
    sees = (lse > -math.inf) & (sink > -math.inf)
    lse, sink = lse.where(sees, 0.0), sink.where(sees, 0.0)
    weight = (sink - lse).exp().where(sees, 0.0)
    product = part["grad_out"].double() * part["out"].double()
    size, delta = product.abs().sum(-1).T, product.sum(-1).T
    if "grad_lse" in part:
        delta = delta - part["grad_lse"].double()
        size_of_lse = part["grad_lse"].double().abs()
    else:
        size_of_lse = torch.zeros_like(delta)
    info, terms = torch.finfo(dtype), part["out"].shape[-1]
    rounding, least = info.eps / 2, info.smallest_normal * info.eps / 2
    of_delta = size * (rounding + (terms + 1) * UNIT) + UNIT * (size_of_lse + delta.abs())
    of_delta = of_delta + least * part["grad_out"].double().abs().sum(-1).T
    of_weight = UNIT * (3 * lse.abs() + 2 * sink.abs() + (sink - lse).abs() + 4)
    rows = lse.shape[1]
    relative = of_weight + (rows + 1) * UNIT
    return (weight * (of_delta + relative * delta.abs())).sum(1)


def within(got: Tensor, want: Tensor, bound: Tensor, skip: Tensor | None = None) -> Error:
    """The element that comes closest to its own bound, or passes it by most."""
    if got.numel() == 0:
        return Error(0.0, 1.0, 1.0, 0.0, (), 0.0, 0.0)
    got = got.double()
    bound = bound + torch.finfo(torch.float32).smallest_normal  # what a float32 may flush to 0
    difference = (got - want).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    if skip is not None:
        difference = difference.masked_fill(skip, 0.0)
    worst = position_of_largest((difference / bound).nan_to_num(posinf=math.inf, nan=0.0))
    return Error(
        max_abs=difference[worst].item(),
        tolerance=bound[worst].nan_to_num(posinf=1.0).item(),
        cosine=1.0,
        least_cosine=0.0,
        worst=worst,
        got=got[worst].item(),
        want=want[worst].item(),
    )


def larger(error: Error, other: Error | None) -> Error:
    """Of two, the one that is closer to what it may be."""
    return error if other is None or error.ratio > other.ratio else other
