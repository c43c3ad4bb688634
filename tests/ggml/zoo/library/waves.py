"""Networks for sound and for diffusion, and encoders of images, of transformers and diffusers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.ggml.zoo.library.fields import Fields
from tests.ggml.zoo.models import Arguments, Entry


def _speech(name: str) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{name}Config")(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, conv_dim=(16, 16, 16),
        conv_stride=(5, 2, 2), conv_kernel=(10, 3, 2), num_feat_extract_layers=3, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4, vocab_size=30, apply_spec_augment=False,
    )  # fmt: skip
    return Fields(getattr(transformers, f"{name}Model")(config), ["input_values"], ["last_hidden_state"])


def _samples(batch: int) -> Arguments:
    return (torch.randn(batch, 400 + 80 * batch),)


def _images(name: str, **options: Any) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{name}Config")(image_size=32, patch_size=8, **options)
    return Fields(getattr(transformers, f"{name}Model")(config), ["pixel_values"], ["last_hidden_state"])


def _pixels(batch: int) -> Arguments:
    return (torch.randn(batch, 3, 32, 32),)


def unet() -> nn.Module:
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24, attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    return Fields(model, ["sample", "timestep", "encoder_hidden_states"], ["sample"])


def _noisy(batch: int) -> Arguments:
    return torch.randn(batch, 4, 16, 16), torch.arange(batch) * 100 + 7, torch.randn(batch, 5 + batch, 24)


def vae() -> nn.Module:
    """Encodes images to the mean of their latents, and decodes those."""
    from diffusers import AutoencoderKL

    model = AutoencoderKL(
        block_out_channels=(16, 32), layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    return Autoencoder(model)


class Autoencoder(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = self.model.encode(images).latent_dist.mode()
        return mean, self.model.decode(mean).sample


def dit() -> nn.Module:
    from diffusers import DiTTransformer2DModel

    model = DiTTransformer2DModel(
        num_attention_heads=4, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8,
        num_embeds_ada_norm=10, norm_num_groups=8,
    )  # fmt: skip
    return Fields(model, ["hidden_states", "timestep", "class_labels"], ["sample"])


def _classes(batch: int) -> Arguments:
    return torch.randn(batch, 4, 8, 8), torch.arange(batch) * 100 + 7, torch.arange(batch) % 10


_BATCH = {0: "batch"}
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}

ENTRIES = [
    Entry(
        name, lambda kind=kind: _speech(kind), _samples, ({0: "batch", 1: "samples"},), {"samples": (64, 4096)},
        library="transformers", is_quick=False,
    )
    for name, kind in (("wav2vec2", "Wav2Vec2"), ("HuBERT", "Hubert"), ("WavLM", "WavLM"))
] + [
    Entry(
        name, lambda kind=kind, options=options: _images(kind, **options), _pixels, library="transformers",
        is_quick=False,
    )
    for name, kind, options in (
        ("BEiT", "Beit", {**_SIZES, "use_relative_position_bias": True}),
        ("DINOv2", "Dinov2", {**_SIZES, "mlp_ratio": 2}),
    )
] + [
    Entry(
        "diffusion U-Net", unet, _noisy, (_BATCH, _BATCH, {0: "batch", 1: "tokens"}), library="diffusers",
        is_quick=False,
    ),
    Entry("AutoencoderKL", vae, _pixels, library="diffusers", is_quick=False),
    Entry("DiT", dit, _classes, (_BATCH,) * 3, library="diffusers", is_quick=False),
]  # fmt: skip
