"""The backward pass with a mask tensor: all gradients, the mask's own among them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from metal_flash_sdpa import autograd, flash_attn_func, ops
from metal_flash_sdpa.call import add_partials
from metal_flash_sdpa.launchers import emulator as launcher
from metal_flash_sdpa.plan import Backward, Scratch, plan_backward
from torch import Tensor
from torch.library import opcheck
from torch.utils import checkpoint as checkpoints

from codegen.widths import plain
from tests.package.test_masks import BATCH, HEADS, draw
from tests.package.test_plan import BASE
from verify import dropout
from verify.case import Case, Gradients, MaskTensor
from verify.inputs import prepare
from verify.mask_cases import shape_of
from verify.masks import bias_of
from verify.reference import Options, attention

Q_LEN, K_LEN = 21, 35
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def wanted(
    leaves: list[Tensor],
    mask: Tensor,
    grad_out: Tensor,
    scales: Tensor | None = None,
    causal: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients in float64; of a bool mask none."""
    *qkv, bias = (x.detach().double().requires_grad_() for x in (*leaves, mask))
    grid = (BATCH, HEADS, leaves[0].shape[1], leaves[1].shape[1])
    of = Options(leaves[0].shape[-1] ** -0.5, causal)
    added = bias.expand(grid) if mask.is_floating_point() else bias_of(mask, grid)
    outs = [
        attention(
            *(qkv[0][b], qkv[1][b], qkv[2][b]),
            of,
            dtype=torch.float64,
            bias=added[b],
            dropout_scale=None if scales is None else scales[b],
        )[0]
        for b in range(BATCH)
    ]
    asked = [*qkv, bias] if mask.is_floating_point() else qkv
    return tuple(torch.autograd.grad(torch.stack(outs), asked, grad_out.double()))


def found(
    leaves: list[Tensor], mask: Tensor, grad_out: Tensor, **options: Any
) -> tuple[Tensor, ...]:
    own = [x.detach().requires_grad_() for x in leaves]
    if mask.is_floating_point():
        mask = mask.detach().requires_grad_()
    q, k, v = own
    out: Any = flash_attn_func(q, k, v, attn_mask=mask, **options)
    asked = [*own, mask] if mask.is_floating_point() else own
    return tuple(torch.autograd.grad(out, asked, grad_out))


SHAPES = [(), (1,), ("k",), ("q", "k"), ("q", 1), (HEADS, 1, "k"), (BATCH, 1, 1, "k")]
SHAPES += [
    (BATCH, HEADS, "q", "k"),
    (BATCH, 1, "q", "k"),
    (1, HEADS, "q", "k"),
    (BATCH, HEADS, 1, 1),
]


