"""Tiny models of diffusers, with random weights, on replace_sdpa(): torch's own results.

A UNet as Stable Diffusion 1.5 has it (rows of 40 and 80 values), transformers like those of Flux
and Wan, and the attention of an image autoencoder: one head as wide as its 512 channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from metal_flash_sdpa import replace_sdpa
from metal_flash_sdpa.autograd import DIFFERENTIABLE
from metal_flash_sdpa.checks import HEAD_DIMS
from torch import Tensor

from tests.test_integrations import run
from verify.reference import compare

diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore:head_dim .* has no kernels of its own")

Model = tuple[Any, dict[str, Tensor]]
TEXT = torch.randn(1, 7, 32, generator=torch.Generator().manual_seed(0))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def unet() -> Model:
    model = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(80, 160),
        layers_per_block=1,
        attention_head_dim=2,  # the number of heads, as it is in Stable Diffusion's own
        cross_attention_dim=TEXT.shape[-1],
        norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    sample = noise(1, 4, 8, 8)
    return model, {"sample": sample, "timestep": torch.tensor([3]), "encoder_hidden_states": TEXT}


def flux() -> Model:
    model = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=TEXT.shape[-1],
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
    )
    return model, {
        "hidden_states": noise(1, 16, 4),
        "encoder_hidden_states": TEXT,
        "pooled_projections": TEXT[:, 0],
        "timestep": torch.tensor([1.0]),
        "img_ids": noise(16, 3),
        "txt_ids": noise(7, 3),
    }


def wan() -> Model:
    model = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=TEXT.shape[-1],
        freq_dim=32,
        ffn_dim=32,
        num_layers=1,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    video = noise(1, 4, 2, 8, 8)
    return model, {
        "hidden_states": video,
        "timestep": torch.tensor([3]),
        "encoder_hidden_states": TEXT,
    }


def autoencoder() -> Model:
    model = diffusers.AutoencoderKL(
        block_out_channels=(32, 512),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        sample_size=16,
    )
    return model, {"sample": noise(1, 3, 16, 16)}


# name -> how it is made, and its widest head
MODELS: dict[str, tuple[Callable[[], Model], int]] = {
    "unet": (unet, 80),
    "flux": (flux, 16),
    "wan": (wan, 16),
    "autoencoder": (autoencoder, 512),
}


def in_float64(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: x.double() if x.is_floating_point() else x for k, x in inputs.items()}


def result_and_gradient(model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What a model gives, and the gradient of its first input."""
    name = next(iter(inputs))
    leaf = inputs[name].clone().requires_grad_()
    out = model(**{**inputs, name: leaf}).sample
    (gradient,) = torch.autograd.grad(out.square().sum(), leaf)
    return out.detach(), gradient


@pytest.mark.parametrize("name", MODELS)
def test_results_and_gradients_are_torchs(name: str, launched: list[str]) -> None:
    """Off from float64 by at most twice what torch's own attention is in float32."""
    make, widest = MODELS[name]
    torch.manual_seed(0)
    model, inputs = make()
    model.eval()
    own = result_and_gradient(model, inputs)
    exact = result_and_gradient(copy.deepcopy(model).double(), in_float64(inputs))
    with replace_sdpa("cpu"):
        got = result_and_gradient(model, inputs)
    for ours, theirs, want in zip(got, own, exact):
        error = compare(ours, want, [theirs], torch.float32)
        assert error.ok, error
    families = {kernel.split("_")[0] for kernel in launched}
    assert ({"prefill", "backward"} <= families) == (widest <= max(DIFFERENTIABLE)[0])
    launched.clear()
    with replace_sdpa("cpu"), torch.no_grad():  # wider heads have kernels to generate with
        model(**inputs)
    assert launched
    assert widest <= HEAD_DIMS[-1]


def test_the_page_on_integrations(launched: list[str]) -> None:
    model, inputs = flux()
    names = run("diffusers", device="cpu", model=model, inputs=inputs)
    assert launched
    assert names["sample"].isfinite().all()