@pytest.mark.parametrize("q_len", [Q_LEN, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_of_what_broadcasts(shape: tuple[Any, ...], q_len: int) -> None:
    """Added up over what the mask shares, in its own shape and dtype, the same each time."""
    leaves = [*draw(q_len, K_LEN)]
    grad_out = torch.randn_like(leaves[0])
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        mask = torch.randn([{"q": q_len, "k": K_LEN}.get(n, n) for n in shape]).to(dtype)
        got = found(leaves, mask, grad_out, causal=True)
        assert (got[-1].dtype, got[-1].shape) == (dtype, mask.shape)
        assert all(map(torch.equal, got, found(leaves, mask, grad_out, causal=True)))
        want = wanted(leaves, mask, grad_out, causal=True)
        torch.testing.assert_close(got[:3], tuple(x.float() for x in want[:3]), **CLOSE)
        rounding = torch.finfo(dtype).eps
        torch.testing.assert_close(got[3].double(), want[3], rtol=rounding, atol=2e-5)


def test_of_bools() -> None:
    leaves = [*draw(Q_LEN, K_LEN)]
    grad_out = torch.randn_like(leaves[0])
    mask = torch.rand(BATCH, 1, Q_LEN, K_LEN) < 0.5
    got = found(leaves, mask, grad_out)
    want = wanted(leaves, mask, grad_out)
    torch.testing.assert_close(got, tuple(x.float() for x in want), **CLOSE)


@pytest.mark.parametrize("lowest", [False, True])
def test_a_row_that_sees_nothing_gives_and_gets_nothing(lowest: bool) -> None:
    leaves = [*draw(Q_LEN, K_LEN)]
    mask = torch.randn(Q_LEN, K_LEN, dtype=torch.float16)
    mask[::3] = torch.finfo(mask.dtype).min if lowest else -math.inf
    mask[1, 5:] = -math.inf
    for grad in found(leaves, mask, torch.randn_like(leaves[0])):
        assert grad.isfinite().all()
    grad_q, *_, grad_mask = found(leaves, mask, torch.randn_like(leaves[0]))
    assert (grad_q[:, ::3] == 0).all()
    assert (grad_mask[::3] == 0).all()
    assert (grad_mask[1, 5:] == 0).all()
    assert (grad_mask[1, :5] != 0).all()


def test_an_expanded_mask_has_a_gradient_for_each_element() -> None:
    """Which autograd adds up behind it."""
    leaves = [*draw(Q_LEN, K_LEN)]
    grad_out = torch.randn_like(leaves[0])
    mask = torch.randn(1, 1, Q_LEN, K_LEN, requires_grad=True)
    whole = mask.expand(BATCH, HEADS, Q_LEN, K_LEN)
    q, k, v = leaves
    out: Any = flash_attn_func(q, k, v, attn_mask=whole)
    each, summed = torch.autograd.grad(out, (whole, mask), grad_out)
    assert each.shape == whole.shape
    assert each.is_contiguous()
    torch.testing.assert_close(summed, found(leaves, mask, grad_out)[-1], **CLOSE)


def test_what_is_no_number_shows_where_it_is_used() -> None:
    leaves = [*draw(Q_LEN, K_LEN)]
    mask = torch.zeros(Q_LEN, K_LEN)
    mask[-1, 5] = math.nan
    grad_q, grad_k, _, grad_mask = found(leaves, mask, torch.randn_like(leaves[0]))
    assert grad_q[:, -1].isnan().all()
    assert grad_q[:, :-1].isfinite().all()
    assert grad_k.isnan().all()  # each key is seen by the last row
    assert grad_mask[-1].isnan().all()
    assert grad_mask[:-1].isfinite().all()
    for grad in found(leaves, mask, torch.randn_like(leaves[0]), window_size=(3, -1)):
        assert grad.isfinite().all()  # that row does not see key 5


@pytest.mark.parametrize("q_len", [Q_LEN, 3])
def test_with_dropout(q_len: int) -> None:
    """What is dropped is what is dropped without a mask."""
    leaves = [*draw(q_len, K_LEN)]
    grad_out = torch.randn_like(leaves[0])
    mask = torch.randn(1, HEADS, q_len, K_LEN)
    mask[..., 3:9] = -math.inf
    torch.manual_seed(1)
    seed = torch.randint(-(2**31), 2**31, (2,), dtype=torch.int32)
    kept = [dropout.kept(b, HEADS, q_len, K_LEN, seed, 0.3) for b in range(BATCH)]
    scales = torch.stack(kept).double() / (1 - 0.3)
    torch.manual_seed(1)
    got = found(leaves, mask, grad_out, dropout_p=0.3)
    want = wanted(leaves, mask, grad_out, scales)
    torch.testing.assert_close(got, tuple(x.float() for x in want), **CLOSE)


def test_without_keys_or_queries() -> None:
    q, k, v = draw(Q_LEN, K_LEN)
    shared = torch.randn(1, K_LEN)
    for q_rows, k_rows in ((0, K_LEN), (Q_LEN, 0)):
        leaves = [q[:, :q_rows], k[:, :k_rows], v[:, :k_rows]]
        *_, of_shared = found(leaves, shared[:, :k_rows], torch.randn_like(leaves[0]))
        assert of_shared.shape == (1, k_rows)
        assert (of_shared == 0).all()
        *_, of_rows = found(leaves, torch.randn(q_rows, 1), torch.randn_like(leaves[0]))
        assert (of_rows == 0).all()


@pytest.mark.parametrize("pattern", ["diagonal blocks", "prefix", "padding"])
def test_skipping_changes_no_bit(pattern: str) -> None:
    """Blocks in which nothing is seen, looked at element by element instead."""
    mask = MaskTensor(pattern, "float32", bias=True)
    case = Case(
        pattern, shape_of(150, 170), gradients=Gradients("qkv", of_mask=True), attn_mask=mask
    )
    results = []
    for skips in (True, False):
        inputs = prepare(case, plain(32), torch.float16, "cpu")
        assert inputs.backward is not None
        made = plan_backward(inputs.request, inputs.backward)
        tensors = inputs.tensors | {
            name: torch.empty(shape, dtype=getattr(torch, dtype))
            for name, shape, dtype in made.workspace
        }
        skipped = 0
        for step in made.launches:
            launcher.launch(step, tensors, workers=1)
            if step.kernel == "mask_blocks":
                states = tensors["mask_states"]
                skipped += int((states == 0).sum())
                if not skips:
                    states[states == 0] = 2
        assert skipped
        add_partials(tensors, inputs.arenas["grad_mask"].view)
        results.append([inputs.arenas[f"grad_{name}"].view for name in ("q", "k", "v", "mask")])
    assert all(map(torch.equal, *results))


MASK_SHAPE = (2, 8, 1000, 3000)


def test_the_workspace_does_not_grow_with_what_is_added_up() -> None:
    """Where a mask has many elements its gradient is written as it is; few have partial sums."""
    size = torch.float32.itemsize
    strides = ((1, 1, 1),) * 4
    request = BASE._replace(heads=8, batch=2, q_len=1000, k_len=3000, mask_type=4)
    for shared in ((), (0,), (1,), (0, 1)):
        shape = tuple(1 if axis in shared else n for axis, n in enumerate(MASK_SHAPE))
        of = (0 if 0 in shared else 8 * 3000000 * size, 0 if 1 in shared else 3000000 * size)
        asked = Backward(*strides, mask_shape=shape)
        made = plan_backward(request._replace(mask_strides=(*of, 3000 * size, size)), asked)
        names = [scratch.name for scratch in made.workspace]
        assert "partial_mask" not in names
    asked = Backward(*strides, mask_shape=(1, 8, 1, 1))
    made = plan_backward(request._replace(mask_strides=(0, size, 0, 0)), asked)
    (partial,) = (scratch for scratch in made.workspace if scratch.name == "partial_mask")
    splits = 16 * 3 // 8  # three threadgroups for each of 16 cores
    assert partial == Scratch("partial_mask", (splits, 1, 8, 1, 1))


@pytest.mark.parametrize("wants", ["q", "k", "v", "mask"])
def test_only_what_is_wanted_is_launched(wants: str) -> None:
    strides = ((1, 1, 1),) * 4
    request = BASE._replace(mask_type=1, mask_strides=(0, 0, 100, 1))
    shape = (1, 1, request.q_len, request.k_len) if wants == "mask" else ()
    own: dict[str, Any] = {f"wants_{x}": x == wants for x in "qkv"}
    asked = Backward(*strides, mask_shape=shape)._replace(**own)
    *_, look, step = plan_backward(request, asked).launches
    assert look.kernel == "mask_blocks"
    assert step.kernel.startswith(f"backward_{'kv' if wants in 'kv' else wants}_")


def test_opcheck() -> None:
    q, k, v = draw(Q_LEN, K_LEN)
    numbers = (None, True, -1, -1, 0.0)
    for mask in (torch.randn(HEADS, 1, K_LEN), torch.rand(Q_LEN, K_LEN) < 0.5):
        tensors = [x.clone().requires_grad_(x.is_floating_point()) for x in (q, k, v, mask)]
        forward = (*tensors[:3], True, None, None, None, None, *numbers, 0, None, 0.0, None)
        opcheck(ops.forward, (*forward, tensors[3]))
        out, lse = ops.forward(q, k, v, *forward[3:], mask)
        results = (torch.randn_like(out), None, q, k, v, out, lse, None, None, None, mask, None)
        asked = [True, True, True, False, mask.is_floating_point()]
        opcheck(ops.backward, (asked, *results, *numbers, 0.0, None))


def loss(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Any:
    out: Any = flash_attn_func(q, k, v, attn_mask=mask.tanh(), causal=True)
    return out.sin().sum()


def test_compiled_checkpointed_and_transformed() -> None:
    def fresh() -> list[Tensor]:
        torch.manual_seed(0)
        mask = torch.randn(1, HEADS, Q_LEN, K_LEN)
        return [x.requires_grad_() for x in (*draw(Q_LEN, K_LEN), mask)]

    tensors = fresh()
    want = torch.autograd.grad(loss(*tensors), tensors)
    compiled: Any = torch.compile(loss, backend="aot_eager", fullgraph=True)
    again: Any = checkpoints.checkpoint
    ways = {
        "compiled": compiled,
        "checkpointed": lambda *x: again(loss, *x, use_reentrant=False),
        "reentrant": lambda *x: again(loss, *x, use_reentrant=True),
    }
    for way, function in ways.items():
        tensors = fresh()
        result: Any = function(*tensors)
        result.backward()
        assert all(torch.equal(x.grad, y) for x, y in zip(tensors, want)), way
    detached = [x.detach() for x in fresh()]
    differentiate: Any = torch.func.grad(loss, argnums=(0, 1, 2, 3))
    got = differentiate(*detached)
    assert all(map(torch.equal, got, want))


def test_second_derivatives_are_refused_by_name() -> None:
    tensors = [x.requires_grad_() for x in (*draw(Q_LEN, K_LEN), torch.randn(Q_LEN, K_LEN))]
    grads = torch.autograd.grad(loss(*tensors), tensors, create_graph=True)
    with pytest.raises(NotImplementedError, match=autograd.SECOND_DERIVATIVES[0][:18]):
        grads[3].sum().backward()
